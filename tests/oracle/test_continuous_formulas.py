"""check_energy, check_gradient, check_conditionals, check_log_partition on continuous cases: deterministic."""

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.errors import DomainError
from ebm_ref.oracle import cases, check_conditionals, check_energy, check_gradient, check_log_partition

GRBMS = ("grbm_2x2", "grbm_2x2_hot", "grbm_3x3", "grbm_2x3")
NAMES = cases.CONTINUOUS_NAMES


def model(case):
    return er.GRBM(case.W, case.mu, case.log_var, case.b)


@pytest.mark.parametrize("name", GRBMS)
def test_the_package_grbm_is_right(name):
    case = cases.named(name)
    m = model(case)
    for report in (
        check_energy(m.energy, case),
        check_energy(m.free_energy, case),
        check_gradient(lambda v: -m.score(v), case),
        check_gradient(lambda v, h, weights: m.energy_gradient(v, h, weights), case),
        check_conditionals(m, case),
        check_log_partition(er.exact.log_partition(m), case),
    ):
        assert report.passed, str(report)
        assert report.false_alarm_bound == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_right_formulas_pass(name):
    case = cases.named(name)
    assert check_energy(case.energy, case).passed
    assert check_gradient(case.gradient, case).passed
    assert check_gradient(lambda v: case.gradient(v).astype(np.float32), case).passed
    assert check_log_partition(case.log_z, case).passed


def wrong(case, **change):
    values = {"W": case.W, "mu": case.mu, "log_var": case.log_var, "b": case.b} | change
    return er.GRBM(**values)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("mu_omitted", lambda c: check_energy(wrong(c, mu=np.zeros(3)).free_energy, c)),
        ("bias_omitted", lambda c: check_energy(wrong(c, b=np.zeros(3)).energy, c)),
        ("bias_twice", lambda c: check_gradient(lambda v: -wrong(c, b=2 * c.b).score(v), c)),
        ("variance_squared", lambda c: check_energy(wrong(c, log_var=2 * c.log_var).free_energy, c)),
        ("w_transposed", lambda c: check_conditionals(wrong(c, W=c.W.T), c)),
        ("score_for_gradient", lambda c: check_gradient(model(c).score, c)),
        ("minus_log_density", lambda c: check_energy(lambda v: -er.exact.log_prob(model(c), v), c)),
        ("no_2_pi", lambda c: check_log_partition(c.log_z - 1.5 * np.log(2 * np.pi), c)),
        ("sigma_twice", lambda c: check_log_partition(c.log_z + c.log_var.sum() / 2, c)),
        ("standard_deviation", lambda c: check_conditionals(
            (model(c).hidden_probabilities, model(c).visible_mean,
             lambda h: np.tile(np.exp(c.log_var / 2), (len(h), 1))), c)),
        ("sigma", lambda c: check_conditionals(
            (lambda v: 1 / (1 + np.exp(-c.b - (v / np.exp(c.log_var / 2)) @ c.W)), model(c).visible_mean), c)),
        ("gradient_sign", lambda c: check_gradient(
            lambda v, h, w: [-getattr(model(c).energy_gradient(v, h, w), n) for n in ("W", "mu", "log_var", "b")], c)),
    ],
)  # fmt: skip
def test_mistakes_are_named(mistake, check):
    report = check(cases.named("grbm_3x3"))
    assert not report.passed
    assert report.diagnosis[0].mistake == mistake, str(report)
    assert report.diagnosis[0].explained


def test_wrong_use_and_broken_candidates():
    case = cases.named("grbm_2x2")
    with pytest.raises(DomainError, match="expected a GRBM"):
        check_conditionals((lambda v: v, lambda h: h), cases.named("gmm_1d"))
    with pytest.raises(DomainError, match="hidden_probabilities"):
        check_conditionals(lambda v: v, case)
    for f in (lambda v: 1 / 0, lambda v: v, lambda v: np.full(len(v), np.nan), lambda v: v.__imul__(0)[:, 0]):
        report = check_energy(f, case)
        assert not report.passed
