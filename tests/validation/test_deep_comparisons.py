"""The yardsticks by which deep energies are compared: exact tests, the held-out loss, the split of a KL, the frames."""

import numpy as np
import pytest

import ebm_ref as er
from validation.deep_densities import runs as densities
from validation.deep_forms import report, runs
from validation.deep_forms.statistics import permutation_test, sign_flip_test


def test_exact_tests_count_all_patterns():
    assert sign_flip_test([3.0, 1.0, 2.0, -1.0]) == 6 / 16  # sums 7, 5, 5 and their mirrors
    assert permutation_test([0.0, 1.0], [2.0, 3.0, 4.0]) == 2 / 10
    assert permutation_test([1.0, 1.0], [1.0, 1.0]) == sign_flip_test([0.0, 0.0]) == 1.0


def test_differences_of_the_held_out_loss_are_fisher_divergences():
    """Normal data: sigma^2/2 E|s - s_true|^2 in closed form; 2,000 rows x 8 noises, within 5 errors."""
    sigma, d, x = 0.5, 3, er.Stream(3, "user").normal(0, (2000, 3))
    true, other = (er.Gaussian(np.zeros(d), P * np.eye(d)) for P in (1 / (1 + sigma**2), 2.0))
    gap = runs.losses(other, sigma, x) - runs.losses(true, sigma, x)
    wanted = sigma**2 / 2 * d * (2.0 - 1 / (1 + sigma**2)) ** 2 * (1 + sigma**2)
    error = gap.std(ddof=1) / np.sqrt(len(gap))
    assert abs(gap.mean() - wanted) < 5 * error < 0.2 * wanted


def test_pairs_are_seed_by_seed():
    def made(losses):
        return [{"losses": [v, v + 1], "loss": v + 0.5, "frechet": 2 * v} for v in losses]

    found = report.compared(made([1.0, 2.0, 3.0]), [*made([2.0, 3.5]), {"diverged": "yes"}])
    assert found["seeds"] == 2
    assert found["loss"] == pytest.approx(-1.25)
    assert found["frechet"] == pytest.approx(-2.5)
    assert found["loss_first_is_less"] == 2
    assert found["se_over_digits"] == 0.0
    assert report.compared(made([1.0]), made([2.0])) is None


def test_a_kl_is_blurred_as_its_laws_are():
    """Normal laws stay normal: KL in closed form before and after; what the objective sees is not negative."""
    p = er.GaussianMixture([1.0], [[0.3, 0.0]], [0.2, 0.2])
    q = er.GaussianMixture([1.0], [[0.0, 0.0]], [0.3, 0.3])

    def kl(blur):
        v, w = 0.2 + blur**2, 0.3 + blur**2
        return 0.5 * (2 * v / w - 2 - 2 * np.log(v / w) + 0.09 / w)

    assert densities.divergence(p, q) == pytest.approx(kl(0.0), rel=1e-4)
    assert densities.blurred_divergence(p, q) == pytest.approx(kl(densities.BLUR), rel=1e-3)
    assert kl(densities.BLUR) < kl(0.0)


@pytest.mark.parametrize("recipe", ["uva", "jem", "igebm"])
def test_a_preset_sees_the_square_as_its_box(recipe):
    low, width = densities.frame(recipe)
    box = densities.BOXES.get(recipe, (-1.0, 1.0))
    assert (np.array([-densities.SPAN, densities.SPAN]) - low) / width == pytest.approx(box)
    sampler = er.published_sampler(recipe)(er.Gaussian([0.0, 0.0], np.eye(2)))
    assert sampler.box is None or tuple(sampler.box) == box
