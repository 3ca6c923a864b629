"""Potts models: q colours a site.  The equations in plain loops, and cases of them.

(1) E(s) = -sum_{i<j} J_ij [s_i = s_j] - sum_i h_i(s_i),   s_i in {0, .., q-1}
    J (n, n) symmetric with zero diagonal, h (n, q)
(2) heat bath    p(s_i = k | rest) = exp(-E(s with s_i = k)) / sum_l exp(-E(s with s_i = l))
(3) Metropolis   propose one of the q - 1 other colours uniformly; accept with min(1, exp(E(s) - E(proposal)))

A state's index is sum_i s_i q^i.  Energies contain beta.  Source: Potts 1952; Wu 1982.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, ModelTooLargeError, require_choice, require_positive
from ebm_ref.oracle.arrays import checked, frozen
from ebm_ref.oracle.tables import TableCase

KERNELS = ("gibbs", "gibbs_random", "metropolis")
LARGEST = 4096  # states
Row = Sequence[float]
Law = Callable[[Row, int, int, int, int], list[float]]


@dataclass(frozen=True, eq=False)
class Potts:
    """Parameters with beta inside: J (n, n), h (n, q)."""

    J: np.ndarray
    h: np.ndarray
    beta: float


def potts_energy(J: Sequence[Row], h: Sequence[Row], s: Sequence[int]) -> float:
    """(1), for one state.

    >>> potts_energy([[0.0, 2.0], [2.0, 0.0]], [[0.5, 0.0], [0.0, 0.25]], [1, 1])
    -2.25
    """
    n = len(s)
    pairs = math.fsum(J[i][j] for i in range(n) for j in range(i + 1, n) if s[i] == s[j])
    return -pairs - math.fsum(h[i][s[i]] for i in range(n))


def heat_bath(energies: Row, index: int, place: int, now: int, q: int) -> list[float]:
    """(2): probabilities of the q colours of the site of place value ``place`` = q^i and colour ``now``."""
    of_colour = [energies[index + (k - now) * place] for k in range(q)]
    lowest = min(of_colour)
    weights = [math.exp(lowest - e) for e in of_colour]
    return [w / math.fsum(weights) for w in weights]


def metropolis(energies: Row, index: int, place: int, now: int, q: int) -> list[float]:
    """(3): probabilities of the q colours after one proposal."""
    law = [0.0] * q
    for k in range(q):
        if k != now:
            law[k] = math.exp(-max(0.0, energies[index + (k - now) * place] - energies[index])) / (q - 1)
    law[now] = 1.0 - math.fsum(law)
    return law


def site_update(row: dict[int, float], energies: Row, site: int, q: int, law: Law) -> dict[int, float]:
    """One site's update applied to a law over states."""
    after: dict[int, float] = {}
    place = q**site
    for index, mass in row.items():
        now = index // place % q
        for k, p in enumerate(law(energies, index, place, now, q)):
            target = index + (k - now) * place
            after[target] = after.get(target, 0.0) + mass * p
    return after


def transition_matrix(energies: Row, n: int, q: int, kernel: str) -> list[list[float]]:
    """gibbs: sites 0 .. n-1 in order; gibbs_random, metropolis: one uniformly chosen site a step.  (q^n, q^n).

    >>> transition_matrix([0.0, 0.0, 0.0], 1, 3, "metropolis")
    [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
    """
    rows = []
    for start in range(q**n):
        row: dict[int, float] = {}
        if kernel == "gibbs":
            row = {start: 1.0}
            for site in range(n):
                row = site_update(row, energies, site, q, heat_bath)
        else:
            law = heat_bath if kernel == "gibbs_random" else metropolis
            for site in range(n):
                for end, mass in site_update({start: 1.0}, energies, site, q, law).items():
                    row[end] = row.get(end, 0.0) + mass / n
        rows.append([row.get(end, 0.0) for end in range(q**n)])
    return rows


def potts(J: Any, h: Any, beta: float = 1.0, kernel: str = "gibbs", name: str | None = None) -> TableCase:
    """A Potts model, E(s) = -sum_{i<j} J_ij [s_i = s_j] - sum_i h_i(s_i), rows s in {0, .., q-1}.

    J (n, n) symmetric with zero diagonal, h (n, q), both before tempering.  Raises ShapeError, DomainError,
    ModelTooLargeError.

    >>> case = potts([[0.0, 1.0], [1.0, 0.0]], [[0.2, 0.0, -0.1], [0.0, 0.3, 0.0]])
    >>> case.states.shape, bool(abs(case.pi @ case.P - case.pi).max() < 1e-14)
    ((9, 2), True)
    """
    require_choice("kernel", kernel, KERNELS)
    beta = require_positive("beta", beta)
    h = checked("h", h, None, None)
    n, q = h.shape
    J = checked("J", J, n, n)
    if not np.array_equal(J, J.T) or np.any(np.diag(J)):
        raise DomainError("J: expected a symmetric matrix with a zero diagonal; each pair stands in both triangles")
    if q < 2 or q**n > LARGEST:
        raise ModelTooLargeError(f"potts: {q} colours on {n} sites are {q}**{n} states; use from 2 to {LARGEST} states")
    model = Potts(frozen(beta * J), frozen(beta * h), beta)
    states = [word[::-1] for word in itertools.product(range(q), repeat=n)]
    energies = [potts_energy(model.J.tolist(), model.h.tolist(), s) for s in states]
    P = frozen(transition_matrix(energies, n, q, kernel))
    return TableCase(name or f"potts_{n}x{q}", kernel, frozen(states), frozen(energies), P, model, beta)
