"""Block Gibbs on a GRBM: the compiled loop is the readable step, one transition has the exact law, the law is kept."""

import laws
import numpy as np
import pytest
from members import GRBM_2X3, GRBM_3X2, GRBMS

import ebm_ref as er
from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.samplers.gaussian_gibbs import GaussianGibbs

START = np.array([[0.5, -0.1, 0.2], [5.0, 0.0, -1.0]])  # the first: every p(h_j=1|v) between 0.05 and 0.95


def step_and_advance_agree(sampler, n_chains: int = 40, n_steps: int = 6) -> None:
    """Hidden units bit for bit, visible ones to rounding: the two sum the matrix products in another order."""
    m, stream = sampler.model, er.Stream(21, "transition", 4)
    start = sampler.init(np.resize(START, (n_chains, m.n_visible)), seed=3)
    before, rows = start.copy(), start
    for t in range(9, 9 + n_steps):
        rows, _ = sampler.step(rows, sampler.draw(stream, t, n_chains))
    fast, _ = sampler.advance(start, stream, 9, n_steps)
    assert np.array_equal(fast[:, m.n_visible :], rows[:, m.n_visible :])
    laws.close(fast, rows)
    assert np.array_equal(start, before), "an input was modified"


def one_transition_has_the_exact_law(sampler, seed: int, n: int = 60_000) -> None:
    """From one (v, h): E[h'|v] = p(h|v), E[v'|v] = mu + W p, Cov[v'|v] = diag s2 + W diag(p(1-p)) W'.

    Each of the p means stays within 6.5 standard errors but with probability 1e-10; off by 0.03 deviations it is found.
    """
    m, v = sampler.model, START[:1, : sampler.model.n_visible]
    rows = sampler.init(np.repeat(v, n, axis=0), seed)
    after, _ = sampler.advance(rows, er.Stream(seed, "transition"), 0, 1)
    v_new, h_new = after[:, : m.n_visible], after[:, m.n_visible :]
    p = m.hidden_probabilities(v)[0]
    assert np.all(np.abs(p - 0.5) < 0.45)
    means = [(h_new, p), (v_new, m.mu + m.W @ p)]
    away = v_new - (m.mu + m.W @ p)
    products = (away[:, :, None] * away[:, None, :]).reshape(n, -1)
    means.append((products, (np.diag(m.variance) + (m.W * p * (1 - p)) @ m.W.T).ravel()))
    means.append((away[:, :, None] * (h_new - p)[:, None, :], m.W * p * (1 - p)))
    for x, expected in means:
        x, expected = x.reshape(n, -1), np.ravel(expected)
        assert np.all(np.abs(x.mean(axis=0) - expected) <= 6.5 * x.std(axis=0) / np.sqrt(n) + 1e-12)


def the_law_is_kept(sampler, seed: int, n: int = 60_000) -> None:
    """Start from exact draws, move five steps: first and second moments of [v, h] stay the exact ones."""
    m = sampler.model
    exact = er.exact.moments(m)
    rows, _ = sampler.advance(np.hstack(er.exact.sample(m, n, seed)), er.Stream(seed, "transition"), 0, 5)
    v, h = rows[:, : m.n_visible], rows[:, m.n_visible :]
    for x, expected in (
        (v, exact.x), (h, exact.h), ((v - m.mu) ** 2, exact.square), (v[:, :, None] * h[:, None, :], exact.xh),
    ):  # fmt: skip
        x, expected = x.reshape(n, -1), np.ravel(expected)
        assert np.all(np.abs(x.mean(axis=0) - expected) <= 6.5 * x.std(axis=0) / np.sqrt(n) + 1e-12)


@pytest.mark.parametrize("model", GRBMS)
def test_step_and_advance_agree(model):
    sampler = er.block_gibbs(model)
    if model.n_visible <= 3:
        step_and_advance_agree(sampler)


@pytest.mark.parametrize("model", [GRBM_3X2, GRBM_2X3])
def test_one_transition_has_the_exact_law(model, seed):
    one_transition_has_the_exact_law(er.block_gibbs(model), seed)
    the_law_is_kept(er.block_gibbs(model), seed)


class SigmaForVariance(GaussianGibbs):
    """Noise of the wrong size, as when log_var is taken for log sigma."""

    def advance(self, state, stream, start, n):
        m = self.model
        for t in range(start, start + n):
            noise = self.draw(stream, t, len(state))
            state, info = super().step(state, type(noise)(noise.z * np.sqrt(m.variance), noise.u))
        return state, info


class ReadsBySigma(GaussianGibbs):
    """Hidden logits with v/sigma."""

    def advance(self, state, stream, start, n):
        m, info = self.model, None
        for t in range(start, start + n):
            v = state[:, : m.n_visible] * np.sqrt(m.variance)
            state, info = super().advance(np.hstack([v, state[:, m.n_visible :]]), stream, t, 1)
        return state, info


class OldHidden(GaussianGibbs):
    """v given the h before."""

    def advance(self, state, stream, start, n):
        nv = self.model.n_visible
        new, info = super().advance(state, stream, start, n)
        z = self.draw(stream, start + n - 1, len(state)).z
        new[:, :nv] = self.model.visible_mean(state[:, nv:]) + np.sqrt(self.model.variance) * z
        return new, info


class MeanForSample(GaussianGibbs):
    def step(self, state, noise):
        return super().step(state, type(noise)(0 * noise.z, noise.u))


@pytest.mark.parametrize("twin", [SigmaForVariance, ReadsBySigma, OldHidden])
def test_the_laws_reject_broken_twins(twin, seed):
    sampler = twin(GRBM_3X2, np.ones(5, dtype=bool))
    with pytest.raises(AssertionError):
        one_transition_has_the_exact_law(sampler, seed)
    with pytest.raises(AssertionError):
        step_and_advance_agree(sampler)


def test_the_twin_law_rejects_a_readable_step_that_differs():
    with pytest.raises(AssertionError):
        step_and_advance_agree(MeanForSample(GRBM_3X2, np.ones(5, dtype=bool)))


def test_any_split_gives_the_same_bits():
    sampler, start = er.block_gibbs(GRBM_3X2), np.resize(START, (10, 3))
    whole = er.sample(sampler, start, 12, seed=7)
    parts = [er.sample(sampler, start[lo:hi], 12, seed=7, first_chain=lo) for lo, hi in ((0, 1), (1, 6), (6, 10))]
    assert np.array_equal(np.concatenate([part.states for part in parts]), whole.states)
    head = er.sample(sampler, start, 5, seed=7)
    tail = er.sample(sampler, head.last, 7, seed=7, first_step=head.next_step)
    assert np.array_equal(tail.last, whole.last)
    try:
        er.set_num_threads(1)
        alone = er.sample(sampler, np.resize(START, (200, 3)), 300, seed=2, thin=300)
        er.set_num_threads(3)
        assert np.array_equal(er.sample(sampler, np.resize(START, (200, 3)), 300, seed=2, thin=300).last, alone.last)
    finally:
        er.set_num_threads(None)


def test_clamped_units_give_a_completion(seed):
    """Chains with v_0 clamped, started from the exact completion, keep its moments; the clamped unit never moves."""
    n, known = 40_000, GRBM_3X2.conditioned([0], [1.2])
    rest, h = er.exact.sample(known, n, seed)
    sampler = er.block_gibbs(GRBM_3X2).clamped([0])
    rows, _ = sampler.advance(np.column_stack([np.full(n, 1.2), rest, h]), er.Stream(seed, "transition"), 0, 4)
    assert np.all(rows[:, 0] == 1.2)
    exact = er.exact.moments(known)
    for x, expected in ((rows[:, 1:3], exact.x), (rows[:, 3:], exact.h)):
        assert np.all(np.abs(x.mean(axis=0) - expected) <= 6.5 * x.std(axis=0) / np.sqrt(n))
    step_and_advance_agree(sampler)


def test_bad_starts_are_refused():
    sampler = er.block_gibbs(GRBM_3X2)
    with pytest.raises(DomainError, match="initial: expected finite numbers"):
        er.sample(sampler, [[np.nan, 0, 0]], 1, seed=0)
    with pytest.raises(DomainError, match="initial, hidden units: expected only 0 and 1"):
        er.sample(sampler, [[0.0, 0, 0, 0.5, 1]], 1, seed=0)
    with pytest.raises(ShapeError):
        er.sample(sampler, [[0.0, 0]], 1, seed=0)
    for make in (er.gibbs, er.metropolis):
        with pytest.raises(DomainError, match="expected a model of binary units, got GRBM; use block_gibbs"):
            make(GRBM_3X2)
    with pytest.raises(DomainError, match="transition_matrix: expected a model of binary units, got GRBM"):
        er.exact.transition_matrix(sampler)
    with pytest.raises(DomainError, match="expected an RBM or a GRBM"):
        er.block_gibbs(er.BoltzmannMachine.random(3))


@pytest.mark.parametrize("name", ["grbm_2x2_hot", "grbm_2x3"])
def test_the_oracle_passes_it(name):
    """One-step law, conservation, independence of chains at "smoke": false alarms at most 1e-6 a report."""
    case = er.oracle.cases.named(name, kernel="block_gibbs")
    sampler = er.block_gibbs(er.GRBM(case.W, case.mu, case.log_var, case.b))

    def step(states, seed):
        return sampler.advance(np.array(states, dtype=float), er.Stream(seed, "transition"), 0, 1)[0]

    report = er.oracle.check_kernel(step, case, profile="smoke")
    assert report.passed, report
