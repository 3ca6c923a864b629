"""How wrong recipes are made: one part of the right one replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ebm_ref.oracle.continuous.bug import ContinuousBug
from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.continuous.recipe import Move, Recipe

Array = np.ndarray
Mutation = Callable[[Recipe, ContinuousCase], Recipe | None]
ROOT = float(np.sqrt(0.5))
MALA, HMC, GIBBS, INNER, JOINT = "mala", "hmc", "block_gibbs", "gibbs_langevin", "gibbs_langevin_adjusted"


def ratio(log_ratio: Callable[[Move], Array]) -> Mutation:
    """Another acceptance ratio."""
    return lambda recipe, case: replace(recipe, log_ratio=log_ratio)


def accepting(accept: Callable[[Array], Array]) -> Mutation:
    """Another acceptance function of the same ratio."""
    return lambda recipe, case: replace(recipe, accept=accept)


def changed(**parts: object) -> Mutation:
    """Fields replaced by constants."""
    return lambda recipe, case: replace(recipe, **parts)  # type: ignore[arg-type]


def inner(change: int) -> Mutation:
    """Another number of inner steps."""
    return lambda recipe, case: (
        replace(recipe, n_inner=recipe.n_inner + change) if recipe.n_inner + change > 0 else None
    )


def grbm_parts(
    *,
    power: float = 2.0,
    bias: float = 1.0,
    centred: bool = False,
    mu: float = 1.0,
    transposed: bool = False,
    mean_by_variance: bool = False,
    scaled: bool = False,
    centred_mean: bool = False,
) -> Mutation:
    """logits b + (v / sigma^power) W and mean mu + W h, each with a mistake."""

    def mutate(recipe: Recipe, case: ContinuousCase) -> Recipe | None:
        if case.W is None or case.mu is None or case.b is None:
            return None
        if transposed and case.W.shape[0] != case.W.shape[1]:
            return None
        W, sd, b = case.W, np.sqrt(recipe.var), bias * case.b
        up = W.T if transposed else W
        centre, shift = (case.mu if centred else np.zeros_like(sd)), mu * case.mu

        def logits(v: Array) -> Array:
            return b + ((v - centre) / sd**power) @ up

        def mean(h: Array) -> Array:
            pull = h @ up.T
            if mean_by_variance:
                pull = pull * sd**2
            return shift + (sd * pull if scaled else pull)

        return replace(recipe, logits=logits, mean=mean)

    return mutate


def bug(
    kernel: str, id: str, number: int, words: str, mutate: Mutation | None = None, test: str = "C3", **more
) -> ContinuousBug:
    """A record with the defaults of its kernel."""
    case = more.pop("case", {"mala": "gmm_1d", "hmc": "gmm_1d"}.get(kernel, "grbm_2x2"))
    return ContinuousBug(id, number, words, case, kernel, (test,), mutate=mutate, **more)
