"""The zoo: wrong kernels as small mutations of one right step, to test the tests and to name what is wrong.

``BUGS`` is the tuple of all of them; ``alternatives(case)`` are those with an exact transition matrix on a case, which
the likelihood-ratio e-process S7 weighs against the claim; ``audit`` runs bugs against tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from ebm_ref.errors import DomainError
from ebm_ref.oracle.cases import Case, TableCase
from ebm_ref.oracle.continuous.bug import ContinuousBug
from ebm_ref.oracle.continuous.zoo_kernels import KERNEL_BUGS
from ebm_ref.oracle.continuous.zoo_ula import ULA_BUGS
from ebm_ref.oracle.rounded import Rounded
from ebm_ref.oracle.zoo.audit import Audit, audit, audit_bug, kill_table
from ebm_ref.oracle.zoo.believed import BELIEVED
from ebm_ref.oracle.zoo.bug import Bug, Step
from ebm_ref.oracle.zoo.carried import CARRIED
from ebm_ref.oracle.zoo.recipe import make_step, matrix, reference
from ebm_ref.oracle.zoo.tabled import TABLED, mistakes, right_matrix, right_step
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

BUGS: tuple[Bug, ...] = BELIEVED + UPDATED + CARRIED + TABLED
CONTINUOUS_BUGS: tuple[ContinuousBug, ...] = ULA_BUGS + KERNEL_BUGS


@dataclass(frozen=True, eq=False)
class Alternative:
    """A wrong transition matrix (S, S) and the mistakes that have it on this case."""

    id: str
    description: str
    P: np.ndarray


_FOUND: WeakKeyDictionary[Case | TableCase, tuple[Alternative, ...]] = WeakKeyDictionary()  # as long as a case lives


def reference_step(case: Case | TableCase) -> Step:
    """The right ``step(states, seed)`` of a case, in plain NumPy.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("ising_5_chord")
    >>> reference_step(case)(case.states[:2], 1).shape
    (2, 5)
    """
    return right_step(case) if isinstance(case, TableCase) else make_step(reference(case))


def reference_matrix(case: Case | TableCase) -> np.ndarray:
    """The recipe's own transition matrix (S, S), built by another route than ``case.P``."""
    if isinstance(case, TableCase):
        return right_matrix(case)
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


def alternatives(case: Case | TableCase) -> tuple[Alternative, ...]:
    """Every known mistake that changes the transition matrix of this case, equal matrices together.

    >>> from ebm_ref.oracle import cases
    >>> found = alternatives(cases.named("rbm_1x1"))
    >>> "hidden_bias_omitted" in [a.id for a in found]
    True
    """
    if case not in _FOUND:
        _FOUND[case] = merged_alternatives(case)
    return _FOUND[case]


def merged_alternatives(case: Case | TableCase) -> tuple[Alternative, ...]:
    """``alternatives``, computed."""
    merged: list[tuple[list[str], list[str], np.ndarray]] = []
    for id, words, P in known_matrices(case):
        if not np.isfinite(P).all() or np.abs(P - case.P).max() < 1e-9:
            continue
        for ids, every, Q in merged:
            if np.abs(P - Q).max() < 1e-9:
                ids.append(id)
                every.append(words)
                break
        else:
            merged.append(([id], [words], P))
    return tuple(Alternative(", ".join(ids), " or: ".join(every), P) for ids, every, P in merged)


def known_matrices(case: Case | TableCase) -> list[tuple[str, str, np.ndarray]]:
    """(id, words, matrix) of every mistake that has a matrix on this case."""
    if isinstance(case, TableCase):
        found = mistakes(case)
        if isinstance(case.model, Rounded):
            found += known_matrices(case.model.exact)
        return found
    every = [(one, one.matrix(case)) for one in BUGS]
    return [(one.id, one.description, P) for one, P in every if P is not None]
