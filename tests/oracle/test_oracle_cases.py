"""Cases hold what they promise: exact laws, matrices that leave them invariant, errors that say what to do."""

import math
from itertools import pairwise

import numpy as np
import pytest

from ebm_ref.errors import DomainError, ModelTooLargeError, ShapeError
from ebm_ref.oracle import cases, naive


@pytest.mark.parametrize("name", cases.NAMES)
def test_law_and_matrix(name):
    case = cases.named(name)
    assert case.states.shape == (len(case.pi), case.n_units)
    assert math.isclose(math.fsum(case.pi), 1.0, rel_tol=1e-12)
    np.testing.assert_allclose(case.P.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(case.pi @ case.P, case.pi, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(case.index(case.states), np.arange(len(case.pi)))
    for array in (case.J, case.c, case.states, case.energies, case.pi, case.P):
        assert not array.flags.writeable


@pytest.mark.parametrize("kernel", naive.KERNELS)
def test_every_kernel_leaves_the_law_invariant(kernel):
    case = cases.named("rbm_4x2", kernel=kernel)
    np.testing.assert_allclose(case.pi @ case.P, case.pi, rtol=0, atol=1e-14)
    assert case.reversible == (kernel in ("gibbs_random", "gibbs_palindromic", "metropolis"))


def test_block_gibbs_is_the_systematic_scan_hidden_first():
    np.testing.assert_allclose(cases.named("rbm_4x2").P, cases.named("rbm_4x2", kernel="gibbs").P, rtol=0, atol=1e-15)


def test_pairwise_form_has_the_energies_of_the_rbm():
    case = cases.named("rbm_4x2")
    other = cases.boltzmann(case.J, case.c)
    np.testing.assert_allclose(other.energies, case.energies, rtol=0, atol=1e-13)


def test_spins_and_bits_describe_the_same_law():
    spin = cases.named("ising_5_chord", kernel="gibbs")
    J, h = spin.J, spin.c
    bits = cases.boltzmann(4 * J, 2 * h - 2 * J.sum(axis=1), kernel="gibbs")
    np.testing.assert_allclose(bits.pi, spin.pi, rtol=1e-12)
    np.testing.assert_allclose(bits.P, spin.P, rtol=0, atol=1e-14)


def test_fixture_numbers_of_the_specification():
    case = cases.named("rbm_3x3")
    assert round(case.pi.min(), 5) == 1.2e-4
    assert round(1 - sorted(abs(np.linalg.eigvals(case.P)))[-2], 2) == 0.75
    for name, second in (("rbm_slow_3x3", 0.87), ("rbm_slower_3x3", 0.95)):
        assert round(sorted(abs(np.linalg.eigvals(cases.named(name).P)))[-2], 2) == second


def test_one_hidden_unit_in_closed_form():
    case = cases.named("rbm_1x1")
    w, a, b = 1.3, -0.4, 0.7
    assert math.isclose(
        case.moments.log_z, math.log(1 + math.exp(a) + math.exp(b) + math.exp(a + b + w)), rel_tol=1e-14
    )


def test_temperature_enters_once():
    W, a, b = [[1.0, -0.5]], [0.2], [0.1, 0.3]
    hot = cases.rbm(W, a, b, beta=0.5)
    assert hot.beta == 0.5
    np.testing.assert_allclose(hot.energies, 0.5 * cases.rbm(W, a, b).energies, rtol=1e-14)


def test_clamped_case_is_the_conditional_law():
    whole, held = cases.named("rbm_3x3"), cases.named("rbm_3x3_clamped")
    keep = (whole.states[:, 0] == 1) & (whole.states[:, 4] == 0)
    np.testing.assert_allclose(held.pi, whole.pi[keep] / whole.pi[keep].sum(), rtol=1e-12)
    np.testing.assert_allclose(held.pi @ held.P, held.pi, rtol=0, atol=1e-14)
    assert (held.index(whole.states[~keep]) == -1).all()


def test_exact_draws_have_the_exact_law():
    """z of one mean, |z| < 5.5: false alarm 4e-8; sees 0.009 in a probability."""
    case = cases.named("rbm_3x3")
    drawn = case.draw(100_000, np.random.default_rng(1))
    top = int(case.pi.argmax())
    z = ((drawn == top).mean() - case.pi[top]) / math.sqrt(case.pi[top] * (1 - case.pi[top]) / 100_000)
    assert abs(z) < 5.5


def test_moments_are_sums_over_states():
    case = cases.named("boltzmann_4")
    for i, j in pairwise(range(4)):
        wanted = math.fsum(p * s[i] * s[j] for p, s in zip(case.pi, case.states, strict=True))
        assert math.isclose(case.moments.second[i, j], wanted, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: cases.rbm([[1.0]], [0.0, 1.0], [0.0]), ShapeError, r"a: expected shape \(1,\), got \(2,\)"),
        (lambda: cases.rbm([[math.nan]], [0.0], [0.0]), DomainError, "W: expected finite"),
        (lambda: cases.rbm(np.zeros((9, 9)), np.zeros(9), np.zeros(9)), ModelTooLargeError, "at most 12 units"),
        (lambda: cases.rbm([[1.0]], [0.0], [0.0], kernel="gibs"), DomainError, "kernel: expected one of"),
        (lambda: cases.rbm([[1.0]], [0.0], [0.0], clamp={2: 1}), DomainError, "clamp: expected units from 0 to 1"),
        (lambda: cases.rbm([[1.0]], [0.0], [0.0], clamp={0: -1}), DomainError, "clamp: expected values 0 or 1"),
        (lambda: cases.rbm([[1.0]], [0.0], [0.0], clamp={0: 1, 1: 1}), DomainError, "one free unit"),
        (lambda: cases.boltzmann([[0.0, 1.0], [2.0, 0.0]], [0.0, 0.0]), DomainError, "J: expected a symmetric"),
        (lambda: cases.boltzmann([[1.0]], [0.0]), DomainError, "J: expected a zero diagonal"),
        (lambda: cases.ising([[0.0]], [0.0], kernel="block_gibbs"), DomainError, "two layers"),
        (lambda: cases.ising([[0.0]], [0.0], beta=-1), DomainError, "beta: expected a positive number"),
        (lambda: cases.named("rbm_5x5"), DomainError, "name: expected one of"),
    ],
)
def test_bad_input_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
