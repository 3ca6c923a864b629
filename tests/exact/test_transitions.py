"""Transition matrices: products of site kernels, reversibility, spectra, closed forms, bounds, asymptotic variance."""

import math
import re

import numpy as np
import pytest
import reference
import strategies
from hypothesis import given
from laws import close
from members import MACHINE_5, RBM_2X4, RBM_3X2

import ebm_ref as er
from ebm_ref.errors import DomainError, ModelTooLargeError, ShapeError
from ebm_ref.exact.transitions import product_matrix_vectorized, spectrum
from ebm_ref.models.states import all_states

STAYS = np.eye(4)
mild = strategies.rbms(magnitude=3.0, max_side=3)


def site_kernel(model, i):
    """K_i by the definition: p(s_i | rest) from the joint law."""
    p = reference.joint_law(model)
    K = np.zeros((len(p), len(p)))
    for s in range(len(p)):
        for value in (s & ~(1 << i), s | (1 << i)):
            K[s, value] = p[value] / (p[s & ~(1 << i)] + p[s | (1 << i)])
    return K


def blocks(model):
    """K_h and K_x as products of site kernels."""
    nv, n = model.n_visible, model.n_units
    K_h = np.linalg.multi_dot([np.eye(2**n), *(site_kernel(model, i) for i in range(nv, n)), np.eye(2**n)])
    K_x = np.linalg.multi_dot([np.eye(2**n), *(site_kernel(model, i) for i in range(nv)), np.eye(2**n)])
    return K_h, K_x


@given(mild)
def test_scans_are_products_of_site_kernels(model):
    K = [site_kernel(model, i) for i in range(model.n_units)]
    order = [*range(model.n_visible, model.n_units), *range(model.n_visible)]
    forward = np.linalg.multi_dot([np.eye(len(K[0])), *(K[i] for i in order), np.eye(len(K[0]))])
    close(er.exact.transition_matrix(er.gibbs(model)), forward)
    close(er.exact.transition_matrix(er.block_gibbs(model)), forward)  # block Gibbs is the systematic scan h..., x...
    K_h, K_x = blocks(model)
    close(forward, K_h @ K_x)
    close(er.exact.transition_matrix(er.gibbs(model, "random")), sum(K) / len(K))
    there_and_back = forward @ np.linalg.multi_dot(
        [np.eye(len(K[0])), *(K[i] for i in order[-2::-1]), np.eye(len(K[0]))]
    )
    close(er.exact.transition_matrix(er.gibbs(model, "palindromic")), there_and_back)


@pytest.mark.parametrize("scan", ["systematic", "palindromic"])
@pytest.mark.parametrize("model", [RBM_3X2, RBM_2X4, MACHINE_5, er.RBM.random(5, 4, 2.0, seed=1)])
def test_compiled_rows_are_those_of_the_readable_twin(model, scan):
    sampler = er.gibbs(model, scan)
    energies = model.joint_energy(all_states(model.n_units))
    expected = product_matrix_vectorized(energies, sampler.site_schedule()[1])
    np.testing.assert_array_equal(er.exact.transition_matrix(sampler), expected)


@given(mild)
def test_site_kernels_are_reversible_projections(model):
    pi = reference.joint_law(model)
    for i in range(model.n_units):
        K = site_kernel(model, i)
        close(K @ K, K)
        assert er.exact.is_reversible(K, pi)


@given(mild)
def test_reversal_of_the_systematic_scan_is_the_scan_in_reverse_order(model):
    order = list(range(model.n_units))
    P = er.exact.transition_matrix(er.gibbs(model, order=order))
    back = er.exact.transition_matrix(er.gibbs(model, order=order[::-1]))
    flow = reference.joint_law(model)[:, None] * P
    close(flow.T, reference.joint_law(model)[:, None] * back)


@given(mild)
def test_what_is_reversible(model):
    pi, visible = reference.joint_law(model), reference.visible_law(model)
    for sampler in (er.gibbs(model, "random"), er.gibbs(model, "palindromic"), er.metropolis(model)):
        assert er.exact.is_reversible(er.exact.transition_matrix(sampler), pi)
    assert er.exact.is_reversible(er.exact.transition_matrix(er.block_gibbs(model), "visible"), visible)


def test_what_is_not_reversible():
    for model in (RBM_3X2, RBM_2X4):
        for sampler in (er.gibbs(model), er.block_gibbs(model)):
            assert not er.exact.is_reversible(er.exact.transition_matrix(sampler))
            assert not sampler.reversible


@given(strategies.rbms(magnitude=3.0, max_side=3))
def test_stationary_law(model):
    for sampler in (er.gibbs(model), er.metropolis(model), er.gibbs(model, "random")):
        P = er.exact.transition_matrix(sampler)
        if model.n_units > 1 or sampler.name == "gibbs":
            close(er.exact.stationary_distribution(P), reference.joint_law(model))
    close(
        er.exact.stationary_distribution(er.exact.transition_matrix(er.block_gibbs(model), "visible")),
        reference.visible_law(model),
    )


def test_small_probabilities_of_the_stationary_law_keep_their_digits():
    model = er.RBM.random(3, 2, 8.0, seed=1)
    got = er.exact.stationary_distribution(er.exact.transition_matrix(er.gibbs(model, "random")))
    exact = reference.joint_law(model)
    assert exact.min() < 1e-15
    assert np.all(np.abs(got / exact - 1) < 1e-8)


@given(mild)
def test_spectra_of_the_two_marginal_chains(model):
    """P = Th Tx on x and Q = Tx Th on h: eigenvalues in [0, 1], the same non-zero ones; K_h K_x too."""
    P = er.exact.transition_matrix(er.block_gibbs(model), "visible")
    Q = er.exact.transition_matrix(er.block_gibbs(model.swapped()), "visible")
    p, q = spectrum(P), spectrum(Q)
    assert np.isrealobj(p)
    assert p.min() > -1e-12
    assert p.max() <= 1 + 1e-12
    n = min(len(p), len(q))
    close(p[:n], q[:n])
    close(p[n:], np.zeros(len(p) - n))
    close(q[n:], np.zeros(len(q) - n))
    joint = er.exact.transition_matrix(er.block_gibbs(model))
    for power in range(1, 5):  # equal power sums: equal non-zero eigenvalues
        close(np.trace(np.linalg.matrix_power(joint, power)), np.sum(p**power))


@given(strategies.rbms(magnitude=3.0, max_side=2))
def test_random_block_scan(model):
    """(K_h + K_x)/2 has eigenvalues 1, (1 +- sqrt(l_i))/2 and one half: traces of powers against them."""
    K_h, K_x = blocks(model)
    values = spectrum(er.exact.transition_matrix(er.block_gibbs(model), "visible"))
    small, nx, nh = min(2**model.n_visible, 2**model.n_hidden), 2**model.n_visible, 2**model.n_hidden
    root = np.sqrt(np.maximum(values[1:small], 0))
    assert len(root) == small - 1
    expected = np.concatenate([[1.0], (1 + root) / 2, (1 - root) / 2, np.full(nx + nh - 2 * small, 0.5)])
    both = (K_h + K_x) / 2
    for power in range(1, 6):
        close(np.trace(np.linalg.matrix_power(both, power)), np.sum(expected**power))


@pytest.mark.parametrize("weight", [-6.0, -1.0, 0.3, 2.0, 9.0])
def test_closed_form_of_one_by_one(weight):
    """lambda_2 = corr(x, h)^2, without fields (a = b = -W/2) tanh(W/4)^2."""
    model = er.RBM([[weight]], [-weight / 2], [-weight / 2])
    P = er.exact.transition_matrix(er.block_gibbs(model), "visible")
    close(spectrum(P)[1], math.tanh(weight / 4) ** 2)
    close(er.exact.spectral_gap(P), 1 - math.tanh(weight / 4) ** 2)
    biased = er.RBM([[weight]], [0.7], [-1.1])
    m = er.exact.moments(biased)
    correlation = (m.xh[0, 0] - m.x[0] * m.h[0]) / math.sqrt(m.x[0] * (1 - m.x[0]) * m.h[0] * (1 - m.h[0]))
    close(spectrum(er.exact.transition_matrix(er.block_gibbs(biased), "visible"))[1], correlation**2, 1e-10)


@given(mild)
def test_dobrushin_bounds_the_second_eigenvalue(model):
    """lambda_2 <= rho(C C'), C_ij = tanh(|W_ij| / 4)."""
    C = np.tanh(np.abs(model.W) / 4)
    bound = np.linalg.eigvalsh(C @ C.T).max()
    assert spectrum(er.exact.transition_matrix(er.block_gibbs(model), "visible"))[1] <= bound + 1e-12


@given(mild)
def test_distance_to_the_law_decays_at_least_as_the_second_eigenvalue(model):
    """2 TV(delta_x P^k, p) <= sqrt((1 - p(x)) / p(x)) lambda_2^k, and TV never grows."""
    P, p = er.exact.transition_matrix(er.block_gibbs(model), "visible"), reference.visible_law(model)
    second = max(spectrum(P)[1], 0.0)
    power, before = np.eye(len(P)), np.full(len(P), 2.0)
    for k in range(1, 8):
        power = power @ P
        distance = np.abs(power - p).sum(axis=1)
        assert np.all(distance <= np.sqrt((1 - p) / p) * second**k + 1e-9)
        assert np.all(distance <= before + 1e-12)
        before = distance


def brute_force_variance(P, pi, f, lags):
    """sum over lags of the autocovariances."""
    f = f - pi @ f
    total, moved = (f * pi[:, None]).T @ f, f
    for _ in range(lags):
        moved = P @ moved
        total = total + (f * pi[:, None]).T @ moved + moved.T @ (f * pi[:, None])
    return total


@pytest.mark.parametrize(
    "sampler", [er.block_gibbs(RBM_3X2), er.gibbs(MACHINE_5, "random"), er.metropolis(RBM_3X2), er.gibbs(MACHINE_5)]
)
def test_asymptotic_covariance_is_the_sum_over_lags(sampler):
    P, pi = er.exact.transition_matrix(sampler), reference.joint_law(sampler.model)
    f = reference.statistics(sampler.model)
    expected = brute_force_variance(P, pi, f, 4000)
    got = er.exact.asymptotic_covariance(P, pi, f)
    close(got, expected, 1e-10)
    close(got, got.T)
    assert np.linalg.eigvalsh(got).min() > -1e-10
    close(er.exact.asymptotic_covariance(P, pi, f[:, 0]), expected[0, 0], 1e-10)
    independent = np.tile(pi, (len(pi), 1))
    close(er.exact.asymptotic_covariance(independent, None, f), np.cov(f.T, aweights=pi, bias=True), 1e-11)


def test_asymptotic_variance_from_the_spectrum():
    """sum_i (1 + l_i)/(1 - l_i) <f, phi_i>^2 for a reversible chain."""
    P = er.exact.transition_matrix(er.block_gibbs(RBM_3X2), "visible")
    p = reference.visible_law(RBM_3X2)
    root = np.sqrt(p)
    values, vectors = np.linalg.eigh((root[:, None] * P / root + (root[:, None] * P / root).T) / 2)
    f = np.sin(np.arange(8.0))
    weights = (vectors.T @ (root * f)) ** 2
    close(er.exact.asymptotic_covariance(P, p, f), np.sum(((1 + values) / (1 - values) * weights)[:-1]))


def test_visible_chain_of_a_sampler_that_forgets_h():
    """The systematic scan h..., x... is block Gibbs, also on x; a scan that remembers h is refused."""
    close(
        er.exact.transition_matrix(er.gibbs(RBM_3X2), "visible"),
        er.exact.transition_matrix(er.block_gibbs(RBM_3X2), "visible"),
    )
    for sampler in (er.gibbs(RBM_3X2, "random"), er.metropolis(RBM_3X2), er.gibbs(RBM_3X2, order=range(5))):
        with pytest.raises(DomainError, match="next x depends on h"):
            er.exact.transition_matrix(sampler, "visible")


BAD = (
    (
        lambda: er.exact.transition_matrix(er.gibbs(RBM_3X2), "hidden"),
        DomainError,
        "space: expected one of 'joint', 'visible'",
    ),
    (lambda: er.exact.stationary_distribution(STAYS), DomainError, "P: expected an irreducible chain"),
    (
        lambda: er.exact.stationary_distribution([[0.5, 0.4], [0.5, 0.5]]),
        DomainError,
        "P: expected a stochastic matrix",
    ),
    (
        lambda: er.exact.stationary_distribution([[1.5, -0.5], [0.5, 0.5]]),
        DomainError,
        "P: expected a stochastic matrix",
    ),
    (lambda: er.exact.spectral_gap([[1.0, 0.0]]), ShapeError, "P: expected shape (1, 1), got (1, 2)"),
    (lambda: er.exact.is_reversible(STAYS, [0.5, 0.5]), ShapeError, "pi: expected shape (4,), got (2,)"),
    (
        lambda: er.exact.asymptotic_covariance(STAYS, [0.25] * 4, [1.0]),
        ShapeError,
        "f: expected 4 rows, one for each state, got 1",
    ),
    (
        lambda: er.exact.transition_matrix(er.metropolis(er.RBM.random(10, 8))),
        ModelTooLargeError,
        "transition_matrix: 2**18",
    ),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        call()


def test_one_state():
    assert er.exact.spectral_gap([[1.0]]) == 1.0
    assert er.exact.stationary_distribution([[1.0]]) == [1.0]
