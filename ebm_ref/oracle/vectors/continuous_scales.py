"""Scales of answers about continuous units: the sum of the absolute values of the terms that an answer is made of.

An implementation may expand (v-mu)^2 or take differences late, so each term is counted at its largest form: |v-mu| as
|v| + |mu|, a coupling as the sum of its absolute terms.  A probability exp(t) carries p (1 + the terms of t).
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors.encoding import mapped

Vector = list[Any]


class GrbmScale:
    """Absolute terms of a Gaussian-Bernoulli RBM; everything here is at most a few times the largest term."""

    def __init__(self, mp: Any, model: dict[str, Any]) -> None:
        self.mp, self.model = mp, model
        self.W = [[abs(mp.mpf(w)) for w in row] for row in model["W"]]
        self.mu, self.b = [abs(mp.mpf(p)) for p in model["mu"]], [abs(mp.mpf(q)) for q in model["b"]]
        self.s2 = [mp.exp(mp.mpf(t)) for t in model["log_var"]]
        self.reach = [m + mp.fsum(row) for m, row in zip(self.mu, self.W, strict=True)]  # largest |m_i(h)|
        self.constant = mp.fsum(mp.log(2 * mp.pi) + abs(mp.mpf(t)) for t in model["log_var"]) / 2
        self.log_z = 1 + self.constant + mp.fsum(self.b)
        self.log_z += mp.fsum(r**2 / s for r, s in zip(self.reach, self.s2, strict=True))

    def quadratic(self, v: Any) -> Any:
        """1/2 sum (v-mu)^2/s2."""
        return self.mp.fsum(
            (abs(self.mp.mpf(x)) + m) ** 2 / (2 * s) for x, m, s in zip(v, self.mu, self.s2, strict=True)
        )

    def logits(self, v: Any) -> Vector:
        """b + W'(v/s2)."""
        pulls = [[abs(self.mp.mpf(x)) * w / s for w in row] for x, row, s in zip(v, self.W, self.s2, strict=True)]
        return [q + self.mp.fsum(column) for q, column in zip(self.b, zip(*pulls, strict=True), strict=True)]

    def energy(self, v: Any, h: Any) -> Any:
        return self.quadratic(v) + self.mp.fsum(z for z, on in zip(self.logits(v), h, strict=True) if on)

    def free_energy(self, v: Any) -> Any:
        return self.quadratic(v) + self.mp.fsum(z + self.mp.log(2) for z in self.logits(v))

    def size(self, v: Any) -> Any:
        """What p(h|v) is multiplied with."""
        return 1 + self.mp.fsum(self.logits(v))

    def on(self, v: Any) -> Vector:
        """p(h_j=1|v) times what it carries."""
        given = list(zip(v, self.model["W"], self.s2, strict=True))
        result = []
        for j, (q, terms) in enumerate(zip(self.model["b"], self.logits(v), strict=True)):
            logit = self.mp.mpf(q) + self.mp.fsum(self.mp.mpf(x) * self.mp.mpf(row[j]) / s for x, row, s in given)
            result.append((1 + terms) / (1 + self.mp.exp(-logit)))
        return result

    def score(self, v: Any) -> Vector:
        """(m(h) - v)/s2 averaged over p(h|v)."""
        pulls = [self.mp.fsum(w * q for w, q in zip(row, self.on(v), strict=True)) for row in self.W]
        return [(abs(self.mp.mpf(x)) + m + pull) / s for x, m, pull, s in zip(v, self.mu, pulls, self.s2, strict=True)]

    def score_given(self, v: Any) -> Vector:
        """(m(h) - v)/s2, any h."""
        return [(abs(self.mp.mpf(x)) + r) / s for x, r, s in zip(v, self.reach, self.s2, strict=True)]

    def curvature(self) -> list[Vector]:
        """At least |d^2 F/dv_i dv_k|, since Var h <= 1/4."""
        pairs = [[self.mp.fdot(p, q) / 4 for q in self.W] for p in self.W]
        n = range(len(self.s2))
        return [[pairs[i][k] / (self.s2[i] * self.s2[k]) + (1 / self.s2[i] if i == k else 0) for k in n] for i in n]

    def parameter_gradient(self, v: Any, h: Vector) -> Vector:
        """dE/d(W row by row, mu, log_var, b), h on or probabilities with their errors inside."""
        units = [(abs(self.mp.mpf(x)), m, r, s) for x, m, r, s in zip(v, self.mu, self.reach, self.s2, strict=True)]
        by_W = [x * q / s for x, _, _, s in units for q in h]
        by_log_var = [(x * r * max(1, *h) + (x + m) ** 2 / 2) / s for x, m, r, s in units]
        return [*by_W, *((x + m) / s for x, m, _, s in units), *by_log_var, *h]


class TargetScale:
    """Absolute terms of E and dE/dx of a target of Langevin samplers, and a bound on its curvature at x."""

    def __init__(self, mp: Any, model: dict[str, Any]) -> None:
        self.mp, self.model = mp, model
        self.grbm = GrbmScale(mp, model) if "log_var" in model else None

    def _sum(self, x: Any) -> Vector:
        return [abs(self.mp.mpf(p)) + abs(self.mp.mpf(m)) for p, m in zip(x, self.model["mean"], strict=True)]

    def energy(self, x: Any) -> Any:
        if self.grbm:
            return self.grbm.free_energy(x) + self.grbm.log_z
        if "precision" in self.model:
            return self.mp.fsum(p * g for p, g in zip(self._sum(x), self.gradient(x), strict=True))
        return self.mp.fsum(g * abs(self.mp.mpf(p)) for p, g in zip(x, self.gradient(x), strict=True))

    def gradient(self, x: Any) -> Vector:
        if self.grbm:
            return self.grbm.score(x)
        if "precision" in self.model:
            return [
                self.mp.fsum(abs(self.mp.mpf(w)) * p for w, p in zip(row, self._sum(x), strict=True))
                for row in self.model["precision"]
            ]
        wells = zip(x, self.model["quartic"], self.model["quadratic"], self.model["linear"], strict=True)
        return [abs(a) * abs(self.mp.mpf(p)) ** 3 + abs(b) * abs(self.mp.mpf(p)) + abs(c) for p, a, b, c in wells]

    def grown(self, x: Any, error: Vector) -> Vector:
        """An error of x in dE/dx: at least |d^2 E/dx_i dx_k| error_k."""
        mp = self.mp
        if "quartic" in self.model:
            wells = zip(x, self.model["quartic"], self.model["quadratic"], error, strict=True)
            return [(3 * abs(a) * mp.mpf(p) ** 2 + abs(b)) * e for p, a, b, e in wells]
        rows = self.grbm.curvature() if self.grbm else mapped(lambda w: abs(mp.mpf(w)), self.model["precision"])
        return [mp.fdot(row, error) for row in rows]


class WalkScale:
    """Absolute terms of moves, their densities and the acceptance ratio."""

    def __init__(self, mp: Any, model: dict[str, Any], step_size: Vector, temperature: Any) -> None:
        self.mp, self.target = mp, TargetScale(mp, model)
        self.lam, self.T = list(map(mp.mpf, step_size)), mp.mpf(temperature)

    def log_q(self, to: Vector, at: Vector) -> Any:
        units = zip(to, at, self.target.gradient(at), self.lam, strict=True)
        total = 1 + self.mp.fsum((abs(y) + abs(x) + lam * g) ** 2 / (4 * lam * self.T) for y, x, g, lam in units)
        return total + self.mp.fsum(abs(self.mp.log(4 * self.mp.pi * lam * self.T)) for lam in self.lam)

    def log_ratio(self, old: Vector, new: Vector) -> Any:
        energies = (self.target.energy(old) + self.target.energy(new)) / self.T
        return energies + self.log_q(old, new) + self.log_q(new, old)

    def trace(self, x: Vector, z: list[Vector], states: list[Vector]) -> list[Vector]:
        """Terms of each move and what it inherits: |x| + lam |g| + s |z| + (1 + lam K) times the scale before."""
        rows, before = [], [self.mp.mpf(0)] * len(x)
        for normals, state in zip(z, states, strict=True):
            slopes = [g + k for g, k in zip(self.target.gradient(x), self.target.grown(x, before), strict=True)]
            units = zip(x, slopes, self.lam, normals, before, strict=True)
            before = [abs(p) + lam * g + self.mp.sqrt(2 * lam * self.T) * abs(n) + b for p, g, lam, n, b in units]
            rows.append(before)
            x = state
        return rows


def leapfrog_scale(
    mp: Any, model: dict[str, Any], path: list[tuple[Vector, Vector]], steps: Vector, T: Any
) -> tuple[Vector, Vector]:
    """The same for positions and momenta along leapfrog steps; a momentum may be a difference of positions."""
    target = TargetScale(mp, model)
    of_x = [mp.mpf(0)] * len(steps)
    of_p = [mp.mpf(0)] * len(steps)
    for x, p in path:
        slopes = [g + k for g, k in zip(target.gradient(x), target.grown(x, of_x), strict=True)]
        kick = [mp.mpf(e) * g / T for e, g in zip(steps, slopes, strict=True)]
        of_p = [s + abs(q) + k for s, q, k in zip(of_p, p, kick, strict=True)]
        of_x = [s + abs(r) + mp.mpf(e) * q for s, r, e, q in zip(of_x, x, steps, of_p, strict=True)]
    return of_x, [q + r / mp.mpf(e) for q, r, e in zip(of_p, of_x, steps, strict=True)]
