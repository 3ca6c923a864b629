"""Wrong Gibbs-Langevin steps, unadjusted and adjusted: mistakes of the inner steps and of the joint ratio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ebm_ref.oracle.continuous import zoo_laws
from ebm_ref.oracle.continuous.bug import ContinuousBug, Step
from ebm_ref.oracle.continuous.cases import ContinuousCase
from ebm_ref.oracle.continuous.recipe import Move, Recipe, always, metropolis, residual_pair
from ebm_ref.oracle.continuous.zoo_mutations import (
    INNER,
    JOINT,
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


def energy_over_batch(m: Move) -> Array:
    """The change of energy halved, the proposals not: an energy of another temperature in the ratio."""
    ahead, back = residual_pair(m)
    return 0.5 * (m.energy - m.new_energy) + ahead - back


def chain_of(make: Callable[[Recipe], tuple[Array, Array]]) -> Mutation:
    """rho and tau as the ratio believes them; the proposal is the right one."""

    def log_ratio(m: Move) -> Array:
        ahead, back = residual_pair(m, make(m.recipe))
        return m.energy - m.new_energy + ahead - back

    return ratio(log_ratio)


def annealed(recipe: Recipe) -> tuple[Array, Array]:
    """rho and tau of steps that fall like half a cosine from eta, eta (1 + cos(pi k / K)) / 2, k < K."""
    rho, variance = np.ones_like(recipe.var), np.zeros_like(recipe.var)
    for k in range(recipe.n_inner):
        step = recipe.eta * (1.0 + np.cos(np.pi * k / recipe.n_inner)) / 2.0
        rate = step / recipe.var
        rho, variance = rho * (1 - rate), variance * (1 - rate) ** 2 + 2 * step
    return rho, np.sqrt(variance)


def unsquared(recipe: Recipe) -> tuple[Array, Array]:
    """tau^2 <- tau^2 (1 - eta / sigma^2) + 2 eta: the factor not squared."""
    rate, variance = recipe.eta / recipe.var, np.zeros_like(recipe.var)
    for _ in range(recipe.n_inner):
        variance = variance * (1 - rate) + 2 * recipe.eta
    return recipe.inner_chain()[0], np.sqrt(variance)


def without_contraction(recipe: Recipe) -> tuple[Array, Array]:
    """tau^2 = 2 K eta: the noise added up as if nothing pulled it back."""
    return recipe.inner_chain()[0], np.sqrt(2 * recipe.n_inner * recipe.eta)


def last_noise(recipe: Recipe) -> tuple[Array, Array]:
    """tau^2 = 2 eta: the noise of one step."""
    return recipe.inner_chain()[0], np.sqrt(2 * recipe.eta)


def root_tau(recipe: Recipe) -> tuple[Array, Array]:
    """tau for tau^2 under the squares."""
    rho, tau = recipe.inner_chain()
    return rho, np.sqrt(tau)


def hidden_log_odds(m: Move) -> tuple[Array, Array]:
    """log p(h | v) and log p(h' | v'), each (n,)."""
    nv = m.recipe.n_visible

    def log_odds(rows: Array) -> Array:
        logits, h = m.recipe.logits(rows[:, :nv]), rows[:, nv:]
        return (h * logits - np.logaddexp(0.0, logits)).sum(axis=1)

    return log_odds(m.x), log_odds(m.y)


def batch_joint_energy(m: Move) -> Array:
    """E / B with p(h | v) at temperature 1, B = 2: what the released code of Liao et al. has."""
    (old, new), (ahead, back) = hidden_log_odds(m), residual_pair(m)
    joint = (m.energy - old) - (m.new_energy - new)
    return joint / 2.0 + old - new + ahead - back


def no_hidden_ratio(m: Move) -> Array:
    """E - E' without log p(h | v) - log p(h' | v')."""
    (old, new), (ahead, back) = hidden_log_odds(m), residual_pair(m)
    return (m.energy - old) - (m.new_energy - new) + ahead - back


def stale_hidden(m: Move) -> Array:
    """m(h) in the way back too, where m(h') belongs."""
    nv = m.recipe.n_visible
    stale = m._replace(y=np.hstack([m.y[:, :nv], m.x[:, nv:]]))
    ahead, back = residual_pair(stale)
    return m.energy - m.new_energy + ahead - back


def visible_only(m: Move) -> Array:
    """The ratio of v given the old h: E(v, h) - E(v', h) and m(h) in both proposals."""
    nv = m.recipe.n_visible
    at_old = m._replace(y=np.hstack([m.y[:, :nv], m.x[:, nv:]]))
    (old, new), (ahead, back) = hidden_log_odds(at_old), residual_pair(at_old)
    return (m.energy - old) - (m.new_energy - new) + ahead - back


def marginal_score(recipe: Recipe, case: ContinuousCase) -> Recipe | None:
    """dF/dv for dE(v, h)/dv, one inner step."""
    return replace(recipe, marginal=True) if recipe.n_inner == 1 else None


def marginal_steps(recipe: Recipe, case: ContinuousCase) -> Step:
    """The same, any number of inner steps."""

    def step(x: Array, seed: int) -> Array:
        rng, v = np.random.default_rng(seed), x[:, : recipe.n_visible]
        for _ in range(recipe.n_inner):
            v = v - recipe.eta * recipe.gradient(v) + np.sqrt(2 * recipe.eta) * rng.standard_normal(v.shape)
        h = rng.random((len(x), case.n_hidden)) < 1.0 / (1.0 + np.exp(-recipe.logits(v)))
        return np.hstack([v, h])

    return step


GIBBS_LANGEVIN_BUGS: tuple[ContinuousBug, ...] = (
    bug(INNER, "inner_one_more", 74, "one inner step too many", inner(1)),
    bug(INNER, "inner_one_less", 74, "one inner step too few", inner(-1)),
    bug(INNER, "inner_noise", 51, "inner noise sqrt(eta) for sqrt(2 eta)", changed(noise=ROOT)),
    bug(INNER, "inner_half_drift", 0, "inner drift halved", changed(drift=0.5)),
    bug(INNER, "inner_sigma", 76, "sigma for sigma^2 in p(h | v)", grbm_parts(power=1.0)),
    bug(INNER, "inner_marginal", 74, "score of p(v) for that of p(v | h), one inner step", marginal_score, n_inner=1),
    bug(INNER, "inner_marginal_steps", 74, "score of p(v) for that of p(v | h), several inner steps",
        wrap=marginal_steps, law=zoo_laws.marginal_steps),
    bug(INNER, "inner_no_refresh", 0, "h never drawn again", changed(refresh=False)),
    bug(INNER, "inner_exact", 0, "v' drawn exactly: block Gibbs where Gibbs-Langevin is claimed",
        lambda r, c: replace(r, kernel="block_gibbs", visible_first=True)),
    bug(JOINT, "joint_never_rejects", 68, "everything accepted: no adjustment", changed(accept=always)),
    bug(JOINT, "joint_no_proposal_ratio", 63, "proposal ratio of v missing", ratio(lambda m: m.energy - m.new_energy)),
    bug(JOINT, "joint_ratio_inverted", 64, "proposal ratio of v inverted",
        ratio(lambda m: m.energy - m.new_energy + residual_pair(m)[1] - residual_pair(m)[0])),
    bug(JOINT, "joint_batch_energy", 0, "energy halved in the ratio, not in the proposal", ratio(energy_over_batch)),
    bug(JOINT, "joint_no_energy", 31, "free energies missing from the ratio",
        ratio(lambda m: residual_pair(m)[0] - residual_pair(m)[1])),
    bug(JOINT, "joint_batch_joint_energy", 0, "E / 2 in the ratio with p(h | v) at temperature 1",
        ratio(batch_joint_energy)),
    bug(JOINT, "joint_half_drift", 0, "drift halved in proposal and ratio: another kernel, though a valid one",
        changed(drift=0.5)),
    bug(JOINT, "joint_annealed_ratio", 0, "rho and tau of annealed steps in the ratio, constant steps in the proposal",
        chain_of(annealed)),
    bug(JOINT, "joint_unsquared", 0, "tau^2 with the factor 1 - eta / sigma^2 not squared", chain_of(unsquared)),
    bug(JOINT, "joint_tau_sum", 0, "tau^2 = 2 K eta in the ratio", chain_of(without_contraction)),
    bug(JOINT, "joint_tau_one_step", 0, "tau^2 = 2 eta in the ratio", chain_of(last_noise)),
    bug(JOINT, "joint_tau_root", 0, "tau for tau^2 in the ratio", chain_of(root_tau)),
    bug(JOINT, "joint_no_hidden_ratio", 0, "p(h | v) missing from the ratio of joint energies", ratio(no_hidden_ratio)),
    bug(JOINT, "joint_stale_hidden", 10, "m(h) for m(h') in the reverse proposal", ratio(stale_hidden)),
    bug(JOINT, "joint_visible_only", 0, "ratio of v given the old h", ratio(visible_only)),
    bug(JOINT, "joint_no_refresh", 0, "h never drawn again", changed(refresh=False)),
    bug(JOINT, "joint_ratio_sign", 70, "sign of the log ratio", accepting(lambda r: metropolis(-r))),
)  # fmt: skip
