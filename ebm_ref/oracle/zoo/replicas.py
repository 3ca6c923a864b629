"""A readable replica exchange cut where implementers err, and its mistakes, each with its exact matrix.

swap of replicas i, j accepted with a(r),  r = (beta_i - beta_j) (E(s_i) - E(s_j))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from ebm_ref.oracle import discrete
from ebm_ref.oracle.replicas import Replicas
from ebm_ref.oracle.tables import TableCase
from ebm_ref.oracle.zoo import recipe as base_recipe
from ebm_ref.oracle.zoo.recipe import Array

Ratio = Callable[[Array, Array, Array, Array], Array]


def log_ratio(beta: Array, other: Array, energy: Array, other_energy: Array) -> Array:
    """r."""
    return (beta - other) * (energy - other_energy)


@dataclass(frozen=True, eq=False)
class SwapRecipe:
    """The right step as data: pairs (i, j) in their order; ``random`` takes one of them; ``moves`` the betas of the
    replicas' own steps, () for none; ``moved_last`` puts them after the swaps; ``energy`` (S,) of base states."""

    betas: Array
    energy: Array
    pairs: tuple[tuple[int, int], ...]
    random: bool
    moves: tuple[float, ...]
    ratio: Ratio = log_ratio
    accept: Callable[[Array], Array] = lambda r: np.exp(np.minimum(0.0, r))
    moved_last: bool = False


def model_of(case: TableCase) -> Replicas:
    """The replicas of a case."""
    assert isinstance(case.model, Replicas)
    return case.model


def reference(case: TableCase) -> SwapRecipe:
    """The right step of a tempering case."""
    model = model_of(case)
    K = len(model.betas)
    neighbours = tuple((k, k + 1) for k in range(K - 1))
    pairs = neighbours if case.kernel == "swap" else neighbours[0::2] + neighbours[1::2]
    moves = model.betas if case.kernel == "tempering" else ()
    return SwapRecipe(np.array(model.betas), model.base.energies, pairs, case.kernel == "swap", moves)


def acceptance(recipe: SwapRecipe, i: int, j: int, s_i: Array, s_j: Array) -> Array:
    """The chance of a swap, base states as indices."""
    ones = np.ones(len(s_i))
    return recipe.accept(
        recipe.ratio(recipe.betas[i] * ones, recipe.betas[j] * ones, recipe.energy[s_i], recipe.energy[s_j])
    )


def replica_case(case: TableCase, beta: float) -> discrete.Case:
    """The base model at another temperature."""
    base = model_of(case).base
    return replace(base, J=beta * base.J, c=beta * base.c, W=None, a=None, b=None)


def split(case: TableCase, states: Array) -> Array:
    """Base states (n, K) as indices."""
    base, K = model_of(case).base, len(model_of(case).betas)
    return base.index(np.reshape(states, (-1, base.n_units))).reshape(len(states), K)


def make_step(recipe: SwapRecipe, case: TableCase) -> Callable[[Array, int], Array]:
    """``step(states, seed) -> states`` of a recipe."""
    base = model_of(case).base
    steps = [base_recipe.make_step(base_recipe.reference(replica_case(case, beta))) for beta in recipe.moves]

    def moved(index: Array, rng: np.random.Generator) -> Array:
        parts = [step(base.states[index[:, k]], int(rng.integers(2**31))) for k, step in enumerate(steps)]
        return np.column_stack([base.index(part) for part in parts]) if parts else index

    def step(states: Array, seed: int) -> Array:
        rng, index = np.random.default_rng(seed), split(case, states)
        index = index if recipe.moved_last else moved(index, rng)
        chosen = rng.integers(len(recipe.pairs), size=len(index)) if recipe.random else None
        for k, (i, j) in enumerate(recipe.pairs):
            now = rng.random(len(index)) < acceptance(recipe, i, j, index[:, i], index[:, j])
            now &= True if chosen is None else chosen == k
            index[now, i], index[now, j] = index[now, j], index[now, i]
        index = moved(index, rng) if recipe.moved_last else index
        return base.states[index].reshape(len(index), -1)

    return step


def matrix(recipe: SwapRecipe, case: TableCase) -> Array:
    """The exact matrix (S, S) of a recipe."""
    base, index = model_of(case).base, split(case, case.states)
    n = len(index)
    swaps = []
    for i, j in recipe.pairs:
        other = index.copy()
        other[:, i], other[:, j] = index[:, j], index[:, i]
        target = case.index(base.states[other].reshape(n, -1))
        p = acceptance(recipe, i, j, index[:, i], index[:, j])
        K = np.diag(1.0 - p)
        K[np.arange(n), target] += p
        swaps.append(K)
    moves = np.ones((1, 1))
    for beta in recipe.moves:
        one = replica_case(case, beta)
        site = base_recipe.matrix(base_recipe.reference(one), one)
        assert site is not None
        moves = np.kron(site, moves)
    moves = moves if recipe.moves else np.eye(n)
    P = (
        sum(swaps, np.zeros((n, n))) / len(swaps)
        if recipe.random
        else np.linalg.multi_dot([np.eye(n), np.eye(n), *swaps])
    )
    return P @ moves if recipe.moved_last else moves @ P


WORDS = {
    "swap_sign": "sign of (beta_i - beta_j)(E_i - E_j) in the swap",
    "swap_always": "every swap accepted",
    "swap_never": "no swap accepted",
    "swap_energy_only": "betas left out of the swap: exp(E_i - E_j)",
    "swap_beta_times_energy": "exp(beta_i E_i - beta_j E_j) in the swap",
    "swap_temperatures": "temperatures 1/beta for beta in the swap",
    "swap_halved": "exponent of the swap halved",
    "swap_doubled": "exponent of the swap doubled",
    "swap_one_sided": "energy of one replica only in the swap",
    "swap_beta_of_next": "betas shifted by one replica in the swap",
    "swap_heat_bath": "swaps accepted with 1/(1 + exp(-r)) where min(1, exp(r)) is declared",
    "swap_greedy": "swaps accepted only if r >= 0",
    "swap_first_pair_only": "only the first pair is ever proposed",
    "swap_pairs_reversed": "pairs in the reversed order",
    "replicas_untempered": "every replica moves at the greatest beta",
    "replicas_reversed": "replicas move at the betas in reversed order",
    "replicas_moved_last": "swaps before the moves",
    "replicas_shifted": "replica k moves at beta_(k+1)",
}


def mistakes(case: TableCase) -> dict[str, SwapRecipe]:
    """id -> wrong recipe; words in WORDS."""
    right = reference(case)
    ratios: dict[str, Ratio] = {
        "swap_sign": lambda a, b, e, f: -(a - b) * (e - f),
        "swap_always": lambda a, b, e, f: 0 * e,
        "swap_never": lambda a, b, e, f: np.full_like(e, -np.inf),
        "swap_energy_only": lambda a, b, e, f: e - f,
        "swap_beta_times_energy": lambda a, b, e, f: a * e - b * f,
        "swap_temperatures": lambda a, b, e, f: (1 / a - 1 / b) * (e - f),
        "swap_halved": lambda a, b, e, f: (a - b) * (e - f) / 2,
        "swap_doubled": lambda a, b, e, f: 2 * (a - b) * (e - f),
        "swap_one_sided": lambda a, b, e, f: (a - b) * e,
    }
    if not right.betas.all():
        del ratios["swap_temperatures"]
    found = {id: replace(right, ratio=f) for id, f in ratios.items()} | {
        "swap_beta_of_next": replace(right, betas=np.roll(right.betas, -1)),
        "swap_heat_bath": replace(right, accept=special.expit),
        "swap_greedy": replace(right, accept=lambda r: (r >= 0).astype(float)),
        "swap_first_pair_only": replace(right, pairs=right.pairs[:1]),
        "swap_pairs_reversed": replace(right, pairs=right.pairs[::-1]),
    }
    if right.moves:
        found |= {
            "replicas_untempered": replace(right, moves=(max(right.moves),) * len(right.moves)),
            "replicas_reversed": replace(right, moves=right.moves[::-1]),
            "replicas_moved_last": replace(right, moved_last=True),
            "replicas_shifted": replace(right, moves=(*right.moves[1:], right.moves[0])),
        }
    return found
