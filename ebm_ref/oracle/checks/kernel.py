"""Is this the transition kernel that it claims to be?  check_kernel, check_invariance, check_reversibility.

A candidate is any ``step(states, seed) -> states``: rows [x, h] float64 (n, d), each an independent chain, moved by one
transition; NumPy, PyTorch or JAX arrays may come back.  Starts are exact draws, so every test is a test of independent
transitions against an enumerated law: no burn-in, no thinning, no effective sample sizes.  Continuous cases go to
``ebm_ref.oracle.continuous.kernel``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ebm_ref.errors import DomainError, require_choice
from ebm_ref.oracle import zoo
from ebm_ref.oracle.cases import Case, TableCase, require_case
from ebm_ref.oracle.checks import kernel_tests as tests_of
from ebm_ref.oracle.checks.candidate import Candidate, Step, subject_name
from ebm_ref.oracle.checks.diagnosis import diagnose
from ebm_ref.oracle.checks.preflight import preflight
from ebm_ref.oracle.checks.session import Session
from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.results import Report, Result
from ebm_ref.oracle.statistics.seeds import NULL

Runner = Callable[[Session], None]

# S7 and S8 look at the transitions of S1 and share its level; contract, D8 and D9 cost nothing
KERNEL_TESTS: tuple[tuple[str, Runner], ...] = (
    ("S1", tests_of.pairs),
    ("S1 single", tests_of.single_rows),
    ("S2", tests_of.rows),
    ("S6", tests_of.units),
    ("S4", tests_of.symmetry),
    ("S3", tests_of.invariance),
    ("S12", tests_of.moments),
    ("S13", tests_of.independence),
)
INVARIANCE_TESTS: tuple[tuple[str, Runner], ...] = (("S3", tests_of.invariance), ("S12", tests_of.moments))
REVERSIBILITY_TESTS: tuple[tuple[str, Runner], ...] = (("S4", tests_of.symmetry), ("S5", tests_of.ranks))


def check_kernel(
    step: Step,
    case: Case | ContinuousCase | TableCase,
    *,
    profile: str = "ci",
    seed: int = 0,
    tests: tuple[str, ...] | None = None,
) -> Report:
    """Is ``step`` the kernel ``case.kernel`` on the case's model?

    step      ``step(states (n, d), seed) -> states (n, d)``, one transition of n independent chains
    profile   "smoke" 2^13, "ci" 2^17, "nightly" 2^20, "certify" 2^24 transitions in the first stage of each test
    seed      all randomness, the candidate's seeds included, follows from it
    tests     only these (a replay); the level of each stays that of the full plan

    P(any failure | correct) <= 1e-6.  Anything that ``step`` does wrong is a failure in the Report, never an exception.
    After the first failure the remaining tests are skipped, unless ``tests`` names them.
    Raises DomainError for an unknown profile or test, and for a case that is none.

    >>> from ebm_ref.oracle import cases, zoo
    >>> report = check_kernel(zoo.bug("w_transposed").step(), cases.named("rbm_3x3"), profile="smoke")
    >>> report.passed, report.diagnosis[0].description, report.diagnosis[0].explained
    (False, 'W transposed', True)
    """
    if isinstance(case, ContinuousCase):
        from ebm_ref.oracle.continuous.kernel import check_continuous_kernel

        return check_continuous_kernel(step, case, profile=profile, seed=seed, tests=tests)
    require_case(case)
    return kernel_report(step, case, profile, seed, tests)


def kernel_report(
    step: Step, case: Case | TableCase, profile: str, seed: int, tests: tuple[str, ...] | None, foregone: bool = False
) -> Report:
    """``check_kernel``; ``foregone`` (audits of wrong code only) leaves out stages whose outcome is certain."""
    plan = tuple((t, run) for t, run in KERNEL_TESTS if t != "S4" or tests_of.reversible_space(case) is not None)
    planned = tuple(t for t, _ in plan)
    session = Session("check_kernel", Candidate(step, case), case, profile, seed, planned, foregone=foregone)
    carry_out(session, plan, tests, case.P)
    found = session.plain_faults()
    if session.failed and not found:
        fresh = session.gather()
        session.redraw()
        rng = session.seeds.rng("diagnosis", 0, NULL)
        known = zoo.alternatives(case)
        found = diagnose(session.counts, case.P, case.states, known, rng)
        if session.complete and not (found and found[0].explained):  # in some tests, all rows of a call start alike,
            alone = diagnose(fresh, case.P, case.states, known, rng)  # which hides what rows do to each other
            found = alone if alone and alone[0].explained else found
        if not (found and found[0].explained):
            found = session.dependence(tests_of.sharing) or found
    return session.report(subject_name(step), found)


def check_invariance(
    step: Step,
    case: Case | ContinuousCase | TableCase,
    *,
    profile: str = "ci",
    seed: int = 0,
    tests: tuple[str, ...] | None = None,
) -> Report:
    """Does ``step`` leave the law of the case invariant, whatever kernel it is?  (x ~ pi implies x' ~ pi.)

    Weaker than ``check_kernel``: the identity passes, and so does a kernel that never updates one unit.
    Arguments, level and errors as there.

    >>> from ebm_ref.oracle import cases, zoo
    >>> check_invariance(zoo.bug("two_sweeps").step(), cases.named("rbm_3x3"), profile="smoke").passed
    True
    """
    if isinstance(case, ContinuousCase):
        from ebm_ref.oracle.continuous.kernel import check_continuous_invariance

        return check_continuous_invariance(step, case, profile=profile, seed=seed, tests=tests)
    require_case(case)
    session = Session(
        "check_invariance",
        Candidate(step, case),
        case,
        profile,
        seed,
        tuple(t for t, _ in INVARIANCE_TESTS),
        known_kernel=False,
    )
    carry_out(session, INVARIANCE_TESTS, tests, None)
    session.notes.append("invariance is blind to kernels that move too little; check_kernel is not")
    found = session.plain_faults()
    if session.failed and not found:
        session.gather()
        laws = tuple(
            zoo.Alternative(a.id, a.description, (case.pi @ a.P)[None, :])
            for a in zoo.alternatives(case)
            if np.abs(case.pi @ a.P - case.pi).max() > 1e-6
        )
        ends = session.counts.sum(axis=0)[None, :]
        found = diagnose(ends, case.pi[None, :], case.states, laws, session.seeds.rng("diagnosis", 0, NULL))
    return session.report(subject_name(step), found)


def check_reversibility(
    step: Step,
    case: Case | ContinuousCase | TableCase,
    *,
    profile: str = "ci",
    seed: int = 0,
    tests: tuple[str, ...] | None = None,
) -> Report:
    """Is the flow of ``step`` symmetric, pi(x) K(x, y) = pi(y) K(y, x)?  Needs no transition matrix of the candidate.

    Judged on the joint state if the case's kernel is reversible there, else on the visible units (block Gibbs is
    reversible in x alone).  Raises DomainError if it is reversible in neither: a systematic scan is not, and a test
    would reject correct code.

    >>> from ebm_ref.oracle import cases, zoo
    >>> case = cases.named("ising_5_chord")
    >>> check_reversibility(zoo.bug("glauber").step(), case, profile="smoke").passed
    True
    """
    if isinstance(case, ContinuousCase):
        from ebm_ref.oracle.continuous.kernel import check_continuous_reversibility

        return check_continuous_reversibility(step, case, profile=profile, seed=seed, tests=tests)
    require_case(case)
    if tests_of.reversible_space(case) is None:
        raise DomainError(
            f"case: {case.kernel} on {case.name} is not reversible (a systematic scan is not); use kernel"
            " 'gibbs_random', 'gibbs_palindromic' or 'metropolis', or check_kernel"
        )
    plan = tuple((t, run) for t, run in REVERSIBILITY_TESTS)
    session = Session(
        "check_reversibility", Candidate(step, case), case, profile, seed, tuple(t for t, _ in plan), known_kernel=False
    )
    carry_out(session, plan, tests, None)
    session.notes.append(f"flow judged on the {tests_of.reversible_space(case)} state")
    return session.report(subject_name(step), session.plain_faults())


def carry_out(
    session: Session, plan: tuple[tuple[str, Runner], ...], tests: tuple[str, ...] | None, P: np.ndarray | None
) -> None:
    """The preflight, then the tests of the plan; after a failure the rest is skipped unless asked for by name."""
    names = [t for t, _ in (*KERNEL_TESTS, *plan)]
    known = tuple(dict.fromkeys((*names, "S7", "S8", "D8", "D9", "contract")))
    for test in tests or ():
        require_choice("tests", test, known)
    session.complete = tests is not None and "S1" in tests  # a replay of S7 or S8 ends where the check ended
    flight = preflight(session.candidate, session.seeds, P)
    session.chance = flight.chance
    session.notes += flight.notes
    if flight.violation is not None:
        session.violated(flight.violation)
        if tests is None or flight.violation.test == "contract" or flight.violation.test == "D9":
            return
    else:
        session.results.append(
            Result(
                "contract",
                "pass",
                "shape, dtype, support, purity, seeds and streams of step are as agreed",
                n=session.candidate.rows,
                seed=session.seed,
                replay=session.replay("contract"),
            )
        )
    wanted = None if tests is None else set(tests) | ({"S1"} if {"S7", "S8"} & set(tests) else set())
    for test, run in plan:
        if wanted is not None and test not in wanted:
            continue
        if wanted is None and session.failed:
            session.results.append(Result(test, "skip", "not run: an earlier test has failed", seed=session.seed))
            continue
        run(session)
    for test in wanted or ():
        if test in dict(KERNEL_TESTS) and test not in dict(plan):
            words = f"does not apply to {session.case.kernel} in {session.check}"
            session.results.append(Result(test, "skip", words, seed=session.seed))
