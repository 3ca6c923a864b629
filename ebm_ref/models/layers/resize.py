"""Layers that change the size of images: upsampling, pooling, padding and cropping.  None has parameters.

Upsample  (1) y[n,c,ri+u,rj+v] = x[n,c,i,j], 0 <= u,v < r        (2) adjoint: sums over r x r blocks
AvgPool   (3) y[n,c,i,j] = r^-2 sum_{u,v} x[n,c,ri+u,rj+v] = r^-2 (2);  adjoint: r^-2 (1)
MaxPool   (4) y[n,c,i,j] = x at the first largest of its r x r block, in row-major order.  Almost everywhere the place
              does not move with x: y_dot takes x_dot from that place, x_bar puts y_bar there, and so does the tangent
Pad       (5) zeros around an image; a negative number crops.  adjoint: the opposite padding, since both drop what the
              other one adds
"""

from __future__ import annotations

import numpy as np

from ebm_ref.errors import ShapeError, require_int
from ebm_ref.kernels.resize import blocks, repeated, summed
from ebm_ref.models import record as records
from ebm_ref.models.record import record


def _pooled(name: str, shape: tuple[int, ...], r: int) -> tuple[int, ...]:
    if len(shape) != 3 or shape[1] % r or shape[2] % r:
        raise ShapeError(f"{name}: expected images whose sides {r} divides, got shape {shape}; Pad first")
    return (shape[0], shape[1] // r, shape[2] // r)


@record
class Upsample:
    """(1) nearest-neighbour upsampling by a whole factor."""

    factor: int = 2

    def check(self) -> None:
        """The factor, once, at the door."""
        require_int("factor", self.factor, 1)

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(c, h, w) -> (c, r h, r w)."""
        return (shape[0], shape[1] * self.factor, shape[2] * self.factor)

    def forward(self, x):
        """(y, cache)."""
        return repeated(x, self.factor), None

    def pullback(self, cache, y_bar):
        """(2) x_bar."""
        return summed(y_bar, self.factor)

    def vjp(self, cache, y_bar):
        """(x_bar, gradient)."""
        return summed(y_bar, self.factor), self

    def jvp(self, cache, x_dot):
        """(1) y_dot."""
        return repeated(x_dot, self.factor)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(x_bar_dot, gradient_dot)."""
        return summed(y_bar_dot, self.factor), self


@record
class AvgPool:
    """(3) means over blocks of r x r; r divides the sides."""

    size: int = 2

    def check(self) -> None:
        """The size, once, at the door."""
        require_int("size", self.size, 1)

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(c, h, w) -> (c, h/r, w/r)."""
        return _pooled("AvgPool", shape, self.size)

    def forward(self, x):
        """(y, cache)."""
        return self.jvp(None, x), None

    def pullback(self, cache, y_bar):
        """(3) x_bar."""
        return repeated(y_bar, self.size, self.size**2)

    def vjp(self, cache, y_bar):
        """(x_bar, gradient)."""
        return self.pullback(cache, y_bar), self

    def jvp(self, cache, x_dot):
        """(3) y_dot."""
        return summed(x_dot, self.size, self.size**2)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(x_bar_dot, gradient_dot)."""
        return self.pullback(cache, y_bar_dot), self


@record
class MaxPool:
    """(4) the largest of each block of r x r; a tie goes to the first in row-major order."""

    size: int = 2

    def check(self) -> None:
        """The size, once, at the door."""
        require_int("size", self.size, 1)

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(c, h, w) -> (c, h/r, w/r)."""
        return _pooled("MaxPool", shape, self.size)

    def forward(self, x):
        """(y, cache): the cache is the place of each largest."""
        rows = self._rows(x)
        place = rows.real.argmax(axis=-1)[..., None]  # (N, C, H/r, W/r, 1)
        return np.take_along_axis(rows, place, -1)[..., 0], place

    def pullback(self, cache, y_bar):
        """(4) x_bar."""
        N, C, H, W = y_bar.shape
        r = self.size
        rows = np.zeros((N, C, H, W, r * r), y_bar.dtype)
        np.put_along_axis(rows, cache, y_bar[..., None], -1)
        return rows.reshape(N, C, H, W, r, r).swapaxes(3, 4).reshape(N, C, H * r, W * r)

    def vjp(self, cache, y_bar):
        """(x_bar, gradient)."""
        return self.pullback(cache, y_bar), self

    def jvp(self, cache, x_dot):
        """(4) y_dot."""
        return np.take_along_axis(self._rows(x_dot), cache, -1)[..., 0]

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(x_bar_dot, gradient_dot)."""
        return self.pullback(cache, y_bar_dot), self

    def _rows(self, x: np.ndarray) -> np.ndarray:
        """(N, C, H/r, W/r, r^2)."""
        parts = blocks(x, self.size).swapaxes(3, 4)
        return parts.reshape(*parts.shape[:4], self.size**2)


@record
class Pad:
    """(5) zeros around images: (top, bottom, left, right); negative numbers crop."""

    sides: tuple[int, int, int, int]

    def check(self) -> None:
        """Four whole numbers, at the door."""
        if len(self.sides) != 4:
            raise ShapeError(f"sides: expected (top, bottom, left, right), got {self.sides}")

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(c, h, w) -> (c, top + h + bottom, left + w + right)."""
        top, bottom, left, right = self.sides
        made = (shape[0], top + shape[1] + bottom, left + shape[2] + right)
        if min(made) < 1:
            raise ShapeError(f"Pad: {self.sides} leaves nothing of images of shape {shape}")
        return made

    def forward(self, x):
        """(y, cache)."""
        return padded(x, self.sides), None

    def pullback(self, cache, y_bar):
        """(5) x_bar."""
        top, bottom, left, right = self.sides
        return padded(y_bar, (-top, -bottom, -left, -right))

    def vjp(self, cache, y_bar):
        """(x_bar, gradient)."""
        return self.pullback(cache, y_bar), self

    def jvp(self, cache, x_dot):
        """(5) y_dot."""
        return padded(x_dot, self.sides)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(x_bar_dot, gradient_dot)."""
        return self.pullback(cache, y_bar_dot), self


def padded(x: np.ndarray, sides: tuple[int, int, int, int]) -> np.ndarray:
    """(5)."""
    top, bottom, left, right = sides
    N, C, H, W = x.shape
    y = np.zeros((N, C, top + H + bottom, left + W + right), x.dtype)
    h, w = y.shape[2:]
    inner = x[:, :, max(0, -top) : H - max(0, -bottom), max(0, -left) : W - max(0, -right)]
    y[:, :, max(0, top) : h - max(0, bottom), max(0, left) : w - max(0, right)] = inner
    return y
