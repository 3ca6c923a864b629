"""Continuous chains of a Gaussian-Bernoulli RBM as a card wants them; laws and addresses are those of kernels/grbm
and kernels/langevin.  A thread is a chain; sums run four units at a time in registers, as in kernels/cuda/gibbs.

Normal i of a step stands at the address (step, chain, i).  With A = W / s2 by rows:
(1) block Gibbs:  h_j = 1[u_j < sigmoid(b_j + sum_i v_i A_ij)],   v_i = mu_i + sum_j h_j W_ij + sigma_i z_i
(2) ULA:  p = sigmoid(b + A'v),   v_i <- v_i - lam_i ((v_i - mu_i) / s2_i - sum_j p_j A_ij) + s_i z_i
Clamped coordinates have lam = s = 0.
"""

import numpy as np

from ebm_ref.compile import jit
from ebm_ref.kernels.cuda.driver import over_chains
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


def draw_gaussian(i, v, free, mean, deviation, z):
    """v_i = mean + deviation_i z, if there is such a unit and it is free."""
    if i < len(v) and free[i]:
        v[i] = mean + deviation[i] * z


def move(i, v, push, z, mu, precision, lam, s):
    """(2) for unit i, if there is one; push = sum_j p_j A_ij."""
    if i < len(v):
        v[i] = (v[i] - lam[i] * (precision[i] * (v[i] - mu[i]) - push)) + s[i] * z


normals = jit(normals)
sums = jit(sums)
draw_gaussian = jit(draw_gaussian)
move = jit(move)


def block_sweeps(chain, states, A, WT, mu, deviation, b, free, address, start, n_steps):
    """n_steps of (1).  states (chains, nv + nh), rows [v, h], in place."""
    nv = len(mu)
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    v, h = states[chain, :nv], states[chain, nv:]
    for t in range(n_steps):
        step = start + np.uint64(t)
        draw_layer(h, v, A, b, free[nv:], nv, c1, step, purpose, k0, k1)
        for i in range(0, nv, 4):
            f0, f1, f2, f3 = sums(i, h, WT)
            z0, z1, z2, z3 = normals(i >> 2, c1, step, purpose, k0, k1)
            draw_gaussian(i, v, free, mu[i] + f0, deviation, z0)
            draw_gaussian(i + 1, v, free, mu[min(i + 1, nv - 1)] + f1, deviation, z1)
            draw_gaussian(i + 2, v, free, mu[min(i + 2, nv - 1)] + f2, deviation, z2)
            draw_gaussian(i + 3, v, free, mu[min(i + 3, nv - 1)] + f3, deviation, z3)


def ula_steps(chain, states, active, diverged, A, AT, mu, precision, b, lam, s, address, start, n_steps):
    """n_steps of (2).  states (chains, nv), in place; active (chains, nh) is scratch for p.

    diverged (chains,): one more than the step at which the chain left the finite numbers, else 0.
    """
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    v, p = states[chain], active[chain]
    for t in range(n_steps):
        step = start + np.uint64(t)
        for j in range(0, len(p), 4):
            f0, f1, f2, f3 = sums(j, v, A)
            p[j] = sigmoid(b[j] + f0)
            if j + 1 < len(p):
                p[j + 1] = sigmoid(b[j + 1] + f1)
            if j + 2 < len(p):
                p[j + 2] = sigmoid(b[j + 2] + f2)
            if j + 3 < len(p):
                p[j + 3] = sigmoid(b[j + 3] + f3)
        sane = True
        for i in range(0, len(v), 4):
            f0, f1, f2, f3 = sums(i, p, AT)
            z0, z1, z2, z3 = normals(i >> 2, c1, step, purpose, k0, k1)
            move(i, v, f0, z0, mu, precision, lam, s)
            move(i + 1, v, f1, z1, mu, precision, lam, s)
            move(i + 2, v, f2, z2, mu, precision, lam, s)
            move(i + 3, v, f3, z3, mu, precision, lam, s)
        for i in range(len(v)):
            sane = sane and v[i] - v[i] == 0.0
        if not sane and diverged[chain] == 0:
            diverged[chain] = np.int64(step) + 1


run_block_sweeps = over_chains(block_sweeps)
run_ula_steps = over_chains(ula_steps, fills=3)  # states, active, diverged
