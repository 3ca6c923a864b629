"""check_log_partition: is this log Z?  A number, a formula, or an estimate that changes from call to call.

(1) A formula or a number is right if its test ratio is below 30 (D1); whole wrong formulas are compared with it
(2) An estimate that is no formula has no business here (``check_annealing`` judges its law); but one mistake is common:
    the sum over the *different* states among n draws.  The missing share of Z, sum pi(s) [s not drawn], has
    mean  m_n = sum_s pi_s (1 - pi_s)^n
    variance    sum_st pi_s pi_t [(1 - pi_s - pi_t)^n - (1 - pi_s)^n (1 - pi_t)^n],   (1 - 2 pi_s -> 1 - pi_s for s = t)
    Eight answers whose mean and spread agree with one n are explained by it; a single number is only near it
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError
from ebm_ref.oracle.alternatives import energy_terms, wrong_log_z
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.continuous import formulas as continuous
from ebm_ref.oracle.deterministic import (
    CandidateError,
    ask,
    exact_report,
    explain,
    refused,
    required_arguments,
    usable,
    value_result,
)
from ebm_ref.oracle.results import Diagnosis, Report

ANSWERS, FAR = 8, 4.5
NUMBERS = 2.0 ** np.arange(0, 24, 0.25)  # of draws


def check_log_partition(f: Any, case: Case | continuous.ContinuousCase) -> Report:
    """Is this log Z of the case, in nats?

    ``f`` is the number itself, a callable without arguments, or one that takes the parameters, f(W, a, b) or f(J, c).
    Deterministic (D1); for an estimator with random weights use ``check_annealing``.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_4x2")
    >>> check_log_partition(case.moments.log_z, case).passed
    True
    >>> import numpy as np
    >>> check_log_partition(case.moments.log_z - 2 * np.log(2), case).diagnosis[0].description
    'n_hidden log 2 missing'
    """
    if not isinstance(case, Case):
        return continuous.check_continuous_log_partition(f, case)
    replay = f"ebm_ref.oracle.check_log_partition(f, cases.named({case.name!r}))"
    right = case.moments.log_z
    scale = np.array(1.0 + abs(right) + float(case.pi @ energy_terms(case)))
    try:
        answers = [log_z_answer(f, case)]
        if callable(f) and log_z_answer(f, case) != answers[0]:
            answers += [log_z_answer(f, case) for _ in range(ANSWERS - 1)]
    except CandidateError as error:
        return exact_report(f, case, [refused("D1", error, replay)])
    every, reference = np.array(answers), np.full(len(answers), right)
    random = len(every) > 1
    labels = [f"log Z, call {k}" for k in range(len(every))] if random else ["log Z"]
    results = [value_result("D1", every, reference, np.tile(scale, len(every)), labels, replay)]
    found = explain(every[0], reference[0], scale, lambda: wrong_log_z(case))
    if results[0].verdict == "fail" and not (found and found[0].explained):
        found = (*visited_states(every, case), *found)
    notes = ["another answer at every call: an estimate; check_annealing judges the law of one"] if random else []
    return exact_report(f, case, results, found, notes)


def visited_states(answers: np.ndarray, case: Case) -> tuple[Diagnosis, ...]:
    """(2): () if the answers are no such sums."""
    missing = -np.expm1(answers.astype(np.float64) - case.moments.log_z)
    if not ((missing > 0) & (missing < 1)).all():
        return ()
    pi, r = case.pi, len(missing)
    same = np.eye(len(pi), dtype=bool)
    best = (-math.inf, 0.0, 0.0, 0.0)
    for n in NUMBERS:
        unseen = (1 - pi) ** n
        mean, both = float(pi @ unseen), np.where(same, unseen, np.maximum(1 - pi[:, None] - pi, 0.0) ** n)
        sd = math.sqrt(max(float(pi @ both @ pi) - mean**2, 1e-300))
        fit = float((-0.5 * ((missing - mean) / sd) ** 2).sum() - r * math.log(sd))
        best = max(best, (fit, n, mean, sd))
    _, n, mean, sd = best
    z, spread = abs(missing.mean() - mean) / sd * math.sqrt(r), float(((missing - mean) ** 2).sum()) / sd**2
    alive = bool(r >= ANSWERS and z < FAR and abs(spread - r) < FAR * math.sqrt(2 * r))
    gain = 0.5 * r * math.log(float((missing**2).mean()) / max(float(((missing - mean) ** 2).mean()), sd**2))
    words = f"{100 * (1 - missing.mean()):.3g} % of Z: sum over the different states among about {n:.2g} draws"
    return (Diagnosis("visited_states", gain, words, alive),) if gain > 0 else ()


def log_z_answer(f: Any, case: Case) -> np.ndarray:
    """The candidate's number."""
    if not callable(f):
        try:
            return usable(np.array(f, copy=True), ())
        except (TypeError, ValueError) as error:
            raise CandidateError(f"is no number: {error}") from error
    needed = required_arguments(f)
    parameters = [case.J, case.c] if case.W is None else [case.W, case.a, case.b]
    if needed not in (0, None, len(parameters)):
        raise DomainError(f"f: expected a callable of 0 or {len(parameters)} arguments, got one of {needed}")
    return ask(f, [] if needed == 0 else parameters, ())
