"""Tests of counted transitions and states against an exactly known law, calibrated by simulation.

(1) G = 2 sum c ln(c / e)   over cells with observed count c and expected count e
(2) p = (1 + #{null T >= observed T}) / (B + 1),  the null drawn from the exact law: no chi-square tail anywhere
(3) score of a statistic m^2/v-Gamma-fitted on the pool (observed and null): -ln P(Gamma >= value).  Only a score: the
    level rests on (2).  The largest value of a column is left out of its fit, which keeps the pool exchangeable and
    keeps one huge observed value from hiding itself
(4) S1, conditional on the row counts n_x: null counts of row x are Multinomial(n_x, P[x, .]).  Four faces:
    full     G over all (x, x')
    lumped   G after adding the rows of equal law (all |dP| < 1e-12)
    movement max z_i^2, z_i = (stays_i - sum n_x s_i(x)) / sqrt(sum n_x s_i(x) (1 - s_i(x))), i the state or a unit
    moments  max z^2 of sum f over f = x_i', x_i' x_j', x_j x_i': one degree of freedom each, for wrong parameters
(5) S2 one G per row, S3 G of counts ~ Multinomial(N, pi), S12 max squared z of exact means
(6) effect^2 = max(0, (G - mean of the null G) / N), to first order the chi-square distance sum (q - p)^2 / p; unlike
    Pearson's sum it isn't ruled by the cells that expect next to nothing

Sources: Besag and Clifford 1989; Gandy and Scott 2020; Billingsley 1961.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ebm_ref.oracle.statistics.sequential import MONTE_CARLO, Stage


def g_statistic(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(1), summed over the last axis; cells without counts contribute nothing.

    >>> float(g_statistic(np.array([5.0, 5.0]), np.array([5.0, 5.0])))
    0.0
    """
    return 2.0 * special.xlogy(counts, counts / expected).sum(axis=-1)


def tail_scores(pool: np.ndarray) -> np.ndarray:
    """(3): pool (B + 1, F) of statistics, one column a face; columns that do not vary score zero."""
    ordered = np.sort(pool, axis=0)[:-1]
    mean, variance = ordered.mean(axis=0), ordered.var(axis=0)
    scores = np.zeros_like(pool, dtype=float)
    for column in range(pool.shape[1]):
        m, v = mean[column], variance[column]
        if v > 1e-18 * max(m * m, 1e-300) and m > 0:
            with np.errstate(divide="ignore"):
                scores[:, column] = -np.log(special.gammaincc(m * m / v, pool[:, column] * m / v))
        elif pool[:, column].max() > pool[:, column].min():
            scores[:, column] = np.where(pool[:, column] > np.median(pool[:, column]), np.inf, 0.0)
    return scores


def monte_carlo_p(pool: np.ndarray) -> tuple[float, np.ndarray]:
    """(2) of the greatest score over faces; row 0 of the pool is the observed one.  Returns p and its scores.

    >>> pool = np.arange(20.0)[::-1].reshape(20, 1) + 1.0
    >>> monte_carlo_p(pool)[0]
    0.05
    """
    scores = tail_scores(pool)
    top = scores.max(axis=1)
    return float((top >= top[0]).sum() / len(top)), scores[0]


def equal_rows(P: np.ndarray) -> np.ndarray:
    """A label for each row of P; rows of equal law share it."""
    labels = np.full(len(P), -1)
    for x in range(len(P)):
        if labels[x] < 0:
            same = np.abs(P - P[x]).max(axis=1) < 1e-12
            labels[same & (labels < 0)] = x
    return np.unique(labels, return_inverse=True)[1]


@dataclass(frozen=True, eq=False)
class PairLaw:
    """What S1 needs of a case: P (S, S), the lumping of rows (S,), states (S, d)."""

    P: np.ndarray
    labels: np.ndarray
    states: np.ndarray

    def stays(self, x: int) -> np.ndarray:
        """Which transitions from x leave the whole state, and each unit, as it is, (S, 1 + d)."""
        same = self.states == self.states[x]
        return np.column_stack([same.all(axis=1), same]).astype(float)

    @property
    def degrees(self) -> dict[str, int]:
        """Degrees of freedom of the faces."""
        support = (self.P > 0).sum(axis=1) - 1
        first = np.unique(self.labels, return_index=True)[1]
        return {"full": int(support.sum()), "lumped": int(support[first].sum()), "movement": 1, "moments": 1}


def pair_law(P: np.ndarray, states: np.ndarray) -> PairLaw:
    """The PairLaw of a transition matrix over rows of ``states``."""
    return PairLaw(P, equal_rows(P), states)


def impossible(counts: np.ndarray, P: np.ndarray) -> np.ndarray:
    """D9: the cells (i, j) that were observed though the law forbids them."""
    return np.argwhere((counts > 0) & (P <= 0))


def excess(column: np.ndarray, n: int) -> float:
    """(6): column (B + 1,) of G, the observed one first, from n draws.

    >>> excess(np.array([14.0, 4.0, 6.0]), 100)
    0.3
    """
    return float(np.sqrt(max(0.0, (column[0] - column[1:].mean()) / n)))


def row_null(rng: np.random.Generator, n: int, p: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    """Observed counts on top of ``size`` multinomial ones, (size + 1, k)."""
    sample = np.empty((size + 1, len(p)))
    sample[0], sample[1:] = counts, rng.multinomial(n, p / p.sum(), size=size)
    return sample


def pair_test(counts: np.ndarray, law: PairLaw, rng: np.random.Generator, null_samples: int = MONTE_CARLO) -> Stage:
    """S1: counts (S, S) of transitions from x (rows) to x' (columns) against (4).

    Rows of equal law follow each other, so that memory is (B + 1) S numbers whatever the number of rows.
    """
    P, size, d = law.P, null_samples + 1, law.states.shape[1]
    row_counts = counts.sum(axis=1)
    full, lumped = np.zeros(size), np.zeros(size)
    stays = np.zeros((size, 1 + d))
    mean, variance = np.zeros(1 + d), np.zeros(1 + d)
    moments = MomentFace(law.states, size)
    tested = np.flatnonzero(row_counts)
    for label in np.unique(law.labels[tested]):
        group = tested[law.labels[tested] == label]
        support = np.flatnonzero((P[group] > 0).any(axis=0))
        merged = np.zeros((size, len(support)))
        for x in group:
            p, n, stay = np.maximum(P[x, support], 1e-300), int(row_counts[x]), law.stays(x)[support]
            sample = row_null(rng, n, p, counts[x, support], null_samples)
            full += g_statistic(sample, n * p)
            merged += sample
            stays += sample @ stay
            rate = np.clip(p @ stay, 0.0, 1.0)
            mean, variance = mean + n * rate, variance + n * rate * (1.0 - rate)
            moments.add(sample, law.states[x], support, n, p)
        lumped += g_statistic(merged, row_counts[group].sum() * np.maximum(P[group[0], support], 1e-300))
    movement = squared_z(stays, mean, variance)
    p_value, scores = monte_carlo_p(np.column_stack([full, lumped, movement.max(axis=1), moments.z2()]))
    total = int(row_counts.sum())
    rates = (stays[0] - mean) / total
    faces = dict(zip(("full", "lumped", "movement", "moments"), scores.tolist(), strict=True))
    details = {"faces": faces, "lumped_effect": excess(lumped, total), "movement_excess": rates.tolist()}
    return Stage(p_value, excess(full, total), details)


class MomentFace:
    """Sums of x_i', x_i' x_j' and x_j x_i' over rows, with their exact means and variances given the starts."""

    def __init__(self, states: np.ndarray, size: int) -> None:
        d = states.shape[1]
        i, j = np.triu_indices(d, 1)
        self.ends = np.concatenate([states, states[:, i] * states[:, j]], axis=1)
        self.d, q = d, self.ends.shape[1]
        self.sums, self.cross = np.zeros((size, q)), np.zeros((size, d, d))
        self.variance, self.cross_variance = np.zeros(q), np.zeros((d, d))

    def add(self, sample: np.ndarray, start: np.ndarray, support: np.ndarray, n: int, p: np.ndarray) -> None:
        """One row: sample (B + 1, k) of n transitions from ``start`` (d,) with the law p (k,) on its support."""
        f = self.ends[support]
        mean = p @ f / p.sum()
        centred = sample @ (f - mean)
        spread = n * (p @ (f - mean) ** 2)
        self.sums += centred
        self.variance += spread
        for j in np.flatnonzero(start):
            self.cross[:, j] += start[j] * centred[:, : self.d]
        self.cross_variance += start[:, None] ** 2 * spread[None, : self.d]

    def z2(self) -> np.ndarray:
        """The greatest squared z of each sample (B + 1,)."""
        own = squared_z(self.sums, np.zeros_like(self.variance), self.variance)
        cross = squared_z(self.cross, np.zeros((self.d, self.d)), self.cross_variance)
        return np.maximum(own.max(axis=1), cross.reshape(len(cross), -1).max(axis=1))


def squared_z(sums: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Squared standardised sums, zero where the law leaves nothing to chance."""
    varies = variance > 1e-9
    return np.where(varies, (sums - mean) ** 2 / np.where(varies, variance, 1.0), 0.0)


def row_test(counts: np.ndarray, P: np.ndarray, rng: np.random.Generator, null_samples: int = MONTE_CARLO) -> Stage:
    """S2: fixed starts, one G a row, the greatest score counts.  counts (S, S)."""
    row_counts = counts.sum(axis=1)
    tested = np.flatnonzero(row_counts)
    columns, effects = [], []
    for x in tested:
        support = np.flatnonzero(P[x] > 0)
        p, n = P[x, support], int(row_counts[x])
        sample = row_null(rng, n, p, counts[x, support], null_samples)
        columns.append(g_statistic(sample, n * p))
        effects.append(excess(columns[-1], n))
    p_value, scores = monte_carlo_p(np.column_stack(columns))
    worst = int(tested[np.argmax(scores)])
    return Stage(p_value, effects[int(np.argmax(scores))], {"worst_row": worst})


def law_test(
    counts: np.ndarray, pi: np.ndarray, rng: np.random.Generator, null_samples: int = MONTE_CARLO
) -> tuple[np.ndarray, float]:
    """S3: one column of statistics (B + 1,) for counts (S,) ~ Multinomial(N, pi), and the chi-distance seen."""
    support, n = pi > 0, int(counts.sum())
    sample = row_null(rng, n, pi[support], counts[support], null_samples)
    column = g_statistic(sample, n * pi[support])
    return column, excess(column, n)


def features(states: np.ndarray, energies: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Units, products of pairs, and the energy, (S, q), with their names."""
    d = states.shape[1]
    pairs = [(i, j) for i in range(d) for j in range(i + 1, d)]
    columns = [states] + [(states[:, i] * states[:, j])[:, None] for i, j in pairs] + [energies[:, None]]
    names = [f"s{i}" for i in range(d)] + [f"s{i} s{j}" for i, j in pairs] + ["energy"]
    return np.concatenate(columns, axis=1), names


def moment_test(
    counts: np.ndarray,
    pi: np.ndarray,
    f: np.ndarray,
    names: list[str],
    rng: np.random.Generator,
    null_samples: int = MONTE_CARLO,
) -> Stage:
    """S12: means of the columns of f (S, q) against their exact values; the greatest squared z counts."""
    n = int(counts.sum())
    mean = pi @ f
    variance = pi @ (f - mean) ** 2
    sample = row_null(rng, n, pi, counts, null_samples)
    z2 = squared_z(sample @ (f - mean), np.zeros_like(mean), n * variance * (variance > 1e-12))
    top = z2.max(axis=1)
    worst = int(np.argmax(z2[0]))
    p_value = float((top >= top[0]).sum() / len(top))
    shift = float(((counts @ f)[worst] / n - mean[worst]) / np.sqrt(max(variance[worst], 1e-300)))
    details: dict[str, Any] = {"moment": names[worst], "z2": float(z2[0, worst]), "shift_in_sd": shift}
    return Stage(p_value, float(np.sqrt(max(0.0, z2[0, worst] - 1.0) / n)), details)
