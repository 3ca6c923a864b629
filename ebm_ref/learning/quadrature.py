"""Maximum likelihood itself for deep energies of one or two coordinates: the negatives are the points of a grid.

(1) d/dtheta mean log p(x_n) = -mean_n dE(x_n)/dtheta + sum_k p_k dE(y_k)/dtheta,   p_k ~ exp(-E(y_k)) with sum 1
The sum is the trapezoidal rule of exact/quadrature.py: for a density that is smooth on the scale s its error falls like
exp(-2 pi^2 s^2/h^2) with the spacing h.  What lies outside the box is not seen: choose it wide, keep a base measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from ebm_ref.exact.quadrature import grid

MONITORED = 1000


@dataclass(frozen=True)
class GridGradient:
    """See ``exact_gradient`` with a box."""

    box: tuple[tuple[float, float], ...]
    n: int

    def start(self, model, data: np.ndarray, seed: int) -> np.ndarray:
        """Nothing is carried."""
        return np.zeros((0, 0))

    def estimate(self, model, rows, chains=None, seed: int = 0, update: int = 0):
        """(1) at one batch."""
        points, _, _ = self._grid(model)
        weights = np.concatenate([np.full(len(rows), -1.0 / len(rows)), softmax(-model.energy(points))])
        return model.energy_gradient(np.concatenate([rows, points]), weights), chains

    def measure(self, model, data: np.ndarray, chains: np.ndarray, seed: int) -> dict[str, float]:
        """Mean log p(x) of the first rows, nats a row, log Z by the same grid."""
        points, _, log_cell = self._grid(model)
        log_z = logsumexp(-model.energy(points)) + log_cell
        return {"log_likelihood": float(-model.energy(data[:MONITORED]).mean() - log_z)}

    def _grid(self, model):
        box = self.box if len(self.box) > 1 else self.box * model.n_visible
        return grid(model.n_visible, box, self.n)

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        return {"name": "exact_gradient", "box": [list(side) for side in self.box], "n": self.n}
