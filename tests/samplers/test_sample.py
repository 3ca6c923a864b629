"""``sample`` and ``Chain``: the same bits however the work is cut; thinning, burn-in, files, bad input."""

import dataclasses
import json
import re

import numpy as np
import pytest
import reference
from members import MACHINE_4, MACHINE_5, RBM_3X2, SAMPLERS

import ebm_ref as er
from ebm_ref.errors import DomainError, ShapeError

START = np.resize(reference.states(3), (10, 3))


@pytest.mark.parametrize(("sampler", "kernel"), SAMPLERS)
def test_any_split_gives_the_same_bits(sampler, kernel):
    start = np.resize(reference.states(sampler.model.n_visible), (10, sampler.model.n_visible))
    whole = er.sample(sampler, start, 12, seed=7)
    again = er.sample(sampler, start, 12, seed=7)
    assert whole.states.tobytes() == again.states.tobytes()

    parts = [er.sample(sampler, start[lo:hi], 12, seed=7, first_chain=lo) for lo, hi in ((6, 10), (0, 1), (1, 6))]
    assert np.array_equal(np.concatenate([parts[1].states, parts[2].states, parts[0].states]), whole.states)

    head = er.sample(sampler, start, 5, seed=7)
    tail = er.sample(sampler, head.last, 7, seed=7, first_step=head.next_step)
    assert np.array_equal(np.concatenate([head.states, tail.states], axis=1), whole.states)
    assert np.array_equal(tail.last, whole.states[:, -1])
    assert tail.next_step == 12

    rows, stream = sampler.init(start, 7), er.Stream(7, "transition")
    for t in range(12):
        rows, _ = sampler.advance(rows, stream, t, 1)
    assert np.array_equal(rows, whole.last)
    assert not np.array_equal(er.sample(sampler, start, 12, seed=8).states, whole.states)


@pytest.mark.parametrize(("sampler", "kernel"), SAMPLERS)
def test_threads_do_not_matter(sampler, kernel):
    start = np.resize(reference.states(sampler.model.n_visible), (101, sampler.model.n_visible))
    results = []
    for threads in (1, 2, 3):
        try:
            er.set_num_threads(threads)
            results.append(er.sample(sampler, start, 600, seed=2, thin=600))
        finally:
            er.set_num_threads(None)
    for other in results[1:]:
        assert np.array_equal(other.states, results[0].states)
        assert np.array_equal(other.acceptance, results[0].acceptance)


def test_thinning_and_burn_in_select_steps():
    sampler = er.gibbs(RBM_3X2)
    every = er.sample(sampler, START, 23, seed=1)
    some = er.sample(sampler, START, 17, seed=1, thin=4, burn_in=6)
    assert some.states.shape == (10, 4, 5)
    assert np.array_equal(some.states, every.states[:, [9, 13, 17, 21]])
    assert np.array_equal(some.last, every.last)  # the seventeenth step is run, and not kept
    assert some.next_step == every.next_step == 23
    assert np.array_equal(some.visible, some.states[:, :, :3])
    assert np.array_equal(some.hidden, some.states[:, :, 3:])


def test_acceptance_counts_metropolis_flips():
    sampler = er.metropolis(MACHINE_4)
    chain = er.sample(sampler, reference.states(4), 50, seed=3)
    path = np.concatenate([reference.states(4)[:, None], chain.states], axis=1)
    flips = np.abs(np.diff(path, axis=1)).sum(axis=2)
    assert flips.max() == 1
    assert np.array_equal(chain.acceptance, flips.mean(axis=1))
    assert chain.acceptance_rate == pytest.approx(flips.mean())
    assert er.sample(er.gibbs(MACHINE_4), reference.states(4), 5, seed=3).acceptance_rate == 1.0


@pytest.mark.parametrize("clamp", [[0, 2], np.array([True, False, True]), np.array([1, 0, 1, 0, 0], dtype=bool)])
@pytest.mark.parametrize("make", [er.block_gibbs, er.gibbs, er.metropolis])
def test_clamp_by_index_or_mask(make, clamp):
    chain = er.sample(make(RBM_3X2), START, 40, seed=0, clamp=clamp)
    assert np.all(chain.visible[:, :, [0, 2]] == START[:, None, [0, 2]])
    assert len(np.unique(chain.states[:, :, [1, 3, 4]].reshape(-1, 3), axis=0)) == 8


def test_missing_hidden_units_follow_their_posterior(seed):
    """init draws h ~ p(h|x), for an RBM unit by unit, for a machine by inversion over all its hidden states."""
    from chance import assert_rows_follow

    for sampler in (er.block_gibbs(RBM_3X2), er.gibbs(MACHINE_5)):
        m = sampler.model
        table = reference.joint_law(m).reshape(2**m.n_hidden, 2**m.n_visible).T
        states = reference.states(m.n_visible)

        def draw(row, n, stage_seed, sampler=sampler, m=m, states=states):
            joint = sampler.init(np.tile(states[row], (n, 1)), stage_seed, first_chain=row * 10**6)
            assert np.array_equal(joint[:, : m.n_visible], np.tile(states[row], (n, 1)))
            return reference.index(joint[:, m.n_visible :].astype(int))

        assert_rows_follow(draw, table / table.sum(axis=1, keepdims=True), 1000, seed)


def test_initial_joint_rows_are_kept_and_not_modified():
    joint = reference.states(5)
    before = joint.copy()
    assert np.array_equal(er.block_gibbs(RBM_3X2).init(joint, 0), joint)
    er.sample(er.block_gibbs(RBM_3X2), joint, 3, seed=0)
    assert np.array_equal(joint, before)
    one = er.sample(er.block_gibbs(RBM_3X2), [1, 0, 1], 3, seed=0)
    assert one.states.shape == (1, 3, 5)


def test_a_chain_survives_a_file(tmp_path):
    chain = er.sample(er.metropolis(RBM_3X2), START, 20, seed=9, thin=2)
    chain.save(tmp_path / "chain.npz")
    back = er.load(tmp_path / "chain.npz")
    for field in dataclasses.fields(er.Chain):
        assert np.array_equal(getattr(back, field.name), getattr(chain, field.name)), field.name
    later = er.sample(er.metropolis(RBM_3X2), back.last, 4, seed=back.seed, first_step=back.next_step)
    whole = er.sample(er.metropolis(RBM_3X2), START, 24, seed=9)
    assert np.array_equal(later.states, whole.states[:, 20:])
    with np.load(tmp_path / "chain.npz", allow_pickle=False) as file:
        assert np.array_equal(file["states"], chain.states)
        assert json.loads(str(file["header"]))["kind"] == "Chain"


@pytest.mark.parametrize("progress", [False, True])
def test_progress_changes_nothing(progress, capsys):
    chain = er.sample(er.gibbs(RBM_3X2), START, 30, seed=1, progress=progress)
    assert np.array_equal(chain.states, er.sample(er.gibbs(RBM_3X2), START, 30, seed=1).states)
    assert capsys.readouterr().out == ""


BAD = (
    (
        lambda: er.sample(er.gibbs(RBM_3X2), [[1, 0]], 3, seed=0),
        ShapeError,
        "initial: expected shape (any, 3), got (1, 2)",
    ),
    (
        lambda: er.sample(er.gibbs(RBM_3X2), [[1, 0, -1]], 3, seed=0),
        DomainError,
        "initial: expected only 0 and 1, got -1.0 at [0, 2]; map spins with x = (s + 1) / 2",
    ),
    (
        lambda: er.sample(er.gibbs(RBM_3X2), START, -1, seed=0),
        DomainError,
        "n_steps: expected an integer of at least 0, got -1",
    ),
    (
        lambda: er.sample(er.gibbs(RBM_3X2), START, 3, seed=0, thin=0),
        DomainError,
        "thin: expected an integer of at least 1, got 0",
    ),
    (lambda: er.sample(er.gibbs(RBM_3X2), START, 3, seed=0.5), DomainError, "seed: expected an integer, got 0.5"),
    (
        lambda: er.sample(er.gibbs(RBM_3X2), START, 3, seed=0, clamp=range(5)),
        DomainError,
        "clamp: every unit is clamped, nothing is left to sample",
    ),
    (
        lambda: er.sample(er.gibbs(RBM_3X2), START, 3, seed=0, clamp=[5]),
        DomainError,
        "clamp: expected an integer of at least 0 and at most 4, got 5",
    ),
    (
        lambda: er.gibbs(RBM_3X2, "sideways"),
        DomainError,
        "scan: expected one of 'systematic', 'random', 'palindromic', got 'sideways'",
    ),
    (
        lambda: er.gibbs(RBM_3X2, order=[0, 1, 2, 3, 3]),
        DomainError,
        "order: expected each of the 5 units once, got (0, 1, 2, 3, 3)",
    ),
    (
        lambda: er.block_gibbs(MACHINE_4),
        DomainError,
        "block_gibbs: expected an RBM or a GRBM, got BoltzmannMachine; use gibbs",
    ),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_at_the_door(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        call()
