"""One wrong implementation: what is wrong, on which fixture it shows, which test has to kill it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ebm_ref.oracle.cases import Case, TableCase, named
from ebm_ref.oracle.zoo.recipe import Recipe, make_step, matrix, reference

Step = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Bug:
    """A record of the zoo.

    number     its number in the catalogue of mistakes seen in the wild, 0 if it is ours
    killed_by  the test that must find it, then others that do
    profile    the smallest profile in which ``killed_by[0]`` finds it
    mutate     changes the reference recipe; None where the mistake means nothing (W not square, beta = 1)
    wrap       changes the reference step, for mistakes that are none of the recipe's
    law        their exact transition matrix on a case, if they have one
    """

    id: str
    number: int
    description: str
    case: str
    kernel: str
    killed_by: tuple[str, ...]
    profile: str
    mutate: Callable[[Recipe, Case], Recipe | None] | None = None
    wrap: Callable[[Step, Case], Step] | None = None
    law: Callable[[Case], np.ndarray | None] | None = None

    def fixture(self) -> Case:
        """The case on which this bug is audited."""
        return named(self.case, kernel=self.kernel)

    def step(self, case: Case | None = None) -> Step:
        """The wrong ``step(states, seed)``."""
        case = self.fixture() if case is None else case
        if self.wrap is not None:
            right = (lambda states, seed: states) if isinstance(case, TableCase) else make_step(reference(case))
            return self.wrap(right, case)
        recipe = self.recipe(case)
        if recipe is None:
            raise ValueError(f"{self.id} means nothing on {case.name}")
        return make_step(recipe)

    def recipe(self, case: Case) -> Recipe | None:
        """The mutated recipe, None if it does not apply."""
        return None if self.mutate is None else self.mutate(reference(case), case)

    def matrix(self, case: Case | None = None) -> np.ndarray | None:
        """The exact wrong transition matrix (S, S), None if there is none."""
        case = self.fixture() if case is None else case
        if self.law is not None:
            return self.law(case)
        recipe = None if isinstance(case, TableCase) else self.recipe(case)
        return None if recipe is None else matrix(recipe, case)
