"""E-processes: evidence that may be looked at any time, on one dependent chain as well as on many.

(1) S7   e = mean_b prod over transitions of ((1 - eps) P_b/P + eps),  eps = 1e-3, over the known wrong kernels b
(2) S8   ln e_x(s) = lnG(s) - lnG(s + n) + sum_y [lnG(s P_y + c_y) - lnG(s P_y) - c_y ln P_y],  row x, counts c
         e = mean over face in {full, lumped} and s in (k - 1) 4^j, j = -3..9, of exp(sum_x ln e_x(s)),
         n = sum c,  k = the largest support of a row
(3) Ville: P(sup e >= 1/alpha | correct) <= alpha

S7 names the mistake; S8 sees what is in no zoo.  Sources: Ville 1939; Wald 1945; Lindon and Malek 2022 (2011.03567).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

MIXTURE = 1e-3


def log_likelihood_ratios(counts: np.ndarray, P: np.ndarray, alternatives: Sequence[np.ndarray]) -> np.ndarray:
    """ln of each factor of (1), (n_alternatives,); counts, P and each alternative (S, S).

    >>> counts = np.array([[0, 10], [0, 0]])
    >>> P = np.array([[0.5, 0.5], [0.5, 0.5]])
    >>> log_likelihood_ratios(counts, P, [np.array([[0.0, 1.0], [0.5, 0.5]])]).round(2).tolist()
    [6.93]
    """
    seen = (counts > 0) & (P > 0)
    c, p = counts[seen], P[seen]
    ratios = [np.log((1.0 - MIXTURE) * Q[seen] / p + MIXTURE) for Q in alternatives]
    return np.array([float(c @ r) for r in ratios])


def mixture_log_e(log_ratios: np.ndarray) -> float:
    """ln of the mean of the e-values; 0 if there is nothing to compare with."""
    if not len(log_ratios):
        return 0.0
    return float(special.logsumexp(log_ratios) - np.log(len(log_ratios)))


def dirichlet_log_e(counts: np.ndarray, P: np.ndarray, labels: np.ndarray) -> float:
    """ln e of (2); counts (S, S), labels (S,) the lumping of rows with equal law.

    >>> P = np.full((2, 2), 0.5)
    >>> exact, wrong = np.array([[50, 50], [50, 50]]), np.array([[90, 10], [50, 50]])
    >>> dirichlet_log_e(exact, P, np.zeros(2, int)) < 0, dirichlet_log_e(wrong, P, np.zeros(2, int)) > 10
    (True, True)
    """
    first = np.unique(labels, return_index=True)[1]
    merged = np.zeros((len(first), P.shape[1]))
    np.add.at(merged, labels, counts)
    k = int((P > 0).sum(axis=1).max())
    strengths = max(k - 1, 1) * 4.0 ** np.arange(-3, 10)
    logs = [face_log_e(c, p, s) for c, p in ((counts, P), (merged, P[first])) for s in strengths]
    return float(special.logsumexp(logs) - np.log(len(logs)))


def face_log_e(counts: np.ndarray, P: np.ndarray, strength: float) -> float:
    """sum_x ln e_x(s) of (2) on the support of P."""
    seen = (counts > 0) & (P > 0)
    c, a = counts[seen], strength * P[seen]
    n = np.where(P > 0, counts, 0).sum(axis=1)
    cells = special.gammaln(a + c) - special.gammaln(a) - c * np.log(P[seen])
    rows = special.gammaln(strength) - special.gammaln(strength + n)
    return float(cells.sum() + rows.sum())
