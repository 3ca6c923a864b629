"""Sums by tables: the rows of the loop over single chains, the bound on their error, one result in single precision."""

import math

import laws
import numpy as np
import pytest
import reference
from members import RBM_2X4, RBM_3X2

import ebm_ref as er
from ebm_ref.compile import jit
from ebm_ref.kernels import gibbs, gibbs_tables, tables
from ebm_ref.samplers.gibbs import BlockGibbs

STREAM = er.Stream(2**63 + 5, "transition", first_chain=9)
START = 2**32 - 2  # the step's high part changes on the way
SHAPES = [(1, 1), (3, 2), (2, 33), (33, 30), (31, 65), (64, 64)]


@jit
def add(Z, T, S):
    tables.add_rows(Z, T, S, 0)


@pytest.fixture
def always(monkeypatch):
    """Tables for the smallest models too."""
    monkeypatch.setattr(gibbs_tables, "MOST_PADDING", math.inf)


def one_by_one(model, free, rows, n):
    """n sweeps by the loop over one chain."""
    rows, WT = np.array(rows), np.ascontiguousarray(model.W.T)
    gibbs.run_block_sweeps(
        len(rows), rows, np.empty_like(rows), model.W, WT, model.a, model.b, free, STREAM.address, np.uint64(START), n
    )
    return rows


def by_tables(layers, free, rows, n, width):
    """n sweeps by tables, ``width`` chains to a block."""
    out, left = np.full_like(rows, np.nan), np.zeros(-(-len(rows) // width), dtype=np.bool_)
    gibbs_tables.run_table_sweeps(
        len(left), width, rows, out, left, *layers, free[None].astype(float), STREAM.address, np.uint64(START), n
    )
    assert not left.any()
    return out


def binary_rows(n_chains, n_units):
    return np.random.default_rng(n_chains).integers(0, 2, (n_chains, n_units)).astype(float)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("clamped", [0, 5])
def test_the_same_bits_as_one_chain_at_a_time(shape, clamped):
    """Layers that begin within a block, blocks of one chain and of many, units that never move."""
    model, rows = er.RBM.random(*shape, 0.4, seed=sum(shape)), binary_rows(70, sum(shape))
    free = np.arange(sum(shape)) % 5 >= (clamped > 0)
    expected = one_by_one(model, free, rows, 3)
    layers = gibbs_tables.layers(model.W, model.a, model.b, single=False)
    for width in (1, 66, 70):
        assert np.array_equal(by_tables(layers, free, rows, 3, width), expected)
    assert np.array_equal(expected[:, ~free], rows[:, ~free])


def test_the_sampler_takes_tables_where_tiles_are_full():
    """And nothing else changes: one chain, many, any number of threads."""
    model, free = er.RBM.random(94, 62, 0.4, seed=1), np.ones(156, dtype=bool)
    sampler = BlockGibbs(model, free)
    assert sampler._layers is not None
    assert BlockGibbs(er.RBM.random(16, 8), np.ones(24, dtype=bool))._layers is None
    rows = binary_rows(80, 156)
    expected = one_by_one(model, free, rows, 3)
    for n in (1, 5, 80):
        assert np.array_equal(sampler.advance(rows[:n], STREAM, START, 3)[0], expected[:n])
    rows[7, 11] = 0.25  # a state between 0 and 1: all in double precision
    assert np.array_equal(sampler.advance(rows, STREAM, START, 3)[0], one_by_one(model, free, rows, 3))


@pytest.mark.parametrize("chains", [0, 1, 5])
def test_rows_of_a_table_in_vector_registers(chains):
    """(1) is the sum that it says, and the LLVM code adds the rows that its plain twin adds."""
    rng = np.random.default_rng(chains)
    w, T = rng.normal(size=(8, 4, 32)).astype(np.float32), np.empty((8, 16, 32), np.float32)
    tables.fill_table(T.reshape(-1), w.reshape(-1))
    for s in range(16):
        on = [np.float32(s >> place & 1) * w[:, place] for place in range(4)]
        assert np.array_equal(T[:, s], ((on[0] + on[1]) + on[2]) + on[3])
    S = (rng.integers(0, 2**62, (1, chains)) & 0x0F0F0F0F0F0F0F0F).astype(np.uint64)
    Z = rng.normal(size=(4, 8 * chains)).astype(np.float32)
    expected = Z.copy()
    tables.add_rows_in_numpy(expected, T.reshape(128, 32), S, 0)
    add(Z, T.reshape(128, 32), S)
    assert np.array_equal(Z, expected)


def test_words_hold_the_states():
    rows = binary_rows(3, 70)
    for offset in range(4):
        S, back = np.zeros((3, 3), np.uint64), np.empty_like(rows)
        assert not gibbs_tables.to_words(S, rows, offset)
        gibbs_tables.to_rows(back, S, offset)
        assert np.array_equal(back, rows)
        assert sum(int(word).bit_count() for word in S.ravel()) == rows.sum()
    for odd in (0.5, -1.0, 2.0, np.nan):
        rows[1, 69] = odd
        assert gibbs_tables.to_words(S, rows, 0)


def single_precision_sums(layer, rows, offset_given):
    """z in float32 for units of a layer from the given layer's rows (chains, given), by the definition."""
    n_chains, n, n_tiles = len(rows), len(layer.bias), len(layer.tiles)
    S = np.zeros((layer.tiles.shape[1], n_chains), np.uint64)
    gibbs_tables.to_words(S, rows, offset_given)
    fields = []
    for tile in range(n_tiles):
        Z = np.repeat(layer.starts[tile].reshape(4, 1, 8), n_chains, axis=1).reshape(4, -1)
        for g in range(len(S)):
            T = np.empty((128, 32), np.float32)
            tables.fill_table(T.reshape(-1), layer.tiles[tile, g])
            tables.add_rows_in_numpy(Z, T, S[g : g + 1], 0)
        fields.append(Z.reshape(4, n_chains, 8).transpose(1, 2, 0).reshape(n_chains, 32))
    offset = layer.first_unit & 3
    return np.hstack(fields)[:, offset : offset + n]


@pytest.mark.parametrize("scale", [0.1, 50.0])
@pytest.mark.parametrize("bias", [0.0, 1000.0])
def test_single_precision_errs_less_than_the_bound(scale, bias):
    """(3) against exact sums, weights that cancel: positive ones first, then negative ones."""
    rng, nv, nh = np.random.default_rng(1), 401, 40
    W = np.abs(rng.normal(0.0, scale, (nv, nh))) * np.where(np.arange(nv) < nv // 2, 1.0, -1.0)[:, None]
    b = bias * rng.choice([-1.0, 1.0], nh)
    layer, _ = gibbs_tables.prepared(W, b, nv, 0)
    d = layer.margin - gibbs_tables.MARGIN
    rows = np.vstack([np.ones(nv), rng.integers(0, 2, (20, nv))])
    exact = np.array([[math.fsum([b[j], *(row * W[:, j])]) for j in range(nh)] for row in rows])
    error = np.abs(single_precision_sums(layer, rows, 0).astype(float) - exact).max()
    assert 1e-3 * d < error < d  # neither broken nor idle


def test_the_bound_decides_what_is_summed_again():
    """64 hidden units at the very edge of u: right by the bound, wrong without it."""
    rng = np.random.default_rng(3)
    rows, free = np.hstack([np.ones((40, 300)), np.zeros((40, 64))]), np.ones(364, dtype=bool)
    u = STREAM.uniform(START, (40, 364))[0, 300:]  # of the first chain
    W = rng.normal(0.0, 0.5, (300, 64))
    model = er.RBM(W, np.zeros(300), np.log(u) - np.log1p(-u) - W.sum(axis=0) + 1e-9)
    expected = one_by_one(model, free, rows, 1)
    visible, hidden = gibbs_tables.layers(model.W, model.a, model.b, single=False)
    assert np.array_equal(by_tables((visible, hidden), free, rows, 1, 40), expected)
    trusting = hidden._replace(margin=0.0)
    assert not np.array_equal(by_tables((visible, trusting), free, rows, 1, 40), expected)


@pytest.mark.parametrize("scale", [5.0, 50.0, 1e300])
def test_extreme_weights_are_summed_in_double_precision(scale):
    """Where the bound says that single precision decides nothing, tables are not used."""
    W = scale * np.random.default_rng(0).choice([-1.0, 1.0], (96, 64))
    W[-1] = 0.5 - W[:-1].sum(axis=0)  # all on: they cancel
    model, free = er.RBM(W, np.full(96, -1000.0), np.full(64, 0.25)), np.ones(160, dtype=bool)
    sampler, rows = BlockGibbs(model, free), np.hstack([np.ones((20, 96)), np.zeros((20, 64))])
    assert (sampler._layers is None) == (scale > 5)
    assert np.array_equal(sampler.advance(rows, STREAM, START, 2)[0], one_by_one(model, free, rows, 2))


@pytest.mark.parametrize("shape", [(3, 2), (33, 30), (62, 33)])
def test_single_precision_has_one_result(always, shape):
    """By tables or, for the sake of one chain in the batch that is not binary, by plain sums: the same bits."""
    n = sum(shape)
    sampler = er.block_gibbs(er.RBM.random(*shape, 1.0, seed=2), "float32").clamped(np.arange(n) % 5 == 3)
    rows = binary_rows(50, n)
    expected = sampler.advance(rows, STREAM, START, 3)[0]
    mixed = np.vstack([rows, np.full((1, n), 0.3)])
    assert np.array_equal(sampler.advance(mixed, STREAM, START, 3)[0][:50], expected)
    for lo, hi in ((0, 1), (1, 20), (20, 50)):
        part = er.Stream(STREAM.seed, "transition", STREAM.first_chain + lo)
        assert np.array_equal(sampler.advance(rows[lo:hi], part, START, 3)[0], expected[lo:hi])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", [RBM_3X2, RBM_2X4], ids=["3x2", "2x4"])
def test_the_law_by_tables(always, model, dtype, seed):
    """Both twins agree, and transitions follow the float64 matrix; laws state what they could miss."""
    sampler = er.block_gibbs(model, dtype)
    assert sampler._layers is not None
    laws.step_and_advance_agree(sampler)
    laws.transitions_follow_the_matrix(sampler, reference.matrix(model, "block_gibbs"), seed)
