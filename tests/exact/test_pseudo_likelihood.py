"""Pseudo-likelihood by brute force over flips, its gradient, and where it is the likelihood."""

import numpy as np
import pytest
import reference
import strategies
from hypothesis import given
from laws import close
from members import MACHINE_4, MACHINE_5, RBM_3X2

import ebm_ref as er
from ebm_ref.errors import DomainError
from ebm_ref.estimate import pseudo_likelihood


def brute_force(model, x):
    """sum_i log p(x_i | rest) from the law of x."""
    log_p = np.log(reference.visible_law(model))
    index = reference.index(x.astype(int))
    total = np.zeros(len(x))
    for i in range(model.n_visible):
        pair = np.stack([log_p[index & ~(1 << i)], log_p[index | (1 << i)]])
        total += log_p[index] - np.logaddexp(pair[0], pair[1])
    return total


@given(strategies.rbms(magnitude=8.0))
def test_brute_force(model):
    x = reference.states(model.n_visible)
    close(er.pseudo_log_likelihood(model, x), brute_force(model, x), 1e-10)


@pytest.mark.parametrize("scale", [0.01, 3.0, 60.0])
def test_products_and_sums_of_flips_agree(scale):
    """Also for units that are almost surely on or off; where products would overflow, the sums are taken."""
    model, x = er.RBM.random(6, 9, scale, seed=1), reference.states(6)
    delta, c = 1 - 2 * x, model.hidden_logits(x)
    by_sums = pseudo_likelihood.rises_by_sums(model, x, delta, c)
    close(pseudo_likelihood.rises_by_products(model, x, delta, c), by_sums, 1e-11)
    stronger = er.RBM(20 * model.W, model.a, model.b)
    assert np.all(np.isfinite(pseudo_likelihood.flip_differences(stronger, x)))


def test_a_fully_visible_machine():
    x = reference.states(4)
    close(er.pseudo_log_likelihood(MACHINE_4, x), brute_force(MACHINE_4, x))
    with pytest.raises(DomainError, match="fully visible"):
        er.pseudo_log_likelihood(MACHINE_5, [[1, 0, 1]])


@given(strategies.rbms(magnitude=3.0))
def test_gradient(model):
    x = reference.states(model.n_visible)[1:]
    expected = reference.gradient(lambda m: er.pseudo_log_likelihood(m, x).mean(), model)
    got = reference.vector(er.pseudo_log_likelihood_gradient(model, x))
    assert np.linalg.norm(got - expected) <= 1e-7 * max(np.linalg.norm(expected), 1e-3)


@given(strategies.rbms(max_side=5))
def test_one_visible_unit_has_no_rest(model):
    one = er.RBM(model.W[:1], model.a[:1], model.b)
    close(er.pseudo_log_likelihood(one, [[0], [1]]), er.exact.log_prob(one, [[0], [1]]))


def test_the_true_parameters_are_a_stationary_point_in_expectation():
    p, x = reference.visible_law(RBM_3X2), reference.states(3)
    gradients = [reference.vector(er.pseudo_log_likelihood_gradient(RBM_3X2, row[None])) for row in x]
    close(p @ np.array(gradients), np.zeros(11))
    mean = p @ er.pseudo_log_likelihood(RBM_3X2, x)
    for seed in range(5):
        near = reference.from_vector(
            RBM_3X2, reference.vector(RBM_3X2) + reference.vector(er.RBM.random(3, 2, seed=seed))
        )
        assert p @ er.pseudo_log_likelihood(near, x) < mean


def test_strong_weights_do_not_overflow():
    strong = RBM_3X2.tempered(500.0)
    assert np.all(np.isfinite(er.pseudo_log_likelihood(strong, reference.states(3))))
