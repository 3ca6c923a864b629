"""Sums over binary states by tables: four units add one of only sixteen numbers to a field.

[Arlazarov, Dinic, Kronrod & Faradzev 1970]
A *block* is four units that share a Philox counter, addresses 4b, ..., 4b + 3; a unit has its *place* in it, 0 to 3.
A *tile* is eight blocks.  Its 32 states in a chain are a word of 64 bits, a byte for each block, the places its low
bits; its 32 fields are four vectors, one for each place: number 8 place + block of a tile is that unit's.
(1) T_b[s] = ((s_0 w_0 + s_1 w_1) + s_2 w_2) + s_3 w_3  for each given block b: 16 rows of a tile's fields
(2) z = bias + T_0[s_0] + T_1[s_1] + ..., from left to right, in float32: one vector addition for 32 products
A layer's units have *positions*, counted from the multiple of four that its first address is in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ebm_ref.compile import jit, vector_code

PLACES, BLOCKS, UNITS = 4, 8, 32  # of a block; of a tile; units of a tile
ROWS = 16  # of a block in a table
ZERO, U1 = np.float32(0.0), np.uint64(1)


def fill_table(T, w):
    """(1); T (8 blocks x 16 rows x 32 fields) and w (8 blocks x 4 places x 32 fields), both flat."""
    for block in range(BLOCKS):
        t, v = T[ROWS * UNITS * block : ROWS * UNITS * (block + 1)], w[128 * block : 128 * (block + 1)]
        for j in range(UNITS):
            w0, w1, w2, w3 = v[j], v[32 + j], v[64 + j], v[96 + j]
            w01, w02, w12 = w0 + w1, w0 + w2, w1 + w2
            w012 = w01 + w2
            t[j], t[32 + j], t[64 + j], t[96 + j] = ZERO, w0, w1, w01
            t[128 + j], t[160 + j], t[192 + j], t[224 + j] = w2, w02, w12, w012
            t[256 + j], t[288 + j], t[320 + j], t[352 + j] = w3, w0 + w3, w1 + w3, w01 + w3
            t[384 + j], t[416 + j], t[448 + j], t[480 + j] = w2 + w3, w02 + w3, w12 + w3, w012 + w3


fill_table = jit(fill_table)


def add_rows_in_numpy(Z, T, S, _):
    """(2) of one tile of given units: fields Z (4 places, chains x 8 blocks), T (8 x 16, 32), words S (1, chains)."""
    z, t = Z.reshape(PLACES, -1, BLOCKS), T.reshape(BLOCKS, ROWS, PLACES, BLOCKS)
    for block in range(BLOCKS):
        s = (S[0] >> np.uint64(8 * block)).astype(np.int64) % ROWS
        z += t[block, s].transpose(1, 0, 2)


def add_rows_code(
    builder: Any, element: Any, bits: int, Z: Any, T: Any, S: Any, _: Any, width: Any, rows: Any, stride: Any
) -> None:
    """The same in LLVM; the four sums of a chain stay in registers."""
    from llvmlite import ir

    i64, vector = ir.IntType(64), ir.VectorType(element, BLOCKS)

    def at(base: Any, index: Any) -> Any:
        return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

    def load(pointer: Any) -> Any:
        value = builder.load(pointer)
        value.align = bits // 8
        return value

    before, (loop, end) = builder.block, map(builder.append_basic_block, ("chain", "end"))
    builder.cbranch(builder.icmp_signed("<", i64(0), width), loop, end)
    builder.position_at_end(loop)
    i = builder.phi(i64)  # 8 x chain
    word = builder.load(builder.gep(S, [builder.lshr(i, i64(3))]))
    targets = [at(Z, builder.add(builder.mul(width, i64(place)), i)) for place in range(PLACES)]
    sums = [load(target) for target in targets]
    for block in range(BLOCKS):
        right = 8 * block - 5  # so that a row's number comes out times 32
        moved = builder.lshr(word, i64(right)) if right > 0 else builder.shl(word, i64(-right))
        row = builder.gep(T, [builder.and_(moved, i64(UNITS * (ROWS - 1)))])
        fields = [load(at(row, i64(UNITS * ROWS * block + BLOCKS * place))) for place in range(PLACES)]
        sums = [builder.fadd(z, t) for z, t in zip(sums, fields, strict=True)]
    for target, value in zip(targets, sums, strict=True):
        builder.store(value, target).align = bits // 8
    following = builder.add(i, i64(BLOCKS))
    i.add_incoming(i64(0), before)
    i.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, width), loop, end)
    builder.position_at_end(end)


add_rows: Callable = vector_code(add_rows_code, add_rows_in_numpy)


def start_fields(Z, bias):
    """Z (4, chains x 8) = the bias of a tile, (32,)."""
    for place in range(PLACES):
        z, b = Z[place], bias[BLOCKS * place : BLOCKS * (place + 1)]
        for i in range(0, len(z), BLOCKS):
            for block in range(BLOCKS):
                z[i + block] = b[block]


def bit_of(position):
    """Which bit of its tile's word the unit at this address is, counted from a multiple of four."""
    return np.uint64(8 * ((position >> 2) & 7) + (position & 3))


bit_of = jit(bit_of, inlined=True)
start_fields = jit(start_fields)


def exact_field(S, c, offset, bias, weights):
    """bias + sum_i weights_i s_i in float64, in the order of i, of chain c; unit i has position offset + i in S."""
    z = bias
    for i in range(len(weights)):
        position = offset + i
        z += weights[i] if (S[position >> 5, c] >> bit_of(position)) & U1 else 0.0
    return z


exact_field = jit(exact_field)


def sum_in_blocks(z, sums, bias, states, weights, offset):
    """z = (2) for any states; weights (units, n) and sums (n,) in float32, terms in blocks of four positions."""
    for j in range(len(z)):
        z[j] = bias[j]
    for start in range(-offset, len(states), PLACES):
        sums[:] = ZERO
        for i in range(max(start, 0), min(start + PLACES, len(states))):
            s, row = np.float32(states[i]), weights[i]
            for j in range(len(z)):
                sums[j] += s * row[j]
        for j in range(len(z)):
            z[j] += sums[j]


sum_in_blocks = jit(sum_in_blocks)
