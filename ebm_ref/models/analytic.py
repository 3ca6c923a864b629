"""Laws on R^d whose density, partition function and samples are known: what samplers and quadratures are measured with.

(1) Gaussian:  E(x) = 1/2 (x-m)'P(x-m),   P (d, d) symmetric positive definite,   log Z = d/2 log 2pi - 1/2 log det P
    -dE/dx = -P(x-m);     dE/dm = -P(x-m),   dE/dP = 1/2 (x-m)(x-m)'  (all entries of P moved on their own)
    sample: x = m + L'^-1 z,  P = LL' (Cholesky),  z ~ N(0, I)
(2) mixture:   E(x) = -log sum_k w_k N(x; m_k, diag s2_k),   w_k > 0 with sum 1,   log Z = 0
    -dE/dx = sum_k r_k(x) (m_k - x)/s2_k,   r_k(x) = w_k N(x; m_k, diag s2_k) / p(x)
    mean = sum_k w_k m_k,   covariance = sum_k w_k (diag s2_k + m_k m_k') - mean mean'
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from ebm_ref.errors import (
    DomainError,
    NotNormalizableError,
    as_float_array,
    require_int,
    require_positive,
    require_rows,
    require_shape,
)
from ebm_ref.kernels.noise import Stream
from ebm_ref.models import record as records
from ebm_ref.models.record import record

LOG_2PI = float(np.log(2 * np.pi))


@record
class Gaussian:
    """Normal law N(mean, precision^-1): E(x) = 1/2 (x-mean)' precision (x-mean), without a constant.

    mean (d,), precision (d, d) symmetric.  Raises DomainError when it is not symmetric and NotNormalizableError when it
    is not positive definite.

    >>> g = Gaussian([1.0], [[4.0]])
    >>> g.energy([[2.0]]), g.score([[2.0]])
    (array([2.]), array([[-4.]]))
    """

    mean: np.ndarray
    precision: np.ndarray

    def check(self) -> None:
        """Shapes and symmetry; positive definiteness is asked for where it matters, since gradients are records too."""
        (d,) = require_shape("mean", self.mean, None)
        require_shape("precision", self.precision, d, d)
        if not np.allclose(self.precision, self.precision.T, rtol=1e-12, atol=0.0):
            raise DomainError("precision: expected a symmetric matrix; symmetrise with (P + P.T) / 2")

    __repr__ = records.describe

    @property
    def n_visible(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    @property
    def n_hidden(self) -> int:
        """None."""
        return 0

    @property
    def n_units(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    def energy(self, x) -> np.ndarray:
        """E(x) in nats, (batch, d) -> (batch,)."""
        away = require_rows("x", x, self.n_visible) - self.mean
        return 0.5 * (away * (away @ self.precision)).sum(axis=1)

    joint_energy = energy
    free_energy = energy

    def score(self, x) -> np.ndarray:
        """-dE/dx = -P(x-m), (batch, d)."""
        return (self.mean - require_rows("x", x, self.n_visible)) @ self.precision

    def energy_gradient(self, x, weights=None) -> Gaussian:
        """(1): sum_n weights_n dE(x_n)/dtheta, a record; weights default to ones."""
        away = require_rows("x", x, self.n_visible) - self.mean
        w = np.ones(len(away)) if weights is None else as_float_array("weights", weights)
        require_shape("weights", w, len(away))
        square = 0.5 * (away * w[:, None]).T @ away
        return Gaussian(-(w @ away) @ self.precision, (square + square.T) / 2)

    @property
    def log_z(self) -> float:
        """log Z in nats, (1)."""
        return 0.5 * self.n_visible * LOG_2PI - float(np.log(np.diag(self._root())).sum())

    @property
    def covariance(self) -> np.ndarray:
        """precision^-1, (d, d)."""
        inverse = solve_triangular(self._root(), np.eye(self.n_visible), lower=True)
        return inverse.T @ inverse

    def sample(self, n: int, seed: int) -> np.ndarray:
        """n independent exact draws, (n, d)."""
        z = Stream(seed, "exact_units").normal(0, (require_int("n", n), self.n_visible))
        return self.mean + solve_triangular(self._root(), z.T, lower=True, trans="T").T

    def tempered(self, beta: float) -> Gaussian:
        """The law p^beta, beta > 0: the precision times beta."""
        return Gaussian(self.mean, require_positive("beta", beta) * self.precision)

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz`` file that ``ebm_ref.load`` reads back bit for bit."""
        records.save(self, path)

    def _root(self) -> np.ndarray:
        """L of P = LL'."""
        try:
            return np.linalg.cholesky(self.precision)
        except np.linalg.LinAlgError:
            smallest = np.linalg.eigvalsh(self.precision)[0]
            raise NotNormalizableError(
                f"precision: expected a positive definite matrix, got a smallest eigenvalue of {smallest:.3g}"
            ) from None


@record
class GaussianMixture:
    """Mixture of normal laws with diagonal covariances: p(x) = sum_k w_k N(x; m_k, diag s2_k); energy -log p(x).

    weights (k,) positive with sum 1, means (k, d), variances (k, d) positive; variances (d,) are shared by all.
    Unpacks as ``weights, means, variances = mixture``.

    >>> m = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [1.0])
    >>> float(m.score([[0.0]])[0, 0])
    0.0
    """

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray

    def check(self) -> None:
        """Shapes, signs and the sum of the weights."""
        k, d = require_shape("means", self.means, None, None)
        require_shape("weights", self.weights, k)
        if np.shape(self.variances) == (d,):
            shared = np.tile(self.variances, (k, 1))
            shared.flags.writeable = False
            object.__setattr__(self, "variances", shared)
        require_shape("variances", self.variances, k, d)
        if np.any(self.weights < 0) or abs(self.weights.sum() - 1) > 1e-9:
            raise DomainError(f"weights: expected probabilities that sum to 1, got a sum of {self.weights.sum()}")
        if not np.all(self.variances > 0):
            raise DomainError(f"variances: expected positive numbers, got {self.variances.min()}")

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.weights, self.means, self.variances))

    __repr__ = records.describe

    @property
    def n_visible(self) -> int:
        """Number of coordinates."""
        return self.means.shape[1]

    @property
    def n_hidden(self) -> int:
        """None: the component is not a unit of the model."""
        return 0

    @property
    def n_units(self) -> int:
        """Number of coordinates."""
        return self.means.shape[1]

    @property
    def log_z(self) -> float:
        """0: the density is normalised."""
        return 0.0

    def _log_parts(self, x) -> np.ndarray:
        """log w_k N(x; m_k, diag s2_k), (batch, k)."""
        x = require_rows("x", x, self.n_visible)
        with np.errstate(divide="ignore"):
            parts = np.tile(np.log(self.weights), (len(x), 1))
        for i in range(self.n_visible):  # a coordinate at a time: no array (batch, k, d)
            away = (x[:, i, None] - self.means[:, i]) ** 2 / self.variances[:, i]
            parts -= 0.5 * (away + np.log(self.variances[:, i]) + LOG_2PI)
        return parts

    def log_density(self, x) -> np.ndarray:
        """log p(x) in nats, (batch, d) -> (batch,)."""
        return logsumexp(self._log_parts(x), axis=1)

    def energy(self, x) -> np.ndarray:
        """-log p(x) in nats, (batch, d) -> (batch,)."""
        return -self.log_density(x)

    joint_energy = energy
    free_energy = energy

    def responsibilities(self, x) -> np.ndarray:
        """r_k(x), the probability of each component given x, (batch, k)."""
        parts = self._log_parts(x)
        return np.exp(parts - logsumexp(parts, axis=1, keepdims=True))

    def score(self, x) -> np.ndarray:
        """(2) d log p/dx, (batch, d)."""
        x = require_rows("x", x, self.n_visible)
        pull = (self.means - x[:, None, :]) / self.variances
        return (self.responsibilities(x)[:, :, None] * pull).sum(axis=1)

    @property
    def mean(self) -> np.ndarray:
        """E[x], (d,)."""
        return self.weights @ self.means

    @property
    def covariance(self) -> np.ndarray:
        """Cov[x], (d, d)."""
        away = self.means - self.mean
        return np.diag(self.weights @ self.variances) + (away * self.weights[:, None]).T @ away

    def sample(self, n: int, seed: int) -> np.ndarray:
        """n independent exact draws, (n, d): the component by inversion, then its normal law."""
        n = require_int("n", n)
        cumulative = np.cumsum(self.weights)
        u = Stream(seed, "exact_state").uniform(0, (n, 1))[:, 0]
        k = np.minimum(np.searchsorted(cumulative, u * cumulative[-1], side="right"), len(cumulative) - 1)
        z = Stream(seed, "exact_units").normal(0, (n, self.n_visible))
        return self.means[k] + np.sqrt(self.variances[k]) * z

    def smoothed(self, sigma: float) -> GaussianMixture:
        """The law of x + sigma z, z ~ N(0, I): sigma^2 is added to every variance."""
        return GaussianMixture(self.weights, self.means, self.variances + require_positive("sigma", sigma) ** 2)

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz`` file that ``ebm_ref.load`` reads back bit for bit."""
        records.save(self, path)
