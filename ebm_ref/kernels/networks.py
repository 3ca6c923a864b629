"""Deep energies of multilayer perceptrons on tiles of chains (kernels/targets.py): models/heads.py in compiled form.

f = y_L,  z_l = b_l + W_l'y_(l-1),  y_l = phi(z_l),  y_L = z_L,  y_0 = x        forward, in the network's own precision
E = c e(x, f) + |x|^2/(2 s0^2),  f_bar = c de/df                                the head, in float64
y_bar_(l-1) = W_l z_bar_l,  z_bar_l = phi'(z_l) y_bar_l,  z_bar_L = f_bar,  g = c de/dx + y_bar_0 + x/s0^2
phi'(z_l) takes the place of z_l on the way forward, and z_bar_l its place on the way back.  A chain's sums run over the
units in their order, so its bits do not depend on the others.

forward, back: panels.tiles of each W_l and W_l', one after the other;  bias: the b_l, padded as the tiles are;
sizes: units of x and of every layer;  numbers: the form's code, c, 1/s0^2, and phi's parameter alpha.
"""

import math

import numpy as np

from ebm_ref.compile import jit
from ebm_ref.kernels.noise import LANES
from ebm_ref.kernels.panels import CHUNK_BYTES, UNITS, VECTOR_BYTES, panel_2
from ebm_ref.kernels.targets import fill, set_rows
from ebm_ref.maths import activations as scalars
from ebm_ref.maths.smooth import exp_minus, log_normal_number

INNER, RESIDUAL, SQUARE, SCALAR, MARGINAL = 0.0, 1.0, 2.0, 3.0, 4.0  # e of the first two depends on x itself
FORMS = {"inner": INNER, "residual": RESIDUAL, "square": SQUARE, "scalar": SCALAR}


def padded(n):
    """Rows that the tiles of n units fill."""
    return (n + UNITS - 1) // UNITS * UNITS


padded = jit(padded)


# The activation: y = phi(z), then z = phi'(z) -------------------------------------------------------------------------


def activation(phi, slope):
    """The loop for two scalar functions of (z, alpha)."""

    def activate(y, z, alpha):
        for k in range(len(z)):
            number = z[k]
            y[k] = phi(number, alpha)
            z[k] = slope(number, alpha)

    return jit(activate)


ACTIVATIONS = {
    "silu": activation(scalars.silu, scalars.silu_slope),
    "silu_single": activation(scalars.silu_single, scalars.silu_slope_single),
    "softplus": activation(scalars.smooth, scalars.smooth_slope),
    "tanh": activation(scalars.tanh, scalars.tanh_slope),
    "elu": activation(scalars.elu, scalars.elu_slope),
    "leaky_relu": activation(scalars.leaky_relu, scalars.leaky_relu_slope),
}


# The head: f becomes f_bar, g becomes c de/dx, energy becomes c e -----------------------------------------------------


def term(form, x, f):
    """Of one coordinate: e, de/df, de/dx."""
    if form == INNER:
        return x * f, x, f
    if form == RESIDUAL:
        return (x - f) * (x - f), 2.0 * (f - x), 2.0 * (x - f)
    if form == SQUARE:
        return f * f, 2.0 * f, 0.0
    return f, 1.0, 0.0


term = jit(term)


def sum_of_terms(x, g, energy, f, form, c):
    """A form that is a sum over coordinates."""
    with_x = form <= RESIDUAL
    for first in range(0, len(f), LANES):
        for l in range(LANES):
            k = first + l
            e, f_bar, x_bar = term(form, x[k] if with_x else 0.0, np.float64(f[k]))
            energy[l] += c * e
            f[k] = c * f_bar
            if with_x:
                g[k] = c * x_bar


def minus_log_sum_exp(energy, total, f, c):
    """e = -log sum_i exp f_i;  total is scratch."""
    fill(energy, -math.inf)
    for k in range(len(f)):
        l = k % LANES
        energy[l] = f[k] if f[k] > energy[l] else energy[l]
    fill(total, 0.0)
    for k in range(len(f)):
        l = k % LANES
        power = exp_minus(energy[l] - f[k])
        total[l] += power
        f[k] = power
    for k in range(len(f)):
        f[k] = -c * f[k] / total[k % LANES]
    for l in range(LANES):
        energy[l] = -c * (energy[l] + log_normal_number(total[l]))


sum_of_terms = jit(sum_of_terms)
minus_log_sum_exp = jit(minus_log_sum_exp)


def head(x, g, energy, f, form, c):
    """c e and its derivatives."""
    if form == MARGINAL:
        minus_log_sum_exp(energy, g[:LANES], f, c)
    fill(g, 0.0)
    if form != MARGINAL:
        fill(energy, 0.0)
        sum_of_terms(x, g, energy, f, form, c)


def add_base(x, g, energy, pulled, precision):
    """g += y_bar_0 + x/s0^2, energy += |x|^2/(2 s0^2)."""
    for i in range(len(x) // LANES):
        for l in range(LANES):
            k = i * LANES + l
            g[k] += pulled[k] + precision * x[k]
            energy[l] += 0.5 * precision * x[k] * x[k]


def product(out, weights, first, S, n_in, n_out):
    """out += M'S for the matrix M (n_in, n_out) whose tiles begin at ``first``; where they end."""
    end = first + n_in * padded(n_out)
    tiles = weights[first:end].reshape((padded(n_out) // UNITS, n_in, UNITS))
    Z, S = out.reshape((-1, LANES)), S[: n_in * LANES].reshape((-1, LANES))
    chunk, columns = CHUNK_BYTES // (LANES * S.itemsize), 2 * VECTOR_BYTES // S.itemsize
    for k in range(0, n_in, chunk):
        for g in range(len(tiles)):
            for c in range(0, LANES, columns):
                panel_2(Z[UNITS * g : UNITS * (g + 1)], S[k : k + chunk], tiles[g, k : k + chunk], c)
    return end


head = jit(head)
add_base = jit(add_base)
product = jit(product)


def network_on(activate):
    """The target with this activation."""

    def network(x, g, energy, work, forward, back, numbers, sizes, bias, with_energy):
        """E and g of a tile."""
        n_layers, alpha = len(sizes) - 1, numbers[3]
        room = work.reshape(-1).view(bias.dtype)
        n_wide = padded(sizes[:-1].max()) * LANES
        y, room = room[:n_wide], room[n_wide:]  # y_l, later y_bar_l
        for k in range(len(x)):
            y[k] = x[k]
        first, row, at = 0, 0, 0
        for i in range(n_layers):
            rows = padded(sizes[i + 1])
            z = room[at : at + rows * LANES]
            set_rows(z, bias[row : row + rows])
            first = product(z, forward, first, y, sizes[i], sizes[i + 1])
            if i < n_layers - 1:
                activate(y[: len(z)], z, alpha)
                at += len(z)
            row += rows
        f = room[at : at + sizes[n_layers] * LANES]
        head(x, g, energy, f, numbers[0], numbers[1])
        end = len(back)
        for i in range(n_layers - 1, -1, -1):
            first = end - sizes[i + 1] * padded(sizes[i])
            bar = y[: padded(sizes[i]) * LANES]
            fill(bar, 0.0)
            product(bar, back, first, room[at:], sizes[i + 1], sizes[i])
            end = first
            if i:
                at -= len(bar)
                z = room[at : at + len(bar)]
                for k in range(len(bar)):
                    z[k] *= bar[k]
        add_base(x, g, energy, y, numbers[2])

    return jit(network)


NETWORKS = {kind: network_on(activate) for kind, activate in ACTIVATIONS.items()}
