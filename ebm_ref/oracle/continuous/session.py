"""One check of a continuous candidate under way: the discrete Session's budget, seeds and Results, rows of floats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ebm_ref.errors import require_choice
from ebm_ref.oracle.checks.candidate import Violation
from ebm_ref.oracle.checks.session import Session
from ebm_ref.oracle.continuous.candidate import ContinuousCandidate, preflight
from ebm_ref.oracle.continuous.cases import EXACT, NAMES, ContinuousCase
from ebm_ref.oracle.results import Result
from ebm_ref.oracle.statistics.seeds import STARTS, Seeds
from ebm_ref.oracle.statistics.sequential import (
    GROWTH,
    STAGES,
    Stage,
    noncentrality,
    require_profile,
    sequential_test,
    stage_level,
)

KEPT = 2**17  # transitions kept for the diagnosis
FEW, RARE = 20, 1e-4  # an unadjusted step may leave FEW + RARE n of n rows where they are; rounding does so to 1e-5 n


class ContinuousSession(Session):
    """State of one check; ``pairs`` are the first transitions (x, x') from exact starts, for the diagnosis."""

    case: ContinuousCase  # type: ignore[assignment]
    candidate: ContinuousCandidate  # type: ignore[assignment]
    arguments: str = ""  # of the check, after the case, for replays

    def __post_init__(self) -> None:
        self.n0 = require_profile(self.profile)
        self.seeds = Seeds(self.seed)
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self.kept = self.seen = self.stayed = 0
        self.counts = np.zeros((0, 0), dtype=np.int64)

    def replay(self, test: str) -> str:
        """A line that repeats one test."""
        named = self.case.name in NAMES
        case = f"cases.named({self.case.name!r}, {self.case.kernel!r})" if named else "case"
        words = f"{case}{self.arguments}, profile={self.profile!r}, seed={self.seed}, tests=({test!r},)"
        return f"oracle.{self.check}(step, {words})"

    def move(self, rows: np.ndarray, test: str, stage: int, chunk: int) -> np.ndarray:
        """One call of the candidate under a seed of its own."""
        return self.candidate(rows, self.seeds.candidate(test, stage, chunk))

    def exact_rows(self, test: str, stage: int, chunk: int, rows: int) -> np.ndarray:
        """Independent exact rows, as the candidate's dtype can hold them."""
        return self.candidate.rounded(self.case.draw(rows, self.seeds.rng(test, stage, STARTS, chunk)))

    def keep(self, x: np.ndarray, y: np.ndarray) -> None:
        """Keep the first transitions for the diagnosis."""
        if self.kept < KEPT:
            self.pairs.append((x[: KEPT - self.kept], y[: KEPT - self.kept]))
            self.kept += len(self.pairs[-1][0])

    def transitions(self, test: str, stage: int, n: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:  # type: ignore[override]
        """(chunk, x, x') of n rows from exact starts."""
        for chunk, rows in self.chunks(n):
            x = self.exact_rows(test, stage, chunk, rows)
            y = self.move(x, test, stage, chunk)
            self.keep(x, y)
            if self.check == "check_ula":
                self.require_moves(x, y)
            yield chunk, x, y

    def require_moves(self, x: np.ndarray, y: np.ndarray) -> None:
        """An unadjusted step moves every row, up to rounding: the chance of more than FEW + RARE n is below 1e-12."""
        self.seen, self.stayed = self.seen + len(x), self.stayed + int((x == y).all(axis=1).sum())
        if self.stayed > FEW + RARE * self.seen:
            share = f"{self.stayed} of {self.seen} rows stayed exactly where they were"
            words = f"{share}; {self.case.kernel} has no accept/reject step (MALA?)"
            raise Violation("D9", "rejects proposals", words)

    def cells(self, counts: np.ndarray) -> dict[str, object]:
        """Pictures come with the stages."""
        return {}

    def measure(
        self,
        test: str,
        words: str,
        stage: Callable[[int, int], Stage],
        n0: int,
        *,
        df: float = 1.0,
        parts: int = 1,
        scale: float = 1.0,
        unit: str = "chi-distance",
        growth: int = GROWTH,
    ) -> None:
        """One k-of-k test of ``parts`` parts that share its level; effect = scale * chi-distance with df degrees."""
        level = (stage_level(self.alpha, parts=parts) / parts) ** STAGES
        lam = noncentrality(max(df, 1.0), level, growth=growth)
        enough = lam * scale**2 if self.foregone else math.inf
        try:
            outcome = sequential_test(stage, n0, self.alpha, growth=growth, foregone=enough)
        except Violation as violation:
            self.violated(violation, f" (during {test})")
            return
        detectable = scale * math.sqrt(lam / n0)
        result = self.result(test, words, outcome, detectable, self.counts)
        details = result.details | {"effect_unit": unit}
        self.results.append(Result(**{**vars(result), "details": details}))

    def carry_out(self, plan: dict[str, Callable[[ContinuousSession], None]], tests: tuple[str, ...] | None) -> None:
        """The preflight, then the tests of the plan; after a failure the rest is skipped unless asked for by name."""
        for test in tests or ():
            require_choice("tests", test, (*plan, "S7", "S8", "D8", "D9", "contract"))
        self.complete = tests is not None
        claimed = self.check in ("check_kernel", "check_ula")
        stays = not claimed or (self.check == "check_kernel" and self.case.kernel in (*EXACT, "gibbs_langevin"))
        flight = preflight(self.candidate, self.seeds, stays and self.case.kernel != "block_gibbs", claimed)
        self.chance, self.notes = flight.chance, [*self.notes, *flight.notes]
        if flight.violation is not None:
            self.violated(flight.violation)
            if tests is None or flight.violation.test in ("contract", "D9"):
                return
        else:
            words = "shape, dtype, support, purity, seeds and streams of step are as agreed"
            n = self.candidate.rows
            self.results.append(Result("contract", "pass", words, n=n, seed=self.seed, replay=self.replay("contract")))
        wanted = None if tests is None else set(tests) | ({"C3"} if {"S7", "S8"} & set(tests) else set())
        for test, run in plan.items():
            if wanted is not None and test not in wanted:
                continue
            if wanted is None and self.failed:
                self.results.append(Result(test, "skip", "not run: an earlier test has failed", seed=self.seed))
                continue
            run(self)


def worst_part(parts: dict[str, float], effect: float, details: dict[str, Any] | None = None) -> Stage:
    """Bonferroni over the parts of one stage."""
    worst = min(parts, key=lambda name: parts[name])
    found = {"worst": worst, "p_values": parts} | (details or {})
    return Stage(min(1.0, len(parts) * parts[worst]), effect, found)
