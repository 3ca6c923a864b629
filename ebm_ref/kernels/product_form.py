"""Compiled sums over the states of a hidden layer in product form: log Z, and with it the moments.

No exp or log per state: split h into high and low bits and let R_i = exp(-(W h_high)_i) and
B_i(low) = exp(a_i + (W h_low)_i).  Then exp(softplus(z_i)) = (R_i + B_i(low)) / R_i, where 1 / prod_i R_i is linear in
h_high and joins b.h: one addition and one multiplication for each unit and state, in a loop over the low states that
vectorises; two paired bits give four states that share each B.  Products are kept in [1, 2) with their binary exponents
aside, renormalised after groups of units whose product can neither overflow nor underflow.

Moments need w sigmoid(z) = w B / (R + B): one division gives the reciprocals of four R + B.  As in
kernels/enumeration.py the highest bits of the state number the shards, and each shard is one chain of the driver.
"""

import math
from typing import NamedTuple

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.enumeration import LN2, LOG2E
from ebm_ref.maths.bits import gray, trailing_zeros

REFRESH_HIGH = 64  # high states between two fresh exponentials
MANTISSA, ONE = np.int64(0x000FFFFFFFFFFFFF), np.int64(0x3FF0000000000000)
PAIRED_BITS, SIDES = 2, 4  # the paired bits, and their states
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
    pair: np.ndarray  # (4, units): exp(-W h) of the states of the paired bits
    pair_rest: np.ndarray  # (4,)
    pair_shift: np.ndarray  # (4,)
    B: np.ndarray  # (units, 2**n_low): exp(a + W h_low)
    low_factor: np.ndarray  # (2**n_low,): exp(b . h_low) = low_factor 2^low_shift
    low_shift: np.ndarray  # (2**n_low,)
    groups: np.ndarray  # ends of the groups of units, multiples of four


def set_high(t, high, R, tables):
    """R[0]_i = exp(-(W h_high)_i) of the t-th Gray word, given that of the word before; R[s] = R[0] pair[s].

    One factor a unit, afresh every REFRESH_HIGH words.
    """
    if t % REFRESH_HIGH == 0:
        for i in range(R.shape[1]):
            z = 0.0
            for j in range(len(tables.WT)):
                if high >> j & 1:
                    z += tables.WT[j, i]
            R[0, i] = math.exp(-z)
    else:
        j = trailing_zeros(t)
        factors = tables.shrink[j] if high >> j & 1 else tables.growth[j]
        for i in range(R.shape[1]):
            R[0, i] *= factors[i]
    for side in range(1, SIDES):
        for i in range(R.shape[1]):
            R[side, i] = R[0, i] * tables.pair[side, i]


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


def multiply_four(R, i, B, P):
    """P *= prod (R_u + B_u) over units u = i, ..., i + 3, for the four states of the paired bits.

    Each B is loaded once for four states, each P once for four units.
    """
    p0, p1, p2, p3 = P[0], P[1], P[2], P[3]
    r00, r01, r02, r03 = R[0, i], R[0, i + 1], R[0, i + 2], R[0, i + 3]
    r10, r11, r12, r13 = R[1, i], R[1, i + 1], R[1, i + 2], R[1, i + 3]
    r20, r21, r22, r23 = R[2, i], R[2, i + 1], R[2, i + 2], R[2, i + 3]
    r30, r31, r32, r33 = R[3, i], R[3, i + 1], R[3, i + 2], R[3, i + 3]
    B0, B1, B2, B3 = B[i], B[i + 1], B[i + 2], B[i + 3]
    for k in range(len(p0)):
        b0, b1, b2, b3 = B0[k], B1[k], B2[k], B3[k]
        p0[k] *= ((r00 + b0) * (r01 + b1)) * ((r02 + b2) * (r03 + b3))
        p1[k] *= ((r10 + b0) * (r11 + b1)) * ((r12 + b2) * (r13 + b3))
        p2[k] *= ((r20 + b0) * (r21 + b1)) * ((r22 + b2) * (r23 + b3))
        p3[k] *= ((r30 + b0) * (r31 + b1)) * ((r32 + b2) * (r33 + b3))


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


def weigh(start, base, R, P, bits, E, tables):
    """P 2^E = the weights of all states under a batch of high words; returns the largest E.

    R (batch, 4, units), P and its ``bits`` and E (batch, 4, 2**n_low).  The words are Gray words ``start`` and on; R
    holds those of the batch before.  A unit's B stays in cache for the whole batch.
    """
    batch, largest = len(R), -(1 << 62)
    for q in range(batch):
        high = gray(start + q) | base
        for i in range(R.shape[2]):
            R[q, 0, i] = R[q - 1, 0, i]  # of the last word before the batch if q is 0
        set_high(start + q, high, R[q], tables)
        set_biases(high, P[q], E[q], tables)
    begin = 0
    for g in range(len(tables.groups)):
        for i in range(begin, tables.groups[g], 4):
            for q in range(batch):
                multiply_four(R[q], i, tables.B, P[q])
        begin = tables.groups[g]
        for q in range(batch):
            at_most = normalise(P[q], bits[q], E[q])
            if begin == R.shape[2]:
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


def add_shares(R, i, B, w0, w1, sums, totals):
    """sums[u, k] += sum_s w_s[k] / (R_su + B_u[k]) for two sides s and four units u = i, ..., i + 3.

    totals[s, u] = sum_k w_s[k] B_u[k] / (R_su + B_u[k]).  f_bar is 1/f.
    """
    r00, r01, r02, r03 = R[0, i], R[0, i + 1], R[0, i + 2], R[0, i + 3]
    r10, r11, r12, r13 = R[1, i], R[1, i + 1], R[1, i + 2], R[1, i + 3]
    B0, B1, B2, B3 = B[i], B[i + 1], B[i + 2], B[i + 3]
    S0, S1, S2, S3 = sums[0], sums[1], sums[2], sums[3]
    t00 = t01 = t02 = t03 = t10 = t11 = t12 = t13 = 0.0
    for k in range(len(w0)):
        b0, b1, b2, b3 = B0[k], B1[k], B2[k], B3[k]
        f0, f1, f2, f3 = r00 + b0, r01 + b1, r02 + b2, r03 + b3
        g0, g1, g2, g3 = r10 + b0, r11 + b1, r12 + b2, r13 + b3
        f01, f23, g01, g23 = f0 * f1, f2 * f3, g0 * g1, g2 * g3
        f_bar, g_bar = 1.0 / (f01 * f23), 1.0 / (g01 * g23)
        f01_bar, f23_bar = (f_bar * f23) * w0[k], (f_bar * f01) * w0[k]
        g01_bar, g23_bar = (g_bar * g23) * w1[k], (g_bar * g01) * w1[k]
        x0, x1, x2, x3 = f01_bar * f1, f01_bar * f0, f23_bar * f3, f23_bar * f2
        y0, y1, y2, y3 = g01_bar * g1, g01_bar * g0, g23_bar * g3, g23_bar * g2
        S0[k] += x0 + y0
        S1[k] += x1 + y1
        S2[k] += x2 + y2
        S3[k] += x3 + y3
        t00, t01, t02, t03 = t00 + x0 * b0, t01 + x1 * b1, t02 + x2 * b2, t03 + x3 * b3
        t10, t11, t12, t13 = t10 + y0 * b0, t11 + y1 * b1, t12 + y2 * b2, t13 + y3 * b3
    totals[0, 0], totals[0, 1], totals[0, 2], totals[0, 3] = t00, t01, t02, t03
    totals[1, 0], totals[1, 1], totals[1, 2], totals[1, 3] = t10, t11, t12, t13


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
multiply_four = jit(multiply_four, flags=CONTRACT)
normalise = jit(normalise)
weigh = jit(weigh)
scale = jit(scale, flags=CONTRACT)
fold = jit(fold, flags=CONTRACT)
add_shares = jit(add_shares, flags=CONTRACT)
add_weights = jit(add_weights, flags=CONTRACT)
add_totals = jit(add_totals)


def layer_product(shard, first, out, R, P, bits, E, tables, n_own):
    """Shard ``first + shard`` of a two-layer sum in product form; out[shard] = (m, s); 2**n_own high states each.

    Scratch per shard: R (batch, 4, units), P (batch, 4, 2**n_low) and ``bits``, the same memory as integers, E like P;
    the batch is a power of two.
    """
    R, P, bits, E = R[shard], P[shard], bits[shard], E[shard]
    total, top = 0.0, -(1 << 62)
    base = (first + shard) << n_own
    for start in range(0, 1 << n_own, len(R)):
        largest = weigh(start, base, R, P, bits, E, tables)
        if largest > top:
            total *= 2.0 ** max(top - largest, -FARTHEST)
            top = largest
        for q in range(len(R)):
            total += scale(P[q], bits[q], E[q], top)
    out[shard, 0], out[shard, 1] = top * LN2, total


def layer_expectations(shard, first, out, tops, sums, totals, R, P, bits, E, tables, n_own):
    """Sums of w(h) and w(h) sigmoid(z_i(h)) over a shard, w = p(h) Z 2^-tops[shard]: in all, out[shard, :, 0], and over
    the states with bit j set, out[shard, :, 1 + j]; row i < units holds unit i, the last row w(h) alone.

    Scratch per shard: sums (4, 2**n_low), the sums over a batch for four units, folded once; totals (batch, 4, 4), of
    each word, side and unit; the other arguments are those of ``layer_product``.
    """
    R, P, bits, E = R[shard], P[shard], bits[shard], E[shard]
    sums, totals, out = sums[shard], totals[shard], out[shard]
    n_high, units = tables.WT.shape
    n_low = out.shape[1] - 1 - PAIRED_BITS - n_high
    top, base = -(1 << 62), (first + shard) << n_own
    out[:] = 0.0
    for start in range(0, 1 << n_own, len(R)):
        largest = weigh(start, base, R, P, bits, E, tables)
        if largest > top:
            out *= 2.0 ** max(top - largest, -FARTHEST)
            top = largest
        for q in range(len(R)):
            scale(P[q], bits[q], E[q], top)
        for i in range(0, units, 4):
            sums[:] = 0.0
            for q in range(len(R)):
                for side in range(0, SIDES, 2):
                    pair = slice(side, side + 2)
                    add_shares(R[q, pair], i, tables.B, P[q, side], P[q, side + 1], sums, totals[q, pair])
            add_totals(start, base, totals, out[i : i + 4], n_low)
            for u in range(4):
                for k in range(sums.shape[1]):
                    sums[u, k] *= tables.B[i + u, k]
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
