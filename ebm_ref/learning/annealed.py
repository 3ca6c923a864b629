"""Denoising score matching at several noise levels, and drawing down the levels.   [Song & Ermon 2019; Vincent 2011]

x~ = x + sigma_t z,  z ~ N(0, I),  sigma_0 < sigma_1 < ... < sigma_(L-1)
(1) p_t(x~) ~ exp( -E(x~, t)/sigma_t^2 ) models the smoothed law p * N(0, sigma_t^2 I); dE/dx is of order sigma_t
(2) loss, t uniform: 1/2 mean_n w_t |r_n|^2,  r = dE/dx(x~, t)/sigma_t - z    score_matching (1) at each level
    w_t = 1 + sigma_t^2/spread^2: where data are N(centre, spread^2 I) the least |r|^2/d is 1/w_t, so every level counts
    alike; with w = 1 large levels, which decide what an image shows, would hardly count        [Karras et al. 2022]
(3) dL/dtheta = mean_n w_t d/dtheta |score(x~_n, t_n) + sigma_t z_n|^2/(2 sigma_t^2), score = -dE/dx
(4) Tweedie: E[x | x~] = x~ - dE/dx(x~, t)
Drawing: x ~ N(centre, (spread^2 + sigma_(L-1)^2) I), then for t = L-1 ... 0
(5) k steps of ULA at temperature 1 on (1), step c sigma_t^2; exact as c -> 0
(6) down, t > 0: x <- N( x - (1 - q) dE/dx(x, t), q (sigma_t^2 - sigma_(t-1)^2) I ),  q = sigma_(t-1)^2/sigma_t^2
    the law of x + sigma_(t-1) z given x + sigma_t z and x, with (4) for x: a little too narrow, which (5) mends
and (4) from level 0.  With L = 1 this is one energy, one chain and one denoising step.    [Saremi & Hyvarinen 2019]
Completion: at level t the known pixels are held at observed + sigma_t z, one z for all levels, and the others follow
(5) by the slope of (1), which is that of their conditional law.  In the result the known pixels are those observed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import (
    DomainError,
    as_float_array,
    require_finite,
    require_int,
    require_positive,
    require_shape,
)
from ebm_ref.kernels.noise import Stream
from ebm_ref.learning.recovery import at_time_of
from ebm_ref.models.layers import at_time
from ebm_ref.models.record import leafwise
from ebm_ref.samplers.complete import require_known
from ebm_ref.samplers.langevin import ula

MONITORED = 256


@dataclass(frozen=True)
class AnnealedScoreMatching:
    """See ``annealed_score_matching``."""

    sigmas: tuple[float, ...]
    k: int
    step: float
    centre: float
    spread: float

    def start(self, model, data: np.ndarray, seed: int) -> np.ndarray:
        """Nothing is carried."""
        return np.zeros((0, 0))

    def noisy(self, model, rows: np.ndarray, seed: int, purpose: str, update: int):
        """(the model at the times of the rows, x~, z, sigma_t (n, 1)) of (2)."""
        t = (Stream(seed, "diffusion_time").uniform(update, (len(rows), 1))[:, 0] * len(self.sigmas)).astype(np.int64)
        sigma, z = np.array(self.sigmas)[t, None], Stream(seed, purpose).normal(update, rows.shape)
        return at_time(model, t), rows + sigma * z, z, sigma

    def estimate(self, model, rows, chains=None, seed: int = 0, update: int = 0):
        """Minus (3) at one batch."""
        bound, noisy, z, sigma = self.noisy(model, rows, seed, "data_noise", update)
        weights = (self.weight(sigma) / sigma**2)[:, 0] / len(rows)
        gradient = bound.score_matching_gradient(noisy, -sigma * z, weights)  # (3)
        return at_time_of(model, leafwise(np.negative, gradient)), chains

    def measure(self, model, data: np.ndarray, chains: np.ndarray, seed: int) -> dict[str, float]:
        """The loss (2) on the first rows."""
        return {"denoising_loss": self.loss(model, data[:MONITORED], seed, "monitor", 0)}

    def loss(self, model, rows: np.ndarray, seed: int, purpose: str, update: int) -> float:
        """(2)."""
        bound, noisy, z, sigma = self.noisy(model, rows, seed, purpose, update)
        r = -bound.score(noisy) / sigma - z
        return float(0.5 * (self.weight(sigma) * r * r).sum(axis=1).mean())

    def weight(self, sigma):
        """w_t of (2)."""
        return 1.0 + (sigma / self.spread) ** 2

    def law(self, model, t: int):
        """(1) at level t: an energy like any other."""
        return at_time(model, t).tempered(1.0 / self.sigmas[t] ** 2)

    def denoised(self, model, x, t: int = 0) -> np.ndarray:
        """(4)."""
        return x + at_time(model, t).score(x)

    def sample(self, model, n: int, seed: int) -> np.ndarray:
        """n images from noise, (n, n_visible), in the units of the data."""
        return self._descend(model, self._noise(seed, (require_int("n", n, 1), model.n_visible)), seed, None, None)

    def complete(self, model, observed, known, seed: int) -> np.ndarray:
        """Images that agree with ``observed`` (n, n_visible) where the mask ``known`` (n_visible,) is true."""
        observed, known = require_known(observed, known, model.n_visible)
        require_finite("observed", observed)
        if known.all():
            raise DomainError("known: expected a mask that leaves something to complete")
        return np.where(known, observed, self._descend(model, self._noise(seed, observed.shape), seed, observed, known))

    def _noise(self, seed: int, shape: tuple[int, int]) -> np.ndarray:
        z = Stream(seed, "fantasy_start").normal(0, shape)
        return self.centre + np.hypot(self.spread, self.sigmas[-1]) * z

    def _descend(self, model, x: np.ndarray, seed: int, observed, known) -> np.ndarray:
        noise = Stream(seed, "data_noise")
        held = 0.0 if known is None else noise.normal(0, x.shape)
        for t in reversed(range(len(self.sigmas))):
            sigma, law = self.sigmas[t], self.law(model, t)
            sampler = ula(law, self.step * sigma**2)
            if known is not None:
                x, sampler = np.where(known, observed + sigma * held, x), sampler.clamped(known)
            start = (len(self.sigmas) - 1 - t) * self.k
            x, _ = sampler.advance(x, Stream(seed, "transition"), start, self.k)  # (5)
            if t > 0:
                q = (self.sigmas[t - 1] / sigma) ** 2
                mean = x + (1.0 - q) * (self.denoised(model, x, t) - x)
                x = mean + np.sqrt(q * (1.0 - q)) * sigma * noise.normal(t, x.shape)  # (6)
        return self.denoised(model, x)

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        return {
            "name": "annealed_score_matching", "sigmas": list(self.sigmas), "k": self.k, "step": self.step,
            "centre": self.centre, "spread": self.spread,
        }  # fmt: skip


def annealed_score_matching(
    sigmas: Sequence[float], k: int = 20, step: float = 0.2, *, centre: float = 0.0, spread: float = 1.0
) -> AnnealedScoreMatching:
    """Denoising score matching at the noise levels ``sigmas`` (rising, units of x).

    model: a ``NetworkEnergy`` whose network has a time embedding; with one level it needs none.  k, step: Langevin
    steps at each level and c of (5), below 2.  centre, spread: about the mean and deviation of the data, where drawing
    starts.  After training: ``.sample(model, n, seed)`` and ``.complete(model, observed, known, seed)``.

    >>> annealed_score_matching([0.2, 0.6]).settings()["sigmas"]
    [0.2, 0.6]
    """
    levels = as_float_array("sigmas", sigmas)
    require_shape("sigmas", levels, None)
    if not len(levels) or levels[0] <= 0 or np.any(np.diff(levels) <= 0):
        raise DomainError(f"sigmas: expected rising positive numbers, got {sigmas}")
    if not require_positive("step", step) < 2.0:
        raise DomainError(f"step: expected a number below 2, where Langevin steps are stable, got {step}")
    return AnnealedScoreMatching(
        tuple(levels.tolist()), require_int("k", k, 1), float(step), float(centre), require_positive("spread", spread)
    )
