"""Chains side by side: the rows of the loop over single chains, whatever the width; the law in single precision."""

import itertools
import math

import laws
import mpmath
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from members import RBM_2X4, RBM_3X2

import ebm_ref as er
from ebm_ref.kernels import gibbs, gibbs_batch, panels
from ebm_ref.maths.activations import exp_minus_roughly
from ebm_ref.maths.philox import TWO53

STREAM = er.Stream(2**63 + 5, "transition", first_chain=9)


def one_by_one(model, free, rows, start, n):
    """n sweeps by the loop over one chain."""
    rows = np.array(rows)
    WT = np.ascontiguousarray(model.W.T)
    gibbs.run_block_sweeps(
        len(rows), rows, np.empty_like(rows), model.W, WT, model.a, model.b, free, STREAM.address, np.uint64(start), n
    )
    return rows


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (4, 8), (5, 3), (17, 30), (64, 33)])
@pytest.mark.parametrize("n_chains", [1, 15, 16, 17, 100, 300])
def test_the_same_bits_as_one_chain_at_a_time(shape, n_chains):
    model = er.RBM.random(*shape, 0.4, seed=sum(shape))
    rows = np.random.default_rng(n_chains).integers(0, 2, (n_chains, sum(shape))).astype(float)
    free = np.arange(sum(shape)) % 5 != 3
    start = 2**32 - 2  # the step's high part changes on the way
    expected = one_by_one(model, free, rows, start, 4)
    sampler = er.samplers.gibbs.BlockGibbs(model, free)
    assert np.array_equal(sampler.advance(rows, STREAM, start, 4)[0], expected)
    for width, packed in itertools.product((8, 48), (sampler._packed, sampler._packed_double)):
        out = np.full_like(rows, np.nan)
        left = np.zeros(-(-n_chains // width), dtype=np.bool_)
        address, first = STREAM.address, np.uint64(start)
        gibbs_batch.run_batch_sweeps(len(left), width, rows, out, left, *packed, free, address, first, 4)
        assert np.array_equal(out, expected)
        assert not left.any()


def test_sums_in_single_precision_decide_nothing_that_they_could_get_wrong():
    """64 hidden units stand at the very edge: x W + b is exact in float64, its rounding to float32 crosses u."""
    rng = np.random.default_rng(3)
    rows = np.hstack([np.ones((40, 300)), np.zeros((40, 64))])
    u = STREAM.uniform(0, (40, 364))[0, 300:]  # of the first chain
    W = rng.normal(0.0, 0.1, (300, 64))
    edge = np.log(u) - np.log1p(-u) - W.sum(axis=0)
    for nudge in (-1e-9, 1e-9):
        model = er.RBM(W, np.zeros(300), edge + nudge)
        got = er.block_gibbs(model).advance(rows, STREAM, 0, 1)[0]
        assert np.array_equal(got, one_by_one(model, np.ones(364, dtype=bool), rows, 0, 1))
        assert np.all(got[0, 300:] == (nudge > 0))


def test_states_between_0_and_1_are_summed_in_double_precision():
    """Data of CD may be probabilities: h ~ p(h|x) from x as it is."""
    model = er.RBM.random(30, 20, 0.3, seed=4)
    rows = np.random.default_rng(0).random((50, 50))
    got = er.block_gibbs(model).advance(rows, STREAM, 0, 1)[0]
    assert np.array_equal(got, one_by_one(model, np.ones(50, dtype=bool), rows, 0, 1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [8, 24, 40])
def test_panels_in_vector_registers(dtype, width):
    """The LLVM code adds the terms of its plain twin, one after the other."""
    rng = np.random.default_rng(width)
    W, S, Z = rng.normal(size=(5, 7)), rng.integers(0, 2, (5, width)), rng.normal(size=(8, width))
    S, Z, tiles = S.astype(dtype), Z.astype(dtype), panels.tiles(W, dtype)
    expected = np.array(Z)
    for g, w in enumerate(tiles):
        for c in range(0, width, 32 // Z.itemsize):
            panels.panel(1)(expected[4 * g : 4 * g + 4], S, w, c)
    panels.add_products(Z, S, tiles)
    assert np.array_equal(Z, expected)


@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e4, 1e300])
def test_extreme_logits(scale):
    """Logits far beyond the range of single precision: 1[u < p] still."""
    model = er.RBM([[0.0, 0.0]], [scale], [-scale, scale])
    rows = np.zeros((200, 3))
    got = er.block_gibbs(model).advance(rows, STREAM, 0, 3)[0]
    assert np.array_equal(got, one_by_one(model, np.ones(3, dtype=bool), rows, 0, 3))


def test_the_rough_exponential():
    """exp(-a) to 2e-7, also where 2^k is the smallest that counts; a > 87 counts as 87."""
    a = np.float32([*np.linspace(0, 3, 999), *np.linspace(3, 87, 999), 87.0, 1e30])
    error = [abs(float(exp_minus_roughly(x)) - math.exp(-min(float(x), 87.0))) for x in a]
    assert max(error) < 2e-7
    assert error[0] == 0.0


@given(st.floats(-100, 100), st.integers(0, 2**32 - 1))
def test_the_quick_comparison_errs_less_than_its_margin(z, first):
    """|computed - exact| of u (1 + e) - (1 or e) is below MARGIN / 8, so the sign is right beyond MARGIN."""
    e = mpmath.exp(-abs(mpmath.mpf(z)))
    exact = mpmath.mpf(first) / 2**32 * (1 + e) - (1 if z >= 0 else e)
    assert abs(float(gibbs_batch.gap(z, np.uint32(first))) - exact) < gibbs_batch.MARGIN / 8


@pytest.mark.parametrize("z", np.linspace(-40, 40, 41))
def test_ties_and_near_ties_follow_the_exact_rule(z):
    """First words around p 2^32, where only the exact rule can tell."""
    p = 1 / (1 + mpmath.exp(-mpmath.mpf(float(z))))
    centre = int(p * 2**32)
    first = [min(max(centre + d, 0), 2**32 - 1) for d in (-70000, -2000, -1, 0, 1, 2000, 70000)]
    words = np.array(first * 16, dtype=np.uint32)
    states, logits = np.full(len(words), np.nan), np.full(len(words), float(z))
    unit, chain, step, purpose, k0, k1 = (np.uint64(v) for v in (6, 3, 2, 255, 11, 0))
    margin, none = np.float32(gibbs_batch.MARGIN), np.empty(0)
    assert gibbs_batch.draw_quickly(states, logits, words, margin)
    gibbs_batch.settle(states, logits, words, margin, np.empty((0, 0)), none, 0.0, unit, chain, step, purpose, k0, k1)
    for c, word in enumerate(words):
        low = int(gibbs.word(unit, np.uint64(3 + c), step, purpose, k0, k1, np.uint64(1 << 31))) >> 11
        assert states[c] == float(((int(word) << 21) | low) / TWO53 < float(p))


@pytest.mark.parametrize("model", [RBM_3X2, RBM_2X4], ids=["3x2", "2x4"])
def test_the_law_in_single_precision(model, seed):
    """Both twins agree, and transitions follow the float64 matrix; laws state what they could miss."""
    sampler = er.block_gibbs(model, dtype="float32")
    laws.step_and_advance_agree(sampler)
    laws.transitions_follow_the_matrix(sampler, reference.matrix(model, "block_gibbs"), seed)


def test_single_precision_differs_by_rounding_only():
    """A unit changes where u lies between the two probabilities, on average 1e-7 apart: of 2e6 units at most ten."""
    model = er.RBM.random(64, 40, 0.3, seed=4)
    rows = np.random.default_rng(0).integers(0, 2, (20_000, 104)).astype(float)
    double, single = (er.block_gibbs(model, dtype).advance(rows, STREAM, 0, 1)[0] for dtype in ("float64", "float32"))
    changed_rows = np.any(double != single, axis=1).sum()
    assert changed_rows <= 10


def test_single_precision_is_cut_invariant():
    sampler = er.block_gibbs(er.RBM.random(30, 20, 0.3, seed=4), "float32")
    rows = np.random.default_rng(0).integers(0, 2, (70, 50)).astype(float)
    whole = er.sample(sampler, rows, 4, seed=1).last
    parts = [
        er.sample(sampler, rows[lo:hi], 4, seed=1, first_chain=lo).last for lo, hi in itertools.pairwise((0, 1, 20, 70))
    ]
    assert np.array_equal(np.vstack(parts), whole)


def test_dtype_is_checked():
    with pytest.raises(er.errors.DomainError, match=r"^dtype: expected one of 'float64', 'float32', got 'half'"):
        er.block_gibbs(RBM_3X2, "half")
    with pytest.raises(er.errors.DomainError, match=r"^dtype='float32': expected an RBM, got a GRBM"):
        er.block_gibbs(er.GRBM([[1.0]], [0.0], [0.0], [0.0]), "float32")
