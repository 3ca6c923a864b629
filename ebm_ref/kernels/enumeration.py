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


def layer_gray(shard, first, out, scratch, WT, a, b, n_low):
    """Shard ``first + shard`` of a two-layer sum by Gray code; out[shard] = (m, s), WT (n, units)."""
    z = scratch[shard]
    m, s, lin = -math.inf, 0.0, 0.0
    base = (first + shard) << n_low
    for t in range(1 << n_low):
        state = gray(t) | base
        if t % REFRESH == 0:
            lin = 0.0
            z[:] = a
            for j in range(len(b)):
                if state >> j & 1:
                    lin += b[j]
                    z += WT[j]
        else:
            j = trailing_zeros(t)
            if state >> j & 1:
                lin += b[j]
                z += WT[j]
            else:
                lin -= b[j]
                z -= WT[j]
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
            f[:] = c
            for j in range(len(c)):
                if state >> j & 1:
                    minus_energy += f[j]  # c_j and the pairs with the units switched on before
                    f += J[j]
        else:
            j = trailing_zeros(t)
            if state >> j & 1:
                minus_energy += f[j]
                f += J[j]
            else:
                minus_energy -= f[j]
                f -= J[j]
        if minus_energy <= m:
            s += math.exp(minus_energy - m)
        else:
            s = s * math.exp(m - minus_energy) + 1.0
            m = minus_energy
    out[shard, 0], out[shard, 1] = m, s


def set_high(t, high, A, WT, growth, shrink, a):
    """A_i = exp(a_i + (W h_high)_i) of the t-th Gray word: one factor a unit, afresh every REFRESH_HIGH words."""
    if t % REFRESH_HIGH == 0:
        for i in range(len(a)):
            z = a[i]
            for j in range(len(WT)):
                if high >> j & 1:
                    z += WT[j, i]
            A[i] = math.exp(z)
        return
    j = trailing_zeros(t)
    factors = growth[j] if high >> j & 1 else shrink[j]
    for i in range(len(a)):
        A[i] *= factors[i]


def multiply_units(A, B, P, bits, E, groups):
    """P 2^E <- P 2^E prod_i (1 + A_i B_i), each P kept in [1, 2)."""
    begin = 0
    for g in range(len(groups)):
        for i in range(begin, groups[g]):
            Ai, Bi = A[i], B[i]
            for k in range(len(P)):
                P[k] *= 1.0 + Ai * Bi[k]
        begin = groups[g]
        for k in range(len(P)):
            E[k] += (bits[k] >> 52) - 1023
            bits[k] = (bits[k] & MANTISSA) | ONE


def bias_sum(high, b):
    """b . h of the high bits."""
    total = 0.0
    for j in range(len(b)):
        if high >> j & 1:
            total += b[j]
    return total


def fold(r, sums):
    """Adds to sums[j] the entries of r (2**n,) whose index has bit j, by folding the top half down; returns the total."""
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
    return r[0]


CONTRACT = ("contract", "reassoc")  # error bound: tests/exact compares with 50 digits
set_high = jit(set_high)
multiply_units = jit(multiply_units, flags=CONTRACT)
bias_sum = jit(bias_sum)
fold = jit(fold, flags=CONTRACT)


def layer_product(
    shard, first, out, A, P, bits, E, WT, growth, shrink, a, b, B, low_factor, low_exponent, groups, n_own
):  # fmt: skip
    """Shard ``first + shard`` of a two-layer sum in product form; out[shard] = (m, s).

    WT, growth = exp(WT), shrink = exp(-WT) (n_high, units): rows of the high bits, b (n_high,);  B (units, 2**n_low);
    exp(b_low . h_low) = low_factor 2**low_exponent;  groups: ends of the groups of units;  2**n_own high states each.
    Scratch per shard: A (units,), P (2**n_low,) and ``bits``, the same memory as integers, E (2**n_low,) exponents.
    """
    A, P, bits, E = A[shard], P[shard], bits[shard], E[shard]
    total, top = 0.0, -(1 << 62)
    base = (first + shard) << n_own
    for t in range(1 << n_own):
        high = gray(t) | base
        set_high(t, high, A, WT, growth, shrink, a)
        lin = bias_sum(high, b)
        whole = math.floor(lin * LOG2E)
        for k in range(len(P)):
            P[k] = low_factor[k]
            E[k] = low_exponent[k] + int(whole)
        multiply_units(A, B, P, bits, E, groups)
        largest = E[0]
        for k in range(len(P)):
            largest = max(largest, E[k])
        if largest > top:
            total *= POW2[min(largest - top, 1099)]
            top = largest
        part = 0.0
        for k in range(len(P)):
            part += P[k] * POW2[min(top - E[k], 1099)]
        total += part * math.exp(lin - whole * LN2)
    out[shard, 0], out[shard, 1] = top * LN2, total


def layer_expectations(
    shard, first, out, A, P, bits, E, WT, growth, shrink, a, b, B, low_factor, low_exponent, groups, n_own, log_z
):  # fmt: skip
    """Sums of p(h) and p(h) sigmoid(z_i(h)) over a shard: in all, out[shard, :, 0], and over the states with bit j set,
    out[shard, :, 1 + j]; row 0 holds p(h), row 1 + i unit i.  The other arguments are those of ``layer_product``.

    sigmoid(z_i) = A_i B_i / (1 + A_i B_i); sums over low bits are folds, so a state costs one division and three
    additions a unit, however many bits there are.
    """
    A, P, bits, E, out = A[shard], P[shard], bits[shard], E[shard], out[shard]
    n_low, n_high = out.shape[1] - 1 - len(b), len(b)
    R = np.empty(len(P))
    base = (first + shard) << n_own
    out[:] = 0.0
    for t in range(1 << n_own):
        high = gray(t) | base
        set_high(t, high, A, WT, growth, shrink, a)
        lin = bias_sum(high, b)
        for k in range(len(P)):
            P[k] = low_factor[k]
            E[k] = low_exponent[k]
        multiply_units(A, B, P, bits, E, groups)
        for k in range(len(P)):
            P[k] *= math.exp(E[k] * LN2 + (lin - log_z))  # p(h)
        for i in range(len(a) + 1):
            if i == 0:
                for k in range(len(P)):
                    R[k] = P[k]
            else:
                Ai, Bi = A[i - 1], B[i - 1]
                for k in range(len(P)):
                    odds = Ai * Bi[k]
                    R[k] = P[k] * (odds / (1.0 + odds))
            total = fold(R, out[i, 1 : 1 + n_low])
            out[i, 0] += total
            for j in range(n_high):
                if high >> j & 1:
                    out[i, 1 + n_low + j] += total


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
