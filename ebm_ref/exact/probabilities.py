"""Probabilities, likelihoods, exact samples and the most probable state, by enumeration.

log p(x) = -F(x) - log Z;  log L = mean over rows of log p;  KL(p|q) = sum_x p (log p - log q), all in nats.
Exact samples: the enumerated layer by inversion of its cumulative law, the other one by its conditional.
"""

from __future__ import annotations

import numpy as np

from ebm_ref.errors import DomainError, ShapeError, as_float_array, require_int, require_some_rows
from ebm_ref.exact.partition import BLOCK_BITS, Enumerable, enumerated, log_partition, log_weight_block
from ebm_ref.kernels.noise import Stream
from ebm_ref.models.analytic import Gaussian, GaussianMixture
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.rbm import RBM
from ebm_ref.models.states import all_states, require_few_states

TABLE_BITS = 26  # a table of 2**26 float64 is half a GiB
USE_SAMPLES = "use sample() and estimate"


def require_binary_model(what: str, model, instead: str = "") -> None:
    """Refuse models whose visible units are not 0 and 1."""
    if not isinstance(model, RBM | BoltzmannMachine):
        remedy = f"; use {instead}" if instead else ""
        raise DomainError(f"{what}: expected a model of binary units, got {type(model).__name__}{remedy}")


def log_prob(model: Enumerable | Gaussian | GaussianMixture, x) -> np.ndarray:
    """log p(x) = -F(x) - log Z of rows x (batch, n_visible), in nats, (batch,)."""
    return -model.free_energy(x) - log_partition(model)


def log_likelihood(model: Enumerable | Gaussian | GaussianMixture, data) -> float:
    """Mean of log p(x) over the rows of ``data`` (n, n_visible), in nats per row."""
    return float(-model.free_energy(require_some_rows("data", data, model.n_visible)).mean() - log_partition(model))


def probabilities(model: RBM | BoltzmannMachine) -> np.ndarray:
    """p(x) of every visible state, (2**n_visible,), at index sum_i x_i 2^i.

    >>> probabilities(RBM([[0.0]], [0.0], [0.0]))
    array([0.5, 0.5])
    """
    require_binary_model("probabilities", model, "log_prob")
    require_few_states("probabilities", model.n_visible, TABLE_BITS, USE_SAMPLES)
    if isinstance(model, BoltzmannMachine):
        joint = joint_probabilities(model)
        return joint.reshape(2**model.n_hidden, 2**model.n_visible).sum(axis=0)
    return np.exp(layer_log_weights(model.swapped()) - log_partition(model))


def joint_probabilities(model: RBM | BoltzmannMachine) -> np.ndarray:
    """p(x, h) of every joint state, (2**n_units,), visible units in the low bits of the index."""
    require_binary_model("joint_probabilities", model, "log_prob")
    require_few_states("joint_probabilities", model.n_units, TABLE_BITS, USE_SAMPLES)
    return np.exp(layer_log_weights(model.to_boltzmann()) - log_partition(model))


def layer_log_weights(model: Enumerable) -> np.ndarray:
    """log of the unnormalised weight of every enumerated state: the hidden layer, or all of a machine."""
    n, _ = enumerated(model)
    n_low = min(BLOCK_BITS, n)
    return np.concatenate([log_weight_block(model, n_low, block)[0] for block in range(2 ** (n - n_low))])


def sample(model: Enumerable | Gaussian | GaussianMixture, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n independent exact draws: (x (n, n_visible), h (n, n_hidden)), float64; binary units are 0 and 1.

    >>> x, h = sample(RBM.random(3, 2, 1.0), 5, seed=0)
    >>> x.shape, h.shape
    ((5, 3), (5, 2))
    """
    n = require_int("n", n)
    if isinstance(model, Gaussian | GaussianMixture):
        return model.sample(n, seed), np.zeros((n, 0))
    if isinstance(model, GRBM):
        h = _sample_states(model, model.n_hidden, n, seed)
        z = Stream(seed, "exact_units").normal(0, (n, model.n_visible))
        return model.mu + np.einsum("nj,ij->ni", h, model.W) + np.sqrt(model.variance) * z, h  # no BLAS: a row's bits
    if isinstance(model, RBM) and model.n_hidden > model.n_visible:
        h, x = _sample_layers(model.swapped(), n, seed)
        return x, h
    if isinstance(model, RBM):
        return _sample_layers(model, n, seed)
    s = _sample_states(model, model.n_units, n, seed)
    return s[:, : model.n_visible], s[:, model.n_visible :]


def _sample_layers(model: RBM, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    h = _sample_states(model, model.n_hidden, n, seed)
    u = Stream(seed, "exact_units").uniform(0, (n, model.n_visible))
    return (u < model.visible_probabilities(h)).astype(np.float64), h


def _sample_states(model, n_bits: int, n: int, seed: int) -> np.ndarray:
    require_few_states("sample", n_bits, TABLE_BITS, "use parallel chains")
    log_weights = layer_log_weights(model)
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max()))
    u = Stream(seed, "exact_state").uniform(0, (n, 1))[:, 0]
    index = np.minimum(np.searchsorted(cumulative, u * cumulative[-1], side="right"), len(cumulative) - 1)
    return (index[:, None] >> np.arange(n_bits) & 1).astype(np.float64)


def joint_map(model: Enumerable) -> tuple[np.ndarray, np.ndarray]:
    """argmax p(x,h): (x (n_visible,), h (n_hidden,)), by enumeration of the smaller layer.

    RBM: max over h of b.h + sum_i max(0, a_i + (Wh)_i).  Among ties the lowest index wins, a tied unit is 0.
    GRBM: the most probable component h and its mean m(h), where the density is largest.
    """
    if isinstance(model, RBM) and model.n_hidden > model.n_visible:
        h, x = joint_map(model.swapped())
        return x, h
    n, _ = enumerated(model)
    require_few_states("joint_map", n, 30, "no polynomial method is known; use many short descents")
    n_low, best, state = min(BLOCK_BITS, n), -np.inf, 0
    low_bias = all_states(n_low) @ model.b[:n_low] if isinstance(model, RBM) else None
    for block in range(2 ** (n - n_low)):
        values, z = log_weight_block(model, n_low, block)
        if isinstance(model, RBM):
            high = [block >> j & 1 for j in range(n - n_low)]
            values = low_bias + np.dot(high, model.b[n_low:]) + np.maximum(z, 0).sum(axis=1)
        k = int(np.argmax(values))
        if values[k] > best:
            best, state = values[k], block << n_low | k
    found = (state >> np.arange(n) & 1).astype(np.float64)
    if isinstance(model, GRBM):
        return model.visible_mean(found[None])[0], found
    if isinstance(model, RBM):
        return (model.visible_logits(found[None])[0] > 0).astype(np.float64), found
    return found[: model.n_visible], found[model.n_visible :]


def kl_divergence(p, q) -> float:
    """KL(p|q) = sum p (log p - log q) in nats: of two probability vectors, or of two models' laws of x.

    >>> round(kl_divergence([0.5, 0.5], [0.25, 0.75]), 6)
    0.143841
    """
    log_p, log_q = _log_law("p", p), _log_law("q", q)
    if log_p.shape != log_q.shape:
        raise ShapeError(f"q: expected shape {log_p.shape} like p, got {log_q.shape}")
    weights = np.exp(log_p)
    held = weights > 0
    return float(np.sum(weights[held] * (log_p[held] - log_q[held])))


def _log_law(name: str, law) -> np.ndarray:
    if hasattr(law, "energy"):
        require_binary_model("kl_divergence", law, "grid_kl_divergence")
    if isinstance(law, RBM | BoltzmannMachine):
        require_few_states("kl_divergence", law.n_visible, TABLE_BITS, USE_SAMPLES)
        return log_prob(law, all_states(law.n_visible))
    law = as_float_array(name, law)
    if np.any(law < 0) or abs(law.sum() - 1) > 1e-9:
        raise DomainError(f"{name}: expected probabilities that sum to 1, got a sum of {law.sum()}")
    with np.errstate(divide="ignore"):
        return np.log(law)
