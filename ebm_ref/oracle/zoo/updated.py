"""Mistakes in how a site is updated and in which order: probabilities, acceptance, scans, stale values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import special

from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.zoo.bug import Bug
from ebm_ref.oracle.zoo.recipe import Array, Recipe

Mutation = Callable[[Recipe, Case], Recipe | None]


def probability(up: Callable[[Array], Array]) -> Mutation:
    """Another p(up) as a function of the logit; Gibbs kernels only."""
    return lambda recipe, case: replace(recipe, up=up) if recipe.rule == "gibbs" else None


def acceptance(accept: Callable[[Array], Array]) -> Mutation:
    """Another acceptance probability as a function of dE; Metropolis kernels only."""
    return lambda recipe, case: replace(recipe, accept=accept) if recipe.rule == "metropolis" else None


def rounded_sigmoid(bits: int) -> Callable[[Array], Array]:
    """Probabilities on a grid of 2^-bits."""
    return lambda z: np.round(special.expit(z) * 2**bits) / 2**bits


def bfloat16_sigmoid(z: Array) -> Array:
    """Probabilities with 8 significant bits."""
    mantissa, exponent = np.frexp(special.expit(z))
    return np.ldexp(np.round(mantissa * 256) / 256, exponent)


def tilted_sigmoid(z: Array) -> Array:
    """The uniform has density 1 + 0.01 (1 - 2u)."""
    p = special.expit(z)
    return p + 0.01 * p * (1.0 - p)


def half_range(z: Array) -> Array:
    """The uniform lies in [0, 0.5)."""
    return np.minimum(1.0, 2.0 * special.expit(z))


def triangular(z: Array) -> Array:
    """The "uniform" is the mean of two."""
    p = special.expit(z)
    return np.where(p < 0.5, 2 * p * p, 1 - 2 * (1 - p) ** 2)


def hard_sigmoid(z: Array) -> Array:
    """clip(0.2 z + 0.5, 0, 1)."""
    return np.clip(0.2 * z + 0.5, 0.0, 1.0)


def threshold(z: Array) -> Array:
    """1 if p > 0.5."""
    return (z > 0).astype(float)


def clipped(z: Array) -> Array:
    """Probabilities kept inside [0.05, 0.95]."""
    return np.clip(special.expit(z), 0.05, 0.95)


def interpolated(z: Array) -> Array:
    """A table of the sigmoid with steps of 1 in the logit, nearest entry."""
    return special.expit(np.round(z))


def low_resolution(z: Array) -> Array:
    """u < p with uniforms k/16."""
    return np.ceil(16 * special.expit(z)) / 16


def int8_logit(z: Array) -> Array:
    """Fields accumulated in int8 with 1/64 as unit: beyond +-2 they wrap."""
    return special.expit(((np.round(64 * z) + 128) % 256 - 128) / 64)


def sites(choose: Callable[[Recipe, Case], tuple[int, ...]]) -> Mutation:
    """Another order of sites; means nothing if no site is left."""

    def mutate(recipe: Recipe, case: Case) -> Recipe | None:
        order = choose(recipe, case)
        return replace(recipe, order=order, weights=None) if order else None

    return mutate


def hidden_last(recipe: Recipe, case: Case) -> tuple[int, ...]:
    """Visible units first."""
    return tuple(sorted(recipe.order))


def threshold_hidden(recipe: Recipe, case: Case) -> Recipe | None:
    """h = (p > 0.5), x sampled: logits of the hidden units times 1e6."""
    if not case.n_hidden or recipe.rule != "gibbs":
        return None
    gain = np.repeat([1.0, 1e6], [case.n_visible, case.n_hidden])
    return replace(recipe, J=gain[:, None] * recipe.J, c=gain * recipe.c)


def parallel(recipe: Recipe, case: Case) -> Recipe | None:
    """All units from the old state."""
    return replace(recipe, scan="parallel") if recipe.scan == "sweep" and len(recipe.order) == len(case.free) else None


def shared_uniform(recipe: Recipe, case: Case) -> Recipe | None:
    """One uniform for a whole layer."""
    return replace(recipe, shared=True) if recipe.rule == "gibbs" and case.n_hidden and recipe.scan == "sweep" else None


def swept(times: int) -> Mutation:
    """More sweeps than declared."""
    return lambda recipe, case: replace(recipe, sweeps=times)


def lazy(chance: float) -> Mutation:
    """A call does nothing with this chance."""
    return lambda recipe, case: replace(recipe, lazy=chance)


def jump_chain(recipe: Recipe, case: Case) -> Recipe | None:
    """Rejected proposals leave no trace: only moves are recorded."""
    return replace(recipe, until_moved=True) if recipe.scan == "random" else None


def other_rule(rule: str) -> Mutation:
    """Heat bath where Metropolis is declared, or the reverse."""
    return lambda recipe, case: replace(recipe, rule=rule) if recipe.rule != rule else None


def other_scan(scan: str) -> Mutation:
    """Random sites where a sweep is declared (as many as the sweep has), or a sweep where one site is declared."""

    def mutate(recipe: Recipe, case: Case) -> Recipe | None:
        if recipe.scan == scan:
            return None
        return replace(recipe, scan=scan, sweeps=len(recipe.order) if scan == "random" else 1)

    return mutate


def site_odds(weigh: Callable[[int], list[float]]) -> Mutation:
    """A random scan with other odds."""

    def mutate(recipe: Recipe, case: Case) -> Recipe | None:
        n = len(recipe.order)
        if recipe.scan != "random" or n < 2:
            return None
        odds = np.array(weigh(n), dtype=float)
        return replace(recipe, weights=tuple(odds / odds.sum()))

    return mutate


def byte_modulo(n: int) -> list[float]:
    """site = random byte % n."""
    return [len(range(site, 256, n)) for site in range(n)]


def first_double(n: int) -> list[float]:
    """The first site twice as often."""
    return [2.0] + [1.0] * (n - 1)


def layer(recipe: Recipe, hidden: bool) -> tuple[int, ...]:
    """The sites of one layer; nothing if there is only one."""
    chosen = tuple(i for i in recipe.order if (i >= recipe.n_visible) == hidden)
    return chosen if len(chosen) < len(recipe.order) else ()


def without_last_hidden(recipe: Recipe, case: Case) -> tuple[int, ...]:
    """All but the last unit of a row, which is hidden."""
    return tuple(i for i in recipe.order if i != case.n_units - 1) if case.n_hidden else ()


def rbm(id: str, number: int, words: str, mutate: Mutation, profile: str = "smoke", by: str = "S1") -> Bug:
    """A mistake in block Gibbs on ``rbm_3x3``."""
    return Bug(id, number, words, "rbm_3x3", "block_gibbs", tuple(by.split()), profile, mutate)


def ising(id: str, number: int, words: str, mutate: Mutation, profile: str = "smoke", by: str = "S1") -> Bug:
    """A mistake in the Metropolis kernel of ``ising_5_chord``; some of them allow what is impossible (D9)."""
    return Bug(id, number, words, "ising_5_chord", "metropolis", tuple(by.split()), profile, mutate)


def swept_ising(id: str, number: int, words: str, mutate: Mutation, kernel: str, by: str) -> Bug:
    """A mistake in a sweep over ``ising_5_chord``."""
    return Bug(id, number, words, "ising_5_chord", kernel, (by,), "smoke", mutate)


UPDATED: tuple[Bug, ...] = (
    rbm("stale_half", 10, "x' drawn from the old h (parallel update)", parallel),
    rbm("threshold_hidden", 12, "h = (p > 0.5) instead of a draw", threshold_hidden),
    rbm("threshold_all", 0, "every unit = (p > 0.5): no draws at all", probability(threshold), by="D8 S1"),
    rbm("shared_uniform", 13, "one uniform shared by all units of a layer", shared_uniform),
    rbm("last_unit_never", 15, "last unit never updated", sites(lambda r, c: r.order[:-1]), by="S1 S6"),
    rbm("last_hidden_never", 15, "last hidden unit never updated", sites(without_last_hidden)),
    rbm("first_unit_never", 0, "first updated unit skipped", sites(lambda r, c: r.order[1:])),
    rbm("visible_first", 0, "visible units updated first, then the hidden ones", sites(hidden_last)),
    swept_ising(
        "order_reversed", 39, "scan order reversed", sites(lambda r, c: r.order[::-1]), "metropolis_sweep", "D9"
    ),
    rbm("hidden_only", 0, "hidden units updated, visible ones not", sites(lambda r, c: layer(r, True))),
    rbm("visible_only", 0, "visible units updated, hidden ones not", sites(lambda r, c: layer(r, False))),
    rbm("two_sweeps", 19, "two sweeps where one is claimed", swept(2)),
    rbm("three_sweeps", 0, "three sweeps where one is claimed", swept(3)),
    rbm("identity", 20, "returns its input", lazy(1.0), by="contract S1"),
    rbm("lazy_5", 21, "5 % of the calls do nothing", lazy(0.05), "ci"),
    rbm("lazy_half", 0, "half of the calls do nothing", lazy(0.5)),
    rbm("five_bits", 23, "probabilities rounded to 5 bits", probability(rounded_sigmoid(5)), "ci", "S1 S12"),
    rbm("eight_bits", 24, "probabilities rounded to 8 bits", probability(rounded_sigmoid(8)), "nightly", "S7 S1"),
    rbm("bfloat16", 25, "probabilities rounded to bfloat16", probability(bfloat16_sigmoid), "nightly", "S7 S1"),
    rbm("tilted_uniform", 26, "uniform tilted by 1 %", probability(tilted_sigmoid), "nightly", "S12 S1"),
    rbm("low_resolution", 106, "uniforms with 4 bits", probability(low_resolution), "ci", "S1 S12"),
    rbm("int8_fields", 115, "fields accumulated in int8", probability(int8_logit), "smoke", "S1 S12"),
    rbm("half_uniform", 26, "uniform in [0, 0.5)", probability(half_range)),
    rbm("triangular_uniform", 0, "mean of two uniforms for one", probability(triangular)),
    rbm("complement", 0, "u > p for u < p", probability(lambda z: special.expit(-z))),
    rbm("hard_sigmoid", 0, "clip(0.2 x + 0.5) for the sigmoid", probability(hard_sigmoid), "ci", "S1 S12"),
    rbm("probit", 0, "normal distribution function for the sigmoid", probability(special.ndtr)),
    rbm("sigmoid_table", 0, "sigmoid read from a table with steps of 1", probability(interpolated), "ci", "S1 S12"),
    rbm("clipped", 0, "probabilities kept inside [0.05, 0.95]", probability(clipped), "ci", "S1 S6"),
    rbm("logits_clipped", 0, "logits clipped to +-1", probability(lambda z: special.expit(np.clip(z, -1, 1)))),
    rbm("exponential", 0, "min(1, exp(x)) / 2 for the sigmoid", probability(lambda z: np.minimum(1, np.exp(z)) / 2)),
    rbm("fair_coin", 0, "p = 1/2 whatever the state", probability(lambda z: np.full_like(z, 0.5))),
    rbm("metropolis_rule", 0, "Metropolis acceptance where Gibbs is declared", other_rule("metropolis")),
    rbm("random_scan", 0, "as many random sites where a systematic scan is declared", other_scan("random")),
    ising("sweep", 0, "a whole sweep where one random site is declared", other_scan("sweep"), by="D9 S1"),
    ising("two_sites", 0, "two random sites where one is declared", swept(2), by="D9 S1"),
    ising(
        "change_sign", 29, "sign of dE in the acceptance", acceptance(lambda c: np.exp(-np.maximum(-c, 0))), by="D9 S1"
    ),
    ising("change_halved", 30, "dE halved", acceptance(lambda c: np.exp(-np.maximum(c, 0) / 2))),
    ising("change_doubled", 30, "dE doubled", acceptance(lambda c: np.exp(-np.maximum(c, 0) * 2))),
    ising("accept_all", 31, "every proposal accepted", acceptance(np.ones_like)),
    ising("greedy", 32, "only dE <= 0 accepted", acceptance(lambda c: (c <= 0).astype(float))),
    ising("accept_absolute", 0, "acceptance exp(-|dE|)", acceptance(lambda c: np.exp(-np.abs(c))), by="D9 S1"),
    ising("accept_linear", 0, "acceptance max(0, 1 - dE)", acceptance(lambda c: np.clip(1 - c, 0, 1)), "ci"),
    ising("threshold_accept", 0, "accepted if dE < 1", acceptance(lambda c: (c < 1).astype(float))),
    ising(
        "accept_less",
        72,
        "acceptance 5 % too low",
        acceptance(lambda c: 0.95 * np.exp(-np.maximum(c, 0))),
        "ci",
        "D9 S1",
    ),
    ising("accept_base_2", 0, "2^(-dE) for exp(-dE)", acceptance(lambda c: 2.0 ** -np.maximum(c, 0)), "ci"),
    ising("jump_chain", 33, "rejected moves not recorded", jump_chain),
    ising("glauber", 34, "heat bath where Metropolis is declared", other_rule("gibbs"), by="D9 S1"),
    ising("last_site_never", 36, "random scan never picks the last site", sites(lambda r, c: r.order[:-1]), "ci"),
    ising("first_site_more", 0, "random scan picks the first site twice as often", site_odds(first_double), "ci"),
    ising("byte_modulo", 38, "site = random byte % n", site_odds(byte_modulo), "nightly", "S7 S1"),
    swept_ising("synchronous", 0, "all sites updated at once", parallel, "gibbs", "S1"),
)
