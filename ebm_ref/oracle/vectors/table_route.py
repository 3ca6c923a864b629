"""First route: the definition.  Every number is a sum over the table w(s) = exp(-E(s)) of all joint states s = [x, h].

Slow and obvious; uses no sigmoid, no softplus and no conditional independence.  The second route (factor_route.py)
shares nothing with it.  Numbers are mpmath's; matrices are lists of rows.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from ebm_ref.oracle.vectors.encoding import bits

Vector = list[Any]
Matrix = list[list[Any]]


@dataclass(frozen=True)
class Table:
    """The unnormalised weights of all 2**(nv+nh) joint states, visible units first."""

    mp: Any
    nv: int
    nh: int
    energy: Vector
    weight: Vector
    z: Any

    def over_hidden(self, x: int) -> Any:
        """sum_h w(x, h)."""
        return self.mp.fsum(self.weight[x + (h << self.nv)] for h in range(2**self.nh))

    def over_visible(self, h: int) -> Any:
        """sum_x w(x, h)."""
        return self.mp.fsum(self.weight[x + (h << self.nv)] for x in range(2**self.nv))


def table(mp: Any, nv: int, nh: int, energy: Vector) -> Table:
    """The weights exp(-E) of all joint states, and their sum."""
    weight = [mp.exp(-e) for e in energy]
    return Table(mp, nv, nh, energy, weight, mp.fsum(weight))


def rbm_table(mp: Any, W: Any, a: Any, b: Any) -> Table:
    """E(x,h) = -sum_i a_i x_i - sum_j b_j h_j - sum_ij x_i W_ij h_j."""
    nv, nh = len(a), len(b)
    energy = []
    for s in bits(nv + nh):
        x, h = s[:nv], s[nv:]
        e = mp.mpf(0)
        for i in range(nv):
            e -= mp.mpf(a[i]) * x[i]
        for j in range(nh):
            e -= mp.mpf(b[j]) * h[j]
        for i in range(nv):
            for j in range(nh):
                e -= x[i] * mp.mpf(W[i][j]) * h[j]
        energy.append(e)
    return table(mp, nv, nh, energy)


def boltzmann_table(mp: Any, J: Any, c: Any) -> Table:
    """E(s) = -1/2 sum_ij s_i J_ij s_j - sum_i c_i s_i; all units count as visible."""
    n = len(c)
    energy = []
    for s in bits(n):
        pair = mp.fsum(mp.mpf(J[i][j]) * s[i] * s[j] for i in range(n) for j in range(n))
        energy.append(-pair / 2 - mp.fsum(mp.mpf(c[i]) * s[i] for i in range(n)))
    return table(mp, n, 0, energy)


def hidden_conditional(t: Table, x: int) -> Vector:
    """p(h|x) for all h."""
    total = t.over_hidden(x)
    return [t.weight[x + (h << t.nv)] / total for h in range(2**t.nh)]


def visible_conditional(t: Table, h: int) -> Vector:
    """p(x|h) for all x."""
    total = t.over_visible(h)
    return [t.weight[x + (h << t.nv)] / total for x in range(2**t.nv)]


def unit_probabilities(t: Table, distribution: Vector, n: int) -> Vector:
    """P(unit i = 1) under a law over 2**n states."""
    return [t.mp.fsum(p for p, s in zip(distribution, bits(n), strict=True) if s[i]) for i in range(n)]


def mean_statistics(t: Table) -> tuple[Vector, Vector, Matrix]:
    """E[x], E[h], E[x h^T]."""
    p = [w / t.z for w in t.weight]
    joint = bits(t.nv + t.nh)
    one = unit_probabilities(t, p, t.nv + t.nh)
    both = [
        [t.mp.fsum(q for q, s in zip(p, joint, strict=True) if s[i] and s[t.nv + j]) for j in range(t.nh)]
        for i in range(t.nv)
    ]
    return one[: t.nv], one[t.nv :], both


def product(mp: Any, left: Matrix, right: Matrix) -> Matrix:
    """The matrix product."""
    columns = list(zip(*right, strict=True))
    return [[mp.fdot(row, column) for column in columns] for row in left]


def site_kernel(t: Table, i: int) -> Matrix:
    """K_i: draw unit i anew, given all others."""
    n = t.nv + t.nh
    rows = []
    for s in range(2**n):
        pair = (s & ~(1 << i), s | (1 << i))
        total = t.weight[pair[0]] + t.weight[pair[1]]
        rows.append([t.weight[q] / total if q in pair else t.mp.mpf(0) for q in range(2**n)])
    return rows


def scan_kernel(t: Table, order: list[int]) -> Matrix:
    """K_order[0] K_order[1] ...: the product of the site kernels, first factor first in time."""
    result = site_kernel(t, order[0])
    for i in order[1:]:
        result = product(t.mp, result, site_kernel(t, i))
    return result


def random_scan_kernel(t: Table) -> Matrix:
    """(1/n) sum_i K_i."""
    n = t.nv + t.nh
    sites = [site_kernel(t, i) for i in range(n)]
    return [[t.mp.fsum(k[s][q] for k in sites) / n for q in range(2**n)] for s in range(2**n)]


def metropolis_kernel(t: Table) -> Matrix:
    """One uniformly proposed flip, accepted with min(1, w(s')/w(s))."""
    n = t.nv + t.nh
    rows = [[t.mp.mpf(0)] * 2**n for _ in range(2**n)]
    for s in range(2**n):
        for i in range(n):
            flipped = s ^ (1 << i)
            rows[s][flipped] = min(t.mp.mpf(1), t.weight[flipped] / t.weight[s]) / n
        rows[s][s] = 1 - t.mp.fsum(rows[s])
    return rows


def visible_chain(t: Table) -> Matrix:
    """p(x'|x) = sum_h p(h|x) p(x'|h)."""
    up = [hidden_conditional(t, x) for x in range(2**t.nv)]
    down = [visible_conditional(t, h) for h in range(2**t.nh)]
    return product(t.mp, up, down)


def second_eigenvalue(mp: Any, kernel: Matrix, stationary: Vector) -> Any:
    """The largest modulus below the eigenvalue 1 of a reversible kernel, by symmetrisation and a full eigensystem."""
    n = len(kernel)
    root = [mp.sqrt(p) for p in stationary]
    symmetric = mp.matrix(n, n)
    for i in range(n):
        for j in range(n):
            symmetric[i, j] = root[i] * kernel[i][j] / root[j]
    values = sorted(abs(v) for v in mp.eigsy((symmetric + symmetric.T) / 2, eigvals_only=True))
    return values[-2]


def rbm_statistic(t: Table, x: int) -> Vector:
    """S(x) = [x p(h|x)^T row by row, x, p(h|x)]: the Rao-Blackwellised statistic of contrastive divergence."""
    p = unit_probabilities(t, hidden_conditional(t, x), t.nh)
    state = bits(t.nv)[x]
    return [state[i] * p[j] for i in range(t.nv) for j in range(t.nh)] + [t.mp.mpf(v) for v in state] + p


def cd_moments(t: Table, rows: list[int], k: int) -> tuple[Vector, Matrix]:
    """Mean and covariance of the CD-k update on a batch of rows, each used once, from the matrix power K**k.

    With m_i = S_i - (K**k S)_i and C_i = sum_j K**k_ij S_j S_j^T - (K**k S)_i (K**k S)_i^T: the mean of m over the
    batch, and sum C / m**2.
    """
    mp = t.mp
    S = [rbm_statistic(t, x) for x in range(2**t.nv)]
    step = visible_chain(t)
    power = step
    for _ in range(k - 1):
        power = product(mp, power, step)
    end = product(mp, power, S)
    size, n = len(S[0]), len(rows)
    mean = [mp.fsum(S[x][p] - end[x][p] for x in rows) / n for p in range(size)]
    covariance = [[mp.mpf(0)] * size for _ in range(size)]
    for x in rows:
        for p in range(size):
            for q in range(size):
                second = mp.fsum(power[x][y] * S[y][p] * S[y][q] for y in range(len(S)))
                covariance[p][q] += (second - end[x][p] * end[x][q]) / n**2
    return mean, covariance


def ais_moments(mp: Any, model: dict[str, Any], base: Any, schedule: Any) -> tuple[Any, Any, Any]:
    """E[w], Var[w] and E[log w] of annealed importance sampling, by pushing measures through the kernels.

    Path: log p*_t(x,h) = ((1-t) base + t a).x + t (b.h + x'Wh), weights on the visible marginal p*_t(x);
    m <- m r_k^q, then m <- m T_{t_k}, r_k = p*_{t_k} / p*_{t_{k-1}}.
    """
    tables = [_path_table(mp, model, base, t) for t in schedule]
    size = range(2 ** tables[0].nv)
    start = [tables[0].over_hidden(x) / tables[0].z for x in size]
    first, second, law, log_mean = start, start, start, mp.mpf(0)
    for previous, current in itertools.pairwise(tables):
        ratio = [current.over_hidden(x) / previous.over_hidden(x) for x in size]
        log_mean += mp.fsum(law[x] * mp.log(ratio[x]) for x in size)
        kernel = visible_chain(current)
        first = product(mp, [[first[x] * ratio[x] for x in size]], kernel)[0]
        second = product(mp, [[second[x] * ratio[x] ** 2 for x in size]], kernel)[0]
        law = product(mp, [law], kernel)[0]
    mean = mp.fsum(first)
    return mean, mp.fsum(second) - mean**2, log_mean


def _path_table(mp: Any, model: dict[str, Any], base: Any, t: Any) -> Table:
    t = mp.mpf(t)
    W = [[t * mp.mpf(w) for w in row] for row in model["W"]]
    a = [(1 - t) * mp.mpf(p) + t * mp.mpf(q) for p, q in zip(base, model["a"], strict=True)]
    return rbm_table(mp, W, a, [t * mp.mpf(q) for q in model["b"]])
