"""Each law of ``laws_grbm.py`` is run on a twin with one deliberate mistake, and must reject it."""

import laws_grbm
import numpy as np
import pytest
from members import GRBM_3X2

import ebm_ref as er

PARTS = (GRBM_3X2.W, GRBM_3X2.mu, GRBM_3X2.log_var, GRBM_3X2.b)


class DividedBySigma(er.GRBM):
    """The coupling of another convention: (v/sigma)'Wh."""

    def energy(self, v, h):
        s = np.exp(0.5 * self.log_var)
        return super().energy(v, h) + np.einsum("ni,ij,nj->n", v / s**2 - v / s, self.W, h)


class ForgetsTheBias(er.GRBM):
    def free_energy(self, v):
        return super().free_energy(v) + 1e-6 * self.b.sum()


class NoNormaliser(er.GRBM):
    def hidden_free_energy(self, h):
        return super().hidden_free_energy(h) + 0.5 * self.log_var.sum()


class CentredLogits(er.GRBM):
    def hidden_probabilities(self, v):
        return super().hidden_probabilities(v - self.mu)


class ScoreOfTheMode(er.GRBM):
    def score(self, v):
        return self.score_given_hidden(v, self.map_hidden(v))


class VarianceGradient(er.GRBM):
    """The coupling term of dE/dlog_var forgotten."""

    def energy_gradient(self, v, h, weights=None):
        g = super().energy_gradient(v, h, weights)
        w = np.ones(len(v)) if weights is None else weights
        away = w @ (v - self.mu) ** 2 / (2 * self.variance)
        return VarianceGradient(g.W, g.mu, -away, g.b)


class TemperatureOnWeights(er.GRBM):
    def tempered(self, beta):
        return er.GRBM(beta * self.W, self.mu, self.log_var - np.log(beta), beta * self.b)


class ShiftWithoutTheBias(er.GRBM):
    def rescaled(self, scale, shift=0.0):
        moved = super().rescaled(scale, shift)
        return er.GRBM(moved.W, moved.mu, moved.log_var, self.b)


class SigmaGradientAtFixedW(er.GRBM):
    def gradient_to_scaled(self, gradient):
        W, mu, _, b = super().gradient_to_scaled(gradient)
        return W, mu, 2 * gradient.log_var / np.sqrt(self.variance), b


class SharedArrays(er.GRBM):
    def __post_init__(self):
        pass


TWINS = (
    (laws_grbm.energy_is_the_equation, DividedBySigma),
    (laws_grbm.free_energy_sums_out_the_hidden_units, ForgetsTheBias),
    (laws_grbm.hidden_free_energy_integrates_out_the_visible_units, NoNormaliser),
    (laws_grbm.conditionals_follow_from_the_energy, CentredLogits),
    (laws_grbm.scores_are_derivatives, ScoreOfTheMode),
    (laws_grbm.energy_gradient_is_the_derivative, VarianceGradient),
    (laws_grbm.tempering_is_a_power_of_the_law, TemperatureOnWeights),
    (laws_grbm.conventions_are_exact_maps, ShiftWithoutTheBias),
    (laws_grbm.gradients_follow_the_conventions, SigmaGradientAtFixedW),
    (laws_grbm.a_model_is_frozen_and_keeps_its_own_copy, SharedArrays),
)


@pytest.mark.parametrize(("law", "twin"), TWINS)
def test_grbm_laws(law, twin):
    law(er.GRBM(*PARTS))
    with pytest.raises(AssertionError):
        law(twin(*(np.array(part) for part in PARTS)))


def test_every_grbm_law_has_a_twin():
    assert {law for law, _ in TWINS} == set(laws_grbm.GRBM_LAWS)
