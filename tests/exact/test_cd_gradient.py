"""The exact expectation of CD-k: brute force over paths, and the facts that make it CD and not a gradient."""

import numpy as np
import pytest
import reference
import strategies
from hypothesis import given
from laws import close
from members import RBM_2X4, RBM_3X2

import ebm_ref as er
from ebm_ref.errors import DomainError

DATA = reference.states(3)[[1, 6, 6, 4]]


def brute_force(model, x, k):
    """Average over the data of T(x_0) - sum over paths x_0, h_1, x_1, ... of their probability times T(x_k)."""
    joint = reference.joint_law(model).reshape(2**model.n_hidden, 2**model.n_visible)
    n_x, n_h = joint.shape[1], joint.shape[0]
    T = (joint / joint.sum(axis=0))[:, :, None] * reference.statistics(model).reshape(n_h, n_x, -1)
    T = T.sum(axis=0)  # E[T | x]
    total = np.zeros(T.shape[1])
    for start in reference.index(x.astype(int)):
        law = {int(start): 1.0}
        for _ in range(k):
            after = dict.fromkeys(range(n_x), 0.0)
            for state, mass in law.items():
                for h in range(n_h):
                    for end in range(n_x):
                        after[end] += mass * joint[h, state] / joint[:, state].sum() * joint[h, end] / joint[h].sum()
            law = after
        total += T[start] - sum(mass * T[state] for state, mass in law.items())
    return total / len(x)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize(("model", "x"), [(RBM_3X2, DATA), (RBM_2X4, reference.states(2)[[1, 1, 2]])])
def test_brute_force(model, x, k):
    close(reference.vector(er.exact.cd_gradient(model, x, k)), brute_force(model, x, k))


@given(strategies.rbms(magnitude=3.0, max_side=3))
def test_no_step_gives_nothing_and_many_give_the_gradient(model):
    x = reference.states(model.n_visible)[1:]
    assert not reference.vector(er.exact.cd_gradient(model, x, 0)).any()
    weak = model.tempered(0.3)
    gradient = reference.vector(er.exact.log_likelihood_gradient(weak, x))
    close(reference.vector(er.exact.cd_gradient(weak, x, 400)), gradient, 1e-9)


def test_the_model_is_a_fixed_point():
    """d = p(x) gives 0 for every k: the updates at single rows average to nothing under p."""
    p = reference.visible_law(RBM_3X2)
    for k in (1, 2, 5):
        updates = [reference.vector(er.exact.cd_gradient(RBM_3X2, row[None], k)) for row in reference.states(3)]
        close(p @ np.array(updates), np.zeros(11))


def test_the_bias_is_bounded_and_falls_with_k():
    """|bias| <= |d_k - p|_1 (statistics lie in [0, 1]), TV never grows, chi^2 falls as lambda_2^(2k)."""
    p, d = reference.visible_law(RBM_3X2), np.bincount(reference.index(DATA.astype(int)), minlength=8) / 4
    P = er.exact.transition_matrix(er.block_gibbs(RBM_3X2), "visible")
    second = er.exact.transitions.spectrum(P)[1]
    exact = reference.vector(er.exact.log_likelihood_gradient(RBM_3X2, DATA))
    chi0, before = np.sum((d - p) ** 2 / p), 2.0
    for k in range(1, 12):
        d = d @ P
        distance = np.abs(d - p).sum()
        bias = np.abs(reference.vector(er.exact.cd_gradient(RBM_3X2, DATA, k)) - exact)
        assert bias.max() <= distance + 1e-12
        assert distance <= before
        assert np.sum((d - p) ** 2 / p) <= second ** (2 * k) * chi0 + 1e-15
        before = distance


def jacobian(update):
    at, h = reference.vector(RBM_3X2), 1e-4
    columns = []
    for unit in np.eye(len(at)):
        up, down = (reference.vector(update(reference.from_vector(RBM_3X2, at + s * h * unit))) for s in (1, -1))
        columns.append((up - down) / (2 * h))
    return np.array(columns).T


def test_cd_is_the_gradient_of_no_function():
    """The Jacobian of an exact gradient is symmetric; that of the expected CD-k update is not."""
    J = jacobian(lambda m: er.exact.log_likelihood_gradient(m, DATA))
    assert np.abs(J - J.T).max() < 1e-9
    asymmetry = []
    for k in (1, 3):
        J = jacobian(lambda m, k=k: er.exact.cd_gradient(m, DATA, k))
        asymmetry.append(np.abs(J - J.T).max())
    assert asymmetry[0] > asymmetry[1] > 1e-5


def test_bad_input():
    with pytest.raises(DomainError, match=r"^data: expected only 0 and 1, got 0.5"):
        er.exact.cd_gradient(RBM_3X2, [[0.5, 0, 1]])
    with pytest.raises(DomainError, match=r"^k: expected an integer of at least 0"):
        er.exact.cd_gradient(RBM_3X2, DATA, -1)
