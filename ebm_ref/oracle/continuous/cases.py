"""Tiny continuous fixtures with their exact answers: what a Langevin, HMC or Gaussian-Bernoulli candidate is held to.

A ContinuousCase is a law that can be drawn from exactly, its energy, gradient and log Z, and a declared kernel with its
step size.  No special values: sigma is not 1, mu is not 0, W is not square; one fixture is tempered (beta inside).

kernel                    rows     one step
ula, mala                 v        x' = x - eta g(x) + sqrt(2 eta) z, without and with Metropolis-Hastings
hmc                       v        z ~ N(0, I), ``n_inner`` leapfrogs of size eta, accept by the change of H
block_gibbs               [v, h]   h' ~ p(h | v), then v' ~ p(v | h')
gibbs_langevin            [v, h]   ``n_inner`` Langevin steps of size eta on p(v | h), then h' ~ p(h | v')
gibbs_langevin_adjusted   [v, h]   the same as a proposal, accepted by Metropolis-Hastings on the joint law
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
from scipy import special

from ebm_ref.errors import (
    DomainError,
    ModelTooLargeError,
    as_float_array,
    require_choice,
    require_finite,
    require_int,
    require_positive,
    require_shape,
)
from ebm_ref.oracle.arrays import checked, frozen
from ebm_ref.oracle.continuous import equations
from ebm_ref.oracle.continuous.targets import Line, Mixture

Array = np.ndarray
KERNELS = ("ula", "mala", "hmc", "block_gibbs", "gibbs_langevin", "gibbs_langevin_adjusted")
JOINT = ("block_gibbs", "gibbs_langevin", "gibbs_langevin_adjusted")  # kernels of two layers
EXACT = ("mala", "hmc", "block_gibbs", "gibbs_langevin_adjusted")  # kernels that keep the law
REVERSIBLE = ("mala", "hmc", "gibbs_langevin_adjusted")  # with a symmetric flow on their rows
LARGEST = 10  # hidden units: 1024 components
STARTS_1D, STARTS = 32, 16
Naive = Callable[[Any], tuple[float, list[float]]]


@dataclass(frozen=True, eq=False, repr=False)
class ContinuousCase:
    """One fixture.  Make it with ``grbm``, ``gaussian``, ``mixture``, ``line`` or ``named``.

    target     the law of v: energy, gradient, draws
    naive      v -> (energy, gradient) in plain loops, by another route than ``target``
    step_size  eta (n_visible,), one for each coordinate
    n_inner    leapfrogs of hmc, Langevin steps of gibbs_langevin
    W, mu, log_var, b   a GRBM's parameters (nv, nh), (nv,), (nv,), (nh,), beta inside; None for other models
    """

    name: str
    kernel: str
    target: Mixture | Line
    naive: Naive
    step_size: Array
    n_inner: int = 1
    n_hidden: int = 0
    W: Array | None = None
    mu: Array | None = None
    log_var: Array | None = None
    b: Array | None = None
    beta: float = 1.0

    def __repr__(self) -> str:
        """Name, kernel and size; the arrays are long."""
        return f"ContinuousCase({self.name}, {self.kernel}, {self.n_visible} visible and {self.n_hidden} hidden units)"

    @property
    def n_visible(self) -> int:
        """Continuous units."""
        return self.target.dimension

    @property
    def joint(self) -> bool:
        """True if rows are [v, h]."""
        return self.kernel in JOINT

    @property
    def n_units(self) -> int:
        """Columns of a row."""
        return self.n_visible + (self.n_hidden if self.joint else 0)

    @property
    def log_z(self) -> float:
        """log Z of exp(-energy), nats (for a GRBM that of exp(-E(v,h)) too)."""
        return self.target.log_z

    def energy(self, v: Array) -> Array:
        """Energy (n,) of v (n, nv); the free energy of a GRBM."""
        return self.target.energy(v)

    def gradient(self, v: Array) -> Array:
        """dE/dv (n, nv)."""
        return self.target.gradient(v)

    @cached_property
    def hidden(self) -> Array:
        """All h (2^nh, nh)."""
        return frozen(
            np.reshape(equations.hidden_states(self.n_hidden), (-1, self.n_hidden)) if self.n_hidden else [[]]
        )

    @cached_property
    def hidden_law(self) -> Array:
        """p(h), (2^nh,)."""
        return self.mixture.weights

    @property
    def mixture(self) -> Mixture:
        """The target of a GRBM."""
        assert isinstance(self.target, Mixture)
        return self.target

    def hidden_index(self, rows: Array) -> Array:
        """The number of h in rows [v, h]."""
        return rows[:, self.n_visible :].astype(np.int64) @ (1 << np.arange(self.n_hidden))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n independent exact rows: v, or [v, h] if the kernel has two layers."""
        if not self.joint:
            return self.target.draw(n, rng)
        k = self.mixture.components(n, rng)
        return np.hstack([self.mixture.given(k, rng), self.hidden[k]])

    def uniforms(self, rows: Array) -> tuple[Array, list[str]]:
        """Columns (n, f) that are U(0,1) each if rows follow the law, and their names."""
        v = rows[:, : self.n_visible]
        columns, names = self.target.uniforms(v)
        if not self.joint:
            return columns, names
        k = self.hidden_index(rows)
        edges = np.concatenate([[0.0], np.cumsum(self.hidden_law)])
        sd = np.sqrt(np.diagonal(self.mixture.covariances, axis1=1, axis2=2))
        inside = special.ndtr((v - self.mixture.means[k]) / sd[k])
        both = np.clip(edges[k][:, None] + self.hidden_law[k][:, None] * inside, 0.0, 1.0)
        return np.hstack([columns, both]), names + [f"h and x{i}" for i in range(self.n_visible)]

    @cached_property
    def starts(self) -> Array:
        """Fixed rows for laws of one step, float32 numbers: quantiles on the line, else draws that never change."""
        if self.n_visible == 1 and not self.joint:
            q = (np.arange(STARTS_1D) + 0.5) / STARTS_1D
            sample = np.sort(self.target.draw(2**16, np.random.default_rng(20260103))[:, 0])
            rows = sample[(q * len(sample)).astype(int)][:, None]
        else:
            rows = self.draw(STARTS, np.random.default_rng(20260103))
        return frozen(rows.astype(np.float32))


def step_sizes(value: Any, d: int) -> Array:
    """eta for each of d coordinates, from a number or an array (d,)."""
    array = as_float_array("step_size", value)
    if array.ndim:
        require_shape("step_size", array, d)
    require_finite("step_size", array)
    if not (array > 0).all():
        raise DomainError(f"step_size: expected positive numbers, got {array.min()}")
    return frozen(np.broadcast_to(array, (d,)))


def make(name: str, kernel: str, target: Mixture | Line, naive: Naive, step_size: Any, n_inner: int) -> ContinuousCase:
    """A case without hidden units."""
    require_choice("kernel", kernel, tuple(k for k in KERNELS if k not in JOINT))
    steps, inner = step_sizes(step_size, target.dimension), require_int("n_inner", n_inner, 1)
    return ContinuousCase(name, kernel, target, naive, steps, inner)


def grbm(
    W: Any,
    mu: Any,
    log_var: Any,
    b: Any,
    kernel: str = "block_gibbs",
    *,
    step_size: Any = 0.2,
    n_inner: int = 3,
    beta: float = 1.0,
    name: str | None = None,
) -> ContinuousCase:
    """A Gaussian-Bernoulli RBM, E(v,h) = sum (v-mu)^2/(2 sigma^2) - (v/sigma^2)'Wh - b.h, log_var = log sigma^2.

    W (nv, nh), mu (nv,), log_var (nv,), b (nh,) before tempering: the case holds log_var - log beta and beta b.
    Raises ShapeError, DomainError, ModelTooLargeError.

    >>> case = grbm([[1.0], [-0.5]], [0.2, 0.1], [0.0, 0.5], [0.3])
    >>> case.n_units, case.mixture.means.shape, round(case.log_z, 6)
    (3, (2, 2), 3.434596)
    """
    require_choice("kernel", kernel, KERNELS)
    beta = require_positive("beta", beta)
    W = checked("W", W, None, None)
    nv, nh = W.shape
    mu, log_var, b = checked("mu", mu, nv), checked("log_var", log_var, nv), checked("b", b, nh)
    if nh > LARGEST:
        raise ModelTooLargeError(f"case: {nh} hidden units have 2**{nh} components; use at most {LARGEST}")
    log_var, b = frozen(log_var - np.log(beta)), frozen(beta * b)
    plain = W.tolist(), mu.tolist(), log_var.tolist(), b.tolist()
    log_weights = np.array(equations.grbm_log_weights(*plain))
    means = frozen([equations.grbm_mean(plain[0], plain[1], h) for h in equations.hidden_states(nh)])
    covariances = frozen(np.broadcast_to(np.diag(np.exp(log_var)), (len(means), nv, nv)))
    target = Mixture(frozen(special.softmax(log_weights)), means, covariances, equations.grbm_log_z(*plain))

    def naive(v: Any) -> tuple[float, list[float]]:
        return equations.grbm_free_energy(*plain, v), equations.grbm_gradient(*plain, v)

    steps, inner = step_sizes(step_size, nv), require_int("n_inner", n_inner, 1)
    name = name or f"grbm_{nv}x{nh}"
    return ContinuousCase(name, kernel, target, naive, steps, inner, nh, W, mu, log_var, b, beta)


def mixture(
    weights: Any,
    means: Any,
    covariances: Any,
    kernel: str = "mala",
    *,
    step_size: Any = 0.5,
    n_inner: int = 3,
    log_z: float = 0.0,
    name: str = "mixture",
) -> ContinuousCase:
    """A mixture of Gaussians: weights (k,), means (k, d), covariances (k, d, d); energy = -log density - log_z.

    >>> case = mixture([0.5, 0.5], [[-1.0], [1.0]], [[[1.0]], [[1.0]]])
    >>> case.gradient(np.zeros((1, 1))).tolist()
    [[0.0]]
    """
    w = checked("weights", weights, None)
    means = checked("means", means, len(w), None)
    C = checked("covariances", covariances, len(w), means.shape[1], means.shape[1])
    if not (w > 0).all() or not np.isclose(w.sum(), 1.0, rtol=0, atol=1e-12):
        raise DomainError("weights: expected positive numbers that add up to 1")
    if not np.array_equal(C, np.swapaxes(C, 1, 2)) or np.linalg.eigvalsh(C).min() <= 0:
        raise DomainError("covariances: expected symmetric positive definite matrices")
    target = Mixture(w, means, C, float(log_z))
    naive = partial(
        equations.mixture_energy, w.tolist(), means.tolist(), target.precisions.tolist(), target.log_dets.tolist(),
        float(log_z),
    )  # fmt: skip
    return make(name, kernel, target, naive, step_size, n_inner)


def gaussian(
    mean: Any, covariance: Any, kernel: str = "mala", *, step_size: Any = 0.5, n_inner: int = 3, name: str = "gaussian"
) -> ContinuousCase:
    """E(x) = 1/2 (x - mean)' covariance^-1 (x - mean).

    >>> gaussian([1.0, 0.0], [[1.0, 0.5], [0.5, 2.0]]).energy(np.array([[1.0, 0.0]])).round(12).tolist()
    [0.0]
    """
    mean = checked("mean", mean, None)
    C = checked("covariance", covariance, len(mean), len(mean))
    log_z = 0.5 * (len(mean) * np.log(2 * np.pi) + np.linalg.slogdet(C)[1])
    return mixture([1.0], mean[None], C[None], kernel, step_size=step_size, n_inner=n_inner, log_z=log_z, name=name)


def quartic(a: float, b: float, c: float, name: str, step_size: float) -> ContinuousCase:
    """E(x) = a x^4 - b x^2 + c x."""
    target = Line(lambda x: (a * x**4 - b * x**2 + c * x, 4 * a * x**3 - 2 * b * x + c), -6.0, 6.0)

    def naive(x: Any) -> tuple[float, list[float]]:
        energy, slope = equations.quartic_energy(a, b, c, x[0])
        return energy, [slope]

    return make(name, "mala", target, naive, step_size, 3)


def network(s: float, w: Array, u: Array, t: Array, name: str, step_size: float) -> ContinuousCase:
    """E(x) = x^2 / (2 s^2) + sum_k w_k tanh(u_k x + t_k)."""

    def of(x: Array) -> tuple[Array, Array]:
        units = np.tanh(x[..., None] * u + t)
        return x**2 / (2 * s * s) + units @ w, x / (s * s) + (1 - units**2) @ (w * u)

    def naive(x: Any) -> tuple[float, list[float]]:
        energy, slope = equations.network_energy(s, w.tolist(), u.tolist(), t.tolist(), x[0])
        return energy, [slope]

    return make(name, "mala", Line(of, -14.0 * s, 14.0 * s), naive, step_size, 3)


def generic_network(name: str) -> ContinuousCase:
    """Four tanh units: w, u, t ~ N(0, 1.5^2), N(0, 1), N(0, 1), s = 1.4."""
    rng = np.random.default_rng(20260104)
    return network(1.4, rng.normal(0, 1.5, 4), rng.normal(0, 1, 4), rng.normal(0, 1, 4), name, 0.9)


W2, MU2, S2, B2 = [[0.9, -0.6], [0.8, 1.5]], [0.7, -1.1], 2 * np.log([0.6, 1.7]), [-0.5, 0.4]
W3 = [[0.7, -0.4, 0.5], [0.9, 1.3, -0.8], [-0.5, 0.6, 1.1]]
MU3, S3, B3 = [0.4, -0.9, 0.6], 2 * np.log([0.7, 1.6, 0.9]), [-0.6, 0.5, -0.2]

FIXTURES: tuple[tuple[str, Callable[[str], ContinuousCase]], ...] = (
    ("gauss_2d", lambda name: gaussian([0.5, -1.0], [[1.0, 0.6], [0.6, 2.0]], step_size=0.8, name=name)),
    ("gmm_1d", lambda name: mixture([0.35, 0.65], [[-1.5], [1.2]], [[[1.0]]] * 2, step_size=1.0,
                                    log_z=0.5 * np.log(2 * np.pi), name=name)),
    ("quartic_1d", lambda name: quartic(0.25, 0.8, 0.3, name, 0.35)),
    ("mlp_1d", generic_network),
    ("grbm_2x2", lambda name: grbm(W2, MU2, S2, B2, step_size=0.3, name=name)),
    ("grbm_2x2_hot", lambda name: grbm(W2, MU2, S2, B2, step_size=0.3, beta=0.7, name=name)),
    ("grbm_3x3", lambda name: grbm(W3, MU3, S3, B3, step_size=[0.2, 0.9, 0.35], name=name)),
    ("grbm_2x3", lambda name: grbm([W3[0], W3[1]], MU3[:2], S3[:2], B3, step_size=[0.2, 0.9], name=name)),
)  # fmt: skip
NAMES = tuple(name for name, _ in FIXTURES)


@lru_cache(maxsize=64)
def named(name: str, kernel: str | None = None) -> ContinuousCase:
    """The fixture of that name (one of NAMES), with another kernel if one is given; the same object every time.

    >>> named("grbm_2x2").kernel, named("grbm_2x2", "mala").n_units
    ('block_gibbs', 2)
    """
    require_choice("name", name, NAMES)
    case = dict(FIXTURES)[name](name)
    return case if kernel is None else with_kernel(case, kernel)


def with_kernel(case: ContinuousCase, kernel: str, step_size: Any = None, n_inner: int | None = None) -> ContinuousCase:
    """The same model under another kernel, step size (one number, or one for each coordinate), or ``n_inner``."""
    require_choice("kernel", kernel, KERNELS)
    if kernel in JOINT and not case.n_hidden:
        raise DomainError(f"kernel: {kernel} needs two layers; use 'ula', 'mala', 'hmc', or a GRBM")
    steps = case.step_size if step_size is None else step_sizes(step_size, case.n_visible)
    inner = case.n_inner if n_inner is None else require_int("n_inner", n_inner, 1)
    return replace(case, kernel=kernel, step_size=steps, n_inner=inner)
