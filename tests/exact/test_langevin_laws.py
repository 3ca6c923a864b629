"""ULA's closed forms against a Lyapunov solver, plain recursion and quadrature; inner chains of Gibbs-Langevin."""

import mpmath
import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

import ebm_ref as er
from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.models.analytic import Gaussian

GAUSSIAN = Gaussian([1.0, -2.0, 0.5], [[2.0, 0.3, -0.4], [0.3, 1.1, 0.2], [-0.4, 0.2, 3.0]])
STEPS = (0.3, [0.05, 0.6, 0.2])


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_covariances(step, temperature):
    lam = np.broadcast_to(step, 3)
    R, noise = np.eye(3) - lam[:, None] * GAUSSIAN.precision, np.diag(2 * temperature * lam)
    Sigma = er.exact.ula_covariance(GAUSSIAN, step, temperature)
    np.testing.assert_allclose(Sigma, solve_discrete_lyapunov(R, noise), rtol=1e-12)
    bias = er.exact.ula_bias(GAUSSIAN, step, temperature)
    np.testing.assert_allclose(bias, Sigma - temperature * np.linalg.inv(GAUSSIAN.precision), rtol=1e-11, atol=1e-15)
    assert np.linalg.eigvalsh(bias)[0] > 0
    mean, covariance, start = np.array([3.0, 0.0, -1.0]), np.zeros((3, 3)), [3.0, 0.0, -1.0]
    for k in range(5):
        got = er.exact.ula_moments(GAUSSIAN, start, k, step, temperature)
        np.testing.assert_allclose(got[0], mean, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(got[1], covariance, rtol=1e-12, atol=1e-13)
        mean = GAUSSIAN.mean + R @ (mean - GAUSSIAN.mean)
        covariance = R @ covariance @ R.T + noise
    far = er.exact.ula_moments(GAUSSIAN, start, 10_000, step, temperature)
    np.testing.assert_allclose(far[0], GAUSSIAN.mean, rtol=1e-12)
    np.testing.assert_allclose(far[1], Sigma, rtol=1e-10)


def test_one_dimension_in_words():
    """Variance v / (1 - lam/(2v)); KL by quadrature with 30 digits."""
    v, lam = 0.7, 0.4
    gaussian = Gaussian([0.2], [[1 / v]])
    wide = v / (1 - lam / (2 * v))
    np.testing.assert_allclose(er.exact.ula_covariance(gaussian, lam), [[wide]], rtol=1e-14)
    with mpmath.workdps(30):
        narrow, broad = mpmath.mpf(v), mpmath.mpf(wide)

        def weighted_gap(x):
            gap = (x * x / narrow - x * x / broad - mpmath.log(broad / narrow)) / 2
            return mpmath.npdf(x, 0, mpmath.sqrt(broad)) * gap

        exact = mpmath.quad(weighted_gap, [-12, -3, 0, 3, 12])
    assert er.exact.ula_kl_divergence(gaussian, lam) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("q", [1e-16, 1e-12, 3e-7, 0.0099, 0.0101, 1.0, 2 - 3e-13, 2.0, 2.5])
def test_no_digits_are_lost_to_small_and_large_steps(q):
    """A unit normal law, step q, against 60 digits: moments, covariance, bias, KL; inner steps too.

    The bound: the rounding of q itself, which stands in 2 - q, and of the terms of KL where it is no series.
    """
    unit = Gaussian([0.0], [[1.0]])
    with mpmath.workdps(60):
        Q = mpmath.mpf(q)
        for k in (0, 1, 3, 200):
            mean, covariance = er.exact.ula_moments(unit, [1.0], k, q)
            assert mean[0] == pytest.approx(float((1 - Q) ** k), rel=1e-12)
            assert covariance[0, 0] == pytest.approx(
                float(2 * Q * mpmath.fsum((1 - Q) ** (2 * j) for j in range(k))), rel=1e-12
            )
        if q >= 2:
            return
        r = 1 / (1 - Q / 2)
        assert er.exact.ula_covariance(unit, q)[0, 0] == pytest.approx(float(r), rel=1e-14)
        assert er.exact.ula_bias(unit, q)[0, 0] == pytest.approx(float(Q * r / 2), rel=1e-14)
        assert er.exact.ula_kl_divergence(unit, q) == pytest.approx(float((r - 1 - mpmath.log(r)) / 2), rel=4e-14)
        assert er.exact.gibbs_langevin_variance([q], [1.0])[0] == pytest.approx(float(r), rel=1e-14)


@pytest.mark.parametrize("step", STEPS)
def test_kl_is_that_of_two_normal_laws(step):
    Sigma = er.exact.ula_covariance(GAUSSIAN, step)
    product = GAUSSIAN.precision @ Sigma
    expected = 0.5 * (np.trace(product) - 3 - np.linalg.slogdet(product)[1])
    assert er.exact.ula_kl_divergence(GAUSSIAN, step) == pytest.approx(expected, rel=1e-11)
    small = er.exact.ula_kl_divergence(GAUSSIAN, 1e-7 * np.asarray(step))
    assert 0 < small < 1e-13  # O(step^2), no cancellation


def test_unstable_steps():
    largest = 2 / np.linalg.eigvalsh(GAUSSIAN.precision)[-1]
    er.exact.ula_covariance(GAUSSIAN, 0.999 * largest)
    for function in (er.exact.ula_covariance, er.exact.ula_bias, er.exact.ula_kl_divergence):
        with pytest.raises(DomainError, match="no stationary law"):
            function(GAUSSIAN, 1.001 * largest)
    mean, covariance = er.exact.ula_moments(Gaussian([0.0], [[1.0]]), [1.0], 3, 2.0)  # |1 - q| = 1
    np.testing.assert_allclose((mean[0], covariance[0, 0]), (-1.0, 3 * 4.0))
    with pytest.raises(DomainError, match="step_size"):
        er.exact.ula_covariance(GAUSSIAN, -0.1)
    with pytest.raises(DomainError, match="positive definite"):
        er.exact.ula_covariance(Gaussian([0.0], [[-1.0]]), 0.1)


@pytest.mark.parametrize("divisor", [1.0, 7.0])
def test_inner_chains(divisor):
    """(rho, tau2) by plain recursion of mean and variance; left running, tau2/(1-rho^2); c constant: 2 s2/(2-c)."""
    variance, etas = np.array([0.5, 2.0]), np.array([[0.2, 0.1], [0.4, 0.9], [0.1, 0.3]])
    mean, spread = np.ones(2), np.zeros(2)
    for eta in etas:
        mean, spread = (
            mean - eta / (divisor * variance) * mean,
            (1 - eta / (divisor * variance)) ** 2 * spread + 2 * eta,
        )
    rho, tau2 = er.exact.inner_chain(etas, variance, divisor)
    np.testing.assert_allclose((rho, tau2), (mean, spread), rtol=1e-14)
    long = np.zeros(2)
    for _ in range(3000):
        long = rho**2 * long + tau2
    np.testing.assert_allclose(er.exact.gibbs_langevin_variance(etas, variance, divisor), long, rtol=1e-9)
    for k in (1, 5):
        wide = er.exact.gibbs_langevin_variance(0.3 * np.tile(variance, (k, 1)), variance)
        np.testing.assert_allclose(wide, 2 / (2 - 0.3) * variance, rtol=1e-12)
    with pytest.raises(DomainError, match="stable"):
        er.exact.gibbs_langevin_variance([5.0], variance)
    with pytest.raises(DomainError, match=r"^step_sizes: expected positive numbers, got \[\[-0.1\]\]"):
        er.exact.inner_chain([-0.1], variance)
    with pytest.raises(DomainError, match=r"^variance: expected positive numbers"):
        er.exact.inner_chain([0.1], [0.0])
    with pytest.raises(ShapeError, match=r"^variance: expected shape \(any,\), got \(\)"):
        er.exact.inner_chain([0.1], 1.0)
