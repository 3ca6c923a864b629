"""Bernoulli restricted Boltzmann machine.   E(x,h) = -a.x - b.h - x'Wh,   x (nv,), h (nh,) in {0,1}.
                                                                        [Smolensky 1986; lecture 9]
p(x,h) = exp(-E(x,h)) / Z,      z(h) = a + Wh   (nv,),      c(x) = b + W'x   (nh,)

(1) p(h_j=1|x) = sigmoid(c_j)                  (2) p(x_i=1|h) = sigmoid(z_i)
(3) F(x) = -log sum_h exp(-E) = -a.x - sum_j softplus(c_j)              log p(x) = -F(x) - log Z
(4) G(h) = -log sum_x exp(-E) = -b.h - sum_i softplus(z_i)              log p(h) = -G(h) - log Z
(5) argmax_h p(h|x): h_j = 1[c_j > 0], a tie gives 0
(6) dE/dW = -x h'      dE/da = -x      dE/db = -h
(7) tempered: p(x,h)^beta is the RBM (beta W, beta a, beta b)

Gauges: maps to another machine with the same law and E_old = E_new + constant.
(8)  spins s = 2x-1, t = 2h-1:  W' = W/4,  a' = a/2 + W1/4,  b' = b/2 + W'1/4,  constant -(sum a + sum b)/2 - sum W /4
     for E'(s,t) = -a'.s - b'.t - s'W't
(9)  flip the visible units S (x_i -> 1 - x_i, i in S):  a_S -> -a_S,  W_S. -> -W_S.,  b -> b + sum_{i in S} W_i.,
     constant -sum_{i in S} a_i;  hidden units likewise
(10) centring, E = -a.x - b.h - (x-m)'W(h-n):  the RBM (W, a - Wn, b - W'm), constant -m'Wn
"""

from __future__ import annotations

import os

import numpy as np
from scipy.special import expit

from ebm_ref.errors import as_float_array, require_int, require_number, require_positive, require_rows, require_shape
from ebm_ref.kernels.noise import Stream
from ebm_ref.models import record as records
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.record import record


def softplus(z: np.ndarray) -> np.ndarray:
    """log(1 + exp z), elementwise."""
    return np.logaddexp(0.0, z)


@record
class RBM:
    """Restricted Boltzmann machine with units in {0, 1}: E(x,h) = -a.x - b.h - x'Wh.

    W (n_visible, n_hidden), a (n_visible,), b (n_hidden,); energies in nats, inverse temperature inside.
    Raises ShapeError or DomainError when a parameter has the wrong shape or is not finite.

    >>> m = RBM([[1.0, -2.0]], [0.5], [0.0, 0.25])
    >>> m.energy([[1]], [[1, 1]])
    array([0.25])
    """

    W: np.ndarray
    a: np.ndarray
    b: np.ndarray

    def check(self) -> None:
        """Shapes, once, at the door."""
        nv, nh = require_shape("W", self.W, None, None)
        require_shape("a", self.a, nv)
        require_shape("b", self.b, nh)

    @classmethod
    def random(cls, n_visible: int, n_hidden: int, scale: float = 0.1, seed: int = 0) -> RBM:
        """All parameters independent N(0, scale^2): generic biases, so that no symmetry hides a mistake."""
        nv, nh = require_int("n_visible", n_visible, 1), require_int("n_hidden", n_hidden)
        z = require_positive("scale", scale) * Stream(seed, "parameters").normal(0, (nv + 1, nh + 1))
        return cls(z[:nv, :nh], z[:nv, nh], z[nv, :nh])

    __repr__ = records.describe

    @property
    def n_visible(self) -> int:
        """Number of visible units."""
        return self.W.shape[0]

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return self.W.shape[1]

    @property
    def n_units(self) -> int:
        """Visible and hidden units together: the length of a joint row [x, h]."""
        return sum(self.W.shape)

    # energies, one number per row -------------------------------------------------------------------------------------

    def energy(self, x, h) -> np.ndarray:
        """E(x,h) in nats; x (batch, n_visible), h (batch, n_hidden) -> (batch,)."""
        x, h = require_rows("x", x, self.n_visible), require_rows("h", h, self.n_hidden)
        require_shape("h", h, len(x), self.n_hidden)
        return -x @ self.a - h @ self.b - np.einsum("ni,nj,ij->n", x, h, self.W, optimize=True)

    def joint_energy(self, rows) -> np.ndarray:
        """E of joint rows [x, h], (batch, n_units) -> (batch,)."""
        rows = require_rows("rows", rows, self.n_units)
        return self.energy(rows[:, : self.n_visible], rows[:, self.n_visible :])

    def free_energy(self, x) -> np.ndarray:
        """(3) F(x) = -a.x - sum_j softplus(c_j), (batch,) in nats: log p(x) = -F(x) - log Z."""
        x = require_rows("x", x, self.n_visible)
        return -x @ self.a - softplus(self.hidden_logits(x)).sum(axis=1)

    def hidden_free_energy(self, h) -> np.ndarray:
        """(4) -log sum_x exp(-E), (batch,) in nats: log p(h) = -hidden_free_energy(h) - log Z."""
        return self.swapped().free_energy(require_rows("h", h, self.n_hidden))

    # conditionals -----------------------------------------------------------------------------------------------------

    def hidden_logits(self, x) -> np.ndarray:
        """c(x) = b + W'x, the log odds of each hidden unit; (batch, n_hidden)."""
        return self.b + require_rows("x", x, self.n_visible) @ self.W

    def visible_logits(self, h) -> np.ndarray:
        """z(h) = a + Wh, the log odds of each visible unit; (batch, n_visible)."""
        return self.a + require_rows("h", h, self.n_hidden) @ self.W.T

    def hidden_probabilities(self, x) -> np.ndarray:
        """(1) p(h_j=1|x), (batch, n_hidden)."""
        return expit(self.hidden_logits(x))

    def visible_probabilities(self, h) -> np.ndarray:
        """(2) p(x_i=1|h), (batch, n_visible)."""
        return expit(self.visible_logits(h))

    def map_hidden(self, x) -> np.ndarray:
        """(5) argmax_h p(h|x), (batch, n_hidden) of 0 and 1; a tie gives 0."""
        return (self.hidden_logits(x) > 0).astype(np.float64)

    # gradients --------------------------------------------------------------------------------------------------------

    def energy_gradient(self, x, h, weights=None) -> RBM:
        """(6) sum_n weights_n dE(x_n,h_n)/dtheta, a record; with h = (1) it is the gradient of F."""
        x, h = require_rows("x", x, self.n_visible), require_rows("h", h, self.n_hidden)
        w = np.ones(len(x)) if weights is None else as_float_array("weights", weights)
        require_shape("weights", w, len(x))
        require_shape("h", h, len(x), self.n_hidden)
        return RBM(-(x * w[:, None]).T @ h, -w @ x, -w @ h)

    # maps to other machines -------------------------------------------------------------------------------------------

    def tempered(self, beta: float) -> RBM:
        """(7): the law p^beta; ``beta`` = 1/(kT) is stored nowhere, so it cannot be applied twice."""
        beta = require_number("beta", beta)
        return records.leafwise(lambda leaf: beta * leaf, self)

    def swapped(self) -> RBM:
        """The same law with visible and hidden units exchanged: (W', b, a)."""
        return RBM(self.W.T, self.b, self.a)

    def to_spins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """(8): (W', a', b', constant) for spins +-1, with E(x,h) = -a'.s - b'.t - s'W't + constant."""
        constant = -(self.a.sum() + self.b.sum()) / 2 - self.W.sum() / 4
        return self.W / 4, self.a / 2 + self.W.sum(1) / 4, self.b / 2 + self.W.sum(0) / 4, float(constant)

    @classmethod
    def from_spins(cls, W, a, b) -> RBM:
        """The machine on {0,1} with the law of E(s,t) = -a.s - b.t - s'Wt on spins: the inverse of (8)."""
        W, a, b = as_float_array("W", W), as_float_array("a", a), as_float_array("b", b)
        return cls(4 * W, 2 * a - 2 * W.sum(1), 2 * b - 2 * W.sum(0))

    def flipped(self, visible=(), hidden=()) -> tuple[RBM, float]:
        """(9): (machine, constant) that holds 1 - x_i for the listed visible units and 1 - h_j for the hidden ones."""
        signs, shift = _signs(self.n_visible, visible)
        constant = -float(self.a @ shift)
        flipped = RBM(signs[:, None] * self.W, signs * self.a, self.b + shift @ self.W)
        if not len(hidden):
            return flipped, constant
        other, more = flipped.swapped().flipped(hidden)
        return other.swapped(), constant + more

    @classmethod
    def from_centred(cls, W, a, b, visible_means, hidden_means) -> tuple[RBM, float]:
        """(10): (machine, constant) of E(x,h) = -a.x - b.h - (x-m)'W(h-n)."""
        W, a, b = as_float_array("W", W), as_float_array("a", a), as_float_array("b", b)
        m, n = as_float_array("visible_means", visible_means), as_float_array("hidden_means", hidden_means)
        return cls(W, a - W @ n, b - m @ W), -float(m @ W @ n)

    def to_boltzmann(self) -> BoltzmannMachine:
        """The same law as a general Boltzmann machine on rows [x, h]: J = [[0, W], [W', 0]], c = (a, b)."""
        nv, nh = self.W.shape
        J = np.block([[np.zeros((nv, nv)), self.W], [self.W.T, np.zeros((nh, nh))]])
        return BoltzmannMachine(J, np.concatenate([self.a, self.b]), n_visible=nv)

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz`` file that ``ebm_ref.load`` reads back bit for bit; a crash never spoils an older one."""
        records.save(self, path)


def _signs(n: int, flipped) -> tuple[np.ndarray, np.ndarray]:
    """(-1 where flipped else 1, 1 where flipped else 0), each (n,)."""
    chosen = np.zeros(n)
    chosen[np.asarray(flipped, dtype=int)] = 1.0
    return 1.0 - 2.0 * chosen, chosen
