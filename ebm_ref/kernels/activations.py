"""Activations of whole arrays: three compiled loops for each function, and their readable twins in NumPy.

value   y = phi(z)          slope   a phi'(z)          curvature   a phi'(z) + b phi''(z)
One loop body works on one range of elements, so the numbers depend on no other element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from ebm_ref.compile import over_chains
from ebm_ref.kernels.room import empty
from ebm_ref.maths import activations as scalars

RANGE = 16_384  # elements that one call of a body works on
ELEMENT_WORK = 10  # elementary operations per element, roughly


class Loops(NamedTuple):
    """The compiled loops of one function: (n_ranges, z, ..., alpha, out)."""

    value: Callable
    slope: Callable
    curvature: Callable


def loops(name: str, phi: Callable, slope: Callable, curvature: Callable) -> Loops:
    """Loops over three compiled scalar functions; ``name`` names them in the cache."""

    def value_range(r, z, alpha, out):
        z, out = z[r * RANGE : (r + 1) * RANGE], out[r * RANGE : (r + 1) * RANGE]
        for i in range(len(z)):
            out[i] = phi(z[i], alpha)

    def slope_range(r, z, a, alpha, out):
        z, out = z[r * RANGE : (r + 1) * RANGE], out[r * RANGE : (r + 1) * RANGE]
        a = a[r * RANGE : (r + 1) * RANGE]
        for i in range(len(z)):
            out[i] = a[i] * slope(z[i], alpha)

    def curvature_range(r, z, a, b, alpha, out):
        z, out = z[r * RANGE : (r + 1) * RANGE], out[r * RANGE : (r + 1) * RANGE]
        a, b = a[r * RANGE : (r + 1) * RANGE], b[r * RANGE : (r + 1) * RANGE]
        for i in range(len(z)):
            out[i] = a[i] * slope(z[i], alpha) + b[i] * curvature(z[i], alpha)

    for body in (value_range, slope_range, curvature_range):
        body.__qualname__ = f"{name}_{body.__name__}"
    return Loops(over_chains(value_range), over_chains(slope_range), over_chains(curvature_range))


LOOPS = {
    "silu": loops("silu", scalars.silu, scalars.silu_slope, scalars.silu_curvature),
    "softplus": loops("softplus", scalars.smooth, scalars.smooth_slope, scalars.smooth_curvature),
    "tanh": loops("tanh", scalars.tanh, scalars.tanh_slope, scalars.tanh_curvature),
    "elu": loops("elu", scalars.elu, scalars.elu_slope, scalars.elu_curvature),
    "leaky_relu": loops(
        "leaky_relu", scalars.leaky_relu, scalars.leaky_relu_slope, scalars.leaky_relu_curvature
    ),
}  # fmt: skip
SINGLE = {
    "silu": loops(
        "silu_single", scalars.silu_single, scalars.silu_slope_single, scalars.silu_curvature_single
    ),
}  # fmt: skip


def _run(which: str, name: str, alpha: float, *arrays: np.ndarray) -> np.ndarray:
    """One of the three loops over arrays of one shape."""
    z = arrays[0]
    table = SINGLE if z.dtype == np.float32 and name in SINGLE else LOOPS
    out = empty(z.shape, z.dtype)
    flat = [np.ascontiguousarray(array, z.dtype).reshape(-1) for array in arrays]
    work = z.size * ELEMENT_WORK
    getattr(table[name], which)(-(-z.size // RANGE), *flat, z.dtype.type(alpha), out.reshape(-1), work=work)
    return out


def value(name: str, alpha: float, z: np.ndarray) -> np.ndarray:
    """phi(z), of z's shape and precision."""
    return _run("value", name, alpha, z) if z.dtype.kind == "f" else TWINS[name][0](z, alpha)


def slope(name: str, alpha: float, z: np.ndarray, a: np.ndarray) -> np.ndarray:
    """a phi'(z)."""
    both_real = z.dtype.kind == a.dtype.kind == "f"
    return _run("slope", name, alpha, z, a) if both_real else a * TWINS[name][1](z, alpha)


def curvature(name: str, alpha: float, z: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a phi'(z) + b phi''(z)."""
    return _run("curvature", name, alpha, z, a, b)


# The readable twins, for complex z too --------------------------------------------------------------------------------


def _s(z: np.ndarray) -> np.ndarray:
    return expit(z) if z.dtype.kind == "f" else 1.0 / (1.0 + np.exp(-z))


def _softplus(z: np.ndarray, alpha: float) -> np.ndarray:
    return np.logaddexp(0.0, z) if z.dtype.kind == "f" else np.log1p(np.exp(z))


TWINS: dict[str, tuple[Callable, Callable, Callable]] = {
    "silu": (
        lambda z, alpha: z * _s(z),
        lambda z, alpha: _s(z) * (1 + z * _s(-z)),
        lambda z, alpha: _s(z) * _s(-z) * (2 + z * (_s(-z) - _s(z))),
    ),
    "softplus": (_softplus, lambda z, alpha: _s(z), lambda z, alpha: _s(z) * _s(-z)),
    "tanh": (
        lambda z, alpha: np.tanh(z),
        lambda z, alpha: 4 * _s(2 * z) * _s(-2 * z),
        lambda z, alpha: -8 * np.tanh(z) * _s(2 * z) * _s(-2 * z),
    ),
    "elu": (
        lambda z, alpha: np.where(z.real > 0, z, alpha * np.expm1(np.where(z.real > 0, 0, z))),
        lambda z, alpha: np.where(z.real > 0, 1, alpha * np.exp(np.where(z.real > 0, 0, z))),
        lambda z, alpha: np.where(z.real > 0, 0, alpha * np.exp(np.where(z.real > 0, 0, z))),
    ),
    "leaky_relu": (
        lambda z, alpha: np.where(z.real > 0, z, alpha * z),
        lambda z, alpha: np.where(z.real > 0, 1.0, alpha),
        lambda z, alpha: np.zeros(z.shape),
    ),
}
