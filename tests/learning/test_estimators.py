"""Estimators: exact expectations with stated error rates, switches that are recorded, the compiled twin."""

import json

import laws
import numpy as np
import pytest
import reference
from chance import assert_means
from laws import close
from members import ESTIMATORS, MACHINE_5, RBM_3X2, UNBIASED

import ebm_ref as er
from ebm_ref.errors import DomainError
from ebm_ref.exact.moments import difference
from ebm_ref.kernels import statistics
from ebm_ref.learning.estimators import batch_statistics
from ebm_ref.models.record import leaves

DATA = reference.states(3)[[1, 6, 6, 4, 7]]


@pytest.mark.parametrize("estimator", UNBIASED)
def test_the_mean_of_cd_is_the_exact_expectation(estimator, seed):
    laws.cd_has_its_expectation(estimator, RBM_3X2, DATA, seed)


def test_mean_field_reconstructions_change_the_expectation(seed):
    """Hinton's recipe has another mean: far outside the error of the sampled one, and it is recorded."""
    mean = er.cd(1, visible="mean")
    with pytest.raises(AssertionError, match="thresholds"):
        laws.cd_has_its_expectation(mean, RBM_3X2, DATA, seed)
    assert mean.settings()["visible"] == "mean"


def test_mean_field_reconstructions_by_hand():
    """h ~ p(h|x), x <- E[x|h], twice; then p(h|x) at the real-valued x."""
    got, _ = er.cd(2, visible="mean").estimate(RBM_3X2, DATA, seed=3, update=5)
    x = DATA
    for step in (10, 11):
        u = er.Stream(3, "negative").uniform(step, (5, 5))[:, 3:]
        h = (u < RBM_3X2.hidden_probabilities(x)).astype(float)
        x = RBM_3X2.visible_probabilities(h)
    ph0, phk = RBM_3X2.hidden_probabilities(DATA), RBM_3X2.hidden_probabilities(x)
    close(got.W, (DATA.T @ ph0 - x.T @ phk) / 5)
    close(got.a, (DATA - x).mean(axis=0))
    close(got.b, (ph0 - phk).mean(axis=0))


def test_cd_by_hand():
    """Sweeps of block Gibbs at the addresses of the purpose "negative", then averages."""
    got, _ = er.cd(3).estimate(RBM_3X2, DATA, seed=8, update=2)
    sampler, state = er.block_gibbs(RBM_3X2), np.hstack([DATA, np.zeros((5, 2))])
    for step in (6, 7, 8):
        state, _ = sampler.step(state, sampler.draw(er.Stream(8, "negative"), step, 5))
    x = state[:, :3]
    ph0, phk = RBM_3X2.hidden_probabilities(DATA), RBM_3X2.hidden_probabilities(x)
    close(got.W, (DATA.T @ ph0 - x.T @ phk) / 5)
    close(got.a, (DATA - x).mean(axis=0))
    close(got.b, (ph0 - phk).mean(axis=0))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_estimate_is_a_function_of_seed_and_update(estimator):
    chains, rows = estimator.start(RBM_3X2, DATA, 4), DATA.copy()
    kept = chains.copy()
    one, after = estimator.estimate(RBM_3X2, rows, chains, 4, 7)
    two, again = estimator.estimate(RBM_3X2, rows, chains, 4, 7)
    assert reference.vector(one).tobytes() == reference.vector(two).tobytes()
    assert after.tobytes() == again.tobytes()
    assert np.array_equal(rows, DATA)
    assert np.array_equal(chains, kept)
    assert isinstance(one, er.RBM)
    other, _ = estimator.estimate(RBM_3X2, rows, chains, 5, 7)
    assert (estimator.settings()["name"] == "exact_gradient") == np.array_equal(one.W, other.W)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_settings_survive_json(estimator):
    settings = estimator.settings()
    assert json.loads(json.dumps(settings)) == settings
    assert er.cd(2, negative="sample").settings() == {
        "name": "cd", "k": 2, "visible": "sample", "positive": "probabilities", "negative": "sample",
    }  # fmt: skip
    assert er.pcd(3, 20).settings() == {"name": "pcd", "k": 3, "n_chains": 20}


def test_no_sweep_gives_exactly_nothing():
    for positive in ("probabilities", "sample"):
        gradient, _ = er.cd(0, positive=positive).estimate(RBM_3X2, DATA)
        assert not reference.vector(gradient).any()


def test_the_exact_estimator_is_the_gradient():
    for model in (RBM_3X2, MACHINE_5):
        got, _ = er.exact_gradient().estimate(model, DATA)
        expected = reference.vector(er.exact.log_likelihood_gradient(model, DATA))
        close(reference.vector(got), expected)


@pytest.mark.parametrize("model", [RBM_3X2, MACHINE_5], ids=["rbm", "machine"])
def test_persistent_chains_at_frozen_parameters_average_to_the_gradient(model, seed):
    """Chains that start in the model's law stay in it: the mean over 15 updates of 3000 chains is the exact gradient.

    Chains are independent; the exact variance of one chain's time average follows from powers of its matrix.
    """
    n_chains, n_updates = 3000, 15
    estimator = er.pcd(1, n_chains)
    chains = np.hstack(er.exact.sample(model, n_chains, seed))
    total = 0.0
    for update in range(n_updates):
        gradient, chains = estimator.estimate(model, DATA, chains, seed, update)
        total = total + reference.vector(gradient) / n_updates
    sampler = er.block_gibbs(model) if isinstance(model, er.RBM) else er.gibbs(model)
    P, p = er.exact.transition_matrix(sampler), reference.joint_law(model)
    f = np.tile(laws.averaged_statistics(model), (2**model.n_hidden, 1))
    f = f - p @ f
    variance, moved = n_updates * (p @ f**2), f
    for lag in range(1, n_updates):
        moved = P @ moved
        variance = variance + 2 * (n_updates - lag) * (p @ (f * moved))
    exact = reference.vector(er.exact.log_likelihood_gradient(model, DATA))
    assert_means(total, exact, variance / n_updates**2, n_chains, resolution=0.06)


def test_persistent_chains_start_at_data_and_carry_on():
    estimator = er.pcd(2, n_chains=40)
    chains = estimator.start(RBM_3X2, DATA, 6)
    assert chains.shape == (40, 5)
    assert {tuple(row) for row in chains[:, :3]} == {tuple(row) for row in DATA}
    _, after = estimator.estimate(RBM_3X2, DATA, chains, 6, update=3)
    expected, _ = er.block_gibbs(RBM_3X2).advance(chains, er.Stream(6, "persistent"), 6, 2)
    assert np.array_equal(after, expected)
    grey = estimator.start(RBM_3X2, np.full((4, 3), 0.5), 6)
    assert 0.2 < grey[:, :3].mean() < 0.8
    assert set(np.unique(grey)) == {0.0, 1.0}


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (300, 33)])
def test_compiled_statistics_equal_numpy(shape):
    model = er.RBM.random(shape[1], 4, 1.0, seed=1)
    x = er.Stream(1, "user").uniform(0, shape)
    h = statistics.hidden_probabilities(x, model.W, model.b)
    close(h, model.hidden_probabilities(x))
    close(statistics.outer_mean(x, h), x.T @ h / len(x))
    moments = batch_statistics(model, x)
    close(moments.xh, x.T @ h / len(x))
    close(moments.x, x.mean(axis=0))
    close(moments.h, h.mean(axis=0))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 7), (9, 13, 30)])
def test_the_contrast_of_two_samples_is_the_difference_of_their_statistics(shape):
    """Bit for bit, for numbers of rows that differ, and for rows that are not binary."""
    rng = np.random.default_rng(shape[0])
    model = er.RBM.random(shape[0], shape[1], 0.7)
    x, y = rng.random((shape[2], shape[0])), rng.integers(0, 2, (shape[2] + 2, shape[0])).astype(float)
    expected = difference(model, batch_statistics(model, x), batch_statistics(model, y))
    for got, leaf in zip(statistics.contrast(x, y, model.W, model.b), leaves(expected).values(), strict=True):
        assert np.array_equal(got, leaf)


def test_threads_do_not_matter():
    model, rows = er.RBM.random(40, 30, 0.5), er.Stream(2, "user").uniform(0, (300, 40)).round()
    results = []
    for threads in (1, 2):
        try:
            er.set_num_threads(threads)
            results.append(reference.vector(er.cd(2).estimate(model, rows)[0]).tobytes())
        finally:
            er.set_num_threads(None)
    assert len(set(results)) == 1


def test_bad_input():
    with pytest.raises(DomainError, match=r"^cd: expected an RBM, got BoltzmannMachine; use pcd or exact_gradient"):
        er.cd().estimate(MACHINE_5, DATA)
    with pytest.raises(DomainError, match=r"^visible: expected one of 'sample', 'mean', got 'mode'"):
        er.cd(visible="mode")
    with pytest.raises(DomainError, match=r"^k: expected an integer of at least 1, got 0"):
        er.pcd(0)
    with pytest.raises(DomainError, match=r"^n_chains: expected an integer"):
        er.pcd(n_chains=2.5)
