"""``ebm-ref verify --target F --check WHAT``: every check of the oracle that takes one function and one case.

WHAT is the name in ``ebm_ref.oracle`` without its "check_".  A target whose one argument is named ``case`` is no
candidate but makes one for each case, or returns NotImplemented.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from ebm_ref import oracle
from ebm_ref.oracle import Report, adapters
from ebm_ref.oracle.adapters.callables import makes_steps
from ebm_ref.oracle.cases import Case, ContinuousCase, NetworkCase, TableCase
from ebm_ref.oracle.checks_learning import small_batch
from ebm_ref.oracle.deterministic import argument_names

BINARY, KERNELS = (Case,), (Case, TableCase, ContinuousCase)


@dataclass(frozen=True)
class Check:
    """Of which cases, and what it takes beside the candidate and the case."""

    on: tuple[type, ...] = BINARY
    by_chance: bool = False  # a profile and a seed
    of_steps: bool = False  # ids of tests; its candidates are step(states, seed)
    of: tuple[str, ...] = ()  # which of several answers is judged


STEPS, STATISTICAL, EXACT = Check(KERNELS, True, True), Check(by_chance=True), Check()
CHECKS = {
    "kernel": STEPS, "invariance": STEPS, "reversibility": STEPS,
    "ula": Check((ContinuousCase,), True, True), "chains": STATISTICAL, "acceptance": STATISTICAL,
    "persistent": STATISTICAL, "update": STATISTICAL, "fixed_point": STATISTICAL, "given_uniforms": EXACT,
    "transition_matrix": EXACT, "free_energy": EXACT, "conditionals": Check((Case, ContinuousCase)),
    "log_partition": Check((Case, ContinuousCase)), "energy": Check((Case, ContinuousCase, NetworkCase)),
    "gradient": Check((Case, ContinuousCase, NetworkCase), of=("energy", "log_likelihood", "state")),
    "pseudo_likelihood": Check(of=("value", "gradient")),
}  # fmt: skip


def default_check(case: Any) -> str:
    """A network is an energy; everything else has a kernel."""
    return "energy" if isinstance(case, NetworkCase) else "kernel"


def require_fitting(what: str, case: Any, of: str | None, tests: tuple[str, ...]) -> None:
    """Refuse cases and options that the check does not have."""
    check = CHECKS[what]
    if not isinstance(case, check.on):
        raise click.UsageError(f"--case: {case.name} is no case for --check {what}")
    if of is not None and of not in check.of:
        expected = f"expected {' or '.join(check.of)}" if check.of else "there is one answer only"
        raise click.UsageError(f"--of: {expected} for --check {what}, got {of}")
    if tests and not check.of_steps:
        raise click.UsageError(f"--test: --check {what} runs as a whole")


def is_maker(target: Callable[..., Any], what: str) -> bool:
    """True if ``target(case)`` is meant; a step has two arguments, so there any name will do."""
    return makes_steps(target) if CHECKS[what].of_steps else argument_names(target) == ("case",)


def candidate_for(target: Callable[..., Any], what: str, case: Any) -> Any:
    """What is judged on one case: the target, or what it makes; None where it declines."""
    return adapters.step_for(target, case) if is_maker(target, what) else target


def judged(
    candidate: Any, case: Any, what: str, of: str | None, profile: str, seed: int, tests: tuple[str, ...]
) -> Report:
    """The report of the check."""
    check = CHECKS[what]
    options: dict[str, Any] = {"profile": profile, "seed": seed} if check.by_chance else {}
    options |= {"tests": tests or None} if check.of_steps else {}
    options |= {"of": of} if of is not None else {}
    arguments = (case, small_batch(case)) if what == "update" else (case,)
    return getattr(oracle, f"check_{what}")(candidate, *arguments, **options)
