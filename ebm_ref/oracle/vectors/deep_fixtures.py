"""Networks of the golden vectors: plain dictionaries with multiples of 1/64, generic, none of them square by chance."""

from __future__ import annotations

import itertools
import math
from typing import Any

Layer = dict[str, Any]
PARAMETERS = {"group_norm": ("gain", "shift")}


def generic(shape: tuple[int, ...], key: int, size: float = 1.0) -> Any:
    """Numbers up to ``size`` that nothing singles out, as a nested list."""
    count = math.prod(shape)
    values = [math.floor(64 * size * math.sin(12.9898 * (k + 1) + 78.233 * key)) / 64 for k in range(count)]
    for n in reversed(shape[1:]):
        values = [values[i : i + n] for i in range(0, len(values), n)]  # type: ignore[misc]
    return values


def linear(n_in: int, n_out: int, key: int) -> Layer:
    """y = xW + b."""
    return {"kind": "linear", "W": generic((n_in, n_out), key), "b": generic((n_out,), key + 1, 0.5)}


def conv(shape: tuple[int, int, int, int], stride: int, padding: int, key: int) -> Layer:
    """W (n_out, n_in, kh, kw)."""
    bias = generic((shape[0],), key + 1, 0.5)
    return {"kind": "conv", "W": generic(shape, key, 0.75), "b": bias, "stride": stride, "padding": padding}


def conv_transpose(shape: tuple[int, int, int, int], stride: int, padding: int, more: int, key: int) -> Layer:
    """W (n_in, n_out, kh, kw)."""
    bias = generic((shape[1],), key + 1, 0.5)
    return {"kind": "conv_transpose", "W": generic(shape, key, 0.75), "b": bias, "stride": stride, "padding": padding,
            "output_padding": more}  # fmt: skip


def activation(function: str, alpha: float = 0.0) -> Layer:
    """Of every number."""
    return {"kind": "activation", "function": function, "alpha": alpha}


def group_norm(channels: int, n_groups: int, eps: float, key: int) -> Layer:
    """Gains near 1."""
    gain = [1 + g for g in generic((channels,), key, 0.5)]
    return {"kind": "group_norm", "gain": gain, "shift": generic((channels,), key + 1, 0.5), "n_groups": n_groups,
            "eps": eps}  # fmt: skip


def sized(kind: str, size: int) -> Layer:
    """Pooling and upsampling."""
    return {"kind": kind, "size": size}


SPECTRAL = {**linear(3, 2, 31), "kind": "spectral_linear", "u": [0.5, -0.75, 0.4375], "v": [-0.8125, 0.578125]}
PADDING, FLIPPED = ["PaddingOrStride", "ChannelsTransposed"], ["KernelFlipped"]
LAYERS: tuple[tuple[str, Layer, tuple[int, ...], list[str]], ...] = (
    ("linear 3x2", linear(3, 2, 1), (3,), ["TransposedW"]),
    ("conv 3x2 stride 2 padding 1", conv((2, 2, 3, 2), 2, 1, 3), (2, 4, 3), [*PADDING, *FLIPPED]),
    ("conv 2x3 stride 1", conv((1, 2, 2, 3), 1, 0, 5), (2, 3, 4), [*PADDING, *FLIPPED]),
    ("conv with rows left over", conv((2, 1, 2, 2), 2, 0, 7), (1, 5, 3), [*PADDING, *FLIPPED]),
    ("transposed conv stride 2", conv_transpose((2, 1, 3, 2), 2, 1, 1, 9), (2, 2, 3), [*PADDING, *FLIPPED]),
    ("transposed conv stride 1", conv_transpose((1, 2, 2, 2), 1, 0, 0, 11), (1, 3, 2), [*PADDING, *FLIPPED]),
    ("group norm 4 in 2", group_norm(4, 2, 2.0**-7, 13), (4, 2, 1), ["NormEps", "NormVariance", "NormGroups"]),
    ("layer norm", group_norm(3, 1, 1e-5, 15), (3, 1, 2), ["NormVariance", "NormGroups"]),
    ("silu", activation("silu"), (7,), ["ActivationSlope"]),
    ("softplus", activation("softplus"), (7,), ["ActivationSlope", "SoftplusOverflow"]),
    ("tanh", activation("tanh"), (7,), ["ActivationSlope"]),
    ("elu", activation("elu", 0.75), (7,), ["ActivationSlope", "ActivationAlpha"]),
    ("leaky relu", activation("leaky_relu", 0.125), (7,), ["ActivationSlope", "ActivationAlpha"]),
    ("average pool", sized("avg_pool", 2), (2, 4, 2), ["PoolAdjoint"]),
    ("max pool", sized("max_pool", 2), (2, 2, 4), ["PoolAdjoint"]),
    ("upsample", sized("upsample", 2), (2, 1, 2), ["UpsampleAdjoint"]),
    ("spectral norm", SPECTRAL, (3,), ["SpectralSigma", "TransposedW"]),
    ("concat", {"kind": "concat", "branch": [conv((1, 2, 1, 1), 1, 0, 17)]}, (2, 2, 2), ["SkipOrder"]),
    ("residual", {"kind": "residual", "branch": [conv((2, 2, 1, 1), 1, 0, 19)]}, (2, 2, 2), ["SkipOrder"]),
)  # fmt: skip
TIED = [[[0.5, 0.5, -0.25, 0.75], [0.5, 0.25, 0.75, 0.75]]]  # equal largest numbers in both blocks


def mlp(sizes: tuple[int, ...], function: str, key: int) -> list[Layer]:
    """Linear layers with activations between."""
    made: list[Layer] = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        made += [linear(n_in, n_out, key + 2 * i), activation(function)]
    return made[:-1]


UNET = [
    conv((2, 1, 2, 2), 1, 0, 41), group_norm(2, 1, 2.0**-7, 43), activation("silu"),
    {"kind": "concat", "branch": [sized("avg_pool", 2), conv((1, 2, 1, 1), 1, 0, 45), activation("silu"),
                                  sized("upsample", 2)]},
    conv_transpose((3, 1, 2, 2), 1, 0, 0, 47),
]  # fmt: skip


def energy(layers: list[Layer], form: str, scale: float = 1.0, base: float = 0.0) -> dict[str, Any]:
    """A model; base 0 is no base measure."""
    return {"layers": layers, "form": form, "scale": scale, "base": base}


HEAD = ["HeadFormula"]
ENERGIES: tuple[tuple[str, dict[str, Any], tuple[int, ...], list[str]], ...] = (
    ("inner", energy(mlp((2, 3, 2), "silu", 51), "inner"), (2,), [*HEAD, "MissingPullback"]),
    ("residual", energy(mlp((2, 3, 2), "tanh", 55), "residual", 0.5, 1.5), (2,),
     [*HEAD, "MissingPullback", "HeadFactor", "BaseMeasure"]),
    ("square", energy(mlp((3, 2, 2), "softplus", 59), "square", 2.0), (3,), [*HEAD, "HeadFactor"]),
    ("scalar", energy(mlp((2, 3, 1), "silu", 63), "scalar", -1.0, 2.0), (2,), [*HEAD, "BaseMeasure"]),
    ("marginal", energy(mlp((2, 3, 3), "silu", 67), "marginal", 1.0, 2.0), (2,), ["LogSumExpSign", "BaseMeasure"]),
    ("joint", energy(mlp((2, 3, 3), "silu", 67), "joint", 1.0, 2.0), (2,), ["LogSumExpSign", "BaseMeasure"]),
    ("U-Net", energy(UNET, "inner"), (1, 3, 3),
     [*HEAD, "MissingPullback", "SkipOrder", "NormVariance", "KernelFlipped"]),
)  # fmt: skip
GAUSSIAN = linear(2, 2, 71) | {"W": [[1.25, 0.375], [-0.125, 0.875]]}  # W + W' positive definite
RESIDUAL = GAUSSIAN | {"W": [[-0.75, 0.375], [-0.125, -1.0]]}
LOGITS = linear(2, 3, 75)
