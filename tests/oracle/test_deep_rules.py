"""check_rule: the package's training and moves are right, and so are closed forms; the zoo of deep energies dies."""

from dataclasses import replace

import numpy as np
import pytest
from deep_models import arrays, package_model

import ebm_ref as er
from ebm_ref.errors import DomainError
from ebm_ref.learning.recovery import t6_schedule
from ebm_ref.models.layers import Linear
from ebm_ref.oracle import cases, check_rule, rules
from ebm_ref.oracle.deep import training
from ebm_ref.oracle.deep.zoo import DEEP_BUGS, RULES
from ebm_ref.samplers.common import GaussianNoise


def given_to(rule, *calls):
    """The rule with other numbers."""
    return replace(rule, given=lambda case: list(calls))


def negated(gradient):
    return [-g for g in arrays(gradient)]


def assert_right(f, case, rule):
    report = check_rule(f, case, rule)
    assert report.passed, str(report)


def moved(sampler, x, z):
    return sampler.step(x, GaussianNoise(z, np.empty((len(x), 0))))[0]


# the package ----------------------------------------------------------------------------------------------------------


def test_losses_of_the_package():
    case = cases.named("mlp_residual")
    model, x = package_model(case), case.points
    estimator = er.denoising_score_matching(0.375)
    z = er.Stream(3, "data_noise").normal(2, x.shape)
    rule = given_to(rules.denoising(0.375), (x, z))
    assert_right(lambda x, z: negated(estimator.estimate(model, x, None, seed=3, update=2)[0]), case, rule)

    still = er.langevin_cd(
        lambda m: Mover(m, lambda states: states), 1, buffer_size=6, restart=0.0, energy_penalty=0.125
    )
    rule = given_to(rules.contrastive(0.125), (x, x[::-1].copy()))
    assert_right(lambda p, n: negated(still.estimate(model, p, n, seed=1)[0]), case, rule)

    case = cases.named("jem_marginal")
    model, x, y = package_model(case), case.points, case.labels
    still = er.langevin_cd(lambda m: Mover(m, lambda states: states), 1, buffer_size=6, restart=0.0)
    rule = given_to(rules.joint(0.25), (x, y, x[::-1].copy()))
    jem = er.jem(still, 0.25)
    assert_right(lambda x, y, n: negated(jem.estimate(model, x, n, seed=1, labels=y)[0]), case, rule)


class Mover:
    """A sampler that moves states by a function."""

    def __init__(self, model, move):
        self.move = move

    def advance(self, state, stream, start, n):
        return self.move(state), None


def test_moves_of_the_package():
    case = cases.named("mlp_scalar")
    model = package_model(case)
    for order in ("first", "with"):
        sampler = er.noisy_descent(model, 1.5, 0.25, clip=0.125, box=(-1.0, 1.25), order=order)
        rule = rules.descent(1.5, 0.25, 0.125, (-1.0, 1.25), order)
        assert_right(lambda x, z, sampler=sampler: moved(sampler, x, z), case, rule)
    assert_right(lambda x, z: moved(er.ula(model, 0.25, temperature=0.5), x, z), case, rules.langevin(0.25, 0.5))

    def completed(x, observed, known, z):
        sampler = er.ula(model, 0.125).clamped(known[0])
        return moved(sampler, np.where(known, observed, x), np.where(known, 0.0, z))

    assert_right(completed, case, rules.completion(0.125))


def test_replay_and_averaging_of_the_package():
    case = cases.named("mlp_inner")
    model = package_model(case)

    def buffered(buffer, n, move, seed):
        estimator = er.langevin_cd(lambda m: Mover(m, move), 1, buffer_size=32, restart=0.0)
        return estimator.negatives(model, buffer[:n], buffer, seed, 0)[1]

    assert_right(buffered, case, rules.replay())
    W, b = cases.named("linear_inner").parameters
    optimiser = er.averaged(er.sgd(1.0), 0.875)

    def record(a):
        return er.nets.Network(Linear(a, b), (3,))

    def averaged(average, new):
        state = optimiser.init(record(average))
        _, after = optimiser.update(record(new), record(0 * new), state, 0)
        return after[-1].layers.W

    assert_right(averaged, case, given_to(rules.averaging(0.875), (W[::-1].copy(), np.array(W))))


def test_recovery_of_the_package():
    case = cases.named("mlp_scalar")
    model, seen = package_model(case), case.points
    estimator = er.recovery(k=1)
    z = er.Stream(4, "negative").normal(0, seen.shape)
    rule = given_to(rules.recovery_step(), *((seen, seen, z, t) for t in (0, 2, 5)))

    def step(y, seen, z, t):
        return estimator.chains(model, np.full(len(seen), t), seen, er.Stream(4, "negative"), 0)

    assert_right(step, case, rule)
    t, y, far = estimator.pairs(seen, 5, 0)
    negatives = estimator.chains(model, t, far, er.Stream(5, "negative"), 0)
    rule = given_to(rules.recovery_loss(), (y, negatives, t))
    assert_right(lambda p, n, t: negated(estimator.estimate(model, seen, None, 5, 0)[0]), case, rule)
    low, noise = np.flatnonzero(t < 5), er.Stream(5, "data_noise")
    first, second = (noise.normal(k, seen.shape) for k in (0, 1))
    calls = [(seen[i : i + 1], int(t[i]), first[i : i + 1], second[i : i + 1]) for i in low]
    answers = iter([(y[i], far[i]) for i in [*low, *low]])
    assert_right(lambda *_: next(answers), case, given_to(rules.recovery_pair(), *calls))
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
