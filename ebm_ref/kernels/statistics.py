"""Sufficient statistics of a batch, summed in a fixed order: the same bits for any number of threads."""

from __future__ import annotations

import numpy as np

from ebm_ref.compile import over_chains
from ebm_ref.kernels.gibbs import add_rows
from ebm_ref.maths.scalars import sigmoid_from
from ebm_ref.maths.smooth import exp_minus


def hidden_row(chain, x, W, b, out):
    """out[chain] = sigmoid(b + x[chain] W); the exponential of maths/smooth lets the last loop vectorise."""
    p = out[chain]
    add_rows(p, b, x[chain], W)
    for j in range(len(p)):
        p[j] = sigmoid_from(p[j], exp_minus(abs(p[j])))


def outer_row(unit, x, y, out):
    """out[unit] = sum_n x[n, unit] y[n]; x (rows, units), y (rows, k).  Four rows share the loads and stores of out."""
    total, n = out[unit], len(x) - len(x) % 4
    for j in range(len(total)):
        total[j] = 0.0
    for r in range(0, n, 4):
        v0, v1, v2, v3 = x[r, unit], x[r + 1, unit], x[r + 2, unit], x[r + 3, unit]
        y0, y1, y2, y3 = y[r], y[r + 1], y[r + 2], y[r + 3]
        if v0 != 0.0 or v1 != 0.0 or v2 != 0.0 or v3 != 0.0:
            for j in range(len(total)):
                total[j] = (((total[j] + v0 * y0[j]) + v1 * y1[j]) + v2 * y2[j]) + v3 * y3[j]
    for r in range(n, len(x)):
        v = x[r, unit]
        if v != 0.0:
            for j in range(len(total)):
                total[j] += v * y[r, j]


run_hidden_rows = over_chains(hidden_row)
run_outer_rows = over_chains(outer_row)


def hidden_probabilities(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """p(h_j=1|x) of each row, (batch, n_hidden)."""
    out = np.empty((len(x), len(b)))
    run_hidden_rows(len(x), x, W, b, out, work=len(x) * (W.size / 8 + 3.0 * len(b)))
    return out


def outer_mean(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean over rows of x_n y_n', (units, k)."""
    out = np.empty((x.shape[1], y.shape[1]))
    run_outer_rows(x.shape[1], x, y, out, work=x.size * y.shape[1] / 8)
    return out / len(x)
