"""Energies of multilayer perceptrons in the compiled samplers: the loop is the step, for every form and activation."""

import laws_continuous as laws
import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.kernels.networks import ACTIVATIONS
from ebm_ref.models import layers as nn
from ebm_ref.models.nets import Network
from ebm_ref.samplers.continuous import compiled_target

SIZES = (3, 9, 6)  # no multiple of the four units of a panel


def energy(form: str, n_outputs: int, **how):
    """A network energy with generic biases, which ``mlp`` sets to 0."""
    network = er.nets.mlp((*SIZES, n_outputs), seed=3, **how)
    layers = [
        nn.Linear(layer.W, layer.W.dtype.type(0.3) * layer.W[0]) if isinstance(layer, nn.Linear) else layer
        for layer in network.layers.layers
    ]
    network = Network(nn.Sequential(tuple(layers)), network.input_shape)
    return er.JointEnergy(network, 1.5) if form == "joint" else er.NetworkEnergy(network, form, 0.7, 2.0)


FORMS = (("inner", 3), ("residual", 3), ("square", 5), ("scalar", 1), ("joint", 4))
SINGLE = energy("square", 5, dtype="float32")


def starts(n: int = 50):
    return er.Stream(8, "user").normal(0, (n, SIZES[0]))


def samplers(model):
    return (er.ula(model, 0.1), er.mala(model, [0.2, 0.3, 0.4]), er.hmc(model, 0.3, 2, temperature=1.3))


@pytest.mark.parametrize(("form", "n_outputs"), FORMS)
def test_step_and_advance_agree(form, n_outputs):
    model = energy(form, n_outputs)
    for sampler in (*samplers(model), er.ula(model, 0.8, box=(-2, [0.8, 0.9, np.inf]))):
        start = starts().clip(-2, 0.8)
        laws.step_and_advance_agree(sampler, start)
        laws.step_and_advance_agree(sampler.clamped([1]), start)


@pytest.mark.parametrize("model", [energy("joint", 4), SINGLE], ids=["float64", "float32"])
def test_splits_do_not_matter(model):
    laws.splits_do_not_matter(er.ula(model, 0.1), starts())


def test_threads_do_not_matter():
    sampler, start, results = er.ula(SINGLE, 0.1), starts(300), []
    for threads in (1, 3):
        try:
            er.set_num_threads(threads)
            results.append(sampler.advance(start, er.Stream(1, "transition"), 0, 40)[0].tobytes())
        finally:
            er.set_num_threads(None)
    assert len(set(results)) == 1


def test_single_precision_agrees_to_its_rounding():
    sampler, stream = er.ula(SINGLE, 0.1), er.Stream(1, "transition")
    slow, _ = sampler.step(starts(), sampler.draw(stream, 0, 50))
    np.testing.assert_allclose(sampler.advance(starts(), stream, 0, 1)[0], slow, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("function", ["silu", "softplus", "tanh", "elu", "leaky_relu"])
def test_activations_are_those_of_the_layers(function, dtype):
    activate = ACTIVATIONS["silu_single" if (function, dtype) == ("silu", "float32") else function]
    layer = nn.Activation(function)
    x = np.r_[np.linspace(-30, 30, 41), 0.0, -1e-9, -200.0, 200.0].astype(dtype)
    y, z = np.empty_like(x), x.copy()
    activate(y, z, float(layer.alpha))
    eps = np.finfo(dtype).eps
    value, cache = layer.forward(x)
    np.testing.assert_allclose(y, value, rtol=8 * eps, atol=np.finfo(dtype).tiny)
    np.testing.assert_allclose(z, layer.pullback(cache, np.ones_like(x)), rtol=16 * eps, atol=4 * eps)


def test_which_networks_are_compiled():
    def with_layers(*layers):
        return er.NetworkEnergy(Network(nn.Sequential(layers), (1, 3, 1)), "scalar")

    one, two = nn.Linear(np.ones((3, 4)), np.ones(4)), nn.Linear(np.ones((4, 1)), np.ones(1))
    silu = nn.Activation("silu")
    flat = with_layers(nn.Flatten(), one, silu, two)
    laws.step_and_advance_agree(er.ula(flat, 0.1), starts())
    assert compiled_target(flat)
    assert compiled_target(er.NetworkEnergy(er.nets.mlp((3, 1)), "scalar"))
    normed = er.NetworkEnergy(er.nets.mlp((3, 4, 1), spectral_norm=True), "scalar")
    assert compiled_target(normed)
    laws.step_and_advance_agree(er.ula(normed, 0.1), starts())
    again = nn.Linear(np.ones((4, 4)), np.ones(4))
    for other in (
        with_layers(nn.Flatten(), one, silu, again, nn.Activation("tanh"), two), with_layers(nn.Flatten(), one, two),
        with_layers(nn.Flatten(), one, silu, nn.Residual(again), silu, two),
        er.NetworkEnergy(er.nets.convnet((1, 4, 4), (2,), 1), "scalar"),
    ):  # fmt: skip
        assert compiled_target(other) is None


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")  # the loop as plain Python warns
def test_divergence_is_found():
    model = er.NetworkEnergy(er.nets.mlp((3, 4, 3), seed=1), "inner", scale=-50.0)
    with pytest.raises(er.errors.DivergenceError, match="left the finite numbers at step"):
        er.ula(model, 5.0).advance(100.0 * starts(), er.Stream(0, "transition"), 0, 500)
