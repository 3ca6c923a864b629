"""Formulas of kernels, without a single random draw: transition matrices, free energies, draws from given uniforms.

D4   P >= 0, rows sum to 1, pi P = pi, pi_i P_ij = pi_j P_ji (if declared), irreducible, aperiodic, gap, P = the claim
D1   F(x) = -log sum_h exp(-E(x, h))

What no sampling sees at sane cost is seen here: broken ergodicity, rates wrong in the tenth digit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import special
from scipy.sparse import csgraph

from ebm_ref.errors import DomainError, require_choice
from ebm_ref.oracle import zoo
from ebm_ref.oracle.alternatives import energy_terms, pair_energy, symmetric_beliefs
from ebm_ref.oracle.cases import Case, expression
from ebm_ref.oracle.deterministic import (
    Alternative,
    CandidateError,
    ask,
    exact_report,
    explain,
    refused,
    rows_report,
    state_label,
    value_result,
)
from ebm_ref.oracle.results import Diagnosis, Report, Result

ROUNDING = 1e-12


def replay_line(check: str, case: Case) -> str:
    """The line that repeats a deterministic check."""
    return f"ebm_ref.oracle.{check}(f, {expression(case)})"


# matrices -------------------------------------------------------------------------------------------------------------


def check_transition_matrix(f: Any, case: Case, *, same_kernel: bool = True, min_gap: float = 1e-6) -> Report:
    """Is this the transition matrix of the case's kernel (or, with ``same_kernel=False``, of any kernel for its law)?

    f            P (S, S), or a callable that returns it; P[s, t] = P(next = t | now = s), states in the order of
                 ``case.states``.  Build it from the conditionals or acceptance probabilities of the implementation
    min_gap      the least acceptable 1 - |second eigenvalue| (an ergodic kernel may still be useless)

    Deterministic (D4): stochastic, invariant law, symmetric flow if the case's kernel is reversible, one class,
    no period, spectral gap, and entry by entry the kernel.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_4x2")
    >>> check_transition_matrix(case.P, case).passed
    True
    >>> check_transition_matrix(case.P.T, case).diagnosis[0].mistake
    'matrix_transposed'
    """
    replay, S = replay_line("check_transition_matrix", case), len(case.pi)
    try:
        P = ask(f, [], (S, S)) if callable(f) else ask(lambda: f, [], (S, S))
    except CandidateError as error:
        return exact_report(f, case, [refused("D4", error, replay)])
    P = P.astype(np.float64)
    flow = case.pi[:, None] * P
    results = [
        residual("D4 stochastic", max(0.0, -P.min(), np.abs(P.sum(axis=1) - 1).max()), "rows sum to 1, none < 0", P),
        residual("D4 invariance", np.abs(case.pi @ P - case.pi).max(), "pi P = pi", P),
    ]
    if case.reversible:
        results.append(residual("D4 flow", np.abs(flow - flow.T).max(), "pi_i P_ij = pi_j P_ji", P))
    results += ergodicity(P, min_gap)
    found: tuple[Diagnosis, ...] = ()
    if same_kernel:
        labels = [f"{state_label(case, s)} -> {state_label(case, t)}" for s in case.states for t in case.states]
        scale = np.maximum(case.P, 1e-3) * (2 * case.n_units + np.ptp(case.energies))  # factors, and their logits
        results.append(value_result("D4 entries", P, case.P, scale, labels, replay))
        wrong = [Alternative(a.id, a.description, a.P) for a in zoo.alternatives(case)]
        wrong += [Alternative("matrix_transposed", "rows and columns exchanged: P(now | next)", case.P.T)]
        found = explain(P, case.P, scale, lambda: wrong)
    return exact_report(f, case, results, found)


def residual(test: str, error: float, words: str, P: np.ndarray) -> Result:
    """One identity of a matrix, to ROUNDING."""
    right = bool(error <= ROUNDING)
    message = f"{words}: off by {float(error):.3g} (allowed {ROUNDING:g})"
    details = {"effect_unit": "probability"}
    return Result(
        test,
        "pass" if right else "fail",
        message,
        effect=float(error),
        smallest_detectable_effect=ROUNDING,
        n=P.size,
        details=details,
    )


def ergodicity(P: np.ndarray, min_gap: float) -> list[Result]:
    """One communicating class, period 1, and the spectral gap."""
    graph = (P > 0).astype(int)
    classes = int(csgraph.connected_components(graph, directed=True, connection="strong")[0])
    n = P.shape[0]
    period = int(np.gcd.reduce(cycle_differences(graph) or [0]))
    values = np.sort(np.abs(np.linalg.eigvals(P)))[::-1]
    gap = float(1.0 - values[1]) if n > 1 else 1.0
    return [
        Result(
            "D4 irreducible",
            "pass" if classes == 1 else "fail",
            f"{classes} communicating class{'' if classes == 1 else 'es'}",
            n=n,
        ),
        Result("D4 aperiodic", "pass" if period == 1 else "fail", f"period {period} (of the class of state 0)", n=n),
        Result(
            "D4 gap", "pass" if gap >= min_gap else "fail", f"1 - |second eigenvalue| = {gap:.3g}, at least {min_gap:g}"
        ),
    ]


def cycle_differences(graph: np.ndarray) -> list[int]:
    """level(i) + 1 - level(j) over the edges i -> j that state 0 reaches; their gcd is the period.

    >>> cycle_differences(np.array([[0, 1], [1, 0]]))
    [2]
    """
    level = csgraph.shortest_path(graph, unweighted=True, indices=0)
    i, j = np.nonzero(graph)
    seen = np.isfinite(level[i]) & np.isfinite(level[j])
    return sorted({int(abs(d)) for d in level[i[seen]] + 1 - level[j[seen]] if d})


# free energies --------------------------------------------------------------------------------------------------------


def check_free_energy(f: Callable[..., Any], case: Case, layer: str = "visible") -> Report:
    """Is ``f`` the free energy of a layer, F(x) = -log sum_h exp(-E(x, h)) in nats (or of the hidden one, sum over x)?

    f(rows) -> (n,) for rows of the layer's units.  Tested on all its states (D1), and one row at a time (D6).
    An additive constant is a failure too, and is named (a lost n log 2, log Z).

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_4x2")
    >>> def F(x): return -x @ case.a - np.logaddexp(0, case.b + x @ case.W).sum(axis=1)
    >>> check_free_energy(F, case).passed
    True
    >>> check_free_energy(lambda x: -F(x), case).diagnosis[0].mistake
    'sign'
    """
    if not case.n_hidden or case.clamp:
        raise DomainError(f"case: expected a model of two layers without clamped units, got {case.name}")
    require_choice("layer", layer, ("visible", "hidden"))
    units = slice(0, case.n_visible) if layer == "visible" else slice(case.n_visible, None)
    rows, first = np.unique(case.states[:, units], axis=0, return_index=True)
    reference = free_energies(case, case.energies, layer)[first]
    every = np.full(len(rows), 1.0 + np.abs(reference).max() + energy_terms(case).max())
    replay = replay_line("check_free_energy", case)
    labels = [f"F({''.join(str(int(v)) for v in row)})" for row in rows]
    wrong = partial(wrong_free_energies, case, layer, first)
    return rows_report(f, case, rows, reference, every, labels, replay, wrong)


def free_energies(case: Case, energies: np.ndarray, layer: str) -> np.ndarray:
    """-log sum over the other layer of exp(-E), for each joint state (S,)."""
    own = case.states[:, : case.n_visible] if layer == "visible" else case.states[:, case.n_visible :]
    label = np.unique(own, axis=0, return_inverse=True)[1].reshape(-1)
    return np.array([-special.logsumexp(-energies[label == k]) for k in label])


def wrong_free_energies(case: Case, layer: str, first: np.ndarray) -> list[Alternative]:
    """Free energies under the mistakes of belief, and those of the sum over the other layer."""
    right = free_energies(case, case.energies, layer)[first]
    own = np.arange(case.n_visible) if layer == "visible" else np.arange(case.n_visible, case.n_units)
    rest = np.setdiff1d(np.arange(case.n_units), own)
    rows = case.states[first][:, own]
    linear = -rows @ case.c[own]
    field = case.c[rest] + rows @ case.J[np.ix_(own, rest)]
    found = [
        Alternative(i, words, free_energies(case, pair_energy(r.J, r.c, case.states), layer)[first])
        for i, words, r in symmetric_beliefs(case)
    ]
    log_2 = len(rest) * np.log(2.0)
    mean = field / (1.0 + np.exp(-field))
    return [
        *found,
        Alternative("sign", "sign flipped: +log sum exp(-E)", -right),
        Alternative("normalised", "-log p: log Z added", right + case.moments.log_z),
        Alternative(
            "mean_for_sum", f"{len(rest)} log 2 too much: mean over the other layer for the sum", right + log_2
        ),
        Alternative(
            "maximum_for_sum", "best state of the other layer for the sum", linear - np.maximum(field, 0).sum(1)
        ),
        Alternative("mean_field", "energy at the mean of the other layer", linear - mean.sum(axis=1)),
        Alternative("exponential", "exp(z) for log(1 + exp(z))", linear - np.exp(field).sum(axis=1)),
    ]
