"""check_rule: the package's training and moves are right, and so are closed forms; the zoo of deep energies dies."""

import numpy as np
import pytest

from ebm_ref.cli import self_check_networks
from ebm_ref.cli.self_check_networks import LEARNING, arrays, buffered, moved
from ebm_ref.errors import DomainError
from ebm_ref.learning.recovery import t6_schedule
from ebm_ref.oracle import cases, check_rule, rules
from ebm_ref.oracle.deep import training
from ebm_ref.oracle.deep.zoo import DEEP_BUGS, RULES


def assert_right(f, case, rule):
    report = check_rule(f, case, rule)
    assert report.passed, str(report)


# the package ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "check"), LEARNING, ids=[name for name, _ in LEARNING])
def test_the_package_is_right(name, check):
    report = check()
    assert report.passed, str(report)
    assert report.false_alarm_bound == 0.0


@pytest.mark.parametrize(
    ("check", "owner", "changed", "mistake"),
    [
        ("denoising", "descent_of", lambda estimate: arrays(estimate[0]), "denoising_ascent"),
        ("contrastive", "descent_of", lambda estimate: arrays(estimate[0]), None),
        ("joint", "descent_of", lambda estimate: arrays(estimate[0]), None),
        ("langevin", "moved", lambda sampler, x, z: x + 2 * (moved(sampler, x, z) - x), None),
        ("replay", "buffered", lambda move, size: buffered(lambda x: move(move(x)), size), "moved_twice"),
    ],
)
def test_a_broken_package_is_not(monkeypatch, check, owner, changed, mistake):
    monkeypatch.setattr(self_check_networks, owner, changed)
    report = getattr(self_check_networks, check)()
    assert not report.passed
    assert mistake is None or report.diagnosis[0].mistake == mistake, str(report)


def test_levels_of_recovery_are_the_declared_ones():
    ours, declared = t6_schedule(), training.schedule()
    for name in ("a", "sig", "abar", "sbar", "s"):
        np.testing.assert_allclose(getattr(ours, name), declared[name], rtol=1e-11)


# closed forms ---------------------------------------------------------------------------------------------------------


def linear_inner(W, points):
    return cases.network([("linear", W, np.zeros(len(W)))], (len(W),), "inner", points=points)


def test_denoising_is_at_rest_at_the_smoothed_precision():
    """E = x'Wx with W + W' = (S + sigma^2)^-1: two-point laws have the moments that the quadratic gradient needs."""
    S, sigma = np.array([[1.5, 0.4], [0.4, 0.7]]), 0.5
    signs = np.array([[1 if k >> i & 1 else -1 for i in range(4)] for k in range(16)], dtype=float)
    x, z = signs[:, :2] @ np.linalg.cholesky(S).T, signs[:, 2:]
    W = np.linalg.inv(S + sigma**2 * np.eye(2)) / 2
    for W_given, at_rest in ((W, True), (np.linalg.inv(S) / 2, False)):
        case = linear_inner(W_given, x)
        found = training.denoising(case, x, z, sigma=sigma)[0]
        assert (np.abs(found[:4]).max() < 1e-14) == at_rest


def test_denoising_of_one_hidden_layer_is_the_closed_form():
    """d(r.dE/dx)/d(v, b, W) = phi' q, v phi'' q, (v phi'' q)x' + (v phi')r' with q = W'r, z = xW + b."""
    case = cases.network(
        [("linear", [[0.5, -1.25, 0.75], [1.0, 0.25, -0.5]], [0.25, -0.5, 0.125]), ("tanh",),
         ("linear", [[1.5], [-0.75], [0.5]], [0.0])], (2,), "scalar",
    )  # fmt: skip
    (W, b, v, _), x = case.parameters, case.points
    noise, sigma = rules.numbers(case, 1), 0.5
    noisy = x + sigma * noise
    t = np.tanh(noisy @ W + b)
    slope, bend = 1 - t**2, -2 * t * (1 - t**2)
    r = (slope * v[:, 0]) @ W.T - noise / sigma
    q = r @ W
    by_W = noisy.T @ (v[:, 0] * bend * q) + r.T @ (v[:, 0] * slope)
    expected = [by_W, (v[:, 0] * bend * q).sum(0), (slope * q).sum(0)[:, None], np.zeros(1)]
    assert_right(lambda x, z: [sigma**2 / len(x) * g for g in expected], case, rules.denoising(sigma))


def test_contrastive_is_at_rest_at_the_bounded_energy():
    """Two points, E* = (p- - p+)/(2 alpha (p+ + p-)): the gradient by both energies vanishes."""
    alpha, up, down = 0.25, np.array([0.75, 0.25]), np.array([0.25, 0.75])
    best = (down - up) / (2 * alpha * (up + down))
    points = np.eye(2)
    rows = [points[[0, 0, 0, 1]], points[[0, 1, 1, 1]]]
    for energies, at_rest in ((best, True), (-best, False)):
        case = cases.network([("linear", energies[:, None], np.zeros(1))], (2,), "scalar", points=points)
        found = training.contrastive(case, *rows, alpha=alpha)[0]
        assert (np.abs(found[:2]).max() < 1e-15) == at_rest


def test_recovery_drifts_to_the_gaussian_posterior():
    """E/s^2 = y^2/(2v): without noise the move rests at y = seen v/(v + sig^2), and gains at the wrong one."""
    c, t, v = training.schedule(), 3, 0.3
    seen = np.array([[0.7], [-1.1]])
    case = linear_inner([[c["s"][t] ** 2 / (2 * v)]], seen)
    mean = seen * v / (v + c["sig"][t + 1] ** 2)
    np.testing.assert_allclose(training.recovery_step(case, mean, seen, 0 * seen, t)[0], mean, rtol=1e-14)
    assert np.abs(training.recovery_step(case, seen, seen, 0 * seen, t)[0] - seen).max() > 1e-3


# the zoo --------------------------------------------------------------------------------------------------------------


def test_ids_are_unique_and_rules_accept_themselves():
    assert len({bug.id for bug in DEEP_BUGS}) == len(DEEP_BUGS) > 150
    for rule, name in RULES:
        assert check_rule(rule.candidate(cases.named(name)), cases.named(name), rule).passed


@pytest.mark.parametrize("bug", DEEP_BUGS, ids=lambda bug: bug.id)
def test_bug_dies_and_is_named(bug):
    report = bug.audit()
    assert set(bug.killed_by) <= {r.test for r in report.failures}, str(report)
    assert bug.named_by(report), str(report)


def test_broken_candidates_and_wrong_use():
    case = cases.named("mlp_inner")
    for f in (lambda x, z: 1 / 0, lambda x, z: np.zeros(3), lambda x, z: x.__imul__(2), lambda x, z: x * np.nan):
        assert not check_rule(f, case, rules.langevin(0.1)).passed
    with pytest.raises(DomainError, match="expected one of form 'marginal'"):
        check_rule(lambda x, y, n: x, case, rules.joint())
