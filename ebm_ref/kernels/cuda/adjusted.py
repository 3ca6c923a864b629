"""Metropolis-adjusted chains of a GRBM as a card wants them: MALA, and Gibbs-Langevin with its joint correction.

Laws and addresses are those of kernels/langevin and kernels/gibbs_langevin; lanes and sums those of kernels/cuda/gibbs.
(1) MALA:  x' = x - lam g + s z;    p = sigmoid(c), c = b + A'x';    g' = (x'-mu)/s2 - A p
    log alpha = [F - F' + sum_i 1/2 (x'-x)(g+g') - 1/4 lam (g'^2-g^2)] / T
(2) Gibbs-Langevin:  v' by K inner steps from v;    h' ~ p(h|v');    m' = mu + W h'
    log alpha = F - F' + sum_i [(v'-rho v-(1-rho) m)^2 - (v-rho v'-(1-rho) m')^2] / (2 tau2)
(3) F = 1/2 sum (v-mu)^2/s2 - sum_free softplus(c_j) - sum_clamped h_j c_j
A lane adds up the terms of its own units; then every lane adds the lanes' sums in their order, decides alike, and moves
its own units.  F, g and m(h) are carried.  Round ``first`` only evaluates the first state: the state is proposed and
taken.  Round r > first is step r - 1.
"""

import math

import numpy as np

from ebm_ref.compile import jit
from ebm_ref.kernels.cuda.driver import in_parts
from ebm_ref.kernels.cuda.gibbs import draw_layer
from ebm_ref.kernels.cuda.langevin import normals, relax, sums
from ebm_ref.maths.philox import uniform
from ebm_ref.maths.scalars import sigmoid, softplus
from ebm_ref.maths.smooth import exp_minus

ONE = np.uint64(1)


def copy_four(i, out, values):
    """out = values at i, ..., i + 3."""
    for k in range(i, min(i + 4, len(values))):
        out[k] = values[k]


def accepts(ratio, unit, chain, step, address):
    """Whether u < min(1, exp(log alpha)), the sum of the lanes' parts; NaN and +inf are refused."""
    log_alpha = 0.0
    for lane in range(len(ratio)):
        log_alpha += ratio[lane]
    u = uniform(np.uint64(unit), chain, step, address[0], address[1], address[2])
    return log_alpha < math.inf and u < exp_minus(max(0.0, -log_alpha))


def drift(i, y, x, g, lam, s, z):
    """(1), x'_i, if there is such a unit."""
    if i < len(x):
        y[i] = (x[i] - lam[i] * g[i]) + s[i] * z


def switch_on(j, p, b, sum_j):
    """(1), p_j with c_j = b_j + sum_j; softplus(c_j), or 0 if there is no such unit."""
    if j >= len(p):
        return 0.0
    p[j] = sigmoid(b[j] + sum_j)
    return softplus(b[j] + sum_j)


def slope(i, y, push, mu, precision, g_new):
    """(1), g'_i with push = sum_j A_ij p_j; the unit's part of F, or 0 if there is no such unit."""
    if i >= len(y):
        return 0.0
    pull = precision[i] * (y[i] - mu[i])
    g_new[i] = pull - push
    return 0.5 * pull * (y[i] - mu[i])


def soft_part(j, h, free, b, sum_j):
    """(3): what unit j takes from F, or 0 if there is no such unit."""
    if j >= len(h):
        return 0.0
    c = b[j] + sum_j
    return softplus(c) if free[j] else h[j] * c


def mean_and_jump(i, v, y, m, m_new, mu, sum_i, rho, half_precision):
    """(2), m'_i with sum_i = sum_j W_ij h'_j; the unit's part of log alpha, or 0 if there is no such unit."""
    if i >= len(v):
        return 0.0
    m_new[i] = mu[i] + sum_i
    there, back = (y[i] - m[i]) - rho[i] * (v[i] - m[i]), (v[i] - m_new[i]) - rho[i] * (y[i] - m_new[i])
    return half_precision[i] * (there * there - back * back)


copy_four = jit(copy_four)
accepts = jit(accepts)
drift = jit(drift)
switch_on = jit(switch_on)
slope = jit(slope)
soft_part = jit(soft_part)
mean_and_jump = jit(mean_and_jump)


# MALA: states (chains, nv) and accepted (chains,) in place; new, g, g_new (chains, nv), p (chains, nh) and F, F_new,
# ratio (chains, lanes) are scratch -----------------------------------------------------------------------------------


def mala_proposal(
    chain, lane, lanes, round_, states, accepted, new, g, g_new, p, F, F_new, ratio, A, AT, mu, precision, b, lam, s,
    inverse_T, first, address,
):  # fmt: skip
    """(1), x'."""
    x, y, c1 = states[chain], new[chain], address[3] + np.uint64(chain)
    for i in range(4 * lane, len(x), 4 * lanes):
        copy_four(i, y, x)
        if round_ != first:
            z0, z1, z2, z3 = normals(i >> 2, c1, round_ - ONE, address[0], address[1], address[2])
            drift(i, y, x, g[chain], lam, s, z0)
            drift(i + 1, y, x, g[chain], lam, s, z1)
            drift(i + 2, y, x, g[chain], lam, s, z2)
            drift(i + 3, y, x, g[chain], lam, s, z3)


def mala_activities(
    chain, lane, lanes, round_, states, accepted, new, g, g_new, p, F, F_new, ratio, A, AT, mu, precision, b, lam, s,
    inverse_T, first, address,
):  # fmt: skip
    """(1), p, and the hidden part of (3)."""
    on, soft = p[chain], 0.0
    for j in range(4 * lane, len(on), 4 * lanes):
        f0, f1, f2, f3 = sums(j, new[chain], A)
        soft += switch_on(j, on, b, f0) + switch_on(j + 1, on, b, f1)
        soft += switch_on(j + 2, on, b, f2) + switch_on(j + 3, on, b, f3)
    F_new[chain, lane] = -soft


def mala_ratio(
    chain, lane, lanes, round_, states, accepted, new, g, g_new, p, F, F_new, ratio, A, AT, mu, precision, b, lam, s,
    inverse_T, first, address,
):  # fmt: skip
    """(1), g', the rest of (3), and this lane's part of log alpha."""
    x, y, d, d_new = states[chain], new[chain], g[chain], g_new[chain]
    energy, change = F_new[chain, lane], 0.0
    for i in range(4 * lane, len(x), 4 * lanes):
        f0, f1, f2, f3 = sums(i, p[chain], AT)
        energy += slope(i, y, f0, mu, precision, d_new) + slope(i + 1, y, f1, mu, precision, d_new)
        energy += slope(i + 2, y, f2, mu, precision, d_new) + slope(i + 3, y, f3, mu, precision, d_new)
        for k in range(i, min(i + 4, len(x))):
            change += 0.5 * (y[k] - x[k]) * (d[k] + d_new[k])
            change -= 0.25 * lam[k] * (d_new[k] * d_new[k] - d[k] * d[k])
    F_new[chain, lane] = energy
    ratio[chain, lane] = inverse_T * (F[chain, lane] - energy + change)


def mala_decision(
    chain, lane, lanes, round_, states, accepted, new, g, g_new, p, F, F_new, ratio, A, AT, mu, precision, b, lam, s,
    inverse_T, first, address,
):  # fmt: skip
    """The uniform of the decision stands at the address after the normals."""
    x, c1 = states[chain], address[3] + np.uint64(chain)
    if round_ == first or accepts(ratio[chain], len(x), c1, round_ - ONE, address):
        for i in range(4 * lane, len(x), 4 * lanes):
            copy_four(i, x, new[chain])
            copy_four(i, g[chain], g_new[chain])
        F[chain, lane] = F_new[chain, lane]
        if lane == 0 and round_ != first:
            accepted[chain] += 1


# Gibbs-Langevin: states (chains, nv + nh) and accepted (chains,) in place; new (chains, nv + nh), mean, mean_new
# (chains, nv) and F, F_new, ratio (chains, lanes) are scratch --------------------------------------------------------


def joint_proposal(
    chain, lane, lanes, round_, states, accepted, new, mean, mean_new, F, F_new, ratio, A, WT, mu, precision, b, d, s,
    rho, half_precision, free, adjust_from, first, address,
):  # fmt: skip
    """(2), v'."""
    nv, c1 = len(mu), address[3] + np.uint64(chain)
    v, y, m = states[chain, :nv], new[chain, :nv], mean[chain]
    for i in range(4 * lane, nv, 4 * lanes):
        copy_four(i, y, v)
        for k in range(len(d) if round_ != first else 0):
            four = k * ((nv + 3) >> 2) + (i >> 2)
            z0, z1, z2, z3 = normals(four, c1, round_ - ONE, address[0], address[1], address[2])
            relax(i, y, m, 0.0, d[k], s[k], z0)
            relax(i + 1, y, m, 0.0, d[k], s[k], z1)
            relax(i + 2, y, m, 0.0, d[k], s[k], z2)
            relax(i + 3, y, m, 0.0, d[k], s[k], z3)
    for j in range(4 * lane, len(b), 4 * lanes):
        copy_four(j, new[chain, nv:], states[chain, nv:])


def joint_hidden(
    chain, lane, lanes, round_, states, accepted, new, mean, mean_new, F, F_new, ratio, A, WT, mu, precision, b, d, s,
    rho, half_precision, free, adjust_from, first, address,
):  # fmt: skip
    """(2), h'."""
    nv, c1 = len(mu), address[3] + np.uint64(chain)
    if round_ != first:
        unit = len(d) * ((nv + 3) >> 2) * 4
        draw_layer(new[chain, nv:], new[chain, :nv], A, b, free[nv:], unit, lane, lanes, c1, round_ - ONE, address)


def joint_ratio(
    chain, lane, lanes, round_, states, accepted, new, mean, mean_new, F, F_new, ratio, A, WT, mu, precision, b, d, s,
    rho, half_precision, free, adjust_from, first, address,
):  # fmt: skip
    """(2), m', (3), and this lane's part of log alpha."""
    nv = len(mu)
    v, y, h, free_h, m, m_new = (
        states[chain, :nv], new[chain, :nv], new[chain, nv:], free[nv:], mean[chain], mean_new[chain],
    )  # fmt: skip
    energy = change = 0.0
    for j in range(4 * lane, len(h), 4 * lanes):
        f0, f1, f2, f3 = sums(j, y, A)
        energy -= soft_part(j, h, free_h, b, f0) + soft_part(j + 1, h, free_h, b, f1)
        energy -= soft_part(j + 2, h, free_h, b, f2) + soft_part(j + 3, h, free_h, b, f3)
    for i in range(4 * lane, nv, 4 * lanes):
        f0, f1, f2, f3 = sums(i, h, WT)
        change += mean_and_jump(i, v, y, m, m_new, mu, f0, rho, half_precision)
        change += mean_and_jump(i + 1, v, y, m, m_new, mu, f1, rho, half_precision)
        change += mean_and_jump(i + 2, v, y, m, m_new, mu, f2, rho, half_precision)
        change += mean_and_jump(i + 3, v, y, m, m_new, mu, f3, rho, half_precision)
        for k in range(i, min(i + 4, nv)):
            energy += 0.5 * precision[k] * (y[k] - mu[k]) * (y[k] - mu[k])
    F_new[chain, lane] = energy
    ratio[chain, lane] = F[chain, lane] - energy + change


def joint_decision(
    chain, lane, lanes, round_, states, accepted, new, mean, mean_new, F, F_new, ratio, A, WT, mu, precision, b, d, s,
    rho, half_precision, free, adjust_from, first, address,
):  # fmt: skip
    """Steps before ``adjust_from`` take every proposal.  The uniform stands at the address after the hidden units'."""
    nv, c1 = len(mu), address[3] + np.uint64(chain)
    unit = len(d) * ((nv + 3) >> 2) * 4 + len(b)
    always = round_ == first or np.int64(round_ - ONE) < adjust_from
    if always or accepts(ratio[chain], unit, c1, round_ - ONE, address):
        for i in range(4 * lane, nv, 4 * lanes):
            copy_four(i, states[chain, :nv], new[chain, :nv])
            copy_four(i, mean[chain], mean_new[chain])
        for j in range(4 * lane, len(b), 4 * lanes):
            copy_four(j, states[chain, nv:], new[chain, nv:])
        F[chain, lane] = F_new[chain, lane]
        if lane == 0 and round_ != first:
            accepted[chain] += 1


run_mala_rounds = in_parts(mala_proposal, mala_activities, mala_ratio, mala_decision, fills=2)
run_adjusted_rounds = in_parts(joint_proposal, joint_hidden, joint_ratio, joint_decision, fills=2)
