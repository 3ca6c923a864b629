"""Single-site Gibbs on chains side by side: the rows of the loop over single chains, near ties by the exact rule."""

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.kernels import gibbs

STREAM = er.Stream(2**63 + 5, "transition", first_chain=9)


def one_by_one(sampler, rows, start, n):
    """n sweeps by the loop over one chain."""
    rows, J, c = np.array(rows), sampler.machine.J, sampler.machine.c
    gibbs.run_site_sweeps(
        len(rows), rows, np.empty_like(rows), J, c, sampler.visits, sampler.addresses, sampler._later, STREAM.address,
        np.uint64(start), n,
    )  # fmt: skip
    return rows


@pytest.mark.parametrize("n_units", [1, 3, 16, 17, 70])
@pytest.mark.parametrize("n_chains", [4, 15, 100])
@pytest.mark.parametrize("clamped", [False, True])
def test_the_same_bits_as_one_chain_at_a_time(n_units, n_chains, clamped):
    machine = er.BoltzmannMachine.random(n_units, 0.5, seed=n_units)
    rng = np.random.default_rng(n_chains)
    rows = rng.integers(0, 2, (n_chains, n_units)).astype(float)
    sampler = er.gibbs(machine, order=rng.permutation(n_units) if clamped else None)
    if clamped and n_units > 1:
        sampler = sampler.clamped(np.arange(n_units) % 5 == 1)
    start = 2**32 - 2  # the step's high part changes on the way
    got = sampler.advance(rows, STREAM, start, 4)[0]
    assert np.array_equal(got, one_by_one(sampler, rows, start, 4))
    assert np.array_equal(sampler.advance(rows[3:], er.Stream(STREAM.seed, "transition", 12), start, 4)[0], got[3:])


def test_states_between_0_and_1_go_one_by_one():
    sampler = er.gibbs(er.BoltzmannMachine.random(6, 0.5))
    rows = np.full((5, 6), 0.5)
    assert np.array_equal(sampler.advance(rows, STREAM, 0, 2)[0], one_by_one(sampler, rows, 0, 2))
