"""Each law of ``laws_energies.py`` is run on a twin with one deliberate mistake, and must reject it."""

import laws_energies
import numpy as np
import pytest
from members import MLP

import ebm_ref as er


class Faithful(er.NetworkEnergy):
    """No mistake: gradients of the twin's own type."""

    def _like(self, network):
        return type(self)(network, self.form, self.scale, self.base)


class ForgetsTheScale(Faithful):
    """c in the gradient, not in the energy."""

    def energy(self, x):
        return super().energy(x) / self.scale


class ScoreWithoutThePullback(Faithful):
    """dE/dx = f(x): the term J'x of the inner form forgotten."""

    def energy_and_score(self, x):
        energy, _ = super().energy_and_score(x)
        return energy, -self.scale * self.network.forward(self.network.rows("x", x))[0]


class ForgetsTheWeights(Faithful):
    def energy_gradient(self, x, weights=None):
        return super().energy_gradient(x)


class GaussNewton(Faithful):
    """The curvature of the network left out of the Hessian."""

    def hessian_vector(self, x, u):
        x, u = (self.network.rows("x", rows) for rows in (x, u))
        f, cache = self.network.forward(x)
        f_bar_dot, x_bar_dot = self._head(slice(None), x, f).dots(u, self.network.jvp(cache, u))
        return x_bar_dot + self.network.pullback(cache, f_bar_dot)


class ConstantCotangent(Faithful):
    """The head's cotangent taken for a constant along r."""

    def mixed_product(self, x, r, weights=None):
        x, r = (self.network.rows("x", rows) for rows in (x, r))
        f, cache = self.network.forward(x)
        f_bar = weights[:, None] * self._head(slice(None), x, f).f_bar
        return self._like(self.network.rvjp(cache, r, f_bar, 0 * f_bar)[1])


class ForgetsTheTarget(Faithful):
    def score_matching_gradient(self, x, target, weights=None):
        return super().score_matching_gradient(x, 0 * target, weights)


class ReturnsSingle(Faithful):
    def energy_and_score(self, x):
        return tuple(part.astype(np.float32) for part in super().energy_and_score(x))


TWINS = (
    (laws_energies.energy_is_the_equation, ForgetsTheScale),
    (laws_energies.score_is_the_derivative, ScoreWithoutThePullback),
    (laws_energies.energy_gradient_is_the_derivative, ForgetsTheWeights),
    (laws_energies.hessian_vector_is_the_tangent_of_the_gradient, GaussNewton),
    (laws_energies.mixed_product_is_the_derivative, ConstantCotangent),
    (laws_energies.score_matching_gradient_is_the_derivative, ForgetsTheTarget),
    (laws_energies.single_precision_agrees, ReturnsSingle),
)


@pytest.mark.parametrize(("law", "twin"), TWINS)
def test_energy_laws(law, twin):
    law(Faithful(MLP[2], "inner", 0.8))
    with pytest.raises(AssertionError):
        law(twin(MLP[2], "inner", 0.8))


def test_every_energy_law_has_a_twin():
    assert {law for law, _ in TWINS} == set(laws_energies.ENERGY_LAWS)
