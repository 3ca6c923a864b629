"""Annealed importance sampling with exact moments, and the checks Z1 (unbiased weights) and Z2 (their log mean).

(1) path     log p*_t(x,h) = ((1-t) base + t a).x + t (b.h + x'Wh),  t from 0 to 1
             log Z_0 = sum softplus(base) + nh log 2
(2) weights  log w = sum_k log p*_{t_k}(s_k) - log p*_{t_(k-1)}(s_k),  s_1 exact at t_0, s_(k+1) from one block Gibbs
             sweep (h, then x) at t_k;  s = x with p*_t(x) summed over h ("marginal"), or s = (x, h) ("joint")
(3) moments  m_q <- m_q r_k^q, then m_q <- m_q K_{t_k}:  E[w^q] = sum m_q;  E[w] = Z/Z_0 for every schedule
(4) Z1       mean w and mean log w of n runs against (3), calibrated by running the exact path, never by a normal tail
(5) Z2       value = log Z_0 + logsumexp(log w) - log n

Sources: Neal 2001; Salakhutdinov and Murray 2008.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from ebm_ref.errors import DomainError, as_float_array, require_choice, require_finite, require_shape
from ebm_ref.oracle import naive
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.deterministic import Alternative, CandidateError, explain, name_of, refused, usable, value_result
from ebm_ref.oracle.results import Diagnosis, Report, Result
from ebm_ref.oracle.statistics.pairs import monte_carlo_p, squared_z
from ebm_ref.oracle.statistics.seeds import NULL, Seeds
from ebm_ref.oracle.statistics.sequential import (
    STAGES,
    Stage,
    level_of_each,
    noncentrality,
    sequential_test,
)

Array = np.ndarray
ANNEALING_SIZES = {"smoke": 2**8, "ci": 2**11, "nightly": 2**14, "certify": 2**16}
GROWTH, NULL_SAMPLES = 2, 199  # enough for gamma = .03: (199 + 1) gamma > 6
LEAD = 3.0  # ln: a mistake is named only if it leads the declared path by that much, and is not led by as much


@dataclass(frozen=True, eq=False)
class Path:
    """An annealing run as a Markov chain with weights: S states.

    start (S,) is the law of s_1;  log_ratios (K, S) what a state adds to log w at step k;  kernels (K-1, S, S) the
    moves between the steps
    """

    start: Array
    log_ratios: Array
    kernels: Array
    log_z_base: float


@dataclass(frozen=True)
class WeightMoments:
    """E[w], Var[w], E[log w], Var[log w] of one run, and log Z_0 in nats."""

    mean: float
    variance: float
    log_mean: float
    log_variance: float
    log_z_base: float


def log_stars(case: Case, base: Array, t: float) -> Array:
    """log p*_t of (1) on all joint states (S,), by the oracle's loops."""
    if case.W is None or case.a is None or case.b is None:
        raise DomainError(f"case: expected an RBM, got {case.name}")
    W, a, b = (t * case.W).tolist(), ((1 - t) * base + t * case.a).tolist(), (t * case.b).tolist()
    nv = case.n_visible
    return -np.array([naive.rbm_energy(W, a, b, s[:nv], s[nv:]) for s in naive.states(case.n_units)])


def sweep_kernel(log_star: Array, nv: int, nh: int) -> Array:
    """Block Gibbs h' ~ p(.|x), x' ~ p(.|h') on joint states (S, S), from their log weights."""
    table = log_star.reshape(2**nh, 2**nv)
    up = special.softmax(table, axis=0)  # p(h|x), (h, x)
    down = special.softmax(table, axis=1)  # p(x|h), (h, x)
    row = np.einsum("hx,hy->xhy", up, down).reshape(2**nv, -1)
    return np.tile(row, (2**nh, 1))


def annealing_path(case: Case, base: Array, schedule: Array, weights: str = "marginal") -> Path:
    """The declared run as a Path."""
    nv, nh = case.n_visible, case.n_hidden
    joint = np.array([log_stars(case, base, float(t)) for t in schedule])
    kernels = np.array([sweep_kernel(star, nv, nh) for star in joint[1:-1]]).reshape(-1, joint.shape[1], joint.shape[1])
    stars = joint
    if weights == "marginal":
        stars = special.logsumexp(joint.reshape(len(joint), 2**nh, 2**nv), axis=1)
        kernels = kernels[:, : 2**nv].reshape(-1, 2**nv, 2**nh, 2**nv).sum(axis=2)
    start = special.softmax(stars[0])
    return Path(start, np.diff(stars, axis=0), kernels, float(special.logsumexp(stars[0])))


def path_moments(path: Path) -> WeightMoments:
    """(3), and the same for log w."""
    first = second = law = path.start
    sums, squares = np.zeros_like(law), np.zeros_like(law)  # E[L; s], E[L^2; s] with L the log weight so far
    for k, step in enumerate(path.log_ratios):
        first, second = first * np.exp(step), second * np.exp(2 * step)
        squares = squares + 2 * sums * step + law * step**2
        sums = sums + law * step
        if k < len(path.kernels):
            first, second, law, sums, squares = (v @ path.kernels[k] for v in (first, second, law, sums, squares))
    mean, log_mean = float(first.sum()), float(sums.sum())
    return WeightMoments(
        mean, float(second.sum()) - mean**2, log_mean, float(squares.sum()) - log_mean**2, path.log_z_base
    )


def ais_moments(case: Case, base: Any, schedule: Any, weights: str = "marginal") -> WeightMoments:
    """Exact moments of the annealing weights of an RBM.

    base (nv,): visible bias at t = 0;  schedule (K+1,): increasing from 0 to 1;  weights "marginal" or "joint".

    >>> import numpy as np
    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_3x3")
    >>> m = ais_moments(case, np.zeros(3), np.linspace(0, 1, 6))
    >>> round(m.variance / m.mean**2, 3), bool(abs(np.log(m.mean) + m.log_z_base - case.moments.log_z) < 1e-12)
    (0.227, True)
    """
    return path_moments(annealing_path(case, *checked(case, base, schedule, weights), weights))


def checked(case: Case, base: Any, schedule: Any, weights: str) -> tuple[Array, Array]:
    """The arguments of the path, refused if wrong."""
    require_choice("weights", weights, ("marginal", "joint"))
    base, schedule = as_float_array("base", base), as_float_array("schedule", schedule)
    require_shape("base", base, case.n_visible)
    require_finite("base", base)
    require_shape("schedule", schedule, None)
    if len(schedule) < 2 or schedule[0] != 0 or schedule[-1] != 1 or np.any(np.diff(schedule) < 0):
        raise DomainError("schedule: expected increasing inverse temperatures from 0 to 1")
    if case.clamp:
        raise DomainError(f"case: expected no clamped units, got {case.name}")
    return base, schedule


def simulate(path: Path, n: int, rng: np.random.Generator) -> Array:
    """log w of n runs of the path."""
    size = len(path.start)
    s = np.searchsorted(np.cumsum(path.start)[:-1], rng.random(n), side="right")
    log_w = path.log_ratios[0][s].copy()
    for k, kernel in enumerate(path.kernels):
        edges = np.cumsum(kernel, axis=1)
        edges[:, -1] = 1.0  # row s of the table holds s + the distribution function: one search serves all states
        table = (edges + np.arange(size)[:, None]).ravel()
        s = np.minimum(np.searchsorted(table, s + rng.random(n), side="right") - size * s, size - 1)
        log_w += path.log_ratios[k + 1][s]
    return log_w


# the check ------------------------------------------------------------------------------------------------------------


def check_annealing(
    f: Callable[[int, int], Any],
    case: Case,
    base: Any,
    schedule: Any,
    *,
    weights: str = "marginal",
    profile: str = "ci",
    seed: int = 0,
) -> Report:
    """Is ``f`` annealed importance sampling on this path: unbiased weights with the exact law, and a right log mean?

    f(n_chains, seed) -> log weights (n_chains,) with E[w] = Z/Z_0, or an object with ``log_weights`` and ``value``
    (the estimate of log Z; then Z2 is checked too).  base (nv,), schedule (K+1,) and weights declare the path.

    >>> import numpy as np
    >>> from ebm_ref.oracle import cases
    >>> case, base, schedule = cases.named("rbm_4x2"), np.zeros(4), np.linspace(0, 1, 5)
    >>> path = annealing_path(case, base, schedule)
    >>> right = lambda n, seed: simulate(path, n, np.random.default_rng(seed))
    >>> check_annealing(right, case, base, schedule, profile="smoke").passed
    True
    """
    base, schedule = checked(case, base, schedule, weights)
    require_choice("profile", profile, tuple(ANNEALING_SIZES))
    replay = f"ebm_ref.oracle.annealing.check_annealing(f, cases.named({case.name!r}), base, schedule,"
    replay += f" weights={weights!r}, profile={profile!r}, seed={seed})"
    path, seeds = annealing_path(case, base, schedule, weights), Seeds(seed)
    exact, alpha = path_moments(path), level_of_each(1)
    found: list[Diagnosis] = []
    try:
        results = first_weights(f, exact, seeds, replay)
        if any(r.test == "Z2" and r.verdict == "fail" for r in results):
            found += value_diagnosis(f, exact, seeds)
        if results[0].verdict == "pass":
            result, log_w = weight_result(f, path, exact, seeds, ANNEALING_SIZES[profile], alpha)
            results.append(replace(result, replay=replay))
            if result.verdict == "fail":
                found += weight_diagnosis(log_w, exact, case, base, schedule, weights)
    except CandidateError as error:
        results = [refused("contract", error, replay)]
    return Report(name_of(f), case.name, profile, seed, tuple(results), tuple(found), (), alpha)


def weight_result(
    f: Callable[[int, int], Any], path: Path, exact: WeightMoments, seeds: Seeds, n0: int, alpha: float
) -> tuple[Result, Array]:
    """Z1 through the k-of-k scheme, and all log weights that it has seen."""
    seen: list[Array] = []

    def stage(n: int, j: int) -> Stage:
        seen.append(ask_weights(f, n, seeds.candidate("Z1", j))[0])
        return weight_stage(seen[-1], path, exact, seeds.rng("Z1", j, NULL))

    outcome = sequential_test(stage, n0, alpha, growth=GROWTH)
    last = outcome.stages[-1]
    p_values = ", ".join(f"{s.p_value:.3g}" for s in outcome.stages)
    relative = math.sqrt(noncentrality(2, alpha, k=STAGES, growth=GROWTH) * exact.variance / n0) / exact.mean
    result = Result(
        "Z1",
        "fail" if outcome.rejected else "pass",
        f"mean w / (Z/Z_0) = {1 + last.effect:.5g}; stage p-values {p_values}",
        p_value=last.p_value,
        effect=abs(last.effect),
        smallest_detectable_effect=relative,
        n=sum(outcome.sizes),
        seed=seeds.seed,
        details={"effect_unit": "relative error of Z", **last.details},
    )
    return result, np.concatenate(seen)


def ask_weights(f: Callable[[int, int], Any], n: int, seed: int) -> tuple[Array, float | None]:
    """The candidate's log weights (n,), and its estimate of log Z if it gives one."""
    try:
        answer = f(n, seed)
        value = getattr(answer, "value", None)
        log_w = np.array(getattr(answer, "log_weights", answer), copy=True)
        value = None if value is None else float(value)
    except Exception as error:  # the candidate's own, whatever it is
        raise CandidateError(f"raised {type(error).__name__}: {error}") from error
    return usable(log_w, (n,)).astype(np.float64), value


def first_weights(f: Callable, exact: WeightMoments, seeds: Seeds, replay: str) -> list[Result]:
    """The contract: two seeds differ; and Z2 if the candidate gives an estimate."""
    log_w, value = ask_weights(f, 64, seeds.candidate("Z2", 0))
    other = ask_weights(f, 64, seeds.candidate("Z2", 1))[0]
    results = [Result("contract", "pass", "usable weights; the seed decides", n=128, replay=replay)]
    if exact.log_variance > 1e-3 and np.array_equal(log_w, other):
        words = "ignores its seed: two seeds gave the same 64 weights"
        return [Result("contract", "fail", words, n=128, replay=replay)]
    if value is not None:
        right = np.array(exact.log_z_base + special.logsumexp(log_w) - math.log(len(log_w)))
        scale = np.array(abs(exact.log_z_base) + np.abs(log_w).max() + 1.0)
        results.append(value_result("Z2", np.array(value), right, scale, ["log Z"], replay))
    return results


def weight_stage(log_w: Array, path: Path, exact: WeightMoments, rng: np.random.Generator) -> Stage:
    """Z1 on n runs: squared z of mean w and of mean log w, the null by running the exact path."""
    n = len(log_w)
    means = np.zeros((NULL_SAMPLES + 1, 2))
    means[0] = np.exp(log_w).mean(), log_w.mean()
    block = max(1, 2**20 // n)
    for start in range(1, NULL_SAMPLES + 1, block):
        count = min(block, NULL_SAMPLES + 1 - start)
        null = simulate(path, count * n, rng).reshape(count, n)
        means[start : start + count] = np.column_stack([np.exp(null).mean(axis=1), null.mean(axis=1)])
    variances = np.array([exact.variance, exact.log_variance]) / n
    z2 = squared_z(means, np.array([exact.mean, exact.log_mean]), np.maximum(variances, 1e-300))
    p_value, scores = monte_carlo_p(z2)
    off = means[0, 1] - exact.log_mean
    details = {"mean_log_weight_error": float(off), "scores": scores.tolist()}
    return Stage(p_value, float(means[0, 0] / exact.mean - 1.0), details)


def value_diagnosis(f: Callable, exact: WeightMoments, seeds: Seeds) -> tuple[Diagnosis, ...]:
    """Wrong ways from weights to log Z."""
    log_w, value = ask_weights(f, 64, seeds.candidate("Z2", 2))
    if value is None:
        return ()
    base, total, n = exact.log_z_base, float(special.logsumexp(log_w)), math.log(len(log_w))
    wrong = [
        Alternative(
            "mean_of_log_weights",
            "mean of the log weights for the log of the mean weight",
            np.array(base + log_w.mean()),
        ),
        Alternative("sum_of_weights", "log n not subtracted", np.array(base + total)),
        Alternative("base_missing", "log Z_0 of the base missing", np.array(total - n)),
        Alternative("largest_weight", "largest weight only", np.array(base + log_w.max())),
        Alternative("base_subtracted", "log Z_0 subtracted", np.array(total - n - base)),
        Alternative("median", "median of the log weights", np.array(base + np.median(log_w))),
    ]
    for units in range(1, 13):
        shifted = np.array(base + total - n - units * math.log(2.0))
        wrong.append(Alternative(f"missing_{units}_log_2", f"{units} log 2 missing in log Z_0 (n_hidden?)", shifted))
    right = np.array(base + total - n)
    scale = np.array(abs(base) + np.abs(log_w).max() + 1.0)
    return explain(np.array(value), right, scale, lambda: wrong)


def weight_diagnosis(
    log_w: Array, exact: WeightMoments, case: Case, base: Array, schedule: Array, weights: str
) -> list[Diagnosis]:
    """Known wrong annealers, by a normal likelihood of the log weights with their exact first two moments."""
    from ebm_ref.oracle.zoo_annealing import ANNEALING_BUGS

    def likelihood(m: WeightMoments) -> float:
        variance = max(m.log_variance, 1e-6)
        return float(-0.5 * ((log_w - m.log_mean) ** 2).sum() / variance - 0.5 * len(log_w) * math.log(variance))

    found = []
    for bug in ANNEALING_BUGS:
        path = bug.path(case, base, schedule, weights)
        if path is None:
            continue
        m = path_moments(path)
        gain = likelihood(m) - likelihood(exact)
        z = abs(log_w.mean() - m.log_mean) / math.sqrt(max(m.log_variance, 1e-12) / len(log_w))
        if gain > 0:
            found.append(Diagnosis(bug.id, gain, bug.description, bool(z < 4 and gain > LEAD)))
    best = max((d.log_likelihood_ratio for d in found), default=0.0)
    found = [replace(d, explained=d.explained and d.log_likelihood_ratio > best - LEAD) for d in found]
    return sorted(found, key=lambda d: -d.log_likelihood_ratio)
