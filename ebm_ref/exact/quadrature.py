"""Integrals over R and R^2 by the trapezoidal rule, for any model with an energy.

(1) log Z ~ log sum_k exp(-E(x_k)) + sum_i log h_i,   n points a side, spacing h_i = (hi_i - lo_i)/(n - 1)
(2) KL(p|q) ~ sum_k p_k (log p_k - log q_k),   p_k, q_k normalised on the grid
(3) d log Z/dtheta = -E[dE/dtheta] ~ -sum_k p_k dE(x_k)/dtheta          (4) log p(x) ~ -E(x) - log Z

For an energy that is analytic in a strip |Im x| < a the error of (1) falls like exp(-2 pi a/h): for a normal law of
deviation s it is 2 exp(-2 pi^2 s^2/h^2) relative to Z, below 1e-15 for h <= 0.7 s.  What lies outside the box is lost;
``grid_log_partition`` refuses a box at whose edge the density is still above 1e-8 of its largest value.
The ends of the rule are not halved: the integrand vanishes there.                           [Trefethen & Weideman 2014]
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ebm_ref.errors import DomainError, ShapeError, as_float_array, require_int, require_shape
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.record import leafwise

EDGE = -18.0  # log of the largest density allowed at the edge, relative to the largest of all
BLOCK = 2**16  # points whose energies are asked for at a time
GRADIENT_BLOCK = 2**12  # and whose gradients are


def grid_log_partition(model, box, n: int) -> float:
    """(1): log Z in nats of a model of one or two visible units, hidden units summed out exactly.

    model: anything with ``free_energy(x)`` or ``energy(x)``, (batch, d) -> (batch,).  box: (lo, hi) of each axis,
    (d, 2), or one pair for all.  n: points a side; the error is stated at the head of this module.

    >>> from ebm_ref.models.analytic import Gaussian
    >>> g = Gaussian([0.5], [[4.0]])
    >>> abs(grid_log_partition(g, [(-6, 6)], 60) - g.log_z) < 1e-12
    True
    """
    points, shape, log_cell = grid(model.n_visible, box, n)
    log_density = _log_weights(model, points)
    _refuse_cut("box", log_density.reshape(shape))
    return float(logsumexp(log_density) + log_cell)


def grid_kl_divergence(p, q, box, n: int, *, log_z_q: float | None = None) -> float:
    """(2): KL(p|q) in nats of two models' laws of x in one or two dimensions, each normalised on the grid.

    log_z_q: log Z of q where it is known, ``exact.log_partition(q)``: then q may have mass outside the box.
    """
    if p.n_visible != q.n_visible:
        raise ShapeError(f"q: expected {p.n_visible} visible units like p, got {q.n_visible}")
    points, shape, log_cell = grid(p.n_visible, box, n)
    log_p, log_q = _log_weights(p, points), _log_weights(q, points)
    for name, log_density in (("p", log_p), ("q", log_q))[: 1 if log_z_q is not None else 2]:
        _refuse_cut(f"box of {name}", log_density.reshape(shape))
    log_p = log_p - logsumexp(log_p)
    log_q = log_q - (logsumexp(log_q) if log_z_q is None else log_z_q - log_cell)
    weights = np.exp(log_p)
    held = weights > 0
    return float((weights[held] * (log_p[held] - log_q[held])).sum())


def grid_log_prob(model, x, box, n: int) -> np.ndarray:
    """(4): log p(x) in nats of each row, (batch,), with log Z from the grid."""
    x = as_float_array("x", x)
    require_shape("x", x, None, model.n_visible)
    return _log_weights(model, x) - grid_log_partition(model, box, n)


def grid_log_partition_gradient(model, box, n: int) -> Any:
    """(3): a record of the model's type; model: a GRBM, or any with an energy and ``energy_gradient(x, weights)``."""
    points, shape, _ = grid(model.n_visible, box, n)
    log_density = _log_weights(model, points)
    _refuse_cut("box", log_density.reshape(shape))
    p = np.exp(log_density - logsumexp(log_density))
    parts = []
    for k in range(0, len(points), GRADIENT_BLOCK):
        x, weights = points[k : k + GRADIENT_BLOCK], -p[k : k + GRADIENT_BLOCK]
        hidden = (model.hidden_probabilities(x),) if isinstance(model, GRBM) else ()
        parts.append(model.energy_gradient(x, *hidden, weights=weights))
    return functools.reduce(functools.partial(leafwise, np.add), parts)


def grid(d: int, box, n: int) -> tuple[np.ndarray, tuple[int, ...], float]:
    """(points (n^d, d), shape of the grid, log of the volume of a cell)."""
    if d not in (1, 2):
        raise DomainError(f"grid: expected 1 or 2 visible units, got {d}; use ais_log_partition")
    n = require_int("n", n, 2)
    box = np.broadcast_to(as_float_array("box", box), (d, 2)) if np.shape(box) == (2,) else as_float_array("box", box)
    require_shape("box", box, d, 2)
    if not np.all(np.isfinite(box)) or not np.all(box[:, 0] < box[:, 1]):
        raise DomainError(f"box: expected finite (lo, hi) with lo < hi for each axis, got {box.tolist()}")
    axes = [np.linspace(lo, hi, n) for lo, hi in box]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    return points, (n,) * d, float(np.log((box[:, 1] - box[:, 0]) / (n - 1)).sum())


def _log_weights(model, points: np.ndarray) -> np.ndarray:
    """-F at each point, a block at a time."""
    energy = model.free_energy if hasattr(model, "free_energy") else model.energy
    return -np.concatenate([energy(points[k : k + BLOCK]) for k in range(0, len(points), BLOCK)])


def _refuse_cut(name: str, table: np.ndarray) -> None:
    """Refuse a box whose edge carries density."""
    edges = [np.take(table, side, axis=axis).max() for axis in range(table.ndim) for side in (0, -1)]
    highest = float(max(edges) - table.max())
    if not highest <= EDGE:
        raise DomainError(
            f"{name}: expected a density below {np.exp(EDGE):.0e} of its largest at the edge,"
            f" got {np.exp(highest):.1e}; widen the box"
        )
