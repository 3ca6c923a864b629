"""Compiled sweeps over one chain: block Gibbs of an RBM, single-site Gibbs and Metropolis of a Boltzmann machine.

A row is [x, h].  The uniform of unit i at its first visit in step t stands at address (t, chain, i), at its second
visit (palindromic scan) at (t, chain, n + i), so block Gibbs and the systematic scan h..., x... read the same numbers.
Fields are summed afresh in every step: no rounding is carried from step to step, so a run may be cut anywhere.
"""

import math

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.maths.philox import LOW2, LOW32, S2, S32, bernoulli, philox4x32, uniform, word
from ebm_ref.maths.scalars import sigmoid

NO_TIE, NO_BLOCK = np.uint64(0), np.uint64(1 << 63)


def add_row(logits, s, row):
    """logits += s row."""
    for j in range(len(logits)):
        logits[j] += s * row[j]


def add_rows(logits, bias, states, weights):
    """logits = bias + states @ weights, in the order of the rows; of those switched on, four share a store."""
    for j in range(len(logits)):
        logits[j] = bias[j]
    held, i0, i1, i2 = 0, 0, 0, 0
    for i in range(len(states)):
        s = states[i]
        if s == 1.0 and held < 3:
            i0, i1, i2 = (i, i1, i2) if held == 0 else (i0, i, i2) if held == 1 else (i0, i1, i)
            held += 1
        elif s == 1.0:
            r0, r1, r2, r3 = weights[i0], weights[i1], weights[i2], weights[i]
            for j in range(len(logits)):
                logits[j] = (((logits[j] + r0[j]) + r1[j]) + r2[j]) + r3[j]
            held = 0
        if i == len(states) - 1 or (s != 0.0 and s != 1.0):
            for k in range(held):
                add_row(logits, 1.0, weights[i0 if k == 0 else i1 if k == 1 else i2])
            held = 0
            if s != 0.0 and s != 1.0:
                add_row(logits, s, weights[i])


def draw_layer(states, logits, free, first_unit, chain, step, purpose, k0, k1):
    """states[j] ~ Bernoulli(sigmoid(logits[j])) for the free units of a layer; unit first_unit + j has its address."""
    c2 = step & np.uint64(0xFFFFFFFF)
    c3 = purpose | ((step >> S32) << np.uint64(16))
    w0 = w1 = w2 = w3 = NO_TIE
    for j in range(len(states)):
        unit = np.uint64(first_unit + j)
        lane = unit & LOW2
        if j == 0 or lane == 0:
            w0, w1, w2, w3 = philox4x32(unit >> S2, chain, c2, c3, k0, k1)
        if free[j]:
            first = w0 if lane == 0 else w1 if lane == 1 else w2 if lane == 2 else w3
            states[j] = bernoulli(sigmoid(logits[j]), first, unit, chain, step, purpose, k0, k1)


add_row = jit(add_row)
add_rows = jit(add_rows)
draw_layer = jit(draw_layer)


def block_sweeps(chain, states, scratch, W, WT, a, b, free, address, start, n_steps):
    """n_steps of block Gibbs: h ~ p(h|x), then x ~ p(x|h).  states (chains, nv + nh), in place."""
    nv = len(a)
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    x, h = states[chain, :nv], states[chain, nv:]
    z, c = scratch[chain, :nv], scratch[chain, nv:]
    for t in range(n_steps):
        step = start + np.uint64(t)
        add_rows(c, b, x, W)
        draw_layer(h, c, free[nv:], nv, c1, step, purpose, k0, k1)
        add_rows(z, a, h, WT)
        draw_layer(x, z, free[:nv], 0, c1, step, purpose, k0, k1)


def site_sweeps(chain, states, scratch, J, c, sites, addresses, later, address, start, n_steps):
    """n_steps of single-site Gibbs, each visiting ``sites`` in order; visit v reads the uniform at addresses[v].

    After visit v only the fields of units later[v, 0] <= j < later[v, 1], still to be visited, follow a change.
    """
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    s, field = states[chain], scratch[chain]
    for t in range(n_steps):
        step = start + np.uint64(t)
        c3 = purpose | ((step >> S32) << np.uint64(16))
        w0 = w1 = w2 = w3 = NO_TIE
        held = NO_BLOCK  # whose four words are at hand: neighbours in a scan mostly share them
        add_rows(field, c, s, J)
        for v in range(len(sites)):
            i = sites[v]
            unit = np.uint64(addresses[v])
            if unit >> S2 != held:
                held = unit >> S2
                w0, w1, w2, w3 = philox4x32(held, c1, step & LOW32, c3, k0, k1)
            lane = unit & LOW2
            first = w0 if lane == 0 else w1 if lane == 1 else w2 if lane == 2 else w3
            new = bernoulli(sigmoid(field[i]), first, unit, c1, step, purpose, k0, k1)
            change = new - s[i]
            if change != 0.0:
                s[i] = new
                row, rest = J[i, later[v, 0] : later[v, 1]], field[later[v, 0] : later[v, 1]]
                for j in range(len(rest)):
                    rest[j] += change * row[j]


def site_field(i, s, J, c):
    """c_i + sum_j J_ij s_j."""
    total = c[i]
    for j in range(len(s)):
        total += J[i, j] * s[j]
    return total


site_field = jit(site_field)


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
    """n_steps of Metropolis: propose one flip, accept with min(1, exp(-dE)).  Counts acceptances.

    unit 0 of a step's noise chooses the site, unit 1 decides.
    """
    purpose, k0, k1, c1 = address[0], address[1], address[2], address[3] + np.uint64(chain)
    s = states[chain]
    for t in range(n_steps):
        step = start + np.uint64(t)
        i = sites[int(uniform(np.uint64(0), c1, step, purpose, k0, k1) * len(sites))]
        dE = -(1.0 - 2.0 * s[i]) * site_field(i, s, J, c)
        if uniform(np.uint64(1), c1, step, purpose, k0, k1) < math.exp(min(0.0, -dE)):
            s[i] = 1.0 - s[i]
            accepted[chain] += 1


run_block_sweeps = over_chains(block_sweeps)
run_site_sweeps = over_chains(site_sweeps)
run_random_site_updates = over_chains(random_site_updates)
run_metropolis_updates = over_chains(metropolis_updates)
