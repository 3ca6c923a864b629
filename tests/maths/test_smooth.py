"""The branch-free functions against 40 digits of mpmath, at their edges, and in loops."""

import math

import mpmath
import numpy as np
import pytest

from ebm_ref.kernels import activations, noise
from ebm_ref.maths import smooth

ULP = 2.0**-53
RNG = np.random.default_rng(0)
ODD = RNG.integers(-(2**52), 2**52, 1500) * 2 + 1  # x = odd / 2^53, as Stream.normal has it
ENDS = np.concatenate([2**53 - 2 ** np.arange(1, 52) + 1, 1 - 2**53 + 2 ** np.arange(1, 52), [1, -1, 3]])


def relative_error(got, exact) -> float:
    return float(abs(mpmath.mpf(float(got)) - exact) / abs(exact))


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(40):
        yield


def test_normal_quantile():
    """Relative error below 1e-15 everywhere: 20 000 times finer than what 1e9 draws could resolve."""
    for x in np.concatenate([ODD, ENDS]) / 2.0**53:
        exact = mpmath.sqrt(2) * mpmath.erfinv(mpmath.mpf(float(x)))
        assert relative_error(smooth.normal_quantile(x), exact) < 1e-15
        assert smooth.normal_quantile(-x) == -smooth.normal_quantile(x)


def test_normal_quantile_grows_across_its_seams():
    """At the edges of the centre and of the two tails (w = 5 and 16) neighbours keep their order to rounding."""
    for w in (5.0, 16.0):
        x = math.sqrt(-math.expm1(-w)) + np.arange(-2000, 2001) * 2.0**-53
        z = np.array([smooth.normal_quantile(t) for t in x])
        assert {(1 - t) * (1 + t) < math.exp(-w) for t in x} == {False, True}
        assert np.all(np.diff(z) >= -8 * ULP * z[1:])


def test_exp_minus():
    for a in np.concatenate([RNG.exponential(5.0, 1000), np.linspace(0, 708, 200)]):
        assert relative_error(smooth.exp_minus(a), mpmath.exp(-mpmath.mpf(float(a)))) < 3 * ULP
    assert smooth.exp_minus(0.0) == 1.0
    assert 0 < smooth.exp_minus(1e300) == smooth.exp_minus(math.inf) < 1e-307
    assert math.isnan(smooth.exp_minus(math.nan))


def test_expm1_minus():
    for a in np.concatenate([RNG.exponential(2.0, 500), 10.0 ** -np.arange(0.0, 300, 7), np.linspace(0.3, 0.4, 50)]):
        assert relative_error(smooth.expm1_minus(a), mpmath.expm1(-mpmath.mpf(float(a)))) < 3 * ULP
    assert smooth.expm1_minus(0.0) == 0.0
    assert smooth.expm1_minus(math.inf) == -1.0
    assert math.isnan(smooth.expm1_minus(math.nan))


ALPHA = 0.75
FORMULAS = {
    "softplus": (lambda z: mpmath.log1p(mpmath.exp(z)), lambda z: 1 / (1 + mpmath.exp(-z)),
                 lambda z: 1 / (2 + mpmath.exp(z) + mpmath.exp(-z))),
    "tanh": (mpmath.tanh, lambda z: mpmath.sech(z) ** 2, lambda z: -2 * mpmath.tanh(z) * mpmath.sech(z) ** 2),
    "elu": (lambda z: z if z > 0 else ALPHA * mpmath.expm1(z), lambda z: 1 if z > 0 else ALPHA * mpmath.exp(z),
            lambda z: 0 if z > 0 else ALPHA * mpmath.exp(z)),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("which", ["value", "slope", "curvature"])
def test_activations(name, which):
    """Relative errors below 8 units of 2^-53, near 0 and far out; the same bits for any split."""
    z = np.concatenate([RNG.normal(0, 4, 400), np.linspace(-300, 300, 61), 10.0 ** -np.arange(1, 20), [-1e-9, -0.35]])
    one, zero = np.ones(len(z)), np.zeros(len(z))
    given = {"value": (), "slope": (one,), "curvature": (zero, one)}[which]
    loop = getattr(activations, which)
    got = loop(name, ALPHA, z, *given)
    formula = FORMULAS[name][("value", "slope", "curvature").index(which)]
    for x, y in zip(z, got, strict=True):
        exact = formula(mpmath.mpf(float(x)))
        assert y == exact == 0 or relative_error(y, exact) < 8 * ULP, (x, y)
    parts = [loop(name, ALPHA, z[s].copy(), *(a[s].copy() for a in given)) for s in (slice(0, 7), slice(7, None))]
    assert np.concatenate(parts).tobytes() == got.tobytes()


def test_logarithms():
    for e in np.concatenate([RNG.random(1000), 10.0 ** -np.arange(0.0, 300, 7)]):
        assert relative_error(smooth.log1p_unit(e), mpmath.log1p(mpmath.mpf(float(e)))) < 5 * ULP
    for p in np.concatenate([RNG.random(1000), 1.0 + RNG.random(500), 2.0 ** -np.arange(1.0, 1000, 7), [1 - ULP]]):
        assert relative_error(smooth.log_normal_number(p), mpmath.log(mpmath.mpf(float(p)))) < 5 * ULP
    assert smooth.log1p_unit(0.0) == smooth.log_normal_number(1.0) == 0.0


def test_loops_and_scalars_have_the_same_bits():
    """A vector loop does the operations of the scalar function, in its order: no fast-math flag is granted."""
    x = np.concatenate([ODD, ENDS])[:1536] / 2.0**53
    z, p, t, k = np.empty((4, len(x)))
    noise.quantiles(z, x, p, t, k)
    assert z.tobytes() == np.array([smooth.normal_quantile(t) for t in x]).tobytes()


def test_tiles_and_back():
    for n in (1, 15, 16, 17, 40):
        rows = np.arange(n * 3.0).reshape(n, 3)
        tiles = noise.to_tiles(rows)
        assert tiles.shape == (-(-n // noise.LANES), 3 * noise.LANES)
        assert np.array_equal(noise.from_tiles(tiles, n, 3), rows)
