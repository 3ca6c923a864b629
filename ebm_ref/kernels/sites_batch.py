"""Systematic single-site Gibbs on chains side by side: the rows of kernels/gibbs.site_sweeps, bit for bit.

States stand unit by unit, (units, width), in float32.  Visits come in groups of GROUP:
(1) the fields of a group's units, when its turn comes:  field_v = c_v + sum_i J_iv s_i, i ascending, s the states of
    this moment, in float32 by kernels/panels
(2) within the group a changed unit moves the fields of the later ones at once:  field_w += J_vw change
(3) the quick comparison of kernels/gibbs_batch (3) decides where it is farther than MARGIN + d from a tie.  d bounds
    what float32 can err: 2^-24 times
        |c_v| + sum_i |J_iv| + sum_k max(|c_v + P_kv|, |c_v - N_kv|) + GROUP max(|c_v + P_v|, |c_v - N_v|),
    P_kv and N_kv the sums of the positive and of the negative J_iv, i <= k, and P_v, N_v all of them: roundings of the
    numbers, of every sum on the way, and of the moves (2), after each of which the field is that of some state
(4) elsewhere the field is summed in float64 as site_sweeps does: from the states at the start of the step, then the
    changes in the order of the visits.
"""

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.gibbs_batch import FAR, draw_quickly, fill_words, gap, to_columns, to_rows
from ebm_ref.kernels.panels import UNITS, add_products
from ebm_ref.maths.philox import LOW32, S2, S32, bernoulli
from ebm_ref.maths.scalars import sigmoid

GROUP = 16  # visits; a multiple of UNITS
NO_BLOCK = np.uint64(1 << 63)


def add_scaled(field, weight, change):
    """(2)."""
    for c in range(len(field)):
        field[c] += weight * change[c]


add_scaled = jit(add_scaled, flags=("contract",))


def exact_field(visit, k, S, at_start, J, c, sites):
    """(4) of the unit at this visit, in column k."""
    row, total = J[sites[visit]], c[visit]
    for i in range(len(row)):
        total += row[i] * np.float64(at_start[i, k])
    for v in range(visit):
        i = sites[v]
        total += row[i] * (np.float64(S[i, k]) - np.float64(at_start[i, k]))
    return total


exact_field = jit(exact_field)


def settle(visit, field, first, margin, S, at_start, J, c, sites, chain, step, purpose, k0, k1):
    """(4) for the chains that are close to a tie."""
    s, unit = S[sites[visit]], np.uint64(sites[visit])
    for k in range(len(field)):
        if not abs(gap(field[k], first[k])) >= margin:
            p = sigmoid(exact_field(visit, k, S, at_start, J, c, sites))
            s[k] = bernoulli(p, np.uint64(first[k]), unit, chain + np.uint64(k), step, purpose, k0, k1)


settle = jit(settle)


def visit_group(
    start, stop, fields, S, at_start, change, tiles, J, c, sites, margin, words, held, chain, step, address
):
    """(2) to (4) of the visits start, ..., stop - 1; returns the block of units whose words are at hand."""
    purpose, k0, k1 = address[0], address[1], address[2]
    for v in range(start, stop):
        unit = np.uint64(sites[v])
        if unit >> S2 != held:
            held = unit >> S2
            fill_words(words, held, chain, step & LOW32, purpose | ((step >> S32) << np.uint64(16)), k0, k1)
        s, first, field = S[sites[v]], words[sites[v] % 4], fields[v - start]
        if draw_quickly(s, field, first, margin):
            settle(v, field, first, margin, S, at_start, J, c, sites, chain, step, purpose, k0, k1)
        before = at_start[sites[v]]
        for k in range(len(s)):
            change[k] = s[k] - before[k]
        for later in range(v + 1, stop):
            add_scaled(fields[later - start], tiles[later // UNITS, sites[v], later % UNITS], change)
    return held


visit_group = jit(visit_group)


def batch_site_sweeps(block, width, states, out, left, tiles, J, c, sites, margin, address, start, n_steps):
    """n_steps of systematic Gibbs from ``states`` to ``out`` (chains, units), for the block's ``width`` chains.

    tiles: J (all units, visits) in float32 as panels.tiles packs it; J symmetric; c in the order of the visits.
    Where a state is neither 0 nor 1, ``left[block]`` is set and nothing done.
    """
    n_units, n_visits, first = states.shape[1], len(sites), block * width
    n = min(width, len(states) - first)
    chain, limit = address[3] + np.uint64(first), np.float32(margin)
    S, at_start = np.zeros((n_units, width), np.float32), np.empty((n_units, width), np.float32)
    fields, change = np.empty((GROUP, width), np.float32), np.empty(width, np.float32)
    words = np.empty((4, width), np.uint32)
    left[block] = to_columns(S, states[first : first + n], 0, n) != FAR
    for t in range(0 if left[block] else n_steps):
        step, held = start + np.uint64(t), NO_BLOCK
        for i in range(n_units):
            for k in range(width):
                at_start[i, k] = S[i, k]
        for v in range(0, n_visits, GROUP):
            stop = min(v + GROUP, n_visits)
            for w in range(v, stop):
                for k in range(width):
                    fields[w - v, k] = c[w]
            add_products(fields, S, tiles[v // UNITS : (stop + UNITS - 1) // UNITS])  # (1)
            held = visit_group(
                v, stop, fields, S, at_start, change, tiles, J, c, sites, limit, words, held, chain, step, address
            )
    to_rows(out[first : first + n], S, 0, n)


run_batch_site_sweeps = over_chains(batch_site_sweeps)


def rounding(J: np.ndarray, c: np.ndarray) -> float:
    """The largest d of (3) over the visits: J (units, visits), c (visits,)."""
    highest, lowest = c + np.maximum(J, 0.0).cumsum(axis=0), c + np.minimum(J, 0.0).cumsum(axis=0)
    farthest = np.maximum(np.abs(highest), np.abs(lowest))
    d = np.abs(c) + np.abs(J).sum(axis=0) + farthest.sum(axis=0) + GROUP * farthest[-1]
    return 1.01 * 2.0**-24 * float(d.max())
