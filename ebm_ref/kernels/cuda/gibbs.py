"""Gibbs and Metropolis sweeps of one chain as a card wants them; laws and addresses are those of kernels/gibbs.

Single sites: a thread is a chain.  Block Gibbs: ``lanes`` threads share a chain and meet after each layer.  A sum runs
over the units that are given, four sums at a time in registers, one state read for four weights; neighbouring threads
read neighbouring weights and the same states, or, where a thread is a chain, the other way round.
(1) field_j = bias_j + sum_i given_i W_ij, i ascending: for binary states the numbers of the CPU, to the bit
(2) new_j = 1[u < sigmoid(field_j)]; units 4k, ..., 4k + 3 share one evaluation of Philox
(3) single sites: field_i = c_i + sum_j J_ij s_j afresh at each visit (the CPU updates it: rounding may differ)
"""

import math

import numpy as np

from ebm_ref.compile import jit
from ebm_ref.kernels.cuda.driver import in_parts, over_chains
from ebm_ref.maths.philox import S32, bernoulli, philox4x32, uniform, word
from ebm_ref.maths.scalars import sigmoid

NO_TIE = np.uint64(0)


def draw_unit(j, states, free, field, first, unit, chain, step, purpose, k0, k1):
    """(2) for unit j of a layer, if it belongs to the layer and is free."""
    if 0 <= j < len(states) and free[j]:
        states[j] = bernoulli(sigmoid(field), first, unit, chain, step, purpose, k0, k1)


draw_unit = jit(draw_unit)


def draw_layer(states, given, weights, bias, free, first_unit, lane, lanes, chain, step, address):
    """This lane's units of a layer given the other, weights (given, states); unit j has the address first_unit + j."""
    purpose, k0, k1 = address[0], address[1], address[2]
    n = len(states)
    c2, c3 = step & np.uint64(0xFFFFFFFF), purpose | ((step >> S32) << np.uint64(16))
    for four in range((first_unit >> 2) + lane, (first_unit + n + 3) >> 2 if n else 0, lanes):
        j0 = 4 * four - first_unit  # may lie before the layer's first unit
        i0, i1 = min(max(j0, 0), n - 1), min(max(j0 + 1, 0), n - 1)
        i2, i3 = min(max(j0 + 2, 0), n - 1), min(max(j0 + 3, 0), n - 1)
        f0, f1, f2, f3 = bias[i0], bias[i1], bias[i2], bias[i3]
        for i in range(len(given)):  # (1)
            s = given[i]
            f0 += s * weights[i, i0]
            f1 += s * weights[i, i1]
            f2 += s * weights[i, i2]
            f3 += s * weights[i, i3]
        unit = np.uint64(4 * four)
        w0, w1, w2, w3 = philox4x32(np.uint64(four), chain, c2, c3, k0, k1)
        draw_unit(j0, states, free, f0, w0, unit, chain, step, purpose, k0, k1)
        draw_unit(j0 + 1, states, free, f1, w1, unit + np.uint64(1), chain, step, purpose, k0, k1)
        draw_unit(j0 + 2, states, free, f2, w2, unit + np.uint64(2), chain, step, purpose, k0, k1)
        draw_unit(j0 + 3, states, free, f3, w3, unit + np.uint64(3), chain, step, purpose, k0, k1)


def site_field(i, s, J, c):
    """(3)."""
    total = c[i]
    for j in range(len(s)):
        total += s[j] * J[i, j]
    return total


draw_layer = jit(draw_layer)
site_field = jit(site_field)


def hidden_half(chain, lane, lanes, step, states, W, WT, a, b, free, address):
    """h ~ p(h|x).  states (chains, nv + nh), in place."""
    nv = len(a)
    c1 = address[3] + np.uint64(chain)
    draw_layer(states[chain, nv:], states[chain, :nv], W, b, free[nv:], nv, lane, lanes, c1, step, address)


def visible_half(chain, lane, lanes, step, states, W, WT, a, b, free, address):
    """x ~ p(x|h)."""
    nv = len(a)
    c1 = address[3] + np.uint64(chain)
    draw_layer(states[chain, :nv], states[chain, nv:], WT, a, free[:nv], 0, lane, lanes, c1, step, address)


def site_sweeps(chain, states, J, c, sites, addresses, address, start, n_steps):
    """n_steps of single-site Gibbs, each visiting ``sites`` in order; visit v reads the uniform at addresses[v]."""
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    s = states[chain]
    for t in range(n_steps):
        step = start + np.uint64(t)
        for v in range(len(sites)):
            unit = np.uint64(addresses[v])
            first = word(unit, c1, step, purpose, k0, k1, NO_TIE)
            field = site_field(sites[v], s, J, c)
            s[sites[v]] = bernoulli(sigmoid(field), first, unit, c1, step, purpose, k0, k1)


def random_site_updates(chain, states, J, c, sites, address, start, n_steps):
    """n_steps of random-scan Gibbs: unit 0 of a step's noise chooses the site, unit 1 draws its value."""
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    s = states[chain]
    for t in range(n_steps):
        step = start + np.uint64(t)
        i = sites[int(uniform(np.uint64(0), c1, step, purpose, k0, k1) * len(sites))]
        unit = np.uint64(1)
        first = word(unit, c1, step, purpose, k0, k1, NO_TIE)
        s[i] = bernoulli(sigmoid(site_field(i, s, J, c)), first, unit, c1, step, purpose, k0, k1)


def metropolis_updates(chain, states, accepted, J, c, sites, address, start, n_steps):
    """n_steps of Metropolis: propose one flip, accept with min(1, exp(-dE)).  Counts acceptances."""
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    s = states[chain]
    for t in range(n_steps):
        step = start + np.uint64(t)
        i = sites[int(uniform(np.uint64(0), c1, step, purpose, k0, k1) * len(sites))]
        dE = -(1.0 - 2.0 * s[i]) * site_field(i, s, J, c)
        if uniform(np.uint64(1), c1, step, purpose, k0, k1) < math.exp(min(0.0, -dE)):
            s[i] = 1.0 - s[i]
            accepted[chain] += 1


run_block_sweeps = in_parts(hidden_half, visible_half)
run_site_sweeps = over_chains(site_sweeps)
run_random_site_updates = over_chains(random_site_updates)
run_metropolis_updates = over_chains(metropolis_updates, fills=2)  # states, accepted
