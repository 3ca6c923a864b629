"""Tests whose null law needs no transition matrix, or is a binomial.

(1) S4   flow symmetry: given m = n_ij + n_ji, n_ij ~ Binomial(m, 1/2) if the kernel is reversible and starts are ~ pi
(2) S5   rank of f(x_M) in a chain run forwards and backwards from a uniform position M of L: uniform on 0 .. L-1
(3) S6   one unit given one start: up-counts ~ Binomial(n, P(s_i' = up | s)); exact two-sided, Bonferroni over cells

Sources: Bowker 1948; Besag and Clifford 1989; Gandy and Scott 2020, Algorithm 2.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ebm_ref.oracle.statistics.pairs import excess, g_statistic, monte_carlo_p, row_null
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO, Stage


def symmetry_test(counts: np.ndarray, rng: np.random.Generator, null_samples: int = MONTE_CARLO) -> Stage:
    """S4: counts (S, S) of transitions from stationary starts; faces: Bowker's sum and the greatest pair."""
    i, j = np.triu_indices(len(counts), 1)
    m = counts[i, j] + counts[j, i]
    keep = m > 0
    i, j, m = i[keep], j[keep], m[keep].astype(np.int64)
    if not len(m):
        return Stage(1.0, 0.0, {})
    forward = np.vstack([counts[i, j][None, :], rng.binomial(m, 0.5, size=(null_samples, len(m)))])
    z2 = (2.0 * forward - m) ** 2 / m
    p_value, _ = monte_carlo_p(np.column_stack([z2.sum(axis=1), z2.max(axis=1)]))
    effect = np.sqrt(max(0.0, (z2[0].sum() - len(m)) / counts.sum()))
    worst = int(np.argmax(z2[0]))
    cell = {"worst_pair": [int(i[worst]), int(j[worst])], "flows": [int(forward[0, worst]), int(m[worst])]}
    return Stage(p_value, float(effect), cell)


def ranks_with_ties(values: np.ndarray, position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rank of values[r, position[r]] in its row, equal values placed at random.

    >>> ranks_with_ties(np.array([[3.0, 1.0, 2.0]]), np.array([2]), np.random.default_rng(0)).tolist()
    [1]
    """
    own = values[np.arange(len(values)), position][:, None]
    below = (values < own).sum(axis=1)
    ties = (values == own).sum(axis=1)
    return below + rng.integers(0, ties)


def rank_test(ranks: np.ndarray, length: int, rng: np.random.Generator, null_samples: int = MONTE_CARLO) -> Stage:
    """S5: ranks (n, F) of F functions; Bonferroni over functions, which share their chains."""
    n, faces = ranks.shape
    p_values, effects = [], []
    uniform = np.full(length, 1.0 / length)
    for f in range(faces):
        counts = np.bincount(ranks[:, f], minlength=length)
        column = g_statistic(row_null(rng, n, uniform, counts, null_samples), n * uniform)
        p_values.append(monte_carlo_p(column[:, None])[0])
        effects.append(excess(column, n))
    return Stage(min(1.0, faces * min(p_values)), float(max(effects)), {"p_values": p_values})


def binomial_p(up: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Exact two-sided p-values, twice the smaller tail; arrays of one shape.

    >>> binomial_p(np.array([10]), np.array([10]), np.array([0.5])).round(5).tolist()
    [0.00195]
    """
    lower, upper = special.bdtr(up, n, p), special.bdtrc(up - 1, n, p)
    return np.minimum(1.0, 2.0 * np.minimum(lower, upper))


def unit_test(counts: np.ndarray, P: np.ndarray, states: np.ndarray) -> Stage:
    """S6: for each start s and unit i, how often s_i' is each value but the least; counts (S, S), fixed starts."""
    up = np.concatenate([states == value for value in np.unique(states)[1:]], axis=1).astype(float)
    n = np.broadcast_to(counts.sum(axis=1)[:, None], up.shape)
    rate = np.clip(P @ up, 0.0, 1.0)
    tested = (n > 0) & (rate > 1e-13) & (rate < 1 - 1e-13)
    if not tested.any():
        return Stage(1.0, 0.0, {})
    observed = counts @ up
    p_cells = np.ones(up.shape)
    p_cells[tested] = binomial_p(observed[tested], n[tested], rate[tested])
    s, i = np.unravel_index(int(np.argmin(p_cells)), p_cells.shape)
    excess = observed[s, i] / n[s, i] - rate[s, i]
    details = {
        "unit": int(i) % states.shape[1],
        "start": states[s].tolist(),
        "rate": float(rate[s, i]),
        "excess": float(excess),
    }
    effect = abs(excess) / np.sqrt(rate[s, i] * (1 - rate[s, i]))
    return Stage(float(min(1.0, tested.sum() * p_cells[s, i])), float(effect), details)
