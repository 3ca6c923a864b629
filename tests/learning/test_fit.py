"""``fit``: epochs, batches and their weights, history, progress, and the exactly known best likelihoods."""

import math
import re

import numpy as np
import pytest
import reference
from laws import close
from members import MACHINE_4, RBM_3X2

import ebm_ref as er
from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.learning import monitors

DATA = reference.states(3)[[1, 6, 6, 4, 7, 2, 0]]


def fit(model, data, estimator, optimizer, n_epochs, batch_size, seed=0, **options):
    return er.fit(model, data, estimator, optimizer, n_epochs, batch_size, seed, progress=False, **options)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7, 100])
def test_every_row_counts_the_same_in_an_epoch(batch_size):
    """With a tiny rate the parameters stand still: an epoch moves them by rate * (rows / batch) * full gradient."""
    rate = 1e-7
    result = fit(RBM_3X2, DATA, er.exact_gradient(), er.sgd(rate), 1, batch_size)
    moved = (reference.vector(result.model) - reference.vector(RBM_3X2)) / rate
    full = reference.vector(er.exact.log_likelihood_gradient(RBM_3X2, DATA))
    close(moved, full * len(DATA) / min(batch_size, len(DATA)), 1e-5)


def test_an_epoch_visits_every_row_once_in_a_new_order(monkeypatch):
    from ebm_ref.learning.estimators import ExactGradient

    seen = []
    original = ExactGradient.estimate

    def spy(self, model, rows, *rest):
        seen.append(reference.index(rows.astype(int)).tolist())
        return original(self, model, rows, *rest)

    monkeypatch.setattr(ExactGradient, "estimate", spy)
    x = reference.states(3)
    fit(RBM_3X2, x, er.exact_gradient(), er.sgd(0.1), 3, 3)
    assert [len(batch) for batch in seen] == [3, 3, 2] * 3
    epochs = [[*seen[i], *seen[i + 1], *seen[i + 2]] for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_history_is_exact_on_small_models():
    result = fit(RBM_3X2, DATA, er.cd(1), er.adam(0.05), 4, 3, validation=DATA[:3])
    history = result.history
    assert history["epoch"].tolist() == [0, 1, 2, 3, 4]
    assert history["update"].tolist() == [0, 3, 6, 9, 12]
    for position, model in ((0, RBM_3X2), (4, result.model)):
        close(history["log_likelihood"][position], er.exact.log_likelihood(model, DATA))
        close(history["validation_log_likelihood"][position], er.exact.log_likelihood(model, DATA[:3]))
        gap = model.free_energy(DATA[:3]).mean() - model.free_energy(DATA).mean()
        close(history["free_energy_gap"][position], gap)
    assert result.settings["estimator"]["name"] == "cd"
    assert result.settings["batch_size"] == 3


def test_history_of_a_model_that_is_too_large(monkeypatch):
    """Pseudo-likelihood in place of the likelihood."""
    monkeypatch.setattr(monitors, "AFFORDABLE_TERMS", 1)
    result = fit(RBM_3X2, DATA, er.cd(1), er.sgd(0.1), 2, 7, validation=DATA[:2])
    assert set(result.history) == {"epoch", "update", "free_energy_gap", "pseudo_log_likelihood"}
    close(result.history["pseudo_log_likelihood"][-1], er.pseudo_log_likelihood(result.model, DATA).mean())


@pytest.mark.parametrize("estimator", [er.exact_gradient(), er.cd(1), er.cd(5), er.pcd(1, n_chains=30)])
@pytest.mark.parametrize("optimizer", [er.sgd(0.2, momentum=0.5), er.adam(0.05)])
def test_training_raises_the_exact_likelihood(estimator, optimizer):
    """Data far from uniform: from about -4 log 2 = -2.77 to near, and never above, minus the entropy of the data."""
    data = reference.states(4)[[1, 1, 1, 3, 1, 1, 5, 1]]
    result = fit(er.RBM.random(4, 3, 0.1, seed=1), data, estimator, optimizer, 100, 3)
    likelihood, best = result.history["log_likelihood"], 0.75 * math.log(0.75) + 0.25 * math.log(0.125)
    assert likelihood[0] < -2.6
    assert best - 0.4 < likelihood[-1]
    assert likelihood.max() <= best


def test_the_exact_gradient_climbs_without_a_step_back_and_beats_cd():
    data = er.datasets.bars_and_stripes(2)
    results = {
        name: fit(er.RBM.random(4, 3, 0.3, seed=2), data, estimator, er.sgd(0.2), 150, len(data))
        for name, estimator in (("exact", er.exact_gradient()), ("cd1", er.cd(1)))
    }
    exact = results["exact"].history["log_likelihood"]
    assert np.all(np.diff(exact) > 0)
    assert results["cd1"].history["log_likelihood"][-1] <= exact[-1]


def test_a_boltzmann_machine_learns_the_moments_of_its_data():
    data = reference.states(4)[[0, 3, 3, 5, 9, 10, 15, 12]]
    result = fit(MACHINE_4, data, er.exact_gradient(), er.sgd(1.0), 600, 8)
    ss = er.exact.moments(result.model).ss
    close(ss, data.T @ data / 8, 1e-2)
    assert np.all(np.diff(result.history["log_likelihood"]) > -1e-12)


@pytest.mark.parametrize(("doubled", "total"), [(False, -102.0359), (True, -108.1310)])
def test_the_best_likelihoods_of_bars_and_stripes(doubled, total):
    """An RBM with a hidden unit for each pattern v, W_j = 80 (2v - 1), has the law of the data but for 1e-12."""
    data = er.datasets.bars_and_stripes(4, doubled=doubled)
    patterns, counts = np.unique(data, axis=0, return_counts=True)
    height = 35 + np.log(counts)  # c_j(v) = height, c_j(x) <= height - 80 for every other x
    perfect = er.RBM(80 * (2 * patterns - 1).T, np.zeros(16), height - 80 * patterns.sum(axis=1))
    assert len(data) * er.exact.log_likelihood(perfect, data) == pytest.approx(total, abs=5e-5)
    assert er.exact.log_likelihood(perfect, data) == pytest.approx(er.datasets.best_log_likelihood(data), rel=1e-11)


@pytest.mark.parametrize("progress", [False, True])
def test_progress_changes_nothing_and_keeps_standard_output_clean(progress, capsys):
    plain = fit(RBM_3X2, DATA, er.cd(1), er.sgd(0.1), 3, 2)
    shown = er.fit(RBM_3X2, DATA, er.cd(1), er.sgd(0.1), 3, 2, 0, progress=progress)
    assert np.array_equal(plain.model.W, shown.model.W)
    assert capsys.readouterr().out == ""


def test_inputs_are_not_modified():
    data = DATA.copy()
    W = RBM_3X2.W.copy()
    fit(RBM_3X2, data, er.pcd(1, 5), er.adam(0.1), 2, 3)
    assert np.array_equal(data, DATA)
    assert np.array_equal(W, RBM_3X2.W)


def test_no_epoch_returns_the_model():
    result = fit(RBM_3X2, DATA, er.cd(1), er.sgd(0.1), 0, 3)
    assert np.array_equal(result.model.W, RBM_3X2.W)
    assert result.history["epoch"].tolist() == [0]


BAD = (
    (
        lambda: fit(RBM_3X2, np.zeros((2, 4)), er.cd(), er.sgd(0.1), 1, 1),
        ShapeError,
        "data: expected shape (any, 3), got (2, 4)",
    ),
    (
        lambda: fit(RBM_3X2, np.zeros((0, 3)), er.cd(), er.sgd(0.1), 1, 1),
        DomainError,
        "data: expected at least one row, got none",
    ),
    (
        lambda: fit(RBM_3X2, [[0, 1, 2]], er.cd(), er.sgd(0.1), 1, 1),
        DomainError,
        "data: expected values in [0, 1], got 2.0 at [0, 2]",
    ),
    (
        lambda: fit(RBM_3X2, DATA, er.cd(), er.sgd(0.1), -1, 1),
        DomainError,
        "n_epochs: expected an integer of at least 0, got -1",
    ),
    (
        lambda: fit(RBM_3X2, DATA, er.cd(), er.sgd(0.1), 1, 0),
        DomainError,
        "batch_size: expected an integer of at least 1, got 0",
    ),
    (
        lambda: fit(RBM_3X2, DATA, er.cd(), er.sgd(0.1), 1, 1, seed=-1),
        DomainError,
        "seed: expected an integer of at least 0, got -1",
    ),
    (
        lambda: fit(RBM_3X2, DATA, er.cd(), er.sgd(0.1), 1, 1, validation=[[1, 0]]),
        ShapeError,
        "validation: expected shape (any, 3), got (1, 2)",
    ),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_at_the_door(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        call()
