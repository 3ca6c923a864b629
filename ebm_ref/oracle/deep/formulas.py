"""Checks of network energies: E, dE/dx and dE/dtheta against plain loops.  All deterministic.

D1 all rows in one call, D6 one row at a time and in reverse order (nothing may couple the rows of a batch), D7 the same
call again (power iterations, dropout and running statistics change the energy between calls), D3 gradients.
The tolerance is 30 times a first-order bound of the rounding of the equations themselves, in the precision of the
answer.  A failure is compared with whole wrong networks: ``ebm_ref.oracle.deep.wrong``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ebm_ref.errors import require_choice
from ebm_ref.oracle.deep.cases import NetworkCase, evaluated, values_of
from ebm_ref.oracle.deep.wrong import ENERGY, GRADIENT
from ebm_ref.oracle.deterministic import (
    THRESHOLD,
    Alternative,
    CandidateError,
    ask,
    exact_report,
    explain,
    refused,
    required_arguments,
    test_ratio,
    usable,
    value_result,
)
from ebm_ref.oracle.results import Diagnosis, Report, Result

Array = np.ndarray
COUPLED = Diagnosis(
    "rows_coupled", float("nan"), "the answer for a row depends on the other rows: batch normalisation, a mean or a"
    " norm over the batch", True,
)  # fmt: skip
CHANGING = Diagnosis(
    "changes_between_calls", float("nan"), "the answer changes from call to call: a power iteration of the spectral"
    " norm, dropout, or running statistics inside the evaluation", True,
)  # fmt: skip
REDUCED = Diagnosis(
    "reduced", float("nan"), "one number for the whole batch: a mean or sum over the rows is taken too early", True,
)  # fmt: skip
MODIFIED = Diagnosis("modified_input", float("nan"), "the input itself is changed, in place", True)
AT_ONCE = (("returned shape ()", REDUCED), ("returned shape (1,)", REDUCED), ("modified its input", MODIFIED))


def refusal(f: Any, case: Any, test: str, error: CandidateError, replay: str) -> Report:
    """A report of an answer that could not be used, and what that says."""
    said = [diagnosis for words, diagnosis in AT_ONCE if words in str(error)]
    return exact_report(f, case, [refused(test, error, replay)], said)


def asked(f: Callable[..., Any], case: NetworkCase, rows: Array, width: int) -> Array:
    """The candidate's numbers for the points of that index, (n, width); y too if the form has classes."""
    arguments: list[Any] = [case.images[rows]]
    if case.form == "joint":
        arguments.append(case.labels[rows])
    answer = ask(f, arguments)
    if answer.size != len(rows) * width or (answer.ndim and len(answer) != len(rows)) or not answer.ndim:
        wanted = (len(rows),) if width == 1 else (len(rows), *case.input_shape)
        raise CandidateError(f"returned shape {answer.shape}, expected {wanted}")
    return answer.reshape(len(rows), width)


def values_report(
    f: Callable[..., Any],
    case: NetworkCase,
    check: str,
    right: tuple[Array, Array],
    wrong: Callable[[Array], Sequence[Alternative]],
) -> Report:
    """D1, D6 and D7 of a function of rows, ``right`` = (values, bounds) (n, width)."""
    reference, scale = right
    n, width = reference.shape
    what = "E" if check == "check_energy" else "dE/dx"
    replay = f"ebm_ref.oracle.{check}(f, cases.named({case.name!r}))"
    labels = [f"{what} of row {i}" + (f", element {e}" if width > 1 else "") for i in range(n) for e in range(width)]
    every = np.arange(n)
    try:
        answer = asked(f, case, every, width)
        results = [value_result("D1", answer, reference, scale, labels, replay)]
        alone = np.concatenate([asked(f, case, every[i : i + 1], width) for i in range(n)])
        reverse = asked(f, case, every[::-1], width)[::-1]
        again = asked(f, case, every, width)
    except CandidateError as error:
        return refusal(f, case, "D1", error, replay)
    first = answer.astype(np.float64)
    results.append(value_result("D7", again, first, scale, labels, replay))
    pair = np.concatenate([first, first]), np.concatenate([scale, scale])
    both = [f"{label} {how}" for how in ("alone", "in reverse order") for label in labels]
    results.append(value_result("D6", np.concatenate([alone, reverse]), *pair, both, replay))
    found = explain(answer, reference, scale, partial(wrong, answer))
    return exact_report(f, case, results, with_calls(results, found))


def with_calls(results: Sequence[Result], found: Sequence[Diagnosis]) -> list[Diagnosis]:
    """What D7 says comes first, what D6 says after a mistake that is certain; D6 means nothing where D7 fails."""
    failed = {r.test for r in results if r.verdict == "fail"}
    sure = [d for d in found if d.explained]
    rest = [d for d in found if not d.explained]
    if "D7" in failed:
        return [CHANGING, *found]
    return [*sure, COUPLED, *rest] if "D6" in failed else [*found]


def wrong_answers(case: NetworkCase, by: str, answer: Array, scale: Array) -> list[Alternative]:
    """Whole wrong answers: by "nothing" energies (n, 1), by "state" (n, d) or "parameters" (n, q) gradients.

    The search ends with the first that is the candidate's answer.
    """
    found = []
    for one in ENERGY if by == "nothing" else GRADIENT + ENERGY:
        equations = one.equations(case)
        if equations is not None:
            with np.errstate(all="ignore"):
                made = evaluated(case, case.points, by=by, equations=equations)
            values = values_of([made.energy] if by == "nothing" else made.slopes, len(case.points))
            found.append(Alternative(one.id, one.description, values))
            if test_ratio(answer, values, np.maximum(scale, np.abs(values))).max() < THRESHOLD:
                break
    return found


# the checks -----------------------------------------------------------------------------------------------------------


def check_network_energy(f: Callable[..., Any], case: NetworkCase) -> Report:
    """f(x) -> (n,), x (n, *input_shape); of a joint form f(x, y), y (n,) class numbers.

    >>> from ebm_ref.oracle.deep import cases
    >>> case = cases.named("linear_inner")
    >>> W, b = case.parameters
    >>> check_network_energy(lambda x: (x * (x @ W + b)).sum(axis=1), case).passed
    True
    >>> check_network_energy(lambda x: (x * (x @ W - b)).sum(axis=1), case).passed
    False
    """
    energies, bounds = case.energies
    right = energies[:, None], bounds[:, None]

    def wrong(answer: Array) -> list[Alternative]:
        total, n = energies.sum(), len(energies)
        batch = [
            Alternative("sum_over_rows", "the sum over the rows for each of them", np.full((n, 1), total)),
            Alternative("mean_over_rows", "the mean over the rows for each of them", np.full((n, 1), total / n)),
            Alternative("divided_by_rows", "each energy divided by the number of rows", right[0] / n),
        ]
        return batch + wrong_answers(case, "nothing", answer, right[1])

    return values_report(getattr(f, "energy", f), case, "check_energy", right, wrong)


def check_network_gradient(f: Callable[..., Any], case: NetworkCase, of: str = "auto") -> Report:
    """of="state": f(x) -> dE/dx in the shape of x (joint: f(x, y)).  of="energy": f(x, weights) -> the arrays of
    sum_n weights_n dE(x_n)/dtheta in the order of ``case.parameters`` (joint: f(x, y, weights)).

    of="auto": "energy" if f needs one argument more than the energy, else "state".
    """
    require_choice("of", of, ("auto", "state", "energy"))
    needed, more = required_arguments(f), case.form == "joint"
    if of == "energy" or (of == "auto" and needed == 2 + more):
        return parameter_report(f, case)
    reference = case.gradients[0]

    def wrong(answer: Array) -> list[Alternative]:
        mean = Alternative("mean_over_rows", "the gradient of the mean energy", reference / len(reference))
        return [mean, *wrong_answers(case, "state", answer, case.gradients[1])]

    return values_report(f, case, "check_gradient", case.gradients, wrong)


def parameter_report(f: Callable[..., Any], case: NetworkCase) -> Report:
    """D3 one row at a time, D3 weights all rows with weights of both signs, D7 the same again."""
    each, bounds = case.parameter_gradients
    n = len(each)
    weights = np.cos(1.0 + np.arange(n))
    replay = f"ebm_ref.oracle.check_gradient(f, cases.named({case.name!r}), of='energy')"
    names = parameter_labels(case)
    total, wide = (weights @ each)[None], (np.abs(weights) @ (bounds + np.abs(each)))[None]
    try:
        rows = [np.arange(i, i + 1) for i in range(n)]
        answer = np.stack([arrays_asked(f, case, row, np.ones(1)) for row in rows])
        results = [value_result("D3", answer, each, bounds, [f"row {i}, {p}" for i in range(n) for p in names], replay)]
        batch = arrays_asked(f, case, np.arange(n), weights)[None]
        results.append(value_result("D3 weights", batch, total, wide, names, replay))
        again = arrays_asked(f, case, np.arange(n), weights)[None]
    except CandidateError as error:
        return refusal(f, case, "D3", error, replay)
    results.append(value_result("D7", again, batch.astype(np.float64), wide, names, replay))
    wrong = partial(wrong_answers, case, "parameters", answer, bounds)
    found = with_calls(results, explain(answer, each, bounds, wrong))
    if not found:
        found = list(explain(batch, total, wide, partial(reductions, each, weights)))
    return exact_report(f, case, results, found or ([COUPLED] if results[1].verdict == "fail" else []))


def reductions(each: Array, weights: Array) -> list[Alternative]:
    """Other sums over the rows."""
    return [
        Alternative("mean_over_rows", "mean over the rows for the weighted sum", (weights @ each)[None] / len(each)),
        Alternative("weights_ignored", "weights ignored", each.sum(axis=0)[None]),
        Alternative("unweighted_mean", "weights ignored, mean over the rows", each.mean(axis=0)[None]),
        Alternative("weights_normalised", "weights divided by their sum", (weights @ each)[None] / weights.sum()),
        Alternative("weights_absolute", "weights without their signs", (np.abs(weights) @ each)[None]),
    ]


def parameter_labels(case: NetworkCase) -> list[str]:
    """A name for every number of the parameters."""
    pairs = zip(case.parameter_names, case.parameters, strict=True)
    return [f"dE/d {name}[{k}]" for name, array in pairs for k in range(array.size)]


def arrays_asked(f: Callable[..., Any], case: NetworkCase, rows: Array, weights: Array) -> Array:
    """The candidate's gradient by the parameters, flat (q,)."""
    arguments = [case.images[rows].copy(), *([case.labels[rows]] if case.form == "joint" else []), weights.copy()]
    kept = [np.array(a) for a in arguments]
    try:
        answer = f(*arguments)
    except Exception as error:  # the candidate's own, whatever it is
        raise CandidateError(f"raised {type(error).__name__}: {error}") from error
    if any(not np.array_equal(a, b) for a, b in zip(arguments, kept, strict=True)):
        raise CandidateError("modified its input")
    return flat_arrays(answer, case)


def flat_arrays(answer: Any, case: NetworkCase) -> Array:
    """Arrays of the parameters' shapes in their order, or a flat vector, as one vector; CandidateError otherwise."""
    shapes = [array.shape for array in case.parameters]
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    if not isinstance(answer, list | tuple):
        return usable(np.array(answer, copy=True), (case.n_parameters,))
    if len(answer) != len(shapes):
        raise CandidateError(
            f"returned {len(answer)} arrays, expected {len(shapes)}: {', '.join(case.parameter_names)}"
        )
    parts = [np.asarray(part) for part in answer]
    for name, part, shape in zip(case.parameter_names, parts, shapes, strict=True):
        if part.shape != shape:
            raise CandidateError(f"returned shape {part.shape} for {name}, expected {shape}")
    return usable(np.concatenate([part.ravel() for part in parts]), None)
