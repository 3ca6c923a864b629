"""Block Gibbs on binary layers, sums by kernels/tables: the rows of kernels/gibbs.block_sweeps, bit for bit.

(1) z by tables (1) and (2), a tile of units at a time in all chains of a block
(2) u < sigmoid(z) where kernels/gibbs_batch.gap is negative; where it is within the margin, by the exact rule.
(3) Double precision at the price of single: beyond the margin the sign of the gap is right, since z errs by at most
        d_j = 2^-24 (|bias_j| + 4 sum_i |W_ij| + sum_b max(|bias_j + P_bj|, |bias_j - N_bj|)),
    P_bj and N_bj the sums of the positive and of the negative W_ij in blocks 0, ..., b: rounding the numbers, three
    additions for a row of a table, each of no more than the block's sum of |W_ij|, and the additions of the rows.
    Within the margin the sum is done again in float64, in the order of i.
(4) In single precision z decides, for any states: ``plain_sweeps`` sums by the definition.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels import gibbs
from ebm_ref.kernels.gibbs_batch import MARGIN, WIDEST_MARGIN, gap
from ebm_ref.kernels.tables import (
    BLOCKS,
    PLACES,
    ROWS,
    U1,
    UNITS,
    ZERO,
    add_rows,
    bit_of,
    exact_field,
    fill_table,
    start_fields,
    sum_in_blocks,
)
from ebm_ref.maths.philox import LOW32, S32, bernoulli, philox4x32_inlined
from ebm_ref.maths.scalars import sigmoid

WIDEST, NARROWEST = 256, 16  # chains that share a table
AT_ONCE = 64  # chains drawn in one loop
MOST_PADDING = 1.25  # units of all tiles for a unit of the model; beyond, kernels/gibbs_batch is faster
FIRST = np.int64(0)
P1, P2, P4, P8, P16, P32, P64, P128 = (np.float32(2.0**k) for k in range(8))
CLOSE = np.uint64(0xF0F0F0F0F0F0F0F0)  # the high bits of the bytes
U4, U7, S3 = np.uint64(4), np.uint64(7), np.uint64(3)


class Layer(NamedTuple):
    """What the draws of a layer need; n units with weights from ``given`` units, in ``tiles`` and ``given_tiles``."""

    first_unit: int  # the address of unit 0
    first_given: int  # that of the other layer
    tiles: np.ndarray  # W in float32 (tiles, given_tiles, 8 blocks x 4 places x 32 fields)
    starts: np.ndarray  # the bias in float32 (tiles, 32 fields)
    bias: np.ndarray  # (n,)
    weights: np.ndarray  # (n, given) to sum again by, (3); (n, 0) where single precision decides
    margin: float


# Draws ----------------------------------------------------------------------------------------------------------------


def fill_words(words, n, block, chain, c2, c3, k0, k1):
    """words[place, 8 c + b]: the first word in block ``block`` + b of chain ``chain`` + c; n for each place."""
    first, second, third, fourth = words[0], words[1], words[2], words[3]
    for i in range(n):
        here = np.uint64(i)
        w0, w1, w2, w3 = philox4x32_inlined(block + (here & U7), chain + (here >> S3), c2, c3, k0 & LOW32, k1 & LOW32)
        first[i] = w0
        second[i] = w1
        third[i] = w2
        fourth[i] = w3


def draw_bytes(drawn, Z, start, words, margin):
    """(2): the states of a block in the low bits of its byte; in the high ones, which of them are within the margin."""
    z0, z1, z2, z3 = Z[0][start:], Z[1][start:], Z[2][start:], Z[3][start:]
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    for i in range(len(drawn)):
        g0, g1, g2, g3 = gap(z0[i], w0[i]), gap(z1[i], w1[i]), gap(z2[i], w2[i]), gap(z3[i], w3[i])
        on = (P1 if g0 < ZERO else ZERO) + (P2 if g1 < ZERO else ZERO) + (P4 if g2 < ZERO else ZERO)
        close = (P16 if abs(g0) < margin else ZERO) + (P32 if abs(g1) < margin else ZERO)
        close += (P64 if abs(g2) < margin else ZERO) + (P128 if abs(g3) < margin else ZERO)
        drawn[i] = np.int32(on + (P8 if g3 < ZERO else ZERO) + close)  # vectors of floats, one conversion


fill_words = jit(fill_words)
draw_bytes = jit(draw_bytes, flags=("contract",))


def settle(word, close, layer, given, c, Z, words, i, tile, chain, step, purpose, k0, k1):
    """``word`` with the exact rule for the states whose high bits are in ``close``; i is 8 x the chain in ``words``."""
    n_words = BLOCKS * c
    for block in range(BLOCKS):
        for place in range(PLACES):
            bit = U1 << np.uint64(8 * block + place)
            if close & (bit << U4):
                position = UNITS * tile + PLACES * block + place
                j = position - (layer.first_unit & 3)
                if layer.weights.shape[1]:
                    z = exact_field(given, c, layer.first_given & 3, layer.bias[j], layer.weights[j])
                else:
                    z = np.float64(Z[place, n_words + block])
                first, unit = np.uint64(words[place, i + block]), np.uint64(layer.first_unit + j)
                on = bernoulli(sigmoid(z), first, unit, chain, step, purpose, k0, k1) == 1.0
                word = (word | bit) if on else (word & ~bit)
    return word


settle = jit(settle)


def draw_tile(S, tile, layer, free, given, Z, words, drawn, chain, step, purpose, k0, k1):
    """The free units of a tile from their fields."""
    s, c3, margin = S[tile], purpose | ((step >> S32) << np.uint64(16)), np.float32(layer.margin)
    block = np.uint64((layer.first_unit >> 2) + BLOCKS * tile)
    for start in range(0, len(s), AT_ONCE):
        n = min(AT_ONCE, len(s) - start)
        fill_words(words, BLOCKS * n, block, chain + np.uint64(start), step & LOW32, c3, k0, k1)
        draw_bytes(drawn[: BLOCKS * n], Z, BLOCKS * start, words, margin)
        new = drawn.view(np.uint64)
        for i in range(n):
            c, word = start + i, new[i]
            close = word & CLOSE & (free[tile, 0] << U4)
            if close:
                word = settle(
                    word, close, layer, given, c, Z, words, BLOCKS * i, tile, chain + np.uint64(c), step, purpose, k0,
                    k1,
                )  # fmt: skip
            s[c] = (word & free[tile, 0]) | (s[c] & ~free[tile, 0])


draw_tile = jit(draw_tile)


def draw_layer(S, layer, free, given, T, Z, words, drawn, chain, step, purpose, k0, k1):
    """S ~ p(layer | given): words (tiles, chains); T, Z, words and drawn are scratch."""
    for tile in range(len(S)):
        start_fields(Z, layer.starts[tile])
        for g in range(len(given)):
            fill_table(T, layer.tiles[tile, g])
            add_rows(Z, T.reshape(ROWS * BLOCKS, UNITS), given[g : g + 1], 0)
        draw_tile(S, tile, layer, free, given, Z, words, drawn, chain, step, purpose, k0, k1)


draw_layer = jit(draw_layer)


# Sweeps ---------------------------------------------------------------------------------------------------------------


def to_words(S, rows, offset):
    """Words S (tiles, chains) of rows (chains, units) of one layer; whether any number is neither 0 nor 1."""
    odd = False
    for c in range(len(rows)):
        row = rows[c]
        for tile in range(len(S)):
            word = np.uint64(0)
            for position in range(max(UNITS * tile, offset), min(UNITS * (tile + 1), offset + len(row))):
                s = row[position - offset]
                odd |= s != 0.0 and s != 1.0
                word |= np.uint64(s == 1.0) << bit_of(position)
            S[tile, c] = word
    return odd


def to_rows(rows, S, offset):
    """The inverse of ``to_words``."""
    for c in range(len(rows)):
        row = rows[c]
        for tile in range(len(S)):
            word = S[tile, c]
            for position in range(max(UNITS * tile, offset), min(UNITS * (tile + 1), offset + len(row))):
                row[position - offset] = np.float64((word >> bit_of(position)) & U1)


to_words = jit(to_words)
to_rows = jit(to_rows)


def table_sweeps(block, width, states, out, left, visible, hidden, free, address, start, n_steps):
    """n_steps of block Gibbs from ``states`` to ``out`` (chains, nv + nh), for the block's ``width`` chains.

    visible, hidden: Layers; free (nv + nh,) is 1 where a unit may move, else 0.  Where a state is neither 0 nor 1,
    ``left[block]`` is set and nothing done.
    """
    nv, first = hidden.first_unit, block * width
    n, offset = min(width, len(states) - first), nv & 3
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(first)
    X, free_x = np.empty((len(visible.tiles), n), np.uint64), np.empty((len(visible.tiles), 1), np.uint64)
    H, free_h = np.empty((len(hidden.tiles), n), np.uint64), np.empty((len(hidden.tiles), 1), np.uint64)
    T, Z = np.empty(ROWS * BLOCKS * UNITS, np.float32), np.empty((PLACES, BLOCKS * n), np.float32)
    words, drawn = np.empty((PLACES, BLOCKS * AT_ONCE), np.uint32), np.empty(BLOCKS * AT_ONCE, np.uint8)
    rows, new = states[first : first + n], out[first : first + n]
    to_words(free_x, free[:, :nv], FIRST)
    to_words(free_h, free[:, nv:], offset)
    odd = to_words(X, rows[:, :nv], FIRST)
    odd |= to_words(H, rows[:, nv:], offset)
    left[block] = odd
    for t in range(0 if odd else n_steps):
        step = start + np.uint64(t)
        draw_layer(H, hidden, free_h, X, T, Z, words, drawn, chain, step, purpose, k0, k1)
        draw_layer(X, visible, free_x, H, T, Z, words, drawn, chain, step, purpose, k0, k1)
    to_rows(new[:, :nv], X, FIRST)
    to_rows(new[:, nv:], H, offset)


run_table_sweeps = over_chains(table_sweeps)


def plain_sweeps(chain, states, scratch, W, WT, a, b, free, address, start, n_steps):
    """The chain's row of ``table_sweeps`` in single precision, for any states, in place; all weights in float32."""
    nv = len(a)
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    x, h, logits = states[chain, :nv], states[chain, nv:], scratch[chain]
    z, sums = np.empty((2, nv), np.float32), np.empty((2, len(b)), np.float32)
    for t in range(n_steps):
        step = start + np.uint64(t)
        sum_in_blocks(sums[0], sums[1], b, x, W, FIRST)
        logits[nv:] = sums[0]
        gibbs.draw_layer(h, logits[nv:], free[nv:], nv, c1, step, purpose, k0, k1)
        sum_in_blocks(z[0], z[1], a, h, WT, nv & 3)
        logits[:nv] = z[0]
        gibbs.draw_layer(x, logits[:nv], free[:nv], FIRST, c1, step, purpose, k0, k1)


run_plain_sweeps = over_chains(plain_sweeps)


# Before the first sweep -----------------------------------------------------------------------------------------------


def prepare(W, bias, offset, offset_given, tiles, starts, transposed, scratch):
    """W (given, n) into ``tiles``, the bias into ``starts``, W' into ``transposed``; the largest d_j of (3).

    offset, offset_given: the positions of unit 0 of either layer; scratch (3, n).
    """
    size, highest, lowest = scratch[0], scratch[1], scratch[2]
    n = len(bias)
    on_the_way = np.zeros(n)
    for j in range(n):
        position = offset + j
        starts[position >> 5, BLOCKS * (position & 3) + ((position >> 2) & 7)] = bias[j]
        size[j], highest[j], lowest[j] = abs(bias[j]), bias[j], bias[j]
    for i in range(len(W)):
        row, given = W[i], offset_given + i
        first = PLACES * BLOCKS * (PLACES * ((given >> 2) & 7) + (given & 3))
        for j in range(n):
            w, position = row[j], offset + j
            tiles[position >> 5, given >> 5, first + BLOCKS * (position & 3) + ((position >> 2) & 7)] = w
            transposed[j, i] = w
            size[j] += 4.0 * abs(w)
            highest[j] += max(w, 0.0)
            lowest[j] += min(w, 0.0)
        if given & 3 == 3 or i == len(W) - 1:
            for j in range(n):
                on_the_way[j] += max(abs(highest[j]), abs(lowest[j]))
    largest = 0.0
    for j in range(n):
        largest = max(largest, size[j] + on_the_way[j])
    return 1.01 * 2.0**-24 * largest  # a hundredth for products of roundings and for rounding here


prepare = jit(prepare)


def n_tiles(first_unit: int, n: int) -> int:
    """Tiles of a layer of n units, the first at this address."""
    return -(-((first_unit & 3) + n) // UNITS)


def worthwhile(n_visible: int, n_hidden: int) -> bool:
    """Whether the tiles are well filled."""
    padded = UNITS * (n_tiles(0, n_visible) + n_tiles(n_visible, n_hidden))
    return padded <= MOST_PADDING * (n_visible + n_hidden)


def prepared(W: np.ndarray, bias: np.ndarray, first_unit: int, first_given: int) -> tuple[Layer, np.ndarray]:
    """The Layer with weights W (given, n), to be summed again by nothing yet, and W'; the margin is (3)."""
    given, n = W.shape
    tiles = np.zeros((n_tiles(first_unit, n), n_tiles(first_given, given), PLACES * BLOCKS * UNITS), np.float32)
    starts, transposed = np.zeros((len(tiles), UNITS), np.float32), np.empty((n, given))
    d = prepare(W, bias, first_unit & 3, first_given & 3, tiles, starts, transposed, np.empty((3, n)))
    transposed.flags.writeable = False
    return Layer(first_unit, first_given, tiles, starts, bias, np.empty((n, 0)), MARGIN + d), transposed


def layers(W: np.ndarray, a: np.ndarray, b: np.ndarray, single: bool) -> tuple[Layer, Layer] | None:
    """The visible and the hidden layer of an RBM; None where so much would be summed again that it doesn't pay.

    single: sums in float32 decide.
    """
    nv = len(a)
    hidden, WT = prepared(W, b, nv, 0)
    visible, _ = prepared(WT, a, 0, nv)
    if single:
        return visible._replace(margin=MARGIN), hidden._replace(margin=MARGIN)
    if not (visible.margin < WIDEST_MARGIN and hidden.margin < WIDEST_MARGIN):
        return None
    return visible._replace(weights=W), hidden._replace(weights=WT)


def block_width(n_chains: int, n_threads: int) -> int:
    """Chains of a block: as many blocks for each thread, few of them, since each makes its own tables."""
    n_threads = max(1, min(n_threads, n_chains // NARROWEST))
    n_blocks = n_threads * -(-n_chains // (n_threads * WIDEST))
    return -(-n_chains // n_blocks)
