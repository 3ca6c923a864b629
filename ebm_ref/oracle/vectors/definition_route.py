"""Second route to a Gaussian-Bernoulli RBM: the energy as it is defined, integrated numerically.

For fixed h the integrand exp(-E) factorises over the visible units, and each factor is smooth and falls off as fast as
a normal density: the trapezoidal rule with spacing 3/8 sigma errs by exp(-2 pi^2 (8/3)^2) ~ 1e-61, the ends cut off at
17 sigma by less than 1e-62.  Free energies by softplus, conditionals by sigmoids, derivatives by finite differences at
200 digits, other conventions by the coefficients of E as a polynomial.  See mixture_route.py for the first route.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors.encoding import bits
from ebm_ref.oracle.vectors.factor_route import fine, gradient, sigmoid, softplus

Vector = list[Any]
Matrix = list[list[Any]]
Model = dict[str, Any]


def energy(mp: Any, model: Model, v: Any, h: Any) -> Any:
    """E(v,h) = 1/2 sum (v-mu)^2/sigma^2 - sum_ij v_i W_ij h_j / sigma_i^2 - b.h,  sigma = exp(log_var/2)."""
    total = -mp.fsum(mp.mpf(q) * on for q, on in zip(model["b"], h, strict=True))
    for x, m, t, row in zip(v, model["mu"], model["log_var"], model["W"], strict=True):
        sigma = mp.exp(mp.mpf(t) / 2)
        total += ((mp.mpf(x) - mp.mpf(m)) / sigma) ** 2 / 2
        total -= mp.fsum(mp.mpf(x) * mp.mpf(w) * on for w, on in zip(row, h, strict=True)) / sigma**2
    return total


def hidden_logits(mp: Any, model: Model, v: Any) -> Vector:
    """E(v, h_j = 0) - E(v, h_j = 1) with the other hidden units off."""
    off = [0] * len(model["b"])
    base = energy(mp, model, v, off)
    return [base - energy(mp, model, v, [*off[:j], 1, *off[j + 1 :]]) for j in range(len(off))]


def free_energy(mp: Any, model: Model, v: Any) -> Any:
    """F(v) = E(v, 0) - sum_j softplus(logit_j)."""
    soft = mp.fsum(softplus(mp, z) for z in hidden_logits(mp, model, v))
    return energy(mp, model, v, [0] * len(model["b"])) - soft


def hidden_probabilities(mp: Any, model: Model, v: Any) -> Vector:
    """p(h_j = 1|v)."""
    return [sigmoid(mp, z) for z in hidden_logits(mp, model, v)]


def moved_by(mp: Any, energy_at: Any, v: Any) -> Vector:
    """-d energy_at(context, v)/dv by finite differences: a score."""
    at = {"v": list(v)}
    slope = gradient(lambda ctx, moved: energy_at(ctx, moved["v"]), at, [[("v", i)] for i in range(len(v))])
    return [-mp.mpf(g) for g in slope]


def parameter_names(model: Model) -> list[list[tuple]]:
    """W row by row, then the other arrays in the order of the record."""
    pairs = [[("W", i, j)] for i, row in enumerate(model["W"]) for j in range(len(row))]
    return pairs + [[(name, i)] for name in list(model)[1:] for i in range(len(model[name]))]


def energy_gradient(model: Model, v: Any, h: Any) -> Vector:
    """dE(v,h)/dtheta by finite differences, in the order of ``parameter_names``."""
    return gradient(lambda ctx, moved: energy(ctx, moved, v, h), model, parameter_names(model))


def unit_integrals(mp: Any, model: Model, i: int) -> Matrix:
    """For every h the integrals of 1, v, v^2 times exp(-E_i(v, h)) over v, E_i being the terms of E that hold v_i."""
    W, mu, sigma = [mp.mpf(w) for w in model["W"][i]], mp.mpf(model["mu"][i]), mp.exp(mp.mpf(model["log_var"][i]) / 2)
    step = sigma * 3 / 8
    n = int(mp.ceil((17 * sigma + mp.fsum(map(abs, W))) / step))
    points = [mu + k * step for k in range(-n, n + 1)]
    alone = [mp.exp(-(((x - mu) / sigma) ** 2) / 2) for x in points]
    pulls = [[mp.exp(x * w / sigma**2) for x in points] for w in W]
    result = []
    for h in bits(len(W)):
        values = alone
        for pull, on in zip(pulls, h, strict=True):
            values = [p * q for p, q in zip(values, pull, strict=True)] if on else values
        result.append([step * mp.fsum(x**power * y for x, y in zip(points, values, strict=True)) for power in range(3)])
    return result


class Quadrature:
    """The law of (v, h) by numerical integration: ``integral[h]`` = int exp(-E) dv, and the moments of v given h."""

    def __init__(self, mp: Any, model: Model) -> None:
        self.mp, self.states = mp, bits(len(model["b"]))
        by_unit = [unit_integrals(mp, model, i) for i in range(len(model["mu"]))]
        self.units = [list(row) for row in zip(*by_unit, strict=True)]
        self.integral = self.integrals_over(range(len(by_unit)), model["b"])
        self.z = mp.fsum(self.integral)
        self.law = [part / self.z for part in self.integral]

    def integrals_over(self, units: Any, b: Any) -> Vector:
        """int exp(-E) over these visible units alone, E with the hidden biases b, all h."""
        weights = [
            self.mp.exp(self.mp.fsum(self.mp.mpf(q) for q, on in zip(b, h, strict=True) if on)) for h in self.states
        ]
        return [w * self.mp.fprod(row[i][0] for i in units) for w, row in zip(weights, self.units, strict=True)]

    def mean_given(self, h: int) -> Vector:
        """E[v|h]."""
        return [u[1] / u[0] for u in self.units[h]]

    def variance_given(self, h: int) -> Vector:
        """Var[v|h]."""
        return [u[2] / u[0] - (u[1] / u[0]) ** 2 for u in self.units[h]]

    def average(self, f: Any) -> Any:
        """sum_h p(h) f(index, h)."""
        return self.mp.fsum(p * f(t, h) for t, (p, h) in enumerate(zip(self.law, self.states, strict=True)))

    def moments(self) -> dict[str, Any]:
        """E[v], Cov[v], E[v h'], E[h], E[hh']."""
        nv, nh = range(len(self.units[0])), range(len(self.states[0]))
        means = [self.mean_given(t) for t in range(len(self.states))]
        v = [self.average(lambda t, h, i=i: means[t][i]) for i in nv]

        def second(t: int, i: int, k: int) -> Any:
            return self.units[t][i][2] / self.units[t][i][0] if i == k else means[t][i] * means[t][k]

        return {
            "v": v,
            "covariance": [
                [self.average(lambda t, h, i=i, k=k: second(t, i, k)) - v[i] * v[k] for k in nv] for i in nv
            ],
            "vh": [[self.average(lambda t, h, i=i, j=j: means[t][i] * h[j]) for j in nh] for i in nv],
            "h": [self.average(lambda t, h, j=j: h[j]) for j in nh],
            "hh": [[self.average(lambda t, h, j=j, k=k: h[j] * h[k]) for k in nh] for j in nh],
        }

    def couplings(self) -> tuple[Matrix, Vector]:
        """(J, c) with log integral(h) = 1/2 h'Jh + c.h + constant: differences of log integrals."""
        log, nh = [self.mp.log(part) for part in self.integral], range(len(self.states[0]))
        pairs = [
            [log[(1 << j) | (1 << k)] - log[1 << j] - log[1 << k] + log[0] if j != k else self.mp.mpf(0) for k in nh]
            for j in nh
        ]
        return pairs, [log[1 << j] - log[0] for j in nh]


def conditioned(mp: Any, model: Model, known: list[int], v: Any) -> Model:
    """The machine of the units that are not known: what E(., h) says about the known ones goes into the biases."""
    rest = [i for i, is_known in enumerate(known) if not is_known]
    off = [0] * len(model["b"])
    at = [x if is_known else 0 for x, is_known in zip(v, known, strict=True)]
    base = energy(mp, model, at, off)
    b = [base - energy(mp, model, at, [*off[:j], 1, *off[j + 1 :]]) for j in range(len(off))]
    return {k: [model[k][i] for i in rest] for k in ("W", "mu", "log_var")} | {"b": b}


def log_likelihood(mp: Any, model: Model, data: Any) -> Any:
    """Mean over the rows of -F(v) - log Z; Z by sum over h of exp(b.h + sum (mu (Wh) + (Wh)^2/2)/s2)."""
    terms = []
    for h in bits(len(model["b"])):
        term = mp.fsum(mp.mpf(q) * on for q, on in zip(model["b"], h, strict=True))
        for m, t, row in zip(model["mu"], model["log_var"], model["W"], strict=True):
            shift = mp.fsum(mp.mpf(w) * on for w, on in zip(row, h, strict=True))
            term += (mp.mpf(m) + shift / 2) * shift * mp.exp(-mp.mpf(t))
        terms.append(mp.exp(term))
    log_z = mp.log(mp.fsum(terms)) + mp.fsum(mp.log(2 * mp.pi) + mp.mpf(t) for t in model["log_var"]) / 2
    return -mp.fsum(free_energy(mp, model, v) for v in data) / len(data) - log_z


def coefficients(mp: Any, energy_of: Any, nv: int, nh: int) -> tuple[Matrix, Vector, Vector, Vector, Any]:
    """(K, theta, gamma, b, constant) of E = 1/2 sum gamma v^2 - theta.v - v'Kh - b.h + constant, from values of E."""
    zero_v, zero_h = [0] * nv, [0] * nh
    base = energy_of(zero_v, zero_h)

    def one(n: int, i: int, value: int = 1) -> list[int]:
        return [value if k == i else 0 for k in range(n)]

    up = [energy_of(one(nv, i), zero_h) - base for i in range(nv)]
    down = [energy_of(one(nv, i, -1), zero_h) - base for i in range(nv)]
    b = [base - energy_of(zero_v, one(nh, j)) for j in range(nh)]
    pairs = [[up[i] + base - b[j] - energy_of(one(nv, i), one(nh, j)) for j in range(nh)] for i in range(nv)]
    return (
        pairs,
        [(d - u) / 2 for u, d in zip(up, down, strict=True)],
        [u + d for u, d in zip(up, down, strict=True)],
        b,
        base,
    )


def scaled_energy(mp: Any, given: Model, v: Any, h: Any) -> Any:
    """E = 1/2 sum (v-mu)^2/sigma^2 - (v/sigma)'Wh - b.h, the form of Hinton 2010 and Krizhevsky 2009."""
    total = -mp.fsum(mp.mpf(q) * on for q, on in zip(given["b"], h, strict=True))
    for x, m, s, row in zip(v, given["mu"], given["sigma"], given["W"], strict=True):
        unit = mp.mpf(x) / mp.mpf(s)
        total += (unit - mp.mpf(m) / mp.mpf(s)) ** 2 / 2 - unit * mp.fsum(
            mp.mpf(w) * on for w, on in zip(row, h, strict=True)
        )
    return total


def to_scaled(model: Model) -> Model:
    """The parameters of the scaled form at 200 digits, for finite differences."""
    mp = fine()
    sigma = [mp.exp(mp.mpf(t) / 2) for t in model["log_var"]]
    W = [[mp.mpf(w) / s for w in row] for row, s in zip(model["W"], sigma, strict=True)]
    return {"W": W, "mu": model["mu"], "sigma": sigma, "b": model["b"]}
