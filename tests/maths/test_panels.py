"""Products in vector registers equal their readable twins, whatever the number of terms: none and one among them."""

import numpy as np
import pytest

from ebm_ref.compile import jit
from ebm_ref.kernels import panels
from ebm_ref.kernels.noise import LANES
from ebm_ref.kernels.targets import add_products as add_tile_products


@jit
def of_fours(Z, S, w, c):
    panels.panel_of_fours(Z, S, w, c)


@pytest.mark.parametrize("terms", [0, 4, 8])
def test_a_panel_of_fours(terms):
    rng = np.random.default_rng(terms)
    Z, S, w = rng.normal(size=(4, 16)), rng.normal(size=(terms, 16)), rng.normal(size=(terms, 4))
    expected = Z.copy()
    panels.fours(1)(expected, S, w, 8)
    of_fours(Z, S, w, 8)
    np.testing.assert_array_equal(Z, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [8, 24, 40])
@pytest.mark.parametrize("terms", [0, 1, 5])
def test_products_by_panels(terms, width, dtype):
    rng = np.random.default_rng(width)
    W, S = rng.normal(size=(terms, 6)), rng.integers(0, 2, (terms, width)).astype(dtype)
    Z = np.zeros((8, width), dtype)
    panels.add_products(Z, S, panels.tiles(W, dtype))
    np.testing.assert_allclose(Z[:6], W.astype(dtype).T @ S, rtol=1e-5 if dtype is np.float32 else 1e-13)


@pytest.mark.parametrize("units", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("terms", [1, 2, 3, 4, 5, 8, 11])
def test_products_of_a_tile_of_chains(units, terms):
    """Fewer than four terms beside four units or more once read past the end of x."""
    rng = np.random.default_rng(units)
    M, x, out = rng.normal(size=(units, terms)), rng.normal(size=(terms, LANES)), rng.normal(size=(units, LANES))
    expected = out + M @ x
    add_tile_products(out.ravel(), panels.tiles(M.T, np.float64), x.ravel())
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-13)
