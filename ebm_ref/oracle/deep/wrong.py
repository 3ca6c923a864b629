"""Wrong energies and wrong derivatives of networks: changed entries in the tables of equations.

A mistake of the energy changes what is computed.  A mistake of the gradient computes the right energy and lets the
chain rule go wrong: ``held(x)`` is x without its derivative, and ``straight(f, slope, x)`` has the value of one formula
and the derivative of another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import mul
from typing import Any

from ebm_ref.oracle.deep.cases import RIGHT, Equations, NetworkCase
from ebm_ref.oracle.deep.equations import (
    ACTIVATIONS,
    added,
    affine,
    base_measure,
    conv,
    conv_transpose,
    each,
    flat,
    group_norm,
    largest,
    linear,
    pad,
    pooled,
    sigmoid,
    spectral_linear,
    tanh,
    total,
    upsample,
)
from ebm_ref.oracle.deep.network import Layer
from ebm_ref.oracle.deep.numbers import Number, exp, held, log, plain, power, where

Nested = Any
Change = Callable[[NetworkCase], Equations | None]


@dataclass(frozen=True)
class Mistake:
    """A changed entry: ``of`` "energy" (its derivatives follow), "gradient" or "parameters" (the energy is right)."""

    id: str
    description: str
    of: str
    change: Change
    case: str  # a fixture on which it shows

    def equations(self, case: NetworkCase) -> Equations | None:
        """What is believed of this case; None where the mistake means nothing."""
        return self.change(case)


def kinds_of(layers: tuple[Layer, ...]) -> set[str]:
    """All kinds, those of activations by their names."""
    found: set[str] = set()
    for layer in layers:
        found |= {layer.numbers[0] if layer.kind == "activation" else layer.kind, *kinds_of(layer.branch)}
    return found


def layer(kind: str, f: Callable[..., Nested]) -> Change:
    """Another equation of one kind of layer."""
    return lambda case: replace(RIGHT, kinds=RIGHT.kinds | {kind: f}) if kind in kinds_of(case.layers) else None


def layers(changed: dict[str, Callable[..., Nested]]) -> Change:
    """Other equations of several kinds."""
    return lambda case: replace(RIGHT, kinds=RIGHT.kinds | changed) if kinds_of(case.layers) & set(changed) else None


def head(form: str, f: Callable[..., Number]) -> Change:
    """Another energy in place of one form."""
    return lambda case: replace(RIGHT, heads=RIGHT.heads | {form: f}) if case.form == form else None


def phi(name: str, f: Callable[[Number, float], Number]) -> Change:
    """Another activation in place of one."""

    def activation(x: Nested, given: str, alpha: float) -> Nested:
        of = f if given == name else ACTIVATIONS[given]
        return each(lambda z: of(z, alpha), x)

    return lambda case: (
        replace(RIGHT, kinds=RIGHT.kinds | {"activation": activation}) if name in kinds_of(case.layers) else None
    )


def every_phi(f: Callable[[Number], Number]) -> Change:
    """Another activation everywhere."""
    known = set(ACTIVATIONS)
    change = replace(RIGHT, kinds=RIGHT.kinds | {"activation": lambda x, name, alpha: each(f, x)})
    return lambda case: change if known & kinds_of(case.layers) else None


def every_slope(slope: Callable[[Number, Number], Number]) -> Change:
    """The right activations with another derivative: slope(z, dz)."""

    def activation(x: Nested, name: str, alpha: float) -> Nested:
        return each(lambda z: straight(lambda s: ACTIVATIONS[name](s, alpha), lambda s: slope(z, s), z), x)

    change = replace(RIGHT, kinds=RIGHT.kinds | {"activation": activation})
    return lambda case: change if set(ACTIVATIONS) & kinds_of(case.layers) else None


def factor(value: Callable[[NetworkCase], float]) -> Change:
    """The energy times a number; nothing where that is 1."""
    return lambda case: replace(RIGHT, scale=value(case)) if value(case) != 1 else None


def base(f: Callable[[list[Number], float], Number]) -> Change:
    """Another base measure."""
    return lambda case: replace(RIGHT, base=f) if case.base is not None else None


def other_form(form: str) -> Change:
    """The energy of another form of the same network."""

    def change(case: NetworkCase) -> Equations | None:
        fits = case.n_outputs == case.n_visible or form == "square"
        known = case.form in ("inner", "residual", "square") and form != case.form
        return replace(RIGHT, heads=RIGHT.heads | {case.form: RIGHT.heads[form]}) if fits and known else None

    return change


# parts of wrong layers ------------------------------------------------------------------------------------------------


def all_held(x: Nested) -> Nested:
    """``held`` of every number."""
    return each(held, x)


def straight(f: Callable[[Nested], Nested], slope: Callable[[Nested], Nested], x: Nested) -> Nested:
    """f(x) with the derivative of the linear map ``slope``."""
    moved = added(x, each(lambda z: -held(z), x))  # x - x: zero, but with the derivative of x
    return added(f(all_held(x)), slope(moved))


def turned(W: Nested) -> Nested:
    """Transposed, if square."""
    return [list(row) for row in zip(*W, strict=True)] if len(W) == len(W[0]) else W


def flipped(W: Nested) -> Nested:
    """Kernels turned by 180 degrees."""
    return [[[row[::-1] for row in k[::-1]] for k in kernels] for kernels in W]


def swapped(W: Nested) -> Nested:
    """The first two axes of kernels exchanged, if they are equal in number."""
    return turned(W)


def zeros(b: Nested) -> Nested:
    """No biases."""
    return [0.0] * len(b)


def one_sided(x: Nested, W: Nested, b: Nested, stride: int, p: int) -> Nested:
    """All padding below and to the right."""
    return conv(pad(x, (0, 2 * p, 0, 2 * p)), W, b, stride, 0)


def normed(x: Nested, gain: Nested, shift: Nested, n_groups: int, root: Callable[[Number, int], Number]) -> Nested:
    """Group normalisation with another divisor: root(sum of squares, count)."""
    size, y = len(gain) // n_groups, []
    for c in range(len(gain)):
        own = flat(x[c // size * size : (c // size + 1) * size])
        mean = total(own) / len(own)
        s = root(total((z - mean) * (z - mean) for z in own), len(own))
        y.append(affine(x[c], mean, s, gain[c], shift[c]))
    return y


def eps_outside(x: Nested, gain: Nested, shift: Nested, n_groups: int, eps: float) -> Nested:
    """1/(sqrt(var) + eps)."""
    return normed(x, gain, shift, n_groups, lambda squares, n: power(power(squares / n, 0.5) + eps, -1))


def unbiased(x: Nested, gain: Nested, shift: Nested, n_groups: int, eps: float) -> Nested:
    """Divided by the count minus 1."""
    return normed(x, gain, shift, n_groups, lambda squares, n: power(squares / (n - 1) + eps, -0.5))


def statistics_held(x: Nested, gain: Nested, shift: Nested, n_groups: int, eps: float) -> Nested:
    """Mean and variance as constants."""
    size, y = len(gain) // n_groups, []
    for c in range(len(gain)):
        own = [held(z) for z in flat(x[c // size * size : (c // size + 1) * size])]
        mean = total(own) / len(own)
        s = power(total((z - mean) * (z - mean) for z in own) / len(own) + eps, -0.5)
        y.append(affine(x[c], mean, s, gain[c], shift[c]))
    return y


def held_sigma(x: Nested, W: Nested, b: Nested, u: tuple, v: tuple) -> Nested:
    """The spectral norm as a constant."""
    sigma = total(held(W[i][j]) * (u[i] * v[j]) for i in range(len(u)) for j in range(len(v)))
    return linear(x, [[w / sigma for w in row] for row in W], b)


def first_place(x: Nested, r: int) -> Nested:
    """Zeros between the numbers instead of copies."""
    keep = lambda i, j: 1.0 if i % r == 0 and j % r == 0 else 0.0  # noqa: E731
    return [[[z * keep(i, j) for j, z in enumerate(row)] for i, row in enumerate(c)] for c in upsample(x, r)]


def mean_pool(x: Nested, r: int) -> Nested:
    """Means of blocks."""
    return pooled(x, r, lambda block: total(block) / r**2)


def gelu(z: Number) -> Number:
    """z Phi(z) in its usual approximation."""
    return z * (tanh((z + z * z * z * 0.044715) * 0.7978845608028654) + 1) * 0.5


def bilinear_slope(f: Callable[..., Nested], at: Callable[[Nested], Nested]) -> Callable[..., Nested]:
    """f(x, W, b, ...) whose derivative by x takes other weights."""

    def wrong(x: Nested, W: Nested, b: Nested, *numbers: Any) -> Nested:
        return straight(lambda z: f(z, W, b, *numbers), lambda z: f(z, all_held(at(W)), zeros(b), *numbers), x)

    return wrong


def soft(values: list[Number]) -> list[Number]:
    """softmax."""
    raised = [exp(v) for v in values]
    return [z / total(raised) for z in raised]


def mistake(id: str, of: str, case: str, description: str, change: Change) -> Mistake:
    """In the order of the tables below."""
    return Mistake(id, description, of, change, case)


ENERGY: tuple[Mistake, ...] = (
    mistake("sign_of_energy", "energy", "mlp_inner", "sign of the energy", factor(lambda c: -1.0)),
    mistake("scale_omitted", "energy", "mlp_residual", "scale c omitted", factor(lambda c: 1.0 / c.scale)),
    mistake("halved", "energy", "mlp_inner", "a factor 1/2 that is not declared", factor(lambda c: 0.5)),
    mistake("doubled", "energy", "mlp_square", "a factor 2 that is not declared", factor(lambda c: 2.0)),
    mistake("mean_over_inputs", "energy", "mlp_inner", "mean over the coordinates for their sum",
            factor(lambda c: 1.0 / (c.n_visible if c.form in ("inner", "residual") else c.n_outputs))),
    mistake("base_omitted", "energy", "mlp_residual", "base measure omitted", base(lambda x, s: x[0] * 0)),
    mistake("base_not_squared", "energy", "jem_marginal", "|x|^2/(2 s0) for |x|^2/(2 s0^2)",
            base(lambda x, s: base_measure(x, s**0.5))),
    mistake("base_without_half", "energy", "mlp_scalar", "|x|^2/s0^2 for |x|^2/(2 s0^2)",
            base(lambda x, s: base_measure(x, s) * 2.0)),
    mistake("inner_for_form", "energy", "mlp_residual", "x.f(x) for the declared form", other_form("inner")),
    mistake("residual_for_form", "energy", "mlp_inner", "|x - f(x)|^2 for the declared form", other_form("residual")),
    mistake("square_for_form", "energy", "unet_inner", "|f(x)|^2 for the declared form", other_form("square")),
    mistake("residual_plus", "energy", "mlp_residual", "|x + f(x)|^2",
            head("residual", lambda x, f, y: total((a + b) * (a + b) for a, b in zip(x, f, strict=True)))),
    mistake("norm_for_square", "energy", "convnet_square", "|f(x)| for |f(x)|^2",
            head("square", lambda x, f, y: power(total(b * b for b in f), 0.5))),
    mistake("square_of_sum", "energy", "mlp_square", "(sum f)^2 for |f|^2",
            head("square", lambda x, f, y: total(f) * total(f))),
    mistake("lse_of_minus", "energy", "jem_marginal", "LSE of -f",
            head("marginal", lambda x, f, y: -log(total(exp(-b) for b in f)))),
    mistake("max_for_lse", "energy", "jem_marginal", "the largest logit for LSE",
            head("marginal", lambda x, f, y: -largest(f))),
    mistake("mean_for_lse", "energy", "jem_marginal", "log-mean-exp for log-sum-exp",
            head("marginal", lambda x, f, y: -log(total(exp(b) for b in f) / len(f)))),
    mistake("cross_entropy_for_joint", "energy", "jem_joint", "-log p(y|x) for -f_y",
            head("joint", lambda x, f, y: log(total(exp(b) for b in f)) - total(map(mul, f, y)))),
    mistake("weight_transposed", "energy", "mlp_square", "a weight matrix transposed",
            layer("linear", lambda x, W, b: linear(x, turned(W), b))),
    mistake("biases_omitted", "energy", "mlp_square", "biases omitted", layers({
        "linear": lambda x, W, b: linear(x, W, zeros(b)),
        "conv": lambda x, W, b, s, p: conv(x, W, zeros(b), s, p)})),
    mistake("activation_missing", "energy", "mlp_inner", "an activation missing", every_phi(lambda z: z)),
    mistake("relu", "energy", "mlp_scalar", "ReLU for the declared activation",
            every_phi(lambda z: where(plain(z) > 0, z, z * 0))),
    mistake("gelu", "energy", "mlp_inner", "GELU for SiLU", phi("silu", lambda z, a: gelu(z))),
    mistake("sigmoid_for_silu", "energy", "mlp_scalar", "sigmoid for SiLU", phi("silu", lambda z, a: sigmoid(z))),
    mistake("softplus_for_silu", "energy", "convnet_square", "softplus for SiLU",
            phi("silu", lambda z, a: log(exp(z) + 1))),
    mistake("silu_beta", "energy", "mlp_inner", "z sigmoid(1.702 z) for SiLU",
            phi("silu", lambda z, a: z * sigmoid(z * 1.702))),
    mistake("leaky_slope", "energy", "decoder_square", "slope 0.01 below zero for the declared one",
            phi("leaky_relu", lambda z, a: where(plain(z) > 0, z, z * 0.01))),
    mistake("elu_alpha", "energy", "decoder_square", "ELU with alpha = 1 for the declared one",
            phi("elu", lambda z, a: where(plain(z) > 0, z, exp(z) - 1))),
    mistake("kernel_flipped", "energy", "unet_inner", "convolution for correlation: kernels turned by 180 degrees",
            layer("conv", lambda x, W, b, s, p: conv(x, flipped(W), b, s, p))),
    mistake("kernel_transposed", "energy", "unet_inner", "rows and columns of kernels exchanged",
            layer("conv", lambda x, W, b, s, p: conv(x, [[turned(k) for k in ks] for ks in W], b, s, p))),
    mistake("channels_transposed", "energy", "unet_inner", "channels in and out exchanged in a square kernel",
            layer("conv", lambda x, W, b, s, p: conv(x, swapped(W), b, s, p))),
    mistake("padding_one_side", "energy", "convnet_square", "all padding below and to the right",
            layer("conv", one_sided)),
    mistake("transposed_kernel_flipped", "energy", "decoder_square", "kernels turned in the transposed convolution",
            layer("conv_transpose", lambda x, W, b, s, p, m: conv_transpose(x, flipped(W), b, s, p, m))),
    mistake("eps_outside", "energy", "unet_inner", "sqrt(var) + eps for sqrt(var + eps)",
            layer("group_norm", eps_outside)),
    mistake("eps_omitted", "energy", "unet_inner", "eps omitted from the norm",
            layer("group_norm", lambda x, g, s, n, eps: group_norm(x, g, s, n, 0.0))),
    mistake("variance_unbiased", "energy", "unet_inner", "variance divided by the count minus 1",
            layer("group_norm", unbiased)),
    mistake("instance_norm", "energy", "unet_inner", "every channel normalised by itself",
            layer("group_norm", lambda x, g, s, n, eps: group_norm(x, g, s, len(g), eps))),
    mistake("gain_omitted", "energy", "unet_inner", "gain and shift of the norm omitted",
            layer("group_norm", lambda x, g, s, n, eps: group_norm(x, [1.0] * len(g), zeros(s), n, eps))),
    mistake("norm_missing", "energy", "unet_inner", "normalisation missing",
            layer("group_norm", lambda x, g, s, n, eps: x)),
    mistake("max_for_mean", "energy", "unet_inner", "largest numbers for means of blocks",
            layer("avg_pool", lambda x, r: pooled(x, r, largest))),
    mistake("sum_pooled", "energy", "unet_inner", "sums of blocks for their means",
            layer("avg_pool", lambda x, r: pooled(x, r, total))),
    mistake("mean_for_max", "energy", "convnet_square", "means of blocks for their largest numbers",
            layer("max_pool", mean_pool)),
    mistake("zeros_for_copies", "energy", "unet_inner", "zeros between the numbers in upsampling",
            layer("upsample", first_place)),
    mistake("skip_order", "energy", "unet_inner", "the branch before the skip in the concatenation",
            lambda case: replace(RIGHT, kinds=RIGHT.kinds | {"concat": lambda x, y: y + x})),
    mistake("skip_missing", "energy", "decoder_square", "f(x) for x + f(x) in a residual branch",
            lambda case: replace(RIGHT, kinds=RIGHT.kinds | {"residual": lambda x, y: y})),
    mistake("spectral_norm_missing", "energy", "mlp_spectral", "W for W/sigma",
            layer("spectral_linear", lambda x, W, b, u, v: linear(x, W, b))),
)  # fmt: skip

GRADIENT: tuple[Mistake, ...] = (
    mistake("score_for_gradient", "gradient", "mlp_residual", "the score -dE/dx for dE/dx, or ascent for dE/dtheta",
            lambda case: replace(RIGHT, scale=-1.0, base=lambda x, s: -base_measure(x, s))),
    mistake("vjp_missing", "gradient", "unet_inner", "f(x) alone for f(x) + J'x: the pullback is missing",
            head("inner", lambda x, f, y: total(a * held(b) for a, b in zip(x, f, strict=True)))),
    mistake("own_term_missing", "gradient", "mlp_inner", "J'x alone for f(x) + J'x",
            head("inner", lambda x, f, y: total(held(a) * b for a, b in zip(x, f, strict=True)))),
    mistake("residual_vjp_missing", "gradient", "mlp_residual", "2(x - f) alone: the pullback is missing",
            head("residual", lambda x, f, y: total((a - held(b)) * (a - held(b)) for a, b in zip(x, f, strict=True)))),
    mistake("residual_own_term_missing", "gradient", "mlp_residual", "-2 J'(x - f) alone",
            head("residual", lambda x, f, y: total((held(a) - b) * (held(a) - b) for a, b in zip(x, f, strict=True)))),
    mistake("pullback_sign", "gradient", "mlp_residual", "2(x - f) + 2 J'(x - f): sign of the pullback",
            head("residual", lambda x, f, y: total((a - (held(b) * 2 - b)) * (a - (held(b) * 2 - b))
                                                   for a, b in zip(x, f, strict=True)))),
    mistake("factor_two_missing", "gradient", "convnet_square", "the factor 2 of a square missing",
            lambda case: replace(RIGHT, scale=0.5) if case.form in ("residual", "square") else None),
    mistake("softmax_missing", "gradient", "jem_marginal", "equal weights for softmax in the gradient of LSE",
            head("marginal", lambda x, f, y: -total(f) / len(f))),
    mistake("cross_entropy_sign", "gradient", "jem_joint", "pi - e_y for -e_y: the gradient of -log p(y|x)",
            head("joint", lambda x, f, y: total(b * held(p) for b, p in zip(f, soft(f), strict=True))
                 - total(b * k for b, k in zip(f, y, strict=True)))),
    mistake("base_gradient_missing", "gradient", "mlp_residual", "x/s0^2 missing in the gradient",
            base(lambda x, s: base_measure([held(a) for a in x], s))),
    mistake("slope_first_part", "gradient", "mlp_inner", "silu' = sigmoid(z): z sigmoid'(z) missing",
            phi("silu", lambda z, a: z * held(sigmoid(z)))),
    mistake("slope_second_part", "gradient", "mlp_scalar", "silu' = z sigmoid'(z): sigmoid(z) missing",
            phi("silu", lambda z, a: held(z) * sigmoid(z))),
    mistake("slope_one", "gradient", "unet_inner", "slope 1 of an activation (straight through)",
            every_slope(lambda z, s: s)),
    mistake("slope_relu", "gradient", "mlp_scalar", "slope of ReLU for that of the activation",
            every_slope(lambda z, s: where(plain(z) > 0, s, s * 0))),
    mistake("slope_tanh", "gradient", "mlp_residual", "tanh' = 1 - tanh: the square missing",
            phi("tanh", lambda z, a: straight(tanh, lambda s: s * (1 - held(tanh(z))), z))),
    mistake("slope_softplus", "gradient", "mlp_square", "softplus' = sigmoid(-z)",
            phi("softplus", lambda z, a: straight(lambda s: log(exp(s) + 1), lambda s: s * held(sigmoid(-z)), z))),
    mistake("vjp_transposed", "gradient", "mlp_square", "a square W where W' pulls back",
            layer("linear", bilinear_slope(linear, turned))),
    mistake("vjp_kernel_flipped", "gradient", "unet_inner", "kernels not turned when pulled back",
            layer("conv", bilinear_slope(conv, flipped))),
    mistake("norm_statistics_held", "gradient", "unet_inner", "mean and variance of the norm taken as constants",
            layer("group_norm", statistics_held)),
    mistake("mean_pulled_back_whole", "gradient", "unet_inner", "pullback of means without 1/r^2",
            layer("avg_pool", lambda x, r: straight(lambda z: mean_pool(z, r), lambda z: pooled(z, r, total), x))),
    mistake("copies_pulled_back_as_mean", "gradient", "unet_inner", "pullback of copies divided by r^2",
            layer("upsample", lambda x, r: straight(lambda z: upsample(z, r),
                                                    lambda z: each(lambda s: s / r**2, upsample(z, r)), x))),
    mistake("max_spread", "gradient", "convnet_square", "pullback of the largest number spread over its block",
            layer("max_pool", lambda x, r: straight(lambda z: pooled(z, r, largest), lambda z: mean_pool(z, r), x))),
    mistake("skip_not_pulled_back", "gradient", "unet_inner", "no pullback through the skip",
            lambda case: replace(RIGHT, kinds=RIGHT.kinds | {"concat": lambda x, y: all_held(x) + y})),
    mistake("branch_not_pulled_back", "gradient", "decoder_square", "no pullback through the residual branch",
            lambda case: replace(RIGHT, kinds=RIGHT.kinds | {"residual": lambda x, y: added(x, all_held(y))})),
    mistake("sigma_held", "parameters", "mlp_spectral", "the spectral norm as a constant in dE/dW",
            layer("spectral_linear", held_sigma)),
    mistake("biases_not_learnt", "parameters", "mlp_square", "no gradient of the biases", layers({
        "linear": lambda x, W, b: linear(x, W, all_held(b)),
        "conv": lambda x, W, b, s, p: conv(x, W, all_held(b), s, p),
        "spectral_linear": lambda x, W, b, u, v: spectral_linear(x, W, all_held(b), u, v)})),
)  # fmt: skip
MISTAKES = ENERGY + GRADIENT
