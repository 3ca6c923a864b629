"""check_pseudo_likelihood: the product of each visible unit's conditional given the others, and its gradient.

V visible states by number, x^i: x with unit i flipped, s(x) = <-dE/dtheta> over p(h | x), hidden units summed out
(1) F(x) = -log sum_h exp(-E(x, h))                                                                    (V,)
(2) log p(x_i | rest) = -softplus(F(x) - F(x^i)),      log PL(x) = sum_i log p(x_i | rest)              (V, nv)
(3) d log PL(x) / dtheta = sum_i q_i (s(x) - s(x^i)),  q_i = 1 - p(x_i | rest)                          (V, q)
(3) since d log p(x_i | rest) = s(x) - [p_i s(x) + q_i s(x^i)].

Deterministic, like the other checks of formulas.                                                       [Besag 1975]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_choice
from ebm_ref.oracle import naive
from ebm_ref.oracle.alternatives import energy_terms, pair_energy, symmetric_beliefs
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks_formulas import flat_gradient, likelihood_statistics, parameter_labels, statistics_of
from ebm_ref.oracle.checks_matrix import replay_line
from ebm_ref.oracle.continuous.equations import softplus
from ebm_ref.oracle.deterministic import (
    Alternative,
    CandidateError,
    exact_report,
    explain,
    refused,
    rows_report,
    value_result,
)
from ebm_ref.oracle.results import Report


def check_pseudo_likelihood(f: Callable[..., Any], case: Case, of: str = "value") -> Report:
    """Is ``f`` the pseudo-log-likelihood of visible rows, in nats, or its gradient?

    of="value"     f(x) -> (n,) for rows x (n, nv): sum over the units, not their mean.  Tested on all visible states
                   (D1), and one row at a time (D6)
    of="gradient"  f(x) -> a record with W, a, b (or J, c), or the tuple of these: the ascent direction of the mean over
                   the rows.  In J both J_ij and J_ji hold the derivative for moving both together (D3)

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("boltzmann_4")
    >>> def log_pl(s): return -np.logaddexp(0, (1 - 2 * s) * (case.c + s @ case.J)).sum(axis=1)
    >>> check_pseudo_likelihood(log_pl, case).passed
    True
    >>> check_pseudo_likelihood(lambda s: log_pl(s) / s.shape[1], case).diagnosis[0].description
    'mean over the units for the sum: divided by n_visible'
    """
    if not isinstance(case, Case) or case.clamp:
        raise DomainError("case: expected binary units, none of them clamped, such as cases.named('rbm_3x3')")
    require_choice("of", of, ("value", "gradient"))
    right = Pseudo(case, case.energies)
    return value_report(f, right) if of == "value" else gradient_report(f, right)


@dataclass(frozen=True, eq=False)
class Pseudo:
    """(1) to (3) under ``energies`` (S,), those of the case or wrong ones."""

    case: Case
    energies: np.ndarray

    @cached_property
    def rows(self) -> np.ndarray:
        """All visible states (V, nv)."""
        return self.case.states[: 2**self.case.n_visible, : self.case.n_visible]

    @cached_property
    def free(self) -> list[float]:
        """(1); the states over v are v, v + V, v + 2V, ..."""
        V = len(self.rows)
        return [-naive.log_z(self.energies[v::V].tolist()) for v in range(V)]

    @cached_property
    def logs(self) -> np.ndarray:
        """log p(x_i | rest) of (2)."""
        return conditionals(self.free, self.case.n_visible)

    @cached_property
    def means(self) -> np.ndarray:
        """s(x), (V, q)."""
        V, statistic = len(self.rows), statistics_of(self.case, self.case.states)
        return np.array([naive.law(self.energies[v::V].tolist()) @ statistic[v::V] for v in range(V)])

    def gradients(self, weights: np.ndarray) -> np.ndarray:
        """(3) of each state (V, q) with weights (V, nv) for q_i."""
        total = np.zeros_like(self.means)
        for v in range(len(self.rows)):
            for i in range(self.case.n_visible):
                total[v] += weights[v, i] * (self.means[v] - self.means[v ^ 2**i])
        return total


def conditionals(free: list[float], nv: int) -> np.ndarray:
    """(2) from free energies.

    >>> np.exp(conditionals([0.0, np.log(3.0)], 1)).round(6).tolist()
    [[0.75], [0.25]]
    """
    return np.array([[-softplus(free[v] - free[v ^ 2**i]) for i in range(nv)] for v in range(len(free))])


# values ---------------------------------------------------------------------------------------------------------------


def value_report(f: Callable[..., Any], right: Pseudo) -> Report:
    """All visible states together (D1), and one by one (D6)."""
    case, rows = right.case, right.rows
    replay = replay_line("check_pseudo_likelihood", case)
    reference = right.logs.sum(axis=1)
    each = 1.0 + np.abs(right.free).max() + energy_terms(case).max()
    scale = np.full(len(rows), case.n_visible * each)
    labels = [f"log PL({' '.join(str(int(v)) for v in row)})" for row in rows]
    return rows_report(f, case, rows, reference, scale, labels, replay, partial(wrong_values, right))


def wrong_values(right: Pseudo) -> list[Alternative]:
    """Pseudo-log-likelihoods under the mistakes of belief, of counting, and of what is conditioned on."""
    case, L, nv = right.case, right.logs, right.case.n_visible
    total, numbers = L.sum(axis=1), np.arange(len(L))
    flipped = np.column_stack([L[numbers ^ 2**i, i] for i in range(nv)])
    is_up = right.rows == case.values[1]
    found = [
        ("divided_by_units", "mean over the units for the sum: divided by n_visible", total / nv),
        ("times_units", "multiplied by n_visible once too often", total * nv),
        ("sign", "sign flipped", -total),
        ("probability", "exp: the pseudo-likelihood, not its logarithm", np.exp(total)),
        ("sum_of_probabilities", "probabilities added, not their logarithms", np.exp(L).sum(axis=1)),
        ("base_2", "logarithm to base 2", total / np.log(2.0)),
        ("log_likelihood", "log p(x): the likelihood itself", -np.array(right.free) - case.moments.log_z),
        ("flipped_value", "log p of the other value of each unit", flipped.sum(axis=1)),
        ("up_always", "log p(up | rest) whatever the unit is", np.where(is_up, L, flipped).sum(axis=1)),
        ("up_only", "units that are down left out: x log p without (1 - x) log(1 - p)", (is_up * L).sum(axis=1)),
        ("first_unit", "n_visible times the first unit's conditional", nv * L[:, 0]),
        ("last_unit_missing", "loop ends one unit early", L[:, :-1].sum(axis=1)),
        ("first_unit_missing", "loop starts at the second unit", L[:, 1:].sum(axis=1)),
    ]
    believed = [(i, words, r.J, r.c, case.states) for i, words, r in symmetric_beliefs(case)]
    other = 2.0 * case.states - 1.0 if case.units == "01" else (case.states + 1.0) / 2.0
    believed.append(("other_units", "the other units: -1/+1 against {0,1}", case.J, case.c, other))
    for id, words, J, c, states in believed:
        found.append((id, words, Pseudo(case, pair_energy(J, c, states)).logs.sum(axis=1)))
    return [Alternative(*each) for each in (*found, *(wrong_hidden(right) if case.n_hidden else ()))]


def wrong_hidden(right: Pseudo) -> list[tuple[str, str, np.ndarray]]:
    """What else may be done about hidden units than to sum over them."""
    case, rows, nv, V = right.case, right.rows, right.case.n_visible, len(right.rows)
    best = [float(right.energies[v::V].min()) for v in range(V)]
    off = [float(right.energies[v]) for v in range(V)]
    p = 1.0 / (1.0 + np.exp(-(case.c[nv:] + rows @ case.J[:nv, nv:])))
    field = case.c[:nv] + p @ case.J[nv:, :nv]
    words = "log p(x | mean of h): cross-entropy of the reconstruction"
    return [
        ("reconstruction", words, -np.logaddexp(0.0, (1.0 - 2.0 * rows) * field).sum(axis=1)),
        ("map_hidden", "best h for each x instead of the sum over h", conditionals(best, nv).sum(axis=1)),
        ("hidden_off", "h = 0: hidden units not summed over", conditionals(off, nv).sum(axis=1)),
    ]


# gradients ------------------------------------------------------------------------------------------------------------


def gradient_report(f: Callable[..., Any], right: Pseudo) -> Report:
    """Seven rows with repeats, one row, and the seven in another order (D3)."""
    case = right.case
    replay = replay_line("check_pseudo_likelihood", case)[:-1] + ", of='gradient')"
    numbers = np.random.default_rng(5).integers(0, len(right.rows), 7)
    sets = [("seven rows", numbers), ("one row", np.array([len(right.rows) - 1])), ("reversed rows", numbers[::-1])]
    q = -np.expm1(right.logs)
    gradient, size = right.gradients(q), np.abs(right.means).max(axis=0) * q.sum(axis=1, keepdims=True) * 2.0
    results, answers, references, scales = [], [], [], []
    try:
        for name, chosen in sets:
            answers.append(flat_gradient(f, [right.rows[chosen]], case))
            references.append(gradient[chosen].mean(axis=0))
            scales.append((size[chosen].mean(axis=0) + 1e-3) * (2.0 + np.abs(case.energies).max()))
            labels = parameter_labels(case)
            results.append(value_result(f"D3 {name}", answers[-1], references[-1], scales[-1], labels, replay))
    except CandidateError as error:
        return exact_report(f, case, [refused("D3", error, replay)])
    answer, reference, scale = (np.concatenate(each) for each in (answers, references, scales))
    wrong = partial(wrong_gradients, right, [chosen for _, chosen in sets])
    return exact_report(f, case, results, explain(answer, reference, scale, wrong))


def wrong_gradients(right: Pseudo, sets: list[np.ndarray]) -> list[Alternative]:
    """Gradients that are wrong, over several sets of rows (by number) one after the other."""
    case, nv = right.case, right.case.n_visible
    p = np.exp(right.logs)
    G, n_pairs = right.gradients(1.0 - p), right.means.shape[1] - case.n_units
    pairs = np.repeat([1.0, 0.0], [n_pairs, case.n_units])

    def means(table: np.ndarray) -> np.ndarray:
        return np.concatenate([table[chosen].mean(axis=0) for chosen in sets])

    likelihood = [np.subtract(*likelihood_statistics(case, right.rows[chosen])) for chosen in sets]
    found = [
        ("gradient_sign", "descent direction", means(-G)),
        ("sum_for_mean", "sum over the rows for their mean", np.concatenate([G[c].sum(axis=0) for c in sets])),
        ("divided_by_units", "mean over the units for the sum: divided by n_visible", means(G / nv)),
        ("times_units", "multiplied by n_visible once too often", means(G * nv)),
        ("log_likelihood", "gradient of the likelihood itself", np.concatenate(likelihood)),
        ("p_for_q", "p(x_i | rest) for 1 - p(x_i | rest)", means(right.gradients(p))),
        ("unweighted", "s(x) - s(flipped) without 1 - p(x_i | rest)", means(right.gradients(np.ones_like(p)))),
        ("last_unit_missing", "loop ends one unit early", means(right.gradients((1.0 - p) * (np.arange(nv) < nv - 1)))),
        ("pairs_sign", "sign of the coupling block", means(G * (1 - 2 * pairs))),
        ("biases_sign", "sign of the bias blocks", means(G * (2 * pairs - 1))),
        ("pairs_twice", "coupling block twice as large", means(G * (1 + pairs))),
        ("pairs_half", "coupling block half as large", means(G * (1 - pairs / 2))),
        ("beta_factor", "multiplied by beta: not with respect to the tempered parameters", means(case.beta * G)),
    ]
    if not case.n_hidden:
        one_sided = np.array([row_conditionals(right, v) for v in range(len(right.rows))])
        found.append(("one_sided", "J_ij moved in the conditional of unit i alone, J_ji not with it", means(one_sided)))
    for id, words, recipe in symmetric_beliefs(case):
        wrong = Pseudo(case, pair_energy(recipe.J, recipe.c, case.states))
        found.append((id, words, means(wrong.gradients(-np.expm1(wrong.logs)))))
    return [Alternative(*each) for each in found]


def row_conditionals(right: Pseudo, v: int) -> np.ndarray:
    """d/dJ_ij of log p(s_i | rest) only, and d/dc: flat (q,), for the state of number v of one layer."""
    s, q = right.rows[v], -np.expm1(right.logs[v])
    down, up = right.case.values
    rise = q * np.where(s == up, 1.0, -1.0) * (up - down)  # d/d field_i
    pairs = rise[:, None] * s * (1.0 - np.eye(len(s)))
    return np.concatenate([pairs.ravel(), rise])
