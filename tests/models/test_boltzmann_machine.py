"""What is true of every Boltzmann machine, and of an RBM seen as one."""

import numpy as np
import pytest
import reference
import strategies
from hypothesis import given
from hypothesis import strategies as st
from laws import close
from members import MACHINE_5

import ebm_ref as er
from ebm_ref.oracle import naive


@given(strategies.rbms())
def test_an_rbm_is_a_machine(model):
    """J = [[0, W], [W', 0]], c = (a, b): the same energies, free energies, conditionals, log Z."""
    machine = model.to_boltzmann()
    s, x = reference.states(model.n_units), reference.states(model.n_visible)
    close(machine.joint_energy(s), reference.energies(model))
    close(machine.free_energy(x), model.free_energy(x))
    close(machine.hidden_probabilities(x), model.hidden_probabilities(x))
    close(er.exact.log_partition(machine), er.exact.log_partition(model))
    close(er.exact.moments(machine).xh, er.exact.moments(model).xh)
    assert machine.n_visible == model.n_visible
    assert machine.to_boltzmann() is machine


@given(strategies.machines())
def test_flips_and_fields(model):
    """E(flip_i s) - E(s) = -(1 - 2 s_i) f_i, and p(s_i=1|rest) = sigmoid(f_i) from two energies."""
    s, E = reference.states(model.n_units), np.array(reference.energies(model))
    field, p = model.field(s), model.unit_probabilities(s)
    for i in range(model.n_units):
        flipped = np.arange(len(s)) ^ (1 << i)
        close(-(1 - 2 * s[:, i]) * field[:, i], E[flipped] - E, 1e-11)
        close(p[:, i], [naive.probability_up(E.tolist(), index, i) for index in range(len(s))])


@given(strategies.machines())
def test_spins(model):
    J, c, constant = model.to_spins()
    spins = [naive.ising_energy(J.tolist(), c.tolist(), t) for t in naive.states(model.n_units, (-1, 1))]
    close(np.array(spins) + constant, reference.energies(model))
    close(reference.vector(er.BoltzmannMachine.from_spins(J, c, model.n_visible)), reference.vector(model))


@given(strategies.machines(), st.data())
def test_unit_flips(model, data):
    units = sorted(data.draw(st.sets(st.integers(0, model.n_units - 1))))
    other, constant = model.flipped(units)
    s = reference.states(model.n_units)
    turned = s.copy()
    turned[:, units] = 1 - s[:, units]
    close(other.joint_energy(turned) + constant, model.joint_energy(s))


@given(strategies.machines())
def test_posterior_of_the_hidden_units(model):
    table = reference.joint_law(model).reshape(-1, 2**model.n_visible).T
    held = table.sum(axis=1) > 1e-250
    posterior = model.hidden_posterior(reference.states(model.n_visible))
    close(posterior[held], table[held] / table[held].sum(axis=1, keepdims=True))
    close(posterior.sum(axis=1), np.ones(len(table)))


def test_the_gradient_holds_a_pair_in_both_triangles():
    """A directional derivative sums over i < j: moving J_ij and J_ji together by one changes E by -s_i s_j."""
    s = reference.states(5)
    g = MACHINE_5.energy_gradient(s)
    pairs = s.T @ s
    np.fill_diagonal(pairs, 0)
    close(g.J, -pairs)
    close(g.c, -s.sum(axis=0))
    assert np.array_equal(g.J, g.J.T)


def test_a_fully_visible_machine_is_concave():
    """Its likelihood gradient is data minus model moments; the Hessian, -Cov(T), has no positive eigenvalue."""
    model = er.BoltzmannMachine.random(4, 1.0, seed=11)
    fisher = er.exact.fisher_information(model)
    assert np.linalg.eigvalsh(fisher).min() > 0
    x = reference.states(4)[[1, 5, 5, 12]]
    gradient = reference.vector(er.exact.log_likelihood_gradient(model, x))
    T = reference.statistics(model)
    close(gradient, T[[1, 5, 5, 12]].mean(axis=0) - reference.joint_law(model) @ T)


@pytest.mark.parametrize("n_visible", [-1, 0, 2, 5])
def test_number_of_visible_units(n_visible):
    m = er.BoltzmannMachine.random(5, seed=1, n_visible=n_visible)
    expected = 5 if n_visible == -1 else n_visible
    assert (m.n_visible, m.n_hidden, m.n_units) == (expected, 5 - expected, 5)
    assert m.tempered(2.0).n_visible == expected
    assert repr(m) == "BoltzmannMachine(J=(5, 5), c=(5,))"
