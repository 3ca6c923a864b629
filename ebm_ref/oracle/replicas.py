"""Replica exchange (parallel tempering): K copies of one model at inverse temperatures beta_1 .. beta_K.

(1) pi(s_1, .., s_K) = prod_k exp(-beta_k E(s_k)) / Z_k                              on the product space
(2) a swap of replicas i, j is accepted with min(1, exp((beta_i - beta_j) (E(s_i) - E(s_j))))
(3) swap            one uniformly chosen pair of neighbours k, k+1
    swap_even_odd   pairs (1,2), (3,4), .., then (2,3), (4,5), ..
    tempering       one step of the model's own kernel in each replica at its beta, then swap_even_odd

Rows are [s_1, .., s_K]; the index is that of all units in this order.  Source: Swendsen and Wang 1986; Geyer 1991.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ebm_ref.errors import DomainError, ModelTooLargeError, require_choice
from ebm_ref.oracle import naive
from ebm_ref.oracle.arrays import checked, frozen
from ebm_ref.oracle.tables import TableCase

if TYPE_CHECKING:
    from ebm_ref.oracle.cases import Case

KERNELS = ("tempering", "swap", "swap_even_odd")
LARGEST = 4096  # states of the product space


@dataclass(frozen=True, eq=False)
class Replicas:
    """The model at beta = 1 and the K inverse temperatures."""

    base: Case
    betas: tuple[float, ...]


def swap_probability(beta: float, other_beta: float, energy: float, other_energy: float) -> float:
    """(2).

    >>> swap_probability(1.0, 0.5, 2.0, 0.0), round(swap_probability(1.0, 0.5, 0.0, 2.0), 6)
    (1.0, 0.367879)
    """
    return math.exp(min(0.0, (beta - other_beta) * (energy - other_energy)))


def swapped(
    row: dict[tuple[int, ...], float], k: int, betas: Sequence[float], energies: Sequence[float]
) -> dict[tuple[int, ...], float]:
    """A law over tuples of base states after a proposed swap of replicas k and k + 1."""
    after: dict[tuple[int, ...], float] = {}
    for word, mass in row.items():
        p = swap_probability(betas[k], betas[k + 1], energies[word[k]], energies[word[k + 1]])
        other = (*word[:k], word[k + 1], word[k], *word[k + 2 :])
        after[word] = after.get(word, 0.0) + mass * (1.0 - p)
        after[other] = after.get(other, 0.0) + mass * p
    return after


def swap_matrix(betas: Sequence[float], energies: Sequence[float], kernel: str) -> np.ndarray:
    """The swaps of (3) as a matrix over the S^K product states."""
    S, K = len(energies), len(betas)
    words = [word[::-1] for word in itertools.product(range(S), repeat=K)]
    place = {word: k for k, word in enumerate(words)}
    P = np.zeros((len(words), len(words)))
    for start, word in enumerate(words):
        law: dict[tuple[int, ...], float] = {}
        if kernel == "swap":
            for k in range(K - 1):
                for end, mass in swapped({word: 1.0}, k, betas, energies).items():
                    law[end] = law.get(end, 0.0) + mass / (K - 1)
        else:
            law = {word: 1.0}
            for k in (*range(0, K - 1, 2), *range(1, K - 1, 2)):
                law = swapped(law, k, betas, energies)
        for end, mass in law.items():
            P[start, place[end]] += mass
    return P


def tempered_matrix(base: Case, beta: float) -> np.ndarray:
    """The base kernel (S, S) at an inverse temperature."""
    energies = [beta * e for e in base.energies.tolist()]
    return np.array(naive.transition_matrix(energies, base.kernel, base.n_visible, base.n_hidden))


def tempering(base: Case, betas: Any, kernel: str = "tempering", name: str | None = None) -> TableCase:
    """K replicas of a model without clamped units, rows [s_1, .., s_K], replica k at inverse temperature betas[k].

    base at beta = 1; its kernel is that of the moves.  Raises DomainError, ModelTooLargeError.

    >>> from ebm_ref.oracle import cases
    >>> case = tempering(cases.rbm([[1.3]], [-0.4], [0.7]), (1.0, 0.5))
    >>> case.states.shape, bool(abs(case.pi @ case.P - case.pi).max() < 1e-14)
    ((16, 4), True)
    """
    require_choice("kernel", kernel, KERNELS)
    betas = tuple(float(b) for b in checked("betas", betas, None))
    if len(betas) < 2 or min(betas) < 0:
        raise DomainError(f"betas: expected at least two inverse temperatures >= 0, got {list(betas)}")
    if base.clamp:
        raise DomainError(f"base: expected a model without clamped units, got {base.name}")
    S = len(base.pi)
    if S ** len(betas) > LARGEST:
        raise ModelTooLargeError(f"tempering: {S}**{len(betas)} product states; use at most {LARGEST}")
    E = base.energies.tolist()
    words = [word[::-1] for word in itertools.product(range(S), repeat=len(betas))]
    energies = [math.fsum(b * E[k] for b, k in zip(betas, word, strict=True)) for word in words]
    P = swap_matrix(betas, E, kernel)
    if kernel == "tempering":
        moves = np.ones((1, 1))
        for beta in betas:  # the first replica's units count least in the index
            moves = np.kron(tempered_matrix(base, beta), moves)
        P = moves @ P
    states = [np.concatenate([base.states[k] for k in word]) for word in words]
    model = Replicas(base, betas)
    return TableCase(name or f"tempering_{base.name}", kernel, frozen(states), frozen(energies), frozen(P), model)
