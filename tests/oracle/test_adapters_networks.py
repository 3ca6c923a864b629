"""PyTorch modules and JAX functions as energies; skipped where the framework (extra ``peers``) is not installed."""

import pytest

from ebm_ref.errors import ShapeError
from ebm_ref.oracle import adapters, cases, check_energy, check_gradient


def test_torch_networks_are_energies():
    torch = pytest.importorskip("torch")
    case = cases.named("mlp_square")

    class Square(torch.nn.Module):
        def __init__(self):
            super().__init__()
            linear = torch.nn.Linear
            self.f = torch.nn.Sequential(
                linear(3, 3), torch.nn.Softplus(), linear(3, 3), torch.nn.Softplus(), linear(3, 2)
            )

        def forward(self, x):
            return 2.0 * (self.f(x) ** 2).sum(dim=1, keepdim=True)

    for dtype in ("float32", "float64"):
        f = adapters.torch_energy(Square(), dtype, case=case)
        assert f.energy(case.images).dtype == dtype
        for report in (
            check_energy(f.energy, case),
            check_gradient(f.gradient, case, of="state"),
            check_gradient(f.parameter_gradient, case, of="energy"),
        ):
            assert report.passed, str(report)
    with pytest.raises(ShapeError, match="expected 4 parameters"):
        adapters.torch_energy(Square(), case=cases.named("mlp_inner"))
    with pytest.raises(ShapeError, match=r"expected \(4, 3\) for 0.linear.W"):
        adapters.torch_energy(Square(), case=cases.named("mlp_scalar"))
    own = cases.energy_of(f.energy, case.points)
    assert check_gradient(f.gradient, own).passed
    assert check_gradient(lambda x: -f.gradient(x), own).diagnosis[0].mistake == "score_for_gradient"


def test_jax_networks_are_energies():
    jax = pytest.importorskip("jax")
    case = cases.named("jem_joint")

    def energy(theta, x, y):
        W1, b1, W2, b2 = theta
        logits = jax.nn.silu(x @ W1 + b1) @ W2 + b2
        return -jax.numpy.take_along_axis(logits, y[:, None], axis=1)[:, 0] + (x**2).sum(axis=1) / 8

    f = adapters.jax_energy(energy, case.parameters)
    for report in (
        check_energy(f.energy, case),
        check_gradient(f.gradient, case, of="state"),
        check_gradient(f.parameter_gradient, case, of="energy"),
    ):
        assert report.passed, str(report)
