"""Images made larger by repetition and smaller by sums of blocks, divided by a number.

(1) y[n,c,ri+u,rj+v] = x[n,c,i,j]/q, 0 <= u,v < r        (2) adjoint: x[n,c,i,j] = sum_{u,v} y[n,c,ri+u,rj+v]/q
The terms of (2) are added in row-major order of (u, v).
"""

from __future__ import annotations

import numpy as np

from ebm_ref.compile import over_chains
from ebm_ref.kernels.room import empty


def repeat_image(n, x, r, q, y):
    """(1) of image n."""
    for c in range(x.shape[1]):
        for i in range(x.shape[2]):
            short, first = x[n, c, i], y[n, c, r * i]
            for j in range(len(short)):
                value = short[j] / q
                for v in range(r):
                    first[r * j + v] = value
            for u in range(1, r):
                row = y[n, c, r * i + u]
                for j in range(len(row)):
                    row[j] = first[j]


def sum_image(n, y, r, q, x):
    """(2) of image n."""
    for c in range(x.shape[1]):
        for i in range(x.shape[2]):
            short = x[n, c, i]
            for u in range(r):
                row = y[n, c, r * i + u]
                for j in range(len(short)):
                    total = row[r * j] if u == 0 else short[j] + row[r * j]
                    for v in range(1, r):
                        total += row[r * j + v]
                    short[j] = total
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
