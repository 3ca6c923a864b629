"""Single-site Gibbs on chains side by side: the rows of the loop over single chains, near ties by the exact rule."""

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.kernels import gibbs, gibbs_batch, sites_batch

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


def at_the_edge(nudge, n=150):
    """A machine of whose units, visited in turn, each stands ``nudge`` beside its tie in the first chain: it becomes
    1 where the nudge is positive, which the next one counts on."""
    rng = np.random.default_rng(3)
    J = rng.normal(0.0, 0.1, (n, n))
    J = np.triu(J, 1) + np.triu(J, 1).T
    rows = rng.integers(0, 2, (9, n)).astype(float)
    u = STREAM.uniform(0, (1, n))[0]
    after = float(nudge > 0)
    rest = np.array([after * J[v, :v].sum() + J[v, v:] @ rows[0, v:] for v in range(n)])
    return er.gibbs(er.BoltzmannMachine(J, np.log(u) - np.log1p(-u) - rest + nudge)), rows, after


@pytest.mark.parametrize("nudge", [-1e-9, 1e-9])
def test_single_precision_decides_nothing_that_it_could_get_wrong(nudge, monkeypatch):
    """Fields in float32 err by 1e-6 here.  A margin that forgets them is noticed."""
    sampler, rows, after = at_the_edge(nudge)
    got = sampler.advance(rows, STREAM, 0, 1)[0]
    assert np.all(got[0] == after)
    assert np.array_equal(got, one_by_one(sampler, rows, 0, 1))
    monkeypatch.setattr(sites_batch, "rounding", lambda J, c: 0.0)
    monkeypatch.setattr(gibbs_batch, "MARGIN", 0.0)
    careless, _, _ = at_the_edge(nudge)
    assert not np.array_equal(careless.advance(rows, STREAM, 0, 1)[0], got)


@pytest.mark.parametrize("scale", [0.05, 5.0])
def test_the_bound_covers_every_rounding(scale):
    """Fields in float32, term by term in the worst order of signs, against float64."""
    rng = np.random.default_rng(1)
    J, c = rng.normal(0.0, scale, (200, 30)), rng.normal(0.0, scale, 30)
    for states in (J > 0, J < 0, rng.integers(0, 2, J.shape) > 0):
        field = c.astype(np.float32)
        for i in range(len(J)):
            field += J[i].astype(np.float32) * states[i]
        assert np.abs(field - (c + (J * states).sum(axis=0))).max() < sites_batch.rounding(J, c)


def test_couplings_too_strong_for_single_precision_go_one_by_one():
    sampler = er.gibbs(er.BoltzmannMachine.random(40, 5e4, seed=1))
    rows = np.random.default_rng(2).integers(0, 2, (6, 40)).astype(float)
    assert not sampler._side_by_side(rows.copy(), STREAM, 0, 1)
    assert np.array_equal(sampler.advance(rows, STREAM, 0, 2)[0], one_by_one(sampler, rows, 0, 2))
