"""The package's layers and deep energies as an adapter of golden vectors."""

import numpy as np
from deep_models import arrays

import ebm_ref as er
from ebm_ref.models import layers as ours
from ebm_ref.models.layers import Conv2d, ConvTranspose2d, GroupNorm, Linear, Sequential, SpectralNorm

EDGE = 12.0  # of the box on which a Gaussian is integrated: more than ten standard deviations


def layer_of(d):
    """A layer of ours from a decoded dictionary."""
    kind = d["kind"]
    if kind == "activation":
        return ours.Activation(d["function"], d["alpha"])
    if kind in ("concat", "residual"):
        return (ours.Concat if kind == "concat" else ours.Residual)(layers_of(d["branch"]))
    made = {
        "linear": lambda: Linear(d["W"], d["b"]),
        "spectral_linear": lambda: SpectralNorm(Linear(d["W"], d["b"]), d["u"], d["v"]),
        "conv": lambda: Conv2d(d["W"], d["b"], d["stride"], d["padding"]),
        "conv_transpose": lambda: ConvTranspose2d(d["W"], d["b"], d["stride"], d["padding"], d["output_padding"]),
        "group_norm": lambda: GroupNorm(d["gain"], d["shift"], d["n_groups"], d["eps"]),
        "avg_pool": lambda: ours.AvgPool(d["size"]),
        "max_pool": lambda: ours.MaxPool(d["size"]),
        "upsample": lambda: ours.Upsample(d["size"]),
    }
    return made[kind]()


def layers_of(declared):
    return Sequential(tuple(layer_of(d) for d in declared))


def energy_of(model, shape):
    network = er.nets.Network(layers_of(model["layers"]), shape)
    base = model["base"] or None
    if model["form"] in ("marginal", "joint"):
        return er.JointEnergy(network, base)
    return er.NetworkEnergy(network, model["form"], model["scale"], base)


def flat(gradient):
    return np.concatenate([a.ravel() for a in arrays(gradient)])


def deep_layer(quantity, model, given):
    """Quantities of layers, one sample."""
    layer = layers_of(model["layers"])
    x, y_bar, x_dot, y_bar_dot = (given[k][None] if k in given else None for k in ("x", "y_bar", "x_dot", "y_bar_dot"))
    y, cache = layer.forward(x)
    if quantity == "deep_forward":
        return y[0]
    if quantity == "deep_jvp":
        return layer.jvp(cache, x_dot)[0]
    bar, gradient = layer.rvjp(cache, x_dot, y_bar, y_bar_dot) if "rvjp" in quantity else layer.vjp(cache, y_bar)
    return flat(gradient) if quantity.endswith("parameters") else bar[0]


def deep_energy(quantity, model, given):
    """Quantities of energies, one sample."""
    x = given["x"] if "x" in given else given["data"][0]
    m = energy_of(model, {1: (len(x),), 3: (1, 3, 3)}[x.ndim] if "data" in given else declared_shape(model, x))
    if quantity == "deep_denoising_gradient":
        sigma, z = given["sigma"], given["z"]
        weights = np.full(len(z), sigma**2 / len(z))
        return flat(m.score_matching_gradient(given["data"] + sigma * z, -z / sigma, weights))
    if quantity == "deep_class_log_probabilities":
        return m.class_log_probabilities(x[None])[0]
    y = {"y": [given["label"]]} if "label" in given else {}
    return {
        "deep_energy": lambda: m.energy(x[None], **y)[0],
        "deep_gradient": lambda: -m.score(x[None], **y).reshape(x.shape),
        "deep_parameter_gradient": lambda: flat(m.energy_gradient(x[None], **y)),
        "deep_hessian_vector": lambda: m.hessian_vector(x[None], given["u"][None], **y).reshape(x.shape),
        "deep_mixed_product": lambda: flat(m.mixed_product(x[None], given["r"][None], **y)),
    }[quantity]()


def declared_shape(model, x):
    """The input that the first layer takes."""
    first = model["layers"][0]
    return (len(first["W"]),) if first["kind"] == "linear" else x.shape


def integral(quantity, model):
    """log Z: trapezoid for a Gaussian, which it is exact for, Gauss-Legendre on a box."""
    m = energy_of(model, (2,))
    if quantity == "deep_gaussian_log_z":
        return er.exact.grid_log_partition(m, [(-EDGE, EDGE)] * 2, 200)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    x = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    return np.log(np.outer(weights, weights).ravel() @ np.exp(-m.energy(x)))


def deep(quantity, model, given):
    """Quantities of deep_energies.json."""
    if quantity.endswith("log_z"):
        return integral(quantity, model)
    return deep_energy(quantity, model, given) if "form" in model else deep_layer(quantity, model, given)
