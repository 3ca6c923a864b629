"""Densities in the plane: they integrate to 1, scores are slopes, samples fall as often as the density says."""

import numpy as np
import pytest
from laws import close
from laws_grbm import near, slopes
from scipy import stats

from ebm_ref import datasets, exact
from ebm_ref.errors import DomainError, ShapeError

LAWS = {
    "mixture": datasets.mixture_on_circle(5),
    "spirals": datasets.two_spirals(64),
    "rings": datasets.Rings((0.5, 1.7), (0.3, 0.7), 0.2),
    "checkerboard": datasets.checkerboard(6, 2.4, 0.1),
}
BOX, POINTS = (-5.0, 5.0), 251  # spacing 0.04: the trapezoidal rule is exact to 1e-15 for a blur of 0.1
PLACES = np.array([[0.1, -0.05], [1.4, 0.2], [-0.3, 0.8], [2.6, -2.2], [-3.5, 0.1]])
BLOCKS, N, ALPHA = 10, 50_000, 1e-9


@pytest.mark.parametrize("name", LAWS)
def test_densities_integrate_to_one_and_stay_so_when_smoothed(name):
    for law in (LAWS[name], LAWS[name].smoothed(0.3)):
        assert abs(exact.grid_log_partition(law, BOX, POINTS)) < 1e-9


@pytest.mark.parametrize("name", LAWS)
def test_scores_are_slopes(name):
    law = LAWS[name]
    for row in PLACES:
        near(law.score(row[None])[0], -slopes(lambda at: law.energy(at[None])[0], row))


@pytest.mark.parametrize("name", LAWS)
def test_smoothing_is_a_convolution(name):
    """p_s(x) = E p(x - s z), by the rule of the grid."""
    law, s = LAWS[name], 0.3
    axis = np.linspace(*BOX, POINTS)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    p, cell = np.exp(-law.energy(points)), (axis[1] - axis[0]) ** 2
    for x in PLACES[:4]:
        kernel = np.exp(-((points - x) ** 2).sum(axis=1) / (2 * s**2)) / (2 * np.pi * s**2)
        assert np.exp(-law.smoothed(s).energy(x[None]))[0] == pytest.approx((p * kernel).sum() * cell, rel=1e-7)


def masses(law) -> np.ndarray:
    """The probability of each block of a BLOCKS x BLOCKS partition of the box, and of all outside, (BLOCKS^2 + 1,)."""
    sub = 25  # midpoints a block and side
    edges = np.linspace(-2.5, 2.5, BLOCKS * sub + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    points = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)
    p = np.exp(-law.energy(points)) * (edges[1] - edges[0]) ** 2
    inside = p.reshape(BLOCKS, sub, BLOCKS, sub).sum(axis=(1, 3)).ravel()
    return np.append(inside, max(0.0, 1 - inside.sum()))


def p_value(law, rows) -> float:
    """Chi-square of the counts; blocks that expect fewer than 10 rows are taken together."""
    block = np.floor((rows + 2.5) / (5.0 / BLOCKS)).astype(int)
    inside = np.all((block >= 0) & (block < BLOCKS), axis=1)
    where = np.where(inside, block[:, 0] * BLOCKS + block[:, 1], BLOCKS**2)
    counts, expected = np.bincount(where, minlength=BLOCKS**2 + 1), len(rows) * masses(law)
    rare = expected < 10
    counts, expected = np.append(counts[~rare], counts[rare].sum()), np.append(expected[~rare], expected[rare].sum())
    held = expected > 1e-6
    assert not counts[~held].any()
    return stats.chi2.sf(((counts - expected)[held] ** 2 / expected[held]).sum(), held.sum() - 1)


@pytest.mark.parametrize("name", LAWS)
def test_samples_follow_the_density(name, seed):
    """False alarms about 1e-9 each.  With 100 blocks and 50,000 rows a twin whose chi-square distance
    sum (q - p)^2/p is 0.005 is found with probability above 0.99; one that is blurred by 0.03 more is further away."""
    law = LAWS[name]
    assert p_value(law, law.sample(N, seed)) > ALPHA


@pytest.mark.parametrize("name", LAWS)
def test_samples_of_a_twin_are_refused(name, seed):
    """Turned by 0.15 rad about 0, where that changes the law; rings too narrow by 5 %."""
    law, turn = LAWS[name], np.array([[np.cos(0.15), -np.sin(0.15)], [np.sin(0.15), np.cos(0.15)]])
    assert p_value(law, law.sample(N, seed) @ (0.95 * np.eye(2) if name == "rings" else turn)) < ALPHA


def test_the_rings_agree_with_a_mixture_on_a_circle():
    """A ring is the limit of the mixture: 256 centres at 1.5 with blur 0.15 lie 0.04 apart."""
    x = np.random.default_rng(0).normal(size=(50, 2))
    close(datasets.rings((1.5,), 0.15).energy(x), datasets.mixture_on_circle(256).energy(x), 1e-10)


def test_far_from_the_squares_the_density_stays_a_number():
    law = datasets.checkerboard()
    x = np.array([[30.0, 40.0], [-7.0, 0.3]])
    assert np.isfinite(law.energy(x)).all()
    near(law.score(x)[0], (2.0 - x[0]) / 0.05**2, 1e-2)


def test_bad_sizes_are_refused():
    with pytest.raises(DomainError, match="n: expected an even number"):
        datasets.checkerboard(3)
    with pytest.raises(DomainError, match="weights: expected probabilities"):
        datasets.Rings((1.0, 2.0), (0.5, 0.6), 0.1)
    with pytest.raises(DomainError, match="radii: expected positive"):
        datasets.rings((0.0,))
    with pytest.raises(DomainError, match="blur"):
        datasets.two_spirals(blur=0.0)
    with pytest.raises(ShapeError, match="x: expected shape"):
        datasets.rings().score(np.zeros((2, 3)))
