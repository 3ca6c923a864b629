"""Whole wrong answers with their names: what a failing formula is compared with.

The mistakes of belief come from the zoo (parameters as a wrong kernel holds them: transposed W, a bias omitted or added
twice, beta twice, J counted twice, ...), so a mistake has one name wherever it shows; the others belong to one
quantity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import special

from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.deterministic import Alternative
from ebm_ref.oracle.zoo.believed import BELIEVED
from ebm_ref.oracle.zoo.recipe import Recipe
from ebm_ref.oracle.zoo.updated import UPDATED


def beliefs(case: Case) -> list[tuple[str, str, Recipe]]:
    """The mistakes about parameters that mean something on a case: id, words, and the recipe with wrong J, c."""
    found = []
    for bug in BELIEVED:
        recipe = bug.recipe(case)
        if recipe is not None and not (np.array_equal(recipe.J, case.J) and np.array_equal(recipe.c, case.c)):
            found.append((bug.id, bug.description, recipe))
    return found


def symmetric_beliefs(case: Case) -> list[tuple[str, str, Recipe]]:
    """Those that define an energy: J symmetric."""
    return [(i, words, r) for i, words, r in beliefs(case) if np.array_equal(r.J, r.J.T)]


def pair_energy(J: np.ndarray, c: np.ndarray, states: np.ndarray) -> np.ndarray:
    """-1/2 s'Js - c.s of each row."""
    return -0.5 * np.einsum("si,ij,sj->s", states, J, states) - states @ c


def energy_terms(case: Case) -> np.ndarray:
    """sum of |terms| of each energy (S,)."""
    size = np.abs(case.states)
    return 0.5 * np.einsum("si,ij,sj->s", size, np.abs(case.J), size) + size @ np.abs(case.c)


def wrong_energies(case: Case) -> list[Alternative]:
    """Energies under the mistakes of belief, and those that only an energy can have."""
    S, E = case.states, case.energies
    found = [Alternative(i, words, pair_energy(r.J, r.c, S)) for i, words, r in symmetric_beliefs(case)]
    other = 2.0 * S - 1.0 if case.units == "01" else (S + 1.0) / 2.0
    words = "units taken as -1/+1 where {0,1} is declared" if case.units == "01" else "units taken as {0,1}"
    found.insert(0, Alternative("other_units", words, pair_energy(case.J, case.c, other)))
    found += [
        Alternative(
            "pairs_twice",
            "each pair counted twice",
            2.0 * pair_energy(case.J, 0 * case.c, S) + pair_energy(0 * case.J, case.c, S),
        ),
        Alternative("mean_over_rows", "divided by the number of rows", E / len(E)),
        Alternative("unnormalised_probability", "exp(-E) instead of E", np.exp(-E)),
        Alternative("probability", "-log p(x, h): log Z added", E + case.moments.log_z),
    ]
    if case.n_hidden:
        free = layer_free_energy(case)
        found.append(Alternative("free_energy", "free energy of x instead of the energy of (x, h)", free))
    return found


def layer_free_energy(case: Case) -> np.ndarray:
    """-log sum_h exp(-E(x, h)) of the visible part of each state (S,)."""
    key = case.states[:, : case.n_visible] @ (1 << np.arange(case.n_visible))
    return np.array([-special.logsumexp(-case.energies[key == k]) for k in key])


def wrong_conditionals(case: Case, units: np.ndarray, right: np.ndarray) -> list[Alternative]:
    """Conditionals under the mistakes of belief and of update, and of what is returned."""
    found = []
    for bug in (*BELIEVED, *UPDATED):
        recipe = bug.recipe(case)
        if recipe is not None and (recipe.rule == "gibbs" or bug in BELIEVED):
            gain = 2.0 if case.units == "spin" else 1.0
            logits = gain * (recipe.c + case.states @ recipe.J.T)[:, units]
            found.append(Alternative(bug.id, bug.description, np.asarray(recipe.up(logits), dtype=float)))
    inside = np.clip(right, 1e-300, 1.0 - 2.0**-53)
    logits = special.logit(inside)
    found += [
        Alternative("complement", "probability of 0 (down) returned for that of 1 (up)", 1.0 - right),
        Alternative("logits", "logits returned for probabilities", logits),
        Alternative("log_probabilities", "log probabilities returned", np.log(inside)),
        Alternative("means_of_spins", "2p - 1 returned for p", 2.0 * right - 1.0),
        Alternative(
            "saturated",
            "1 - sigmoid(-z) in float32: 0 below logit -17, 1 above 17",
            (np.float32(1.0) - special.expit(-logits).astype(np.float32)).astype(float),
        ),
        Alternative("tanh", "tanh for the sigmoid", np.tanh(logits)),
        Alternative("softmax", "softmax over the layer for the sigmoid", special.softmax(logits, axis=1)),
    ]
    return found


def wrong_log_z(case: Case) -> list[Alternative]:
    """log Z under the mistakes of belief, and of counting."""
    right, E, two = case.moments.log_z, case.energies, math.log(2.0)
    nv, nh = case.n_visible, case.n_hidden
    free = len(case.free)
    numbers = [
        (i, words, float(special.logsumexp(-pair_energy(r.J, r.c, case.states))))
        for i, words, r in symmetric_beliefs(case)
    ]
    other = 2.0 * case.states - 1.0 if case.units == "01" else (case.states + 1.0) / 2.0
    numbers += [
        (
            "other_units",
            "the other units: -1/+1 against {0,1}",
            float(special.logsumexp(-pair_energy(case.J, case.c, other))),
        ),
        ("mean_for_sum", f"{free} log 2 missing: mean over the states for the sum", right - free * two),
        ("free_energy", "-log Z, the free energy", -right),
        ("z_for_log_z", "Z returned for log Z", math.exp(min(right, 700.0))),
        ("base_2", "logarithm to base 2", right / two),
        ("base_10", "logarithm to base 10", right / math.log(10.0)),
        ("maximum", "only the largest term: -min E", float(-E.min())),
        ("last_state_missing", "loop ends one state early", float(special.logsumexp(-E[:-1]))),
        ("first_state_missing", "loop starts at the second state", float(special.logsumexp(-E[1:]))),
        ("mean_energy", "mean of -E under the model", -case.moments.energy),
    ]
    if nh:
        best = [E[(case.states[:, :nv] == x).all(1)].min() for x in np.unique(case.states[:, :nv], axis=0)]
        off = E[(case.states[:, nv:] == 0).all(1)]
        numbers += [
            ("missing_log_2", "n_hidden log 2 missing", right - nh * two),
            ("missing_log_2_visible", "n_visible log 2 missing", right - nv * two),
            ("log_2_twice", "n_hidden log 2 added once too often", right + nh * two),
            ("map_hidden", "best h for each x instead of the sum over h", float(special.logsumexp(-np.array(best)))),
            (
                "hidden_not_summed",
                "only h = 0: hidden units not summed over",
                float(special.logsumexp(-off)) if len(off) else right,
            ),
        ]
    return [Alternative(i, words, np.array(value)) for i, words, value in numbers]


def wrong_gradients(case: Case, statistic: np.ndarray) -> list[Alternative]:
    """Energy gradients of single rows that are wrong; statistic (S, q) = -dE/dtheta."""
    n_pairs = statistic.shape[1] - case.n_units
    pairs, units = statistic[:, :n_pairs], statistic[:, n_pairs:]
    found = [
        Alternative("gradient_sign", "sign flipped: -dE/dtheta", statistic),
        Alternative("pairs_sign", "sign of the coupling block flipped", -np.hstack([-pairs, units])),
        Alternative("biases_sign", "sign of the bias blocks flipped", -np.hstack([pairs, -units])),
        Alternative("pairs_twice", "coupling block twice as large", -np.hstack([2 * pairs, units])),
        Alternative("pairs_half", "coupling block half as large", -np.hstack([pairs / 2, units])),
        Alternative(
            "beta_factor", "multiplied by beta: not with respect to the tempered parameters", -case.beta * statistic
        ),
    ]
    if case.n_hidden and case.n_visible == case.n_hidden:
        turned = pairs.reshape(-1, case.n_visible, case.n_hidden).transpose(0, 2, 1).reshape(len(pairs), -1)
        swapped = np.hstack([units[:, case.n_visible :], units[:, : case.n_visible]])
        found.append(Alternative("w_transposed", "coupling block transposed", -np.hstack([turned, units])))
        found.append(Alternative("biases_swapped", "visible and hidden bias exchanged", -np.hstack([pairs, swapped])))
    if not case.n_hidden:
        whole = (case.states[:, :, None] * case.states[:, None, :]).reshape(len(pairs), -1)
        found.append(Alternative("diagonal", "diagonal of J not zero", -np.hstack([whole, units])))
        upper = np.triu(np.ones((case.n_units,) * 2), 1).ravel()
        found.append(Alternative("upper_triangle", "upper triangle only", -np.hstack([pairs * upper, units])))
    return found


def wrong_likelihood_gradients(
    case: Case, sets: list[np.ndarray], statistics: Callable[[Case, np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> list[Alternative]:
    """Log-likelihood gradients that are wrong, over several data sets one after the other."""
    parts = [(len(data), *statistics(case, data)) for data in sets]

    def joined(make: Callable[[int, np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        return np.concatenate([make(n, positive, negative) for n, positive, negative in parts])

    n_pairs = len(parts[0][1]) - case.n_units
    block = np.repeat([1.0, 0.0], [n_pairs, case.n_units])
    found = [
        Alternative("gradient_sign", "descent direction", joined(lambda n, p, q: q - p)),
        Alternative("sum_for_mean", "sum over the rows for their mean", joined(lambda n, p, q: n * (p - q))),
        Alternative("positive_only", "negative phase missing", joined(lambda n, p, q: p)),
        Alternative("negative_only", "positive phase missing", joined(lambda n, p, q: -q)),
        Alternative("sum_of_phases", "phases added", joined(lambda n, p, q: p + q)),
        Alternative("positive_summed", "positive phase summed, negative phase not", joined(lambda n, p, q: n * p - q)),
        Alternative("beta_factor", "multiplied by beta", joined(lambda n, p, q: case.beta * (p - q))),
        Alternative("divisor", "divided by n + 1", joined(lambda n, p, q: n * (p - q) / (n + 1))),
        Alternative("pairs_sign", "sign of the coupling block", joined(lambda n, p, q: (p - q) * (1 - 2 * block))),
        Alternative("biases_sign", "sign of the bias blocks", joined(lambda n, p, q: (p - q) * (2 * block - 1))),
        Alternative("pairs_twice", "coupling block twice as large", joined(lambda n, p, q: (p - q) * (1 + block))),
    ]
    for id, words, recipe in symmetric_beliefs(case):
        weight = np.exp(-pair_energy(recipe.J, recipe.c, case.states))
        wrong = replace(case, J=recipe.J, c=recipe.c, W=None, a=None, b=None)
        if case.W is not None:
            nv = case.n_visible
            wrong = replace(case, J=recipe.J, c=recipe.c, W=recipe.J[:nv, nv:], a=recipe.c[:nv], b=recipe.c[nv:])
        if np.isfinite(weight).all():
            values = [p - q for p, q in (statistics(wrong, data) for data in sets)]
            found.append(Alternative(id, words, np.concatenate(values)))
    return found
