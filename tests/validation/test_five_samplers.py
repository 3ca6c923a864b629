"""The units of the five samplers' table: rows and pictures are each other's inverse, densities count grey values."""

import numpy as np
from laws import close
from scipy.stats import multivariate_normal

import ebm_ref as er
from validation.five_samplers.anchors import normal_law, normal_log_likelihood
from validation.five_samplers.data import Images
from validation.five_samplers.runs import TITLES, sampler_named

GREY = np.array([[0.0, 0.5, 0.25, 0.0], [0.5, 0.75, 0.0, 0.0], [1.0, 0.25, 0.75, 0.0]] * 4)
LABELS = np.zeros(len(GREY))


def images(noise: float) -> Images:
    deviation = np.sqrt(GREY.var(axis=0) + 0.2**2)
    return Images("grey", 2, GREY, GREY[:5], LABELS, LABELS[:5], noise, GREY.mean(axis=0), deviation)


def test_pictures_undo_rows():
    close(images(0.0).pictures(images(0.0).rows(GREY)), GREY)
    assert np.array_equal(images(0.2).rows(GREY)[3:], images(0.2).rows(GREY[3:], 3))


def test_densities_are_those_of_noisy_grey_values():
    data = images(0.2)
    noisy = [data.rows(rows, first) * data.deviation + data.mean for rows, first in ((GREY, 0), (GREY[:5], len(GREY)))]
    law = multivariate_normal(noisy[0].mean(axis=0), np.cov(noisy[0].T))
    close(normal_log_likelihood(*normal_law(data), data), law.logpdf(noisy[1]).mean())


def test_every_sampler_is_what_its_title_says():
    model = er.GRBM.random(4, 3, 0.3, seed=1)
    kinds = {kind: sampler_named(kind)(model) for kind in TITLES}
    assert [type(sampler).__name__ for sampler in kinds.values()] == [
        "GaussianGibbs", "Langevin", "Langevin", "GibbsLangevin", "GibbsLangevin",
    ]  # fmt: skip
    for kind, sampler in kinds.items():
        assert getattr(sampler, "adjusted", False) == kind.endswith("adjusted")
