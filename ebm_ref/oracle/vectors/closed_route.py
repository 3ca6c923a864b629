"""Second route to Langevin samplers: simplified closed forms, with gradients by finite differences at 200 digits.

    log ratio = [E - E' + 1/2 d.(g+g') - 1/4 sum lam (g'^2 - g^2)] / T,   d = x' - x
    on a Gaussian E - E' + 1/2 d.(g+g') = 0, and ULA's stationary law is T (P - P diag(lam) P / 2)^-1
    leapfrog as the two-term recurrence x_(k+1) = 2 x_k - x_(k-1) - e^2 g(x_k)/T,   p_k = (x_(k+1) - x_(k-1)) / (2e)

See proposal_route.py for the first route, the targets and the notation.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors import definition_route as direct

Vector = list[Any]
Matrix = list[list[Any]]
Model = dict[str, Any]


def energy(mp: Any, model: Model, x: Vector) -> Any:
    """E with the square expanded, by Horner's rule, or by softplus."""
    x = list(map(mp.mpf, x))
    if "precision" in model:
        n, m = range(len(x)), list(map(mp.mpf, model["mean"]))
        return mp.fsum(
            mp.mpf(model["precision"][i][j]) * (x[i] * x[j] / 2 - x[i] * m[j] + m[i] * m[j] / 2) for i in n for j in n
        )
    if "quartic" in model:
        units = zip(x, model["quartic"], model["quadratic"], model["linear"], strict=True)
        return mp.fsum(((mp.mpf(a) * p**2 - 2 * mp.mpf(b)) * p / 4 - mp.mpf(c)) * p for p, a, b, c in units)
    return direct.free_energy(mp, model, x)


def gradient(mp: Any, model: Model, x: Vector) -> Vector:
    """dE/dx by central differences."""
    return [-s for s in direct.moved_by(mp, lambda ctx, at: energy(ctx, model, at), x)]


class Walk:
    """Steps lam (by coordinate) at temperature T on a target."""

    def __init__(self, mp: Any, model: Model, step_size: Vector, temperature: Any) -> None:
        self.mp, self.model, self.lam, self.T = mp, model, list(map(mp.mpf, step_size)), mp.mpf(temperature)
        self.known: dict[tuple[Any, ...], Vector] = {}

    def gradient(self, x: Vector) -> Vector:
        """dE/dx, once for each x."""
        key = tuple(x)
        if key not in self.known:
            self.known[key] = gradient(self.mp, self.model, x)
        return self.known[key]

    def log_q(self, to: Vector, at: Vector) -> Any:
        """The square of the residual multiplied out."""
        terms = []
        for y, x, g, lam in zip(to, at, self.gradient(at), self.lam, strict=True):
            d = self.mp.mpf(y) - self.mp.mpf(x)
            terms.append(d**2 / (4 * lam) + d * g / 2 + lam * g**2 / 4)
        constant = self.mp.fsum(self.mp.log(4 * self.mp.pi * self.T * lam) for lam in self.lam) / 2
        return -self.mp.fsum(terms) / self.T - constant

    def log_ratio(self, old: Vector, new: Vector) -> Any:
        mp, model = self.mp, self.model
        g, h = self.gradient(old), self.gradient(new)
        cost = mp.fsum(lam * (q**2 - p**2) for lam, p, q in zip(self.lam, g, h, strict=True)) / 4
        if "precision" in model:
            return -cost / self.T
        work = mp.fsum((mp.mpf(y) - mp.mpf(x)) * (p + q) for x, y, p, q in zip(old, new, g, h, strict=True)) / 2
        return (energy(mp, model, old) - energy(mp, model, new) + work - cost) / self.T

    def move(self, x: Vector, z: Vector) -> Vector:
        mp, result = self.mp, []
        for p, g, lam, n in zip(x, self.gradient(x), self.lam, z, strict=True):
            result.append(mp.mpf(p) + mp.sqrt(lam) * (mp.sqrt(2 * self.T) * mp.mpf(n) - mp.sqrt(lam) * g))
        return result

    def trace(self, x: Vector, z: Matrix, u: Vector | None = None) -> Matrix:
        """The states after each move; MALA keeps x where log u >= log ratio."""
        states = [x]
        for t, normals in enumerate(z):
            new = self.move(states[-1], normals)
            refused = u is not None and self.mp.log(self.mp.mpf(u[t])) >= self.log_ratio(states[-1], new)
            states.append(states[-1] if refused else new)
        return states[1:]


def leapfrog(mp: Any, model: Model, x: Vector, p: Vector, steps: Vector, n: int, T: Any) -> tuple[Vector, Vector]:
    """The positions alone, by the recurrence; the momentum from the neighbours of the last one."""
    e = list(map(mp.mpf, steps))
    before = list(map(mp.mpf, x))
    force = gradient(mp, model, before)
    here = [r + s * mp.mpf(q) - s**2 * g / (2 * T) for r, s, q, g in zip(before, e, p, force, strict=True)]
    for _ in range(n):
        g = gradient(mp, model, here)
        after = [2 * r - b - s**2 * k / T for r, b, s, k in zip(here, before, e, g, strict=True)]
        before, here, last = here, after, before
    return before, [(a - b) / (2 * s) for a, b, s in zip(here, last, e, strict=True)]


def gaussian_moments(mp: Any, model: Model, x: Vector, steps: Vector, T: Any, k: int) -> tuple[Any, Any]:
    """m + M^k (x - m) and C - M^k C M^k' with the stationary C; M^k by the eigenvectors of D^1/2 P D^1/2."""
    values, root, U = spectrum(mp, model, steps)
    power = root * U * mp.diag([(1 - q) ** k for q in values]) * U.T * root**-1
    centre, C = mp.matrix(model["mean"]), stationary_covariance(mp, model, steps, T)
    mean = centre + power * (mp.matrix(x) - centre)
    return list(mean), (C - power * C * power.T).tolist()


def spectrum(mp: Any, model: Model, steps: Vector) -> tuple[Vector, Any, Any]:
    """Eigenvalues q, D^1/2 and eigenvectors of D^1/2 P D^1/2, D = diag lam."""
    root = mp.diag([mp.sqrt(mp.mpf(lam)) for lam in steps])
    values, U = mp.eigsy(root * mp.matrix(model["precision"]) * root)
    return list(values), root, U


def stationary_covariance(mp: Any, model: Model, steps: Vector, T: Any) -> Any:
    """T (P - P D P / 2)^-1."""
    P, D = mp.matrix(model["precision"]), mp.diag(list(map(mp.mpf, steps)))
    return T * (P - P * D * P / 2) ** -1


def bias(mp: Any, model: Model, steps: Vector, T: Any) -> Any:
    """Stationary covariance minus T P^-1: T/2 (D^-1 - P/2)^-1."""
    return T / 2 * (mp.diag([1 / mp.mpf(lam) for lam in steps]) - mp.matrix(model["precision"]) / 2) ** -1


def kl_divergence(mp: Any, model: Model, steps: Vector) -> Any:
    """1/2 sum [r - 1 - log r], r = 1/(1 - q/2); the temperature drops out."""
    ratios = [1 / (1 - q / 2) for q in spectrum(mp, model, steps)[0]]
    return mp.fsum(r - 1 - mp.log(r) for r in ratios) / 2


def inner_chain(mp: Any, variance: Vector, steps: Vector) -> tuple[Vector, Vector]:
    """rho = prod (1 - eta/s2),  tau2 = 2 sum_k eta_k prod_{l>k} (1 - eta_l/s2)^2."""
    eta = list(map(mp.mpf, steps))
    rho, tau2 = [], []
    for s in variance:
        rho.append(mp.fprod((s - e) / s for e in eta))
        tails = [mp.fprod((1 - later / s) ** 2 for later in eta[k + 1 :]) for k in range(len(eta))]
        tau2.append(2 * mp.fsum(e * tail for e, tail in zip(eta, tails, strict=True)))
    return rho, tau2


def gibbs_langevin_log_ratio(
    mp: Any, model: Model, old: tuple[Vector, list[int]], new: tuple[Vector, list[int]], steps: Vector
) -> Any:
    """F(v) - F(v') + sum [(v'-rho v-(1-rho)m(h))^2 - (v-rho v'-(1-rho)m(h'))^2] / (2 tau2): p(h'|v') drops out."""
    sigma = [mp.exp(mp.mpf(t) / 2) for t in model["log_var"]]
    rho, tau2 = inner_chain(mp, [s**2 for s in sigma], steps)

    def exponent(start: tuple[Vector, list[int]], to: Vector) -> Any:
        terms = []
        for i, (v, target) in enumerate(zip(start[0], to, strict=True)):
            shift = mp.fsum(mp.mpf(w) for w, on in zip(model["W"][i], start[1], strict=True) if on)
            away = mp.mpf(target) - rho[i] * mp.mpf(v) - (1 - rho[i]) * (mp.mpf(model["mu"][i]) + shift)
            terms.append(away**2 / (2 * tau2[i]))
        return mp.fsum(terms)

    change = direct.free_energy(mp, model, old[0]) - direct.free_energy(mp, model, new[0])
    return change + exponent(old, new[0]) - exponent(new, old[0])
