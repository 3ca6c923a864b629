"""The tests of continuous kernels behind validation/peers: the right kernel passes, each broken twin is rejected."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # validation/ is not installed with the package

from validation.peers import laws, table, targets


def metropolis_adjusted(eta, energy, gradient, *, adjust=True, reverse=True):
    """MALA; ``adjust=False`` always accepts, ``reverse=False`` forgets the proposal densities."""

    def step(x, seed):
        rng = np.random.default_rng(seed)
        y = x - eta * gradient(x) + np.sqrt(2 * eta) * rng.standard_normal(x.shape)
        back, forth = (((p - q + eta * gradient(q)) ** 2).sum(axis=1) / (4 * eta) for p, q in ((x, y), (y, x)))
        log_ratio = energy(x) - energy(y) + (forth - back if reverse else 0.0)
        accepted = np.log(rng.random(len(x))) < log_ratio if adjust else np.full(len(x), True)
        return np.where(accepted[:, None], y, x)

    return step


def repeated(step):
    """advance(x, m, seed)."""

    def advance(x, m, seed):
        for k in range(m):
            x = step(x, [seed, k])
        return x

    return advance


def langevin(*, noise=1.0, drift=1.0, shared=False):
    """x - eta g + sqrt(2 eta) eps with eta = 0.7, and its mistakes."""

    def step(x, seed):
        z = np.random.default_rng(seed).standard_normal((1 if shared else len(x), 2))
        return x - 0.7 * drift * targets.gauss_gradient(x) + noise * np.sqrt(1.4) * z

    return step


def gauss_energy(x):
    """U of gauss_2d."""
    return 0.5 * ((x - targets.MU) @ targets.PRECISION * (x - targets.MU)).sum(axis=1)


TWINS = ({}, {"adjust": False}, {"reverse": False})


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_one_step_law(twin, seed):
    step = metropolis_adjusted(1.1, lambda x: targets.gmm_energy(x[:, 0]), targets.gmm_gradient, **twin)
    found = laws.one_step_test(step, targets.mala_noise(1.1), targets.gmm_starts()[3::9], 2**10, seed)
    assert found.passed == (not twin), found.message


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_conservation(twin, seed):
    step = metropolis_adjusted(0.8, gauss_energy, targets.gauss_gradient, **twin)
    draw, uniforms = targets.gauss_draw, targets.gauss_uniforms
    found = laws.conservation_test(repeated(step), draw, uniforms, n0=2**11, seed=seed)
    assert found.passed == (not twin), found.message


@pytest.mark.parametrize("twin", [{}, {"noise": 0.8}, {"drift": 0.5}, {"shared": True}], ids=str)
def test_residuals(twin, seed):
    found = laws.residual_test(langevin(**twin), targets.gauss_draw, targets.gauss_gradient, 0.7, n0=2**10, seed=seed)
    assert found.passed == (not twin), found.message


def test_langevin_keeps_its_own_law(seed):
    covariance = targets.langevin_covariance(0.7)
    root = np.linalg.cholesky(covariance)

    def draw(rng, n):
        return targets.MU + rng.standard_normal((n, 2)) @ root.T

    def uniforms(x):
        return targets.gauss_uniforms(x, targets.MU, covariance)

    assert laws.conservation_test(repeated(langevin()), draw, uniforms, n0=2**11, seed=seed).passed


def test_a_broken_peer_is_a_row_that_says_why():
    def broken():
        raise RuntimeError("no such operator\nand a long trace")

    row = table.Peer("some peer", "no-such-package").measure("energy", broken)
    assert (row.verdict, row.version, row.remark) == ("not run", "-", "RuntimeError: no such operator")
    assert "RuntimeError: no such operator" in table.markdown([row], 0, 1.0)
