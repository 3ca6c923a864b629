"""Time embedding: a bias for each channel that depends on the sample's time t.   [Vaswani et al. 2017; Ho et al. 2020]

e(t) = [sin(w_k t), cos(w_k t)],  w_k = 10000^(-k/K), k = 0 ... K-1              e (batch, 2K)
(1) y[n,c,...] = x[n,c,...] + (e(t_n) W + b)_c                                   W (2K, channels), b (channels,)
(2) x_bar = y_bar;  with q[n,c] = sum over pixels of y_bar:  W_bar = e'q,  b_bar = sum_n q
(3) y_dot = x_dot;  x_bar_dot = y_bar_dot;  (2) is linear in y_bar, so its tangent is (2) with y_bar_dot
t is no variable of E(x): ``at_time(network, t)`` binds it, and what it returns is a function of x alone.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ebm_ref.errors import DomainError, ShapeError, as_float_array, require_finite, require_shape
from ebm_ref.kernels.room import added
from ebm_ref.models import record as records
from ebm_ref.models.record import record


@record(single=True)
class TimeBias:
    """(1); ``t`` is one time for all samples or a tuple of one time each, None until ``at_time`` binds it."""

    W: np.ndarray
    b: np.ndarray
    t: float | tuple[float, ...] | None = None

    def check(self) -> None:
        """Shapes, once, at the door."""
        n, channels = require_shape("W", self.W, None, None)
        require_shape("b", self.b, channels)
        if n % 2 or not n:
            raise ShapeError(f"W: expected an even number of rows, sines and cosines, got {n}")

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Unchanged."""
        if shape[0] != len(self.b):
            raise ShapeError(f"TimeBias: expected {len(self.b)} channels, got shape {shape}")
        return shape

    def embedding(self, n: int) -> np.ndarray:
        """e(t) of n samples, (n, 2K)."""
        if self.t is None:
            raise DomainError("t: expected a time; bind one with er.nets.at_time(network, t)")
        t = np.broadcast_to(np.asarray(self.t, np.float64), (n,)) if np.ndim(self.t) == 0 else np.asarray(self.t)
        require_shape("t", t, n)
        half = len(self.W) // 2
        angles = t[:, None] * 10_000.0 ** (-np.arange(half) / half)
        return np.hstack([np.sin(angles), np.cos(angles)]).astype(self.W.dtype)

    def forward(self, x):
        """(y, cache)."""
        e = self.embedding(len(x))
        return added(x, (e @ self.W + self.b).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))), e

    def pullback(self, cache, y_bar):
        """(2) x_bar."""
        return y_bar

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (2)."""
        q = y_bar.reshape(*y_bar.shape[:2], -1).sum(axis=2)
        return y_bar, TimeBias(cache.T @ q, q.sum(axis=0), self.t)

    def jvp(self, cache, x_dot):
        """(3) y_dot."""
        return x_dot

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(3) (x_bar_dot, gradient_dot)."""
        return self.vjp(cache, y_bar_dot)


def at_time(network, t):
    """The network, or an energy made of one, at time ``t``: a number, or one number for each row of the batch."""
    times = as_float_array("t", t)
    require_finite("t", times)
    if times.ndim > 1:
        require_shape("t", times, None)
    bound = tuple(times.tolist()) if times.ndim else float(times)
    bind = lambda part: dataclasses.replace(part, t=bound) if isinstance(part, TimeBias) else part  # noqa: E731
    return records.partwise(bind, network)


def row_times(part) -> tuple[float, ...] | None:
    """The times that ``at_time`` bound, if one for each row of a batch."""
    if isinstance(part, TimeBias):
        return part.t if isinstance(part.t, tuple) else None
    values = (getattr(part, field.name) for field in dataclasses.fields(part))
    return next(filter(None, (row_times(inner) for value in values for inner in records.parts_of(value) or ())), None)
