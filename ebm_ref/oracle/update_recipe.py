"""ONE readable CD-k update, cut at the places where implementers err; the exact law of every variant.

(1) p(h|x) = sigmoid(b + xW),  p(x|h) = sigmoid(a + Wh)
(2) h_0 ~ p(.|x_0);  k times: x ~ p(.|h), h ~ p(.|x)                      the chain x_0, h_0, x_1, ..., x_k
(3) S(x, t) = [x t', x, t] with t = p(h|x) (Rao-Blackwell) or a draw; flat: W row by row, then a, then b
(4) g = S(x_0, t_0) - S(x_k, t_k), mean over the rows: the ascent direction at learning rate 1

For one row the update takes finitely many values; ``law`` lists them with their probabilities by following every branch
of (2).  Sources: Hinton 2002; Bengio and Delalleau 2009; Fischer and Igel 2011.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

from ebm_ref.oracle import naive
from ebm_ref.oracle.cases import Case

Array = np.ndarray
Branches = list[tuple[float, Array]]
VARIANTS = ("rao_blackwell", "sampled_negative", "sampled")


@dataclass(frozen=True, eq=False)
class UpdateRecipe:
    """The reference update as data; a wrong one is ``dataclasses.replace(recipe, one_thing=...)``.

    W (nv, nh), a (nv,), b (nh,) as believed; ``W_down`` (nv, nh) is the matrix of p(x|h) if that is another one
    hidden, visible   how the units of the chain are made: "sample", "mean", "threshold", or "shared" (one uniform a
    layer) positive          hidden units of the first statistic: "mean", "sample" (the h_0 that drives the chain)
    negative          of the second: "mean", "sample" (drawn anew), "stale" (p(h|x_(k-1))), "first" (p(h|x_0))
    start             the chain starts at the row ("data"), at a given particle ("particles", PCD), at an exact draw
    ("model"), or anywhere ("uniform")
    phases            factors of the two statistics;  blocks  factors of W, a, b;  decay  lambda of W, a, b
    reduction         "mean", "sum", "plus_one", "minus_one" (divisor);  rows  "independent", "shared" (uniforms),
    "first"
    """

    W: Array
    a: Array
    b: Array
    k: int = 1
    W_down: Array | None = None
    hidden: str = "sample"
    visible: str = "sample"
    positive: str = "mean"
    negative: str = "mean"
    start: str = "data"
    phases: tuple[float, float] = (1.0, 1.0)
    blocks: tuple[float, float, float] = (1.0, 1.0, 1.0)
    decay: tuple[float, float, float] = (0.0, 0.0, 0.0)
    transposed: bool = False
    reduction: str = "mean"
    rows: str = "independent"

    def up(self, x: Array) -> Array:
        """p(h|x), rows of any real x."""
        return special.expit(self.b + x @ self.W)

    def down(self, h: Array) -> Array:
        """p(x|h), rows of any real h."""
        return special.expit(self.a + h @ (self.W if self.W_down is None else self.W_down).T)

    @cached_property
    def theta(self) -> Array:
        """The parameters, flat."""
        return np.concatenate([self.W.ravel(), self.a, self.b])

    @cached_property
    def visible_law(self) -> Array:
        """The exact p(x) of all x."""
        nv, nh = self.W.shape
        W, a, b = self.W.tolist(), self.a.tolist(), self.b.tolist()
        joint = naive.law([naive.rbm_energy(W, a, b, s[:nv], s[nv:]) for s in naive.states(nv + nh)])
        return np.array(joint).reshape(2**nh, 2**nv).sum(axis=0)


def reference(case: Case, k: int = 1, variant: str = "rao_blackwell", start: str = "data") -> UpdateRecipe:
    """The right update of a case, in the declared variant; start="particles" for persistent chains."""
    if case.W is None or case.a is None or case.b is None:
        raise ValueError(f"{case.name} is no RBM")
    drawn = {"rao_blackwell": ("mean", "mean"), "sampled_negative": ("mean", "sample"), "sampled": ("sample", "sample")}
    positive, negative = drawn[variant]
    return UpdateRecipe(case.W, case.a, case.b, k, positive=positive, negative=negative, start=start)


# one row: every branch ------------------------------------------------------------------------------------------------


def branches(mode: str, p: Array) -> Branches:
    """The outcomes of a layer with probabilities p (n,).

    >>> branches("threshold", np.array([0.2, 0.9]))
    [(1.0, array([0., 1.]))]
    >>> [round(float(mass), 2) for mass, _ in branches("shared", np.array([0.2, 0.9]))]
    [0.2, 0.7, 0.1]
    """
    if mode == "mean":
        return [(1.0, p)]
    if mode == "threshold":
        return [(1.0, (p > 0.5).astype(float))]
    if mode == "shared":
        edges = np.unique(np.concatenate([[0.0], p, [1.0]]))
        return [(high - low, ((low + high) / 2 < p).astype(float)) for low, high in itertools.pairwise(edges)]
    states = np.array(naive.states(len(p)), dtype=float)
    mass = np.prod(np.where(states == 1.0, p, 1.0 - p), axis=1)
    return [(float(m), s) for m, s in zip(mass, states, strict=True) if m > 0]


def chain_branches(recipe: UpdateRecipe, x0: Array) -> list[tuple[float, Array, Array, Array]]:
    """(probability, h_0, x_(k-1), x_k) of every way through (2); equal ways are merged."""
    states = np.array(naive.states(len(x0)), dtype=float)
    starts: Branches = [(1.0, x0)]
    if recipe.start in ("model", "uniform"):
        law = recipe.visible_law if recipe.start == "model" else np.full(len(states), 1.0 / len(states))
        starts = list(zip(law.tolist(), states, strict=True))
    keep_first = recipe.positive == "sample" and recipe.start != "particles"
    keep_before = recipe.negative == "stale"
    empty = np.zeros(len(recipe.b))
    ways = [(mass, empty, x, x) for mass, x in starts]
    for step in range(recipe.k):
        hidden: dict[bytes, list] = {}  # (h_0, x_(k-1), h): x before h is forgotten unless a stale statistic needs it
        for mass, first, _, x in ways:
            for mass_h, h in branches(recipe.hidden, recipe.up(x)):
                kept = h if keep_first and step == 0 else first
                key = np.concatenate([kept, x if keep_before else empty, h]).tobytes()
                hidden.setdefault(key, [0.0, kept, x, h])[0] += mass * mass_h
        merged: dict[bytes, list] = {}
        for mass, kept, x, h in hidden.values():
            for mass_x, new in branches(recipe.visible, recipe.down(h)):
                key = np.concatenate([kept, x if keep_before else new, new]).tobytes()
                merged.setdefault(key, [0.0, kept, x, new])[0] += mass * mass_x
        ways = [(entry[0], entry[1], entry[2], entry[3]) for entry in merged.values()]
    return ways


def statistic(x: Array, t: Array) -> Array:
    """(3) of one row."""
    return np.concatenate([np.outer(x, t).ravel(), x, t])


def finished(recipe: UpdateRecipe, g: Array) -> Array:
    """Block factors, transposition and weight decay of a flat update (..., q)."""
    nv, nh = recipe.W.shape
    sizes = (nv * nh, nv, nh)
    out = g * np.repeat(recipe.blocks, sizes) - np.repeat(recipe.decay, sizes) * recipe.theta
    if recipe.transposed:
        turned = out[..., : nv * nh].reshape(*out.shape[:-1], nh, nv)
        out[..., : nv * nh] = np.swapaxes(turned, -1, -2).reshape(*out.shape[:-1], -1)
    return out


@dataclass(frozen=True, eq=False)
class UpdateLaw:
    """The values (n, q) that the update of one row takes, their probabilities (n,), mean (q,) and covariance (q, q)."""

    values: Array
    p: Array

    @cached_property
    def mean(self) -> Array:
        """E g."""
        return self.p @ self.values

    @cached_property
    def covariance(self) -> Array:
        """Cov g."""
        centred = self.values - self.mean
        return centred.T @ (self.p[:, None] * centred)


def law(recipe: UpdateRecipe, x0: Array, particle: Array | None = None) -> UpdateLaw:
    """The law of (4) for one row, and one particle if the chains are persistent; equal values (to 1e-9) are merged."""
    plus, minus = recipe.phases
    values: list[Array] = []
    masses: list[float] = []
    persistent = recipe.start == "particles" and particle is not None
    own = branches("sample" if recipe.positive == "sample" and persistent else "mean", recipe.up(x0))
    for mass, h0, before, x in chain_branches(recipe, particle if persistent and particle is not None else x0):
        source = {"stale": before, "first": x0}.get(recipe.negative, x)
        for mass_h, t in branches("sample" if recipe.negative == "sample" else "mean", recipe.up(source)):
            for mass_0, t0 in own:
                first = statistic(x0, h0 if recipe.positive == "sample" and not persistent else t0)
                values.append(plus * first - minus * statistic(x, t))
                masses.append(mass * mass_h * mass_0)
    table = finished(recipe, np.array(values) / (2.0 if recipe.reduction == "plus_one" else 1.0))
    _, first_of, label = np.unique(np.round(table, 9) + 0.0, axis=0, return_index=True, return_inverse=True)
    p = np.bincount(label.ravel(), weights=masses, minlength=len(first_of))
    return UpdateLaw(table[first_of], p / p.sum())


# many rows: the program -----------------------------------------------------------------------------------------------


def layer_draw(mode: str, p: Array, u: Callable[[int], Array]) -> Array:
    """The units of a layer for all rows, p (n, units); ``u(width)`` draws uniforms."""
    if mode == "mean":
        return p
    if mode == "threshold":
        return (p > 0.5).astype(float)
    return (u(1 if mode == "shared" else p.shape[1]) < p).astype(float)


def make_update(recipe: UpdateRecipe) -> Callable[..., tuple[Array, Array, Array]]:
    """``update(rows, seed) -> (dW, da, db)`` of a recipe; ``update(rows, particles, seed)`` for persistent chains."""
    nv, nh = recipe.W.shape

    def update(rows: Array, *particles_and_seed: Any) -> tuple[Array, Array, Array]:
        *given, seed = particles_and_seed
        rng = np.random.default_rng(seed)
        x0 = np.asarray(rows, dtype=float)
        if recipe.rows == "first":
            x0 = x0[:1]
        n = len(x0)

        def u(width: int) -> Array:
            return rng.random((1 if recipe.rows == "shared" else n, width))

        x = before = x0
        if recipe.start == "particles":
            x = before = np.asarray(given[0], dtype=float)[: len(x0)]
        elif recipe.start != "data":
            weights = recipe.visible_law if recipe.start == "model" else None
            x = np.array(naive.states(nv), dtype=float)[rng.choice(2**nv, size=n, p=weights)]
        first = None
        for _ in range(recipe.k):
            h = layer_draw(recipe.hidden, recipe.up(x), u)
            first = h if first is None else first
            before, x = x, layer_draw(recipe.visible, recipe.down(h), u)
        if recipe.start == "particles" and recipe.positive == "sample":
            first = layer_draw("sample", recipe.up(x0), u)
        t0 = first if recipe.positive == "sample" and first is not None else recipe.up(x0)
        t = recipe.up({"stale": before, "first": x0}.get(recipe.negative, x))
        if recipe.negative == "sample":
            t = layer_draw("sample", t, u)
        plus, minus = recipe.phases
        divisor = {"mean": n, "sum": 1, "plus_one": n + 1, "minus_one": max(n - 1, 1)}[recipe.reduction]
        dW = (plus * x0.T @ t0 - minus * x.T @ t) / divisor
        da = (plus * x0 - minus * x).sum(axis=0) / divisor
        db = (plus * t0 - minus * t).sum(axis=0) / divisor
        g = finished(recipe, np.concatenate([dW.ravel(), da, db]))
        return g[: nv * nh].reshape(nv, nh), g[nv * nh : nv * nh + nv], g[nv * nh + nv :]

    return update


def with_parameters(recipe: UpdateRecipe, J: Array, c: Array) -> UpdateRecipe:
    """The same update with the parameters of a wrong kernel: hidden units see J[nv:, :nv], visible ones J[:nv, nv:]."""
    nv = len(recipe.a)
    return replace(recipe, W=J[nv:, :nv].T, W_down=J[:nv, nv:], a=c[:nv], b=c[nv:])
