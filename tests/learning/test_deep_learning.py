"""Learning deep energies: gradients against differences of the stated losses, laws that have closed forms."""

import numpy as np
import pytest
from laws import close

import ebm_ref as er
from ebm_ref.errors import DivergenceError, DomainError
from ebm_ref.learning.recovery import Conditional, local_schedule, t6_schedule
from ebm_ref.models import layers as nn
from ebm_ref.models.layers import at_time
from ebm_ref.models.record import flatten, leaves, with_leaves

SIGMAS = 6.0  # a mean may be off by this many standard errors: 2e-9 false alarms each
X = er.Stream(3, "user").normal(0, (6, 2))
SQUARE = er.NetworkEnergy(er.nets.mlp((2, 5, 2), seed=1), "square", base=2.0)
JOINT = er.JointEnergy(er.nets.mlp((2, 5, 3), seed=2), base=2.0)
TIMED = er.NetworkEnergy(er.nets.unet((1, 2, 1), (2, 4), seed=1, time_embedding=4), "inner")


class Still:
    """A sampler that never moves, for the parts of a loss that the chains do not touch."""

    def __init__(self, model) -> None:
        self.model = model

    def init(self, initial, seed, first_chain=0):
        return np.array(initial)

    def advance(self, state, stream, start, n):
        return state, None


def moved(model, direction, step: float):
    """The model with its parameters moved along ``direction``."""
    start, arrays = 0, {}
    for name, leaf in leaves(model).items():
        arrays[name] = leaf + step * direction[start : start + leaf.size].reshape(leaf.shape)
        start += leaf.size
    return with_leaves(model, arrays)


def assert_descends(loss, model, gradient, tolerance: float = 1e-6) -> None:
    """-gradient is the derivative of ``loss(model)``, along three random directions."""
    g = -flatten(gradient)
    for i in range(3):
        direction = er.Stream(i, "user").normal(0, (1, g.size))[0]
        difference = (loss(moved(model, direction, 1e-5)) - loss(moved(model, direction, -1e-5))) / 2e-5
        close(difference, g @ direction, tolerance)


# Contrastive divergence -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_replay_gradient_is_that_of_its_loss(penalty):
    estimator = er.langevin_cd(Still, 1, buffer_size=6, restart=0.0, energy_penalty=penalty)
    buffer = estimator.start(SQUARE, X, seed=5)

    def loss(model):
        data, chains = model.energy(X), model.energy(buffer)
        return data.mean() - chains.mean() + penalty * ((data**2).mean() + (chains**2).mean())

    gradient, after = estimator.estimate(SQUARE, X, buffer, seed=5, update=3)
    assert_descends(loss, SQUARE, gradient)
    close(after, buffer)


def test_replay_takes_different_states_and_puts_them_back():
    estimator = er.langevin_cd(lambda m: er.ula(m, 1e-3), 1, buffer_size=40, restart=0.0)
    buffer = estimator.start(SQUARE, X, seed=5)
    state, after = estimator.negatives(SQUARE, X, buffer, seed=5, update=0)
    changed = np.any(after != buffer, axis=1)
    assert changed.sum() == len(X)
    assert {tuple(row) for row in after[changed]} == {tuple(row) for row in state}


@pytest.mark.parametrize("base", ["normal", "uniform", "data"])
def test_replay_restarts_from_its_base(base):
    estimator = er.langevin_cd(Still, 1, buffer_size=4000, restart=1.0, base=base, base_range=(-2.0, 3.0))
    rows = np.tile(X, (600, 1))
    state, _ = estimator.negatives(SQUARE, rows, estimator.start(SQUARE, rows, 1), seed=1, update=2)
    mean, deviation = {"normal": (0, 1), "uniform": (0.5, 5 / 12**0.5), "data": (X.mean(0), X.std(0))}[base]
    assert np.all(np.abs(state.mean(axis=0) - mean) <= SIGMAS * deviation / len(state) ** 0.5)


def test_cd_of_a_deep_energy_is_a_difference_of_mean_gradients():
    gradient, _ = er.cd(2, start="noise", sampler=lambda m: er.ula(m, 0.05)).estimate(SQUARE, X, None, seed=1)
    noise = er.Stream(1, "noise_start").normal(0, X.shape)
    chains, _ = er.ula(SQUARE, 0.05).advance(noise, er.Stream(1, "negative"), 0, 2)
    assert_descends(lambda model: model.energy(X).mean() - model.energy(chains).mean(), SQUARE, gradient)
    with pytest.raises(DomainError, match="expected sampler="):
        er.cd(2, start="noise").estimate(SQUARE, X, None)


def test_runs_that_were_cut_short_end_with_the_same_bits(tmp_path):
    model = er.NetworkEnergy(er.nets.mlp((2, 6, 2), spectral_norm=True), "residual", base=2.0)
    optimizer = er.averaged(er.clipped(er.adam(0.01), 1.0), 0.9)
    estimator = er.langevin_cd(er.published_sampler("uva"), 3, buffer_size=20, base="uniform", energy_penalty=0.1)

    def run(n_epochs, checkpoint=None):
        return er.fit(model, X, estimator, optimizer, n_epochs, 4, 7, checkpoint=checkpoint, progress=False)

    whole = run(4)
    run(2, tmp_path / "run.npz")
    resumed = run(4, tmp_path / "run.npz")
    assert np.array_equal(flatten(whole.model), flatten(resumed.model))
    assert np.array_equal(flatten(whole.averaged), flatten(resumed.averaged))
    assert np.array_equal(whole.chains, resumed.chains)
    assert not np.array_equal(flatten(whole.model), flatten(whole.averaged))


def test_divergence_is_reported():
    steep = er.NetworkEnergy(er.nets.mlp((2, 5, 2), seed=1), "inner", scale=-50.0)
    estimator = er.langevin_cd(lambda m: er.ula(m, 10.0), 200, buffer_size=8)
    with pytest.raises(DivergenceError, match="chain"):
        er.fit(steep, X, estimator, er.sgd(1.0), 3, 6, 0, progress=False)
    with pytest.raises(DivergenceError, match="update"), np.errstate(all="ignore"):
        er.fit(SQUARE, X, er.denoising_score_matching(0.1), er.sgd(1e200), 9, 6, 0, progress=False)


# Quadrature -----------------------------------------------------------------------------------------------------------


def test_the_gradient_on_a_grid_is_that_of_the_likelihood():
    """The mean of log p by exact.grid_log_prob, on a box that holds the law; a box that cuts it gives another."""
    model = er.NetworkEnergy(er.nets.mlp((2, 5, 2), seed=1), "square", base=0.8)
    gradient, _ = er.exact_gradient(box=(-6, 6), n=60).estimate(model, X, None)
    assert_descends(lambda m: -er.exact.grid_log_prob(m, X, (-6, 6), 60).mean(), model, gradient)
    narrow, _ = er.exact_gradient(box=[(-1, 6), (-6, 6)], n=60).estimate(model, X, None)
    assert np.abs(flatten(narrow) - flatten(gradient)).max() > 1e-3


# Score matching -------------------------------------------------------------------------------------------------------


def test_denoising_gradient_is_that_of_its_loss():
    estimator = er.denoising_score_matching(0.4)
    gradient, _ = estimator.estimate(SQUARE, X, None, seed=2, update=5)
    z = er.Stream(2, "data_noise").normal(5, X.shape)

    def loss(model):
        r = -model.score(X + 0.4 * z) - z / 0.4
        return 0.5 * 0.4**2 * (r**2).sum(axis=1).mean()

    assert_descends(loss, SQUARE, gradient)


def test_denoising_loss_of_the_smoothed_law_is_its_floor():
    """(3): data N(0, v), the law N(0, v + sigma^2): the loss is (1 - sigma^2/(v + sigma^2))/2, mean of n draws."""
    v, sigma, n = 2.0, 0.7, 100_000
    x = np.sqrt(v) * er.Stream(1, "user").normal(0, (n, 1))
    law = er.Gaussian([0.0], [[1 / (v + sigma**2)]])
    loss = er.denoising_score_matching(sigma).loss(law, x, seed=4)
    floor = 0.5 * (1 - sigma**2 / (v + sigma**2))
    # sigma r is normal with variance 2 floor, so its square has variance 2 (2 floor)^2
    assert abs(loss - floor) <= SIGMAS * 0.5 * np.sqrt(2 * (2 * floor) ** 2 / n)
    too_narrow = er.Gaussian([0.0], [[2 / v]])
    assert er.denoising_score_matching(sigma).loss(too_narrow, x, seed=4) > 1.3 * floor


def test_score_matching_objective_of_a_quadratic():
    """E = x'Px/2: |Px|^2/2 - tr P; slices are exact on average, with variance 2 sum of squares off the diagonal."""
    model = er.NetworkEnergy(er.nets.mlp((2, 2), seed=4), "inner")
    P = model.hessian_vector(np.zeros((2, 2)), np.eye(2))
    g = model.score(X)
    exact = er.score_matching_objective(model, X)
    close(exact, 0.5 * (g**2).sum(axis=1).mean() - np.trace(P))
    sliced = er.score_matching_objective(model, X, n_slices=4000, seed=1)
    off = 2 * abs(P[0, 1])
    assert abs(sliced - exact) <= SIGMAS * off / np.sqrt(4000 * len(X)) + 1e-12


# Diffusion recovery ---------------------------------------------------------------------------------------------------


def test_schedule_has_the_published_numbers():
    c = t6_schedule()
    close(c.a.round(5), [0.99995, 0.94617, 0.85629, 0.77480, 0.70092, 0.63396, 0.02278])
    close(c.sig.round(5), [0.01, 0.32368, 0.51650, 0.63221, 0.71324, 0.77337, 0.99974])
    close(c.s.round(5), [0.00458, 0.04157, 0.06846, 0.08900, 0.10364, 0.13855])


def test_conditional_score_is_the_slope_of_its_energy():
    t = np.array([0, 3, 5])
    c = t6_schedule()
    law = Conditional(at_time(TIMED, t), X[:3], c.s[t, None], c.pull[t, None], c.temperature[t, None])
    w = X[3:] / c.s[t, None]
    for i in range(2):
        step = np.zeros((3, 2))
        step[:, i] = 1e-4 / c.s[t]
        slope = (law.free_energy(w + step) - law.free_energy(w - step)) / (2 * step[:, i])
        close(law.score(w)[:, i], -slope, 1e-5)


@pytest.mark.parametrize("c", [t6_schedule(), local_schedule(0.1)], ids=["published", "local"])
def test_recovery_chains_sample_the_gaussian_conditional(c):
    """E/T = y^2/(2v): ULA of step eta from y = x~ has a known law after k steps: P = 1/v + 1/sig^2."""
    t, v, n, k, seen = 2, 0.5, 20_000, 30, 0.8
    model = er.Gaussian([0.0], [[c.temperature[t] / v]])
    estimator = er.recovery(k, c)
    y = estimator.chains(model, np.full(n, t), np.full((n, 1), seen), er.Stream(5, "user"), 0)[:, 0]
    eta, P = c.s[t] ** 2 / 2, 1 / v + c.pull[t]
    R, centre = 1 - eta * P, seen * c.pull[t] / P
    mean, variance = centre + R**k * (seen - centre), 2 * eta * sum(R ** (2 * j) for j in range(k))
    assert abs(y.mean() - mean) <= SIGMAS * np.sqrt(variance / n)
    assert abs(y.var() - variance) <= SIGMAS * variance * np.sqrt(2 / n)


@pytest.mark.parametrize("schedule", [t6_schedule(), local_schedule(0.1)], ids=["published", "local"])
def test_recovery_gradient_is_that_of_its_loss(schedule):
    estimator = er.recovery(2, schedule)
    c = estimator.schedule
    gradient, _ = estimator.estimate(TIMED, X, None, seed=3, update=4)
    t, y, seen = estimator.pairs(X, 3, 4)
    negatives = estimator.chains(TIMED, t, seen, er.Stream(3, "negative"), 8)

    def loss(model):
        gap = at_time(model, t).energy(y) - at_time(model, t).energy(negatives)
        return (gap * c.sig[1] / c.sig[t + 1]).mean()

    assert_descends(loss, TIMED, gradient)
    assert estimator.sample(TIMED, 3, seed=0).shape == (3, 2)
    known = np.array([True, False])
    close(estimator.complete(TIMED, X, known, seed=0)[:, 0], X[:, 0])


# Joint energies -------------------------------------------------------------------------------------------------------


def test_jem_gradient_is_that_of_both_losses():
    density = er.langevin_cd(Still, 1, buffer_size=6, restart=0.0)
    labels = np.array([0, 1, 2, 0, 1, 2])
    buffer = density.start(JOINT, X, seed=5)
    gradient, _ = er.jem(density, weight=0.5).estimate(JOINT, X, buffer, seed=5, labels=labels)

    def loss(model):
        cross = -model.class_log_probabilities(X)[np.arange(6), labels].mean()
        return cross + 0.5 * (model.energy(X).mean() - model.energy(buffer).mean())

    assert_descends(loss, JOINT, gradient)


def test_chains_given_classes_follow_the_joint_energy():
    """Linear logits and a base measure: p(x|y) is the normal law N(W_y, I); the means of 4,000 chains of each class."""
    network = er.nets.Network(nn.Linear(np.array([[2.0, -1.0], [0.0, 1.5]]), np.zeros(2)), (2,))
    law = er.given_classes(er.JointEnergy(network, base=1.0), np.repeat([0, 1], 4000))
    close(law.score(np.zeros((8000, 2)))[[0, -1]], np.array([[2.0, 0.0], [-1.0, 1.5]]))
    x = er.sample(er.mala(law, 0.5), np.zeros((8000, 2)), 40, seed=2, thin=40).visible[:, -1]
    assert np.abs(x[:4000].mean(axis=0) - [2.0, 0.0]).max() <= SIGMAS / 4000**0.5
    assert np.abs(x[4000:].mean(axis=0) - [-1.0, 1.5]).max() <= SIGMAS / 4000**0.5
    with pytest.raises(DomainError, match="y: expected whole numbers"):
        er.given_classes(law.model, [0, 2])


def test_labels_are_asked_for_and_refused():
    with pytest.raises(DomainError, match="labels: expected class numbers"):
        er.fit(JOINT, X, er.cross_entropy(), er.sgd(0.1), 1, 6, 0, progress=False)
    with pytest.raises(DomainError, match="labels: expected none"):
        er.fit(SQUARE, X, er.denoising_score_matching(1.0), er.sgd(0.1), 1, 6, 0, labels=np.zeros(6), progress=False)


def test_a_classifier_separates_two_clouds():
    labels = np.repeat([0.0, 1.0, 2.0], 20)
    centres = 3.0 * np.array([[1, 0], [-1, 0], [0, 2.0]])
    x = centres[labels.astype(int)] + 0.5 * er.Stream(1, "user").normal(0, (60, 2))
    result = er.fit(JOINT, x, er.cross_entropy(), er.adam(0.05), 30, 20, 0, labels=labels, progress=False)
    assert np.mean(result.model.class_probabilities(x).argmax(axis=1) == labels) == 1.0


# Samplers and optimisers ----------------------------------------------------------------------------------------------


def test_noisy_descent_is_ula_at_its_temperature():
    law, start = er.Gaussian([0.5, -1.0], [[2.0, 0.3], [0.3, 1.0]]), X
    ours, other = er.noisy_descent(law, 0.05, 0.2), er.ula(law, 0.05, noise=0.2)
    assert ours.temperature == other.temperature
    stream = er.Stream(4, "transition")
    close(ours.advance(start, stream, 0, 5)[0], other.advance(start, stream, 0, 5)[0])


def test_noisy_descent_clips_and_stays_inside():
    sampler = er.published_sampler("uva")(SQUARE)
    start = np.clip(X, -1, 1)
    noise = sampler.draw(er.Stream(1, "transition"), 0, len(start))
    after, _ = sampler.step(start, noise)
    assert np.abs(after).max() <= 1.0
    assert np.abs(after - np.clip(start + 0.005 * noise.z, -1, 1)).max() <= 10 * 0.03 + 1e-12
    held, _ = sampler.clamped([True, False]).step(start, noise)
    assert np.array_equal(held[:, 0], start[:, 0])


def test_completion_keeps_the_known_and_follows_the_conditional():
    """p(x_1 = 1 | x_0 = 1) of an RBM by enumeration; 4000 chains of 30 sweeps."""
    model, n = er.RBM.random(2, 2, 1.0, seed=3), 4000
    rows = er.complete(er.block_gibbs(model), np.tile([1.0, 0.0], (n, 1)), [True, False], 30, seed=1)
    assert np.all(rows[:, 0] == 1.0)
    weights = np.exp(-model.free_energy([[1, 0], [1, 1]]))
    p = weights[1] / weights.sum()
    assert abs(rows[:, 1].mean() - p) <= SIGMAS * np.sqrt(p * (1 - p) / n)


def test_the_running_mean_follows_its_formula():
    params = er.RBM([[1.0]], [2.0], [3.0])
    optimizer = er.averaged(er.sgd(1.0), 0.75)
    after, state = optimizer.update(params, params, optimizer.init(params), 0)
    close(flatten(after), 2 * flatten(params))
    close(flatten(state[-1]), (0.75 + 2 * 0.25) * flatten(params))


# Annealed score matching ----------------------------------------------------------------------------------------------


def test_annealed_gradient_is_that_of_its_loss():
    estimator = er.annealed_score_matching([0.3, 0.9, 2.0], 2, spread=0.7)
    gradient, _ = estimator.estimate(TIMED, X, None, seed=3, update=4)

    assert_descends(lambda model: estimator.loss(model, X, 3, "data_noise", 4), TIMED, gradient)
    known = np.array([True, False])
    completed = estimator.complete(TIMED, X, known, seed=0)
    close(completed[:, 0], X[:, 0])
    assert not np.allclose(completed[:, 1], X[:, 1])


def test_every_level_of_noise_counts_alike():
    """Data N(0, s^2 I), whose smoothed laws have E/sigma^2 = |x|^2/(2 (s^2 + sigma^2)): the loss is d/2 at each level.

    Mean of 2,000 rows of d = 4: relative deviation sqrt(2/8000) = 1.6 %, so within 5 of these; weights of 1 would be
    told from it at the upper level by a factor of 5.
    """
    s, n, d = 0.5, 2000, 4
    x = s * er.Stream(3, "user").normal(0, (n, d))
    for sigma in (0.5, 1.0):
        estimator = er.annealed_score_matching([sigma], spread=s)
        model = er.Gaussian(np.zeros(d), sigma**2 / (s**2 + sigma**2) * np.eye(d))
        assert abs(estimator.loss(model, x, 4, "data_noise", 0) / (d / 2) - 1) < 5 * np.sqrt(2 / (n * d))


class Levels(list):
    """Exact energies of the smoothed laws of N(0, C), level by level, in place of a network with a time embedding."""

    n_visible = 2


def test_annealed_drawing_and_completion_of_a_normal_law(monkeypatch):
    """Data N(0, C): E(x, t)/sigma^2 = x'(C + sigma^2 I)^-1 x/2.  Draws after (4) have covariance CPC, P = (C + s I)^-1.

    600 steps forget what (6) left, which is too narrow by the law of x given x~; c = 0.02 widens a variance by at most
    1 %.  A completion is held to the conditional law of noisy unit 1 given noisy unit 0.
    """
    C, sigmas, n = np.array([[1.0, 0.6], [0.6, 0.8]]), (1.0, 2.0), 6000
    levels = Levels(er.Gaussian([0.0, 0.0], s**2 * np.linalg.inv(C + s**2 * np.eye(2))) for s in sigmas)
    monkeypatch.setattr("ebm_ref.learning.annealed.at_time", lambda model, t: model[t])
    estimator = er.annealed_score_matching(sigmas, 600, 0.02)
    x = estimator.sample(levels, n, seed=1)
    P = np.linalg.inv(C + sigmas[0] ** 2 * np.eye(2))
    assert np.abs(np.cov(x.T) / (C @ P @ C) - 1).max() < 0.01 + SIGMAS * np.sqrt(2 / n)
    seen = np.tile([1.5, np.nan], (n, 1))
    y = estimator.complete(levels, np.nan_to_num(seen), np.array([True, False]), seed=2)
    assert np.all(y[:, 0] == 1.5)
    # noisy unit 0 is 1.5 + sigma z; noisy unit 1 given it is normal; (4) is linear: mean and variance of P'C applied
    slope, rest = -P[0, 1] / P[1, 1], 1 / P[1, 1]
    shrink = np.eye(2) - sigmas[0] ** 2 * P  # (4)
    gain = shrink[1, 0] + shrink[1, 1] * slope
    variance = gain**2 * sigmas[0] ** 2 + shrink[1, 1] ** 2 * rest
    assert abs(y[:, 1].mean() - 1.5 * gain) < SIGMAS * np.sqrt(variance / n)
    assert abs(y[:, 1].var() / variance - 1) < 0.01 + SIGMAS * np.sqrt(2 / n)


@pytest.mark.parametrize("sigmas", [[], [0.0, 1.0], [1.0, 0.5]])
def test_levels_of_noise_must_rise(sigmas):
    with pytest.raises(DomainError, match="sigmas: expected rising positive numbers"):
        er.annealed_score_matching(sigmas)
    with pytest.raises(DomainError, match="step: expected a number below 2"):
        er.annealed_score_matching([1.0], step=2.0)
