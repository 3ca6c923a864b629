"""The zoo of cases given by their table: Potts models, replica exchange, probabilities on a declared grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from ebm_ref.oracle.potts import Potts
from ebm_ref.oracle.replicas import Replicas
from ebm_ref.oracle.rounded import Rounded, rounded_matrix
from ebm_ref.oracle.tables import TableCase
from ebm_ref.oracle.zoo import potts, replicas
from ebm_ref.oracle.zoo.bug import Bug, Step
from ebm_ref.oracle.zoo.recipe import Array

FEWEST_BITS, MOST_BITS = 3, 20  # of grids that are looked for


def right_step(case: TableCase) -> Step:
    """A correct ``step(states, seed)``; of a bare table, draws from its rows."""
    if isinstance(case.model, Potts):
        return potts.make_step(potts.reference(case))
    if isinstance(case.model, Replicas):
        return replicas.make_step(replicas.reference(case), case)
    return drawn_from(case, case.P)


def right_matrix(case: TableCase) -> Array:
    """The matrix of ``right_step``, by another route than ``case.P`` where there is one."""
    if isinstance(case.model, Potts):
        return potts.matrix(potts.reference(case), case)
    if isinstance(case.model, Replicas):
        return replicas.matrix(replicas.reference(case), case)
    return case.P


def drawn_from(case: TableCase, P: Array) -> Step:
    """A step that draws from the rows of P."""
    edges = np.cumsum(P, axis=1)[:, :-1]

    def step(states: Array, seed: int) -> Array:
        u = np.random.default_rng(seed).random(len(states))
        return case.states[(u[:, None] >= edges[case.index(states)]).sum(axis=1)]

    return step


def mistakes(case: TableCase) -> list[tuple[str, str, Array]]:
    """(id, words, matrix) of what is known to go wrong with such a case, other than the zoo of the exact kernel."""
    if isinstance(case.model, Potts):
        return [(id, potts.WORDS[id], potts.matrix(r, case)) for id, r in potts.mistakes(case).items()]
    if isinstance(case.model, Replicas):
        return [(id, replicas.WORDS[id], replicas.matrix(r, case)) for id, r in replicas.mistakes(case).items()]
    return grid_mistakes(case.model) if isinstance(case.model, Rounded) else []


def grid_mistakes(model: Rounded) -> list[tuple[str, str, Array]]:
    """Other grids than the declared one, and none."""
    found = [("exact_probabilities", "probabilities not rounded at all", model.exact.P)]
    for bits in (model.bits - 1, model.bits + 1):
        if FEWEST_BITS <= bits <= MOST_BITS:
            words = f"{bits} bits where {model.bits} are declared"
            found.append((f"grid_{bits}", words, rounded_matrix(model.exact, bits)))
    return found


def wrong_step(id: str, case: TableCase) -> Step:
    """The step of a mistake."""
    if isinstance(case.model, Potts):
        return potts.make_step(potts.mistakes(case)[id])
    return replicas.make_step(replicas.mistakes(case)[id], case)


def bug(id: str, case: str, kernel: str, by: str, number: int = 0) -> Bug:
    """A mistake as a record of the zoo."""

    def wrap(step: Step, case: Any) -> Step:
        return wrong_step(id, case)

    def law(case: Any) -> Array | None:
        return {name: P for name, _, P in mistakes(case)}.get(id) if isinstance(case, TableCase) else None

    return Bug(id, number, WORDS[id], case, kernel, tuple(by.split()), "smoke", None, wrap, law)


WORDS = potts.WORDS | replicas.WORDS
METROPOLIS = ("potts_proposes_own", "potts_next_colour", "potts_accept_all", "potts_change_sign")
IMPOSSIBLE = (
    "potts_proposes_own",
    "potts_change_sign",
    "swap_sign",
    "swap_beta_times_energy",
    "swap_temperatures",
    "swap_one_sided",
    "swap_beta_of_next",
    "swap_heat_bath",
)  # some of what they do has probability 0 in the right kernel
STUCK = {"swap_never": "contract S1", "swap_greedy": "contract S1", "potts_greedy": "D8 S1"}


def killers(id: str) -> str:
    """The named test of a bug."""
    return STUCK.get(id, "D9 S1" if id in IMPOSSIBLE else "S1")


def replica_kernel(id: str) -> str:
    """Where a mistake about replicas shows."""
    return "tempering" if id.startswith("replicas") or id == "swap_pairs_reversed" else "swap"


TABLED: tuple[Bug, ...] = (
    *(bug(id, "potts_3x3", "metropolis" if id in METROPOLIS else "gibbs", killers(id)) for id in potts.WORDS),
    *(
        bug(id, "tempering_1x1", replica_kernel(id), killers(id), number=49 if id == "swap_sign" else 0)
        for id in replicas.WORDS
    ),
)
