"""One check under way: the candidate, the seeds, the budget, and the data that tests ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError
from ebm_ref.oracle.cases import Case, TableCase, expression
from ebm_ref.oracle.checks.candidate import Candidate, Violation
from ebm_ref.oracle.results import Diagnosis, Report, Result
from ebm_ref.oracle.statistics.chains import LAW_PART
from ebm_ref.oracle.statistics.pairs import PairLaw, impossible, pair_law
from ebm_ref.oracle.statistics.seeds import STARTS, Seeds
from ebm_ref.oracle.statistics.sequential import (
    BUDGET,
    GROWTH,
    ROWS_PER_CALL,
    Outcome,
    Stage,
    level_of_each,
    noncentrality,
    require_profile,
    sequential_test,
)

WORST_CELLS = 12
SHARING = 2**13  # rows of the first stage that looks for shared random numbers after another failure
BAND = 1e-6  # chance that a right law leaves the band of an ECDF picture anywhere


def state_words(case: Case | TableCase, k: int) -> str:
    """State k as a reader sees it: units, a bar between the layers."""
    words = [str(v) if v >= 0 else "-" if v == -1 else str(v) for v in case.states[k].astype(int)]
    words = ["+" if getattr(case, "units", "") == "spin" and w == "1" else w for w in words]
    layers = (words[: case.n_visible], words[case.n_visible :])
    return "|".join("".join(layer) for layer in layers if layer)


def energy_ecdf(energies: np.ndarray, counts: np.ndarray, expected: np.ndarray, label: str) -> dict[str, object]:
    """Empirical and exact distribution function of the energy; counts and expected counts (S,); the band is DKW's."""
    order = np.argsort(energies, kind="stable")
    n = max(float(counts.sum()), 1.0)
    return {
        "x": energies[order].round(6).tolist(),
        "y": (np.cumsum(counts[order]) / n).round(8).tolist(),
        "expected": (np.cumsum(expected[order]) / n).round(8).tolist(),
        "band": math.sqrt(math.log(2.0 / BAND) / (2.0 * n)),
        "x_label": label,
    }


def law_pictures(counts: np.ndarray, case: Case | TableCase) -> dict[str, object]:
    """The worst states, the ratio plot and the ECDF of the energy for state counts (S,)."""
    expected = counts.sum() * case.pi
    sd = np.sqrt(np.maximum(expected * (1 - case.pi), 1e-12))
    z = np.abs(counts - expected) / np.maximum(sd, 0.3)
    cells = [[state_words(case, int(k)), int(counts[k]), float(expected[k])] for k in np.argsort(-z)[:WORST_CELLS]]
    keep = expected >= 20
    ratio = {
        "x": expected[keep].tolist(),
        "y": (counts[keep] / expected[keep]).tolist(),
        "sd": (sd[keep] / expected[keep]).tolist(),
    }
    return {"cells": cells, "ratio": ratio, "ecdf": energy_ecdf(case.energies, counts, expected, "energy")}


@dataclass(eq=False)
class Session:
    """State of one check; ``counts`` collects all transitions (S, S) seen, for the diagnosis.

    complete: S1 runs to its end whatever the e-processes found (a replay of S1, or a row of the kill matrix).
    foregone: a test whose first stages leave no doubt about the later ones ends there (a row of the kill matrix).
    """

    check: str
    candidate: Candidate
    case: Case | TableCase
    profile: str
    seed: int
    planned: tuple[str, ...]
    known_kernel: bool = True
    complete: bool = False
    foregone: bool = False
    seeds: Seeds = field(init=False)
    n0: int = field(init=False)
    chance: float = 0.0
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: np.ndarray = field(init=False)
    law: PairLaw = field(init=False)

    def __post_init__(self) -> None:
        self.n0 = require_profile(self.profile)
        self.seeds = Seeds(self.seed)
        S = len(self.case.pi)
        self.counts = np.zeros((S, S), dtype=np.int64)
        self.law = pair_law(self.case.P, self.case.states)

    @property
    def alpha(self) -> float:
        """The level of each planned test, whatever subset is run."""
        return level_of_each(len(self.planned), self.chance)

    @property
    def failed(self) -> bool:
        """True once something has failed."""
        return bool(self.failures)

    @property
    def failures(self) -> list[Result]:
        """What has failed so far."""
        return [r for r in self.results if r.verdict == "fail"]

    def replay(self, test: str) -> str:
        """A line that repeats one test."""
        case = expression(self.case)
        return f"oracle.{self.check}(step, {case}, profile={self.profile!r}, seed={self.seed}, tests=({test!r},))"

    def moved(self, starts: np.ndarray, test: str, stage: int, chunk: int) -> np.ndarray:
        """One call of the candidate; D9 at once if it does what the claimed kernel cannot."""
        ends = self.candidate(starts, self.seeds.candidate(test, stage, chunk))
        return ends

    def tally(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Counts (S, S) of transitions, added to the session's."""
        S = len(self.case.pi)
        counts = np.bincount(starts * S + ends, minlength=S * S).reshape(S, S)
        self.counts += counts
        if self.known_kernel and len(forbidden := impossible(counts, self.case.P)):
            i, j = forbidden[0]
            raise Violation(
                "D9",
                "impossible transition",
                f"{self.label(i, j)} happened {counts[i, j]} times, but has probability 0 under"
                f" {self.case.kernel} ({len(forbidden)} such transitions)",
            )
        return counts

    def chunks(self, n: int, first: int = 0) -> Iterator[tuple[int, int]]:
        """(chunk number, rows) of a total of n; a smaller first chunk if wanted."""
        done, chunk = 0, 0
        while done < n:
            rows = min(first if first and not done else ROWS_PER_CALL, n - done)
            yield chunk, rows
            done, chunk = done + rows, chunk + 1

    def stationary(self, test: str, stage: int, chunk: int, rows: int) -> np.ndarray:
        """Indices of independent exact starts."""
        return self.case.draw(rows, self.seeds.rng(test, stage, STARTS, chunk))

    def transitions(self, test: str, stage: int, n: int) -> np.ndarray:
        """Counts (S, S) of n transitions from exact starts."""
        total = np.zeros_like(self.counts)
        for chunk, rows in self.chunks(n):
            starts = self.stationary(test, stage, chunk, rows)
            total += self.tally(starts, self.moved(starts, test, stage, chunk))
        return total

    def gather(self) -> np.ndarray:
        """After a failure: one more call from exact starts, so that the diagnosis rests on more than that needed.

        Its counts (S, S), which are added to the session's.
        """
        S = len(self.case.pi)
        starts = self.stationary("diagnosis", 0, 0, min(max(self.n0, 2**16), ROWS_PER_CALL))
        try:
            ends = self.moved(starts, "diagnosis", 0, 0)
        except Violation:
            return np.zeros((S, S), dtype=np.int64)
        fresh = np.bincount(starts * S + ends, minlength=S * S).reshape(S, S)
        self.counts += fresh
        return fresh

    def redraw(self) -> None:
        """The pictures of failed e-processes from all transitions seen: theirs may be a few hundred."""
        cells = self.cells(self.counts)
        for k, r in enumerate(self.results):
            if r.verdict == "fail" and r.log_e is not None:  # one picture for both: they rest on the same transitions
                self.results[k], cells = replace(r, details=r.details | cells), {}

    def label(self, i: int, j: int) -> str:
        """A transition in words: units of the start, an arrow, units of the end."""
        return f"{state_words(self.case, i)} -> {state_words(self.case, j)}"

    def run(
        self,
        test: str,
        df: float,
        words: str,
        stage: Callable[[int, int], Stage],
        n0: int,
        growth: int = GROWTH,
        parts: int = 1,
    ) -> None:
        """One k-of-k test, its Result appended; a violation becomes a Result too.

        parts: of how many statistics the greatest counts.
        """
        counts_before = self.counts.copy()
        lam = noncentrality(df, self.alpha, growth=growth, parts=parts)
        try:
            outcome = sequential_test(stage, n0, self.alpha, growth=growth, foregone=lam if self.foregone else math.inf)
        except Violation as violation:
            self.violated(violation, f" (during {test})")
            return
        detectable = float(np.sqrt(lam / n0))
        self.results.append(self.result(test, words, outcome, detectable, self.counts - counts_before))

    def result(self, test: str, words: str, outcome: Outcome, detectable: float, counts: np.ndarray) -> Result:
        """The Result of an outcome, with the pictures' numbers."""
        last = outcome.stages[-1]
        p_values = ", ".join(f"{s.p_value:.3g}" for s in outcome.stages)
        if outcome.rejected:
            message = f"{words} rejected: p = {p_values} in {len(outcome.stages)} independent stages, each <="
            message += f" {outcome.gamma:.3g}; effect {last.effect:.3g}"
        else:
            message = f"{words}: as claimed (p = {p_values})"
        details = dict(last.details) | {"stages": [s.p_value for s in outcome.stages], "gamma": outcome.gamma}
        details |= {"sizes": list(outcome.sizes[: len(outcome.stages)]), "effect_unit": "chi-distance"}
        return Result(
            test,
            "fail" if outcome.rejected else "pass",
            message,
            p_value=last.p_value,
            effect=last.effect,
            smallest_detectable_effect=detectable,
            n=sum(outcome.sizes[: len(outcome.stages)]),
            seed=self.seed,
            replay=self.replay(test),
            details=details | self.cells(counts),
        )

    def cells(self, counts: np.ndarray) -> dict[str, object]:
        """The worst cells and the ratio plot of transition counts against the claimed matrix."""
        if not counts.sum():
            return {}
        if not self.known_kernel:
            return law_pictures(counts.sum(axis=0), self.case)
        expected = counts.sum(axis=1, keepdims=True) * self.case.P
        scale = np.sqrt(np.maximum(expected * (1 - self.case.P), 1e-12))
        z = np.where(expected > 1e-9, np.abs(counts - expected) / np.maximum(scale, 0.3), 0.0)
        order = np.argsort(-z, axis=None)[:WORST_CELLS]
        rows, columns = np.unravel_index(order, z.shape)
        worst = [
            [self.label(i, j), int(counts[i, j]), float(expected[i, j])] for i, j in zip(rows, columns, strict=True)
        ]
        shown = np.argwhere(expected >= 20)
        shown = shown[np.argsort(-z[tuple(shown.T)])[:300]]
        e, c, s = (m[tuple(shown.T)] for m in (expected, counts, scale))
        ratio = {"x": e.round(3).tolist(), "y": (c / e).round(5).tolist(), "sd": (s / e).round(6).tolist()}
        ends = energy_ecdf(self.case.energies, counts.sum(axis=0), expected.sum(axis=0), "energy of x'")
        return {"cells": worst, "ratio": ratio if len(shown) else None, "ecdf": ends}

    def violated(self, violation: Violation, during: str = "") -> None:
        """A broken contract as a Result."""
        self.results.append(
            Result(
                violation.test,
                "fail",
                f"{violation.name}: {violation.message}{during}",
                n=self.candidate.rows,
                seed=self.seed,
                replay=self.replay(violation.test),
                details={"violation": violation.name},
            )
        )

    def plain_faults(self) -> tuple[Diagnosis, ...]:
        """Broken contracts that need no statistics to be named."""
        names = [(r.details["violation"], r.test) for r in self.results if "violation" in r.details]
        found = [Diagnosis(test, math.inf, f"step {n}", True) for n, test in names if n != "impossible transition"]
        if not found and [r.test for r in self.failures] == ["S13"]:
            worst = self.failures[0].details["worst"]
            if worst != LAW_PART:
                found.append(Diagnosis("S13", math.nan, f"{worst}: not independent", True))
        if not found and [r.test for r in self.failures] == ["S1 single"]:
            found.append(Diagnosis("S1 single", math.nan, "a call with one row follows another law", True))
        return tuple(found)

    def late(self, name: str, test: Callable[[Any], None]) -> Result | None:
        """The Result of a planned test on few rows, after a failure that no known law explains; None if it has passed.

        Gross faults are all that it has to find. It is recorded if the test was left out, whose level is paid for.
        """
        places = [k for k, r in enumerate(self.results) if r.test == name and r.verdict != "pass"]
        if not places:
            return None
        full, self.n0 = self.n0, min(self.n0, SHARING)
        test(self)
        self.n0 = full
        result = self.results.pop()
        if result.test != name:  # an impossible move on the way
            return None
        if self.results[places[0]].verdict == "skip":
            self.results[places[0]] = result
        return result

    def dependence(self, test: Callable[[Any], None]) -> tuple[Diagnosis, ...]:
        """S13 where the law is wrong: numbers shared by the rows of a call look like another law."""
        result = self.late("S13", test)
        if result is None or result.verdict != "fail":
            return ()
        words = f"{result.details['worst']}: not independent; a call shares random numbers"
        return (Diagnosis("S13", math.nan, words, True),)

    def report(self, subject: str, diagnosis: tuple[Diagnosis, ...] = ()) -> Report:
        """The finished report; the bound adds up what was planned."""
        bound = len(self.planned) * self.alpha + self.chance
        if bound > BUDGET * (1 + 1e-9):
            raise DomainError(f"budget: {bound} is more than {BUDGET}")
        return Report(
            subject,
            self.case.name,
            self.profile,
            self.seed,
            tuple(self.results),
            diagnosis,
            tuple(self.notes),
            bound,
        )
