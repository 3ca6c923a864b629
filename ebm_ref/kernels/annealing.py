"""Compiled annealing runs of one chain: weights and block Gibbs moves along the paths of estimate/annealing.

Stage k adds log p*_after - log p*_before at the present x, then moves x at the inverse temperature move >= 0 by one
sweep (h, then x) at its own step of noise; move < 0 stays.  Rows [x, h] in place.
"""

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.gibbs import add_rows, draw_layer
from ebm_ref.kernels.grbm import sweep
from ebm_ref.kernels.noise import LANES, ROOM
from ebm_ref.kernels.targets import add_products, set_rows
from ebm_ref.maths.scalars import softplus
from ebm_ref.maths.smooth import exp_minus, log1p_unit


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


def add_hidden_ratio(total, c, before, after):
    """total += sum_j softplus(after c_j) - softplus(before c_j), in the lanes of a tile; before and after >= 0."""
    for j in range(len(c) // LANES):
        cj = c[j * LANES : (j + 1) * LANES]
        for l in range(len(total)):
            x = cj[l] if cj[l] > 0.0 else 0.0
            soft = log1p_unit(exp_minus(after * abs(cj[l]))) - log1p_unit(exp_minus(before * abs(cj[l])))
            total[l] += (after - before) * x + soft


add_hidden_ratio = jit(add_hidden_ratio)


def gaussian_annealing_tile(
    tile, states, log_weights, scratch, to_visible, to_hidden, zero, mu, deviation, b, free, before, after,
    moves, address, start,
):  # fmt: skip
    """A GRBM: weights t W, hidden bias t b; mu and the variances stay, so the quadratic part cancels in the ratio.

    states (tiles, units LANES), log_weights (tiles, LANES), zero (n_visible,); to_visible and to_hidden are W' and
    W / s2 as panels.tiles packs them.
    """
    n, m = len(mu), len(b)
    size, hidden = n * LANES, m * LANES
    v, h, w = states[tile, :size], states[tile, size:], scratch[tile]
    mean, c, rest = w[:size], w[size : size + hidden], w[size + hidden :]
    room, z = rest[:ROOM], rest[ROOM:]
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
    for k in range(len(moves)):
        set_rows(c, b)
        add_products(c, to_hidden, v)
        add_hidden_ratio(log_weights[tile], c, before[k], after[k])
        if moves[k] >= 0.0:
            step = start + np.uint64(k)
            sweep(v, h, c, moves[k], mean, z, room, to_visible, zero, mu, deviation, free, chain, step, purpose, k0, k1)


run_binary_annealing = over_chains(binary_annealing)
run_gaussian_annealing = over_chains(gaussian_annealing_tile)
