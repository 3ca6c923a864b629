"""Sufficient statistics of a batch, summed in a fixed order: the same bits for any number of threads."""

from __future__ import annotations

import numpy as np

from ebm_ref.compile import jit, over_chains
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


run_hidden_rows, run_outer_rows = over_chains(hidden_row), over_chains(outer_row)
hidden_row, outer_row = jit(hidden_row), jit(outer_row)


def hidden_rows(row, x, y, W, b, p, q):
    """p = sigmoid(b + xW) and q = sigmoid(b + yW), one row after the other, those of x first."""
    if row < len(x):
        hidden_row(row, x, W, b, p)
    else:
        hidden_row(row - len(x), y, W, b, q)


def mean(x, column):
    """Of a column, from the first row on."""
    total = 0.0
    for r in range(len(x)):
        total += x[r, column]
    return total / len(x)


mean = jit(mean)


def add_column_sums(out, x):
    """From the first row on."""
    for r in range(len(x)):
        for j in range(len(out)):
            out[j] += x[r, j]


add_column_sums = jit(add_column_sums)


def fill_mean_difference(g, scratch, x, y):
    """Means of the columns of x minus those of y."""
    for j in range(len(g)):
        g[j] = scratch[j] = 0.0
    add_column_sums(g, x)
    add_column_sums(scratch, y)
    for j in range(len(g)):
        g[j] = g[j] / len(x) - scratch[j] / len(y)


fill_mean_difference = jit(fill_mean_difference)


def contrast_row(unit, x, y, p, q, scratch, gW, ga):
    """ga = mean x - mean y,  gW = x'p/n - y'q/m, the row of one unit."""
    other = scratch[unit]
    outer_row(unit, x, p, gW)
    outer_row(unit, y, q, scratch)
    for j in range(len(other)):
        gW[unit, j] = gW[unit, j] / len(x) - other[j] / len(y)
    ga[unit] = mean(x, unit) - mean(y, unit)


run_hidden_pairs = over_chains(hidden_rows)
run_contrast_rows = over_chains(contrast_row)


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


def contrast(x: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gW, ga, gb): statistics of the rows x minus those of y, hidden units averaged; two calls instead of a dozen."""
    p, q = np.empty((len(x), len(b))), np.empty((len(y), len(b)))
    gW, scratch, ga = np.empty(W.shape), np.empty(W.shape), np.empty(len(W))
    work = (len(x) + len(y)) * W.size / 8
    run_hidden_pairs(len(x) + len(y), x, y, W, b, p, q, work=work)
    run_contrast_rows(len(W), x, y, p, q, scratch, gW, ga, work=work)
    gb = np.empty(len(b))
    fill_mean_difference(gb, np.empty(len(b)), p, q)
    return gW, ga, gb
