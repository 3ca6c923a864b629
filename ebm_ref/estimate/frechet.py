"""Frechet distance between two samples of feature vectors.    [Dowson & Landau 1982; Heusel et al. 2017]

(1) d = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1^1/2 C2 C1^1/2)^1/2,   m, C the mean and covariance of each sample:
    the squared 2-Wasserstein distance of the normal laws with these moments, in squared units of the features
(2) tr (C1^1/2 C2 C1^1/2)^1/2 = sum of the singular values of C1^1/2 C2^1/2: no root of a rounded eigenvalue is taken
(3) it is 0 iff the first two moments agree, and the same for x Q + s, y Q + s with orthogonal Q;
    where both covariances are diagonal it is sum (m1 - m2)^2 + (sigma1 - sigma2)^2
(4) samples of n and k rows of one law are never at 0: for normal features with eigenvalues l_i of their covariance
    E[d] = (1/n + 1/k) [sum_i l_i + 1/2 sum_ij l_i l_j (1 + 1[i=j]) / (l_i + l_j)] + O(1/n^2)
    so compare numbers only at equal n and k, and state what real rows against real rows give
The features are the caller's.  "FID" is this number in the features of one particular network, and only there.
"""

from __future__ import annotations

import numpy as np

from ebm_ref.errors import InsufficientDataError, as_float_array, require_finite, require_shape


def frechet_distance(x, y) -> float:
    """(1) between the rows of x (n, d) and of y (k, d): a number >= 0 in squared units of the features.

    Raises ShapeError or DomainError when the rows do not match or are not finite, InsufficientDataError below 2 rows.

    >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
    9.0
    """
    x, y = as_float_array("x", x), as_float_array("y", y)
    _, d = require_shape("x", x, None, None)
    require_shape("y", y, None, d)
    for name, rows in (("x", x), ("y", y)):
        require_finite(name, rows)
        if len(rows) < 2:
            raise InsufficientDataError(f"{name}: expected at least 2 rows, which have a covariance, got {len(rows)}")
    return frechet_of_moments(x.mean(axis=0), covariance(x), y.mean(axis=0), covariance(y))


def frechet_of_moments(m1: np.ndarray, C1: np.ndarray, m2: np.ndarray, C2: np.ndarray) -> float:
    """(1) from means (d,) and covariances (d, d)."""
    cross = np.linalg.svd(root(C1) @ root(C2), compute_uv=False).sum()  # (2)
    return max(0.0, float(((m1 - m2) ** 2).sum() + np.trace(C1) + np.trace(C2) - 2.0 * cross))


def frechet_bias(C: np.ndarray, n: int, k: int) -> float:
    """(4): about the mean of ``frechet_distance`` between n and k rows of one normal law with covariance C (d, d).

    >>> frechet_bias(np.eye(1), 1000, 1000)
    0.003
    """
    values = np.clip(np.linalg.eigvalsh(C), 0.0, None)
    values = values[values > 0]
    pairs = np.outer(values, values) / np.add.outer(values, values)
    return (1 / n + 1 / k) * float(values.sum() + 0.5 * (pairs.sum() + np.trace(pairs)))


def covariance(rows: np.ndarray) -> np.ndarray:
    """The unbiased covariance of the columns, (d, d)."""
    away = rows - rows.mean(axis=0)
    return away.T @ away / (len(rows) - 1)


def root(C: np.ndarray) -> np.ndarray:
    """C^1/2, symmetric; eigenvalues that rounding made negative count as 0."""
    values, vectors = np.linalg.eigh(C)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
