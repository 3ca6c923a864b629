"""Deep energies: a number from the output f(x) of a network.   E(x) = c e(x, f(x)) + |x|^2/(2 s0^2),   J = df/dx

form       e(x, f)     f_bar = de/df    x_bar = de/dx    f_bar_dot, x_bar_dot along (x_dot, f_dot)    bounded below
inner      x.f         x                f                x_dot, f_dot                                 no
residual   |x - f|^2   -2(x - f)        2(x - f)         -2(x_dot - f_dot), 2(x_dot - f_dot)          yes
square     |f|^2       2f               0                2 f_dot, 0                                   yes
scalar     f           1                0                0, 0                                         no
marginal   -LSE(f)     -pi              0                -(diag pi - pi pi')f_dot, 0    (JEM)         no
joint      -f_y        -e_y             0                0, 0                           (JEM)         no
LSE(f) = log sum_y exp f_y,  pi = softmax(f) = p(y|x),  e_y the y-th unit vector.  c is an inverse temperature: the
lecture has c = 1, others 1/2.  The base measure |x|^2/(2 s0^2) makes Z finite where e falls slower than quadratically.
                                        [lecture 9; Salimans & Ho 2021; Du & Mordatch 2019; Grathwohl et al. 2020 (JEM)]
(1) dE/dx = x_bar + J'f_bar                     one forward and one pullback
(2) dE/dtheta = (df/dtheta)'f_bar               the same vjp; a sum over rows with weights w_n takes w_n f_bar_n
(3) Hu = x_bar_dot + x-part of rvjp(u, f_bar, f_bar_dot),   f_dot = Ju      tangent of (1) along x_dot = u
(4) d/dtheta sum_n w_n r_n.dE/dx(x_n) = theta-part of rvjp(r, w f_bar, w f_bar_dot),  f_dot = Jr: since the derivatives
    by theta and along r commute, it is the tangent of (2) along x_dot = r.  Denoising score matching needs it.
(5) JEM: log p(x, y) = f_y(x) - log Z,  p(y|x) = softmax(f),  log p(x) = LSE(f) - log Z
    d/dtheta of -log p(y|x) = (df/dtheta)'(pi - e_y)
(6) score matching: d/dtheta sum_n w_n/2 |s(x_n) - t_n|^2, s = -dE/dx, is (4) with r = t + dE/dx
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax

from ebm_ref.errors import (
    DomainError,
    ShapeError,
    as_float_array,
    require_choice,
    require_number,
    require_positive,
    require_shape,
)
from ebm_ref.models import derivatives
from ebm_ref.models import record as records
from ebm_ref.models.record import record


class Head(NamedTuple):
    """e, its cotangents and their tangents at one batch; a line of the table.  f (batch, m), x (batch, d)."""

    e: Any
    f_bar: Any
    x_bar: Any
    dots: Any


def inner(x, f) -> Head:
    """x.f."""
    return Head((x * f).sum(axis=1), x, f, lambda x_dot, f_dot: (x_dot, f_dot))


def residual(x, f) -> Head:
    """|x - f|^2."""
    r = x - f
    return Head((r * r).sum(axis=1), -2 * r, 2 * r, lambda x_dot, f_dot: (2 * (f_dot - x_dot), 2 * (x_dot - f_dot)))


def square(x, f) -> Head:
    """|f|^2."""
    return Head((f * f).sum(axis=1), 2 * f, 0.0, lambda x_dot, f_dot: (2 * f_dot, 0.0))


def scalar(x, f) -> Head:
    """f, one number."""
    return Head(f[:, 0], np.ones_like(f), 0.0, lambda x_dot, f_dot: (np.zeros_like(f), 0.0))


def marginal(x, f) -> Head:
    """-LSE(f)."""
    pi = softmax(f, axis=1)
    bend = lambda f_dot: pi * f_dot - pi * (pi * f_dot).sum(axis=1, keepdims=True)  # noqa: E731
    return Head(-logsumexp(f, axis=1), -pi, 0.0, lambda x_dot, f_dot: (-bend(f_dot), 0.0))


def joint(f, y) -> Head:
    """-f_y."""
    rows = np.arange(len(f))
    f_bar = np.zeros_like(f)
    f_bar[rows, y] = -1.0
    return Head(-f[rows, y], f_bar, 0.0, lambda x_dot, f_dot: (np.zeros_like(f), 0.0))


FORMS = {"inner": inner, "residual": residual, "square": square, "scalar": scalar}


@record(single=True)
class NetworkEnergy:
    """E(x) = scale e(x, f(x)) + |x|^2/(2 base^2), e by ``form``: "inner", "residual", "square" or "scalar".

    network: ``er.nets.mlp(...)`` and its like; for "inner" and "residual" as many outputs as inputs, for "scalar" one.
    scale: c, any number but 0 (-1 with "scalar" for networks that give -E).  base: s0, None for no base measure.
    x: rows (batch, n_visible) or images (batch, c, height, width).  Energies in nats.  Whatever the precision of the
    network, energies and scores are float64.  A row's last bits may depend on the batch that it is in, because matrix
    products (BLAS) may sum in another order.

    >>> import ebm_ref as er
    >>> model = er.NetworkEnergy(er.nets.mlp((2, 8, 2)), "residual", base=2.0)
    >>> model.energy(np.zeros((3, 2))).shape, model.score(np.zeros((3, 2))).shape
    ((3,), (3, 2))
    """

    network: Any
    form: str = "inner"
    scale: float = 1.0
    base: float | None = None

    def check(self) -> None:
        """The form fits the outputs; the numbers are in range."""
        require_choice("form", self.form, tuple(FORMS))
        n = {"inner": self.network.n_visible, "residual": self.network.n_visible, "scalar": 1}.get(self.form)
        if n is not None and self.network.n_outputs != n:
            raise ShapeError(f"network: expected {n} outputs for form={self.form!r}, got {self.network.n_outputs}")
        if require_number("scale", self.scale) == 0:
            raise DomainError("scale: expected a number other than 0")
        if self.base is not None:
            require_positive("base", self.base)

    __repr__ = records.describe

    @property
    def n_visible(self) -> int:
        """Number of coordinates of x."""
        return self.network.n_visible

    @property
    def n_hidden(self) -> int:
        """None."""
        return 0

    @property
    def n_units(self) -> int:
        """Number of coordinates of x."""
        return self.network.n_visible

    def energy(self, x) -> np.ndarray:
        """E(x) in nats, (batch,)."""
        return derivatives.energy(self, self.network.rows("x", x), self._head)

    joint_energy = energy
    free_energy = energy

    def score(self, x) -> np.ndarray:
        """-dE/dx, (1), (batch, n_visible)."""
        return self.energy_and_score(x)[1]

    def energy_and_score(self, x) -> tuple[np.ndarray, np.ndarray]:
        """(E, -dE/dx) from one forward and one pullback."""
        return derivatives.energy_and_score(self, self.network.rows("x", x), self._head)

    def energy_gradient(self, x, weights=None) -> NetworkEnergy:
        """(2): sum_n weights_n dE(x_n)/dtheta, a record; weights default to ones."""
        return self._like(derivatives.energy_gradient(self, x, weights, self._head))

    def hessian_vector(self, x, u) -> np.ndarray:
        """(3): (d^2 E/dx^2) u, row by row, (batch, n_visible)."""
        return derivatives.hessian_vector(self, x, u, self._head)

    def mixed_product(self, x, r, weights=None) -> NetworkEnergy:
        """(4): d/dtheta sum_n weights_n r_n.dE/dx(x_n), r constant; a record."""
        return self._like(derivatives.mixed_product(self, x, r, weights, self._head))

    def score_matching_gradient(self, x, target, weights=None) -> NetworkEnergy:
        """(6): d/dtheta sum_n weights_n/2 |score(x_n) - target_n|^2; a record."""
        return self._like(derivatives.score_matching_gradient(self, x, target, weights, self._head))

    def tempered(self, beta: float) -> NetworkEnergy:
        """The law p^beta, beta > 0: beta E."""
        beta = require_positive("beta", beta)
        return NetworkEnergy(
            self.network, self.form, beta * self.scale, None if self.base is None else self.base / beta**0.5
        )

    def astype(self, dtype) -> NetworkEnergy:
        """The same energy computed in "float32" or "float64"."""
        return records.astype(self, dtype)

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz`` file that ``ebm_ref.load`` reads back bit for bit."""
        records.save(self, path)

    def _head(self, n, x, f) -> Head:
        return _scaled(FORMS[self.form](x, f), self.scale)

    def _like(self, network) -> NetworkEnergy:
        return NetworkEnergy(network, self.form, self.scale, self.base)


@record(single=True)
class JointEnergy:
    """JEM: E(x, y) = -f_y(x), E(x) = -LSE f(x), each plus |x|^2/(2 base^2); a classifier's logits read as energies.

    network: as many outputs as classes.  x as in ``NetworkEnergy``; y (batch,) class numbers.  Where y may be given,
    the energy is E(x, y), the negative logarithm of the joint law, and without it E(x).

    >>> import ebm_ref as er
    >>> model = er.JointEnergy(er.nets.mlp((2, 8, 3)))
    >>> model.class_probabilities(np.zeros((1, 2)))
    array([[0.33333333, 0.33333333, 0.33333333]])
    """

    network: Any
    base: float | None = None

    def check(self) -> None:
        """The base is in range."""
        if self.base is not None:
            require_positive("base", self.base)

    __repr__ = records.describe

    @property
    def n_visible(self) -> int:
        """Number of coordinates of x."""
        return self.network.n_visible

    @property
    def n_hidden(self) -> int:
        """None: the class is not a unit of the model."""
        return 0

    @property
    def n_units(self) -> int:
        """Number of coordinates of x."""
        return self.network.n_visible

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.network.n_outputs

    def logits(self, x) -> np.ndarray:
        """f(x), (batch, n_classes)."""
        return self.network.forward(self.network.rows("x", x))[0]

    def class_probabilities(self, x) -> np.ndarray:
        """p(y|x), (batch, n_classes)."""
        return softmax(self.logits(x), axis=1)

    def class_log_probabilities(self, x) -> np.ndarray:
        """log p(y|x) in nats, (batch, n_classes)."""
        return log_softmax(self.logits(x), axis=1)

    def energy(self, x, y=None) -> np.ndarray:
        """E(x), or E(x, y), in nats, (batch,)."""
        x = self.network.rows("x", x)
        return derivatives.energy(self, x, self._heads(y, len(x)))

    def joint_energy(self, x) -> np.ndarray:
        """E(x), (batch,): rows hold no class."""
        return self.energy(x)

    free_energy = joint_energy

    def score(self, x, y=None) -> np.ndarray:
        """-dE/dx, (batch, n_visible)."""
        return self.energy_and_score(x, y)[1]

    def energy_and_score(self, x, y=None) -> tuple[np.ndarray, np.ndarray]:
        """(E, -dE/dx) from one forward and one pullback."""
        x = self.network.rows("x", x)
        return derivatives.energy_and_score(self, x, self._heads(y, len(x)))

    def energy_gradient(self, x, weights=None, y=None) -> JointEnergy:
        """(2): sum_n weights_n dE/dtheta, a record; weights default to ones."""
        return self._like(derivatives.energy_gradient(self, x, weights, self._heads(y, len(np.asarray(x)))))

    def cross_entropy_gradient(self, x, y, weights=None) -> JointEnergy:
        """(5): sum_n weights_n d/dtheta of -log p(y_n|x_n), a record."""
        y = self._labels(y, len(np.asarray(x)))

        def head(n, x, f):
            f_bar = softmax(f, axis=1)
            f_bar[np.arange(len(f)), y[n]] -= 1.0
            return Head(None, f_bar, 0.0, None)

        return self._like(derivatives.energy_gradient(self, x, weights, head))

    def hessian_vector(self, x, u, y=None) -> np.ndarray:
        """(3): (d^2 E/dx^2) u, row by row, (batch, n_visible)."""
        return derivatives.hessian_vector(self, x, u, self._heads(y, len(np.asarray(x))))

    def mixed_product(self, x, r, weights=None, y=None) -> JointEnergy:
        """(4): d/dtheta sum_n weights_n r_n.dE/dx(x_n), r constant; a record."""
        return self._like(derivatives.mixed_product(self, x, r, weights, self._heads(y, len(np.asarray(x)))))

    def score_matching_gradient(self, x, target, weights=None, y=None) -> JointEnergy:
        """(6): d/dtheta sum_n weights_n/2 |score(x_n) - target_n|^2; a record."""
        head = self._heads(y, len(np.asarray(x)))
        return self._like(derivatives.score_matching_gradient(self, x, target, weights, head))

    def astype(self, dtype) -> JointEnergy:
        """The same energy computed in "float32" or "float64"."""
        return records.astype(self, dtype)

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz`` file that ``ebm_ref.load`` reads back bit for bit."""
        records.save(self, path)

    def _labels(self, y, n: int) -> np.ndarray:
        """Class numbers (n,), whole and in range."""
        y = as_float_array("y", y)
        require_shape("y", y, n)
        if np.any((y != np.floor(y)) | (y < 0) | (y >= self.n_classes)):
            raise DomainError(f"y: expected whole numbers from 0 to {self.n_classes - 1}, got {y}")
        return y.astype(np.int64)

    def _heads(self, y, n: int):
        labels = None if y is None else self._labels(y, n)
        return lambda rows, x, f: marginal(x, f) if labels is None else joint(f, labels[rows])

    def _like(self, network) -> JointEnergy:
        return JointEnergy(network, self.base)


def _scaled(head: Head, c: float) -> Head:
    return Head(
        c * head.e,
        c * head.f_bar,
        c * head.x_bar,
        lambda x_dot, f_dot: tuple(c * part for part in head.dots(x_dot, f_dot)),
    )
