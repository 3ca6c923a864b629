"""Compiled Langevin steps of chains in tiles (kernels/targets.py).

Normal i of a step stands at address (t, chain, i), the acceptance uniform at (t, chain, n).  With T the temperature:
(1) x' = x - lam g(x) + s z,  s = sqrt(2 lam T), lam and s by coordinate;  clamped coordinates have lam = s = 0
(2) log alpha = [E(x) - E(x') + 1/2 (x'-x).(g+g') - 1/4 lam.(g'^2 - g^2)] / T           no division by lam
"""

import math
from typing import Any

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.networks import NETWORKS
from ebm_ref.kernels.noise import LANES, ROOM, centred_words, tile_normals
from ebm_ref.kernels.targets import PARTS, copy, fill
from ebm_ref.kernels.targets import TARGETS as CLOSED_FORMS
from ebm_ref.maths.philox import LOW32, S32, TWO53
from ebm_ref.maths.smooth import exp_minus

FREE, REFLECT, PROJECT, REJECT = 0, 1, 2, 3
TARGETS: dict[Any, Any] = {**CLOSED_FORMS, **NETWORKS}


def fold(x, low, high):
    """x reflected at the walls of [low, high] until it lies inside."""
    if x >= low and x <= high:
        return x
    if low == -math.inf:
        return 2.0 * high - x
    if high == math.inf:
        return 2.0 * low - x
    width = high - low
    y = x - low
    y -= 2.0 * width * math.floor(y / (2.0 * width))
    y = 2.0 * width - y if y > width else y
    return min(max(low + y, low), high) if y == y else y


def constrain(x, outside, low, high, boundary):
    """Reflect or project x into the box, or mark the lanes that are outside."""
    lanes = len(outside)
    for l in range(lanes):
        outside[l] = 0.0
    for i in range(len(low)):
        for l in range(lanes):
            k = i * lanes + l
            if boundary == REFLECT:
                x[k] = fold(x[k], low[i], high[i])
            elif boundary == PROJECT:
                x[k] = low[i] if x[k] < low[i] else high[i] if x[k] > high[i] else x[k]
            elif x[k] < low[i] or x[k] > high[i]:
                outside[l] = 1.0


fold = jit(fold)
constrain = jit(constrain)


def acceptance_uniforms(u, room, n, chain, step, purpose, k0, k1):
    """u = the uniforms at unit n."""
    c3 = purpose | ((step >> S32) << np.uint64(16))
    words = room[: 4 * LANES]
    centred_words(words, n // 4, chain, step & LOW32, c3, k0, k1)
    w = words[(n % 4) * len(u) : (n % 4 + 1) * len(u)]
    for l in range(len(u)):
        u[l] = 0.5 * (w[l] + (1.0 - 1.0 / TWO53))  # exact


def decide(ok, ratio, u, outside, taken):
    """ok = 1 where u < min(1, exp(ratio)); NaN, +inf and lanes outside the box are refused.  taken counts them."""
    for l in range(len(ok)):
        ok[l] = exp_minus(0.0 if ratio[l] >= 0.0 else -ratio[l])
    for l in range(len(ok)):
        ok[l] = 1.0 if (ratio[l] < math.inf) & (outside[l] == 0.0) & (u[l] < ok[l]) else 0.0
    for l in range(len(ok)):
        taken[l] += ok[l] == 1.0


def take(x, new, ok):
    """x = new in the lanes that accept."""
    lanes = len(ok)
    for i in range(len(x) // lanes):
        xi, ni = x[i * lanes : (i + 1) * lanes], new[i * lanes : (i + 1) * lanes]
        for l in range(len(ok)):
            xi[l] = ni[l] if ok[l] == 1.0 else xi[l]


def langevin_ratio(ratio, E, E_new, x, x_new, g, g_new, lam, inverse_T):
    """(2)."""
    lanes = len(ratio)
    for l in range(lanes):
        ratio[l] = E[l] - E_new[l]
    for i in range(len(lam)):
        k, quarter = i * lanes, 0.25 * lam[i]
        xi, yi, gi, hi = x[k : k + lanes], x_new[k : k + lanes], g[k : k + lanes], g_new[k : k + lanes]
        for l in range(len(ratio)):
            ratio[l] += 0.5 * (yi[l] - xi[l]) * (gi[l] + hi[l]) - quarter * (hi[l] * hi[l] - gi[l] * gi[l])
    for l in range(lanes):
        ratio[l] *= inverse_T


def note_divergence(diverged, x, step):
    """diverged[l] = step + 1 for the lanes that just left the finite numbers."""
    bad = 0
    for k in range(len(x)):
        bad += 0 if x[k] - x[k] == 0.0 else 1
    if bad:
        for k in range(len(x)):
            l = k % LANES
            if diverged[l] == 0 and x[k] - x[k] != 0.0:
                diverged[l] = step + 1


acceptance_uniforms = jit(acceptance_uniforms)
decide = jit(decide)
take = jit(take)
langevin_ratio = jit(langevin_ratio)
note_divergence = jit(note_divergence)


def move(x, g, z, lam, s):
    """(1), in place."""
    for i in range(len(lam)):
        k, lam_i, s_i = i * LANES, lam[i], s[i]
        xi, gi, zi = x[k : k + LANES], g[k : k + LANES], z[k : k + LANES]
        for l in range(len(xi)):
            xi[l] = (xi[l] - lam_i * gi[l]) + s_i * zi[l]


def rooms(w, n_vectors, n):
    """Of a tile's scratch: the vectors, the few numbers by chain, ROOM, the normals, the target's parts."""
    size, few = n * LANES, 6 * LANES
    vectors, w = w[: n_vectors * size].reshape(n_vectors, size), w[n_vectors * size :]
    few, w = w[: 6 * LANES].reshape(6, LANES), w[6 * LANES :]
    z = w[ROOM : ROOM + (n + 3) // 4 * 4 * LANES]
    parts = w[ROOM + len(z) :]
    return vectors, few, w[:ROOM], z, parts[: len(parts) // PARTS * PARTS].reshape(PARTS, -1)


move = jit(move)
rooms = jit(rooms)


def ula_on(evaluate):
    """The body of ULA on a target."""

    def ula_tile(
        tile, states, scratch, diverged, A, B, mean, scale, bias, lam, s, low, high, boundary, address, start, n_steps
    ):  # fmt: skip
        """n_steps of (1) in place; states (tiles, n LANES)."""
        n, x, lost = len(lam), states[tile], diverged[tile * LANES : (tile + 1) * LANES]
        vectors, few, room, z, work = rooms(scratch[tile], 1, n)
        g, E, outside = vectors[0], few[0], few[1]
        purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
        for t in range(n_steps):
            step = start + np.uint64(t)
            evaluate(x, g, E, work, A, B, mean, scale, bias, False)
            tile_normals(z, room, 0, chain, step, purpose, k0, k1)
            move(x, g, z, lam, s)
            if boundary != FREE:
                constrain(x, outside, low, high, boundary)
            note_divergence(lost, x, np.int64(step))

    return ula_tile


def mala_on(evaluate):
    """The body of MALA on a target."""

    def mala_tile(
        tile, states, scratch, accepted, A, B, mean, scale, bias, lam, s, low, high, boundary, inverse_T, address,
        start, n_steps,
    ):  # fmt: skip
        """n_steps of (1) and (2) in place; states (tiles, n LANES).  Energy and gradient are carried."""
        n, x, taken = len(lam), states[tile], accepted[tile * LANES : (tile + 1) * LANES]
        vectors, few, room, z, work = rooms(scratch[tile], 3, n)
        new, g, g_new = vectors[0], vectors[1], vectors[2]
        E, E_new, u, ok, outside, ratio = few[0], few[1], few[2], few[3], few[4], few[5]
        purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
        fill(outside, 0.0)
        evaluate(x, g, E, work, A, B, mean, scale, bias, True)
        for t in range(n_steps):
            step = start + np.uint64(t)
            tile_normals(z, room, 0, chain, step, purpose, k0, k1)
            copy(new, x)
            move(new, g, z, lam, s)
            if boundary != FREE:
                constrain(new, outside, low, high, boundary)
            evaluate(new, g_new, E_new, work, A, B, mean, scale, bias, True)
            langevin_ratio(ratio, E, E_new, x, new, g, g_new, lam, inverse_T)
            acceptance_uniforms(u, room, n, chain, step, purpose, k0, k1)
            decide(ok, ratio, u, outside, taken)
            take(x, new, ok)
            take(g, g_new, ok)
            take(E, E_new, ok)

    return mala_tile


ULA = {kind: over_chains(ula_on(target), name=f"ula_{kind}") for kind, target in TARGETS.items()}
MALA = {kind: over_chains(mala_on(target), name=f"mala_{kind}") for kind, target in TARGETS.items()}
