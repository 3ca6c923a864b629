"""Langevin samplers on exp(-E(x)/T).           [Roberts & Tweedie 1996; Roberts & Rosenthal 1998; lecture 9]

(1) x' = x - lam g(x) + s z,   g = dE/dx,  z ~ N(0, I),   T = s^2 / (2 lam)            lam, s by coordinate if wanted
(2) MALA: log alpha = [E(x) - E(x') + 1/2 (x'-x).(g+g') - 1/4 sum_i lam_i (g'_i^2 - g_i^2)] / T
    which is log pi(x') q(x'->x) - log pi(x) q(x->x') with q normal, variances s^2, without a division by lam
ULA keeps every proposal: its law differs from the target's by O(lam), exactly known on a Gaussian (exact/langevin.py).
MALA keeps the target exactly; a rejected state keeps its energy and gradient.

Boxes: "reflect" folds a ULA move back, the consistent discretisation of the truncated target;  "project" clips it, as
image models do: a law with atoms on the boundary;  "reject" refuses a MALA proposal outside.
Clamped coordinates have lam = s = 0: what is left is exact for the conditional law, since dE/dx_U is its gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_int, require_positive
from ebm_ref.kernels import langevin as kernels
from ebm_ref.kernels.noise import LANES, Stream, from_tiles, to_tiles
from ebm_ref.samplers import continuous
from ebm_ref.samplers.common import GaussianNoise, Info, free_units
from ebm_ref.samplers.continuous import Adaptation, Box, Point


@dataclass(frozen=True, eq=False)
class Langevin:
    """ULA, or MALA if ``adjusted``; see ``ula`` and ``mala``.  step_size: () or (d,), the lam of (1)."""

    model: Any
    step_size: np.ndarray
    adjusted: bool
    temperature: float = 1.0
    box: Box | None = None
    free: np.ndarray | None = None
    adaptation: Adaptation | None = None

    @property
    def name(self) -> str:
        """ "mala" or "ula"."""
        return "mala" if self.adjusted else "ula"

    @property
    def reversible(self) -> bool:
        """Whether the target's flow is symmetric: MALA's is."""
        return self.adjusted

    @property
    def noise(self) -> np.ndarray:
        """s = sqrt(2 lam T) of (1), the standard deviation of the noise."""
        return np.sqrt(2.0 * self.step_size * self.temperature)

    def clamped(self, clamp) -> Langevin:
        """The sampler that never moves the clamped coordinates."""
        n = self.model.n_visible
        return replace(self, free=free_units(clamp, n, n))

    def scaled(self, factor: float) -> Langevin:
        """The same sampler with ``factor`` times the step size, at the same temperature."""
        return replace(self, step_size=self.step_size * require_positive("factor", factor))

    def unadjusted(self) -> Langevin:
        """ULA with the same steps."""
        if self.box is not None:
            raise DomainError("unadjusted: expected a sampler without a box; use ula with a boundary of your choice")
        return replace(self, adjusted=False)

    def init(self, initial, seed: int, first_chain: int = 0) -> np.ndarray:
        """Initial states (n_chains, d), float64."""
        return continuous.visible_rows(self.model, initial, self.box)

    def draw(self, stream: Stream, step: int, n_chains: int) -> GaussianNoise:
        """A normal for each coordinate; MALA: one uniform more, at the address after them."""
        d = self.model.n_visible
        u = stream.uniform(step, (n_chains, d + 1))[:, d:] if self.adjusted else np.empty((n_chains, 0))
        return GaussianNoise(stream.normal(step, (n_chains, d)), u)

    def step(self, state: np.ndarray, noise: GaussianNoise) -> tuple[np.ndarray, Info]:
        """One step in plain NumPy; equal to ``advance`` up to the rounding of sums."""
        if not self.adjusted:
            x, _ = self._proposed(state, continuous.gradient(self.model, state), noise)
            return x, Info(np.ones(len(x), np.int64), 1, np.ones(len(x)))
        point, info = self._adjusted_move(continuous.evaluate(self.model, state), noise)
        return point.x, info

    def _proposed(self, x: np.ndarray, gradient: np.ndarray, noise: GaussianNoise) -> tuple[np.ndarray, np.ndarray]:
        """(1), brought back as the box says; and the rows that are outside."""
        lam, s = self._by_coordinate(self.step_size), self._by_coordinate(self.noise)
        with np.errstate(all="ignore"):
            return continuous.constrain((x - lam * gradient) + s * noise.z, self.box)

    def _adjusted_move(self, old: Point, noise: GaussianNoise) -> tuple[Point, Info]:
        lam = self._by_coordinate(self.step_size)
        x, outside = self._proposed(old.x, old.gradient, noise)
        new = continuous.evaluate(self.model, x)
        with np.errstate(all="ignore"):
            log_ratio = old.energy - new.energy + 0.5 * ((x - old.x) * (old.gradient + new.gradient)).sum(axis=1)
            log_ratio = (log_ratio - 0.25 * (lam * (new.gradient**2 - old.gradient**2)).sum(axis=1)) / self.temperature
        probability = continuous.acceptance(log_ratio, outside)  # (2)
        accepted = noise.u[:, 0] < probability
        return continuous.choose(accepted, new, old), Info(accepted.astype(np.int64), 1, probability)

    def advance(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        """n steps, numbers at steps start, ..., start + n - 1; the input is not modified.

        Compiled for GRBM, Gaussian, GaussianMixture and energies of multilayer perceptrons: then the bits do not depend
        on how chains are split.  Other models are as reproducible as their own score is.  DivergenceError when a chain
        leaves the finite numbers.
        """
        target = continuous.compiled_target(self.model)
        if target is not None:
            return self._advance_compiled(target, state, stream, start, n)
        plain = self._advance_adjusted if self.adjusted else self._advance_unadjusted
        return plain(state, stream, start, n)

    def _advance_unadjusted(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        x, diverged = np.array(state), np.zeros(len(state), dtype=np.int64)
        for t in range(start, start + n):
            x, _ = self.step(x, self.draw(stream, t, len(x)))
            diverged[~np.isfinite(x).all(axis=1)] = t + 1
            continuous.require_no_divergence(diverged, stream.first_chain)
        return x, Info(np.full(len(x), n), n)

    def _advance_adjusted(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        """Energy and gradient are carried."""
        point, accepted = continuous.evaluate(self.model, np.array(state)), np.zeros(len(state), dtype=np.int64)
        for t in range(start, start + n):
            point, info = self._adjusted_move(point, self.draw(stream, t, len(state)))
            accepted += info.accepted
        return point.x, Info(accepted, n)

    def _advance_compiled(self, target, state, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        n_chains, d = state.shape
        tiles = to_tiles(state)
        counts = np.zeros(len(tiles) * LANES, dtype=np.int64)  # accepted, or the step of divergence
        lam, s = (np.array(np.broadcast_to(self._by_coordinate(v), d)) for v in (self.step_size, self.noise))
        low, high, boundary = continuous.box_arrays(self.box, d)
        arguments = (*target.arguments, lam, s, low, high, boundary)
        numbers, work = (stream.address, np.uint64(start), n), len(state) * n * (10.0 * d + target.work)
        if self.adjusted:
            scratch, inverse_T = target.scratch(len(tiles), d, 3), 1.0 / self.temperature
            kernels.MALA[target.kind](
                len(tiles), tiles, scratch, counts, *arguments, inverse_T, *numbers, work=work
            )  # fmt: skip
            return from_tiles(tiles, n_chains, d), Info(counts[:n_chains], n)
        kernels.ULA[target.kind](
            len(tiles), tiles, target.scratch(len(tiles), d, 1), counts, *arguments, *numbers, work=work
        )
        continuous.require_no_divergence(counts[:n_chains], stream.first_chain)
        return from_tiles(tiles, n_chains, d), Info(np.full(n_chains, n), n)

    def _by_coordinate(self, value: np.ndarray) -> np.ndarray:
        return value if self.free is None else np.where(self.free, value, 0.0)

    def adapted(self, initial, n_steps: int, seed: int, target: float = 0.574) -> Langevin:
        """MALA whose step size, found in ``n_steps`` steps from ``initial``, accepts ``target`` of the proposals.

        log step_size += t^-0.6 (mean acceptance - target); the returned sampler is frozen at the last value and holds
        the trace and the states reached in ``.adaptation``.  0.574 is optimal for many coordinates.
        """
        if not self.adjusted:
            raise DomainError("adapted: ULA accepts every move; choose its step_size by its bias, or use mala")
        n_steps, stream = require_int("n_steps", n_steps, 1), Stream(seed, "adaptation")
        found, trace = continuous.adapt(self, self.scaled, initial, n_steps, stream, target)
        return replace(found, adaptation=trace)


def ula(
    model, step_size, *, temperature: float = 1.0, noise: float | None = None, box=None, boundary: str = "reflect"
) -> Langevin:
    """Unadjusted Langevin: x' = x - step_size dE/dx + sqrt(2 step_size temperature) z.  Not exact: bias O(step_size).

    model: anything with ``score`` and ``energy`` (or ``free_energy``, then the marginal) of one batch (n, d).
    step_size: a number, or one for each coordinate (a diagonal preconditioner).
    noise: the standard deviation s of the noise instead of ``temperature``, which then is s^2 / (2 step_size).
    box: (low, high); boundary "reflect" (truncated target) or "project" (clips: a law with atoms on the boundary).

    >>> from ebm_ref.models.analytic import Gaussian
    >>> sampler = ula(Gaussian([0.0], [[4.0]]), 10.0, noise=0.005)
    >>> sampler.temperature
    1.25e-06
    """
    continuous.target_energy(model)
    steps = continuous.step_array("step_size", step_size, model)
    if noise is not None:
        if temperature != 1.0 or steps.ndim:
            raise DomainError("noise: expected temperature or noise, not both, and noise with one step_size for all")
        temperature = require_positive("noise", noise) ** 2 / (2.0 * float(steps))
    walls = continuous.make_box(box, boundary, ("reflect", "project"), model)
    return Langevin(model, steps, False, require_positive("temperature", temperature), walls)


def mala(model, step_size, *, temperature: float = 1.0, box=None, boundary: str = "reject") -> Langevin:
    """Metropolis-adjusted Langevin: the proposal of ``ula``, accepted so that exp(-E/temperature) is kept exactly.

    Non-finite proposals, and with ``box`` those outside, are rejected.  ``.adapted(...)`` finds the step size.

    >>> from ebm_ref.models.analytic import Gaussian
    >>> sampler = mala(Gaussian([0.0], [[4.0]]), 0.2)
    >>> rows, info = sampler.advance(sampler.init([[0.5], [1.0]], seed=0), Stream(0, "transition"), 0, 10)
    >>> rows.shape, info.proposed
    ((2, 1), 10)
    """
    continuous.target_energy(model)
    walls = continuous.make_box(box, boundary, ("reject",), model)
    steps = continuous.step_array("step_size", step_size, model)
    return Langevin(model, steps, True, require_positive("temperature", temperature), walls)
