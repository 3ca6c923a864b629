"""Calibration and AUROC against their definitions, row by row and pair by pair."""

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.errors import DomainError, EbmError, InsufficientDataError, ShapeError

SIGMAS = 6.0


def test_the_error_is_its_definition():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(4, 0.4), 200)
    labels = rng.integers(0, 4, 200)
    found = er.calibration(p, labels, 7)
    expected = 0.0
    for b in range(7):
        rows = [n for n in range(200) if b / 7 < p[n].max() <= (b + 1) / 7]
        assert found.counts[b] == len(rows)
        if rows:
            right = np.mean([p[n].argmax() == labels[n] for n in rows])
            assert found.right[b] == pytest.approx(right)
            expected += len(rows) / 200 * abs(right - np.mean([p[n].max() for n in rows]))
    assert found.error == pytest.approx(expected, rel=1e-12)
    assert found.accuracy == np.mean(p.argmax(axis=1) == labels)


def test_a_calibrated_classifier_has_the_error_of_chance(seed):
    """Labels drawn from p: the ECE is a sum of independent |means|, so within 6 of their deviations of ``chance``.

    A classifier that is too sure, p^2 normalised, is far above.
    """
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(3, 1.0), 20_000)
    labels = (rng.uniform(size=(20_000, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=2)
    found = er.calibration(p, labels)
    spread = np.sqrt(0.25 * 20_000) / 20_000  # no summand's deviation is above that of all rows in one bin
    assert abs(found.error - found.chance) < SIGMAS * spread
    sharp = p**2 / (p**2).sum(axis=1, keepdims=True)
    assert er.calibration(sharp, labels).error > found.chance + 2 * SIGMAS * spread


def test_auroc_counts_pairs():
    rng = np.random.default_rng(4)
    inside, outside = rng.integers(0, 6, 31), rng.integers(0, 5, 17)
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside]
    assert er.auroc(inside, outside) == pytest.approx(np.mean(pairs), rel=1e-14)
    assert er.auroc(outside, inside) == pytest.approx(1 - np.mean(pairs), rel=1e-14)
    assert er.auroc([1.0], [0.0]) == 1.0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: er.calibration([[0.5, 0.6]], [0]), DomainError, "sum to 1"),
        (lambda: er.calibration([[0.5, 0.5]], [2]), DomainError, "labels: expected whole numbers"),
        (lambda: er.calibration([[0.5, 0.5]], [0, 1]), ShapeError, "labels"),
        (lambda: er.calibration(np.zeros((0, 2)), []), InsufficientDataError, "at least one row"),
        (lambda: er.auroc([], [1.0]), InsufficientDataError, "inside"),
        (lambda: er.auroc([np.nan], [1.0]), DomainError, "inside"),
    ],
)
def test_doors(call, error, text):
    with pytest.raises(error, match=text) as caught:
        call()
    assert isinstance(caught.value, EbmError)
