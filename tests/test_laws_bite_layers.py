"""Each law of ``laws_layers.py`` is run on twins with one deliberate mistake, and must reject them."""

import laws_layers
import numpy as np
import pytest
from members import LINEAR_3X2, conv, group_norm

from ebm_ref.models import layers as nn


class FaithfulLinear(nn.Linear):
    """No mistake: the twins of the linear layer differ from it only where they say so."""

    def vjp(self, cache, y_bar):
        x_bar, g = super().vjp(cache, y_bar)
        return x_bar, type(self)(g.W, g.b)

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        x_bar_dot, g = super().rvjp(cache, x_dot, y_bar, y_bar_dot)
        return x_bar_dot, type(self)(g.W, g.b)


class MeanOverTheBatch(FaithfulLinear):
    def vjp(self, cache, y_bar):
        x_bar, g = super().vjp(cache, y_bar)
        return x_bar, type(self)(g.W / len(y_bar), g.b / len(y_bar))


class TangentWithoutTheInput(FaithfulLinear):
    """W_bar_dot = x' y_bar_dot only."""

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        return super().rvjp(cache, 0 * x_dot, y_bar, y_bar_dot)


class TangentOfTheBias(FaithfulLinear):
    def jvp(self, cache, x_dot):
        return super().jvp(cache, x_dot) + 1e-9 * self.b


class UnflippedAdjoint(nn.Conv2d):
    """x_bar by a correlation with the same kernel, not with the flipped one."""

    def pullback(self, cache, y_bar):
        return nn.Conv2d(self.W.transpose(1, 0, 2, 3), np.zeros(2), 1, 1).forward(y_bar)[0]


class BatchNorm(nn.GroupNorm):
    """Couples the samples."""

    def forward(self, x):
        return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + self.eps), None


class TangentWithoutTheScale(nn.GroupNorm):
    """The term -(s_dot/s) x_bar forgotten."""

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        x_bar_dot, gradient = super().rvjp(cache, x_dot, y_bar, y_bar_dot)
        s_dot = self._normal_dot(cache, x_dot)[1]
        back = s_dot / cache[1] * self._groups(self.pullback(cache, y_bar))
        return x_bar_dot + back.reshape(x_bar_dot.shape), gradient


class StaleSigma(nn.SpectralNorm):
    """sigma taken for a constant: W_bar = G/sigma."""

    def _gradient(self, gradient):
        g = super()._gradient(gradient)
        sigma = self.normalised[1]
        return type(self)(nn.Linear(gradient.W / sigma, g.layer.b), g.u, g.v)


class NoCurvature(nn.Activation):
    """The term phi'' x_dot y_bar forgotten."""

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        return self.pullback(cache, y_bar_dot), self


class LopsidedCurvature(nn.Activation):
    """Curvature along a shifted tangent: not the derivative of any gradient."""

    def rvjp(self, cache, x_dot, y_bar, y_bar_dot):
        return super().rvjp(cache, np.roll(x_dot, 1, axis=-1), y_bar, y_bar_dot)


class Promotes(nn.Activation):
    def forward(self, x):
        y, cache = super().forward(x)
        return y * np.float64(1.0), cache


class InPlace(nn.Activation):
    def vjp(self, cache, y_bar):
        y_bar *= self.pullback(cache, np.ones_like(y_bar))
        return y_bar, self


LINEAR = (np.array(LINEAR_3X2.W), np.array(LINEAR_3X2.b))
KERNEL = conv(2, 2, 3, 3, padding=1)
NORM = group_norm(4, 2)

TWINS = (
    (laws_layers.shapes_are_as_announced, NORM, BatchNorm(NORM.gain, NORM.shift, 2), (4, 2, 3)),
    (laws_layers.vjp_is_the_adjoint_of_jvp, KERNEL, UnflippedAdjoint(KERNEL.W, KERNEL.b, 1, 1), (2, 4, 3)),
    (laws_layers.jvp_is_the_derivative, FaithfulLinear(*LINEAR), TangentOfTheBias(*LINEAR), (3,)),
    (laws_layers.gradient_is_the_derivative, FaithfulLinear(*LINEAR), MeanOverTheBatch(*LINEAR), (3,)),
    (
        laws_layers.gradient_is_the_derivative,
        nn.SpectralNorm.of(LINEAR_3X2),
        StaleSigma(LINEAR_3X2, *(np.array(a) for a in (nn.SpectralNorm.of(LINEAR_3X2).u, [0.6, 0.8]))),
        (3,),
    ),
    (laws_layers.rvjp_is_the_tangent_of_vjp, FaithfulLinear(*LINEAR), TangentWithoutTheInput(*LINEAR), (3,)),
    (laws_layers.rvjp_is_the_tangent_of_vjp, NORM, TangentWithoutTheScale(NORM.gain, NORM.shift, 2), (4, 2, 3)),
    (laws_layers.rvjp_is_the_tangent_of_vjp, nn.Activation("silu"), NoCurvature("silu"), (5,)),
    (laws_layers.hessians_are_symmetric, nn.Activation("tanh"), LopsidedCurvature("tanh"), (5,)),
    (laws_layers.single_precision_stays_single, nn.Activation("silu"), Promotes("silu"), (5,)),
    (laws_layers.nothing_is_modified, nn.Activation("silu"), InPlace("silu"), (5,)),
)


@pytest.mark.parametrize(("law", "right", "twin", "shape"), TWINS)
def test_layer_laws(law, right, twin, shape):
    law(right, shape)
    with pytest.raises(AssertionError):
        law(twin, shape)


def test_every_layer_law_has_a_twin():
    assert {law for law, *_ in TWINS} == set(laws_layers.LAYER_LAWS)
