"""Noisy gradient descent as deep energies are trained with in practice: Langevin at a temperature close to 0.

x <- box( x - lam clip(dE/dx) + s z ),   z ~ N(0, I)
noise "first":  x <- box(x + s z), then x <- box(x - lam clip(dE/dx(x)))     [Du & Mordatch 2019; UvA DL tutorial 8]
noise "with":   both at once, which without clips and box is ULA for E/T                        [Grathwohl et al. 2020]
T = s^2 / (2 lam) is the temperature of the ULA with this drift and noise: what these recipes really sample at while
neither clip nor box acts.  A gradient clipped by value is in general no gradient of any energy.

preset   lam   s       clip   box       T         k
igebm    10    0.005   0.01   [0, 1]    1.25e-6   60
uva      10    0.005   0.03   [-1, 1]   1.25e-6   60
jem      1     0.01    none   none      5e-5      20
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ebm_ref.errors import DivergenceError, DomainError, require_choice, require_number, require_pair, require_positive
from ebm_ref.kernels.noise import Stream
from ebm_ref.samplers import continuous
from ebm_ref.samplers.common import GaussianNoise, Info, free_units

PRESETS: dict[str, dict[str, Any]] = {
    "igebm": {"step_size": 10.0, "noise": 0.005, "clip": 0.01, "box": (0.0, 1.0), "order": "first"},
    "uva": {"step_size": 10.0, "noise": 0.005, "clip": 0.03, "box": (-1.0, 1.0), "order": "first"},
    "jem": {"step_size": 1.0, "noise": 0.01, "clip": None, "box": None, "order": "with"},
}


@dataclass(frozen=True, eq=False)
class NoisyDescent:
    """See ``noisy_descent``."""

    model: Any
    step_size: float
    noise: float
    clip: float | None
    box: tuple[float, float] | None
    order: str
    free: np.ndarray | None = None

    name = "noisy_descent"
    reversible = False

    @property
    def temperature(self) -> float:
        """T = s^2 / (2 lam)."""
        return self.noise**2 / (2.0 * self.step_size)

    def clamped(self, clamp) -> NoisyDescent:
        """The sampler that never moves the clamped coordinates."""
        n = self.model.n_visible
        return replace(self, free=free_units(clamp, n, n))

    def init(self, initial, seed: int, first_chain: int = 0) -> np.ndarray:
        """Initial states (n_chains, n_visible)."""
        return continuous.visible_rows(self.model, initial, None)

    def draw(self, stream: Stream, step: int, n_chains: int) -> GaussianNoise:
        """A normal for each coordinate."""
        return GaussianNoise(stream.normal(step, (n_chains, self.model.n_visible)), np.empty((n_chains, 0)))

    def step(self, state: np.ndarray, noise: GaussianNoise) -> tuple[np.ndarray, Info]:
        """One move in the stated order."""
        free = 1.0 if self.free is None else self.free
        kick = self.noise * noise.z * free
        x = self._inside(state + kick) if self.order == "first" else state
        with np.errstate(all="ignore"):
            gradient = -self.model.score(x)
            if self.clip is not None:
                gradient = np.clip(gradient, -self.clip, self.clip)
            drift = self.step_size * gradient * free
            x = self._inside(x - drift if self.order == "first" else x - drift + kick)
        one = np.ones(len(x))
        return x, Info(one.astype(np.int64), 1, one)

    def _inside(self, x: np.ndarray) -> np.ndarray:
        if self.box is None:
            return x
        return np.clip(x, *self.box) if self.free is None else np.where(self.free, np.clip(x, *self.box), x)

    def advance(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        """n steps; the input is not modified.  DivergenceError when a chain leaves the finite numbers."""
        x = np.array(state)
        for t in range(start, start + n):
            x, _ = self.step(x, self.draw(stream, t, len(x)))
            if not np.isfinite(x).all():
                chain = stream.first_chain + int(np.argmin(np.isfinite(x).all(axis=1)))
                raise DivergenceError(
                    f"noisy_descent: chain {chain} left the finite numbers at step {t}; lower step_size"
                )
        return x, Info(np.full(len(x), n), n)


def noisy_descent(
    model,
    step_size: float,
    noise: float,
    *,
    clip: float | None = None,
    box: tuple[float, float] | None = None,
    order: str = "with",
) -> NoisyDescent:
    """The moves at the head of this module; ``.temperature`` says at which temperature they sample.

    clip: bound on each coordinate of dE/dx.  box: (low, high), states are projected onto it.
    order: "first", the noise before the gradient is taken, or "with".

    >>> from ebm_ref.models.analytic import Gaussian
    >>> noisy_descent(Gaussian([0.0], [[1.0]]), 10.0, 0.005, clip=0.03, box=(-1, 1), order="first").temperature
    1.25e-06
    """
    require_choice("order", order, ("with", "first"))
    if box is not None:
        low, high = (require_number("box", end) for end in require_pair("box", box))
        if not low < high:
            raise DomainError(f"box: expected (low, high) with low < high, got {box}")
        box = (low, high)
    continuous.target_energy(model)
    return NoisyDescent(
        model, require_positive("step_size", step_size), require_positive("noise", noise),
        None if clip is None else require_positive("clip", clip), box, order,
    )  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """A published recipe as a function model -> sampler, which a checkpoint can name."""

    preset: str

    def __call__(self, model) -> NoisyDescent:
        return noisy_descent(model, **PRESETS[self.preset])


def published_sampler(name: str) -> Callable[[Any], NoisyDescent]:
    """model -> sampler with the settings of "igebm", "uva" or "jem": the table at the head of this module."""
    return Preset(require_choice("name", name, tuple(PRESETS)))
