"""The package's continuous kernels beside the oracle's cases that they claim, for the nightly checks.

A Subject is one compiled (or, for a model without a compiled loop, NumPy) step and the case that it is held to.
plain        the case's model, step sizes and number of inner steps
temperature  a Gaussian at temperature=T with steps eta/T: one step of the Gaussian of T times the covariance
clamped      unit 1 of the GRBM held at 0.8: the step of the others against the case of their conditional law
box          the quartic inside [-1.6, 1.2], moves that leave it refused: exp(-E) truncated, by C4, C5 and S13 alone,
             since the quadrature of C3 expects an acceptance without jumps
collapsed    Gibbs-Langevin whose inner steps are drawn as one normal number: equal in law
Unadjusted kernels (ula; gibbs_langevin) are held to their own laws of one step, never to the target's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import ebm_ref as er
from ebm_ref.models.analytic import Gaussian, GaussianMixture
from ebm_ref.oracle import cases, check_kernel, check_ula
from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.continuous.targets import Line
from ebm_ref.oracle.results import Report

Step = Callable[[np.ndarray, int], np.ndarray]
BOX, CLAMPED, HELD, TEMPERATURE = (-1.6, 1.2), 1, 0.8, 1.7
STATIONARY = ("C4", "C5", "S13")
SPREAD: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gauss_2d", ("ula", "mala", "hmc")),
    ("gmm_1d", ("mala", "hmc")),
    ("quartic_1d", ("mala", "hmc")),
    ("mlp_1d", ("mala",)),
    ("grbm_2x2", ("block_gibbs", "gibbs_langevin", "gibbs_langevin_adjusted")),
    ("grbm_2x2_hot", ("ula", "mala", "hmc", "block_gibbs", "gibbs_langevin_adjusted")),
    ("grbm_3x3", ("ula", "mala", "hmc", "block_gibbs", "gibbs_langevin", "gibbs_langevin_adjusted")),
    ("grbm_2x3", ("gibbs_langevin_adjusted",)),
)


@dataclass(frozen=True, eq=False)
class Subject:
    """A kernel of ours: ``model`` and ``kernel`` are what the table calls them; ``tests``: None for all."""

    model: str
    kernel: str
    case: ContinuousCase
    step: Step
    tests: tuple[str, ...] | None = None

    def check(self, profile: str, seed: int) -> Report:
        """The oracle's report."""
        check = check_ula if self.case.kernel == "ula" else check_kernel
        return check(self.step, self.case, profile=profile, seed=seed, tests=self.tests)


class Given:
    """A case's energy and score as a model, which has no compiled loop: the samplers' NumPy route."""

    n_hidden = 0

    def __init__(self, case: ContinuousCase) -> None:
        self.case, self.n_visible, self.n_units = case, case.n_visible, case.n_visible

    def energy(self, x: np.ndarray) -> np.ndarray:
        """E (n,)."""
        return self.case.energy(x)

    def score(self, x: np.ndarray) -> np.ndarray:
        """-dE/dx (n, d)."""
        return -self.case.gradient(x)


def model_of(case: ContinuousCase) -> Any:
    """The package's model of a case."""
    if case.W is not None:
        return er.GRBM(case.W, case.mu, case.log_var, case.b)
    if isinstance(case.target, Line):
        return Given(case)
    w, means, target = case.target.weights, case.target.means, case.target
    if len(w) == 1:
        return Gaussian(means[0], target.precisions[0])
    return GaussianMixture(w, means, np.diagonal(target.covariances, axis1=1, axis2=2))


def sampler_of(case: ContinuousCase, model: Any, **options: Any) -> Any:
    """The package's sampler that claims a case's kernel."""
    if case.kernel.startswith("gibbs_langevin"):
        steps = np.tile(case.step_size, (case.n_inner, 1))
        return er.gibbs_langevin(model, steps, case.kernel == "gibbs_langevin_adjusted", **options)
    if case.kernel == "block_gibbs":
        return er.block_gibbs(model)
    if case.kernel == "hmc":
        return er.hmc(model, case.step_size, case.n_inner, **options)
    return {"ula": er.ula, "mala": er.mala}[case.kernel](model, case.step_size, **options)


def one_step(sampler: Any, rows: np.ndarray, seed: int) -> np.ndarray:
    """One transition of every row."""
    return er.sample(sampler, rows, 1, seed).last


def plain(name: str, kernel: str, label: str = "", **options: Any) -> Subject:
    """A named case under its own sampler."""
    case = cases.named(name, kernel)
    return Subject(name, label or kernel, case, partial(one_step, sampler_of(case, model_of(case), **options)))


def at_temperature(name: str, kernel: str) -> Subject:
    """A Gaussian at temperature T: the Gaussian of T times the covariance.  (hmc: e stays, the kick is e/T.)"""
    cold = cases.named(name, kernel)
    mean, covariance, T = cold.mixture.means[0], cold.mixture.covariances[0], TEMPERATURE
    case = cases.gaussian(mean, T * covariance, kernel, step_size=cold.step_size, n_inner=cold.n_inner)
    claimed = case if kernel == "hmc" else replace(case, step_size=case.step_size / T)
    sampler = sampler_of(claimed, model_of(cold), temperature=T)
    return Subject(f"{name} at temperature {T}", kernel, case, partial(one_step, sampler))


def clamped(name: str, kernel: str) -> Subject:
    """A case of the free units of a GRBM, and the sampler of all of them with one clamped."""
    whole = cases.named(name, kernel)
    model, free = model_of(whole), np.arange(whole.n_visible) != CLAMPED
    rest = model.conditioned([CLAMPED], [HELD])
    case = cases.grbm(rest.W, rest.mu, rest.log_var, rest.b, kernel, step_size=whole.step_size[free],
                      n_inner=whole.n_inner)  # fmt: skip
    sampler = sampler_of(whole, model).clamped([CLAMPED])

    def step(rows: np.ndarray, seed: int) -> np.ndarray:
        full = np.insert(np.asarray(rows, dtype=float), CLAMPED, HELD, axis=1)
        return np.delete(one_step(sampler, full, seed), CLAMPED, axis=1)

    return Subject(f"{name}, one unit clamped", kernel, case, step)


def boxed(name: str, kernel: str) -> Subject:
    """A case on the line, truncated, and the sampler that refuses what leaves the box."""
    whole = cases.named(name, kernel)
    assert isinstance(whole.target, Line)
    low, high = BOX

    def truncated(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energy, slope = whole.target.of(x)
        return np.where((x >= low) & (x <= high), energy, np.inf), slope

    case = replace(whole, name=f"{name}_box", target=Line(truncated, low, high))
    step = partial(one_step, sampler_of(case, Given(whole), box=BOX))
    return Subject(f"{name} in a box", kernel, case, step, STATIONARY)


def subjects() -> list[Subject]:
    """All of them."""
    found = [plain(name, kernel) for name, kernels in SPREAD for kernel in kernels]
    joint = "gibbs_langevin_adjusted"
    found.append(plain("grbm_2x2", joint, f"{joint}, collapsed", collapsed=True))
    found += [at_temperature("gauss_2d", kernel) for kernel in ("mala", "hmc")]
    found += [clamped("grbm_3x3", kernel) for kernel in ("mala", "block_gibbs", joint)]
    return found + [boxed("quartic_1d", kernel) for kernel in ("mala", "hmc")]
