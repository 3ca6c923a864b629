"""Systematic single-site Gibbs on chains side by side: the rows of kernels/gibbs.site_sweeps, bit for bit.

Fields and states stand unit by unit, (units, width), fields in the order of the visits.
(1) field_v = c_v + sum_i J_iv s_i, in the order of i, by kernels/panels
(2) visits in groups of GROUP: within a group a changed unit moves the fields of the group's later units at once, those
    beyond the group when the group is done: field_v += sum_k J_kv change_k, k in the order of the visits.
Changes are -1, 0 or 1, so products are exact; every field takes the same terms in the same order as one chain alone.
"""

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.gibbs_batch import FAR, MARGIN, draw_quickly, fill_words, settle, to_columns, to_rows
from ebm_ref.kernels.panels import UNITS, add_products
from ebm_ref.maths.philox import LOW32, S2, S32

GROUP = 16  # visits; a multiple of UNITS
NO_BLOCK = np.uint64(1 << 63)


def add_scaled(field, weight, change):
    """field += weight change."""
    for c in range(len(field)):
        field[c] += weight * change[c]


add_scaled = jit(add_scaled, flags=("contract",))


def visit_group(S, fields, changes, start, stop, tiles, sites, words, held, chain, step, purpose, k0, k1):
    """(2) of the visits start, ..., stop - 1; returns the block of units whose words are at hand."""
    c3 = purpose | ((step >> S32) << np.uint64(16))
    none, given, margin = np.empty(0), np.empty((0, 0)), np.float32(MARGIN)
    for v in range(start, stop):
        unit = np.uint64(sites[v])
        if unit >> S2 != held:
            held = unit >> S2
            fill_words(words, held, chain, step & LOW32, c3, k0, k1)
        s, change, first = S[sites[v]], changes[v - start], words[sites[v] % 4]
        for c in range(len(s)):
            change[c] = -s[c]
        if draw_quickly(s, fields[v], first, margin):
            settle(s, fields[v], first, margin, given, none, 0.0, unit, chain, step, purpose, k0, k1)
        for c in range(len(s)):
            change[c] += s[c]
        for later in range(v + 1, stop):
            add_scaled(fields[later], tiles[later // UNITS, v, later % UNITS], change)
    return held


visit_group = jit(visit_group)


def batch_site_sweeps(block, width, states, out, left, before, between, c, sites, address, start, n_steps):
    """n_steps of systematic Gibbs from ``states`` to ``out`` (chains, units), for the block's ``width`` chains.

    before, between: J (all units, visits) and J (visits, visits) as panels.tiles packs them; c in the order of visits.
    Where a state is neither 0 nor 1, ``left[block]`` is set and nothing done.
    """
    n_units, n_visits, first = states.shape[1], len(sites), block * width
    n = min(width, len(states) - first)
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(first)
    S, fields = np.zeros((n_units, width)), np.zeros((UNITS * len(before), width))
    changes, words = np.zeros((GROUP, width)), np.empty((4, width), np.uint32)
    left[block] = to_columns(S, states[first : first + n], 0, n) != FAR
    for t in range(0 if left[block] else n_steps):
        step = start + np.uint64(t)
        for v in range(n_visits):
            for k in range(width):
                fields[v, k] = c[v]
        add_products(fields, S, before)  # (1)
        held = NO_BLOCK
        for v in range(0, n_visits, GROUP):
            stop = min(v + GROUP, n_visits)
            held = visit_group(S, fields, changes, v, stop, between, sites, words, held, chain, step, purpose, k0, k1)
            if stop < n_visits:
                later = stop // UNITS
                add_products(fields[stop:], changes, between[later:, v:stop])  # (2)
    to_rows(out[first : first + n], S, 0, n)


run_batch_site_sweeps = over_chains(batch_site_sweeps)
