"""Continuous models in plain loops over scalars: the equations read aloud, for the judge's deterministic checks.

GRBM    s = log sigma^2,  c_j(v) = b_j + sum_i v_i W_ij / sigma_i^2,  m_i(h) = mu_i + sum_j W_ij h_j
(1)     E(v,h) = sum_i (v_i - mu_i)^2 / (2 sigma_i^2) - sum_ij v_i W_ij h_j / sigma_i^2 - sum_j b_j h_j
(2)     F(v) = sum_i (v_i - mu_i)^2 / (2 sigma_i^2) - sum_j softplus(c_j)        dF/dv_i = (v_i - mu_i - sum_j W_ij
        sigmoid(c_j)) / sigma_i^2
(3)     p(h_j = 1 | v) = sigmoid(c_j),   p(v | h) = N(m(h), diag sigma^2)
(4)     l(h) = b.h + sum_i (mu_i (Wh)_i + (Wh)_i^2 / 2) / sigma_i^2
        log Z = sum_i (log 2 pi + s_i) / 2 + log sum_h e^l(h)
(5)     dE/dW_ij = -v_i h_j / sigma_i^2,  dE/db_j = -h_j,  dE/dmu_i = -(v_i - mu_i) / sigma_i^2,
        dE/ds_i = -(v_i - mu_i)^2 / (2 sigma_i^2) + v_i (Wh)_i / sigma_i^2
mixture (6)  E(x) = -log sum_k w_k N(x; m_k, C_k) - log Z,  dE/dx = sum_k p(k | x) C_k^-1 (x - m_k)
line    (7)  E(x) = a x^4 - b x^2 + c x        (8)  E(x) = x^2 / (2 s^2) + sum_k w_k tanh(u_k x + t_k)

Sources: Cho, Ilin and Raiko 2011; Liao et al. 2022 (2210.10318); lecture 9.
"""

from __future__ import annotations

import itertools
import math

from ebm_ref.oracle.naive import Row, Table, sigmoid


def softplus(z: float) -> float:
    """log(1 + exp z).

    >>> softplus(0.0) == math.log(2.0), softplus(800.0)
    (True, 800.0)
    """
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def grbm_energy(W: Table, mu: Row, log_var: Row, b: Row, v: Row, h: Row) -> float:
    """(1), nats.

    >>> grbm_energy([[2.0]], [1.0], [0.0], [0.5], [3.0], [1])
    -4.5
    """
    nv, nh = len(mu), len(b)
    square = math.fsum(0.5 * (v[i] - mu[i]) ** 2 / math.exp(log_var[i]) for i in range(nv))
    pairs = math.fsum(v[i] * W[i][j] * h[j] / math.exp(log_var[i]) for i in range(nv) for j in range(nh))
    return square - pairs - math.fsum(b[j] * h[j] for j in range(nh))


def grbm_logit(W: Table, log_var: Row, b: Row, v: Row, j: int) -> float:
    """c_j(v)."""
    return b[j] + math.fsum(v[i] * W[i][j] / math.exp(log_var[i]) for i in range(len(v)))


def grbm_free_energy(W: Table, mu: Row, log_var: Row, b: Row, v: Row) -> float:
    """(2), nats."""
    square = math.fsum(0.5 * (v[i] - mu[i]) ** 2 / math.exp(log_var[i]) for i in range(len(mu)))
    return square - math.fsum(softplus(grbm_logit(W, log_var, b, v, j)) for j in range(len(b)))


def grbm_gradient(W: Table, mu: Row, log_var: Row, b: Row, v: Row) -> list[float]:
    """dF/dv of (2)."""
    p = grbm_hidden(W, log_var, b, v)
    pull = [math.fsum(W[i][j] * p[j] for j in range(len(b))) for i in range(len(mu))]
    return [(v[i] - mu[i] - pull[i]) / math.exp(log_var[i]) for i in range(len(mu))]


def grbm_hidden(W: Table, log_var: Row, b: Row, v: Row) -> list[float]:
    """p(h_j = 1 | v) of (3)."""
    return [sigmoid(grbm_logit(W, log_var, b, v, j)) for j in range(len(b))]


def grbm_mean(W: Table, mu: Row, h: Row) -> list[float]:
    """m(h) of (3)."""
    return [mu[i] + math.fsum(W[i][j] * h[j] for j in range(len(h))) for i in range(len(mu))]


def hidden_states(n: int) -> list[tuple[int, ...]]:
    """All h in the order of their index sum_j h_j 2^j.

    >>> hidden_states(2)
    [(0, 0), (1, 0), (0, 1), (1, 1)]
    """
    return [word[::-1] for word in itertools.product((0, 1), repeat=n)]


def grbm_log_weights(W: Table, mu: Row, log_var: Row, b: Row) -> list[float]:
    """l(h) of (4) for each h."""
    found = []
    for h in hidden_states(len(b)):
        shift = [m - mu[i] for i, m in enumerate(grbm_mean(W, mu, h))]
        pull = [(mu[i] * shift[i] + 0.5 * shift[i] ** 2) / math.exp(log_var[i]) for i in range(len(mu))]
        found.append(math.fsum([*(b[j] * h[j] for j in range(len(b))), *pull]))
    return found


def grbm_log_z(W: Table, mu: Row, log_var: Row, b: Row) -> float:
    """log Z of (4), nats.

    >>> abs(grbm_log_z([[0.0]], [0.0], [0.0], [0.0]) - math.log(2.0) - 0.5 * math.log(2 * math.pi)) < 1e-15
    True
    """
    weights = grbm_log_weights(W, mu, log_var, b)
    top = max(weights)
    volume = math.fsum(0.5 * (math.log(2 * math.pi) + s) for s in log_var)
    return volume + top + math.log(math.fsum(math.exp(w - top) for w in weights))


def grbm_energy_gradient(mu: Row, log_var: Row, W: Table, v: Row, h: Row) -> list[float]:
    """dE/dtheta of (5), flat: W row by row, mu, log_var, b."""
    nv, nh = len(mu), len(h)
    var = [math.exp(s) for s in log_var]
    pull = [math.fsum(W[i][j] * h[j] for j in range(nh)) for i in range(nv)]
    d_W = [-v[i] * h[j] / var[i] for i in range(nv) for j in range(nh)]
    d_mu = [-(v[i] - mu[i]) / var[i] for i in range(nv)]
    d_s = [-0.5 * (v[i] - mu[i]) ** 2 / var[i] + v[i] * pull[i] / var[i] for i in range(nv)]
    return [*d_W, *d_mu, *d_s, *(-float(h[j]) for j in range(nh))]


def component_terms(weight: float, mean: Row, precision: Table, log_det: float, x: Row) -> tuple[float, list[float]]:
    """log w_k N(x; m_k, C_k) and C_k^-1 (x - m_k)."""
    d = len(mean)
    gap = [x[i] - mean[i] for i in range(d)]
    pull = [math.fsum(precision[i][j] * gap[j] for j in range(d)) for i in range(d)]
    square = math.fsum(gap[i] * pull[i] for i in range(d))
    return math.log(weight) - 0.5 * (square + log_det + d * math.log(2 * math.pi)), pull


def mixture_energy(
    weights: Row, means: Table, precisions: list[Table], log_dets: Row, log_z: float, x: Row
) -> tuple[float, list[float]]:
    """(6) and its gradient; log_dets are those of the covariances."""
    parts = [component_terms(w, m, P, ld, x) for w, m, P, ld in zip(weights, means, precisions, log_dets, strict=True)]
    top = max(log for log, _ in parts)
    total = math.fsum(math.exp(log - top) for log, _ in parts)
    share = [math.exp(log - top) / total for log, _ in parts]
    gradient = [math.fsum(s * pull[i] for s, (_, pull) in zip(share, parts, strict=True)) for i in range(len(x))]
    return -top - math.log(total) - log_z, gradient


def quartic_energy(a: float, b: float, c: float, x: float) -> tuple[float, float]:
    """(7) and its derivative."""
    return a * x**4 - b * x**2 + c * x, 4 * a * x**3 - 2 * b * x + c


def network_energy(s: float, w: Row, u: Row, t: Row, x: float) -> tuple[float, float]:
    """(8) and its derivative."""
    units = [math.tanh(u[k] * x + t[k]) for k in range(len(w))]
    slope = math.fsum(w[k] * u[k] * (1.0 - units[k] ** 2) for k in range(len(w)))
    return x * x / (2 * s * s) + math.fsum(w[k] * units[k] for k in range(len(w))), x / (s * s) + slope
