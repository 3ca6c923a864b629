"""Checks of formulas: energies, conditionals and gradients against plain loops over the equations.

All are deterministic (D1, D3, D6): a pass has no false alarms, and excludes errors above 30 units of roundoff of the
terms. A failure is compared with whole wrong formulas: the mistakes of belief of the zoo (transposed W, a bias
omitted or added twice, beta twice, J counted twice, {0,1} against -1/+1, ...) and those that only the quantity at
hand can have.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_choice
from ebm_ref.oracle import naive
from ebm_ref.oracle.alternatives import (
    energy_terms,
    wrong_conditionals,
    wrong_energies,
    wrong_gradients,
    wrong_likelihood_gradients,
)
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.continuous import formulas as continuous
from ebm_ref.oracle.deep import differences
from ebm_ref.oracle.deep import formulas as deep
from ebm_ref.oracle.deterministic import (
    Alternative,
    CandidateError,
    argument_names,
    ask,
    exact_report,
    explain,
    refused,
    required_arguments,
    state_label,
    usable,
    value_result,
)
from ebm_ref.oracle.results import Diagnosis, Report, Result

# energies -------------------------------------------------------------------------------------------------------------


AnyCase = Case | continuous.ContinuousCase | deep.NetworkCase | differences.CallableCase


def check_energy(f: Callable[..., Any], case: AnyCase) -> Report:
    """Is ``f`` the energy of the case, -a.x - b.h - x'Wh (RBM) or -1/2 s'Js - c.s, in nats?

    f(x, h) -> (n,) for models of two layers, or f(rows) -> (n,) for rows [x, h] of any model.  Tested on all states
    (D1), one row at a time and in reverse order (D6).  An additive constant is a failure too, and is named.
    Continuous cases: f(v); networks: f(x), x in the shape of the network's input, f(x, y) where y is a class.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_3x3_cold")
    >>> W, a, b = case.W, case.a, case.b
    >>> check_energy(lambda x, h: -x @ a - h @ b - ((x @ W) * h).sum(1), case).passed
    True
    >>> check_energy(lambda x, h: -x @ a - ((x @ W) * h).sum(1), case).diagnosis[0].mistake
    'hidden_bias_omitted'
    """
    if isinstance(case, deep.NetworkCase):
        return deep.check_network_energy(f, case)
    if isinstance(case, differences.CallableCase):
        return differences.check_own_energy(f, case)
    if not isinstance(case, Case):
        return continuous.check_continuous_energy(f, case)
    layered = case.n_hidden > 0 and required_arguments(f) == 2

    def call(rows: np.ndarray) -> np.ndarray:
        split = [rows[:, : case.n_visible], rows[:, case.n_visible :]] if layered else [rows]
        return ask(f, split, (len(rows),))

    replay = f"ebm_ref.oracle.check_energy(f, cases.named({case.name!r}))"
    labels = [f"E({state_label(case, s)})" for s in case.states]
    try:
        answer = call(case.states)
        results = [value_result("D1", answer, case.energies, energy_terms(case), labels, replay)]
    except CandidateError as error:
        return exact_report(f, case, [refused("D1", error, replay)])
    results.append(batch_result(call, case, answer, energy_terms(case), replay))
    diagnosis = explain(answer, case.energies, energy_terms(case), lambda: wrong_energies(case))
    return exact_report(f, case, results, diagnosis)


def batch_result(call: Callable, case: Case, answer: np.ndarray, scale: np.ndarray, replay: str) -> Result:
    """D6: the same numbers one row at a time and in reverse order."""
    try:
        alone = np.concatenate([call(case.states[i : i + 1]) for i in range(len(case.states))])
        reverse = call(case.states[::-1])[::-1]
    except CandidateError as error:
        return refused("D6", error, replay)
    both, labels = np.concatenate([alone, reverse]), [f"row {i} alone" for i in range(len(alone))]
    labels += [f"row {i} in reverse order" for i in range(len(alone))]
    widened = np.broadcast_to(scale.reshape(scale.shape + (1,) * (answer.ndim - 1)), answer.shape)
    each = answer.size // len(answer)
    result = value_result(
        "D6",
        both.ravel(),
        np.concatenate([answer, answer]).astype(np.float64).ravel(),
        np.concatenate([widened, widened]).ravel(),
        [label for label in labels for _ in range(each)],
        replay,
    )
    return result


# conditionals ---------------------------------------------------------------------------------------------------------


def check_conditionals(f: Any, case: Case | continuous.ContinuousCase) -> Report:
    """Are these the conditionals of the case's model?  p(unit = up | the others), from energy differences.

    RBM: ``f`` has the methods hidden_probabilities(x) -> (n, nh) and visible_probabilities(h) -> (n, nv), or is the
    pair of these two callables.  One layer: f(rows) -> (n, d), or the method unit_probabilities.  Tested on all
    states (D1, with relative accuracy in the small probabilities too), and one row at a time (D6).

    >>> import numpy as np
    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_4x2")
    >>> def up(x): return 1 / (1 + np.exp(-(case.b + x @ case.W)))
    >>> def down(h): return 1 / (1 + np.exp(-(case.a + h @ case.W.T)))
    >>> check_conditionals((up, down), case).passed
    True
    >>> check_conditionals((lambda x: up(x) > 0.5, down), case).diagnosis[0].mistake
    'threshold_hidden'
    """
    if not isinstance(case, Case):
        return continuous.check_continuous_conditionals(f, case)
    replay = f"ebm_ref.oracle.check_conditionals(f, cases.named({case.name!r}))"
    reference, scale = conditionals(case)
    results: list[Result] = []
    diagnosis: list[Diagnosis] = []
    answers = []
    for side, call, units in conditional_sides(f, case):
        own, answer = one_side(side, call, units, case, replay)
        results += own
        if answer is not None:
            answers.append((units, answer))
            right = reference[:, units]
            apart = partial(wrong_conditionals, case, units, right)
            diagnosis += explain(answer, right, scale[:, units], apart)
    if len(answers) > 1:  # one mistake that explains both layers comes before two
        units = np.concatenate([u for u, _ in answers])
        answer = np.hstack([a for _, a in answers])
        whole = partial(wrong_conditionals, case, units, reference[:, units])
        diagnosis = [*explain(answer, reference[:, units], scale[:, units], whole), *diagnosis]
    first = {d.mistake: d for d in reversed(diagnosis)}
    kept = sorted((d for d in diagnosis if first[d.mistake] is d), key=lambda d: -d.log_likelihood_ratio)
    return exact_report(f, case, results, kept)


def conditional_sides(f: Any, case: Case) -> list[tuple[str, Callable, np.ndarray]]:
    """(name, call(states) -> (n, units), units) for each layer of the candidate."""
    nv, d = case.n_visible, case.n_units
    if not case.n_hidden:
        function = getattr(f, "unit_probabilities", f)
        return [("units", lambda s: ask(function, [s], (len(s), d)), np.arange(d))]
    if isinstance(f, tuple | list):
        if len(f) != 2:
            raise DomainError(f"f: expected the pair (hidden, visible) of callables, got {len(f)}")
        hidden, visible = f
    elif hasattr(f, "hidden_probabilities") and hasattr(f, "visible_probabilities"):
        hidden, visible = f.hidden_probabilities, f.visible_probabilities
    else:
        raise DomainError("f: expected the pair (hidden, visible) of callables, or a model with these two methods")
    return [
        ("hidden", lambda s: ask(hidden, [s[:, :nv]], (len(s), d - nv)), np.arange(nv, d)),
        ("visible", lambda s: ask(visible, [s[:, nv:]], (len(s), nv)), np.arange(nv)),
    ]


def conditionals(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """p(unit up | others) of each state and unit (S, d) from energy differences, and its scale; held units stay."""
    down, up = case.values
    gain = 1.0 if case.units == "01" else 2.0
    reference = (case.states == up).astype(float)
    for i in case.free:
        ends = [case.states.copy(), case.states.copy()]
        ends[0][:, i], ends[1][:, i] = down, up
        low, high = (case.energies[case.index(rows)] for rows in ends)
        reference[:, i] = [naive.probability_up((float(p), float(q)), 0, 0) for p, q in zip(low, high, strict=True)]
    terms = np.abs(case.c) + np.abs(case.states) @ np.abs(case.J)
    return reference, np.maximum(reference * (1.0 + 2.0 * gain * terms + np.abs(case.energies).max()), 1e-290)


def one_side(
    side: str, call: Callable, units: np.ndarray, case: Case, replay: str
) -> tuple[list[Result], np.ndarray | None]:
    """All states of one layer's conditionals, together and row by row."""
    reference, scale = (values[:, units] for values in conditionals(case))
    labels = [f"p(unit {i} up | {state_label(case, s)})" for s in case.states for i in units]
    try:
        answer = call(case.states)
        for column in np.flatnonzero(~np.isin(units, case.free)):
            answer[:, column] = reference[:, column]
        results = [value_result(f"D1 {side}", answer, reference, scale, labels, replay)]
        alone = np.concatenate([call(case.states[i : i + 1]) for i in range(len(case.states))])
    except CandidateError as error:
        return [refused(f"D1 {side}", error, replay)], None
    free = np.isin(units, case.free)
    labels = [label for label, keep in zip(labels, np.tile(free, len(answer)), strict=True) if keep]
    both = alone[:, free], answer[:, free].astype(float), scale[:, free]
    return [*results, value_result(f"D6 {side}", *both, labels, replay)], answer


# gradients ------------------------------------------------------------------------------------------------------------


def check_gradient(f: Callable[..., Any], case: AnyCase, of: str = "auto") -> Report:
    """Is ``f`` the gradient with respect to the parameters, with the right sign, factors and reduction?

    of="energy"          f(x, h, weights) or f(rows, weights): sum_n weights_n dE(s_n)/dtheta.  Without weights,
                         f(x, h) or f(rows), it is called with one row at a time
    of="log_likelihood"  f(data): the ascent direction of the mean over the rows of log p(x), x the visible units
    of="auto"            "log_likelihood" if f needs one argument and the case has two layers, else "energy"

    ``f`` returns a record with arrays W, a, b (or J, c), or the tuple of these.  In J both J_ij and J_ji hold the
    derivative for moving both together, -s_i s_j for an energy; the diagonal is 0.  Parameters are those of the case
    (beta inside).  Continuous cases, networks (``cases.network``) and callables (``cases.energy_of``): of="state",
    f(x) -> dE/dx, or of="energy", f(x, weights) -> arrays in the order of the case's parameters.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_4x2")
    >>> def gradient(x, h, weights):
    ...     return -(x * weights[:, None]).T @ h, -weights @ x, -weights @ h
    >>> check_gradient(gradient, case).passed
    True
    >>> check_gradient(lambda x, h, weights: [-g for g in gradient(x, h, weights)], case).diagnosis[0].mistake
    'gradient_sign'
    """
    if isinstance(case, deep.NetworkCase):
        return deep.check_network_gradient(f, case, of)
    if isinstance(case, differences.CallableCase):
        return differences.check_own_gradient(f, case, of)
    if not isinstance(case, Case):
        return continuous.check_continuous_gradient(f, case, of)
    require_choice("of", of, ("auto", "energy", "log_likelihood"))
    needed = required_arguments(f)
    if of == "auto":
        of = "log_likelihood" if needed == 1 and case.n_hidden else "energy"
    replay = f"ebm_ref.oracle.check_gradient(f, cases.named({case.name!r}), of={of!r})"
    if of == "log_likelihood":
        return likelihood_gradient_report(f, case, replay)
    return energy_gradient_report(f, case, replay)


def flat_gradient(f: Callable[..., Any], arguments: list[np.ndarray], case: Case) -> np.ndarray:
    """The blocks of the candidate's record in one vector: W row by row, a, b (or J row by row, c)."""
    names = ("W", "a", "b") if case.n_hidden else ("J", "c")
    shapes = [v.shape for v in ([case.W, case.a, case.b] if case.n_hidden else [case.J, case.c]) if v is not None]
    copies = [np.array(a, copy=True) for a in arguments]
    try:
        answer = f(*copies)
        blocks = [getattr(answer, n) for n in names] if hasattr(answer, names[0]) else list(answer)
        arrays = [np.array(block, copy=True) for block in blocks]
    except Exception as error:  # the candidate's own, whatever it is
        raise CandidateError(f"raised {type(error).__name__}: {error}") from error
    if any(not np.array_equal(p, q) for p, q in zip(arguments, copies, strict=True)):
        raise CandidateError("modified its input")
    if len(arrays) != len(names):
        raise CandidateError(f"returned {len(arrays)} arrays, expected {', '.join(names)}")
    return np.concatenate([usable(v, shape).ravel() for v, shape in zip(arrays, shapes, strict=True)])


def parameter_labels(case: Case) -> list[str]:
    """The names of the elements of ``flat_gradient``."""
    if not case.n_hidden:
        d = case.n_units
        return [f"J[{i},{j}]" for i in range(d) for j in range(d)] + [f"c[{i}]" for i in range(d)]
    pairs = [f"W[{i},{j}]" for i in range(case.n_visible) for j in range(case.n_hidden)]
    return pairs + [f"a[{i}]" for i in range(case.n_visible)] + [f"b[{j}]" for j in range(case.n_hidden)]


def statistics_of(case: Case, rows: np.ndarray) -> np.ndarray:
    """-dE/dtheta of each row, flat (n, q): x h' (or s s' without its diagonal) and the units."""
    nv = case.n_visible
    if case.n_hidden:
        pairs = rows[:, :nv, None] * rows[:, None, nv:]
    else:
        pairs = rows[:, :, None] * rows[:, None, :] * (1.0 - np.eye(case.n_units))
    return np.hstack([pairs.reshape(len(rows), -1), rows])


def gradient_call(f: Callable[..., Any], case: Case) -> tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], bool]:
    """call(rows, weights) -> flat gradient, and whether the candidate takes weights."""
    layers = 2 if case.n_hidden else 1
    by_name = "weights" in argument_names(f)
    weighted = by_name or required_arguments(f) in (layers + 1, None)

    def with_name(*arrays: np.ndarray) -> Any:
        return f(*arrays[:-1], weights=arrays[-1])

    def call(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        split = [rows[:, : case.n_visible], rows[:, case.n_visible :]] if case.n_hidden else [rows]
        if not weighted:
            return flat_gradient(f, split, case)
        return flat_gradient(with_name if by_name else f, [*split, weights], case)

    return call, weighted


def energy_gradient_report(f: Callable[..., Any], case: Case, replay: str) -> Report:
    """One state at a time (D3), then a batch with weights of both signs (D3 weights)."""
    call, weighted = gradient_call(f, case)
    rng = np.random.default_rng(3)
    rows = case.states[rng.permutation(len(case.states))[:20]]
    weights = rng.normal(size=len(rows))
    one = np.ones(1)
    statistic = statistics_of(case, case.states)
    labels = [f"d/d{name} E({state_label(case, s)})" for s in case.states for name in parameter_labels(case)]
    try:
        answer = np.array([call(case.states[i : i + 1], one) for i in range(len(case.states))])
        scale = np.maximum(np.abs(statistic), 1.0)
        results = [value_result("D3", answer, -statistic, scale, labels, replay)]
        if weighted:
            total = -weights @ statistics_of(case, rows)
            wide = np.abs(weights) @ np.abs(statistics_of(case, rows)) + 1.0
            batch = call(rows, weights)
            results.append(value_result("D3 weights", batch, total, wide, parameter_labels(case), replay))
    except CandidateError as error:
        return exact_report(f, case, [refused("D3", error, replay)])
    found = explain(answer, -statistic, scale, lambda: wrong_gradients(case, statistic))
    if len(results) > 1 and not found:
        terms = -weights[:, None] * statistics_of(case, rows)
        reductions = [
            Alternative("mean_over_rows", "mean over the rows for the weighted sum", terms.mean(0)),
            Alternative("weights_ignored", "weights ignored", -statistics_of(case, rows).sum(0)),
            Alternative("weights_normalised", "weights divided by their sum", terms.sum(0) / weights.sum()),
        ]
        found = explain(batch, total, wide, lambda: reductions)
    return exact_report(f, case, results, found)


def likelihood_gradient_report(f: Callable[..., Any], case: Case, replay: str) -> Report:
    """Three data sets: generic rows with repeats, one row, and the same rows in another order."""
    visible = np.unique(case.states[:, : case.n_visible], axis=0)
    generic_rows = visible[np.random.default_rng(5).integers(0, len(visible), 7)]
    sets = [("seven rows", generic_rows), ("one row", visible[-1:]), ("reversed rows", generic_rows[::-1])]
    results, answers, references = [], [], []
    try:
        for name, data in sets:
            answers.append(flat_gradient(f, [data], case))
            positive, negative = likelihood_statistics(case, data)
            references.append(positive - negative)
            scale = (np.abs(positive) + np.abs(negative) + 1e-3) * (2.0 + np.abs(case.energies).max())
            results.append(
                value_result(f"D3 {name}", answers[-1], references[-1], scale, parameter_labels(case), replay)
            )
    except CandidateError as error:
        return exact_report(f, case, [refused("D3", error, replay)])
    scales = np.tile(scale, 3)
    data_sets = [data for _, data in sets]
    wrong = partial(wrong_likelihood_gradients, case, data_sets, likelihood_statistics)
    return exact_report(f, case, results, explain(np.concatenate(answers), np.concatenate(references), scales, wrong))


def likelihood_statistics(case: Case, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """<-dE/dtheta> over the data (hidden units averaged over) and under the model, by enumeration."""
    statistic = statistics_of(case, case.states)
    positive = np.zeros(statistic.shape[1])
    for x in data:
        own = (case.states[:, : case.n_visible] == x).all(axis=1)
        weight = case.pi[own] / case.pi[own].sum()
        positive += weight @ statistic[own] / len(data)
    return positive, case.pi @ statistic
