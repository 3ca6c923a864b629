"""A plain JAX RBM, as a textbook writes it, and its adapters; float32, JAX's default."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ebm_ref.oracle import cases, check_kernel
from ebm_ref.oracle.checks_formulas import check_conditionals, check_energy, check_gradient
from ebm_ref.oracle.checks_learning import check_update
from validation.peers.table import Peer, Row
from validation.peers.updates import BATCH

PEER = Peer("plain JAX RBM", "jax")
CASE = cases.named("rbm_4x2")


class JaxRBM(NamedTuple):
    """E(x, h) = -a.x - b.h - x'Wh, units in {0,1}; W (nv, nh), a (nv,), b (nh,)."""

    W: jax.Array
    a: jax.Array
    b: jax.Array


def energy(rbm, x, h):
    """E of rows."""
    return -x @ rbm.a - h @ rbm.b - ((x @ rbm.W) * h).sum(1)


def free_energy(rbm, x):
    """-log sum_h exp(-E)."""
    return -x @ rbm.a - jax.nn.softplus(rbm.b + x @ rbm.W).sum(1)


def hidden_probabilities(rbm, x):
    """p(h = 1 given x)."""
    return jax.nn.sigmoid(rbm.b + x @ rbm.W)


def visible_probabilities(rbm, h):
    """p(x = 1 given h)."""
    return jax.nn.sigmoid(rbm.a + h @ rbm.W.T)


@jax.jit
def gibbs(rbm, x, key):
    """One block-Gibbs step: h given x, then x given h."""
    up, down = jax.random.split(key)
    h = jax.random.bernoulli(up, hidden_probabilities(rbm, x)).astype(x.dtype)
    return jax.random.bernoulli(down, visible_probabilities(rbm, h)).astype(x.dtype), h


@partial(jax.jit, static_argnums=2)
def cd_gradient(rbm, x, k, key):
    """The descent direction of CD-k."""
    negative = x
    for one in jax.random.split(key, k):
        negative, _ = gibbs(rbm, negative, one)
    negative = jax.lax.stop_gradient(negative)
    return jax.grad(lambda r: free_energy(r, x).mean() - free_energy(r, negative).mean())(rbm)


RBM = JaxRBM(*(jnp.array(v, dtype=jnp.float32) for v in (CASE.W, CASE.a, CASE.b)))


def as_arrays(f):
    """NumPy in, NumPy out."""
    return lambda *arrays: np.asarray(f(RBM, *(jnp.array(v, dtype=jnp.float32) for v in arrays)))


def step(states: np.ndarray, seed: int):
    """One transition of n chains, rows [x, h]; the oracle takes JAX arrays back too."""
    x, h = gibbs(RBM, jnp.array(states[:, : CASE.n_visible], dtype=jnp.float32), jax.random.key(seed))
    return jnp.hstack([x, h])


def update(rows: np.ndarray, seed: int):
    """The CD-2 update at learning rate 1, ascent."""
    g = cd_gradient(RBM, jnp.array(rows, dtype=jnp.float32), 2, jax.random.key(seed))
    return [-np.asarray(v) for v in g]


def likelihood_gradient(data: np.ndarray):
    """Autodiff through the enumerated log Z."""
    every = jnp.array(np.unique(CASE.states[:, : CASE.n_visible], axis=0), dtype=jnp.float32)
    x = jnp.array(data, dtype=jnp.float32)
    loss = lambda r: free_energy(r, x).mean() + jax.nn.logsumexp(-free_energy(r, every))  # noqa: E731
    return [-np.asarray(v) for v in jax.grad(loss)(RBM)]


def rows(seed: int = 0) -> list[Row]:
    """All rows of this peer."""
    pair = as_arrays(hidden_probabilities), as_arrays(visible_probabilities)
    return [
        PEER.measure("energy", lambda: check_energy(lambda x, h: as_arrays(energy)(x, h), CASE)),
        PEER.measure("conditionals", lambda: check_conditionals(pair, CASE)),
        PEER.measure("autodiff log-likelihood gradient", lambda: check_gradient(likelihood_gradient, CASE)),
        PEER.measure("block Gibbs", lambda: check_kernel(step, CASE, seed=seed)),
        PEER.measure("CD-2 update", lambda: check_update(update, CASE, BATCH, k=2, seed=seed)),
    ]
