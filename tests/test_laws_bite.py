"""Each law of ``laws.py`` is run on a twin with one deliberate mistake, and must reject it."""

import dataclasses

import laws
import numpy as np
import pytest
import reference
from chance import ALPHA, assert_means, assert_rows_follow, bernstein
from members import MACHINE_5, RBM_2X4, RBM_3X2, SAMPLERS

import ebm_ref as er
from ebm_ref.samplers.gibbs import BlockGibbs, Gibbs
from ebm_ref.samplers.metropolis import Metropolis

PARTS = (RBM_3X2.W, RBM_3X2.a, RBM_3X2.b)


def rejected(law, *arguments, **options):
    with pytest.raises(AssertionError):
        law(*arguments, **options)


# Models ---------------------------------------------------------------------------------------------------------------


class HalfWeights(er.RBM):
    def energy(self, x, h):
        return super().energy(x, h) + 0.5 * np.einsum("ni,ij,nj->n", x, self.W, h)


class BiasInside(er.RBM):
    def free_energy(self, x):
        return super().free_energy(x) + np.logaddexp(0, self.a).sum() * 1e-6


class TransposedConditional(er.RBM):
    def visible_probabilities(self, h):
        return 1 / (1 + np.exp(-(self.a + h @ self.W.T * 1.001)))


class AscentGradient(er.RBM):
    def energy_gradient(self, x, h, weights):
        return super().energy_gradient(x, h, -np.asarray(weights))


class TemperatureOnWeightsOnly(er.RBM):
    def tempered(self, beta):
        return er.RBM(beta * self.W, self.a, self.b)


class SharedArrays(er.RBM):
    def __post_init__(self):
        self.check()


class LossyFile(er.RBM):
    def save(self, path):
        er.RBM(self.W.astype(np.float32), self.a, self.b).save(path)


@pytest.mark.parametrize(
    ("law", "twin"),
    [
        (laws.energy_is_the_equation, HalfWeights),
        (laws.free_energy_sums_out_the_hidden_units, BiasInside),
        (laws.conditionals_follow_from_the_law, TransposedConditional),
        (laws.energy_gradient_is_the_derivative, AscentGradient),
        (laws.tempering_is_a_power_of_the_law, TemperatureOnWeightsOnly),
        (laws.a_model_is_frozen_and_keeps_its_own_copy, SharedArrays),
    ],
)
def test_model_laws(law, twin):
    law(er.RBM(*PARTS))
    rejected(law, twin(*(np.array(part) for part in PARTS)))


def test_every_model_law_has_a_twin():
    (marker,) = test_model_laws.pytestmark
    assert {law for law, _ in marker.args[1]} == set(laws.MODEL_LAWS)


def test_the_law_of_files(tmp_path):
    rejected(laws.a_file_keeps_every_bit, LossyFile(*PARTS), tmp_path)


# Exact answers --------------------------------------------------------------------------------------------------------


def forgets_a_method(model, method="auto"):
    return er.exact.log_partition(model, method=method) + (1e-9 if method == "gray" else 0.0)


def bits_reversed(model):
    n = model.n_visible
    return er.exact.probabilities(model).reshape((2,) * n).transpose().ravel()


def divided_by_n_minus_one(model):
    m = er.exact.moments(model)
    return dataclasses.replace(m, xh=m.xh * 1.0001)


def descent(model, x):
    return er.exact.log_likelihood_gradient(model, x).tempered(-1.0)


@pytest.mark.parametrize(
    ("law", "twin"),
    [
        (laws.log_partition_is_the_sum, forgets_a_method),
        (laws.probabilities_are_the_law, bits_reversed),
        (laws.moments_are_averages, divided_by_n_minus_one),
        (laws.likelihood_gradient_is_the_derivative, descent),
    ],
)
def test_exact_laws(law, twin):
    rejected(law, RBM_3X2, twin)


def test_every_exact_law_has_a_twin():
    (marker,) = test_exact_laws.pytestmark
    assert {law for law, _ in marker.args[1]} == set(laws.EXACT_LAWS)


# Samplers -------------------------------------------------------------------------------------------------------------


class OldHidden(BlockGibbs):
    """x given the old h."""

    def advance(self, state, stream, start, n):
        new, info = super().advance(state, stream, start, n)
        m, u = self.model, stream.uniform(start, state.shape)
        new[:, : m.n_visible] = u[:, : m.n_visible] < m.visible_probabilities(state[:, m.n_visible :])
        return new, info


class OneUniform(BlockGibbs):
    """All units of a row share one uniform."""

    def step(self, state, noise):
        return super().step(state, dataclasses.replace(noise, u=np.repeat(noise.u[:, :1], noise.u.shape[1], axis=1)))


class Skips(Gibbs):
    """Every tenth step does nothing."""

    def advance(self, state, stream, start, n):
        new, info = super().advance(state, stream, start, n)
        skip = er.Stream(stream.seed, "user", stream.first_chain).uniform(start, (len(state), 1)) < 0.1
        return np.where(skip, state, new), info


class TenPercentHotter(Gibbs):
    def advance(self, state, stream, start, n):
        return dataclasses.replace(er.gibbs(self.model.tempered(1 / 1.1), self.scan)).advance(state, stream, start, n)


class NeverUpdatesTheLast(Gibbs):
    def advance(self, state, stream, start, n):
        return er.gibbs(self.model, self.scan).clamped([self.model.n_units - 1]).advance(state, stream, start, n)


class Glauber(Metropolis):
    def step(self, state, noise):
        s, i = np.array(state), (noise.u[:, 0] * state.shape[1]).astype(int)
        rows = np.arange(len(s))
        field = self.machine.field(s)[rows, i]
        s[rows, i] = noise.u[:, 1] < 1 / (1 + np.exp(-field))
        return s, super().step(state, noise)[1]


class OtherOrder(Gibbs):
    def advance(self, state, stream, start, n):
        return er.gibbs(self.model, order=self.order[::-1]).advance(state, stream, start, n)


def twin_of(twin, sampler):
    return twin(*(getattr(sampler, field.name) for field in dataclasses.fields(sampler)))


@pytest.mark.parametrize(
    ("twin", "sampler", "kernel", "readable"),
    [
        (OldHidden, er.block_gibbs(RBM_3X2), "block_gibbs", False),
        (OneUniform, er.block_gibbs(RBM_3X2), "block_gibbs", True),
        (Skips, er.gibbs(MACHINE_5), "gibbs", False),
        (TenPercentHotter, er.gibbs(MACHINE_5), "gibbs", False),
        (NeverUpdatesTheLast, er.gibbs(MACHINE_5), "gibbs", False),
        (Glauber, er.metropolis(MACHINE_5), "metropolis", True),
        (OtherOrder, er.gibbs(MACHINE_5), "gibbs", False),
    ],
)
def test_the_law_of_transitions_and_of_the_twin(twin, sampler, kernel, readable, seed):
    """Wrong kernels, most of which leave the law invariant, are found by one transition; so are unequal twins."""
    P = reference.matrix(sampler.model, kernel)
    laws.transitions_follow_the_matrix(sampler, P, seed, readable=readable)
    rejected(laws.transitions_follow_the_matrix, twin_of(twin, sampler), P, seed, readable=readable)
    rejected(laws.step_and_advance_agree, twin_of(twin, sampler), 200)


@pytest.mark.parametrize(("sampler", "kernel"), SAMPLERS)
def test_the_law_of_the_matrix(sampler, kernel):
    other = "metropolis" if kernel.startswith(("gibbs", "block")) else "gibbs_random"
    rejected(laws.the_matrix_is_the_kernel, sampler, other)
    P = er.exact.transition_matrix(sampler)
    rejected(laws.the_law_is_invariant, sampler, np.roll(P, 1, axis=1))
    lazy_but_wrong = 0.999 * P + 0.001 / len(P)
    rejected(laws.the_law_is_invariant, sampler, lazy_but_wrong)


def test_the_law_rejects_a_false_claim_of_reversibility():
    class Claims(BlockGibbs):
        reversible = True

    rejected(laws.the_law_is_invariant, twin_of(Claims, er.block_gibbs(RBM_2X4)))


# Estimators and optimisers --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Wrong:
    """CD whose gradient is changed."""

    change: object
    k: int = 1

    def estimate(self, model, rows, chains=None, seed=0, update=0):
        gradient, chains = er.cd(self.k).estimate(model, rows, seed=seed, update=update)
        return self.change(gradient), chains

    def settings(self):
        return {"name": "cd", "k": 1}


@pytest.mark.parametrize(
    "twin",
    [
        Wrong(lambda g: g, k=2),
        Wrong(lambda g: g.tempered(-1)),
        Wrong(lambda g: g.tempered(2)),
        Wrong(lambda g: er.RBM(g.W, g.a, -g.b)),
    ],
    ids=["one sweep too many", "descent", "doubled", "sign of b"],
)
def test_the_law_of_cd(twin, seed):
    data = reference.states(3)[[1, 6, 6, 4, 7]]
    rejected(laws.cd_has_its_expectation, twin, RBM_3X2, data, seed)


# The statistics themselves --------------------------------------------------------------------------------------------


def test_the_test_of_counts_rejects_small_effects_and_impossible_draws(seed):
    law = np.array([[0.5, 0.3, 0.2, 0.0]])

    def from_law(p):
        return lambda row, n, s: np.random.default_rng(s).choice(4, n, p=p)

    assert_rows_follow(from_law(law[0]), law, 5000, seed)
    rejected(assert_rows_follow, from_law([0.46, 0.34, 0.2, 0.0]), law, 5000, seed)
    rejected(assert_rows_follow, from_law([0.499, 0.3, 0.2, 0.001]), law, 20_000, seed)


def test_counts_are_rejected_no_more_often_than_stated():
    """One stage rejects a true law with probability at most GAMMA = 0.0056: at most 25 of 1000 seeds (P < 1e-9)."""
    from chance import GAMMA, SIMULATIONS, g_statistic

    law, rejections = np.array([[0.6, 0.3, 0.1], [0.05, 0.05, 0.9]]), 0
    for repeat in range(1000):
        rng = np.random.default_rng(repeat)
        observed = g_statistic(rng.multinomial(50, law), law * 50)
        simulated = [g_statistic(rng.multinomial(50, law), law * 50) for _ in range(SIMULATIONS // 2)]
        rejections += (1 + np.sum(np.array(simulated) >= observed - 1e-9)) / (len(simulated) + 1) <= GAMMA
    assert rejections <= 25


def test_bernstein_is_a_bound_and_not_an_idle_one():
    """Means of coins: never beyond the threshold, and within a factor of two of the normal one."""
    n, p = 2000, 0.3
    threshold = bernstein(n, p * (1 - p), 1)
    means = np.random.default_rng(0).binomial(n, p, 100_000) / n
    assert np.abs(means - p).max() <= threshold
    assert threshold <= 2 * 6.2 * np.sqrt(p * (1 - p) / n)
    assert bernstein(n, p * (1 - p), 1, alpha=1e-3) < bernstein(n, p * (1 - p), 1, alpha=ALPHA)
    with pytest.raises(AssertionError, match="too few draws"):
        assert_means(p, p, p * (1 - p), 10, resolution=0.01)
