"""Compiled sums over all states of n binary units: log sum_h exp(b.h + sum_i softplus(a_i + (Wh)_i)), and over a
Boltzmann machine.  The highest bits of the state number the shards; each shard is one chain of the driver and returns
(m, s) with its sum equal to s exp(m), so shards merge in a fixed order whoever computed them.

Gray code: consecutive states differ in one bit, so z = a + Wh changes by one row of W'; z is summed afresh every
REFRESH states against drift.

The product form of a two-layer model is in kernels/product_form.py.
"""

import math

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.maths.bits import gray, trailing_zeros
from ebm_ref.maths.scalars import softplus

REFRESH = 1024  # Gray: states between two fresh sums
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
run_machine_product = over_chains(machine_product, flags=("contract", "reassoc"))
