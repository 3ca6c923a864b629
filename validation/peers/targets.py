"""Continuous targets with exact draws, and the textbook proposals that peers claim to make, in NumPy.

gmm_1d    weights (.35, .65), means (-1.5, 1.2), sd 1; 32 starts at its quantiles
gauss_2d  mean (0.5, -1), covariance [[1, .6], [.6, 2]]
well_2d   U = 0.8 sum (x_i^2 - 1.2^2)^2, starts N(0, 1.5^2): for residuals only, its law isn't drawn
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, special, stats

Array = np.ndarray
WEIGHTS, MEANS = np.array([0.35, 0.65]), np.array([-1.5, 1.2])
MU, SIGMA = np.array([0.5, -1.0]), np.array([[1.0, 0.6], [0.6, 2.0]])
PRECISION = np.linalg.inv(SIGMA)
HEIGHT, WELL = 0.8, 1.2


def single(x: Array) -> Array:
    """Rounded to float32, so that "did not move" can be read off a float32 chain."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def gmm_energy(x: Array) -> Array:
    """U of gmm_1d, up to a constant, any shape."""
    return -special.logsumexp(np.log(WEIGHTS) - 0.5 * (x[..., None] - MEANS) ** 2, axis=-1)


def gmm_gradient(x: Array) -> Array:
    """dU/dx = x - sum_k p(k given x) mean_k."""
    share = special.softmax(np.log(WEIGHTS) - 0.5 * (x[..., None] - MEANS) ** 2, axis=-1)
    return x - share @ MEANS


def gmm_starts(n: int = 32) -> list[float]:
    """Quantiles of gmm_1d, rounded to float32."""
    q = (np.arange(n) + 0.5) / n
    return [float(single(optimize.brentq(lambda x, p=p: WEIGHTS @ special.ndtr(x - MEANS) - p, -9, 9))) for p in q]


def mala_noise(eta: float):
    """The proposal x - eta g + sqrt(2 eta) z and its Metropolis-Hastings probability."""

    def noise(x0: float, z: Array) -> tuple[Array, Array]:
        x = np.full_like(z, x0)
        y = x - eta * gmm_gradient(x) + np.sqrt(2 * eta) * z
        back = (x - y + eta * gmm_gradient(y)) ** 2 / (4 * eta)
        log_ratio = gmm_energy(x) - gmm_energy(y) - back + z**2 / 2
        return y, np.exp(np.minimum(0.0, log_ratio))

    return noise


def hmc_noise(step_size: float, n_leapfrog: int, mass: float):
    """Momentum sqrt(mass) z, leapfrog, and min(1, exp(H - H'))."""

    def noise(x0: float, z: Array) -> tuple[Array, Array]:
        x, p = np.full_like(z, x0), np.sqrt(mass) * z
        start = gmm_energy(x) + p**2 / (2 * mass)
        for _ in range(n_leapfrog):
            p = p - step_size / 2 * gmm_gradient(x)
            x = x + step_size * p / mass
            p = p - step_size / 2 * gmm_gradient(x)
        return x, np.exp(np.minimum(0.0, start - gmm_energy(x) - p**2 / (2 * mass)))

    return noise


def gauss_draw(rng: np.random.Generator, n: int) -> Array:
    """Exact draws (n, 2) of gauss_2d, rounded to float32."""
    return single(MU + rng.standard_normal((n, 2)) @ np.linalg.cholesky(SIGMA).T)


def gauss_gradient(x: Array) -> Array:
    """Sigma^-1 (x - mu)."""
    return (x - MU) @ PRECISION


def gauss_uniforms(x: Array, mu: Array = MU, sigma: Array = SIGMA) -> Array:
    """U(0,1) transforms (n, 4) of N(mu, sigma): two coordinates, one projection, the energy."""
    along = np.array([0.6, -0.8])
    z = np.column_stack([x - mu, (x - mu) @ along])
    sd = np.sqrt([sigma[0, 0], sigma[1, 1], along @ sigma @ along])
    energy = ((x - mu) @ np.linalg.inv(sigma) * (x - mu)).sum(axis=1)
    return np.column_stack([special.ndtr(z / sd), stats.chi2.cdf(energy, 2)])


def langevin_covariance(eta: float) -> Array:
    """What unadjusted Langevin keeps on gauss_2d: C = (I - eta P) C (I - eta P)' + 2 eta I = P^-1 (I - eta P/2)^-1."""
    return np.linalg.inv(PRECISION @ (np.eye(2) - eta / 2 * PRECISION))


def wide_draw(rng: np.random.Generator, n: int) -> Array:
    """Starts of well_2d."""
    return single(1.5 * rng.standard_normal((n, 2)))


def well_gradient(x: Array) -> Array:
    """4 h x (x^2 - b^2)."""
    return 4 * HEIGHT * x * (x**2 - WELL**2)
