"""Compiled sums over the states of a hidden layer in product form: log Z, and with it the moments.

No exp or log per state: split h into high and low bits and let R_i = exp(-(W h_high)_i) and
B_i(low) = exp(a_i + (W h_low)_i).  Then exp(softplus(z_i)) = (R_i + B_i(low)) / R_i, where 1 / prod_i R_i is linear in
h_high and joins b.h: one addition and one multiplication for each unit and state, in vector registers
(kernels/strips.py); two paired bits give four sides, states that share each B.  Products are kept in [1, 2) with their
binary exponents aside, renormalised after groups of units whose product can neither overflow nor underflow.

Moments need w sigmoid(z) = w B / (R + B): one division serves two units.  As in
kernels/enumeration.py the highest bits of the state number the shards, and each shard is one chain of the driver.
"""

import math
from typing import NamedTuple

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.enumeration import LN2, LOG2E
from ebm_ref.kernels.strips import SIDES, WIDTH, multiply_strip
from ebm_ref.maths.bits import gray, trailing_zeros

REFRESH_HIGH = 64  # high states between two fresh exponentials
MANTISSA, ONE = np.int64(0x000FFFFFFFFFFFFF), np.int64(0x3FF0000000000000)
PAIRED_BITS, LEAST_LOW_BITS = 2, 3  # 2^PAIRED_BITS = SIDES, 2^LEAST_LOW_BITS = WIDTH
UNITS_IN_CACHE = 256  # their B of one strip and their R stay in the first-level cache
FARTHEST = 1000  # binary orders of magnitude below the largest term at which a term no longer counts


class ProductTables(NamedTuple):
    """What the product form multiplies.  The n hidden bits are, from the lowest: n_low low bits, the two paired bits,
    the high bits, whose top ones number the shards.  exp(b_j + sum_i W_ij) = exp(rest_j) 2^shift_j for the bits above
    the low ones: weights that come with prod_i R_i.
    """

    WT: np.ndarray  # (n_high, units)
    growth: np.ndarray  # exp(WT)
    shrink: np.ndarray  # exp(-WT)
    rest: np.ndarray  # (n_high,)
    shift: np.ndarray  # (n_high,) integers
    pair: np.ndarray  # (units, 4): exp(-W h) of the states of the paired bits
    pair_rest: np.ndarray  # (4,)
    pair_shift: np.ndarray  # (4,)
    B: np.ndarray  # (2**n_low / 8, units, 8), strip by strip: exp(a + W h_low)
    low_factor: np.ndarray  # (2**n_low,): exp(b . h_low) = low_factor 2^low_shift
    low_shift: np.ndarray  # (2**n_low,)
    groups: np.ndarray  # ends of the groups of units, multiples of four


def set_high(t, high, r, R, tables):
    """r_i = exp(-(W h_high)_i) of the t-th Gray word, given that of the word before; R[i, s] = r_i pair[i, s].

    One factor a unit, afresh every REFRESH_HIGH words.
    """
    if t % REFRESH_HIGH == 0:
        for i in range(len(r)):
            z = 0.0
            for j in range(len(tables.WT)):
                if high >> j & 1:
                    z += tables.WT[j, i]
            r[i] = math.exp(-z)
    else:
        j = trailing_zeros(t)
        factors = tables.shrink[j] if high >> j & 1 else tables.growth[j]
        for i in range(len(r)):
            r[i] *= factors[i]
    for i in range(len(r)):
        for side in range(SIDES):
            R[i, side] = r[i] * tables.pair[i, side]


def set_biases(high, P, E, tables):
    """P 2^E = exp(b.h + sum_i (W h)_i over the bits above the low ones), P in [1, 4) or so."""
    rest, shift = 0.0, 0
    for j in range(len(tables.rest)):
        if high >> j & 1:
            rest += tables.rest[j]
            shift += tables.shift[j]
    whole = math.floor(rest * LOG2E)
    for side in range(SIDES):
        factor = math.exp(rest - whole * LN2 + tables.pair_rest[side])
        exponent = shift + int(whole) + tables.pair_shift[side]
        for k in range(P.shape[1]):
            P[side, k] = tables.low_factor[k] * factor
            E[side, k] = tables.low_shift[k] + exponent


def normalise(P, bits, E):
    """P 2^E as before with each P in [1, 2); returns the largest E."""
    for side in range(SIDES):
        for k in range(P.shape[1]):
            E[side, k] += (bits[side, k] >> 52) - 1023
            bits[side, k] = (bits[side, k] & MANTISSA) | ONE
    largest = E[0, 0]
    for side in range(SIDES):
        for k in range(P.shape[1]):
            largest = max(largest, E[side, k])
    return largest


def weigh(start, base, r, R, P, bits, E, tables):
    """P 2^E = the weights of all states under a batch of high words; returns the largest E.

    R (batch, units, 4), P and its ``bits`` and E (batch, 4, 2**n_low).  The words are Gray words ``start`` and on; r
    (units,) holds exp(-W h_high) of the one before.  A strip of B stays in cache for the whole batch.
    """
    batch, units, largest = len(R), len(r), -(1 << 62)
    for q in range(batch):
        high = gray(start + q) | base
        set_high(start + q, high, r, R[q], tables)
        set_biases(high, P[q], E[q], tables)
    begin = 0
    for end in tables.groups:
        while begin < end:
            stop = min(begin + UNITS_IN_CACHE, end)
            for k in range(len(tables.B)):
                for q in range(batch):
                    multiply_strip(P[q], tables.B[k, begin:stop], R[q, begin:stop], WIDTH * k)
            begin = stop
        for q in range(batch):
            at_most = normalise(P[q], bits[q], E[q])
            if begin == units:
                largest = max(largest, at_most)
    return largest


def scale(P, bits, E, top):
    """P <- P 2^(E - top) through the exponent bits, E <= top; returns the sum."""
    total = 0.0
    for side in range(SIDES):
        for k in range(P.shape[1]):
            bits[side, k] -= min(top - E[side, k], FARTHEST) << 52
    for side in range(SIDES):
        for k in range(P.shape[1]):
            total += P[side, k]
    return total


def fold(r, sums):
    """Adds to sums[j] the entries of r (2**n,) whose index has bit j, by folding the top half down; spoils r."""
    half = len(r) >> 1
    j = len(sums) - 1
    while half:
        part = 0.0
        for k in range(half):
            part += r[half + k]
            r[k] += r[half + k]
        sums[j] += part
        half >>= 1
        j -= 1


def add_shares(R, B, w0, w1, side, sums, totals):
    """sums[u, k] += sum_s w_s[k] / (R_us + B_uk) for two sides s = side, side + 1 and four units u.

    totals[s, u] = sum_k w_s[k] B_uk / (R_us + B_uk).  With f = R + B: one division w / (f0 f1) serves two units, which
    balances dividing and multiplying.
    """
    for u in range(0, 4, 2):
        r00, r01, r10, r11 = R[u, side], R[u + 1, side], R[u, side + 1], R[u + 1, side + 1]
        B0, B1, S0, S1 = B[u], B[u + 1], sums[u], sums[u + 1]
        t00 = t01 = t10 = t11 = 0.0
        for k in range(len(w0)):
            b0, b1 = B0[k], B1[k]
            f0, f1, g0, g1 = r00 + b0, r01 + b1, r10 + b0, r11 + b1
            share0, share1 = w0[k] / (f0 * f1), w1[k] / (g0 * g1)
            x0, x1, y0, y1 = share0 * f1, share0 * f0, share1 * g1, share1 * g0
            S0[k] += x0 + y0
            S1[k] += x1 + y1
            t00, t01, t10, t11 = t00 + x0 * b0, t01 + x1 * b1, t10 + y0 * b0, t11 + y1 * b1
        totals[0, u], totals[0, u + 1], totals[1, u], totals[1, u + 1] = t00, t01, t10, t11


def add_weights(w, sums):
    """sums += w; returns the total."""
    total = 0.0
    for k in range(len(w)):
        sums[k] += w[k]
        total += w[k]
    return total


def add_totals(start, base, totals, out, n_low):
    """Adds the totals (batch, 4, units) of a batch of words to the units' sums over all states and all bits above the
    low ones: out[:, 0] and out[:, 1 + n_low :].  The words of a batch differ in their lowest bits only.
    """
    batch, n_above = len(totals), out.shape[1] - 1 - PAIRED_BITS - n_low
    n_varying, common = trailing_zeros(batch), gray(start) | base
    for u in range(len(out)):
        whole = 0.0
        for q in range(batch):
            t0, t1, t2, t3 = totals[q, 0, u], totals[q, 1, u], totals[q, 2, u], totals[q, 3, u]
            word = (t0 + t1) + (t2 + t3)
            whole += word
            out[u, 1 + n_low] += t1 + t3
            out[u, 2 + n_low] += t2 + t3
            for j in range(n_varying):
                if gray(start + q) >> j & 1:
                    out[u, 3 + n_low + j] += word
        out[u, 0] += whole
        for j in range(n_varying, n_above):
            if common >> j & 1:
                out[u, 3 + n_low + j] += whole


CONTRACT = ("contract", "reassoc")  # error bound: tests/exact compares with 50 digits
set_high = jit(set_high)
set_biases = jit(set_biases)
normalise = jit(normalise)
weigh = jit(weigh)
scale = jit(scale, flags=CONTRACT)
fold = jit(fold, flags=CONTRACT)
add_shares = jit(add_shares, flags=CONTRACT)
add_weights = jit(add_weights, flags=CONTRACT)
add_totals = jit(add_totals)


def layer_product(shard, first, out, r, R, P, bits, E, tables, n_own):
    """Shard ``first + shard`` of a two-layer sum in product form; out[shard] = (m, s); 2**n_own high states each.

    Scratch per shard: r (units,), R (batch, units, 4), P (batch, 4, 2**n_low) and ``bits``, the same memory as
    integers, E like P; the batch is a power of two.
    """
    r, R, P, bits, E = r[shard], R[shard], P[shard], bits[shard], E[shard]
    total, top = 0.0, -(1 << 62)
    base = (first + shard) << n_own
    for start in range(0, 1 << n_own, len(R)):
        largest = weigh(start, base, r, R, P, bits, E, tables)
        if largest > top:
            total *= 2.0 ** max(top - largest, -FARTHEST)
            top = largest
        for q in range(len(R)):
            total += scale(P[q], bits[q], E[q], top)
    out[shard, 0], out[shard, 1] = top * LN2, total


def layer_expectations(shard, first, out, tops, B, sums, totals, r, R, P, bits, E, tables, n_own):
    """Sums of w(h) and w(h) sigmoid(z_i(h)) over a shard, w = p(h) Z 2^-tops[shard]: in all, out[shard, :, 0], and over
    the states with bit j set, out[shard, :, 1 + j]; row i < units holds unit i, the last row w(h) alone.

    B (units, 2**n_low) is that of the tables unit by unit.
    Scratch per shard: sums (4, 2**n_low), the sums over a batch for four units, folded once; totals (batch, 4, 4), of
    each word, side and unit; the other arguments are those of ``layer_product``.
    """
    r, R, P, bits, E = r[shard], R[shard], P[shard], bits[shard], E[shard]
    sums, totals, out = sums[shard], totals[shard], out[shard]
    n_high, units = tables.WT.shape
    n_low = out.shape[1] - 1 - PAIRED_BITS - n_high
    top, base = -(1 << 62), (first + shard) << n_own
    out[:] = 0.0
    for start in range(0, 1 << n_own, len(R)):
        largest = weigh(start, base, r, R, P, bits, E, tables)
        if largest > top:
            out *= 2.0 ** max(top - largest, -FARTHEST)
            top = largest
        for q in range(len(R)):
            scale(P[q], bits[q], E[q], top)
        for i in range(0, units, 4):
            sums[:] = 0.0
            for q in range(len(R)):
                for side in range(0, SIDES, 2):
                    here = totals[q, side : side + 2]
                    add_shares(R[q, i : i + 4], B[i : i + 4], P[q, side], P[q, side + 1], side, sums, here)
            add_totals(start, base, totals, out[i : i + 4], n_low)
            for u in range(4):
                for k in range(sums.shape[1]):
                    sums[u, k] *= B[i + u, k]
                fold(sums[u], out[i + u, 1 : 1 + n_low])
        sums[0] = 0.0
        for q in range(len(R)):
            for side in range(SIDES):
                totals[q, side, 0] = add_weights(P[q, side], sums[0])
        add_totals(start, base, totals, out[units:], n_low)
        fold(sums[0], out[units, 1 : 1 + n_low])
    tops[shard] = top


run_layer_product = over_chains(layer_product, flags=CONTRACT)
run_layer_expectations = over_chains(layer_expectations, flags=CONTRACT)
