"""Layers with hand-derived derivatives: no automatic differentiation anywhere.

A layer is a frozen record of parameters; y = f(x; theta), batches lead, images are NCHW.  ``_bar`` is a cotangent (the
derivative of a number L by the thing), ``_dot`` a tangent (the derivative of the thing along a line x + e x_dot).

    forward(x) -> (y, cache)
    pullback(cache, y_bar) -> x_bar = J'y_bar
    vjp(cache, y_bar) -> (x_bar, gradient), the gradient of <y_bar, y> summed over the batch, a record of the same type
    jvp(cache, x_dot) -> y_dot = J x_dot
    rvjp(cache, x_dot, y_bar, y_bar_dot) -> (x_bar_dot, gradient_dot), the tangent of vjp along (x_dot, y_bar_dot)
    output_shape(shape) -> shape, both without the batch; raises ShapeError where the layer does not fit

Layers made of layers, and networks, go the ways of rvjp one by one, so that nested layers go each of them once:

    tangents(cache, x_dot) -> (y_dot, dots)
    cotangents(cache, y_bar) -> (x_bar, bars)
    rvjp_from(cache, dots, bars, y_bar_dot) -> (x_bar_dot, gradient_dot)

Layers compute in the precision of their input.  Networks of layers: ``ebm_ref.models.nets``.
"""

from ebm_ref.models.layers.activation import Activation
from ebm_ref.models.layers.conv import Conv2d, ConvTranspose2d
from ebm_ref.models.layers.graph import Concat, Residual, Sequential, numbers_made
from ebm_ref.models.layers.group_norm import GroupNorm
from ebm_ref.models.layers.linear import Flatten, Linear
from ebm_ref.models.layers.resize import AvgPool, MaxPool, Pad, Upsample
from ebm_ref.models.layers.spectral_norm import SpectralNorm, update_spectral_norms
from ebm_ref.models.layers.time_bias import TimeBias, TimeScale, at_time, row_times

LAYERS = (
    Activation, AvgPool, Concat, Conv2d, ConvTranspose2d, Flatten, GroupNorm, Linear, MaxPool, Pad, Residual,
    Sequential, SpectralNorm, TimeBias, TimeScale, Upsample,
)  # fmt: skip

__all__ = (
    "LAYERS", "Activation", "AvgPool", "Concat", "Conv2d", "ConvTranspose2d", "Flatten", "GroupNorm", "Linear",
    "MaxPool", "Pad", "Residual", "Sequential", "SpectralNorm", "TimeBias", "TimeScale", "Upsample", "at_time",
    "numbers_made", "row_times", "update_spectral_norms",
)  # fmt: skip
