"""Convolution and transposed convolution of images, NCHW.  Sums over windows: kernels/conv.py (1)-(3).

Write w * x for the correlation, w *' y for its adjoint in x, and x <> y for its adjoint in w:
<w * x, y> = <x, w *' y> = <w, x <> y>, trilinear in (x, w, y).

Conv2d            y = W * x + b                            ConvTranspose2d    y = W *' x + b
(1) x_bar = W *' y_bar                                     x_bar = W * y_bar
(2) W_bar = x <> y_bar,  b_bar = sum_{n,i,j} y_bar         W_bar = y_bar <> x,  b_bar = sum_{n,i,j} y_bar
(3) y_dot = W * x_dot                                      y_dot = W *' x_dot
(4) tangent of (1), (2), W held, by the product rule:
    x_bar_dot = W *' y_bar_dot                             x_bar_dot = W * y_bar_dot
    W_bar_dot = x_dot <> y_bar + x <> y_bar_dot            W_bar_dot = y_bar <> x_dot + y_bar_dot <> x
    b_bar_dot = sum_{n,i,j} y_bar_dot                      the same
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ebm_ref.errors import DomainError, ShapeError, require_int, require_shape
from ebm_ref.kernels.conv import (
    Rows,
    correlate,
    correlate_adjoint,
    kernel_gradient,
    kernel_rows,
    output_size,
)
from ebm_ref.models import record as records
from ebm_ref.models.record import record

OVER_IMAGES = (0, 2, 3)


@record(single=True)
class Conv2d:
    """Convolution: W (n_out, n_in, kh, kw), b (n_out,); sides become floor((side + 2 padding - k)/stride) + 1."""

    W: np.ndarray
    b: np.ndarray
    stride: int = 1
    padding: int = 0

    def check(self) -> None:
        """Shapes, once, at the door."""
        require_shape("b", self.b, require_shape("W", self.W, None, None, None, None)[0])
        require_int("stride", self.stride, 1)
        require_int("padding", self.padding)

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(n_in, h, w) -> (n_out, ho, wo)."""
        _, h, w = _image("Conv2d", shape, self.W.shape[1])
        ho, wo = (output_size(s, k, self.stride, self.padding) for s, k in zip((h, w), self.W.shape[2:], strict=True))
        if ho < 1 or wo < 1:
            raise ShapeError(f"Conv2d: a window of {self.W.shape[2:]} does not fit images of {h} x {w}")
        return (len(self.W), ho, wo)

    def forward(self, x):
        """(y, cache)."""
        return correlate(x, self.W, self.stride, self.padding, self.b, self._rows), x

    def pullback(self, cache, y_bar):
        """(1) x_bar."""
        return correlate_adjoint(y_bar, self.W, self.stride, self.padding, cache.shape[2:], rows=self._rows)

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (1), (2)."""
        W_bar = kernel_gradient(cache, y_bar, *self._window)
        return self.pullback(cache, y_bar), self._gradient(W_bar, y_bar)

    def jvp(self, cache, x_dot):
        """(3) y_dot."""
        return correlate(x_dot, self.W, self.stride, self.padding, rows=self._rows)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(4) (x_bar_dot, gradient_dot)."""
        W_bar_dot = kernel_gradient(x_dot, y_bar, *self._window) + kernel_gradient(cache, y_bar_dot, *self._window)
        return self.pullback(cache, y_bar_dot), self._gradient(W_bar_dot, y_bar_dot)

    @cached_property
    def _rows(self) -> Rows | None:
        return kernel_rows(self.W, self.stride) if self.W.dtype.kind == "f" else None

    @property
    def _window(self) -> tuple[int, int, int, int]:
        return (*self.W.shape[2:], self.stride, self.padding)

    def _gradient(self, W_bar, y_bar) -> Conv2d:
        return Conv2d(W_bar, y_bar.sum(axis=OVER_IMAGES), self.stride, self.padding)


@record(single=True)
class ConvTranspose2d:
    """The adjoint of a convolution: W (n_in, n_out, kh, kw), b (n_out,).

    Sides become (side - 1) stride - 2 padding + k + output_padding, output_padding < stride.
    """

    W: np.ndarray
    b: np.ndarray
    stride: int = 1
    padding: int = 0
    output_padding: int = 0

    def check(self) -> None:
        """Shapes, once, at the door."""
        require_shape("b", self.b, require_shape("W", self.W, None, None, None, None)[1])
        require_int("stride", self.stride, 1)
        require_int("padding", self.padding)
        if require_int("output_padding", self.output_padding) >= self.stride:
            raise DomainError(
                f"output_padding: expected a number below the stride {self.stride}, got {self.output_padding}"
            )

    __repr__ = records.describe

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(n_in, h, w) -> (n_out, ho, wo)."""
        _, h, w = _image("ConvTranspose2d", shape, self.W.shape[0])
        ho, wo = self._size(h, w)
        if ho < 1 or wo < 1:
            raise ShapeError(f"ConvTranspose2d: the padding {self.padding} leaves nothing of images of {h} x {w}")
        return (self.W.shape[1], ho, wo)

    def _size(self, h: int, w: int) -> tuple[int, int]:
        kh, kw = self.W.shape[2:]
        more = self.output_padding - 2 * self.padding
        return (h - 1) * self.stride + kh + more, (w - 1) * self.stride + kw + more

    def forward(self, x):
        """(y, cache)."""
        size = self._size(*x.shape[2:])
        return correlate_adjoint(x, self.W, self.stride, self.padding, size, self.b, self._rows), x

    def pullback(self, cache, y_bar):
        """(1) x_bar."""
        return correlate(y_bar, self.W, self.stride, self.padding, rows=self._rows)

    def vjp(self, cache, y_bar):
        """(x_bar, gradient): (1), (2)."""
        W_bar = kernel_gradient(y_bar, cache, *self._window)
        return self.pullback(cache, y_bar), self._gradient(W_bar, y_bar)

    def jvp(self, cache, x_dot):
        """(3) y_dot."""
        size = self._size(*x_dot.shape[2:])
        return correlate_adjoint(x_dot, self.W, self.stride, self.padding, size, rows=self._rows)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(4) (x_bar_dot, gradient_dot)."""
        W_bar_dot = kernel_gradient(y_bar, x_dot, *self._window) + kernel_gradient(y_bar_dot, cache, *self._window)
        return self.pullback(cache, y_bar_dot), self._gradient(W_bar_dot, y_bar_dot)

    @cached_property
    def _rows(self) -> Rows | None:
        return kernel_rows(self.W, self.stride) if self.W.dtype.kind == "f" else None

    @property
    def _window(self) -> tuple[int, int, int, int]:
        return (*self.W.shape[2:], self.stride, self.padding)

    def _gradient(self, W_bar, y_bar) -> ConvTranspose2d:
        bias = y_bar.sum(axis=OVER_IMAGES)
        return ConvTranspose2d(W_bar, bias, self.stride, self.padding, self.output_padding)


def _image(name: str, shape: tuple[int, ...], channels: int) -> tuple[int, ...]:
    if len(shape) != 3 or shape[0] != channels:
        raise ShapeError(f"{name}: expected images of shape ({channels}, height, width), got {shape}")
    return shape
