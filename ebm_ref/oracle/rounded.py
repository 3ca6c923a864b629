"""Kernels whose probabilities lie on a declared grid (tables, DACs, comparators), judged by what they claim (H6).

p -> round(2^bits p) / 2^bits   for every probability of a unit being up (Gibbs) or of an acceptance (Metropolis)

The law of such a kernel is its own stationary one, not pi; how far it lies from pi is the device's declared error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ebm_ref.errors import DomainError, require_int
from ebm_ref.oracle import naive
from ebm_ref.oracle.arrays import frozen
from ebm_ref.oracle.tables import TableCase, stationary_law

if TYPE_CHECKING:
    from ebm_ref.oracle.cases import Case


@dataclass(frozen=True, eq=False)
class Rounded:
    """The exact case, and the number of bits."""

    exact: Case
    bits: int


def on_grid(p: float, bits: int) -> float:
    """The nearest multiple of 2^-bits, halves up.

    >>> on_grid(0.3, 2), on_grid(0.99, 2)
    (0.25, 1.0)
    """
    return math.floor(p * 2**bits + 0.5) / 2**bits


def rounded_flips(bits: int) -> tuple[naive.Flip, naive.Flip]:
    """Gibbs and Metropolis flips with rounded probabilities."""

    def gibbs(energies: Sequence[float], index: int, site: int) -> float:
        up = on_grid(naive.probability_up(energies, index, site), bits)
        return 1.0 - up if index & 2**site else up

    def metropolis(energies: Sequence[float], index: int, site: int) -> float:
        return on_grid(naive.metropolis_flip(energies, index, site), bits)

    return gibbs, metropolis


def rounded_matrix(case: Case, bits: int) -> np.ndarray:
    """The transition matrix (S, S) with rounded probabilities."""
    held, support = [unit for unit, _ in case.clamp], case.support
    full = naive.transition_matrix(
        case.every_energy, case.kernel, case.n_visible, case.n_hidden, held, rounded_flips(bits)
    )
    return np.array([[full[i][j] for j in support] for i in support])


def quantised(case: Case, bits: int, name: str | None = None) -> TableCase:
    """The same kernel with every probability rounded to ``bits`` bits.

    ``check_kernel(step, quantised(case, 8))`` judges a device that declares an 8-bit grid by that grid; ``case`` itself
    would call it wrong as soon as the samples suffice.  Raises DomainError if rounding makes a state unreachable.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_3x3")
    >>> rough = quantised(case, 5)
    >>> float(0.5 * abs(rough.pi - case.pi).sum().round(4))
    0.02295
    """
    P = rounded_matrix(case, require_int("bits", bits, 1, 52))
    try:
        law = stationary_law(P)
    except DomainError as error:
        raise DomainError(f"bits: {bits} are too few for {case.name}; {error}") from None
    words = name or f"{case.name} with {bits} bits"
    return TableCase(words, case.kernel, case.states, frozen(-np.log(law)), frozen(P), Rounded(case, bits), case.beta)
