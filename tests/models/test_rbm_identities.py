"""What is true of every RBM: symmetries, gauges, limits, closed forms.  Sums by the oracle's loops."""

import math

import numpy as np
import pytest
import reference
import strategies
from hypothesis import given
from hypothesis import strategies as st
from laws import close
from members import RBM_3X2

import ebm_ref as er
from ebm_ref.oracle import naive

LOG2 = math.log(2)
rbms = strategies.rbms


def all_rows(model):
    """(x, h) of every joint state."""
    s = reference.states(model.n_units)
    return s[:, : model.n_visible], s[:, model.n_visible :]


def softplus(z):
    return np.logaddexp(0.0, z)


def spin_energies(J, c):
    """E = -1/2 t'Jt - c.t of every spin state, by loops."""
    return [
        naive.ising_energy(np.asarray(J).tolist(), np.asarray(c).tolist(), t) for t in naive.states(len(c), (-1, 1))
    ]


@given(rbms())
def test_probabilities_sum_to_one(model):
    close(er.exact.probabilities(model).sum(), 1.0)
    close(er.exact.joint_probabilities(model).sum(), 1.0)
    close(er.exact.joint_probabilities(model), reference.joint_law(model))


@given(rbms())
def test_exchanging_the_layers_exchanges_the_answers(model):
    x, h = all_rows(model)
    other = er.RBM(model.W.T, model.b, model.a)
    close(other.energy(h, x), model.energy(x, h))
    close(other.free_energy(h), model.hidden_free_energy(h))
    close(other.hidden_free_energy(x), model.free_energy(x))
    close(other.visible_probabilities(x), model.hidden_probabilities(x))
    close(er.exact.log_partition(other), er.exact.log_partition(model))
    assert np.array_equal(other.swapped().W, model.W)


@given(rbms())
def test_the_posterior_is_energy_against_free_energy(model):
    """log p(h|x) = -E + F, which must be the product of the Bernoulli laws of ``hidden_probabilities``."""
    x, h = all_rows(model)
    c = model.hidden_logits(x)
    close(-model.energy(x, h) + model.free_energy(x), (h * c - softplus(c)).sum(axis=1))
    z = model.visible_logits(h)
    close(-model.energy(x, h) + model.hidden_free_energy(h), (x * z - softplus(z)).sum(axis=1))


@given(rbms())
def test_log_prob_is_free_energy_minus_log_z(model):
    with np.errstate(divide="ignore"):
        exact = np.log(reference.visible_law(model))
    got = er.exact.log_prob(model, reference.states(model.n_visible))
    held = exact > -700
    close(got[held], exact[held])


@given(rbms())
def test_spins(model):
    """E on {0,1} = E on {-1,+1} + constant; the map back is its inverse; log Z moves by the constant."""
    W, a, b, constant = model.to_spins()
    J = np.block([[np.zeros((len(a),) * 2), W], [W.T, np.zeros((len(b),) * 2)]])
    spins = spin_energies(J, np.concatenate([a, b]))
    close(np.array(spins) + constant, reference.energies(model))
    close(naive.log_z(spins) - constant, er.exact.log_partition(model))
    close(reference.vector(er.RBM.from_spins(W, a, b)), reference.vector(model))


@given(rbms(), st.data())
def test_unit_flips(model, data):
    visible = sorted(data.draw(st.sets(st.integers(0, model.n_visible - 1))))
    hidden = sorted(data.draw(st.sets(st.integers(0, model.n_hidden - 1))))
    other, constant = model.flipped(visible, hidden)
    x, h = all_rows(model)
    fx, fh = x.copy(), h.copy()
    fx[:, visible], fh[:, hidden] = 1 - x[:, visible], 1 - h[:, hidden]
    close(other.energy(fx, fh) + constant, model.energy(x, h))
    close(er.exact.log_partition(other) - constant, er.exact.log_partition(model))
    back, undo = other.flipped(visible, hidden)
    close(reference.vector(back), reference.vector(model))
    close(undo + constant, 0.0, 1e-11)


@given(rbms(), st.data())
def test_centring(model, data):
    m = data.draw(strategies.parameters((model.n_visible,), 1.0))
    n = data.draw(strategies.parameters((model.n_hidden,), 1.0))
    other, constant = er.RBM.from_centred(model.W, model.a, model.b, m, n)
    x, h = all_rows(model)
    centred = [
        -model.a @ xi - model.b @ hi - sum((xi[i] - m[i]) * model.W[i] @ (hi - n) for i in range(len(m)))
        for xi, hi in zip(x, h, strict=True)
    ]
    close(other.energy(x, h) + constant, centred)


@given(rbms(), st.data())
def test_relabelling(model, data):
    """Permuted hidden units leave p(x); permuted visible units permute it."""
    px = np.array(data.draw(st.permutations(range(model.n_visible))))
    ph = np.array(data.draw(st.permutations(range(model.n_hidden))))
    x = reference.states(model.n_visible)
    relabelled = er.RBM(model.W[:, ph], model.a, model.b[ph])
    close(er.exact.log_prob(relabelled, x), er.exact.log_prob(model, x))
    both = er.RBM(model.W[px][:, ph], model.a[px], model.b[ph])
    close(er.exact.log_prob(both, x[:, px]), er.exact.log_prob(model, x))
    close(both.hidden_probabilities(x[:, px]), model.hidden_probabilities(x)[:, ph])


@given(rbms())
def test_without_weights_everything_factorises(model):
    free = er.RBM(np.zeros_like(model.W), model.a, model.b)
    close(er.exact.log_partition(free), softplus(free.a).sum() + softplus(free.b).sum())
    m = er.exact.moments(free)
    close(m.xh, np.outer(m.x, m.h))
    joint = er.exact.joint_probabilities(free).reshape(2**free.n_hidden, -1)
    close(joint, np.outer(joint.sum(1), joint.sum(0)))  # no mutual information of x and h
    P = er.exact.transition_matrix(er.block_gibbs(free), "visible")
    close(P, np.tile(P[0], (len(P), 1)))  # rank one: the first step forgets
    x = reference.states(free.n_visible)[1:]
    close(er.pseudo_log_likelihood(free, x), er.exact.log_prob(free, x))
    cd, exact = er.exact.cd_gradient(free, x, 1), er.exact.log_likelihood_gradient(free, x)
    close(reference.vector(cd), reference.vector(exact))


@given(rbms(max_side=4), strategies.numbers())
def test_a_unit_without_weights_multiplies_z(model, bias):
    wider = er.RBM(np.hstack([model.W, np.zeros((model.n_visible, 1))]), model.a, [*model.b, bias])
    taller = er.RBM(np.vstack([model.W, np.zeros((1, model.n_hidden))]), [*model.a, bias], model.b)
    for grown in (wider, taller):
        close(er.exact.log_partition(grown), er.exact.log_partition(model) + softplus(bias))
    x = reference.states(model.n_visible)
    close(er.exact.log_prob(wider, x), er.exact.log_prob(model, x))


@given(rbms(max_side=3), rbms(max_side=3))
def test_blocks_that_do_not_meet_add_up(one, two):
    W = np.block([
        [one.W, np.zeros((one.n_visible, two.n_hidden))],
        [np.zeros((two.n_visible, one.n_hidden)), two.W],
    ])  # fmt: skip
    both = er.RBM(W, np.concatenate([one.a, two.a]), np.concatenate([one.b, two.b]))
    close(er.exact.log_partition(both), er.exact.log_partition(one) + er.exact.log_partition(two))
    close(er.exact.probabilities(both), np.outer(er.exact.probabilities(two), er.exact.probabilities(one)).ravel())


@pytest.mark.parametrize("method", ["product", "gray", "vectorized"])
@pytest.mark.parametrize("n_hidden", [3, 40, 1000, 5000])
def test_equal_hidden_units_are_one_binomial_unit(method, n_hidden):
    """log Z = LSE_m [log C(n, m) + m b + sum_i softplus(a_i + m w_i)]: exact for thousands of units."""
    w, a, b = np.array([0.03, -0.05, 0.011, 0.02]), np.array([-0.4, 0.3, 0.9, -1.2]), -0.35
    tied = er.RBM(np.tile(w[:, None], (1, n_hidden)), a, np.full(n_hidden, b))
    terms = [
        math.lgamma(n_hidden + 1)
        - math.lgamma(m + 1)
        - math.lgamma(n_hidden - m + 1)
        + m * b
        + softplus(a + m * w).sum()
        for m in range(n_hidden + 1)
    ]
    close(er.exact.log_partition(tied, method=method), np.logaddexp.reduce(terms))


@given(rbms(max_side=5))
def test_one_hidden_unit_mixes_two_products(model):
    one = er.RBM(model.W[:, :1], model.a, model.b[:1])
    on, off = one.visible_probabilities([[1.0]])[0], one.visible_probabilities([[0.0]])[0]
    share = er.exact.moments(one).h[0]
    x = reference.states(one.n_visible)

    def product(p):
        return np.prod(np.where(x == 1, p, 1 - p), axis=1)

    close(er.exact.probabilities(one), share * product(on) + (1 - share) * product(off))


@given(strategies.parameters((4,), 5.0), strategies.parameters((3,), 5.0), st.floats(-2, 2))
def test_rank_one_weights_depend_on_h_through_one_number(u, v, bias):
    """W = u v': log Z = LSE_h [b.h + sum_i softplus(a_i + u_i (v.h))]."""
    model = er.RBM(np.outer(u, v), np.full(4, bias), np.linspace(-1, 1, 3))
    terms = [h @ model.b + softplus(model.a + u * (v @ h)).sum() for h in reference.states(3)]
    close(er.exact.log_partition(model), np.logaddexp.reduce(terms))


@given(strategies.parameters((5,), 20.0))
def test_a_star_of_spins(w):
    """One hidden spin without fields: Z = 2 prod_i 2 cosh w_i."""
    model = er.RBM.from_spins(w[:, None], np.zeros(5), [0.0])
    *_, constant = model.to_spins()
    log_cosh = np.logaddexp(w, -w)
    close(er.exact.log_partition(model), LOG2 + log_cosh.sum() - constant)


@given(rbms(magnitude=5.0))
def test_hot_and_cold_limits(model):
    """beta = 0: uniform.  beta large: -log Z / beta -> min E, within n log 2 / beta; F/beta -> min_h E."""
    hot = model.tempered(0.0)
    close(er.exact.probabilities(hot), np.full(2**model.n_visible, 0.5**model.n_visible))
    close(hot.free_energy(reference.states(model.n_visible)), np.full(2**model.n_visible, -model.n_hidden * LOG2))
    ground = min(reference.energies(model))
    for beta in (10.0, 1e3):
        gap = ground + er.exact.log_partition(model.tempered(beta)) / beta
        assert -1e-12 * max(1, abs(ground)) <= gap <= model.n_units * LOG2 / beta + 1e-12 * max(1, abs(ground))
    x = reference.states(model.n_visible)
    lowest = np.reshape(reference.energies(model), (-1, len(x))).min(axis=0)
    assert np.all(np.abs(model.tempered(1e3).free_energy(x) / 1e3 - lowest) <= model.n_hidden * LOG2 / 1e3 + 1e-11)


@given(rbms())
def test_the_most_probable_hidden_state(model):
    x = reference.states(model.n_visible)
    h = model.map_hidden(x)
    table = np.reshape(reference.energies(model), (-1, len(x)))
    close(model.energy(x, h), table.min(axis=0))
    tie = er.RBM(np.zeros((2, 2)), [0, 0], [0.0, 1.0])
    assert np.array_equal(tie.map_hidden([[1, 0]]), [[0, 1]])


def test_random_is_generic_and_addressed():
    m = er.RBM.random(6, 5, 0.5, seed=3)
    assert m.W.shape == (6, 5)
    assert np.array_equal(m.W, er.RBM.random(6, 5, 0.5, seed=3).W)
    assert not np.array_equal(m.W, er.RBM.random(6, 5, 0.5, seed=4).W)
    close(er.RBM.random(6, 5, 1.5, seed=3).W, 3 * m.W)
    assert len(np.unique(reference.vector(m))) == 41
    assert repr(m) == "RBM(W=(6, 5), a=(6,), b=(5,))"
    assert m.n_units == 11
    assert RBM_3X2.n_visible == 3
