"""Exact tests for few replicates.                                                                     [Fisher 1935]

(1) sign flips: under "no difference" each paired difference has either sign, so all 2^n patterns of signs are equally
    likely; p is the share of them whose sum is at least as far from 0.  Least p: 2^(1-n).
(2) permutation: all ways of choosing which replicates are the first group; p is the share whose difference of means is
    at least as far from 0.  Least p with n and n: 2/binomial(2n, n).
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

ROUNDING = 1e-12


def sign_flip_test(differences) -> float:
    """(1), two-sided.

    >>> sign_flip_test([1.0, 2.0, 3.0])
    0.25
    """
    d = np.asarray(differences, dtype=float)
    sums = np.abs([(np.array(signs) * d).sum() for signs in product((1, -1), repeat=len(d))])
    return float((sums >= abs(d.sum()) * (1 - ROUNDING)).mean())


def permutation_test(x, y) -> float:
    """(2), two-sided.

    >>> permutation_test([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    0.1
    """
    both = np.concatenate([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    n, total = len(x), both.sum()
    gaps = []
    for chosen in combinations(range(len(both)), n):
        first = both[list(chosen)].sum()
        gaps.append(abs(first / n - (total - first) / (len(both) - n)))
    return float((np.array(gaps) >= gaps[0] * (1 - ROUNDING)).mean())
