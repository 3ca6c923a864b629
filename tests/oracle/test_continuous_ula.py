"""Continuous cases against plain loops and quadrature; check_ula passes right steps and kills wrong ones.

Every statistical check is one Report: false alarms at most 1e-6, for any seed.
"""

import numpy as np
import pytest
from scipy import integrate, stats

from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.oracle import cases, check_ula
from ebm_ref.oracle.continuous import equations
from ebm_ref.oracle.continuous.cases import with_kernel
from ebm_ref.oracle.continuous.recipe import reference_step
from ebm_ref.oracle.continuous.ula import Whitener
from ebm_ref.oracle.continuous.ula_diagnosis import BEHIND, law_of, likeliest
from ebm_ref.oracle.continuous.zoo_ula import ULA_BUGS

NAMES = cases.CONTINUOUS_NAMES
QUICK = tuple(bug for bug in ULA_BUGS if bug.profile == "ci" and bug.case == "gauss_2d")
IDS = ("ula_sigma", "ula_beta_twice", "ula_precond_noise", "ula_noise_first_quartic")
NAMED_TEST = tuple(bug for bug in ULA_BUGS if bug in QUICK or bug.id in IDS)
WRAPPED = ("ula_positive_noise", "ula_noise_first", "ula_two_steps", "ula_clamped", "ula_stale")
DIAGNOSED = tuple(bug for bug in ULA_BUGS if bug.id in WRAPPED or (bug in NAMED_TEST and bug.mutate is not None))


WIDE_AND_NARROW = cases.mixture([0.3, 0.7], [[-1.0, 0.5], [2.0, 0.1]], [[[1.0, 0.3], [0.3, 0.5]], [[2.0, 0], [0, 3]]])


@pytest.mark.parametrize("name", [*NAMES, "components of two shapes"])
def test_arrays_and_loops_agree(name):
    case = cases.named(name, "ula") if name in NAMES else WIDE_AND_NARROW
    v = case.draw(20, np.random.default_rng(3))
    energy, gradient = zip(*(case.naive(row.tolist()) for row in v), strict=True)
    np.testing.assert_allclose(case.energy(v), energy, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(case.gradient(v), gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["gmm_1d", "quartic_1d", "mlp_1d"])
def test_log_z_is_the_integral(name):
    case = cases.named(name)
    total, _ = integrate.quad(lambda x: np.exp(-case.naive([x])[0]), -25, 25, limit=400, epsabs=1e-13)
    np.testing.assert_allclose(case.log_z, np.log(total), rtol=1e-9)


def test_grbm_free_energy_and_joint_energy_have_the_same_law():
    case = cases.named("grbm_2x3")
    plain = [v.tolist() for v in (case.W, case.mu, case.log_var, case.b)]
    v = [0.3, -1.7]
    joint = [-equations.grbm_energy(*plain, v, h) for h in equations.hidden_states(3)]
    np.testing.assert_allclose(np.logaddexp.reduce(joint), -equations.grbm_free_energy(*plain, v), rtol=1e-13)
    np.testing.assert_allclose(case.target.log_terms(np.array([v]))[0], np.array(joint) - case.log_z, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_exact_draws_give_uniforms(name):
    """Kolmogorov-Smirnov on 20000 draws: false alarms below 1e-9 a column; sees a distance of 0.025."""
    kernel = "block_gibbs" if name.startswith("grbm") else "mala"
    case = cases.named(name, kernel)
    columns, names = case.uniforms(case.draw(20_000, np.random.default_rng(5)))
    assert columns.shape[1] == len(names)
    assert all(stats.kstest(column, "uniform").pvalue > 1e-9 for column in columns.T)


def test_tempering_a_grbm_scales_its_energy():
    hot, cold = cases.named("grbm_2x2_hot"), cases.named("grbm_2x2")
    v = np.array([[0.4, -2.0], [1.0, 3.0]])
    for h in ([0, 1], [1, 1]):
        own = [equations.grbm_energy(*(p.tolist() for p in (c.W, c.mu, c.log_var, c.b)), v[0], h) for c in (hot, cold)]
        np.testing.assert_allclose(own[0], 0.7 * own[1], rtol=1e-13)


def test_wrong_cases_are_refused():
    with pytest.raises(DomainError, match="expected positive numbers"):
        cases.grbm([[1.0]], [0.0], [0.0], [0.0], step_size=-1.0)
    with pytest.raises(ShapeError, match="step_size"):
        cases.grbm([[1.0]], [0.0], [0.0], [0.0], step_size=[0.1, 0.2])
    with pytest.raises(DomainError, match="two layers"):
        cases.named("gmm_1d", "block_gibbs")
    with pytest.raises(DomainError, match="positive definite"):
        cases.gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]])


@pytest.mark.parametrize("name", NAMES)
def test_right_ula_passes(name):
    case = cases.named(name, "ula")
    report = check_ula(reference_step(case), case, profile="smoke", seed=1)
    assert report.passed, str(report)
    assert report.false_alarm_bound <= 1e-6 * (1 + 1e-9)
    assert all(r.smallest_detectable_effect > 0 for r in report.results if r.test.startswith("C1"))


def test_right_ula_in_float32_and_at_another_temperature():
    case = cases.named("quartic_1d", "ula")

    def step(x, seed):
        z = np.random.default_rng(seed).standard_normal(x.shape)
        x = x.astype(np.float32)
        return (x - 0.1 * case.gradient(x) + np.sqrt(2 * 0.1 * 0.6) * z).astype(np.float32)

    assert check_ula(step, case, 0.1, temperature=0.6, profile="smoke").passed
    assert not check_ula(step, case, 0.1, profile="smoke").passed


@pytest.mark.parametrize("bug", NAMED_TEST, ids=lambda bug: bug.id)
def test_named_test_kills(bug):
    report = check_ula(bug.step(), bug.fixture(), profile="smoke", tests=bug.killed_by)
    needs_more = bug.id in ("ula_noise_1_percent", "ula_stale", "ula_drift_1_percent")
    assert needs_more or bug.killed_by[0] in [r.test for r in report.failures], str(report)


@pytest.mark.parametrize("bug", DIAGNOSED, ids=lambda bug: bug.id)
def test_mistakes_are_named(bug):
    profile = "ci" if bug.id == "ula_noise_1_percent" else "smoke"
    report = check_ula(bug.step(), bug.fixture(), profile=profile)
    assert not report.passed
    assert bug.named_by(report), str(report)


def test_slow_laws_that_cannot_keep_up_change_no_ranking():
    """The likeliest mistakes by every law on all rows, and by ``likeliest``: the same first ones."""
    bug = next(bug for bug in ULA_BUGS if bug.id == "ula_bias_omitted")
    case = bug.fixture()
    x = case.draw(2**13, np.random.default_rng(8))
    y, white = bug.step()(x, 9), Whitener(case, 1.0)
    every = {one.id: law[0] for one in ULA_BUGS if (law := law_of(one, case, white, x, y))}
    slow = {one.id for one in ULA_BUGS if one.transition is not None}
    assert slow <= set(every)
    found = [one.id for one in likeliest(case, white, x, y)]
    assert found[0] == max(every, key=lambda id: every[id]) == "ula_bias_omitted"
    assert not slow & set(found)
    assert all(every[id] < every["ula_bias_omitted"] - BEHIND for id in slow)


@pytest.mark.parametrize(
    ("step", "violation"),
    [
        (lambda x, seed: 1 / 0, "raises"),
        (lambda x, seed: x[:1], "returns the wrong shape"),
        (lambda x, seed: x * np.nan, "returns numbers that are not finite"),
        (lambda x, seed: x.astype(str), "returns the wrong dtype"),
        (lambda x, seed: x.round().astype(int), "returns the wrong dtype"),
        (lambda x, seed: x.__iadd__(1.0), "modifies its input"),
        (lambda x, seed: x, "returns its input"),
    ],
)
def test_broken_steps_are_named(step, violation):
    report = check_ula(step, cases.named("gauss_2d", "ula"), profile="smoke")
    assert violation in str(report.failures[0].message)
    assert not report.passed


def test_a_step_that_keeps_old_gradients_is_caught():
    bug = next(bug for bug in ULA_BUGS if bug.id == "ula_stale")
    report = check_ula(bug.step(), bug.fixture(), profile="smoke", tests=("C1 steps", "C1 drift"))
    assert report.failures


def test_every_test_has_a_verdict_on_a_step_without_noise():
    """Where the state before is a function of the state after, no test of the past divides by nothing."""
    bug = next(bug for bug in ULA_BUGS if bug.id == "ula_no_noise")
    report = check_ula(bug.step(), bug.fixture(), profile="smoke", tests=("C1 drift", "C1 scale", "C1 steps"))
    assert "C1 scale" in [r.test for r in report.failures], str(report)
    assert "C1 steps" in [r.test for r in report.results]


def test_rare_rejections_are_seen_at_once():
    """MALA with steps so small that 99 % are accepted: told from ULA within 10,000 rows of the first test."""
    case = cases.named("gmm_1d", "mala")
    small = with_kernel(case, "mala", 0.1)
    report = check_ula(reference_step(small), with_kernel(case, "ula", 0.1), profile="ci", seed=1)
    first = report.failures[0]
    assert first.test == "D9", str(report)
    assert "stayed exactly" in first.message
