"""Exact laws, over the cells of C3, of mistakes that are no change of the recipe: only a failure needs them.

(1) twice         second step after the first: sum over both outcomes of each, quasi-Monte Carlo over both normals
(2) until moved   P without its first cell (stayed where it was), normalised
(3) stale half    p(h' | v) N(v'; m(h), sigma^2): both layers from the old state
(4) inner steps   v after several steps down the gradient of F, then p(h' | v')

Sobol points put each mass within about 1e-3, well below what 2^17 transitions see.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ebm_ref.oracle.continuous.laws import CellLaw
from ebm_ref.oracle.continuous.recipe import RATIOS, Outcome, Recipe, always, reference

Array = np.ndarray
TWO_STEPS, MANY_STEPS = 13, 15  # log_2 of the points


def normals(d: int, log_points: int) -> Array:
    """2^log_points well spread standard normal vectors (M, d)."""
    from scipy.stats import qmc  # a second to import, and only diagnoses ask for it

    n = 2**log_points
    return special.ndtri(qmc.Sobol(d, scramble=False).random(n) + 0.5 / n)


def moves(recipe: Recipe, x: Array, z: Array) -> list[Outcome]:
    """Where one step may end, and with what probability: each proposal accepted, or x.

    A proposal so far out that its energy or its way back is not finite is refused, as by the samplers.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        ends = [(rows, odds * np.nan_to_num(recipe.chance(x, rows, z))) for rows, odds in recipe.propose(x, z)]
    if recipe.accept is always:
        return ends
    return [*ends, (x, 1.0 - np.sum([p for _, p in ends], axis=0))]


def masses(law: CellLaw, walk: list[list[Outcome]]) -> Array:
    """P (S, C) from what may become of each start."""
    P = np.zeros_like(law.P)
    for s, outcomes in enumerate(walk):
        for rows, odds in outcomes:
            P[s] += np.bincount(law.index(s, rows), weights=odds, minlength=P.shape[1])
    return P / P.sum(axis=1, keepdims=True)


def twice(law: CellLaw) -> Array:
    """(1)."""
    recipe, d = reference(law.case), law.case.n_visible
    z = normals(2 * d, TWO_STEPS)
    walk = []
    for start in law.starts:
        first = moves(recipe, np.tile(start, (len(z), 1)), z[:, :d])
        walk.append([(end, p * q) for y, p in first for end, q in moves(recipe, y, z[:, d:])])
    return masses(law, walk)


def until_moved(law: CellLaw) -> Array | None:
    """(2); None for kernels without a rejection."""
    if law.case.kernel not in RATIOS:
        return None
    P = law.P.copy()
    P[:, 0] = 0.0
    return P / P.sum(axis=1, keepdims=True)


def stale_half(law: CellLaw) -> Array:
    """(3)."""
    recipe, nv = reference(law.case), law.case.n_visible
    old = [recipe.mean(start[None, nv:])[0] for start in law.starts]
    return law.products(recipe, old)


def marginal_steps(law: CellLaw) -> Array | None:
    """(4); None for a single step, a change of the recipe with a law by quadrature."""
    recipe, case, nv = reference(law.case), law.case, law.case.n_visible
    if recipe.n_inner == 1:
        return None
    z = normals(recipe.n_inner * nv, MANY_STEPS)
    walk = []
    for start in law.starts:
        v = np.tile(start[:nv], (len(z), 1))
        for k in range(recipe.n_inner):
            v = v - recipe.eta * recipe.gradient(v) + np.sqrt(2 * recipe.eta) * z[:, k * nv : (k + 1) * nv]
        odds = recipe.hidden_odds(v)
        walk.append([(np.hstack([v, np.tile(h, (len(v), 1))]), odds[:, i]) for i, h in enumerate(case.hidden)])
    return masses(law, walk)
