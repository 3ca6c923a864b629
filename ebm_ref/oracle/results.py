"""What a check hands back: frozen records that read well, travel as JSON, and say what a pass excludes.

Result     one test: verdict, p-value or log e-value, effect, smallest effect that it would have seen, seed, replay
Diagnosis  one candidate mistake with its log likelihood ratio (nats) against the correct kernel
Report     all results of one check of one subject on one case; P(any failure | correct) <= false_alarm_bound
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebm_ref.oracle.titles import SKIPPED, WOULD_HAVE_SEEN, title

VERDICTS = ("pass", "fail", "skip")


@dataclass(frozen=True)
class Result:
    """The outcome of one test.

    test     id of the test, e.g. "S1"; the catalogue of ids is in ``ebm_ref.oracle.statistics``
    verdict  "pass", "fail" or "skip"
    p_value  the last stage's p-value, None for deterministic tests and e-processes
    log_e    ln of the e-value (nats), None for p-value tests
    effect   estimated distance from the claim, in the units named in ``details["effect_unit"]``
    smallest_detectable_effect   what the test would have found with power .999, same units
    n        transitions, draws or comparisons used;  seed  the seed of the check;  replay  a line that repeats it
    details  plain numbers for reports: "cells" [[label, observed, expected], ...] worst first, "ratio", "ecdf", ...
    """

    test: str
    verdict: str
    message: str
    p_value: float | None = None
    log_e: float | None = None
    effect: float | None = None
    smallest_detectable_effect: float | None = None
    n: int = 0
    seed: int = 0
    replay: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def overall_p(self) -> float | None:
        """A valid p-value of the whole test: gamma^(m-1) p_m if it ended at stage m, (greatest p)^k of k parts, 1/e.

        >>> Result("S1", "fail", "", p_value=0.001, details={"stages": [0.001, 0.001], "gamma": 0.01}).overall_p
        1e-05
        """
        stages, parts = self.details.get("stages"), self.details.get("parts")
        if stages:
            return float(self.details.get("gamma", 1.0) ** (len(stages) - 1) * stages[-1])
        if parts:
            return float(max(parts) ** len(parts))
        if self.log_e is not None:
            return math.exp(-max(self.log_e, 0.0))
        return self.p_value

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict: expected one of {VERDICTS}, got {self.verdict!r}")


@dataclass(frozen=True)
class Diagnosis:
    """A known mistake and how much better it explains the data than the correct kernel does.

    log_likelihood_ratio  ln P(data | mistake) - ln P(data | correct), nats
    explained             True if the data also do not reject this mistake, so that it is named and not merely nearest
    """

    mistake: str
    log_likelihood_ratio: float
    description: str
    explained: bool


@dataclass(frozen=True)
class Report:
    """All results of one check.  ``print(report)`` is meant to be read; ``to_html`` draws it.

    >>> r = Report("my step", "rbm_3x3", "ci", 0, (Result("S1", "pass", "as claimed", p_value=0.4, effect=0.0,
    ...     smallest_detectable_effect=0.04, n=131072),), (), (), 1e-6)
    >>> r.passed, len(r.failures)
    (True, 0)
    >>> print(r)
    PASS  my step on rbm_3x3  (profile ci, seed 0)
      pass S1  transitions x to x'  p = 0.4  effect 0, would have seen 0.04  n = 131072
      would have seen: the smallest effect that the test finds with probability .999
    A pass excludes, with power .999: S1 effects above 0.04.
    Chance of a false alarm in this report: at most 1e-06.
    """

    subject: str
    case: str
    profile: str
    seed: int
    results: tuple[Result, ...]
    diagnosis: tuple[Diagnosis, ...] = ()
    notes: tuple[str, ...] = ()
    false_alarm_bound: float = 0.0

    @property
    def failures(self) -> tuple[Result, ...]:
        """The results whose verdict is "fail"."""
        return tuple(r for r in self.results if r.verdict == "fail")

    @property
    def passed(self) -> bool:
        """True if nothing failed and something was tested."""
        return not self.failures and any(r.verdict == "pass" for r in self.results)

    @property
    def holm(self) -> dict[str, float]:
        """test -> Holm's adjusted p-value: the family-wise level of this report at which it would be rejected.

        >>> results = Result("S1", "pass", "", p_value=0.02), Result("S3", "pass", "", p_value=0.5)
        >>> Report("f", "rbm_3x3", "ci", 0, results).holm
        {'S1': 0.04, 'S3': 0.5}
        """
        from ebm_ref.oracle.statistics import holm

        found = {r.test: r.overall_p for r in self.results if r.overall_p is not None}
        return (
            dict(zip(found, holm([p for p in found.values() if p is not None]).tolist(), strict=True)) if found else {}
        )

    def __repr__(self) -> str:
        """The verdict; ``print`` shows the rest."""
        return (
            f"Report({'PASS' if self.passed else 'FAIL'}: {self.subject} on {self.case}, {len(self.results)} results)"
        )

    def __str__(self) -> str:
        head = f"{'PASS' if self.passed else 'FAIL'}  {self.subject} on {self.case}"
        lines = [f"{head}  (profile {self.profile}, seed {self.seed})"]
        lines += result_lines([r for r in self.results if r.verdict != "skip" or r.effect is not None])
        skipped = [r.test for r in self.results if r.verdict == "skip" and r.effect is None]
        lines += [f"  not run: {', '.join(skipped)}"] if skipped else []
        lines += [f"    {r.test}: {r.message}\n    replay: {r.replay}" for r in self.failures]
        lines += [diagnosis_line(d) for d in self.diagnosis[:1]]
        lines += [f"Note: {note}" for note in self.notes]
        lines += exclusion_lines(self)
        lines.append(f"Chance of a false alarm in this report: at most {self.false_alarm_bound:.2g}.")
        return "\n".join(lines)

    def to_json(self, path: str | Path | None = None) -> str:
        """The report as JSON text; written to ``path`` too if one is given."""
        from ebm_ref.oracle import rendering

        return rendering.write_text(path, rendering.report_json(self))

    def to_junit(self, path: str | Path) -> str:
        """The report as JUnit XML: one ``<testcase>`` a test, its numbers as properties."""
        from ebm_ref.oracle import rendering

        return rendering.write_text(path, rendering.report_junit((self,)))

    def to_html(self, path: str | Path) -> str:
        """The report as one self-contained HTML page."""
        from ebm_ref.oracle import rendering

        return rendering.write_text(path, rendering.report_html((self,)))


def number(value: float | None) -> str:
    """Three significant digits, or a dash.

    >>> number(0.0123456), number(None), number(float("inf"))
    ('0.0123', '-', 'inf')
    """
    return "-" if value is None else f"{value:.3g}"


def result_lines(results: list[Result]) -> list[str]:
    """The table of results: verdict, id and words, evidence, effect against what would have been seen; its legend."""
    if not results:
        return []
    names = [f"{r.test:<{max(len(r.test) for r in results)}}  {title(r.test)}".rstrip() for r in results]
    width, proofs = max(map(len, names)), [evidence(r) for r in results]
    column = max(map(len, proofs))
    lines = [
        f"  {r.verdict} {name:<{width}}  {proof:<{column}}{effect_words(r)}".rstrip()
        for r, name, proof in zip(results, names, proofs, strict=True)
    ]
    lines += [f"  {WOULD_HAVE_SEEN}"] if any(r.smallest_detectable_effect is not None for r in results) else []
    return lines + ([f"  {SKIPPED}"] if any(r.verdict == "skip" for r in results) else [])


def evidence(result: Result) -> str:
    """The p-value or e-value, in short."""
    if result.verdict == "skip":
        return "not needed"
    if result.p_value is not None:
        return f"p = {number(result.p_value)}"
    return "exact" if result.log_e is None else f"ln e = {number(result.log_e)}"


def effect_words(result: Result) -> str:
    """Effect, what would have been seen, and n."""
    words = ""
    if result.smallest_detectable_effect is not None:
        about = "about " if result.verdict == "skip" else ""
        words = "" if result.effect is None else f"effect {about}{number(result.effect)}, "
        words = f"  {words}would have seen {number(result.smallest_detectable_effect)}"
    return words + (f"  n = {result.n}" if result.n else "")


def diagnosis_line(diagnosis: Diagnosis) -> str:
    """'looks like' if the mistake explains the data, 'nearest' if it only beats the claim."""
    verb = "Looks like" if diagnosis.explained else "None of the known mistakes; nearest"
    ratio = diagnosis.log_likelihood_ratio
    if math.isnan(ratio):
        support = "shown by the failed test alone"
    else:
        support = f"ln likelihood ratio {ratio:+.3g}" if math.isfinite(ratio) else "certain"
    return f"{verb}: {diagnosis.description} [{diagnosis.mistake}] ({support})"


def exclusion_lines(report: Report) -> list[str]:
    """What a pass of each test excludes."""
    passed = [r for r in report.results if r.verdict == "pass" and r.effect is not None]  # not e-processes
    seen = [r for r in passed if r.smallest_detectable_effect is not None]
    if not seen:
        return []
    excluded = ", ".join(f"{r.test} effects above {number(r.smallest_detectable_effect)}" for r in seen)
    return [f"A pass excludes, with power .999: {excluded}."]
