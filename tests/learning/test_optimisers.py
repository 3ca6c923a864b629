"""Optimisers by hand: three updates written out."""

import re

import numpy as np
import pytest
from laws import close
from members import MACHINE_5, RBM_3X2

import ebm_ref as er
from ebm_ref.errors import DomainError
from ebm_ref.models.record import leafwise, leaves

GRADIENTS = [er.RBM.random(3, 2, 1.0, seed=s) for s in (11, 12, 13)]


def run(optimiser, model=RBM_3X2, gradients=GRADIENTS):
    state = optimiser.init(model)
    for step, gradient in enumerate(gradients):
        model, state = optimiser.update(model, gradient, state, step)
    return model


@pytest.mark.parametrize("name", ["W", "a", "b"])
def test_sgd(name):
    p, *g = (leaves(m)[name] for m in (RBM_3X2, *GRADIENTS))
    close(leaves(run(er.sgd(0.1)))[name], p + 0.1 * (g[0] + g[1] + g[2]))
    v1 = g[0]
    v2 = 0.9 * v1 + g[1]
    v3 = 0.9 * v2 + g[2]
    close(leaves(run(er.sgd(0.1, momentum=0.9)))[name], p + 0.1 * (v1 + v2 + v3))
    decay = 0.1 * 0.02 if name == "W" else 0.0
    for one in g:
        p = (1 - decay) * p + 0.1 * one
    close(leaves(run(er.sgd(0.1, weight_decay=0.02)))[name], p)


@pytest.mark.parametrize("name", ["W", "a", "b"])
def test_adam(name):
    p, *g = (leaves(m)[name] for m in (RBM_3X2, *GRADIENTS))
    decay = 0.05 * 0.3 if name == "W" else 0.0
    m, v = 0.0, 0.0
    for t, one in enumerate(g, start=1):
        m, v = 0.8 * m + 0.2 * one, 0.95 * v + 0.05 * one**2
        p = (1 - decay) * p + 0.05 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-6)
    close(leaves(run(er.adam(0.05, 0.8, 0.95, 1e-6, weight_decay=0.3)))[name], p)


def test_the_first_update_of_adam_moves_every_parameter_by_the_rate():
    moved = leafwise(lambda new, old: np.abs(new - old), run(er.adam(0.01), gradients=GRADIENTS[:1]), RBM_3X2)
    for leaf in leaves(moved).values():
        close(leaf, np.full(leaf.shape, 0.01), 1e-8)


def test_a_rate_that_depends_on_the_update():
    rate = er.LinearDecay(0.4, 4)
    assert [rate(step) for step in (0, 1, 3, 4, 9)] == pytest.approx([0.4, 0.3, 0.1, 0.0, 0.0])
    g = [m.a for m in GRADIENTS]
    close(run(er.sgd(rate)).a, RBM_3X2.a + 0.4 * g[0] + 0.3 * g[1] + 0.2 * g[2])


def test_decay_of_a_machine_spares_its_biases():
    zero = MACHINE_5.tempered(0)
    shrunk, _ = er.sgd(0.5, weight_decay=0.2).update(MACHINE_5, zero, (), 0)
    close(shrunk.J, 0.9 * MACHINE_5.J)
    assert np.array_equal(shrunk.c, MACHINE_5.c)


def test_updates_are_pure():
    before = [leaf.copy() for leaf in leaves(RBM_3X2).values()]
    for optimiser in (er.sgd(0.1, 0.5), er.adam(0.1)):
        run(optimiser)
        assert all(np.array_equal(a, b) for a, b in zip(before, leaves(RBM_3X2).values(), strict=True))


def test_settings_name_every_switch():
    assert er.sgd(0.1, 0.5, 0.01).settings() == {"name": "sgd", "lr": "0.1", "momentum": 0.5, "weight_decay": 0.01}
    assert set(er.adam(0.1).settings()) == {"name", "lr", "beta1", "beta2", "eps", "weight_decay"}
    assert "n_updates=7" in er.sgd(er.LinearDecay(0.1, 7)).settings()["lr"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: er.sgd(0.0), "lr: expected a positive number, got 0.0"),
        (lambda: er.sgd(0.1, momentum=1.0), "momentum: expected a number in [0, 1), got 1.0"),
        (lambda: er.sgd(0.1, weight_decay=-1), "weight_decay: expected a number of at least 0, got -1"),
        (lambda: er.adam(float("nan")), "lr: expected a positive number, got nan"),
        (lambda: er.adam(0.1, eps=0), "eps: expected a positive number, got 0.0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(DomainError, match="^" + re.escape(message)):
        call()
