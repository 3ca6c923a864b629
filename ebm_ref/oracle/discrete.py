"""Cases of binary units: a model, a kernel, and everything about them that can be enumerated.

RBM          E(x,h) = -a.x - b.h - x'Wh   (units {0,1}, rows [x, h])
Boltzmann    E(s) = -1/2 s'Js - c.s       (units {0,1})
Ising        E(s) = -1/2 s'Js - h.s       (units {-1,+1}; the record calls h "c")
Parameters of a Case contain the inverse temperature; ``beta`` remembers it, so that a diagnosis can
say "beta twice".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ebm_ref.errors import (
    DomainError,
    ModelTooLargeError,
    require_choice,
    require_positive,
    require_shape,
)
from ebm_ref.oracle import naive
from ebm_ref.oracle.arrays import checked, frozen

LARGEST = 12  # units of a case: 4096 states, a transition matrix of 128 MiB
VALUES = {"01": (0, 1), "spin": (-1, 1)}


@dataclass(frozen=True, eq=False)
class Moments:
    """Exact expectations: ``mean`` E[s] (d,), ``second`` E[s s'] (d, d), ``energy`` E[E(s)], ``log_z``."""

    mean: np.ndarray
    second: np.ndarray
    energy: float
    log_z: float


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """One fixture.  Make it with ``rbm``, ``boltzmann``, ``ising`` or ``named``.

    units      "01" or "spin"
    kernel     one of ``naive.KERNELS``: the transition that a candidate claims to be
    J, c       pairwise form of any of the models, (d, d) symmetric with zero diagonal, (d,); beta inside
    n_visible  the first units of a row; n_hidden the others (0 unless it is an RBM)
    W, a, b    the RBM's parameters (nv, nh), (nv,), (nh,), beta inside; None for other models
    clamp      pairs (unit, value) that never change; states and law are those of the others given these
    """

    name: str
    units: str
    kernel: str
    J: np.ndarray
    c: np.ndarray
    n_visible: int
    n_hidden: int = 0
    W: np.ndarray | None = None
    a: np.ndarray | None = None
    b: np.ndarray | None = None
    beta: float = 1.0
    clamp: tuple[tuple[int, int], ...] = ()

    def __repr__(self) -> str:
        """Name, kernel and size; the arrays are long."""
        return f"Case({self.name}, {self.kernel}, {self.n_visible} visible and {self.n_hidden} hidden units)"

    @property
    def n_units(self) -> int:
        """d, visible and hidden."""
        return self.n_visible + self.n_hidden

    @property
    def values(self) -> tuple[int, int]:
        """The two values of a unit, down and up."""
        return VALUES[self.units]

    @cached_property
    def free(self) -> tuple[int, ...]:
        """The units that are not clamped."""
        held = {unit for unit, _ in self.clamp}
        return tuple(i for i in range(self.n_units) if i not in held)

    @cached_property
    def support(self) -> list[int]:
        """The index among all 2^d states of each state that the clamp allows."""
        every = naive.states(self.n_units, self.values)
        return [k for k, s in enumerate(every) if all(s[unit] == value for unit, value in self.clamp)]

    @cached_property
    def every_energy(self) -> list[float]:
        """E of all 2^d states, whatever is clamped."""
        every = naive.states(self.n_units, self.values)
        if self.W is not None and self.a is not None and self.b is not None:
            W, a, b, nv = self.W.tolist(), self.a.tolist(), self.b.tolist(), self.n_visible
            return [naive.rbm_energy(W, a, b, s[:nv], s[nv:]) for s in every]
        J, c = self.J.tolist(), self.c.tolist()
        energy = naive.boltzmann_energy if self.units == "01" else naive.ising_energy
        return [energy(J, c, s) for s in every]

    @cached_property
    def states(self) -> np.ndarray:
        """All states that the clamp allows, float64 (S, d), in the order of their index."""
        every = naive.states(self.n_units, self.values)
        return frozen([every[k] for k in self.support])

    @cached_property
    def energies(self) -> np.ndarray:
        """E of each state (S,), in nats."""
        return frozen([self.every_energy[k] for k in self.support])

    @cached_property
    def pi(self) -> np.ndarray:
        """The law exp(-E)/Z of each state (S,), given the clamped units."""
        return frozen(naive.law(self.energies.tolist()))

    @cached_property
    def P(self) -> np.ndarray:
        """The transition matrix (S, S) of one step; row s is the law of the next state."""
        held = [unit for unit, _ in self.clamp]
        full = naive.transition_matrix(self.every_energy, self.kernel, self.n_visible, self.n_hidden, held)
        return frozen([[full[i][j] for j in self.support] for i in self.support])

    @cached_property
    def moments(self) -> Moments:
        """Exact first and second moments, mean energy and log Z (of the free units, given the clamped ones)."""
        mean, second = self.pi @ self.states, self.states.T @ (self.pi[:, None] * self.states)
        log_z = naive.log_z(self.energies.tolist())
        return Moments(frozen(mean), frozen(second), float(self.pi @ self.energies), log_z)

    @cached_property
    def reversible(self) -> bool:
        """True if pi(s) P(s, t) is symmetric."""
        flow = self.pi[:, None] * self.P
        return bool(np.all(np.abs(flow - flow.T) <= 1e-8 * (flow + flow.T)))

    @cached_property
    def _position(self) -> np.ndarray:
        position = np.full(2**self.n_units, -1)
        position[self.support] = np.arange(len(self.support))
        return position

    def index(self, rows: Any) -> np.ndarray:
        """The index into ``states`` of each row (n, d); -1 for a row that the case does not allow.

        >>> ising([[0.0, 1.0], [1.0, 0.0]], [0.1, 0.2]).index([[1, -1], [0, 1]]).tolist()
        [1, -1]
        """
        rows = np.asarray(rows)
        down, up = self.values
        is_up = rows == up
        legal = (is_up | (rows == down)).all(axis=1)
        code = is_up @ (1 << np.arange(self.n_units))
        return np.where(legal, self._position[code], -1)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Indices of n independent exact states."""
        edges = np.cumsum(self.pi)
        return np.searchsorted(edges[:-1], rng.random(n), side="right")


def checked_clamp(
    clamp: Mapping[int, int] | None, n_units: int, values: tuple[int, int]
) -> tuple[tuple[int, int], ...]:
    """The pairs (unit, value) of a clamp, sorted; at least one unit must stay free."""
    pairs = tuple(sorted((int(unit), int(value)) for unit, value in dict(clamp or {}).items()))
    for unit, value in pairs:
        if not 0 <= unit < n_units:
            raise DomainError(f"clamp: expected units from 0 to {n_units - 1}, got {unit}")
        if value not in values:
            raise DomainError(f"clamp: expected values {values[0]} or {values[1]}, got {value} for unit {unit}")
    if len(pairs) == n_units:
        raise DomainError("clamp: expected at least one free unit, got all clamped")
    return pairs


def require_small(n_units: int) -> None:
    """Refuse a case that cannot be enumerated at once."""
    if n_units > LARGEST:
        raise ModelTooLargeError(
            f"case: {n_units} units have 2**{n_units} states; a case holds its whole transition matrix, so use at most"
            f" {LARGEST} units (a candidate that is right on tiny models with generic parameters runs the same code)"
        )


def checked_coupling(J: Any) -> np.ndarray:
    """J, square, symmetric, with a zero diagonal."""
    J = checked("J", J, None, None)
    require_shape("J", J, len(J), len(J))
    if not np.array_equal(J, J.T):
        raise DomainError("J: expected a symmetric matrix; each pair stands in both triangles")
    if np.any(np.diag(J)):
        raise DomainError("J: expected a zero diagonal; move J_ii / 2 into c_i")
    return J


def rbm(
    W: Any,
    a: Any,
    b: Any,
    kernel: str = "block_gibbs",
    clamp: Mapping[int, int] | None = None,
    name: str | None = None,
    beta: float = 1.0,
) -> Case:
    """A Bernoulli RBM, rows [x, h] in {0,1}.

    W (nv, nh), a (nv,), b (nh,) before tempering: the case holds beta W, beta a, beta b.  ``clamp`` maps units to
    values, visible units first.  Raises ShapeError, DomainError, ModelTooLargeError.

    >>> case = rbm([[1.0, -0.5]], [0.2], [0.1, 0.3])
    >>> case.states.shape, case.P.shape, bool(abs(case.pi @ case.P - case.pi).max() < 1e-14)
    ((8, 3), (8, 8), True)
    """
    require_choice("kernel", kernel, naive.KERNELS)
    beta = require_positive("beta", beta)
    W = checked("W", W, None, None)
    nv, nh = W.shape
    a, b = checked("a", a, nv), checked("b", b, nh)
    require_small(nv + nh)
    W, a, b = frozen(beta * W), frozen(beta * a), frozen(beta * b)
    J = frozen(np.block([[np.zeros((nv, nv)), W], [W.T, np.zeros((nh, nh))]]))
    c = frozen(np.concatenate([a, b]))
    held = checked_clamp(clamp, nv + nh, (0, 1))
    return Case(name or f"rbm_{nv}x{nh}", "01", kernel, J, c, nv, nh, W, a, b, beta, held)


def boltzmann(
    J: Any,
    c: Any,
    kernel: str = "gibbs",
    clamp: Mapping[int, int] | None = None,
    name: str | None = None,
    beta: float = 1.0,
) -> Case:
    """A Boltzmann machine, E(s) = -1/2 s'Js - c.s, s in {0,1}; J (n, n) symmetric with zero diagonal, c (n,).

    >>> boltzmann([[0.0, 2.0], [2.0, 0.0]], [-1.0, -1.0]).pi.round(6).tolist()
    [0.365529, 0.134471, 0.134471, 0.365529]
    """
    return pairwise("boltzmann", "01", J, c, kernel, clamp, name, beta)


def ising(
    J: Any,
    h: Any,
    beta: float = 1.0,
    kernel: str = "metropolis",
    clamp: Mapping[int, int] | None = None,
    name: str | None = None,
) -> Case:
    """An Ising model, E(s) = -1/2 s'Js - h.s, s in {-1,+1}; J (n, n) symmetric with zero diagonal, h (n,).

    >>> ising([[0.0]], [0.5], beta=2.0).pi.round(6).tolist()
    [0.119203, 0.880797]
    """
    return pairwise("ising", "spin", J, h, kernel, clamp, name, beta)


def pairwise(
    kind: str,
    units: str,
    J: Any,
    c: Any,
    kernel: str,
    clamp: Mapping[int, int] | None,
    name: str | None,
    beta: float,
) -> Case:
    """The common part of ``boltzmann`` and ``ising``."""
    require_choice("kernel", kernel, naive.KERNELS)
    if kernel == "block_gibbs":
        raise DomainError("kernel: block_gibbs needs two layers; use 'gibbs', or cases.rbm")
    beta = require_positive("beta", beta)
    J = checked_coupling(J)
    n = len(J)
    c = checked("c" if units == "01" else "h", c, n)
    require_small(n)
    clamped = checked_clamp(clamp, n, VALUES[units])
    return Case(name or f"{kind}_{n}", units, kernel, frozen(beta * J), frozen(beta * c), n, beta=beta, clamp=clamped)


def with_kernel(case: Case, kernel: str) -> Case:
    """The same model under another kernel."""
    require_choice("kernel", kernel, naive.KERNELS)
    if kernel == "block_gibbs" and not case.n_hidden:
        raise DomainError("kernel: block_gibbs needs two layers; use 'gibbs', or an RBM")
    return replace(case, kernel=kernel)


def with_clamp(case: Case, clamp: Mapping[int, int]) -> Case:
    """The same model with units held at values: {unit: value}."""
    return replace(case, clamp=checked_clamp(clamp, case.n_units, case.values))
