"""Gibbs-Langevin with and without adjustment: exact laws of the inner steps, the joint ratio, kept targets, twins."""

import dataclasses

import laws_continuous as laws
import numpy as np
import pytest
from members import GRBM_2X3, GRBM_3X2

import ebm_ref as er
from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.samplers.common import Info
from ebm_ref.samplers.gibbs_langevin import GibbsLangevin

STEPS = er.cosine_steps(0.5, 3)
WIDE = er.GRBM.random(6, 5, 0.5, seed=3)
MODELS = (GRBM_3X2, GRBM_2X3, WIDE)
ADJUSTED = (
    pytest.param(er.gibbs_langevin(GRBM_3X2, STEPS, adjust=True, relative=True), id="relative"),
    pytest.param(er.gibbs_langevin(GRBM_3X2, STEPS, adjust=True, relative=True, collapsed=True), id="collapsed"),
    pytest.param(er.gibbs_langevin(GRBM_2X3, [0.2, 0.4], adjust=True), id="absolute"),
)
WITHOUT_WEIGHTS = er.GRBM(np.zeros((3, 2)), [0.5, -1.5, 0.1], [-1.0, 0.7, 0.2], [0.75, -2.0])


def joint_draw(model):
    """draw(n, seed): exact joint rows [v, h]."""
    return lambda n, seed: np.hstack(er.exact.sample(model, n, seed))


def start_rows(model, n: int = 50):
    return joint_draw(model)(n, 77)


def made(model):
    return (
        er.gibbs_langevin(model, STEPS, relative=True),
        er.gibbs_langevin(model, [0.1], dsl_compat_batch_size=5),
        er.gibbs_langevin(model, STEPS, relative=True, collapsed=True),
        er.gibbs_langevin(model, STEPS, adjust=True, relative=True),
        er.gibbs_langevin(model, STEPS, adjust=True, relative=True, adjust_step=12),
    )


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_step_and_advance_agree(model):
    for sampler in made(model):
        laws.step_and_advance_agree(sampler, start_rows(model))
        laws.step_and_advance_agree(sampler.clamped([0, model.n_visible]), start_rows(model))


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_splits_do_not_matter(model):
    for sampler in made(model)[::3]:
        laws.splits_do_not_matter(sampler, start_rows(model))


@pytest.mark.parametrize("sampler", ADJUSTED)
def test_the_adjusted_sampler_keeps_the_joint_law(sampler, seed):
    laws.the_law_is_kept(sampler, sampler.model.joint_energy, joint_draw(sampler.model), seed)


def test_clamped_units_stay_and_the_others_follow_the_conditional(seed):
    """Clamping a visible and a hidden unit: the adjusted sampler keeps p(rest | v_0, h_1)."""
    model, v0 = GRBM_3X2, 0.4
    sampler = er.gibbs_langevin(model, STEPS, adjust=True, relative=True)
    laws.clamped_coordinates_stay(sampler, start_rows(model, 200), [0, 4])
    rest = er.GRBM(model.W[1:, :1], model.mu[1:] + model.W[1:, 1], model.log_var[1:], model.b[:1])
    # given v_0 and h_1 = 1: E = 1/2 sum_rest (v-mu-W_1)^2/s2 - (v/s2)'W_0 h_0 - (b_0 + v_0 W_00/s2_0) h_0 + constant
    shifted = er.GRBM(rest.W, rest.mu, rest.log_var, rest.b + v0 * model.W[0, 0] / model.variance[0])

    def draw(n, number):
        v, h = er.exact.sample(shifted, n, number)
        return np.hstack([np.full((n, 1), v0), v, h, np.ones((n, 1))])

    laws.the_law_is_kept(sampler.clamped([0, 4]), model.joint_energy, draw, seed)


def test_the_ratio_is_metropolis_hastings_on_the_pair():
    """(3) against log pi(s') q(s'->s) - log pi(s) q(s->s'), each factor spelt out."""
    model, steps, n = GRBM_3X2, [0.2, 0.3, 0.1], 60
    sampler, start = er.gibbs_langevin(model, steps, adjust=True), start_rows(GRBM_3X2, 60)
    noise = sampler.draw(er.Stream(3, "transition"), 0, n)
    always = dataclasses.replace(noise, u=np.hstack([noise.u[:, :-1], np.full((n, 1), -1.0)]))
    new = sampler.step(start, always)[0]
    rho, tau2 = er.exact.inner_chain(steps, model.variance)

    def log_flow(a, b):
        (v, h), (w, k) = np.split(a, [3], axis=1), np.split(b, [3], axis=1)
        centre, p = rho * v + (1 - rho) * model.visible_mean(h), model.hidden_probabilities(w)
        log_h = np.log(np.where(k == 1, p, 1 - p)).sum(axis=1)
        return -model.energy(v, h) - ((w - centre) ** 2 / (2 * tau2)).sum(axis=1) + log_h

    expected = np.exp(np.minimum(0, log_flow(new, start) - log_flow(start, new)))
    np.testing.assert_allclose(sampler.step(start, noise)[1].probability, expected, rtol=1e-10)


@pytest.mark.parametrize("options", [{}, {"collapsed": True}, {"dsl_compat_batch_size": 50}], ids=str)
def test_the_inner_steps_have_their_exact_law(options, seed):
    """From one (v, h): v' ~ N(rho v + (1-rho) m(h), tau2); as MCMC with h fixed, the stated stationary variance."""
    steps = [0.3, 0.2, 0.25] if not options.get("dsl_compat_batch_size") else [4.0, 3.0]
    divisor = options.get("dsl_compat_batch_size", 1)
    model = GRBM_3X2
    sampler = er.gibbs_langevin(model, steps, **options)
    row, n = np.array([0.5, -2.0, 1.0, 1.0, 0.0]), 20_000
    after, _ = sampler.advance(np.tile(row, (n, 1)), er.Stream(seed, "transition"), 0, 1)
    rho, tau2 = er.exact.inner_chain(steps, model.variance, divisor)
    mean = model.visible_mean(row[None, 3:])[0]
    laws.check_normal(after[:, :3], rho * row[:3] + (1 - rho) * mean, np.diag(tau2))
    variance = er.exact.gibbs_langevin_variance(steps, model.variance, divisor)
    z = er.Stream(seed, "user").normal(0, (n, 3))
    start = np.hstack([mean + np.sqrt(variance) * z, np.tile(row[3:], (n, 1))])
    kept, _ = sampler.clamped([3, 4]).advance(start, er.Stream(seed, "transition"), 0, 4)
    laws.check_normal(kept[:, :3], mean, np.diag(variance))
    assert sampler.temperature == divisor
    if divisor > 1:  # temperature near the batch size where the drift's step is small
        np.testing.assert_allclose(variance / model.variance, divisor, rtol=0.15)


def test_hidden_units_are_drawn_from_the_new_visible_ones(seed):
    """E[h' | v'] = p(h | v')."""
    sampler = er.gibbs_langevin(GRBM_3X2, STEPS, relative=True)
    after, _ = sampler.advance(start_rows(GRBM_3X2, 20_000), er.Stream(seed, "transition"), 0, 3)
    residual = after[:, 3:] - GRBM_3X2.hidden_probabilities(after[:, :3])
    laws.assert_zero_means(np.hstack([residual, residual * after[:, :1]]), "hidden units")


def test_without_weights_the_variance_is_the_closed_form(seed):
    """W = 0, eta = c s2: unadjusted 2 s2/(2-c), whatever K is; adjusted s2."""
    model, n = WITHOUT_WEIGHTS, 20_000
    wide = np.diag(er.exact.gibbs_langevin_variance(0.5 * model.variance[None], model.variance))
    np.testing.assert_allclose(np.diag(wide), 2 / 1.5 * model.variance, rtol=1e-12)
    for adjust, covariance in ((False, wide), (True, np.diag(model.variance))):
        z = er.Stream(seed, "user").normal(0, (n, 3))
        start = np.hstack([model.mu + z * np.sqrt(np.diag(covariance)), np.zeros((n, 2))])
        sampler = er.gibbs_langevin(model, [0.5, 0.5], adjust, relative=True)
        after, info = sampler.advance(sampler.init(start[:, :3], seed), er.Stream(seed, "transition"), 0, 6)
        laws.check_normal(after[:, :3], model.mu, covariance)
        assert (info.accepted.mean() == 6) == (not adjust)


def test_steps_before_adjust_step_are_not_adjusted():
    start, stream = start_rows(GRBM_3X2), er.Stream(2, "transition")
    plain = er.gibbs_langevin(GRBM_3X2, STEPS, relative=True)
    late = er.gibbs_langevin(GRBM_3X2, STEPS, adjust=True, relative=True, adjust_step=5)
    full = er.gibbs_langevin(GRBM_3X2, STEPS, adjust=True, relative=True)
    assert np.array_equal(late.advance(start, stream, 0, 5)[0], plain.advance(start, stream, 0, 5)[0])
    assert np.array_equal(late.advance(start, stream, 5, 9)[0], full.advance(start, stream, 5, 9)[0])
    assert not late.reversible
    assert full.reversible


def test_schedule_and_bounds():
    steps = er.cosine_steps(0.3, 10)
    assert steps[0] == 0.3
    assert np.all(np.diff(steps) < 0)
    assert steps[-1] > 0
    np.testing.assert_allclose(steps, [0.3 * (1 + np.cos(np.pi * t / 10)) / 2 for t in range(10)], rtol=1e-15)
    largest = 2 * GRBM_3X2.variance.min()
    er.gibbs_langevin(GRBM_3X2, [0.999 * largest])
    with pytest.raises(DomainError, match=rf"step_sizes: expected below {largest:.6g} for visible unit 1"):
        er.gibbs_langevin(GRBM_3X2, [1.001 * largest])
    er.gibbs_langevin(GRBM_3X2, [1.99], relative=True)
    with pytest.raises(DomainError, match="expected below 2 for"):
        er.gibbs_langevin(GRBM_3X2, [2.0], relative=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: er.gibbs_langevin(er.RBM.random(2, 2), [0.1]), "expected a GRBM"),
        (lambda: er.gibbs_langevin(GRBM_3X2, []), "one or more positive"),
        (lambda: er.gibbs_langevin(GRBM_3X2, [-0.1]), "one or more positive"),
        (lambda: er.gibbs_langevin(GRBM_3X2, [[0.1, 0.1]]), "step_sizes: expected shape"),
        (lambda: er.gibbs_langevin(GRBM_3X2, [0.1], adjust=True, dsl_compat_batch_size=5), "adjust=False"),
        (lambda: er.gibbs_langevin(GRBM_3X2, [0.1], dsl_compat_batch_size=0), "dsl_compat_batch_size"),
        (lambda: er.cosine_steps(0.0, 3), "maximum"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises((DomainError, ShapeError), match=message):
        make()


def test_sample_and_the_five_samplers_run_alike():
    """Gibbs, Langevin and Gibbs-Langevin, the last two with and without adjustment, under one function."""
    start = np.zeros((4, 3))
    five = (
        er.block_gibbs(GRBM_3X2), er.ula(GRBM_3X2, 0.05), er.mala(GRBM_3X2, 0.2),
        er.gibbs_langevin(GRBM_3X2, STEPS, relative=True),
        er.gibbs_langevin(GRBM_3X2, STEPS, adjust=True, relative=True),
    )  # fmt: skip
    for sampler in five:
        chain = er.sample(sampler, start, 12, seed=1, thin=3)
        assert chain.visible.shape == (4, 4, 3)
        assert chain.hidden.shape[2] in (0, 2)


# Broken twins ---------------------------------------------------------------------------------------------------------


class Stepwise(GibbsLangevin):
    """advance by the readable step."""

    def advance(self, state, stream, start, n):
        accepted = np.zeros(len(state), dtype=np.int64)
        for t in range(start, start + n):
            state, info = self.step(state, self.draw(stream, t, len(state)))
            accepted = accepted + info.accepted
        return state, Info(accepted, n)


class NeverRefuses(Stepwise):
    def draw(self, stream, step, n_chains):
        noise = super().draw(stream, step, n_chains)
        noise.u[:, -1] = -1.0
        return noise


class OtherSteps(Stepwise):
    """The ratio uses another list of steps than the proposal."""

    @property
    def inner(self):
        return er.exact.inner_chain(self.step_sizes[:1], self.model.variance)


class MarginalOnly(Stepwise):
    """Accepts with exp(F - F') alone."""

    def _log_q(self, to, at, mean):
        return np.zeros(len(to))


def twin_of(twin, sampler):
    return twin(*(getattr(sampler, field.name) for field in dataclasses.fields(sampler)))


@pytest.mark.parametrize("twin", [NeverRefuses, OtherSteps, MarginalOnly])
def test_the_law_of_the_target_bites(twin, seed):
    sampler = er.gibbs_langevin(GRBM_3X2, STEPS, adjust=True, relative=True)
    arguments = sampler.model.joint_energy, joint_draw(sampler.model), seed
    laws.the_law_is_kept(twin_of(Stepwise, sampler), *arguments)
    with pytest.raises(AssertionError):
        laws.the_law_is_kept(twin_of(twin, sampler), *arguments)
