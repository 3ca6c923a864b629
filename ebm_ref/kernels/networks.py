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

from ebm_ref.compile import jit
from ebm_ref.kernels.noise import LANES
from ebm_ref.kernels.panels import UNITS, add_products
from ebm_ref.kernels.targets import fill, set_rows
from ebm_ref.maths import activations as scalars
from ebm_ref.maths.smooth import exp_minus, log_normal_number

INNER, RESIDUAL, SQUARE, SCALAR, MARGINAL = 0.0, 1.0, 2.0, 3.0, 4.0
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


def silu_double(y, z, alpha):
    """SiLU without library calls, so that the loops vectorise."""
    for k in range(len(z)):
        y[k] = exp_minus(abs(z[k]))
    for k in range(len(z)):
        e, number = y[k], z[k]
        share = 1.0 / (1.0 + e)
        s, rest = (share, e * share) if number >= 0.0 else (e * share, share)
        y[k] = number * s
        z[k] = s * (1.0 + number * rest)


ACTIVATIONS = {
    "silu_float32": activation(scalars.silu_single, scalars.silu_slope_single),
    "silu_float64": jit(silu_double),
    "softplus": activation(scalars.smooth, scalars.smooth_slope),
    "tanh": activation(scalars.tanh, scalars.tanh_slope),
    "elu": activation(scalars.elu, scalars.elu_slope),
    "leaky_relu": activation(scalars.leaky_relu, scalars.leaky_relu_slope),
}


# The heads: f becomes f_bar, g becomes c de/dx, energy becomes c e ----------------------------------------------------


def add_inner(x, g, energy, f, c):
    """x.f."""
    for i in range(len(x) // LANES):
        rows = slice(i * LANES, (i + 1) * LANES)
        xi, gi, fi = x[rows], g[rows], f[rows]
        for l in range(LANES):
            gi[l] = c * fi[l]
            energy[l] += gi[l] * xi[l]
            fi[l] = c * xi[l]


def add_residual(x, g, energy, f, c):
    """|x - f|^2."""
    for i in range(len(x) // LANES):
        rows = slice(i * LANES, (i + 1) * LANES)
        xi, gi, fi = x[rows], g[rows], f[rows]
        for l in range(LANES):
            r = xi[l] - fi[l]
            energy[l] += c * r * r
            gi[l] = 2.0 * c * r
            fi[l] = -2.0 * c * r


def add_square(energy, f, c):
    """|f|^2."""
    for i in range(len(f) // LANES):
        fi = f[i * LANES : (i + 1) * LANES]
        for l in range(LANES):
            energy[l] += c * fi[l] * fi[l]
            fi[l] = 2.0 * c * fi[l]


def add_scalar(energy, f, c):
    """f, one number."""
    for l in range(LANES):
        energy[l] += c * f[l]
        f[l] = c


def add_marginal(energy, total, f, c):
    """-LSE(f); total is scratch."""
    n = len(f) // LANES
    fill(energy, -math.inf)
    for i in range(n):
        fi = f[i * LANES : (i + 1) * LANES]
        for l in range(LANES):
            energy[l] = fi[l] if fi[l] > energy[l] else energy[l]
    fill(total, 0.0)
    for i in range(n):
        fi = f[i * LANES : (i + 1) * LANES]
        for l in range(LANES):
            power = exp_minus(energy[l] - fi[l])
            total[l] += power
            fi[l] = power
    for i in range(n):
        fi = f[i * LANES : (i + 1) * LANES]
        for l in range(LANES):
            fi[l] = -c * fi[l] / total[l]
    for l in range(LANES):
        energy[l] = -c * (energy[l] + log_normal_number(total[l]))


add_inner, add_residual, add_square = jit(add_inner), jit(add_residual), jit(add_square)
add_scalar, add_marginal = jit(add_scalar), jit(add_marginal)


def head(x, g, energy, f, form, c):
    """c e and its derivatives."""
    fill(energy, 0.0)
    if form == INNER:
        add_inner(x, g, energy, f, c)
    elif form == RESIDUAL:
        add_residual(x, g, energy, f, c)
    else:
        if form == SQUARE:
            add_square(energy, f, c)
        elif form == SCALAR:
            add_scalar(energy, f, c)
        else:
            add_marginal(energy, g[:LANES], f, c)
        fill(g, 0.0)


def add_base(x, g, energy, pulled, precision):
    """g += y_bar_0 + x/s0^2, energy += |x|^2/(2 s0^2)."""
    for i in range(len(x) // LANES):
        rows = slice(i * LANES, (i + 1) * LANES)
        xi, gi, yi = x[rows], g[rows], pulled[rows]
        for l in range(LANES):
            gi[l] += yi[l] + precision * xi[l]
            energy[l] += 0.5 * precision * xi[l] * xi[l]


def product(out, weights, first, S, n_in, n_out):
    """out += M'S for the matrix M (n_in, n_out) whose tiles begin at ``first``; where they end."""
    end = first + n_in * padded(n_out)
    tiles = weights[first:end].reshape((padded(n_out) // UNITS, n_in, UNITS))
    add_products(out.reshape((-1, LANES)), S[: n_in * LANES].reshape((-1, LANES)), tiles)
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
