"""Mistakes around the kernel: seeds, streams, shapes, bookkeeping of rows.  Each wraps the right step.

Their transition law is often right; what fails is the contract of ``step(states, seed)`` or independence.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.zoo.bug import Bug, Step
from ebm_ref.oracle.zoo.recipe import Array

Wrap = Callable[[Step, Case], Step]


def seeded(change: Callable[[int], int]) -> Wrap:
    """The right step with another seed."""
    return lambda step, case: lambda states, seed: step(states, change(seed))


def output(change: Callable[[Array], object]) -> Wrap:
    """The right step with another output."""
    return lambda step, case: lambda states, seed: change(step(states, seed))  # type: ignore[return-value]


def sweep_with(uniforms: Callable[[int, int, int], Array]) -> Wrap:
    """Block Gibbs with uniforms(seed, n, d) (n, d) from elsewhere, one column a unit."""

    def wrap(step: Step, case: Case) -> Step:
        order = [i for i in case.free if i >= case.n_visible] + [i for i in case.free if i < case.n_visible]

        def wrong(states: Array, seed: int) -> Array:
            new, u = states.copy(), uniforms(seed, len(states), case.n_units)
            for i in order:
                new[:, i] = u[:, i] < special.expit(case.c[i] + new @ case.J[i])
            return new

        return wrong

    return wrap


def one_row(seed: int, n: int, d: int) -> Array:
    """The same uniforms in every row."""
    return np.tile(np.random.default_rng(seed).random((1, d)), (n, 1))


def repeated_half(seed: int, n: int, d: int) -> Array:
    """The second half of the rows re-uses the uniforms of the first."""
    u = np.random.default_rng(seed).random(((n + 1) // 2, d))
    return np.concatenate([u, u])[:n]


def neighbours(seed: int, n: int, d: int) -> Array:
    """Rows 2i and 2i + 1 share their uniforms."""
    return np.repeat(np.random.default_rng(seed).random(((n + 1) // 2, d)), 2, axis=0)[:n]


def antithetic(seed: int, n: int, d: int) -> Array:
    """Rows 2i and 2i + 1 use u and 1 - u."""
    u = np.random.default_rng(seed).random(((n + 1) // 2, d))
    return np.stack([u, 1.0 - u], axis=1).reshape(-1, d)[:n]


def stratified(seed: int, n: int, d: int) -> Array:
    """Each column is stratified over the rows."""
    rng = np.random.default_rng(seed)
    return (np.array([rng.permutation(n) for _ in range(d)]).T + rng.random((n, d))) / n


def seed_plus_row(seed: int, n: int, d: int) -> Array:
    """Row r is seeded by seed + r: call s + 1 repeats call s, shifted by one row."""
    rows = (np.arange(n, dtype=np.uint64) + np.uint64(seed))[:, None] * np.uint64(d) + np.arange(d, dtype=np.uint64)
    z: np.ndarray = rows * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def rare_reuse(seed: int, n: int, d: int) -> Array:
    """Every fourth row repeats the uniforms of the row before it."""
    u = np.random.default_rng(seed).random((n, d))
    u[3::4] = u[2::4][: len(u[3::4])]
    return u


def site_shared(step: Step, case: Case) -> Step:
    """A random scan that chooses one site for all rows of a call."""

    def wrong(states: Array, seed: int) -> Array:
        new, rng = states.copy(), np.random.default_rng(seed)
        i, (down, up) = rng.choice(case.free), case.values
        p = special.expit((up - down) * (case.c[i] + new @ case.J[i]))
        new[:, i] = np.where(rng.random(len(new)) < p, up, down)
        return new

    return wrong


def last_row_never(step: Step, case: Case) -> Step:
    """``for row in range(n - 1)``."""

    def wrong(states: Array, seed: int) -> Array:
        new = step(states, seed)
        new[-1] = states[-1]
        return new

    return wrong


def rows_rotated(step: Step, case: Case) -> Step:
    """Row r gets the new state of row r + 1."""
    return lambda states, seed: np.roll(step(states, seed), 1, axis=0)


def rows_sorted(step: Step, case: Case) -> Step:
    """Rows come back sorted."""

    def wrong(states: Array, seed: int) -> Array:
        new = step(states, seed)
        return new[np.lexsort(new.T)]

    return wrong


def in_place(step: Step, case: Case) -> Step:
    """The argument is overwritten."""

    def wrong(states: Array, seed: int) -> Array:
        states[:] = step(states, seed)
        return states

    return wrong


def means(step: Step, case: Case) -> Step:
    """Probabilities for draws in the last layer."""

    def wrong(states: Array, seed: int) -> Array:
        new = step(states, seed)
        visible = slice(0, case.n_visible)
        new[:, visible] = special.expit(case.c + new @ case.J)[:, visible]
        return new

    return wrong


def hidden_first(step: Step, case: Case) -> Step:
    """Rows are [h, x]."""
    return lambda states, seed: np.roll(step(states, seed), case.n_hidden, axis=1)


def raises(step: Step, case: Case) -> Step:
    """An exception."""

    def wrong(states: Array, seed: int) -> Array:
        raise RuntimeError("the accelerator is on fire")

    return wrong


def clamp_ignored(step: Step, case: Case) -> Step:
    """Clamped units are updated like the others."""

    def wrong(states: Array, seed: int) -> Array:
        new = step(states, seed)
        for unit, _ in case.clamp:
            p = special.expit(case.c[unit] + new @ case.J[unit])
            new[:, unit] = np.random.default_rng([seed, unit]).random(len(new)) < p
        return new

    return wrong


def stale_unit(step: Step, case: Case) -> Step:
    """All visible units still see the old value of the first hidden unit."""

    def wrong(states: Array, seed: int) -> Array:
        new, rng, nv = step(states, seed), np.random.default_rng([seed, 1]), case.n_visible
        seen = new.copy()
        seen[:, nv] = states[:, nv]
        for i in range(nv):
            new[:, i] = rng.random(len(new)) < special.expit(case.c[i] + seen @ case.J[i])
        return new

    return wrong


def dropped_weights(step: Step, case: Case) -> Step:
    """Dropout left on: each visible unit loses each hidden one with chance 10 %."""

    def wrong(states: Array, seed: int) -> Array:
        new, rng, nv = step(states, seed), np.random.default_rng([seed, 1]), case.n_visible
        for i in range(nv):
            field = case.c[i] + (new * (rng.random(new.shape) < 0.9)) @ case.J[i]
            new[:, i] = rng.random(len(new)) < special.expit(field)
        return new

    return wrong


def auxiliaries_resampled(step: Step, case: Case) -> Step:
    """Each value of a visible unit is weighed with hidden units drawn anew for it, which then stay."""

    def wrong(states: Array, seed: int) -> Array:
        new, rng, nv = states.copy(), np.random.default_rng(seed), case.n_visible
        for i in range(nv):
            down, up = new.copy(), new.copy()
            for value, end in enumerate((down, up)):
                end[:, i] = value
                end[:, nv:] = rng.random((len(new), case.n_hidden)) < special.expit(case.c + end @ case.J)[:, nv:]
            fall = case.energies[case.index(down)] - case.energies[case.index(up)]
            new = np.where((rng.random(len(new)) < special.expit(fall))[:, None], up, down)
        return new

    return wrong


def sampled_layer(case: Case, units: range, up: Array) -> Array:
    """Matrix (S, S) of drawing ``units`` with p(up) = up (S, d) while the others stay."""
    P = np.ones((len(case.states), len(case.states)))
    for i in range(case.n_units):
        if i in units:
            P *= np.where(case.states[None, :, i] == 1, up[:, None, i], 1.0 - up[:, None, i])
        else:
            P *= case.states[:, None, i] == case.states[None, :, i]
    return P


def hidden_layer(case: Case) -> Array | None:
    """Matrix of the right update of the hidden units; None unless the case is free block Gibbs."""
    if case.kernel != "block_gibbs" or case.clamp:
        return None
    up = special.expit(case.c + case.states @ case.J)
    return sampled_layer(case, range(case.n_visible, case.n_units), up)


def dropout_law(case: Case) -> Array | None:
    """The visible units' probabilities averaged over the masks of the hidden ones."""
    first = hidden_layer(case)
    if first is None:
        return None
    nv, up = case.n_visible, np.zeros_like(case.states)
    for mask in np.ndindex(*(2,) * case.n_hidden):
        kept = np.concatenate([np.ones(nv), mask])
        up += np.prod(np.where(mask, 0.9, 0.1)) * special.expit(case.c + (case.states * kept) @ case.J)
    return first @ sampled_layer(case, range(nv), up)


def stale_law(case: Case) -> Array | None:
    """The first hidden unit as it was before; the matrix of the second half depends on the start."""
    first, nv = hidden_layer(case), case.n_visible
    if first is None:
        return None
    P = np.zeros_like(case.P)
    for value in (0.0, 1.0):
        seen = case.states.copy()
        seen[:, nv] = value
        second = sampled_layer(case, range(nv), special.expit(case.c + seen @ case.J))
        rows = case.states[:, nv] == value
        P[rows] = (first @ second)[rows]
    return P


def resampled_law(case: Case) -> Array | None:
    """One factor a visible unit: both candidates with their own hidden units, then the choice between them."""
    hidden, E, P = hidden_layer(case), case.energies, np.eye(len(case.pi))
    if hidden is None:
        return None
    rises = special.expit(E[:, None] - E[None, :])  # [t, u]: candidate u is up and taken, t is down
    for i in range(case.n_visible):
        ends = case.states.copy(), case.states.copy()
        ends[0][:, i], ends[1][:, i] = 0.0, 1.0
        down, up = (hidden[case.index(end)] for end in ends)  # [s, t]: the candidate from s is t
        P = P @ (up * (down @ rises) + down * (up @ (1.0 - rises).T))
    return P


def forgotten_start(case: Case) -> Array:
    """The next state belongs to another row: independent of the start, with the law pi."""
    return np.tile(case.pi, (len(case.pi), 1))


def hidden_first_law(case: Case) -> Array | None:
    """Columns of P at the states with layers exchanged."""
    if case.n_hidden != case.n_visible or case.clamp:
        return None
    P = np.empty_like(case.P)
    P[:, case.index(np.roll(case.states, case.n_visible, axis=1))] = case.P
    return P


Law = Callable[[Case], Array | None]


def rbm(id: str, number: int, words: str, wrap: Wrap, by: str, case: str = "rbm_3x3", law: Law | None = None) -> Bug:
    """A mistake around block Gibbs."""
    return Bug(id, number, words, case, "block_gibbs", tuple(by.split(", ")), "smoke", None, wrap, law)


CARRIED: tuple[Bug, ...] = (
    rbm("rows_share", 110, "every row uses the same uniforms", sweep_with(one_row), "D8, S13"),
    rbm("rows_share_halves", 0, "second half of the rows repeats the first", sweep_with(repeated_half), "D8, S13"),
    rbm("rows_share_pairs", 0, "neighbouring rows share their uniforms", sweep_with(neighbours), "D8, S13"),
    rbm("rows_share_some", 0, "every fourth row repeats its neighbour's uniforms", sweep_with(rare_reuse), "D8, S13"),
    rbm("rows_antithetic", 0, "neighbouring rows use u and 1 - u", sweep_with(antithetic), "S13"),
    rbm("rows_stratified", 0, "uniforms stratified over the rows", sweep_with(stratified), "S13"),
    Bug(
        "site_shared",
        0,
        "one random site for all rows of a call",
        "ising_5_chord",
        "gibbs_random",
        ("S13",),
        "smoke",
        wrap=site_shared,
    ),
    rbm("seed_plus_row", 111, "row r seeded by seed + r", sweep_with(seed_plus_row), "D8"),
    rbm("seed_ignored", 112, "seed ignored", seeded(lambda seed: 0), "D8"),
    rbm("seed_parity", 0, "only the parity of the seed used", seeded(lambda seed: seed & 1), "D8"),
    rbm("seed_16_bits", 0, "seed truncated to 16 bits", seeded(lambda seed: seed & 0xFFFF), "D8"),
    rbm("seed_float32", 0, "seed passed through float32", seeded(lambda seed: int(np.float32(seed))), "D8"),
    rbm("seed_high_bits", 0, "low byte of the seed lost", seeded(lambda seed: seed >> 8), "D8"),
    rbm("last_row_never", 0, "last row of a batch never updated", last_row_never, "S1 single, S13"),
    rbm("rows_rotated", 0, "rows come back rotated by one", rows_rotated, "S1", law=forgotten_start),
    rbm("rows_sorted", 0, "rows come back sorted", rows_sorted, "S1", law=forgotten_start),
    rbm("in_place", 0, "argument overwritten", in_place, "contract"),
    rbm("raises", 0, "raises an exception", raises, "contract"),
    rbm("means", 0, "probabilities returned where draws are declared", means, "D9"),
    rbm("nan", 0, "NaN in the output", output(lambda new: np.where(new == 1, np.nan, new)), "contract"),
    rbm("spins", 0, "-1/+1 returned where {0,1} is declared", output(lambda new: 2 * new - 1), "D9"),
    rbm("transposed_output", 0, "units first, rows second", output(lambda new: new.T), "contract"),
    rbm("squeezed", 0, "a batch of one comes back without its batch axis", output(np.squeeze), "contract"),
    rbm("visible_output", 0, "only the visible units returned", output(lambda new: new[:, :3]), "contract"),
    rbm("hidden_first", 0, "rows returned as [h, x]", hidden_first, "S1", law=hidden_first_law),
    rbm("none", 0, "nothing returned", output(lambda new: None), "contract"),
    rbm("clamp_ignored", 27, "clamped units updated", clamp_ignored, "D9", "rbm_3x3_clamped"),
    rbm("stale_unit", 28, "visible units see the old value of one hidden unit", stale_unit, "S1", law=stale_law),
    rbm(
        "auxiliaries_resampled",
        50,
        "each value of a visible unit weighed with hidden units drawn anew",
        auxiliaries_resampled,
        "S1, S3",
        law=resampled_law,
    ),
    rbm("dropout", 0, "dropout left on", dropped_weights, "S1, S12", law=dropout_law),
)
