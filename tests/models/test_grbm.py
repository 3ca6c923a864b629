"""The laws of a Gaussian-Bernoulli RBM, its extremes, files and doors."""

import re
from decimal import Decimal, getcontext

import laws
import laws_grbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from members import GRBM_3X2, GRBMS
from strategies import parameters

import ebm_ref as er
from ebm_ref.errors import DomainError, ShapeError


@st.composite
def grbms(draw, magnitude: float = 3.0):
    """A GRBM of 1 to 3 units a side."""
    nv, nh = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return er.GRBM(*(draw(parameters(shape, magnitude)) for shape in ((nv, nh), (nv,), (nv,), (nh,))))


@pytest.mark.parametrize("model", GRBMS)
@pytest.mark.parametrize("law", laws_grbm.GRBM_LAWS, ids=lambda law: law.__name__)
def test_member(law, model):
    law(model)


@pytest.mark.parametrize(
    "law",
    [
        laws_grbm.energy_is_the_equation,
        laws_grbm.free_energy_sums_out_the_hidden_units,
        laws_grbm.hidden_free_energy_integrates_out_the_visible_units,
        laws_grbm.tempering_is_a_power_of_the_law,
    ],
    ids=lambda law: law.__name__,
)
@given(model=grbms())
def test_random_model(law, model):
    law(model)


@pytest.mark.parametrize("model", GRBMS)
def test_a_file_keeps_every_bit(model, tmp_path):
    laws.a_file_keeps_every_bit(model, tmp_path)


@pytest.mark.parametrize("log_var", [-20.0, 20.0])
def test_extreme_parameters_against_fifty_digits(log_var):
    """W of 50, b of 1000, log_var of +-20: relative to the largest term, since the sum may cancel."""
    getcontext().prec = 50
    model = er.GRBM([[50.0, -50.0]], [0.3], [log_var], [1000.0, -1000.0])
    s2 = Decimal(log_var).exp()
    for v in (-2.0, 0.3, 70.0):
        square = (Decimal(v) - Decimal("0.299999999999999988897769753748")) ** 2 / (2 * s2)
        coupling = [Decimal(v) / s2 * w for w in (50, -50)]
        logits = [coupling[0] + 1000, coupling[1] - 1000]
        expected = square - sum(c if c > 100 else (1 + c.exp()).ln() for c in logits)
        scale = square + sum(abs(c) for c in logits) + 1
        assert abs(Decimal(float(model.free_energy([[v]])[0])) - expected) <= Decimal("1e-15") * 4 * scale
        assert np.all(np.isfinite(model.score([[v]])))
        got = model.hidden_logits([[v]])[0]
        assert np.allclose(got, [float(c) for c in logits], rtol=1e-13)


def test_a_start_for_training_has_the_mean_and_variance_of_the_data():
    data = np.column_stack([np.linspace(-1, 3, 50), np.full(50, 2.0), np.linspace(0, 1, 50) ** 2])
    start = er.GRBM.for_data(data, 400, seed=3)
    s2 = data.var(axis=0)
    s2[1] = s2[[0, 2]].mean()
    assert np.allclose(start.mu, data.mean(axis=0))
    assert np.allclose(start.variance, s2)
    assert not start.b.any()
    assert np.allclose((start.W**2).mean(axis=1) * 403, s2, rtol=0.4)  # 5.6 standard errors of 400 squares
    plain = er.GRBM.for_data(data, 2, learned_mean=False)
    assert not plain.mu.any()
    assert not plain.log_var.any()


def test_units_to_flip_may_be_a_mask():
    """A mask means the units where it is true, not units 0 and 1."""
    by_mask, constant = GRBM_3X2.flipped(np.array([True, False]))
    by_index, same = GRBM_3X2.flipped([0])
    assert constant == same
    assert all(np.array_equal(getattr(by_mask, name), getattr(by_index, name)) for name in ("W", "mu", "b"))


def test_random_models_are_repeatable_and_generic():
    a, b = (er.GRBM.random(3, 2, 0.5, seed=s) for s in (4, 4))
    assert np.array_equal(a.W, b.W)
    assert len(np.unique(np.concatenate([leaf.ravel() for leaf in (a.W, a.mu, a.log_var, a.b)]))) == 14


BAD = (
    (lambda: er.GRBM([[1.0], [2.0]], [0.0], [0, 0], [0]), ShapeError, "mu: expected shape (2,), got (1,)"),
    (lambda: er.GRBM([[1.0], [2.0]], [0.0, 0], [0], [0]), ShapeError, "log_var: expected shape (2,), got (1,)"),
    (lambda: er.GRBM([[1.0], [2.0]], [0.0, 0], [0, 0], [0, 0]), ShapeError, "b: expected shape (1,), got (2,)"),
    (lambda: er.GRBM([[1.0]], [0], [np.nan], [0]), DomainError, "log_var: expected finite numbers, got nan at [0]"),
    (
        lambda: er.GRBM([[1.0]], [0], [800.0], [0]).free_energy([[0.0]]),
        DomainError,
        "log_var: expected numbers in [-700, 700], got 800.0 at [0]",
    ),
    (lambda: GRBM_3X2.score([[1.0]]), ShapeError, "v: expected shape (any, 3), got (1, 1)"),
    (lambda: GRBM_3X2.energy([[1.0] * 3], [[1.0] * 2] * 2), ShapeError, "h: expected shape (1, 2), got (2, 2)"),
    (lambda: GRBM_3X2.tempered(0.0), DomainError, "beta: expected a positive number, got 0.0"),
    (lambda: er.GRBM.from_scaled([[1.0]], [0], [-1.0], [0]), DomainError, "sigma: expected positive numbers, got -1.0"),
    (lambda: er.GRBM.from_natural([[1.0]], [0], [0.0], [0]), DomainError, "gamma: expected positive precisions"),
    (lambda: GRBM_3X2.rescaled(0.0), DomainError, "scale: expected positive numbers, got 0.0"),
    (lambda: GRBM_3X2.rescaled([1.0, 2.0]), ShapeError, "scale: expected shape (3,), got (2,)"),
    (lambda: GRBM_3X2.rescaled(1.0, np.nan), DomainError, "shift: expected finite numbers, got nan"),
    (lambda: GRBM_3X2.flipped([2]), DomainError, "hidden: expected an integer of at least 0 and at most 1, got 2"),
    (lambda: GRBM_3X2.flipped([0.5]), DomainError, "hidden: expected an integer, got"),
    (lambda: GRBM_3X2.conditioned([True, False], [0]), ShapeError, "known: expected shape (3,), got (2,)"),
    (lambda: GRBM_3X2.conditioned([0.7], [0]), DomainError, "known: expected an integer, got"),
    (lambda: GRBM_3X2.conditioned([0, 0], [0, 0]), DomainError, "known: expected different unit indices, got [0, 0]"),
    (lambda: GRBM_3X2.conditioned([0], [np.nan]), DomainError, "values: expected finite numbers, got nan at [0]"),
    (
        lambda: er.GRBM.from_natural(np.ones((3, 2)), np.zeros(3), np.ones(2), np.zeros(2)),
        ShapeError,
        "gamma: expected shape (3,), got (2,)",
    ),
    (lambda: er.GRBM.for_data([[np.nan, 1.0]], 2), DomainError, "data: expected finite numbers, got nan at [0, 0]"),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_at_the_door(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        call()
