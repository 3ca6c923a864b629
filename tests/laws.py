"""What every member must satisfy, written once.  Each law takes the member and raises AssertionError.

``test_laws_bite.py`` runs each law on a broken twin, which it must reject.
"""

import numpy as np
import reference
from chance import assert_means, assert_rows_follow

import ebm_ref as er
from ebm_ref.errors import DomainError
from ebm_ref.models.record import leaves

METHODS = ("product", "gray", "vectorized")


def close(got, expected, tolerance: float = 1e-12) -> None:
    """Equal to within ``tolerance`` of the largest magnitude."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"shape {got.shape}, expected {expected.shape}"
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    assert np.all(np.abs(got - expected) <= tolerance * scale), f"{got} differs from {expected}"


# Models ---------------------------------------------------------------------------------------------------------------


def energy_is_the_equation(model) -> None:
    """E of every joint state."""
    s, nv = reference.states(model.n_units), model.n_visible
    close(model.joint_energy(s), reference.energies(model))
    close(model.energy(s[:, :nv], s[:, nv:]), reference.energies(model))


def free_energy_sums_out_the_hidden_units(model) -> None:
    """exp(-F(x)) = sum_h exp(-E(x, h))."""
    table = -np.reshape(reference.energies(model), (-1, 2**model.n_visible))
    close(model.free_energy(reference.states(model.n_visible)), -np.logaddexp.reduce(table, axis=0))


def conditionals_follow_from_the_law(model) -> None:
    """p(h_j=1|x) from the joint law; for an RBM p(x_i=1|h) too."""
    n_x, n_h = 2**model.n_visible, 2**model.n_hidden
    table = reference.joint_law(model).reshape(n_h, n_x)
    if model.n_hidden:
        expected = (table / table.sum(axis=0)).T @ reference.states(model.n_hidden)
        close(model.hidden_probabilities(reference.states(model.n_visible)), expected)
    if isinstance(model, er.RBM):
        expected = (table / table.sum(axis=1, keepdims=True)) @ reference.states(model.n_visible)
        close(model.visible_probabilities(reference.states(model.n_hidden)), expected)


def energy_gradient_is_the_derivative(model) -> None:
    """E is linear in the parameters: dE/dtheta_k = E(theta + e_k) - E(theta), weighted over rows."""
    s, nv = reference.states(model.n_units), model.n_visible
    weights = np.sin(1.0 + np.arange(len(s)))
    got = model.energy_gradient(s[:, :nv], s[:, nv:], weights)
    assert type(got) is type(model)
    at = reference.vector(model)
    before = weights @ model.joint_energy(s)
    steps = [reference.from_vector(model, at + unit) for unit in np.eye(len(at))]
    close(reference.vector(got), [weights @ moved.joint_energy(s) - before for moved in steps], 1e-11)


def tempering_is_a_power_of_the_law(model) -> None:
    """tempered(beta) has the law p^beta, energies beta E; 0 gives the uniform law; factors multiply."""
    s = reference.states(model.n_units)
    for beta in (0.0, 0.3, 2.0):
        close(model.tempered(beta).joint_energy(s), beta * np.asarray(reference.energies(model)))
    close(er.exact.log_partition(model.tempered(0)), model.n_units * np.log(2))
    close(reference.vector(model.tempered(0.5).tempered(4)), 2 * reference.vector(model))


def a_model_is_frozen_and_keeps_its_own_copy(model) -> None:
    """Fields cannot be set, arrays cannot be written, and the caller's arrays are neither shared nor changed."""
    mine = {name: np.array(leaf) for name, leaf in leaves(model).items()}
    kept = {name: leaf.copy() for name, leaf in mine.items()}
    n = {} if isinstance(model, er.RBM) else {"n_visible": model.n_visible}
    made = type(model)(**mine, **n)
    for name, leaf in leaves(made).items():
        assert leaf.dtype == np.float64
        assert leaf.flags.c_contiguous
        assert not leaf.flags.writeable
        mine[name][...] = 99.0
        assert np.array_equal(leaf, kept[name])
        try:
            setattr(made, name, leaf)
        except AttributeError:
            continue
        raise AssertionError(f"{name} could be replaced")


def a_file_keeps_every_bit(model, folder) -> None:
    """save, then load: the same type, the same bits."""
    model.save(folder / "model.npz")
    back = er.load(folder / "model.npz")
    assert type(back) is type(model)
    assert back.n_visible == model.n_visible
    for name, leaf in leaves(model).items():
        assert leaves(back)[name].tobytes() == leaf.tobytes()


MODEL_LAWS = (
    energy_is_the_equation,
    free_energy_sums_out_the_hidden_units,
    conditionals_follow_from_the_law,
    energy_gradient_is_the_derivative,
    tempering_is_a_power_of_the_law,
    a_model_is_frozen_and_keeps_its_own_copy,
)


# Exact answers, given as functions so that a broken one can be tried -------------------------------------------------


def log_partition_is_the_sum(model, log_partition=er.exact.log_partition) -> None:
    """Every method gives log sum exp(-E); the product form may be refused, when it could overflow."""
    expected = reference.naive.log_z(reference.energies(model))
    for method in ("auto", *METHODS):
        try:
            close(log_partition(model, method=method), expected)
        except DomainError:
            assert method == "product"
            assert may_refuse_the_product_form(model)


def may_refuse_the_product_form(model) -> bool:
    """Parameters so large that products of exponentials may leave the float64 range, or nothing to multiply."""
    return bool(np.abs(reference.vector(model)).sum() > 300) or not model.n_hidden


def probabilities_are_the_law(model, probabilities=er.exact.probabilities) -> None:
    """p(x) of every state, and they sum to one."""
    close(probabilities(model), reference.visible_law(model))
    close(probabilities(model).sum(), 1.0)


def moments_are_averages(model, moments=er.exact.moments) -> None:
    """E[x], E[h], E[x h'] under the joint law."""
    p, s, nv = reference.joint_law(model), reference.states(model.n_units), model.n_visible
    got, outer = moments(model), np.einsum("n,ni,nj->ij", p, s, s)
    close(got.x, (p @ s)[:nv])
    close(got.h, (p @ s)[nv:])
    close(got.xh, outer[:nv, nv:])
    if got.ss is not None:
        close(got.ss, outer)


def likelihood_gradient_is_the_derivative(model, gradient=er.exact.log_likelihood_gradient) -> None:
    """d log L / d theta by differences, relative to the gradient; 0 when the data are the model."""
    x = reference.states(model.n_visible)[:: min(2, model.n_visible)]
    expected = reference.gradient(lambda m: er.exact.log_likelihood(m, x), model)
    got = reference.vector(gradient(model, x))
    assert np.linalg.norm(got - expected) <= 1e-7 * max(np.linalg.norm(expected), 1e-3)


EXACT_LAWS = (
    log_partition_is_the_sum,
    probabilities_are_the_law,
    moments_are_averages,
    likelihood_gradient_is_the_derivative,
)


# Samplers -------------------------------------------------------------------------------------------------------------


def the_matrix_is_the_kernel(sampler, kernel, clamped=()) -> None:
    """Our matrix, built from conditionals or energies, is that of the oracle's plain loops."""
    expected = reference.matrix(sampler.model, kernel, clamped)
    close(er.exact.transition_matrix(sampler), expected)


def the_law_is_invariant(sampler, P=None) -> None:
    """Rows sum to one, pi P = pi, and the flow is symmetric exactly where reversibility is claimed."""
    P = er.exact.transition_matrix(sampler) if P is None else P
    pi = reference.joint_law(sampler.model)
    assert P.min() >= 0
    close(P.sum(axis=1), np.ones(len(P)))
    close(pi @ P, pi)
    flow = pi[:, None] * P
    assert (np.abs(flow - flow.T).max() < 1e-13) == sampler.reversible


def step_and_advance_agree(sampler, n_chains: int = 50, n_steps: int = 7) -> None:
    """The readable step and the compiled loop read the same numbers and give the same rows."""
    stream = er.Stream(21, "transition", 4)
    start = np.resize(reference.states(sampler.model.n_units), (n_chains, sampler.model.n_units))
    before, rows, accepted = start.copy(), start, np.zeros(n_chains)
    for t in range(9, 9 + n_steps):
        rows, info = sampler.step(rows, sampler.draw(stream, t, n_chains))
        accepted = accepted + info.accepted
    fast, evidence = sampler.advance(start, stream, 9, n_steps)
    assert np.array_equal(fast, rows)
    assert np.array_equal(evidence.accepted, accepted)
    assert np.array_equal(start, before), "an input was modified"
    assert set(np.unique(rows)) <= {0.0, 1.0}


def transitions_follow_the_matrix(sampler, P, seed: int, n: int = 2000, readable: bool = False) -> None:
    """One transition from every state, ``n`` times each: counts against the rows of P (see ``chance``).

    Smallest effects found with probability above 0.99 at 2000 draws a state: a temperature off by 10 %, one step in
    ten skipped; a site never updated, a stale half-step or a wrong order at once.
    """
    states = reference.states(sampler.model.n_units)

    def draw(row, size, stage_seed):
        start, stream = np.tile(states[row], (size, 1)), er.Stream(stage_seed, "transition", row * 10**6)
        moved = sampler.step(start, sampler.draw(stream, 0, size)) if readable else sampler.advance(start, stream, 0, 1)
        return moved[0].astype(int) @ (1 << np.arange(states.shape[1]))

    assert_rows_follow(draw, P, n, seed)


# Estimators -----------------------------------------------------------------------------------------------------------


def averaged_statistics(model) -> np.ndarray:
    """E[-dE/dtheta | x] of every visible state, (2**nv, p)."""
    joint = reference.joint_law(model).reshape(2**model.n_hidden, -1)
    posterior = joint / joint.sum(axis=0)
    return np.einsum("hx,hxp->xp", posterior, reference.statistics(model).reshape(*joint.shape, -1))


def cd_has_its_expectation(estimator, model, data, seed: int, repeats: int = 20_000) -> None:
    """The mean over ``repeats`` copies of the data is ``exact.cd_gradient``, whose variance is bounded exactly.

    False alarms 1e-9; a component that is off by 0.05 is found with probability 1 - 1e-9.  Sampled hidden units add
    at most the variance of their statistics given x, which E[T^2|x] = E[T|x] bounds for statistics of 0 and 1.
    """
    k = estimator.settings().get("k", 1)
    rows = np.tile(data, (repeats, 1))
    gradient, _ = estimator.estimate(model, rows, seed=seed)
    exact = reference.vector(er.exact.cd_gradient(model, data, k))
    T, P = averaged_statistics(model), er.exact.transition_matrix(er.block_gibbs(model), "visible")
    start = reference.index(np.asarray(data).astype(int))
    after = np.linalg.matrix_power(P, k)[start]
    variance = (after @ T - (after @ T) ** 2).mean(axis=0)  # negative phase, hidden units sampled or not
    if estimator.settings().get("positive") == "sample":
        variance = variance + (T[start] - T[start] ** 2).mean(axis=0)
    assert_means(reference.vector(gradient), exact, variance, len(rows), resolution=0.05, bound=2.0)


def an_optimiser_ascends(optimiser, model) -> None:
    """The first update goes up the gradient: its product with the gradient is positive, its size of the order of lr."""
    gradient = er.exact.log_likelihood_gradient(model, reference.states(model.n_visible)[:1])
    moved, _ = optimiser.update(model, gradient, optimiser.init(model), 0)
    step = reference.vector(moved) - reference.vector(model)
    assert step @ reference.vector(gradient) > 0
    assert type(moved) is type(model)
