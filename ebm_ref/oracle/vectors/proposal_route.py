"""First route to Langevin samplers: densities written out, moves made one by one.          exp(-E(x)/T)

    x' = x - lam g(x) + s z,  s^2 = 2 lam T;     log q(x'|x) = log N(x'; x - lam g, diag s^2)
    log ratio = -E(x')/T + log q(x|x') + E(x)/T - log q(x'|x)

Gradients by hand.  Three kinds of targets, told by their arrays: Gaussian (mean, precision); independent double wells
(quartic, quadratic, linear), E = sum a x^4/4 - b x^2/2 - c x; the marginal of a GRBM as a mixture (mixture_route.py).
The second route (closed_route.py) shares nothing with it.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors.mixture_route import log_normal, mixture

Vector = list[Any]
Matrix = list[list[Any]]
Model = dict[str, Any]


def kind(model: Model) -> str:
    """Which target the arrays are of."""
    return "gaussian" if "precision" in model else "wells" if "quartic" in model else "grbm"


def energy_and_gradient(mp: Any, model: Model, x: Vector) -> tuple[Any, Vector]:
    """(E, dE/dx) of the target."""
    if kind(model) == "gaussian":
        away = [p - mp.mpf(m) for p, m in zip(x, model["mean"], strict=True)]
        pull = [mp.fdot(map(mp.mpf, row), away) for row in model["precision"]]
        return mp.fdot(away, pull) / 2, pull
    if kind(model) == "wells":
        wells = [
            tuple(map(mp.mpf, unit)) for unit in zip(model["quartic"], model["quadratic"], model["linear"], strict=True)
        ]
        value = mp.fsum(a * p**4 / 4 - b * p**2 / 2 - c * p for p, (a, b, c) in zip(x, wells, strict=True))
        return value, [a * p**3 - b * p - c for p, (a, b, c) in zip(x, wells, strict=True)]
    mix = mixture(mp, model)
    return -mix.log_density(x) - mp.log(mix.z), [-s for s in mix.score(x)]


class Walk:
    """Steps lam (by coordinate) at temperature T on a target."""

    def __init__(self, mp: Any, model: Model, step_size: Vector, temperature: Any) -> None:
        self.mp, self.model, self.lam, self.T = mp, model, list(map(mp.mpf, step_size)), mp.mpf(temperature)
        self.variance = [2 * lam * self.T for lam in self.lam]

    def mean(self, x: Vector) -> Vector:
        """x - lam g."""
        _, g = energy_and_gradient(self.mp, self.model, x)
        return [p - lam * q for p, lam, q in zip(x, self.lam, g, strict=True)]

    def log_q(self, to: Vector, at: Vector) -> Any:
        """log q(to|at)."""
        return log_normal(self.mp, to, self.mean(at), self.variance)

    def log_ratio(self, old: Vector, new: Vector) -> Any:
        """log pi(new) q(old|new) - log pi(old) q(new|old)."""
        change = energy_and_gradient(self.mp, self.model, old)[0] - energy_and_gradient(self.mp, self.model, new)[0]
        return change / self.T + self.log_q(old, new) - self.log_q(new, old)

    def move(self, x: Vector, z: Vector) -> Vector:
        return [m + self.mp.sqrt(s) * self.mp.mpf(n) for m, s, n in zip(self.mean(x), self.variance, z, strict=True)]

    def trace(self, x: Vector, z: Matrix, u: Vector | None = None) -> Matrix:
        """The states after each move; with uniforms u those of MALA, which accepts if u < exp(log ratio)."""
        states = []
        for t, normals in enumerate(z):
            new = self.move(x, normals)
            if u is None or self.mp.mpf(u[t]) < self.mp.exp(self.log_ratio(x, new)):
                x = new
            states.append(x)
        return states


def leapfrog(mp: Any, model: Model, x: Vector, p: Vector, steps: Vector, n: int, T: Any) -> tuple[Vector, Vector]:
    """n times: p <- p - e g/(2T), x <- x + e p, p <- p - e g/(2T)."""
    e = list(map(mp.mpf, steps))
    for _ in range(n):
        for half in range(2):
            _, g = energy_and_gradient(mp, model, x)
            p = [q - s * k / (2 * T) for q, s, k in zip(p, e, g, strict=True)]
            if half == 0:
                x = [r + s * q for r, s, q in zip(x, e, p, strict=True)]
    return x, p


def hamiltonian(mp: Any, model: Model, x: Vector, p: Vector, T: Any) -> Any:
    """E/T + |p|^2/2."""
    return energy_and_gradient(mp, model, x)[0] / T + mp.fsum(q**2 for q in p) / 2


def gaussian_moments(mp: Any, model: Model, x: Vector, steps: Vector, T: Any, k: int) -> tuple[Any, Any]:
    """Mean and covariance after k steps of ULA from x, one by one: C <- MCM' + 2T diag lam, M = I - diag lam P."""
    move, noise = _linear(mp, model, steps, T)
    centre = mp.matrix(model["mean"])
    mean, covariance = mp.matrix(x), mp.zeros(len(x))
    for _ in range(k):
        mean = centre + move * (mean - centre)
        covariance = move * covariance * move.T + noise
    return list(mean), covariance.tolist()


def stationary_covariance(mp: Any, model: Model, steps: Vector, T: Any) -> Any:
    """The fixed point of C = MCM' + 2T diag lam by doubling: C_2k = C_k + M^k C_k M^k', C_1 = 2T diag lam."""
    move, total = _linear(mp, model, steps, T)
    for _ in range(14):
        total = total + move * total * move.T
        move = move * move
    return total


def _linear(mp: Any, model: Model, steps: Vector, T: Any) -> tuple[Any, Any]:
    lam = mp.diag(list(map(mp.mpf, steps)))
    return mp.eye(len(steps)) - lam * mp.matrix(model["precision"]), 2 * T * lam


def kl_divergence(mp: Any, model: Model, covariance: Any, T: Any) -> Any:
    """KL(N(m, C) || exp(-E/T)) = 1/2 [tr(PC/T) - d - log det(PC/T)]."""
    product = mp.matrix(model["precision"]) * covariance / T
    d = product.rows
    return (mp.fsum(product[i, i] for i in range(d)) - d - mp.log(mp.det(product))) / 2


def inner_chain(mp: Any, variance: Vector, steps: Vector) -> tuple[Vector, Vector]:
    """K Langevin steps on N(m, s2), one by one: rho <- rho f, tau2 <- tau2 f^2 + 2 eta, f = 1 - eta/s2."""
    rho, tau2 = [mp.mpf(1)] * len(variance), [mp.mpf(0)] * len(variance)
    for eta in map(mp.mpf, steps):
        f = [1 - eta / s for s in variance]
        rho = [r * q for r, q in zip(rho, f, strict=True)]
        tau2 = [t * q**2 + 2 * eta for t, q in zip(tau2, f, strict=True)]
    return rho, tau2


def gibbs_langevin_log_ratio(
    mp: Any, model: Model, old: tuple[Vector, list[int]], new: tuple[Vector, list[int]], steps: Vector
) -> Any:
    """log p(v',h') q(v|v',h') p(h|v) - log p(v,h) q(v'|v,h) p(h'|v'), all of it written out."""
    mix = mixture(mp, model)
    rho, tau2 = inner_chain(mp, mix.variance, steps)

    def there(start: tuple[Vector, list[int]], end: tuple[Vector, list[int]]) -> Any:
        (v, h), (to, chosen) = start, end
        t, c = _index(h), _index(chosen)
        mean = [r * x + (1 - r) * m for r, x, m in zip(rho, v, mix.means[t], strict=True)]
        return mix.log_joint(v, t) + log_normal(mp, to, mean, tau2) + mp.log(mix.responsibilities(to)[c])

    return there(new, old) - there(old, new)


def _index(h: list[int]) -> int:
    return sum(on << j for j, on in enumerate(h))
