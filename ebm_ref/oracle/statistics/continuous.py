"""Tests of continuous kernels on counts with exactly known laws, or of two samples of one law.

(1) C3  cells of one step from fixed starts: rows are Multinomial(n_x, P[x, .]); faces: G, moments of the cells, stays
(2) C4  f(x') in 64 bins that are equally likely under the target; faces: G and the first three Legendre components
(3) C7  two samples of one law, binned: given the pooled counts the first is multivariate hypergeometric (exact)
(4) C5  counts of (bin of f(x), bin of f(x')) are symmetric: ``ebm_ref.oracle.statistics.exact.symmetry_test``

Calibration as in ``ebm_ref.oracle.statistics.pairs``: the null is simulated, no tail is asymptotic.
Sources: Neyman 1937 (smooth tests); Fisher 1935.
"""

from __future__ import annotations

import numpy as np

from ebm_ref.oracle.statistics.pairs import MomentFace, excess, g_statistic, monte_carlo_p, row_null, squared_z
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO, Stage

BINS, COMPONENTS = 64, 3


def cell_test(
    counts: np.ndarray, P: np.ndarray, units: np.ndarray, rng: np.random.Generator, null_samples: int = MONTE_CARLO
) -> Stage:
    """(1): counts and P (S, C), units (C, D) where the cells are."""
    size, total = null_samples + 1, int(counts.sum())
    full, stays, spread = np.zeros(size), np.zeros(size), 0.0
    moments = MomentFace(units, size)
    lean = np.linspace(-1.0, 1.0, units.shape[1] * len(P)).reshape(len(P), -1)
    for x in np.flatnonzero(counts.sum(axis=1)):
        support = np.flatnonzero(P[x] > 0)
        p, n = P[x, support] / P[x, support].sum(), int(counts[x].sum())
        sample = row_null(rng, n, p, counts[x, support], null_samples)
        full += g_statistic(sample, n * p)
        moments.add(sample, lean[x], support, n, p)
        if support[0] == 0:
            stays, spread = stays + sample[:, 0] - n * p[0], spread + n * p[0] * (1 - p[0])
    still = squared_z(stays[:, None], np.zeros(1), np.array([spread]))[:, 0]
    p_value, scores = monte_carlo_p(np.column_stack([full, moments.z2(), still]))
    faces = dict(zip(("full", "moments", "stays"), scores.tolist(), strict=True))
    return Stage(p_value, excess(full, total), {"faces": faces, "stays_excess": float(stays[0] / total)})


def column_test(counts: np.ndarray, rng: np.random.Generator, null_samples: int = MONTE_CARLO) -> tuple[float, float]:
    """(2): p-value and chi-distance of counts (bins,) that should be even."""
    bins, n = len(counts), int(counts.sum())
    flat = np.full(bins, 1.0 / bins)
    sample = row_null(rng, n, flat, counts, null_samples)
    column = g_statistic(sample, n * flat)
    middle = 2.0 * (np.arange(bins) + 0.5) / bins - 1.0
    waves = np.polynomial.legendre.legvander(middle, COMPONENTS)[:, 1:]
    waves -= waves.mean(axis=0)
    smooth = (sample @ waves) ** 2 / (n * (waves**2).mean(axis=0))
    p_value, _ = monte_carlo_p(np.column_stack([column, smooth]))
    return p_value, excess(column, n)


def two_sample_test(
    first: np.ndarray, second: np.ndarray, rng: np.random.Generator, null_samples: int = MONTE_CARLO
) -> tuple[float, float]:
    """(3): p-value and chi-distance of two samples (n,), (m,) in bins of equal pooled counts.

    >>> rng = np.random.default_rng(0)
    >>> two_sample_test(rng.normal(size=500), rng.normal(size=500) + 1.0, rng)[0]
    0.001
    """
    edges = np.unique(np.quantile(np.concatenate([first, second]), np.arange(1, BINS) / BINS))
    a, b = (np.bincount(np.searchsorted(edges, v, side="right"), minlength=len(edges) + 1) for v in (first, second))
    pooled = a + b
    keep = pooled > 0
    null = rng.multivariate_hypergeometric(pooled[keep], len(first), size=null_samples, method="marginals")
    sample = np.vstack([a[keep][None], null])
    column = g_statistic(sample, pooled[keep] * len(first) / pooled.sum())
    column += g_statistic(pooled[keep] - sample, pooled[keep] * len(second) / pooled.sum())
    p_value, _ = monte_carlo_p(column[:, None])
    return p_value, excess(column, len(first))
