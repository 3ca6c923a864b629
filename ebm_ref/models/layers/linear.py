"""Linear layer and flattening.

y = x W + b,   x (batch, n_in), W (n_in, n_out), b (n_out,), y (batch, n_out)
(1) <x_dot W, y_bar> = <x_dot, y_bar W'>, so x_bar = y_bar W'
(2) <x W_dot, y_bar> = <W_dot, x' y_bar>, so W_bar = x' y_bar;   b_bar = sum_n y_bar_n
(3) y_dot = x_dot W: the layer is linear in x
(4) tangent of (1), (2) along (x_dot, y_bar_dot), W held:  x_bar_dot = y_bar_dot W',
    W_bar_dot = x_dot' y_bar + x' y_bar_dot,   b_bar_dot = sum_n y_bar_dot_n
"""

from __future__ import annotations

import math

import numpy as np

from ebm_ref.errors import ShapeError, require_shape
from ebm_ref.models import record as records
from ebm_ref.models.record import record


@record(single=True)
class Linear:
    """y = x W + b; W (n_in, n_out), b (n_out,).

    >>> Linear([[1.0, 2.0]], [0.0, 1.0]).forward(np.array([[3.0]]))[0]
    array([[3., 7.]])
    """

    W: np.ndarray
    b: np.ndarray

    def check(self) -> None:
        """Shapes, once, at the door."""
        require_shape("b", self.b, require_shape("W", self.W, None, None)[1])

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(n_in,) -> (n_out,)."""
        if shape != (self.W.shape[0],):
            raise ShapeError(f"Linear: expected inputs of shape ({self.W.shape[0]},), got {shape}; Flatten first")
        return (self.W.shape[1],)

    def forward(self, x):
        """(y, cache)."""
        return x @ self.W + self.b, x

    def pullback(self, cache, y_bar):
        """(1) x_bar."""
        return y_bar @ self.W.T

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (1), (2)."""
        return self.pullback(cache, y_bar), Linear(cache.T @ y_bar, y_bar.sum(axis=0))

    def jvp(self, cache, x_dot):
        """(3) y_dot."""
        return x_dot @ self.W

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(4) (x_bar_dot, gradient_dot)."""
        W_bar_dot = x_dot.T @ y_bar + cache.T @ y_bar_dot
        return y_bar_dot @ self.W.T, Linear(W_bar_dot, y_bar_dot.sum(axis=0))


@record
class Flatten:
    """(batch, c, h, w) -> (batch, c h w), row-major; its adjoint and its tangent reshape too."""

    def check(self) -> None:
        """Nothing to check."""

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Any shape -> its number of elements."""
        return (math.prod(shape),)

    def forward(self, x):
        """(y, cache)."""
        return x.reshape(len(x), -1), x.shape

    def pullback(self, cache, y_bar):
        """x_bar."""
        return y_bar.reshape(cache)

    def vjp(self, cache, y_bar):
        """(x_bar, gradient)."""
        return y_bar.reshape(cache), self

    def jvp(self, cache, x_dot):
        """y_dot."""
        return x_dot.reshape(len(x_dot), -1)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(x_bar_dot, gradient_dot)."""
        return y_bar_dot.reshape(cache), self
