"""Correlation of images with kernels, its adjoint, and its derivative by the kernel.

x (N, C, H, W), w (O, C, kh, kw), y (N, O, Ho, Wo), xp = x with p zeros on each side, s the stride
(1) y[n,o,i,j] = sum_{c,u,v} w[o,c,u,v] xp[n,c,si+u,sj+v]            Ho = floor((H + 2p - kh)/s) + 1
(2) adjoint in x:  x[n,c,a,b] = sum over all (o,u,v,i,j) with si+u = a+p, sj+v = b+p of w[o,c,u,v] y[n,o,i,j]
(3) adjoint in w:  w[o,c,u,v] = sum_{n,i,j} y[n,o,i,j] xp[n,c,si+u,sj+v]
All three are one trilinear form t(x, w, y) = sum y (w * x), read by y, by x and by w.  Rows and columns that no window
covers, when s does not divide H + 2p - kh, stay zero in (2).

The compiled loops (kernels/windows.py) need of a window where it begins and how far its terms are.  For (1) and (3):
(4) window (i, j) begins at xp[., 0, si, sj], its term (c, u, v) is c planes, u rows and v columns further.
For (2) the pixels (a, b) fall into s^2 phases (a+p) mod s, (b+p) mod s, each a correlation of stride 1 over y:
(5) a + p = s i' + r:  its terms are u = r + s t, i = i' - t, t = 0, 1, ...; likewise b; y is padded with zeros.
An image's numbers do not depend on the rest of the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ebm_ref.kernels.panels import tiles
from ebm_ref.kernels.room import empty
from ebm_ref.kernels.windows import UNITS, lanes, run_overlaps, run_windows


def output_size(size: int, k: int, stride: int, padding: int) -> int:
    """Ho of (1)."""
    return (size + 2 * padding - k) // stride + 1


# The readable twins, for complex numbers too --------------------------------------------------------------------------


def _windows(xp: np.ndarray, kernel: tuple, stride: int, size: tuple) -> Iterator[tuple[tuple, np.ndarray]]:
    """((u, v), view of xp[n, c, si+u, sj+v]) for every place of the kernel."""
    for u, v in np.ndindex(*kernel):
        rows, columns = (slice(first, first + stride * n, stride) for first, n in zip((u, v), size, strict=True))
        yield (u, v), xp[:, :, rows, columns][:, :, : size[0], : size[1]]


def _padded(x: np.ndarray, padding: int, more: int = 0) -> np.ndarray:
    sides = (padding, padding + more)
    return np.pad(x, ((0, 0), (0, 0), sides, sides))


def correlate_plain(x: np.ndarray, w: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """(1)."""
    kernel = w.shape[2:]
    size = tuple(output_size(n, k, stride, padding) for n, k in zip(x.shape[2:], kernel, strict=True))
    places = _windows(_padded(x, padding), kernel, stride, size)
    return sum(np.einsum("oc,ncij->noij", w[:, :, u, v], window) for (u, v), window in places)


def adjoint_plain(y: np.ndarray, w: np.ndarray, stride: int, padding: int, size: tuple[int, int]) -> np.ndarray:
    """(2)."""
    N, kernel = len(y), w.shape[2:]
    xp = np.zeros((N, w.shape[1], *(n + 2 * padding for n in size)), np.result_type(y, w))
    for (u, v), window in _windows(xp, kernel, stride, y.shape[2:]):
        window += np.einsum("oc,noij->ncij", w[:, :, u, v], y)
    return xp[:, :, padding : padding + size[0], padding : padding + size[1]]


def kernel_gradient_plain(x: np.ndarray, y: np.ndarray, kh: int, kw: int, stride: int, padding: int) -> np.ndarray:
    """(3)."""
    w = np.empty((y.shape[1], x.shape[1], kh, kw), np.result_type(x, y))
    for (u, v), window in _windows(_padded(x, padding), (kh, kw), stride, y.shape[2:]):
        w[:, :, u, v] = np.einsum("noij,ncij->oc", y, window)
    return w


# Where the windows of the compiled loops lie --------------------------------------------------------------------------


class Plan(NamedTuple):
    """One geometry for kernels/windows.py; places and offsets count numbers of a tile."""

    plane: int  # numbers of a padded plane
    inside: np.ndarray  # (pixels of an image,): its place in the padded plane
    around: np.ndarray  # (the rest of the padded plane,): zeros
    pixels: np.ndarray  # (pixels of a result,): its place in the result
    place: np.ndarray  # (windows,): where a window begins
    target: np.ndarray  # (windows,): its place in the result
    offset: np.ndarray  # (terms,)
    parts: np.ndarray  # (parts, 4): windows q0 ... q1 - 1 have the terms k0 ... k1 - 1


def _grid(rows, columns, pitch: int) -> np.ndarray:
    """rows[i] pitch + columns[j], flat."""
    return (np.asarray(rows)[:, None] * pitch + np.asarray(columns)).ravel()


@lru_cache(maxsize=256)
def forward_plan(shape: tuple, kernel: tuple, stride: int, padding: int, L: int) -> Plan:
    """(4) for images of ``shape`` (C, H, W)."""
    C, H, W = shape
    high, wide = H + 2 * padding, W + 2 * padding
    Ho, Wo = (output_size(n, k, stride, padding) for n, k in zip((H, W), kernel, strict=True))
    inside = _grid(range(padding, padding + H), range(padding, padding + W), wide)
    place = _grid(range(0, stride * Ho, stride), range(0, stride * Wo, stride), wide)
    offset = (np.arange(C)[:, None] * high * wide + _grid(range(kernel[0]), range(kernel[1]), wide)).ravel()
    pixels, parts = np.arange(len(place)) * L, np.array([[0, len(place), 0, len(offset)]])
    around = np.setdiff1d(range(high * wide), inside)
    return Plan(high * wide * L, inside * L, around * L, pixels, place * L, pixels, offset * L, parts)


@lru_cache(maxsize=256)
def adjoint_plan(shape: tuple, kernel: tuple, stride: int, padding: int, size: tuple, L: int) -> Plan:
    """(5) for y of ``shape`` (O, Ho, Wo) and results of height and width ``size``."""
    O, before, sides, phases = shape[0], [], [], []
    for n, m, k in zip(shape[1:], size, kernel, strict=True):
        taps, last = -(-k // stride), (m - 1 + padding) // stride
        before.append(max(0, taps - 1 - padding // stride))
        sides.append(before[-1] + n + max(0, last - (n - 1)))
        phases.append([_phase(r, m, k, stride, padding, before[-1]) for r in range(stride)])
    high, wide = sides
    rows, columns = (range(first, first + n) for first, n in zip(before, shape[1:], strict=True))
    inside = _grid(rows, columns, wide)
    planes = np.arange(O)[:, None] * high * wide
    found: list[tuple] = []  # of each part
    for (a, i, t), (b, j, s) in itertools.product(*phases):
        found.append((_grid(i, j, wide), _grid(a, b, size[1]), (planes - _grid(t, s, wide)).ravel()))
    place, target, offset = (np.concatenate(part) * L for part in zip(*found, strict=True))
    ends = np.cumsum([(len(windows), len(terms)) for windows, _, terms in found], axis=0)
    begins = np.vstack([[0, 0], ends[:-1]])
    parts = np.stack([begins, ends], axis=2).reshape(-1, 4)
    around, pixels = np.setdiff1d(range(high * wide), inside), np.arange(size[0] * size[1])
    return Plan(high * wide * L, inside * L, around * L, pixels * L, place, target, offset, parts)


def _phase(r: int, size: int, k: int, stride: int, padding: int, before: int) -> tuple[np.ndarray, ...]:
    """Of one axis: pixels a with (a + padding) mod stride = r, their i' in padded y, and the t of (5)."""
    pixels = np.arange((r - padding) % stride, size, stride)
    return pixels, (pixels + padding) // stride + before, np.arange(len(range(r, k, stride)))


@lru_cache(maxsize=64)
def adjoint_order(shape: tuple, stride: int) -> np.ndarray:
    """The terms of (5), phase by phase, as rows of the kernel of ``shape`` (O, C, kh, kw) with C moved to the end."""
    O, _, kh, kw = shape
    phases = itertools.product(*([np.arange(r, k, stride) for r in range(stride)] for k in (kh, kw)))
    return np.concatenate([(np.arange(O)[:, None] * kh * kw + _grid(u, v, kw)).ravel() for u, v in phases])


# The three products ---------------------------------------------------------------------------------------------------


class Rows(NamedTuple):
    """A kernel w as the compiled loops read it (kernels/panels.tiles): a row for each term, (1) and (2)."""

    forward: np.ndarray
    adjoint: np.ndarray


def kernel_rows(w: np.ndarray, stride: int) -> Rows:
    """Of w (O, C, kh, kw)."""
    matrix = w.transpose(0, 2, 3, 1).reshape(-1, w.shape[1])
    return Rows(tiles(w.reshape(len(w), -1).T, w.dtype), tiles(matrix[adjoint_order(w.shape, stride)], w.dtype))


@lru_cache(maxsize=64)
def _images(n: int, size: int, L: int) -> np.ndarray:
    """(tiles, L): where each of n images begins; the last one fills up the last tile."""
    return np.minimum(np.arange(-(-n // L) * L), n - 1).reshape(-1, L) * size


def _run(x: np.ndarray, plan: Plan, rows: np.ndarray, bias: np.ndarray | None, out: np.ndarray) -> np.ndarray:
    """out[n, o, target] = bias[o] + the sums of ``plan`` over x, weighted by ``rows``."""
    x, L, n = np.ascontiguousarray(x), lanes(out.dtype), len(x)
    b = np.zeros(len(rows) * UNITS, out.dtype)
    if bias is not None:
        b[: len(bias)] = bias
    image, out_image = _images(n, x.size // n, L), _images(n, out.size // n, L)
    room = empty((len(image), x.shape[1] * plan.plane + len(b) * len(plan.pixels) * L), x.dtype)
    run_windows(
        len(image), n, x.reshape(-1), image, plan.inside, plan.around, plan.plane, out.reshape(-1), out_image,
        plan.pixels, room, plan.place, plan.target, plan.offset, plan.parts, rows, b,
        work=float(out.size) * len(plan.offset),
    )  # fmt: skip
    return out


def _compiled(*arrays: np.ndarray | None) -> bool:
    """Whether all that are given are real, of one precision, and there is something to compute."""
    given = [a for a in arrays if a is not None]
    return all(a.dtype == given[0].dtype and a.dtype.kind == "f" and a.size for a in given)


def correlate(
    x: np.ndarray, w: np.ndarray, stride: int, padding: int, bias: np.ndarray | None = None, rows: Rows | None = None
) -> np.ndarray:
    """(1), plus bias[o] if given; ``rows`` = kernel_rows(w, stride), if at hand."""
    if not _compiled(x, w, bias):
        y = correlate_plain(x, w, stride, padding)
        return y if bias is None else y + bias[:, None, None]
    plan = forward_plan(x.shape[1:], w.shape[2:], stride, padding, lanes(x.dtype))
    size = (output_size(n, k, stride, padding) for n, k in zip(x.shape[2:], w.shape[2:], strict=True))
    rows = rows or kernel_rows(w, stride)
    return _run(x, plan, rows.forward, bias, empty((len(x), len(w), *size), x.dtype))


def correlate_adjoint(
    y: np.ndarray,
    w: np.ndarray,
    stride: int,
    padding: int,
    size: tuple[int, int],
    bias: np.ndarray | None = None,
    rows: Rows | None = None,
) -> np.ndarray:
    """(2), images of height and width ``size``, plus bias[c] if given; ``rows`` as above."""
    if not _compiled(y, w, bias):
        x = adjoint_plain(y, w, stride, padding, size)
        return x if bias is None else x + bias[:, None, None]
    plan = adjoint_plan(y.shape[1:], w.shape[2:], stride, padding, tuple(size), lanes(y.dtype))
    rows = rows or kernel_rows(w, stride)
    return _run(y, plan, rows.adjoint, bias, empty((len(y), w.shape[1], *size), y.dtype))


def kernel_gradient(x: np.ndarray, y: np.ndarray, kh: int, kw: int, stride: int, padding: int) -> np.ndarray:
    """(3), (O, C, kh, kw): sums over the images of a tile, then over tiles in their order."""
    if not _compiled(x, y):
        return kernel_gradient_plain(x, y, kh, kw, stride, padding)
    L, O, n = lanes(x.dtype), y.shape[1], len(x)
    plan = forward_plan(x.shape[1:], (kh, kw), stride, padding, L)
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    image, terms = _images(n, x.size // n, L), len(plan.offset)
    out = empty((len(image), O, terms), x.dtype)
    planes = x.shape[1] * plan.plane, -(-O // UNITS) * UNITS * len(plan.pixels) * L
    room = empty((len(image), sum(planes) + 3 * UNITS * L), x.dtype)
    run_overlaps(
        len(image), n, x.reshape(-1), image, plan.inside, plan.around, plan.plane, y.reshape(-1),
        _images(n, y.size // n, L), plan.pixels, room, plan.place, plan.offset, out, work=float(y.size) * terms,
    )  # fmt: skip
    return out.sum(axis=0).reshape(O, x.shape[1], kh, kw)
