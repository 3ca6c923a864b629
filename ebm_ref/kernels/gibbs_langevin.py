"""Compiled Gibbs-Langevin steps of a GRBM, in tiles of chains; equations in samplers/gibbs_langevin.py.

A tile's rows are the units of [v, h], LANES chains side by side (kernels/targets.py).  Addresses of step t, with
stride = n_visible rounded up to a multiple of 4:  normal of unit i in inner step k at k stride + i, uniform of hidden
unit j at K stride + j, acceptance uniform at K stride + n_hidden.  m(h), c(v) and F(v) are carried from step to step;
they are functions of the state, computed by the same code when a run is resumed.
"""

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.langevin import acceptance_uniforms, decide, take
from ebm_ref.kernels.noise import BLOCKS, LANES, ROOM, centred_words, tile_normals
from ebm_ref.kernels.targets import add_products, copy, exponentials, fill, set_rows
from ebm_ref.maths.philox import LOW32, S32, TWO53
from ebm_ref.maths.smooth import exp_minus, log1p_unit


def inner_step(v, mean, z, pull, noise):
    """v <- v + pull (mean - v) + noise z, elementwise; pull and noise by unit."""
    for i in range(len(pull)):
        d, s, k = pull[i], noise[i], i * LANES
        vi, mi, zi = v[k : k + LANES], mean[k : k + LANES], z[k : k + LANES]
        for l in range(len(vi)):
            vi[l] = (vi[l] + d * (mi[l] - vi[l])) + s * zi[l]


def draw_hidden(h, c, free, room, first_unit, chain, step, purpose, k0, k1):
    """h_j = 1[u_j < sigmoid(c_j)] for the free hidden units; unit j reads the uniform at first_unit + j."""
    c2, c3 = step & LOW32, purpose | ((step >> S32) << np.uint64(16))
    rooms = room.reshape(4, -1)
    some = 4 * BLOCKS  # units whose numbers are computed together
    for block in range(first_unit // 4, (first_unit + len(free) + 3) // 4, BLOCKS):
        first, last = max(4 * block - first_unit, 0), min(4 * block + some - first_unit, len(free))
        offset = 4 * block - first_unit
        words = rooms[0, : (last - offset + 3) // 4 * 4 * LANES]
        centred_words(words, block, chain, c2, c3, k0, k1)
        size = (last - first) * LANES
        e, r = rooms[1, :size], rooms[2, :size]
        exponentials(e, c[first * LANES : last * LANES], r)
        for j in range(first, last):
            if free[j]:
                w, ej = words[(j - offset) * LANES : (j - offset + 1) * LANES], e[(j - first) * LANES :]
                hj, cj = h[j * LANES : (j + 1) * LANES], c[j * LANES : (j + 1) * LANES]
                for l in range(len(hj)):
                    p = (1.0 if cj[l] >= 0.0 else ej[l]) / (1.0 + ej[l])
                    hj[l] = 1.0 if 0.5 * (w[l] + (1.0 - 1.0 / TWO53)) < p else 0.0


def free_energy(F, v, h, c, mu, precision, free):
    """F of v given the clamped hidden units: 1/2 sum (v-mu)^2/s2 - sum_free softplus(c_j) - sum_clamped h_j c_j."""
    fill(F, 0.0)
    for i in range(len(mu)):
        vi, m, a = v[i * LANES : (i + 1) * LANES], mu[i], 0.5 * precision[i]
        for l in range(len(F)):
            F[l] += a * (vi[l] - m) * (vi[l] - m)
    for j in range(len(free)):
        cj, hj = c[j * LANES : (j + 1) * LANES], h[j * LANES : (j + 1) * LANES]
        for l in range(len(F)):
            soft = (cj[l] if cj[l] > 0.0 else 0.0) + log1p_unit(exp_minus(abs(cj[l])))
            F[l] -= soft if free[j] else hj[l] * cj[l]


def joint_ratio(ratio, F, F_new, v, v_new, mean, mean_new, rho, half_precision):
    """F(v) - F(v') + sum_i [(v'-rho v-(1-rho) m)^2 - (v-rho v'-(1-rho) m')^2] / (2 tau2)."""
    for l in range(len(ratio)):
        ratio[l] = F[l] - F_new[l]
    for i in range(len(rho)):
        r, q, k = rho[i], half_precision[i], i * LANES
        x, y, m, w = v[k : k + LANES], v_new[k : k + LANES], mean[k : k + LANES], mean_new[k : k + LANES]
        for l in range(len(ratio)):
            there, back = (y[l] - m[l]) - r * (x[l] - m[l]), (x[l] - w[l]) - r * (y[l] - w[l])
            ratio[l] += q * (there * there - back * back)


inner_step = jit(inner_step)
draw_hidden = jit(draw_hidden)
free_energy = jit(free_energy)
joint_ratio = jit(joint_ratio)


def gibbs_langevin_tile(
    tile, states, scratch, to_visible, to_hidden, mu, b, pull, noise, free, address, start, n_steps
):  # fmt: skip
    """n_steps, all taken, in place: states (tiles, units LANES), pull, noise (K, n_visible), free (units,).

    to_visible, to_hidden: W' and W / s2 as panels.tiles packs them.
    """
    n, m = len(mu), len(b)
    size, hidden = n * LANES, m * LANES
    v, h, w = states[tile, :size], states[tile, size:], scratch[tile]
    mean, c, room, z = w[:size], w[size : size + hidden], w[-ROOM:], w[size + hidden : -ROOM]
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
    stride, n_inner = (n + 3) // 4 * 4, len(pull)
    for t in range(n_steps):
        step = start + np.uint64(t)
        set_rows(mean, mu)
        add_products(mean, to_visible, h)
        for k in range(n_inner):
            tile_normals(z, room, k * stride, chain, step, purpose, k0, k1)
            inner_step(v, mean, z, pull[k], noise[k])
        set_rows(c, b)
        add_products(c, to_hidden, v)
        draw_hidden(h, c, free[n:], room, n_inner * stride, chain, step, purpose, k0, k1)


def adjusted_tile(
    tile, states, scratch, accepted, to_visible, to_hidden, mu, precision, b, pull, noise, rho, half_precision, free,
    adjust_from, address, start, n_steps,
):  # fmt: skip
    """The same with decisions from step ``adjust_from`` on; m(h), F(v) are carried."""
    n, m = len(mu), len(b)
    size, hidden, free_h = n * LANES, m * LANES, free[n:]
    v, h, w, taken = states[tile, :size], states[tile, size:], scratch[tile], accepted[tile * LANES :][:LANES]
    v_new, mean, mean_new, w = w[:size], w[size : 2 * size], w[2 * size : 3 * size], w[3 * size :]
    h_new, c, w = w[:hidden], w[hidden : 2 * hidden], w[2 * hidden :]
    few, room, z = w[: 6 * LANES].reshape(6, LANES), w[-ROOM:], w[6 * LANES : -ROOM]
    F, F_new, u, ok, outside, ratio = few[0], few[1], few[2], few[3], few[4], few[5]
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
    stride, n_inner = (n + 3) // 4 * 4, len(pull)
    fill(outside, 0.0)
    for t in range(n_steps + 1):  # round 0 only evaluates the first state
        step = start + np.uint64(max(t - 1, 0))
        copy(v_new, v)
        copy(h_new, h)
        for k in range(n_inner if t > 0 else 0):
            tile_normals(z, room, k * stride, chain, step, purpose, k0, k1)
            inner_step(v_new, mean, z, pull[k], noise[k])
        set_rows(c, b)
        add_products(c, to_hidden, v_new)
        if t > 0:
            draw_hidden(h_new, c, free_h, room, n_inner * stride, chain, step, purpose, k0, k1)
        set_rows(mean_new, mu)
        add_products(mean_new, to_visible, h_new)
        free_energy(F_new, v_new, h_new, c, mu, precision, free_h)
        fill(ratio, 0.0)
        fill(u, 0.0)
        if t > 0 and np.int64(step) >= adjust_from:
            joint_ratio(ratio, F, F_new, v, v_new, mean, mean_new, rho, half_precision)
            acceptance_uniforms(u, room, n_inner * stride + m, chain, step, purpose, k0, k1)
        decide(ok, ratio, u, outside, taken)
        take(v, v_new, ok)
        take(h, h_new, ok)
        take(mean, mean_new, ok)
        take(F, F_new, ok)
    for l in range(LANES):
        taken[l] -= 1  # round 0


run_gibbs_langevin = over_chains(gibbs_langevin_tile)
run_adjusted = over_chains(adjusted_tile)
