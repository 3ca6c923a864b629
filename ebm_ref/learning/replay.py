"""Contrastive divergence for deep energies: short Langevin chains from a replay buffer.

Loss, x+ from the data, x- from the chains and held constant        [Du & Mordatch 2019; Nijkamp et al. 2019]
(1) L = mean E(x+) - mean E(x-) + alpha (mean E(x+)^2 + mean E(x-)^2)
(2) dL = sum_n w_n dE(x_n),   w+ = (1 + 2 alpha E+)/n,   w- = (-1 + 2 alpha E-)/m;    the estimate is -dL
With alpha = 0 and chains that have converged this is the likelihood's gradient.  With alpha > 0 and negatives of a
fixed law p- the minimum is E = (p- - p+)/(2 alpha (p+ + p-)), a bounded energy, not -log p+.

The buffer holds past states.  An update takes as many as there are rows, without replacement; each is replaced, with
probability ``restart``, by a fresh one; k steps of the sampler; then they go back to their places.
Every number stands at an address made of the update, so a run that was cut short carries on with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import DivergenceError, DomainError, require_choice, require_int, require_number, require_positive
from ebm_ref.kernels.noise import Stream
from ebm_ref.learning.optimisers import described
from ebm_ref.models.record import leafwise

BASES = ("normal", "uniform", "data")
MONITORED = 256


@dataclass(frozen=True)
class ReplayDivergence:
    """See ``langevin_cd``."""

    sampler: Callable[[Any], Any]
    k: int
    buffer_size: int
    restart: float
    base: str
    base_range: tuple[float, float]
    energy_penalty: float
    data_noise: float

    def start(self, model, data: np.ndarray, seed: int) -> np.ndarray:
        """The buffer, (buffer_size, n_visible), fresh states."""
        return self._fresh(data, Stream(seed, "buffer_start"), 0, (self.buffer_size, model.n_visible))

    def _fresh(self, data: np.ndarray, stream: Stream, step: int, shape: tuple[int, int]) -> np.ndarray:
        low, high = self.base_range
        if self.base == "uniform":
            return low + (high - low) * stream.uniform(step, shape)
        if self.base == "normal":
            return stream.normal(step, shape)
        return data[(stream.uniform(step, (shape[0], 1))[:, 0] * len(data)).astype(np.int64)]

    def _noisy(self, rows: np.ndarray, stream: Stream, step: int) -> np.ndarray:
        return rows + self.data_noise * stream.normal(step, rows.shape) if self.data_noise else rows

    def negatives(self, model, rows: np.ndarray, chains: np.ndarray, seed: int, update: int):
        """(states after k steps, the buffer with them in their places)."""
        n = min(len(rows), len(chains))
        u = Stream(seed, "buffer").uniform(update, (2, len(chains)))
        chosen = np.argsort(u[0], kind="stable")[:n]
        fresh = self._fresh(rows, Stream(seed, "buffer_start"), 1 + update, (n, model.n_visible))
        state = np.where((u[1, :n] < self.restart)[:, None], fresh, chains[chosen])
        state, _ = self.sampler(model).advance(state, Stream(seed, "negative"), update * self.k, self.k)
        if not np.isfinite(state).all():
            chain = int(np.argmin(np.isfinite(state).all(axis=1)))
            raise DivergenceError(f"langevin_cd: chain {chain} left the finite numbers at update {update}")
        buffer = np.array(chains)
        buffer[chosen] = state
        return state, buffer

    def estimate(self, model, rows, chains, seed: int = 0, update: int = 0):
        """(2) at one batch, and the new buffer."""
        state, buffer = self.negatives(model, rows, chains, seed, update)
        rows = self._noisy(rows, Stream(seed, "data_noise"), update)
        x = np.concatenate([rows, state])
        sign = np.repeat([1.0, -1.0], [len(rows), len(state)])
        share = np.repeat([1.0 / len(rows), 1.0 / len(state)], [len(rows), len(state)])
        weights = sign * share
        if self.energy_penalty:
            weights = (sign + 2.0 * self.energy_penalty * model.free_energy(x)) * share
        return leafwise(np.negative, model.energy_gradient(x, weights)), buffer

    def measure(self, model, data: np.ndarray, chains: np.ndarray, seed: int) -> dict[str, float]:
        """Mean energies of data and buffer: their gap stays near 0 while the buffer's law follows the model's.

        The data have their noise here too, or else they would lie below chains that are right.
        """
        rows = self._noisy(data[:MONITORED], Stream(seed, "monitor"), 0)
        e_data = float(model.free_energy(rows).mean())
        e_chains = float(model.free_energy(chains[:MONITORED]).mean())
        return {"energy_data": e_data, "energy_chains": e_chains, "energy_gap": e_data - e_chains}

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        return {
            "name": "langevin_cd", "sampler": described(self.sampler), "k": self.k, "buffer_size": self.buffer_size,
            "restart": self.restart, "base": self.base, "base_range": list(self.base_range),
            "energy_penalty": self.energy_penalty, "data_noise": self.data_noise,
        }  # fmt: skip


def langevin_cd(
    sampler: Callable[[Any], Any],
    k: int = 60,
    *,
    buffer_size: int = 10_000,
    restart: float = 0.05,
    base: str = "normal",
    base_range: tuple[float, float] = (-1.0, 1.0),
    energy_penalty: float = 0.0,
    data_noise: float = 0.0,
) -> ReplayDivergence:
    """Contrastive divergence with short chains from a replay buffer, for any model with a score.

    sampler: a function model -> sampler, such as ``lambda m: er.ula(m, 0.01)`` (temperature 1) or, for the published
    recipes, ``er.published_sampler("uva")`` and its like, which say at which temperature they really sample.
    restart: probability of a fresh state.  base: where fresh states come from, "normal" N(0, I), "uniform" on
    ``base_range``, or "data".  energy_penalty: alpha of (1), in 1/nats.  data_noise: deviation of noise on the data.

    >>> import ebm_ref as er
    >>> estimator = langevin_cd(lambda m: er.ula(m, 0.1), 20, buffer_size=500)
    >>> result = er.fit(er.NetworkEnergy(er.nets.mlp((2, 8, 1)), "square", base=3.0), np.zeros((4, 2)), estimator,
    ...                 er.adam(1e-3), n_epochs=2, batch_size=4, seed=0, progress=False)
    >>> sorted(result.history)
    ['energy_chains', 'energy_data', 'energy_gap', 'epoch', 'update']
    """
    if not callable(sampler):
        raise DomainError(f"sampler: expected a function model -> sampler, got {sampler!r}")
    if not 0.0 <= require_number("restart", restart) <= 1.0:
        raise DomainError(f"restart: expected a probability, got {restart}")
    low, high = (require_number("base_range", end) for end in base_range)
    if not low < high:
        raise DomainError(f"base_range: expected (low, high) with low < high, got {base_range}")
    for name, value in (("energy_penalty", energy_penalty), ("data_noise", data_noise)):
        if value != 0:
            require_positive(name, value)
    return ReplayDivergence(
        sampler, require_int("k", k, 1), require_int("buffer_size", buffer_size, 1), float(restart),
        require_choice("base", base, BASES), (low, high), float(energy_penalty), float(data_noise),
    )  # fmt: skip
