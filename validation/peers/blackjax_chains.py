"""blackjax: MALA and HMC, judged by the exact law of one step, conservation of an exact target, and acceptance flags.

MALA is declared as x' = x + eta grad log p + sqrt(2 eta) z with Metropolis-Hastings; HMC as velocity Verlet of
num_integration_steps steps with momentum N(0, inverse_mass_matrix^-1).  All in float32, JAX's default.
"""

from __future__ import annotations

from functools import partial

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

from validation.peers import targets
from validation.peers.laws import conservation_test, flags_test, one_step_test
from validation.peers.table import Peer, Row

PEER = Peer("blackjax", "blackjax")
MASS = 2.3


def gmm_log_density(x):
    """log p of targets.gmm_1d, x (1,)."""
    return jax.scipy.special.logsumexp(jnp.log(targets.WEIGHTS) - 0.5 * (x[0] - jnp.array(targets.MEANS)) ** 2)


def gauss_log_density(x):
    """log p of targets.gauss_2d, x (2,)."""
    gap = x - jnp.array(targets.MU)
    return -0.5 * gap @ jnp.array(targets.PRECISION) @ gap


def chains(algorithm):
    """run(x (n, d), m, seed) -> states after m steps of n chains that carry theirs, and the last info."""

    @partial(jax.jit, static_argnums=1)
    def advance(x, m, keys):
        state = jax.vmap(algorithm.init)(x)
        info = None
        for k in range(m):
            state, info = jax.vmap(algorithm.step)(keys[k], state)
        return state.position, info

    def run(x: np.ndarray, m: int, seed: int):
        keys = jax.random.split(jax.random.key(seed), (m, len(x)))
        position, info = advance(jnp.array(x, dtype=jnp.float32), m, keys)
        return np.asarray(position, dtype=float), info

    return run


def laws_of(name: str, algorithm, noise, seed: int) -> Row:
    """The one-step law on gmm_1d."""
    run = chains(algorithm)
    starts = targets.gmm_starts()
    return PEER.measure(
        f"{name}, law of one step", lambda: one_step_test(lambda x, s: run(x, 1, s)[0], noise, starts, seed=seed)
    )


def kept(name: str, algorithm, seed: int) -> Row:
    """Conservation of gauss_2d after 1 and 5 steps."""
    run = chains(algorithm)
    return PEER.measure(
        f"{name}, target kept (1 and 5 steps), flow symmetric",
        lambda: conservation_test(
            lambda x, m, s: run(x, m, s)[0], targets.gauss_draw, targets.gauss_uniforms, seed=seed
        ),
    )


def flagged(name: str, algorithm, seed: int) -> Row:
    """is_accepted against acceptance_rate."""
    run = chains(algorithm)

    def flags(n: int, number: int):
        _, info = run(targets.gauss_draw(np.random.default_rng([number, 1]), n), 1, number)
        return info.is_accepted, info.acceptance_rate

    return PEER.measure(f"{name}, acceptances at the reported rate", lambda: flags_test(flags, seed=seed))


def rows(seed: int = 0) -> list[Row]:
    """All rows of this peer; step sizes are large, so that about a third of the proposals is rejected."""
    inverse = jnp.array([1.0 / MASS])
    matrix = jnp.array([[0.9, 0.3], [0.3, 1.7]])
    return [
        laws_of("MALA", blackjax.mala(gmm_log_density, 1.1), targets.mala_noise(1.1), seed),
        kept("MALA", blackjax.mala(gauss_log_density, 0.8), seed),
        flagged("MALA", blackjax.mala(gauss_log_density, 0.8), seed),
        laws_of("HMC", blackjax.hmc(gmm_log_density, 1.9, inverse, 3), targets.hmc_noise(1.9, 3, MASS), seed),
        kept("HMC, dense mass matrix", blackjax.hmc(gauss_log_density, 0.9, matrix, 3), seed),
        flagged("HMC", blackjax.hmc(gauss_log_density, 0.9, matrix, 3), seed),
    ]
