"""Layers and energies of networks in plain loops, read aloud: any numbers in, the same kind of numbers out.

Images are nested lists [channel][row][column], vectors are lists.  Arrays of a layer come as nested lists too.

linear          y_j = b_j + sum_i x_i W_ij                                                W (n_in, n_out)
conv            y[o][i][j] = b_o + sum_(c,u,v) W[o][c][u][v] x[c][s i + u - p][s j + v - p], 0 outside: a correlation
conv_transpose  y[o][s i + u - p][s j + v - p] += W[c][o][u][v] x[c][i][j], then + b_o    W (n_in, n_out, kh, kw)
group_norm      (x - m)/sqrt(var + eps) gain_c + shift_c; m and var (divided by the count) over a group's channels
avg_pool, max_pool, upsample   means, largest numbers (the first of equals) and copies of blocks of r x r
pad             zeros: top, bottom, left, right
concat, residual   with y = branch(x): channels of x, then those of y;  x + y
time_bias       x[c] + sum_k e_k W_kc + b_c,  e = [sin(w_k t), cos(w_k t)], w_k = 10000^(-k/K)
time_scale      x times the number t of the factors, t = 0, 1, ...
spectral_linear linear with W/(u'Wv), u and v constants
activation      silu z/(1 + e^-z); softplus log(1 + e^z); tanh; elu z or alpha(e^z - 1); leaky_relu z or alpha z
energies        inner x.f; residual |x - f|^2; square |f|^2; scalar f; marginal -log sum_y e^(f_y); joint -f_y
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ebm_ref.oracle.deep.numbers import Number, exp, log, plain, power, where

Nested = Any
Kinds = Mapping[str, Callable[..., Nested]]


def total(terms: Any) -> Number:
    """Their sum, from the left; 0 of nothing."""
    terms = list(terms)
    result: Number = 0.0
    for i, term in enumerate(terms):
        result = term if i == 0 else result + term
    return result


def each(function: Callable[[Number], Number], x: Nested) -> Nested:
    """function of every number of a nested list."""
    return [each(function, part) for part in x] if isinstance(x, list) else function(x)


def flat(x: Nested) -> list[Number]:
    """The numbers of a nested list, in order."""
    return [leaf for part in x for leaf in flat(part)] if isinstance(x, list) else [x]


def shaped(values: Iterator[Number], shape: tuple[int, ...]) -> Nested:
    """A nested list of that shape from the next numbers."""
    return [shaped(values, shape[1:]) for _ in range(shape[0])] if shape else next(values)


# activations ----------------------------------------------------------------------------------------------------------


def sigmoid(z: Number) -> Number:
    """1/(1 + e^-z)."""
    return power(exp(-z) + 1, -1)


def tanh(z: Number) -> Number:
    """(e^z - e^-z)/(e^z + e^-z)."""
    up, down = exp(z), exp(-z)
    return (up - down) / (up + down)


ACTIVATIONS: dict[str, Callable[[Number, float], Number]] = {
    "silu": lambda z, alpha: z * sigmoid(z),
    "softplus": lambda z, alpha: log(exp(z) + 1),
    "tanh": lambda z, alpha: tanh(z),
    "elu": lambda z, alpha: where(plain(z) > 0, z, (exp(z) - 1) * alpha),
    "leaky_relu": lambda z, alpha: where(plain(z) > 0, z, z * alpha),
}
ALPHA = {"elu": 1.0, "leaky_relu": 0.2}


def activation(x: Nested, name: str, alpha: float) -> Nested:
    """phi of every number."""
    return each(lambda z: ACTIVATIONS[name](z, alpha), x)


# layers ---------------------------------------------------------------------------------------------------------------


def linear(x: Nested, W: Nested, b: Nested) -> Nested:
    """See the head."""
    return [total(z * row[j] for z, row in zip(x, W, strict=True)) + b[j] for j in range(len(b))]


def spectral_linear(x: Nested, W: Nested, b: Nested, u: tuple, v: tuple) -> Nested:
    """See the head."""
    sigma = total(W[i][j] * (u[i] * v[j]) for i in range(len(u)) for j in range(len(v)))
    return linear(x, [[w / sigma for w in row] for row in W], b)


def conv(x: Nested, W: Nested, b: Nested, stride: int, padding: int) -> Nested:
    """See the head."""
    H, V = len(x[0]), len(x[0][0])
    kh, kw = len(W[0][0]), len(W[0][0][0])
    rows, columns = ((n + 2 * padding - k) // stride + 1 for n, k in ((H, kh), (V, kw)))

    def at(o: int, i: int, j: int) -> Number:
        places = [(u, v, stride * i + u - padding, stride * j + v - padding) for u in range(kh) for v in range(kw)]
        inside = [(u, v, p, q) for u, v, p, q in places if 0 <= p < H and 0 <= q < V]
        pairs = list(zip(x, W[o], strict=True))
        return total(image[p][q] * kernel[u][v] for image, kernel in pairs for u, v, p, q in inside) + b[o]

    return [[[at(o, i, j) for j in range(columns)] for i in range(rows)] for o in range(len(b))]


def conv_transpose(x: Nested, W: Nested, b: Nested, stride: int, padding: int, more: int) -> Nested:
    """See the head."""
    H, V, kh, kw = len(x[0]), len(x[0][0]), len(W[0][0]), len(W[0][0][0])
    rows, columns = ((n - 1) * stride - 2 * padding + k + more for n, k in ((H, kh), (V, kw)))
    y = [[[b[o]] * columns for _ in range(rows)] for o in range(len(b))]
    for c in range(len(x)):
        for i in range(H):
            for j in range(V):
                for o in range(len(b)):
                    for u in range(kh):
                        for v in range(kw):
                            p, q = stride * i + u - padding, stride * j + v - padding
                            if 0 <= p < rows and 0 <= q < columns:
                                y[o][p][q] = y[o][p][q] + x[c][i][j] * W[c][o][u][v]
    return y


def group_norm(x: Nested, gain: Nested, shift: Nested, n_groups: int, eps: float) -> Nested:
    """See the head."""
    size = len(gain) // n_groups
    y: Nested = []
    for g in range(n_groups):
        own = flat(x[g * size : (g + 1) * size])
        mean = total(own) / len(own)
        variance = total((z - mean) * (z - mean) for z in own) / len(own)
        s = power(variance + eps, -0.5)
        for c in range(g * size, (g + 1) * size):
            y.append(affine(x[c], mean, s, gain[c], shift[c]))
    return y


def affine(x: Nested, mean: Number, s: Number, gain: Number, shift: Number) -> Nested:
    """(x - mean) s gain + shift."""
    return each(lambda z: (z - mean) * s * gain + shift, x)


def pooled(x: Nested, r: int, of: Callable[[list[Number]], Number]) -> Nested:
    """A number for each block of r x r, its numbers row by row."""
    rows, columns = range(len(x[0]) // r), range(len(x[0][0]) // r)
    if len(x[0]) % r or len(x[0][0]) % r:
        raise ValueError(f"{r} does not divide its sides")
    block = lambda c, i, j: [c[r * i + u][r * j + v] for u in range(r) for v in range(r)]  # noqa: E731
    return [[[of(block(c, i, j)) for j in columns] for i in rows] for c in x]


def largest(values: list[Number]) -> Number:
    """The first of the largest."""
    best = values[0]
    for other in values[1:]:
        best = where(plain(other) > plain(best), other, best)
    return best


def upsample(x: Nested, r: int) -> Nested:
    """See the head."""
    return [[[c[i // r][j // r] for j in range(r * len(c[0]))] for i in range(r * len(c))] for c in x]


def pad(x: Nested, sides: tuple[int, int, int, int]) -> Nested:
    """See the head."""
    top, bottom, left, right = sides
    width = left + len(x[0][0]) + right
    rows = lambda n: [[0.0] * width for _ in range(n)]  # noqa: E731
    return [[*rows(top), *([0.0] * left + row + [0.0] * right for row in c), *rows(bottom)] for c in x]


def time_bias(x: Nested, W: Nested, b: Nested, t: float) -> Nested:
    """See the head."""
    half = len(W) // 2
    angles = [t * 10000.0 ** (-k / half) for k in range(half)]
    e = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    biases = [total(W[k][c] * e[k] for k in range(len(W))) + b[c] for c in range(len(b))]
    return [affine(channel, 0.0, 1, 1, bias) for channel, bias in zip(x, biases, strict=True)]


def time_scale(x: Nested, factors: tuple[float, ...], t: float) -> Nested:
    """See the head."""
    return each(lambda number: number * factors[int(t)], x)


def added(x: Nested, y: Nested) -> Nested:
    """x + y, element by element."""
    return [added(a, b) for a, b in zip(x, y, strict=True)] if isinstance(x, list) else x + y


KINDS: dict[str, Callable[..., Nested]] = {
    "linear": linear,
    "spectral_linear": spectral_linear,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "group_norm": group_norm,
    "activation": activation,
    "avg_pool": lambda x, r: pooled(x, r, lambda block: total(block) / r**2),
    "max_pool": lambda x, r: pooled(x, r, largest),
    "upsample": upsample,
    "pad": pad,
    "flatten": flat,
    "time_bias": time_bias,
    "time_scale": time_scale,
    "concat": lambda x, y: x + y,
    "residual": added,
}


# energies -------------------------------------------------------------------------------------------------------------

HEADS: dict[str, Callable[..., Number]] = {
    "inner": lambda x, f, y: total(a * b for a, b in zip(x, f, strict=True)),
    "residual": lambda x, f, y: total((a - b) * (a - b) for a, b in zip(x, f, strict=True)),
    "square": lambda x, f, y: total(b * b for b in f),
    "scalar": lambda x, f, y: f[0],
    "marginal": lambda x, f, y: -log(total(exp(b) for b in f)),
    "joint": lambda x, f, y: -total(b * one for b, one in zip(f, y, strict=True)),
}


def base_measure(x: list[Number], base: float) -> Number:
    """|x|^2/(2 base^2)."""
    return total(a * a for a in x) / (2.0 * base**2)


def rows_of(x: np.ndarray) -> list[np.ndarray]:
    """Coordinates of rows (n, d) as d arrays (n,): a number each."""
    return [np.ascontiguousarray(column) for column in np.asarray(x, dtype=np.float64).T]
