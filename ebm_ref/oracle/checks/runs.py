"""Are the chains of a sampler's run chains of the kernel, and independent of each other?  check_chains.

D8   no window of L steps occurs in two chains, in both halves of one chain, or under two neighbouring seeds.
     Chance of one agreement: r_L = sum over paths of (pi P .. P)^2 between chains, the greatest path probability m_L
     within one; L is the least with (number of comparisons) r_L or m_L < 1e-12
S7, S8, S10, S9   the recorded steps are transitions of the kernel, as for a file (exact for dependent chains)
S13  mutual information of the last states of two chains, and of one chain under two neighbouring seeds, against
     simulated pairs ~ pi x pi

A step may be right and a run wrong: one seed for all chains, ``seed + chain``, the same numbers at every step, thinning
that is not declared, a first state that is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ebm_ref.errors import require_int
from ebm_ref.oracle import zoo
from ebm_ref.oracle.cases import Case, TableCase
from ebm_ref.oracle.checks.candidate import Candidate, Violation, as_numpy, require_rows_like, subject_name
from ebm_ref.oracle.checks.diagnosis import diagnose
from ebm_ref.oracle.checks.session import Session
from ebm_ref.oracle.results import Diagnosis, Report, Result
from ebm_ref.oracle.statistics import chains, evalues, pairs
from ebm_ref.oracle.statistics.seeds import NULL, STARTS
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO, Stage

Run = Callable[[np.ndarray, int, int], Any]
CHANCE, NEAR, LONGEST = 1e-12, (0, 1, 2, 2**8, 2**16), 4000
PLAN = ("S7 and S8", "S10", "S9", "S13")
SHAPES = {"smoke": (256, 32), "ci": (512, 64), "nightly": (1024, 128), "certify": (2048, 256)}  # chains, steps


def check_chains(run: Run, case: Case, *, profile: str = "ci", seed: int = 0) -> Report:
    """Does ``run`` give independent chains of the case's kernel, every step recorded?

    run(initial (C, d), n_steps, seed) -> states (C, n_steps, d): the state after each of n_steps steps of each chain.
    P(any failure | correct) <= 1e-6; what ``run`` does wrong is a verdict.

    >>> from ebm_ref.oracle import cases, zoo
    >>> case = cases.named("rbm_4x2")
    >>> step = zoo.reference_step(case)
    >>> def run(states, n, seed, stride=1):
    ...     out = []
    ...     for t in range(n):
    ...         states = step(states, 1000 * seed + stride * t)
    ...         out.append(states)
    ...     return np.stack(out, axis=1)
    >>> check_chains(run, case, profile="smoke").passed
    True
    >>> check_chains(lambda s, n, seed: run(s, n, seed, 0), case, profile="smoke").diagnosis[0].description
    'a chain repeats itself: the same random numbers at every step'
    """
    return judged_run(run, case, zoo.alternatives(case), "check_chains", profile, seed)


def judged_run(
    run: Run, case: Case, alternatives: tuple[zoo.Alternative, ...], check: str, profile: str, seed: int
) -> Report:
    """The report of ``check_chains``, and of ``check_persistent``, whose case and mistakes are others."""
    one_step = Candidate(lambda states, seed: run(states, 1, seed), case)
    session = Session(check, one_step, case, profile, seed, PLAN)
    recorder = Recorder(run, session)
    found: tuple[Diagnosis, ...] = ()
    try:
        found = windows(recorder)
        if not session.failed:
            independence(recorder)
        if not session.failed:  # evidence from chains that share their numbers would be counted twice
            transitions(recorder, alternatives)
    except Violation as violation:
        session.violated(violation)
    found = session.plain_faults() + found
    if session.failed and not found:
        rng = session.seeds.rng("diagnosis", 0, NULL)
        found = diagnose(session.counts, case.P, case.states, alternatives, rng)
    session.results = [replace(r, replay=session.replay("D8").replace(", tests=('D8',)", "")) for r in session.results]
    return session.report(subject_name(run), found)


class Recorder:
    """Calls of one ``run``, as index chains; every record starts with its given, exact first states."""

    def __init__(self, run: Run, session: Session) -> None:
        self.run, self.session = run, session

    def __call__(self, start: np.ndarray, n_steps: int, seed: int) -> np.ndarray:
        """Index chains (C, 1 + n_steps)."""
        case = self.session.case
        require_int("n_steps", n_steps, 1)
        initial = np.array(case.states[start])
        before = initial.copy()
        try:
            states = as_numpy(self.run(initial, n_steps, seed))
        except (KeyboardInterrupt, Violation):
            raise
        except BaseException as error:
            raise Violation("contract", "raises", f"run raised {type(error).__name__}: {error}") from error
        if not np.array_equal(initial, before):
            raise Violation("contract", "modifies its input", "run changed the initial states it was given")
        like = np.broadcast_to(before[:, None, :], (len(start), n_steps, case.n_units))
        require_rows_like(states, like)
        found = case.index(states.reshape(-1, case.n_units)).reshape(len(start), n_steps)
        if (found < 0).any():
            c, t = np.argwhere(found < 0)[0]
            row = states[c, t].tolist()
            raise Violation("D9", "leaves the support", f"run returned {row} in chain {c} after {t + 1} steps")
        self.session.candidate.rows += found.size
        return np.concatenate([start[:, None], found], axis=1)

    def fresh(self, test: str, stage: int, chunk: int, chains_wanted: int, n_steps: int, seed: int) -> np.ndarray:
        """A run from new exact starts."""
        start = self.session.case.draw(chains_wanted, self.session.seeds.rng(test, stage, STARTS, chunk))
        return self(start, n_steps, seed)


def window_length(case: Case | TableCase, comparisons: float, within: bool) -> int:
    """The least L with comparisons * (chance of one agreement over L states) < 1e-12; LONGEST + 1 if there is none.

    >>> from ebm_ref.oracle import cases
    >>> window_length(cases.named("rbm_uniform"), 1.0, within=False)
    10
    """
    P, limit = case.P, CHANCE / comparisons
    if within:  # the most probable path, whatever came before
        best = np.ones(len(P))
        for length in range(1, LONGEST + 1):
            best = (P * best).max(axis=1)
            if best.max() < limit:
                return length
        return LONGEST + 1
    agree, law = P**2, np.ones(len(P))
    for length in range(1, LONGEST + 1):
        if float(case.pi**2 @ law) < limit:
            return length
        law = agree @ law
    return LONGEST + 1


def windows(recorder: Recorder) -> tuple[Diagnosis, ...]:
    """D8; the lengths are those at which a chance agreement is hopeless."""
    session, case, C = recorder.session, recorder.session.case, 16
    first = session.seeds.candidate("D8", 0)
    seeds = [s for s in dict.fromkeys(first + near for near in NEAR) if s < 2**31]
    session.seeds.given.update(seeds)
    guess = (C * len(seeds) * 4 * LONGEST) ** 2
    between, within = (window_length(case, guess, inside) for inside in (False, True))
    longest = max(between, within) if within <= LONGEST else between
    if longest > LONGEST:
        session.notes.append("not judged: windows shared by chains (this kernel is nearly deterministic)")
        return ()
    T = 2 * longest + 64
    records = [recorder.fresh("D8", 0, k, C, T, seed) for k, seed in enumerate(seeds)]
    shared = chains.windows_shared(np.concatenate(records)[:, 1:], between)
    words = {f"chains of seeds {seeds[a // C]} and {seeds[b // C]} share random numbers" for a, b in shared
             if a // C != b // C}  # fmt: skip
    words |= {"chains of one run share random numbers" for a, b in shared if a // C == b // C}
    if within <= LONGEST:
        halves = np.concatenate(records)[:, 1 : 1 + 2 * (T // 2)].reshape(-1, T // 2)
        same = [(a, b) for a, b in chains.windows_shared(halves, within) if a // 2 == b // 2]
        words |= {"a chain repeats itself: the same random numbers at every step" for _ in same[:1]}
    session.chance += 2 * CHANCE
    starts, next_states = (np.concatenate([r[:, k] for r in records]) for k in (0, 1))
    if case.P[starts, starts].prod() < CHANCE and np.array_equal(starts, next_states):
        words.add("a run repeats its initial state as its first record")
    again = recorder(records[0][:, 0], T, seeds[0])
    if not np.array_equal(again, records[0]):
        session.notes.append("not reproducible: the same seed gave another run; a replay is impossible")
    message = "; ".join(sorted(words)) or f"no two chains share a window of {between} states"
    verdict = "fail" if words else "pass"
    n = sum(r.size for r in records)
    session.results.append(Result("D8", verdict, message, n=n, seed=session.seed))
    return tuple(Diagnosis("D8", math.inf, word, True) for word in sorted(words))


def transitions(recorder: Recorder, alternatives: tuple[zoo.Alternative, ...]) -> None:
    """S7 and S8 on all steps, then S10 and S9 in stages with the null simulated from the observed first states."""
    session, case = recorder.session, recorder.session.case
    C, T = SHAPES[session.profile]
    limit = math.log(2.0 / session.alpha)
    record = recorder.fresh("S7", 0, 0, C, T, session.seeds.candidate("S7", 0))
    counts = counted(session, record)
    ratios = evalues.log_likelihood_ratios(counts, case.P, [a.P for a in alternatives])
    values = evalues.mixture_log_e(ratios), evalues.dirichlet_log_e(counts, case.P, session.law.labels)
    for test, value, words in zip(("S7", "S8"), values, ("known mistakes", "any other law"), strict=True):
        message = f"evidence for {words}: ln e = {value:.3g}, rejection from {limit:.3g}"
        verdict = "fail" if value >= limit else "pass"
        cells = session.cells(counts) if value >= limit else {}
        session.results.append(Result(test, verdict, message, log_e=value, n=int(counts.sum()), details=cells))
    if max(values) >= limit:
        return
    for test, df in (("S10", session.law.degrees["full"]), ("S9", len(case.pi) - 1)):

        def stage(n: int, j: int, test: str = test) -> Stage:
            few = max(2, n // T)
            record = recorder.fresh(test, j, 0, few, T, session.seeds.candidate(test, j))
            counted(session, record)
            found = chains.chain_test(record, session.law, case.pi, session.seeds.rng(test, j, NULL))
            return found[0] if test == "S10" else found[1]

        words = "steps along the chains" if test == "S10" else "states along the chains"
        session.run(test, max(df, 1), words, stage, C * T // 8)


def counted(session: Session, record: np.ndarray) -> np.ndarray:
    """Transitions of a record (S, S); D9 if one is impossible."""
    return session.tally(record[:, :-1].ravel(), record[:, 1:].ravel())


def independence(recorder: Recorder) -> None:
    """S13: ends of neighbouring chains, of chains half a run apart, and of one chain under seeds s and s + 1."""
    session, case = recorder.session, recorder.session.case
    C, _ = SHAPES[session.profile]
    S, product = len(case.pi), np.outer(case.pi, case.pi).ravel()

    def stage(n: int, j: int) -> Stage:
        tables = {name: np.zeros(S * S, dtype=np.int64) for name in ("neighbouring chains", "chains far apart",
                                                                     "one chain, two seeds")}  # fmt: skip
        calls = max(1, n // C)
        for k in range(calls):
            s = session.seeds.candidate("S13", j, k)
            ends = [recorder.fresh("S13", j, 2 * k + m, C, 8, min(s + m, 2**31 - 1))[:, -1] for m in (0, 1)]
            tables["neighbouring chains"] += chains.joint_counts(ends[0][0::2], ends[0][1::2], S).ravel()
            tables["chains far apart"] += chains.joint_counts(ends[1][: C // 2], ends[1][C // 2 :], S).ravel()
            tables["one chain, two seeds"] += chains.joint_counts(ends[0], ends[1], S).ravel()
        p, effects = {}, {}
        for k, (name, counts) in enumerate(tables.items()):
            n_pairs = int(counts.sum())  # mutual information: a wrong law is not called dependence
            rng = session.seeds.rng("S13", j, NULL, k)
            column = chains.interaction(pairs.row_null(rng, n_pairs, product, counts, MONTE_CARLO).reshape(-1, S, S))
            effects[name] = pairs.excess(column, n_pairs)
            p[name] = float((column >= column[0]).sum() / len(column))
        worst = min(p, key=lambda name: (p[name], -effects[name]))
        return Stage(min(1.0, len(p) * p[worst]), effects[worst], {"worst": worst, "p_values": p})

    session.run("S13", S * S - 1, "independence of chains", stage, 8 * C)
