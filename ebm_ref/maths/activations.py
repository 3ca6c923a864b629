"""Activation functions phi(z) with their first and second derivatives; alpha is the one parameter that some have.

               phi(z)                       phi'(z)                   phi''(z)               s = sigmoid(z)
(1) SiLU       z s                          s (1 + z (1-s))           s (1-s) (2 + z (1-2s))
(2) softplus   log(1 + exp z)               s                         s (1-s)
(3) tanh       t                            1 - t^2                   -2 t (1 - t^2)
(4) ELU        z > 0 ? z : alpha (e^z - 1)  z > 0 ? 1 : alpha e^z     z > 0 ? 0 : alpha e^z
(5) leaky ReLU z > 0 ? z : alpha z          z > 0 ? 1 : alpha         0 (almost everywhere)
Made of exp(-a) without branches or calls (maths/smooth), so that loops over them vectorise; exponents below -708 count
as -708.  Before that the relative errors of (2) to (4) are below 8 units of 2^-53.
At the corner z = 0 of (4) and (5) the left branch holds.  [Elfwing et al. 2018; Clevert et al. 2016; Maas et al. 2013]

(6) exp(-a) in single precision to 2e-7, a >= 0, without branches or calls, so that loops over it vectorise:
    exp(-a) = 2^k 2^f,  k = round(-a / log 2),  |f| <= 1/2,  2^f by the polynomial of degree 5 with 2^0 = 1 whose
    largest error is least, 9.3e-8; a > 87 counts as 87.  Adding 1.5 2^23 rounds to an integer, whose bits then stand
    lowest; they are added to the exponent's.
"""

import math

import numpy as np

from ebm_ref.compile import jit
from ebm_ref.maths.smooth import exp_minus, expm1_minus, log1p_unit


def logistic(z):
    """sigmoid(z) without branches or calls; below exp(-708) it stays there."""
    e = exp_minus(abs(z))
    return (1.0 if z >= 0.0 else e) / (1.0 + e)


logistic = jit(logistic)


def silu(z, alpha):
    """(1)"""
    return z * logistic(z)


def silu_slope(z, alpha):
    """(1); 1-s = sigmoid(-z), without cancellation."""
    e = exp_minus(abs(z))
    s, rest = (1.0 if z >= 0.0 else e) / (1.0 + e), (e if z >= 0.0 else 1.0) / (1.0 + e)
    return s * (1.0 + z * rest)


def silu_curvature(z, alpha):
    """(1)"""
    e = exp_minus(abs(z))
    s, rest = (1.0 if z >= 0.0 else e) / (1.0 + e), (e if z >= 0.0 else 1.0) / (1.0 + e)
    return s * rest * (2.0 + z * (rest - s))


def smooth(z, alpha):
    """(2) as max(z, 0) + log(1 + exp(-|z|))."""
    return (z if z > 0.0 else 0.0) + log1p_unit(exp_minus(abs(z)))


def smooth_slope(z, alpha):
    """(2)"""
    return logistic(z)


def smooth_curvature(z, alpha):
    """(2) as e / (1 + e)^2 with e = exp(-|z|)."""
    e = exp_minus(abs(z))
    return e / ((1.0 + e) * (1.0 + e))


def tanh(z, alpha):
    """(3) as -m / (2 + m) with m = exp(-2|z|) - 1, and the sign of z."""
    m = expm1_minus(2.0 * abs(z))
    return -m / (2.0 + m) if z >= 0.0 else m / (2.0 + m)


def tanh_slope(z, alpha):
    """(3) as 4 e / (1 + e)^2 with e = exp(-2|z|), without cancellation."""
    e = exp_minus(2.0 * abs(z))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


def tanh_curvature(z, alpha):
    """(3)"""
    return -2.0 * tanh(z, alpha) * tanh_slope(z, alpha)


def elu(z, alpha):
    """(4)"""
    left = alpha * expm1_minus(0.0 if z > 0.0 else -z)
    return z if z > 0.0 else left


def elu_slope(z, alpha):
    """(4)"""
    left = alpha * exp_minus(0.0 if z > 0.0 else -z)
    return 1.0 if z > 0.0 else left


def elu_curvature(z, alpha):
    """(4)"""
    left = alpha * exp_minus(0.0 if z > 0.0 else -z)
    return 0.0 if z > 0.0 else left


def leaky_relu(z, alpha):
    """(5)"""
    return z if z > 0.0 else alpha * z


def leaky_relu_slope(z, alpha):
    """(5)"""
    return 1.0 if z > 0.0 else alpha


def leaky_relu_curvature(z, alpha):
    """(5)"""
    return 0.0


silu, silu_slope, silu_curvature = jit(silu), jit(silu_slope), jit(silu_curvature)
smooth, smooth_slope, smooth_curvature = jit(smooth), jit(smooth_slope), jit(smooth_curvature)
tanh, tanh_slope, tanh_curvature = jit(tanh), jit(tanh_slope), jit(tanh_curvature)
elu, elu_slope, elu_curvature = jit(elu), jit(elu_slope), jit(elu_curvature)
leaky_relu, leaky_relu_slope = jit(leaky_relu), jit(leaky_relu_slope)
leaky_relu_curvature = jit(leaky_relu_curvature)


# single precision -----------------------------------------------------------------------------------------------------

ONE, TWO, LARGEST, MAGIC = np.float32(1.0), np.float32(2.0), np.float32(87.0), np.float32(12582912.0)
LOG2E = np.float32(1.0 / math.log(2.0))
P1, P2, P3, P4, P5 = (
    np.float32(c)
    for c in (0.6931472149115924, 0.24022234624220784, 0.055503083622478105, 0.009671875061193068, 0.001340725909349319)
)


def exp_minus_roughly(a):
    """(6), float32."""
    t = np.float32((LARGEST if a > LARGEST else a) * LOG2E)
    shifted = np.float32(MAGIC - t)
    f = (MAGIC - shifted) - t
    power = np.float32(ONE + f * (P1 + f * (P2 + f * (P3 + f * (P4 + f * P5)))))
    return np.int32(power.view(np.int32) + (shifted.view(np.int32) << np.int32(23))).view(np.float32)


CONTRACT = ("contract",)  # the bounds are tested
exp_minus_roughly = jit(exp_minus_roughly, flags=CONTRACT, inlined=True)


def sigmoid_single(z):
    """1 / (1 + exp(-z)), float32."""
    e = exp_minus_roughly(abs(z))
    return (ONE if z >= np.float32(0.0) else e) / (ONE + e)


sigmoid_single = jit(sigmoid_single, flags=CONTRACT)


def silu_single(z, alpha):
    """(1), float32."""
    return z * sigmoid_single(z)


def silu_slope_single(z, alpha):
    """(1), float32."""
    s = sigmoid_single(z)
    return s * (ONE + z * (ONE - s))


def silu_curvature_single(z, alpha):
    """(1), float32."""
    s = sigmoid_single(z)
    return s * (ONE - s) * (TWO + z * (ONE - TWO * s))


silu_single, silu_slope_single = jit(silu_single, flags=CONTRACT), jit(silu_slope_single, flags=CONTRACT)
silu_curvature_single = jit(silu_curvature_single, flags=CONTRACT)
