"""Energies and gradients of tiles of chains: LANES chains side by side, so that loops vectorise.

Element u LANES + l of a tile's array belongs to coordinate u of chain l.  No operation mixes chains, no fast-math flag
is granted, and sums over coordinates run in their order: a chain has the same bits whatever tile it is in.
LAYER, the GRBM's F(v);  QUADRATIC, 1/2 (x-m)'A(x-m);
MIXTURE, -log sum_k exp(c_k), c_k = bias_k - 1/2 sum_i B_ki (x_i-A_ki)^2, with g_i = sum_k softmax(c)_k B_ki (x_i-A_ki).
All three are called alike; ``work`` (PARTS, units LANES) is scratch.
"""

import math

from ebm_ref.compile import jit
from ebm_ref.kernels.noise import LANES
from ebm_ref.kernels.panels import UNITS, panel_of_fours
from ebm_ref.maths.smooth import EXP, SOFT, exp_minus, horner, horner_after, log_normal_number, split_exponent

LAYER, QUADRATIC, MIXTURE = 0, 1, 2
PARTS = 4
VECTOR = 4  # chains of a panel
CHUNK = 96  # terms of a product, 12 kB of x, that stay in the first-level cache while all rows pass over them


def add_products(out, weights, x):
    """out_j += sum_i M_ij x_i in lanes, four terms at a time: (M_0j x_0 + M_1j x_1) + (M_2j x_2 + M_3j x_3), ...

    weights: panels.tiles(M), the weights of four rows of ``out`` side by side.
    """
    m, n = len(out) // LANES, weights.shape[1]
    Z, X = out.reshape(-1, LANES), x.reshape(-1, LANES)
    fours = n - n % 4
    for first in range(0, fours, CHUNK):
        last = min(first + CHUNK, fours)
        some = X[first:last]
        for g in range(m // UNITS):
            z, w = Z[UNITS * g : UNITS * (g + 1)], weights[g, first:last]
            for c in range(0, LANES, VECTOR):
                panel_of_fours(z, some, w, c)
    for j in range(m):
        for i in range(fours if j < m - m % UNITS else 0, n):
            add_scaled(Z[j], weights[j // UNITS, i, j % UNITS], X[i])


def add_scaled(out, w, x):
    """out += w x."""
    for l in range(len(out)):
        out[l] += w * x[l]


def set_rows(out, values):
    """out_j = values_j in every lane."""
    for j in range(len(values)):
        o, value = out[j * LANES : (j + 1) * LANES], values[j]
        for l in range(len(o)):
            o[l] = value


def fill(out, value):
    """out = value."""
    for i in range(len(out)):
        out[i] = value


def copy(out, x):
    """out = x."""
    for i in range(len(out)):
        out[i] = x[i]


# Short loops, for the reason that noise.quantiles gives --------------------------------------------------------------


def exponentials(e, c, r):
    """e = exp(-|c|); r is scratch."""
    for k in range(len(c)):
        r[k], _ = split_exponent(abs(c[k]))
        e[k] = horner(EXP[7:], r[k])
    for k in range(len(c)):
        _, power = split_exponent(abs(c[k]))
        e[k] = horner_after(e[k], EXP[:7], r[k]) * power


def sigmoids(c, e, r):
    """c = sigmoid(c); e and r are scratch."""
    exponentials(e, c, r)
    for k in range(len(c)):
        c[k] = (1.0 if c[k] >= 0.0 else e[k]) / (1.0 + e[k])


def softplus_and_sigmoid(c, soft, e, s):
    """soft = softplus(c), then c = sigmoid(c); e and s are scratch."""
    exponentials(e, c, s)
    for k in range(len(c)):
        s[k] = e[k] / (2.0 + e[k])
        soft[k] = horner(SOFT[6:], s[k] * s[k])
    for k in range(len(c)):
        soft[k] = (c[k] if c[k] > 0.0 else 0.0) + s[k] * horner_after(soft[k], SOFT[:6], s[k] * s[k])
    for k in range(len(c)):
        c[k] = (1.0 if c[k] >= 0.0 else e[k]) / (1.0 + e[k])


add_scaled = jit(add_scaled)
add_products = jit(add_products)
set_rows = jit(set_rows)
fill = jit(fill)
copy = jit(copy)
exponentials = jit(exponentials)
sigmoids = jit(sigmoids)
softplus_and_sigmoid = jit(softplus_and_sigmoid)


def layer(x, g, energy, work, to_visible, to_hidden, mean, scale, bias, with_energy):
    """F(v) = 1/2 sum scale (v-mean)^2 - sum softplus(c), c = bias + A'v;  g = scale (v-mean) - A sigmoid(c).

    to_visible, to_hidden: A' and A as panels.tiles packs them.
    """
    size = len(bias) * LANES
    c, soft, e, s = work[0, :size], work[1, :size], work[2, :size], work[3, :size]
    set_rows(c, bias)
    add_products(c, to_hidden, x)
    fill(energy, 0.0)
    if with_energy:
        softplus_and_sigmoid(c, soft, e, s)
        for j in range(len(bias)):
            sj = soft[j * LANES : (j + 1) * LANES]
            for l in range(len(energy)):
                energy[l] -= sj[l]
    else:
        sigmoids(c, e, s)
    fill(g, 0.0)
    add_products(g, to_visible, c)
    for i in range(len(mean)):
        xi, gi, m, a = x[i * LANES : (i + 1) * LANES], g[i * LANES : (i + 1) * LANES], mean[i], scale[i]
        for l in range(len(energy)):
            pull = a * (xi[l] - m)
            energy[l] += 0.5 * pull * (xi[l] - m)
            gi[l] = pull - gi[l]


def quadratic(x, g, energy, work, A, B, mean, scale, bias, with_energy):
    """1/2 (x-m)'A(x-m), g = A(x-m);  A as panels.tiles packs A'."""
    c = work[0, : len(x)]
    for i in range(len(mean)):
        xi, ci, m = x[i * LANES : (i + 1) * LANES], c[i * LANES : (i + 1) * LANES], mean[i]
        for l in range(len(xi)):
            ci[l] = xi[l] - m
    fill(g, 0.0)
    add_products(g, A, c)
    fill(energy, 0.0)
    for i in range(len(mean)):
        gi, ci = g[i * LANES : (i + 1) * LANES], c[i * LANES : (i + 1) * LANES]
        for l in range(len(energy)):
            energy[l] += 0.5 * gi[l] * ci[l]


def mixture(x, g, energy, work, A, B, mean, scale, bias, with_energy):
    """-log sum_k exp(c_k) and its gradient."""
    n_parts, n = A.shape
    c, top = work[0], work[1, :LANES]
    set_rows(c, bias)
    fill(top, -math.inf)
    for k in range(n_parts):
        ck = c[k * LANES : (k + 1) * LANES]
        for i in range(n):
            xi, m, b = x[i * LANES : (i + 1) * LANES], A[k, i], B[k, i]
            for l in range(len(ck)):
                ck[l] -= 0.5 * b * (xi[l] - m) * (xi[l] - m)
        for l in range(len(ck)):
            top[l] = ck[l] if ck[l] > top[l] else top[l]
    fill(energy, 0.0)
    for k in range(n_parts):
        ck = c[k * LANES : (k + 1) * LANES]
        for l in range(len(ck)):
            ck[l] = exp_minus(top[l] - ck[l])
            energy[l] += ck[l]
    fill(g, 0.0)
    for i in range(n):
        xi, gi = x[i * LANES : (i + 1) * LANES], g[i * LANES : (i + 1) * LANES]
        for k in range(n_parts):
            ck, m, b = c[k * LANES : (k + 1) * LANES], A[k, i], B[k, i]
            for l in range(len(gi)):
                gi[l] += ck[l] / energy[l] * (b * (xi[l] - m))
    for l in range(len(energy)):
        energy[l] = -top[l] - log_normal_number(energy[l])


layer = jit(layer)
quadratic = jit(quadratic)
mixture = jit(mixture)
TARGETS = {LAYER: layer, QUADRATIC: quadratic, MIXTURE: mixture}
