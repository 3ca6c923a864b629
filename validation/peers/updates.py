"""One-row laws that ``check_update`` does not name: stochastic maximum likelihood from a given hidden state.

(1) x_k ~ p(.|h_0), g = S(x_0, p(h|x_0)) - S(x_k, p(h|x_k)), S(x, t) = [x t', x, t]; one negative chain a data row
With h_0 = 0, the first state of a fresh chain, x_k has independent units with log-odds a.  ``declared_report`` runs the
tests L2, L1 and L3 of the oracle against such a table.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from scipy import special

from ebm_ref.oracle import naive
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.learning_tests import UPDATE_SIZES, Bench, first_looks, staged
from ebm_ref.oracle.results import Report
from ebm_ref.oracle.statistics.seeds import Seeds
from ebm_ref.oracle.statistics.sequential import level_of_each
from ebm_ref.oracle.update_recipe import UpdateLaw, reference, statistic

BATCH = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 1], [1, 0, 1, 1]], dtype=float)


def law_from_hidden(case: Case, x0: np.ndarray, h0: np.ndarray) -> UpdateLaw:
    """(1): the values of g for one data row, and their probabilities."""
    states = np.array(naive.states(case.n_visible), dtype=float)
    down = special.expit(case.a + case.W @ h0)
    p = np.prod(np.where(states == 1.0, down, 1.0 - down), axis=1)
    first = statistic(x0, special.expit(case.b + x0 @ case.W))
    values = np.array([first - statistic(x, special.expit(case.b + x @ case.W)) for x in states])
    return UpdateLaw(values, p)


class FromHidden(Bench):
    """The oracle's bench with the laws (1) in place of CD-k."""

    @cached_property
    def laws(self) -> list[UpdateLaw]:
        """One law a distinct row."""
        h0 = np.zeros(self.case.n_hidden)
        return [law_from_hidden(self.case, x, h0) for x in self.distinct[0]]


def declared_report(update: Callable, case: Case, rows: np.ndarray, seed: int, profile: str = "ci") -> Report:
    """L2, L1, L3 of ``update(rows, seed)`` against (1) from h_0 = 0."""
    bench = FromHidden(update, case, rows, reference(case), Seeds(seed), "")
    results, notes = first_looks(bench)
    alpha = level_of_each(3, bench.exact_budget)
    for test in ("L2", "L1", "L3"):
        if all(r.verdict != "fail" for r in results):
            results.append(staged(bench, test, UPDATE_SIZES[profile], alpha))
    return Report("update", case.name, profile, seed, tuple(results), (), notes, 3 * alpha + bench.exact_budget)


def exact_gradient(case: Case, rows: np.ndarray) -> np.ndarray:
    """The log-likelihood gradient, flat: <S>_data - <S>_model by enumeration."""
    nv = case.n_visible
    model = sum(p * statistic(s[:nv], s[nv:]) for p, s in zip(case.pi, case.states, strict=True))
    data = np.mean([statistic(x, special.expit(case.b + x @ case.W)) for x in rows], axis=0)
    return data - model
