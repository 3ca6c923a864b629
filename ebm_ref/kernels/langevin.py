"""Compiled Langevin and Hamiltonian steps of chains in tiles: LANES chains side by side, so that loops vectorise.

Element u LANES + l of a tile's array belongs to coordinate u of chain l.  No operation mixes chains, no fast-math flag
is granted, and sums over coordinates run in their order: a chain has the same bits whatever tile it is in.
Normal i of a step stands at address (t, chain, i), the acceptance uniform at (t, chain, n).  With T the temperature:
(1) x' = x - lam g(x) + s z,  s = sqrt(2 lam T), lam and s by coordinate;  clamped coordinates have lam = s = 0
(2) log alpha = [E(x) - E(x') + 1/2 (x'-x).(g+g') - 1/4 lam.(g'^2 - g^2)] / T           no division by lam
(3) leapfrog: p -= e g/(2T), x += e p, p -= e g/(2T);   log alpha = [E - E']/T + 1/2 sum (z^2 - p^2)
Targets: LAYER, the GRBM's F(v);  QUADRATIC, 1/2 (x-m)'A(x-m);
MIXTURE, -log sum_k exp(c_k), c_k = bias_k - 1/2 sum_i B_ki (x_i-A_ki)^2, with g_i = sum_k softmax(c)_k B_ki (x_i-A_ki).
"""

import math

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.noise import LANES, centred_words, tile_normals
from ebm_ref.kernels.panels import panel_of_fours
from ebm_ref.maths.philox import LOW32, S32, TWO53
from ebm_ref.maths.smooth import exp_minus, log1p_unit, log_normal_number

LAYER, QUADRATIC, MIXTURE = 0, 1, 2
FREE, REFLECT, PROJECT, REJECT = 0, 1, 2, 3


def add_products(out, M, x):
    """out_j += sum_i M_ji x_i in lanes, four terms at a time: (M_j0 x_0 + M_j1 x_1) + (M_j2 x_2 + M_j3 x_3), ..."""
    m, n = M.shape
    Z, X = out.reshape(-1, LANES), x.reshape(-1, LANES)
    for j in range(0, m - 3, 4):
        z, w = Z[j : j + 4], M[j : j + 4]
        for c in range(0, LANES, LANES // 2):
            panel_of_fours(z, X[: n - n % 4], w, c)
        for i in range(n - n % 4, n):
            for row in range(4):
                add_scaled(z[row], w[row, i], X[i])
    for j in range(m - m % 4, m):
        for i in range(n):
            add_scaled(Z[j], M[j, i], X[i])


def add_scaled(out, w, x):
    """out += w x."""
    for l in range(len(out)):
        out[l] += w * x[l]


def set_rows(out, values, lanes):
    """out_j = values_j in every lane."""
    for j in range(len(values)):
        o, value = out[j * lanes : (j + 1) * lanes], values[j]
        for l in range(len(o)):
            o[l] = value


def softplus_and_sigmoid(c, soft):
    """soft = softplus(c), then c = sigmoid(c); in two loops, so that fewer wait for one another."""
    for k in range(len(c)):
        soft[k] = exp_minus(abs(c[k]))
    for k in range(len(c)):
        e = soft[k]
        soft[k] = (c[k] if c[k] > 0.0 else 0.0) + log1p_unit(e)
        c[k] = (1.0 if c[k] >= 0.0 else e) / (1.0 + e)


def sigmoids(c):
    """c = sigmoid(c)."""
    for k in range(len(c)):
        e = exp_minus(abs(c[k]))
        c[k] = (1.0 if c[k] >= 0.0 else e) / (1.0 + e)


add_scaled = jit(add_scaled)
add_products = jit(add_products)
set_rows = jit(set_rows)
softplus_and_sigmoid = jit(softplus_and_sigmoid)
sigmoids = jit(sigmoids)


def layer(x, g, energy, c, soft, A, AT, mean, scale, bias, with_energy):
    """F(v) = 1/2 sum scale (v-mean)^2 - sum softplus(c), c = bias + A'v;  g = scale (v-mean) - A sigmoid(c)."""
    lanes = len(energy)
    c, soft = c[: len(bias) * lanes], soft[: len(bias) * lanes]
    set_rows(c, bias, lanes)
    add_products(c, AT, x)
    energy[:] = 0.0
    if with_energy:
        softplus_and_sigmoid(c, soft)
        for j in range(len(bias)):
            s = soft[j * lanes : (j + 1) * lanes]
            for l in range(len(s)):
                energy[l] -= s[l]
    else:
        sigmoids(c)
    g[:] = 0.0
    add_products(g, A, c)
    for i in range(len(mean)):
        xi, gi, m, a = x[i * lanes : (i + 1) * lanes], g[i * lanes : (i + 1) * lanes], mean[i], scale[i]
        for l in range(len(energy)):
            pull = a * (xi[l] - m)
            energy[l] += 0.5 * pull * (xi[l] - m)
            gi[l] = pull - gi[l]


def quadratic(x, g, energy, c, A, mean):
    """1/2 (x-m)'A(x-m), g = A(x-m)."""
    lanes = len(energy)
    for i in range(len(mean)):
        xi, ci, m = x[i * lanes : (i + 1) * lanes], c[i * lanes : (i + 1) * lanes], mean[i]
        for l in range(len(xi)):
            ci[l] = xi[l] - m
    g[:] = 0.0
    add_products(g, A, c)
    energy[:] = 0.0
    for i in range(len(mean)):
        gi, ci = g[i * lanes : (i + 1) * lanes], c[i * lanes : (i + 1) * lanes]
        for l in range(len(energy)):
            energy[l] += 0.5 * gi[l] * ci[l]


def mixture(x, g, energy, c, top, A, B, bias):
    """-log sum_k exp(c_k) and its gradient."""
    lanes, (n_parts, n) = len(energy), A.shape
    set_rows(c, bias, lanes)
    for l in range(len(top)):
        top[l] = -math.inf
    for k in range(n_parts):
        ck = c[k * lanes : (k + 1) * lanes]
        for i in range(n):
            xi, m, b = x[i * lanes : (i + 1) * lanes], A[k, i], B[k, i]
            for l in range(len(ck)):
                ck[l] -= 0.5 * b * (xi[l] - m) * (xi[l] - m)
        for l in range(len(ck)):
            top[l] = ck[l] if ck[l] > top[l] else top[l]
    energy[:] = 0.0
    for k in range(n_parts):
        ck = c[k * lanes : (k + 1) * lanes]
        for l in range(len(ck)):
            ck[l] = exp_minus(top[l] - ck[l])
            energy[l] += ck[l]
    g[:] = 0.0
    for i in range(n):
        xi, gi = x[i * lanes : (i + 1) * lanes], g[i * lanes : (i + 1) * lanes]
        for k in range(n_parts):
            ck, m, b = c[k * lanes : (k + 1) * lanes], A[k, i], B[k, i]
            for l in range(len(gi)):
                gi[l] += ck[l] / energy[l] * (b * (xi[l] - m))
    for l in range(len(energy)):
        energy[l] = -top[l] - log_normal_number(energy[l])


layer = jit(layer)
quadratic = jit(quadratic)
mixture = jit(mixture)


def evaluate(x, g, energy, c, soft, kind, A, B, mean, scale, bias, with_energy):
    """Energy and its gradient g of a tile; c and soft are scratch."""
    if kind == LAYER:
        layer(x, g, energy, c, soft, A, B, mean, scale, bias, with_energy)
    elif kind == QUADRATIC:
        quadratic(x, g, energy, c, A, mean)
    else:
        mixture(x, g, energy, c, soft[: len(energy)], A, B, bias)


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


evaluate = jit(evaluate)
fold = jit(fold)
constrain = jit(constrain)


def acceptance_uniforms(u, words, n, chain, step, purpose, k0, k1):
    """u = the uniforms at unit n."""
    c3 = purpose | ((step >> S32) << np.uint64(16))
    centred_words(words, np.uint64(n // 4), chain, step & LOW32, c3, k0, k1)
    w = words[(n % 4) * len(u) : (n % 4 + 1) * len(u)]
    for l in range(len(u)):
        u[l] = 0.5 * (w[l] + (1.0 - 1.0 / TWO53))  # exact


def decide(ok, ratio, u, outside):
    """ok = 1 where u < min(1, exp(ratio)); NaN, +inf and lanes outside the box are refused."""
    for l in range(len(ok)):
        r = ratio[l]
        inside = r < math.inf and outside[l] == 0.0
        ok[l] = 1.0 if inside and u[l] < exp_minus(0.0 if r >= 0.0 else -r) else 0.0


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


def langevin_tile(
    tile, states, scratch, accepted, diverged, kind, A, B, mean, scale, bias, lam, s, low, high, boundary,
    inverse_T, adjust, address, start, n_steps,
):  # fmt: skip
    """n_steps of (1), with (2) if ``adjust``; states (tiles, n LANES), in place.  Energy and gradient are carried."""
    n, size = len(lam), states.shape[1]
    x, w = states[tile], scratch[tile]
    new, g, g_new = w[:size], w[size : 2 * size], w[2 * size : 3 * size]
    few = w[3 * size : 3 * size + 6 * LANES]
    E, E_new, u, ok = few[:LANES], few[LANES : 2 * LANES], few[2 * LANES : 3 * LANES], few[3 * LANES : 4 * LANES]
    outside, ratio = few[4 * LANES : 5 * LANES], few[5 * LANES :]
    words = w[3 * size + 6 * LANES : 3 * size + 10 * LANES]
    rest = w[3 * size + 10 * LANES :]
    z, rest = rest[: (n + 3) // 4 * 4 * LANES], rest[(n + 3) // 4 * 4 * LANES :]
    c, soft = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
    outside[:] = 0.0
    for t in range(n_steps + 1):  # round 0 only evaluates the first state
        step = start + np.uint64(max(t - 1, 0))
        new[:] = x
        if t > 0:
            tile_normals(z, words, 0, chain, step, purpose, k0, k1)
            for i in range(n):
                k, lam_i, s_i = i * LANES, lam[i], s[i]
                yi, gi, zi = new[k : k + LANES], g[k : k + LANES], z[k : k + LANES]
                for l in range(len(yi)):
                    yi[l] = (yi[l] - lam_i * gi[l]) + s_i * zi[l]  # (1)
            if boundary != FREE:
                constrain(new, outside, low, high, boundary)
        evaluate(new, g_new, E_new, c, soft, kind, A, B, mean, scale, bias, adjust)
        ok[:] = 1.0
        if t > 0 and adjust:
            langevin_ratio(ratio, E, E_new, x, new, g, g_new, lam, inverse_T)  # (2)
            acceptance_uniforms(u, words, n, chain, step, purpose, k0, k1)
            decide(ok, ratio, u, outside)
        take(x, new, ok)
        take(g, g_new, ok)
        take(E, E_new, ok)
        if t > 0:
            for l in range(LANES):
                accepted[tile * LANES + l] += ok[l] == 1.0
            if not adjust:
                note_divergence(diverged[tile * LANES : (tile + 1) * LANES], x, np.int64(step))


def hmc_tile(
    tile, states, scratch, accepted, kind, A, B, mean, scale, bias, e, low, high, boundary, inverse_T, n_leapfrog,
    address, start, n_steps,
):  # fmt: skip
    """n_steps of Hamiltonian Monte Carlo with ``n_leapfrog`` steps (3) each; clamped coordinates have e = 0."""
    n, size = len(e), states.shape[1]
    x, w = states[tile], scratch[tile]
    new, g, g_new, p = w[:size], w[size : 2 * size], w[2 * size : 3 * size], w[3 * size : 4 * size]
    few = w[4 * size : 4 * size + 6 * LANES]
    E, E_new, u, ok = few[:LANES], few[LANES : 2 * LANES], few[2 * LANES : 3 * LANES], few[3 * LANES : 4 * LANES]
    outside, ratio = few[4 * LANES : 5 * LANES], few[5 * LANES :]
    words = w[4 * size + 6 * LANES : 4 * size + 10 * LANES]
    rest = w[4 * size + 10 * LANES :]
    z, rest = rest[: (n + 3) // 4 * 4 * LANES], rest[(n + 3) // 4 * 4 * LANES :]
    c, soft = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(tile * LANES)
    outside[:] = 0.0
    for t in range(n_steps + 1):  # round 0 only evaluates the first state
        step = start + np.uint64(max(t - 1, 0))
        new[:] = x
        if t > 0:
            tile_normals(z, words, 0, chain, step, purpose, k0, k1)
            p[:] = z[:size]
            g_new[:] = g
        for _ in range(n_leapfrog if t > 0 else 1):
            if t > 0:
                kick(p, g_new, e, 0.5 * inverse_T)
                kick(new, p, e, -1.0)
            evaluate(new, g_new, E_new, c, soft, kind, A, B, mean, scale, bias, True)
            if t > 0:
                kick(p, g_new, e, 0.5 * inverse_T)
        ok[:] = 1.0
        if t > 0:
            if boundary != FREE:
                constrain(new, outside, low, high, boundary)
            hamiltonian_ratio(ratio, E, E_new, z, p, inverse_T)
            acceptance_uniforms(u, words, n, chain, step, purpose, k0, k1)
            decide(ok, ratio, u, outside)
        take(x, new, ok)
        take(g, g_new, ok)
        take(E, E_new, ok)
        if t > 0:
            for l in range(LANES):
                accepted[tile * LANES + l] += ok[l] == 1.0


def kick(p, g, e, factor):
    """p -= factor e g."""
    for i in range(len(e)):
        k, step = i * LANES, factor * e[i]
        pi, gi = p[k : k + LANES], g[k : k + LANES]
        for l in range(len(pi)):
            pi[l] -= step * gi[l]


def hamiltonian_ratio(ratio, E, E_new, z, p, inverse_T):
    """(3)."""
    for l in range(len(ratio)):
        ratio[l] = (E[l] - E_new[l]) * inverse_T
    for i in range(len(p) // LANES):
        zi, pi = z[i * LANES : (i + 1) * LANES], p[i * LANES : (i + 1) * LANES]
        for l in range(len(ratio)):
            ratio[l] += 0.5 * (zi[l] * zi[l] - pi[l] * pi[l])


kick = jit(kick)
hamiltonian_ratio = jit(hamiltonian_ratio)
run_langevin = over_chains(langevin_tile)
run_hmc = over_chains(hmc_tile)
