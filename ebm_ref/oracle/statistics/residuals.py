"""Whitened residuals of unadjusted Langevin steps: r = (x' - x + eta g(x)) / sqrt(2 eta T) are N(0, I), whatever x is.

(1) scale        U an orthonormal basis of features of the starts: |r_i|^2 - |U'r_i|^2 ~ chi2(n - rank) for each
                 coordinate, and over all: exact for starts drawn before the noise, two-sided, and blind to the drift
(2) drift        (|U'r|^2 / (rank d)) / ((|r|^2 - |U'r|^2) / (n d - rank d)) ~ F: exact, and blind to the scale; for
                 nested features (past of the chain beside the present) the difference of two |U'r|^2
(3) correlation  rho = u.v / (|u| |v|), uncentred: rho sqrt((n - 1) / (1 - rho^2)) ~ t(n - 1): exact
(4) shape        Phi(r_i) in 64 equal bins, and in 16 for each eighth of the law of x_i: multinomial given the starts

Sums are collected call by call, so that no profile needs much memory.  Source: TESTING C1; Student 1908.
"""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from ebm_ref.oracle.statistics.pairs import excess, g_statistic, monte_carlo_p, row_null
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO

BINS, COARSE, STRIPS = 64, 16, 8


def two_sided(lower: float) -> float:
    """Twice the smaller tail, from the lower tail.

    >>> two_sided(0.75)
    0.5
    """
    return float(min(1.0, 2.0 * min(lower, 1.0 - lower)))


def chi_square_p(total: float, n: int) -> float:
    """Two-sided p of a sum of n squared standard normals."""
    return float(min(1.0, 2.0 * min(stats.chi2.cdf(total, n), stats.chi2.sf(total, n))))


class Products:
    """(3) of two streams of standard normals, collected in parts."""

    def __init__(self) -> None:
        self.n = 0
        self.uv = self.uu = self.vv = 0.0

    def add(self, u: np.ndarray, v: np.ndarray) -> None:
        """Two vectors of one length."""
        u, v = u.ravel(), v.ravel()
        self.n += len(u)
        self.uv, self.uu, self.vv = self.uv + float(u @ v), self.uu + float(u @ u), self.vv + float(v @ v)

    @property
    def rho(self) -> float:
        """The uncentred correlation."""
        return self.uv / max(np.sqrt(self.uu * self.vv), 1e-300)

    @property
    def p_value(self) -> float:
        """Two-sided."""
        t = self.rho * np.sqrt((self.n - 1) / max(1.0 - self.rho**2, 1e-300))
        return float(2.0 * stats.t.sf(abs(t), self.n - 1))


class Regression:
    """(2): residuals (n, d) against features (n, q), collected in parts."""

    def __init__(self) -> None:
        self.n = 0
        self.gram: np.ndarray | None = None
        self.sums: np.ndarray | None = None
        self.squares: np.ndarray = np.zeros(1)

    def add(self, features: np.ndarray, r: np.ndarray) -> None:
        """One part."""
        self.n += len(r)
        self.squares = self.squares + (r**2).sum(axis=0)
        gram, sums = features.T @ features, features.T @ r
        self.gram = gram if self.gram is None else self.gram + gram
        self.sums = sums if self.sums is None else self.sums + sums

    def explained(self) -> tuple[np.ndarray, int]:
        """|U'r_i|^2 of each coordinate (d,), and the rank of the features."""
        assert self.gram is not None
        assert self.sums is not None
        scale = 1.0 / np.sqrt(np.maximum(np.diag(self.gram), 1e-300))
        values, vectors = np.linalg.eigh(self.gram * scale[:, None] * scale)
        keep = values > 1e-10 * values.max()
        projected = (vectors[:, keep].T @ (self.sums * scale[:, None])) / np.sqrt(values[keep])[:, None]
        return (projected**2).sum(axis=0), int(keep.sum())

    def unexplained(self) -> tuple[np.ndarray, int]:
        """|r_i|^2 - |U'r_i|^2 of each coordinate (d,), and the degrees of freedom of each."""
        explained, rank = self.explained()
        return np.maximum(self.squares - explained, 0.0), self.n - rank

    def p_value(self, base: Regression | None = None) -> float:
        """F of (2): the upper tail; with ``base``, regression on fewer features, only of what these leave.

        1 if the other features follow from those of ``base``, as after a step without noise.
        """
        explained, rank = self.explained()
        below, base_rank = (np.zeros(1), 0) if base is None else base.explained()
        d = len(self.squares)
        df, rest = (rank - base_rank) * d, (self.n - rank) * d
        if df <= 0:
            return 1.0
        noise = float(self.unexplained()[0].sum()) / rest
        return float(stats.f.sf(float(explained.sum() - below.sum()) / df / max(noise, 1e-300), df, rest))

    def excess(self) -> float:
        """sqrt of the explained variance above chance, per row."""
        explained, rank = self.explained()
        return float(np.sqrt(max(0.0, float(explained.sum()) - rank * len(explained)) / self.n))


def bins_of(u: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each uniform.

    >>> bins_of(np.array([0.0, 0.5, 1.0]), 4).tolist()
    [0, 2, 3]
    """
    return np.minimum((u * bins).astype(np.int64), bins - 1)


class Shape:
    """(4) of one coordinate, collected in parts."""

    def __init__(self) -> None:
        self.fine = np.zeros(BINS, dtype=np.int64)
        self.table = np.zeros((STRIPS, COARSE), dtype=np.int64)

    def add(self, r: np.ndarray, position: np.ndarray) -> None:
        """Residuals (n,) and the starts' positions (n,) in their law, in [0, 1]."""
        u = special.ndtr(r)
        self.fine += np.bincount(bins_of(u, BINS), minlength=BINS)
        cells = bins_of(position, STRIPS) * COARSE + bins_of(u, COARSE)
        self.table += np.bincount(cells, minlength=STRIPS * COARSE).reshape(STRIPS, COARSE)

    def judge(self, rng: np.random.Generator, null_samples: int = MONTE_CARLO) -> tuple[float, float]:
        """p-value and chi-distance: the greater score of the two tables."""
        n = int(self.fine.sum())
        flat = np.full(BINS, 1.0 / BINS)
        fine = g_statistic(row_null(rng, n, flat, self.fine, null_samples), n * flat)
        crossed = np.zeros(null_samples + 1)
        level = np.full(COARSE, 1.0 / COARSE)
        for row in self.table[self.table.sum(axis=1) > 0]:
            size = int(row.sum())
            crossed += g_statistic(row_null(rng, size, level, row, null_samples), size * level)
        p_value, _ = monte_carlo_p(np.column_stack([fine, crossed]))
        return p_value, max(excess(fine, n), excess(crossed, n))

    def ecdf(self) -> dict[str, object]:
        """Empirical minus exact distribution function, for the picture; the band is Kolmogorov's at 1e-3."""
        edges = np.arange(1, BINS) / BINS
        n = max(int(self.fine.sum()), 1)
        return {
            "x": special.ndtri(edges).round(4).tolist(),
            "y": (np.cumsum(self.fine)[:-1] / n).tolist(),
            "expected": edges.tolist(),
            "band": 1.95 / np.sqrt(n),
            "title": "whitened residuals: empirical - normal distribution function",
            "x_label": "residual",
        }
