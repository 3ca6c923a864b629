"""The ensembles hold exactly the patterns of their definition, and the best log-likelihood is the known one."""

import itertools
import math

import numpy as np
import pytest

from ebm_ref import datasets
from ebm_ref.errors import DomainError, ShapeError


def as_set(rows):
    return {tuple(row) for row in rows}


def is_bars_or_stripes(image):
    return (image == image[:1]).all() or (image == image[:, :1]).all()


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_bars_and_stripes_are_all_images_of_that_kind(n):
    images = (np.reshape(bits, (n, n)) for bits in itertools.product((0, 1), repeat=n * n))
    expected = {tuple(image.ravel()) for image in images if is_bars_or_stripes(image)}
    rows = datasets.bars_and_stripes(n)
    assert rows.shape == (2 * 2**n - 2, n * n)
    assert rows.dtype == np.float64
    assert as_set(rows) == expected
    assert len(expected) == len(rows)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_doubled_repeats_only_the_two_plain_images(n):
    rows = datasets.bars_and_stripes(n, doubled=True)
    assert len(rows) == 2 * 2**n
    patterns, counts = np.unique(rows, axis=0, return_counts=True)
    assert as_set(patterns) == as_set(datasets.bars_and_stripes(n))
    plain = (patterns == patterns[:, :1]).all(axis=1)
    assert np.array_equal(counts, np.where(plain, 2, 1))


@pytest.mark.parametrize(("doubled", "n_rows", "total"), [(False, 30, -102.0359), (True, 32, -108.1310)])
def test_published_best_log_likelihood_of_bars_and_stripes(doubled, n_rows, total):
    rows = datasets.bars_and_stripes(4, doubled=doubled)
    assert len(rows) == n_rows
    assert n_rows * datasets.best_log_likelihood(rows) == pytest.approx(total, abs=5e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_shifter_lists_every_pattern_under_every_shift(n):
    expected = set()
    for pattern in itertools.product((0, 1), repeat=n):
        for which, shift in enumerate((+1, 0, -1)):  # moving left, position i takes the bit of i + 1
            copy = tuple(pattern[(i + shift) % n] for i in range(n))
            expected.add(pattern + copy + tuple(int(which == label) for label in range(3)))
    rows = datasets.labelled_shifter(n)
    assert rows.shape == (3 * 2**n, 2 * n + 3)
    assert rows.dtype == np.float64
    assert as_set(rows) == expected
    assert len(expected) == len(rows)
    assert datasets.best_log_likelihood(rows) == pytest.approx(-math.log(3 * 2**n), rel=1e-14)


def test_shifter_label_is_independent_of_every_single_bit():
    n = 4
    rows = datasets.labelled_shifter(n)
    joint = rows[:, : 2 * n].T @ rows[:, 2 * n :] / len(rows)
    assert np.allclose(joint, 0.5 / 3, rtol=1e-14)


def test_best_log_likelihood_is_minus_the_entropy():
    rows = np.repeat([[0.0, 1.0], [1.0, 1.0], [0.5, -2.0]], [1, 2, 5], axis=0)
    expected = sum(q * math.log(q) for q in (1 / 8, 2 / 8, 5 / 8))
    assert datasets.best_log_likelihood(rows) == pytest.approx(expected, rel=1e-14)
    assert datasets.best_log_likelihood(rows[::-1]) == datasets.best_log_likelihood(rows)
    assert datasets.best_log_likelihood([[3.0]]) == 0.0


@pytest.mark.parametrize("make", [datasets.bars_and_stripes, datasets.labelled_shifter])
@pytest.mark.parametrize("n", [0, -1, 2.0, True, "4", 40])
def test_sizes_are_checked(make, n):
    with pytest.raises(DomainError, match="n: expected an integer"):
        make(n)


def test_rows_are_checked():
    with pytest.raises(ShapeError, match=r"rows: expected shape \(any, any\), got \(3,\)"):
        datasets.best_log_likelihood([0, 1, 1])
    with pytest.raises(DomainError, match="at least one row"):
        datasets.best_log_likelihood(np.empty((0, 4)))
    with pytest.raises(DomainError, match="finite"):
        datasets.best_log_likelihood([[0.0, np.nan]])
