"""Group normalisation: each sample's channels in groups of equal size, each group to mean 0 and variance 1.

Over the m elements of a group, with mean and variance written mean(.), var = mean((x - mean x)^2):   [Wu & He 2018]
(1) s = sqrt(var + eps),   xh = (x - mean x)/s,   y = gain xh + shift
(2) s_dot = mean(xh x_dot), since s s_dot = mean((x - mean x)(x_dot - mean x_dot)) and mean xh = 0
(3) xh_dot = (x_dot - mean x_dot - xh s_dot)/s,    y_dot = gain xh_dot
(4) the map x_dot -> xh_dot in (3) is symmetric; with g = gain y_bar
    x_bar = (g - mean g - xh mean(g xh))/s,    gain_bar = sum y_bar xh,    shift_bar = sum y_bar
(5) tangent of (4), g_dot = gain y_bar_dot:
    x_bar_dot = (g_dot - mean g_dot - xh_dot mean(g xh) - xh mean(g_dot xh + g xh_dot))/s - (s_dot/s) x_bar
    gain_bar_dot = sum (y_bar_dot xh + y_bar xh_dot),    shift_bar_dot = sum y_bar_dot
gain and shift have one number a channel; the sums run over samples and pixels.  n_groups = 1 is layer normalisation.
Never normalised over the batch: E would then not be a function of one x.
"""

from __future__ import annotations

import numpy as np

from ebm_ref.errors import DomainError, ShapeError, require_int, require_positive, require_shape
from ebm_ref.models import record as records
from ebm_ref.models.record import record


@record(single=True)
class GroupNorm:
    """(1); gain (channels,), shift (channels,); n_groups divides the channels.  x (batch, channels, ...)."""

    gain: np.ndarray
    shift: np.ndarray
    n_groups: int = 1
    eps: float = 1e-5

    def check(self) -> None:
        """Shapes, once, at the door."""
        (n,) = require_shape("gain", self.gain, None)
        require_shape("shift", self.shift, n)
        require_positive("eps", self.eps)
        if n % require_int("n_groups", self.n_groups, 1):
            raise DomainError(f"n_groups: expected a divisor of {n} channels, got {self.n_groups}")

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Unchanged."""
        if shape[0] != len(self.gain):
            raise ShapeError(f"GroupNorm: expected {len(self.gain)} channels, got shape {shape}")
        return shape

    def forward(self, x):
        """(y, cache)."""
        groups = self._groups(x)
        away = groups - _mean(groups)
        s = np.sqrt(_mean(away * away) + self.eps)
        xh = away / s  # (batch, groups, m)
        return self._per_channel(self.gain, x) * xh.reshape(x.shape) + self._per_channel(self.shift, x), (xh, s)

    def pullback(self, cache, y_bar):
        """(4) x_bar."""
        xh, s = cache
        g = self._groups(self._per_channel(self.gain, y_bar) * y_bar)
        return ((g - _mean(g) - xh * _mean(g * xh)) / s).reshape(y_bar.shape)

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (4)."""
        xh = cache[0].reshape(y_bar.shape)
        return self.pullback(cache, y_bar), self._gradient(y_bar * xh, y_bar)

    def jvp(self, cache, x_dot):
        """(3) y_dot."""
        return self._per_channel(self.gain, x_dot) * self._normal_dot(cache, x_dot)[0].reshape(x_dot.shape)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(5) (x_bar_dot, gradient_dot)."""
        xh, s = cache
        xh_dot, s_dot = self._normal_dot(cache, x_dot)
        gain = self._per_channel(self.gain, y_bar)
        g, g_dot = self._groups(gain * y_bar), self._groups(gain * y_bar_dot)
        bent = g_dot - _mean(g_dot) - xh_dot * _mean(g * xh) - xh * _mean(g_dot * xh + g * xh_dot)
        x_bar_dot = (bent / s).reshape(y_bar.shape) - (s_dot / s * self._groups(self.pullback(cache, y_bar))).reshape(
            y_bar.shape
        )
        flat = y_bar.shape
        return x_bar_dot, self._gradient(y_bar_dot * xh.reshape(flat) + y_bar * xh_dot.reshape(flat), y_bar_dot)

    def _normal_dot(self, cache, x_dot):
        """(2), (3): (xh_dot, s_dot)."""
        xh, s = cache
        groups = self._groups(x_dot)
        s_dot = _mean(xh * groups)
        return (groups - _mean(groups) - xh * s_dot) / s, s_dot

    def _groups(self, x):
        """(batch, groups, m)."""
        return x.reshape(len(x), self.n_groups, -1)

    def _per_channel(self, values, x):
        return values.reshape(-1, *(1,) * (x.ndim - 2))

    def _gradient(self, gain_bar, shift_bar) -> GroupNorm:
        over = (0, *range(2, gain_bar.ndim))
        return GroupNorm(gain_bar.sum(axis=over), shift_bar.sum(axis=over), self.n_groups, self.eps)


def _mean(groups):
    return groups.mean(axis=2, keepdims=True)
