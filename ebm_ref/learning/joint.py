"""A classifier whose logits are energies: learning p(x, y) = p(y|x) p(x).               [Grathwohl et al. 2020 (JEM)]

(1) log p(x, y) = log p(y|x) + log p(x):   the estimate is  -mean d/dtheta [-log p(y|x)] + lambda * (that of log p(x))
    the first term exact, the second by a replay buffer, learning/replay.py, with E(x) = -LSE f(x)
cross_entropy has the first term alone: the plain classifier with the same network.
(2) p(x|y) ~ exp(f_y(x)): ``given_classes`` makes a sampler's target of it, one class for each chain
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import as_float_array, require_positive, require_shape
from ebm_ref.learning.replay import ReplayDivergence
from ebm_ref.models.record import leafwise

MONITORED = 1000


@dataclass(frozen=True, eq=False)
class GivenClasses:
    """See ``given_classes``."""

    model: Any  # a JointEnergy
    labels: np.ndarray

    @property
    def n_visible(self) -> int:
        """Number of coordinates of x."""
        return self.model.n_visible

    def energy(self, x) -> np.ndarray:
        """E(x_n, y_n) in nats, (batch,)."""
        return self.model.energy(x, self.labels)

    free_energy = energy

    def score(self, x) -> np.ndarray:
        """-dE/dx, (batch, n_visible)."""
        return self.model.score(x, self.labels)

    def energy_and_score(self, x) -> tuple[np.ndarray, np.ndarray]:
        """Both from one forward and one pullback."""
        return self.model.energy_and_score(x, self.labels)


def given_classes(model, labels) -> GivenClasses:
    """(2): the laws p(x|y_n) of a ``JointEnergy``, chain n of a Langevin sampler that of class ``labels[n]``.

    >>> import ebm_ref as er
    >>> law = given_classes(er.JointEnergy(er.nets.mlp((2, 8, 3)), base=1.0), [0, 1, 2])
    >>> er.sample(er.ula(law, 0.1), np.zeros((3, 2)), 5, seed=0).visible.shape
    (3, 5, 2)
    """
    labels = as_float_array("labels", labels)
    require_shape("labels", labels, None)
    model.energy(np.zeros((len(labels), model.n_visible)), labels)  # refuses what is no class
    return GivenClasses(model, labels)


@dataclass(frozen=True)
class JointLikelihood:
    """See ``jem`` and ``cross_entropy``."""

    density: ReplayDivergence | None
    weight: float

    needs_labels = True

    def start(self, model, data: np.ndarray, seed: int) -> np.ndarray:
        """The replay buffer; empty for ``cross_entropy``."""
        return self.density.start(model, data, seed) if self.density else np.zeros((0, 0))

    def estimate(self, model, rows, chains, seed: int = 0, update: int = 0, labels=None):
        """(1) at one batch."""
        weights = np.full(len(rows), -1.0 / len(rows))
        gradient = model.cross_entropy_gradient(rows, labels, weights)
        if self.density is None:
            return gradient, chains
        likelihood, chains = self.density.estimate(model, rows, chains, seed, update)
        return leafwise(lambda g, extra: g + self.weight * extra, gradient, likelihood), chains

    def measure(self, model, data: np.ndarray, chains: np.ndarray, seed: int) -> dict[str, float]:
        """Mean confidence max_y p(y|x), and the energies of data and buffer."""
        confidence = model.class_probabilities(data[:MONITORED]).max(axis=1).mean()
        density = self.density.measure(model, data, chains, seed) if self.density else {}
        return {"confidence": float(confidence), **density}

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        if self.density is None:
            return {"name": "cross_entropy"}
        return {"name": "jem", "density": self.density.settings(), "weight": self.weight}


def jem(density: ReplayDivergence, weight: float = 1.0) -> JointLikelihood:
    """The joint objective (1) for a ``JointEnergy``; ``density`` is ``langevin_cd(...)``, ``weight`` lambda.

    Give ``fit`` the class numbers as ``labels``.                                                [Grathwohl et al. 2020]
    """
    return JointLikelihood(density, require_positive("weight", weight))


def cross_entropy() -> JointLikelihood:
    """The mean of log p(y|x) alone: the plain classifier, for a ``JointEnergy``; ``fit(..., labels=...)``."""
    return JointLikelihood(None, 0.0)
