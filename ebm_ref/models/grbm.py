"""Gaussian-Bernoulli RBM.   E(v,h) = 1/2 sum_i (v_i-mu_i)^2/s2_i - (v/s2)'Wh - b.h,   v (nv,) real, h (nh,) in {0,1}.
                                                    [Welling, Rosen-Zvi & Hinton 2004; Liao et al. 2022; lecture 9]
p(v,h) = exp(-E(v,h)) / Z,    s2 = exp(log_var)  (nv,),    c(v) = b + W'(v/s2)  (nh,),    m(h) = mu + Wh  (nv,)

(1) p(h_j=1|v) = sigmoid(c_j)                      (2) p(v|h) = N(m(h), diag s2)
(3) F(v) = -log sum_h exp(-E) = 1/2 sum (v-mu)^2/s2 - sum_j softplus(c_j)             log p(v) = -F(v) - log Z
(4) G(h) = -log int exp(-E) dv = -b.h - sum_i (mu_i (Wh)_i + (Wh)_i^2/2)/s2_i - nv/2 log 2pi - 1/2 sum log_var
    (complete the square: E = 1/2 sum (v-m(h))^2/s2 + the first two terms of G)       log p(h) = -G(h) - log Z
(5) argmax_h p(h|v): h_j = 1[c_j > 0], a tie gives 0
(6) score    -dE/dv = (m(h) - v)/s2 with h held;    -dF/dv = (m(p(h|v)) - v)/s2
(7) dE/dW = -(v/s2) h'      dE/dmu = -(v-mu)/s2      dE/db = -h
(8) dE/dlog_var_i = -(v_i-mu_i)^2/(2 s2_i) + v_i (Wh)_i/s2_i:   E holds s2 as 1/s2 only, and d(1/s2)/dlog_var = -1/s2,
    so this is minus the terms of E that carry 1/s2_i.  With sigma or s2 as the parameter (W held):
    dE/dsigma = 2/sigma dE/dlog_var,    dE/ds2 = 1/s2 dE/dlog_var
    All of (7), (8) are linear in h: with h = p(h|v) they are the gradient of F.
(9) tempered: p(v,h)^beta is the GRBM (W, mu, log_var - log beta, beta b): m(h) stays, c becomes beta c

Maps: other conventions with the same E, up to a constant where one is given.
(10) scaled, E = 1/2 sum (v-mu)^2/sigma^2 - (v/sigma)'W'h - b.h:   W = diag(sigma) W'    [Hinton 2010; Krizhevsky 2009]
     dE/dW'_ij = sigma_i dE/dW_ij,     dE/dsigma_i at fixed W' = 2/sigma_i dE/dlog_var_i + sum_j dE/dW_ij W'_ij
(11) centred, E = 1/2 sum (v-mu)^2/s2 - ((v-mu)/s2)'Wh - b'.h:     b' = b + W'(mu/s2)
     at fixed b':  dE/dW - (mu/s2) db',   dE/dmu - (W db)/s2,   dE/dlog_var + (mu/s2) W db,   db = dE/db
(12) natural, E = 1/2 sum gamma v^2 - theta.v - v'W'h - b.h + constant:   gamma = 1/s2, theta = mu/s2, W' = W/s2
(13) units of v: scale v + shift has the GRBM (scale W, scale mu + shift, log_var + 2 log scale, b - W'(shift/s2)),
     the last with the new W and s2
(14) flip the hidden units S (h_j -> 1-h_j):  W_.j -> -W_.j,  b_j -> -b_j,  mu -> mu + d,  d = sum_S W_.j,
     constant -sum_S b_j - sum (mu d + d^2/2)/s2

(15) p(h) is the Boltzmann machine with J = W'diag(1/s2)W off the diagonal and c = b + W'(mu/s2) + diag(J)/2:
     G(h) = E_machine(h) - nv/2 log 2pi - 1/2 sum log_var
(16) v_U given v_K is the GRBM (W_U, mu_U, log_var_U, b + W_K'(v_K/s2_K))
(17) from statistics:  <-dE/dW> = <v h'>/s2,  <-dE/dmu> = (<v>-mu)/s2,  <-dE/db> = <h>,
     <-dE/dlog_var> = (1/2 <(v-mu)^2> - sum_j W_.j <v h_j>)/s2
"""

from __future__ import annotations

import os

import numpy as np
from scipy.special import expit

from ebm_ref.errors import (
    DomainError,
    as_float_array,
    require_finite,
    require_int,
    require_positive,
    require_rows,
    require_shape,
    require_some_rows,
    unit_indices,
)
from ebm_ref.kernels.noise import Stream
from ebm_ref.models import record as records
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.rbm import softplus
from ebm_ref.models.record import record


@record
class GRBM:
    """Gaussian-Bernoulli RBM: E(v,h) = 1/2 sum (v-mu)^2/s2 - (v/s2)'Wh - b.h, with s2 = exp(log_var) per visible unit.

    W (n_visible, n_hidden), mu (n_visible,), log_var (n_visible,), b (n_hidden,); energies in nats.
    W and mu are in units of v; b has none.  Raises ShapeError or DomainError when a parameter has the wrong shape or is
    not finite, and DomainError on use when a variance leaves the float64 range.

    >>> m = GRBM([[1.0, -2.0]], [0.5], [0.0], [0.0, 0.25])
    >>> m.energy([[1.5]], [[1, 1]])
    array([1.75])
    """

    W: np.ndarray
    mu: np.ndarray
    log_var: np.ndarray
    b: np.ndarray

    def check(self) -> None:
        """Shapes, once, at the door."""
        nv, nh = require_shape("W", self.W, None, None)
        require_shape("mu", self.mu, nv)
        require_shape("log_var", self.log_var, nv)
        require_shape("b", self.b, nh)

    @classmethod
    def random(cls, n_visible: int, n_hidden: int, scale: float = 0.1, seed: int = 0) -> GRBM:
        """All parameters independent N(0, scale^2), log_var too: no symmetry hides a mistake."""
        nv, nh = require_int("n_visible", n_visible, 1), require_int("n_hidden", n_hidden)
        z = require_positive("scale", scale) * Stream(seed, "parameters").normal(0, (nv + 1, nh + 2))
        return cls(z[:nv, :nh], z[:nv, nh], z[:nv, nh + 1], z[nv, :nh])

    @classmethod
    def for_data(cls, data, n_hidden: int, scale: float = 1.0, seed: int = 0, learned_mean: bool = True) -> GRBM:
        """A start for training: W_ij ~ N(0, s2_i scale^2/(nv + nh)), b = 0, and the mean and variance of the data.

        ``learned_mean=False`` starts from mu = 0 and log_var = 0 instead, as the released code of Liao et al. does.
        A column that never changes gets the mean of the other variances (or 1), so that its variance is not 0.
        """
        data, nh = as_float_array("data", data), require_int("n_hidden", n_hidden)
        _, nv = require_shape("data", data, None, None)
        require_some_rows("data", data, nv)
        mu, s2 = np.zeros(nv), np.ones(nv)
        if learned_mean:
            mu, s2 = data.mean(axis=0), data.var(axis=0)
            varying = s2 > 0
            s2 = np.where(varying, s2, s2[varying].mean() if varying.any() else 1.0)
        z = Stream(seed, "parameters").normal(0, (nv, nh))
        W = require_positive("scale", scale) / np.sqrt(nv + nh) * np.sqrt(s2)[:, None] * z
        return cls(W, mu, np.log(s2), np.zeros(nh))

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
        """Visible and hidden units together: the length of a joint row [v, h]."""
        return sum(self.W.shape)

    @property
    def variance(self) -> np.ndarray:
        """s2 = exp(log_var), (n_visible,): the variance of each visible unit given h."""
        if np.any(np.abs(self.log_var) > 700):
            i = int(np.argmax(np.abs(self.log_var)))
            raise DomainError(f"log_var: expected numbers in [-700, 700], got {self.log_var[i]} at [{i}]")
        return np.exp(self.log_var)

    # energies, one number per row -------------------------------------------------------------------------------------

    def energy(self, v, h) -> np.ndarray:
        """E(v,h) in nats; v (batch, n_visible), h (batch, n_hidden) -> (batch,)."""
        v, h = self._pair(v, h)
        s2 = self.variance
        return 0.5 * ((v - self.mu) ** 2 / s2).sum(axis=1) - (v / s2 * (h @ self.W.T)).sum(axis=1) - h @ self.b

    def joint_energy(self, rows) -> np.ndarray:
        """E of joint rows [v, h], (batch, n_units) -> (batch,)."""
        rows = require_rows("rows", rows, self.n_units)
        return self.energy(rows[:, : self.n_visible], rows[:, self.n_visible :])

    def free_energy(self, v) -> np.ndarray:
        """(3) F(v), the marginal energy, (batch,) in nats: log p(v) = -F(v) - log Z."""
        v = require_rows("v", v, self.n_visible)
        quadratic = 0.5 * ((v - self.mu) ** 2 / self.variance).sum(axis=1)
        return quadratic - softplus(self.hidden_logits(v)).sum(axis=1)

    def hidden_free_energy(self, h) -> np.ndarray:
        """(4) -log int exp(-E) dv, (batch,) in nats: log p(h) = -hidden_free_energy(h) - log Z."""
        h = require_rows("h", h, self.n_hidden)
        shift = h @ self.W.T
        gain = ((self.mu * shift + 0.5 * shift**2) / self.variance).sum(axis=1)
        return -h @ self.b - gain - self.log_gaussian

    # conditionals -----------------------------------------------------------------------------------------------------

    def hidden_logits(self, v) -> np.ndarray:
        """c(v) = b + W'(v/s2), the log odds of each hidden unit; (batch, n_hidden)."""
        return self.b + (require_rows("v", v, self.n_visible) / self.variance) @ self.W

    def hidden_probabilities(self, v) -> np.ndarray:
        """(1) p(h_j=1|v), (batch, n_hidden)."""
        return expit(self.hidden_logits(v))

    def visible_mean(self, h) -> np.ndarray:
        """m(h) = mu + Wh, the mean of (2), whose variance is ``variance``; (batch, n_visible)."""
        return self.mu + require_rows("h", h, self.n_hidden) @ self.W.T

    def map_hidden(self, v) -> np.ndarray:
        """(5) argmax_h p(h|v), (batch, n_hidden) of 0 and 1; a tie gives 0."""
        return (self.hidden_logits(v) > 0).astype(np.float64)

    # gradients --------------------------------------------------------------------------------------------------------

    def score(self, v) -> np.ndarray:
        """(6) -dF/dv = (m(p(h|v)) - v)/s2, the score of p(v); (batch, n_visible)."""
        v = require_rows("v", v, self.n_visible)
        return (self.visible_mean(self.hidden_probabilities(v)) - v) / self.variance

    def score_given_hidden(self, v, h) -> np.ndarray:
        """(6) -dE/dv = (m(h) - v)/s2, the score of p(v|h); (batch, n_visible)."""
        v, h = self._pair(v, h)
        return (self.visible_mean(h) - v) / self.variance

    def energy_gradient(self, v, h, weights=None) -> GRBM:
        """(7), (8): sum_n weights_n dE(v_n,h_n)/dtheta, a record; with h = (1) it is the gradient of F."""
        v, h = self._pair(v, h)
        w = np.ones(len(v)) if weights is None else as_float_array("weights", weights)
        require_shape("weights", w, len(v))
        s2, away = self.variance, v - self.mu
        d_W = -(v / s2 * w[:, None]).T @ h
        d_mu = -(w @ away) / s2
        d_log_var = w @ (v * (h @ self.W.T) - 0.5 * away**2) / s2  # (8)
        return GRBM(d_W, d_mu, d_log_var, -w @ h)

    def from_statistics(self, x: np.ndarray, square: np.ndarray, h: np.ndarray, xh: np.ndarray) -> GRBM:
        """(17): the record <-dE/dtheta> from <v>, <(v-mu)^2>, <h> and <v h'>."""
        s2 = self.variance
        return GRBM(xh / s2[:, None], (x - self.mu) / s2, (0.5 * square - (self.W * xh).sum(axis=1)) / s2, h)

    # maps to other machines and conventions ---------------------------------------------------------------------------

    def tempered(self, beta: float) -> GRBM:
        """(9): the law p^beta, beta > 0; ``beta`` = 1/(kT) is stored nowhere, so it cannot be applied twice."""
        beta = require_positive("beta", beta)
        return GRBM(self.W, self.mu, self.log_var - np.log(beta), beta * self.b)

    def to_scaled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(10): (W', mu, sigma, b) of the form with (v/sigma)'W'h; the energy is the same."""
        sigma = np.sqrt(self.variance)
        return self.W / sigma[:, None], self.mu, sigma, self.b

    @classmethod
    def from_scaled(cls, W, mu, sigma, b) -> GRBM:
        """The machine of E = 1/2 sum (v-mu)^2/sigma^2 - (v/sigma)'Wh - b.h: the inverse of (10)."""
        W, sigma = as_float_array("W", W), as_float_array("sigma", sigma)
        require_shape("sigma", sigma, require_shape("W", W, None, None)[0])
        if not np.all(sigma > 0):
            raise DomainError(f"sigma: expected positive numbers, got {sigma.min()}")
        return cls(sigma[:, None] * W, mu, 2 * np.log(sigma), b)

    def gradient_to_scaled(self, gradient: GRBM) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(10): (d/dW', d/dmu, d/dsigma, d/db) in the scaled form, from a gradient in this one."""
        W, _, sigma, _ = self.to_scaled()
        d_sigma = 2 * gradient.log_var / sigma + (gradient.W * W).sum(axis=1)
        return sigma[:, None] * gradient.W, gradient.mu, d_sigma, gradient.b

    def to_centred(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(11): (W, mu, log_var, b') of the form with ((v-mu)/s2)'Wh; the energy is the same."""
        return self.W, self.mu, self.log_var, self.b + (self.mu / self.variance) @ self.W

    @classmethod
    def from_centred(cls, W, mu, log_var, b) -> GRBM:
        """The machine of E = 1/2 sum (v-mu)^2/s2 - ((v-mu)/s2)'Wh - b.h: the inverse of (11)."""
        model = cls(W, mu, log_var, b)
        return cls(model.W, model.mu, model.log_var, model.b - (model.mu / model.variance) @ model.W)

    def gradient_to_centred(self, gradient: GRBM) -> GRBM:
        """(11): the gradient with respect to (W, mu, log_var, b'), from a gradient in this form."""
        at, along = self.mu / self.variance, self.W @ gradient.b
        return GRBM(
            gradient.W - np.outer(at, gradient.b), gradient.mu - along / self.variance,
            gradient.log_var + at * along, gradient.b,
        )  # fmt: skip

    def to_natural(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
        """(12): (W', theta, gamma, b, constant) with E = 1/2 sum gamma v^2 - theta.v - v'W'h - b.h + constant."""
        gamma = 1 / self.variance
        return gamma[:, None] * self.W, gamma * self.mu, gamma, self.b, float(0.5 * gamma @ self.mu**2)

    @classmethod
    def from_natural(cls, W, theta, gamma, b) -> tuple[GRBM, float]:
        """(12): (machine, constant) with 1/2 sum gamma v^2 - theta.v - v'Wh - b.h = E(v,h) - constant."""
        W, theta, gamma = as_float_array("W", W), as_float_array("theta", theta), as_float_array("gamma", gamma)
        nv, _ = require_shape("W", W, None, None)
        require_shape("theta", theta, nv)
        require_shape("gamma", gamma, nv)
        if not np.all(gamma > 0):
            raise DomainError(f"gamma: expected positive precisions, got {gamma.min()}")
        model = cls(W / gamma[:, None], theta / gamma, -np.log(gamma), b)
        return model, float(0.5 * gamma @ model.mu**2)

    def rescaled(self, scale, shift=0.0) -> GRBM:
        """(13): the machine of scale v + shift (numbers or (n_visible,)), with E_new(scale v + shift, h) = E(v, h).

        Undo a standardisation (x - m)/s with ``rescaled(s, m)``.
        """
        scale, shift = (self._by_unit(*pair) for pair in (("scale", scale), ("shift", shift)))
        if not np.all(scale > 0):
            raise DomainError(f"scale: expected positive numbers, got {scale.min()}")
        W, log_var = scale[:, None] * self.W, self.log_var + 2 * np.log(scale)
        return GRBM(W, scale * self.mu + shift, log_var, self.b - (shift * np.exp(-log_var)) @ W)

    def flipped(self, hidden) -> tuple[GRBM, float]:
        """(14): (machine, constant) that holds 1 - h_j for some units, with E_old = E_new + constant.

        hidden: boolean mask (n_hidden,) or unit indices.
        """
        on = np.zeros(self.n_hidden)
        on[unit_indices("hidden", hidden, self.n_hidden)] = 1.0
        signs, shift = 1.0 - 2.0 * on, self.W @ on
        constant = -self.b @ on - ((self.mu * shift + 0.5 * shift**2) / self.variance).sum()
        return GRBM(self.W * signs, self.mu + shift, self.log_var, signs * self.b), float(constant)

    def hidden_machine(self) -> tuple[BoltzmannMachine, float]:
        """(15): (machine, constant) with -log int exp(-E) dv = E_machine(h) + constant."""
        scaled = self.W / np.sqrt(self.variance)[:, None]
        J = np.einsum("ij,ik->jk", scaled, scaled)  # no BLAS: the same bits for any number of its threads
        J, own = (J + J.T) / 2, np.diag(J).copy()
        np.fill_diagonal(J, 0.0)
        c = self.b + ((self.mu / self.variance)[:, None] * self.W).sum(axis=0) + 0.5 * own
        return BoltzmannMachine(J, c, 0), -self.log_gaussian

    @property
    def log_gaussian(self) -> float:
        """log of the integral of exp(-1/2 sum (v-m)^2/s2): nv/2 log 2pi + 1/2 sum log_var."""
        return float(0.5 * (self.n_visible * np.log(2 * np.pi) + self.log_var.sum()))

    def conditioned(self, known, values) -> GRBM:
        """(16): the law of the other visible units, in their order, given that the listed ones have these values.

        known: boolean mask (n_visible,) or unit indices; values: one number for each known unit, in that order.

        >>> m = GRBM([[1.0], [2.0]], [0.0, 0.0], [0.0, 0.0], [0.5])
        >>> m.conditioned([1], [3.0]).b
        array([6.5])
        """
        units, values = unit_indices("known", known, self.n_visible), as_float_array("values", values)
        require_shape("values", values, len(units))
        require_finite("values", values)
        rest = np.setdiff1d(np.arange(self.n_visible), units)
        if not len(rest):
            raise DomainError(f"known: expected different units, not all {self.n_visible} of them, got {units}")
        b = self.b + (values / self.variance[units]) @ self.W[units]
        return GRBM(self.W[rest], self.mu[rest], self.log_var[rest], b)

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz`` file that ``ebm_ref.load`` reads back bit for bit; a crash never spoils an older one."""
        records.save(self, path)

    def _by_unit(self, name: str, value) -> np.ndarray:
        """A finite number, or one for each visible unit, as an array (n_visible,)."""
        value = as_float_array(name, value)
        if value.ndim:
            require_shape(name, value, self.n_visible)
        require_finite(name, value)
        return np.broadcast_to(value, self.mu.shape)

    def _pair(self, v, h) -> tuple[np.ndarray, np.ndarray]:
        v, h = require_rows("v", v, self.n_visible), require_rows("h", h, self.n_hidden)
        require_shape("h", h, len(v), self.n_hidden)
        return v, h
