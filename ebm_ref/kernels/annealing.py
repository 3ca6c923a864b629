"""Compiled annealing runs of one chain: weights and block Gibbs moves along the paths of estimate/annealing.

Stage k adds log p*_after - log p*_before at the present x, then moves x at the inverse temperature move >= 0 by one
sweep (h, then x) at its own step of noise; move < 0 stays.  Rows [x, h] in place.
"""

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.gibbs import add_rows, draw_layer
from ebm_ref.kernels.grbm import draw_normals
from ebm_ref.maths.scalars import softplus


def hidden_ratio(c, before, after):
    """sum_j softplus(after c_j) - softplus(before c_j)."""
    total = 0.0
    for j in range(len(c)):
        total += softplus(after * c[j]) - softplus(before * c[j])
    return total


hidden_ratio = jit(hidden_ratio)


def binary_annealing(
    chain, states, log_weights, scratch, W, WT, base, a, b, free, before, after, moves, address, start
):  # fmt: skip
    """An RBM: visible bias (1-t) base + t a, hidden bias t b, weights t W."""
    nv = len(a)
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    x, h = states[chain, :nv], states[chain, nv:]
    z, c = scratch[chain, :nv], scratch[chain, nv:]
    for k in range(len(moves)):
        add_rows(c, b, x, W)
        linear = 0.0
        for i in range(nv):
            linear += (a[i] - base[i]) * x[i]
        log_weights[chain] += (after[k] - before[k]) * linear + hidden_ratio(c, before[k], after[k])
        t = moves[k]
        if t >= 0.0:
            step = start + np.uint64(k)
            for j in range(len(c)):
                c[j] *= t
            draw_layer(h, c, free[nv:], nv, c1, step, purpose, k0, k1)
            add_rows(z, a, h, WT)
            for i in range(nv):
                z[i] = (1.0 - t) * base[i] + t * z[i]
            draw_layer(x, z, free[:nv], 0, c1, step, purpose, k0, k1)


def gaussian_annealing(
    chain, states, log_weights, scratch, W, WT, mu, deviation, b, zero, free, before, after, moves, address, start
):  # fmt: skip
    """A GRBM: weights t W, hidden bias t b; mu and the variances stay, so the quadratic part cancels in the ratio."""
    nv = len(mu)
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    v, h = states[chain, :nv], states[chain, nv:]
    u, c = scratch[chain, :nv], scratch[chain, nv:]
    for k in range(len(moves)):
        for i in range(nv):
            u[i] = v[i] / (deviation[i] * deviation[i])
        add_rows(c, b, u, W)
        log_weights[chain] += hidden_ratio(c, before[k], after[k])
        t = moves[k]
        if t >= 0.0:
            step = start + np.uint64(k)
            for j in range(len(c)):
                c[j] *= t
            draw_layer(h, c, free[nv:], nv, c1, step, purpose, k0, k1)
            add_rows(u, zero, h, WT)
            for i in range(nv):
                u[i] = mu[i] + t * u[i]
            draw_normals(v, u, deviation, free[:nv], c1, step, purpose, k0, k1)


run_binary_annealing = over_chains(binary_annealing)
run_gaussian_annealing = over_chains(gaussian_annealing)
