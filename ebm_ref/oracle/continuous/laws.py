"""The exact law of one step from fixed starts, over cells: what a continuous kernel's next states are counted against.

(1) cells     0: stayed where it was; else the new h (two layers) and, for each coordinate, one of 8, 4 or 2 intervals
              (one, two or three dimensions) that split the claimed proposal into equal masses
(2) mass      of a cell: sum over nodes z of weight(z) p(outcome | z) a(z).  Nodes lie inside cells, never across: two
              Gauss-Legendre nodes in each of many narrow intervals (the acceptance a has kinks), 24 in a whole cell
              where all is smooth (gibbs_langevin), or one node where nothing depends on z (block_gibbs, ula)
(3) error     halving the intervals moves sum (P - P')^2 / P by less than 1e-9 for any start (a test holds it), so that
              the 10^9 transitions of the last stage of ``certify`` cannot see it

Source: TESTING C3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy import special

from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.continuous.recipe import Recipe, always, reference

Array = np.ndarray
SPLITS = {1: 8, 2: 4, 3: 2}
WIDTH = {1: 0.005, 2: 0.08}
ROUGH = {1: 0.01, 2: 0.2, 3: 0.6}
SMOOTH, COARSE, FAR = 24, 16, 6.5


def has_law(case: ContinuousCase) -> bool:
    """True if quadrature gives the one-step law of the case's kernel."""
    d = case.n_visible
    if case.kernel in ("ula", "block_gibbs", "gibbs_langevin"):
        return d <= 3
    if case.kernel == "hmc":
        return d == 1 and all(one_to_one(case, start) for start in case.starts)
    return d <= 2


def one_to_one(case: ContinuousCase, start: Array) -> bool:
    """True if the end of a trajectory grows, or falls, with its momentum: cells of one are cells of the other."""
    z = np.linspace(-FAR, FAR, 2001)[:, None]
    ends = reference(case).propose(np.tile(start, (len(z), 1)), z)[0][0]
    steps = np.diff(ends[:, 0])
    return bool((steps > 0).all() or (steps < 0).all())


@lru_cache(maxsize=16)
def axis_nodes(splits: int, order: int, width: float) -> tuple[Array, Array]:
    """Nodes and weights on one axis: ``order`` in every interval, intervals in a cell at most ``width`` wide."""
    edges = special.ndtri(np.arange(splits + 1) / splits)
    edges[0], edges[-1] = -FAR, FAR
    t, w = np.polynomial.legendre.leggauss(order)
    nodes, weights = [], []
    for low, high in pairwise(edges):
        ends = np.linspace(low, high, max(1, math.ceil((high - low) / width)) + 1)
        half, middle = np.diff(ends)[:, None] / 2, (ends[1:, None] + ends[:-1, None]) / 2
        z = (middle + half * t).ravel()
        mass = (half * w).ravel() * np.exp(-0.5 * z**2)
        nodes.append(z)
        weights.append(mass / (mass.sum() * splits))
    return np.concatenate(nodes), np.concatenate(weights)


def grid(d: int, order: int, width: float) -> tuple[Array, Array]:
    """Nodes (M, d) and weights (M,)."""
    z, w = axis_nodes(SPLITS[d], order, width)
    points = np.stack(np.meshgrid(*[z] * d, indexing="ij"), axis=-1).reshape(-1, d)
    weights = np.stack(np.meshgrid(*[w] * d, indexing="ij"), axis=-1).reshape(-1, d).prod(axis=1)
    return points, weights


@dataclass(frozen=True, eq=False)
class CellLaw:
    """P (S, C) over the cells of each start; edges (S, outcomes, d, splits - 1); units (C, D) place the cells."""

    case: ContinuousCase
    starts: Array
    edges: Array
    units: Array
    P: Array

    def index(self, start: int, rows: Array) -> Array:
        """The cell of each row (n, D) that comes from one start."""
        case, d = self.case, self.case.n_visible
        outcome = case.hidden_index(rows) if case.joint else np.zeros(len(rows), dtype=np.int64)
        code = outcome
        for i in range(d):
            inside = (rows[:, i, None] >= self.edges[start][outcome, i]).sum(axis=1)
            code = code * SPLITS[d] + inside
        stayed = (rows == self.starts[start]).all(axis=1)
        return np.where(stayed, 0, code + 1)

    def masses(self, recipe: Recipe, order: int, width: float) -> Array:
        """(2) of any recipe, over these cells (S, C)."""
        z, w = grid(self.case.n_visible, order, width)
        P = np.zeros_like(self.P)
        for s, start in enumerate(self.starts):
            x = np.tile(start, (len(z), 1))
            for rows, odds in recipe.propose(x, z):
                mass = w * odds * recipe.chance(x, rows, z)
                inside = np.isfinite(rows).all(axis=1)
                P[s] += np.bincount(self.index(s, rows[inside]), weights=mass[inside], minlength=P.shape[1])
        if recipe.accept is not always:
            P[:, 0] += np.maximum(1.0 - P.sum(axis=1), 0.0)
        return P / P.sum(axis=1, keepdims=True)

    def wrong(self, recipe: Recipe) -> Array:
        """The law of a wrong recipe, to a few digits (of block Gibbs exactly), and never quite zero."""
        if recipe.kernel == self.case.kernel == "block_gibbs" and not recipe.visible_first:
            rough = self.products(recipe)
        elif self.case.kernel.startswith("gibbs_langevin"):
            rough = self.reweighted(recipe)
        else:
            finer = 4 if self.case.kernel == "block_gibbs" else 1
            rough = self.masses(recipe, 1, ROUGH[self.case.n_visible] / finer)
        return (1 - 1e-7) * rough + 1e-7 * self.P

    def reweighted(self, recipe: Recipe) -> Array:
        """Another Gaussian proposal of v', on the nodes of the claimed one: masses times the ratio of the densities."""
        nv, right = self.case.n_visible, reference(self.case)
        z, w = grid(nv, COARSE, np.inf)
        P = np.zeros_like(self.P)
        for s, start in enumerate(self.starts):
            x = np.tile(start, (len(z), 1))
            v = right.propose(x, z)[0][0][:, :nv]
            (mean, sd), (_, own) = recipe.gaussian(start[None]), right.gaussian(start[None])
            other = (v - mean) / sd
            w_other = w * np.exp(0.5 * (z**2 - other**2).sum(axis=1)) * np.prod(own / sd)
            odds = recipe.next_odds(x[:, nv:], v)
            for k, h in enumerate(recipe.hidden):
                rows = np.hstack([v, np.tile(h, (len(z), 1))])
                mass = w_other * odds[:, k] * recipe.chance(x, rows, other)
                P[s] += np.bincount(self.index(s, rows), weights=mass, minlength=P.shape[1])
        if recipe.accept is not always:
            P[:, 0] += np.maximum(1.0 - P.sum(axis=1), 0.0)
        return P / P.sum(axis=1, keepdims=True)

    def products(self, recipe: Recipe, means: list[Array] | None = None) -> Array:
        """Block Gibbs: given h' the coordinates are independent normals, so masses are products.

        means: of v' from each start, if it does not come from h'.
        """
        P = np.zeros_like(self.P)
        for s, start in enumerate(self.starts):
            odds = recipe.hidden_odds(start[None, : recipe.n_visible])[0]
            parts = []
            for o, h in enumerate(recipe.hidden):
                mass, mean = np.ones(1), recipe.mean(h[None])[0] if means is None else means[s]
                for i in range(recipe.n_visible):
                    below = special.ndtr((self.edges[s, o, i] - mean[i]) / recipe.sd[i])
                    mass = np.outer(mass, np.diff(np.concatenate([[0.0], below, [1.0]]))).ravel()
                parts.append(odds[o] * mass)
            P[s, 1:] = np.concatenate(parts)
        return P


def cell_law(case: ContinuousCase) -> CellLaw:
    """The law of the case's kernel from its starts."""
    d, splits, recipe = case.n_visible, SPLITS[case.n_visible], reference(case)
    starts = case.starts if d < 3 and not case.joint else case.starts[:8]
    cuts = special.ndtri(np.arange(1, splits) / splits)
    edges = []
    for start in starts:
        outcomes = recipe.propose(np.tile(start, (len(cuts), 1)), np.repeat(cuts[:, None], d, axis=1))
        edges.append([np.sort(rows, axis=0)[:, :d].T for rows, _ in outcomes])
    units = cell_units(case, splits)
    empty = CellLaw(case, starts, np.array(edges), units, np.zeros((len(starts), len(units))))
    order, width = accuracy(case)
    return CellLaw(case, starts, empty.edges, units, empty.masses(recipe, order, width))


def accuracy(case: ContinuousCase) -> tuple[int, float]:
    """(2): nodes in an interval, and its greatest width."""
    if case.kernel in ("ula", "block_gibbs"):
        return 1, np.inf
    if case.kernel == "gibbs_langevin":
        return SMOOTH, np.inf
    return 2, WIDTH[case.n_visible]


def cell_units(case: ContinuousCase, splits: int) -> Array:
    """Numbers that place each cell (C, D): the middle of its intervals in standard deviations, and h."""
    d = case.n_visible
    middle = special.ndtri((np.arange(splits) + 0.5) / splits)
    axes = np.stack(np.meshgrid(*[middle] * d, indexing="ij"), axis=-1).reshape(-1, d)
    if case.joint:
        axes = np.vstack([np.hstack([axes, np.tile(h, (len(axes), 1))]) for h in case.hidden])
    return np.vstack([np.zeros((1, axes.shape[1])), axes])
