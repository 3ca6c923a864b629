"""Layers made of layers: a chain, a residual branch, a skip that is concatenated.  A U-Net is no more than these.

Sequential  y = f_L(... f_1(x))      (1) tangents run through f_1 ... f_L, cotangents through f_L ... f_1 (chain rule)
                                     (2) the tangent of the vjp needs at each layer its x_dot (forward) and y_bar
                                         (backward): x_bar_dot, theta_bar_dot = rvjp_l(x_dot_l, y_bar_l, y_bar_dot_l)
                                         ``tangents`` and ``cotangents`` keep those of all layers for ``rvjp_from``
Residual    y = x + f(x)             (3) x_bar = y_bar + vjp_f(y_bar);  likewise y_dot and x_bar_dot
Concat      y = [x, f(x)] along the channels, axis 1
                                     (4) y_bar = [p, q]:  x_bar = p + vjp_f(q);  y_dot = [x_dot, jvp_f(x_dot)]
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ebm_ref.errors import ShapeError
from ebm_ref.kernels.room import added, copied, empty
from ebm_ref.models import record as records
from ebm_ref.models.record import record


@record
class Sequential:
    """One layer after another."""

    layers: tuple[Any, ...]

    def check(self) -> None:
        """At least one layer."""
        if not isinstance(self.layers, tuple) or records.parts_of(self.layers) is None:
            raise ShapeError(f"layers: expected a tuple of one or more layers, got {self.layers!r}")

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Through all layers."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def forward(self, x):
        """(y, cache)."""
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x)
            caches.append(cache)
        return x, tuple(caches)

    def pullback(self, cache, y_bar):
        """(1) x_bar."""
        for layer, kept in zip(reversed(self.layers), reversed(cache), strict=True):
            y_bar = layer.pullback(kept, y_bar)
        return y_bar

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (1)."""
        gradients = []
        for layer, kept in zip(reversed(self.layers), reversed(cache), strict=True):
            y_bar, gradient = layer.vjp(kept, y_bar)
            gradients.append(gradient)
        return y_bar, Sequential(tuple(reversed(gradients)))

    def jvp(self, cache, x_dot):
        """(1) y_dot."""
        return self.tangents(cache, x_dot)[0]

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(2) (x_bar_dot, gradient_dot)."""
        return self.rvjp_from(cache, self.tangents(cache, x_dot)[1], self.cotangents(cache, y_bar)[1], y_bar_dot)

    def tangents(self, cache, x_dot):
        """(y_dot, dots)."""
        dots = []
        for layer, kept in zip(self.layers, cache, strict=True):
            x_dot, dot = tangents(layer, kept, x_dot)
            dots.append(dot)
        return x_dot, tuple(dots)

    def cotangents(self, cache, y_bar):
        """(x_bar, bars)."""
        bars = []
        for layer, kept in zip(reversed(self.layers), reversed(cache), strict=True):
            y_bar, bar = cotangents(layer, kept, y_bar)
            bars.append(bar)
        return y_bar, tuple(reversed(bars))

    def rvjp_from(self, cache, dots, bars, y_bar_dot):
        """(2) (x_bar_dot, gradient_dot)."""
        gradients = []
        for layer, kept, dot, bar in zip(*map(reversed, (self.layers, cache, dots, bars)), strict=True):
            y_bar_dot, gradient = rvjp_from(layer, kept, dot, bar, y_bar_dot)
            gradients.append(gradient)
        return y_bar_dot, Sequential(tuple(reversed(gradients)))


@record
class Residual:
    """y = x + f(x)."""

    branch: Any

    def check(self) -> None:
        """The branch is a layer."""
        _require_layer(self.branch)

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Unchanged: f keeps the shape."""
        made = self.branch.output_shape(shape)
        if made != shape:
            raise ShapeError(f"Residual: expected a branch that keeps the shape {shape}, got {made}")
        return shape

    def forward(self, x):
        """(y, cache)."""
        y, cache = self.branch.forward(x)
        return added(x, y), cache

    def pullback(self, cache, y_bar):
        """(3) x_bar."""
        return added(y_bar, self.branch.pullback(cache, y_bar))

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (3)."""
        x_bar, gradient = self.branch.vjp(cache, y_bar)
        return added(y_bar, x_bar), Residual(gradient)

    def jvp(self, cache, x_dot):
        """(3) y_dot."""
        return self.tangents(cache, x_dot)[0]

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(3) (x_bar_dot, gradient_dot)."""
        return self.rvjp_from(cache, self.tangents(cache, x_dot)[1], self.cotangents(cache, y_bar)[1], y_bar_dot)

    def tangents(self, cache, x_dot):
        """(y_dot, dots)."""
        y_dot, dots = tangents(self.branch, cache, x_dot)
        return added(x_dot, y_dot), dots

    def cotangents(self, cache, y_bar):
        """(x_bar, bars)."""
        x_bar, bars = cotangents(self.branch, cache, y_bar)
        return added(y_bar, x_bar), bars

    def rvjp_from(self, cache, dots, bars, y_bar_dot):
        """(3) (x_bar_dot, gradient_dot)."""
        x_bar_dot, gradient = rvjp_from(self.branch, cache, dots, bars, y_bar_dot)
        return added(y_bar_dot, x_bar_dot), Residual(gradient)


@record
class Concat:
    """y = [x, f(x)]: the skip connection of a U-Net."""

    branch: Any

    def check(self) -> None:
        """The branch is a layer."""
        _require_layer(self.branch)

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(c, h, w) -> (c + c', h, w)."""
        made = self.branch.output_shape(shape)
        if made[1:] != shape[1:]:
            raise ShapeError(f"Concat: expected a branch that keeps the size {shape[1:]}, got {made[1:]}")
        return (shape[0] + made[0], *shape[1:])

    def forward(self, x):
        """(y, cache)."""
        y, cache = self.branch.forward(x)
        return _joined(x, y), (x.shape[1], cache)

    def pullback(self, cache, y_bar):
        """(4) x_bar."""
        n, inner = cache
        return added(y_bar[:, :n], self.branch.pullback(inner, copied(y_bar[:, n:])))

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (4)."""
        n, inner = cache
        x_bar, gradient = self.branch.vjp(inner, copied(y_bar[:, n:]))
        return added(y_bar[:, :n], x_bar), Concat(gradient)

    def jvp(self, cache, x_dot):
        """(4) y_dot."""
        return self.tangents(cache, x_dot)[0]

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(4) (x_bar_dot, gradient_dot)."""
        return self.rvjp_from(cache, self.tangents(cache, x_dot)[1], self.cotangents(cache, y_bar)[1], y_bar_dot)

    def tangents(self, cache, x_dot):
        """(y_dot, dots)."""
        y_dot, dots = tangents(self.branch, cache[1], x_dot)
        return _joined(x_dot, y_dot), dots

    def cotangents(self, cache, y_bar):
        """(4) (x_bar, bars)."""
        n, inner = cache
        x_bar, bars = cotangents(self.branch, inner, copied(y_bar[:, n:]))
        return added(y_bar[:, :n], x_bar), bars

    def rvjp_from(self, cache, dots, bars, y_bar_dot):
        """(4) (x_bar_dot, gradient_dot)."""
        n, inner = cache
        x_bar_dot, gradient = rvjp_from(self.branch, inner, dots, bars, copied(y_bar_dot[:, n:]))
        return added(y_bar_dot[:, :n], x_bar_dot), Concat(gradient)


# of any layer: one without layers within keeps x_dot and y_bar themselves ---------------------------------------------


def tangents(layer: Any, cache: Any, x_dot: Any) -> tuple[Any, Any]:
    """(y_dot, dots): ``jvp``, and what ``rvjp_from`` needs of the way there."""
    return layer.tangents(cache, x_dot) if hasattr(layer, "tangents") else (layer.jvp(cache, x_dot), x_dot)


def cotangents(layer: Any, cache: Any, y_bar: Any) -> tuple[Any, Any]:
    """(x_bar, bars): ``pullback``, and what ``rvjp_from`` needs of the way back."""
    return layer.cotangents(cache, y_bar) if hasattr(layer, "cotangents") else (layer.pullback(cache, y_bar), y_bar)


def rvjp_from(layer: Any, cache: Any, dots: Any, bars: Any, y_bar_dot: Any) -> tuple[Any, Any]:
    """(x_bar_dot, gradient_dot): ``rvjp``."""
    return (layer.rvjp_from if hasattr(layer, "rvjp_from") else layer.rvjp)(cache, dots, bars, y_bar_dot)


def _joined(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[x, y] along the channels."""
    n = x.shape[1]
    both = empty((len(x), n + y.shape[1], *x.shape[2:]), np.result_type(x, y))
    both[:, :n], both[:, n:] = x, y
    return both


def numbers_made(layer: Any, shape: tuple[int, ...]) -> int:
    """How many numbers a layer, and those within it, make of one input."""
    if isinstance(layer, Sequential):
        total = 0
        for part in layer.layers:
            total, shape = total + numbers_made(part, shape), part.output_shape(shape)
        return total
    within = numbers_made(layer.branch, shape) if isinstance(layer, (Residual, Concat)) else 0
    return within + math.prod(layer.output_shape(shape))


def _require_layer(branch: Any) -> None:
    if not hasattr(branch, "rvjp"):
        raise ShapeError(f"branch: expected a layer, got {type(branch).__name__}")
