"""What depends on a sample's time t: a bias for each channel; a factor.        [Vaswani et al. 2017; Ho et al. 2020]

TimeBias    e(t) = [sin(w_k t), cos(w_k t)],  w_k = 10000^(-k/K), k = 0 ... K-1   e (batch, 2K)
(1) y[n,c,...] = x[n,c,...] + (e(t_n) W + b)_c                                   W (2K, channels), b (channels,)
(2) x_bar = y_bar;  with q[n,c] = sum over pixels of y_bar:  W_bar = e'q,  b_bar = sum_n q
(3) y_dot = x_dot;  x_bar_dot = y_bar_dot;  (2) is linear in y_bar, so its tangent is (2) with y_bar_dot
TimeScale   t = 0, 1, ... counts levels, c_t are constants
(4) y = c_t x;  x_bar = c_t y_bar;  y_dot = c_t x_dot;  x_bar_dot = c_t y_bar_dot
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
        half = len(self.W) // 2
        angles = _times(self.t, n)[:, None] * 10_000.0 ** (-np.arange(half) / half)
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


@record
class TimeScale:
    """(4); ``factors`` has c_t of every level; ``t`` as in ``TimeBias``."""

    factors: tuple[float, ...]
    t: float | tuple[float, ...] | None = None

    def check(self) -> None:
        """Finite numbers, at least one."""
        if not isinstance(self.factors, tuple) or not self.factors:
            raise ShapeError(f"factors: expected a tuple of one or more numbers, got {self.factors!r}")
        require_finite("factors", np.array(self.factors, np.float64))

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Unchanged."""
        return shape

    def forward(self, x):
        """(y, cache)."""
        t = _times(self.t, len(x))
        if not np.isin(t, np.arange(len(self.factors))).all():
            raise DomainError(f"t: expected whole numbers from 0 to {len(self.factors) - 1}, got {self.t}")
        c = np.array(self.factors)[t.astype(np.int64)].astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
        return c * x, c

    def pullback(self, cache, y_bar):
        """(4) x_bar."""
        return cache * y_bar

    def vjp(self, cache, y_bar):
        """(4) (x_bar, gradient)."""
        return cache * y_bar, self

    def jvp(self, cache, x_dot):
        """(4) y_dot."""
        return cache * x_dot

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(4) (x_bar_dot, gradient_dot)."""
        return cache * y_bar_dot, self


def _times(t: float | tuple[float, ...] | None, n: int) -> np.ndarray:
    """The times of n samples."""
    if t is None:
        raise DomainError("t: expected a time; bind one with er.nets.at_time(network, t)")
    times = np.full(n, t, np.float64) if np.ndim(t) == 0 else np.asarray(t)
    require_shape("t", times, n)
    return times


TIMED = (TimeBias, TimeScale)


def at_time(network, t):
    """The network, or an energy made of one, at time ``t``: a number, or one number for each row of the batch."""
    times = as_float_array("t", t)
    require_finite("t", times)
    if times.ndim > 1:
        require_shape("t", times, None)
    bound = tuple(times.tolist()) if times.ndim else float(times)
    bind = lambda part: dataclasses.replace(part, t=bound) if isinstance(part, TIMED) else part  # noqa: E731
    return records.partwise(bind, network)


def row_times(part) -> tuple[float, ...] | None:
    """The times that ``at_time`` bound, if one for each row of a batch."""
    if isinstance(part, TIMED):
        return part.t if isinstance(part.t, tuple) else None
    values = (getattr(part, field.name) for field in dataclasses.fields(part))
    return next(filter(None, (row_times(inner) for value in values for inner in records.parts_of(value) or ())), None)
