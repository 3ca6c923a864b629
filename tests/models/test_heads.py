"""The laws of the deep energies, closed forms, and what the doors refuse."""

import re

import laws_energies
import numpy as np
import pytest
from laws_layers import generic, near, slope
from members import ENERGIES, MLP, TINY_UNET

import ebm_ref as er
from ebm_ref.compile import set_num_threads
from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.models import layers as nn
from ebm_ref.models.record import flatten, leafwise, leaves, with_leaves


@pytest.mark.parametrize("model", ENERGIES)
@pytest.mark.parametrize("law", laws_energies.ENERGY_LAWS, ids=lambda law: law.__name__)
def test_energy(law, model):
    law(model)


@pytest.mark.parametrize("model", ENERGIES)
def test_a_file_keeps_every_bit(model, tmp_path):
    laws_energies.a_file_keeps_every_bit(model, tmp_path)


# linear networks: normal laws -----------------------------------------------------------------------------------------

A = np.array([[1.4, 0.3], [-0.5, 0.9]])  # f(x) = A x + b
B = np.array([0.6, -0.4])


def linear(A, b) -> er.nets.Network:
    return er.nets.Network(nn.Linear(np.array(A).T, b), (len(A[0]),))


def gaussian_of(form: str, c: float, base: float | None) -> tuple[er.Gaussian, float]:
    """(the normal law of the energy with f(x) = Ax + b, E at its mean), completing the square."""
    I = np.eye(2)
    P, linear_part, constant = {
        "inner": (c * (A + A.T), c * B, 0.0),
        "residual": (2 * c * (I - A).T @ (I - A), -2 * c * (I - A).T @ B, c * B @ B),
        "square": (2 * c * A.T @ A, 2 * c * A.T @ B, c * B @ B),
    }[form]  # E = x'Px/2 + linear_part.x + constant
    if base is not None:
        P = P + I / base**2
    mean = -np.linalg.solve(P, linear_part)
    return er.Gaussian(mean, (P + P.T) / 2), constant + linear_part @ mean / 2


@pytest.mark.parametrize("form", ["inner", "residual", "square"])
@pytest.mark.parametrize(("c", "base"), [(1.0, None), (0.5, None), (0.7, 1.1)])
def test_linear_networks_give_normal_laws(form, c, base):
    """log Z, mean, precision and the gradient of log Z against their closed forms."""
    if form == "residual" and base is None:
        base = 2.0  # |I - A| is nearly singular: without a base measure the box would be huge
    model = er.NetworkEnergy(linear(A, B), form, c, base)
    law, lowest = gaussian_of(form, c, base)
    x = generic((5, 2), 1)
    near(model.energy(x), law.energy(x) + lowest, 1e-12)
    near(model.score(x), law.score(x), 1e-12)
    near(model.hessian_vector(x, x[::-1]), x[::-1] @ law.precision, 1e-12)
    reach = 9 * np.sqrt(np.diag(law.covariance))
    box = np.stack([law.mean - reach, law.mean + reach], axis=1)
    assert er.exact.grid_log_partition(model, box, 120) == pytest.approx(law.log_z - lowest, rel=1e-11)
    near(er.exact.grid_log_prob(model, x, box, 120), -law.energy(x) - law.log_z, 1e-10)
    gradient = er.exact.grid_log_partition_gradient(model, box, 120)
    second = law.covariance + np.outer(law.mean, law.mean)  # E[x x']
    bias = {"inner": law.mean, "residual": 2 * (A @ law.mean + B - law.mean), "square": 2 * (A @ law.mean + B)}[form]
    near(gradient.network.layers.b, -c * bias, 1e-9)
    if form == "inner":
        near(gradient.network.layers.W, -c * second, 1e-9)


@pytest.mark.parametrize("model", [p for p in ENERGIES if p.id in ("square_with_base", "scalar", "jem")])
def test_the_gradient_of_log_z_is_minus_the_mean_of_the_energy_gradient(model):
    """On the grid, against differences of log Z, leaf by leaf."""
    box, n = (-14, 14), 110
    gradient = er.exact.grid_log_partition_gradient(model, box, n)
    for i, (name, leaf) in enumerate(leaves(model).items()):
        d = generic(leaf.shape, 50 + i)
        expected = slope(
            lambda e, name=name, d=d: er.exact.grid_log_partition(
                laws_energies.shifted(model, name, e * d), box, n
            )
        )  # fmt: skip
        near((leaves(gradient)[name] * d).sum(), expected, 1e-6)


def test_one_dimension_too():
    model = er.NetworkEnergy(er.nets.mlp((1, 4, 1)), "square", base=1.0)
    x = np.linspace(-8, 8, 4001)[:, None]
    total = np.trapezoid(np.exp(er.exact.grid_log_prob(model, x, (-9, 9), 300)), x[:, 0])
    assert total == pytest.approx(1, rel=1e-12)


# homogeneity ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "degree"), [("inner", 2), ("residual", 2), ("square", 2), ("scalar", 1)])
def test_networks_without_biases_are_homogeneous(form, degree):
    """E(cx) = c^k E(x), Euler x.dE/dx = kE;  theta.dE/dtheta = L E (inner, scalar), 2 L E (square), L layers."""
    net = er.nets.mlp((2, 6, 5, 1 if form == "scalar" else 2), "leaky_relu", seed=2)
    model, x = er.NetworkEnergy(net, form), generic((6, 2), 3)
    energy, score = model.energy_and_score(x)
    near(model.energy(1.7 * x), 1.7**degree * energy, 1e-12)
    near(-(x * score).sum(axis=1), degree * energy, 1e-12)
    if form != "residual":
        gradient = model.energy_gradient(x)
        total = sum((a * b).sum() for a, b in zip(leaves(model).values(), leaves(gradient).values(), strict=True))
        assert total == pytest.approx((6 if form == "square" else 3) * energy.sum(), rel=1e-11)


# blocks of rows -------------------------------------------------------------------------------------------------------


def everything(model, x, u, w) -> list[np.ndarray]:
    """All that an energy computes of a batch."""
    energy, score = model.energy_and_score(x)
    gradients = (model.energy_gradient(x, w), model.mixed_product(x, u, w))
    return [model.energy(x), energy, score, model.hessian_vector(x, u), *(flatten(g) for g in gradients)]


@pytest.mark.parametrize("labelled", [False, True])
def test_blocks_of_rows_change_nothing_and_threads_no_bit(labelled, monkeypatch):
    """37 rows as 16 + 16 + 5 and at once; of a classifier each row keeps its label."""
    x, u, w = generic((37, 20), 1), generic((37, 20), 2), generic((37,), 3)
    y = np.arange(37) % 3

    def results(block_bytes: int) -> list[np.ndarray]:
        monkeypatch.setattr(er.nets, "BLOCK_BYTES", block_bytes)
        if not labelled:
            return everything(er.NetworkEnergy(er.nets.unet((1, 4, 5), (2, 3), seed=4), "inner"), x, u, w)
        model = er.JointEnergy(er.nets.convnet((1, 4, 5), (2, 3), 3, seed=4))
        gradients = (model.energy_gradient(x, w, y), model.mixed_product(x, u, w, y))
        gradients = (*gradients, model.cross_entropy_gradient(x, y, w))
        return [model.energy(x, y), *model.energy_and_score(x, y), *(flatten(g) for g in gradients)]

    whole, parts = results(2**40), results(1)
    for got, expected in zip(parts, whole, strict=True):
        near(got, expected, 1e-13)
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            assert all(np.array_equal(a, b) for a, b in zip(results(1), parts, strict=True))
    finally:
        set_num_threads(None)


def test_rows_in_blocks_keep_the_times_of_their_own(monkeypatch):
    """37 rows as 16 + 16 + 5: each as at its own time alone; the sum over rows is a record with the times of all."""
    monkeypatch.setattr(er.nets, "BLOCK_BYTES", 1)
    times, x, r, w = np.linspace(0.0, 3.0, 37), generic((37, 15), 1), generic((37, 15), 2), generic((37,), 3)
    model = er.NetworkEnergy(TINY_UNET, "inner")
    bound = er.nets.at_time(model, times)
    alone = [everything(er.nets.at_time(model, t), x[[n]], r[[n]], w[[n]]) for n, t in enumerate(times)]
    for got, rows in zip(everything(bound, x, r, w)[:4], zip(*alone, strict=True), strict=False):
        near(got, np.concatenate(rows), 1e-12)
    for got, rows in zip(everything(bound, x, r, w)[4:], list(zip(*alone, strict=True))[4:], strict=True):
        near(got, sum(rows), 1e-12)
    assert bound.energy_gradient(x).network.times == tuple(times)
    with pytest.raises(ShapeError, match="t: "):
        bound.score(x[:32])


# JEM ------------------------------------------------------------------------------------------------------------------

LOGITS = np.array([[1.2, -0.8, 0.5], [0.4, 1.9, -1.1]])  # W (2, 3)
SHIFTS = np.array([0.3, -0.6, 0.1])


def test_linear_logits_on_a_box():
    """Z of [-1, 1]^2 = sum_y exp(b_y) prod_i 2 sinh(W_iy)/W_iy, against Gauss-Legendre."""
    model = er.JointEnergy(er.nets.Network(nn.Linear(LOGITS, SHIFTS), (2,)))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    x = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    z = np.outer(weights, weights).ravel() @ np.exp(-model.energy(x))
    expected = (np.exp(SHIFTS) * np.prod(2 * np.sinh(LOGITS) / LOGITS, axis=0)).sum()
    assert z == pytest.approx(expected, rel=1e-12)


def test_linear_logits_with_a_base_measure_are_a_gaussian_mixture():
    """Means W_y, log weights b_y + |W_y|^2/2."""
    model = er.JointEnergy(er.nets.Network(nn.Linear(LOGITS, SHIFTS), (2,)), base=1.0)
    logs = SHIFTS + (LOGITS**2).sum(axis=0) / 2
    mixture = er.GaussianMixture(np.exp(logs - np.logaddexp.reduce(logs)), LOGITS.T, np.ones(2))
    x = generic((6, 2), 4)
    log_z = np.logaddexp.reduce(logs) + np.log(2 * np.pi)
    near(-model.energy(x) - log_z, mixture.log_density(x), 1e-12)
    near(model.score(x), mixture.score(x), 1e-12)
    near(model.class_probabilities(x), mixture.responsibilities(x), 1e-12)
    assert er.exact.grid_log_partition(model, (-12, 12), 100) == pytest.approx(log_z, rel=1e-12)


def test_classes():
    """E(x) = -log sum_y exp(-E(x,y)), p(y|x) from E(x,y), scores weighted by it, labels in their own energies."""
    model, x = er.JointEnergy(MLP[3], base=1.7), generic((5, 2), 5)
    y = np.array([0, 2, 1, 1, 0])
    table = np.stack([model.energy(x, np.full(5, k)) for k in range(3)], axis=1)
    near(model.energy(x), -np.logaddexp.reduce(-table, axis=1), 1e-12)
    p = model.class_probabilities(x)
    near(p, np.exp(-table + model.energy(x)[:, None]), 1e-12)
    near(model.class_log_probabilities(x), np.log(p), 1e-12)
    scores = np.stack([model.score(x, np.full(5, k)) for k in range(3)], axis=1)
    near(model.score(x), (p[:, :, None] * scores).sum(axis=1), 1e-12)
    w, u = generic((5,), 6), generic((5, 2), 7)
    near(model.hessian_vector(x, u, y), -slope(lambda e: model.score(x + e * u, y)), 1e-7)
    for i, (name, leaf) in enumerate(leaves(model).items()):
        d = generic(leaf.shape, 60 + i)
        moved = lambda e, name=name, d=d: laws_energies.shifted(model, name, e * d)  # noqa: E731
        got = [leaves(g)[name] for g in (model.energy_gradient(x, w, y), model.cross_entropy_gradient(x, y, w))]
        near((got[0] * d).sum(), slope(lambda e, at=moved: w @ at(e).energy(x, y)), 1e-7)
        near(
            (got[1] * d).sum(), slope(lambda e, at=moved: -w @ at(e).class_log_probabilities(x)[np.arange(5), y]), 1e-7
        )


def test_a_constant_on_all_logits_shifts_the_energy_only():
    model, x = er.JointEnergy(MLP[3]), generic((5, 2), 8)
    last = list(leaves(model))[-1]
    moved = laws_energies.shifted(model, last, 2.5)
    near(moved.energy(x), model.energy(x) - 2.5, 1e-12)
    near(moved.score(x), model.score(x), 1e-12)
    near(moved.class_probabilities(x), model.class_probabilities(x), 1e-12)


# the rest -------------------------------------------------------------------------------------------------------------


def test_tempering_multiplies_the_energy():
    for model in (er.NetworkEnergy(MLP[2], "residual", 0.5, base=1.3), er.NetworkEnergy(MLP[2])):
        x = generic((4, 2), 9)
        near(model.tempered(0.3).energy(x), 0.3 * model.energy(x), 1e-13)


def test_long_batches_are_cut_into_blocks():
    x = np.tile(generic((5, 2), 10), (2000, 1))
    for model in (er.NetworkEnergy(MLP[2]), er.JointEnergy(MLP[3])):
        near(model.energy(x), np.tile(model.energy(x[:5]), 2000), 1e-13)
    y = np.tile([0, 1, 2, 1, 0], 2000)
    near(er.JointEnergy(MLP[3]).energy(x, y), np.tile(er.JointEnergy(MLP[3]).energy(x[:5], y[:5]), 2000), 1e-13)


def test_networks_are_repeatable_and_their_shapes_are_as_announced():
    net = er.nets.convnet((1, 28, 28), (16, 32, 64, 64), 1, seed=4)
    assert [leaf.shape for name, leaf in leaves(net).items() if name.endswith("W")] == [
        (16, 1, 5, 5), (32, 16, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3), (256, 64), (64, 1),
    ]  # fmt: skip
    again, other = (er.nets.convnet((1, 28, 28), (16, 32, 64, 64), 1, seed=s) for s in (4, 5))
    assert all(np.array_equal(a, b) for a, b in zip(leaves(net).values(), leaves(again).values(), strict=True))
    assert not np.array_equal(net.layers.layers[0].W, other.layers.layers[0].W)
    unet = er.nets.unet((1, 28, 28), (4, 6, 8))
    x = generic((2, 784), 11)
    assert unet.forward(x)[0].shape == (2, 784)
    assert er.nets.unet((1, 28, 28), (4, 6), stride=2).forward(x)[0].shape == (2, 784)
    assert er.nets.unet((3, 5, 6), (2, 3), spectral_norm=True, dtype="float32").dtype == np.float32


def test_the_time_changes_the_energy():
    x = generic((3, 15), 12)
    model = er.NetworkEnergy(TINY_UNET)
    early, late = (er.nets.at_time(model, t).energy(x) for t in (0.0, 3.0))
    assert np.abs(early - late).max() > 1e-3
    each = er.nets.at_time(model, [0.0, 3.0, 0.0]).energy(x)
    near(each, [early[0], late[1], early[2]], 1e-12)
    gradient = er.nets.at_time(model, 3.0).energy_gradient(x)
    assert leafwise(lambda p, g: p + g, model, gradient).network is not None


@pytest.mark.parametrize("form", ["inner", "residual"])
def test_a_conditioned_network_that_gives_nothing_is_the_normal_law_of_noisy_data(form):
    """nets (4) with g = 0: x~ - dE/dx is d^2/s^2 x~ for "inner", the mean of x ~ N(0, d^2 I) given x~ (Wiener).

    "residual": f is that mean, so dE/dx = (1 - d^2/s^2)^2 x~.  With the last bias of g alone, f = out bias + skip x.
    """
    d, sigmas = 0.6, (0.3, 2.0)
    zero = leafwise(np.zeros_like, er.nets.mlp((2, 4, 2)))
    x = generic((3, 2), 15)
    bias = [0.7, -0.2]
    shifted = with_leaves(zero, leaves(zero) | {"layers.layers.2.b": np.array(bias)})
    for t, sigma in enumerate(sigmas):
        s2 = sigma**2 + d**2
        energy = er.NetworkEnergy(er.nets.conditioned(zero, sigmas, d, form), form, 0.5)
        slope = sigma**2 / s2 if form == "inner" else (sigma**2 / s2) ** 2
        near(-er.nets.at_time(energy, t).score(x), slope * x, 1e-14)
        skip = (sigma**2 if form == "inner" else d**2) / s2
        f = er.nets.at_time(er.nets.conditioned(shifted, sigmas, d, form), t).forward(x)[0]
        near(f, skip * x + sigma * d / np.sqrt(s2) * np.array(bias), 1e-14)


BAD = (
    (lambda: er.NetworkEnergy(MLP[3]), ShapeError, "network: expected 2 outputs for form='inner', got 3"),
    (lambda: er.NetworkEnergy(MLP[2], "outer"), DomainError, "form: expected one of 'inner', 'residual', 'square'"),
    (lambda: er.NetworkEnergy(MLP[2], scale=0.0), DomainError, "scale: expected a number other than 0"),
    (lambda: er.NetworkEnergy(MLP[2], base=-1.0), DomainError, "base: expected a positive number, got -1.0"),
    (lambda: er.NetworkEnergy(MLP[2]).energy([[1.0]]), ShapeError, "x: expected shape (any, 2), got (1, 1)"),
    (
        lambda: er.NetworkEnergy(MLP[2]).energy_gradient([[1.0, 2.0]], [1.0, 2.0]),
        ShapeError,
        "weights: expected shape (1,), got (2,)",
    ),
    (lambda: er.JointEnergy(MLP[3]).energy([[1.0, 2.0]], [3]), DomainError, "y: expected whole numbers from 0 to 2"),
    (lambda: er.nets.mlp((3,)), ShapeError, "sizes: expected at least (n_inputs, n_outputs), got (3,)"),
    (lambda: er.nets.unet((5, 5), (2,)), ShapeError, "image_shape: expected (channels, height, width), got (5, 5)"),
    (lambda: er.nets.unet((1, 6, 6), (2,), stride=3), DomainError, "stride: expected 1 or an even number"),
    (lambda: er.nets.conditioned(MLP[2], (0.1,), 0.0, "inner"), DomainError, "size: expected a positive number"),
    (lambda: er.nets.conditioned(MLP[2], (0.1,), 1.0, "square"), DomainError, "form: expected one of 'inner'"),
    (lambda: er.nets.mlp((2, 1), dtype="float16"), DomainError, "dtype: expected one of 'float32', 'float64'"),
    (
        lambda: er.NetworkEnergy(TINY_UNET).energy(np.zeros((1, 15))),
        DomainError,
        "t: expected a time; bind one with er.nets.at_time(network, t)",
    ),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_at_the_door(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        call()
