"""First route to a Gaussian-Bernoulli RBM: a mixture of 2**nh normal laws, found by completing the square.

    E(v,h) = 1/2 sum (v-m(h))^2/s2 - l(h),   m(h) = mu + Wh,   l(h) = b.h + sum (m(h)^2 - mu^2) / (2 s2)
    int exp(-E) dv = exp(l(h)) prod sqrt(2 pi s2)

Everything else follows from p(h) and the normal densities by Bayes' rule: no softplus, no sigmoid, no quadrature.  The
second route (definition_route.py) shares nothing with it.  Component t is the hidden state whose bits are t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ebm_ref.oracle.vectors.encoding import bits

Vector = list[Any]
Matrix = list[list[Any]]


def log_normal(mp: Any, at: Vector, mean: Vector, variance: Vector) -> Any:
    """log N(at; mean, diag variance)."""
    return -mp.fsum(
        mp.log(2 * mp.pi * s) / 2 + (x - m) ** 2 / (2 * s) for x, m, s in zip(at, mean, variance, strict=True)
    )


@dataclass(frozen=True)
class Mixture:
    """The components: int exp(-E(., h)) dv, p(h), means, and the one variance of each visible unit."""

    mp: Any
    integral: Vector
    weights: Vector
    means: Matrix
    variance: Vector

    @property
    def z(self) -> Any:
        return self.mp.fsum(self.integral)

    def log_joint(self, v: Any, h: int) -> Any:
        """log p(v, h)."""
        at = list(map(self.mp.mpf, v))
        return self.mp.log(self.weights[h]) + log_normal(self.mp, at, self.means[h], self.variance)

    def log_density(self, v: Any, units: list[int] | None = None) -> Any:
        """log p(v); with ``units`` the density of these visible units alone, v being their values."""
        units = list(range(len(self.variance))) if units is None else units
        at, variance = list(map(self.mp.mpf, v)), [self.variance[i] for i in units]
        parts = [log_normal(self.mp, at, [m[i] for i in units], variance) for m in self.means]
        return self.mp.log(self.mp.fsum(w * self.mp.exp(p) for w, p in zip(self.weights, parts, strict=True)))

    def responsibilities(self, v: Any) -> Vector:
        """p(h|v), all h."""
        whole = self.log_density(v)
        return [self.mp.exp(self.log_joint(v, h) - whole) for h in range(len(self.means))]

    def hidden_probabilities(self, v: Any) -> Vector:
        """p(h_j = 1|v)."""
        return on_probabilities(self.mp, self.responsibilities(v))

    def score(self, v: Any) -> Vector:
        """d log p(v)/dv = sum_h p(h|v) (m(h) - v)/s2."""
        r = self.responsibilities(v)
        return [
            self.mp.fsum(p * (m[i] - self.mp.mpf(x)) for p, m in zip(r, self.means, strict=True)) / s
            for i, (x, s) in enumerate(zip(v, self.variance, strict=True))
        ]


def on_probabilities(mp: Any, law: Vector) -> Vector:
    """P(bit j = 1) under a law over all states."""
    n = (len(law) - 1).bit_length()
    return [mp.fsum(p for p, h in zip(law, bits(n), strict=True) if h[j]) for j in range(n)]


def mixture(mp: Any, model: dict[str, Any]) -> Mixture:
    """Complete the square for every hidden state."""
    mu, b = list(map(mp.mpf, model["mu"])), list(map(mp.mpf, model["b"]))
    s2 = [mp.exp(mp.mpf(t)) for t in model["log_var"]]
    means, integral = [], []
    for h in bits(len(b)):
        m = [
            p + mp.fsum(mp.mpf(w) for w, on in zip(row, h, strict=True) if on)
            for p, row in zip(mu, model["W"], strict=True)
        ]
        gain = mp.fsum((q**2 - p**2) / (2 * s) for p, q, s in zip(mu, m, s2, strict=True))
        gain += mp.fsum(q for q, on in zip(b, h, strict=True) if on)
        means.append(m)
        integral.append(mp.exp(gain) * mp.fprod(mp.sqrt(2 * mp.pi * s) for s in s2))
    z = mp.fsum(integral)
    return Mixture(mp, integral, [part / z for part in integral], means, s2)


def moments(mp: Any, model: dict[str, Any]) -> dict[str, Any]:
    """E[v] = mu + W E[h],  Cov[v] = diag s2 + W Cov[h] W',  E[v h'] = mu E[h]' + W E[hh'],  E[h],  E[hh']."""
    mix = mixture(mp, model)
    W, mu = model["W"], list(map(mp.mpf, model["mu"]))
    states = bits(len(model["b"]))
    nh = range(len(model["b"]))
    h = on_probabilities(mp, mix.weights)
    hh = [[mp.fsum(p for p, s in zip(mix.weights, states, strict=True) if s[j] and s[k]) for k in nh] for j in nh]

    def spread(i: int, k: int) -> Any:
        own = mix.variance[i] if i == k else 0
        return own + mp.fsum(mp.mpf(W[i][p]) * (hh[p][q] - h[p] * h[q]) * mp.mpf(W[k][q]) for p in nh for q in nh)

    nv = range(len(mu))
    return {
        "v": [m + mp.fsum(mp.mpf(w) * q for w, q in zip(row, h, strict=True)) for m, row in zip(mu, W, strict=True)],
        "covariance": [[spread(i, k) for k in nv] for i in nv],
        "vh": [[mu[i] * h[j] + mp.fsum(mp.mpf(W[i][k]) * hh[k][j] for k in nh) for j in nh] for i in nv],
        "h": h,
        "hh": hh,
    }


def energy_gradient(mp: Any, model: dict[str, Any], v: Any, h: Any) -> Vector:
    """dE/d(W row by row, mu, log_var, b) at one (v, h); h may be probabilities, since all of it is linear in h."""
    s2 = [mp.exp(mp.mpf(t)) for t in model["log_var"]]
    away = [mp.mpf(x) - mp.mpf(m) for x, m in zip(v, model["mu"], strict=True)]
    shift = [mp.fsum(mp.mpf(w) * q for w, q in zip(row, h, strict=True)) for row in model["W"]]
    units = list(zip(v, away, shift, s2, strict=True))
    by_W = [-mp.mpf(x) * q / s for x, _, _, s in units for q in h]
    by_log_var = [(mp.mpf(x) * u - d**2 / 2) / s for x, d, u, s in units]
    return [*by_W, *(-d / s for _, d, _, s in units), *by_log_var, *(-mp.mpf(q) for q in h)]


def log_likelihood_gradient(mp: Any, model: dict[str, Any], data: Any) -> Vector:
    """<-dE>_data - <-dE>_model: the first with p(h|v), the second component by component from its moments."""
    mix = mixture(mp, model)
    seen = [energy_gradient(mp, model, v, mix.hidden_probabilities(v)) for v in data]
    expected = [mp.mpf(0)] * len(seen[0])
    for p, m, h in zip(mix.weights, mix.means, bits(len(model["b"])), strict=True):
        at_mean = energy_gradient(mp, model, m, h)
        first = len(at_mean) - len(h) - len(m)
        for i in range(len(m)):
            at_mean[first + i] -= mp.mpf(1) / 2  # E(v-mu)^2 = (m-mu)^2 + s2
        expected = [t + p * g for t, g in zip(expected, at_mean, strict=True)]
    return [e - mp.fsum(column) / len(data) for e, column in zip(expected, zip(*seen, strict=True), strict=True)]
