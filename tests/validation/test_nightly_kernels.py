"""The kernels behind validation/nightly: variants that the oracle's own fixtures don't name, and a broken twin of each.

Every check is one Report: false alarms at most 1e-6, for any seed; effects down to about 0.2 in chi-square distance.
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # validation/ is not installed with the package

import ebm_ref as er
from validation.continuous_kernels import BOX, at_temperature, boxed, clamped, model_of, one_step, plain, subjects

JOINT = "gibbs_langevin_adjusted"
CLAMPED, HOT, INSIDE = (
    clamped("grbm_3x3", "block_gibbs"),
    at_temperature("gauss_2d", "mala"),
    boxed("quartic_1d", "mala"),
)
VARIANTS = (CLAMPED, HOT, INSIDE, plain("grbm_2x2", JOINT), plain("grbm_2x2", JOINT, collapsed=True))


@pytest.mark.parametrize("subject", VARIANTS, ids=lambda s: f"{s.kernel} on {s.model}")
def test_variants_pass(subject):
    report = subject.check("smoke", 7)
    assert report.passed, str(report)


def twins():
    """Free where a unit is clamped, cold where the case is hot, ULA in the box, unadjusted Gibbs-Langevin."""
    cold, inside = model_of(HOT.case).tempered(1.7), model_of(INSIDE.case)
    return {
        "cold": replace(HOT, step=partial(one_step, er.mala(cold, HOT.case.step_size))),
        "ula in the box": replace(INSIDE, step=partial(one_step, er.ula(inside, INSIDE.case.step_size, box=BOX))),
        "unadjusted": replace(VARIANTS[3], step=plain("grbm_2x2", "gibbs_langevin").step),
        "other units": replace(CLAMPED, step=partial(one_step, er.block_gibbs(model_of(CLAMPED.case).tempered(0.8)))),
    }


@pytest.mark.parametrize("name", tuple(twins()))
def test_broken_twins_fail(name):
    assert not twins()[name].check("smoke", 7).passed


def test_every_exact_sampler_is_among_the_nightly_kernels():
    claimed = {subject.case.kernel for subject in subjects()}
    assert claimed == {"ula", "mala", "hmc", "block_gibbs", "gibbs_langevin", JOINT}
    labels = [(subject.model, subject.kernel) for subject in subjects()]
    assert len(set(labels)) == len(labels) > 25
