"""Annealed importance sampling: exact moments by other routes, and every wrong annealer dies by Z1 or Z2 and is named.

False alarms: at most 1e-6 a report for any seed; seeds are derived from 0.  On rbm_3x3 with five temperatures a pass
excludes, with power .999, errors of Z above 17 % (smoke) and 6 % (ci); the mean log weight is tested with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import logsumexp

from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.oracle import cases, vectors
from ebm_ref.oracle.annealing import ais_moments, annealing_path, check_annealing, simulate
from ebm_ref.oracle.vectors.checking import decoded
from ebm_ref.oracle.zoo_annealing import ANNEALING_BUGS, SCHEDULE, annealing_bug

CASE, BASE = cases.named("rbm_3x3"), np.array([0.4, -0.6, 0.7])
PATH = annealing_path(CASE, BASE, SCHEDULE)
SMOKE = [b for b in ANNEALING_BUGS if b.profile == "smoke"]


@dataclass
class Estimate:
    log_weights: np.ndarray
    value: float


def right(n, seed):
    return simulate(PATH, n, np.random.default_rng(seed))


def estimate(change):
    """A candidate with right weights and a changed way to log Z; change(log weights, log Z_0)."""
    log_z_base = np.logaddexp(0, BASE).sum() + 3 * np.log(2)

    def candidate(n, seed):
        log_w = right(n, seed)
        return Estimate(log_w, change(log_w, log_z_base))

    return candidate


def test_moments_agree_with_the_golden_vectors():
    names = {"ais_mean_weight": "mean", "ais_weight_variance": "variance", "ais_mean_log_weight": "log_mean"}
    checked = 0
    for group in json.loads((vectors.SHIPPED / "bernoulli_rbm.json").read_text())["testGroups"]:
        model = {name: decoded(name, value) for name, value in group["model"].items()}
        for test in group["tests"]:
            if test["quantity"] in names:
                given = {name: decoded(name, value) for name, value in test["input"].items()}
                case = cases.rbm(model["W"], model["a"], model["b"])
                moments = ais_moments(case, given["base"], given["schedule"])
                expected = float.fromhex(test["expected"]["f64"])
                assert getattr(moments, names[test["quantity"]]) == pytest.approx(expected, rel=1e-11)
                checked += 1
    assert checked == 12


@pytest.mark.parametrize(
    ("n", "weights", "cv2"), [(5, "marginal", 0.227), (20, "marginal", 0.0588), (5, "joint", 0.79)]
)
def test_published_coefficients_of_variation(n, weights, cv2):
    m = ais_moments(CASE, np.zeros(3), np.linspace(0, 1, n + 1), weights)
    assert m.variance / m.mean**2 == pytest.approx(cv2, rel=5e-3)
    assert np.log(m.mean) + m.log_z_base == pytest.approx(CASE.moments.log_z, abs=1e-12)


@pytest.mark.parametrize("weights", ["marginal", "joint"])
def test_simulated_runs_have_the_exact_moments(weights):
    """|z| < 6 on four moments of 2e5 runs: a false alarm has probability below 1e-8; the log moments see 1.5 %."""
    path, m = annealing_path(CASE, BASE, SCHEDULE, weights), ais_moments(CASE, BASE, SCHEDULE, weights)
    log_w = simulate(path, 200_000, np.random.default_rng(4))
    w = np.exp(log_w)
    for x, mean in ((w, m.mean), (log_w, m.log_mean)):
        assert abs(x.mean() - mean) < 6 * x.std() / np.sqrt(len(x))
    for x, mean, variance in ((w, m.mean, m.variance), (log_w, m.log_mean, m.log_variance)):
        squares = (x - mean) ** 2
        assert abs(squares.mean() - variance) < 6 * squares.std() / np.sqrt(len(x))


@pytest.mark.parametrize(("weights", "profile"), [("marginal", "smoke"), ("joint", "smoke"), ("marginal", "ci")])
def test_right_annealers_pass(weights, profile):
    path = annealing_path(CASE, BASE, SCHEDULE, weights)
    report = check_annealing(
        lambda n, seed: simulate(path, n, np.random.default_rng(seed)),
        CASE,
        BASE,
        SCHEDULE,
        weights=weights,
        profile=profile,
    )
    assert report.passed, str(report)
    assert report.false_alarm_bound <= 1e-6
    assert report.results[-1].smallest_detectable_effect < {"smoke": 0.31, "ci": 0.06}[profile]


@pytest.mark.parametrize("bug", SMOKE, ids=[b.id for b in SMOKE])
def test_every_wrong_annealer_dies_and_is_named(bug):
    report = bug.audit("smoke")
    assert [r.test for r in report.failures] == ["Z1"]
    assert report.diagnosis[0].mistake == bug.id
    assert report.diagnosis[0].explained


@pytest.mark.parametrize("id", [b.id for b in ANNEALING_BUGS if b.profile == "ci"])
def test_bugs_that_need_ci_die_there(id):
    report = annealing_bug(id).audit("ci")
    assert not report.passed
    assert report.diagnosis[0].mistake == id


WRONG_VALUES = (
    (lambda log_w, base: base + log_w.mean(), "mean_of_log_weights"),
    (lambda log_w, base: base + logsumexp(log_w), "sum_of_weights"),
    (lambda log_w, base: logsumexp(log_w) - np.log(len(log_w)), "base_missing"),
    (lambda log_w, base: base - 3 * np.log(2) + logsumexp(log_w) - np.log(len(log_w)), "missing_3_log_2"),
    (lambda log_w, base: base + log_w.max(), "largest_weight"),
)


@pytest.mark.parametrize(("change", "mistake"), WRONG_VALUES, ids=[m for _, m in WRONG_VALUES])
def test_wrong_estimates_from_right_weights(change, mistake):
    report = check_annealing(estimate(change), CASE, BASE, SCHEDULE, profile="smoke")
    assert [r.test for r in report.failures] == ["Z2"]
    assert mistake in report.diagnosis[0].mistake.split(", ")


def test_a_right_estimate_passes():
    candidate = estimate(lambda log_w, base: base + logsumexp(log_w) - np.log(len(log_w)))
    assert check_annealing(candidate, CASE, BASE, SCHEDULE, profile="smoke").passed


def raises(n, seed):
    raise RuntimeError("no")


BAD = (
    (raises, "raised RuntimeError"),
    (lambda n, seed: np.zeros(n - 1), "shape"),
    (lambda n, seed: np.full(n, np.nan), "nan"),
    (lambda n, seed: right(n, 1), "ignores its seed"),
)


@pytest.mark.parametrize(("f", "words"), BAD)
def test_a_misbehaving_annealer_is_a_named_failure(f, words):
    report = check_annealing(f, CASE, BASE, SCHEDULE, profile="smoke")
    assert not report.passed
    assert words in report.failures[0].message


def test_wrong_use_is_refused():
    with pytest.raises(ShapeError, match="base"):
        ais_moments(CASE, np.zeros(2), SCHEDULE)
    with pytest.raises(DomainError, match="schedule"):
        ais_moments(CASE, BASE, [0.0, 0.5])
    with pytest.raises(DomainError, match="weights"):
        ais_moments(CASE, BASE, SCHEDULE, "both")
    with pytest.raises(DomainError, match="RBM"):
        ais_moments(cases.named("boltzmann_4"), np.zeros(4), SCHEDULE)
