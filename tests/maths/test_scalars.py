"""Scalars at their limits, their identities, and 50 digits of mpmath."""

import math
import warnings

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebm_ref.maths import scalars
from ebm_ref.maths.bits import gray, trailing_zeros

INF = math.inf
ONE_ARGUMENT = {
    "softplus": lambda z: mpmath.log1p(mpmath.exp(z)),
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "log_sigmoid": lambda z: -mpmath.log1p(mpmath.exp(-z)),
    "log2cosh": lambda z: mpmath.log(mpmath.exp(z) + mpmath.exp(-z)),
}
POINTS = [0.0, 1e-300, 1e-17, 1e-8, 0.1, math.log(2), 1.0, 5.5, 30.0, 36.7, 37.5, 100.0, 700.0, 744.0, 800.0]


@pytest.mark.parametrize("name", ONE_ARGUMENT)
@pytest.mark.parametrize("z", [*POINTS, *(-z for z in POINTS)])
def test_against_fifty_digits(name, z):
    with mpmath.workdps(50 + 2 * int(abs(z) / 2.3)):
        exact = ONE_ARGUMENT[name](mpmath.mpf(z))
        got = getattr(scalars, name)(z)
        assert abs(got - exact) <= 4 * 2.0**-53 * abs(exact) + mpmath.mpf(2) ** -1074


@pytest.mark.parametrize(
    ("name", "at_minus", "at_plus"),
    [("softplus", 0.0, INF), ("sigmoid", 0.0, 1.0), ("log_sigmoid", -INF, 0.0), ("log2cosh", INF, INF)],
)
def test_infinities(name, at_minus, at_plus):
    function = getattr(scalars, name)
    assert (function(-INF), function(INF)) == (at_minus, at_plus)


@pytest.mark.parametrize("p", [-INF, -800.0, 0.0, 3.0, 800.0, INF])
@pytest.mark.parametrize("q", [-INF, -800.0, 0.0, 3.0, 800.0, INF])
def test_logaddexp_and_logdiffexp_at_the_limits(p, q):
    assert scalars.logaddexp(p, q) == pytest.approx(np.logaddexp(p, q), rel=1e-15)
    difference = scalars.logdiffexp(p, q)
    if p < q:
        assert math.isnan(difference)
    elif p == q:
        assert difference == -INF
    else:
        assert scalars.logaddexp(difference, q) == pytest.approx(p, rel=1e-15)


@pytest.mark.parametrize("d", [-1e-300, -1e-17, -1e-8, -0.1, -math.log(2), -0.7, -5.0, -40.0, -800.0])
def test_log1mexp(d):
    with mpmath.workdps(800):
        exact = mpmath.log(-mpmath.expm1(mpmath.mpf(d)))
        assert abs(scalars.log1mexp(d) - exact) <= 4 * 2.0**-53 * abs(exact) + mpmath.mpf(2) ** -1074
    assert scalars.log1mexp(0.0) == -INF
    assert scalars.log1mexp(-INF) == 0.0


@given(st.floats(-1e3, 1e3))
def test_identities(z):
    assert scalars.softplus(z) - scalars.softplus(-z) == pytest.approx(z, rel=1e-15, abs=1e-15)
    assert scalars.sigmoid(z) + scalars.sigmoid(-z) == pytest.approx(1.0, rel=1e-15)
    assert scalars.log_sigmoid(z) == -scalars.softplus(-z)
    assert scalars.log2cosh(z) == pytest.approx(scalars.softplus(2 * z) - z, rel=1e-14, abs=1e-13)
    assert 0.0 <= scalars.sigmoid(z) <= 1.0


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_logaddexp_is_symmetric_and_bounded(p, q):
    total = scalars.logaddexp(p, q)
    assert total == scalars.logaddexp(q, p)
    assert max(p, q) <= total <= max(p, q) + math.log(2) * (1 + 1e-15)


def test_plain_python_is_silent_and_close_to_the_compiled():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ONE_ARGUMENT:
            compiled = getattr(scalars, name)
            plain = getattr(compiled, "py_func", compiled)
            for z in (*POINTS, *(-z for z in POINTS), INF, -INF):
                assert plain(z) == pytest.approx(compiled(z), rel=4e-16, abs=5e-324)


def test_gray_code_visits_every_state_by_single_flips():
    words = [gray(t) for t in range(1 << 10)]
    assert sorted(words) == list(range(1 << 10))
    for t in range(1, 1 << 10):
        assert words[t] ^ words[t - 1] == 1 << trailing_zeros(t)
