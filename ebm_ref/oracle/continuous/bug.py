"""One wrong continuous implementation: what is wrong, on which fixture it shows, which test has to kill it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.oracle.continuous.cases import ContinuousCase, named, with_kernel
from ebm_ref.oracle.continuous.recipe import Recipe, make_step, reference
from ebm_ref.oracle.results import Report

Step = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class ContinuousBug:
    """A record of the zoo.

    number     its number in the catalogue of mistakes seen in the wild, 0 if it is ours
    check      "check_ula" or "check_kernel"
    killed_by  the test that must find it, then others that do
    profile    the smallest profile in which ``killed_by[0]`` finds it
    mutate     changes the reference recipe; None where the mistake means nothing (sigma = 1, one coordinate)
    wrap       makes the wrong step from case and recipe, for mistakes that are none of the recipe's
    law        its exact law over the cells of C3 (``zoo_laws``), for a wrap that has one
    density    log density of the whitened residuals (n, d) -> (n,), for noise of another law
    transition log density (recipe, x (n, d), x' (n, d)) -> (n,) of a wrong unadjusted step that is not Gaussian
    step_size  of the audit, None for the case's own
    """

    id: str
    number: int
    description: str
    case: str
    kernel: str
    killed_by: tuple[str, ...]
    profile: str = "ci"
    mutate: Callable[[Recipe, ContinuousCase], Recipe | None] | None = None
    wrap: Callable[[Recipe, ContinuousCase], Step] | None = None
    law: Callable[[Any], np.ndarray | None] | None = None
    density: Callable[[np.ndarray], np.ndarray] | None = None
    transition: Callable[[Recipe, np.ndarray, np.ndarray], np.ndarray] | None = None
    step_size: Any = None
    n_inner: int | None = None

    @property
    def check(self) -> str:
        """The check that has to find it."""
        return "check_ula" if self.kernel == "ula" else "check_kernel"

    def fixture(self) -> ContinuousCase:
        """The case on which this bug is audited."""
        case = named(self.case, self.kernel)
        if self.step_size is None and self.n_inner is None:
            return case
        return with_kernel(case, self.kernel, self.step_size, self.n_inner)

    def step(self, case: ContinuousCase | None = None) -> Step:
        """The wrong ``step(states, seed)``."""
        case = self.fixture() if case is None else case
        if self.wrap is not None:
            return self.wrap(reference(case), case)
        recipe = self.recipe(case)
        if recipe is None:
            raise ValueError(f"{self.id} means nothing on {case.name}")
        return make_step(recipe)

    def audit(self, profile: str = "ci", seed: int = 0, every_test: bool = False) -> Report:
        """The report of the check that has to find it, without stages whose outcome is certain.

        ``every_test`` runs on after the first failure.
        """
        from ebm_ref.oracle.continuous.kernel import continuous_kernel_report, kernel_tests_of
        from ebm_ref.oracle.continuous.ula import TESTS, ula_report

        case, step = self.fixture(), self.step()
        if self.check == "check_ula":
            tests = tuple(TESTS) if every_test else None
            return ula_report(step, case, None, 1.0, profile, seed, tests, foregone=True)
        tests = kernel_tests_of(case) if every_test else None
        return continuous_kernel_report(step, case, profile, seed, tests, foregone=True)

    def named_by(self, report: Report) -> bool:
        """True if the diagnosis says what is wrong: this mistake, or the test of contract or independence it breaks."""
        best = report.diagnosis[0] if report.diagnosis else None
        return best is not None and best.explained and bool({self.id, *self.killed_by} & set(best.mistake.split(", ")))

    def recipe(self, case: ContinuousCase) -> Recipe | None:
        """The mutated recipe, None if it does not apply to this case."""
        if self.mutate is None or case.kernel != self.kernel:
            return None
        return self.mutate(reference(case), case)
