"""How far a classifier's probabilities can be believed, and how well a score tells strange inputs from familiar ones.

(1) confidence c_n = max_y p(y|x_n), right_n = 1 if the largest is that of the label (the first one in a tie)
(2) bins of equal width over (0, 1]:  ECE = sum_b n_b/n |mean right - mean c| in b                    [Guo et al. 2017]
    Of n rows of a calibrated classifier it is not 0 but about sum_b sqrt(2 n_b v_b/pi)/n, v_b = mean c (1 - c).
(3) AUROC = P(s+ > s-) + P(s+ = s-)/2 for independent scores inside s+ and outside s-: the Mann-Whitney statistic over
    its greatest value; 1/2 is chance.  Its standard error where both laws are one is sqrt((n + k + 1)/(12 n k)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ebm_ref.errors import (
    DomainError,
    InsufficientDataError,
    as_float_array,
    require_finite,
    require_int,
    require_shape,
    require_unit_interval,
)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Bins (n_bins,): how many rows, their mean confidence and the share that is right (NaN where there is none).

    error: (2).  accuracy: the share of all rows.  chance: the ECE that a calibrated classifier with the same
    confidences has on average, about.
    """

    counts: np.ndarray
    confidence: np.ndarray
    right: np.ndarray
    error: float
    accuracy: float
    chance: float


def calibration(probabilities, labels, n_bins: int = 15) -> Calibration:
    """(1), (2) of p(y|x) (n, n_classes) and class numbers (n,).

    >>> found = calibration([[0.9, 0.1], [0.9, 0.1]], [0, 1])
    >>> round(found.error, 12), found.accuracy
    (0.4, 0.5)
    """
    p, labels = as_float_array("probabilities", probabilities), as_float_array("labels", labels)
    n, n_classes = require_shape("probabilities", p, None, None)
    require_shape("labels", labels, n)
    require_unit_interval("probabilities", p)
    if not n:
        raise InsufficientDataError("probabilities: expected at least one row, got none")
    if np.any((labels != np.floor(labels)) | (labels < 0) | (labels >= n_classes)):
        raise DomainError(f"labels: expected whole numbers from 0 to {n_classes - 1}")
    if np.abs(p.sum(axis=1) - 1).max() > 1e-6:
        raise DomainError("probabilities: expected rows that sum to 1; use softmax on logits")
    n_bins = require_int("n_bins", n_bins, 1)
    c, right = p.max(axis=1), (p.argmax(axis=1) == labels).astype(np.float64)  # (1)
    place = np.clip(np.ceil(c * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    counts, sums, rights, spread = (
        np.bincount(place, weights, n_bins) for weights in (np.ones(n), c, right, c * (1 - c))
    )
    with np.errstate(invalid="ignore"):
        confidence, share = sums / counts, rights / counts
    chance = float(np.sqrt(2 * spread / np.pi).sum()) / n
    return Calibration(counts, confidence, share, float(np.abs(rights - sums).sum()) / n, float(right.mean()), chance)


def auroc(inside, outside) -> float:
    """(3): the chance that a row of ``inside`` (n,) has the higher score than one of ``outside`` (k,).

    >>> auroc([2.0, 3.0], [1.0, 2.0])
    0.875
    """
    inside, outside = as_float_array("inside", inside), as_float_array("outside", outside)
    for name, scores in (("inside", inside), ("outside", outside)):
        (n,) = require_shape(name, scores, None)
        require_finite(name, scores)
        if not n:
            raise InsufficientDataError(f"{name}: expected at least one score, got none")
    n, k = len(inside), len(outside)
    ranks = rankdata(np.concatenate([inside, outside]))[:n]
    return float((ranks.sum() - n * (n + 1) / 2) / (n * k))
