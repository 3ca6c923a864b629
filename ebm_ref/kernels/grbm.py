"""Compiled loops of the Gaussian-Bernoulli RBM.

Sum over the 2**n_hidden components:  log sum_h exp(b.h + sum_i z_i (mu_i + z_i/2)/s2_i),  z = Wh, by Gray code:
z changes by one row of W' from state to state, and is summed afresh every REFRESH states against drift.
"""

import math

from ebm_ref.compile import over_chains
from ebm_ref.kernels.enumeration import REFRESH
from ebm_ref.maths.bits import gray, trailing_zeros


def mixture_gray(shard, first, out, scratch, WT, linear, half_precision, b, n_low):
    """Shard ``first + shard`` of the sum; out[shard] = (m, s) with its part equal to s exp(m).

    WT (n_hidden, n_visible), linear = mu/s2, half_precision = 1/(2 s2), scratch (shards, n_visible).
    """
    z = scratch[shard]
    m, s, bias = -math.inf, 0.0, 0.0
    base = (first + shard) << n_low
    for t in range(1 << n_low):
        state = gray(t) | base
        if t % REFRESH == 0:
            bias = 0.0
            z[:] = 0.0
            for j in range(len(b)):
                if state >> j & 1:
                    bias += b[j]
                    z += WT[j]
        else:
            j = trailing_zeros(t)
            if state >> j & 1:
                bias += b[j]
                z += WT[j]
            else:
                bias -= b[j]
                z -= WT[j]
        gain = 0.0
        for i in range(len(z)):
            gain += z[i] * (linear[i] + half_precision[i] * z[i])
        term = bias + gain
        if term <= m:
            s += math.exp(term - m)
        else:
            s = s * math.exp(m - term) + 1.0
            m = term
    out[shard, 0], out[shard, 1] = m, s


run_mixture_gray = over_chains(mixture_gray, flags=("contract", "reassoc"))  # error bound: tests/exact, 50 digits
