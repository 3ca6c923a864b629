"""Tests of recorded chains with a known kernel, and of the independence of rows and calls.

(1) S9   counts of states along stationary chains: n (phat - pi)' pinv(Sigma) (phat - pi),
         Z = (I - P + 1 pi')^-1,  D = diag(pi),  Sigma = D Z + Z' D - D - pi pi'
(2) S10  counts of consecutive pairs: the full face of S1 along the chain, and the unit-wise stay rates
         both calibrated by simulating P from the observed first states
(3) S13  rows of one call, and rows of two calls, from one fixed start x*: the table of (y, y') is Multinomial over
         P(x*, .) x P(x*, .), judged by its mutual information; and the scatter of the counts over calls, too large or
         too small
(4) S11  unknown kernel: keep every t-th draw, t chosen on the first quarter so that lag-1 autocorrelations are < .05

Sources: Kemeny and Snell 1960, ch. 4; Billingsley 1961.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ebm_ref.oracle.statistics.pairs import PairLaw, excess, g_statistic, monte_carlo_p, row_null, squared_z
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO, Stage


def asymptotic_covariance(P: np.ndarray, pi: np.ndarray) -> np.ndarray:
    """Sigma of (1): the limit of n Cov(phat).

    >>> asymptotic_covariance(np.full((2, 2), 0.5), np.full(2, 0.5)).tolist()
    [[0.25, -0.25], [-0.25, 0.25]]
    """
    Z = np.linalg.inv(np.eye(len(pi)) - P + pi[None, :])
    DZ = pi[:, None] * Z
    return DZ + DZ.T - np.diag(pi) - np.outer(pi, pi)


def alias_tables(P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walker's tables of every row: keep column j with probability ``keep``, else take ``other``."""
    S = P.shape[1]
    keep, other = np.ones_like(P), np.tile(np.arange(S), (len(P), 1))
    for x, row in enumerate(P):
        scaled = row / row.sum() * S
        small, large = [list(np.flatnonzero(mask)) for mask in (scaled < 1, scaled >= 1)]
        while small and large:
            low, high = small.pop(), large[-1]
            keep[x, low], other[x, low] = scaled[low], high
            scaled[high] -= 1.0 - scaled[low]
            if scaled[high] < 1:
                small.append(large.pop())
        for j in small + large:
            keep[x, j] = 1.0 if row[j] > 0 else 0.0
            other[x, j] = j if row[j] > 0 else int(np.argmax(row))
    return keep, other


def simulated_counts(
    P: np.ndarray, starts: np.ndarray, length: int, replicas: int, rng: np.random.Generator
) -> np.ndarray:
    """Transition counts (replicas, S, S) of chains that run ``length`` steps of P from each of ``starts``."""
    S = len(P)
    keep, other = alias_tables(P)
    x = np.tile(starts, replicas)
    offset = np.repeat(np.arange(replicas), len(starts)) * (S * S)
    counts = np.zeros(replicas * S * S, dtype=np.int64)
    for _ in range(length):
        u = rng.random(len(x)) * S
        column = np.minimum(u.astype(np.int64), S - 1)
        moved = np.where(u - column < keep[x, column], column, other[x, column])
        np.add.at(counts, offset + x * S + moved, 1)
        x = moved
    return counts.reshape(replicas, S, S)


def transition_counts(chains: np.ndarray, S: int) -> np.ndarray:
    """Counts (S, S) of consecutive pairs in index chains (C, T)."""
    codes = chains[:, :-1] * S + chains[:, 1:]
    return np.bincount(codes.ravel(), minlength=S * S).reshape(S, S)


def chain_test(
    chains: np.ndarray, law: PairLaw, pi: np.ndarray, rng: np.random.Generator, null_samples: int = MONTE_CARLO
) -> tuple[Stage, Stage]:
    """S10 and S9 of index chains (C, T), calibrated together by one simulation of P; returns both stages."""
    S, length = len(law.P), chains.shape[1] - 1
    observed = transition_counts(chains, S)
    pool = np.concatenate([observed[None], simulated_counts(law.P, chains[:, 0], length, null_samples, rng)])
    support = law.P > 0
    n_x = pool.sum(axis=2, keepdims=True)
    expected = np.where(support, n_x * law.P, 1.0)
    full = g_statistic(
        np.where(support, pool, 0).reshape(len(pool), -1), np.maximum(expected, 1e-300).reshape(len(pool), -1)
    )
    mean, variance, stays = (np.zeros((len(pool), 1 + law.states.shape[1])) for _ in range(3))
    for x in range(S):
        stay = law.stays(x)
        rate = np.clip(law.P[x] @ stay, 0.0, 1.0)
        mean += n_x[:, x] * rate
        variance += n_x[:, x] * (rate * (1 - rate))
        stays += pool[:, x] @ stay
    movement = squared_z(stays, mean, variance).max(axis=1)
    p_value, scores = monte_carlo_p(np.column_stack([full, movement]))
    pairs = Stage(p_value, excess(full, int(observed.sum())), {"faces": {"full": scores[0], "movement": scores[1]}})
    return pairs, visit_stage(pool.sum(axis=1), law.P, pi)


def visit_stage(visits: np.ndarray, P: np.ndarray, pi: np.ndarray) -> Stage:
    """S9 on a pool of visit counts (B + 1, S), the observed one first."""
    n = visits[0].sum()
    precision = np.linalg.pinv(asymptotic_covariance(P, pi), rcond=1e-10, hermitian=True)
    deviation = visits / n - pi
    statistic = n * np.einsum("bi,ij,bj->b", deviation, precision, deviation)
    p_value = float((statistic >= statistic[0]).sum() / len(statistic))
    return Stage(p_value, float(np.sqrt(max(0.0, (statistic[0] - len(pi) + 1) / n))), {})


def joint_counts(left: np.ndarray, right: np.ndarray, S: int) -> np.ndarray:
    """The table (S, S) of two paired index vectors."""
    return np.bincount(left * S + right, minlength=S * S).reshape(S, S)


def independence_test(
    tables: dict[str, np.ndarray],
    calls: np.ndarray,
    states: np.ndarray,
    p: np.ndarray,
    rng: np.random.Generator,
    null_samples: int = MONTE_CARLO,
) -> Stage:
    """S13: tables of paired rows (S, S) and counts of states per call (K, S), all from one start with row law p (S,).

    Each table is compared with the product of its own margins and each call with the mean of all, so that a wrong law
    is not called dependence; the law has a part of its own (LAW_PART).  Bonferroni over the parts.
    """
    support = np.flatnonzero(p > 0)
    q = p[support] / p[support].sum()
    p_values: dict[str, float] = {}
    nulls: dict[int, np.ndarray] = {}
    effects = [0.0]
    for name, table in tables.items():
        counts = table[np.ix_(support, support)]
        n = int(counts.sum())
        if n not in nulls:
            sample = rng.multinomial(n, np.outer(q, q).ravel(), size=null_samples)
            nulls[n] = interaction(sample.reshape(-1, len(q), len(q)))
        column = np.concatenate([interaction(counts[None]), nulls[n]])
        p_values[name] = float((column >= column[0]).sum() / len(column))
        effects.append(excess(column, n))
    spread = spread_p(calls[:, support], states[support], q, rng, null_samples)
    p_values["rows of one call (spread of states)"], p_values["rows of one call (spread of unit means)"] = spread
    law = row_null(rng, int(calls.sum()), q, calls.sum(axis=0)[support], null_samples)
    column = g_statistic(law, calls.sum() * q)
    p_values[LAW_PART] = float((column >= column[0]).sum() / len(column))
    effects.append(excess(column, int(calls.sum())))
    worst = min(p_values, key=lambda name: p_values[name])
    return Stage(min(1.0, len(p_values) * p_values[worst]), max(effects), {"worst": worst, "p_values": p_values})


def dependence(tables: dict[str, np.ndarray], rng: np.random.Generator) -> Stage:
    """S13 whatever the law of a row: mutual information of each table, the null by permuting, given both margins."""
    parts, effects = {}, []
    for name, table in tables.items():
        null = permuted_tables(table, rng)
        column = interaction(np.concatenate([table[None], null]))
        parts[name] = float((column >= column[0]).sum() / len(column))
        effects.append(float(np.sqrt(max(0.0, (column[0] - column[1:].mean()) / table.sum()))))
    worst = min(parts, key=lambda name: parts[name])
    return Stage(min(1.0, len(parts) * parts[worst]), max(effects), {"worst": worst, "p_values": parts})


def permuted_tables(table: np.ndarray, rng: np.random.Generator, size: int = 999) -> np.ndarray:
    """Tables (size, k, k) with the margins of ``table``, as independence gives them: exact."""
    rest = np.tile(table.sum(axis=0), (size, 1))
    found = np.zeros((size, *table.shape), dtype=np.int64)
    for i, total in enumerate(table.sum(axis=1)[:-1]):
        left = np.full(size, int(total))
        tail = rest.sum(axis=1)
        for c in range(table.shape[1]):
            tail = tail - rest[:, c]
            found[:, i, c] = rng.hypergeometric(rest[:, c], tail, left)
            left = left - found[:, i, c]
        rest = rest - found[:, i]
    found[:, -1] = rest
    return found


LAW_PART = "the next state from one start"


def interaction(tables: np.ndarray) -> np.ndarray:
    """2 N times the mutual information of each table (B, k, k).

    >>> interaction(np.array([[[4, 4], [4, 4]], [[8, 0], [0, 8]]])).round(3).tolist()
    [0.0, 22.181]
    """
    flat = tables.reshape(len(tables), -1)
    margins = special.xlogy(tables.sum(axis=1), tables.sum(axis=1)).sum(axis=1)
    margins += special.xlogy(tables.sum(axis=2), tables.sum(axis=2)).sum(axis=1)
    n = flat.sum(axis=1)
    return 2.0 * (special.xlogy(flat, flat).sum(axis=1) - margins + special.xlogy(n, n))


def spread_p(
    calls: np.ndarray, states: np.ndarray, q: np.ndarray, rng: np.random.Generator, null_samples: int
) -> tuple[float, float]:
    """Two-sided p of the scatter over calls of one size (K, k): of the states, and of the unit means.

    Little scatter means that rows repel each other, much that they stick together.
    """
    mean = q @ states
    variance = q @ (states - mean) ** 2
    varies = variance > 1e-12
    f = (states - mean)[:, varies] / np.sqrt(variance[varies])
    size, total = int(calls[0].sum()), np.zeros((null_samples + 1, len(q)))
    squares, unit_squares = np.zeros_like(total), np.zeros((null_samples + 1, f.shape[1]))
    for counts in calls:
        sample = row_null(rng, size, q, counts, null_samples)
        total += sample
        squares += sample.astype(float) ** 2
        unit_squares += (sample @ f) ** 2
    by_state = ((squares - total**2 / len(calls)) / (size * q)).sum(axis=1)
    by_unit = ((unit_squares - (total @ f) ** 2 / len(calls)) / size).sum(axis=1)
    return two_sided_p(by_state), two_sided_p(by_unit)


def two_sided_p(column: np.ndarray) -> float:
    """Twice the smaller Monte Carlo tail of the first entry."""
    above, below = (column >= column[0]).sum(), (column <= column[0]).sum()
    return float(min(1.0, 2.0 * min(above, below) / len(column)))


def thinning(series: np.ndarray, limit: float = 0.05) -> int:
    """(4): the first t of 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, .. at which no lag-t autocorrelation of series (C, T, F)
    exceeds the limit."""
    centred = series - series.mean(axis=(0, 1))
    variance = (centred**2).mean(axis=(0, 1))
    varies = variance > 1e-12
    t = 1
    while t < series.shape[1] // 4:
        lagged = (centred[:, :-t] * centred[:, t:]).mean(axis=(0, 1))
        if np.all(np.abs(lagged[varies]) < limit * variance[varies]):
            break
        t += max(1, t // 4)
    return t


def windows_shared(streams: np.ndarray, length: int) -> list[tuple[int, int]]:
    """D8: pairs of streams (rows of a (C, T) array) that share a window of ``length`` consecutive values.

    >>> windows_shared(np.array([[1, 2, 3, 4], [9, 1, 2, 3], [7, 7, 7, 7]]), 3)
    [(0, 1)]
    """
    owner: dict[bytes, int] = {}
    shared: set[tuple[int, int]] = set()
    for c, stream in enumerate(np.ascontiguousarray(streams)):
        for t in range(len(stream) - length + 1):
            first = owner.setdefault(stream[t : t + length].tobytes(), c)
            if first != c:
                shared.add((first, c))
    return sorted(shared)
