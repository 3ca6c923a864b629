"""Our networks, their energies and one training step in PyTorch, as one writes them there, from our own parameters.

A model comes as two dictionaries, those of an ``.npz`` file: its sizes, and its arrays by name.  Nothing of ebm_ref is
imported, so ``python torch_networks.py MODEL.npz N_ROWS N_STEPS`` is a process of PyTorch alone: it makes two training
steps and prints its peak memory in bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Function = Callable[[Any], Any]
STEP_SIZE, RATE = 0.01, 1e-3


def peak_bytes() -> int:
    """Peak resident memory of this process, where /proc tells; ru_maxrss would include what the parent held."""
    import resource

    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# Networks and energies ------------------------------------------------------------------------------------------------


def layer(torch: Any, sizes: dict[str, Any], weights: dict[str, Any], prefix: str) -> Function:
    """One of our layers; its weights are named ``prefix`` and on."""
    kind, F = sizes["kind"], torch.nn.functional
    if kind == "Network":
        inner = layer(torch, sizes["layers"], weights, f"{prefix}layers.")
        return lambda x: inner(x.reshape(len(x), *sizes["input_shape"])).flatten(1)
    if kind == "Sequential":
        parts = [layer(torch, part, weights, f"{prefix}layers.{i}.") for i, part in enumerate(sizes["layers"])]
        return lambda x: _through(parts, x)
    if kind in ("Residual", "Concat"):
        branch = layer(torch, sizes["branch"], weights, f"{prefix}branch.")
        return (lambda x: x + branch(x)) if kind == "Residual" else lambda x: torch.cat([x, branch(x)], 1)
    own = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    if kind == "Activation":
        return _activation(F, sizes["function"], sizes["alpha"])
    if kind == "Pad":
        top, bottom, left, right = sizes["sides"]
        return lambda x: F.pad(x, (left, right, top, bottom))
    table: dict[str, Function] = {
        "Flatten": lambda x: x.flatten(1),
        "Linear": lambda x: torch.addmm(own["b"], x, own["W"]),
        "Conv2d": lambda x: F.conv2d(x, own["W"], own["b"], sizes["stride"], sizes["padding"]),
        "GroupNorm": lambda x: F.group_norm(x, sizes["n_groups"], own["gain"], own["shift"], sizes["eps"]),
        "AvgPool": lambda x: F.avg_pool2d(x, sizes["size"]),
        "MaxPool": lambda x: F.max_pool2d(x, sizes["size"]),
        "Upsample": lambda x: F.interpolate(x, scale_factor=sizes["factor"]),
    }
    return table[kind]


def _through(parts: list[Function], x: Any) -> Any:
    for part in parts:
        x = part(x)
    return x


def _activation(F: Any, name: str, alpha: float) -> Function:
    with_alpha = {"elu": F.elu, "leaky_relu": F.leaky_relu}
    if name in with_alpha:
        return lambda x: with_alpha[name](x, alpha)
    return {"silu": F.silu, "softplus": F.softplus, "tanh": F.tanh}[name]


class TorchEnergy:
    """E of rows: NetworkEnergy in any form, or JointEnergy; ``weights`` by our names."""

    def __init__(self, torch: Any, sizes: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.torch, self.sizes = torch, sizes
        self.weights = {name: torch.tensor(np.array(array)) for name, array in arrays.items()}
        self.network = layer(torch, sizes["network"], self.weights, "network.")

    def __call__(self, x: Any) -> Any:
        """E, (batch,)."""
        f, form, base = self.network(x), self.sizes.get("form"), self.sizes["base"]
        e = {
            "inner": lambda: (x * f).sum(1), "residual": lambda: ((x - f) ** 2).sum(1),
            "square": lambda: (f**2).sum(1), "scalar": lambda: f[:, 0], None: lambda: -self.torch.logsumexp(f, 1),
        }[form]()  # fmt: skip
        energy = self.sizes.get("scale", 1.0) * e
        return energy if base is None else energy + (x**2).sum(1) / (2 * base**2)

    def input_gradient(self, x: Any) -> Any:
        """dE/dx, (batch, d), the weights held constant."""
        self.require_gradients(False)
        x = x.detach().requires_grad_(True)
        return self.torch.autograd.grad(self(x).sum(), x)[0]

    def require_gradients(self, wanted: bool) -> None:
        """Whether derivatives by the weights are recorded."""
        for weight in self.weights.values():
            weight.requires_grad_(wanted)


# One training step ----------------------------------------------------------------------------------------------------


def langevin(energy: TorchEnergy, x: Any, n_steps: int, normal: Callable[[int], Any]) -> Any:
    """x after n_steps of x' = x - lam dE/dx + sqrt(2 lam) z, z = normal(step)."""
    for t in range(n_steps):
        x = x - STEP_SIZE * energy.input_gradient(x) + (2 * STEP_SIZE) ** 0.5 * normal(t)
    return x


def training_step(
    energy: TorchEnergy, optimizer: Any, data: Any, start: Any, n_steps: int, normal: Callable[[int], Any]
) -> Any:
    """Negatives by ``langevin``, then a step down mean E(data) - mean E(negatives); returns the negatives."""
    x = langevin(energy, start, n_steps, normal)
    energy.require_gradients(True)
    positive, negative = energy(energy.torch.cat([data, x])).split([len(data), len(x)])
    optimizer.zero_grad()
    (positive.mean() - negative.mean()).backward()
    optimizer.step()
    return x


def main(path: str, n_rows: int, n_steps: int) -> None:
    """See the head of this module."""
    import torch

    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    sizes = json.loads(str(arrays.pop("header")))["meta"]
    energy = TorchEnergy(torch, sizes, arrays)
    optimizer = torch.optim.Adam(energy.weights.values(), RATE)
    data = torch.randn(n_rows, int(np.prod(sizes["network"]["input_shape"])))
    for _ in range(2):
        training_step(energy, optimizer, data, data, n_steps, lambda t: torch.randn_like(data))
    print(peak_bytes())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
