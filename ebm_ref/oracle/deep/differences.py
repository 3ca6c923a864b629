"""Is a gradient the gradient of its own energy?  For any energy given as a callable, where no reference is known.

(1) D(h) = (E(x + h d) - E(x - h d))/(2h) = dE/dx.d + a_1 h^2 + a_2 h^4 + ...
(2) Richardson: T[j][0] = D(2^-j H),  T[j][m] = T[j][m-1] + (T[j][m-1] - T[j-1][m-1])/(4^m - 1)
(3) error of T[j][m]: the larger change to its two neighbours in (2), plus 4 noise/h; the entry with the least is taken
(4) noise of E from the 4th to 6th differences of seven values close together: that is what the precision really is,
    whatever the type of the answer says.                                                  [Hamming; More & Wild 2011]
(5) a value that those at smaller h contradict is off by as much: kinks (ReLU) nearby
(6) a kink at x itself: with S(h) = (E(x + h d) - 2 E(x) + E(x - h d))/h, 2 S(h/2) - S(h) is the jump of the slope,
    and of third order in h where E is smooth
Allowed: 16 times (3), twice (6), and the noise of E relative to |E| in the terms of the gradient.

Sources: Ridders 1982 for (2), (3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, ShapeError, as_float_array, require_choice, require_finite
from ebm_ref.oracle.arrays import frozen
from ebm_ref.oracle.deep.formulas import CHANGING, COUPLED, refusal
from ebm_ref.oracle.deterministic import (
    ROUNDOFF,
    THRESHOLD,
    Alternative,
    CandidateError,
    ask,
    exact_report,
    explain,
    required_arguments,
    usable,
    value_result,
)
from ebm_ref.oracle.results import Report, Result

Array = np.ndarray
CLOSE = 2.0**-14  # distance of the values of (4), grown where the energy does not move
FIRST, STEPS = 0.5, 9  # H and the number of rows of (2)
SAFETY, TERMS = 16.0, 100.0
DIRECTIONS = 12
TOO_NOISY = 0.25  # of the derivatives: nothing can be told then


@dataclass(frozen=True, eq=False, repr=False)
class CallableCase:
    """An energy, and where it is asked.  Make it with ``energy_of``."""

    name: str
    energy: Callable[..., Any]
    points: Array
    parameters: tuple[Array, ...]
    network: Callable[..., Any] | None
    form: str | None
    scale: float

    def __repr__(self) -> str:
        """Name and size."""
        return f"CallableCase({self.name}, {len(self.points)} rows of shape {self.points.shape[1:]})"


def energy_of(
    energy: Callable[..., Any],
    points: Any,
    parameters: Sequence[Any] = (),
    *,
    network: Callable[..., Any] | None = None,
    form: str | None = None,
    scale: float = 1.0,
    name: str = "own energy",
) -> CallableCase:
    """A case that knows no answer: ``energy(x) -> (n,)`` itself is the reference of its gradient.

    points: where to ask, (n, ...) in the shape that the energy takes, of size about 1 (steps up to 1/2 are taken).
    parameters: arrays, if dE/dtheta is to be judged; then ``energy(x, *parameters)``.
    network, form, scale: f(x) and "inner", "residual" or "square", if known: they make the diagnosis better.

    >>> import numpy as np
    >>> from ebm_ref.oracle import cases, check_gradient
    >>> W = np.array([[1.0, 0.5], [-0.25, 2.0]])
    >>> f = lambda x: np.tanh(x @ W)
    >>> case = energy_of(lambda x: (x * f(x)).sum(axis=1), np.eye(2), network=f, form="inner")
    >>> check_gradient(lambda x: f(x) + (x * (1 - f(x) ** 2)) @ W.T, case).passed
    True
    >>> check_gradient(f, case).diagnosis[0].mistake
    'vjp_missing'
    """
    at = as_float_array("points", points)
    require_finite("points", at)
    if at.ndim < 2 or not at.size:
        raise ShapeError(f"points: expected rows (n, ...), got shape {at.shape}")
    if form is not None:
        require_choice("form", form, ("inner", "residual", "square"))
        if network is None:
            raise DomainError("network: expected the function f(x) whose form is given")
    theta = tuple(frozen(p) for p in parameters)
    return CallableCase(name, energy, frozen(at), theta, network, form, float(scale))


# derivatives along lines ----------------------------------------------------------------------------------------------


def noise_of(along: Callable[[float], Array]) -> Array:
    """(4) of each number of along(t), the largest found at three places, and at least that of half of the numbers."""
    found = [local_noise(along, t) for t in (0.0, -FIRST / 3.0, FIRST / 3.0)]
    each = np.max(found, axis=0)
    return np.maximum(each, np.median(each))


def local_noise(along: Callable[[float], Array], t: float) -> Array:
    """(4) around t."""
    close = CLOSE
    while True:
        values = np.array([along(t + close * (k - 3)) for k in range(7)])
        if close >= 2.0**-6 or (np.ptp(values, axis=0) > 0).all():
            break
        close *= 4.0
    found = [2.0**-53 * np.abs(values).max(axis=0)]
    for k in range(4, 7):
        gamma = math.factorial(k) ** 2 / math.factorial(2 * k)
        found.append(np.sqrt(gamma * (np.diff(values, k, axis=0) ** 2).mean(axis=0)))
    return np.max(found, axis=0)


def derivative(along: Callable[[float], Array], noise: Array) -> tuple[Array, Array]:
    """d/dt of along(t) at 0 by (2), and (3) with (5) and (6)."""
    middle = along(0.0)
    above: list[Array] = []
    values, errors, gaps = [], [], []
    for j in range(STEPS):
        h = FIRST * 2.0**-j
        up, down = along(h), along(-h)
        gaps.append((up - 2.0 * middle + down) / h)
        row, best, error = [(up - down) / (2.0 * h)], np.zeros_like(noise), np.full_like(noise, np.inf)
        for m, old in enumerate(above):
            row.append(row[-1] + (row[-1] - old) / (4.0 ** (m + 1) - 1.0))
            own = np.maximum(np.abs(row[-1] - row[-2]), np.abs(row[-1] - old)) + 4.0 * noise / h
            best, error = np.where(own < error, row[-1], best), np.minimum(own, error)
        above = row
        values.append(best)
        errors.append(error)
    return chosen(np.array(values[1:]), np.array(errors[1:]), kink(gaps))


def chosen(values: Array, errors: Array, jump: Array) -> tuple[Array, Array]:
    """The row of least error, (5) included."""
    total = errors.copy()
    for j in range(len(values) - 1):
        later = np.abs(values[j + 1 :] - values[j]) - 4.0 * errors[j + 1 :]
        total[j] += np.maximum(later, 0.0).max(axis=0)
    best = total.argmin(axis=0)[None]
    return np.take_along_axis(values, best, 0)[0], np.take_along_axis(total, best, 0)[0] + 2.0 * jump / SAFETY


def kink(gaps: list[Array]) -> Array:
    """(6): the jump of the slope, 0 where it shrinks with h; a kink at h/3 hides in one of two steps."""
    jumps = [np.abs(2.0 * gaps[j] - gaps[j - 1]) for j in (-3, -2, -1)]
    found = [np.where(now > 0.25 * before, now, 0.0) for before, now in itertools.pairwise(jumps)]
    return np.maximum(*found)


def asked(case: CallableCase, x: Array, theta: Sequence[Array]) -> Array:
    """E (n,) in float64."""
    answer = ask(case.energy, [x, *theta])
    if answer.shape != (len(x),):
        raise CandidateError(f"returned shape {answer.shape}, expected ({len(x)},)")
    return answer.astype(np.float64)


# the checks -----------------------------------------------------------------------------------------------------------


def check_own_energy(f: Callable[..., Any], case: CallableCase) -> Report:
    """A number for each row (D1: that of the case), the same for any batch (D6) and at every call (D7)."""
    replay, n = "ebm_ref.oracle.check_energy(f, case)", len(case.points)
    own = case.parameters if (required_arguments(f) or 1) > 1 else ()
    call = lambda x: ask(f, [x, *own], (len(x),))  # noqa: E731
    try:
        answer = call(case.points)
    except CandidateError as error:
        return refusal(f, case, "D1", error, replay)
    try:
        again, reverse = call(case.points), call(case.points[::-1])[::-1]
        alone = np.concatenate([call(case.points[i : i + 1]) for i in range(n)])
        right = asked(case, case.points, case.parameters)
        direction = signs((1, *case.points.shape[1:]))
        noise = noise_of(lambda t: asked(case, case.points + t * direction, case.parameters))
    except CandidateError as error:
        return refusal(f, case, "D1", error, replay)
    scale = np.maximum(noise / ROUNDOFF[answer.dtype.name], np.abs(right)) + 1e-290
    first, labels = answer.astype(np.float64), [f"E of row {i}" for i in range(n)]
    both = [f"{label} {how}" for how in ("alone", "in reverse order") for label in labels]
    pair = np.concatenate([first, first]), np.concatenate([scale, scale])
    results = [
        value_result("D1", answer, right, scale, labels, replay),
        value_result("D7", again, first, scale, labels, replay),
        value_result("D6", np.concatenate([alone, reverse]), *pair, both, replay),
    ]
    failed = {r.test for r in results if r.verdict == "fail"}
    said = (CHANGING,) if "D7" in failed else (COUPLED,) if "D6" in failed else ()
    return exact_report(f, case, results, said)


def check_own_gradient(f: Callable[..., Any], case: CallableCase, of: str = "auto") -> Report:
    """of="state": f(x) -> dE/dx in the shape of x.  of="energy": f(x, weights) -> arrays of the parameters' shapes,
    sum_n weights_n dE(x_n)/dtheta.  of="auto": "energy" if f needs two arguments.
    """
    require_choice("of", of, ("auto", "state", "energy"))
    if of == "energy" or (of == "auto" and required_arguments(f) == 2):
        if not case.parameters:
            raise DomainError("case: expected parameters to differentiate by; cases.energy_of(energy, points, arrays)")
        return judged(f, case, parameter_lines(f, case))
    return judged(f, case, state_lines(f, case))


@dataclass(frozen=True, eq=False)
class Lines:
    """Directions: along each, E as a function of the distance, and the candidate's derivative with its terms."""

    labels: list[str]
    along: list[Callable[[float], Array]]
    answers: Callable[[], tuple[Array, Array, str]]  # (lines, numbers), sums of |terms|, name of the dtype
    pulls: Callable[[], list[Array]]  # what f alone contributes, (lines, numbers)


def state_lines(f: Callable[..., Any], case: CallableCase) -> Lines:
    """Coordinates, or random signs where there are many."""
    x = case.points
    size = int(np.prod(x.shape[1:]))
    units = np.eye(size) if size <= 16 else signs((DIRECTIONS, size))
    directions = units.reshape(-1, 1, *x.shape[1:])
    axes = tuple(range(1, x.ndim))

    def along(d: Array) -> Callable[[float], Array]:
        return lambda t: asked(case, x + t * d, case.parameters)

    def answers() -> tuple[Array, Array, str]:
        g = ask(f, [x])
        if g.size != x.size:
            raise CandidateError(f"returned shape {g.shape}, expected {x.shape}")
        g64 = g.reshape(x.shape).astype(np.float64)
        products = np.array([g64 * d for d in directions])
        over = tuple(a + 1 for a in axes)
        return products.sum(axis=over), np.abs(products).sum(axis=over), g.dtype.name

    def pulls() -> list[Array]:
        if case.network is None or case.form not in ("inner", "residual"):
            return []
        output = ask(case.network, [x, *case.parameters]).reshape(x.shape).astype(np.float64)
        own = output if case.form == "inner" else 2.0 * (x - output)
        return [case.scale * np.array([(own * d).sum(axis=axes) for d in directions])]

    what = "coordinate" if size <= 16 else "random direction"
    return Lines([f"{what} {k}" for k in range(len(units))], [along(d) for d in directions], answers, pulls)


def parameter_lines(f: Callable[..., Any], case: CallableCase) -> Lines:
    """Three directions of random signs in each array."""
    weights = np.cos(1.0 + np.arange(len(case.points)))
    moves = [(k, d) for k, array in enumerate(case.parameters) for d in signs((3, *array.shape))]

    def along(k: int, d: Array) -> Callable[[float], Array]:
        def of(t: float) -> Array:
            theta = [p + t * d if i == k else p for i, p in enumerate(case.parameters)]
            return np.atleast_1d(weights @ asked(case, case.points, theta))

        return of

    def answers() -> tuple[Array, Array, str]:
        try:
            given = [np.asarray(part) for part in f(case.points.copy(), weights.copy())]
        except Exception as error:  # the candidate's own, whatever it is
            raise CandidateError(f"raised {type(error).__name__}: {error}") from error
        if [g.shape for g in given] != [p.shape for p in case.parameters]:
            raise CandidateError(f"returned shapes {[g.shape for g in given]}, expected those of the parameters")
        given = [usable(g, g.shape) for g in given]
        products = [given[k].astype(np.float64) * d for k, d in moves]
        total, terms = ([[s(p)] for p in products] for s in (np.sum, lambda p: np.abs(p).sum()))
        return np.array(total), np.array(terms), given[0].dtype.name

    return Lines([f"array {k}, random direction" for k, _ in moves], [along(*m) for m in moves], answers, lambda: [])


def signs(shape: tuple[int, ...]) -> Array:
    """Fixed random signs."""
    return np.random.default_rng(20260612).choice([-1.0, 1.0], shape)


def judged(f: Callable[..., Any], case: CallableCase, lines: Lines) -> Report:
    """D3: derivatives of the energy along the lines against those of the candidate."""
    replay = "ebm_ref.oracle.check_gradient(f, case)"
    try:
        found, error, relative = [], [], []
        for along in lines.along:
            noise = noise_of(along)
            value, bound = derivative(along, noise)
            found.append(value)
            error.append(bound)
            relative.append(noise / np.maximum(np.abs(along(0.0)), 1e-300))
    except CandidateError as failure:
        message = CandidateError(f"the energy of the case {failure}")
        return refusal(f, case, "D3", message, replay)
    try:
        answer, terms, dtype = lines.answers()
        pulls = lines.pulls()
    except CandidateError as failure:
        return refusal(f, case, "D3", failure, replay)
    right = np.array(found)
    precision = max(float(np.median(relative)), ROUNDOFF[dtype])
    allowed = SAFETY * np.array(error) + TERMS * precision * np.maximum(terms, np.abs(right))
    result = derivative_result(answer, right, allowed, lines.labels, replay)
    scale = allowed / (THRESHOLD * ROUNDOFF["float64"])
    said = explain(answer, right, scale, lambda: wrong_lines(case, right, pulls))
    return exact_report(f, case, [result], said if result.verdict == "fail" else ())


def derivative_result(answer: Array, right: Array, allowed: Array, labels: list[str], replay: str) -> Result:
    """Effects in units of the root mean square of the derivatives."""
    size = float(np.sqrt((right**2).mean())) or 1.0
    gap = np.abs(answer - right)
    order = np.argsort(-(gap / allowed), axis=None)[:8]
    places = [np.unravel_index(k, gap.shape) for k in order]
    i, row = places[0]
    seen = float(np.median(allowed)) / size
    ratio = gap[i, row] / allowed[i, row]
    verdict = "fail" if ratio > 1 else "skip" if seen > TOO_NOISY else "pass"
    words = {
        "fail": f"{labels[i]} of row {row}: expected {right[i, row]:.12g}, got {answer[i, row]:.12g},"
        f" allowed {allowed[i, row]:.3g}",
        "skip": f"the energy is too noisy: differences are good to {seen:.3g} of the derivatives only",
        "pass": f"{gap.size} derivatives agree with differences of the energy to {seen:.3g} of their size",
    }
    cells = [[f"{labels[a]} of row {b}", float(answer[a, b]), float(right[a, b])] for a, b in places]
    details = {"effect_unit": "error / root mean square of the derivatives", "cells": cells}
    return Result("D3", verdict, words[verdict], effect=float(gap[i, row]) / size, smallest_detectable_effect=seen,
                  n=gap.size, replay=replay, details=details)  # fmt: skip


def wrong_lines(case: CallableCase, right: Array, pulls: list[Array]) -> list[Alternative]:
    """What can be said without a reference: sign, factors of rows and squares, and parts of the form's gradient."""
    n = len(case.points)
    found = [Alternative("score_for_gradient", "the score -dE/dx for dE/dx, or ascent for dE/dtheta", -right)]
    for own in pulls:
        prefix = "" if case.form == "inner" else "residual_"
        found.append(Alternative(f"{prefix}vjp_missing", "the pullback of the network is missing", own))
        found.append(Alternative(f"{prefix}own_term_missing", "the pullback of the network alone", right - own))
    found += [
        Alternative("mean_over_rows", "the gradient of the mean over the rows", right / n),
        Alternative("halved", "half of the gradient: the factor 2 of a square missing", right / 2.0),
        Alternative("doubled", "twice the gradient", right * 2.0),
    ]
    return found
