"""The tests of a continuous kernel, one function each.

C3  the law of one step from fixed starts, over cells, with the e-processes S7 (known mistakes) and S8 (anything else)
C4  rows from the exact law still follow it after one and five steps: bins of functions of x', two samples for others
C5  as much flow from f(x) to f(x') as back, for kernels that are reversible
S13 rows and calls are independent
"""

from __future__ import annotations

import math

import numpy as np

from ebm_ref.oracle.checks.candidate import Violation
from ebm_ref.oracle.continuous.cases import REVERSIBLE
from ebm_ref.oracle.continuous.laws import CellLaw
from ebm_ref.oracle.continuous.session import ContinuousSession, worst_part
from ebm_ref.oracle.continuous.targets import Mixture
from ebm_ref.oracle.results import Result
from ebm_ref.oracle.statistics import chains, evalues, exact
from ebm_ref.oracle.statistics.continuous import BINS, cell_test, column_test, two_sample_test
from ebm_ref.oracle.statistics.residuals import bins_of
from ebm_ref.oracle.statistics.seeds import NULL, STARTS
from ebm_ref.oracle.statistics.sequential import GROWTH, ROWS_PER_CALL, STAGES, Stage, noncentrality, stage_level

Array = np.ndarray
SINGLE_ROWS, STEPS, FLOW_BINS, TWO_SAMPLE = 2**10, (1, 5), 12, 2**15


def cell_counts(session: ContinuousSession, law: CellLaw, test: str, stage: int, chunk: int, rows: int) -> Array:
    """Counts (S, C) of about ``rows`` transitions from the starts of the law, as many from each."""
    S = len(law.starts)
    each = max(rows // S, 1)
    x = np.repeat(law.starts, each, axis=0)
    y = session.move(x, test, stage, chunk).reshape(S, each, -1)
    found = [np.bincount(law.index(s, y[s]), minlength=law.P.shape[1]) for s in range(S)]
    counts = np.array(found)
    if len(forbidden := np.argwhere((counts > 0) & (law.P <= 0))):
        s, c = forbidden[0]
        words = (
            f"{counts[s, c]} of {each} rows stayed at {law.starts[s].tolist()}, which {session.case.kernel} never does"
        )
        raise Violation("D9", "impossible transition", words)
    return counts


def degrees(law: CellLaw) -> int:
    """Degrees of freedom of counts over the cells of all starts."""
    return max(1, int(((law.P > 0).sum(axis=1) - 1).sum()))


def one_step(session: ContinuousSession, law: CellLaw, wrong: tuple[Array, ...]) -> None:
    """C3 with S7 and S8 on the same transitions: half of the level for C3, a quarter for each of them."""
    half = session.alpha / 2
    limit, gamma = math.log(4.0 / session.alpha), stage_level(half)
    enough = noncentrality(degrees(law), half) if session.foregone else math.inf
    total = np.zeros(law.P.shape, dtype=np.int64)
    stages: list[Stage] = []
    log_e, certain = (-math.inf, -math.inf), False
    try:
        for stage in range(STAGES):
            counts = np.zeros_like(total)
            first = session.n0 // 16 if stage == 0 else 0
            for chunk, rows in session.chunks(session.n0 * GROWTH**stage, first=first):
                drawn = cell_counts(session, law, "C3", stage, chunk, rows)
                counts, total = counts + drawn, total + drawn
                ratios = evalues.log_likelihood_ratios(total, law.P, wrong)
                now = evalues.mixture_log_e(ratios), evalues.dirichlet_log_e(total, law.P, np.arange(len(law.P)))
                log_e = tuple(max(a, b) if a >= limit else b for a, b in zip(log_e, now, strict=True))  # type: ignore[assignment]
                if max(log_e) >= limit and not session.complete:
                    break
            if max(log_e) >= limit and not session.complete:
                break
            stages.append(cell_test(counts, law.P, law.units, session.seeds.rng("C3", stage, NULL)))
            certain = counts.sum() * stages[-1].effect ** 2 >= enough
            if stages[-1].p_value > gamma or certain:
                break
    except Violation as violation:
        session.violated(violation, " (during C3)")
        return
    session.counts = total
    rejected = bool(stages) and stages[-1].p_value <= gamma and (len(stages) == STAGES or certain)
    one_step_results(session, law, stages, rejected, log_e, total)


def one_step_results(
    session: ContinuousSession,
    law: CellLaw,
    stages: list[Stage],
    rejected: bool,
    log_e: tuple[float, float],
    total: Array,
) -> None:
    """The Results of S7, S8 and C3."""
    half, limit, n = session.alpha / 2, math.log(4.0 / session.alpha), int(total.sum())
    pictures = cell_pictures(law, total)
    common = {"n": n, "seed": session.seed}
    for test, value, words in (("S7", log_e[0], "known mistakes"), ("S8", log_e[1], "any other law")):
        failed = value >= limit
        words = f"evidence for {words}: ln e = {value:.3g}, rejection from {limit:.3g}"
        session.results.append(
            Result(test, "fail" if failed else "pass", words, log_e=value, replay=session.replay(test),
                   details=pictures if failed else {}, **common)
        )  # fmt: skip
    p_value: float | None = None
    if stages:
        last, verdict, p_value = stages[-1], "fail" if rejected else "pass", stages[-1].p_value
        p_values = ", ".join(f"{s.p_value:.3g}" for s in stages)
        how = f"rejected in {len(stages)} independent stages" if rejected else "as claimed"
        message = f"law of one step from {len(law.starts)} fixed starts {how} (p = {p_values})"
    else:
        last, verdict = cell_test(total, law.P, law.units, session.seeds.rng("C3", 0, NULL)), "skip"
        message = f"not needed: the e-processes rejected after {n} transitions; effect about {last.effect:.2g}"
    detectable = math.sqrt(noncentrality(degrees(law), half) / session.n0)
    details = last.details | {"effect_unit": "chi-distance", "stages": [s.p_value for s in stages]} | pictures
    session.results.append(
        Result("C3", verdict, message, p_value=p_value, effect=last.effect, smallest_detectable_effect=detectable,
               replay=session.replay("C3"), details=details, **common)
    )  # fmt: skip


def cell_pictures(law: CellLaw, counts: Array) -> dict[str, object]:
    """The worst cells and the ratio plot of counts (S, C)."""
    if not counts.sum():
        return {}
    expected = counts.sum(axis=1, keepdims=True) * law.P
    scale = np.sqrt(np.maximum(expected * (1 - law.P), 1e-12))
    z = np.where(expected > 1e-9, np.abs(counts - expected) / np.maximum(scale, 0.3), 0.0)
    order = np.argsort(-z, axis=None)[:12]
    worst = [
        [cell_label(law, int(s), int(c)), int(counts[s, c]), float(expected[s, c])]
        for s, c in zip(*np.unravel_index(order, z.shape), strict=True)
    ]
    shown = np.argwhere(expected >= 20)[:300]
    e, c, sd = (m[tuple(shown.T)] for m in (expected, counts, scale))
    ratio = {"x": e.round(3).tolist(), "y": (c / e).round(5).tolist(), "sd": (sd / e).round(6).tolist()}
    return {"cells": worst, "ratio": ratio if len(shown) else None}


def cell_label(law: CellLaw, s: int, c: int) -> str:
    """A start and a cell in words."""
    start = ", ".join(f"{v:.3g}" for v in law.starts[s])
    if c == 0:
        return f"({start}) -> stays"
    unit = law.units[c]
    place = ", ".join(f"{v:+.2g} sd" for v in unit[: law.case.n_visible])
    hidden = "".join(str(int(v)) for v in unit[law.case.n_visible :])
    return f"({start}) -> noise near {place}" + (f", h = {hidden}" if hidden else "")


def single_rows(session: ContinuousSession, law: CellLaw) -> None:
    """C3 with one row a call: seeding by call, and batches of one."""

    def stage(n: int, j: int) -> Stage:
        S = len(law.starts)
        counts = np.zeros(law.P.shape, dtype=np.int64)
        for k in range(n):
            y = session.move(law.starts[k % S][None], "C3 single", j, k)
            counts[k % S, law.index(k % S, y)[0]] += 1
        return cell_test(counts, law.P, law.units, session.seeds.rng("C3 single", j, NULL))

    session.measure("C3 single", "law of one step, one row a call", stage, SINGLE_ROWS, df=degrees(law), growth=1)


def extra_functions(session: ContinuousSession, rows: Array) -> tuple[Array, list[str]]:
    """Functions (n, f) whose law has no closed form: energy, Stein's x.g(x), the likeliest component."""
    v = rows[:, : session.case.n_visible]
    target = session.case.target
    columns, names = [target.energy(v), (v * target.gradient(v)).sum(axis=1)], ["energy", "x.g(x)"]
    if isinstance(target, Mixture) and len(target.weights) > 1:
        columns.append(target.responsibilities(v)[:, 0])
        names.append("first component")
    return np.column_stack(columns), names


def conservation(session: ContinuousSession) -> None:
    """C4: the law after 1 and 5 steps, and the same against fresh exact rows for functions without a closed form."""
    names = session.case.uniforms(session.case.starts)[1]
    extra = extra_functions(session, session.case.starts)[1]

    def stage(n: int, j: int) -> Stage:
        counts = np.zeros((len(STEPS), len(names), BINS), dtype=np.int64)
        ends: list[Array] = []
        for chunk, rows in session.chunks(n):
            x = session.exact_rows("C4", j, chunk, rows)
            for m in range(max(STEPS)):
                y = session.move(x, "C4", j, max(STEPS) * chunk + m)
                if m == 0:
                    session.keep(x, y)
                x = session.candidate.rounded(y)
                if m + 1 in STEPS:
                    u = session.case.uniforms(x)[0]
                    for f in range(len(names)):
                        counts[STEPS.index(m + 1), f] += np.bincount(bins_of(u[:, f], BINS), minlength=BINS)
            if sum(map(len, ends)) < TWO_SAMPLE:
                ends.append(x[:TWO_SAMPLE])
        return conservation_stage(session, counts, np.concatenate(ends)[:TWO_SAMPLE], j)

    parts = len(STEPS) * len(names) + len(extra)
    session.measure("C4", "law after 1 and 5 steps", stage, session.n0, df=BINS - 1, parts=parts)


def conservation_stage(session: ContinuousSession, counts: Array, ends: Array, j: int) -> Stage:
    """Bonferroni over functions and numbers of steps."""
    names = session.case.uniforms(session.case.starts)[1]
    parts, effects = {}, []
    for k, m in enumerate(STEPS):
        for f, name in enumerate(names):
            rng = session.seeds.rng("C4", j, NULL, len(names) * k + f)
            p, effect = column_test(counts[k, f], rng)
            parts[f"{name} after {m} steps"] = p
            effects.append(effect)
    fresh = session.case.draw(len(ends), session.seeds.rng("C4 fresh", j, STARTS))
    (first, extra), (second, _) = extra_functions(session, ends), extra_functions(session, fresh)
    for f, name in enumerate(extra):
        parts[f"{name} against fresh rows"] = two_sample_test(
            first[:, f], second[:, f], session.seeds.rng("C4 fresh", j, NULL, f)
        )[0]
    return worst_part(parts, max(effects))


def flow_columns(session: ContinuousSession, rows: Array) -> Array:
    """Uniforms on which the kernel is reversible: of v alone for block Gibbs."""
    columns = session.case.uniforms(rows)[0]
    if session.case.kernel in REVERSIBLE or not session.case.joint:
        return columns
    return columns[:, : -session.case.n_visible]


def symmetry(session: ContinuousSession) -> None:
    """C5: tables of (bin of f(x), bin of f(x')) are symmetric."""
    width = flow_columns(session, session.case.starts).shape[1]

    def stage(n: int, j: int) -> Stage:
        counts = np.zeros((width, FLOW_BINS, FLOW_BINS), dtype=np.int64)
        for _, x, y in session.transitions("C5", j, n):
            before, after = (bins_of(flow_columns(session, r), FLOW_BINS) for r in (x, y))
            for f in range(width):
                code = before[:, f] * FLOW_BINS + after[:, f]
                counts[f] += np.bincount(code, minlength=FLOW_BINS**2).reshape(FLOW_BINS, FLOW_BINS)
        found = [exact.symmetry_test(counts[f], session.seeds.rng("C5", j, NULL, f)) for f in range(width)]
        parts = {f"f{f}": stage.p_value for f, stage in enumerate(found)}
        return worst_part(parts, max(stage.effect for stage in found))

    df = FLOW_BINS * (FLOW_BINS - 1) // 2
    session.measure("C5", "symmetry of the flow", stage, session.n0, df=df, parts=width)


def independence(session: ContinuousSession) -> None:
    """S13: neighbouring rows, rows half a batch apart, the same row of two calls, and the spread over calls.

    All rows start at one place; its next states are told apart by 16 bins of their rank among those of one more call,
    and by whether they moved.
    """
    start = session.case.starts[len(session.case.starts) // 3]
    stage_level(session.alpha, parts=12)

    def stage(n: int, j: int) -> Stage:
        calls = max(32, 2 * math.ceil(n / ROWS_PER_CALL))
        size = 4 * max(1, n // (4 * calls))
        begin = np.tile(start, (size, 1))
        direction = np.sqrt(np.arange(2.0, 2.0 + session.case.n_units))
        scout = session.move(np.tile(start, (2**12, 1)), "S13 scout", j, 0) @ direction
        edges = np.unique(np.quantile(scout, np.arange(1, 16) / 16))
        Y = np.zeros((calls, size), dtype=np.int64)
        for k in range(calls):
            end = session.move(begin, "S13", j, k)
            moved = (end != begin).any(axis=1)
            Y[k] = np.where(moved, 1 + np.searchsorted(edges, end @ direction, side="right"), 0)
        S, half = len(edges) + 2, size // 2
        tables = {
            "neighbouring rows": chains.joint_counts(Y[:, 0::2].ravel(), Y[:, 1::2].ravel(), S),
            "rows half a batch apart": chains.joint_counts(Y[:, :half].ravel(), Y[:, half:].ravel(), S),
            "same row of two calls": chains.joint_counts(Y[0::2].ravel(), Y[1::2].ravel(), S),
            "spread over calls": np.array([np.bincount(y, minlength=S) for y in Y[:64]]),
        }
        return chains.dependence(tables, session.seeds.rng("S13", j, NULL))

    session.measure("S13", "independence of rows and calls", stage, session.n0, df=225, parts=4, scale=math.sqrt(2.0))
