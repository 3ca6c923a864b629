"""Sums over windows of images in vector registers, images side by side in the lanes of a vector.

A *tile* is L images, as many as a vector holds; a tile of planes (channels, places) has L neighbouring numbers for each
place.  A window's terms lie at ``offset[k]`` from its first place ``place[q]``, whatever stride, padding and kernel:
(1) y[u, q] = b[u] + sum_k w[k,u] x[place[q] + offset[k]]         four u and three q a panel, terms in the order of k
(2) g[u, k] = sum_q y[u,q] x[place[q] + offset[k]]                four u and three k a panel, terms in the order of q
Twelve sums stay in registers while three vectors and four numbers, or seven vectors, are loaded for each term.  An
image's numbers depend on no other image.  Written as LLVM vectors, since compilers do not find it; ``products`` and
``overlaps`` say the same in NumPy.  ``turn`` transposes a square of L x L numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ebm_ref.compile import jit, over_chains, vectors

UNITS = 4  # u of a panel
VECTOR_BYTES = 32
BAND = 24  # windows whose terms stay in the cache while all units pass over them


def lanes(dtype: Any) -> int:
    """L."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


# the same in NumPy ----------------------------------------------------------------------------------------------------


def products(n: int) -> Callable:
    """(1) for n windows from the q-th on; y[u, target[q]] is the first lane, x and y count numbers."""

    def put(y, pitch, x, place, target, offset, terms, w, b, q):
        L = lanes(y.dtype)
        rows = y.reshape(-1)
        for v in range(n):
            window = x[place[q + v] + offset[:terms, None] + np.arange(L)]  # (terms, L)
            for u in range(UNITS):
                first = u * pitch + target[q + v]
                rows[first : first + L] = b[u] + (w[:terms, u, None] * window).sum(axis=0)

    return put


def overlaps(n: int) -> Callable:
    """(2) for n terms from the k-th on, each lane's sum: g begins with (UNITS, n, L)."""

    def put(g, y, pitch, x, place, n_places, offset, k):
        L, rows = lanes(g.dtype), y.reshape(-1)
        for u in range(UNITS):
            images = rows[u * pitch : u * pitch + n_places * L].reshape(n_places, L)
            for v in range(n):
                terms = images * x[place[:, None] + offset[k + v] + np.arange(L)]  # (n_places, L)
                g[(u * n + v) * L : (u * n + v + 1) * L] = terms.sum(axis=0)

    return put


def turned(out, target, a, shift, x, source, b, start):
    """L x L numbers: row i is read at x[source[b + i] + start], column i is written at out[target[a + i] + shift]."""
    L = np.arange(lanes(out.dtype))
    rows = x.reshape(-1)[source[b + L][:, None] + start + L]
    out.reshape(-1)[target[a + L][:, None] + shift + L] = rows.T


# the same in LLVM -----------------------------------------------------------------------------------------------------


class Writer:
    """What the three codes have in common: vectors of one element type."""

    def __init__(self, builder: Any, element: Any, bits: int) -> None:
        from llvmlite import ir

        self.ir, self.builder, self.bits, self.i64 = ir, builder, bits, ir.IntType(64)
        self.L = 8 * VECTOR_BYTES // bits
        self.vector = ir.VectorType(element, self.L)

    def at(self, base: Any, *index: Any) -> Any:
        """Pointer to base[sum of index]."""
        for i in index:
            base = self.builder.gep(base, [self.i64(i) if isinstance(i, int) else i])
        return base

    def number(self, base: Any, *index: Any) -> Any:
        return self.builder.load(self.at(base, *index))

    def load(self, base: Any, *index: Any) -> Any:
        value = self.builder.load(self.builder.bitcast(self.at(base, *index), self.vector.as_pointer()))
        value.align = self.bits // 8
        return value

    def store(self, value: Any, base: Any, *index: Any) -> None:
        pointer = self.builder.bitcast(self.at(base, *index), self.vector.as_pointer())
        self.builder.store(value, pointer).align = self.bits // 8

    def spread(self, number: Any) -> Any:
        """One number in all lanes."""
        i32 = self.ir.IntType(32)
        one = self.builder.insert_element(self.ir.Constant(self.vector, self.ir.Undefined), number, i32(0))
        zeros = self.ir.Constant(self.ir.VectorType(i32, self.L), None)
        return self.builder.shuffle_vector(one, self.ir.Constant(self.vector, self.ir.Undefined), zeros)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        name = f"llvm.fmuladd.v{self.L}f{self.bits}"
        function = self.builder.module.globals.get(name) or self.ir.Function(
            self.builder.module, self.ir.FunctionType(self.vector, [self.vector] * 3), name
        )
        return self.builder.call(function, [a, b, c])

    def sums(self, n: Any, first: dict, step: Callable) -> dict:
        """The sums after ``step(k, sums)`` for k = 0 ... n - 1; leaves the builder after the loop."""
        builder, before = self.builder, self.builder.block
        loop, end = (builder.append_basic_block(name) for name in ("terms", "end"))
        builder.cbranch(builder.icmp_signed("<", self.i64(0), n), loop, end)
        builder.position_at_end(loop)
        k = builder.phi(self.i64)
        sums = {cell: builder.phi(self.vector) for cell in first}
        new = step(k, sums)
        following = builder.add(k, self.i64(1))
        for phi, start, then in [(k, self.i64(0), following), *((sums[c], first[c], new[c]) for c in first)]:
            phi.add_incoming(start, before)
            phi.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", following, n), loop, end)
        builder.position_at_end(end)
        last = {cell: builder.phi(self.vector) for cell in first}
        for cell, phi in last.items():
            phi.add_incoming(first[cell], before)
            phi.add_incoming(new[cell], loop)
        return last


def products_code(n: int) -> Callable:
    """(1)."""

    def emit(
        builder: Any, element: Any, bits: int, y: Any, pitch: Any, x: Any, place: Any, target: Any, offset: Any,
        terms: Any, w: Any, b: Any, q: Any,
    ) -> None:  # fmt: skip
        write = Writer(builder, element, bits)
        windows = [write.at(x, write.number(place, q, v)) for v in range(n)]
        targets = [write.at(y, write.number(target, q, v)) for v in range(n)]

        def step(k: Any, sums: dict) -> dict:
            shift = write.number(offset, k)
            terms_of_k = [write.load(window, shift) for window in windows]
            row, new = write.at(w, builder.mul(k, write.i64(UNITS))), {}
            for u in range(UNITS):
                weight = write.spread(write.number(row, u))
                for v, term in enumerate(terms_of_k):
                    new[u, v] = write.multiply_add(weight, term, sums[u, v])
            return new

        biases = [write.spread(write.number(b, u)) for u in range(UNITS)]
        first = {(u, v): biases[u] for u in range(UNITS) for v in range(n)}
        for (u, v), total in write.sums(terms, first, step).items():
            write.store(total, targets[v], builder.mul(pitch, write.i64(u)))

    return emit


def overlaps_code(n: int) -> Callable:
    """(2)."""

    def emit(
        builder: Any, element: Any, bits: int, g: Any, y: Any, pitch: Any, x: Any, place: Any, n_places: Any,
        offset: Any, k: Any,
    ) -> None:  # fmt: skip
        write = Writer(builder, element, bits)
        images = [write.at(y, builder.mul(pitch, write.i64(u))) for u in range(UNITS)]
        planes = [write.at(x, write.number(offset, k, v)) for v in range(n)]

        def step(q: Any, sums: dict) -> dict:
            shift, here = write.number(place, q), builder.mul(q, write.i64(write.L))
            terms = [write.load(plane, shift) for plane in planes]
            new = {}
            for u, image in enumerate(images):
                number = write.load(image, here)
                for v, term in enumerate(terms):
                    new[u, v] = write.multiply_add(number, term, sums[u, v])
            return new

        zero = write.ir.Constant(write.vector, None)
        first = {(u, v): zero for u in range(UNITS) for v in range(n)}
        for (u, v), total in write.sums(n_places, first, step).items():
            write.store(total, g, (u * n + v) * write.L)

    return emit


def turn_code(
    builder: Any, element: Any, bits: int, out: Any, target: Any, a: Any, shift: Any, x: Any, source: Any, b: Any,
    start: Any,
) -> None:  # fmt: skip
    """``turned``: rows i and i + L/2 interleaved, log2 L times, are the columns."""
    write = Writer(builder, element, bits)
    L, i32 = write.L, write.ir.IntType(32)
    rows = [write.load(x, write.number(source, b, i), start) for i in range(L)]
    halves = [
        write.ir.Constant(write.ir.VectorType(i32, L), [i32(h + i // 2 + (i % 2) * L) for i in range(L)])
        for h in (0, L // 2)
    ]
    for _ in range(L.bit_length() - 1):
        rows = [builder.shuffle_vector(rows[i], rows[i + L // 2], half) for i in range(L // 2) for half in halves]
    for i, row in enumerate(rows):
        write.store(row, out, write.number(target, a, i), shift)


products_1, products_2, products_3 = (vectors(products_code(n), products(n)) for n in (1, 2, 3))
overlaps_1, overlaps_3 = (vectors(overlaps_code(n), overlaps(n)) for n in (1, 3))
turn = vectors(turn_code, turned)


# tiles ----------------------------------------------------------------------------------------------------------------


def to_lanes(x, image, inside, around, tile, plane):
    """tile[c, inside[q] + l] = x[image of lane l, c, q], zero at around[q] + l; x flat, image (L,) where images begin.

    tile: flat, channels of ``plane`` numbers.
    """
    L, n = len(image), len(inside)
    for c in range(len(tile) // plane):
        for q in range(len(around)):
            first = c * plane + around[q]
            for l in range(L):
                tile[first + l] = 0.0
        if n >= L:
            for q in range(0, n - L + 1, L):
                turn(tile, inside, q, c * plane, x, image, 0, c * n + q)
            turn(tile, inside, n - L, c * plane, x, image, 0, c * n + n - L)
        else:
            for q in range(n):
                for l in range(L):
                    tile[c * plane + inside[q] + l] = x[image[l] + c * n + q]


def from_lanes(tile, image, inside, channels, y):
    """y[image of lane l, o, q] = tile[o, q, l]; tile and y flat, inside[q] = q L."""
    L, n = len(image), len(inside)
    for o in range(channels):
        if n >= L:
            for q in range(0, n - L + 1, L):
                turn(y, image, 0, o * n + q, tile, inside, q, o * n * L)
            turn(y, image, 0, o * n + n - L, tile, inside, n - L, o * n * L)
        else:
            for q in range(n):
                for l in range(L):
                    y[image[l] + o * n + q] = tile[(o * n + q) * L + l]


to_lanes, from_lanes = jit(to_lanes), jit(from_lanes)


def sum_some(begin, end, X, Y, pitch, place, target, offset, terms, w, b):
    """(1) for the windows begin ... end - 1 and four u."""
    q = begin
    while q < end:
        left = end - q
        if left == 3 or left > 4:
            products_3(Y, pitch, X, place, target, offset, terms, w, b, q)
            q += 3
        elif left > 1:
            products_2(Y, pitch, X, place, target, offset, terms, w, b, q)
            q += 2
        else:
            products_1(Y, pitch, X, place, target, offset, terms, w, b, q)
            q += 1


sum_some = jit(sum_some)


def sum_windows(X, Y, pitch, place, target, offset, parts, w, b):
    """(1) of a tile; part (q0, q1, k0, k1): windows q0 ... q1 - 1 have the terms k0 ... k1 - 1.  w (groups, K, 4)."""
    for part in range(len(parts)):
        k0, k1, end = parts[part, 2], parts[part, 3], parts[part, 1]
        for begin in range(parts[part, 0], end, BAND):
            for g in range(len(w)):
                y, here = Y[UNITS * g * pitch :], min(begin + BAND, end)
                sum_some(begin, here, X, y, pitch, place, target, offset[k0:], k1 - k0, w[g, k0:], b[UNITS * g :])


sum_windows = jit(sum_windows)


def windows_tile(
    t, n_images, x, image, inside, around, plane, out, out_image, flat, room, place, target, offset, parts, w, b
):
    """(1) of the images of tile t: from x into out, both flat; room is scratch for the planes of the tile."""
    pitch, n_out = len(flat) * image.shape[1], len(out) // (n_images * len(flat))
    n_in = room.shape[1] - len(b) * pitch
    X, Y = room[t, :n_in], room[t, n_in:]
    to_lanes(x, image[t], inside, around, X, plane)
    sum_windows(X, Y, pitch, place, target, offset, parts, w, b)
    from_lanes(Y, out_image[t], flat, n_out, out)


def overlaps_tile(t, n_images, x, image, inside, around, plane, y, y_image, flat, room, place, offset, out):
    """(2) of the images of tile t, out[t, u, k] summed over them; room is scratch, with units to spare."""
    L, units, K, some = image.shape[1], out.shape[1], len(offset), out[t]
    count, pitch = min(L, n_images - t * L), len(flat) * L
    n_in = len(x) // (n_images * len(inside)) * plane
    X, g, Y = room[t, :n_in], room[t, n_in : n_in + 3 * UNITS * L], room[t, n_in + 3 * UNITS * L :]
    to_lanes(x, image[t], inside, around, X, plane)
    to_lanes(y, y_image[t], flat, around[:0], Y[: units * pitch], pitch)
    for i in range(units * pitch, len(Y)):
        Y[i] = 0.0
    for u in range(0, units, UNITS):
        k = 0
        while k < K:
            n = 3 if k + 3 <= K else 1
            if n == 3:
                overlaps_3(g, Y[u * pitch :], pitch, X, place, len(place), offset, k)
            else:
                overlaps_1(g, Y[u * pitch :], pitch, X, place, len(place), offset, k)
            for a in range(min(UNITS, units - u)):
                for v in range(n):
                    total = g[(a * n + v) * L]
                    for l in range(1, count):
                        total += g[(a * n + v) * L + l]
                    some[u + a, k + v] = total
            k += n


run_windows = over_chains(windows_tile)
run_overlaps = over_chains(overlaps_tile)
