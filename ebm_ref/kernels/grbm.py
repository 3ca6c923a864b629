"""Compiled loops of the Gaussian-Bernoulli RBM.

Sum over the 2**n_hidden components:  log sum_h exp(b.h + sum_i z_i (mu_i + z_i/2)/s2_i),  z = Wh, by Gray code:
z changes by one row of W' from state to state, and is summed afresh every REFRESH states against drift.

Block Gibbs on rows [v, h]:  h_j = 1[u_j < sigmoid(b_j + sum_i W_ij v_i/s2_i)],  v_i = (mu + Wh)_i + sigma_i z_i;
the normal z_i stands at the address (step, chain, i), the uniform u_j at (step, chain, nv + j).
"""

import math

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.enumeration import REFRESH
from ebm_ref.kernels.gibbs import add_rows, draw_layer
from ebm_ref.kernels.noise import centred
from ebm_ref.maths.bits import gray, trailing_zeros
from ebm_ref.maths.philox import LOW32, S2, S32, TIE, philox4x32
from ebm_ref.maths.smooth import normal_quantile


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


def draw_normals(states, mean, deviation, free, chain, step, purpose, k0, k1):
    """states[i] = mean[i] + deviation[i] z for the free visible units, z the normal at the unit's address."""
    c2 = step & LOW32
    c3 = purpose | ((step >> S32) << np.uint64(16))
    for i in range(0, len(states), 4):
        block = np.uint64(i) >> S2
        h0, h1, h2, h3 = philox4x32(block, chain, c2, c3, k0, k1)
        l0, l1, l2, l3 = philox4x32(block | TIE, chain, c2, c3, k0, k1)
        for k in range(i, min(i + 4, len(states))):
            lane = k - i
            high = h0 if lane == 0 else h1 if lane == 1 else h2 if lane == 2 else h3
            low = l0 if lane == 0 else l1 if lane == 1 else l2 if lane == 2 else l3
            if free[k]:
                states[k] = mean[k] + deviation[k] * normal_quantile(centred(high, low))


draw_normals = jit(draw_normals)


def block_sweeps(chain, states, scratch, W, WT, mu, deviation, b, free, address, start, n_steps):
    """n_steps of block Gibbs: h ~ p(h|v), then v ~ N(mu + Wh, diag deviation^2).  Rows [v, h] in place."""
    nv = len(mu)
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    v, h = states[chain, :nv], states[chain, nv:]
    u, c = scratch[chain, :nv], scratch[chain, nv:]
    for t in range(n_steps):
        step = start + np.uint64(t)
        for i in range(nv):
            u[i] = v[i] / (deviation[i] * deviation[i])
        add_rows(c, b, u, W)
        draw_layer(h, c, free[nv:], nv, c1, step, purpose, k0, k1)
        add_rows(u, mu, h, WT)
        draw_normals(v, u, deviation, free[:nv], c1, step, purpose, k0, k1)


run_block_sweeps = over_chains(block_sweeps)
