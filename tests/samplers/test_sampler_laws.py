"""The laws of a sampler over all members: matrix, invariance, the compiled twin, and the law of one real transition."""

import laws
import numpy as np
import pytest
import reference
import strategies
from hypothesis import given
from hypothesis import strategies as st
from members import MACHINE_5, RBM_2X4, RBM_3X2, SAMPLERS

import ebm_ref as er

CLAMPED = (
    pytest.param(er.block_gibbs(RBM_3X2), "block_gibbs", [1, 4], id="block_gibbs"),
    pytest.param(er.gibbs(RBM_2X4, "palindromic"), "gibbs_palindromic", [0, 3], id="palindromic"),
    pytest.param(er.gibbs(MACHINE_5), "gibbs", [2], id="systematic"),
    pytest.param(er.gibbs(MACHINE_5, "random"), "gibbs_random", [0, 1, 4], id="random"),
    pytest.param(er.metropolis(MACHINE_5), "metropolis", [3, 0], id="metropolis"),
)


@pytest.mark.parametrize(("sampler", "kernel"), SAMPLERS)
def test_the_matrix_is_the_kernel(sampler, kernel):
    laws.the_matrix_is_the_kernel(sampler, kernel)


@pytest.mark.parametrize(("sampler", "kernel"), SAMPLERS)
def test_the_law_is_invariant(sampler, kernel):
    laws.the_law_is_invariant(sampler)


@pytest.mark.parametrize(("sampler", "kernel"), SAMPLERS)
def test_step_and_advance_agree(sampler, kernel):
    laws.step_and_advance_agree(sampler)


@pytest.mark.parametrize(("sampler", "kernel"), SAMPLERS)
def test_transitions_follow_the_matrix(sampler, kernel, seed):
    laws.transitions_follow_the_matrix(sampler, reference.matrix(sampler.model, kernel), seed)


@pytest.mark.parametrize(("sampler", "kernel", "clamp"), CLAMPED)
def test_clamped(sampler, kernel, clamp, seed):
    """Clamped units never move, the others follow their kernel; the matrix says so exactly, the draws statistically."""
    clamped = sampler.clamped(clamp)
    laws.the_matrix_is_the_kernel(clamped, kernel, clamp)
    laws.step_and_advance_agree(clamped)
    P = reference.matrix(sampler.model, kernel, clamp)
    laws.the_law_is_invariant(clamped, P)
    s = reference.states(sampler.model.n_units)[:, clamp]
    assert np.all(P[np.any(s[:, None] != s[None], axis=2)] == 0)
    laws.transitions_follow_the_matrix(clamped, P, seed, n=500)


@pytest.mark.parametrize(("sampler", "kernel", "clamp"), CLAMPED[:1])
def test_clamping_gives_the_conditional_law(sampler, kernel, clamp):
    """Many steps forget the start, but for the clamped units: the rows of P^n are p(rest | clamped)."""
    P = np.linalg.matrix_power(er.exact.transition_matrix(sampler.clamped(clamp)), 2000)
    s, pi = reference.states(sampler.model.n_units)[:, clamp], reference.joint_law(sampler.model)
    same = np.all(s[:, None] == s[None], axis=2)
    expected = np.where(same, pi, 0.0)
    laws.close(P, expected / expected.sum(axis=1, keepdims=True))


@given(model=strategies.models(magnitude=3.0, max_side=3), data=st.data())
def test_random_models_and_orders(model, data):
    order = data.draw(st.permutations(range(model.n_units)))
    made = [er.gibbs(model, scan, order) for scan in ("systematic", "palindromic", "random")]
    made += [er.metropolis(model)] + ([er.block_gibbs(model)] if isinstance(model, er.RBM) else [])
    clamp = data.draw(st.sets(st.integers(0, model.n_units - 1), max_size=model.n_units - 1))
    for sampler in made:
        for one in (sampler, sampler.clamped(sorted(clamp))):
            laws.step_and_advance_agree(one, n_chains=12, n_steps=3)
            P, pi = er.exact.transition_matrix(one), reference.joint_law(model)
            laws.close(pi @ P, pi)
            laws.close(P.sum(axis=1), np.ones(len(P)))


@given(model=strategies.rbms(magnitude=30.0))
def test_block_gibbs_is_the_systematic_scan_bit_for_bit(model):
    """h then x, all at once or unit by unit: the same uniforms, the same rows (fields differ by rounding only)."""
    stream = er.Stream(5, "transition")
    start = np.resize(reference.states(model.n_units), (20, model.n_units))
    block, _ = er.block_gibbs(model).advance(start, stream, 0, 5)
    scan, _ = er.gibbs(model).advance(start, stream, 0, 5)
    assert np.array_equal(block, scan)


def test_a_sweep_of_one_layer_cannot_change_the_other():
    sampler = er.block_gibbs(RBM_3X2)
    hidden_only, visible_only = sampler.clamped([0, 1, 2]), sampler.clamped([3, 4])
    stream, start = er.Stream(1, "transition"), reference.states(5)
    half, _ = hidden_only.advance(start, stream, 0, 1)
    both, _ = visible_only.advance(half, stream, 0, 1)
    assert np.array_equal(both, sampler.advance(start, stream, 0, 1)[0])
