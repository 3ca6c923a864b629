"""Images made larger by repetition and smaller by sums of blocks, divided by a number.

(1) y[n,c,ri+u,rj+v] = x[n,c,i,j]/q, 0 <= u,v < r        (2) adjoint: x[n,c,i,j] = sum_{u,v} y[n,c,ri+u,rj+v]/q
The terms of (2) are added in row-major order of (u, v).
"""

from __future__ import annotations

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.room import empty


def repeat_row(short, r, q, row):
    """(1) along one axis."""
    for j in range(len(short)):
        value = short[j] / q
        for v in range(r):
            row[r * j + v] = value


def add_row(row, r, short):
    """The terms of (2) in one row of y."""
    for j in range(len(short)):
        total = short[j]
        for v in range(r):
            total += row[r * j + v]
        short[j] = total


repeat_row, add_row = jit(repeat_row, inlined=True), jit(add_row, inlined=True)


def repeat_image(n, x, r, q, y):
    """(1) of image n."""
    for c in range(x.shape[1]):
        for i in range(x.shape[2]):
            for u in range(r):
                if r == 2:
                    repeat_row(x[n, c, i], 2, q, y[n, c, 2 * i + u])  # a constant, for vector instructions
                else:
                    repeat_row(x[n, c, i], r, q, y[n, c, r * i + u])


def sum_image(n, y, r, q, x):
    """(2) of image n."""
    for c in range(x.shape[1]):
        for i in range(x.shape[2]):
            short = x[n, c, i]
            for j in range(len(short)):
                short[j] = 0.0
            for u in range(r):
                if r == 2:
                    add_row(y[n, c, 2 * i + u], 2, short)
                else:
                    add_row(y[n, c, r * i + u], r, short)
            for j in range(len(short)):
                short[j] /= q


run_repeat = over_chains(repeat_image)
run_sum = over_chains(sum_image)


def repeated(x: np.ndarray, r: int, q: int = 1) -> np.ndarray:
    """(1)."""
    if x.dtype.kind == "c":
        return repeated_plain(x, r, q)
    N, C, H, W = x.shape
    y = empty((N, C, H * r, W * r), x.dtype)
    run_repeat(N, np.ascontiguousarray(x), r, x.dtype.type(q), y, work=y.size)
    return y


def summed(y: np.ndarray, r: int, q: int = 1) -> np.ndarray:
    """(2)."""
    if y.dtype.kind == "c":
        return summed_plain(y, r, q)
    N, C, H, W = y.shape
    x = empty((N, C, H // r, W // r), y.dtype)
    run_sum(N, np.ascontiguousarray(y), r, y.dtype.type(q), x, work=y.size)
    return x


# The readable twins, for complex numbers too --------------------------------------------------------------------------


def blocks(x: np.ndarray, r: int) -> np.ndarray:
    """x as blocks of r x r, (N, C, H/r, r, W/r, r): a view."""
    N, C, H, W = x.shape
    return x.reshape(N, C, H // r, r, W // r, r)


def repeated_plain(x: np.ndarray, r: int, q: int = 1) -> np.ndarray:
    """(1)."""
    return (x / q).repeat(r, axis=2).repeat(r, axis=3)


def summed_plain(y: np.ndarray, r: int, q: int = 1) -> np.ndarray:
    """(2)."""
    parts = blocks(y, r)
    return parts.sum(axis=(3, 5)) / q
