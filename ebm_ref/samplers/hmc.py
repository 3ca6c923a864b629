"""Hamiltonian Monte Carlo on exp(-E(x)/T).                                    [Duane et al. 1987; Neal 2011]

Momenta p ~ N(0, I) are drawn afresh; ``n_leapfrog`` steps of size e (by coordinate if wanted) follow
(1) p <- p - e g/(2T),   x <- x + e p,   p <- p - e g/(2T),     g = dE/dx
a map that preserves volume and is its own inverse once p is reversed; the end point is accepted with probability
(2) min(1, exp(H - H')),   H = E/T + |p|^2/2
so the target is kept exactly.  With n_leapfrog = 1 and e = sqrt(2 lam T) this is MALA of step size lam.
A box refuses end points outside; clamped coordinates have e = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ebm_ref.errors import require_int, require_positive
from ebm_ref.kernels import hmc as kernels
from ebm_ref.kernels.noise import LANES, Stream, from_tiles, to_tiles
from ebm_ref.samplers import continuous
from ebm_ref.samplers.common import GaussianNoise, Info, free_units
from ebm_ref.samplers.continuous import Adaptation, Box, Point


@dataclass(frozen=True, eq=False)
class HMC:
    """Hamiltonian Monte Carlo; see ``hmc``.  step_size: () or (d,), the e of (1)."""

    model: Any
    step_size: np.ndarray
    n_leapfrog: int
    temperature: float = 1.0
    box: Box | None = None
    free: np.ndarray | None = None
    adaptation: Adaptation | None = None

    name = "hmc"
    reversible = True

    def clamped(self, clamp) -> HMC:
        """The sampler that never moves the clamped coordinates."""
        n = self.model.n_visible
        return replace(self, free=free_units(clamp, n, n))

    def scaled(self, factor: float) -> HMC:
        """The same sampler with ``factor`` times the step size."""
        return replace(self, step_size=self.step_size * require_positive("factor", factor))

    def init(self, initial, seed: int, first_chain: int = 0) -> np.ndarray:
        """Initial states (n_chains, d), float64."""
        return continuous.visible_rows(self.model, initial, self.box)

    def draw(self, stream: Stream, step: int, n_chains: int) -> GaussianNoise:
        """The momenta, and one uniform more at the address after them."""
        d = self.model.n_visible
        return GaussianNoise(stream.normal(step, (n_chains, d)), stream.uniform(step, (n_chains, d + 1))[:, d:])

    def step(self, state: np.ndarray, noise: GaussianNoise) -> tuple[np.ndarray, Info]:
        """One trajectory in plain NumPy; equal to ``advance`` up to the rounding of sums."""
        point, info = self._move(continuous.evaluate(self.model, state), noise)
        return point.x, info

    def _move(self, old: Point, noise: GaussianNoise) -> tuple[Point, Info]:
        e, new, p = self._by_coordinate(), old, noise.z
        with np.errstate(all="ignore"):
            for _ in range(self.n_leapfrog):
                p = p - 0.5 * e / self.temperature * new.gradient  # (1)
                new = continuous.evaluate(self.model, new.x + e * p)
                p = p - 0.5 * e / self.temperature * new.gradient
            log_ratio = (old.energy - new.energy) / self.temperature + 0.5 * (noise.z**2 - p**2).sum(axis=1)  # (2)
        _, outside = continuous.constrain(new.x, self.box)
        probability = continuous.acceptance(log_ratio, outside)
        accepted = noise.u[:, 0] < probability
        return continuous.choose(accepted, new, old), Info(accepted.astype(np.int64), 1, probability)

    def advance(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        """n trajectories, numbers at steps start, ..., start + n - 1; the input is not modified.  See Langevin."""
        target = continuous.compiled_target(self.model)
        if target is not None:
            return self._advance_compiled(target, state, stream, start, n)
        point, accepted = continuous.evaluate(self.model, np.array(state)), np.zeros(len(state), dtype=np.int64)
        for t in range(start, start + n):
            point, info = self._move(point, self.draw(stream, t, len(state)))
            accepted += info.accepted
        return point.x, Info(accepted, n)

    def _advance_compiled(self, target, state, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        n_chains, d = state.shape
        tiles = to_tiles(state)
        accepted = np.zeros(len(tiles) * LANES, dtype=np.int64)
        e = np.array(np.broadcast_to(self._by_coordinate(), d))
        low, high, boundary = continuous.box_arrays(self.box, d)
        kernels.HMC[target.kind](
            len(tiles), tiles, target.scratch(len(tiles), d, 4), accepted, *target.arguments, e, low, high, boundary,
            1.0 / self.temperature, self.n_leapfrog, stream.address, np.uint64(start), n,
            work=n_chains * n * self.n_leapfrog * (10.0 * d + target.work),
        )  # fmt: skip
        return from_tiles(tiles, n_chains, d), Info(accepted[:n_chains], n)

    def _by_coordinate(self) -> np.ndarray:
        return self.step_size if self.free is None else np.where(self.free, self.step_size, 0.0)

    def adapted(self, initial, n_steps: int, seed: int, target: float = 0.651) -> HMC:
        """The sampler whose step size accepts ``target`` of the trajectories; see ``Langevin.adapted``."""
        n_steps, stream = require_int("n_steps", n_steps, 1), Stream(seed, "adaptation")
        found, trace = continuous.adapt(self, self.scaled, initial, n_steps, stream, target)
        return replace(found, adaptation=trace)


def hmc(model, step_size, n_leapfrog: int, *, temperature: float = 1.0, box=None, boundary: str = "reject") -> HMC:
    """Hamiltonian Monte Carlo: ``n_leapfrog`` leapfrog steps of ``step_size``, accepted so that exp(-E/T) is kept.

    step_size: a number, or one for each coordinate (a diagonal mass matrix); model and box as for ``mala``.

    >>> from ebm_ref.models.analytic import Gaussian
    >>> hmc(Gaussian([0.0], [[1.0]]), 0.1, 5).name
    'hmc'
    """
    continuous.target_energy(model)
    walls = continuous.make_box(box, boundary, ("reject",), model)
    steps, n_leapfrog = continuous.step_array("step_size", step_size, model), require_int("n_leapfrog", n_leapfrog, 1)
    return HMC(model, steps, n_leapfrog, require_positive("temperature", temperature), walls)
