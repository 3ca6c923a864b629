"""Strips of products in vector registers are their NumPy twin, bit for bit."""

import numpy as np
import pytest

from ebm_ref.compile import jit
from ebm_ref.kernels.strips import SIDES, UNROLLED, WIDTH, multiply_strip, strip


def through_compiled_code(P, B, R, c):
    multiply_strip(P, B, R, c)


compiled = jit(through_compiled_code)


@pytest.mark.parametrize(("units", "n_strips"), [(UNROLLED, 1), (4, 2), (12, 3), (256, 1)])
def test_a_strip_is_its_twin_and_leaves_other_columns_alone(units, n_strips):
    rng = np.random.default_rng(units)
    P, R = rng.uniform(0.5, 2.0, (SIDES, n_strips * WIDTH)), rng.uniform(0.1, 1.0, (units, SIDES))
    B = rng.uniform(0.1, 1.0, (units, WIDTH))
    for c in range(0, P.shape[1], WIDTH):
        expected, got = P.copy(), P.copy()
        strip(expected, B, R, c)
        compiled(got, B, R, c)
        np.testing.assert_array_equal(got, expected)
        assert (np.delete(got, np.s_[c : c + WIDTH], axis=1) == np.delete(P, np.s_[c : c + WIDTH], axis=1)).all()


def test_a_strip_sees_each_unit_once():
    """prod_u (0 + 2) = 2^units, and a broken twin that skips the last unit is seen."""
    P, B, R = np.ones((SIDES, WIDTH)), np.full((10, WIDTH), 2.0), np.zeros((10, SIDES))
    compiled(P, B, R, 0)
    assert (P == 2.0**10).all()
    strip(Q := np.ones((SIDES, WIDTH)), B[:-1], R[:-1], 0)
    assert (Q != P).all()
