"""Wrong adjusted Langevin steps, Hamiltonian steps and Gaussian-Bernoulli Gibbs steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ebm_ref.oracle.continuous import zoo_laws
from ebm_ref.oracle.continuous.bug import ContinuousBug, Step
from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.continuous.recipe import Move, Recipe, always, backward, forward, hmc_ratio, make_step, metropolis
from ebm_ref.oracle.continuous.zoo_gibbs_langevin import GIBBS_LANGEVIN_BUGS
from ebm_ref.oracle.continuous.zoo_mutations import (
    GIBBS,
    HMC,
    MALA,
    ROOT,
    Array,
    Mutation,
    accepting,
    bug,
    changed,
    grbm_parts,
    inner,
    ratio,
)


def stale_gradient(m: Move) -> Array:
    """The gradient of x in the reverse proposal too."""
    return m.energy - m.new_energy + forward(m) - backward(m._replace(new_g=m.g))


def exponential_threshold(log_ratio: Array) -> Array:
    """log u = +Exp in place of -Exp: accepted if Exp < log ratio."""
    return np.where(log_ratio > 0, 1.0 - np.exp(-np.maximum(log_ratio, 0.0)), 0.0)


def barker(log_ratio: Array) -> Array:
    """1 / (1 + exp(-log ratio)): valid, but another kernel."""
    return 1.0 / (1.0 + np.exp(-np.clip(log_ratio, -700, 700)))


def half_variance(m: Move) -> Array:
    """2 eta for 4 eta under the squares."""
    return m.energy - m.new_energy + 2.0 * (forward(m) - backward(m))


def squared_step(m: Move) -> Array:
    """2 eta^2 for 4 eta."""
    eta = m.recipe.eta
    ahead, back = (m.y - m.x + eta * m.g) ** 2, (m.x - m.y + eta * m.new_g) ** 2
    return m.energy - m.new_energy + ((ahead - back) / (2 * eta**2)).sum(axis=1)


def spread(make: Callable[[Array], Array]) -> Mutation:
    """Another standard deviation of v' given h."""

    def mutate(recipe: Recipe, case: ContinuousCase) -> Recipe | None:
        sd = make(recipe.sd)
        return None if np.allclose(sd, recipe.sd) else replace(recipe, sd=sd)

    return mutate


def thresholded(recipe: Recipe, case: ContinuousCase) -> Recipe:
    """h' = [p > 1/2]."""
    return replace(recipe, logits=lambda v: np.where(case_logits(recipe, v) > 0, 600.0, -600.0))


def case_logits(recipe: Recipe, v: Array) -> Array:
    """The right logits."""
    return recipe.logits(v)


def beta_on_coupling_only(recipe: Recipe, case: ContinuousCase) -> Recipe | None:
    """beta in log_var, not in b."""
    if case.beta == 1.0 or case.b is None:
        return None
    extra = case.b * (1.0 / case.beta - 1.0)
    return replace(recipe, logits=lambda v: recipe.logits(v) + extra)


def stale_half(recipe: Recipe, case: ContinuousCase) -> Step:
    """h' ~ p(h | v), but v' from the old h."""
    right = make_step(recipe)
    other = make_step(replace(recipe, visible_first=True))

    def step(x: Array, seed: int) -> Array:
        new, old = right(x, seed), other(x, seed + 2**31)
        return np.hstack([old[:, : recipe.n_visible], new[:, recipe.n_visible :]])

    return step


def mean_visible(recipe: Recipe, case: ContinuousCase) -> Step:
    """v' = m(h'), without its noise."""

    def step(x: Array, seed: int) -> Array:
        h = make_step(recipe)(x, seed)[:, recipe.n_visible :]
        return np.hstack([recipe.mean(h), h])

    return step


def probabilities(recipe: Recipe, case: ContinuousCase) -> Step:
    """h' = p(h | v), not a draw."""

    def step(x: Array, seed: int) -> Array:
        new = make_step(recipe)(x, seed)
        return np.hstack([new[:, : recipe.n_visible], 1.0 / (1.0 + np.exp(-recipe.logits(x[:, : recipe.n_visible])))])

    return step


def twice(recipe: Recipe, case: ContinuousCase) -> Step:
    """Two transitions in one call."""
    right = make_step(recipe)
    return lambda x, seed: right(right(x, seed), seed + 2**31)


def shared_uniform(recipe: Recipe, case: ContinuousCase) -> Step:
    """One uniform number decides the acceptance of a whole batch."""

    def step(x: Array, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        z = rng.standard_normal((len(x), recipe.n_visible))
        y = recipe.propose(x, z)[0][0]
        return np.where((rng.random() < recipe.chance(x, y, z))[:, None], y, x)

    return step


def until_moved(recipe: Recipe, case: ContinuousCase) -> Step:
    """Proposes until something is accepted."""
    right = make_step(recipe)

    def step(x: Array, seed: int) -> Array:
        y = right(x, seed)
        for k in range(1, 60):
            rest = (y == x).all(axis=1)
            if not rest.any():
                break
            y[rest] = right(x[rest], seed + k * 2**31)
        return y

    return step


KERNEL_BUGS: tuple[ContinuousBug, ...] = (
    *GIBBS_LANGEVIN_BUGS,
    bug(MALA, "mala_no_proposal_ratio", 63, "proposal ratio missing", ratio(lambda m: m.energy - m.new_energy)),
    bug(MALA, "mala_ratio_inverted", 64, "proposal ratio inverted",
        ratio(lambda m: m.energy - m.new_energy - forward(m) + backward(m))),
    bug(MALA, "mala_denominator", 66, "2 eta for 4 eta in the proposal densities", ratio(half_variance)),
    bug(MALA, "mala_eta_squared", 0, "2 eta^2 for 4 eta in the proposal densities", ratio(squared_step),
        case="gauss_2d"),
    bug(MALA, "mala_never_rejects", 68, "everything accepted: ULA where MALA is claimed", changed(accept=always)),
    bug(MALA, "mala_noise_sqrt_eta", 69, "proposal noise sqrt(eta), ratio for sqrt(2 eta)", changed(noise=ROOT)),
    bug(MALA, "mala_half_step", 0, "eta / 2 for eta in the proposal, eta in the ratio", changed(noise=ROOT, drift=0.5)),
    bug(MALA, "mala_ratio_sign", 70, "sign of the log ratio", accepting(lambda r: metropolis(-r))),
    bug(MALA, "mala_ratio_doubled", 70, "log ratio doubled", accepting(lambda r: metropolis(2 * r))),
    bug(MALA, "mala_exp_threshold", 71, "log u = +Exp for -Exp", accepting(exponential_threshold)),
    bug(MALA, "mala_accepts_less", 72, "acceptance 5 % too low for every proposal",
        accepting(lambda r: 0.95 * metropolis(r))),
    bug(MALA, "mala_barker", 0, "Barker's acceptance where Metropolis's is claimed", accepting(barker)),
    bug(MALA, "mala_stale_gradient", 0, "gradient of the other state in the acceptance", ratio(stale_gradient)),
    bug(MALA, "mala_gradient_sign", 55, "sign of the gradient in proposal and ratio",
        lambda r, c: replace(r, gradient=lambda v: -c.gradient(v))),
    bug(MALA, "mala_temperature", 8, "temperature 0.9 in the ratio",
        ratio(lambda m: (m.energy - m.new_energy) / 0.9 + forward(m) - backward(m))),
    bug(MALA, "mala_no_energy", 31, "energies missing from the ratio", ratio(lambda m: forward(m) - backward(m))),
    bug(MALA, "mala_two_steps", 19, "two transitions in one call", wrap=twice, law=zoo_laws.twice),
    bug(MALA, "mala_until_moved", 33, "rejected moves not recorded", wrap=until_moved,
        law=zoo_laws.until_moved),
    bug(MALA, "mala_shared_uniform", 13, "one uniform for the acceptance of all rows", test="S13", wrap=shared_uniform),
    bug(HMC, "hmc_no_kinetic", 0, "kinetic energy missing from the ratio", ratio(lambda m: m.energy - m.new_energy)),
    bug(HMC, "hmc_kinetic_sign", 0, "sign of the kinetic energy",
        ratio(lambda m: 2 * (m.energy - m.new_energy) - hmc_ratio(m))),
    bug(HMC, "hmc_never_rejects", 31, "everything accepted", changed(accept=always)),
    bug(HMC, "hmc_one_more", 0, "one leapfrog too many", inner(1)),
    bug(HMC, "hmc_one_less", 0, "one leapfrog too few", inner(-1)),
    bug(HMC, "hmc_full_kicks", 0, "full momentum steps for half ones", changed(kicks=(1.0, 1.0))),
    bug(HMC, "hmc_first_kick_full", 0, "first half step taken as a full one, none at the end",
        changed(kicks=(1.0, 0.0))),
    bug(HMC, "hmc_last_kick", 0, "last half step of the momentum missing", changed(kicks=(0.5, 0.0))),
    bug(HMC, "hmc_momentum_wide", 0, "momentum of standard deviation 1.3", changed(momentum=1.3)),
    bug(HMC, "hmc_ratio_sign", 70, "sign of the log ratio", accepting(lambda r: metropolis(-r))),
    bug(GIBBS, "gibbs_sigma", 76, "sigma for sigma^2 in p(h | v)", grbm_parts(power=1.0)),
    bug(GIBBS, "gibbs_no_sigma", 77, "sigma ignored in p(h | v)", grbm_parts(power=0.0)),
    bug(GIBBS, "gibbs_variance_as_sd", 79, "sigma^2 passed as standard deviation", spread(lambda sd: sd**2)),
    bug(GIBBS, "gibbs_root_sd", 0, "sqrt(sigma) for sigma as standard deviation", spread(np.sqrt)),
    bug(GIBBS, "gibbs_unit_sd", 79, "standard deviation 1", spread(np.ones_like)),
    bug(GIBBS, "gibbs_sd_2_percent", 82, "sigma 2 % too large", spread(lambda sd: 1.02 * sd), profile="nightly"),
    bug(GIBBS, "gibbs_mu_omitted", 81, "mu omitted in m(h)", grbm_parts(mu=0.0)),
    bug(GIBBS, "gibbs_transposed", 81, "W transposed", grbm_parts(transposed=True)),
    bug(GIBBS, "gibbs_centred", 0, "(v - mu) for v in the coupling", grbm_parts(centred=True)),
    bug(GIBBS, "gibbs_bias_omitted", 0, "hidden bias omitted", grbm_parts(bias=0.0)),
    bug(GIBBS, "gibbs_bias_twice", 4, "hidden bias added twice", grbm_parts(bias=2.0)),
    bug(GIBBS, "gibbs_mean_sigma2", 0, "mu + sigma^2 W h for mu + W h", grbm_parts(mean_by_variance=True)),
    bug(GIBBS, "gibbs_krizhevsky", 0, "v / sigma and sigma W h: the convention with W' = W / sigma",
        grbm_parts(power=1.0, scaled=True)),
    bug(GIBBS, "gibbs_order", 39, "v' from the old h, then h' from v'", changed(visible_first=True)),
    bug(GIBBS, "gibbs_threshold", 12, "h' = [p > 1/2]", thresholded),
    bug(GIBBS, "gibbs_beta_bias", 6, "beta in log_var, not in b", beta_on_coupling_only, case="grbm_2x2_hot"),
    bug(GIBBS, "gibbs_stale_half", 10, "both layers from the old state", wrap=stale_half,
        law=zoo_laws.stale_half),
    bug(GIBBS, "gibbs_mean_field", 85, "v' = m(h') without its noise", test="D9", wrap=mean_visible),
    bug(GIBBS, "gibbs_probabilities", 85, "h' = p(h | v), not a draw", test="D9", wrap=probabilities),
    bug(GIBBS, "gibbs_twice", 19, "two transitions in one call", wrap=twice, law=zoo_laws.twice),
)  # fmt: skip
