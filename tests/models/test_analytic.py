"""Gaussians and their mixtures against scipy.stats and differences; exact samples against exact moments."""

import re

import laws
import laws_grbm
import numpy as np
import pytest
from scipy import stats

import ebm_ref as er
from ebm_ref.errors import DomainError, NotNormalizableError, ShapeError

GAUSSIAN = er.Gaussian([0.5, -1.0, 2.0], [[2.0, 0.3, -0.4], [0.3, 1.0, 0.2], [-0.4, 0.2, 0.7]])
MIXTURE = er.GaussianMixture([0.2, 0.5, 0.3], [[0, 1.0], [2, -1], [-3, 0.5]], [[1, 0.3], [0.4, 2], [1.5, 0.7]])
X3, X2 = np.sin(np.arange(15.0)).reshape(5, 3), 2 * np.cos(np.arange(10.0)).reshape(5, 2)


def test_the_gaussian_density_is_scipys():
    law = stats.multivariate_normal(GAUSSIAN.mean, np.linalg.inv(GAUSSIAN.precision))
    laws.close(-GAUSSIAN.energy(X3) - GAUSSIAN.log_z, law.logpdf(X3))
    laws.close(GAUSSIAN.covariance, law.cov)
    laws.close(GAUSSIAN.tempered(2.0).energy(X3), 2 * GAUSSIAN.energy(X3))


def test_the_mixture_density_is_scipys():
    expected = sum(w * stats.norm(m, np.sqrt(s2)).pdf(X2).prod(axis=1) for w, m, s2 in zip(*MIXTURE, strict=True))
    laws.close(np.exp(-MIXTURE.energy(X2)), expected)
    laws.close(MIXTURE.responsibilities(X2).sum(axis=1), np.ones(5))
    assert MIXTURE.log_z == 0.0


@pytest.mark.parametrize(("model", "x"), [(GAUSSIAN, X3), (MIXTURE, X2)])
def test_scores_are_derivatives(model, x):
    for row in x:
        laws_grbm.near(model.score(row[None])[0], -laws_grbm.slopes(lambda at: model.energy(at[None])[0], row))


def test_the_gradient_of_the_gaussian_by_differences():
    weights, g = np.arange(1.0, 6.0), GAUSSIAN.energy_gradient(X3, np.arange(1.0, 6.0))
    by_mean = laws_grbm.slopes(lambda m: weights @ er.Gaussian(m, GAUSSIAN.precision).energy(X3), GAUSSIAN.mean)
    laws_grbm.near(g.mean, by_mean)
    for i, j in ((0, 0), (0, 2)):
        turn = np.zeros((3, 3))
        turn[i, j] = turn[j, i] = 1.0
        slope = laws_grbm.slopes(
            lambda t, turn=turn: weights @ er.Gaussian(GAUSSIAN.mean, GAUSSIAN.precision + t[0] * turn).energy(X3),
            np.zeros(1),
        )
        laws_grbm.near(slope, [(g.precision * turn).sum()])


@pytest.mark.parametrize("model", [GAUSSIAN, MIXTURE])
def test_samples_have_the_exact_moments(model, seed):
    """Means within 6.5 standard errors (false alarms 1e-9 in all); covariances by the same bound from the squares.

    Found with probability above 0.99: a mean off by 0.05 standard deviations, a variance off by 8 %.
    """
    n = 100_000
    x = model.sample(n, seed)
    away = x - model.mean
    assert np.all(np.abs(away.mean(axis=0)) <= 6.5 * np.sqrt(np.diag(model.covariance) / n))
    products = away[:, :, None] * away[:, None, :]
    assert np.all(np.abs(products.mean(axis=0) - model.covariance) <= 6.5 * products.std(axis=0) / np.sqrt(n))
    assert np.array_equal(x[:7], model.sample(7, seed))


def test_files_and_unpacking(tmp_path):
    for model in (GAUSSIAN, MIXTURE):
        model.save(tmp_path / "m.npz")
        back = er.load(tmp_path / "m.npz")
        assert type(back) is type(model)
        assert np.array_equal(back.energy(X3[:, : model.n_visible]), model.energy(X3[:, : model.n_visible]))
    weights, means, variances = er.GaussianMixture([0.5, 0.5], [[0.0, 1.0], [2.0, 3.0]], [1.0, 4.0])
    assert np.array_equal(variances, [[1, 4], [1, 4]])
    assert weights.shape == (2,)
    assert means.shape == (2, 2)


BAD = (
    (lambda: er.Gaussian([0.0], [[1.0, 2.0]]), ShapeError, "precision: expected shape (1, 1), got (1, 2)"),
    (lambda: er.Gaussian([0, 0], [[1, 2], [0, 1]]), DomainError, "precision: expected a symmetric matrix"),
    (
        lambda: er.Gaussian([0, 0], [[1, 2], [2, 1]]).sample(1, 0),
        NotNormalizableError,
        "precision: expected a positive definite matrix, got a smallest eigenvalue of -1",
    ),
    (lambda: er.GaussianMixture([0.5, 0.4], [[0], [1]], [1.0]), DomainError, "weights: expected probabilities"),
    (lambda: er.GaussianMixture([1.0], [[0.0]], [0.0]), DomainError, "variances: expected positive numbers, got 0.0"),
    (lambda: er.GaussianMixture([1.0], [[0.0]], [1.0, 2]), ShapeError, "variances: expected shape (1, 1), got (2,)"),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_at_the_door(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        call()
