"""An energy made of a network and a head, and its derivatives: (1) to (4) and (6) of models/heads.py.

model: a record with ``network`` and ``base``.  head(n, x, f): the head of the rows n, a slice, of the batch.  Blocks of
rows go through the network together, and what belongs to rows is summed in the order of the blocks.
"""

from __future__ import annotations

import functools

import numpy as np

from ebm_ref.compile import over_blocks
from ebm_ref.errors import as_float_array, require_shape
from ebm_ref.models import record as records


def base(model, x):
    """(|x|^2/(2 s0^2), its derivative), zero without a base measure."""
    if model.base is None:
        return 0.0, 0.0
    return (x * x).sum(axis=1) / (2 * model.base**2), x / model.base**2


def weight_column(weights, n: int) -> np.ndarray:
    """(n, 1)."""
    w = np.ones(n) if weights is None else as_float_array("weights", weights)
    require_shape("weights", w, n)
    return w[:, None]


def energy(model, x, head) -> np.ndarray:
    """E, (batch,)."""

    def part(n):
        return head(n, x[n], model.network.of_rows(n).forward(x[n])[0]).e + base(model, x[n])[0]

    return np.concatenate(over_blocks(part, len(x), model.network.block))


def energy_and_score(model, x, head) -> tuple[np.ndarray, np.ndarray]:
    """E and -(1)."""

    def part(n):
        network = model.network.of_rows(n)
        f, cache = network.forward(x[n])
        line, (e, slope) = head(n, x[n], f), base(model, x[n])
        return line.e + e, -(line.x_bar + network.pullback(cache, line.f_bar) + slope)  # (1)

    energies, scores = zip(*over_blocks(part, len(x), model.network.block), strict=True)
    return np.concatenate(energies), np.concatenate(scores)


def energy_gradient(model, x, weights, head):
    """(2), a network."""
    x = model.network.rows("x", x)
    w = weight_column(weights, len(x))

    def part(n):
        network = model.network.of_rows(n)
        f, cache = network.forward(x[n])
        return network.vjp(cache, w[n] * head(n, x[n], f).f_bar)[1]  # (2)

    return _summed(model, over_blocks(part, len(x), model.network.block))


def _summed(model, gradients):
    """A network like the model's, which has the times of all rows."""
    return records.leafwise(lambda own, *bars: functools.reduce(np.add, bars), model.network, *gradients)


def _along(model, x, head, direction, n):
    """Tangents of (1) and (2) along r = direction(n, dE/dx), of the rows n: (3) but for the base measure, and (4).

    (2) is linear in f_bar and (4) in r, so that weights of rows may stand with r.
    """
    network = model.network.of_rows(n)
    f, cache = network.forward(x[n])
    line = head(n, x[n], f)
    pulled, bars = network.cotangents(cache, line.f_bar)
    r = direction(n, line.x_bar + pulled + base(model, x[n])[1])  # (1)
    f_dot, dots = network.tangents(cache, r)
    f_bar_dot, x_bar_dot = line.dots(r, f_dot)
    pulled_dot, gradient_dot = network.rvjp_from(cache, dots, bars, f_bar_dot)
    return x_bar_dot + pulled_dot, gradient_dot


def hessian_vector(model, x, u, head) -> np.ndarray:
    """(3), (batch, d)."""
    x, u = model.network.rows("x", x), model.network.rows("u", u)
    require_shape("u", u, *x.shape)

    def part(n):
        return _along(model, x, head, lambda n, slope: u[n], n)[0] + base(model, u[n])[1]  # (3)

    return np.concatenate(over_blocks(part, len(x), model.network.block))


def mixed_product(model, x, r, weights, head):
    """(4), a network."""
    x, r = model.network.rows("x", x), model.network.rows("r", r)
    require_shape("r", r, *x.shape)
    w = weight_column(weights, len(x))
    return _product(model, x, head, lambda n, slope: w[n] * r[n])


def score_matching_gradient(model, x, target, weights, head):
    """(6), a network."""
    x, target = model.network.rows("x", x), model.network.rows("target", target)
    require_shape("target", target, *x.shape)
    w = weight_column(weights, len(x))
    return _product(model, x, head, lambda n, slope: w[n] * (target[n] + slope))


def _product(model, x, head, direction):
    blocks = over_blocks(lambda n: _along(model, x, head, direction, n)[1], len(x), model.network.block)
    return _summed(model, blocks)
