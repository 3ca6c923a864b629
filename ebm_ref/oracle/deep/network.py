"""A declared network: layers as plain data, checked once, with its numbers in a stated order.

A layer is a tuple, its kind first:
    ("linear", W, b)                                ("spectral_linear", W, b, u, v)
    ("conv", W, b, stride, padding)                 ("conv_transpose", W, b, stride, padding, output_padding)
    ("group_norm", gain, shift, n_groups, eps)      ("time_bias", W, b, t)
    ("time_scale", (c_0, c_1, ...), t)
    ("silu",) ("softplus",) ("tanh",) ("elu", alpha) ("leaky_relu", alpha)      ("flatten",)
    ("avg_pool", r) ("max_pool", r) ("upsample", r) ("pad", (top, bottom, left, right))
    ("concat", [layers]) ("residual", [layers])
Equations: ``ebm_ref.oracle.deep.equations``.  Parameters are the arrays in the order in which they stand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, ShapeError, require_choice
from ebm_ref.oracle.arrays import checked, frozen
from ebm_ref.oracle.deep.equations import ACTIVATIONS, ALPHA, KINDS, Kinds, Nested, shaped

Array = np.ndarray
BRANCHES = ("concat", "residual")
DIMENSIONS = {
    "linear": (2, 1), "spectral_linear": (2, 1), "conv": (4, 1), "conv_transpose": (4, 1), "group_norm": (1, 1),
    "time_bias": (2, 1),
}  # fmt: skip
N_NUMBERS = {
    "linear": 0, "spectral_linear": 2, "conv": 2, "conv_transpose": 3, "group_norm": 2, "time_bias": 1, "avg_pool": 1,
    "max_pool": 1, "upsample": 1, "pad": 1, "flatten": 0, "time_scale": 2,
}  # fmt: skip
NAMES = {"group_norm": ("gain", "shift")}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: its arrays, its other numbers, the layers of its branch."""

    kind: str
    arrays: tuple[Array, ...] = ()
    numbers: tuple[Any, ...] = ()
    branch: tuple[Layer, ...] = ()


def layer_of(given: Any) -> Layer:
    """A checked layer from a tuple.

    >>> layer_of(("linear", [[1.0, 2.0]], [0.0, 0.5])).arrays[0].shape
    (1, 2)
    """
    if isinstance(given, Layer):
        return given
    kind, *rest = given
    if kind in ACTIVATIONS:
        return Layer("activation", (), (kind, float(rest[0]) if rest else ALPHA.get(kind, 0.0)))
    require_choice("layers", kind, (*KINDS, *ACTIVATIONS, *BRANCHES))
    if kind in BRANCHES:
        return Layer(kind, branch=tuple(layer_of(part) for part in rest[0]))
    dimensions = DIMENSIONS.get(kind, ())
    if len(rest) != len(dimensions) + N_NUMBERS[kind]:
        raise ShapeError(f"layers: {kind} takes {len(dimensions) + N_NUMBERS[kind]} arguments, got {len(rest)}")
    arrays = [checked(f"{kind}[{i}]", rest[i], *(None,) * n) for i, n in enumerate(dimensions)]
    numbers = rest[len(dimensions) :]
    if kind == "spectral_linear":
        numbers = [tuple(np.asarray(v, dtype=np.float64).tolist()) for v in numbers]
    if kind == "pad":
        numbers = [tuple(int(v) for v in numbers[0])]
    if kind == "time_scale":
        numbers = [tuple(float(c) for c in numbers[0]), float(numbers[1])]
    return Layer(kind, tuple(arrays), tuple(numbers))


def arrays_of(layers: Sequence[Layer]) -> list[tuple[str, Array]]:
    """(name, array) of every parameter, in order."""
    found: list[tuple[str, Array]] = []
    for i, layer in enumerate(layers):
        names = NAMES.get(layer.kind, ("W", "b"))
        found += [(f"{i}.{layer.kind}.{name}", a) for name, a in zip(names, layer.arrays, strict=False)]
        found += [(f"{i}.{name}", a) for name, a in arrays_of(layer.branch)]
    return found


def run(layers: Sequence[Layer], x: Nested, theta: Iterator[Nested], kinds: Kinds = KINDS) -> Nested:
    """f(x): the layers one after the other, their arrays the next of ``theta``, as nested lists."""
    for layer in layers:
        if layer.kind in BRANCHES:
            y = run(layer.branch, x, theta, kinds)
            x = kinds[layer.kind](x, y)
        else:
            x = kinds[layer.kind](x, *(next(theta) for _ in layer.arrays), *layer.numbers)
    return x


def shape_after(layers: Sequence[Layer], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the output; DomainError where a layer does not fit the one before it."""
    for layer in layers:
        try:
            x = shaped(iter(np.zeros(math.prod(shape)).tolist()), shape)
            y = run([layer], x, iter([a.tolist() for _, a in arrays_of([layer])]))
            shape = np.shape(y)
            if not math.prod(shape):
                raise ValueError("nothing is left")
        except (IndexError, ValueError, TypeError, ZeroDivisionError) as error:
            raise DomainError(f"layers: {layer.kind} does not fit inputs of shape {shape} ({error})") from None
    return shape


def dyadic(values: Array, bits: int = 8) -> Array:
    """Rounded to multiples of 2^-bits, so that float32 holds them too."""
    return frozen(np.round(np.asarray(values) * 2**bits) / 2**bits)
