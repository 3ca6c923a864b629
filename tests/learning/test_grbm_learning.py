"""Learning a GRBM: the estimators' expectations, starts and collected states, clipping, the cosine, exact recovery."""

import math
import re

import laws_grbm
import numpy as np
import pytest
from laws import close
from members import GRBM_2X3, GRBM_3X2, RBM_3X2
from scipy.special import expit

import ebm_ref as er
from ebm_ref.errors import DomainError
from ebm_ref.learning.monitors import reconstruction_error
from ebm_ref.models.record import flatten

DATA = laws_grbm.points(GRBM_3X2)


def fit(model, data, estimator, optimizer, n_epochs, batch_size, seed=0, **options):
    return er.fit(model, data, estimator, optimizer, n_epochs, batch_size, seed, progress=False, **options)


def test_the_exact_gradient_is_that_of_the_likelihood():
    gradient, _ = er.exact_gradient().estimate(GRBM_3X2, DATA)
    close(flatten(gradient), flatten(er.exact.log_likelihood_gradient(GRBM_3X2, DATA)))


def expected_cd1(model, data) -> np.ndarray:
    """E of CD-1 for one visible unit: v' = mu + Wh + sigma z, summed over all h, and over z by 60 Hermite points."""
    z, weight = np.polynomial.hermite_e.hermegauss(60)
    weight = weight / weight.sum()
    sums = flatten(model.energy_gradient(data, model.hidden_probabilities(data), np.full(len(data), -1 / len(data))))
    for v in data:
        p = model.hidden_probabilities(v[None])[0]
        for h in laws_grbm.hidden_states(model):
            on = np.array(h, dtype=float)
            probability = np.prod(np.where(on == 1, p, 1 - p))
            x = model.visible_mean(on[None])[0, 0] + np.sqrt(model.variance[0]) * z
            g = model.energy_gradient(x[:, None], model.hidden_probabilities(x[:, None]), weight)
            sums = sums + probability / len(data) * flatten(g)
    return sums


def cd1_is_expected(estimator, seed: int) -> None:
    """Means over 100 blocks of copies against the exact expectation: P(|t| > 8.5) < 1e-12 for Student's t, 99 degrees.

    A component that is off by 10 % of the largest one is found.
    """
    model, data = er.GRBM([[1.1, -0.7]], [0.3], [-0.4], [0.2, -0.5]), np.array([[0.4], [-1.0], [2.0]])
    rows = np.tile(data, (300, 1))
    blocks = [flatten(estimator.estimate(model, rows, seed=seed % 2**31, update=u)[0]) for u in range(100)]
    got, error, expected = np.mean(blocks, axis=0), np.std(blocks, axis=0) / 10, expected_cd1(model, data)
    assert np.all(8.5 * error < 0.1 * np.abs(expected).max())
    assert np.all(np.abs(got - expected) <= 8.5 * error)


def test_cd1_has_its_expectation(seed):
    for estimator in (er.cd(1), er.cd(1, positive="sample", negative="sample")):
        cd1_is_expected(estimator, seed)
    for twin in (er.cd(2), er.cd(1, start="noise"), er.cd(2, sampler=er.block_gibbs, collect="all")):
        with pytest.raises(AssertionError):
            cd1_is_expected(twin, seed)


def test_every_start_at_the_exact_law_gives_the_exact_gradient(seed):
    """Persistent chains that start as exact draws: positive minus negative has the exact gradient as its mean."""
    n = 40_000
    chains = np.hstack(er.exact.sample(GRBM_3X2, n, seed % 2**31))
    estimator = er.pcd(1, n)
    got, after = estimator.estimate(GRBM_3X2, DATA, chains, seed=seed % 2**31)
    assert after.shape == chains.shape
    exact = er.exact.log_likelihood_gradient(GRBM_3X2, DATA)
    v = after[:, :3]
    parts, weights = [v[i::100] for i in range(100)], np.full(n // 100, 100 / n)
    per_row = [flatten(GRBM_3X2.energy_gradient(part, GRBM_3X2.hidden_probabilities(part), weights)) for part in parts]
    error = np.std(per_row, axis=0) / 10
    assert np.all(np.abs(flatten(got) - flatten(exact)) <= 8.5 * error)


@pytest.mark.parametrize("model", [GRBM_3X2, GRBM_2X3, RBM_3X2])
@pytest.mark.parametrize("start", ["data", "noise", "persistent"])
@pytest.mark.parametrize("collect", ["last", "all"])
def test_starts_and_collected_states(model, start, collect):
    """The negatives are the states of the sampler from the declared start, by hand."""
    data = (DATA > 0).astype(float) if isinstance(model, er.RBM) else DATA[:, : model.n_visible]
    estimator = er.cd(3, start=start, collect=collect, n_chains=7, sampler=er.block_gibbs)
    chains = estimator.start(model, data, 5)
    got, after = estimator.estimate(model, data, chains, seed=5, update=2)
    if start == "persistent":
        assert chains.shape == (7, model.n_units)
        state = chains
    elif start == "data":
        state = er.block_gibbs(model).init(data, 5)
    else:
        stream = er.Stream(5, "noise_start")
        coins = isinstance(model, er.RBM)
        x = stream.uniform(2, data.shape) < 0.5 if coins else stream.normal(2, data.shape)
        state = er.block_gibbs(model).init(x.astype(float), 5)
    visited = []
    for t in range(6, 9):
        stream = er.Stream(5, "persistent" if start == "persistent" else "negative")
        state, _ = er.block_gibbs(model).advance(state, stream, t, 1)
        visited.append(state[:, : model.n_visible])
    x = np.concatenate(visited) if collect == "all" else visited[-1]
    sides = [
        flatten(model.energy_gradient(rows, model.hidden_probabilities(rows), np.full(len(rows), 1 / len(rows))))
        for rows in (data, x)
    ]
    close(flatten(got), sides[1] - sides[0], 1e-10)
    assert np.array_equal(after, state if start == "persistent" else chains)


def test_the_hidden_units_of_a_start_are_new_at_every_update():
    """A sampler that moves v first reads them; two updates must not share their uniforms."""
    starts = []

    class Spy(er.block_gibbs(GRBM_3X2).__class__):
        def init(self, initial, seed, first_chain=0):
            starts.append(super().init(initial, seed, first_chain))
            return starts[-1]

    rows = np.tile(DATA, (20, 1))
    for update in (0, 1):
        estimator = er.cd(1, sampler=lambda model: Spy(model, np.ones(5, dtype=bool)))
        estimator.estimate(GRBM_3X2, rows, seed=3, update=update)
    assert not np.array_equal(starts[0][:, 3:], starts[1][:, 3:])


def negatives_by_hand(sampler, update: int, k: int, seed: int = 5) -> np.ndarray:
    """The last states of k steps from noise, at the addresses of an update."""
    x = er.Stream(seed, "noise_start").normal(update, DATA.shape)
    state = sampler.init(x, seed, update * len(DATA))
    return sampler.advance(state, er.Stream(seed, "negative"), update * k, k)[0][:, :3]


def minus_negatives(model, x) -> np.ndarray:
    weights = np.full(len(x), 1 / len(x))
    return flatten(model.energy_gradient(x, model.hidden_probabilities(x), weights))


def test_adjustment_begins_in_each_chain_and_after_the_warm_up():
    """adjust_step counts from the start of a chain, at every update; before adjust_after nothing is refused."""
    steps, k = [1.5, 1.2], 6
    plain, full, late = (
        er.gibbs_langevin(GRBM_3X2, steps, adjust, relative=True, adjust_step=at)
        for adjust, at in ((False, 0), (True, 0), (True, 4))
    )
    data = minus_negatives(GRBM_3X2, DATA)
    for update, adjust_after, sampler, same in (
        (2, 0, late, late.begun(12)), (2, 3, late, plain), (3, 3, late, late.begun(18)), (1, 0, full, full),
    ):  # fmt: skip
        estimator = er.cd(k, start="noise", sampler=lambda m, s=sampler: s, adjust_after=adjust_after)
        got, _ = estimator.estimate(GRBM_3X2, DATA, seed=5, update=update)
        close(flatten(got), minus_negatives(GRBM_3X2, negatives_by_hand(same, update, k)) - data)
    states = [negatives_by_hand(s, 2, k) for s in (plain, full, late, late.begun(12))]
    assert all(
        np.any(a != b) for i, a in enumerate(states) for b in states[:i] if not (a is states[2] and b is states[1])
    )
    assert np.array_equal(states[1], states[2])  # on its own, step 12 is past adjust_step = 4
    mala = er.mala(GRBM_3X2, 1.5)
    got, _ = er.cd(k, start="noise", sampler=lambda m: mala, adjust_after=9).estimate(GRBM_3X2, DATA, seed=5, update=2)
    close(flatten(got), minus_negatives(GRBM_3X2, negatives_by_hand(er.ula(GRBM_3X2, 1.5), 2, k)) - data)


def test_adjustment_begins_anew_at_each_update_of_persistent_chains():
    """Their first steps are never refused, so that no chain stands still while the model moves away from it."""
    k, seed, update = 4, 5, 3
    late = er.gibbs_langevin(GRBM_3X2, [1.5, 1.2], True, relative=True, adjust_step=2)
    estimator = er.cd(k, start="persistent", sampler=lambda m: late, n_chains=64)
    before = estimator.start(GRBM_3X2, DATA, seed)
    _, after = estimator.estimate(GRBM_3X2, DATA, before, seed=seed, update=update)
    stream = er.Stream(seed, "persistent")
    np.testing.assert_array_equal(after, late.begun(update * k).advance(before, stream, update * k, k)[0])
    assert np.any(after != late.advance(before, stream, update * k, k)[0])


@pytest.mark.parametrize("collect", ["last", "all"])
def test_a_schedule_scales_each_step(collect):
    factors, seed = er.cosine_steps(1.0, 4), 5
    estimator = er.cd(4, collect=collect, sampler=lambda m: er.mala(m, 0.8), schedule=factors)
    got, _ = estimator.estimate(GRBM_3X2, DATA, seed=seed, update=3)
    state, visited = DATA, []
    for t, factor in enumerate(factors):
        state, _ = er.mala(GRBM_3X2, 0.8 * factor).advance(state, er.Stream(seed, "negative"), 12 + t, 1)
        visited.append(state)
    x = np.concatenate(visited) if collect == "all" else state
    close(flatten(got), minus_negatives(GRBM_3X2, x) - minus_negatives(GRBM_3X2, DATA))
    assert estimator.settings()["schedule"] == factors.tolist()


def test_plain_cd_and_the_general_one_agree():
    """On a GRBM cd(2) is the general estimator; on an RBM they read the same numbers."""
    for model, data in ((GRBM_3X2, DATA), (RBM_3X2, (DATA > 0).astype(float))):
        plain, _ = er.cd(2).estimate(model, data, seed=3, update=1)
        general, _ = er.cd(2, sampler=er.block_gibbs).estimate(model, data, seed=3, update=1)
        close(flatten(plain), flatten(general))
    first, _ = er.cd(1, positive="sample", negative="sample").estimate(GRBM_3X2, DATA, seed=3)
    assert not np.allclose(first.W, er.cd(1).estimate(GRBM_3X2, DATA, seed=3)[0].W)


def test_the_exact_gradient_learns_a_mixture_to_its_entropy(seed):
    """Three hidden units, data of a known GRBM: the fit is at least as likely as the truth, log-variances come out."""
    truth = er.GRBM([[2.0, -1.5], [0.5, 2.0]], [0.3, -0.5], [-0.6, 0.4], [0.4, -0.8])
    data, _ = er.exact.sample(truth, 600, seed % 2**31)
    start, optimiser = er.GRBM.for_data(data, 2, seed=1), er.adam(er.CosineDecay(0.05, 400))
    result = fit(start, data, er.exact_gradient(), optimiser, 400, 600)
    assert result.history["log_likelihood"][-1] >= er.exact.log_likelihood(truth, data) - 1e-3
    assert np.all(np.diff(result.history["log_likelihood"][[0, 100, 200, 400]]) > -1e-6)


def test_cd_climbs_and_resumes_bit_for_bit(tmp_path):
    data, _ = er.exact.sample(er.GRBM([[3.0], [1.0]], [0.0, 0.0], [-1.0, 0.0], [0.0]), 200, 1)
    start = er.GRBM.for_data(data, 2, seed=2)
    options = (er.pcd(2, 50), er.clipped(er.sgd(er.CosineDecay(0.05, 120)), 10.0))
    whole = fit(start, data, *options, 30, 50)
    assert whole.history["log_likelihood"][-1] > whole.history["log_likelihood"][0] + 0.1
    path = tmp_path / "run.npz"
    fit(start, data, *options, 11, 50, checkpoint=path)
    resumed = fit(start, data, *options, 30, 50, checkpoint=path)
    assert np.array_equal(flatten(resumed.model), flatten(whole.model))


def test_a_large_model_is_monitored_by_its_reconstruction():
    data = np.sin(np.arange(120.0)).reshape(10, 12)
    model = er.GRBM.for_data(data, 40, seed=0)
    history = fit(model, data, er.cd(1), er.sgd(1e-3), 1, 10).history
    assert set(history) == {"epoch", "update", "reconstruction_error"}
    p = expit(model.b + (data / model.variance) @ model.W)
    close(history["reconstruction_error"][0], ((data - model.mu - p @ model.W.T) ** 2).mean())
    close(reconstruction_error(model, data), history["reconstruction_error"][0])


def test_clipping_keeps_the_direction_and_bounds_the_norm():
    gradient = er.GRBM([[3.0], [0.0]], [0.0, 4.0], [0.0, 0.0], [12.0])  # norm 13
    for max_norm, factor in ((6.5, 0.5), (13.5, 1.0)):
        optimiser = er.clipped(er.sgd(1.0), max_norm)
        moved, _ = optimiser.update(gradient, gradient, optimiser.init(gradient), 0)
        close(flatten(moved), (1 + factor) * flatten(gradient))
    assert er.clipped(er.sgd(0.5), 3.0).settings()["max_norm"] == 3.0


def test_the_cosine():
    rate = er.CosineDecay(0.2, 8)
    close([rate(t) for t in (0, 2, 4, 7, 8, 20)], [0.1 * (1 + math.cos(math.pi * t / 8)) for t in (0, 2, 4, 7, 8, 8)])
    assert rate(0) == 0.2
    assert rate(7) > 0 == rate(8)


BAD = (
    (lambda: er.cd(1, start="middle"), "start: expected one of 'data', 'noise', 'persistent', got 'middle'"),
    (lambda: er.cd(1, collect="some"), "collect: expected one of 'last', 'all', got 'some'"),
    (lambda: er.cd(0, start="noise"), "k: expected an integer of at least 1, got 0"),
    (lambda: er.cd(1, start="noise", visible="mean"), "visible='mean': expected start='data'"),
    (lambda: er.cd(1, visible="mean").estimate(GRBM_3X2, DATA), "cd: expected an RBM, got GRBM"),
    (
        lambda: er.cd(1, start="noise").estimate(er.BoltzmannMachine.random(3), DATA),
        "cd: expected an RBM, a GRBM or a deep energy",
    ),
    (lambda: fit(GRBM_3X2, [[np.nan, 0, 0]], er.cd(1), er.sgd(0.1), 1, 1), "data: expected finite numbers"),
    (lambda: er.clipped(er.sgd(0.1), 0), "max_norm: expected a positive number, got 0"),
    (lambda: er.CosineDecay(0.1, 0), "n_updates: expected an integer of at least 1, got 0"),
    (lambda: er.cd(1).estimate(GRBM_3X2, np.zeros((0, 3))), "rows: expected at least one row, got none"),
    (lambda: er.cd(1, sampler=er.block_gibbs(GRBM_3X2)), "sampler: expected a function model -> sampler, got Gauss"),
    (lambda: er.cd(2, adjust_after=3), "schedule, adjust_after: expected a sampler with steps"),
    (lambda: er.cd(2, sampler=er.block_gibbs, schedule=[1, 0]), "schedule: expected a positive number, got 0.0"),
    (
        lambda: er.cd(1, sampler=er.block_gibbs, schedule=[1]).estimate(GRBM_3X2, DATA),
        "schedule: expected a sampler with scaled(), got block_gibbs",
    ),
    (
        lambda: er.cd(1, sampler=er.block_gibbs, adjust_after=1).estimate(GRBM_3X2, DATA),
        "adjust_after: expected a sampler with unadjusted(), got block_gibbs",
    ),
    (lambda: er.mala(GRBM_3X2, 0.1, box=(-1, 1)).unadjusted(), "unadjusted: expected a sampler without a box"),
    (lambda: er.exact.log_likelihood_gradient(GRBM_3X2, [[0, np.nan, 0]]), "data: expected finite numbers, got nan at"),
)


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_refused_at_the_door(call, message):
    with pytest.raises(DomainError, match="^" + re.escape(message)):
        call()
