"""The tests of a kernel, one function each: what is drawn, which statistic, which words.

Each takes the Session, draws its own data under its own seeds, and appends its Result.
"""

from __future__ import annotations

import math

import numpy as np

from ebm_ref.oracle import zoo
from ebm_ref.oracle.cases import Case, TableCase
from ebm_ref.oracle.checks.candidate import Violation
from ebm_ref.oracle.checks.session import Session
from ebm_ref.oracle.results import Result
from ebm_ref.oracle.statistics import chains, evalues, exact
from ebm_ref.oracle.statistics import pairs as pair_tests
from ebm_ref.oracle.statistics.seeds import NULL, STARTS, TIES
from ebm_ref.oracle.statistics.sequential import (
    GROWTH,
    ROWS_PER_CALL,
    STAGES,
    Stage,
    evidence_noncentrality,
    noncentrality,
    stage_level,
)

SINGLE_ROWS = 2**10
LUMPS = 16
RANK_LENGTH = 8


def pairs(session: Session) -> None:
    """S1 with the e-processes S7 and S8 on the same transitions: half of the level for S1, a quarter for each of them.

    The e-processes look after a sixteenth of the first stage, then after every call, and end the test if they are
    sure (unless every test has to run to its end); S1 looks after every stage.
    """
    half = session.alpha / 2
    limit = math.log(4.0 / session.alpha)
    gamma = stage_level(half)
    enough = noncentrality(max(session.law.degrees["full"], 1), half) if session.foregone else math.inf
    alternatives = zoo.alternatives(session.case)
    total = np.zeros_like(session.counts)
    stages: list[Stage] = []
    sizes: list[int] = []
    log_e = (-math.inf, -math.inf)
    try:
        for stage in range(STAGES):
            n = session.n0 * GROWTH**stage
            counts = np.zeros_like(total)
            for chunk, rows in session.chunks(n, first=session.n0 // 16 if stage == 0 else 0):
                starts = session.stationary("S1", stage, chunk, rows)
                drawn = session.tally(starts, session.moved(starts, "S1", stage, chunk))
                counts, total = counts + drawn, total + drawn
                log_e = e_values(total, session, alternatives, log_e)
                if max(log_e) >= limit and not session.complete:
                    break
            if max(log_e) >= limit and not session.complete:
                break
            stages.append(pair_tests.pair_test(counts, session.law, session.seeds.rng("S1", stage, NULL)))
            sizes.append(n)
            if stages[-1].p_value > gamma or n * stages[-1].effect ** 2 >= enough:
                break
    except Violation as violation:
        session.violated(violation, " (during S1)")
        return
    pair_results(session, stages, gamma, log_e, limit, total, enough)


def e_values(
    counts: np.ndarray, session: Session, alternatives: tuple[zoo.Alternative, ...], before: tuple[float, float]
) -> tuple[float, float]:
    """ln e of S7 and of S8; once over the limit they stay there."""
    limit = math.log(4.0 / session.alpha)
    ratios = evalues.log_likelihood_ratios(counts, session.case.P, [a.P for a in alternatives])
    now = evalues.mixture_log_e(ratios), evalues.dirichlet_log_e(counts, session.case.P, session.law.labels)
    s7, s8 = (max(was, value) if was >= limit else value for was, value in zip(before, now, strict=True))
    return s7, s8


def pair_results(
    session: Session,
    stages: list[Stage],
    gamma: float,
    log_e: tuple[float, float],
    limit: float,
    total: np.ndarray,
    enough: float,
) -> None:
    """The Results of S7, S8 and S1."""
    n, half = int(total.sum()), session.alpha / 2
    e_results(session, log_e, limit, total)
    faces = session.law.degrees
    detectable = {
        f: math.sqrt(noncentrality(max(df, 1), half, parts=len(faces)) / session.n0) for f, df in faces.items()
    }
    if stages:
        last_n = session.n0 * GROWTH ** (len(stages) - 1)
        doubtless = last_n * stages[-1].effect ** 2 >= enough
        rejected = (len(stages) == STAGES or doubtless) and stages[-1].p_value <= gamma
        last, verdict, p_value = stages[-1], "fail" if rejected else "pass", stages[-1].p_value
        p_values = ", ".join(f"{s.p_value:.3g}" for s in stages)
        words = f"rejected in {len(stages)} independent stages" if rejected else "as claimed"
        message = f"transitions (x, x') {words} (p = {p_values})"
    else:
        last = pair_tests.pair_test(total, session.law, session.seeds.rng("S1", 0, NULL))
        verdict, p_value = "skip", None
        message = f"not needed: the e-processes rejected after {n} transitions; effect about {last.effect:.2g}"
    session.results.append(
        Result(
            "S1",
            verdict,
            message,
            p_value=p_value,
            effect=last.effect,
            smallest_detectable_effect=detectable["full"],
            n=n,
            seed=session.seed,
            replay=session.replay("S1"),
            details=last.details
            | {"detectable": detectable, "gamma": gamma, "effect_unit": "chi-distance"}
            | {"stages": [s.p_value for s in stages]}
            | session.cells(total),
        )
    )


def e_results(session: Session, log_e: tuple[float, float], limit: float, total: np.ndarray) -> None:
    """The Results of S7 and S8; the first that fails carries the pictures."""
    cells = session.cells(total) if max(log_e) >= limit else {}
    level, mistakes, df = session.alpha / 4, max(1, len(zoo.alternatives(session.case))), session.law.degrees["lumped"]
    seen = {
        "S7": evidence_noncentrality(1, level, n_mistakes=mistakes),
        "S8": evidence_noncentrality(max(df, 1), level),
    }
    for test, value, words in (("S7", log_e[0], "known mistakes"), ("S8", log_e[1], "any other law")):
        failed = value >= limit
        session.results.append(
            Result(
                test,
                "fail" if failed else "pass",
                f"evidence for {words}: ln e = {value:.3g}, rejection from {limit:.3g}",
                log_e=value,
                smallest_detectable_effect=math.sqrt(seen[test] / session.n0),
                n=int(total.sum()),
                seed=session.seed,
                replay=session.replay(test),
                details=cells if failed else {},
            )
        )
        cells = {} if failed else cells


def single_rows(session: Session) -> None:
    """S1 with one row a call: seeding by call, and batches of one."""

    def stage(n: int, j: int) -> Stage:
        counts = np.zeros_like(session.counts)
        starts = session.stationary("S1 single", j, 0, n)
        for k, start in enumerate(starts):
            begin = np.array([start])
            counts += session.tally(begin, session.moved(begin, "S1 single", j, k))
        return pair_tests.pair_test(counts, session.law, session.seeds.rng("S1 single", j, NULL))

    df = session.law.degrees["full"]
    session.run("S1 single", max(df, 1), "transitions of one row a call", stage, SINGLE_ROWS, growth=1, parts=4)


def per_start(session: Session, test: str, each: int, j: int) -> np.ndarray:
    """Counts (S, S) of ``each`` transitions from every state."""
    S = len(session.case.pi)
    counts = np.zeros_like(session.counts)
    block = max(1, ROWS_PER_CALL // S)
    done = chunk = 0
    while done < each:
        now = min(block, each - done)
        starts = np.repeat(np.arange(S), now)
        counts += session.tally(starts, session.moved(starts, test, j, chunk))
        done, chunk = done + now, chunk + 1
    return counts


def rows(session: Session) -> None:
    """S2: every state, rare ones too, as a fixed start."""
    each = max(2**7, session.n0 // 32)
    P = session.case.P

    def stage(n: int, j: int) -> Stage:
        counts = per_start(session, "S2", n, j)
        return pair_tests.row_test(counts, P, session.seeds.rng("S2", j, NULL))

    df = max(1, int((P > 0).sum(axis=1).max()) - 1)
    session.run("S2", df, "next states from every start", stage, each, parts=len(P))


def units(session: Session) -> None:
    """S6: each unit given each start, exact binomials."""
    each = max(2**7, session.n0 // 32)

    def stage(n: int, j: int) -> Stage:
        return exact.unit_test(per_start(session, "S6", n, j), session.case.P, session.case.states)

    values = session.case.values
    cells = len(session.case.pi) * session.case.n_units * (len(values) - 1)
    session.run("S6", 1, "rate of each unit from every start", stage, each, parts=cells)


def reversible_space(case: Case | TableCase) -> str | None:
    """Where the case's kernel has a symmetric flow: "joint", "visible" or None."""
    if case.reversible:
        return "joint"
    if case.n_hidden:
        group = visible_group(case)
        flow = np.zeros((group.max() + 1,) * 2)
        np.add.at(flow, (group[:, None], group[None, :]), case.pi[:, None] * case.P)
        if len(flow) > 1 and np.all(np.abs(flow - flow.T) <= 1e-8 * (flow + flow.T)):
            return "visible"
    return None


def visible_group(case: Case | TableCase) -> np.ndarray:
    """A label (S,) for the visible part of each state."""
    return np.unique(case.states[:, : case.n_visible], axis=0, return_inverse=True)[1].reshape(-1)


def symmetry(session: Session) -> None:
    """S4: as many i -> j as j -> i."""
    case = session.case
    space = reversible_space(case)
    group = np.arange(len(case.pi)) if space == "joint" else visible_group(case)
    size = int(group.max()) + 1

    def stage(n: int, j: int) -> Stage:
        counts = session.transitions("S4", j, n)
        merged = np.zeros((size, size), dtype=np.int64)
        np.add.at(merged, (group[:, None], group[None, :]), counts)
        return exact.symmetry_test(merged, session.seeds.rng("S4", j, NULL))

    df = max(1, size * (size - 1) // 2)
    session.run("S4", df, f"symmetry of the flow between {space} states", stage, session.n0, parts=2)


def invariance(session: Session) -> None:
    """S3: the law after one and after three steps."""
    case = session.case

    def stage(n: int, j: int) -> Stage:
        ends = np.zeros((2, len(case.pi)), dtype=np.int64)
        for chunk, size in session.chunks(n):
            states = session.stationary("S3", j, chunk, size)
            for m in range(3):
                moved = session.moved(states, "S3", j, 3 * chunk + m)
                session.tally(states, moved)
                if m in (0, 2):
                    ends[m // 2] += np.bincount(moved, minlength=len(case.pi))
                states = moved
        return law_stage(session, ends, j)

    session.run("S3", max(1, len(case.pi) - 1), "law after 1 and 3 steps", stage, session.n0, parts=2)


def law_stage(session: Session, ends: np.ndarray, j: int) -> Stage:
    """Twice the smaller p-value: the two laws come from the same chains."""
    p_values, effects = [], []
    for k, counts in enumerate(ends):
        column, effect = pair_tests.law_test(counts, session.case.pi, session.seeds.rng("S3", j, NULL, k))
        p_values.append(float((column >= column[0]).sum() / len(column)))
        effects.append(effect)
    return Stage(min(1.0, 2.0 * min(p_values)), max(effects), {"p_values": p_values})


def moments(session: Session) -> None:
    """S12: means, products and energy after one step."""
    case = session.case
    f, names = pair_tests.features(case.states, case.energies)

    def stage(n: int, j: int) -> Stage:
        counts = session.transitions("S12", j, n).sum(axis=0)
        return pair_tests.moment_test(counts, case.pi, f, names, session.seeds.rng("S12", j, NULL))

    session.run("S12", 1, "means, pair products and energy after one step", stage, session.n0, parts=len(names))


def independence(session: Session) -> None:
    """S13: neighbouring rows, rows half a batch apart, the same row of two calls, and the spread over calls."""
    case = session.case
    start = int(np.argmin((case.P**2).sum(axis=1)))
    S = len(case.pi)
    stage_level(session.alpha, parts=12)

    def stage(n: int, j: int) -> Stage:
        calls = max(32, 2 * math.ceil(n / ROWS_PER_CALL))
        size = 4 * max(1, n // (4 * calls))
        begin = np.full(size, start)
        ends = []
        for k in range(calls):
            ends.append(session.moved(begin, "S13", j, k))
            session.tally(begin, ends[-1])
        Y = np.array(ends)
        half = size // 2
        tables = {
            "neighbouring rows": chains.joint_counts(Y[:, 0::2].ravel(), Y[:, 1::2].ravel(), S),
            "rows half a batch apart": chains.joint_counts(Y[:, :half].ravel(), Y[:, half:].ravel(), S),
            "same row of two calls": chains.joint_counts(Y[0::2].ravel(), Y[1::2].ravel(), S),
        }
        counts = np.array([np.bincount(y, minlength=S) for y in Y])
        rng = session.seeds.rng("S13", j, NULL)
        return chains.independence_test(tables, counts, case.states, case.P[start], rng)

    support = int((case.P[start] > 0).sum())
    session.run("S13", max(1, support**2 - 1), "independence of rows and calls", stage, session.n0, parts=6)


def sharing(session: Session) -> None:
    """S13 when the law is known to be wrong: the null by permuting, on the states lumped into LUMPS."""
    start = int(np.argmin((session.case.P**2).sum(axis=1)))

    def stage(n: int, j: int) -> Stage:
        size = max(4, n // 128 * 4)
        Y = np.array([session.moved(np.full(size, start), "S13", j, k) for k in range(32)]) % LUMPS
        tables = {
            "neighbouring rows": chains.joint_counts(Y[:, 0::2].ravel(), Y[:, 1::2].ravel(), LUMPS),
            "spread over calls": np.array([np.bincount(y, minlength=LUMPS) for y in Y]),
        }
        return chains.dependence(tables, session.seeds.rng("S13", j, NULL))

    session.run("S13", LUMPS**2 - 1, "independence of rows and calls", stage, session.n0, parts=2)


def ranks(session: Session) -> None:
    """S5: the rank of the start among the states of a chain run forwards and backwards from it."""
    case = session.case
    f = np.column_stack([case.energies, case.states @ np.sqrt(np.arange(2.0, 2.0 + case.n_units))])
    if reversible_space(case) == "visible":
        weights = np.sqrt(np.arange(2.0, 2.0 + case.n_visible))
        f = (case.states[:, : case.n_visible] @ weights)[:, None]

    def stage(n: int, j: int) -> Stage:
        found = []
        for chunk, size in session.chunks(n):
            found.append(start_ranks(session, f, size, j, chunk))
        return exact.rank_test(np.concatenate(found), RANK_LENGTH, session.seeds.rng("S5", j, NULL))

    n0 = max(2**10, session.n0 // 8)
    session.run("S5", RANK_LENGTH - 1, "rank of the start in a two-sided chain", stage, n0, parts=f.shape[1])


def start_ranks(session: Session, f: np.ndarray, size: int, j: int, chunk: int) -> np.ndarray:
    """Ranks (size, F): position M uniform, M steps one way and the others the other way."""
    rng = session.seeds.rng("S5", j, TIES, chunk)
    start = session.case.draw(size, session.seeds.rng("S5", j, STARTS, chunk))
    position = rng.integers(0, RANK_LENGTH, size)
    path = np.empty((size, RANK_LENGTH), dtype=np.int64)
    path[np.arange(size), position] = start
    for way, call in ((1, 0), (-1, RANK_LENGTH)):
        state = start
        for m in range(1, RANK_LENGTH):
            state = session.moved(state, "S5", j, 2 * RANK_LENGTH * chunk + call + m)
            where = position + way * m
            inside = (where >= 0) & (where < RANK_LENGTH)
            path[np.flatnonzero(inside), where[inside]] = state[inside]
    columns = [exact.ranks_with_ties(values[path], position, rng) for values in f.T]
    return np.column_stack(columns)
