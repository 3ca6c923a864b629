"""Does a training step or a move make of given numbers what its rule says?   check_rule(f, case, rule)

A rule names a computation without chance: data, noise and negatives are given, so the answer is one array, compared at
rounding.  Each knows its usual mistakes as changed arguments of its equation (``ebm_ref.oracle.deep.training``).

rule                      candidate f(...)                  answer
denoising(sigma)          f(x, z)                           dL/dtheta: arrays in the order of case.parameters
contrastive(alpha)        f(positive, negative)             dL/dtheta, of the loss: descent
joint(weight)             f(x, y, negative)                 dL/dtheta; for cases of form "marginal"
descent(...)              f(x, z)                           x'
langevin(eta, T)          f(x, z)                           x'
completion(eta)           f(x, observed, known, z)          x'
recovery_pair()           f(x, t, z, z')                    (y, seen)
recovery_step()           f(y, seen, z, t)                  y'
recovery_loss()           f(positive, negative, t)          dL/dtheta
averaging(decay)          f(average, new)                   arrays
replay()                  f(buffer, n, move, seed)          the buffer afterwards
x and its like have the shape of the network's input.  t is the level, 0 ... 5, of the published schedule with T = 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_number, require_positive
from ebm_ref.oracle.deep import training
from ebm_ref.oracle.deep.cases import NetworkCase
from ebm_ref.oracle.deep.formulas import flat_arrays
from ebm_ref.oracle.deep.network import dyadic
from ebm_ref.oracle.deterministic import (
    Alternative,
    CandidateError,
    exact_report,
    explain,
    refused,
    usable,
    value_result,
)
from ebm_ref.oracle.results import Report

Array = np.ndarray
Arguments = tuple[Any, ...]
PARAMETERS, STATES = "parameters", "states"


@dataclass(frozen=True)
class Wrong:
    """A mistake of a rule: changed arguments of its equation."""

    id: str
    description: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Rule:
    """A computation on given numbers.

    made      (case, arguments, settings) -> (values, bounds);  given  a case -> arguments of every call
    answers   "parameters" or "states": how the candidate's answer is read
    """

    name: str
    answers: str
    made: Callable[..., tuple[Array, Array]]
    settings: Mapping[str, Any]
    given: Callable[[NetworkCase], list[Arguments]]
    mistakes: tuple[Wrong, ...]
    form: str | None = None

    def exact(self, case: NetworkCase, changes: Mapping[str, Any] | None = None) -> tuple[Array, Array]:
        """(values, bounds) of all calls in one vector; with ``changes`` those of a mistake."""
        settings = {**self.settings, **(changes or {})}
        found = [self.made(case, *(as_rows(case, a) for a in call), **settings) for call in self.given(case)]
        values, bounds = (np.concatenate([np.ravel(part[k]) for part in found]) for k in range(2))
        return values, bounds

    def candidate(self, case: NetworkCase, changes: Mapping[str, Any] | None = None) -> Callable[..., Any]:
        """The function that the rule asks for; with ``changes`` a wrong one."""
        settings = {**self.settings, **(changes or {})}

        def f(*arguments: Any) -> Array:
            return self.made(case, *(as_rows(case, a) for a in arguments), **settings)[0]

        return f


def as_rows(case: NetworkCase, argument: Any) -> Any:
    """States of the network's input shape as rows (n, d)."""
    states = isinstance(argument, np.ndarray) and argument.shape[1:] == case.input_shape
    return argument.reshape(len(argument), -1) if states else argument


def check_rule(f: Callable[..., Any], case: NetworkCase, rule: Rule) -> Report:
    """Are these the rule's numbers (D1), and the same in a second call (D7)?  Deterministic; names the mistake.

    >>> from ebm_ref.oracle import cases
    >>> case, rule = cases.named("mlp_inner"), averaging(0.75)
    >>> check_rule(lambda average, new: 0.75 * average + 0.25 * new, case, rule).passed
    True
    >>> check_rule(lambda average, new: 0.25 * average + 0.75 * new, case, rule).diagnosis[0].mistake
    'averaging_sides'
    """
    if rule.form is not None and case.form != rule.form:
        raise DomainError(f"case: expected one of form {rule.form!r} for {rule.name}, got {case.name}, {case.form!r}")
    values, bounds = rule.exact(case)
    replay = f"ebm_ref.oracle.check_rule(f, cases.named({case.name!r}), rules.{rule.name}(...))"
    try:
        answer, again = (np.concatenate([asked(f, case, rule, call) for call in rule.given(case)]) for _ in range(2))
        if answer.shape != values.shape:
            raise CandidateError(f"returned {answer.size} numbers, expected {values.size}")
    except CandidateError as error:
        return exact_report(f, case, [refused("D1", error, replay)])
    labels = [f"{rule.name}, number {k}" for k in range(len(values))]
    results = [value_result("D1", answer, values, bounds, labels, replay)]
    results.append(value_result("D7", again, answer.astype(np.float64), bounds, labels, replay))

    def wrong() -> Sequence[Alternative]:
        return [Alternative(w.id, w.description, rule.exact(case, w.changes)[0]) for w in rule.mistakes]

    return exact_report(f, case, results, explain(answer, values, bounds, wrong))


def asked(f: Callable[..., Any], case: NetworkCase, rule: Rule, call: Arguments) -> Array:
    """The candidate's numbers in one call, flat."""
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in call]
    try:
        answer = f(*copies)
    except Exception as error:  # the candidate's own, whatever it is
        raise CandidateError(f"raised {type(error).__name__}: {error}") from error
    if any(isinstance(a, np.ndarray) and not np.array_equal(a, b) for a, b in zip(call, copies, strict=True)):
        raise CandidateError("modified its input")
    if rule.answers == PARAMETERS:
        return flat_arrays(answer, case)
    if isinstance(answer, list | tuple):
        answer = np.concatenate([np.ravel(np.asarray(part)) for part in answer])
    return usable(np.array(answer, copy=True), None).ravel()


# what is given --------------------------------------------------------------------------------------------------------


def numbers(case: NetworkCase, key: int) -> Array:
    """Fixed normals in the shape of the network's input, as many rows as the case has points."""
    rng = np.random.default_rng([20260613, key])
    return dyadic(rng.normal(size=case.images.shape), 6)


def noisy(case: NetworkCase) -> list[Arguments]:
    """(x, z)."""
    return [(case.images, numbers(case, 1))]


def phases(case: NetworkCase) -> list[Arguments]:
    """(positive, negative), of different lengths."""
    return [(case.images, numbers(case, 2)[:4])]


def wrong(id: str, description: str, changes: Mapping[str, Any]) -> Wrong:
    """In the order of the tables below."""
    return Wrong(id, description, changes)


# the rules ------------------------------------------------------------------------------------------------------------


def denoising(sigma: float) -> Rule:
    """Denoising score matching at noise ``sigma``, the gradient of its loss."""
    s = require_positive("sigma", sigma)
    mistakes = (
        wrong("denoising_sign", "dE/dx + z/sigma: sign of the target, or of the score", {"target": -1.0}),
        wrong("denoising_weight_missing", "sigma^2 missing before the loss", {"weight": 1.0}),
        wrong("denoising_weight_sigma", "sigma for sigma^2 before the loss", {"weight": s}),
        wrong("denoising_target_unscaled", "z for z/sigma in the target", {"target": s}),
        wrong("denoising_target_variance", "z/sigma^2 for z/sigma in the target", {"target": 1.0 / s}),
        wrong("denoising_target_missing", "no target: the norm of the score alone", {"target": 0.0}),
        wrong("denoising_clean", "dE/dx at x, not at x + sigma z", {"clean": True}),
        wrong("denoising_variance", "x + sigma^2 z for x + sigma z", {"spread": s}),
        wrong("denoising_ascent", "ascent for descent", {"sign": -1.0}),
        wrong("denoising_half_missing", "the factor 1/2 missing", {"sign": 2.0}),
        wrong("denoising_sum", "sum over the rows for their mean", {"mean": False}),
    )
    return Rule("denoising", PARAMETERS, training.denoising, {"sigma": s}, noisy, mistakes)


def contrastive(alpha: float = 0.0) -> Rule:
    """Contrastive divergence at given negatives with the energy penalty ``alpha``, the gradient of its loss."""
    a = require_number("alpha", alpha)
    mistakes = [
        wrong("phases_swapped", "positive and negative phase swapped, or ascent", {"phases": (-1.0, 1.0)}),
        wrong("both_phases_up", "phases added", {"phases": (1.0, 1.0)}),
        wrong("negative_phase_missing", "negative phase missing", {"phases": (1.0, 0.0), "penalty": (2.0, 0.0)}),
        wrong("positive_phase_missing", "positive phase missing", {"phases": (0.0, -1.0), "penalty": (0.0, 2.0)}),
        wrong("phases_summed", "sum over the rows for their mean", {"mean": False}),
    ]
    if a:
        mistakes += [
            wrong("penalty_sign", "sign of the energy penalty", {"penalty": (-2.0, -2.0)}),
            wrong("penalty_half", "alpha E for 2 alpha E: the factor 2 of the square missing", {"penalty": (1.0, 1.0)}),
            wrong("penalty_missing", "energy penalty missing", {"penalty": (0.0, 0.0)}),
            wrong("penalty_negative_only", "penalty on the negatives alone", {"penalty": (0.0, 2.0)}),
            wrong("penalty_positive_only", "penalty on the data alone", {"penalty": (2.0, 0.0)}),
            wrong("penalty_opposite", "penalty with the sign of the phase", {"penalty": (2.0, -2.0)}),
            wrong("penalty_of_mean", "(mean E)^2 for mean E^2", {"squared_mean": True}),
            wrong("penalty_of_gap", "penalty on the gap of the mean energies", {"difference": True}),
        ]
    return Rule("contrastive", PARAMETERS, training.contrastive, {"alpha": a}, phases, tuple(mistakes))


def joint(weight: float = 1.0) -> Rule:
    """The loss of a joint energy model at given negatives: cross-entropy plus ``weight`` times that of log p(x)."""
    mistakes = (
        wrong("classes_sign", "e_y - pi for pi - e_y: sign of the cross-entropy", {"classes": -1.0}),
        wrong("density_sign", "sign of the part of log p(x)", {"density": (-1.0, 1.0)}),
        wrong("density_missing", "the plain classifier: log p(x) left out", {"density": (0.0, 0.0)}),
        wrong("density_weight", "weight 1 for the declared one", {"weight": 1.0}),
        wrong("density_conditional", "E(x, y) for E(x) of the data", {"conditional": True}),
        wrong("joint_negative_missing", "negative phase missing", {"density": (1.0, 0.0)}),
    )

    def given(case: NetworkCase) -> list[Arguments]:
        return [(case.images, case.labels, numbers(case, 2)[:4])]

    return Rule("joint", PARAMETERS, training.joint, {"weight": require_positive("weight", weight)}, given, mistakes,
                "marginal")  # fmt: skip


def descent(
    step_size: float, noise: float, clip: float | None = None, box: tuple[float, float] | None = None,
    order: str = "with",
) -> Rule:  # fmt: skip
    """One move of noisy gradient descent; order "first" (the noise before the gradient is taken) or "with"."""
    lam, s = require_positive("step_size", step_size), require_positive("noise", noise)
    mistakes = [
        wrong("noise_order", "noise at the same time as the gradient, or before it, against what is declared",
              {"order": "with" if order == "first" else "first"}),
        wrong("uphill", "sign of the drift", {"step_size": -lam}),
        wrong("half_drift", "half of the step in the drift", {"step_size": lam / 2}),
        wrong("noise_of_langevin", "noise sqrt(2 step_size) for the declared one", {"noise": (2 * lam) ** 0.5}),
        wrong("noise_of_root", "noise sqrt(step_size) for the declared one", {"noise": lam**0.5}),
        wrong("noise_variance", "the square of the noise's deviation", {"noise": s**2}),
        wrong("noise_missing", "no noise", {"noise": 0.0}),
    ]  # fmt: skip
    if clip is not None:
        mistakes += [
            wrong("clip_missing", "gradient not clipped", {"clip": None}),
            wrong("clip_by_norm", "gradient clipped by its norm, not by value", {"ball": True}),
            wrong("clip_of_step", "step clipped where the gradient is to be", {"clip": clip / lam}),
        ]
    if box is not None:
        mistakes += [wrong("box_missing", "states not kept in the box", {"box": None})]
        if order == "first":
            mistakes += [
                wrong("box_last_only", "box after the drift alone, not after the noise", {"box_last_only": True})
            ]
    settings = {"step_size": lam, "noise": s, "clip": clip, "box": box, "order": order}
    return Rule("descent", STATES, training.descent, settings, noisy, tuple(mistakes))


def langevin(step_size: float, temperature: float = 1.0) -> Rule:
    """One unadjusted Langevin move at a temperature."""
    eta, T = require_positive("step_size", step_size), require_positive("temperature", temperature)
    mistakes = (
        wrong("temperature_not_rooted", "sqrt(2 eta) T for sqrt(2 eta T)", {"noise": (2 * eta) ** 0.5 * T}),
        wrong("root_two_missing", "sqrt(eta T) for sqrt(2 eta T)", {"noise": (eta * T) ** 0.5}),
        wrong(
            "temperature_in_drift",
            "g/T in the drift: the right law at another step",
            {"drift": 1 / T, "noise": (2 * eta) ** 0.5},
        ),
        wrong("temperature_missing", "temperature 1", {"noise": (2 * eta) ** 0.5}),
        wrong("langevin_uphill", "sign of the drift", {"drift": -1.0}),
        wrong("langevin_half_drift", "eta/2 in the drift with noise sqrt(2 eta T)", {"drift": 0.5}),
        wrong("noise_is_step", "eta for sqrt(2 eta T)", {"noise": eta}),
    )
    return Rule("langevin", STATES, training.langevin, {"step_size": eta, "temperature": T}, noisy, mistakes)


def completion(step_size: float) -> Rule:
    """One Langevin move of the unknown coordinates given the known ones."""
    mistakes = (
        wrong("known_not_clamped_first", "gradient taken before the known values are put in", {"clamp_first": False}),
        wrong("known_moved", "known coordinates moved too: clamped before the step alone", {"clamp_last": False}),
        wrong("noise_on_known", "noise added on the known coordinates", {"noise_on_known": 1.0}),
        wrong("mask_inverted", "the unknown coordinates clamped", {"inverted": True}),
        wrong("never_clamped", "no clamping in the step: only at the end of the chain",
              {"clamp_first": False, "clamp_last": False}),
    )  # fmt: skip

    def given(case: NetworkCase) -> list[Arguments]:
        known = np.arange(case.n_visible).reshape(case.input_shape) % 2 == 0
        return [(case.images, numbers(case, 3), np.broadcast_to(known, case.images.shape).copy(), numbers(case, 1))]

    settings = {"step_size": require_positive("step_size", step_size)}
    return Rule("completion", STATES, training.completion, settings, given, mistakes)


def recovery_pair() -> Rule:
    """Positives of diffusion recovery and what they are seen through, below the top level."""
    mistakes = (
        wrong("rescale_missing", "x_t for y = a_(t+1) x_t", {"rescaled": False}),
        wrong("level_behind", "a_t and sig_t for those of t + 1", {"ahead": 0}),
        wrong("pair_variance", "sig^2 for sig in the noise", {"variance": True}),
    )

    def given(case: NetworkCase) -> list[Arguments]:
        return [(case.images, t, numbers(case, 1), numbers(case, 4)) for t in (0, 3)]

    return Rule("recovery_pair", STATES, training.recovery_pair, {}, given, mistakes)


def recovery_step() -> Rule:
    """One Langevin move of a recovery chain, at a level in the middle and at the top."""
    mistakes = (
        wrong("c_of_squares", "s_t^2 with the ratio of squares of cumulative sigmas", {"squares": True}),
        wrong("quadratic_missing", "(y - seen) term missing", {"quadratic": False}),
        wrong("quadratic_at_top", "(y - seen) term at the top level too", {"top_quadratic": True}),
        wrong("energy_not_divided", "s^2 g/2 for g/2: E where E/s^2 is declared", {"unscaled": True}),
        wrong("recovery_whole_drift", "g for g/2", {"half": 1.0}),
        wrong("recovery_uphill", "sign of the drift", {"half": -0.5}),
        wrong("recovery_level_behind", "sig_t for sig_(t+1)", {"ahead": 0}),
        wrong("recovery_noise", "noise sqrt(2) s for s", {"noise": 2.0**0.5}),
    )

    def given(case: NetworkCase) -> list[Arguments]:
        return [(case.images, numbers(case, 3), numbers(case, 1), t) for t in (2, 5)]

    return Rule("recovery_step", STATES, training.recovery_step, {}, given, mistakes)


def recovery_loss() -> Rule:
    """The gradient of the loss of diffusion recovery at given positives and negatives of mixed levels."""
    mistakes = (
        wrong("recovery_swapped", "positives and negatives swapped, or ascent", {"phases": (-1.0, 1.0)}),
        wrong("level_weight_missing", "sig_1/sig_(t+1) missing", {"power": 0.0}),
        wrong("level_weight_inverse", "sig_(t+1)/sig_1", {"power": -1.0}),
        wrong("level_weight_squared", "its square", {"power": 2.0}),
        wrong("loss_of_scaled_energy", "E/s_t^2 for E in the loss", {"divided": True}),
    )

    def given(case: NetworkCase) -> list[Arguments]:
        return [(case.images, numbers(case, 2), np.arange(len(case.points)) % 6)]

    return Rule("recovery_loss", PARAMETERS, training.recovery_loss, {}, given, mistakes)


def averaging(decay: float) -> Rule:
    """Exponential average of parameters, one array after the other."""
    d = require_number("decay", decay)
    mistakes = (
        wrong("averaging_sides", "decay on the new value, 1 - decay on the average", {"decay": 1 - d, "new_share": d}),
        wrong("averaging_share_missing", "1 - decay missing before the new value", {"new_share": 1.0}),
        wrong("averaging_decay_missing", "average + (1 - decay) new", {"decay": 1.0, "new_share": 1 - d}),
        wrong("averaging_never", "the average never moves", {"decay": 1.0, "new_share": 0.0}),
        wrong("averaging_latest", "the new value for the average", {"decay": 0.0, "new_share": 1.0}),
    )

    def given(case: NetworkCase) -> list[Arguments]:
        rng = np.random.default_rng([20260613, 5])
        return [(dyadic(rng.normal(size=a.shape), 6), np.array(a)) for a in case.parameters]

    return Rule("averaging", STATES, training.averaging, {"decay": d}, given, mistakes)


def replay() -> Rule:
    """A buffer of 32 states of which all are asked for: each is taken once, moved once and put back in its place.

    ``f(buffer, n, move, seed)``; no restarts.  States taken with replacement pass with probability 32!/32^32 = 2e-13.
    """
    mistakes = (
        wrong("with_replacement", "states taken with replacement and written back by index", {"how": "replacement"}),
        wrong("prepended", "put in front, oldest dropped, or else not where they were taken", {"how": "prepended"}),
        wrong("moved_twice", "chains run on after the states were used", {"how": "twice"}),
        wrong("not_written_back", "states never written back", {"how": "forgotten"}),
    )

    def given(case: NetworkCase) -> list[Arguments]:
        buffer = np.arange(32.0 * case.n_visible).reshape(32, *case.input_shape)
        return [(buffer, 32, lambda states: states + 4096.0, 11)]

    return Rule("replay", STATES, training.replay, {}, given, mistakes)
