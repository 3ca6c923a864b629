"""Densities in the plane with exact values, scores and samples: what is learned from their rows can be measured.

phi, Phi the standard normal density and law; "blur" b the deviation of the N(0, b^2 I) that ends every recipe
(1) mixture       K normal laws N(m_k, b^2 I) of one weight, m_k on a circle
(2) two spirals   the same with m on two arms r = R sqrt(u), angle = turns 2 pi sqrt(u), + pi for the second;
                  u = (k + 1/2)/K
(3) rings         x = r_k (cos t, sin t) + b z, t uniform, k with probability w_k:
                  p(x) = sum_k w_k exp(-(|x|^2 + r_k^2)/(2 b^2)) I0(|x| r_k/b^2) / (2 pi b^2)
                  d log p_k/dx = (r_k I1/I0(|x| r_k/b^2) - |x|)/b^2  x/|x|
(4) checkerboard  uniform on the n^2/2 squares (i + j even) of [-L, L]^2, + b z:  with c_i the edges of the columns,
                  p(x) = 2/(2L)^2 sum_(i+j even) g_i(x_1) g_j(x_2),  g_i(x) = Phi((x - c_i)/b) - Phi((x - c_(i+1))/b)
                  g_i'(x) = (phi((x - c_i)/b) - phi((x - c_(i+1))/b))/b
(5) smoothed      any of them convolved with N(0, s^2 I) is the same with b^2 + s^2 in place of b^2: what denoising
                  score matching at sigma = s learns
All are of about unit deviation in each coordinate; log Z = 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import i0e, i1e, log_ndtr, logsumexp, softmax

from ebm_ref.errors import (
    DomainError,
    as_float_array,
    require_finite,
    require_int,
    require_positive,
    require_rows,
    require_shape,
)
from ebm_ref.kernels.noise import Stream
from ebm_ref.models.analytic import LOG_2PI, GaussianMixture


class PlanarDensity(ABC):
    """What the two below share: a normalised density of two coordinates, in the words of a model."""

    n_visible = n_units = 2
    n_hidden = 0
    log_z = 0.0
    blur: float

    @abstractmethod
    def log_density(self, x) -> np.ndarray:
        """log p(x) in nats, (batch, 2) -> (batch,)."""

    def energy(self, x) -> np.ndarray:
        """-log p(x) in nats, (batch, 2) -> (batch,)."""
        return -self.log_density(x)

    joint_energy = energy

    def free_energy(self, x) -> np.ndarray:
        """-log p(x): there are no hidden units."""
        return -self.log_density(x)


@dataclass(frozen=True)
class Rings(PlanarDensity):
    """(3): blurred circles around 0.  radii and weights (k,), blur b > 0.

    >>> law = Rings((1.0,), (1.0,), 0.1)
    >>> float(law.score([[2.0, 0.0]])[0, 0].round(2))
    -100.25
    """

    radii: tuple[float, ...]
    weights: tuple[float, ...]
    blur: float

    def __post_init__(self) -> None:
        """Probabilities, positive radii and blur."""
        radii, weights = as_float_array("radii", self.radii), as_float_array("weights", self.weights)
        (k,) = require_shape("radii", radii, None)
        require_shape("weights", weights, k)
        require_finite("radii", radii)
        if not k or np.any(radii <= 0):
            raise DomainError(f"radii: expected positive numbers, got {self.radii}")
        if np.any(weights < 0) or abs(weights.sum() - 1) > 1e-9:
            raise DomainError(f"weights: expected probabilities that sum to 1, got {self.weights}")
        require_positive("blur", self.blur)

    def _parts(self, x) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(log of the summands of (3) (batch, k), |x| (batch, 1), |x| r_k/b^2)."""
        r = np.sqrt((require_rows("x", x, 2) ** 2).sum(axis=1, keepdims=True))
        radii = np.asarray(self.radii)
        z = r * radii / self.blur**2
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        log_p = log_weights - (r - radii) ** 2 / (2 * self.blur**2) + np.log(i0e(z))  # i0e(z) = exp(-z) I0(z)
        return log_p - LOG_2PI - 2 * np.log(self.blur), r, z

    def log_density(self, x) -> np.ndarray:
        """log p(x) in nats, (batch, 2) -> (batch,)."""
        return logsumexp(self._parts(x)[0], axis=1)

    def score(self, x) -> np.ndarray:
        """d log p/dx, (batch, 2)."""
        log_p, r, z = self._parts(x)
        outward = (np.asarray(self.radii) * i1e(z) / i0e(z) - r) / self.blur**2
        slope = (softmax(log_p, axis=1) * outward).sum(axis=1, keepdims=True)
        return slope * np.divide(x, r, out=np.zeros((len(r), 2)), where=r > 0)

    def sample(self, n: int, seed: int) -> np.ndarray:
        """n independent exact draws, (n, 2)."""
        n = require_int("n", n)
        u = Stream(seed, "exact_state").uniform(0, (n, 2))
        cumulative = np.cumsum(self.weights)
        k = np.minimum(np.searchsorted(cumulative, u[:, 0], side="right"), len(cumulative) - 1)
        angle = 2 * np.pi * u[:, 1:]
        z = Stream(seed, "exact_units").normal(0, (n, 2))
        return np.asarray(self.radii)[k, None] * np.hstack([np.cos(angle), np.sin(angle)]) + self.blur * z

    def smoothed(self, sigma: float) -> Rings:
        """(5): the law of x + sigma z."""
        return replace(self, blur=float(np.hypot(self.blur, require_positive("sigma", sigma))))


@dataclass(frozen=True)
class Checkerboard(PlanarDensity):
    """(4): every second one of n x n squares of [-half, half]^2, n even, with edges blurred by b > 0.

    >>> law = Checkerboard(4, 2.0, 0.05)
    >>> np.exp(law.log_density([[0.5, 0.5], [1.5, 0.5]])).round(3)
    array([0.125, 0.   ])
    """

    n: int
    half: float
    blur: float

    def __post_init__(self) -> None:
        """An even number of columns, positive sizes."""
        if require_int("n", self.n, 2) % 2:
            raise DomainError(f"n: expected an even number, so that the squares have one total, got {self.n}")
        require_positive("half", self.half)
        require_positive("blur", self.blur)

    def _columns(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(log g_i(t), g_i'(t)/g_i(t)), each (batch, n)."""
        edges = np.linspace(-self.half, self.half, self.n + 1)
        u = (t[:, None] - edges) / self.blur
        turn = np.where(u[:, :-1] + u[:, 1:] > 0, -1.0, 1.0)  # Phi(u) - Phi(v) = Phi(-v) - Phi(-u): keep to the tail
        high = np.maximum(turn * u[:, :-1], turn * u[:, 1:])
        low = np.minimum(turn * u[:, :-1], turn * u[:, 1:])
        with np.errstate(divide="ignore"):
            log_g = log_ndtr(high) + np.log(-np.expm1(log_ndtr(low) - log_ndtr(high)))
        log_phi = -0.5 * u**2 - 0.5 * LOG_2PI
        return log_g, (np.exp(log_phi[:, :-1] - log_g) - np.exp(log_phi[:, 1:] - log_g)) / self.blur

    def _parts(self, x) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """(log of the summands of (4), (batch, n, n), with -inf for the other squares; both columns' slopes)."""
        x = require_rows("x", x, 2)
        (log_g, slope), (log_h, other) = self._columns(x[:, 0]), self._columns(x[:, 1])
        dark = np.add.outer(np.arange(self.n), np.arange(self.n)) % 2 == 0
        parts = np.where(dark, log_g[:, :, None] + log_h[:, None, :], -np.inf)
        return parts + np.log(2.0) - 2 * np.log(2 * self.half), (slope, other)

    def log_density(self, x) -> np.ndarray:
        """log p(x) in nats, (batch, 2) -> (batch,)."""
        return logsumexp(self._parts(x)[0], axis=(1, 2))

    def score(self, x) -> np.ndarray:
        """d log p/dx, (batch, 2)."""
        parts, (slope, other) = self._parts(x)
        share = np.exp(parts - logsumexp(parts, axis=(1, 2), keepdims=True))
        return np.stack([(share.sum(axis=2) * slope).sum(axis=1), (share.sum(axis=1) * other).sum(axis=1)], axis=1)

    def sample(self, n: int, seed: int) -> np.ndarray:
        """n independent exact draws, (n, 2)."""
        u = Stream(seed, "exact_state").uniform(0, (require_int("n", n), 3))
        cell = np.minimum((u[:, 0] * self.n**2 / 2).astype(np.int64), self.n**2 // 2 - 1)
        i, half_j = np.divmod(cell, self.n // 2)
        corner = np.stack([i, 2 * half_j + i % 2], axis=1)
        z = Stream(seed, "exact_units").normal(0, (n, 2))
        return (corner + u[:, 1:]) * 2 * self.half / self.n - self.half + self.blur * z

    def smoothed(self, sigma: float) -> Checkerboard:
        """(5): the law of x + sigma z."""
        return replace(self, blur=float(np.hypot(self.blur, require_positive("sigma", sigma))))


def mixture_on_circle(k: int = 8, radius: float = 1.5, blur: float = 0.15) -> GaussianMixture:
    """(1): k normal laws of one weight on a circle, the first on the positive x_1 axis.

    >>> float(mixture_on_circle().log_density([[1.5, 0.0]])[0].round(3))
    -0.123
    """
    angle = 2 * np.pi * np.arange(require_int("k", k, 1)) / k
    means = require_positive("radius", radius) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return GaussianMixture(np.full(k, 1 / k), means, np.full(2, require_positive("blur", blur) ** 2))


def two_spirals(k: int = 128, radius: float = 2.0, turns: float = 1.5, blur: float = 0.1) -> GaussianMixture:
    """(2): two arms of k normal laws each; they lie so close that an arm is smooth to the eye and to a network.

    >>> two_spirals().means[127].round(2).tolist()
    [-2.0, 0.04]
    """
    root = np.sqrt((np.arange(require_int("k", k, 1)) + 0.5) / k)
    angle = 2 * np.pi * require_positive("turns", turns) * root
    arm = require_positive("radius", radius) * root[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    means = np.concatenate([arm, -arm])
    return GaussianMixture(np.full(2 * k, 0.5 / k), means, np.full(2, require_positive("blur", blur) ** 2))


def rings(radii: tuple[float, ...] = (0.6, 1.2, 1.8), blur: float = 0.08) -> Rings:
    """(3) with one weight for each ring.

    >>> rings().sample(4, seed=0).shape
    (4, 2)
    """
    return Rings(tuple(radii), (1 / len(radii),) * len(radii), blur)


def checkerboard(n: int = 4, half: float = 2.0, blur: float = 0.05) -> Checkerboard:
    """(4).

    >>> round(checkerboard().smoothed(0.1).blur, 4)
    0.1118
    """
    return Checkerboard(n, half, blur)
