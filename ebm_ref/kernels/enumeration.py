"""Compiled sums over all states of n binary units: log sum_h exp(b.h + sum_i softplus(a_i + (Wh)_i)), and over a
Boltzmann machine.  The highest bits of the state number the shards; each shard is one chain of the driver and returns
(m, s) with its sum equal to s exp(m), so shards merge in a fixed order whoever computed them.

Gray code: consecutive states differ in one bit, so z = a + Wh changes by one row of W'; z is summed afresh every
REFRESH states against drift.

Product form, no exp or log per state: split h into high and low bits and let A_i = exp(a_i + (W h_high)_i),
B_i(low) = exp((W h_low)_i).  Then exp(softplus(z_i)) = 1 + A_i B_i(low): one multiply-add and one multiply for each
unit and state, in a loop over the low states that vectorises.  Products are kept in [1, 2) with their binary exponents
aside, renormalised after groups of units whose product cannot overflow.
"""

import math

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.maths.bits import gray, trailing_zeros
from ebm_ref.maths.scalars import softplus

REFRESH = 1024  # Gray: states between two fresh sums
REFRESH_HIGH = 64  # product form: high states between two fresh exponentials
MANTISSA, ONE = np.int64(0x000FFFFFFFFFFFFF), np.int64(0x3FF0000000000000)
POW2 = 2.0 ** -np.arange(1100.0)  # 2^-k
LOG2E, LN2 = 1.0 / math.log(2.0), math.log(2.0)


def add_row(z, factor, row):
    """z += factor row."""
    for i in range(len(z)):
        z[i] += factor * row[i]


add_row = jit(add_row)


def layer_gray(shard, first, out, scratch, WT, a, b, n_low):
    """Shard ``first + shard`` of a two-layer sum by Gray code; out[shard] = (m, s), WT (n, units)."""
    z = scratch[shard]
    m, s, lin = -math.inf, 0.0, 0.0
    base = (first + shard) << n_low
    for t in range(1 << n_low):
        state = gray(t) | base
        if t % REFRESH == 0:
            lin = 0.0
            for i in range(len(z)):
                z[i] = a[i]
            for j in range(len(b)):
                if state >> j & 1:
                    lin += b[j]
                    add_row(z, 1.0, WT[j])
        else:
            j = trailing_zeros(t)
            sign = 1.0 if state >> j & 1 else -1.0
            lin += sign * b[j]
            add_row(z, sign, WT[j])
        term = lin
        for i in range(len(z)):
            term += softplus(z[i])
        if term <= m:
            s += math.exp(term - m)
        else:
            s = s * math.exp(m - term) + 1.0
            m = term
    out[shard, 0], out[shard, 1] = m, s


def machine_gray(shard, first, out, scratch, J, c, n_low):
    """The same for a Boltzmann machine: E changes by -(1 - 2 s_j) f_j when unit j flips, f = c + Js."""
    f = scratch[shard]
    m, s, minus_energy = -math.inf, 0.0, 0.0
    base = (first + shard) << n_low
    for t in range(1 << n_low):
        state = gray(t) | base
        if t % REFRESH == 0:
            minus_energy = 0.0
            for i in range(len(f)):
                f[i] = c[i]
            for j in range(len(c)):
                if state >> j & 1:
                    minus_energy += f[j]  # c_j and the pairs with the units switched on before
                    add_row(f, 1.0, J[j])
        else:
            j = trailing_zeros(t)
            sign = 1.0 if state >> j & 1 else -1.0
            minus_energy += sign * f[j]
            add_row(f, sign, J[j])
        if minus_energy <= m:
            s += math.exp(minus_energy - m)
        else:
            s = s * math.exp(m - minus_energy) + 1.0
            m = minus_energy
    out[shard, 0], out[shard, 1] = m, s


def set_high(t, high, A, WT, growth, shrink, a, pair):
    """A[0]_i = exp(a_i + (W h_high)_i) of the t-th Gray word, A[1] = A[0] * pair: the paired bit off and on.

    One factor a unit, afresh every REFRESH_HIGH words.
    """
    if t % REFRESH_HIGH == 0:
        for i in range(len(a)):
            z = a[i]
            for j in range(len(WT)):
                if high >> j & 1:
                    z += WT[j, i]
            A[0, i] = math.exp(z)
    else:
        j = trailing_zeros(t)
        factors = growth[j] if high >> j & 1 else shrink[j]
        for i in range(len(a)):
            A[0, i] *= factors[i]
    for i in range(len(a)):
        A[1, i] = A[0, i] * pair[i]


def multiply_units(A, B, P, bits, E, groups):
    """P 2^E <- P 2^E prod_i (1 + A_i B_i) for both states of the paired bit, each P kept in [1, 2).

    Four units and two states of the pair at a time: each B is loaded once for eight multiply-adds.
    """
    p, q = P[0], P[1]
    begin = 0
    for g in range(len(groups)):
        for i in range(begin, groups[g], 4):
            a0, a1, a2, a3 = A[0, i], A[0, i + 1], A[0, i + 2], A[0, i + 3]
            c0, c1, c2, c3 = A[1, i], A[1, i + 1], A[1, i + 2], A[1, i + 3]
            B0, B1, B2, B3 = B[i], B[i + 1], B[i + 2], B[i + 3]
            for k in range(len(p)):
                b0, b1, b2, b3 = B0[k], B1[k], B2[k], B3[k]
                p[k] *= ((1.0 + a0 * b0) * (1.0 + a1 * b1)) * ((1.0 + a2 * b2) * (1.0 + a3 * b3))
                q[k] *= ((1.0 + c0 * b0) * (1.0 + c1 * b1)) * ((1.0 + c2 * b2) * (1.0 + c3 * b3))
        begin = groups[g]
        for side in range(2):
            for k in range(len(p)):
                E[side, k] += (bits[side, k] >> 52) - 1023
                bits[side, k] = (bits[side, k] & MANTISSA) | ONE


def bias_sum(high, b):
    """b . h of the high bits."""
    total = 0.0
    for j in range(len(b)):
        if high >> j & 1:
            total += b[j]
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


def add_shares(a, B, w, sums):
    """sums[k] += w[k] sigmoid(z), sigmoid(z) = t/(1 + t), t = a B[k]; returns the total."""
    total = 0.0
    for k in range(len(w)):
        t = a * B[k]
        share = w[k] * (t / (1.0 + t))
        sums[k] += share
        total += share
    return total


def add_weights(w, sums):
    """sums += w; returns the total."""
    total = 0.0
    for k in range(len(w)):
        sums[k] += w[k]
        total += w[k]
    return total


CONTRACT = ("contract", "reassoc")  # error bound: tests/exact compares with 50 digits
set_high = jit(set_high)
multiply_units = jit(multiply_units, flags=CONTRACT)
bias_sum = jit(bias_sum)
fold = jit(fold, flags=CONTRACT)
add_shares = jit(add_shares, flags=CONTRACT)
add_weights = jit(add_weights, flags=CONTRACT)


def layer_product(
    shard, first, out, A, P, bits, E, WT, growth, shrink, a, b, B, low_factor, low_exponent, groups, pair, b_pair, n_own
):  # fmt: skip
    """Shard ``first + shard`` of a two-layer sum in product form; out[shard] = (m, s).

    The n hidden bits are, from the lowest: n_low low bits, the paired bit, and the high bits, whose top ones number the
    shard.  WT, growth = exp(WT), shrink = exp(-WT) (n_high, units), b (n_high,): high bits;  pair = exp(W' row),
    b_pair: the paired bit;  B (units, 2**n_low);  exp(b_low . h_low) = low_factor 2**low_exponent;  groups: ends of the
    groups of units, multiples of four;  2**n_own high states each.
    Scratch per shard: A (2, units), P (2, 2**n_low) and ``bits``, the same memory as integers, E (2, 2**n_low).
    """
    A, P, bits, E = A[shard], P[shard], bits[shard], E[shard]
    n_states = P.shape[1]
    total, top = 0.0, -(1 << 62)
    base = (first + shard) << n_own
    for t in range(1 << n_own):
        high = gray(t) | base
        set_high(t, high, A, WT, growth, shrink, a, pair)
        lin = bias_sum(high, b)
        for side in range(2):
            whole = math.floor((lin + side * b_pair) * LOG2E)
            factor = math.exp((lin + side * b_pair) - whole * LN2)
            for k in range(n_states):
                P[side, k] = low_factor[k] * factor
                E[side, k] = low_exponent[k] + whole
        multiply_units(A, B, P, bits, E, groups)
        largest = E[0, 0]
        for side in range(2):
            for k in range(n_states):
                largest = max(largest, E[side, k])
        if largest > top:
            total *= POW2[min(largest - top, 1099)]
            top = largest
        part = 0.0
        for side in range(2):
            for k in range(n_states):
                part += P[side, k] * POW2[min(top - E[side, k], 1099)]
        total += part
    out[shard, 0], out[shard, 1] = top * LN2, total


def layer_expectations(
    shard, first, out, words, weights, sums, A, P, bits, E, WT, growth, shrink, a, b, B, low_factor, low_exponent,
    groups, pair, b_pair, n_own, log_z
):  # fmt: skip
    """Sums of p(h) and p(h) sigmoid(z_i(h)) over a shard: in all, out[shard, :, 0], and over the states with bit j set,
    out[shard, :, 1 + j]; row i < units holds unit i, the last row p(h) alone.

    A batch of high words at a time, so that a unit's B stays in cache: words (shards, batch, 2, units) holds their A,
    weights (shards, batch, 2, 2**n_low) their p(h), sums (shards, 2**n_low) the sums over the batch, folded once.
    The batch is a power of two; the other arguments are those of ``layer_product``.
    """
    A, P, bits, E = A[shard], P[shard], bits[shard], E[shard]
    words, weights, sums, out = words[shard], weights[shard], sums[shard], out[shard]
    n_low, n_high, units, batch = out.shape[1] - 2 - len(b), len(b), len(a), len(words)
    n_varying = trailing_zeros(batch)
    base = (first + shard) << n_own
    out[:] = 0.0
    for start in range(0, 1 << n_own, batch):
        for q in range(batch):
            high = gray(start + q) | base
            set_high(start + q, high, A, WT, growth, shrink, a, pair)
            words[q] = A
            P[:] = 1.0
            E[:] = 0
            multiply_units(A, B, P, bits, E, groups)
            lin = bias_sum(high, b) - log_z
            for side in range(2):
                for k in range(len(sums)):
                    exponent = (E[side, k] + low_exponent[k]) * LN2 + (lin + side * b_pair)
                    weights[q, side, k] = P[side, k] * low_factor[k] * math.exp(exponent)
        common = gray(start) | base  # the words of a batch differ in their lowest bits only
        for i in range(units + 1):
            sums[:] = 0.0
            batch_total = 0.0
            for q in range(batch):
                for side in range(2):
                    w = weights[q, side]
                    total = add_shares(words[q, side, i], B[i], w, sums) if i < units else add_weights(w, sums)
                    batch_total += total
                    if side:
                        out[i, 1 + n_low] += total
                    for j in range(n_varying):
                        if (gray(start + q) | base) >> j & 1:
                            out[i, 2 + n_low + j] += total
            out[i, 0] += batch_total
            for j in range(n_varying, n_high):
                if common >> j & 1:
                    out[i, 2 + n_low + j] += batch_total
            fold(sums, out[i, 1 : 1 + n_low])


def machine_product(shard, first, out, Q, J, c, low_weight, n_low, n_own):
    """Shard of a Boltzmann machine: with the high bits fixed, the low states weigh low_weight * prod_j r_j^{s_j},
    r_j = exp(sum_high J_j,high s_high), built by doubling: two multiplications a state.  Q (2**n_low,) is scratch.
    """
    Q = Q[shard]
    n = len(c)
    m, s = -math.inf, 0.0
    base = (first + shard) << n_own
    for t in range(1 << n_own):
        high = t | base
        minus_energy = 0.0
        for j in range(n_low, n):
            if high >> (j - n_low) & 1:
                minus_energy += c[j]
                for k in range(n_low, j):
                    if high >> (k - n_low) & 1:
                        minus_energy += J[j, k]
        Q[0] = 1.0
        for j in range(n_low):
            field = 0.0
            for k in range(n_low, n):
                if high >> (k - n_low) & 1:
                    field += J[j, k]
            r = math.exp(field)
            for k in range(1 << j):
                Q[(1 << j) + k] = Q[k] * r
        part = 0.0
        for k in range(1 << n_low):
            part += Q[k] * low_weight[k]
        if minus_energy <= m:
            s += part * math.exp(minus_energy - m)
        else:
            s = s * math.exp(m - minus_energy) + part
            m = minus_energy
    out[shard, 0], out[shard, 1] = m, s


run_layer_gray = over_chains(layer_gray)
run_machine_gray = over_chains(machine_gray)
run_layer_product = over_chains(layer_product, flags=CONTRACT)
run_layer_expectations = over_chains(layer_expectations, flags=CONTRACT)
run_machine_product = over_chains(machine_product, flags=CONTRACT)
