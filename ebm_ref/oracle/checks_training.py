"""Training loops and estimators that the oracle does not know: check_training (L6), check_fixed_point (L7).

L6   exact gradient ascent theta_(t+1) = theta_t + lr dL/dtheta(theta_t), L the mean log-likelihood of the rows, from
     the case's parameters: every step against the oracle's own, to rounding; nothing random
L7   where the data are draws of the model, the expected update of every consistent estimator is 0, whatever its k, its
     variant, its learning rate: Hotelling's T^2 and the greatest squared t of N updates, each on a fresh batch of exact
     draws.  Their null laws are the F and t laws of normal updates: an approximation, good at the levels of the stages

L7 is blind to sign, scale and k; check_update is not, but has to know the estimator.
Sources: Hotelling 1931; Hinton 2002 (the fixed point of contrastive divergence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from ebm_ref.errors import DomainError, require_binary, require_choice, require_int, require_positive, require_rows
from ebm_ref.oracle.arrays import frozen
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks_formulas import flat_gradient, likelihood_statistics, parameter_labels, statistics_of
from ebm_ref.oracle.deterministic import (
    Alternative,
    CandidateError,
    exact_report,
    explain,
    name_of,
    refused,
    usable,
    value_result,
)
from ebm_ref.oracle.learning_tests import GROWTH, UPDATE_SIZES
from ebm_ref.oracle.results import Diagnosis, Report, Result
from ebm_ref.oracle.statistics.seeds import STARTS, Seeds
from ebm_ref.oracle.statistics.sequential import Stage, level_of_each, noncentrality, sequential_test

Array = np.ndarray


def require_rbm(case: Case) -> None:
    """Refuse what is no free RBM."""
    if case.W is None or case.clamp:
        raise DomainError(f"case: expected an RBM without clamped units, got {case.name}")


# trajectories ---------------------------------------------------------------------------------------------------------


def check_training(
    train: Callable[[Array, float, int], Any], case: Case, data: Any, *, learning_rate: float = 0.3, n_updates: int = 50
) -> Report:
    """Is this exact-gradient ascent on the mean log-likelihood, step by step?

    train(rows (n, nv), learning_rate, n_updates) -> the n_updates parameter records (W, a, b) after each update, from
    the case's parameters, without momentum or decay.  Deterministic (L6).

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_3x2_hot")
    >>> rows = np.array([[1, 0, 1], [0, 1, 1], [0, 1, 0]])
    >>> def train(rows, lr, n):
    ...     return [unflat(case, theta) for theta in trajectory(case, rows, lr, n)[0]]
    >>> check_training(train, case, rows).passed
    True
    >>> check_training(lambda rows, lr, n: train(rows, lr * len(rows), n), case, rows).diagnosis[0].description
    'sum over the rows for their mean'
    """
    require_rbm(case)
    rows = require_rows("data", data, case.n_visible)
    require_binary("data", rows)
    require_positive("learning_rate", learning_rate)
    require_int("n_updates", n_updates, 1)
    replay = f"ebm_ref.oracle.check_training(train, cases.named({case.name!r}), data, learning_rate={learning_rate},"
    replay += f" n_updates={n_updates})"
    reference, likelihood = trajectory(case, rows, learning_rate, n_updates)
    try:
        answer = path_of(train, rows, learning_rate, n_updates, case)
    except CandidateError as error:
        return exact_report(train, case, [refused("L6", error, replay)])
    steps = np.arange(1, n_updates + 1)[:, None]
    scale = (1.0 + np.abs(reference) + learning_rate * steps) * (2.0 + np.abs(case.energies).max())
    labels = [f"{name} after update {t + 1}" for t in range(n_updates) for name in parameter_labels(case)]
    results = [value_result("L6", answer, reference, scale, labels, replay)]
    last = unflat(case, answer[-1].astype(np.float64))
    words = (
        f"mean log-likelihood {likelihood[0]:.6g} at the start, {likelihood[-1]:.6g} after {n_updates} right updates"
    )
    words += f", {mean_log_likelihood(with_parameters(case, last), rows):.6g} after those of the candidate"
    wrong = partial(wrong_trajectories, case, rows, learning_rate, n_updates)
    return exact_report(train, case, results, explain(answer, reference, scale, wrong), (words,))


def unflat(case: Case, theta: Array) -> tuple[Array, Array, Array]:
    """(W, a, b) of a flat vector."""
    nv, nh = case.n_visible, case.n_hidden
    return theta[: nv * nh].reshape(nv, nh), theta[nv * nh : nv * nh + nv], theta[nv * nh + nv :]


def flat(case: Case) -> Array:
    """The parameters of an RBM case in one vector."""
    assert case.W is not None
    assert case.a is not None
    assert case.b is not None
    return np.concatenate([case.W.ravel(), case.a, case.b])


def with_parameters(case: Case, parameters: tuple[Array, Array, Array]) -> Case:
    """The case of another RBM of the same size."""
    W, a, b = (frozen(p) for p in parameters)
    nv, nh = W.shape
    J = np.block([[np.zeros((nv, nv)), W], [W.T, np.zeros((nh, nh))]])
    return replace(case, W=W, a=a, b=b, J=frozen(J), c=frozen(np.concatenate([a, b])))


def mean_log_likelihood(case: Case, rows: Array) -> float:
    """Mean of log p(x) in nats."""
    key = case.states[:, : case.n_visible] @ (1 << np.arange(case.n_visible))
    law = np.bincount(key.astype(int), weights=case.pi)
    return float(np.log(law[(rows @ (1 << np.arange(case.n_visible))).astype(int)]).mean())


def trajectory(
    case: Case, rows: Array, lr: float, n: int, change: Callable[[Array, Array, Array, int], Array] | None = None
) -> tuple[Array, list[float]]:
    """Parameters after each update (n, q) and log-likelihoods before the first and after each.

    change(theta, positive, negative, t) -> step replaces lr (positive - negative).
    """
    theta, path, likelihood = flat(case), [], []
    for t in range(n):
        now = with_parameters(case, unflat(case, theta))
        likelihood.append(mean_log_likelihood(now, rows))
        positive, negative = likelihood_statistics(now, rows)
        theta = theta + (lr * (positive - negative) if change is None else change(theta, positive, negative, t))
        path.append(theta)
    likelihood.append(mean_log_likelihood(with_parameters(case, unflat(case, theta)), rows))
    return np.array(path), likelihood


def path_of(train: Callable, rows: Array, lr: float, n: int, case: Case) -> Array:
    """The candidate's parameters after each update, flat (n, q)."""
    copy = rows.copy()
    try:
        answer = list(train(copy, lr, n))
        found = [[getattr(p, name) for name in "Wab"] if hasattr(p, "W") else list(p) for p in answer]
        flat_rows = [np.concatenate([np.array(block).ravel() for block in blocks]) for blocks in found]
        path = np.array(flat_rows)
    except Exception as error:  # the candidate's own, whatever it is
        raise CandidateError(f"raised {type(error).__name__}: {error}") from error
    if not np.array_equal(copy, rows):
        raise CandidateError("modified its input")
    return usable(path, (n, len(flat(case))))


def wrong_trajectories(case: Case, rows: Array, lr: float, n: int) -> list[Alternative]:
    """What training loops do instead."""
    nv, nh, start = case.n_visible, case.n_hidden, flat(case)
    block = np.repeat([0, 1, 2], [nv * nh, nv, nh])
    velocity = np.zeros_like(start)

    def momentum(theta: Array, p: Array, q: Array, t: int) -> Array:
        nonlocal velocity
        velocity = 0.9 * velocity * (t > 0) + lr * (p - q)
        return velocity

    def one_after_another(theta: Array, p: Array, q: Array, t: int) -> Array:
        new = theta.copy()
        for k in range(3):
            now = likelihood_statistics(with_parameters(case, unflat(case, new)), rows)
            new = new + lr * (now[0] - now[1]) * (block == k)
        return new - theta

    changes: dict[str, tuple[str, Callable[[Array, Array, Array, int], Array]]] = {
        "gradient_sign": ("descent for ascent", lambda theta, p, q, t: lr * (q - p)),
        "sum_for_mean": ("sum over the rows for their mean", lambda theta, p, q, t: lr * len(rows) * (p - q)),
        "divisor": ("divided by the number of rows once more", lambda theta, p, q, t: lr * (p - q) / len(rows)),
        "rate_halved": ("half the learning rate", lambda theta, p, q, t: lr * (p - q) / 2),
        "rate_doubled": ("twice the learning rate", lambda theta, p, q, t: lr * (p - q) * 2),
        "momentum": ("undeclared momentum 0.9", momentum),
        "decayed_rate": ("learning rate lr / (t + 1)", lambda theta, p, q, t: lr * (p - q) / (t + 1)),
        "one_after_another": ("W, a, b updated one after another", one_after_another),
        "negative_missing": ("negative phase missing", lambda theta, p, q, t: lr * p),
        "weights_only": ("biases never updated", lambda theta, p, q, t: lr * (p - q) * (block == 0)),
        "hidden_bias_not_learnt": ("hidden bias never updated", lambda theta, p, q, t: lr * (p - q) * (block < 2)),
        "beta_factor": ("gradient multiplied by beta", lambda theta, p, q, t: lr * case.beta * (p - q)),
    }
    with np.errstate(all="ignore"):
        found = [Alternative(id, words, trajectory(case, rows, lr, n, f)[0]) for id, (words, f) in changes.items()]
    right = trajectory(case, rows, lr, n)[0]
    found.append(Alternative("one_late", "parameters before each update", np.vstack([start, right[:-1]])))
    fixed = likelihood_statistics(case, rows)
    steps = np.arange(1, n + 1)[:, None]
    found.append(Alternative("gradient_frozen", "gradient of the first parameters throughout",
                             start + lr * steps * (fixed[0] - fixed[1])))  # fmt: skip
    return found


# fixed points ---------------------------------------------------------------------------------------------------------


def check_fixed_point(
    update: Callable[[Array, int], Any], case: Case, *, n_rows: int = 32, profile: str = "ci", seed: int = 0
) -> Report:
    """Is the expected update 0 where the data come from the model itself?  For estimators that the oracle doesn't know.

    update(rows (n_rows, nv), seed) -> record with W, a, b, or the tuple: each call gets fresh exact draws of the case.
    Levels are approximate (normal theory).  Persistent chains must start at exact draws to pass.

    >>> from ebm_ref.oracle import cases
    >>> from ebm_ref.oracle.update_recipe import make_update, reference
    >>> case = cases.named("rbm_4x2")
    >>> check_fixed_point(make_update(reference(case, k=3, variant="sampled")), case, profile="smoke").passed
    True
    """
    require_rbm(case)
    require_choice("profile", profile, tuple(UPDATE_SIZES))
    require_int("n_rows", n_rows, 1)
    replay = f"ebm_ref.oracle.check_fixed_point(update, cases.named({case.name!r}), n_rows={n_rows},"
    replay += f" profile={profile!r}, seed={seed})"
    seeds, n0, alpha, seen = Seeds(seed), UPDATE_SIZES[profile], level_of_each(1), []

    def stage(n: int, j: int) -> Stage:
        rng = seeds.rng("L7", j, STARTS)
        g = []
        for k in range(n):
            rows = case.states[case.draw(n_rows, rng), : case.n_visible]
            g.append(flat_gradient(partial(one_update, update, seeds.candidate("L7", j, k)), [rows], case))
        seen.append(np.array(g, dtype=np.float64))
        return mean_zero(seen[-1])

    try:
        outcome = sequential_test(stage, n0, alpha, growth=GROWTH)
    except CandidateError as error:
        return Report(name_of(update), case.name, profile, seed, (refused("L7", error, replay),), (), (), alpha)
    last = outcome.stages[-1]
    names, t = parameter_labels(case), np.array(last.details["t"])
    worst = int(np.argmax(np.abs(t)))
    words = (
        f"mean update {'is not 0' if outcome.rejected else 'agrees with 0'}; largest t {t[worst]:.3g} of {names[worst]}"
    )
    found = nearest_mean(seen[-1], case) if outcome.rejected else ()
    noise = noncentrality(len(names), alpha, growth=GROWTH) / n0
    details = {"effect_unit": "mean update in standard deviations of one (Mahalanobis)", **last.details}
    verdict, n = "fail" if outcome.rejected else "pass", sum(outcome.sizes[: len(outcome.stages)])
    result = Result(
        "L7", verdict, words, last.p_value, None, last.effect, float(np.sqrt(noise)), n, seed, replay, details
    )
    notes = ("approximate level: normal theory for the mean of the updates; blind to sign, scale and k",)
    return Report(name_of(update), case.name, profile, seed, (result,), found, notes, alpha)


def one_update(update: Callable, seed: int, rows: Array) -> Any:
    """Rows last."""
    return update(rows, seed)


def mean_zero(g: Array) -> Stage:
    """Is the mean of g (N, q) zero?  Twice the smaller p of Hotelling's T^2 and of the greatest t."""
    n, mean = len(g), g.mean(axis=0)
    sd = g.std(axis=0, ddof=1)
    still = sd <= 1e-12 * (1.0 + np.abs(mean))
    if (np.abs(mean[still]) > 1e-9).any():
        t = np.where(still & (np.abs(mean) > 1e-9), np.inf, 0.0)
        return Stage(0.0, np.inf, {"t": t.tolist()})
    t = np.where(still, 0.0, mean / np.where(still, 1.0, sd) * np.sqrt(n))
    values, vectors = np.linalg.eigh(np.cov(g.T))
    keep = values > 1e-9 * max(values.max(), 1e-300)
    q = int(keep.sum())
    if not q:
        return Stage(1.0, 0.0, {"t": t.tolist()})
    T2 = n * float(((mean @ vectors[:, keep]) ** 2 / values[keep]).sum())
    hotelling = stats.f.sf(T2 * (n - q) / (q * (n - 1)), q, n - q)
    greatest = min(1.0, 2 * len(t) * float(stats.t.sf(np.abs(t).max(), n - 1)))
    return Stage(float(min(1.0, 2 * min(hotelling, greatest))), float(np.sqrt(max(0.0, T2 - q) / n)), {"t": t.tolist()})


def nearest_mean(g: Array, case: Case) -> tuple[Diagnosis, ...]:
    """What the mean update is instead of 0, by normal log likelihood with the covariance seen."""
    positive = case.pi @ statistics_of(case, case.states)
    block = np.repeat([0, 1, 2], [case.n_visible * case.n_hidden, case.n_visible, case.n_hidden])
    theta = flat(case)
    shapes = {
        "negative_missing": ("negative phase missing", positive),
        "phases_added": ("phases added", 2 * positive),
        "decay": ("an undeclared decay", -theta),
        "decay_on_weights": ("an undeclared decay of W", -theta * (block == 0)),
    }
    mean, n = g.mean(axis=0), len(g)
    precision = np.linalg.pinv(np.cov(g.T), rcond=1e-9, hermitian=True)
    found = []
    for id, (words, shape) in shapes.items():
        factor = float(shape @ precision @ mean) / max(float(shape @ precision @ shape), 1e-300)
        rest = mean - factor * shape
        gain = 0.5 * n * float(mean @ precision @ mean - rest @ precision @ rest)
        misfit = n * float(rest @ precision @ rest)
        explained = factor > 0 and misfit < stats.chi2.isf(1e-3, len(theta))
        found.append(Diagnosis(id, gain, f"{words} (factor {factor:.3g})", bool(explained)))
    return tuple(sorted(found, key=lambda d: (not d.explained, -d.log_likelihood_ratio)))
