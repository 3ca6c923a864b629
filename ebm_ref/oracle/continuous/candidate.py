"""The candidate at arm's length, continuous rows; its contract, seeds and streams looked at before any statistics.

Starts are rounded to float32 once a candidate has answered in float32, so that "did not move" can be read off.
The preflight is that of the discrete check, (1)-(6) of ``ebm_ref.oracle.checks.preflight``, on 64 copies of one start:
two answers agree under the claim only if both proposals were rejected, or by rounding (chance below 1e-5).
"""

from __future__ import annotations

import numpy as np

from ebm_ref.oracle.checks.candidate import Step, Violation, as_numpy, place, require_rows_like
from ebm_ref.oracle.checks.preflight import CHANCE, ROWS, Preflight, agreements, observed_collision, related_seeds
from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.statistics.seeds import Seeds

ROUNDING, MARGIN, STAYED = 1e-5, 1.5, 0.02
FEWEST = 0.05  # of the rows that moved; normal noise puts each elsewhere, rounding to float32 repeats one in 1000


class ContinuousCandidate:
    """Calls of one ``step`` on rows of one case; counts its calls and rows."""

    def __init__(self, step: Step, case: ContinuousCase) -> None:
        self.step, self.case = step, case
        self.calls = self.rows = 0
        self.single = False

    def rounded(self, rows: np.ndarray) -> np.ndarray:
        """Rows as the candidate's dtype can hold them."""
        return rows.astype(np.float32).astype(np.float64) if self.single else rows

    def __call__(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """Rows (n, d) float64 after one step from ``rows``, which the caller has rounded."""
        given = np.array(rows)
        self.calls, self.rows = self.calls + 1, self.rows + len(rows)
        try:
            raw = self.step(given, seed)
            same = np.array_equal(given, rows)
            new = as_numpy(raw)
        except (KeyboardInterrupt, Violation):
            raise
        except BaseException as error:
            kind = type(error).__name__
            said = f"step raised {kind} on {len(rows)} rows{place(error)}: {error}"
            raise Violation("contract", "raises", said) from error
        if not same:
            raise Violation(
                "contract", "modifies its input", "step changed the array of states it was given; work on a copy"
            )
        require_rows_like(new, rows)
        if new.dtype.kind != "f" and not self.case.joint:
            raise Violation(
                "contract", "returns the wrong dtype", f"step returned dtype {new.dtype}; expected floating point"
            )
        self.single |= new.dtype in (np.dtype(np.float32), np.dtype(np.float16))
        self.require_support(new, rows)
        return new.astype(np.float64)

    def require_support(self, new: np.ndarray, before: np.ndarray) -> None:
        """Hidden units are 0 or 1."""
        hidden = new[:, self.case.n_visible :]
        bad = np.flatnonzero(~((hidden == 0) | (hidden == 1)).all(axis=1))
        if not len(bad):
            return
        name, why = "leaves the support", "hidden units are 0 or 1"
        if ((hidden >= 0) & (hidden <= 1)).all():
            name, why = "returns probabilities", "return draws of the hidden units, not their probabilities"
        elif np.isin(hidden, (-1, 1)).all():
            name, why = "returns the wrong unit values", "hidden units are 0 and 1; map h = (s + 1) / 2"
        first = new[bad[0]].tolist()
        words = f"step returned {first} from {before[bad[0]].tolist()} ({len(bad)} of {len(new)} rows); {why}"
        raise Violation("D9", name, words)


def preflight(candidate: ContinuousCandidate, seeds: Seeds, stays: bool, moves: bool = True) -> Preflight:
    """Contract, seeds and streams.

    stays: the claimed kernel may leave a row where it is;  moves: it is known to move.
    """
    try:
        return judge(candidate, related_seeds(seeds), stays, moves)
    except Violation as violation:
        return Preflight(violation, (), 0.0, candidate.calls)


def coarse(values: np.ndarray) -> bool:
    """True if all numbers fit into float16 or bfloat16, which float32 numbers do with chance 2^-13 each.

    >>> coarse(np.array([0.5, 1.25])), coarse(np.array([0.1, 1.25]))
    (True, False)
    """
    with np.errstate(over="ignore"):
        half = values.astype(np.float16).astype(np.float64)
    single = values.astype(np.float32)
    brain = (single.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return bool(np.array_equal(half, values) or np.array_equal(brain.astype(np.float64), values))


def judge(candidate: ContinuousCandidate, seeds: list[int], stays: bool, moves: bool) -> Preflight:
    """(1)-(6) on the outputs for all seeds."""
    start = candidate.case.starts[len(candidate.case.starts) // 2]
    X = np.tile(start, (ROWS, 1))
    answers = np.array([candidate(X, seed) for seed in seeds])
    flat = np.concatenate([X[:1], answers.reshape(-1, X.shape[1])])
    codes = np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1)
    Y, here = codes[1:].reshape(len(seeds), ROWS), int(codes[0])
    still = float(np.mean(here == Y))
    notes, chance = [], 0.0
    if not stays and STAYED < still < 1.0:
        share = f"{100 * still:.3g} % of the rows stayed exactly where they were"
        words = f"{share}; {candidate.case.kernel} has no accept/reject step (MALA?)"
        return Preflight(Violation("D9", "rejects proposals", words), (), chance, candidate.calls)
    if coarse(answers[:, :, : candidate.case.n_visible]):
        words = "every number has at most 11 significant bits; use float32 or float64"
        violation = Violation("contract", "keeps its states in half precision", words)
        return Preflight(violation, (), chance, candidate.calls)
    # a row may stay with some probability, which the rows themselves show
    stay = min(0.98, MARGIN * still + 0.02) if stays else ROUNDING
    c = max(stay**2, ROUNDING)
    if still == 1.0 and not moves:
        notes.append("every start came back unchanged; tests of the law alone cannot tell whether the kernel moves")
    for name, comparisons, probability, found, message in agreements(Y, here, c, max(c, observed_collision(Y)), stay):
        odds = comparisons * probability
        if odds >= CHANCE or (name == "returns its input" and not moves):
            continue
        chance += odds
        if found and not (still == 1.0 and not moves):
            test = "contract" if name == "returns its input" else "D8"
            return Preflight(Violation(test, name, message), tuple(notes), chance, candidate.calls)
    v = answers.reshape(-1, X.shape[1])[here != codes[1:], : candidate.case.n_visible]
    if len(v) and len(different := np.unique(v, axis=0)) < FEWEST * len(v):
        words = f"{len(v)} rows that moved from one start have only {len(different)} places between them"
        return Preflight(Violation("D9", "draws no noise", words), tuple(notes), chance, candidate.calls)
    if not np.array_equal(candidate(X, seeds[0]), answers[0]):
        notes.append(
            "not reproducible: the same states and seed gave another answer; a replay is impossible, and independence"
            " of calls rests on the candidate's own state"
        )
    return Preflight(None, tuple(notes), chance, candidate.calls)
