"""check_energy and check_gradient on networks: the package passes, wrong ones are named; second derivatives agree."""

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.cli.self_check_networks import arrays, energy, model_of, parameter_gradient, slope
from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.oracle import cases, check_energy, check_gradient
from ebm_ref.oracle.deep.cases import evaluated, values_of
from ebm_ref.oracle.deep.numbers import Bounded, Dual, Var, exp, gradient, log, power


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", cases.NETWORK_NAMES)
def test_the_package_is_right(name, dtype):
    for check in (energy, slope, parameter_gradient):
        report = check(cases.named(name), dtype)
        assert report.passed, str(report)
        assert report.false_alarm_bound == 0.0


@pytest.mark.parametrize("name", ["mlp_residual", "mlp_spectral", "jem_marginal", "convnet_square", "unet_inner"])
def test_second_derivatives_are_the_packages(name):
    case = cases.named(name)
    model = model_of(case)
    x, u = case.points, np.cos(np.arange(case.points.size)).reshape(case.points.shape)
    hessian = values_of(evaluated(case, x, by="state", along=list(u.T)).slopes, len(x))
    np.testing.assert_allclose(hessian, model.hessian_vector(x, u), rtol=1e-10, atol=1e-10)
    mixed = values_of(evaluated(case, x, by="parameters", along=list(u.T)).slopes, len(x)).sum(axis=0)
    ours = np.concatenate([g.ravel() for g in arrays(model.mixed_product(x, u))])
    np.testing.assert_allclose(mixed, ours, rtol=1e-10, atol=1e-10)


def test_numbers_carry_derivatives_and_rounding():
    x = Var(Dual(Bounded(0.7), 1.0))
    (slope,) = gradient(log(exp(x) + 1) * power(x, 0.5) / 3, [x])

    def f(v):
        return np.log1p(np.exp(v)) * np.sqrt(v) / 3

    h = 1e-4
    np.testing.assert_allclose(slope.v.v, (f(0.7 + h) - f(0.7 - h)) / (2 * h), rtol=1e-7)
    np.testing.assert_allclose(slope.t.v, (f(0.7 + h) - 2 * f(0.7) + f(0.7 - h)) / h**2, rtol=1e-5)
    assert 1.0 < slope.t.e < 100.0
    difference = Bounded(1e8) + 1.0 - 1e8
    assert difference.e > 1e8  # cancellation shows


def test_bounds_hold_for_single_precision():
    """The same equations in float32 stay within their bound, and most of it is used by some."""
    used = []
    for name in cases.NETWORK_NAMES[:4]:
        case = cases.named(name)
        model = model_of(case).astype("float32")
        values, bounds = case.energies
        used.append(np.abs(model.energy(case.points) - values) / (2.0**-24 * bounds))
    assert 1e-3 < np.max(used) < 1.0


def test_wrong_use_and_broken_candidates():
    case = cases.named("mlp_inner")
    for f in (lambda x: 1 / 0, lambda x: x, lambda x: np.full(len(x), np.nan), lambda x: x.sum(1).astype("complex128")):
        assert not check_energy(f, case).passed
    assert not check_gradient(lambda x, w: [w], case).passed
    assert not check_gradient(lambda x, w: {"a": 1}, case).passed
    with pytest.raises(ShapeError, match="expected 2 outputs"):
        cases.network([("linear", np.ones((2, 3)), np.zeros(3))], (2,), "inner")
    with pytest.raises(DomainError, match="conv does not fit"):
        cases.network([("conv", np.ones((1, 2, 3, 3)), np.zeros(1), 1, 1)], (1, 4, 4), "square")
    with pytest.raises(DomainError, match="layers: expected one of"):
        cases.network([("attention",)], (2,), "square")
    with pytest.raises(ShapeError, match="takes 4 arguments"):
        cases.network([("conv", np.ones((1, 1, 3, 3)), np.zeros(1))], (1, 4, 4), "square")


def test_a_time_embedding_is_a_function_of_x():
    W = np.round(np.cos(np.arange(8.0)).reshape(4, 2) * 64) / 64
    layers = [("conv", np.ones((2, 1, 1, 1)), np.zeros(2), 1, 0), ("time_bias", W, np.zeros(2), 3.0), ("silu",)]
    scaled = [*layers, ("time_scale", (0.5, 2.0, -1.5, 4.0), 2.0), ("pad", (0, 1, 1, 0)), ("flatten",)]
    case, other = (cases.network(given, (1, 2, 1), "square") for given in (scaled, [*layers, *scaled[4:]]))
    assert check_energy(model_of(case).energy, case).passed
    assert not check_energy(model_of(other).energy, case).passed


# energies that no reference is known of -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gradients_against_their_own_energy(dtype):
    model = er.NetworkEnergy(er.nets.mlp((5, 16, 5)), "inner").astype(dtype)
    points = er.Stream(5, "user").normal(0, (3, 5))

    def network(x):
        return model.network.forward(model.network.rows("x", x))[0]

    case = cases.energy_of(model.energy, points, network=network, form="inner")
    right = check_gradient(lambda x: -model.score(x).reshape(x.shape), case)
    assert right.passed, str(right)
    assert right.results[0].smallest_detectable_effect < (1e-8 if dtype == "float64" else 3e-2)
    for wrong, mistake in (
        (network, "vjp_missing"),
        (model.score, "score_for_gradient"),
        (lambda x: -model.score(x) - network(x), "own_term_missing"),
        (lambda x: -model.score(x) / len(x), "mean_over_rows"),
        (lambda x: -model.score(x) / 2, "halved"),
    ):
        report = check_gradient(wrong, case)
        assert not report.passed
        assert report.diagnosis[0].mistake == mistake, str(report)
    assert check_energy(model.energy, case).passed


def test_parameter_gradients_against_their_own_energy():
    case = cases.named("mlp_residual")
    model = model_of(case)

    def energy(x, W1, b1, W2, b2):
        r = x - (np.tanh(x @ W1 + b1) @ W2 + b2)
        return 0.5 * (r**2).sum(axis=1) + (x**2).sum(axis=1) / (2 * 1.5**2)

    own = cases.energy_of(energy, case.points, case.parameters)
    assert check_energy(energy, own).passed
    assert check_gradient(lambda x, w: arrays(model.energy_gradient(x, w)), own).passed
    report = check_gradient(lambda x, w: [-g for g in arrays(model.energy_gradient(x, w))], own)
    assert report.diagnosis[0].mistake == "score_for_gradient"
    late = check_gradient(lambda x, w: [*arrays(model.energy_gradient(x, w))[:3], np.zeros(2)], own)
    assert "array 3" in late.failures[0].message
    with pytest.raises(DomainError, match="expected parameters"):
        check_gradient(lambda x, w: [], cases.energy_of(model.energy, case.points))


def test_energies_that_are_no_function_of_a_row():
    calls = []

    def counted(x):
        calls.append(1)
        return (x**2).sum(axis=1) + 1e-6 * len(calls)

    x = cases.named("mlp_inner").points

    def coupled(x):
        return ((x - x.mean(axis=0)) ** 2).sum(axis=1)

    for f, mistake in ((counted, "changes_between_calls"), (coupled, "rows_coupled"),
                       (lambda x: (x**2).sum(), "reduced")):  # fmt: skip
        report = check_energy(f, cases.energy_of(f, x))
        assert not report.passed
        assert report.diagnosis[0].mistake == mistake, str(report)

    def noisy(x):
        return (x**2).sum(axis=1) + np.sin(1e9 * np.exp(x[:, 0] + 2 * x[:, 1] + 3 * x[:, 2]))

    assert check_gradient(lambda x: 2 * x, cases.energy_of(noisy, x)).results[0].verdict == "skip"
    with pytest.raises(DomainError, match="network: expected the function"):
        cases.energy_of(noisy, x, form="inner")
    with pytest.raises(ShapeError, match="points: expected rows"):
        cases.energy_of(noisy, x[0])
