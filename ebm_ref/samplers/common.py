"""What the samplers share: noise records, evidence, initial states, clamped units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebm_ref.errors import DomainError, as_float_array, require_binary, require_finite, require_shape, unit_indices
from ebm_ref.kernels.noise import Stream
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.states import all_states


@dataclass(frozen=True)
class Noise:
    """Explicit noise of one step: ``u`` (n_chains, n_numbers), uniforms on [0, 1)."""

    u: np.ndarray


@dataclass(frozen=True)
class GaussianNoise:
    """Explicit noise of one step: ``z`` normals, a column for each continuous number, and ``u`` uniforms on [0, 1)."""

    z: np.ndarray
    u: np.ndarray


@dataclass(frozen=True)
class Info:
    """Evidence of a step: how many proposals each chain accepted, of how many.

    ``probability`` (n_chains,), where a sampler computes it: that with which the proposal was to be accepted.
    """

    accepted: np.ndarray
    proposed: int
    probability: np.ndarray | None = None


def binary_machine(what: str, model) -> BoltzmannMachine:
    """A model of binary units as a general Boltzmann machine; others are refused."""
    if not hasattr(model, "to_boltzmann"):
        remedy = "; use block_gibbs" if isinstance(model, GRBM) else ""
        raise DomainError(f"{what}: expected a model of binary units, got {type(model).__name__}{remedy}")
    return model.to_boltzmann()


def joint_rows(model, initial, seed: int, first_chain: int = 0) -> np.ndarray:
    """Initial states as joint rows [x, h], a fresh array (n_chains, n_units).

    Rows of visible units get hidden units drawn from p(h|x), at the addresses of the purpose "start".
    """
    rows = np.atleast_2d(as_float_array("initial", initial))
    nv, n = model.n_visible, model.n_units
    if rows.ndim != 2 or rows.shape[1] not in (nv, n):
        require_shape("initial", rows, None, n) if nv == n else require_shape("initial", rows, None, nv)
    if isinstance(model, GRBM):
        require_finite("initial", rows)
        require_binary("initial, hidden units", rows[:, nv:])
    else:
        require_binary("initial", rows)
    if rows.shape[1] == n:
        return np.array(rows)
    if nv < n:
        u = Stream(seed, "start", first_chain).uniform(0, (len(rows), n - nv))
        return np.hstack([rows, _hidden_start(model, rows, u)])
    return np.array(rows)


def _hidden_start(model, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """h ~ p(h|x) from uniforms: unit by unit where the posterior factorises, else by inversion over all states."""
    if not isinstance(model, BoltzmannMachine):
        return (u < model.hidden_probabilities(x)).astype(np.float64)
    cumulative = np.cumsum(model.hidden_posterior(x), axis=1)
    index = (u[:, :1] * cumulative[:, -1:] >= cumulative).sum(axis=1)
    return all_states(model.n_hidden)[np.minimum(index, cumulative.shape[1] - 1)]


def free_units(clamp, n_visible: int, n_units: int) -> np.ndarray:
    """Boolean (n_units,): which units may move.

    ``clamp`` is None, a boolean mask over the visible or over all units, or a list of unit indices.
    """
    free = np.ones(n_units, dtype=bool)
    if clamp is None:
        return free
    clamp = np.asarray(clamp)
    if clamp.dtype == bool:
        if clamp.shape not in ((n_visible,), (n_units,)):
            require_shape("clamp", clamp, n_units)
        free[: len(clamp)] = ~clamp
    else:
        free[unit_indices("clamp", clamp, n_units)] = False
    if not free.any():
        raise DomainError("clamp: every unit is clamped, nothing is left to sample")
    return free
