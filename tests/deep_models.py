"""The package's model of a declared network: the way from the oracle's plain data to ours, for tests alone."""

import numpy as np

import ebm_ref as er
from ebm_ref.models import layers
from ebm_ref.models.record import leaves


def package_layer(layer):
    """One layer of ours from the oracle's record."""
    a, n = layer.arrays, layer.numbers
    made = {
        "linear": lambda: layers.Linear(*a),
        "spectral_linear": lambda: layers.SpectralNorm(layers.Linear(*a), *(np.array(v) for v in n)),
        "conv": lambda: layers.Conv2d(*a, *n),
        "conv_transpose": lambda: layers.ConvTranspose2d(*a, *n),
        "group_norm": lambda: layers.GroupNorm(*a, *n),
        "time_bias": lambda: layers.TimeBias(*a, *n),
        "time_scale": lambda: layers.TimeScale(*n),
        "activation": lambda: layers.Activation(*n),
        "avg_pool": lambda: layers.AvgPool(*n),
        "max_pool": lambda: layers.MaxPool(*n),
        "upsample": lambda: layers.Upsample(*n),
        "pad": lambda: layers.Pad(*n),
        "flatten": layers.Flatten,
        "concat": lambda: layers.Concat(package_layers(layer.branch)),
        "residual": lambda: layers.Residual(package_layers(layer.branch)),
    }
    return made[layer.kind]()


def package_layers(declared):
    return layers.Sequential(tuple(package_layer(layer) for layer in declared))


def package_model(case):
    """``NetworkEnergy`` or ``JointEnergy`` with the weights of the case."""
    network = er.nets.Network(package_layers(case.layers), case.input_shape)
    if case.form in ("marginal", "joint"):
        return er.JointEnergy(network, case.base)
    return er.NetworkEnergy(network, case.form, case.scale, case.base)


def arrays(gradient):
    """The leaves of a record in the order of ``case.parameters``."""
    return list(leaves(gradient).values())
