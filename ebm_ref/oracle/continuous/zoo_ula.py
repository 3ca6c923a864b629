"""Wrong unadjusted Langevin steps.  Recipe mistakes have a Gaussian law of one step, so data can tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import special

from ebm_ref.oracle.continuous.bug import ContinuousBug, Step
from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.continuous.recipe import Function, Recipe, make_step, metropolis, reference

Array = np.ndarray
Mutation = Callable[[Recipe, ContinuousCase], Recipe | None]
ROOT = float(np.sqrt(0.5))


def factors(drift: float, noise: float) -> Mutation:
    """x' = x - drift eta g + noise sqrt(2 eta) z."""
    return lambda recipe, case: replace(recipe, drift=drift, noise=noise)


def noise_by_step(power: float, factor: float = 1.0) -> Mutation:
    """Noise factor * eta^power in place of sqrt(2 eta)."""

    def mutate(recipe: Recipe, case: ContinuousCase) -> Recipe | None:
        noise = factor * recipe.eta**power / np.sqrt(2 * recipe.eta)
        return None if np.allclose(noise, 1.0) else replace(recipe, noise=noise)

    return mutate


def half_drift_noise_eta(recipe: Recipe, case: ContinuousCase) -> Recipe:
    """x' = x - eta (g / 2 + z)."""
    return replace(recipe, drift=0.5, noise=recipe.eta / np.sqrt(2 * recipe.eta))


def mean_step(recipe: Recipe, case: ContinuousCase) -> Recipe | None:
    """One step size for all coordinates."""
    eta = np.full_like(recipe.eta, recipe.eta.mean())
    return None if np.allclose(eta, recipe.eta) else replace(recipe, eta=eta)


def mean_noise(recipe: Recipe, case: ContinuousCase) -> Recipe | None:
    """The preconditioner in the drift only."""
    noise = np.sqrt(recipe.eta.mean() / recipe.eta)
    return None if np.allclose(noise, 1.0) else replace(recipe, noise=noise)


def with_gradient(make: Callable[[ContinuousCase], Function | None]) -> Mutation:
    """Another gradient; None where the mistake means nothing."""

    def mutate(recipe: Recipe, case: ContinuousCase) -> Recipe | None:
        gradient = make(case)
        return None if gradient is None else replace(recipe, gradient=gradient)

    return mutate


def grbm_gradient(sd_power: float = 2.0, mean: float = 1.0, bias: float = 1.0, centred: bool = False) -> Mutation:
    """dF/dv with sigma^sd_power inside c(v), without mu, without b, or with (v - mu) in the coupling."""

    def make(case: ContinuousCase) -> Function | None:
        if case.W is None or case.mu is None or case.log_var is None or case.b is None:
            return None
        W, mu, b, var = case.W, case.mu, case.b, np.exp(case.log_var)

        def gradient(v: Array) -> Array:
            shifted = v - mu if centred else v
            p = 1.0 / (1.0 + np.exp(-(bias * b + (shifted / np.sqrt(var) ** sd_power) @ W)))
            return (v - mean * mu - p @ W.T) / var

        return gradient

    return with_gradient(make)


def negative_phase_missing(case: ContinuousCase) -> Function | None:
    """(v - mu) / sigma^2: the hidden units forgotten."""
    if case.mu is None or case.log_var is None:
        return None
    mu, var = case.mu, np.exp(case.log_var)
    return lambda v: (v - mu) / var


def beta_forgotten(case: ContinuousCase) -> Function | None:
    """g / beta."""
    return None if case.beta == 1.0 else lambda v: case.gradient(v) / case.beta


def beta_twice(case: ContinuousCase) -> Function | None:
    """beta g."""
    return None if case.beta == 1.0 else lambda v: case.gradient(v) * case.beta


# mistakes that are none of the recipe's ------------------------------------------------------------------------------


def with_noise(
    draw: Callable[[np.random.Generator, tuple[int, int]], Array],
) -> Callable[[Recipe, ContinuousCase], Step]:
    """A step with z from ``draw(rng, shape)``."""

    def wrap(recipe: Recipe, case: ContinuousCase) -> Step:
        def step(x: Array, seed: int) -> Array:
            z = draw(np.random.default_rng(seed), x.shape)
            return x - recipe.eta * recipe.gradient(x) + np.sqrt(2 * recipe.eta) * z

        return step

    return wrap


def antithetic(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """z and -z in neighbouring rows."""
    z = rng.standard_normal(shape)
    z[1::2] = -z[0 : len(z) // 2 * 2 : 2]
    return z


def paired(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """The second half of a call repeats the first."""
    z = rng.standard_normal(shape)
    half = len(z) // 2
    z[half : 2 * half] = z[:half]
    return z


def truncated(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Cut at two standard deviations."""
    z = rng.standard_normal(shape)
    while (far := np.abs(z) > 2).any():
        z[far] = rng.standard_normal(int(far.sum()))
    return z


def noise_first(recipe: Recipe, case: ContinuousCase) -> Step:
    """The gradient where the noise has already brought the state."""

    def step(x: Array, seed: int) -> Array:
        y = x + np.sqrt(2 * recipe.eta) * np.random.default_rng(seed).standard_normal(x.shape)
        return y - recipe.eta * recipe.gradient(y)

    return step


def clamped(recipe: Recipe, case: ContinuousCase) -> Step:
    """A box from -3 to 3 after the step."""
    right = make_step(recipe)
    return lambda x, seed: np.clip(right(x, seed), -3.0, 3.0)


def stale(recipe: Recipe, case: ContinuousCase) -> Step:
    """The gradient of the call before, if it had as many rows: a cache that is never refreshed in time."""
    cache: dict[int, Array] = {}

    def step(x: Array, seed: int) -> Array:
        g = cache.get(len(x), recipe.gradient(x))
        cache[len(x)] = recipe.gradient(x)
        z = np.random.default_rng(seed).standard_normal(x.shape)
        return x - recipe.eta * g + np.sqrt(2 * recipe.eta) * z

    return step


def batch_mean(recipe: Recipe, case: ContinuousCase) -> Step:
    """The energy averaged over the batch: gradients divided by the number of rows, temperature = batch size."""

    def step(x: Array, seed: int) -> Array:
        z = np.random.default_rng(seed).standard_normal(x.shape)
        return x - recipe.eta * recipe.gradient(x) / len(x) + np.sqrt(2 * recipe.eta) * z

    return step


def same_noise(recipe: Recipe, case: ContinuousCase) -> Step:
    """One fixed key for every call."""
    right = make_step(recipe)
    return lambda x, seed: right(x, 0)


def adjusted(recipe: Recipe, case: ContinuousCase) -> Step:
    """MALA."""
    mala = reference(replace(case, kernel="mala"))
    return make_step(replace(mala, accept=metropolis))


def two_steps(recipe: Recipe, case: ContinuousCase) -> Step:
    """Two steps in one call."""
    right = make_step(recipe)
    return lambda x, seed: right(right(x, seed), seed + 2**31)


def mixed_float(recipe: Recipe, case: ContinuousCase) -> Step:
    """States kept in float16."""
    right = make_step(recipe)
    return lambda x, seed: right(x, seed).astype(np.float16).astype(np.float32)


def uniform_density(r: Array) -> Array:
    """Uniform of variance 1."""
    return np.where(np.abs(r) < np.sqrt(3.0), -np.log(2 * np.sqrt(3.0)), -np.inf).sum(axis=1)


def laplace_density(r: Array) -> Array:
    """Laplace of variance 1."""
    return (-np.sqrt(2.0) * np.abs(r) - 0.5 * np.log(2.0)).sum(axis=1)


def positive_density(r: Array) -> Array:
    """Uniform on [0, 1)."""
    inside = ((r > -1e-6) & (r < 1.0 + 1e-6)).all(axis=1)
    return np.where(inside, 0.0, -np.inf)


def truncated_density(r: Array) -> Array:
    """Normal, cut at two standard deviations."""
    inside = -0.5 * r**2 - 0.5 * np.log(2 * np.pi) - np.log(0.9544997361036416)
    return np.where(np.abs(r) <= 2.0, inside, -np.inf).sum(axis=1)


def noise_first_density(recipe: Recipe, x: Array, end: Array) -> Array:
    """log density of x' = y - eta g(y), y = x + sqrt(2 eta) z: that of y over |det (1 - eta dg/dy)|."""
    y, d, h = end.copy(), end.shape[1], 1e-5
    J, rest = np.empty((len(y), d, d)), np.arange(len(y))
    for _ in range(NEWTON):  # one step suffices where g is linear; rows that have arrived stay
        at = y[rest]
        slopes = [recipe.gradient(at + e) - recipe.gradient(at - e) for e in h * np.eye(d)]
        J[rest] = np.eye(d) - recipe.eta[:, None] * np.stack(slopes, axis=2) / (2 * h)
        move = np.linalg.solve(J[rest], (at - recipe.eta * recipe.gradient(at) - end[rest])[..., None])[..., 0]
        y[rest] = at - move
        rest = rest[(np.abs(move) > ARRIVED).any(axis=1)]
        if not len(rest):
            break
    log_det = np.linalg.slogdet(J)[1]
    return normal_density(y - x, recipe.eta) - log_det


def two_steps_density(recipe: Recipe, x: Array, end: Array) -> Array:
    """log of the integral over the state between, by Gauss and Hermite."""
    t, w = np.polynomial.hermite_e.hermegauss(NODES)
    d = x.shape[1]
    z = np.stack(np.meshgrid(*[t] * d, indexing="ij"), axis=-1).reshape(-1, d)
    log_w = np.log(np.stack(np.meshgrid(*[w] * d, indexing="ij"), axis=-1).reshape(-1, d)).sum(axis=1)
    first, total = x - recipe.eta * recipe.gradient(x), np.full(len(x), -np.inf)
    for node, log_mass in zip(z, log_w - special.logsumexp(log_w), strict=True):
        y = first + np.sqrt(2 * recipe.eta) * node
        step = normal_density(end - y + recipe.eta * recipe.gradient(y), recipe.eta)
        total = np.logaddexp(total, log_mass + step)
    return total


def normal_density(r: Array, eta: Array) -> Array:
    """log N(r; 0, 2 eta), (n,)."""
    return -(r**2 / (4 * eta) + 0.5 * np.log(4 * np.pi * eta)).sum(axis=1)


def recipe_bug(id: str, number: int, words: str, mutate: Mutation, test: str = "C1 scale", **more) -> ContinuousBug:
    """A mistake of the recipe; on gauss_2d unless said otherwise."""
    case = more.pop("case", "gauss_2d")
    return ContinuousBug(id, number, words, case, "ula", (test,), mutate=mutate, **more)


def wrap_bug(id: str, number: int, words: str, wrap: Callable, test: str, **more) -> ContinuousBug:
    """Another mistake."""
    case = more.pop("case", "gauss_2d")
    return ContinuousBug(id, number, words, case, "ula", (test,), wrap=wrap, **more)


NODES, NEWTON, ARRIVED = 8, 20, 1e-8  # of two_steps_density; steps of noise_first_density, and the last one's size
WIDE, GRBM, DRIFT, SHAPE = "grbm_3x3", "grbm_2x2", "C1 drift", "C1 shape"
ULA_BUGS: tuple[ContinuousBug, ...] = (
    recipe_bug("ula_noise_sqrt_eta", 51, "noise sqrt(eta) for sqrt(2 eta)", noise_by_step(0.5)),
    recipe_bug("ula_noise_eta", 52, "noise eta for sqrt(2 eta): the learning rate as standard deviation",
               noise_by_step(1.0)),
    recipe_bug("ula_noise_2eta", 0, "noise 2 eta for sqrt(2 eta): the root forgotten", noise_by_step(1.0, 2.0)),
    recipe_bug("ula_noise_2sqrt", 0, "noise 2 sqrt(eta) for sqrt(2 eta)", noise_by_step(0.5, 2.0)),
    recipe_bug("ula_half_drift_eta", 53, "eta (g / 2 + z): the step size outside the bracket", half_drift_noise_eta),
    recipe_bug("ula_half_step", 0, "eta / 2 for eta in both places: step size in the convention eps = 2 eta",
               factors(0.5, ROOT)),
    recipe_bug("ula_double_step", 0, "2 eta for eta in both places", factors(2.0, 1 / ROOT)),
    recipe_bug("ula_half_drift", 0, "drift eta g / 2 with noise sqrt(2 eta): temperature 2", factors(0.5, 1.0), DRIFT),
    recipe_bug("ula_double_drift", 0, "drift 2 eta g with noise sqrt(2 eta): temperature 1/2", factors(2.0, 1.0),
               DRIFT),
    recipe_bug("ula_drift_sign", 55, "sign of the gradient", factors(-1.0, 1.0), DRIFT),
    recipe_bug("ula_no_drift", 0, "no gradient: a random walk", factors(0.0, 1.0), DRIFT),
    recipe_bug("ula_no_noise", 0, "no noise: gradient descent", factors(1.0, 1e-12)),
    recipe_bug("ula_decoupled", 56, "drift and noise decoupled: drift 10 eta, noise sqrt(2 eta) / 10", factors(10.0,
               0.1)),
    recipe_bug("ula_temperature", 0, "temperature 0.7 in the noise only", factors(1.0, float(np.sqrt(0.7)))),
    recipe_bug("ula_noise_1_percent", 57, "noise 1 % too large", factors(1.0, 1.01)),
    recipe_bug("ula_noise_01_percent", 57, "noise 0.1 % too large", factors(1.0, 1.001), profile="certify"),
    recipe_bug("ula_drift_1_percent", 58, "drift 1 % too large", factors(1.01, 1.0), DRIFT, profile="nightly"),
    recipe_bug("ula_beta_forgotten", 0, "beta forgotten: gradient of the untempered energy",
               with_gradient(beta_forgotten),
               DRIFT, case="grbm_2x2_hot"),
    recipe_bug("ula_beta_twice", 7, "beta applied twice", with_gradient(beta_twice), DRIFT, case="grbm_2x2_hot"),
    recipe_bug("ula_precond_noise", 62, "preconditioner M for sqrt(M) in the noise",
               lambda r, c: None if np.allclose(r.eta, r.eta[0]) else replace(r, noise=np.sqrt(r.eta)), case=WIDE),
    recipe_bug("ula_precond_forgotten", 0, "one step size for all coordinates", mean_step, case=WIDE),
    recipe_bug("ula_precond_drift_only", 0, "preconditioner in the drift, not in the noise", mean_noise, case=WIDE),
    recipe_bug("ula_sigma", 76, "sigma for sigma^2 in the hidden logits of the gradient", grbm_gradient(1.0), DRIFT,
               case=GRBM),
    recipe_bug("ula_mu_omitted", 81, "mu omitted in the gradient", grbm_gradient(mean=0.0), DRIFT, case=GRBM),
    recipe_bug("ula_bias_omitted", 0, "hidden bias omitted in the gradient", grbm_gradient(bias=0.0), DRIFT, case=GRBM),
    recipe_bug("ula_centred", 0, "(v - mu) for v in the coupling", grbm_gradient(centred=True), DRIFT, case=GRBM),
    recipe_bug("ula_no_hidden", 0, "hidden units missing from the gradient", with_gradient(negative_phase_missing),
               DRIFT,
               case=GRBM),
    wrap_bug("ula_scalar_noise", 59, "one normal number for all coordinates",
             with_noise(lambda rng, shape: np.repeat(rng.standard_normal((shape[0], 1)), shape[1], axis=1)),
                        "C1 correlation"),
    wrap_bug("ula_same_noise", 60, "the same noise in every call", same_noise, "D8"),
    wrap_bug("ula_row_noise", 59, "one noise vector for all rows",
             with_noise(lambda rng, shape: np.repeat(rng.standard_normal((1, shape[1])), shape[0], axis=0)), "D8"),
    wrap_bug("ula_antithetic", 0, "neighbouring rows with opposite noise", with_noise(antithetic), "C1 correlation"),
    wrap_bug("ula_paired", 0, "second half of the rows repeats the noise of the first", with_noise(paired), "D8"),
    wrap_bug("ula_uniform_noise", 0, "uniform noise of the right variance",
             with_noise(lambda rng, shape: rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), shape)), SHAPE,
                        density=uniform_density),
    wrap_bug("ula_laplace_noise", 0, "Laplace noise of the right variance",
             with_noise(lambda rng, shape: rng.laplace(0.0, ROOT, shape)), SHAPE, density=laplace_density),
    wrap_bug("ula_truncated_noise", 0, "noise cut at two standard deviations", with_noise(truncated), "C1 scale",
             density=truncated_density),
    wrap_bug("ula_positive_noise", 105, "uniform random numbers for normal ones",
             with_noise(lambda rng, shape: rng.random(shape)), "C1 scale", density=positive_density),
    wrap_bug("ula_noise_first", 0, "noise before the gradient", noise_first, "C1 scale",
             transition=noise_first_density),
    wrap_bug("ula_noise_first_quartic", 0, "noise before the gradient, not a Gaussian energy", noise_first, SHAPE,
             case="quartic_1d", step_size=0.05, transition=noise_first_density),
    wrap_bug("ula_clamped", 75, "box clamp after the step", clamped, SHAPE),
    wrap_bug("ula_stale", 0, "gradient of the call before", stale, "C1 steps"),
    wrap_bug("ula_batch_mean", 0, "gradient divided by the batch size: temperature = batch size", batch_mean, DRIFT),
    wrap_bug("ula_mala", 0, "MALA where ULA is claimed", adjusted, "D9"),
    wrap_bug("ula_two_steps", 19, "two steps in one call", two_steps, "C1 scale",
             transition=two_steps_density),
    wrap_bug("ula_half_precision", 25, "states kept in float16", mixed_float, "contract"),
)  # fmt: skip
