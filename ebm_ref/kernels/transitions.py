"""Compiled rows of transition matrices: each row is one chain of the driver, a law over 2^n states that stays in cache.

K_i shares out the mass of each pair of states that differ in bit i:  on[i, s] = p(s_i=1|rest), by the pair's number s
(the state without its bit i).
"""

from ebm_ref.compile import over_chains


def product_row(state, P, sites, on):
    """P[state] = row ``state`` of K_i1 K_i2 ... for i1, i2, ... in ``sites``; on (n, 2**(n-1)).

    A row starts as a single one; before bit i is visited for the first time all mass sits on the state's own bit i.
    """
    row = P[state]
    row[:] = 0.0
    row[state] = 1.0
    for site in sites:
        p1, below = on[site], 1 << site
        for start in range(0, len(row), 2 * below):
            first = start >> 1
            off, lit = row[start : start + below], row[start + below : start + 2 * below]
            for k in range(below):
                mass, p = off[k] + lit[k], p1[first + k]
                off[k] = mass * (1.0 - p)
                lit[k] = mass * p


run_product_rows = over_chains(product_row)
