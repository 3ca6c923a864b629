"""The contract of ``step(states, seed)``, looked at before any statistics: seeds, streams, repeatability.

X is 64 copies of the state x* whose next state is least predictable, c = sum_y P(x*, y)^2 the chance that two draws
agree, Y_s = step(X, s).  Seeds: 32 hashed ones, the first called s, and s+1, s+2, s xor 1, 2^8, 2^16, 2^24.
In this order, each agreement having chance c^(rows compared) times the number of comparisons, < 1e-12 or not judged
(from (3) on c is at least what the rows show, so that a law of too few states isn't called a fault of its streams):

(1) Y_s = X for all s           returns its input
(2) all Y_s equal               ignores its seed
(3) two rows equal for all s    uses the same random numbers for several rows
(4) Y_s = Y_t                   truncates its seed
(5) Y_s[d:] = Y_t[:-d]          seeds overlapping streams (seed + i)
(6) step(X, s) again differs    stateful: a note, not a failure
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ebm_ref.oracle.checks.candidate import Candidate, Violation
from ebm_ref.oracle.statistics.seeds import Seeds

ROWS, HASHED, CHANCE = 64, 32, 1e-12


@dataclass(frozen=True)
class Preflight:
    """What the preflight found: the violation if there is one, notes, and the sum of its error probabilities."""

    violation: Violation | None
    notes: tuple[str, ...]
    chance: float
    calls: int


def related_seeds(seeds: Seeds) -> list[int]:
    """The hashed seeds and the neighbours of the first one."""
    hashed = [seeds.candidate("preflight", 0, chunk) for chunk in range(HASHED)]
    s = hashed[0]
    near = [s + 1, s + 2, s ^ 1, s ^ 2**8, s ^ 2**16, s ^ 2**24]
    near = [n for n in dict.fromkeys(near) if n not in hashed and n < 2**31]
    seeds.given.update(near)
    return hashed + near


def preflight(candidate: Candidate, seeds: Seeds, P: np.ndarray | None) -> Preflight:
    """Run the checks above; P (S, S) is the claimed matrix, None if the kernel is unknown."""
    try:
        return judge(candidate, related_seeds(seeds), P)
    except Violation as violation:
        return Preflight(violation, (), 0.0, candidate.calls)


def judge(candidate: Candidate, seeds: list[int], P: np.ndarray | None) -> Preflight:
    """(1)-(6) on the outputs for all seeds; contract violations pass through."""
    collision = np.ones(1) if P is None else (P**2).sum(axis=1)
    start = int(np.argmin(collision))
    X = np.full(ROWS, start)
    Y = np.array([candidate(X, seed) for seed in seeds])
    notes = []
    chance = 0.0
    if np.array_equal(Y, np.broadcast_to(X, Y.shape)) and P is None:
        notes.append("every start came back unchanged; tests of the law alone cannot tell whether the kernel moves")
    seen = observed_collision(Y)
    c = float(collision[start]) if P is not None else seen
    stay = float(P[start, start]) if P is not None else 1.0
    for name, comparisons, probability, found, message in agreements(Y, start, c, max(c, seen), stay):
        odds = comparisons * probability
        if odds >= CHANCE:
            if P is not None:
                notes.append(f"not judged: {name} (an agreement could be chance, {odds:.1g})")
            continue
        chance += odds
        if found:
            test = "contract" if name == "returns its input" else "D8"
            return Preflight(Violation(test, name, message), tuple(notes), chance, candidate.calls)
    if not np.array_equal(candidate(X, seeds[0]), Y[0]):
        notes.append(
            "not reproducible: the same states and seed gave another answer; a replay is impossible, and independence"
            " of calls rests on the candidate's own state"
        )
    return Preflight(None, tuple(notes), chance, candidate.calls)


def observed_collision(Y: np.ndarray) -> float:
    """How often rows of different calls agree, with a margin; used where no matrix is claimed."""
    counts = np.array([np.bincount(y, minlength=int(Y.max()) + 1) for y in Y])
    total = counts.sum(axis=0) / counts.sum()
    return min(1.0, 1.5 * float((total**2).sum()))


def agreements(
    Y: np.ndarray, start: int, claimed: float, c: float, stay: float
) -> list[tuple[str, int, float, bool, str]]:
    """(1)-(5): name, number of comparisons, chance of one agreement, whether it was seen, the message."""
    K, n = Y.shape
    calls = K * (K - 1) // 2
    equal_rows = (Y[:, :, None] == Y[:, None, :]).all(axis=0)[np.triu_indices(n, 1)]
    same_calls = (Y[:, None, :] == Y[None, :, :]).all(axis=2)[np.triu_indices(K, 1)]
    shift = overlap(Y, c)
    longest = longest_shift(K, n, c)
    return [
        (
            "returns its input",
            1,
            stay ** (K * n),
            bool(np.all(start == Y)),
            f"step returned its input for all {K} seeds; the claimed kernel moves",
        ),
        (
            "ignores its seed",
            1,
            claimed ** (n * (K - 1)),
            bool(np.all(Y[0] == Y)),
            f"step gave the same answer for {K} different seeds; every draw must depend on the seed",
        ),
        (
            "uses the same random numbers for several rows",
            n * (n - 1) // 2,
            c**K,
            bool(equal_rows.any()),
            f"{int(equal_rows.sum())} pairs of rows agreed for all {K} seeds; each row needs its own random numbers",
        ),
        (
            "truncates its seed",
            calls,
            c**n,
            bool(same_calls.any()),
            f"{int(same_calls.sum())} pairs of different seeds gave the same answer; use all 31 bits of the seed",
        ),
        (
            "seeds overlapping streams",
            K * K * max(longest, 1),
            c ** (n - longest) if longest else 0.0,
            shift > 0,
            f"a call repeated another call's rows shifted by {shift}; do not seed row i with seed + i, hash (seed, i)",
        ),
    ]


def longest_shift(K: int, n: int, c: float) -> int:
    """The greatest shift whose chance agreement stays far below the limit."""
    if c <= 0:
        return n - 1
    if c >= 1:
        return 0
    rows = math.ceil(math.log(CHANCE / (2.0 * K * K * n)) / math.log(c))
    return max(0, min(n - 1, n - rows))


def overlap(Y: np.ndarray, c: float) -> int:
    """The shift d at which some call repeats another, 0 if there is none."""
    K, n = Y.shape
    for d in range(1, longest_shift(K, n, c) + 1):
        same = (Y[:, None, d:] == Y[None, :, :-d]).all(axis=2)
        np.fill_diagonal(same, False)
        if same.any():
            return d
    return 0
