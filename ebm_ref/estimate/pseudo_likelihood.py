"""Pseudo-likelihood: the product of each visible unit's conditional given the others.          [Besag 1975]

With c = b + W'x, delta_i = 1 - 2x_i, and D_i the rise of free energy when unit i flips:
(1) D_i = F(flip_i x) - F(x) = -a_i delta_i - sum_j [softplus(c_j + delta_i W_ij) - softplus(c_j)]
(2) log p(x_i | rest) = log sigmoid(D_i)            (3) log PL(x) = sum_i log sigmoid(D_i)
(4) gradient, q_i = sigmoid(-D_i), s_ij = sigmoid(c_j + delta_i W_ij):
    d/da_i = -q_i delta_i      d/db_j = g_j = sum_i q_i (sigmoid(c_j) - s_ij)      d/dW_kj = x_k g_j - delta_k q_k s_kj
(5) the sum in (1) is log prod_j (1 - p_j + p_j exp(delta_i W_ij)), p_j = sigmoid(c_j): one logarithm for
    n_hidden, and no cancellation, both terms being positive.  A product lies within exp(+-sum_j |W_ij|).
Fully visible Boltzmann machine: D_i = (2 s_i - 1) f_i.   No partition function, O(n_visible n_hidden) a row.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit

from ebm_ref.errors import DomainError, require_binary, require_rows
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.rbm import RBM, softplus

FARTHEST = 600.0  # exp of it, and of less, is a normal number


def flip_differences(model: RBM, x: np.ndarray) -> np.ndarray:
    """(1), (batch, n_visible), by (5) where no product can overflow."""
    delta, c = 1 - 2 * x, model.hidden_logits(x)
    rises = rises_by_products if np.abs(model.W).sum(axis=1).max() < FARTHEST else rises_by_sums
    return -model.a * delta - rises(model, x, delta, c)


def rises_by_products(model: RBM, x: np.ndarray, delta: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The sums in (1), by (5)."""
    on, off, rises = expit(c), expit(-c), np.empty(x.shape)
    for i in range(model.n_visible):
        growth = np.where(x[:, [i]] == 1.0, np.exp(-model.W[i]), np.exp(model.W[i]))
        rises[:, i] = np.log((off + on * growth).prod(axis=1))
    return rises


def rises_by_sums(model: RBM, x: np.ndarray, delta: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The sums in (1) as they stand there, for any weights."""
    there = [softplus(c + delta[:, [i]] * model.W[i]).sum(axis=1) for i in range(model.n_visible)]
    return np.stack(there, axis=1) - softplus(c).sum(axis=1)[:, None]


def pseudo_log_likelihood(model: RBM | BoltzmannMachine, x) -> np.ndarray:
    """(3) of rows x (batch, n_visible) of 0 and 1, in nats, (batch,).  Equals log p(x) when W = 0.

    >>> m = RBM([[0.0], [0.0]], [0.0, 0.0], [0.0])
    >>> np.exp(pseudo_log_likelihood(m, [[0, 1]]))
    array([0.25])
    """
    x = require_rows("x", x, model.n_visible)
    require_binary("x", x)
    if isinstance(model, RBM):
        return log_expit(flip_differences(model, x)).sum(axis=1)
    if model.n_hidden:
        raise DomainError("pseudo_log_likelihood: expected an RBM or a fully visible Boltzmann machine")
    return log_expit((2 * x - 1) * model.field(x)).sum(axis=1)


def pseudo_log_likelihood_gradient(model: RBM, x) -> RBM:
    """(4), the gradient of the mean of ``pseudo_log_likelihood`` over the rows, as a record."""
    x = require_rows("x", x, model.n_visible)
    require_binary("x", x)
    n, delta, c = len(x), 1 - 2 * x, model.hidden_logits(x)
    q = expit(-flip_differences(model, x))
    g, flipped = np.zeros_like(c), np.empty_like(model.W)
    for i in range(model.n_visible):
        s = expit(c + delta[:, [i]] * model.W[i])
        g += q[:, [i]] * (expit(c) - s)
        flipped[i] = (delta[:, i] * q[:, i]) @ s
    return RBM((x.T @ g - flipped) / n, -(q * delta).mean(axis=0), g.mean(axis=0))
