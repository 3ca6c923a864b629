"""Exact laws of continuous variables, as arrays: density, gradient, draws, and transforms to uniforms.

Mixture  p(x) = sum_k w_k N(x; m_k, C_k), d dimensions: Gaussians, mixtures, every GRBM
(1)      energy = -log p - log Z,  gradient = sum_k p(k | x) C_k^-1 (x - m_k)
(1a)     equal C_k = C (Gaussians, GRBMs): log p(k | x) is affine in x, up to what all k share: two matrix products
(2)      a.x has the law sum_k w_k N(a.m_k, a'C_k a): its distribution function turns a.x into U(0,1)
(3)      Rosenblatt: u_1 = F(x_1), u_2 = F(x_2 | x_1): independent U(0,1)
Line     p(x) = exp(-E(x)) / Z on the real line; Z and the distribution function by Simpson's rule on 2^17 intervals

Sources: Rosenblatt 1952.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

Array = np.ndarray
INTERVALS = 2**17
DIRECTIONS = np.array([[0.6, -0.8, 0.5], [0.8, 0.6, -0.7]])


@dataclass(frozen=True, eq=False)
class Mixture:
    """w (k,), m (k, d), C (k, d, d); ``log_z`` fixes the constant of the energy."""

    weights: Array
    means: Array
    covariances: Array
    log_z: float

    @cached_property
    def precisions(self) -> Array:
        """C_k^-1 (k, d, d)."""
        return np.linalg.inv(self.covariances)

    @cached_property
    def log_dets(self) -> Array:
        """log det C_k (k,)."""
        return np.linalg.slogdet(self.covariances)[1]

    @property
    def dimension(self) -> int:
        """d."""
        return self.means.shape[1]

    def log_terms(self, x: Array) -> Array:
        """log w_k N(x; m_k, C_k), (n, k)."""
        return self.terms(x)[0]

    def terms(self, x: Array) -> tuple[Array, list[Array]]:
        """log w_k N(x; m_k, C_k) (n, k), and C_k^-1 (x - m_k) (n, d) for each k."""
        logs = np.empty((len(x), len(self.weights)))
        pulls = []
        constant = np.log(self.weights) - 0.5 * (self.log_dets + self.dimension * np.log(2 * np.pi))
        for k, (mean, precision) in enumerate(zip(self.means, self.precisions, strict=True)):
            gap = x - mean
            pulls.append(gap @ precision)
            logs[:, k] = constant[k] - 0.5 * np.einsum("ni,ni->n", gap, pulls[-1])
        return logs, pulls

    def energy(self, x: Array) -> Array:
        """(1), (n,)."""
        return -special.logsumexp(self.log_terms(x), axis=1) - self.log_z

    def responsibilities(self, x: Array) -> Array:
        """p(k | x), (n, k)."""
        return special.softmax(self.log_terms(x), axis=1)

    @cached_property
    def equal_shapes(self) -> bool:
        """True if all C_k are one."""
        return bool((self.covariances == self.covariances[0]).all())

    def gradient(self, x: Array) -> Array:
        """(1), (n, d)."""
        if self.equal_shapes:
            return self.equal_shapes_gradient(x)
        logs, pulls = self.terms(x)
        share = special.softmax(logs, axis=1)
        total = np.zeros_like(x)
        for k, pull in enumerate(pulls):
            total += share[:, k : k + 1] * pull
        return total

    def equal_shapes_gradient(self, x: Array) -> Array:
        """(1a), (n, d): C^-1 x - sum_k p(k | x) C^-1 m_k."""
        precision = self.precisions[0]
        pulls = self.means @ precision  # (k, d)
        share = x @ pulls.T
        share += np.log(self.weights) - 0.5 * (pulls * self.means).sum(axis=1)
        share -= share.max(axis=1, keepdims=True)
        np.exp(share, out=share)
        share /= share.sum(axis=1, keepdims=True)
        return x @ precision - share @ pulls

    def components(self, n: int, rng: np.random.Generator) -> Array:
        """n component numbers."""
        edges = np.cumsum(self.weights)
        return np.searchsorted(edges[:-1] / edges[-1], rng.random(n), side="right")

    def given(self, k: Array, rng: np.random.Generator) -> Array:
        """Draws (n, d) from the components k (n,)."""
        roots = np.linalg.cholesky(self.covariances)
        return self.means[k] + np.einsum("nij,nj->ni", roots[k], rng.standard_normal((len(k), self.dimension)))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n exact draws (n, d)."""
        return self.given(self.components(n, rng), rng)

    def along(self, direction: Array, values: Array) -> Array:
        """(2): the distribution function of a.x at ``values`` (n,)."""
        means = self.means @ direction
        sd = np.sqrt(np.einsum("i,kij,j->k", direction, self.covariances, direction))
        return special.ndtr((values[:, None] - means) / sd) @ self.weights

    def given_first(self, x: Array) -> Array:
        """F(x_2 | x_1) of (3), (n,)."""
        first, second = self.means[:, 0], self.means[:, 1]
        var, cross = self.covariances[:, 0, 0], self.covariances[:, 0, 1]
        gap = x[:, :1] - first
        share = special.softmax(np.log(self.weights) - 0.5 * (gap**2 / var + np.log(var)), axis=1)
        sd = np.sqrt(self.covariances[:, 1, 1] - cross**2 / var)
        return (share * special.ndtr((x[:, 1:2] - second - cross / var * gap) / sd)).sum(axis=1)

    def uniforms(self, x: Array) -> tuple[Array, list[str]]:
        """Columns (n, f) that are U(0,1) each under the law, and their names."""
        d = self.dimension
        columns = [self.along(np.eye(d)[i], x[:, i]) for i in range(d)]
        names = [f"x{i}" for i in range(d)]
        if d > 1:
            for a, direction in enumerate(DIRECTIONS[:, :d]):
                columns.append(self.along(direction, x @ direction))
                names.append(f"projection {a}")
            columns.append(self.given_first(x))
            names.append("x1 given x0")
        return np.column_stack(columns), names


@dataclass(frozen=True, eq=False)
class Line:
    """One dimension; ``of(x) -> (E, dE/dx)`` on arrays of any shape; the law outside (low, high) is negligible."""

    of: Callable[[Array], tuple[Array, Array]]
    low: float
    high: float

    dimension = 1

    @cached_property
    def table(self) -> tuple[Array, Array, float]:
        """Points, distribution function, log Z."""
        x = np.linspace(self.low, self.high, 2 * INTERVALS + 1)
        energy = self.of(x)[0]
        bottom = energy.min()
        p = np.exp(bottom - energy)
        h = x[1] - x[0]
        parts = h / 3.0 * (p[:-2:2] + 4.0 * p[1:-1:2] + p[2::2])
        cumulative = np.concatenate([[0.0], np.cumsum(parts)])
        return x[::2], cumulative / cumulative[-1], float(np.log(cumulative[-1]) - bottom)

    @property
    def log_z(self) -> float:
        """log Z, nats."""
        return self.table[2]

    def energy(self, x: Array) -> Array:
        """E (n,) of x (n, 1)."""
        return self.of(x[:, 0])[0]

    def gradient(self, x: Array) -> Array:
        """dE/dx (n, 1)."""
        return self.of(x[:, 0])[1][:, None]

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n draws (n, 1), exact up to the table's interpolation (1e-9)."""
        x, F, _ = self.table
        inside = np.concatenate([[True], np.diff(F) > 0])
        return np.interp(rng.random(n), F[inside], x[inside])[:, None]

    def uniforms(self, x: Array) -> tuple[Array, list[str]]:
        """F(x), (n, 1)."""
        points, F, _ = self.table
        return np.interp(x[:, 0], points, F)[:, None], ["x0"]
