"""What follows from the law, against brute force: Fisher information, energy, entropy, samples, divergence."""

import math

import numpy as np
import pytest
import reference
import strategies
from chance import assert_rows_follow
from hypothesis import given
from hypothesis import strategies as st
from laws import close
from members import MODELS

import ebm_ref as er
from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.exact.moments import layer_moments_vectorized
from ebm_ref.exact.partition import product_layout, product_tables


def energy_law(model):
    return reference.joint_law(model), np.array(reference.energies(model))


def conditional_statistics(model):
    """E[T|x] of every visible state, (2**nv, p), and p(x)."""
    p, T = reference.joint_law(model), reference.statistics(model)
    n = 2**model.n_visible
    px = p.reshape(-1, n).sum(axis=0)
    sums = (p[:, None] * T).reshape(-1, n, T.shape[1]).sum(axis=0)
    return sums / np.maximum(px, 1e-300)[:, None], px


@pytest.mark.parametrize("model", MODELS)
def test_energy_entropy_and_heat_capacity(model):
    p, E = energy_law(model)
    close(er.exact.mean_energy(model), p @ E)
    close(er.exact.heat_capacity(model), p @ (E - p @ E) ** 2)
    close(er.exact.entropy(model), -p[p > 0] @ np.log(p[p > 0]))
    assert 0 <= er.exact.entropy(model) <= model.n_units * math.log(2) + 1e-12


def wide_rbm(n_visible: int, n_hidden: int, spread: float, mean: float) -> er.RBM:
    """Many units, whose factors fill the range of float64 several times; columns of W sum to hundreds."""
    rng = np.random.default_rng(n_visible + n_hidden)
    return er.RBM(
        rng.normal(mean, spread, (n_visible, n_hidden)), rng.normal(0, 3, n_visible), rng.normal(0, 3, n_hidden)
    )


@pytest.mark.parametrize(
    ("shape", "n_groups"),
    [((301, 14, 0.7, -0.8), 2), ((301, 11, 3.0, 1.5), 4), ((23, 17, 0.5, 0.0), 1), ((50, 12, 8.0, 0.0), 2),
     ((7, 5, 1.0, 0.0), 1), ((8, 6, 2.0, 0.0), 1)],
)  # fmt: skip
def test_compiled_moments_are_those_of_the_readable_twin(shape, n_groups):
    """Over several batches, shards and groups of units; relative error also of moments as small as 1e-100."""
    model = wide_rbm(*shape)
    tables = product_tables(model, product_layout(model.n_hidden, 4)[0])
    assert len(tables.groups) >= n_groups
    got, expected = er.exact.moments(model), layer_moments_vectorized(model)
    for name in ("x", "h", "xh"):
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), rtol=1e-12, atol=0)
    values = [er.exact.log_partition(model, method=method) for method in ("product", "vectorized")]
    assert abs(values[0] - values[1]) <= 1e-14 * abs(values[1])


@pytest.mark.parametrize("model", MODELS)
def test_derivatives_in_beta(model):
    """d log Z / d beta = -U, the second derivative is Var E, S = log Z + U."""
    h = 1e-3

    def log_z(beta):
        return er.exact.log_partition(model.tempered(beta))

    first = (8 * (log_z(1 + h) - log_z(1 - h)) - (log_z(1 + 2 * h) - log_z(1 - 2 * h))) / (12 * h)
    second = (-log_z(1 + 2 * h) + 16 * log_z(1 + h) - 30 * log_z(1) + 16 * log_z(1 - h) - log_z(1 - 2 * h)) / (
        12 * h * h
    )
    U, C = er.exact.mean_energy(model), er.exact.heat_capacity(model)
    assert abs(first + U) <= 1e-8 * max(1, abs(U))
    assert abs(second - C) <= 1e-6 * max(1, C)
    close(er.exact.entropy(model), er.exact.log_partition(model) + U)


@given(strategies.models(magnitude=8.0))
def test_thermodynamics_of_random_models(model):
    p, E = energy_law(model)
    close(er.exact.mean_energy(model), p @ E)
    close(er.exact.heat_capacity(model), p @ (E - p @ E) ** 2, 1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_fisher_information(model):
    """Cov of E[T|x]: brute force, symmetric, no negative eigenvalue, and E[score] = 0."""
    t, px = conditional_statistics(model)
    t = t - px @ t
    got = er.exact.fisher_information(model)
    close(got, (t * px[:, None]).T @ t)
    close(got, got.T)
    assert np.linalg.eigvalsh(got).min() > -1e-13 * max(1.0, np.trace(got))


def test_fisher_information_is_the_curvature_of_kl():
    """KL(p_theta | p_(theta + d)) = d'Fd/2 + O(d^3)."""
    model = er.RBM.random(3, 2, 1.0, seed=9)
    direction = np.cos(np.arange(11.0))
    F = er.exact.fisher_information(model)
    both = [
        er.exact.kl_divergence(model, reference.from_vector(model, reference.vector(model) + e * direction))
        for e in (1e-3, -1e-3)
    ]
    assert np.mean(both) == pytest.approx(0.5e-6 * direction @ F @ direction, rel=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_the_gradient_vanishes_when_the_data_are_the_model(model):
    """sum_x p(x) d log p(x) / d theta = 0."""
    x = reference.states(model.n_visible)
    gradients = [reference.vector(er.exact.log_likelihood_gradient(model, row[None])) for row in x]
    close(reference.visible_law(model) @ np.array(gradients), np.zeros(len(gradients[0])))


@pytest.mark.parametrize("model", MODELS)
def test_joint_map(model):
    x, h = er.exact.joint_map(model)
    assert x.shape == (model.n_visible,)
    assert h.shape == (model.n_hidden,)
    E = np.array(reference.energies(model))
    best = int(reference.index(np.concatenate([x, h]).astype(int)[None])[0])
    assert E[best] <= E.min() + 1e-12 * max(1, abs(E.min()))


@given(strategies.models(magnitude=30.0))
def test_joint_map_of_random_models(model):
    x, h = er.exact.joint_map(model)
    close(model.joint_energy(np.concatenate([x, h])[None])[0], min(reference.energies(model)))


def test_joint_map_breaks_ties_downwards():
    tie = er.RBM(np.zeros((2, 2)), [0.0, 1.0], [0.0, 0.0])
    assert [part.tolist() for part in er.exact.joint_map(tie)] == [[0.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize("model", MODELS)
def test_exact_samples_follow_the_law(model, seed):
    """One stage of 2^14 joint draws: a state off by a tenth of a probability of 0.2 is found almost surely."""

    def draw(row, n, stage_seed):
        x, h = er.exact.sample(model, n, stage_seed)
        assert set(np.unique(x)) <= {0.0, 1.0}
        return reference.index(np.hstack([x, h]).astype(int))

    assert_rows_follow(draw, reference.joint_law(model)[None], 2**14, seed)


def test_exact_samples_are_addressed():
    model = er.RBM.random(4, 6, 1.0)
    x, h = er.exact.sample(model, 50, 3)
    assert (x.shape, h.shape) == ((50, 4), (50, 6))
    fewer, _ = er.exact.sample(model, 20, 3)
    assert np.array_equal(fewer, x[:20])
    assert not np.array_equal(er.exact.sample(model, 50, 4)[0], x)


@given(strategies.models(magnitude=5.0), st.integers(0, 100))
def test_kl_divergence(model, seed):
    other = type(model).random(*((model.n_visible, 2) if isinstance(model, er.RBM) else (model.n_visible,)), seed=seed)
    p, q = reference.visible_law(model), reference.visible_law(other)
    expected = sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True) if a > 0)
    close(er.exact.kl_divergence(model, other), expected, 1e-11)
    close(er.exact.kl_divergence(p / p.sum(), other), expected, 1e-11)
    assert abs(er.exact.kl_divergence(model, model)) <= 1e-12
    assert er.exact.kl_divergence(p / p.sum(), q / q.sum()) >= -1e-12


def test_kl_divergence_at_the_edges():
    assert er.exact.kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert er.exact.kl_divergence([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2), rel=1e-15)
    with pytest.raises(DomainError, match=r"^p: expected probabilities that sum to 1"):
        er.exact.kl_divergence([0.5, 0.6], [0.5, 0.5])
    with pytest.raises(ShapeError, match=r"^q: expected shape"):
        er.exact.kl_divergence([0.5, 0.5], [0.25] * 4)


def test_log_likelihood_is_a_mean_over_rows():
    model = er.RBM.random(3, 2, 1.0, seed=2)
    x = reference.states(3)[[1, 1, 6]]
    expected = np.log(reference.visible_law(model))[[1, 1, 6]]
    close(er.exact.log_prob(model, x), expected)
    close(er.exact.log_likelihood(model, x), expected.mean())
