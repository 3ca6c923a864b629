"""Compiled Hamiltonian Monte Carlo of chains in tiles (kernels/targets.py); addresses as in kernels/langevin.py.

With e the step size by coordinate, 0 where clamped, and T the temperature:
(1) leapfrog: p -= e g/(2T), x += e p, p -= e g/(2T)
(2) log alpha = [E - E']/T + 1/2 sum (z^2 - p^2)
"""

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.langevin import FREE, TARGETS, acceptance_uniforms, constrain, decide, rooms, take
from ebm_ref.kernels.noise import LANES, tile_normals
from ebm_ref.kernels.targets import copy, fill


def kick(p, g, e, factor):
    """p -= factor e g."""
    for i in range(len(e)):
        k, step = i * LANES, factor * e[i]
        pi, gi = p[k : k + LANES], g[k : k + LANES]
        for l in range(len(pi)):
            pi[l] -= step * gi[l]


def hamiltonian_ratio(ratio, E, E_new, z, p, inverse_T):
    """(2)."""
    for l in range(len(ratio)):
        ratio[l] = (E[l] - E_new[l]) * inverse_T
    for i in range(len(p) // LANES):
        zi, pi = z[i * LANES : (i + 1) * LANES], p[i * LANES : (i + 1) * LANES]
        for l in range(len(ratio)):
            ratio[l] += 0.5 * (zi[l] * zi[l] - pi[l] * pi[l])


kick = jit(kick)
hamiltonian_ratio = jit(hamiltonian_ratio)


def hmc_on(evaluate):
    """The body of HMC on a target."""

    def hmc_tile(
        tile, states, scratch, accepted, A, B, mean, scale, bias, e, low, high, boundary, inverse_T, n_leapfrog,
        address, start, n_steps,
    ):  # fmt: skip
        """n_steps of ``n_leapfrog`` steps (1), then (2), in place; states (tiles, n LANES)."""
        n, x, taken = len(e), states[tile], accepted[tile * LANES : (tile + 1) * LANES]
        vectors, few, room, z, work = rooms(scratch[tile], 4, n)
        new, g, g_new, p = vectors[0], vectors[1], vectors[2], vectors[3]
        E, E_new, u, ok, outside, ratio = few[0], few[1], few[2], few[3], few[4], few[5]
        purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
        half = 0.5 * inverse_T
        fill(outside, 0.0)
        evaluate(x, g, E, work, A, B, mean, scale, bias, True)
        for t in range(n_steps):
            step = start + np.uint64(t)
            tile_normals(z, room, 0, chain, step, purpose, k0, k1)
            copy(p, z)
            copy(new, x)
            copy(g_new, g)
            for _ in range(n_leapfrog):
                kick(p, g_new, e, half)
                kick(new, p, e, -1.0)
                evaluate(new, g_new, E_new, work, A, B, mean, scale, bias, True)
                kick(p, g_new, e, half)
            if boundary != FREE:
                constrain(new, outside, low, high, boundary)
            hamiltonian_ratio(ratio, E, E_new, z, p, inverse_T)
            acceptance_uniforms(u, room, n, chain, step, purpose, k0, k1)
            decide(ok, ratio, u, outside, taken)
            take(x, new, ok)
            take(g, g_new, ok)
            take(E, E_new, ok)

    return hmc_tile


HMC = {kind: over_chains(hmc_on(target), name=f"hmc_{kind}") for kind, target in TARGETS.items()}
