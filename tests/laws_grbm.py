"""What every Gaussian-Bernoulli RBM must satisfy, written once; ``test_laws_bite_grbm.py`` has a broken twin of each.

The reference is the oracle's plain loops, and derivatives by central differences with one Richardson step.
"""

import itertools

import numpy as np
from laws import close

from ebm_ref.models.record import flatten, leaves
from ebm_ref.oracle.continuous import equations


def plain_energy(model, v, h) -> float:
    """E(v,h) of one pair by the oracle's loops."""
    return equations.grbm_energy(*(leaf.tolist() for leaf in leaves(model).values()), list(v), list(h))


def hidden_states(model) -> list[tuple[int, ...]]:
    """Every h, unit 0 fastest."""
    return [bits[::-1] for bits in itertools.product((0, 1), repeat=model.n_hidden)]


def points(model, n: int = 5) -> np.ndarray:
    """Rows of v within a few standard deviations of mu, the same ones each time."""
    spread = np.exp(0.5 * model.log_var) + np.abs(model.W).sum(axis=1)
    return model.mu + spread * np.sin(1.0 + 1.7 * np.arange(n * model.n_visible)).reshape(n, -1)


def pairs(model) -> tuple[np.ndarray, np.ndarray]:
    """(v, h): every point with every hidden state."""
    v, h = points(model), np.array(hidden_states(model), dtype=float).reshape(2**model.n_hidden, model.n_hidden)
    return np.repeat(v, len(h), axis=0), np.tile(h, (len(v), 1))


def rebuilt(model, values):
    """The record of a model's type with these parameters, in the order of ``flatten``."""
    parts, at = [], 0
    for leaf in leaves(model).values():
        parts.append(values[at : at + leaf.size].reshape(leaf.shape))
        at += leaf.size
    return type(model)(*parts)


def slopes(function, at, h: float = 1e-3) -> np.ndarray:
    """Derivative of function(vector) -> number, error O(h^4); h is relative to 1 + |coordinate|."""
    result = np.zeros(len(at))
    for k, unit in enumerate(np.eye(len(at))):
        size = h * (1.0 + abs(at[k]))
        wide, narrow = (
            (function(at + step * unit) - function(at - step * unit)) / (2 * step) for step in (size, size / 2)
        )
        result[k] = (4 * narrow - wide) / 3
    return result


def near(got, expected, tolerance: float = 1e-7) -> None:
    """Equal in norm, relative to the expected norm."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert np.linalg.norm(got - expected) <= tolerance * max(np.linalg.norm(expected), 1e-2), f"{got} != {expected}"


# the laws -------------------------------------------------------------------------------------------------------------


def energy_is_the_equation(model) -> None:
    """E of pairs, as two arrays and as joint rows."""
    v, h = pairs(model)
    expected = [plain_energy(model, *pair) for pair in zip(v.tolist(), h.tolist(), strict=True)]
    close(model.energy(v, h), expected)
    close(model.joint_energy(np.hstack([v, h])), expected)


def free_energy_sums_out_the_hidden_units(model) -> None:
    """exp(-F(v)) = sum_h exp(-E(v,h))."""
    v, h = pairs(model)
    table = -model.energy(v, h).reshape(-1, 2**model.n_hidden)
    close(model.free_energy(points(model)), -np.logaddexp.reduce(table, axis=1), 1e-11)


def hidden_free_energy_integrates_out_the_visible_units(model) -> None:
    """G(h) = E(v,h) + log p(v|h) at every v, with p(v|h) = N(m(h), diag s2)."""
    v, h = pairs(model)
    away = (v - model.visible_mean(h)) ** 2 / np.exp(model.log_var)
    log_density = -0.5 * (away + model.log_var + np.log(2 * np.pi)).sum(axis=1)
    close(model.hidden_free_energy(h), model.energy(v, h) + log_density, 1e-11)


def conditionals_follow_from_the_energy(model) -> None:
    """p(h_j=1|v) = sum over h with h_j = 1 of exp(F(v) - E(v,h)); the mode of h; log odds."""
    v, h = pairs(model)
    table = -model.energy(v, h).reshape(-1, 2**model.n_hidden)
    posterior = np.exp(table - np.logaddexp.reduce(table, axis=1)[:, None])
    states = h[: 2**model.n_hidden]
    close(model.hidden_probabilities(points(model)), posterior @ states, 1e-10)
    best = model.map_hidden(points(model))
    assert np.all(model.energy(points(model), best) <= -table.max(axis=1) + 1e-9 * (1 + np.abs(table).max()))


def scores_are_derivatives(model) -> None:
    """score = -dF/dv, score_given_hidden = -dE/dv."""
    for v in points(model):
        near(model.score(v[None])[0], -slopes(lambda at: model.free_energy(at[None])[0], v))
        for h in hidden_states(model)[:4]:
            rows = np.array([h], dtype=float)
            near(
                model.score_given_hidden(v[None], rows)[0], -slopes(lambda at, r=rows: model.energy(at[None], r)[0], v)
            )


def energy_gradient_is_the_derivative(model) -> None:
    """Weighted sums of dE/dtheta, log_var too; with h = p(h|v) the derivative of F."""
    v, h = pairs(model)
    weights, at = np.sin(1.0 + np.arange(len(v))), flatten(model)
    got = model.energy_gradient(v, h, weights)
    assert type(got) is type(model)
    near(flatten(got), slopes(lambda values: weights @ rebuilt(model, values).energy(v, h), at))
    x = points(model)
    marginal = model.energy_gradient(x, model.hidden_probabilities(x))
    near(flatten(marginal), slopes(lambda values: rebuilt(model, values).free_energy(x).sum(), at))


def tempering_is_a_power_of_the_law(model) -> None:
    """tempered(beta): beta E up to a constant that h does not know; the conditional mean stays, the logits scale."""
    v, h = pairs(model)
    for beta in (0.3, 2.0):
        hot = model.tempered(beta)
        close(hot.energy(v, h), beta * model.energy(v, h))
        close(hot.visible_mean(h), model.visible_mean(h))
        close(hot.hidden_logits(v), beta * model.hidden_logits(v))
    close(flatten(model.tempered(0.5).tempered(4)), flatten(model.tempered(2)))


def conventions_are_exact_maps(model) -> None:
    """Scaled, centred, natural, other units, flipped hidden units: the same energies, there and back."""
    v, h = pairs(model)
    energy = model.energy(v, h)
    W, mu, sigma, b = model.to_scaled()
    u = v / sigma
    close(0.5 * ((u - mu / sigma) ** 2).sum(axis=1) - np.einsum("ni,ij,nj->n", u, W, h) - h @ b, energy)
    close(flatten(type(model).from_scaled(W, mu, sigma, b)), flatten(model))
    W, mu, log_var, b = model.to_centred()
    away, s2 = v - mu, np.exp(log_var)
    close(0.5 * (away**2 / s2).sum(axis=1) - np.einsum("ni,ij,nj->n", away / s2, W, h) - h @ b, energy)
    close(flatten(type(model).from_centred(W, mu, log_var, b)), flatten(model))
    W, theta, gamma, b, constant = model.to_natural()
    close(0.5 * v**2 @ gamma - v @ theta - np.einsum("ni,ij,nj->n", v, W, h) - h @ b + constant, energy, 1e-11)
    back, again = type(model).from_natural(W, theta, gamma, b)
    close(flatten(back), flatten(model))
    close(again, constant)
    scale, shift = 0.5 + np.arange(model.n_visible), np.cos(np.arange(model.n_visible))
    close(model.rescaled(scale, shift).energy(scale * v + shift, h), energy, 1e-11)
    units = list(range(0, model.n_hidden, 2))
    other, constant = model.flipped(units)
    turned = h.copy()
    turned[:, units] = 1 - turned[:, units]
    close(other.energy(v, turned) + constant, energy, 1e-11)


def gradients_follow_the_conventions(model) -> None:
    """The chain rule to sigma with W' held, and to the centred form, by differences in that form."""
    v, h = pairs(model)
    g = model.energy_gradient(v, h)
    scaled = model.to_scaled()
    at = np.concatenate([part.ravel() for part in scaled])
    cut = np.cumsum([part.size for part in scaled])[:-1]

    def in_scaled(values):
        W, mu, sigma, b = np.split(values, cut)
        return type(model).from_scaled(W.reshape(model.W.shape), mu, sigma, b).energy(v, h).sum()

    near(np.concatenate([part.ravel() for part in model.gradient_to_scaled(g)]), slopes(in_scaled, at))
    centred = type(model)(*model.to_centred())
    expected = slopes(lambda x: type(model).from_centred(*leaves(rebuilt(model, x)).values()).energy(v, h).sum(),
                      flatten(centred))  # fmt: skip
    near(flatten(model.gradient_to_centred(g)), expected)


def a_model_is_frozen_and_keeps_its_own_copy(model) -> None:
    """Arrays are float64, contiguous, read-only and not the caller's."""
    mine = [np.array(leaf) for leaf in leaves(model).values()]
    kept = [leaf.copy() for leaf in mine]
    made = type(model)(*mine)
    for name, given, old in zip(leaves(model), mine, kept, strict=True):
        leaf = getattr(made, name)
        given[...] = 99.0
        assert np.array_equal(leaf, old)
        assert leaf.dtype == np.float64
        assert leaf.flags.c_contiguous
        assert not leaf.flags.writeable


GRBM_LAWS = (
    energy_is_the_equation,
    free_energy_sums_out_the_hidden_units,
    hidden_free_energy_integrates_out_the_visible_units,
    conditionals_follow_from_the_energy,
    scores_are_derivatives,
    energy_gradient_is_the_derivative,
    tempering_is_a_power_of_the_law,
    conventions_are_exact_maps,
    gradients_follow_the_conventions,
    a_model_is_frozen_and_keeps_its_own_copy,
)
