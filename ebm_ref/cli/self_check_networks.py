"""The package's deep energies against the oracle: E, dE/dx, dE/dtheta of every declared network, losses and moves.

The oracle declares networks as plain data and evaluates them by plain loops; ``model_of`` builds ours with the same
weights.  Losses and moves (``check_rule``) are given the very numbers that our streams draw.  Nothing is left to
chance: these checks have no false alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import ebm_ref
from ebm_ref.models import layers
from ebm_ref.models.record import leaves
from ebm_ref.oracle import Report, cases, check_energy, check_gradient, check_rule, rules
from ebm_ref.oracle.deep.network import Layer
from ebm_ref.samplers.common import GaussianNoise

Array = np.ndarray
Judged = tuple[str, Callable[[], Report]]  # what it is called, and the check
SINGLE = ("mlp_residual",)  # cases that float32 networks are judged on too


def network_checks() -> Iterator[Judged]:
    """Formulas case by case, then losses and moves; none does any work before it is called."""
    for name in cases.NETWORK_NAMES:
        case: Any = cases.named(name)
        for precision in ("float64", "float32") if name in SINGLE else ("float64",):
            words = "" if precision == "float64" else f", {precision}"
            for what, check in (("energy", energy), ("dE/dx", slope), ("dE/dtheta", parameter_gradient)):
                yield what + words, partial(check, case, precision)
    yield from LEARNING


# the package's model of a declared network ----------------------------------------------------------------------------


def layer_of(layer: Layer) -> Any:
    """One layer of ours from the oracle's record."""
    a: Any = layer.arrays
    n: Any = layer.numbers
    made: dict[str, Callable[[], Any]] = {
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
        "concat": lambda: layers.Concat(layers_of(layer.branch)),
        "residual": lambda: layers.Residual(layers_of(layer.branch)),
    }
    return made[layer.kind]()


def layers_of(declared: Sequence[Layer]) -> Any:
    """Layers one after the other."""
    return layers.Sequential(tuple(layer_of(layer) for layer in declared))


def model_of(case: cases.NetworkCase) -> Any:
    """``NetworkEnergy`` or ``JointEnergy`` with the weights of the case."""
    network = ebm_ref.nets.Network(layers_of(case.layers), case.input_shape)
    if case.form in ("marginal", "joint"):
        return ebm_ref.JointEnergy(network, case.base)
    return ebm_ref.NetworkEnergy(network, case.form, case.scale, case.base)


def arrays(gradient: Any) -> list[Array]:
    """The leaves of a record, in the order of ``case.parameters``."""
    return list(leaves(gradient).values())


# energies and derivatives; what float32 networks answer in float64 is judged as float32 -------------------------------


def energy(case: cases.NetworkCase, precision: str) -> Report:
    """E(x), or E(x, y) of a joint form."""
    model = model_of(case).astype(precision)
    return check_energy(lambda x, *y: model.energy(x, *y).astype(precision), case)


def slope(case: cases.NetworkCase, precision: str) -> Report:
    """dE/dx, the score with its sign turned."""
    model = model_of(case).astype(precision)
    return check_gradient(lambda x, *y: -model.score(x, *y).astype(precision), case, of="state")


def parameter_gradient(case: cases.NetworkCase, precision: str) -> Report:
    """sum_n weights_n dE(x_n)/dtheta."""
    model = model_of(case).astype(precision)

    def gradient(x: Array, *rest: Array) -> list[Array]:
        *labels, weights = rest
        return [leaf.astype(precision) for leaf in arrays(model.energy_gradient(x, weights, *labels))]

    return check_gradient(gradient, case, of="energy")


# losses and moves -----------------------------------------------------------------------------------------------------


class Mover:
    """A sampler that moves states by a function."""

    def __init__(self, move: Callable[[Array], Array]) -> None:
        self.move = move

    def advance(self, state: Array, stream: ebm_ref.Stream, start: int, n: int) -> tuple[Array, None]:
        """Once, however many steps are asked for."""
        return self.move(state), None


def buffered(move: Callable[[Array], Array], size: int, penalty: float = 0.0) -> Any:
    """Contrastive divergence from a replay buffer whose chains move by ``move``."""
    return ebm_ref.langevin_cd(lambda model: Mover(move), 1, buffer_size=size, restart=0.0, energy_penalty=penalty)


def given_to(rule: rules.Rule, *calls: tuple[Any, ...]) -> rules.Rule:
    """The rule on other numbers than its own."""
    return replace(rule, given=lambda case: list(calls))


def descent_of(estimate: tuple[Any, Any]) -> list[Array]:
    """The gradient of a loss from an estimate, which goes up the likelihood."""
    return [-leaf for leaf in arrays(estimate[0])]


def moved(sampler: Any, x: Array, z: Array) -> Array:
    """One step with the normals z."""
    return sampler.step(x, GaussianNoise(z, np.empty((len(x), 0))))[0]


def denoising() -> Report:
    """Denoising score matching at one noise level."""
    case = cases.named("mlp_residual")
    estimator, x = ebm_ref.denoising_score_matching(0.375), case.points
    rule = given_to(rules.denoising(0.375), (x, ebm_ref.Stream(3, "data_noise").normal(2, x.shape)))
    return check_rule(
        lambda x, z: descent_of(estimator.estimate(model_of(case), x, None, seed=3, update=2)), case, rule
    )


def contrastive() -> Report:
    """Contrastive divergence with an energy penalty."""
    case = cases.named("mlp_residual")
    rule = given_to(rules.contrastive(0.125), (case.points, rules.numbers(case, 2)))
    still = buffered(lambda states: states, 6, 0.125)
    return check_rule(lambda p, n: descent_of(still.estimate(model_of(case), p, n, seed=1)), case, rule)


def joint() -> Report:
    """A classifier whose logits are energies."""
    case = cases.named("jem_marginal")
    rule = given_to(rules.joint(0.25), (case.points, case.labels, rules.numbers(case, 2)))
    estimator = ebm_ref.jem(buffered(lambda states: states, 6), 0.25)
    return check_rule(
        lambda x, y, n: descent_of(estimator.estimate(model_of(case), x, n, seed=1, labels=y)), case, rule
    )


def descent(order: str) -> Report:
    """Noisy gradient descent in a box, clipped, the noise before the gradient or with it."""
    case = cases.named("mlp_scalar")
    sampler = ebm_ref.noisy_descent(model_of(case), 1.5, 0.25, clip=0.125, box=(-1.0, 1.25), order=order)
    return check_rule(partial(moved, sampler), case, rules.descent(1.5, 0.25, 0.125, (-1.0, 1.25), order))


def langevin() -> Report:
    """Unadjusted Langevin at a temperature."""
    case = cases.named("mlp_scalar")
    return check_rule(
        partial(moved, ebm_ref.ula(model_of(case), 0.25, temperature=0.5)), case, rules.langevin(0.25, 0.5)
    )


def completion() -> Report:
    """Langevin of the unknown coordinates given the known ones."""
    case = cases.named("mlp_scalar")
    sampler = ebm_ref.ula(model_of(case), 0.125)

    def completed(x: Array, observed: Array, known: Array, z: Array) -> Array:
        return moved(sampler.clamped(known[0]), np.where(known, observed, x), np.where(known, 0.0, z))

    return check_rule(completed, case, rules.completion(0.125))


def replay() -> Report:
    """States taken from the buffer, moved, and put back."""
    case = cases.named("mlp_inner")

    def negatives(buffer: Array, n: int, move: Callable[[Array], Array], seed: int) -> Array:
        return buffered(move, 32).negatives(model_of(case), buffer[:n], buffer, seed, 0)[1]

    return check_rule(negatives, case, rules.replay())


def averaging() -> Report:
    """Exponential averages of parameters."""
    case, optimiser = cases.named("linear_inner"), ebm_ref.averaged(ebm_ref.sgd(1.0), 0.875)
    W, b = case.parameters

    def network(a: Array) -> Any:
        return ebm_ref.nets.Network(layers.Linear(a, b), case.input_shape)

    def averaged(average: Array, new: Array) -> Array:
        state = optimiser.init(network(average))
        return optimiser.update(network(new), network(0 * new), state, 0)[1][-1].layers.W

    return check_rule(averaged, case, given_to(rules.averaging(0.875), (W[::-1].copy(), np.array(W))))


def recovery_step() -> Report:
    """Langevin of a recovery chain, from the bottom to the top level."""
    case, stream = cases.named("mlp_scalar"), ebm_ref.Stream(4, "negative")
    seen, z = case.points, stream.normal(0, case.points.shape)

    def step(y: Array, seen: Array, z: Array, t: int) -> Array:
        return ebm_ref.recovery(k=1).chains(model_of(case), np.full(len(seen), t), seen, stream, 0)

    return check_rule(step, case, given_to(rules.recovery_step(), *((seen, seen, z, t) for t in (0, 2, 5))))


def recovery_loss() -> Report:
    """The loss of diffusion recovery at positives and negatives of mixed levels."""
    case, estimator = cases.named("mlp_scalar"), ebm_ref.recovery(k=1)
    t, positive, far = estimator.pairs(case.points, 5, 0)
    negative = estimator.chains(model_of(case), t, far, ebm_ref.Stream(5, "negative"), 0)
    rule = given_to(rules.recovery_loss(), (positive, negative, t))
    return check_rule(
        lambda p, n, t: descent_of(estimator.estimate(model_of(case), case.points, None, 5, 0)), case, rule
    )


def recovery_pair() -> Report:
    """Positives of diffusion recovery and what they are seen through, row by row below the top level."""
    case, noise = cases.named("mlp_scalar"), ebm_ref.Stream(5, "data_noise")
    t, positive, far = ebm_ref.recovery(k=1).pairs(case.points, 5, 0)
    first, second = (noise.normal(k, case.points.shape) for k in (0, 1))
    rows = np.flatnonzero(t < 5)
    calls = [(case.points[i : i + 1], int(t[i]), first[i : i + 1], second[i : i + 1]) for i in rows]
    answers = {first[i].tobytes(): (positive[i], far[i]) for i in rows}
    return check_rule(lambda x, t, z, more: answers[z[0].tobytes()], case, given_to(rules.recovery_pair(), *calls))


LEARNING: tuple[Judged, ...] = (
    ("denoising score matching", denoising), ("contrastive divergence of networks", contrastive),
    ("joint energy: classes and density", joint), ("noisy descent", partial(descent, "with")),
    ("noisy descent, noise first", partial(descent, "first")), ("Langevin at a temperature", langevin),
    ("completion", completion), ("replay buffer", replay), ("average of parameters", averaging),
    ("recovery: pairs", recovery_pair), ("recovery: move", recovery_step), ("recovery: loss", recovery_loss),
)  # fmt: skip
