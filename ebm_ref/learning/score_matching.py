"""Score matching: learning dE/dx without samples of the model.         [Hyvarinen 2005; Vincent 2011; Song et al. 2020]

denoising, x~ = x + sigma z, z ~ N(0, I):
(1) L = (sigma^2/2) mean_n |r_n|^2,    r = dE/dx(x~) - z/sigma          since the score of N(x, sigma^2) is -z/sigma
(2) dL/dtheta = sigma^2 mean_n d/dtheta [ r_n . dE/dx(x~_n) ], r held constant           (score_matching_gradient)
    Its minimum over all functions is the score of the smoothed density p * N(0, sigma^2), and there
(3) E|sigma r|^2 = d - sigma^2 E|grad log p_sigma|^2 > 0: a loss that falls below means a mistake.
(4) Tweedie: E[x|x~] = x~ - sigma^2 dE/dx(x~) at the minimum

exact, or sliced with Rademacher v (E vv' = I):
(5) J = mean_n [ 1/2 |g_n|^2 - tr H_n ],  g = dE/dx, H = d^2E/dx^2;  tr H = sum_i e_i'H e_i = E v'Hv
(5) has no parameter gradient here: it is a measure of fit, equal to the Fisher divergence up to a constant of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import require_int, require_positive
from ebm_ref.kernels.noise import Stream
from ebm_ref.models.record import leafwise

MONITORED = 1000


@dataclass(frozen=True)
class DenoisingScoreMatching:
    """See ``denoising_score_matching``."""

    sigma: float

    def start(self, model, data: np.ndarray, seed: int) -> np.ndarray:
        """Nothing is carried."""
        return np.zeros((0, 0))

    def estimate(self, model, rows, chains=None, seed: int = 0, update: int = 0):
        """Minus (2) at one batch."""
        z = Stream(seed, "data_noise").normal(update, rows.shape)
        weights = np.full(len(rows), self.sigma**2 / len(rows))
        gradient = model.score_matching_gradient(rows + self.sigma * z, -z / self.sigma, weights)  # (2)
        return leafwise(np.negative, gradient), chains

    def loss(self, model, data, seed: int) -> float:
        """(1) with noise of the purpose "monitor"."""
        z = Stream(seed, "monitor").normal(0, data.shape)
        r = -model.score(data + self.sigma * z) - z / self.sigma
        return float(0.5 * self.sigma**2 * (r * r).sum(axis=1).mean())

    def measure(self, model, data: np.ndarray, chains: np.ndarray, seed: int) -> dict[str, float]:
        """The loss (1) on the first rows."""
        return {"denoising_loss": self.loss(model, data[:MONITORED], seed)}

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        return {"name": "denoising_score_matching", "sigma": self.sigma}


def denoising_score_matching(sigma: float) -> DenoisingScoreMatching:
    """Denoising score matching at one noise level ``sigma`` (units of x): learns p smoothed by N(0, sigma^2).

    For models with ``score`` and ``score_matching_gradient``: NetworkEnergy, JointEnergy.              [Vincent 2011]
    """
    return DenoisingScoreMatching(require_positive("sigma", sigma))


def score_matching_objective(model, x, *, n_slices: int | None = None, seed: int = 0) -> float:
    """(5) in nats per unit of x squared: exact with one Hessian product a coordinate, or ``n_slices`` random ones.

    For the data's law q: J = 1/2 E_q|grad log q + dE/dx|^2 minus 1/2 E_q|grad log q|^2, so smaller is better.
    """
    x = np.asarray(x, dtype=np.float64)
    g = model.score(x)
    trace = np.zeros(len(x))
    n = x.shape[1] if n_slices is None else require_int("n_slices", n_slices, 1)
    for i in range(n):
        v = np.zeros_like(x)
        if n_slices is None:
            v[:, i] = 1.0
        else:
            v = np.where(Stream(seed, "user").uniform(i, x.shape) < 0.5, -1.0, 1.0)
        trace += (v * model.hessian_vector(x, v)).sum(axis=1) * (1.0 if n_slices is None else 1.0 / n)
    return float((0.5 * (g * g).sum(axis=1) - trace).mean())
