"""One training step of deep energies against PyTorch eager: the same network, the same numbers, float32, all cores.

The step is 60 Langevin steps of the negatives and one step of Adam on mean E(data) - mean E(negatives).  Before they
are timed, both are given the same noise, and what they compute is compared: a peer that computes something else proves
nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import ebm_ref
from ebm_ref.benchmarks import torch_networks
from ebm_ref.benchmarks.rows import NO_PEER, OURS, Benchmark, Measured, Session, against_fastest, not_run
from ebm_ref.benchmarks.torch_networks import RATE, STEP_SIZE, TorchEnergy
from ebm_ref.models.record import flatten, leaves, sizes

LANGEVIN_STEPS = 60
SAME = 1e-5  # largest relative difference of single-precision results
NETWORKS = ("mlp", "convnet", "unet")
OUR_PEAK = """
import sys, numpy as np, ebm_ref
from ebm_ref.benchmarks import deep, torch_networks
model, n_rows, n_steps = ebm_ref.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
step = deep.our_step(model, *deep.rows_for(model, n_rows), n_steps)
step(), step()
print(torch_networks.peak_bytes())
"""


def setting(name: str, quick: bool = False, dtype: str = "float32") -> tuple[Any, int, int]:
    """(energy, rows of a batch, Langevin steps)."""
    nets, image = ebm_ref.nets, (1, 8, 8) if quick else (1, 28, 28)
    channels = (4, 8) if quick else (16, 32, 64)
    n_steps = 3 if quick else LANGEVIN_STEPS
    if name == "mlp":
        hidden = 8 if quick else 128
        network = nets.mlp((2, hidden, hidden, 1), dtype=dtype)
        return ebm_ref.NetworkEnergy(network, "scalar"), 24 if quick else 512, n_steps
    if name == "convnet":
        network = nets.convnet(image, (4, 8) if quick else (16, 32, 64, 64), 1, dtype=dtype)
        return ebm_ref.NetworkEnergy(network, "scalar"), 8 if quick else 64, n_steps
    return ebm_ref.NetworkEnergy(nets.unet(image, channels, dtype=dtype), "inner"), 8 if quick else 64, n_steps


def rows_for(model: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(data, first states of the negatives), in the model's own precision."""
    stream, shape = ebm_ref.Stream(0, "user"), (n, model.n_visible)
    data, start = (stream.normal(step, shape).astype(model.network.dtype).astype(np.float64) for step in (0, 1))
    return data, start


# One training step, ours ----------------------------------------------------------------------------------------------


def estimator(n_steps: int, n: int) -> Any:
    """CD whose chains all take part in every update."""
    return ebm_ref.langevin_cd(partial(ebm_ref.ula, step_size=STEP_SIZE), n_steps, buffer_size=n, restart=0.0)


def our_step(model: Any, data: np.ndarray, start: np.ndarray, n_steps: int) -> Callable[[], Any]:
    """The new model of one update."""
    optimizer, estimate = ebm_ref.adam(RATE), estimator(n_steps, len(start)).estimate
    state = optimizer.init(model)
    return lambda: optimizer.update(model, estimate(model, data, start)[0], state, 0)[0]


def torch_step(torch: Any, model: Any, data: np.ndarray, start: np.ndarray, n_steps: int) -> Callable[[], Any]:
    """The same in PyTorch, with its own noise."""
    energy = TorchEnergy(torch, sizes(model), leaves(model))
    optimizer = torch.optim.Adam(energy.weights.values(), RATE)
    rows, first = (torch.tensor(array.astype(model.network.dtype)) for array in (data, start))
    return lambda: torch_networks.training_step(
        energy, optimizer, rows, first, n_steps, lambda t: torch.randn_like(first)
    )


# The same numbers -----------------------------------------------------------------------------------------------------


def differences(torch: Any, model: Any, data: np.ndarray, start: np.ndarray, n_steps: int) -> dict[str, float]:
    """Largest differences between ours and PyTorch's over the largest number: E, dE/dx, dE/dtheta, and one step.

    Of the step: the negatives after ``n_steps`` with the same noise, and the update there, over the means in it.
    """
    energy = TorchEnergy(torch, sizes(model), leaves(model))
    dtype, stream, ours = model.network.dtype, ebm_ref.Stream(0, "negative"), estimator(n_steps, len(start))
    chosen = np.argsort(ebm_ref.Stream(0, "buffer").uniform(0, (2, len(start)))[0], kind="stable")  # learning/replay
    rows, first = (torch.tensor(array.astype(dtype)) for array in (data, start[chosen]))
    x = torch_networks.langevin(
        energy, first, n_steps, lambda t: torch.tensor(stream.normal(t, start.shape).astype(dtype))
    )

    def by_weights(loss: Any) -> np.ndarray:
        gradients = torch.autograd.grad(loss, list(energy.weights.values()))
        return np.concatenate([gradient.numpy().ravel() for gradient in gradients])

    found = {
        "E": largest(model.energy(data), energy(rows).detach()),
        "dE/dx": largest(-model.score(data), energy.input_gradient(rows)),
    }
    energy.require_gradients(True)
    gradient = by_weights(energy(rows).sum())
    update, buffer = ours.estimate(model, data, start)
    of_data, of_negatives = by_weights(energy(rows).mean()), by_weights(energy(x).mean())
    return found | {
        "dE/dtheta": largest(flatten(model.energy_gradient(data)), gradient),
        "negatives": largest(buffer[chosen], x),
        "update": largest(
            flatten(update), of_negatives - of_data, max(np.abs(of_data).max(), np.abs(of_negatives).max())
        ),
    }


def largest(ours: Any, theirs: Any, size: float = 0.0) -> float:
    """max |ours - theirs| over max |theirs|, or over ``size``."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return float(np.abs(ours - theirs).max() / (size or np.abs(theirs).max()))


# The rows -------------------------------------------------------------------------------------------------------------


def measure_step(name: str, session: Session) -> Measured:
    """Refuses to time what does not agree."""
    torch = session.peer("torch")
    model, n, n_steps = setting(name, session.quick)
    data, start = rows_for(model, n)
    jobs: dict[str, Callable[[], object]] = {OURS: our_step(model, data, start, n_steps)}
    words = ""
    if torch is not None:
        worst = max(differences(torch, model, data, start, n_steps).values())
        if not worst <= SAME:
            return not_run(f"ours and PyTorch's numbers differ by {worst:.1e} of the largest")
        jobs["torch"] = torch_step(torch, model, data, start, n_steps)
        words = f"numbers agree to {worst:.1e}; "
    times = session.time(jobs, most_repeats=5)
    each = ", ".join(f"{1e3 * t.median / n_steps:.3g} ms {who}" for who, t in times.items())
    return against_fastest(times, f"{words}a Langevin step and its share of the update: {each}")


def peak(code: list[str], path: Path, n_rows: int, n_steps: int) -> float:
    """Megabytes of a process."""
    command = [sys.executable, *code, str(path), str(n_rows), str(n_steps)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1e6


def measure_memory(session: Session) -> Measured:
    """The largest of the networks' ratios; two training steps of two Langevin steps hold all that longer ones hold."""
    if session.peer("torch") is None:
        return not_run(NO_PEER)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS[:1] if session.quick else NETWORKS:
            model, n, _ = setting(name, session.quick)
            path = Path(folder) / "model.npz"
            model.save(path)
            peak(["-c", OUR_PEAK], path, n, 2)  # compiles
            found[name] = peak(["-c", OUR_PEAK], path, n, 2), peak([torch_networks.__file__], path, n, 2)
    words = ", ".join(f"{name} {ours:.0f} MB against {theirs:.0f}" for name, (ours, theirs) in found.items())
    return Measured(max(ours / theirs for ours, theirs in found.values()), {}, words)


def rows() -> tuple[Benchmark, ...]:
    """Three networks, and their memory."""
    works = {
        "mlp": (1.5, "MLP 2-128-128-1, batch 512"),
        "convnet": (1.0, "convnet on 28 x 28, batch 64"),
        "unet": (1.0, "U-Net 16/32/64 on 28 x 28, batch 64"),
    }
    return (
        *(
            Benchmark(
                f"train_{name}", f"training step, {LANGEVIN_STEPS} Langevin steps, {work}", target, "x",
                partial(measure_step, name),
            )
            for name, (target, work) in works.items()
        ),
        Benchmark(
            "train_memory", "peak memory of training in that of PyTorch", 1.0, "x", measure_memory, at_least=False
        ),
    )  # fmt: skip
