"""Which known mistake explains the residuals: Gaussian laws of one step, other noise laws, fitted drift and noise.

(1) ln LR_b = sum over transitions of ln((1 - eps) p_b(x' | x) / p(x' | x) + eps), eps = 1e-3, as in S7
(2) b is named only if it leads by 3 and its own residuals are normal: variance of each coordinate and regression on the
    starts at p > 1e-5 (for other noise laws: the likelihood ratio alone)
(3) fitted: x' - x = -lambda eta g + s sqrt(2 eta) z by least squares: the temperature that is sampled is s^2 / lambda
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from scipy import stats

from ebm_ref.oracle.checks.candidate import Violation
from ebm_ref.oracle.checks.diagnosis import LEAD, LISTED, LIVES
from ebm_ref.oracle.continuous.bug import ContinuousBug
from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.continuous.recipe import Recipe, reference
from ebm_ref.oracle.continuous.session import KEPT, ContinuousSession
from ebm_ref.oracle.continuous.ula import Whitener, steps_test
from ebm_ref.oracle.continuous.zoo_ula import ULA_BUGS
from ebm_ref.oracle.results import Diagnosis, Result
from ebm_ref.oracle.statistics.evalues import MIXTURE
from ebm_ref.oracle.statistics.residuals import Products, Regression, chi_square_p

Array = np.ndarray
STAYS, SCOUT, FEW, SOME, EDGE, BEHIND = 1e-3, 2**10, 2**13, 2**15, 5, 30.0


def explain_ula(session: ContinuousSession, white: Whitener) -> tuple[Diagnosis, ...]:
    """The ranked diagnosis of a failed check: all laws on some transitions, the best of them on all."""
    x, y = gathered(session)
    found = plain_cause(session, white, x, y)
    if found:
        return found
    best = likeliest(session.case, white, x, y)
    if best and best[0].transition is not None:
        x, y = x[:SOME], y[:SOME]  # such a law takes long, and shows at once
    ranked = []
    for bug in best:
        if law := law_of(bug, session.case, white, x, y):
            ranked.append((law[0], bug.id, bug.description, law[1]))
    ranked = together(sorted(ranked, reverse=True))
    fitted = fit(session, white, x, y)
    if not ranked or fitted[0] > ranked[0][0] + 2 * LEAD or not ranked[0][3]:
        ranked = sorted([*ranked, fitted], reverse=True)
    first = session.failures[0]
    if first.test == "C1 steps" and not (ranked[0][3] and ranked[0][1] != "fitted"):
        return past_words(first)
    lead = len(ranked) == 1 or ranked[0][0] - ranked[1][0] >= LEAD or ranked[1][1] == "fitted"
    found = tuple(
        Diagnosis(id, ratio, words, bool(rank == 0 and lead and ratio > LEAD and alive))
        for rank, (ratio, id, words, alive) in enumerate(ranked[:LISTED])
    )
    return found if found[0].explained and found[0].mistake != "fitted" else past_of_chain(session, white) or found


def likeliest(case: ContinuousCase, white: Whitener, x: Array, y: Array) -> list[ContinuousBug]:
    """The LISTED mistakes that explain some of the transitions best, the best first.

    Laws that take long have to keep up: the true law trails another by BEHIND nats with a chance below e^-BEHIND.
    """

    def ratios(bugs: list[ContinuousBug], n: int) -> dict[ContinuousBug, float]:
        laws = {bug: law_of(bug, case, white, x[:n], y[:n], judge=bug.transition is not None) for bug in bugs}
        return {bug: law[0] for bug, law in laws.items() if law}

    def keeping_up(found: dict[ContinuousBug, float], lead: float) -> list[ContinuousBug]:
        return [bug for bug, ratio in found.items() if bug.transition is None or ratio > lead - BEHIND]

    quick = [bug for bug in ULA_BUGS if bug.transition is None]
    slow = [bug for bug in ULA_BUGS if bug.transition is not None]
    slow = keeping_up(ratios(slow, SCOUT), max(ratios(quick, SCOUT).values(), default=0.0))
    found = ratios(quick + slow, FEW)
    left = keeping_up(found, max(found.values(), default=0.0))
    return sorted(left, key=lambda bug: -found[bug])[:LISTED]


def past_of_chain(session: ContinuousSession, white: Whitener) -> tuple[Diagnosis, ...]:
    """C1 steps, unless it has passed: what depends on the calls before has no law of one step."""
    result = session.late("C1 steps", partial(steps_test, white=white))
    if result is None or result.verdict != "fail":
        return ()
    return past_words(result)


def past_words(result: Result) -> tuple[Diagnosis, ...]:
    """The diagnosis that a failed C1 steps is."""
    words = f"a step depends on the past ({result.details['worst']}): stale gradient or noise used twice"
    return (Diagnosis(result.test, math.nan, words, True),)


def gathered(session: ContinuousSession) -> tuple[Array, Array]:
    """The transitions that the check has kept, and as many more as a diagnosis wants."""
    try:
        for _ in session.transitions("diagnosis", 0, max(0, KEPT - session.kept)):
            pass
    except Violation:
        pass
    x, y = (np.concatenate(part) for part in zip(*session.pairs, strict=True))
    return x, y


def together(ranked: list[tuple[float, str, str, bool]]) -> list[tuple[float, str, str, bool]]:
    """Mistakes with the same law on this case are one."""
    merged: list[tuple[float, str, str, bool]] = []
    for ratio, id, words, alive in ranked:
        if merged and abs(merged[-1][0] - ratio) <= 1e-9 * max(1.0, abs(ratio)):
            last = merged[-1]
            merged[-1] = (last[0], f"{last[1]}, {id}", f"{last[2]} or: {words}", last[3] or alive)
        else:
            merged.append((ratio, id, words, alive))
    return merged


def plain_cause(session: ContinuousSession, white: Whitener, x: Array, y: Array) -> tuple[Diagnosis, ...]:
    """What the failed tests show without a likelihood."""
    stays = float((x == y).all(axis=1).mean())
    if stays > STAYS:
        words = f"an accept/reject step, {100 * stays:.3g} % of the rows stayed: MALA where ULA is claimed"
        return (Diagnosis("ula_mala", math.inf, words, True),)
    if divided_by_batch(session, x, y):
        return (Diagnosis("ula_batch_mean", math.inf, "gradient divided by the batch size", True),)
    first = session.failures[0]
    for i in range(y.shape[1]):  # normal noise ends at no value twice
        low, high = float(y[:, i].min()), float(y[:, i].max())
        repeated = int((y[:, i] == low).sum()), int((y[:, i] == high).sum())
        if max(repeated) > EDGE:
            words = f"states clamped to a box after the step: {repeated} rows have x{i} at {low:g} and at {high:g}"
            return (Diagnosis("ula_clamped", math.inf, words, True),)
    worst = str(first.details.get("worst", ""))
    if first.test == "C1 correlation":
        words = f"noise not independent: {worst}, correlation {first.details['rho']:.3g}"
        return (Diagnosis(first.test, math.nan, words, True),)
    if first.test == "C1 single":
        return (Diagnosis(first.test, math.nan, "a call with one row follows another law", True),)
    return ()


def drift_of(session: ContinuousSession, x: Array, y: Array) -> float:
    """Least-squares drift over the claimed one."""
    g = session.case.gradient(x)
    return -float((g * (y - x)).sum() / (session.case.step_size * g**2).sum())


def divided_by_batch(session: ContinuousSession, x: Array, y: Array) -> bool:
    """True if calls of eight rows have an eighth of the drift, and long ones next to none."""
    if abs(drift_of(session, x, y)) > 0.05:
        return False
    x = session.exact_rows("diagnosis batch", 0, 0, 2**14)
    try:
        ends = [session.move(x[8 * k : 8 * k + 8], "diagnosis batch", 0, k) for k in range(len(x) // 8)]
    except Violation:
        return False
    return abs(8.0 * drift_of(session, x, np.concatenate(ends)) - 1.0) < 0.4


def log_density(recipe: Recipe, white: Whitener, x: Array, y: Array) -> tuple[Array, Array]:
    """ln p_b(y | x) (n,) of a Gaussian law, and its residuals (n, d)."""
    scale = np.broadcast_to(recipe.noise * np.sqrt(2 * recipe.eta), (x.shape[1],)) * math.sqrt(white.temperature)
    r = (y - x + recipe.drift * recipe.eta * recipe.gradient(x)) / scale
    return -0.5 * (r**2).sum(axis=1) - np.log(scale).sum() - 0.5 * x.shape[1] * math.log(2 * math.pi), r


def ratio_of(log_b: Array, log_p: Array) -> float:
    """(1)."""
    return float(np.logaddexp(math.log1p(-MIXTURE) + log_b - log_p, math.log(MIXTURE)).sum())


def log_ratios(case: ContinuousCase, white: Whitener, x: Array, y: Array) -> Array:
    """ln LR of every bug that has a law on this case, (n_bugs,)."""
    laws = (law_of(bug, case, white, x, y, judge=False) for bug in ULA_BUGS)
    return np.array([0.0 if law is None else law[0] for law in laws])


def law_of(
    bug: ContinuousBug, case: ContinuousCase, white: Whitener, x: Array, y: Array, judge: bool = True
) -> tuple[float, bool] | None:
    """ln LR of a bug, and whether the data let it live; None if it has no law, or no other one, on this case."""
    log_p, r = log_density(reference(case), white, x, y)
    if bug.density is not None:
        log_b = bug.density(r) - np.log(white.scale).sum()
        return ratio_of(log_b, log_p), bool(np.isfinite(log_b).all())
    if bug.transition is not None:  # costs more than S7 has time for
        with np.errstate(all="ignore"):
            log_b = bug.transition(reference(case), x, y) if judge and white.temperature == 1.0 else log_p
        found = judge and bool(np.isfinite(log_b).all())
        return (ratio_of(log_b, log_p), found) if found else None
    recipe = bug.recipe(case)
    if recipe is None:
        return None
    with np.errstate(over="ignore"):
        log_b, residuals = log_density(recipe, white, x, y)
        if np.allclose(log_b, log_p, rtol=1e-9, atol=1e-9):
            return None
        return ratio_of(log_b, log_p), judge and lives(residuals, white.features(x))


def lives(r: Array, features: Array) -> bool:
    """True if residuals (n, d) look like independent standard normals that know nothing of their starts."""
    n, d = r.shape
    regression, lag = Regression(), Products()
    regression.add(features, r)
    lag.add(r[0 : n // 2 * 2 : 2], r[1 : n // 2 * 2 : 2])
    tails = [chi_square_p(float((r[:, i] ** 2).sum()), n) for i in range(d)]
    normal = float(stats.kstest(r.ravel()[: 2**14], "norm").pvalue)
    return min(regression.p_value(), lag.p_value, d * min(tails), normal) > LIVES


def fit(session: ContinuousSession, white: Whitener, x: Array, y: Array) -> tuple[float, str, str, bool]:
    """(3)."""
    eta, g = session.case.step_size, session.case.gradient(x)
    drift = drift_of(session, x, y)
    gap = (y - x + drift * eta * g) / white.scale
    noise = float(np.sqrt((gap**2).mean()))
    temperature = white.temperature * noise**2 / drift if drift > 0 else math.inf
    right = reference(session.case)
    log_p, _ = log_density(right, white, x, y)
    log_b, r = log_density(Recipe(**{**vars(right), "drift": drift, "noise": max(noise, 1e-12)}), white, x, y)
    words = f"drift {drift:.4g} eta g, noise {noise:.4g} sqrt(2 eta): temperature {temperature:.4g}"
    return ratio_of(log_b, log_p), "fitted", words, lives(r, white.features(x))
