"""The zoo: wrong kernels as small mutations of one right step, to test the tests and to name what is wrong.

``BUGS`` is the tuple of all of them; ``alternatives(case)`` are those with an exact transition matrix on a case, which
the likelihood-ratio e-process S7 weighs against the claim; ``audit`` runs bugs against tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebm_ref.errors import DomainError
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.continuous.bug import ContinuousBug
from ebm_ref.oracle.continuous.zoo_kernels import KERNEL_BUGS
from ebm_ref.oracle.continuous.zoo_ula import ULA_BUGS
from ebm_ref.oracle.zoo.audit import Audit, audit, audit_bug, kill_table
from ebm_ref.oracle.zoo.believed import BELIEVED
from ebm_ref.oracle.zoo.bug import Bug, Step
from ebm_ref.oracle.zoo.carried import CARRIED
from ebm_ref.oracle.zoo.recipe import make_step, matrix, reference
from ebm_ref.oracle.zoo.updated import UPDATED

__all__ = [
    "BUGS",
    "CONTINUOUS_BUGS",
    "Alternative",
    "Audit",
    "Bug",
    "alternatives",
    "audit",
    "audit_bug",
    "bug",
    "kill_table",
    "reference_matrix",
    "reference_step",
]

BUGS: tuple[Bug, ...] = BELIEVED + UPDATED + CARRIED
CONTINUOUS_BUGS: tuple[ContinuousBug, ...] = ULA_BUGS + KERNEL_BUGS


@dataclass(frozen=True, eq=False)
class Alternative:
    """A wrong transition matrix (S, S) and the mistakes that have it on this case."""

    id: str
    description: str
    P: np.ndarray


def reference_step(case: Case) -> Step:
    """The right ``step(states, seed)`` of a case, in plain NumPy.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("ising_5_chord")
    >>> reference_step(case)(case.states[:2], 1).shape
    (2, 5)
    """
    return make_step(reference(case))


def reference_matrix(case: Case) -> np.ndarray:
    """The recipe's own transition matrix (S, S), built by another route than ``case.P``."""
    P = matrix(reference(case), case)
    assert P is not None
    return P


def bug(id: str) -> Bug:
    """The bug of that id.

    >>> bug("w_transposed").description
    'W transposed'
    """
    for one in BUGS:
        if one.id == id:
            return one
    raise DomainError(f"id: no bug is called {id!r}; see ebm_ref.oracle.zoo.BUGS")


def alternatives(case: Case) -> tuple[Alternative, ...]:
    """Every known mistake that changes the transition matrix of this case, equal matrices together.

    >>> from ebm_ref.oracle import cases
    >>> found = alternatives(cases.named("rbm_1x1"))
    >>> "hidden_bias_omitted" in [a.id for a in found]
    True
    """
    merged: list[tuple[list[Bug], np.ndarray]] = []
    for one in BUGS:
        P = one.matrix(case)
        if P is None or not np.isfinite(P).all() or np.abs(P - case.P).max() < 1e-9:
            continue
        for bugs, Q in merged:
            if np.abs(P - Q).max() < 1e-9:
                bugs.append(one)
                break
        else:
            merged.append(([one], P))
    return tuple(
        Alternative(", ".join(b.id for b in bugs), " or: ".join(b.description for b in bugs), P) for bugs, P in merged
    )
