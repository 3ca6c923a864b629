"""check_update: is this the declared CD-k update, in law and not only on average?

contract  usable answers, input untouched, the seed decides: named failures, no budget
L5        arithmetic: n da is a vector of whole numbers between -n and n, whatever was drawn; deterministic
L2        one row: the update is one of the finitely many legal values, and they come with their exact probabilities
L1        a batch: the mean of N updates against the exact mean with the exact covariance C; Hotelling's T and the
          greatest squared z, calibrated by drawing the rows' updates from their exact laws; off the range of C the
          mean is exact
L3        a batch: (g - Eg)' pinv(C) (g - Eg) / rank averages 1; finds rows that share random numbers

Each of L1, L2, L3 fails only if four independent stages of n0, 2 n0, 4 n0, 8 n0 calls do.  One Report spends at most
1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_binary, require_choice, require_int, require_rows
from ebm_ref.oracle import update_recipe
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks_formulas import (
    flat_gradient,
    likelihood_statistics,
    parameter_labels,
    wrong_likelihood_gradients,
)
from ebm_ref.oracle.deterministic import CandidateError, exact_report, explain, name_of, refused, value_result
from ebm_ref.oracle.learning_diagnosis import deviations
from ebm_ref.oracle.learning_tests import UPDATE_SIZES, Bench, first_looks, staged
from ebm_ref.oracle.results import Report, Result
from ebm_ref.oracle.statistics.seeds import Seeds
from ebm_ref.oracle.statistics.sequential import level_of_each

BATCH = (1, 2, 1, 3)


def small_batch(case: Case) -> np.ndarray:
    """Rows for ``check_update`` where none are given: visible states by number, one of them twice.

    >>> from ebm_ref.oracle import cases
    >>> small_batch(cases.named("rbm_1x1"))[:, 0].tolist()
    [1.0, 0.0, 1.0, 1.0]
    """
    return case.states[[i % 2**case.n_visible for i in BATCH], : case.n_visible]


def check_update(
    update: Callable[..., Any],
    case: Case,
    data: Any,
    k: int = 1,
    *,
    estimator: str = "cd",
    variant: str = "rao_blackwell",
    start: Any = None,
    profile: str = "ci",
    seed: int = 0,
    thorough: bool = False,
) -> Report:
    """Does ``update`` compute the declared log-likelihood gradient estimate on these rows?

    update(rows, seed) -> record with W, a, b, or the tuple (dW, da, db): the ascent direction at the case's parameters,
    learning rate 1, mean over the rows (n, nv), each used once.  A seed gives one fresh, independent update.
    data (n, nv)   the batch; L2 gives its distinct rows one by one
    estimator      "cd" (k steps of block Gibbs from the rows) or "exact" (the gradient itself, deterministic)
    start (n, nv)  PCD is declared: as many particles as rows.  Then update(rows, particles, seed) is called, and its
                   negative chains start at the particles (``check_persistent`` judges what becomes of them)
    thorough       run every test; without it the check stops at the first that fails
    variant        of CD: "rao_blackwell" (probabilities of h in both statistics), "sampled_negative", "sampled"

    Raises DomainError or ShapeError for wrong use.  Whatever the candidate does is a verdict.

    >>> import numpy as np
    >>> from ebm_ref.oracle import cases
    >>> from ebm_ref.oracle.update_recipe import make_update, reference
    >>> case = cases.named("rbm_4x2")
    >>> rows = [[1, 0, 1, 1], [0, 1, 0, 0], [1, 0, 1, 1]]
    >>> check_update(make_update(reference(case)), case, rows, profile="smoke").passed
    True
    >>> from ebm_ref.oracle.zoo_learning import learning_bug
    >>> wrong = make_update(learning_bug("mean_field_negative").recipe(case))
    >>> check_update(wrong, case, rows, profile="smoke").diagnosis[0].description
    'probabilities for x in the negative phase'
    """
    return update_report(update, case, data, k, estimator, variant, start, profile, seed, thorough)


def update_report(
    update: Callable[..., Any],
    case: Case,
    data: Any,
    k: int,
    estimator: str = "cd",
    variant: str = "rao_blackwell",
    start: Any = None,
    profile: str = "ci",
    seed: int = 0,
    thorough: bool = False,
    foregone: bool = False,
) -> Report:
    """``check_update``; ``foregone`` (audits of wrong code only) leaves out stages whose outcome is certain."""
    if case.W is None or case.clamp:
        raise DomainError(f"case: expected an RBM without clamped units, got {case.name}")
    rows = require_rows("data", data, case.n_visible)
    require_binary("data", rows)
    if not len(rows):
        raise DomainError("data: expected at least one row, got none")
    k = require_int("k", k, 1)
    require_choice("estimator", estimator, ("cd", "exact"))
    require_choice("variant", variant, update_recipe.VARIANTS)
    require_choice("profile", profile, tuple(UPDATE_SIZES))
    replay = f"ebm_ref.oracle.check_update(update, cases.named({case.name!r}), data, k={k}, estimator={estimator!r},"
    replay += f" variant={variant!r}, profile={profile!r}, seed={seed})"
    particles = [] if start is None else [require_rows("start", start, case.n_visible)]
    if start is not None:
        require_binary("start", particles[0])
        if estimator == "exact" or len(particles[0]) != len(rows):
            raise DomainError(f"start: expected {len(rows)} particles, one a row, and estimator='cd'")
        replay = replay.replace(" data,", " data, start=particles,")
    if estimator == "exact":
        return exact_update_report(update, case, rows, seed, replay)
    declared = update_recipe.reference(case, k, variant, "data" if start is None else "particles")
    bench = Bench(update, case, np.hstack([rows, *particles]), declared, Seeds(seed), replay, foregone=foregone)
    return sampled_update_report(bench, profile, variant, thorough)


def sampled_update_report(bench: Bench, profile: str, variant: str, thorough: bool) -> Report:
    """First looks, then L2, L3, L1 in stages, and a diagnosis if anything failed."""
    results, notes = first_looks(bench)
    alpha = level_of_each(3, bench.exact_budget)
    for test in ("L2", "L3", "L1"):
        failed = next((r for r in results if r.verdict == "fail"), None)
        if failed is None or (thorough and not failed.details.get("contract")):
            results.append(staged(bench, test, UPDATE_SIZES[profile], alpha))
        else:
            results.append(Result(test, "skip", f"not run: {failed.test} failed", replay=bench.replay))
    wrong = any(r.verdict == "fail" for r in results)
    diagnosis = deviations(bench, variant) if wrong else ()
    bound = 3 * alpha + bench.exact_budget
    name, seed = name_of(bench.update), bench.seeds.seed
    return Report(name, bench.case.name, profile, seed, tuple(results), diagnosis, notes, bound)


def exact_update_report(update: Callable, case: Case, rows: np.ndarray, seed: int, replay: str) -> Report:
    """D3 on the batch, one row, and the batch reversed; the seed must not matter."""
    seeds = Seeds(seed)
    sets = [("batch", rows), ("one row", rows[:1]), ("reversed", rows[::-1])]
    results: list[Result] = []
    answers: list[np.ndarray] = []
    references: list[np.ndarray] = []
    scales: list[np.ndarray] = []
    try:
        for i, (name, part) in enumerate(sets):
            answer = flat_gradient(partial(seeded, update, seeds.candidate("D3", i)), [part], case)
            positive, negative = likelihood_statistics(case, part)
            scale = (np.abs(positive) + np.abs(negative) + 1e-3) * (2.0 + np.abs(case.energies).max())
            labels = parameter_labels(case)
            results.append(value_result(f"D3 {name}", answer, positive - negative, scale, labels, replay))
            answers.append(answer)
            references.append(positive - negative)
            scales.append(scale)
    except CandidateError as error:
        return exact_report(update, case, [refused("D3", error, replay)])
    wrong = partial(wrong_likelihood_gradients, case, [part for _, part in sets], likelihood_statistics)
    found = explain(np.concatenate(answers), np.concatenate(references), np.concatenate(scales), wrong)
    return exact_report(update, case, results, found)


def seeded(update: Callable, seed: int, rows: np.ndarray) -> Any:
    """One call, rows last."""
    return update(rows, seed)
