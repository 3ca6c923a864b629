"""What the samplers of continuous units share: the target, boxes, the decision, step-size adaptation, compiled targets.

A model's target is its marginal energy: ``free_energy`` where there is one (GRBM, Gaussian, mixture), else ``energy``
of one batch argument; its gradient is -score.  States are rows of visible units, float64.

(1) accept with probability min(1, exp(log ratio)), by u < exp(min(0, log ratio)); NaN and +inf are refused
(2) adaptation: log step <- log step + t^-0.6 (mean acceptance - target), t = 1, 2, ...       [Robbins & Monro 1951]
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import (
    DivergenceError,
    DomainError,
    as_float_array,
    require_choice,
    require_finite,
    require_pair,
    require_shape,
)
from ebm_ref.kernels import langevin as kernels
from ebm_ref.kernels.networks import FORMS, MARGINAL, padded
from ebm_ref.kernels.noise import LANES, ROOM, lined_up
from ebm_ref.kernels.panels import tiles
from ebm_ref.kernels.targets import LAYER, MIXTURE, PARTS, QUADRATIC
from ebm_ref.models.analytic import Gaussian, GaussianMixture
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.heads import JointEnergy, NetworkEnergy
from ebm_ref.models.layers import Activation, Flatten, Linear, Sequential, SpectralNorm
from ebm_ref.models.nets import Network


@dataclass(frozen=True)
class Point:
    """States (n, d) with their energies (n,) and energy gradients (n, d)."""

    x: np.ndarray
    energy: np.ndarray
    gradient: np.ndarray


@dataclass(frozen=True, eq=False)
class Adaptation:
    """How a step size was found: factors (n_steps,) on it, mean acceptance (n_steps,), and the states reached."""

    factors: np.ndarray
    acceptance: np.ndarray
    states: np.ndarray


@dataclass(frozen=True, eq=False)
class Box:
    """low <= x <= high by coordinate (infinite ends allowed), and what happens to a move that leaves it."""

    low: np.ndarray
    high: np.ndarray
    boundary: str


def target_energy(model) -> Callable[[np.ndarray], np.ndarray]:
    """The function whose exp(-E) is sampled; refuses models that have no score."""
    for name in ("score", "n_visible"):
        if not hasattr(model, name):
            raise DomainError(f"model: expected one with {name}, got {type(model).__name__}")
    return getattr(model, "free_energy", None) or model.energy


def evaluate(model, x: np.ndarray) -> Point:
    """Energy and gradient of every row; overflow gives inf or NaN, which the samplers refuse or report."""
    both = getattr(model, "energy_and_score", None)
    with np.errstate(all="ignore"):
        energy, score = both(x) if both else (target_energy(model)(x), model.score(x))
        return Point(x, energy, -score)


def gradient(model, x: np.ndarray) -> np.ndarray:
    """Its gradient alone."""
    with np.errstate(all="ignore"):
        return -model.score(x)


def step_array(name: str, value: Any, model) -> np.ndarray:
    """A positive number, or one for each coordinate; read-only."""
    steps = np.array(as_float_array(name, value))
    if steps.ndim:
        require_shape(name, steps, model.n_visible)
    require_finite(name, steps)
    if not np.all(steps > 0):
        raise DomainError(f"{name}: expected positive numbers, got {steps.min()}")
    steps.flags.writeable = False
    return steps


def make_box(box, boundary: str, choices: tuple[str, ...], model) -> Box | None:
    """None, or (low, high), numbers or one for each coordinate."""
    require_choice("boundary", boundary, choices)
    if box is None:
        return None
    low, high = (np.array(as_float_array("box", end)) for end in require_pair("box", box))
    for end in (low, high):
        if end.ndim:
            require_shape("box", end, model.n_visible)
    if not np.all(low < high):
        raise DomainError("box: expected (low, high) with low < high in every coordinate")
    return Box(low, high, boundary)


def visible_rows(model, initial, box: Box | None) -> np.ndarray:
    """Initial states, a fresh array (n_chains, d): finite and inside the box."""
    rows = np.array(np.atleast_2d(as_float_array("initial", initial)))
    require_shape("initial", rows, None, model.n_visible)
    require_finite("initial", rows)
    if box is not None and np.any((rows < box.low) | (rows > box.high)):
        raise DomainError("initial: expected states inside the box")
    return rows


def fold(x: np.ndarray, low, high) -> np.ndarray:
    """x reflected at the walls of [low, high] until it lies inside."""
    low, high = np.broadcast_to(low, x.shape), np.broadcast_to(high, x.shape)
    with np.errstate(invalid="ignore"):
        width = high - low
        y = x - low
        y = y - 2.0 * width * np.floor(y / (2.0 * width))
        y = np.clip(low + np.where(y > width, 2.0 * width - y, y), low, high)
        y = np.where(low == -np.inf, 2.0 * high - x, np.where(high == np.inf, 2.0 * low - x, y))
    return np.where((x >= low) & (x <= high), x, y)


def constrain(x: np.ndarray, box: Box | None) -> tuple[np.ndarray, np.ndarray]:
    """(x brought back as the box says, which rows are outside and must be refused)."""
    if box is None:
        return x, np.zeros(len(x), dtype=bool)
    if box.boundary == "reflect":
        return fold(x, box.low, box.high), np.zeros(len(x), dtype=bool)
    if box.boundary == "project":
        return np.clip(x, box.low, box.high), np.zeros(len(x), dtype=bool)
    return x, np.any((x < box.low) | (x > box.high), axis=1)


def acceptance(log_ratio: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """(1): the probability of each proposal."""
    with np.errstate(invalid="ignore"):
        probability = np.exp(np.minimum(0.0, log_ratio))
    return np.where((log_ratio < np.inf) & ~outside, probability, 0.0)


def choose(accepted: np.ndarray, new: Point, old: Point) -> Point:
    """The new state, energy and gradient where accepted; else all three stay."""
    return Point(
        np.where(accepted[:, None], new.x, old.x),
        np.where(accepted, new.energy, old.energy),
        np.where(accepted[:, None], new.gradient, old.gradient),
    )


def require_no_divergence(diverged: np.ndarray, first_chain: int) -> None:
    """``diverged`` (n_chains,): 0, or one more than the step at which the chain left the finite numbers."""
    if diverged.any():
        step = int(diverged[diverged > 0].min()) - 1
        chain = int(np.flatnonzero(diverged == step + 1)[0])
        raise DivergenceError(
            f"chain {first_chain + chain} left the finite numbers at step {step}"
            f" ({np.count_nonzero(diverged)} of {len(diverged)} chains diverged); use a smaller step_size, or mala"
        )


def adapt(sampler, scaled: Callable[[float], Any], initial, n_steps: int, stream, target: float):
    """(2): (the sampler with the step size found, its Adaptation); ``scaled(factor)`` is a sampler."""
    if not 0 < target < 1:
        raise DomainError(f"target: expected an acceptance rate between 0 and 1, got {target}")
    rows = sampler.init(initial, stream.seed, stream.first_chain)
    if not len(rows):
        raise DomainError("initial: expected at least one chain, got none")
    log_factor, factors, rates = 0.0, np.empty(n_steps), np.empty(n_steps)
    for t in range(n_steps):
        rows, info = scaled(np.exp(log_factor)).step(rows, sampler.draw(stream, t, len(rows)))
        rates[t] = info.probability.mean()
        log_factor += (t + 1) ** -0.6 * (rates[t] - target)
        factors[t] = np.exp(log_factor)
    return scaled(np.exp(log_factor)), Adaptation(factors, rates, rows)


# Compiled targets -----------------------------------------------------------------------------------------------------

BOUNDARIES = {"reflect": kernels.REFLECT, "project": kernels.PROJECT, "reject": kernels.REJECT}


@dataclass(frozen=True, eq=False)
class CompiledTarget:
    """A model as the compiled loops read it.

    kind and arguments (A, B, mean, scale, bias): see the target's kernel.  n_parts: rows of scratch that it needs.
    work: elementary operations of one evaluation at one chain, roughly.
    """

    kind: Hashable
    arguments: tuple
    n_parts: int
    work: float

    def scratch(self, n_tiles: int, n: int, n_vectors: int) -> np.ndarray:
        """Room for ``n_vectors`` states and all that kernels/langevin.rooms cuts off after them."""
        units = n_vectors * n + 6 + -(-n // 4) * 4 + PARTS * max(self.n_parts, n, 1)
        return lined_up(n_tiles, units * LANES + ROOM)


def compiled_target(model) -> CompiledTarget | None:
    """None for models that have no compiled loop, subclasses among them: they may have changed the formulas."""
    none, table = np.empty(0), np.empty((0, 0))
    if type(model) is GRBM:
        A = model.W / model.variance[:, None]
        weights = tiles(A.T, np.float64), tiles(A, np.float64)
        arguments = (*weights, np.array(model.mu), 1 / model.variance, np.array(model.b))
        return CompiledTarget(LAYER, arguments, model.n_hidden, 2.0 * A.size)
    if type(model) is Gaussian:
        arguments = (tiles(model.precision.T, np.float64), table, np.array(model.mean), none, none)
        return CompiledTarget(QUADRATIC, arguments, model.n_visible, 2.0 * model.precision.size)
    if type(model) is GaussianMixture:
        with np.errstate(divide="ignore"):
            bias = np.log(model.weights) - 0.5 * np.log(2 * np.pi * model.variances).sum(axis=1)
        arguments = (np.array(model.means), 1 / model.variances, none, none, bias)
        return CompiledTarget(MIXTURE, arguments, len(model.weights), 2.0 * model.means.size)
    if type(model) in (NetworkEnergy, JointEnergy):
        return _network_target(model)
    return None


def _network_target(model) -> CompiledTarget | None:
    """kernels/networks.py for a multilayer perceptron whose hidden layers have one activation; else None."""
    perceptron = _perceptron(model.network)
    if perceptron is None:
        return None
    linear, phi = perceptron
    dtype, sizes = linear[0].W.dtype, [linear[0].W.shape[0], *(layer.W.shape[1] for layer in linear)]
    forward = np.concatenate([tiles(layer.W, dtype).ravel() for layer in linear])
    back = np.concatenate([tiles(layer.W.T, dtype).ravel() for layer in linear])
    bias = np.concatenate([np.r_[layer.b, np.zeros(padded(len(layer.b)) - len(layer.b), dtype)] for layer in linear])
    form, c = (FORMS[model.form], model.scale) if type(model) is NetworkEnergy else (MARGINAL, 1.0)
    numbers = np.array([form, c, 0.0 if model.base is None else model.base**-2.0, phi.alpha])
    kind = "silu_single" if (phi.function, dtype) == ("silu", np.float32) else phi.function
    n_rows = padded(max(sizes[:-1])) + sum(map(padded, sizes[1:]))
    arguments = (forward, back, numbers, np.array(sizes), bias)
    return CompiledTarget(kind, arguments, -(-n_rows // PARTS), 0.25 * (forward.size + back.size))


def _perceptron(network) -> tuple[list[Linear], Activation] | None:
    """(the linear layers, the activation between any two), or None for another network."""
    if type(network) is not Network or type(network.layers) is not Sequential:
        return None
    layers = [layer.normalised[0] if type(layer) is SpectralNorm else layer for layer in network.layers.layers]
    layers = layers[1:] if type(layers[0]) is Flatten else layers
    linear, between = layers[::2], layers[1::2]
    plain = all(type(layer) is Linear for layer in linear) and all(type(layer) is Activation for layer in between)
    if not plain or len(linear) != len(between) + 1 or len({(phi.function, phi.alpha) for phi in between}) > 1:
        return None
    return linear, (between or [Activation()])[0]


def box_arrays(box: Box | None, n: int) -> tuple[np.ndarray, np.ndarray, int]:
    """(low, high, code) for the compiled loops."""
    if box is None:
        return np.full(n, -np.inf), np.full(n, np.inf), kernels.FREE
    low, high = (np.ascontiguousarray(np.broadcast_to(end, n)) for end in (box.low, box.high))
    return low, high, BOUNDARIES[box.boundary]
