"""The zoo of deep energies: wrong networks, wrong derivatives, wrong losses and moves, and evaluations that are no
function of one x.  Each has a check that must find it and, by its own id, name it; all are exact, none draws anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ebm_ref.oracle.deep import differences, rules, training
from ebm_ref.oracle.deep.cases import RIGHT, Equations, NetworkCase, evaluated, named, values_of
from ebm_ref.oracle.deep.formulas import check_network_energy, check_network_gradient
from ebm_ref.oracle.deep.wrong import MISTAKES, Mistake
from ebm_ref.oracle.results import Report

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class DeepBug:
    """A record of this zoo; fields as in the zoo of kernels, ``run`` makes the report of its check."""

    id: str
    description: str
    case: str
    check: str
    killed_by: tuple[str, ...]
    run: Callable[[], Report]
    number: int = 0
    profile: str = "smoke"
    said: str = ""  # what the diagnosis calls it, "" for its own id

    def audit(self) -> Report:
        """The report of the check that has to find it."""
        return self.run()

    def named_by(self, report: Report) -> bool:
        """True if the diagnosis says what is wrong."""
        best = report.diagnosis[0] if report.diagnosis else None
        return best is not None and best.explained and best.mistake == (self.said or self.id)


# candidates -----------------------------------------------------------------------------------------------------------


def energy_function(case: NetworkCase, equations: Equations = RIGHT) -> Callable[..., Array]:
    """f(x), or f(x, y)."""

    def f(x: Array, *y: Array) -> Array:
        made = evaluated(case, flat_rows(x), labels=y[0] if y else None, equations=equations)
        return values_of([made.energy], len(x))[:, 0]

    return f


def gradient_function(case: NetworkCase, by: str, equations: Equations = RIGHT) -> Callable[..., Array]:
    """f(x), f(x, y), or with weights after these: by "state" or "parameters"."""

    def f(*given: Array) -> Array:
        x, y = given[0], given[1] if case.form == "joint" else None
        made = evaluated(case, flat_rows(x), labels=y, by=by, equations=equations)
        slopes = values_of(made.slopes, len(x))
        return slopes if by == "state" else given[-1] @ slopes

    return f


def flat_rows(x: Array) -> Array:
    """(n, d)."""
    return x.reshape(len(x), -1)


def formula_report(mistake: Mistake) -> Report:
    """A wrong network, or wrong derivatives, against its check."""
    case = named(mistake.case)
    equations = mistake.equations(case)
    assert equations is not None
    if mistake.of == "energy":
        return check_network_energy(energy_function(case, equations), case)
    if mistake.of == "gradient":
        return check_network_gradient(gradient_function(case, "state", equations), case, of="state")
    return check_network_gradient(gradient_function(case, "parameters", equations), case, of="energy")


def rule_report(rule: rules.Rule, case: str, changes: Any) -> Report:
    """A wrong step against its rule."""
    return rules.check_rule(rule.candidate(named(case), changes), named(case), rule)


# evaluations that are no function of one x ----------------------------------------------------------------------------


def batch_normalised(case: NetworkCase) -> Callable[..., Array]:
    """Inputs standardised over the batch before the network sees them."""
    right = energy_function(case)
    return lambda x: right((x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5))


def iterating(case: NetworkCase) -> Callable[..., Array]:
    """One power iteration of the spectral norm in every evaluation, as in released codes: E moves with the chain."""
    layer = case.layers[0]
    u = [np.ones(len(layer.arrays[0])) / len(layer.arrays[0]) ** 0.5]

    def f(x: Array) -> Array:
        W = layer.arrays[0]
        v = W.T @ u[0] / np.linalg.norm(W.T @ u[0])
        u[0] = W @ v / np.linalg.norm(W @ v)
        now = replace(layer, numbers=(tuple(u[0].tolist()), tuple(v.tolist())))
        return energy_function(replace(case, layers=(now, *case.layers[1:])))(x)

    return f


def dropped(case: NetworkCase) -> Callable[..., Array]:
    """A coordinate of the input left out, another one at each call."""
    right, calls = energy_function(case), [0]

    def f(x: Array) -> Array:
        calls[0] += 1
        kept = np.arange(x.shape[1]) != calls[0] % x.shape[1]
        return right(x * kept)

    return f


def in_place(case: NetworkCase) -> Callable[..., Array]:
    """The input itself is changed."""
    right = energy_function(case)

    def f(x: Array) -> Array:
        answer = right(x)
        x *= 2.0
        return answer

    return f


def calls(
    id: str, description: str, case: str, tests: str, make: Callable[[NetworkCase], Any], said: str = ""
) -> DeepBug:
    """A candidate of ``check_energy``."""
    return DeepBug(id, description, case, "check_energy", tuple(tests.split()),
                   lambda: check_network_energy(make(named(case)), named(case)), said=said)  # fmt: skip


def reduced(
    id: str, description: str, by: str, test: str, change: Callable[[Array, int], Array], said: str = ""
) -> DeepBug:
    """A gradient that is summed over rows in another way; change(gradient, rows)."""

    def run() -> Report:
        case = named("mlp_residual")
        right = gradient_function(case, by)
        return check_network_gradient(
            lambda *given: change(right(*given), len(given[0])), case, of="state" if by == "state" else "energy"
        )

    return DeepBug(id, description, "mlp_residual", "check_gradient", (test,), run, said=said)


# gradients of callables that no reference is known of -----------------------------------------------------------------


def own(id: str, description: str, case: str, f: Callable[[NetworkCase, Array], Array], said: str) -> DeepBug:
    """A gradient against differences of its own energy: f(case, x), rows."""

    def run() -> Report:
        c = named(case)
        output = lambda x: values_of(evaluated(c, flat_rows(x)).outputs, len(x)).reshape(x.shape)  # noqa: E731
        form = c.form if c.form in ("inner", "residual") else None
        own_case = differences.energy_of(energy_function(c), c.images, network=output if form else None,
                                         form=form, scale=c.scale, name=f"own energy of {case}")  # fmt: skip
        return differences.check_own_gradient(lambda x: f(c, flat_rows(x)).reshape(x.shape), own_case)

    return DeepBug(id, description, case, "check_gradient", ("D3",), run, said=said)


def of_mistake(id: str) -> Callable[[NetworkCase, Array], Array]:
    """The gradient of a mistake of the tables."""
    mistake = next(m for m in MISTAKES if m.id == id)

    def f(case: NetworkCase, x: Array) -> Array:
        equations = mistake.equations(case)
        assert equations is not None
        return values_of(evaluated(case, x, by="state", equations=equations).slopes, len(x))

    return f


FORMULAS = tuple(
    DeepBug(m.id, m.description, m.case, "check_energy" if m.of == "energy" else "check_gradient",
            ("D3",) if m.of == "parameters" else ("D1",), partial(formula_report, m))
    for m in MISTAKES
)  # fmt: skip
EVALUATIONS = (
    calls("batch_norm", "inputs normalised over the batch: E of a row depends on the others", "mlp_inner", "D6 D1",
          batch_normalised, "rows_coupled"),
    calls("spectral_norm_in_evaluation", "a power iteration in every evaluation: E changes while a chain runs",
          "mlp_spectral", "D7 D1", iterating, "changes_between_calls"),
    calls("dropout_on", "dropout left on", "mlp_square", "D7 D1", dropped, "changes_between_calls"),
    calls("mean_returned", "the mean over the rows is returned", "mlp_square", "D1",
          lambda case: lambda x: energy_function(case)(x).mean(), "reduced"),
    calls("mean_for_each", "the mean over the rows for each of them", "mlp_square", "D6 D1",
          lambda case: lambda x: np.full(len(x), energy_function(case)(x).mean()), "mean_over_rows"),
    calls("divided_by_rows", "each energy divided by the number of rows", "mlp_square", "D6 D1",
          lambda case: lambda x: energy_function(case)(x) / len(x)),
    calls("input_modified", "the input is changed in place", "mlp_square", "D1", in_place, "modified_input"),
    reduced("gradient_of_mean", "the gradient of the mean energy", "state", "D1", lambda g, n: g / n, "mean_over_rows"),
    reduced("mean_for_weights", "mean over the rows for the weighted sum", "parameters", "D3 weights",
            lambda g, n: g / n, "mean_over_rows"),
)  # fmt: skip
OWN = (
    own("own_vjp_missing", "f(x) alone, found without a reference", "mlp_inner", of_mistake("vjp_missing"),
        "vjp_missing"),
    own("own_residual_vjp_missing", "2c(x - f) alone, found without a reference", "mlp_residual",
        lambda c, x: 2 * c.scale * (x - c.with_points(x).outputs) , "residual_vjp_missing"),
    own("own_sign", "the score, found without a reference", "mlp_scalar", of_mistake("score_for_gradient"),
        "score_for_gradient"),
    own("own_half", "half of the gradient, found without a reference", "mlp_square", of_mistake("factor_two_missing"),
        "halved"),
    own("own_mean", "the gradient of the mean, found without a reference", "mlp_square",
        lambda c, x: training.slopes(c, x)[0] / len(x), "mean_over_rows"),
)  # fmt: skip
RULES: tuple[tuple[rules.Rule, str], ...] = (
    (rules.denoising(0.375), "mlp_inner"),
    (rules.contrastive(0.125), "mlp_residual"),
    (rules.joint(0.25), "jem_marginal"),
    (rules.descent(1.5, 0.25, 0.125, (-1.0, 1.25), "first"), "mlp_scalar"),
    (rules.langevin(0.1875, 0.25), "mlp_square"),
    (rules.completion(0.125), "mlp_inner"),
    (rules.recovery_pair(), "mlp_inner"),
    (rules.recovery_step(), "mlp_scalar"),
    (rules.recovery_loss(), "mlp_inner"),
    (rules.averaging(0.875), "mlp_inner"),
    (rules.replay(), "mlp_inner"),
)
STEPS = tuple(
    DeepBug(w.id, w.description, case, "check_rule", ("D1",),
            partial(rule_report, rule, case, w.changes))
    for rule, case in RULES for w in rule.mistakes
)  # fmt: skip
DEEP_BUGS: tuple[DeepBug, ...] = FORMULAS + EVALUATIONS + OWN + STEPS


def deep_bug(id: str) -> DeepBug:
    """The bug of that id.

    >>> deep_bug("vjp_missing").check
    'check_gradient'
    """
    return next(b for b in DEEP_BUGS if b.id == id)
