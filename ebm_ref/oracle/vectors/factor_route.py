"""Second route: the factorised formulas.  Sigmoids, softplus, site-by-site products, paths summed one by one, and
finite differences at 200 digits; no table of joint weights and no matrix power.  See table_route.py for the first
route.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ebm_ref.oracle.vectors.encoding import bits, index_of, precise

Vector = list[Any]
Matrix = list[list[Any]]


def softplus(mp: Any, z: Any) -> Any:
    """log(1 + exp z)."""
    return mp.log1p(mp.exp(z)) if z < 0 else z + mp.log1p(mp.exp(-z))


def sigmoid(mp: Any, z: Any) -> Any:
    """1 / (1 + exp(-z))."""
    return 1 / (1 + mp.exp(-z))


def hidden_logits(mp: Any, model: dict[str, Any], x: Any) -> Vector:
    """b + x W."""
    W, b = model["W"], model["b"]
    return [mp.mpf(b[j]) + mp.fsum(mp.mpf(W[i][j]) * x[i] for i in range(len(x))) for j in range(len(b))]


def visible_logits(mp: Any, model: dict[str, Any], h: Any) -> Vector:
    """a + W h."""
    W, a = model["W"], model["a"]
    return [mp.mpf(a[i]) + mp.fsum(mp.mpf(W[i][j]) * h[j] for j in range(len(h))) for i in range(len(a))]


def rbm_energy(mp: Any, model: dict[str, Any], x: Any, h: Any) -> Any:
    """-sum_i x_i (a + W h)_i - b.h."""
    fields = visible_logits(mp, model, h)
    return -mp.fsum(x[i] * fields[i] for i in range(len(x))) - mp.fsum(
        mp.mpf(q) * p for q, p in zip(model["b"], h, strict=True)
    )


def free_energy(mp: Any, model: dict[str, Any], x: Any) -> Any:
    """F(x) = -a.x - sum_j softplus((b + xW)_j)."""
    linear = mp.fsum(mp.mpf(q) * p for q, p in zip(model["a"], x, strict=True))
    return -linear - mp.fsum(softplus(mp, z) for z in hidden_logits(mp, model, x))


def hidden_free_energy(mp: Any, model: dict[str, Any], h: Any) -> Any:
    """-b.h - sum_i softplus((a + Wh)_i)."""
    linear = mp.fsum(mp.mpf(q) * p for q, p in zip(model["b"], h, strict=True))
    return -linear - mp.fsum(softplus(mp, z) for z in visible_logits(mp, model, h))


def log_z(mp: Any, model: dict[str, Any]) -> Any:
    """log sum_h exp(-F(h)): the sum over the hidden side alone."""
    return mp.log(mp.fsum(mp.exp(-hidden_free_energy(mp, model, h)) for h in bits(len(model["b"]))))


def boltzmann_energy(mp: Any, model: dict[str, Any], s: Any) -> Any:
    """-sum_{i<j} J_ij s_i s_j - c.s."""
    n = len(s)
    pairs = mp.fsum(mp.mpf(model["J"][i][j]) for i in range(n) for j in range(i + 1, n) if s[i] and s[j])
    return -pairs - mp.fsum(mp.mpf(model["c"][i]) for i in range(n) if s[i])


def boltzmann_logits(mp: Any, model: dict[str, Any], s: Any) -> Vector:
    """c + J s."""
    n = len(s)
    return [mp.mpf(model["c"][i]) + mp.fsum(mp.mpf(model["J"][i][j]) * s[j] for j in range(n)) for i in range(n)]


def boltzmann_log_z(mp: Any, model: dict[str, Any], fixed: tuple[int, ...] = ()) -> Any:
    """log Z by elimination of one unit after the other: log(e^left + e^right), recursively."""
    if len(fixed) == len(model["c"]):
        return -boltzmann_energy(mp, model, fixed)
    left, right = (boltzmann_log_z(mp, model, (*fixed, bit)) for bit in (0, 1))
    return max(left, right) + softplus(mp, -abs(left - right))


def bernoulli_law(mp: Any, logits: Vector) -> Vector:
    """The law of independent units over all 2**n states."""
    p = [(sigmoid(mp, -z), sigmoid(mp, z)) for z in logits]
    return [mp.fprod(p[i][bit] for i, bit in enumerate(state)) for state in bits(len(logits))]


def rbm_logit(mp: Any, model: dict[str, Any]) -> Callable[[Any, int], Any]:
    """The logit of unit i of a joint state, given all other units."""
    nv = len(model["a"])

    def logit(s: Any, i: int) -> Any:
        return visible_logits(mp, model, s[nv:])[i] if i < nv else hidden_logits(mp, model, s[:nv])[i - nv]

    return logit


def scan_kernel(mp: Any, logit: Callable[[Any, int], Any], n: int, order: list[int]) -> Matrix:
    """Row s: follow the sites one by one and branch on the two outcomes."""
    rows = []
    for s in bits(n):
        law = {index_of(s): mp.mpf(1)}
        for i in order:
            following: dict[int, Any] = {}
            for index, mass in law.items():
                state = bits(n)[index]
                for bit in (0, 1):
                    z = logit(state, i)
                    target = index_of([*state[:i], bit, *state[i + 1 :]])
                    following[target] = following.get(target, 0) + mass * sigmoid(mp, z if bit else -z)
            law = following
        rows.append([law.get(q, mp.mpf(0)) for q in range(2**n)])
    return rows


def flip_kernel(mp: Any, logit: Callable[[Any, int], Any], n: int, accept: Callable[[Any], Any]) -> Matrix:
    """One uniformly chosen site is flipped with probability accept(log p(flipped) / p(here))."""
    rows = []
    for s in bits(n):
        row = [mp.mpf(0)] * 2**n
        for i in range(n):
            z = logit(s, i)
            probability = accept(-z if s[i] else z)
            row[index_of(s) ^ (1 << i)] += probability / n
            row[index_of(s)] += (1 - probability) / n
        rows.append(row)
    return rows


def block_kernel(mp: Any, model: dict[str, Any]) -> Matrix:
    """h' ~ p(.|x), then x' ~ p(.|h')."""
    nv, nh = len(model["a"]), len(model["b"])
    up = [bernoulli_law(mp, hidden_logits(mp, model, x)) for x in bits(nv)]
    down = [bernoulli_law(mp, visible_logits(mp, model, h)) for h in bits(nh)]
    row = [[up[x][q >> nv] * down[q >> nv][q % 2**nv] for q in range(2 ** (nv + nh))] for x in range(2**nv)]
    return [row[s % 2**nv] for s in range(2 ** (nv + nh))]


def hidden_chain(mp: Any, model: dict[str, Any]) -> Matrix:
    """p(h'|h) = sum_x p(x|h) p(h'|x); it has the non-zero eigenvalues of the visible chain."""
    nv, nh = len(model["a"]), len(model["b"])
    up = [bernoulli_law(mp, hidden_logits(mp, model, x)) for x in bits(nv)]
    down = [bernoulli_law(mp, visible_logits(mp, model, h)) for h in bits(nh)]
    return [[mp.fsum(down[h][x] * up[x][q] for x in range(2**nv)) for q in range(2**nh)] for h in range(2**nh)]


def second_eigenvalue(mp: Any, kernel: Matrix) -> Any:
    """The largest modulus below 1: float64 finds it, inverse iteration on the unsymmetrised kernel refines it."""
    rough = np.linalg.eigvals(np.array([[float(p) for p in row] for row in kernel]))
    rough = np.delete(rough, np.argmin(abs(rough - 1)))
    shift = mp.mpf(float(rough[np.argmax(abs(rough))].real))
    shifted = mp.matrix(kernel) - (shift + mp.mpf(10) ** -12) * mp.eye(len(kernel))
    vector = mp.matrix([mp.mpf(1) + mp.mpf(i) / 7 for i in range(len(kernel))])
    for _ in range(12):
        vector = mp.lu_solve(shifted, vector)
        vector /= mp.norm(vector)
    image = mp.matrix(kernel) * vector
    return abs(mp.fdot(image, vector) / mp.fdot(vector, vector))


@functools.cache
def fine() -> Any:
    """The 200 digits of finite differences; making a context takes as long as a hundred exponentials."""
    return precise(200)


def gradient(log_likelihood: Callable[[Any, dict[str, Any]], Any], model: dict[str, Any], names: Any) -> Vector:
    """Central differences of log_likelihood(mp, model) at 200 digits; names = [(array, index, ...), ...] moved
    together.
    """
    mp = fine()
    step = mp.mpf(10) ** -60
    result = []
    for entries in names:
        ends = [log_likelihood(mp, _moved(mp, model, entries, sign * step)) for sign in (1, -1)]
        result.append((ends[0] - ends[1]) / (2 * step))
    return result


def _moved(mp: Any, model: dict[str, Any], entries: Any, step: Any) -> dict[str, Any]:
    moved = {k: [list(map(mp.mpf, r)) if isinstance(r, list) else mp.mpf(r) for r in v] for k, v in model.items()}
    for name, *index in entries:
        if len(index) == 2:
            moved[name][index[0]][index[1]] += step
        else:
            moved[name][index[0]] += step
    return moved


def rbm_log_likelihood(mp: Any, model: dict[str, Any], data: Any) -> Any:
    """Mean over the rows of -F(x) - log Z."""
    return -mp.fsum(free_energy(mp, model, x) for x in data) / len(data) - log_z(mp, model)


def boltzmann_log_likelihood(mp: Any, model: dict[str, Any], data: Any) -> Any:
    """Mean over the rows of -E(s) - log Z."""
    return -mp.fsum(boltzmann_energy(mp, model, s) for s in data) / len(data) - boltzmann_log_z(mp, model)


def statistic(mp: Any, model: dict[str, Any], x: Any) -> Vector:
    """[x p^T row by row, x, p], p = sigmoid(b + xW)."""
    p = [sigmoid(mp, z) for z in hidden_logits(mp, model, x)]
    return [v * q for v in x for q in p] + [mp.mpf(v) for v in x] + p


def cd_moments(mp: Any, model: dict[str, Any], data: Any, k: int) -> tuple[Vector, Matrix]:
    """Mean and covariance of the CD-k update: sum over every path x0, h0, x1, h1, ..., x_k of every row."""
    nv, nh = len(model["a"]), len(model["b"])
    up = [bernoulli_law(mp, hidden_logits(mp, model, x)) for x in bits(nv)]
    down = [bernoulli_law(mp, visible_logits(mp, model, h)) for h in bits(nh)]
    S = [statistic(mp, model, x) for x in bits(nv)]
    size, n = len(S[0]), len(data)
    mean = [mp.mpf(0)] * size
    covariance = [[mp.mpf(0)] * size for _ in range(size)]
    for x0 in map(index_of, data):
        ends = [mp.mpf(0)] * 2**nv
        for path in itertools.product(range(2**nh), range(2**nv), repeat=k):
            mass, x = mp.mpf(1), x0
            for h, following in zip(path[::2], path[1::2], strict=True):
                mass *= up[x][h] * down[h][following]
                x = following
            ends[x] += mass
        updates = [[S[x0][p] - S[x][p] for p in range(size)] for x in range(2**nv)]
        own = [mp.fsum(ends[x] * updates[x][p] for x in range(2**nv)) for p in range(size)]
        for p in range(size):
            mean[p] += own[p] / n
            for q in range(size):
                terms = (ends[x] * (updates[x][p] - own[p]) * (updates[x][q] - own[q]) for x in range(2**nv))
                covariance[p][q] += mp.fsum(terms) / n**2
    return mean, covariance


def ais_moments(mp: Any, model: dict[str, Any], base: Any, schedule: Any) -> tuple[Any, Any, Any]:
    """E[w] = Z/Z_A in closed form; Var[w] and E[log w] by summing over every path x_1, ..., x_K."""
    nv, nh = len(model["a"]), len(model["b"])
    path = [_on_path(mp, model, base, t) for t in schedule]
    weight = [[-free_energy(mp, m, x) for x in bits(nv)] for m in path]
    kernels = []
    for m in path[1:-1]:
        up = [bernoulli_law(mp, hidden_logits(mp, m, x)) for x in bits(nv)]
        down = [bernoulli_law(mp, visible_logits(mp, m, h)) for h in bits(nh)]
        size = range(2**nv)
        kernels.append([[mp.fsum(up[x][h] * down[h][y] for h in range(2**nh)) for y in size] for x in size])
    start = bernoulli_law(mp, [mp.mpf(v) for v in base])
    second, log_mean = mp.mpf(0), mp.mpf(0)
    for xs in itertools.product(range(2**nv), repeat=len(schedule) - 1):
        mass = start[xs[0]] * mp.fprod(kernels[k][xs[k]][xs[k + 1]] for k in range(len(kernels)))
        log_w = mp.fsum(weight[k + 1][x] - weight[k][x] for k, x in enumerate(xs))
        second += mass * mp.exp(2 * log_w)
        log_mean += mass * log_w
    log_base = mp.fsum(softplus(mp, mp.mpf(v)) for v in base) + nh * mp.log(2)
    mean = mp.exp(log_z(mp, model) - log_base)
    return mean, second - mean**2, log_mean


def _on_path(mp: Any, model: dict[str, Any], base: Any, t: Any) -> dict[str, Any]:
    t = mp.mpf(t)
    return {
        "W": [[t * mp.mpf(w) for w in row] for row in model["W"]],
        "a": [mp.mpf(p) + t * (mp.mpf(q) - mp.mpf(p)) for p, q in zip(base, model["a"], strict=True)],
        "b": [t * mp.mpf(q) for q in model["b"]],
    }
