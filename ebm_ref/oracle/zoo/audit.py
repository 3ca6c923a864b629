"""The audit of the tests: every wrong kernel against every test, and what became of the right ones.

A cell of the kill matrix is "kill", "live" or "" (not run).  Each bug runs on its own fixture, in its own profile or a
smaller one; each column is a test of ``check_kernel``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ebm_ref.errors import require_choice
from ebm_ref.oracle.results import Report
from ebm_ref.oracle.statistics.sequential import PROFILES
from ebm_ref.oracle.zoo.bug import Bug

TESTS = ("contract", "D8", "D9", "S7", "S8", "S1", "S1 single", "S2", "S6", "S4", "S3", "S12", "S13")


@dataclass(frozen=True)
class Audit:
    """What became of one bug: tests that failed, tests that passed, whether it was named, the report."""

    bug: Bug
    killed_by: tuple[str, ...]
    survived: tuple[str, ...]
    named: bool
    report: Report

    @property
    def killed(self) -> bool:
        """True if anything failed."""
        return bool(self.killed_by)

    def cell(self, test: str) -> str:
        """One cell of the kill matrix."""
        return "kill" if test in self.killed_by else "live" if test in self.survived else ""


def within(bug: Bug, profile: str) -> bool:
    """True if the bug promises to die in this profile."""
    order = tuple(PROFILES)
    return order.index(bug.profile) <= order.index(profile)


def audit_bug(bug: Bug, profile: str = "ci", seed: int = 0, matrix: bool = False) -> Audit:
    """One bug: ``matrix`` runs every test, else the check stops at the first failure.

    Stages whose outcome is certain are left out.

    >>> from ebm_ref.oracle import zoo
    >>> found = audit_bug(zoo.bug("stale_half"), "smoke")
    >>> found.killed, found.named, "S7" in found.killed_by
    (True, True, True)
    """
    from ebm_ref.oracle.checks.kernel import kernel_report

    case = bug.fixture()
    report = kernel_report(bug.step(case), case, profile, seed, TESTS if matrix else None, foregone=True)
    killed = tuple(dict.fromkeys(r.test for r in report.failures))
    survived = tuple(r.test for r in report.results if r.verdict == "pass")
    best = report.diagnosis[0] if report.diagnosis else None
    named = best is not None and best.explained and bool({bug.id, *bug.killed_by} & set(best.mistake.split(", ")))
    return Audit(bug, killed, survived, named, report)


def audit(
    bugs: Sequence[Bug], profile: str = "ci", seed: int = 0, matrix: bool = False, only_due: bool = True
) -> Iterator[Audit]:
    """Audit bugs one after the other; ``only_due`` leaves out those that need a larger profile."""
    require_choice("profile", profile, tuple(PROFILES))
    for bug in bugs:
        if not only_due or within(bug, profile):
            yield audit_bug(bug, profile, seed, matrix)


def kill_table(audits: Sequence[Audit]) -> str:
    """The kill matrix as text: x killed, . lived, blank not run; n the diagnosis named it."""
    width = max(len(a.bug.id) for a in audits)
    head = " " * width + "  " + " ".join(f"{t:>9}" for t in TESTS) + "  named"
    lines = [head]
    for a in audits:
        marks = {"kill": "x", "live": ".", "": ""}
        cells = " ".join(f"{marks[a.cell(t)]:>9}" for t in TESTS)
        lines.append(f"{a.bug.id:<{width}}  {cells}  {'n' if a.named else ''}".rstrip())
    return "\n".join(lines)
