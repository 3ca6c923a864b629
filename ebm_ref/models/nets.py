"""Networks for deep energies: a graph of layers with the shape of its input, and the ones in common use.

(1) mlp       x -> [linear, activation] ... -> linear                         sizes (d, ..., n_outputs)
(2) convnet   image -> conv 5x5 stride 2 padding 4 -> [conv 3x3 stride 2 padding 1] ... -> linear -> linear, each but
              the last followed by an activation; for 28 x 28 the sides are 16, 8, 4, 2         [UvA DL tutorial 8]
(3) unet      image -> conv 3x3 -> down ... middle ... up -> conv 3x3 -> image of the same shape.  Down keeps its output
              as a skip and halves it by averages; up doubles by repetition and puts the skip beside it; every step is
              [conv 3x3, activation] twice.  Sides are padded with zeros to a multiple of 2^levels and cropped at the
              end (28 -> 32).  With a stride s the first convolution is 2s x 2s of stride s and the last its transpose,
              so that all between works on images s times smaller.                     [Ronneberger et al. 2015]
(4) conditioned   at noise level t, x~ = x + sigma_t z, coordinates of x of mean square d^2, s_t^2 = sigma_t^2 + d^2:
              f(x~, t) = skip_t x~ + (sigma_t d/s_t) g(x~/s_t, t), g the network: its inputs have mean square 1 at every
              level, and so has what it must give where f denoises, f = x  (skip_t = d^2/s_t^2), or finds the noise,
              f = x~ - x  (skip_t = sigma_t^2/s_t^2)                                       [Karras et al. 2022, table 1]
              "inner": E = x~.f/2 is sigma_t^2 |u|^2/2 + sigma_t d u.g(u)/2 with u = x~/s_t, so for g = 0 the law
              exp(-E/sigma_t^2) is N(0, s_t^2 I) and the network says how it differs from that
Weights start as N(0, 2/n) for n inputs to a unit, those of the last layer as N(0, 1/n), biases as 0: an activation
passes about half of the variance on.                                                              [He et al. 2015]
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, ShapeError, require_choice, require_int, require_positive, require_shape
from ebm_ref.kernels.noise import Stream
from ebm_ref.models import record as records
from ebm_ref.models.layers import (
    Activation,
    AvgPool,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GroupNorm,
    Linear,
    Pad,
    Residual,
    Sequential,
    SpectralNorm,
    TimeBias,
    TimeScale,
    Upsample,
    at_time,
    graph,
    numbers_made,
    row_times,
    update_spectral_norms,
)
from ebm_ref.models.record import record

__all__ = ("Network", "at_time", "conditioned", "convnet", "mlp", "unet", "update_spectral_norms")

BLOCK_BYTES = 2**21  # kept of a block of rows: few blocks, so that Python's share is small, that stay in the cache
FEWEST, MOST = 16, 4096  # rows of a block


@record(single=True)
class Network:
    """f: R^d -> R^m, layers and the shape of one input; d = product of ``input_shape``.

    Rows go in, (batch, d) or (batch, *input_shape), and rows come out, (batch, m), float64 both.  Inside, everything is
    computed in the precision of the parameters.  The derivatives are those of the layers' protocol, on rows.
    """

    layers: Any
    input_shape: tuple[int, ...]

    def check(self) -> None:
        """Every layer fits the one before it."""
        if not isinstance(self.input_shape, tuple) or not self.input_shape:
            raise ShapeError(f"input_shape: expected a tuple such as (2,) or (1, 28, 28), got {self.input_shape!r}")
        self.layers.output_shape(self.input_shape)
        kinds = {leaf.dtype for leaf in records.leaves(self.layers).values()}
        if len(kinds) > 1:
            raise DomainError("layers: expected one precision throughout, got float32 and float64; use astype")

    __repr__ = records.describe

    @property
    def n_visible(self) -> int:
        """d."""
        return math.prod(self.input_shape)

    @cached_property
    def n_outputs(self) -> int:
        """m."""
        return math.prod(self.layers.output_shape(self.input_shape))

    @cached_property
    def dtype(self) -> np.dtype:
        """float64 or float32: that of the parameters."""
        return next((leaf.dtype for leaf in records.leaves(self.layers).values()), np.dtype(np.float64))

    def astype(self, dtype) -> Network:
        """The network in "float32" or "float64"."""
        return records.astype(self, dtype)

    @cached_property
    def times(self) -> tuple[float, ...] | None:
        """Those that ``at_time`` bound, if one for each row of a batch."""
        return row_times(self.layers)

    def of_rows(self, rows: slice) -> Network:
        """The network for some rows of a batch, which keep their times."""
        return self if self.times is None else at_time(self, self.times[rows])

    @cached_property
    def block(self) -> int:
        """How many rows go through the network together: what is kept of a block should stay in the cache."""
        kept = numbers_made(self.layers, self.input_shape) * self.dtype.itemsize
        return min(max(BLOCK_BYTES // kept // FEWEST, 1) * FEWEST, MOST)

    def rows(self, name: str, x) -> np.ndarray:
        """x as float64 rows (batch, d), from rows or from images."""
        x = np.asarray(x, dtype=np.float64)
        if x.ndim > 2 and x.shape[1:] == self.input_shape:
            x = x.reshape(len(x), -1)
        require_shape(name, x, None, self.n_visible)
        if self.times is not None:
            require_shape("t", np.asarray(self.times), len(x))
        return x

    def forward(self, x):
        """(y, cache)."""
        y, cache = self.layers.forward(self._in(x))
        return _out(y), (y.shape, cache)

    def pullback(self, cache, y_bar):
        """x_bar."""
        return _out(self.layers.pullback(cache[1], self._cotangent(cache, y_bar)))

    def vjp(self, cache, y_bar):
        """(x_bar, gradient)."""
        x_bar, gradient = self.layers.vjp(cache[1], self._cotangent(cache, y_bar))
        return _out(x_bar), Network(gradient, self.input_shape)

    def jvp(self, cache, x_dot):
        """y_dot."""
        return self.tangents(cache, x_dot)[0]

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        """(x_bar_dot, gradient_dot)."""
        return self.rvjp_from(cache, self.tangents(cache, x_dot)[1], self.cotangents(cache, y_bar)[1], y_bar_dot)

    def tangents(self, cache, x_dot):
        """(y_dot, dots)."""
        y_dot, dots = graph.tangents(self.layers, cache[1], self._in(x_dot))
        return _out(y_dot), dots

    def cotangents(self, cache, y_bar):
        """(x_bar, bars)."""
        x_bar, bars = graph.cotangents(self.layers, cache[1], self._cotangent(cache, y_bar))
        return _out(x_bar), bars

    def rvjp_from(self, cache, dots, bars, y_bar_dot):
        """(x_bar_dot, gradient_dot)."""
        x_bar_dot, gradient = graph.rvjp_from(self.layers, cache[1], dots, bars, self._cotangent(cache, y_bar_dot))
        return _out(x_bar_dot), Network(gradient, self.input_shape)

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz`` file that ``ebm_ref.load`` reads back bit for bit."""
        records.save(self, path)

    def _in(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), *self.input_shape).astype(self.dtype, copy=False)

    def _cotangent(self, cache, y_bar: np.ndarray) -> np.ndarray:
        return y_bar.reshape(cache[0]).astype(self.dtype, copy=False)


def _out(y: np.ndarray) -> np.ndarray:
    return y.reshape(len(y), -1).astype(np.float64, copy=False)


class _Draw:
    """Layers with fresh weights; layer k of a network reads step k of the purpose "parameters"."""

    def __init__(self, seed: int, dtype: str, spectral_norm: bool) -> None:
        self.stream, self.seed = Stream(seed, "parameters"), seed
        self.dtype = require_choice("dtype", dtype, ("float32", "float64"))
        self.spectral_norm, self.count = spectral_norm, 0

    def weights(self, shape: tuple[int, ...], variance: float) -> np.ndarray:
        z = self.stream.normal(self.count, (shape[0], math.prod(shape[1:])))
        self.count += 1
        return (math.sqrt(variance) * z).reshape(shape).astype(self.dtype)

    def zeros(self, n: int) -> np.ndarray:
        return np.zeros(n, self.dtype)

    def linear(self, n_in: int, n_out: int, gain: float = 2.0) -> Any:
        return self._normed(Linear(self.weights((n_in, n_out), gain / n_in), self.zeros(n_out)))

    def conv(self, n_in: int, n_out: int, k: int, stride: int, padding: int, gain: float = 2.0) -> Any:
        W = self.weights((n_out, n_in, k, k), gain / (n_in * k * k))
        return self._normed(Conv2d(W, self.zeros(n_out), stride, padding))

    def transposed(self, n_in: int, n_out: int, stride: int) -> Any:
        """Undoes the size of a convolution of 2 stride x 2 stride; four terms and each channel make a pixel."""
        W = self.weights((n_in, n_out, 2 * stride, 2 * stride), 1.0 / (4 * n_in))
        return ConvTranspose2d(W, self.zeros(n_out), stride, stride // 2)

    def timed(self, n_features: int, channels: int) -> list[TimeBias]:
        """A bias by time, where there is a time embedding."""
        if not n_features:
            return []
        n = require_int("time_embedding", n_features, 2)
        return [TimeBias(self.weights((n, channels), 1.0 / n), self.zeros(channels))]

    def _normed(self, layer):
        return SpectralNorm.of(layer, self.seed) if self.spectral_norm else layer


def mlp(
    sizes: Sequence[int],
    activation: str = "silu",
    seed: int = 0,
    *,
    alpha: float | None = None,
    time_embedding: int = 0,
    spectral_norm: bool = False,
    dtype: str = "float64",
) -> Network:
    """(1): a multilayer perceptron, sizes (n_inputs, ..., n_outputs).

    activation: a name and ``alpha`` as of ``layers.Activation``.  time_embedding: see ``unet``; every hidden layer then
    has a bias that depends on the time.  spectral_norm: every weight divided by its largest singular value, see
    ``update_spectral_norms``.

    >>> mlp((2, 16, 1)).forward(np.zeros((3, 2)))[0].shape
    (3, 1)
    """
    sizes = [require_int("sizes", size, 1) for size in sizes]
    if len(sizes) < 2:
        raise ShapeError(f"sizes: expected at least (n_inputs, n_outputs), got {tuple(sizes)}")
    draw = _Draw(seed, dtype, spectral_norm)
    layers: list[Any] = []
    for n_in, n_out in itertools.pairwise(sizes[:-1]):
        layers += [draw.linear(n_in, n_out), *draw.timed(time_embedding, n_out), Activation(activation, alpha)]
    return Network(Sequential((*layers, draw.linear(sizes[-2], sizes[-1], 1.0))), (sizes[0],))


def convnet(
    image_shape: tuple[int, int, int],
    channels: Sequence[int],
    n_outputs: int,
    seed: int = 0,
    *,
    activation: str = "silu",
    alpha: float | None = None,
    n_hidden: int = 64,
    time_embedding: int = 0,
    spectral_norm: bool = False,
    dtype: str = "float64",
) -> Network:
    """(2): convolutions of stride 2, one for each of ``channels``, then ``n_hidden`` units, then ``n_outputs``.

    image_shape (c, height, width).  time_embedding: see ``unet``; every convolution then has a bias that depends on
    the time.  The network of the UvA tutorial is ``convnet((1, 28, 28), (16, 32, 64, 64), 1)``.

    >>> convnet((1, 8, 8), (4, 8), 10).n_outputs
    10
    """
    shape = _image_shape(image_shape)
    draw = _Draw(seed, dtype, spectral_norm)
    layers: list[Any] = []
    n_in = shape[0]
    for i, n_out in enumerate(require_int("channels", n, 1) for n in channels):
        how = (5, 2, 4) if i == 0 else (3, 2, 1)
        layers += [draw.conv(n_in, n_out, *how), *draw.timed(time_embedding, n_out), Activation(activation, alpha)]
        n_in = n_out
    layers.append(Flatten())
    (n_flat,) = Sequential(tuple(layers)).output_shape(shape)
    layers += [draw.linear(n_flat, require_int("n_hidden", n_hidden, 1)), Activation(activation, alpha)]
    return Network(Sequential((*layers, draw.linear(n_hidden, require_int("n_outputs", n_outputs, 1), 1.0))), shape)


def unet(
    image_shape: tuple[int, int, int],
    channels: Sequence[int],
    seed: int = 0,
    *,
    activation: str = "silu",
    alpha: float | None = None,
    stride: int = 1,
    time_embedding: int = 0,
    n_groups: int = 0,
    spectral_norm: bool = False,
    dtype: str = "float64",
) -> Network:
    """(3): ``channels`` of each level, the last one the middle; the output has the shape of the input.

    stride: 1 or even; 2 makes an update about a quarter of the work at the same channels.  time_embedding: an even
    number of sines and cosines of the time, which ``at_time(network, t)`` binds; each step's first convolution then
    gets a bias that depends on it.  n_groups: group normalisation before each activation.

    >>> unet((1, 6, 6), (4, 8)).n_outputs
    36
    """
    shape = _image_shape(image_shape)
    widths = [require_int("channels", n, 1) for n in channels]
    if not widths:
        raise ShapeError("channels: expected at least one number, got none")
    if require_int("stride", stride, 1) > 1 and (stride % 2 or spectral_norm):
        raise DomainError(f"stride: expected 1 or an even number, 1 with spectral_norm, got {stride}")
    draw = _Draw(seed, dtype, spectral_norm)

    def unit(n_in: int, n_out: int, timed: bool) -> list[Any]:
        layers = [draw.conv(n_in, n_out, 3, 1, 1), *draw.timed(time_embedding if timed else 0, n_out)]
        if n_groups:
            layers.append(GroupNorm(np.ones(n_out, dtype), draw.zeros(n_out), require_int("n_groups", n_groups, 1)))
        return [*layers, Activation(activation, alpha)]

    def level(i: int, n_in: int) -> list[Any]:
        n = widths[i]
        down = [*unit(n_in, n, True), *unit(n, n, False)]
        if i == len(widths) - 1:
            return down
        below = Sequential((AvgPool(2), *level(i + 1, n), Upsample(2)))
        return [*down, Concat(below), *unit(n + widths[i + 1], n, True), *unit(n, n, False)]

    sides = _padding(shape, stride * 2 ** (len(widths) - 1))
    crop = Pad((-sides[0], -sides[1], -sides[2], -sides[3]))
    if stride == 1:
        first = unit(shape[0], widths[0], False)
    else:
        first = [draw.conv(shape[0], widths[0], 2 * stride, stride, stride // 2), Activation(activation, alpha)]
    layers = [Pad(sides), *first, *level(0, widths[0])]
    if stride == 1:
        last = draw.conv(widths[0], shape[0], 3, 1, 1, 1.0)
    else:
        last = draw.transposed(widths[0], shape[0], stride)
    return Network(Sequential((*layers, last, crop)), shape)


def conditioned(network: Network, sigmas: Sequence[float], size: float, form: str) -> Network:
    """(4): f for the noise levels ``sigmas`` from g, for an energy of the form "inner" or "residual" and scale 1/2.

    size: d, the root of the mean square of the data.  The result needs a time, ``at_time(network, t)``, t the level.

    >>> at_time(conditioned(mlp((2, 8, 2)), (0.1, 1.0), 0.5, "inner"), 1).forward(np.zeros((3, 2)))[0].shape
    (3, 2)
    """
    sigma, d = np.array(sigmas, np.float64), require_positive("size", size)
    s = np.hypot(sigma, d)
    skip = (sigma if require_choice("form", form, ("inner", "residual")) == "inner" else d) ** 2 / s**2
    into, out = (TimeScale(tuple(factors.tolist())) for factors in (1.0 / s, sigma * d / s / skip))
    layers = (Residual(Sequential((into, *network.layers.layers, out))), TimeScale(tuple(skip.tolist())))
    return Network(Sequential(layers), network.input_shape)


def _image_shape(image_shape) -> tuple[int, int, int]:
    shape = tuple(require_int("image_shape", side, 1) for side in image_shape)
    if len(shape) != 3:
        raise ShapeError(f"image_shape: expected (channels, height, width), got {shape}")
    return shape


def _padding(shape: tuple[int, int, int], multiple: int) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) that make both sides a multiple, as equal as possible."""
    missing = [-side % multiple for side in shape[1:]]
    return (missing[0] // 2, missing[0] - missing[0] // 2, missing[1] // 2, missing[1] - missing[1] // 2)
