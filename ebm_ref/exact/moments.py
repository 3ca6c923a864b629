"""Exact expectations under a model, and what follows from them.

RBM, enumerating the smaller layer (written for h):  w(h) = p(h),  sig_i(h) = sigmoid(a_i + (Wh)_i)
(1) E[h] = sum w h      E[x] = sum w sig(h)      E[x h'] = sum w sig(h) h'
(2) d log L/dtheta = <-dE/dtheta>_data - <-dE/dtheta>_model,  L the mean likelihood of the rows
    GRBM, p(h) over the components:  E[v] = mu + W E[h],  E[v h'] = mu E[h]' + W E[hh'],
    E[(v-mu)^2] = s2 + diag(W E[hh'] W');  the gradient from these: models/grbm (17)
(3) U = E[E],   S = log Z + U  (entropy of the joint law, nats),   C = Var E  (heat capacity at beta = 1, k = 1)
(4) Fisher information of log p(x):  Cov_x( E[T|x] ),  T = -dE/dtheta
The sums over bits are folds (models/states.bit_sums), not matrix products: BLAS threads cannot change a bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy.special import expit

from ebm_ref.errors import require_some_rows
from ebm_ref.exact.partition import (
    BLOCK_BITS,
    MAX_SECONDS,
    Enumerable,
    enumerated,
    high_bits,
    log_partition,
    log_weight_block,
    product_is_safe,
    product_layout,
    product_scratch,
    product_tables,
    refuse_too_long,
)
from ebm_ref.exact.probabilities import require_binary_model
from ebm_ref.kernels import statistics
from ebm_ref.kernels.product_form import FARTHEST, LEAST_LOW_BITS, PAIRED_BITS, run_layer_expectations
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.rbm import RBM
from ebm_ref.models.states import all_states, bit_sums, require_few_states

MAX_SHARD_BITS = 4  # each shard holds (1 + units, 1 + bits) sums


@dataclass(frozen=True, eq=False)
class Moments:
    """E[x] (n_visible,), E[h] (n_hidden,), E[x h'] (n_visible, n_hidden).

    Boltzmann machines also E[s s'] as ``ss``; GRBMs E[(v-mu)^2] (n_visible,) as ``square`` and E[h h'] as ``hh``.
    """

    x: np.ndarray
    h: np.ndarray
    xh: np.ndarray
    ss: np.ndarray | None = None
    square: np.ndarray | None = None
    hh: np.ndarray | None = None


def moments(model: Enumerable, *, max_seconds: float = MAX_SECONDS) -> Moments:
    """Exact first and second moments by enumeration, (1).

    Raises ModelTooLargeError before any work when the estimated time exceeds ``max_seconds``.

    >>> m = moments(RBM([[0.0]], [0.0], [0.0]))
    >>> m.x, m.h, m.xh
    (array([0.5]), array([0.5]), array([[0.25]]))
    """
    if isinstance(model, RBM) and model.n_hidden > model.n_visible:
        swapped = moments(model.swapped(), max_seconds=max_seconds)
        return Moments(swapped.h, swapped.x, swapped.xh.T)
    refuse_too_long("moments", model, "gray", max_seconds)
    if isinstance(model, RBM):
        return _layer_moments(model)
    s, ss = _pair_moments(model)
    if isinstance(model, BoltzmannMachine):
        nv = model.n_visible
        return Moments(s[:nv], s[nv:], ss[:nv, nv:], ss)
    along, pairs = add_products(model.W, s[:, None])[:, 0], add_products(model.W, ss)
    square = model.variance + (pairs * model.W).sum(axis=1)
    return Moments(model.mu + along, s, model.mu[:, None] * s + pairs, square=square, hh=ss)


def add_products(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A B without BLAS: the same bits for any number of its threads."""
    return np.einsum("ij,jk->ik", A, B)


def _layer_moments(model: RBM) -> Moments:
    if model.n_hidden < PAIRED_BITS + LEAST_LOW_BITS or not product_is_safe(model):
        return layer_moments_vectorized(model)
    n, nv = model.n_hidden, model.n_visible
    n_low, shard_bits, n_own = product_layout(n, MAX_SHARD_BITS)
    tables, n_shards = product_tables(model, n_low), 2**shard_bits
    B = np.ascontiguousarray(tables.B.transpose(1, 0, 2)).reshape(-1, 2**n_low)
    out, tops = np.empty((n_shards, len(B) + 1, 1 + n)), np.empty(n_shards, dtype=np.int64)
    scratch = product_scratch(tables, n_own, n_shards)
    batch = scratch[1].shape[1]
    sums, totals = np.empty((n_shards, 4, 2**n_low)), np.empty((n_shards, batch, 4, 4))
    run_layer_expectations(n_shards, 0, out, tops, B, sums, totals, *scratch, tables, n_own, work=2.0**n * nv)
    sums = (out * np.ldexp(1.0, np.maximum(tops - tops.max(), -FARTHEST))[:, None, None]).sum(axis=0)
    sums /= sums[-1, 0]
    return Moments(sums[:nv, 0], sums[-1, 1:], sums[:nv, 1:])


def layer_moments_vectorized(model: RBM) -> Moments:
    """(1) in plain NumPy, over the hidden layer: the readable twin of the compiled loop, and safe for any weights."""
    log_z, n = log_partition(model), model.n_hidden
    n_low = min(BLOCK_BITS, n)
    x, hx = np.zeros(1 + model.n_visible), np.zeros((n, 1 + model.n_visible))
    for block in range(2 ** (n - n_low)):
        log_weights, z = log_weight_block(model, n_low, block)
        w = np.exp(log_weights - log_z)
        total, low = bit_sums(np.hstack([w[:, None], w[:, None] * expit(z)]))
        x += total
        hx[:n_low] += low
        hx[n_low:] += high_bits(block, n - n_low)[:, None] * total
    return Moments(x[1:], hx[:, 0], np.ascontiguousarray(hx[:, 1:].T))


def _pair_moments(model: BoltzmannMachine | GRBM) -> tuple[np.ndarray, np.ndarray]:
    """E[s] (n,) and E[s s'] (n, n) of the enumerated units: all of a machine, the hidden ones of a GRBM."""
    log_z, (n, _) = log_partition(model), enumerated(model)
    n_low = min(BLOCK_BITS, n)
    s, ss, all_weights = np.zeros(n), np.zeros((n, n)), 0.0
    for block in range(2 ** (n - n_low)):
        log_weights, low = log_weight_block(model, n_low, block)
        w = np.exp(log_weights - log_z)
        total, pairs = bit_sums(np.hstack([w[:, None], w[:, None] * low]))
        high = high_bits(block, n - n_low)
        all_weights += total[0]
        s += np.concatenate([total[1:], high * total[0]])
        ss[:n_low, :n_low] += pairs[:, 1:]
        ss[:n_low, n_low:] += np.outer(total[1:], high)
        ss[n_low:, n_low:] += np.outer(high, high) * total[0]
    ss[n_low:, :n_low] = ss[:n_low, n_low:].T
    return s / all_weights, ss / all_weights  # 1, up to the rounding of a large log Z


M = TypeVar("M", RBM, BoltzmannMachine, GRBM)


def log_likelihood_gradient(model: M, data) -> M:
    """(2): the gradient of ``log_likelihood(model, data)``, mean over rows, as a record (the ascent direction)."""
    x = require_some_rows("data", data, model.n_visible)
    return difference(model, data_statistics(model, x), moments(model))


def difference(model: Enumerable, positive: Moments, negative: Moments) -> Any:
    """(2) positive minus negative statistics as a record of the model's type: the ascent direction."""
    if isinstance(model, RBM):
        return RBM(positive.xh - negative.xh, positive.x - negative.x, positive.h - negative.h)
    if isinstance(model, GRBM):
        assert positive.square is not None
        assert negative.square is not None
        x, square = positive.x - negative.x + model.mu, positive.square - negative.square
        return model.from_statistics(x, square, positive.h - negative.h, positive.xh - negative.xh)
    assert positive.ss is not None
    assert negative.ss is not None
    s = np.concatenate([positive.x - negative.x, positive.h - negative.h])
    return model.from_statistics(positive.ss - negative.ss, s)


def data_statistics(model: Enumerable, x: np.ndarray) -> Moments:
    """<-dE/dtheta> with the visible units clamped to the rows and the hidden ones averaged exactly; mean over rows."""
    n = len(x)
    if isinstance(model, GRBM):
        return layer_statistics(model, x)
    if isinstance(model, RBM):
        ph = model.hidden_probabilities(x)
        return Moments(x.mean(0), ph.mean(0), x.T @ ph / n)
    nv = model.n_visible
    hidden, posterior = all_states(model.n_hidden), model.hidden_posterior(x)
    ph = posterior @ hidden
    ss = np.block([[x.T @ x, x.T @ ph], [ph.T @ x, (hidden.T * posterior.sum(0)) @ hidden]]) / n
    return Moments(x.mean(0), ph.mean(0), ss[:nv, nv:], ss)


def layer_statistics(model: RBM | GRBM, x: np.ndarray, h: np.ndarray | None = None) -> Moments:
    """The same of a two-layer model, summed in a fixed order; ``h`` (rows, n_hidden) replaces p(h|x) where given."""
    if h is None:
        read = x if isinstance(model, RBM) else x / model.variance
        h = statistics.hidden_probabilities(read, model.W, model.b)
    square = ((x - model.mu) ** 2).mean(axis=0) if isinstance(model, GRBM) else None
    return Moments(x.mean(axis=0), h.mean(axis=0), statistics.outer_mean(x, h), square=square)


# Thermodynamics -------------------------------------------------------------------------------------------------------


def _energy_mean_and_variance(model: Enumerable) -> tuple[float, float]:
    """(E[E], Var E): each enumerated h contributes its conditional mean and variance of E over the other layer."""
    if isinstance(model, RBM) and model.n_hidden > model.n_visible:
        model = model.swapped()
    refuse_too_long("mean_energy", model, "vectorized", MAX_SECONDS)
    log_z, (n, _) = log_partition(model), enumerated(model)
    n_low = min(BLOCK_BITS, n)
    mean = square = 0.0
    for block in range(2 ** (n - n_low)):
        log_weights, z = log_weight_block(model, n_low, block)
        w = np.exp(log_weights - log_z)
        if isinstance(model, RBM):
            p = expit(z)
            bias = all_states(n_low) @ model.b[:n_low] + high_bits(block, n - n_low) @ model.b[n_low:]
            given_h, spread = -bias - (p * z).sum(1), (p * (1 - p) * z**2).sum(1)
        elif isinstance(model, GRBM):  # E = chi2(nv)/2 + G(h) + log_gaussian
            given_h = 0.5 * model.n_visible + model.log_gaussian - log_weights
            spread = np.full(len(w), 0.5 * model.n_visible)
        else:
            given_h, spread = -log_weights, np.zeros(len(w))
        deviation = given_h + log_z  # near zero where the weight is, so that the square loses no digits
        mean += float(w @ deviation)
        square += float(w @ (deviation**2 + spread))
    return mean - log_z, square - mean**2


def mean_energy(model: Enumerable) -> float:
    """(3) U = E[E] = -d log Z(beta)/d beta at beta = 1, in nats."""
    return _energy_mean_and_variance(model)[0]


def heat_capacity(model: Enumerable) -> float:
    """(3) C = Var E = d^2 log Z(beta)/d beta^2 at beta = 1 (of the tempered record: beta^2 Var E of the original)."""
    return _energy_mean_and_variance(model)[1]


def entropy(model: Enumerable) -> float:
    """(3) S = log Z + U of the joint law, 0 <= S <= n_units log 2, in nats."""
    return log_partition(model) + mean_energy(model)


def fisher_information(model: RBM | BoltzmannMachine) -> np.ndarray:
    """(4), (p, p), parameters in the order of the record's leaves (W row-major, a, b), J as its pairs i < j, then c."""
    require_binary_model("fisher_information", model)
    require_few_states("fisher_information", model.n_visible, 16, "estimate it from samples")
    x = all_states(model.n_visible)
    weights = np.exp(-model.free_energy(x) - log_partition(model))
    if isinstance(model, RBM):
        ph = model.hidden_probabilities(x)
        t = np.hstack([(x[:, :, None] * ph[:, None, :]).reshape(len(x), -1), x, ph])
    else:
        i, j = np.triu_indices(model.n_units, 1)
        hidden, posterior = all_states(model.n_hidden), model.hidden_posterior(x)
        t = np.zeros((len(x), len(i) + model.n_units))
        for k, h in enumerate(hidden):
            s = np.hstack([x, np.broadcast_to(h, (len(x), len(h)))])
            t += posterior[:, [k]] * np.hstack([s[:, i] * s[:, j], s])
    t -= weights @ t
    return (t * weights[:, None]).T @ t
