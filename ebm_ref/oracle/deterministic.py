"""Comparing numbers without a tolerance chosen by eye, and naming the wrong formula that gives them.

(1) test ratio   r = max |x - x_ref| / (u * scale),   scale = sum of |terms| of x_ref,   u = unit roundoff of x's dtype
                 (2^-53 for float64, 2^-24 for float32); LAPACK's threshold 30 is used everywhere
(2) explanation  alternatives are whole wrong answers; the likelihood ratio of Gaussian deviations with a fitted
                 variance, n/2 ln(RSS_correct / RSS_wrong), ranks them; an alternative that meets (1) itself is certain
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ebm_ref.oracle.discrete import Case
from ebm_ref.oracle.results import Diagnosis, Report, Result

THRESHOLD = 30.0
TINY = 1e-290
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11}
FLOATS = tuple(np.dtype(name) for name in ROUNDOFF)


@dataclass(frozen=True, eq=False)
class Alternative:
    """A wrong answer with its name; ``values`` has the shape of the right one."""

    id: str
    description: str
    values: np.ndarray


class Named(Protocol):
    """Any case: a report needs its name."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...


class CandidateError(Exception):
    """The candidate raised, or returned something unusable; the message says which."""


def required_arguments(f: Any) -> int | None:
    """How many positional arguments a callable needs; None if it doesn't say.

    >>> required_arguments(lambda x, h: 0), required_arguments(lambda s, weights=None: 0)
    (2, 1)
    """
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters)


def argument_names(f: Any) -> tuple[str, ...]:
    """The names of a callable's parameters, () if it doesn't say.

    >>> argument_names(lambda s, weights=None: 0)
    ('s', 'weights')
    """
    try:
        return tuple(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        return ()


def ask(f: Callable[..., Any], arguments: Sequence[Any], shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Call the candidate with copies and return a copy of its answer, float16, float32 or float64.

    Raises CandidateError if it raises, modifies an input, or returns a wrong shape, no numbers, or a NaN.
    """
    copies = [np.array(a, copy=True) if isinstance(a, np.ndarray) else a for a in arguments]
    try:
        answer = np.array(f(*copies), copy=True)
    except Exception as error:  # the candidate's own, whatever it is
        raise CandidateError(f"raised {type(error).__name__}: {error}") from error
    for given, copy in zip(arguments, copies, strict=True):
        if isinstance(given, np.ndarray) and not np.array_equal(given, copy):
            raise CandidateError("modified its input")
    return usable(answer, shape)


def usable(answer: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    """The answer as floats of the wanted shape, or CandidateError."""
    if answer.dtype.kind in "biu":
        answer = answer.astype(np.float64)
    if answer.dtype not in FLOATS:
        raise CandidateError(f"returned {answer.dtype.name}, expected float64 or float32 numbers")
    if shape is not None and answer.shape != shape:
        raise CandidateError(f"returned shape {answer.shape}, expected {shape}")
    if not np.isfinite(answer).all():
        bad = np.argwhere(~np.isfinite(answer))
        where = tuple(int(i) for i in bad[0])
        raise CandidateError(f"returned {answer[where]} at {list(where)} ({len(bad)} non-finite numbers)")
    return answer


def test_ratio(answer: np.ndarray, reference: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(1), element by element."""
    u = ROUNDOFF[answer.dtype.name]
    return np.abs(answer.astype(np.float64) - reference) / (u * np.maximum(scale, TINY))


test_ratio.__test__ = False  # type: ignore[attr-defined]  # a formula, not a test of ours


def value_result(
    test: str, answer: np.ndarray, reference: np.ndarray, scale: np.ndarray, labels: Sequence[str], replay: str
) -> Result:
    """D1: passes if every test ratio is below 30; the worst elements are its cells."""
    flat = [np.ravel(v) for v in (answer, reference, np.broadcast_to(scale, reference.shape))]
    ratio = test_ratio(flat[0], flat[1], flat[2])
    order = np.argsort(-ratio, kind="stable")[:8]
    worst = int(order[0])
    right = bool(ratio[worst] < THRESHOLD)
    number = f"{labels[worst]}: expected {flat[1][worst]:.12g}, got {float(flat[0][worst]):.12g}"
    message = f"{len(ratio)} numbers agree, worst test ratio {ratio[worst]:.3g} (allowed 30)"
    return Result(
        test,
        "pass" if right else "fail",
        message if right else f"{number} (test ratio {ratio[worst]:.3g}, allowed 30)",
        effect=float(ratio[worst]),
        smallest_detectable_effect=THRESHOLD,
        n=len(ratio),
        replay=replay,
        details={
            "effect_unit": f"test ratio |x - ref| / (u sum|terms|), {answer.dtype.name}",
            "cells": [[labels[i], float(flat[0][i]), float(flat[1][i])] for i in order],
        },
    )


def explain(
    answer: np.ndarray,
    reference: np.ndarray,
    scale: np.ndarray,
    alternatives: Callable[[], Sequence[Alternative]],
) -> tuple[Diagnosis, ...]:
    """(2): the alternatives that are closer to the answer than the right formula, best first; none if it is right."""
    x = answer.astype(np.float64)
    if not test_ratio(answer, reference, scale).max() >= THRESHOLD:
        return ()
    residual = float(((x - reference) ** 2).sum())
    with np.errstate(all="ignore"):
        known = [a for a in alternatives() if np.isfinite(a.values).all()]
    found = []
    for other in [*together(known), *generic(x, reference)]:
        wider = np.maximum(scale, np.abs(other.values))
        if test_ratio(np.asarray(reference, dtype=answer.dtype), other.values, wider).max() < THRESHOLD:
            continue  # on this case that mistake makes no difference
        distance = float(((x - other.values) ** 2).sum())
        exact = bool(test_ratio(answer, other.values, wider).max() < THRESHOLD)
        if exact or distance < residual:
            ratio = math.inf if exact else 0.5 * x.size * math.log(residual / max(distance, 1e-300))
            found.append(Diagnosis(other.id, ratio, other.description, exact))
    return tuple(sorted(found, key=lambda d: -d.log_likelihood_ratio))


def together(alternatives: Sequence[Alternative]) -> list[Alternative]:
    """Mistakes that give the same numbers on this case are one: the first, with the words of all.

    >>> one = np.array([1.0])
    >>> [a.description for a in together([Alternative("a", "this", one), Alternative("b", "that", one)])]
    ['this, or: that']
    """
    kept: list[Alternative] = []
    rows = np.zeros((len(alternatives), alternatives[0].values.size)) if alternatives else np.zeros((0, 0))
    for other in alternatives:
        flat = other.values.ravel()
        gap = np.abs(rows[: len(kept)] - flat).max(axis=1)
        same = np.flatnonzero(gap <= 1e-13 + 1e-12 * np.abs(flat).max())
        if len(same):
            known = kept[same[0]]
            kept[same[0]] = Alternative(known.id, f"{known.description}, or: {other.description}", known.values)
        else:
            rows[len(kept)] = flat
            kept.append(other)
    return kept


def generic(x: np.ndarray, reference: np.ndarray) -> list[Alternative]:
    """The right answer times a fitted factor, and plus a fitted constant; named after the specific mistakes."""
    found = []
    power = float((reference**2).sum())
    if x.size > 1 and power > 0:
        factor, shift = float((x * reference).sum()) / power, float((x - reference).mean())
        found.append(Alternative("scaled", f"multiplied by {factor:.6g}", factor * reference))
        found.append(Alternative("shifted", f"shifted by the constant {shift:.6g}", reference + shift))
    return found


def refused(test: str, error: CandidateError, replay: str) -> Result:
    """A named failure instead of a crash."""
    return Result(test, "fail", str(error), replay=replay, details={"contract": True})


def exact_report(
    subject: Any,
    case: Named,
    results: Sequence[Result],
    diagnosis: Sequence[Diagnosis] = (),
    notes: Sequence[str] = (),
) -> Report:
    """A report without chance: its false-alarm probability is 0."""
    return Report(name_of(subject), case.name, "exact", 0, tuple(results), tuple(diagnosis), tuple(notes), 0.0)


def name_of(subject: Any) -> str:
    """What to call a candidate in a report."""
    return getattr(subject, "__name__", None) or type(subject).__name__


def state_label(case: Case, row: np.ndarray) -> str:
    """A state as the reader of a report sees it: x|h.

    >>> from ebm_ref.oracle import cases
    >>> state_label(cases.named("rbm_4x2"), np.array([1, 0, 1, 1, 0, 1]))
    '1011|01'
    """
    words = ["+" if v == 1 and case.units == "spin" else "-" if v == -1 else str(int(v)) for v in row]
    visible, hidden = "".join(words[: case.n_visible]), "".join(words[case.n_visible :])
    return f"{visible}|{hidden}" if hidden else visible


def rows_report(
    f: Callable[..., Any],
    case: Case,
    rows: np.ndarray,
    reference: np.ndarray,
    scale: np.ndarray,
    labels: Sequence[str],
    replay: str,
    wrong: Callable[[], Sequence[Alternative]],
) -> Report:
    """A function of rows (n, units), a number each, scale (n,): all rows in one call (D1), and one by one (D6)."""
    try:
        answer = ask(f, [rows], (len(rows),))
        results = [value_result("D1", answer, reference, scale, labels, replay)]
        alone = np.concatenate([ask(f, [rows[i : i + 1]], (1,)) for i in range(len(rows))])
    except CandidateError as error:
        return exact_report(f, case, [refused("D1", error, replay)])
    results.append(value_result("D6", alone, answer.astype(np.float64), scale, labels, replay))
    return exact_report(f, case, results, explain(answer, reference, scale, wrong))
