"""ONE readable reference step, cut at the places where implementers err; the exact matrix of every variant.

field_i = c_i + sum_j J_ij s_j         J = [[0, W], [W', 0]], c = (a, b) for an RBM, so one step serves all models
gibbs        s_i = up if u < up(k field_i)        k = 1 for {0,1}, 2 for {-1,+1}
metropolis   flip s_i if u < accept(dE)           dE = (s_i - flipped s_i) field_i
scans        sweep: the sites of ``order`` one after the other (hidden first: block Gibbs is exactly this)
             random: one site of ``order`` a step;  parallel: all sites at once from the old state
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import special

from ebm_ref.oracle.cases import Case

Array = np.ndarray


def accept_metropolis(change: Array) -> Array:
    """min(1, exp(-dE))."""
    return np.exp(-np.maximum(change, 0.0))


@dataclass(frozen=True, eq=False)
class Recipe:
    """The reference step as data; a wrong kernel is ``dataclasses.replace(recipe, one_thing=...)``.

    J (d, d) and c (d,) as believed; ``values`` (down, up); ``up`` and ``accept`` turn a logit and an energy change into
    a probability; ``weights`` are the odds of a random scan; ``lazy`` is the chance that a call does nothing;
    ``until_moved`` repeats until the state has changed; ``shared`` lets all units of a layer use one uniform.
    """

    J: Array
    c: Array
    values: tuple[int, int]
    rule: str
    scan: str
    order: tuple[int, ...]
    n_visible: int
    up: Callable[[Array], Array] = special.expit
    accept: Callable[[Array], Array] = accept_metropolis
    weights: tuple[float, ...] | None = None
    gain: float = 1.0
    sweeps: int = 1
    lazy: float = 0.0
    until_moved: bool = False
    shared: bool = False


def reference(case: Case) -> Recipe:
    """The right step of a case."""
    hidden = [i for i in case.free if i >= case.n_visible]
    visible = [i for i in case.free if i < case.n_visible]
    order = tuple(hidden + visible)
    if case.kernel == "gibbs_palindromic":
        order += order[-2::-1]
    rule = "metropolis" if case.kernel.startswith("metropolis") else "gibbs"
    scan = "random" if case.kernel in ("gibbs_random", "metropolis") else "sweep"
    gain = 2.0 if case.units == "spin" else 1.0
    return Recipe(case.J, case.c, case.values, rule, scan, order, case.n_visible, gain=gain)


def flip_probability(recipe: Recipe, states: Array, i: int) -> Array:
    """The chance (n,) that the update of site i changes it, given states (n, d)."""
    down, up = recipe.values
    field = recipe.c[i] + states @ recipe.J[i]
    is_up = states[:, i] == up
    if recipe.rule == "metropolis":
        change = np.where(is_up, 1.0, -1.0) * (up - down) * field
        return recipe.accept(change)
    p = recipe.up(recipe.gain * field)
    return np.where(is_up, 1.0 - p, p)


def flip(recipe: Recipe, states: Array, i: int, u: Array) -> None:
    """Update site i in place with the uniforms u (n,); Gibbs compares u with p(up), Metropolis with the acceptance."""
    down, up = recipe.values
    p = flip_probability(recipe, states, i)
    if recipe.rule == "gibbs":
        p_up = np.where(states[:, i] == up, 1.0 - p, p)
        states[:, i] = np.where(u < p_up, up, down)
    else:
        states[:, i] = np.where(u < p, up + down - states[:, i], states[:, i])


def sweep(recipe: Recipe, states: Array, rng: np.random.Generator) -> Array:
    """One pass of the scan over a copy of states (n, d)."""
    new = states.copy()
    n = len(states)
    if recipe.scan == "random":
        site = rng.choice(recipe.order, size=n, p=recipe.weights)
        u = rng.random(n)
        for i in set(recipe.order):
            rows = site == i
            part = new[rows]
            flip(recipe, part, i, u[rows])
            new[rows] = part
    elif recipe.scan == "parallel":
        for i in recipe.order:
            part = states.copy()
            flip(recipe, part, i, rng.random(n))
            new[:, i] = part[:, i]
    else:
        layer_of_u, u = -1, rng.random(n)
        for i in recipe.order:
            layer = int(i >= recipe.n_visible)
            if layer != layer_of_u or not recipe.shared:
                layer_of_u, u = layer, rng.random(n)
            flip(recipe, new, i, u)
    return new


def make_step(recipe: Recipe) -> Callable[[Array, int], Array]:
    """``step(states, seed) -> states`` of a recipe."""

    def step(states: Array, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        new = np.asarray(states)
        for _ in range(recipe.sweeps):
            new = sweep(recipe, new, rng)
        if recipe.until_moved:
            for _ in range(10_000):
                stuck = (new == states).all(axis=1)
                if not stuck.any():
                    break
                new[stuck] = sweep(recipe, new[stuck], rng)
        if recipe.lazy:
            new = np.where(rng.random((len(new), 1)) < recipe.lazy, states, new)
        return new

    return step


def matrix(recipe: Recipe, case: Case) -> Array | None:
    """The exact transition matrix (S, S) of the recipe on the states of a case; None if it leaves them."""
    if not set(recipe.order) <= set(case.free):
        return None
    site = {i: site_matrix(recipe, case, i) for i in set(recipe.order)}
    S = len(case.states)
    if recipe.scan == "random":
        weights = recipe.weights or (1.0 / len(recipe.order),) * len(recipe.order)
        P = sum((w * site[i] for w, i in zip(weights, recipe.order, strict=True)), np.zeros((S, S)))
    elif recipe.scan == "parallel":
        P = parallel_matrix(recipe, case)
    elif recipe.shared:
        hidden = [i for i in recipe.order if i >= recipe.n_visible]
        visible = [i for i in recipe.order if i < recipe.n_visible]
        P = shared_matrix(recipe, case, hidden) @ shared_matrix(recipe, case, visible)
    else:
        P = np.eye(S)
        for i in recipe.order:
            P = P @ site[i]
    P = np.linalg.matrix_power(P, recipe.sweeps)
    if recipe.until_moved:
        stay = np.diag(P)
        P = (P - np.diag(stay)) / (1.0 - stay)[:, None]
    return recipe.lazy * np.eye(S) + (1.0 - recipe.lazy) * P


def flipped(case: Case, i: int) -> Array:
    """Index (S,) of every state with unit i flipped."""
    other = case.states.copy()
    other[:, i] = sum(case.values) - other[:, i]
    return case.index(other)


def site_matrix(recipe: Recipe, case: Case, i: int) -> Array:
    """K_i (S, S)."""
    S = len(case.states)
    p = flip_probability(recipe, case.states, i)
    P = np.diag(1.0 - p)
    P[np.arange(S), flipped(case, i)] += p
    return P


def parallel_matrix(recipe: Recipe, case: Case) -> Array:
    """All sites at once: P[s, t] = prod_i p(t_i | s)."""
    P = np.ones((len(case.states), len(case.states)))
    for i in range(case.n_units):
        changes = case.states[:, None, i] != case.states[None, :, i]
        p = flip_probability(recipe, case.states, i) if i in recipe.order else np.zeros(len(case.states))
        P *= np.where(changes, p[:, None], 1.0 - p[:, None])
    return P


def shared_matrix(recipe: Recipe, case: Case, sites: list[int]) -> Array:
    """One uniform for all Gibbs sites of a layer: between two neighbouring thresholds the outcome is constant."""
    P = np.zeros((len(case.states), len(case.states)))
    up = case.values[1]
    flips = np.array([flip_probability(recipe, case.states, i) for i in sites]).T
    is_up = case.states[:, sites] == up
    p_up = np.where(is_up, 1.0 - flips, flips)
    for s, p in enumerate(p_up):
        edges = np.concatenate([[0.0], np.sort(p), [1.0]])
        for low, high in pairwise(edges):
            target = case.states[s].copy()
            target[sites] = np.where((low + high) / 2 < p, up, case.values[0])
            P[s, case.index(target[None])[0]] += high - low
    return P
