"""Persistent chains, training loops and fixed points: right code passes, wrong code is named.

False alarms: right code fails with probability at most 1e-6 a report (0 for trajectories); seeds are fixed.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from ebm_ref.errors import DomainError
from ebm_ref.oracle import cases, check_fixed_point, check_persistent, check_training
from ebm_ref.oracle.checks_training import trajectory, unflat
from ebm_ref.oracle.update_recipe import make_update, reference
from ebm_ref.oracle.zoo_learning import learning_bug

SLOW, RBM = cases.named("rbm_slow_3x3"), cases.named("rbm_4x2")
ROWS = np.array([[1.0, 0, 1, 1], [0, 1, 0, 0], [1, 0, 1, 1]])

# L4 -------------------------------------------------------------------------------------------------------------------


def particles(k=1, restart=False, believed=SLOW, pooled=False):
    def run(x, n_updates, seed):
        rng, first, out = np.random.default_rng(seed), x, []
        for _ in range(n_updates):
            x = first if restart else x
            for _ in range(k):
                h = rng.random((len(x), 3)) < expit(believed.b + x @ believed.W)
                u = np.tile(rng.random((1, 3)), (len(x), 1)) if pooled else rng.random(x.shape)
                x = (u < expit(believed.a + h @ believed.W.T)).astype(float)
            out.append(x)
        return np.array(out)

    return run


@pytest.mark.parametrize("k", [1, 5])
def test_right_particles_pass(k):
    report = check_persistent(particles(k), SLOW, k, profile="smoke", seed=2)
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("run", "k", "words"),
    [
        (particles(2), 1, "2 steps an update"),
        (particles(1, restart=True), 1, "restarts from the first particles"),
        (particles(2, restart=True), 2, "restarts from the first particles"),
        (lambda x, n, seed: np.array([x] * n), 1, "repeats its initial state"),
        (particles(1, believed=cases.named("rbm_slower_3x3")), 1, "temperature"),
        (particles(1, pooled=True), 1, "neighbouring chains: not independent"),
        (lambda x, n, seed: particles()(x, n, seed)[:, :, :2], 1, "returns the wrong shape"),
    ],
    ids=range(7),
)
def test_wrong_particles_are_named(run, k, words):
    report = check_persistent(run, SLOW, k, profile="ci")
    assert not report.passed
    assert words in str(report), str(report)
    assert "check_persistent(run, cases.named('rbm_slow_3x3')" in report.failures[0].replay


def test_the_package_s_particles_pass():
    import ebm_ref

    model, estimator = ebm_ref.RBM(SLOW.W, SLOW.a, SLOW.b), ebm_ref.pcd(k=2, n_chains=8)
    rows = np.array([[1.0, 0, 1]])

    def run(x, n_updates, seed):
        chains, out = np.hstack([x, np.zeros((len(x), 3))]), []
        for t in range(n_updates):
            _, chains = estimator.estimate(model, rows, chains, seed=seed, update=t)
            out.append(chains[:, :3])
        return np.array(out)

    report = check_persistent(run, SLOW, 2, profile="smoke")
    assert report.passed, str(report)


# L6 -------------------------------------------------------------------------------------------------------------------


def train(rows, lr, n, **change):
    return [unflat(RBM, theta) for theta in trajectory(RBM, rows, lr, n, **change)[0]]


@pytest.mark.parametrize(
    ("wrong", "mistake"),
    [
        (lambda rows, lr, n: train(rows, -lr, n), "gradient_sign"),
        (lambda rows, lr, n: train(rows, 3 * lr, n), "sum_for_mean"),
        (lambda rows, lr, n: train(rows, lr, n, change=lambda theta, p, q, t: lr * p), "negative_missing"),
        (lambda rows, lr, n: [(RBM.W, RBM.a, RBM.b), *train(rows, lr, n)[:-1]], "one_late"),
        (lambda rows, lr, n: [train(rows, lr, 1)[0]] * n, None),
    ],
)
def test_wrong_training_is_named(wrong, mistake):
    report = check_training(wrong, RBM, ROWS)
    assert not report.passed
    if mistake:
        assert report.diagnosis[0].mistake == mistake
        assert report.diagnosis[0].explained


def test_the_package_s_exact_training_passes():
    import ebm_ref

    def steps(rows, lr, n):
        model, optimizer, path = ebm_ref.RBM(RBM.W, RBM.a, RBM.b), ebm_ref.sgd(lr), []
        for _ in range(n):
            model = ebm_ref.fit(model, rows, ebm_ref.exact_gradient(), optimizer, 1, len(rows), 0, progress=False).model
            path.append(model)
        return path

    report = check_training(steps, RBM, ROWS, n_updates=3)
    assert report.passed, str(report)
    assert "log-likelihood" in report.notes[0]


def test_unusable_training_is_a_verdict():
    assert "raised" in check_training(lambda rows, lr, n: 1 / 0, RBM, ROWS).failures[0].message
    assert "shape" in check_training(lambda rows, lr, n: train(rows, lr, n - 1), RBM, ROWS).failures[0].message
    with pytest.raises(DomainError, match="RBM"):
        check_training(train, cases.named("boltzmann_4"), ROWS)


# L7 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("variant", ["rao_blackwell", "sampled"])
def test_every_right_estimator_rests_at_the_model(k, variant):
    report = check_fixed_point(make_update(reference(RBM, k, variant)), RBM, profile="smoke")
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("id", "words"),
    [("negative_missing", "negative phase missing"), ("decay_on_biases", "decay"), ("mean_field_negative", "")],
)
def test_wrong_estimators_do_not(id, words):
    recipe = learning_bug(id).recipe(RBM)
    if "decay" in id:
        recipe = replace(recipe, decay=(0.2, 0.2, 0.2))
    report = check_fixed_point(make_update(recipe), RBM, profile="smoke")
    assert not report.passed
    assert words in report.diagnosis[0].description


def test_unusable_estimators_are_a_verdict():
    assert "raised" in check_fixed_point(lambda rows, seed: 1 / 0, RBM, profile="smoke").failures[0].message
    with pytest.raises(DomainError, match="RBM"):
        check_fixed_point(make_update(reference(RBM)), cases.named("boltzmann_4"))
