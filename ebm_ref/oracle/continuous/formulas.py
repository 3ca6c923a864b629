"""Formulas of continuous models against plain loops: energies, gradients, conditionals, log Z.  All deterministic.

Points are fixed draws of the case and a few far out.  A failure is compared with whole wrong formulas: sigma for
sigma^2, mu or b omitted, (v - mu) or v / sigma in the coupling, W transposed, the score for the gradient, a factor 1/2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_choice
from ebm_ref.oracle.continuous import equations
from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.deterministic import (
    Alternative,
    CandidateError,
    ask,
    exact_report,
    explain,
    refused,
    required_arguments,
    usable,
    value_result,
)
from ebm_ref.oracle.results import Report, Result

Array = np.ndarray
POINTS = 12
PARAMETERS = ("W", "mu", "log_var", "b")


def points(case: ContinuousCase) -> tuple[Array, Array]:
    """v (n, nv): draws, and some three times as far from their mean; h (n, nh) that runs over all states."""
    v = case.target.draw(POINTS, np.random.default_rng(20260105))
    v = np.vstack([v, v.mean(axis=0) + 3.0 * (v[:4] - v.mean(axis=0))])
    return v, case.hidden[np.arange(len(v)) % len(case.hidden)]


def plain(case: ContinuousCase) -> tuple[list, list, list, list]:
    """W, mu, log_var, b of a GRBM as lists; DomainError for other models."""
    if case.W is None or case.mu is None or case.log_var is None or case.b is None:
        raise DomainError(f"case: expected a GRBM, got {case.name}, which has no hidden units")
    return case.W.tolist(), case.mu.tolist(), case.log_var.tolist(), case.b.tolist()


def judged(
    f: Any,
    case: ContinuousCase,
    check: str,
    test: str,
    call: Callable[[Array, Array], Array],
    reference: Array,
    scale: Array,
    wrong: list[Alternative],
) -> tuple[list[Result], Any]:
    """D1 on all points, D6 one row at a time; and what the answer looks like."""  # fmt: skip
    replay = f"ebm_ref.oracle.{check}(f, cases.named({case.name!r}))"
    v, h = points(case)
    labels = [f"{test} at row {i}" + (f", element {e}" if reference.ndim > 1 else "")
              for i in range(len(reference)) for e in range(reference[0].size)]  # fmt: skip
    try:
        answer = call(v, h)
        results = [value_result(f"D1 {test}", answer, reference, scale, labels, replay)]
        alone = np.concatenate([call(v[i : i + 1], h[i : i + 1]) for i in range(len(v))])
        results.append(value_result(f"D6 {test}", alone, answer.astype(float), scale, labels, replay))
    except CandidateError as error:
        return [refused(f"D1 {test}", error, replay)], ()
    return results, explain(answer, reference, scale, lambda: wrong)


def report_of(f: Any, case: ContinuousCase, parts: list[tuple[list[Result], Any]]) -> Report:
    """One report of several judged quantities."""
    results = [r for own, _ in parts for r in own]
    diagnosis = sorted((d for _, found in parts for d in found), key=lambda d: -d.log_likelihood_ratio)
    return exact_report(f, case, results, diagnosis)


# wrong formulas ------------------------------------------------------------------------------------------------------


def beliefs(case: ContinuousCase) -> list[tuple[str, str, dict[str, Any]]]:
    """(id, words, changes) of what a GRBM may be believed to be."""
    found: list[tuple[str, str, dict[str, Any]]] = [
        ("sigma", "sigma for sigma^2 in the coupling", {"power": 1.0}),
        ("no_sigma", "sigma missing from the coupling", {"power": 0.0}),
        ("variance_squared", "log_var taken as log sigma", {"log_var": 2.0}),
        ("mu_omitted", "mu omitted", {"mu": 0.0}),
        ("bias_omitted", "hidden bias omitted", {"b": 0.0}),
        ("bias_twice", "hidden bias added twice", {"b": 2.0}),
        ("bias_sign", "hidden bias with its sign flipped", {"b": -1.0}),
        ("centred", "(v - mu) for v in the coupling", {"centred": True}),
        ("w_sign", "coupling with its sign flipped", {"W": -1.0}),
        ("no_half", "factor 1/2 missing from the square", {"half": 1.0}),
    ]
    return found + ([("w_transposed", "W transposed", {"transposed": True})] if case.n_visible == case.n_hidden else [])


def believed(
    case: ContinuousCase,
    v: Array,
    h: Array,
    *,
    power: float = 2.0,
    log_var: float = 1.0,
    mu: float = 1.0,
    b: float = 1.0,
    W: float = 1.0,
    centred: bool = False,
    half: float = 0.5,
    transposed: bool = False,
) -> dict[str, Array]:
    """Energy, free energy, its gradient, hidden probabilities and visible mean of a changed GRBM."""  # fmt: skip
    plain(case)
    assert case.W is not None
    assert case.mu is not None
    assert case.log_var is not None
    assert case.b is not None
    coupling = W * (case.W.T if transposed else case.W)
    var = np.exp(log_var * case.log_var)
    shifted = (v - case.mu if centred else v) / np.sqrt(var) ** power
    logits = b * case.b + shifted @ coupling
    p = 1.0 / (1.0 + np.exp(-logits))
    square = half * ((v - mu * case.mu) ** 2 / var).sum(axis=1)
    return {
        "energy": square - (logits * h).sum(axis=1),
        "free_energy": square - np.logaddexp(0.0, logits).sum(axis=1),
        "gradient": 2 * half * (v - mu * case.mu) / var - (p @ coupling.T) / np.sqrt(var) ** power,
        "hidden": p,
        "mean": mu * case.mu + h @ coupling.T,
    }


def wrong_values(case: ContinuousCase, quantity: str, reference: Array) -> list[Alternative]:
    """Whole wrong answers for one quantity of a GRBM, and its sign."""
    v, h = points(case)
    found = [Alternative(f"{quantity}_sign", "sign flipped", -reference)]
    if case.n_hidden:
        for id, words, changes in beliefs(case):
            with np.errstate(over="ignore"):
                found.append(Alternative(id, words, believed(case, v, h, **changes)[quantity]))
    if quantity == "mean" and case.log_var is not None:
        sd = np.exp(0.5 * case.log_var)
        assert case.mu is not None
        assert case.W is not None
        found.append(Alternative("krizhevsky", "mu + sigma W h for mu + W h", case.mu + sd * (h @ case.W.T)))
    return found


# the checks ----------------------------------------------------------------------------------------------------------


def check_continuous_energy(f: Callable[..., Any], case: ContinuousCase) -> Report:
    """f(v) -> (n,), of a GRBM the free energy; or f(v, h) -> (n,), a GRBM's joint energy.  Constants count."""
    v, h = points(case)
    terms = np.array([abs(case.naive(row)[0]) for row in v.tolist()]) + (v**2).sum(axis=1) + 10.0
    if required_arguments(f) == 2:
        parameters = plain(case)
        reference = np.array([equations.grbm_energy(*parameters, a, b) for a, b in zip(v.tolist(), h, strict=True)])
        wrong, quantity = wrong_values(case, "energy", reference), "energy"

        def call(v: Array, h: Array) -> Array:
            return ask(f, [v, h], (len(v),))
    else:
        reference = np.array([case.naive(row)[0] for row in v.tolist()])
        wrong, quantity = wrong_values(case, "free_energy", reference), "free energy"
        wrong.append(Alternative("minus_log_density", "- log p(v): log Z added", reference + case.log_z))
        if not case.n_hidden:
            quantity = "energy"

        def call(v: Array, h: Array) -> Array:
            return ask(f, [v], (len(v),))

    return report_of(f, case, [judged(f, case, "check_energy", quantity, call, reference, terms, wrong)])


def check_continuous_gradient(f: Callable[..., Any], case: ContinuousCase, of: str = "auto") -> Report:
    """of="state": f(v) -> dE/dv (n, nv), of a GRBM dF/dv.  of="energy": f(v, h, weights) -> record W, mu, log_var, b.

    of="auto": "energy" if f needs three arguments, else "state".
    """
    require_choice("of", of, ("auto", "state", "energy"))
    if of == "energy" or (of == "auto" and required_arguments(f) == 3):
        return parameter_gradient_report(f, case)
    v, _ = points(case)
    reference = np.array([case.naive(row)[1] for row in v.tolist()])
    scale = np.abs(reference) + np.abs(v) + np.abs(reference).max() + 10.0
    wrong = [a for a in wrong_values(case, "gradient", reference) if a.id != "gradient_sign"]
    wrong.append(Alternative("score_for_gradient", "the score -dE/dx for the gradient dE/dx", -reference))

    def call(v: Array, h: Array) -> Array:
        return ask(f, [v], v.shape)

    return report_of(f, case, [judged(f, case, "check_gradient", "gradient", call, reference, scale, wrong)])


def parameter_gradient_report(f: Callable[..., Any], case: ContinuousCase) -> Report:
    """sum_n weights_n dE(v_n, h_n)/dtheta, flat."""
    W, mu, log_var, _ = plain(case)
    v, h = points(case)
    weights = np.cos(1.0 + np.arange(len(v)))
    rows = [equations.grbm_energy_gradient(mu, log_var, W, a, b) for a, b in zip(v.tolist(), h.tolist(), strict=True)]
    each = np.array(rows)
    reference = weights @ each
    scale = np.abs(weights) @ np.abs(each) + 1.0
    replay = f"ebm_ref.oracle.check_gradient(f, cases.named({case.name!r}), of='energy')"
    shapes = {name: np.shape(getattr(case, name)) for name in PARAMETERS}
    labels = [f"{name}[{k}]" for name in PARAMETERS for k in range(int(np.prod(shapes[name])))]
    copies = [v.copy(), h.copy(), weights.copy()]
    try:
        answer = f(*copies)
        blocks = [getattr(answer, n) for n in PARAMETERS] if hasattr(answer, "W") else list(answer)
        pairs = zip(blocks, shapes.values(), strict=True)
        flat = np.concatenate([usable(np.array(block), shape).ravel() for block, shape in pairs])
        if any(not np.array_equal(a, b) for a, b in zip(copies, (v, h, weights), strict=True)):
            raise CandidateError("modified its input")
    except CandidateError as error:
        return exact_report(f, case, [refused("D1", error, replay)])
    except Exception as error:  # the candidate's own, whatever it is
        message = CandidateError(f"raised {type(error).__name__}: {error}")
        return exact_report(f, case, [refused("D1", message, replay)])
    where = np.array([label.split("[")[0] for label in labels])
    halved = np.where(where == "log_var", 2.0 * reference, reference)
    wrong = [
        Alternative("gradient_sign", "sign flipped: ascent for the gradient of E", -reference),
        Alternative("mean", "mean over the rows for the weighted sum", each.mean(axis=0)),
        Alternative("unweighted", "weights ignored", each.sum(axis=0)),
        Alternative("log_sigma", "derivative by log sigma for log sigma^2", halved),
    ]
    found = explain(flat, reference, scale, lambda: wrong)
    return exact_report(f, case, [value_result("D1", flat, reference, scale, labels, replay)], found)


def check_continuous_conditionals(f: Any, case: ContinuousCase) -> Report:
    """p(h = 1 | v) (n, nh), the mean of v given h (n, nv), and, where offered, its variance.

    f is a model with hidden_probabilities(v), visible_mean(h) and perhaps ``variance`` or ``log_var``, or the tuple
    (hidden, mean) or (hidden, mean, variance) of callables; variance(h) -> (n, nv).
    """
    W, mu, log_var, b = plain(case)
    v, h = points(case)
    hidden = np.array([equations.grbm_hidden(W, log_var, b, row) for row in v.tolist()])
    mean = np.array([equations.grbm_mean(W, mu, row) for row in h.tolist()])
    variance = np.broadcast_to(np.exp(log_var), mean.shape)
    calls = conditional_calls(f)
    parts = []
    scale = hidden * (20.0 + np.abs(v).sum(axis=1, keepdims=True) * 10.0) + 1e-290
    for name, reference, width in (("hidden", hidden, scale), ("mean", mean, np.abs(mean) + 5.0),
                                   ("variance", variance, 5.0 * variance)):  # fmt: skip
        if name not in calls:
            continue
        function, given = calls[name], name == "hidden"
        wrong = wrong_values(case, name, reference) if name != "variance" else [
            Alternative("standard_deviation", "standard deviation for variance", np.sqrt(reference)),
            Alternative("variance_squared", "log_var taken as log sigma", reference**2),
            Alternative("precision", "precision for variance", 1.0 / reference),
        ]  # fmt: skip

        def call(v: Array, h: Array, function=function, given=given, width=reference.shape[1]) -> Array:
            return ask(function, [v if given else h], (len(v), width))

        parts.append(judged(f, case, "check_conditionals", name, call, reference, width, wrong))
    return report_of(f, case, parts)


def conditional_calls(f: Any) -> dict[str, Callable[..., Any]]:
    """name -> callable for what the candidate offers."""
    if isinstance(f, tuple | list):
        if len(f) not in (2, 3):
            raise DomainError(f"f: expected (hidden, mean) or (hidden, mean, variance), got {len(f)} callables")
        return dict(zip(("hidden", "mean", "variance"), f, strict=False))
    if not (hasattr(f, "hidden_probabilities") and hasattr(f, "visible_mean")):
        raise DomainError("f: expected callables (hidden, mean), or a model with hidden_probabilities and visible_mean")
    calls = {"hidden": f.hidden_probabilities, "mean": f.visible_mean}
    if hasattr(f, "log_var"):
        calls["variance"] = lambda h: np.tile(np.exp(f.log_var), (len(h), 1))
    return calls


def check_continuous_log_partition(f: Any, case: ContinuousCase) -> Report:
    """The number itself, a callable without arguments, or f(W, mu, log_var, b)."""
    replay = f"ebm_ref.oracle.check_log_partition(f, cases.named({case.name!r}))"
    reference, scale = np.array(case.log_z), np.array(10.0 + 5.0 * abs(case.log_z))
    try:
        if not callable(f):
            answer = usable(np.array(f, dtype=float), ())
        else:
            arguments = [np.array(p) for p in plain(case)] if required_arguments(f) else []
            answer = ask(f, arguments, ())
    except CandidateError as error:
        return exact_report(f, case, [refused("D1", error, replay)])
    except (TypeError, ValueError) as error:
        return exact_report(f, case, [refused("D1", CandidateError(f"is no number: {error}"), replay)])
    nv, wrong = case.n_visible, []
    volume = 0.5 * nv * np.log(2 * np.pi)
    wrong.append(Alternative("no_2_pi", "(n_visible / 2) log 2 pi missing", reference - volume))
    wrong.append(Alternative("z_for_log_z", "Z for log Z", np.exp(reference)))
    if case.log_var is not None:
        spread = 0.5 * float(case.log_var.sum())
        wrong.append(Alternative("no_sigma", "sum log sigma missing", reference - spread))
        wrong.append(Alternative("sigma_twice", "sum log sigma^2 for sum log sigma", reference + spread))
        bits = case.n_hidden * np.log(2.0)
        wrong.append(Alternative("no_hidden", "n_hidden log 2 missing", reference - bits))
    found = explain(answer, reference, scale, lambda: wrong)
    return exact_report(f, case, [value_result("D1", answer, reference, scale, ["log Z"], replay)], found)
