"""Random numbers: a kernel fed with given uniforms, and a generator of streams.

D5   x' = f(x, u), u (n, d), column i for unit i: a unit is up exactly if u_i < p(up | units already drawn, others old).
     Judged at u = 0, at p (1 -+ 2^-30), at u = 1/2 where p is exactly 1/2, and at u = 1 - 2^-53
D8   no two streams, and no two halves of one, share a window of values; neighbouring seeds included
R1   0 <= u < 1; G of the leading byte and of the next one; mutual information of leading half-bytes, of neighbours in a
     stream and of one place in two streams; calibrated by simulation, Bonferroni over the parts

R0   certify only: u = 1 does not turn up in 2^27 numbers

D5 sees what no sampling does: u <= p for u < p, the last unit's uniform unused, a stream consumed in another order.
A shared window of 4 values of 53 bits has chance 2^-212 a pair, of 24 bits 2^-96.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from ebm_ref.errors import require_choice
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks_matrix import replay_line
from ebm_ref.oracle.deterministic import (
    Alternative,
    CandidateError,
    ask,
    exact_report,
    explain,
    name_of,
    refused,
    state_label,
    value_result,
)
from ebm_ref.oracle.results import Diagnosis, Report, Result
from ebm_ref.oracle.statistics.chains import interaction, windows_shared
from ebm_ref.oracle.statistics.pairs import excess, law_test, row_null
from ebm_ref.oracle.statistics.seeds import NULL, Seeds
from ebm_ref.oracle.statistics.sequential import (
    GROWTH,
    MONTE_CARLO,
    Stage,
    level_of_each,
    noncentrality,
    sequential_test,
)

INVERTIBLE = ("block_gibbs", "gibbs")
NEAR, LAST = 2.0**-30, 1.0 - 2.0**-53
STREAM_SIZES = {"smoke": 2**14, "ci": 2**17, "nightly": 2**20, "certify": 2**23}
N_STREAMS, WINDOW = 8, 4
FINE, FINE_CALL = 2**27, 2**19  # numbers of the search for u = 1, and of one stream in one call

# given uniforms -------------------------------------------------------------------------------------------------------


def check_given_uniforms(f: Callable[..., Any], case: Case) -> Report:
    """Does ``f(states, u)`` turn uniforms into the right draws, one column of u (n, d) a unit, up if u < p?

    For block Gibbs and systematic-scan Gibbs.  Deterministic (D5); ``u <= p`` shows where a probability is exactly 1/2,
    so use the case ``rbm_uniform`` too.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_4x2")
    >>> def draw(states, u):
    ...     x, nv = states[:, :4], 4
    ...     h = u[:, nv:] < 1 / (1 + np.exp(-(case.b + x @ case.W)))
    ...     x = u[:, :nv] < 1 / (1 + np.exp(-(case.a + h @ case.W.T)))
    ...     return np.hstack([x, h])
    >>> check_given_uniforms(draw, case).passed
    True
    >>> check_given_uniforms(lambda s, u: draw(s, u[:, ::-1]), case).diagnosis[0].description
    'columns of u reversed'
    """
    require_choice("case.kernel", case.kernel, INVERTIBLE)
    replay = replay_line("check_given_uniforms", case)
    states, u, reference = probes(case)
    labels = [f"unit {i} from {state_label(case, s)}, u = {v:.17g}" for s, row in zip(states, u, strict=True)
              for i, v in enumerate(row)]  # fmt: skip
    try:
        answer = ask(f, [states, u], states.shape)
        alone = np.concatenate([ask(f, [states[i : i + 1], u[i : i + 1]], (1, case.n_units)) for i in range(32)])
    except CandidateError as error:
        return exact_report(f, case, [refused("D5", error, replay)])
    one = np.ones(states.shape)
    results = [
        value_result("D5", answer, reference, one, labels, replay),
        value_result("D6", alone, answer[:32].astype(np.float64), one[:32], labels, replay),
    ]
    return exact_report(f, case, results, explain(answer, reference, one, lambda: wrong_draws(case, states, u)))


def probes(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts (n, d), uniforms (n, d) at the edges, and the right answers (n, d): 16 times every start."""
    rng = np.random.default_rng(0)
    states = np.tile(case.states, (16, 1))
    u, new = np.full(states.shape, 0.5), states.copy()
    down, up = case.values
    for i in scan_order(case):
        p = up_probability(case, new, i)
        edges = np.array([np.zeros_like(p), p * (1 - NEAR), p + NEAR * (1 - p), np.full_like(p, LAST), 0.5 + 0 * p])
        half = np.abs(p - 0.5) < 1e-15
        legal = np.array([p > 1e-300, p > 1e-300, p < 1 - 1e-6, p < 1 - 1e-12, half | (np.abs(p - 0.5) > 1e-6)])
        pick = np.argmax(legal * rng.random(legal.shape), axis=0)
        u[:, i] = edges[pick, np.arange(len(p))]
        new[:, i] = np.where(u[:, i] < np.where(half, 0.5, p), up, down)
    return states, u, new


def scan_order(case: Case) -> list[int]:
    """Hidden units first."""
    return [i for i in case.free if i >= case.n_visible] + [i for i in case.free if i < case.n_visible]


def up_probability(case: Case, states: np.ndarray, i: int) -> np.ndarray:
    """p(unit i up | the others) of each row."""
    gain = 1.0 if case.units == "01" else 2.0
    return special.expit(gain * (case.c[i] + states @ case.J[i]))


def wrong_draws(case: Case, states: np.ndarray, u: np.ndarray) -> list[Alternative]:
    """The same draws with one thing wrong."""
    order = scan_order(case)

    def drawn(
        v: np.ndarray,
        sites: list[int] = order,
        stale: bool = False,
        at_most: bool = False,
        round_p: Callable[[np.ndarray], np.ndarray] = np.asarray,
    ) -> np.ndarray:
        new = states.copy()
        for i in sites:
            p = round_p(up_probability(case, states if stale else new, i))
            new[:, i] = np.where((v[:, i] <= p) if at_most else (v[:, i] < p), *case.values[::-1])
        return new

    scanned = u.copy()
    scanned[:, order] = u[:, : len(order)]
    saturated = drawn(u, round_p=lambda p: np.where(p.astype(np.float32) == 1.0, 1.0, p))
    coarse = np.floor(u * 2.0**24)
    never, often = "p < 2^-25 never drawn", "p < 2^-24 drawn too often"
    return [
        Alternative("at_most", "u <= p for u < p: right only for u in (0, 1]", drawn(u, at_most=True)),
        Alternative("complement", "1 - u < p for u < p", drawn(1.0 - u)),
        Alternative("columns_reversed", "columns of u reversed", drawn(u[:, ::-1])),
        Alternative("scan_columns", "columns of u taken in the order of the scan", drawn(scanned)),
        Alternative("columns_shifted", "column i + 1 for unit i", drawn(np.roll(u, -1, axis=1))),
        Alternative("one_uniform", "column 0 for all units", drawn(np.repeat(u[:, :1], u.shape[1], axis=1))),
        Alternative("stale", "all units from the old state", drawn(u, stale=True)),
        Alternative("visible_first", "visible units first", drawn(u, sorted(order))),
        Alternative("last_never", "last unit of the scan never drawn", drawn(u, order[:-1])),
        Alternative("float32", "u rounded to float32", drawn(u.astype(np.float32).astype(float))),
        Alternative("float32_p", "p rounded to float32", drawn(u, round_p=lambda p: p.astype(np.float32))),
        Alternative("saturated", "p is 1 above logit 17", saturated),
        Alternative("bits_24", f"u truncated to 24 bits: {often}", drawn(coarse / 2.0**24)),
        Alternative("bits_24_centred", f"u in the middle of 2^24 cells: {never}", drawn((coarse + 0.5) / 2.0**24)),
    ]


# streams --------------------------------------------------------------------------------------------------------------


def check_streams(f: Callable[[int, int, int], Any], *, profile: str = "ci", seed: int = 0) -> Report:
    """Are these independent streams of uniforms?  f(seed, n_streams, n) -> (n_streams, n) in [0, 1), float64 or 32.

    Tests of sanity and of seeding, for generators that are new or newly wired: the range, reproducibility, shared
    windows between streams, halves and neighbouring seeds (D8), and bytes, neighbours and pairs across streams (R1).
    They do not replace PractRand or TestU01.  P(any failure | correct) <= 1e-6.

    >>> good = lambda seed, c, n: np.random.default_rng(seed).random((c, n))
    >>> check_streams(good, profile="smoke").passed
    True
    >>> same = lambda seed, c, n: np.tile(np.random.default_rng(seed).random(n), (c, 1))
    >>> check_streams(same, profile="smoke").diagnosis[0].description
    'streams of one call share their numbers'
    """
    require_choice("profile", profile, tuple(STREAM_SIZES))
    seeds = Seeds(seed)
    replay = f"ebm_ref.oracle.check_streams(f, profile={profile!r}, seed={seed})"
    alpha = level_of_each(1)
    try:
        results = first_numbers(f, seeds, replay)
        if all(r.verdict == "pass" for r in results):
            if profile == "certify":
                results.append(closed_end(f, seeds, replay))
            results.append(uniformity(f, seeds, STREAM_SIZES[profile], alpha, replay))
    except CandidateError as error:
        results = [refused("contract", error, replay)]
    found = tuple(d for r in results for d in r.details.get("diagnosis", ()))
    return Report(name_of(f), "streams", profile, seed, tuple(results), found, (), alpha)


def numbers(f: Callable[[int, int, int], Any], seed: int, streams: int, n: int) -> np.ndarray:
    """One call of the candidate, float64 (streams, n), inside [0, 1)."""
    u = ask(lambda: f(seed, streams, n), [], (streams, n))
    if not ((u >= 0) & (u < 1)).all():
        bad = u[~((u >= 0) & (u < 1))]
        raise CandidateError(f"returned {bad[0]!r} ({len(bad)} of {u.size} numbers outside [0, 1)); log(1 - u) and an"
                             " index floor(n u) need u < 1")  # fmt: skip
    return u


def first_numbers(f: Callable, seeds: Seeds, replay: str) -> list[Result]:
    """The contract and D8."""
    s = seeds.candidate("D8", 0)
    near = [s, s + 1, s + 2, s ^ 1, s ^ 2**8, s ^ 2**16, s ^ 2**24, seeds.candidate("D8", 1)]
    near = [t for t in dict.fromkeys(near) if t < 2**31]
    length = 2**10
    blocks = np.array([numbers(f, t, N_STREAMS, length) for t in near])
    if not np.array_equal(numbers(f, s, N_STREAMS, length), blocks[0]):
        return [Result("contract", "fail", "not reproducible: the same seed gave other numbers", replay=replay)]
    fewer = numbers(f, s, N_STREAMS // 2, length)
    note = "" if np.array_equal(fewer, blocks[0, : N_STREAMS // 2]) else "; the first streams depend on their number"
    results = [Result("contract", "pass", f"in [0, 1), reproducible{note}", n=blocks.size, replay=replay)]
    halves = blocks.reshape(len(near) * N_STREAMS * 2, length // 2)
    shared = windows_shared(halves, WINDOW)
    kinds = dict.fromkeys(kind_of_sharing(a, b, near) for a, b in shared)
    words = "; ".join(kinds) if kinds else "no two streams, halves or seeds share a window"
    details: dict[str, Any] = {"shared": len(shared)}
    if kinds:
        details["diagnosis"] = tuple(Diagnosis("D8", np.inf, kind, True) for kind in kinds)
    results.append(Result("D8", "fail" if kinds else "pass", words, n=halves.size, replay=replay, details=details))
    return results


def closed_end(f: Callable, seeds: Seeds, replay: str) -> Result:
    """R0: u = 1, which a grid (0, 1] of 2^24 steps gives once in 2^24 numbers; seen in FINE with chance 1 - exp(-8)."""
    for k in range(FINE // (N_STREAMS * FINE_CALL)):
        numbers(f, seeds.candidate("R0", k), N_STREAMS, FINE_CALL)  # refuses what lies outside [0, 1)
    words = f"no 1 among {FINE} numbers; u in (0, 1] with the steps of float32 would have shown"
    details = {"effect_unit": "chance of u = 1"}
    seen = float(np.log(1e3) / FINE)
    return Result("R0", "pass", words, None, None, 0.0, seen, FINE, seeds.seed, replay, details)


def kind_of_sharing(a: int, b: int, seeds: list[int]) -> str:
    """In words what half-streams a and b have in common."""
    per_seed = 2 * N_STREAMS
    if a // per_seed != b // per_seed:
        return f"seeds {seeds[a // per_seed]} and {seeds[b // per_seed]} share numbers"
    return "a stream repeats itself" if a // 2 == b // 2 else "streams of one call share their numbers"


def uniformity(f: Callable, seeds: Seeds, n0: int, alpha: float, replay: str) -> Result:
    """R1 through the k-of-k scheme."""

    def stage(n: int, j: int) -> Stage:
        u = numbers(f, seeds.candidate("R1", j), N_STREAMS, n // N_STREAMS)
        scaled = u.astype(np.float64) * 256.0
        first = scaled.astype(np.int64)
        second = ((scaled - first) * 256.0).astype(np.int64)
        high = first // 16
        tables = {
            "leading byte": np.bincount(first.ravel(), minlength=256),
            "second byte": np.bincount(second.ravel(), minlength=256),
            "neighbours in a stream": np.bincount((16 * high[:, 0::2] + high[:, 1::2]).ravel(), minlength=256),
            "the same place of two streams": np.bincount((16 * high[0::2] + high[1::2]).ravel(), minlength=256),
        }
        p, effects, flat = {}, {}, np.full(256, 1 / 256)
        for k, (name, counts) in enumerate(tables.items()):
            rng = seeds.rng("R1", j, NULL, k)
            if "byte" in name:
                column, effects[name] = law_test(counts, flat, rng)
            else:  # dependence only, whatever the law of each
                pool = row_null(rng, int(counts.sum()), flat, counts, MONTE_CARLO).reshape(-1, 16, 16)
                column = interaction(pool)
                effects[name] = excess(column, int(counts.sum()))
            p[name] = float((column >= column[0]).sum() / len(column))
        worst = min(p, key=lambda name: (p[name], -effects[name]))
        return Stage(min(1.0, len(p) * p[worst]), effects[worst], {"worst": worst, "p_values": p})

    outcome = sequential_test(stage, n0, alpha)
    last = outcome.stages[-1]
    words = f"not uniform or not independent: {last.details['worst']}" if outcome.rejected else "uniform as far as seen"
    seen = float(np.sqrt(noncentrality(255, alpha, growth=GROWTH) / (n0 // 2)))
    n = sum(outcome.sizes[: len(outcome.stages)])
    details = {"effect_unit": "chi-distance", **last.details}
    verdict = "fail" if outcome.rejected else "pass"
    return Result("R1", verdict, words, last.p_value, None, last.effect, seen, n, seeds.seed, replay, details)
