"""Continuous chains of a Gaussian-Bernoulli RBM as a card wants them; laws and addresses are those of kernels/grbm
and kernels/langevin.  ``lanes`` threads share a chain; sums run as in kernels/cuda/gibbs.

Normal i of a step stands at the address (step, chain, i).  With A = W / s2 by rows:
(1) block Gibbs:  h_j = 1[u_j < sigmoid(b_j + sum_i v_i A_ij)],   v_i = mu_i + sum_j h_j W_ij + sigma_i z_i
(2) ULA:  p = sigmoid(b + A'v),   v_i <- v_i - lam_i ((v_i - mu_i) / s2_i - sum_j p_j A_ij) + s_i z_i
(3) Gibbs-Langevin, unadjusted:  K times v_i <- v_i + d_ki (mu_i + sum_j h_j W_ij - v_i) + s_ki z_ki, then h as in (1);
    z_ki at k stride + i, u_j at K stride + j, stride = n_visible rounded up to a multiple of 4
Clamped coordinates have lam = d = s = 0.
"""

import numpy as np

from ebm_ref.compile import jit
from ebm_ref.kernels.cuda.driver import in_parts
from ebm_ref.kernels.cuda.gibbs import draw_layer
from ebm_ref.kernels.noise import centred
from ebm_ref.maths.philox import LOW32, S32, TIE, philox4x32
from ebm_ref.maths.scalars import sigmoid
from ebm_ref.maths.smooth import normal_quantile


def normals(four, chain, step, purpose, k0, k1):
    """The normals of units 4 four, ..., 4 four + 3."""
    c2, c3 = step & LOW32, purpose | ((step >> S32) << np.uint64(16))
    h0, h1, h2, h3 = philox4x32(np.uint64(four), chain, c2, c3, k0, k1)
    l0, l1, l2, l3 = philox4x32(np.uint64(four) | TIE, chain, c2, c3, k0, k1)
    z0, z1 = normal_quantile(centred(h0, l0)), normal_quantile(centred(h1, l1))
    z2, z3 = normal_quantile(centred(h2, l2)), normal_quantile(centred(h3, l3))
    return z0, z1, z2, z3


def sums(first, given, weights):
    """sum_j given_j weights[j, i] for i = first, ..., first + 3 (beyond the last unit: the last)."""
    last = weights.shape[1] - 1
    i1, i2, i3 = min(first + 1, last), min(first + 2, last), min(first + 3, last)
    f0 = f1 = f2 = f3 = 0.0
    for j in range(len(given)):
        value = given[j]
        f0 += value * weights[j, first]
        f1 += value * weights[j, i1]
        f2 += value * weights[j, i2]
        f3 += value * weights[j, i3]
    return f0, f1, f2, f3


def draw_gaussian(i, v, free, mu, sum_i, deviation, z):
    """(1), v_i with sum_i = sum_j h_j W_ij, if there is such a unit and it is free."""
    if i < len(v) and free[i]:
        v[i] = (mu[i] + sum_i) + deviation[i] * z


def switch_on(j, p, b, sum_j):
    """(2), p_j with sum_j = sum_i v_i A_ij, if there is such a unit."""
    if j < len(p):
        p[j] = sigmoid(b[j] + sum_j)


def move(i, v, push, z, mu, precision, lam, s):
    """(2), v_i with push = sum_j p_j A_ij, if there is such a unit."""
    if i < len(v):
        v[i] = (v[i] - lam[i] * (precision[i] * (v[i] - mu[i]) - push)) + s[i] * z


normals = jit(normals)
sums = jit(sums)
draw_gaussian = jit(draw_gaussian)


def relax(i, v, mu, sum_i, d, s, z):
    """(3), one inner step of v_i with sum_i = sum_j h_j W_ij, if there is such a unit."""
    if i < len(v):
        v[i] = (v[i] + d[i] * ((mu[i] + sum_i) - v[i])) + s[i] * z


relax = jit(relax)
switch_on = jit(switch_on)
move = jit(move)


def hidden_half(chain, lane, lanes, step, states, A, WT, mu, deviation, b, free, address):
    """(1), h given v.  states (chains, nv + nh), rows [v, h], in place."""
    nv = len(mu)
    c1 = address[3] + np.uint64(chain)
    draw_layer(states[chain, nv:], states[chain, :nv], A, b, free[nv:], nv, lane, lanes, c1, step, address)


def visible_half(chain, lane, lanes, step, states, A, WT, mu, deviation, b, free, address):
    """(1), v given h."""
    nv = len(mu)
    c1 = address[3] + np.uint64(chain)
    v, h = states[chain, :nv], states[chain, nv:]
    for i in range(4 * lane, nv, 4 * lanes):
        f0, f1, f2, f3 = sums(i, h, WT)
        z0, z1, z2, z3 = normals(i >> 2, c1, step, address[0], address[1], address[2])
        draw_gaussian(i, v, free, mu, f0, deviation, z0)
        draw_gaussian(i + 1, v, free, mu, f1, deviation, z1)
        draw_gaussian(i + 2, v, free, mu, f2, deviation, z2)
        draw_gaussian(i + 3, v, free, mu, f3, deviation, z3)


def activities(chain, lane, lanes, step, states, active, diverged, A, AT, mu, precision, b, lam, s, address):
    """(2), p.  states (chains, nv), in place; active (chains, nh) is scratch for p.

    diverged (chains,): one more than the step at which the chain left the finite numbers, else 0.
    """
    v, p = states[chain], active[chain]
    for j in range(4 * lane, len(p), 4 * lanes):
        f0, f1, f2, f3 = sums(j, v, A)
        switch_on(j, p, b, f0)
        switch_on(j + 1, p, b, f1)
        switch_on(j + 2, p, b, f2)
        switch_on(j + 3, p, b, f3)


def ula_half(chain, lane, lanes, step, states, active, diverged, A, AT, mu, precision, b, lam, s, address):
    """(2), v."""
    c1 = address[3] + np.uint64(chain)
    v, p = states[chain], active[chain]
    for i in range(4 * lane, len(v), 4 * lanes):
        f0, f1, f2, f3 = sums(i, p, AT)
        z0, z1, z2, z3 = normals(i >> 2, c1, step, address[0], address[1], address[2])
        move(i, v, f0, z0, mu, precision, lam, s)
        move(i + 1, v, f1, z1, mu, precision, lam, s)
        move(i + 2, v, f2, z2, mu, precision, lam, s)
        move(i + 3, v, f3, z3, mu, precision, lam, s)
        for k in range(i, min(i + 4, len(v))):
            if v[k] - v[k] != 0.0 and diverged[chain] == 0:
                diverged[chain] = np.int64(step) + 1


def inner_steps(chain, lane, lanes, step, states, A, WT, mu, b, d, s, free, address):
    """(3), v given h: all inner steps, d and s (K, n_visible).  states (chains, nv + nh), rows [v, h], in place."""
    nv = len(mu)
    c1 = address[3] + np.uint64(chain)
    v, h = states[chain, :nv], states[chain, nv:]
    for i in range(4 * lane, nv, 4 * lanes):
        f0, f1, f2, f3 = sums(i, h, WT)
        for k in range(len(d)):
            four = k * ((nv + 3) >> 2) + (i >> 2)
            z0, z1, z2, z3 = normals(four, c1, step, address[0], address[1], address[2])
            relax(i, v, mu, f0, d[k], s[k], z0)
            relax(i + 1, v, mu, f1, d[k], s[k], z1)
            relax(i + 2, v, mu, f2, d[k], s[k], z2)
            relax(i + 3, v, mu, f3, d[k], s[k], z3)


def outer_half(chain, lane, lanes, step, states, A, WT, mu, b, d, s, free, address):
    """(3), h given v."""
    nv = len(mu)
    c1 = address[3] + np.uint64(chain)
    first_unit = len(d) * ((nv + 3) >> 2) * 4
    draw_layer(states[chain, nv:], states[chain, :nv], A, b, free[nv:], first_unit, lane, lanes, c1, step, address)


run_gibbs_langevin = in_parts(inner_steps, outer_half)
run_block_sweeps = in_parts(hidden_half, visible_half)
run_ula_steps = in_parts(activities, ula_half, fills=3)  # states, active, diverged
