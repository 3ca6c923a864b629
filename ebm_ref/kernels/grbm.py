"""Compiled loops of the Gaussian-Bernoulli RBM.

Sum over the 2**n_hidden components:  log sum_h exp(b.h + sum_i z_i (mu_i + z_i/2)/s2_i),  z = Wh, by Gray code:
z changes by one row of W' from state to state, and is summed afresh every REFRESH states against drift.

Block Gibbs on tiles of chains [v, h], as in kernels/targets.py:  h_j = 1[u_j < sigmoid(b_j + sum_i W_ij v_i/s2_i)],
v_i = (mu + Wh)_i + sigma_i z_i;  the normal z_i stands at the address (step, chain, i), the uniform u_j at
(step, chain, nv + j).
"""

import math

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.enumeration import REFRESH
from ebm_ref.kernels.gibbs_langevin import draw_hidden
from ebm_ref.kernels.noise import LANES, ROOM, lined_up, tile_normals
from ebm_ref.kernels.targets import add_products, set_rows
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


def draw_visible(v, mean, z, deviation, free):
    """v = mean + deviation z for the free visible units."""
    for i in range(len(free)):
        if free[i]:
            s, k = deviation[i], i * LANES
            vi, mi, zi = v[k : k + LANES], mean[k : k + LANES], z[k : k + LANES]
            for l in range(len(vi)):
                vi[l] = mi[l] + s * zi[l]


draw_visible = jit(draw_visible)


def sweep(v, h, c, t, mean, z, room, to_visible, zero, mu, deviation, free, chain, step, purpose, k0, k1):
    """h ~ Bernoulli(sigmoid(t c)), then v ~ N(mu + t Wh, diag deviation^2), in a tile; c becomes t c."""
    n = len(mu)
    for k in range(len(c)):
        c[k] *= t
    draw_hidden(h, c, free[n:], room, n, chain, step, purpose, k0, k1)
    set_rows(mean, zero)
    add_products(mean, to_visible, h)
    for i in range(n):
        mi = mean[i * LANES : (i + 1) * LANES]
        for l in range(len(mi)):
            mi[l] = mu[i] + t * mi[l]
    tile_normals(z, room, 0, chain, step, purpose, k0, k1)
    draw_visible(v, mean, z, deviation, free[:n])


sweep = jit(sweep)


def block_tile(tile, states, scratch, to_visible, to_hidden, zero, mu, deviation, b, free, address, start, n_steps):
    """n_steps of block Gibbs in place: states (tiles, units LANES), zero (n_visible,).

    to_visible, to_hidden: W' and W / s2 as panels.tiles packs them.
    """
    n, m = len(mu), len(b)
    size, hidden = n * LANES, m * LANES
    v, h, w = states[tile, :size], states[tile, size:], scratch[tile]
    mean, c, rest = w[:size], w[size : size + hidden], w[size + hidden :]
    room, z = rest[:ROOM], rest[ROOM:]
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
    for t in range(n_steps):
        set_rows(c, b)
        add_products(c, to_hidden, v)
        step = start + np.uint64(t)
        sweep(v, h, c, 1.0, mean, z, room, to_visible, zero, mu, deviation, free, chain, step, purpose, k0, k1)


run_block_tiles = over_chains(block_tile)


def sweep_scratch(n_tiles: int, n_visible: int, n_hidden: int) -> np.ndarray:
    """Room for the means, the logits and the normals of a sweep, and for making them."""
    return lined_up(n_tiles, (n_visible + n_hidden + -(-n_visible // 4) * 4) * LANES + ROOM)
