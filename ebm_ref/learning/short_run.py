"""Contrastive divergence with any chain: from the data, from noise, or persistent; its last state, or all it visits.

The estimate is <-dE/dtheta>_data - <-dE/dtheta>_chains, chains advanced k steps by ``sampler(model)``:
start        chains begin an update at                                                                source
"data"       the rows of the batch: classical CD-k                                                    [Hinton 2002]
"noise"      N(0, I) (fair coins where units are binary), as many as rows; standardise the data       [Liao et al. 2022]
"persistent" where the last update left them; first at rows of the data                               [Tieleman 2008]
collect      "last" state after k steps, or "all" of the k states, each with the same weight
schedule     factors (k,) on the step size of the k steps, such as half a cosine                      [Liao et al. 2022]
adjust_after the first update whose chains are adjusted: before it every proposal is taken                   (the same)
Only "persistent" tends to the gradient of the likelihood (small rates, mixing chains); k steps from noise learn a model
whose k-step samples look like the data, which is another thing than its law.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_some_rows
from ebm_ref.exact.moments import Moments, difference, layer_statistics
from ebm_ref.kernels.noise import Stream
from ebm_ref.learning.optimisers import described
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.rbm import RBM
from ebm_ref.samplers.gibbs import block_gibbs
from ebm_ref.samplers.gibbs_langevin import GibbsLangevin

STARTS = ("data", "noise", "persistent")


@dataclass(frozen=True)
class ChainDivergence:
    """See ``cd`` and ``pcd``, which make it when the model or the switches ask for it."""

    k: int
    start_from: str
    collect: str
    sampler: Callable[[Any], Any] | None
    positive: str
    negative: str
    n_chains: int
    schedule: tuple[float, ...] | None = None
    adjust_after: int = 0

    def start(self, model: RBM | GRBM, data: np.ndarray, seed: int) -> np.ndarray:
        """Persistent chains start at uniformly chosen rows of the data, made binary by chance for binary units."""
        if self.start_from != "persistent":
            return np.zeros((0, 0))
        u = Stream(seed, "fantasy_start").uniform(0, (self.n_chains, 1 + model.n_visible))
        rows = data[(u[:, 0] * len(data)).astype(np.int64)]
        x = (u[:, 1:] < rows).astype(np.float64) if isinstance(model, RBM) else rows
        return self._sampler(model).init(x, seed)

    def estimate(self, model: RBM | GRBM, rows, chains=None, seed: int = 0, update: int = 0):
        """One estimate at the given number of update; chain n of an unpersistent start is row n of the batch."""
        if isinstance(model, BoltzmannMachine):
            raise DomainError("cd: expected an RBM, a GRBM or a deep energy, got BoltzmannMachine; use exact_gradient")
        rows = require_some_rows("rows", rows, model.n_visible)
        sampler, persistent = self._sampler(model), self.start_from == "persistent"
        if update < self.adjust_after:
            sampler = sampler.unadjusted()
        elif isinstance(sampler, GibbsLangevin):
            sampler = sampler.begun(update * self.k)
        if persistent:
            state, stream = chains, Stream(seed, "persistent")
        else:
            fresh = update * len(rows) % 2**31  # hidden units of a start: other numbers at every update
            state = sampler.init(self._first(model, rows, seed, update), seed, fresh)
            stream = Stream(seed, "negative")
        visited, stride = [], 1 if self.collect == "all" or self.schedule else self.k
        for t in range(0, self.k, stride):
            scaled = sampler.scaled(self.schedule[t]) if self.schedule else sampler
            state, _ = scaled.advance(state, stream, update * self.k + t, stride)
            visited.append(state[:, : model.n_visible])
        negatives = np.concatenate(visited if self.collect == "all" else visited[-1:])
        if not isinstance(model, RBM | GRBM):
            return _energy_difference(model, rows, negatives), state if persistent else chains
        noise = Stream(seed, "positive")
        positive = self._statistics(model, rows, self.positive, noise, 2 * update)
        negative = self._statistics(model, negatives, self.negative, noise, 2 * update + 1)
        return difference(model, positive, negative), state if persistent else chains

    def _sampler(self, model):
        if self.sampler is None and not isinstance(model, RBM | GRBM):
            raise DomainError("cd: expected sampler=, such as lambda m: er.ula(m, 0.01), for a deep energy")
        sampler = (self.sampler or block_gibbs)(model)
        for switch, needed in (("schedule", "scaled"), ("adjust_after", "unadjusted")):
            if getattr(self, switch) and not hasattr(sampler, needed):
                raise DomainError(f"{switch}: expected a sampler with {needed}(), got {sampler.name}")
        return sampler

    def _first(self, model, rows: np.ndarray, seed: int, update: int) -> np.ndarray:
        if self.start_from == "data":
            return rows
        noise = Stream(seed, "noise_start")
        if isinstance(model, RBM):
            return (noise.uniform(update, rows.shape) < 0.5).astype(np.float64)
        return noise.normal(update, rows.shape)

    def _statistics(self, model, x: np.ndarray, hidden: str, noise: Stream, step: int) -> Moments:
        if hidden == "probabilities":
            return layer_statistics(model, x)
        p = model.hidden_probabilities(x)
        return layer_statistics(model, x, (noise.uniform(step, p.shape) < p).astype(np.float64))

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        return {
            "name": "cd" if self.start_from != "persistent" else "pcd", "k": self.k, "start": self.start_from,
            "collect": self.collect, "sampler": described(self.sampler or block_gibbs), "positive": self.positive,
            "negative": self.negative, "n_chains": self.n_chains, "adjust_after": self.adjust_after,
            "schedule": None if self.schedule is None else list(self.schedule),
        }  # fmt: skip


def _energy_difference(model, rows: np.ndarray, negatives: np.ndarray):
    """-(<dE/dtheta>_data - <dE/dtheta>_chains) of a model without hidden units."""
    weights = np.repeat([-1.0 / len(rows), 1.0 / len(negatives)], [len(rows), len(negatives)])
    return model.energy_gradient(np.concatenate([rows, negatives]), weights)
