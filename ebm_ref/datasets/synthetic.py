"""Ensembles whose law is known by construction, so that the best possible log-likelihood is known too.

All patterns of n bits are listed in the order of the state index, sum_i x_i 2^i.
(1) bars and stripes      n x n images with every row constant, or every column constant: 2 * 2^n - 2 distinct ones
(2) labelled shifter      [x, x shifted by s, onehot(s)], x in {0,1}^n, s in (left, none, right): 3 * 2^n rows
(3) best log-likelihood   sum_r q_r log q_r = -H(q), q the empirical law of the rows;  reached by p = q alone (Gibbs)
Sources: (1) MacKay, Information Theory, Inference, and Learning Algorithms, 2003, chapter 43; (2) Hinton and Sejnowski,
Learning and relearning in Boltzmann machines, 1986: the label is independent of every single bit and shows only in
products of a bit of the pattern with a bit of the copy, so that hidden units are needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ebm_ref.errors import DomainError, as_float_array, require_finite, require_int, require_shape


def bit_patterns(n: int) -> np.ndarray:
    """Every row of n bits, in the order of the state index: (2**n, n)."""
    return (np.arange(2**n)[:, np.newaxis] >> np.arange(n) & 1).astype(np.float64)


def bars_and_stripes(n: int, doubled: bool = False) -> np.ndarray:
    """All n x n images made of full rows (stripes) or of full columns (bars), equation (1).

    Args:
        n: side of the image, 1 to 14.
        doubled: keep the all-0 and the all-1 image twice, once as bars and once as stripes; some papers do.

    Returns:
        Rows of 0 and 1, float64 (2 * 2**n - 2, n * n), or (2 * 2**n, n * n) if doubled.

    Raises:
        DomainError: n is no integer in 1..14.

    >>> bars_and_stripes(2).astype(int).tolist()
    [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    >>> rows = bars_and_stripes(4)
    >>> len(rows), round(len(rows) * best_log_likelihood(rows), 4)
    (30, -102.0359)
    """
    n = require_int("n", n, minimum=1, maximum=14)
    lines = bit_patterns(n)
    stripes, bars = np.repeat(lines, n, axis=1), np.tile(lines, n)
    return np.concatenate([stripes, bars if doubled else bars[1:-1]])


def labelled_shifter(n: int) -> np.ndarray:
    """Hinton and Sejnowski's shifter ensemble: a pattern, its shifted copy and which shift it was, equation (2).

    "left" moves each bit one place to a lower position, cyclically.

    Args:
        n: bits of the pattern, 1 to 16.

    Returns:
        Rows [pattern (n), copy (n), left, none, right], 0 and 1, float64 (3 * 2**n, 2 * n + 3).

    Raises:
        DomainError: n is no integer in 1..16.

    >>> labelled_shifter(3)[[1, 9, 17]].astype(int).tolist()    # the pattern 100, by each shift
    [[1, 0, 0, 0, 0, 1, 1, 0, 0], [1, 0, 0, 1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0, 0, 0, 1]]
    """
    n = require_int("n", n, minimum=1, maximum=16)
    patterns = bit_patterns(n)
    by_shift = [
        np.hstack([patterns, np.roll(patterns, shift, axis=1), np.tile(label, (len(patterns), 1))])
        for shift, label in zip((-1, 0, 1), np.eye(3), strict=True)
    ]
    return np.concatenate(by_shift)


def best_log_likelihood(rows: ArrayLike) -> float:
    """The highest mean log-likelihood that any model reaches on these rows, equation (3).

    Args:
        rows: data (n_rows, n_columns) with a finite number of values, repeated rows and all.

    Returns:
        Nats per row, at most 0; times ``len(rows)`` it is the total over the data.

    Raises:
        ShapeError: rows is not two-dimensional.
        DomainError: there is no row, or a value is not finite.

    >>> best_log_likelihood([[0, 1], [1, 0]]), best_log_likelihood([[0, 1], [0, 1]])
    (-0.6931471805599453, 0.0)
    """
    array = as_float_array("rows", rows)
    n_rows, _ = require_shape("rows", array, None, None)
    if n_rows == 0:
        raise DomainError("rows: expected at least one row, got none")
    require_finite("rows", array)
    counts = np.unique(array, axis=0, return_counts=True)[1]
    return float(counts @ np.log(counts / n_rows)) / n_rows  # (3)
