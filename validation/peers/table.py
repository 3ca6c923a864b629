"""The row of a conformance table, how a check becomes one, and the page that shows all of them.

Every statistical row spends at most 1e-6 of false alarm: a report of the oracle by its own bound, a Finding of
``laws`` by four independent stages.  Deterministic rows (D1, D6) have none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from ebm_ref.oracle.results import Report, Result, diagnosis_line, number

VERDICTS = ("conforms", "deviates", "not run")
PREFERRED = ("S1", "L1", "L2")


@dataclass(frozen=True)
class Row:
    """One peer, one property.

    effect, detectable   the distance measured, and the smallest that would have been seen with power .999, in ``unit``
    p_value, log_e       evidence of the deciding test: p of its last stage, or ln of an e-value; None if deterministic
    n                    draws, transitions, updates or numbers compared by that test
    seconds              wall time of the whole check, one run
    remark               how it deviates, what was declared, or why it was not run
    reproduction         the shortest code that shows a deviation
    """

    peer: str
    version: str
    property: str
    verdict: str
    effect: float | None = None
    detectable: float | None = None
    unit: str = ""
    p_value: float | None = None
    log_e: float | None = None
    n: int = 0
    seconds: float = 0.0
    remark: str = ""
    reproduction: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict: expected one of {VERDICTS}, got {self.verdict!r}")

    @property
    def evidence(self) -> str:
        """The p-value or e-value in words."""
        if self.verdict == "not run":
            return "-"
        if self.p_value is not None:
            return f"p = {number(self.p_value)}"
        return "exact" if self.log_e is None else f"ln e = {number(self.log_e)}"


@dataclass(frozen=True)
class Finding:
    """The outcome of one test of this folder, before it has a peer's name."""

    passed: bool
    effect: float | None
    detectable: float | None
    unit: str
    p_value: float | None
    n: int
    message: str = ""


def version_of(package: str) -> str:
    """The installed version, or "-".

    >>> version_of("no-such-package-is-installed")
    '-'
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "-"


@dataclass(frozen=True)
class Peer:
    """A peer's name in the table and the package whose version counts."""

    name: str
    package: str

    def measure(
        self, property: str, run: Callable[[], Report | Finding], *, remark: str = "", how: str = "", snippet: str = ""
    ) -> Row:
        """Run one check.  ``remark`` is printed always, ``how`` and ``snippet`` only with a deviation.

        Whatever goes wrong in the peer or in the adapter gives a "not run" row that says so.
        """
        start = time.perf_counter()
        try:
            outcome = run()
        except Exception as error:  # a peer may fail in any way; the table goes on
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            return Row(self.name, version_of(self.package), property, "not run", remark=why)
        seconds = time.perf_counter() - start
        finding, log_e = (
            (report_finding(outcome), deciding(outcome).log_e) if isinstance(outcome, Report) else (outcome, None)
        )
        words = [remark] if finding.passed else [how, finding.message, remark]
        return Row(
            self.name,
            version_of(self.package),
            property,
            "conforms" if finding.passed else "deviates",
            finding.effect,
            finding.detectable,
            finding.unit,
            finding.p_value,
            log_e,
            finding.n,
            round(seconds, 2),
            " ".join(w for w in words if w),
            "" if finding.passed else snippet,
        )

    def absent(self, property: str, why: str) -> Row:
        """A "not run" row."""
        return Row(self.name, version_of(self.package), property, "not run", remark=why)


def deciding(report: Report) -> Result:
    """The result that a row quotes: the first failure, else S1, L1, L2, else the one nearest its limit."""
    if report.failures:
        return report.failures[0]
    passed = [r for r in report.results if r.verdict == "pass"]
    for test in PREFERRED:
        for result in passed:
            if result.test == test:
                return result
    return max(passed, key=lambda r: (r.smallest_detectable_effect is not None, r.effect or 0.0))


def report_finding(report: Report) -> Finding:
    """A report of the oracle in the columns of a row; a failure brings its message and its diagnosis."""
    result = deciding(report)
    words = [f"{r.test}: {r.message}" for r in report.failures[:1]] + [diagnosis_line(d) for d in report.diagnosis[:1]]
    unit = str(result.details.get("effect_unit", ""))
    seen = result.smallest_detectable_effect
    return Finding(report.passed, result.effect, seen, unit, result.p_value, result.n, " ".join(words))


# the page -------------------------------------------------------------------------------------------------------------

INTRODUCTION = """# Conformance of peers

Written by `python -m validation.peers` (seed {seed}, {seconds:.0f} s); the same numbers are in `results.json`.
Each row holds one property of one installed package against exact answers of tiny models. *effect* is the measured
distance from the claim, *would see* the smallest that the test finds with power .999. A statistical row raises a false
alarm with probability at most 1e-6; rows marked *exact* compare numbers and have no false alarms (the effect is
mostly a test ratio in units of roundoff, allowed 30). *seconds* is one run on two cores. p is that of the last stage; a
test fails only if four independent stages of growing size all have p below alpha^(1/4).

A deviation is a statement about one property on one version. Choices that a peer documents are not deviations; they
stand under *remarks*.
"""


def markdown(rows: list[Row], seed: int, seconds: float) -> str:
    """The whole page."""
    parts = [
        INTRODUCTION.format(seed=seed, seconds=seconds),
        summary(rows),
        table(rows),
        remarks(rows),
        deviations(rows),
    ]
    return "\n".join(part for part in parts if part)


def summary(rows: list[Row]) -> str:
    """One line a peer: how many rows of which verdict."""
    lines = ["| peer | version | conforms | deviates | not run |", "|---|---|---|---|---|"]
    for peer in dict.fromkeys(r.peer for r in rows):
        own = [r for r in rows if r.peer == peer]
        counts = " | ".join(str(sum(r.verdict == v for r in own)) for v in VERDICTS)
        lines.append(f"| {peer} | {own[0].version} | {counts} |")
    return "\n".join(lines) + "\n"


def table(rows: list[Row]) -> str:
    """One line a row."""
    lines = [
        "| peer | property | verdict | effect | would see | evidence | n | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        verdict = f"**{r.verdict}**" if r.verdict == "deviates" else r.verdict
        cells = [r.peer, r.property, verdict, number(r.effect), number(r.detectable), r.evidence, r.n or "-", r.seconds]
        lines.append("| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def remarks(rows: list[Row]) -> str:
    """What was declared, documented choices, and why rows were not run."""
    lines = [
        f"* **{r.peer}, {r.property}** ({r.verdict}): {r.remark}" for r in rows if r.remark and r.verdict != "deviates"
    ]
    return "## Remarks\n\n" + "\n".join(lines) + "\n" if lines else ""


def deviations(rows: list[Row]) -> str:
    """A section for each deviation."""
    parts = ["## Deviations\n"]
    for r in rows:
        if r.verdict == "deviates":
            parts.append(f"### {r.peer} {r.version}: {r.property}\n\n{r.remark}\n")
            measured = f"effect {number(r.effect)} ({r.unit})" if r.unit else f"effect {number(r.effect)}"
            parts.append(f"Measured: {measured}, {r.evidence}, n = {r.n}.\n")
            parts.append(f"```python\n{r.reproduction.strip()}\n```\n" if r.reproduction else "")
    return "\n".join(parts) if len(parts) > 1 else "## Deviations\n\nNone.\n"


def write(rows: list[Row], folder: Path, seed: int, seconds: float) -> None:
    """RESULTS.md and results.json."""
    (folder / "RESULTS.md").write_text(markdown(rows, seed, seconds), encoding="utf-8")
    body = {"seed": seed, "seconds": round(seconds, 1), "rows": [asdict(r) for r in rows]}
    (folder / "results.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
