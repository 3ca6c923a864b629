"""Cases of any finite kernel, given by its table of transition probabilities.

``Potts`` models, replica exchange (``Replicas``) and kernels with rounded probabilities (``Rounded``) are of this kind;
``table`` makes a case of any other kernel that can be written down as a matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ebm_ref.errors import DomainError, require_shape
from ebm_ref.oracle import naive
from ebm_ref.oracle.arrays import checked, frozen

if TYPE_CHECKING:
    from ebm_ref.oracle.potts import Potts
    from ebm_ref.oracle.replicas import Replicas
    from ebm_ref.oracle.rounded import Rounded

ROUNDING = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class TableCase:
    """A kernel on S states of d units.  Make it with ``cases.potts``, ``tempering``, ``quantised`` or ``table``.

    states    (S, d), the rows that a candidate sees, in the order of their index
    energies  (S,), nats; the law is pi = exp(-E)/Z
    P         (S, S), row s the law of the next state
    model     what it was made of, None for a bare table: which mistakes are looked for
    """

    name: str
    kernel: str
    states: np.ndarray
    energies: np.ndarray
    P: np.ndarray
    model: Potts | Replicas | Rounded | None = None
    beta: float = 1.0
    clamp: tuple[tuple[int, int], ...] = ()
    n_hidden: int = 0

    def __repr__(self) -> str:
        """Name, kernel and size; the arrays are long."""
        return f"TableCase({self.name}, {self.kernel}, {self.n_visible} visible and {self.n_hidden} hidden units)"

    @property
    def n_units(self) -> int:
        """d."""
        return self.states.shape[1]

    @property
    def n_visible(self) -> int:
        """d: no unit is hidden."""
        return self.n_units

    @cached_property
    def values(self) -> tuple[int, ...]:
        """The values that units take, sorted."""
        return tuple(int(v) for v in np.unique(self.states))

    @cached_property
    def pi(self) -> np.ndarray:
        """The law of each state (S,)."""
        return frozen(naive.law(self.energies.tolist()))

    @cached_property
    def reversible(self) -> bool:
        """True if pi(s) P(s, t) is symmetric."""
        flow = self.pi[:, None] * self.P
        return bool(np.all(np.abs(flow - flow.T) <= 1e-8 * (flow + flow.T)))

    @cached_property
    def _code(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
        """The values of each column, its place value in a mixed radix, the sorted codes of the states, their order."""
        columns = [np.unique(column) for column in self.states.T]
        place = np.cumprod([1, *(len(values) for values in columns)])[:-1]
        code = sum(np.searchsorted(v, c) * r for v, c, r in zip(columns, self.states.T, place, strict=True))
        order = np.argsort(code)
        return columns, place, code[order], order

    def index(self, rows: Any) -> np.ndarray:
        """The index into ``states`` of each row (n, d); -1 for a row that is no state."""
        rows = np.asarray(rows, dtype=np.float64)
        columns, place, codes, order = self._code
        code, legal = np.zeros(len(rows), dtype=np.int64), np.ones(len(rows), dtype=bool)
        for values, column, radix in zip(columns, rows.T, place, strict=True):
            digit = np.minimum(np.searchsorted(values, column), len(values) - 1)
            legal &= values[digit] == column
            code += digit * radix
        at = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
        return np.where(legal & (codes[at] == code), order[at], -1)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Indices of n independent exact states."""
        return np.searchsorted(np.cumsum(self.pi)[:-1], rng.random(n), side="right")


def table(states: Any, P: Any, pi: Any = None, name: str = "table") -> TableCase:
    """A case of any kernel on a finite set of states.

    states (S, d) all different; P (S, S) stochastic; pi (S,) positive, its invariant law, computed if it isn't given.
    Raises ShapeError, DomainError.

    >>> case = table([[0], [1]], [[0.9, 0.1], [0.3, 0.7]])
    >>> case.pi.round(12).tolist(), case.reversible
    ([0.75, 0.25], True)
    """
    states = checked("states", states, None, None)
    S = len(states)
    P = checked("P", P, S, S)
    if len(np.unique(states, axis=0)) != S:
        raise DomainError("states: expected rows that are all different")
    if (P < 0).any() or np.abs(P.sum(axis=1) - 1.0).max() > ROUNDING:
        raise DomainError(f"P: expected rows of probabilities, got sums from {P.sum(1).min()} to {P.sum(1).max()}")
    law = stationary_law(P) if pi is None else checked("pi", pi, S)
    require_shape("pi", law, S)
    if (law <= 0).any() or np.abs(law @ P - law).max() > ROUNDING:
        raise DomainError("pi: expected the positive law with pi P = pi")
    return TableCase(name, "table", states, frozen(-np.log(law / law.sum())), P)


def stationary_law(P: np.ndarray) -> np.ndarray:
    """The only law with pi P = pi (S,).  Raises DomainError if there are several, or a state that it never visits.

    >>> stationary_law(np.array([[0.5, 0.5], [1.0, 0.0]])).round(6).tolist()
    [0.666667, 0.333333]
    """
    S = len(P)
    A = np.vstack([P.T - np.eye(S), np.ones(S)])
    if np.linalg.matrix_rank(A) < S:
        raise DomainError("P: expected one invariant law, got several: the kernel cannot reach every state")
    law = np.linalg.lstsq(A, np.append(np.zeros(S), 1.0), rcond=None)[0]
    for _ in range(2):  # rounding of the solution, not of P
        law = law @ P
        law = law / law.sum()
    if (law <= 0).any():
        raise DomainError("P: expected an invariant law that is positive everywhere; a state is never visited again")
    return law
