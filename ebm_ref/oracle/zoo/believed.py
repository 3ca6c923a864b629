"""Mistakes in what the kernel believes: parameters, conventions, temperature.  Each is one changed argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.zoo.bug import Bug
from ebm_ref.oracle.zoo.recipe import Array, Recipe

Mutation = Callable[[Recipe, Case], Recipe | None]


def scaled(weights: float, biases: float) -> Mutation:
    """Couplings and biases multiplied by numbers."""
    return lambda recipe, case: replace(recipe, J=weights * recipe.J, c=biases * recipe.c)


def layer_biases(visible: float, hidden: float) -> Mutation:
    """Biases multiplied layer by layer; means nothing in a model of one layer."""

    def mutate(recipe: Recipe, case: Case) -> Recipe | None:
        if not case.n_hidden:
            return None
        return replace(recipe, c=recipe.c * np.repeat([visible, hidden], [case.n_visible, case.n_hidden]))

    return mutate


def powers_of_beta(weights: int, biases: int) -> Mutation:
    """The inverse temperature once more (1) or taken out (-1); means nothing at beta = 1."""

    def mutate(recipe: Recipe, case: Case) -> Recipe | None:
        if case.beta == 1.0:
            return None
        return replace(recipe, J=case.beta**weights * recipe.J, c=case.beta**biases * recipe.c)

    return mutate


def coupling(upper: Array, lower: Array) -> Array:
    """[[0, upper], [lower, 0]]: the visible units see ``upper`` (nv, nh), the hidden ones ``lower`` (nh, nv)."""
    nv, nh = upper.shape
    return np.block([[np.zeros((nv, nv)), upper], [lower, np.zeros((nh, nh))]])


def transposed(for_visible: bool, for_hidden: bool) -> Mutation:
    """W' for W in one or both conditionals; silent only if W is square."""

    def mutate(recipe: Recipe, case: Case) -> Recipe | None:
        W = case.W
        if W is None or W.shape[0] != W.shape[1] or np.allclose(W, W.T):
            return None
        return replace(recipe, J=coupling(W.T if for_visible else W, W if for_hidden else W.T))

    return mutate


def swapped_biases(recipe: Recipe, case: Case) -> Recipe | None:
    """a for b and b for a."""
    if case.n_hidden != case.n_visible:
        return None
    return replace(recipe, c=np.roll(recipe.c, case.n_visible))


def spins_for_bits(recipe: Recipe, case: Case) -> Recipe | None:
    """Parameters of {0,1} units used with -1 and +1: logit 2 (c + J (2s - 1))."""
    if case.units != "01":
        return None
    return replace(recipe, J=4.0 * recipe.J, c=2.0 * recipe.c - 2.0 * recipe.J.sum(axis=1))


def bits_for_spins(recipe: Recipe, case: Case) -> Recipe | None:
    """Parameters of -1/+1 units used with 0 and 1: logit c + J (s + 1)/2."""
    if case.units != "spin":
        return None
    return replace(recipe, J=recipe.J / 4.0, c=recipe.c / 2.0 + recipe.J.sum(axis=1) / 4.0)


def without_edge(recipe: Recipe, case: Case) -> Recipe | None:
    """The strongest coupling is missing."""
    if not recipe.J.any():
        return None
    i, j = np.unravel_index(int(np.argmax(np.abs(recipe.J))), recipe.J.shape)
    J = recipe.J.copy()
    J[i, j] = J[j, i] = 0.0
    return replace(recipe, J=J)


def one_way(recipe: Recipe, case: Case) -> Recipe | None:
    """Each pair acts on its later unit only."""
    return replace(recipe, J=np.tril(recipe.J))


def shifted(recipe: Recipe, case: Case) -> Recipe | None:
    """Unit i uses the bias of unit i + 1."""
    return replace(recipe, c=np.roll(recipe.c, -1)) if len(recipe.c) > 1 else None


def rounded(step: float) -> Mutation:
    """Couplings and biases on a grid."""
    return lambda recipe, case: replace(recipe, J=np.round(recipe.J / step) * step, c=np.round(recipe.c / step) * step)


def couplings_rounded(step: float) -> Mutation:
    """Couplings on a grid, biases exact."""
    return lambda recipe, case: replace(recipe, J=np.round(recipe.J / step) * step)


def signs_of_biases(recipe: Recipe, case: Case) -> Recipe | None:
    """Only the sign of each field is used."""
    return replace(recipe, c=np.sign(recipe.c))


def absolute(recipe: Recipe, case: Case) -> Recipe | None:
    """|J| for J."""
    return None if (recipe.J >= 0).all() else replace(recipe, J=np.abs(recipe.J))


def first_hidden_zero(recipe: Recipe, case: Case) -> Recipe | None:
    """The first column of W is never read."""
    if not case.n_hidden:
        return None
    J = recipe.J.copy()
    J[case.n_visible] = J[:, case.n_visible] = 0.0
    return replace(recipe, J=J)


def rbm(id: str, number: int, words: str, mutate: Mutation, by: str = "S1", profile: str = "smoke") -> Bug:
    """A mistake in block Gibbs on ``rbm_3x3``."""
    return Bug(id, number, words, "rbm_3x3", "block_gibbs", tuple(by.split()), profile, mutate)


def cold(id: str, number: int, words: str, mutate: Mutation) -> Bug:
    """A mistake about the temperature, which shows where beta is not 1."""
    return Bug(id, number, words, "rbm_3x3_cold", "block_gibbs", ("S1", "S12"), "ci", mutate)


def ising(id: str, number: int, words: str, mutate: Mutation, profile: str = "smoke", by: str = "S1 S3") -> Bug:
    """A mistake in the Metropolis kernel of ``ising_5_chord``; some of them allow what is impossible (D9)."""
    return Bug(id, number, words, "ising_5_chord", "metropolis", tuple(by.split()), profile, mutate)


def heat_bath(id: str, number: int, words: str, mutate: Mutation) -> Bug:
    """A mistake in systematic heat bath on ``ising_5_chord``."""
    return Bug(id, number, words, "ising_5_chord", "gibbs", ("S1", "S3"), "smoke", mutate)


BELIEVED: tuple[Bug, ...] = (
    rbm("w_transposed", 1, "W transposed", transposed(True, True)),
    rbm("w_transposed_up", 0, "W transposed in p(h|x)", transposed(False, True)),
    rbm("w_transposed_down", 0, "W transposed in p(x|h)", transposed(True, False)),
    rbm("visible_bias_sign", 2, "sign of the visible bias flipped", layer_biases(-1, 1)),
    rbm("hidden_bias_sign", 3, "sign of the hidden bias flipped", layer_biases(1, -1)),
    rbm("hidden_bias_twice", 4, "hidden bias added twice", layer_biases(1, 2), "S1 S12", "ci"),
    rbm("visible_bias_twice", 0, "visible bias added twice", layer_biases(2, 1), "S1 S12"),
    rbm("hidden_bias_omitted", 0, "hidden bias omitted", layer_biases(1, 0), "S1 S12", "ci"),
    rbm("visible_bias_omitted", 0, "visible bias omitted", layer_biases(0, 1), "S1 S12"),
    rbm("biases_swapped", 0, "visible and hidden bias exchanged", swapped_biases),
    rbm("biases_shifted", 0, "each unit uses its neighbour's bias", shifted),
    rbm("logit_doubled", 5, "sigmoid(2x) for sigmoid(x): all parameters doubled", scaled(2, 2), "S1 S12"),
    heat_bath("logit_halved", 5, "sigmoid(x) for sigmoid(2x): parameters halved", scaled(0.5, 0.5)),
    cold("beta_not_on_biases", 6, "beta applied to W but not to the biases", powers_of_beta(0, -1)),
    cold("beta_not_on_weights", 0, "beta applied to the biases but not to W", powers_of_beta(-1, 0)),
    cold("beta_twice", 7, "beta applied twice", powers_of_beta(1, 1)),
    cold("beta_forgotten", 0, "beta not applied", powers_of_beta(-1, -1)),
    rbm("colder_5", 8, "temperature 5 % too low", scaled(1.05, 1.05), "S12 S1", "ci"),
    rbm("hotter_5", 8, "temperature 5 % too high", scaled(1 / 1.05, 1 / 1.05), "S12 S1", "ci"),
    rbm("colder_10", 0, "temperature 10 % too low", scaled(1.1, 1.1), "S1 S12", "ci"),
    rbm("hotter_10", 0, "temperature 10 % too high", scaled(1 / 1.1, 1 / 1.1), "S1 S12", "ci"),
    rbm("colder_1", 9, "temperature 1 % too low", scaled(1.01, 1.01), "S12 S1", "nightly"),
    rbm("hotter_1", 9, "temperature 1 % too high", scaled(1 / 1.01, 1 / 1.01), "S12 S1", "nightly"),
    rbm("spins_for_bits", 0, "units taken as -1/+1 where {0,1} is declared", spins_for_bits),
    ising("bits_for_spins", 0, "units taken as {0,1} where -1/+1 is declared", bits_for_spins, "ci", "D9 S1"),
    rbm("edge_missing", 17, "one coupling missing", without_edge, "S1 S12"),
    rbm("hidden_unread", 0, "couplings of the first hidden unit never read", first_hidden_zero, "S1 S12"),
    heat_bath("one_way", 0, "each coupling acts in one direction only", one_way),
    rbm("couplings_sign", 0, "sign of the couplings flipped", scaled(-1, 1)),
    ising("energy_sign", 43, "E = +s'Js/2 + c.s instead of minus", scaled(-1, -1), "smoke", "D9 S1"),
    rbm("absolute_couplings", 0, "absolute values of the couplings", absolute),
    ising("field_omitted", 40, "all biases (fields) omitted", scaled(1, 0), "ci", "D9 S1"),
    ising("couplings_omitted", 0, "couplings omitted", scaled(0, 1), "smoke", "D9 S1"),
    ising("j_twice", 41, "each pair counted twice: J doubled", scaled(2, 1), "ci"),
    ising("j_halved", 0, "factor 1/2 of the energy applied to each pair: J halved", scaled(0.5, 1), "ci", "D9 S1"),
    ising("field_sign_only", 44, "only the signs of the field used", signs_of_biases, "smoke", "D9 S1"),
    ising("couplings_quantised", 45, "couplings rounded to steps of 0.25", couplings_rounded(0.25), "ci", "D9 S13"),
    rbm("parameters_quantised", 0, "parameters rounded to steps of 0.125", rounded(0.125), "S12 S1", "ci"),
)
