"""The members over which the laws run.  A new model, sampler or estimator is one more line here."""

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.models import layers as nn
from ebm_ref.models.record import leaves, with_leaves

RBM_3X2 = er.RBM(
    [[1.3, -0.7], [-0.4, 2.1], [0.9, -1.6]], [-0.3, 0.8, -1.1], [0.25, -0.6]
)  # rectangular, generic biases, mixed signs
RBM_2X4 = er.RBM.random(2, 4, 1.2, seed=5).tempered(0.8)
MACHINE_5 = er.BoltzmannMachine.random(5, 0.9, seed=3, n_visible=3)
MACHINE_4 = er.BoltzmannMachine.random(4, 1.3, seed=8).tempered(1.25)

GRBM_3X2 = er.GRBM(
    [[1.3, -0.7], [-0.4, 2.1], [0.9, -1.6]], [-0.3, 0.8, -1.1], [0.4, -0.9, 0.15], [0.25, -0.6]
)  # three different variances
GRBM_2X3 = er.GRBM.random(2, 3, 1.2, seed=5).tempered(0.8)

MODELS = (
    pytest.param(RBM_3X2, id="rbm_3x2"),
    pytest.param(RBM_2X4, id="rbm_2x4_tempered"),
    pytest.param(er.RBM.random(4, 1, 2.0, seed=1), id="rbm_4x1"),
    pytest.param(er.RBM.random(1, 3, 2.0, seed=2), id="rbm_1x3"),
    pytest.param(er.RBM([[0.0]] * 2, [0.5, -1.5], [0.75]), id="rbm_without_weights"),
    pytest.param(er.RBM(np.zeros((3, 0)), [0.5, -1.5, 0.2], []), id="rbm_without_hidden"),
    pytest.param(er.RBM.random(2, 3, 6.0, seed=4), id="rbm_strong"),
    pytest.param(MACHINE_5, id="machine_5_with_2_hidden"),
    pytest.param(MACHINE_4, id="machine_4_visible"),
    pytest.param(er.BoltzmannMachine.random(2, 3.0, seed=6, n_visible=1), id="machine_2"),
)

GRBMS = (
    pytest.param(GRBM_3X2, id="grbm_3x2"),
    pytest.param(GRBM_2X3, id="grbm_2x3_tempered"),
    pytest.param(er.GRBM.random(1, 4, 1.5, seed=1), id="grbm_1x4"),
    pytest.param(er.GRBM.random(4, 1, 1.0, seed=2), id="grbm_4x1"),
    pytest.param(er.GRBM([[0.0, 0.0]] * 2, [0.5, -1.5], [-1.0, 0.7], [0.75, -2.0]), id="grbm_without_weights"),
    pytest.param(er.GRBM(np.zeros((2, 0)), [0.5, -1.5], [0.2, -0.4], []), id="grbm_without_hidden"),
)

SAMPLERS = (
    pytest.param(er.block_gibbs(RBM_3X2), "block_gibbs", id="block_gibbs"),
    pytest.param(er.block_gibbs(RBM_2X4), "block_gibbs", id="block_gibbs_wide"),
    pytest.param(er.gibbs(RBM_3X2), "gibbs", id="gibbs_rbm"),
    pytest.param(er.gibbs(MACHINE_5), "gibbs", id="gibbs_machine"),
    pytest.param(er.gibbs(MACHINE_5, "random"), "gibbs_random", id="gibbs_random"),
    pytest.param(er.gibbs(MACHINE_5, "palindromic"), "gibbs_palindromic", id="gibbs_palindromic"),
    pytest.param(er.metropolis(RBM_3X2), "metropolis", id="metropolis_rbm"),
    pytest.param(er.metropolis(MACHINE_4), "metropolis", id="metropolis_machine"),
)  # the sampler, and the name of its kernel in the oracle's plain loops

UNBIASED = (
    pytest.param(er.cd(1), id="cd1"),
    pytest.param(er.cd(3), id="cd3"),
    pytest.param(er.cd(2, positive="sample"), id="cd2_positive_sampled"),
    pytest.param(er.cd(1, negative="sample"), id="cd1_negative_sampled"),
)  # estimators whose expectation is exact.cd_gradient

ESTIMATORS = (
    pytest.param(er.exact_gradient(), id="exact_gradient"),
    *UNBIASED,
    pytest.param(er.cd(1, visible="mean"), id="cd1_mean"),
    pytest.param(er.pcd(2, n_chains=7), id="pcd2"),
)


def drawn(layer, step: int = 0, scale: float = 0.7):
    """The layer with generic parameters: no zero bias hides a mistake."""
    stream = er.Stream(20, "user")
    numbers = [scale * stream.normal(step + i, (1, leaf.size)) for i, leaf in enumerate(leaves(layer).values())]
    named = zip(leaves(layer).items(), numbers, strict=True)
    return with_leaves(layer, {name: z.reshape(leaf.shape) for (name, leaf), z in named})


def conv(n_in: int, n_out: int, kh: int, kw: int, **how) -> nn.Conv2d:
    return drawn(nn.Conv2d(np.zeros((n_out, n_in, kh, kw)), np.zeros(n_out), **how), 10 * n_in + n_out)


def transposed(n_in: int, n_out: int, kh: int, kw: int, **how) -> nn.ConvTranspose2d:
    return drawn(nn.ConvTranspose2d(np.zeros((n_in, n_out, kh, kw)), np.zeros(n_out), **how), n_in + 10 * n_out)


def group_norm(channels: int, n_groups: int) -> nn.GroupNorm:
    return drawn(nn.GroupNorm(np.zeros(channels), np.zeros(channels), n_groups), channels)


LINEAR_3X2 = drawn(nn.Linear(np.zeros((3, 2)), np.zeros(2)))
SMALL_UNET = nn.Sequential(
    (
        conv(1, 2, 3, 3, padding=1), nn.Activation("silu"),
        nn.Concat(nn.Sequential((nn.AvgPool(2), conv(2, 3, 3, 3, padding=1), nn.Activation("tanh"), nn.Upsample(2)))),
        conv(5, 1, 3, 3, padding=1),
    )
)  # fmt: skip

LAYERS = (
    pytest.param(LINEAR_3X2, (3,), id="linear"),
    pytest.param(nn.Flatten(), (2, 3, 2), id="flatten"),
    pytest.param(conv(2, 3, 3, 3, padding=1), (2, 5, 4), id="conv_3x3"),
    pytest.param(conv(3, 5, 3, 3, padding=1), (3, 9, 7), id="conv_3x3_odd"),
    pytest.param(conv(2, 4, 3, 3, padding=0), (2, 5, 4), id="conv_3x3_valid"),
    pytest.param(conv(2, 4, 3, 3, padding=2), (2, 3, 4), id="conv_3x3_full"),
    pytest.param(conv(2, 3, 3, 2, stride=2, padding=1), (2, 6, 5), id="conv_3x2_stride_2_uncovered"),
    pytest.param(conv(1, 2, 5, 5, stride=2, padding=4), (1, 7, 8), id="conv_5x5_stride_2"),
    pytest.param(conv(3, 2, 1, 1), (3, 4, 2), id="conv_1x1"),
    pytest.param(transposed(2, 3, 3, 2, stride=2, padding=1, output_padding=1), (2, 3, 4), id="transposed"),
    pytest.param(transposed(3, 1, 4, 4, stride=2, padding=1), (3, 2, 3), id="transposed_4x4"),
    pytest.param(nn.Upsample(2), (2, 3, 2), id="upsample"),
    pytest.param(nn.Upsample(3), (1, 1, 2), id="upsample_3"),
    pytest.param(nn.AvgPool(2), (2, 4, 6), id="avg_pool"),
    pytest.param(nn.MaxPool(2), (2, 4, 6), id="max_pool"),
    pytest.param(nn.MaxPool(3), (1, 6, 3), id="max_pool_3"),
    pytest.param(nn.Pad((1, 0, 2, 3)), (2, 3, 2), id="pad"),
    pytest.param(nn.Pad((-1, 2, 0, -1)), (2, 3, 4), id="pad_and_crop"),
    pytest.param(nn.Activation("silu"), (2, 3, 4), id="silu"),
    pytest.param(nn.Activation("softplus"), (7,), id="softplus"),
    pytest.param(nn.Activation("tanh"), (7,), id="tanh"),
    pytest.param(nn.Activation("elu", 1.3), (7,), id="elu"),
    pytest.param(nn.Activation("leaky_relu"), (7,), id="leaky_relu"),
    pytest.param(group_norm(6, 3), (6, 2, 3), id="group_norm"),
    pytest.param(group_norm(4, 1), (4,), id="layer_norm"),
    pytest.param(nn.Residual(nn.Sequential((conv(2, 2, 3, 3, padding=1), nn.Activation()))), (2, 3, 4), id="residual"),
    pytest.param(nn.Concat(conv(2, 3, 1, 1)), (2, 3, 2), id="concat"),
    pytest.param(nn.SpectralNorm.of(LINEAR_3X2), (3,), id="spectral_linear"),
    pytest.param(nn.SpectralNorm.of(conv(2, 3, 3, 3), 1, 1), (2, 4, 5), id="spectral_conv_unconverged"),
    pytest.param(nn.at_time(drawn(nn.TimeBias(np.zeros((4, 3)), np.zeros(3))), 2.5), (3, 2, 2), id="time_bias"),
    pytest.param(nn.TimeScale((0.5, -1.75, 3.0), 1.0), (2, 3, 2), id="time_scale"),
    pytest.param(SMALL_UNET, (1, 4, 6), id="unet"),
    pytest.param(nn.Sequential((LINEAR_3X2, nn.Activation("silu"), nn.Linear([[1.2], [-0.7]], [0.3]))), (3,), id="mlp"),
)  # a layer, and the shape of one input

MLP = {n: drawn(er.nets.mlp((2, 5, 4, n), "silu"), 70 + 10 * n) for n in (1, 2, 3)}
TINY_CONVNET = drawn(er.nets.convnet((1, 4, 5), (2, 3), 1, activation="softplus", n_hidden=4), 120, 0.4)
TINY_UNET = drawn(er.nets.unet((1, 3, 5), (2, 3), time_embedding=4, n_groups=1), 140, 0.4)
STRIDED_UNET = drawn(er.nets.unet((1, 3, 5), (2,), stride=2, time_embedding=4), 150, 0.4)
CONDITIONED = er.nets.at_time(er.nets.conditioned(STRIDED_UNET, (0.4, 1.1, 3.0), 0.8, "residual"), 1.0)
TIMED_MLP = er.nets.at_time(drawn(er.nets.mlp((2, 4, 2), time_embedding=4), 160), 1.5)
SPECTRAL = er.nets.mlp((2, 4, 2), "tanh", seed=3, spectral_norm=True)

ENERGIES = (
    pytest.param(er.NetworkEnergy(MLP[2], "inner"), id="inner"),
    pytest.param(er.NetworkEnergy(MLP[2], "inner", scale=-0.6, base=1.3), id="inner_scaled_with_base"),
    pytest.param(er.NetworkEnergy(MLP[2], "residual", scale=0.5), id="residual"),
    pytest.param(er.NetworkEnergy(MLP[3], "square", base=2.0), id="square_with_base"),
    pytest.param(er.NetworkEnergy(MLP[1], "scalar", scale=-1.0, base=0.7), id="scalar"),
    pytest.param(er.NetworkEnergy(SPECTRAL, "inner"), id="spectral"),
    pytest.param(er.NetworkEnergy(TIMED_MLP, "square"), id="mlp_at_a_time"),
    pytest.param(er.NetworkEnergy(TINY_CONVNET, "square"), id="convnet"),
    pytest.param(er.NetworkEnergy(er.nets.at_time(TINY_UNET, 1.5), "inner"), id="unet"),
    pytest.param(er.NetworkEnergy(CONDITIONED, "residual", 0.5), id="conditioned"),
    pytest.param(er.JointEnergy(MLP[3], base=1.4), id="jem"),
)  # deep energies E(x)
