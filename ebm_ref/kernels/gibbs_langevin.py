"""Compiled Gibbs-Langevin steps of a GRBM, in tiles of chains; equations in samplers/gibbs_langevin.py.

A tile's rows are the units of [v, h], LANES chains side by side (kernels/langevin.py).  Addresses of step t, with
stride = n_visible rounded up to a multiple of 4:  normal of unit i in inner step k at k stride + i, uniform of hidden
unit j at K stride + j, acceptance uniform at K stride + n_hidden.  m(h), c(v) and F(v) are carried from step to step;
they are functions of the state, computed by the same code when a run is resumed.
"""

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.langevin import add_products, decide, set_rows, take
from ebm_ref.kernels.noise import LANES, centred_words, tile_normals
from ebm_ref.maths.philox import LOW32, S32, TWO53
from ebm_ref.maths.smooth import exp_minus, log1p_unit


def inner_step(v, mean, z, pull, noise):
    """v <- v + pull (mean - v) + noise z, elementwise; pull and noise by unit."""
    for i in range(len(pull)):
        d, s, k = pull[i], noise[i], i * LANES
        vi, mi, zi = v[k : k + LANES], mean[k : k + LANES], z[k : k + LANES]
        for l in range(len(vi)):
            vi[l] = (vi[l] + d * (mi[l] - vi[l])) + s * zi[l]


def draw_hidden(h, c, free, words, first_unit, chain, step, purpose, k0, k1):
    """h_j = 1[u_j < sigmoid(c_j)] for the free hidden units; unit j reads the uniform at first_unit + j."""
    c3 = purpose | ((step >> S32) << np.uint64(16))
    for j in range(len(free)):
        unit = first_unit + j
        if j == 0 or unit % 4 == 0:
            centred_words(words, np.uint64(unit // 4), chain, step & LOW32, c3, k0, k1)
        if free[j]:
            w = words[(unit % 4) * LANES : (unit % 4 + 1) * LANES]
            hj, cj = h[j * LANES : (j + 1) * LANES], c[j * LANES : (j + 1) * LANES]
            for l in range(len(hj)):
                e = exp_minus(abs(cj[l]))
                p = (1.0 if cj[l] >= 0.0 else e) / (1.0 + e)
                hj[l] = 1.0 if 0.5 * (w[l] + (1.0 - 1.0 / TWO53)) < p else 0.0


def uniform_at(u, words, unit, chain, step, purpose, k0, k1):
    """u = the uniforms at one unit."""
    c3 = purpose | ((step >> S32) << np.uint64(16))
    centred_words(words, np.uint64(unit // 4), chain, step & LOW32, c3, k0, k1)
    w = words[(unit % 4) * LANES : (unit % 4 + 1) * LANES]
    for l in range(len(u)):
        u[l] = 0.5 * (w[l] + (1.0 - 1.0 / TWO53))  # exact


def free_energy(F, v, h, c, mu, precision, free):
    """F of v given the clamped hidden units: 1/2 sum (v-mu)^2/s2 - sum_free softplus(c_j) - sum_clamped h_j c_j."""
    F[:] = 0.0
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
uniform_at = jit(uniform_at)
free_energy = jit(free_energy)
joint_ratio = jit(joint_ratio)


def gibbs_langevin_tile(
    tile, states, scratch, accepted, W, AT, mu, precision, b, pull, noise, rho, half_precision, free, adjust_from,
    address, start, n_steps,
):  # fmt: skip
    """n_steps in place: states (tiles, units LANES);  AT = (W / s2)', pull and noise (K, n_visible), free (units,).

    adjust_from: first step with a decision, below 0 for none at all.
    """
    n, m = W.shape
    size, hidden = n * LANES, m * LANES
    v, h, w = states[tile, :size], states[tile, size:], scratch[tile]
    v_new, mean, mean_new, w = w[:size], w[size : 2 * size], w[2 * size : 3 * size], w[3 * size :]
    h_new, c, w = w[:hidden], w[hidden : 2 * hidden], w[2 * hidden :]
    few, words, z = w[: 6 * LANES], w[6 * LANES : 10 * LANES], w[10 * LANES :]
    F, F_new, u, ok = few[:LANES], few[LANES : 2 * LANES], few[2 * LANES : 3 * LANES], few[3 * LANES : 4 * LANES]
    outside, ratio = few[4 * LANES : 5 * LANES], few[5 * LANES :]
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
    stride, n_inner, free_h = (n + 3) // 4 * 4, len(pull), free[n:]
    outside[:] = 0.0
    for t in range(n_steps + 1):  # round 0 only evaluates the first state
        step = start + np.uint64(max(t - 1, 0))
        v_new[:] = v
        h_new[:] = h
        for k in range(n_inner if t > 0 else 0):
            tile_normals(z, words, k * stride, chain, step, purpose, k0, k1)
            inner_step(v_new, mean, z, pull[k], noise[k])
        set_rows(c, b, LANES)
        add_products(c, AT, v_new)
        if t > 0:
            draw_hidden(h_new, c, free_h, words, n_inner * stride, chain, step, purpose, k0, k1)
        set_rows(mean_new, mu, LANES)
        add_products(mean_new, W, h_new)
        ok[:] = 1.0
        if adjust_from >= 0:
            free_energy(F_new, v_new, h_new, c, mu, precision, free_h)
            if t > 0 and np.int64(step) >= adjust_from:
                joint_ratio(ratio, F, F_new, v, v_new, mean, mean_new, rho, half_precision)
                uniform_at(u, words, n_inner * stride + m, chain, step, purpose, k0, k1)
                decide(ok, ratio, u, outside)
        take(v, v_new, ok)
        take(h, h_new, ok)
        take(mean, mean_new, ok)
        take(F, F_new, ok)
        if t > 0:
            for l in range(LANES):
                accepted[tile * LANES + l] += ok[l] == 1.0


run_gibbs_langevin = over_chains(gibbs_langevin_tile)
