"""The zoo of annealed importance sampling: wrong runs as changed paths, so each has exact moments and can be run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from ebm_ref.oracle.annealing import Path, annealing_path, check_annealing, simulate
from ebm_ref.oracle.cases import Case, named
from ebm_ref.oracle.results import Report

Array = np.ndarray
SCHEDULE = np.linspace(0.0, 1.0, 6)  # what the bugs are audited on: few temperatures make mistakes large
Change = Callable[[Case, Array, Array, str], Path | None]


@dataclass(frozen=True)
class AnnealingBug:
    """A record of this zoo; ``path`` is the wrong run of a declared path, None where the mistake means nothing."""

    id: str
    number: int
    description: str
    killed_by: tuple[str, ...]
    profile: str
    path: Change
    case: str = "rbm_3x3"
    base: tuple[float, ...] = (0.4, -0.6, 0.7)

    def audit(self, profile: str = "ci", seed: int = 0) -> Report:
        """The report of ``check_annealing`` on the wrong run, with its base and SCHEDULE declared."""
        case, base = named(self.case), np.array(self.base)
        return check_annealing(self.candidate(case, base, SCHEDULE), case, base, SCHEDULE, profile=profile, seed=seed)

    def candidate(self, case: Case, base: Array, schedule: Array, weights: str = "marginal") -> Callable:
        """f(n_chains, seed) -> log weights of the wrong run."""
        path = self.path(case, base, schedule, weights)
        if path is None:
            raise ValueError(f"{self.id} means nothing on {case.name}")
        return lambda n, seed: simulate(path, n, np.random.default_rng(seed))


def kernel_at(choose: Callable[[Array], Array]) -> Change:
    """Transitions at other temperatures than t_1 .. t_(K-1)."""

    def change(case: Case, base: Array, schedule: Array, weights: str) -> Path | None:
        right = annealing_path(case, base, schedule, weights)
        at = choose(schedule)
        kernels = annealing_path(case, base, np.concatenate([[0.0], at, [1.0]]), weights).kernels
        return replace(right, kernels=kernels)

    return change


def other_start(case: Case, base: Array, schedule: Array, weights: str) -> Path | None:
    """Runs start at a uniform state instead of a draw from the base."""
    right = annealing_path(case, base, schedule, weights)
    return None if not base.any() else replace(right, start=np.full(len(right.start), 1.0 / len(right.start)))


def no_moves(case: Case, base: Array, schedule: Array, weights: str) -> Path:
    """No transitions: simple importance sampling."""
    right = annealing_path(case, base, schedule, weights)
    return replace(
        right, kernels=np.array([np.eye(len(right.start))] * len(right.kernels)).reshape(right.kernels.shape)
    )


def sign(case: Case, base: Array, schedule: Array, weights: str) -> Path:
    """Log ratios with the wrong sign."""
    right = annealing_path(case, base, schedule, weights)
    return replace(right, log_ratios=-right.log_ratios)


def step_missing(case: Case, base: Array, schedule: Array, weights: str) -> Path:
    """The last ratio is never added."""
    right = annealing_path(case, base, schedule, weights)
    return replace(right, log_ratios=np.vstack([right.log_ratios[:-1], 0 * right.log_ratios[-1:]]))


def first_missing(case: Case, base: Array, schedule: Array, weights: str) -> Path:
    """The first ratio is never added."""
    right = annealing_path(case, base, schedule, weights)
    return replace(right, log_ratios=np.vstack([0 * right.log_ratios[:1], right.log_ratios[1:]]))


def base_forgotten(case: Case, base: Array, schedule: Array, weights: str) -> Path | None:
    """The path runs from a uniform base, the start and log Z_0 are those of the declared one."""
    if not base.any():
        return None
    right = annealing_path(case, base, schedule, weights)
    return replace(annealing_path(case, 0 * base, schedule, weights), start=right.start)


def weighted_after_move(case: Case, base: Array, schedule: Array, weights: str) -> Path:
    """State moved at t_k before its ratio k is added."""
    right = annealing_path(case, base, schedule, weights)
    early = annealing_path(case, base, np.concatenate([schedule[:1], schedule[1:], schedule[-1:]]), weights).kernels
    return replace(right, start=right.start @ early[0], kernels=early[1:])


def other_weights(case: Case, base: Array, schedule: Array, weights: str) -> Path:
    """Weights on (x, h) where those on x are declared, or the reverse."""
    return annealing_path(case, base, schedule, "joint" if weights == "marginal" else "marginal")


def without_hidden_bias(case: Case, base: Array, schedule: Array, weights: str) -> Path | None:
    """The hidden bias is missing along the path."""
    if case.b is None or not case.b.any():
        return None
    nv = case.n_visible
    wrong = replace(case, b=0 * case.b, c=np.concatenate([case.c[:nv], 0 * case.c[nv:]]))
    return annealing_path(wrong, base, schedule, weights)


def free_energy_scaled(case: Case, base: Array, schedule: Array, weights: str) -> Path:
    """t F(x) for the free energy at t: the path is taken as linear after summing over h."""
    right = annealing_path(case, base, schedule, "marginal")
    ends = annealing_path(case, base, np.array([0.0, 1.0]), "marginal")
    ratios = np.diff(schedule)[:, None] * ends.log_ratios
    return replace(right, log_ratios=ratios)


def tempered_start(case: Case, base: Array, schedule: Array, weights: str) -> Path:
    """Runs start at an exact draw of the model instead of the base."""
    right = annealing_path(case, base, schedule, weights)
    return replace(right, start=special.softmax(np.log(right.start) + right.log_ratios.sum(axis=0)))


ANNEALING_BUGS: tuple[AnnealingBug, ...] = (
    AnnealingBug("kernel_before", 98, "transition at t_(k-1)", ("Z1",), "smoke", kernel_at(lambda t: t[:-2])),
    AnnealingBug("kernel_after", 98, "transition at t_(k+1)", ("Z1",), "smoke", kernel_at(lambda t: t[2:])),
    AnnealingBug(
        "kernel_at_one", 99, "transitions at t = 1", ("Z1",), "smoke", kernel_at(lambda t: np.ones(len(t) - 2))
    ),
    AnnealingBug(
        "kernel_at_base", 0, "transitions at t = 0", ("Z1",), "smoke", kernel_at(lambda t: np.zeros(len(t) - 2))
    ),
    AnnealingBug(
        "uniform_start",
        0,
        "starts at a uniform state, not from the base",
        ("Z1",),
        "ci",
        other_start,
        base=(-0.9, 0.8, 1.1),
    ),
    AnnealingBug("model_start", 0, "starts at a draw of the model (or of data)", ("Z1",), "smoke", tempered_start),
    AnnealingBug("no_moves", 0, "no transitions", ("Z1",), "smoke", no_moves),
    AnnealingBug("ratio_sign", 100, "sign of the log ratios", ("Z1",), "smoke", sign),
    AnnealingBug("last_ratio_missing", 0, "last ratio never added", ("Z1",), "smoke", step_missing),
    AnnealingBug("first_ratio_missing", 0, "first ratio never added", ("Z1",), "smoke", first_missing),
    AnnealingBug("base_forgotten", 0, "path from a uniform base", ("Z1",), "smoke", base_forgotten),
    AnnealingBug("moved_first", 0, "state moved before its ratio is added", ("Z1",), "smoke", weighted_after_move),
    AnnealingBug(
        "other_weights", 0, "weights on (x, h) for weights on x, or the reverse", ("Z1",), "smoke", other_weights
    ),
    AnnealingBug("hidden_bias_omitted", 0, "hidden bias omitted along the path", ("Z1",), "smoke", without_hidden_bias),
    AnnealingBug(
        "free_energy_scaled", 0, "t F(x) for the free energy at t", ("Z1",), "ci", free_energy_scaled, "rbm_slower_3x3"
    ),
)


def annealing_bug(id: str) -> AnnealingBug:
    """The bug of that id.

    >>> annealing_bug("kernel_at_one").number
    99
    """
    return next(b for b in ANNEALING_BUGS if b.id == id)
