"""Deep energies of ours and of PyTorch, by automatic differentiation: the same numbers.  Needs the extra ``peers``.

Differences are relative to the largest number compared.  They are roundings: 1e-12 allowed in float64, 1e-5 in float32.
"""

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.benchmarks import deep
from ebm_ref.benchmarks.rows import OURS, Session
from ebm_ref.models import layers as nn
from ebm_ref.models.nets import Network
from ebm_ref.models.record import leaves, with_leaves

torch = pytest.importorskip("torch")
ALLOWED = {"float64": 1e-12, "float32": 1e-5}
MLP, CONVNET, UNET = (4, 9, 7), ((1, 6, 6), (3, 4)), ((1, 6, 6), (3, 5))


def generic(network):
    """The network with biases other than 0."""
    return with_leaves(network, {name: leaf + leaf.dtype.type(0.05) for name, leaf in leaves(network).items()})


def members(dtype):
    mlp = {n: generic(er.nets.mlp((*MLP, n), seed=2, dtype=dtype)) for n in (1, 3, 4)}
    convnet = {n: generic(er.nets.convnet(*CONVNET, n, seed=3, n_hidden=8, dtype=dtype)) for n in (1, 3)}
    unet = generic(er.nets.unet(*UNET, seed=4, dtype=dtype))
    return {
        "mlp_inner": er.NetworkEnergy(mlp[4], "inner", 0.5), "mlp_residual": er.NetworkEnergy(mlp[4], "residual"),
        "mlp_square": er.NetworkEnergy(mlp[3], "square", base=2.0), "mlp_scalar": er.NetworkEnergy(mlp[1], "scalar"),
        "mlp_joint": er.JointEnergy(mlp[3], base=1.5), "convnet_square": er.NetworkEnergy(convnet[3], "square"),
        "convnet_scalar": er.NetworkEnergy(convnet[1], "scalar", -1.0), "convnet_joint": er.JointEnergy(convnet[3]),
        "unet_inner": er.NetworkEnergy(unet, "inner"), "unet_residual": er.NetworkEnergy(unet, "residual", 0.5),
        "unet_square": er.NetworkEnergy(unet, "square", base=3.0),
    }  # fmt: skip


def disagreement(model, n_steps: int = 5) -> float:
    return max(deep.differences(torch, model, *deep.rows_for(model, 6), n_steps).values())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", list(members("float64")))
def test_energies_derivatives_and_a_training_step_agree(name, dtype):
    assert disagreement(members(dtype)[name]) <= ALLOWED[dtype]


def test_every_layer_agrees():
    rest = (
        nn.Activation("softplus"), nn.Residual(nn.Activation("tanh")), nn.MaxPool(2), nn.Activation("elu", 0.7),
        nn.GroupNorm(np.array([0.7, 1.2]), np.array([0.1, -0.2]), 2), nn.Pad((1, -1, 0, 2)),
        nn.Activation("leaky_relu", 0.3), nn.Flatten(),
    )  # fmt: skip
    network = Network(nn.Sequential((nn.Conv2d(np.ones((2, 1, 3, 3)) / 5, np.ones(2), 1, 1), *rest)), (1, 6, 6))
    assert disagreement(er.NetworkEnergy(network, "square", base=2.0)) <= ALLOWED["float64"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_another_energy_is_noticed(dtype, monkeypatch):
    """PyTorch is given an energy 1.0001 times as large."""
    sizes = deep.sizes
    monkeypatch.setattr(deep, "sizes", lambda model: sizes(model) | {"scale": 1.0001 * model.scale})
    assert disagreement(members(dtype)["unet_inner"]) > 5 * ALLOWED[dtype]


@pytest.mark.parametrize("name", deep.NETWORKS)
def test_the_rows_measure(name, monkeypatch):
    measured = deep.measure_step(name, Session(quick=True))
    assert set(measured.times) == {OURS, "torch"}
    monkeypatch.setattr(deep, "SAME", 0.0)
    refused = deep.measure_step(name, Session(quick=True))
    assert not refused.times
    assert "numbers differ by" in refused.remark


def test_memory_is_measured():
    measured = deep.measure_memory(Session(quick=True))
    assert 0 < measured.value < 10
    assert "MB against" in measured.remark
