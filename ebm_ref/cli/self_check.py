"""The package against the oracle: every formula, log Z route, kernel and update on models small enough to enumerate.

The oracle has its own plain loops over the equations and imports nothing of the code that it judges.  The models are
tempered, have n_visible != n_hidden and generic biases, so that no symmetry hides a mistake.  Deep energies, losses and
moves: ``ebm_ref.cli.self_check_networks``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

import ebm_ref
from ebm_ref import oracle
from ebm_ref.cli.commands import KERNELS, sampler_named
from ebm_ref.cli.self_check_networks import network_checks
from ebm_ref.cli.study import agreement
from ebm_ref.oracle import Report
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks_formulas import check_conditionals, check_energy, check_gradient
from ebm_ref.oracle.checks_log_z import check_log_partition
from ebm_ref.oracle.checks_pseudo import check_pseudo_likelihood

ROUNDING = 1e-12
METHODS = ("product", "gray", "vectorized")
Check = Callable[[], Report]


def models() -> list[tuple[str, ebm_ref.RBM | ebm_ref.BoltzmannMachine]]:
    """The small models: tempered, rectangular, generic."""
    return [
        ("RBM 3x2 at beta 0.7", ebm_ref.RBM.random(3, 2, 1.2, seed=11).tempered(0.7)),
        ("RBM 2x3 at beta 1.6", ebm_ref.RBM.random(2, 3, 1.0, seed=12).tempered(1.6)),
        ("Boltzmann machine of 5 at beta 1.3", ebm_ref.BoltzmannMachine.random(5, 0.9, seed=13).tempered(1.3)),
    ]


def case_of(name: str, model, kernel: str) -> Case:
    """The oracle's case with the parameters of a model."""
    if isinstance(model, ebm_ref.RBM):
        return oracle.cases.rbm(model.W, model.a, model.b, kernel=kernel, name=name)
    return replace(oracle.cases.boltzmann(model.J, model.c, kernel=kernel), name=name)


def kernels_of(model) -> tuple[str, ...]:
    """Block Gibbs needs two layers."""
    return KERNELS if isinstance(model, ebm_ref.RBM) else KERNELS[1:]


def self_checks(profile: str, seed: int) -> Iterator[Check]:
    """The checks, model by model; none does any work before it is called."""
    for name, model in models():
        case = case_of(name, model, kernels_of(model)[0])
        yield partial(titled, "energy", check_energy, model.joint_energy, case)
        yield partial(titled, "conditionals", check_conditionals, model, case)
        yield partial(titled, "energy gradient", check_gradient, gradient_of(model), case, "energy")
        yield partial(titled, "pseudo-likelihood", check_pseudo_likelihood, pseudo_of(model), case)
        if isinstance(model, ebm_ref.RBM):
            slope = partial(ebm_ref.pseudo_log_likelihood_gradient, model)
            yield partial(titled, "pseudo-likelihood gradient", check_pseudo_likelihood, slope, case, "gradient")
        for method in METHODS:
            yield partial(log_z, model, case, method)
        yield partial(exact_answers, model, case)
        for kernel in kernels_of(model):
            case = case_of(name, model, kernel)
            check = partial(oracle.check_kernel, profile=profile, seed=seed)
            yield partial(matrix, model, case, kernel)
            yield partial(titled, kernel, check, step_of(sampler_named(kernel, model)), case)
    yield from update_checks(profile, seed)
    for subject, deep_check in network_checks():
        yield partial(titled, subject, deep_check)


def titled(subject: str, check: Callable[..., Report], *arguments) -> Report:
    """The report of a check under a plain name."""
    return replace(check(*arguments), subject=subject)


def log_z(model, case: Case, method: str) -> Report:
    """One route to log Z; the work waits until the check runs."""
    value = ebm_ref.exact.log_partition(model, method=method)
    return titled(f"log Z, {method}", check_log_partition, value, case)


def pseudo_of(model) -> Callable[[np.ndarray], np.ndarray]:
    """The pseudo-log-likelihood of rows."""
    return lambda x: ebm_ref.pseudo_log_likelihood(model, x)


def gradient_of(model) -> Callable:
    """The energy gradient as the oracle asks for it: of rows, or of two layers."""
    if isinstance(model, ebm_ref.RBM):
        return lambda x, h, weights: model.energy_gradient(x, h, weights)
    return lambda rows, weights: model.energy_gradient(rows, weights=weights)


def step_of(sampler) -> Callable[[np.ndarray, int], np.ndarray]:
    """One compiled step as the oracle asks for it."""
    return lambda states, seed: ebm_ref.sample(sampler, states, 1, seed).last


def exact_answers(model, case: Case) -> Report:
    """Probabilities, moments, entropy, mode and likelihood gradient against the oracle's enumeration."""
    pi, states, moments = case.pi, case.states, ebm_ref.exact.moments(model)
    nv = model.n_visible
    second = states.T @ (pi[:, None] * states)
    x, h = ebm_ref.exact.joint_map(model)
    mode = case.energies.min() - float(model.joint_energy(np.concatenate([x, h])[None])[0])
    data, step = states[:: max(1, len(states) // 7), :nv], 1e-6
    gradient = ebm_ref.exact.log_likelihood_gradient(model, data)
    rise = (
        ebm_ref.exact.log_likelihood(_moved(model, gradient, step), data)
        - ebm_ref.exact.log_likelihood(_moved(model, gradient, -step), data)
    ) / (2 * step)
    slope = squared_length(gradient)
    errors = {
        "joint probabilities": np.abs(ebm_ref.exact.joint_probabilities(model) - pi).max(),
        "E[x], E[h]": np.abs(np.concatenate([moments.x, moments.h]) - pi @ states).max(),
        "E[xh']": np.abs(moments.xh - second[:nv, nv:]).max(initial=0.0),
        "mean energy": abs(ebm_ref.exact.mean_energy(model) - case.moments.energy),
        "entropy": abs(ebm_ref.exact.entropy(model) + pi @ np.log(pi)),
        "joint MAP": abs(mode),
    }
    results = [agreement(test, float(error), 20 * ROUNDING, "nats or probability") for test, error in errors.items()]
    results.append(agreement("likelihood gradient", abs(rise - slope) / slope, 1e-7, "relative, finite differences"))
    return Report("exact answers", case.name, "exact", 0, tuple(results))


def _moved(model, direction, amount: float):
    from ebm_ref.models.record import leafwise

    return leafwise(lambda p, g: p + amount * g, model, direction)


def squared_length(gradient) -> float:
    """|g|^2 over the independent parameters: the pairs i < j of J count once."""
    from ebm_ref.models.record import leaves

    return sum(float((leaf**2).sum()) * (0.5 if name == "J" else 1.0) for name, leaf in leaves(gradient).items())


def matrix(model, case: Case, kernel: str) -> Report:
    """The transition matrix of a sampler, its stationary law and its reversibility."""
    sampler = sampler_named(kernel, model)
    P = ebm_ref.exact.transition_matrix(sampler)
    results = (
        agreement("entries of P", float(np.abs(P - case.P).max()), ROUNDING, "probability", n=P.size),
        agreement("pi P = pi", float(np.abs(case.pi @ P - case.pi).max()), ROUNDING, "probability"),
        agreement(
            "stationary law",
            float(np.abs(ebm_ref.exact.stationary_distribution(P) - case.pi).max()),
            ROUNDING,
            "probability",
        ),
        agreement("reversible as declared", float(case.reversible != sampler.reversible), 0.0, "mismatch"),
    )
    return Report(f"{kernel} matrix", case.name, "exact", 0, results)


def update_checks(profile: str, seed: int) -> Iterator[Check]:
    """CD-k: its exact expectation against brute force, and the compiled estimates against that expectation."""
    name, model = models()[0]
    assert isinstance(model, ebm_ref.RBM)
    case = case_of(name, model, "block_gibbs")
    data = ebm_ref.exact.sample(model.tempered(0.3), 6, seed=1)[0]
    for k in (1, 3):
        check = partial(oracle.check_update, k=k, profile=profile, seed=seed)
        yield partial(expected_update, model, case, data, k)
        yield partial(titled, f"CD-{k}", check, update_of(model, k), case, data)


def update_of(model: ebm_ref.RBM, k: int) -> Callable:
    """One CD-k estimate as the oracle asks for it."""
    return lambda rows, seed: ebm_ref.cd(k).estimate(model, np.asarray(rows, dtype=float), seed=seed)[0]


def expected_update(model: ebm_ref.RBM, case: Case, data: np.ndarray, k: int) -> Report:
    """exact.cd_gradient against the k-th power of the oracle's transition matrix."""
    expected = ebm_ref.exact.cd_gradient(model, data, k)
    nv = model.n_visible
    x, P = case.states[:, :nv], np.linalg.matrix_power(case.P, k)
    ph = model.hidden_probabilities(x)
    brute = [np.zeros_like(model.W), np.zeros_like(model.a), np.zeros_like(model.b)]
    for start in case.index(np.hstack([data, np.zeros((len(data), model.n_hidden))])):  # block Gibbs forgets h
        change = np.eye(len(P))[start] - P[start]
        for total, part in zip(brute, ((x * change[:, None]).T @ ph, change @ x, change @ ph), strict=True):
            total += part / len(data)
    errors = [np.abs(g - e).max() for g, e in zip((expected.W, expected.a, expected.b), brute, strict=True)]
    results = [
        agreement(f"E[CD-{k}] of {leaf}", float(error), ROUNDING, "ascent direction")
        for leaf, error in zip("Wab", errors, strict=True)
    ]
    return Report(f"expected CD-{k}", case.name, "exact", 0, tuple(results))
