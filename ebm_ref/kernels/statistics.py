"""Sufficient statistics of a batch, summed in a fixed order: the same bits for any number of threads."""

from __future__ import annotations

import numpy as np

from ebm_ref.compile import over_chains
from ebm_ref.kernels.gibbs import add_rows
from ebm_ref.maths.scalars import sigmoid


def hidden_row(chain, x, W, b, out):
    """out[chain] = sigmoid(b + x[chain] W)."""
    add_rows(out[chain], b, x[chain], W)
    for j in range(out.shape[1]):
        out[chain, j] = sigmoid(out[chain, j])


def outer_row(unit, x, y, out):
    """out[unit] = sum_n x[n, unit] y[n]; x (rows, units), y (rows, k)."""
    for j in range(y.shape[1]):
        out[unit, j] = 0.0
    for n in range(len(x)):
        v = x[n, unit]
        if v != 0.0:
            for j in range(y.shape[1]):
                out[unit, j] += v * y[n, j]


run_hidden_rows = over_chains(hidden_row)
run_outer_rows = over_chains(outer_row)


def hidden_probabilities(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """p(h_j=1|x) of each row, (batch, n_hidden)."""
    out = np.empty((len(x), len(b)))
    run_hidden_rows(len(x), x, W, b, out, work=len(x) * (W.size + 20.0 * len(b)))
    return out


def outer_mean(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean over rows of x_n y_n', (units, k)."""
    out = np.empty((x.shape[1], y.shape[1]))
    run_outer_rows(x.shape[1], x, y, out, work=float(x.size * y.shape[1]))
    return out / len(x)
