"""Network energies in PyTorch and JAX, as a textbook writes them, with the frameworks' own gradients; float32.

Three networks: an MLP (inner form), a convnet with maxima (square), a U-Net with group normalisation (inner).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import torch

from ebm_ref.oracle import cases
from ebm_ref.oracle.adapters import NetworkFunctions, jax_energy, torch_energy
from ebm_ref.oracle.checks_formulas import check_energy, check_gradient
from validation.peers.table import Peer, Row

TORCH, JAX = Peer("plain PyTorch networks", "torch"), Peer("plain JAX networks", "jax")
MLP, CONVNET, UNET = (cases.named(name) for name in ("mlp_inner", "convnet_square", "unet_inner"))


class Inner(torch.nn.Module):
    """E = x.f(x)."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return (x * self.network(x)).flatten(1).sum(dim=1)


class Square(Inner):
    """E = |f(x)|^2/2 + |x|^2/(2 1.5^2)."""

    def forward(self, x):
        return 0.5 * (self.network(x) ** 2).sum(dim=1) + (x**2).flatten(1).sum(dim=1) / (2 * 1.5**2)


class UNet(torch.nn.Module):
    """One level down and up, the skip before the branch."""

    def __init__(self):
        super().__init__()
        self.up = torch.nn.Sequential(
            torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.GroupNorm(1, 2, eps=2.0**-7), torch.nn.SiLU()
        )
        self.below = torch.nn.Sequential(
            torch.nn.AvgPool2d(2),
            torch.nn.Conv2d(2, 2, 3, padding=1),
            torch.nn.SiLU(),
            torch.nn.Upsample(scale_factor=2),
        )
        self.last = torch.nn.Conv2d(4, 1, 1)

    def forward(self, x):
        y = self.up(x)
        return self.last(torch.cat([y, self.below(y)], dim=1))


def torch_networks():
    """(case, module) of each."""
    mlp = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.SiLU(), torch.nn.Linear(4, 3))
    convnet = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, (3, 2), 2, 1), torch.nn.SiLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(2, 3, (1, 2)),
        torch.nn.Softplus(), torch.nn.Flatten(), torch.nn.Linear(6, 3), torch.nn.SiLU(), torch.nn.Linear(3, 2),
    )  # fmt: skip
    return (MLP, Inner(mlp)), (CONVNET, Square(convnet)), (UNET, Inner(UNet()))


def conv_same(x, W, b, padding):
    """Correlation, stride 1, with zeros around."""
    y = jax.lax.conv_general_dilated(x, W, (1, 1), [(padding, padding)] * 2)
    return y + b[:, None, None]


def jax_mlp(theta, x):
    """x.f(x)."""
    W1, b1, W2, b2 = theta
    return (x * (jax.nn.silu(x @ W1 + b1) @ W2 + b2)).sum(axis=1)


def jax_unet(theta, x):
    """x.f(x) of the U-Net."""
    W1, b1, gain, shift, W2, b2, W3, b3 = theta
    y = conv_same(x, W1, b1, 1)
    mean, variance = y.mean(axis=(1, 2, 3), keepdims=True), y.var(axis=(1, 2, 3), keepdims=True)
    y = jax.nn.silu((y - mean) / jnp.sqrt(variance + 2.0**-7) * gain[:, None, None] + shift[:, None, None])
    n, c, h, w = y.shape
    below = jax.nn.silu(conv_same(y.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5)), W2, b2, 1))
    below = jnp.repeat(jnp.repeat(below, 2, axis=2), 2, axis=3)
    return (x * conv_same(jnp.concatenate([y, below], axis=1), W3, b3, 0)).sum(axis=(1, 2, 3))


def measured(peer: Peer, case: cases.NetworkCase, f: NetworkFunctions) -> list[Row]:
    """Three rows of a network."""
    return [
        peer.measure(f"energy, {case.name}", lambda: check_energy(f.energy, case)),
        peer.measure(f"gradient by x, {case.name}", lambda: check_gradient(f.gradient, case, of="state")),
        peer.measure(f"gradient by parameters, {case.name}",
                     lambda: check_gradient(f.parameter_gradient, case, of="energy")),
    ]  # fmt: skip


def rows(seed: int = 0) -> list[Row]:
    """All rows of both peers; nothing is drawn."""
    found = []
    for case, module in torch_networks():
        found += measured(TORCH, case, torch_energy(module, case=case))
    for case, f in ((MLP, jax_mlp), (UNET, jax_unet)):
        found += measured(JAX, case, jax_energy(f, case.parameters))
    return found
