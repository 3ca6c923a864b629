"""check_kernel, check_invariance and check_reversibility for continuous cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError
from ebm_ref.oracle.checks.candidate import Step, Violation, subject_name
from ebm_ref.oracle.checks.diagnosis import diagnose
from ebm_ref.oracle.continuous import kernel_tests as tests_of
from ebm_ref.oracle.continuous.bug import ContinuousBug
from ebm_ref.oracle.continuous.candidate import ContinuousCandidate
from ebm_ref.oracle.continuous.cases import EXACT, REVERSIBLE, ContinuousCase
from ebm_ref.oracle.continuous.laws import CellLaw, accuracy, cell_law, has_law
from ebm_ref.oracle.continuous.session import ContinuousSession
from ebm_ref.oracle.results import Diagnosis, Report
from ebm_ref.oracle.statistics.seeds import NULL
from ebm_ref.oracle.zoo import Alternative

Plan = dict[str, Callable[[ContinuousSession], None]]


@lru_cache(maxsize=64)
def laws_of(case: ContinuousCase) -> tuple[CellLaw, tuple[Alternative, ...]]:
    """The law of one step and those of the known mistakes: what a second check of the same case need not repeat."""
    law = cell_law(case)
    return law, alternatives(law)


def alternatives(law: CellLaw) -> tuple[Alternative, ...]:
    """Every known mistake of the recipe with a law of its own over these cells, equal laws together."""
    from ebm_ref.oracle.continuous.zoo_kernels import KERNEL_BUGS

    recipes = [(bug, bug.recipe(law.case)) for bug in KERNEL_BUGS]
    with np.errstate(all="ignore"):
        return merged(law, [(bug, law.wrong(recipe)) for bug, recipe in recipes if recipe is not None])


@lru_cache(maxsize=64)
def late_alternatives(law: CellLaw) -> tuple[Alternative, ...]:
    """Mistakes whose laws cost more: only a diagnosis asks for them."""
    from ebm_ref.oracle.continuous.zoo_kernels import KERNEL_BUGS

    known = [(bug, bug.law(law)) for bug in KERNEL_BUGS if bug.law is not None and bug.kernel == law.case.kernel]
    return merged(law, [(bug, (1 - 1e-7) * P + 1e-7 * law.P) for bug, P in known if P is not None])


def merged(law: CellLaw, known: list[tuple[ContinuousBug, np.ndarray]]) -> tuple[Alternative, ...]:
    """Those laws that differ from the claim, equal ones together."""
    kept: list[tuple[list[str], list[str], np.ndarray]] = []
    for bug, P in known:
        if not np.isfinite(P).all() or np.abs(P - law.P).max() < 2e-3:
            continue
        for ids, words, Q in kept:
            if np.abs(P - Q).max() < 1e-9:
                ids.append(bug.id)
                words.append(bug.description)
                break
        else:
            kept.append(([bug.id], [bug.description], P))
    return tuple(Alternative(", ".join(ids), " or: ".join(words), P) for ids, words, P in kept)


def flow_is_symmetric(case: ContinuousCase) -> bool:
    """True if the flow is symmetric, on the rows or, for block Gibbs, on v."""
    return case.kernel in (*REVERSIBLE, "block_gibbs")


def kernel_tests_of(case: ContinuousCase) -> tuple[str, ...]:
    """The tests of ``check_kernel`` on a case."""
    found: tuple[str, ...] = ("C3", "C3 single") if has_law(case) else ()
    found += ("C4",) if case.kernel in EXACT else ()
    found += ("C5",) if flow_is_symmetric(case) else ()
    return (*found, "S13")


def session_of(
    check: str,
    step: Step,
    case: ContinuousCase,
    profile: str,
    seed: int,
    planned: tuple[str, ...],
    foregone: bool = False,
) -> ContinuousSession:
    """A new session."""
    candidate: Any = ContinuousCandidate(step, case)
    return ContinuousSession(check, candidate, case, profile, seed, planned, foregone=foregone)  # type: ignore[arg-type]


def check_continuous_kernel(
    step: Step, case: ContinuousCase, *, profile: str = "ci", seed: int = 0, tests: tuple[str, ...] | None = None
) -> Report:
    """``check_kernel`` of a continuous case: C3 (where quadrature gives the law), C4, C5, S13."""
    return continuous_kernel_report(step, case, profile, seed, tests)


def continuous_kernel_report(
    step: Step, case: ContinuousCase, profile: str, seed: int, tests: tuple[str, ...] | None, foregone: bool = False
) -> Report:
    """The same; ``foregone`` (audits of wrong code only) leaves out stages whose outcome is certain."""
    law: CellLaw | None = None
    wrong: tuple[Alternative, ...] = ()
    every: Plan = {"C4": tests_of.conservation, "C5": tests_of.symmetry, "S13": tests_of.independence}
    if has_law(case):
        law, wrong = laws_of(case)
        every["C3"] = partial(tests_of.one_step, law=law, wrong=tuple(a.P for a in wrong))
        every["C3 single"] = partial(tests_of.single_rows, law=law)
    plan = {test: every[test] for test in kernel_tests_of(case)}
    session = session_of("check_kernel", step, case, profile, seed, tuple(plan), foregone)
    if law is None:
        session.notes.append(
            f"no quadrature for {case.kernel} in {case.n_visible} dimensions: judged by its stationary law"
        )
    session.carry_out(plan, tests)
    found = session.plain_faults()
    if session.failed and not found and law is not None:
        found = explain(session, law, wrong)
    return session.report(subject_name(step), found)


def explain(session: ContinuousSession, law: CellLaw, wrong: tuple[Alternative, ...]) -> tuple[Diagnosis, ...]:
    """The ranked diagnosis, from 2^17 transitions of the fixed starts; then whether rows share random numbers."""
    try:
        counts = tests_of.cell_counts(session, law, "diagnosis", 0, 0, 2**17)
    except Violation:
        return ()
    rng = session.seeds.rng("diagnosis", 0, NULL)
    known = (*wrong, *late_alternatives(law))
    found = diagnose(counts, law.P, law.units, known, rng)
    if found and not found[0].explained and found[0].log_likelihood_ratio > 0:
        finer = tuple(sharpened(law, a) if a.id == found[0].mistake else a for a in known)
        found = diagnose(counts, law.P, law.units, finer, rng)
    if found and found[0].explained:
        return found
    return session.dependence(tests_of.independence) or found


def sharpened(law: CellLaw, one: Alternative) -> Alternative:
    """A mistake of the recipe with its law as accurate as the claim's: rough ones miss what falls off near an edge."""
    from ebm_ref.oracle.continuous.zoo_kernels import KERNEL_BUGS

    recipe = next(bug for bug in KERNEL_BUGS if bug.id == one.id.split(", ")[0]).recipe(law.case)
    if recipe is None or recipe.kernel not in ("mala", "hmc"):
        return one
    return replace(one, P=(1 - 1e-7) * law.masses(recipe, *accuracy(law.case)) + 1e-7 * law.P)


def check_continuous_invariance(
    step: Step, case: ContinuousCase, *, profile: str = "ci", seed: int = 0, tests: tuple[str, ...] | None = None
) -> Report:
    """``check_invariance`` of a continuous case: C4."""
    session = session_of("check_invariance", step, case, profile, seed, ("C4",))
    session.carry_out({"C4": tests_of.conservation}, tests)
    session.notes.append("invariance is blind to kernels that move too little; check_kernel is not")
    return session.report(subject_name(step), session.plain_faults())


def check_continuous_reversibility(
    step: Step, case: ContinuousCase, *, profile: str = "ci", seed: int = 0, tests: tuple[str, ...] | None = None
) -> Report:
    """``check_reversibility`` of a continuous case: C5."""
    if not flow_is_symmetric(case):
        raise DomainError(
            f"case: {case.kernel} on {case.name} is not reversible under exp(-E)/Z; use kernel 'mala', 'hmc',"
            " 'gibbs_langevin_adjusted' or 'block_gibbs' (in v alone), or check_kernel"
        )
    session = session_of("check_reversibility", step, case, profile, seed, ("C5",))
    session.carry_out({"C5": tests_of.symmetry}, tests)
    return session.report(subject_name(step), session.plain_faults())
