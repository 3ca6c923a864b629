"""General Boltzmann machine.   E(s) = -1/2 s'Js - c.s,   s (n,) in {0,1}, J (n, n) symmetric with zero diagonal.
                                                                    [Ackley, Hinton & Sejnowski 1985; lecture 9]
p(s) = exp(-E(s)) / Z,      f(s) = c + Js  (n,), the field.   The first n_visible units are visible: s = [x, h].

(1) p(s_i=1|rest) = sigmoid(f_i)              (2) E(flip_i s) - E(s) = -(1 - 2 s_i) f_i
(3) F(x) = -log sum_h exp(-E([x,h])), by enumeration of the hidden units; F = E when all units are visible
(4) dE/dJ_ij = -s_i s_j for J_ij and J_ji moved together (i < j);   dE/dc = -s
    The record holds that number in both triangles and 0 on the diagonal: a directional derivative sums over i < j only.
(5) A diagonal is not an interaction, since s_i^2 = s_i: J_ii/2 belongs in c_i.
"""

from __future__ import annotations

import os

import numpy as np
from scipy.special import expit, logsumexp

from ebm_ref.errors import (
    DomainError,
    as_float_array,
    require_int,
    require_number,
    require_positive,
    require_rows,
    require_shape,
)
from ebm_ref.kernels.noise import Stream
from ebm_ref.models import record as records
from ebm_ref.models.record import record
from ebm_ref.models.states import all_states, require_few_states


@record
class BoltzmannMachine:
    """Boltzmann machine with units in {0, 1}: E(s) = -1/2 s'Js - c.s.

    J (n, n) symmetric with zero diagonal, c (n,); ``n_visible`` units come first in a row (default: all of them).
    Raises ShapeError or DomainError when J is not square, not symmetric, or has a diagonal.

    >>> m = BoltzmannMachine([[0, 2.0], [2.0, 0]], [0.5, -1.0])
    >>> m.energy([[1, 1]])
    array([-1.5])
    """

    J: np.ndarray
    c: np.ndarray
    n_visible: int = -1

    def check(self) -> None:
        """Shape, symmetry and diagonal of J."""
        n, _ = require_shape("J", self.J, None, None)
        require_shape("J", self.J, n, n)
        require_shape("c", self.c, n)
        if np.any(np.diag(self.J)):
            i = int(np.flatnonzero(np.diag(self.J))[0])
            raise DomainError(
                f"J: expected a zero diagonal, got {self.J[i, i]} at [{i}, {i}]; add J_ii/2 to c_i instead"
            )
        if not np.array_equal(self.J, self.J.T):
            i, j = np.argwhere(self.J != self.J.T)[0]
            raise DomainError(
                f"J: expected a symmetric matrix, got {self.J[i, j]} at [{i}, {j}] and {self.J[j, i]} at [{j}, {i}];"
                " symmetrise with (J + J.T) / 2"
            )
        n_visible = n if self.n_visible == -1 else require_int("n_visible", self.n_visible, 0, n)
        object.__setattr__(self, "n_visible", n_visible)

    @classmethod
    def random(cls, n_units: int, scale: float = 0.1, seed: int = 0, n_visible: int = -1) -> BoltzmannMachine:
        """All J_ij (i < j) and c_i independent N(0, scale^2)."""
        n = require_int("n_units", n_units, 1)
        z = require_positive("scale", scale) * Stream(seed, "parameters").normal(0, (n + 1, n))
        upper = np.triu(z[:n], 1)
        return cls(upper + upper.T, z[n], n_visible)

    __repr__ = records.describe

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.c)

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return len(self.c) - self.n_visible

    def energy(self, x, h=None) -> np.ndarray:
        """E(s) in nats of rows s = [x, h]; x may hold the whole row.  (batch, n_units) -> (batch,)."""
        return self.joint_energy(x if h is None else self._joint(x, h))

    def _joint(self, x, h) -> np.ndarray:
        x, h = require_rows("x", x, self.n_visible), require_rows("h", h, self.n_hidden)
        require_shape("h", h, len(x), self.n_hidden)
        return np.hstack([x, h])

    def joint_energy(self, rows) -> np.ndarray:
        """E of whole rows, (batch, n_units) -> (batch,)."""
        s = require_rows("rows", rows, self.n_units)
        return -0.5 * np.einsum("ni,ni->n", s @ self.J, s) - s @ self.c

    def field(self, rows) -> np.ndarray:
        """f = c + Js, the log odds of each unit given the others; (batch, n_units)."""
        return self.c + require_rows("rows", rows, self.n_units) @ self.J

    def unit_probabilities(self, rows) -> np.ndarray:
        """(1) p(s_i=1|rest), (batch, n_units)."""
        return expit(self.field(rows))

    def free_energy(self, x) -> np.ndarray:
        """(3), (batch,) in nats: log p(x) = -F(x) - log Z."""
        x = require_rows("x", x, self.n_visible)
        return -logsumexp(self._hidden_log_weights(x), axis=1)

    def hidden_probabilities(self, x) -> np.ndarray:
        """p(h_j=1|x) by enumeration of the hidden units, (batch, n_hidden)."""
        return self.hidden_posterior(x) @ all_states(self.n_hidden)

    def hidden_posterior(self, x) -> np.ndarray:
        """p(h|x) of every hidden state h, (batch, 2**n_hidden)."""
        log_weights = self._hidden_log_weights(require_rows("x", x, self.n_visible))
        return np.exp(log_weights - logsumexp(log_weights, axis=1, keepdims=True))

    def _hidden_log_weights(self, x: np.ndarray) -> np.ndarray:
        """-E([x_n, h]) for every hidden state h, (batch, 2**n_hidden)."""
        nv = self.n_visible
        require_few_states("free_energy", self.n_hidden, 16)
        h = all_states(self.n_hidden)
        alone = 0.5 * np.einsum("ni,ni->n", h @ self.J[nv:, nv:], h) + h @ self.c[nv:]
        visible = 0.5 * np.einsum("ni,ni->n", x @ self.J[:nv, :nv], x) + x @ self.c[:nv]
        return visible[:, None] + alone + x @ self.J[:nv, nv:] @ h.T

    def energy_gradient(self, x, h=None, weights=None) -> BoltzmannMachine:
        """(4) sum_n weights_n dE(s_n)/dtheta of rows s = [x, h], as a record; weights default to ones."""
        s = require_rows("rows", x if h is None else self._joint(x, h), self.n_units)
        w = np.ones(len(s)) if weights is None else as_float_array("weights", weights)
        require_shape("weights", w, len(s))
        return self.from_statistics((s * w[:, None]).T @ s, w @ s, sign=-1.0)

    def from_statistics(self, ss: np.ndarray, s: np.ndarray, sign: float = 1.0) -> BoltzmannMachine:
        """The record that holds sign * <s s'> off the diagonal and sign * <s>: see (4)."""
        pairs = sign * (ss + ss.T) / 2
        np.fill_diagonal(pairs, 0.0)
        return BoltzmannMachine(pairs, sign * s, self.n_visible)

    def tempered(self, beta: float) -> BoltzmannMachine:
        """The law p^beta: (beta J, beta c)."""
        beta = require_number("beta", beta)
        return records.leafwise(lambda leaf: beta * leaf, self)

    def to_spins(self) -> tuple[np.ndarray, np.ndarray, float]:
        """(J', c', constant) for spins t = 2s-1, with E(s) = -1/2 t'J't - c'.t + constant."""
        constant = -self.c.sum() / 2 - self.J.sum() / 8
        return self.J / 4, self.c / 2 + self.J.sum(1) / 4, float(constant)

    @classmethod
    def from_spins(cls, J, c, n_visible: int = -1) -> BoltzmannMachine:
        """The machine on {0,1} with the law of the Ising energy E(t) = -1/2 t'Jt - c.t."""
        J, c = as_float_array("J", J), as_float_array("c", c)
        return cls(4 * J, 2 * c - 2 * J.sum(1), n_visible)

    def flipped(self, units) -> tuple[BoltzmannMachine, float]:
        """(machine, constant) that holds 1 - s_i for the listed units, with E_old = E_new + constant."""
        on = np.zeros(self.n_units)
        on[np.asarray(units, dtype=int)] = 1.0
        signs = 1.0 - 2.0 * on
        constant = -self.c @ on - 0.5 * on @ self.J @ on
        machine = BoltzmannMachine(signs[:, None] * self.J * signs, signs * (self.c + self.J @ on), self.n_visible)
        return machine, float(constant)

    def to_boltzmann(self) -> BoltzmannMachine:
        """Itself: every binary model has a Boltzmann machine with the same joint law."""
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz`` file that ``ebm_ref.load`` reads back bit for bit; a crash never spoils an older one."""
        records.save(self, path)
