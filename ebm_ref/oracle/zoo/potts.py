"""A readable Potts step cut where implementers err, and its mistakes, each with its exact matrix.

z_i(k) = h_i(k) + sum_j J_ij f(k, s_j),  f(k, l) = [k = l]
gibbs        s_i = k with probability softmax_k z_i(k)
metropolis   propose k with T[s_i, k]; accept with a(dE), dE = z_i(s_i) - z_i(k)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from ebm_ref.oracle.potts import Potts
from ebm_ref.oracle.tables import TableCase
from ebm_ref.oracle.zoo.recipe import Array, accept_metropolis


@dataclass(frozen=True, eq=False)
class PottsRecipe:
    """The right step as data; a wrong one is ``dataclasses.replace(recipe, one_thing=...)``.

    J (n, n), h (n, q), pair (q, q) the f above; ``up`` turns z (.., q) into probabilities; propose (q, q)
    """

    J: Array
    h: Array
    pair: Array
    rule: str
    scan: str
    order: tuple[int, ...]
    propose: Array
    up: Callable[[Array], Array]
    accept: Callable[[Array], Array] = accept_metropolis


def reference(case: TableCase) -> PottsRecipe:
    """The right step of a Potts case."""
    model = case.model
    assert isinstance(model, Potts)
    n, q = model.h.shape
    rule, scan = ("metropolis", "random") if case.kernel == "metropolis" else ("gibbs", "random")
    scan = "sweep" if case.kernel == "gibbs" else scan
    others = (1.0 - np.eye(q)) / (q - 1)
    return PottsRecipe(model.J, model.h, np.eye(q), rule, scan, tuple(range(n)), others, softmax)


def softmax(z: Array) -> Array:
    """Over the last axis."""
    return special.softmax(z, axis=-1)


def site_law(recipe: PottsRecipe, states: Array, i: int) -> Array:
    """Probabilities (n, q) of the next colour of site i given states (n, d)."""
    colour = states.astype(np.int64)
    z = recipe.h[i] + recipe.pair[:, colour].transpose(1, 0, 2) @ recipe.J[i]  # f(k, s_j): (q, n, d) -> (n, q, d)
    if recipe.rule == "gibbs":
        return recipe.up(z)
    rows, now = np.arange(len(states)), colour[:, i]
    law = recipe.propose[now] * recipe.accept(z[rows, now][:, None] - z)
    law[rows, now] = 0.0
    law[rows, now] = 1.0 - law.sum(axis=1)
    return law


def drawn(law: Array, u: Array) -> Array:
    """A colour a row, by inversion."""
    return (u[:, None] >= np.cumsum(law, axis=1)[:, :-1]).sum(axis=1).astype(np.float64)


def make_step(recipe: PottsRecipe) -> Callable[[Array, int], Array]:
    """``step(states, seed) -> states`` of a recipe."""

    def step(states: Array, seed: int) -> Array:
        rng, new = np.random.default_rng(seed), np.array(states, dtype=np.float64)
        if recipe.scan == "random":
            site = rng.choice(recipe.order, size=len(new))
            for i in recipe.order:
                rows = site == i
                new[rows, i] = drawn(site_law(recipe, new[rows], i), rng.random(int(rows.sum())))
            return new
        for i in recipe.order:
            seen = np.asarray(states) if recipe.scan == "parallel" else new
            new[:, i] = drawn(site_law(recipe, seen, i), rng.random(len(new)))
        return new

    return step


def matrix(recipe: PottsRecipe, case: TableCase) -> Array:
    """The exact matrix (S, S) of a recipe."""
    S, d = case.states.shape
    q = len(recipe.pair)
    if recipe.scan == "parallel":
        P = np.ones((S, S))
        for i in range(d):
            law = site_law(recipe, case.states, i)
            P *= (
                law[:, case.states[:, i].astype(int)]
                if i in recipe.order
                else case.states[:, None, i] == case.states[:, i]
            )
        return P
    sites = []
    for i in recipe.order:
        K, law = np.zeros((S, S)), site_law(recipe, case.states, i)
        for k in range(q):
            other = case.states.copy()
            other[:, i] = k
            K[np.arange(S), case.index(other)] += law[:, k]
        sites.append(K)
    if recipe.scan == "random":
        return sum(sites, np.zeros((S, S))) / len(sites)
    P = np.eye(S)
    for K in sites:
        P = P @ K
    return P


def without_last(z: Array) -> Array:
    """The last colour is never drawn."""
    p = softmax(z)
    p[..., -1] = 0.0
    return p / p.sum(axis=-1, keepdims=True)


def short_table(z: Array) -> Array:
    """The cumulative table is rounded to 4 bits."""
    edges = np.round(np.cumsum(softmax(z), axis=-1) * 16) / 16
    return np.diff(edges, axis=-1, prepend=0.0)


def greedy(z: Array) -> Array:
    """The most probable colour."""
    return (z == z.max(axis=-1, keepdims=True)).astype(float)


def clock(q: int) -> Array:
    """cos(2 pi (k - l) / q), the clock model."""
    k = np.arange(q)
    return np.cos(2.0 * np.pi * (k[:, None] - k) / q)


WORDS = {
    "potts_pairs_twice": "each pair counted twice: J doubled",
    "potts_pairs_halved": "each pair counted half: J halved",
    "potts_field_omitted": "fields omitted",
    "potts_couplings_omitted": "couplings omitted",
    "potts_couplings_sign": "sign of the couplings",
    "potts_energy_sign": "E = + instead of minus",
    "potts_colours_from_one": "colours numbered from 1 in h",
    "potts_clock": "cos(2 pi (k - l)/q) for [k = l]",
    "potts_spins": "k l with colours -1 .. 1 for [k = l]",
    "potts_one_way": "each coupling acts in one direction only",
    "potts_last_site_never": "last site never updated",
    "potts_parallel": "all sites at once from the old state",
    "potts_order_reversed": "scan order reversed",
    "potts_two_sweeps": "two sweeps",
    "potts_other_rule": "Metropolis for the heat bath, or the reverse",
    "potts_field_transposed": "h transposed",
    "potts_beta_twice": "beta applied twice",
    "potts_beta_forgotten": "beta not applied",
    "potts_last_colour_never": "last colour never drawn",
    "potts_short_table": "cumulative probabilities rounded to 4 bits",
    "potts_greedy": "most probable colour instead of a draw",
    "potts_proposes_own": "own colour proposed too",
    "potts_next_colour": "only the next colour is proposed",
    "potts_accept_all": "every proposal accepted",
    "potts_change_sign": "sign of dE",
}


def mistakes(case: TableCase) -> dict[str, PottsRecipe]:
    """id -> wrong recipe; words in WORDS."""
    right, model = reference(case), case.model
    assert isinstance(model, Potts)
    (n, q), beta, gibbs = model.h.shape, model.beta, right.rule == "gibbs"
    found = {
        "potts_pairs_twice": replace(right, J=2 * right.J),
        "potts_pairs_halved": replace(right, J=right.J / 2),
        "potts_field_omitted": replace(right, h=0 * right.h),
        "potts_couplings_omitted": replace(right, J=0 * right.J),
        "potts_couplings_sign": replace(right, J=-right.J),
        "potts_energy_sign": replace(right, J=-right.J, h=-right.h),
        "potts_colours_from_one": replace(right, h=np.roll(right.h, -1, axis=1)),
        "potts_clock": replace(right, pair=clock(q)),
        "potts_spins": replace(right, pair=np.outer(*[np.linspace(-1, 1, q)] * 2)),
        "potts_one_way": replace(right, J=np.tril(right.J)),
        "potts_last_site_never": replace(right, order=right.order[:-1]),
        "potts_parallel": replace(right, scan="parallel"),
        "potts_order_reversed": replace(right, order=right.order[::-1]),
        "potts_two_sweeps": replace(right, order=right.order * 2),
        "potts_other_rule": replace(right, rule="metropolis" if gibbs else "gibbs"),
    }  # fmt: skip
    if n == q:
        found["potts_field_transposed"] = replace(right, h=right.h.T)
    if beta != 1.0:
        found["potts_beta_twice"] = replace(right, J=beta * right.J, h=beta * right.h)
        found["potts_beta_forgotten"] = replace(right, J=right.J / beta, h=right.h / beta)
    if gibbs:
        found["potts_last_colour_never"] = replace(right, up=without_last)
        found["potts_short_table"] = replace(right, up=short_table)
        found["potts_greedy"] = replace(right, up=greedy)
    else:
        own, cycle = np.full((q, q), 1.0 / q), np.roll(np.eye(q), 1, axis=1)
        found["potts_proposes_own"] = replace(right, propose=own)
        found["potts_next_colour"] = replace(right, propose=cycle)
        found["potts_accept_all"] = replace(right, accept=np.ones_like)
        found["potts_change_sign"] = replace(right, accept=lambda c: accept_metropolis(-c))
    return found
