"""Block Gibbs on a Gaussian-Bernoulli RBM.                                        [lecture 9; Liao et al. 2022]

One step on rows [v, h]:  h ~ p(h|v), independent units;  then v ~ N(mu + Wh, diag s2), exactly.
It leaves the model's law invariant; v alone is a reversible chain, (v, h) is not.  With clamped units the law is that
of the others given them: clamping visible units samples a completion, p(v_U, h | v_K).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ebm_ref.kernels import grbm as kernels
from ebm_ref.kernels.noise import Stream, from_tiles, to_tiles
from ebm_ref.kernels.panels import tiles as packed
from ebm_ref.models.grbm import GRBM
from ebm_ref.samplers.common import GaussianNoise, Info, free_units, joint_rows


@dataclass(frozen=True, eq=False)
class GaussianGibbs:
    """Block Gibbs on a GRBM; ``free`` (n_units,) marks the units that are not clamped.  See ``block_gibbs``."""

    model: GRBM
    free: np.ndarray

    name = "block_gibbs"
    reversible = False
    temperature = 1.0

    def clamped(self, clamp) -> GaussianGibbs:
        """The sampler that never moves the clamped units."""
        return replace(self, free=free_units(clamp, self.model.n_visible, self.model.n_units))

    def init(self, initial, seed: int, first_chain: int = 0) -> np.ndarray:
        """Initial states as joint rows."""
        return joint_rows(self.model, initial, seed, first_chain)

    def draw(self, stream: Stream, step: int, n_chains: int) -> GaussianNoise:
        """One normal for each visible unit, one uniform for each hidden one."""
        nv, n = self.model.n_visible, self.model.n_units
        return GaussianNoise(stream.normal(step, (n_chains, nv)), stream.uniform(step, (n_chains, n))[:, nv:])

    def step(self, state: np.ndarray, noise: GaussianNoise) -> tuple[np.ndarray, Info]:
        """One sweep in plain NumPy; equal to ``advance`` up to the rounding of matrix products."""
        m, nv = self.model, self.model.n_visible
        v, h = state[:, :nv], state[:, nv:]
        h = np.where(self.free[nv:], noise.u < m.hidden_probabilities(v), h)
        v = np.where(self.free[:nv], m.visible_mean(h) + np.sqrt(m.variance) * noise.z, v)
        return np.hstack([v, h]), Info(np.full(len(state), m.n_units), m.n_units)

    def advance(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        """n sweeps by the compiled loop, numbers at steps start, ..., start + n - 1; the input is not modified."""
        m, (nv, nh), tiles = self.model, self.model.W.shape, to_tiles(state)
        weights = packed(m.W.T, np.float64), packed(m.W / m.variance[:, None], np.float64)
        kernels.run_block_tiles(
            len(tiles), tiles, kernels.sweep_scratch(len(tiles), nv, nh), *weights, np.zeros(nv),
            np.array(m.mu), np.sqrt(m.variance), np.array(m.b), self.free, stream.address, np.uint64(start), n,
            work=tiles.size * n * (20.0 + nh),
        )  # fmt: skip
        rows = from_tiles(tiles, len(state), m.n_units)
        return rows, Info(np.full(len(rows), n * m.n_units), n * m.n_units)
