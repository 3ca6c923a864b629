"""Hypothesis strategies: models of 1 to 5 units a side, never square only, magnitudes up to 30 and named extremes."""

import hypothesis.extra.numpy as arrays
import numpy as np
from hypothesis import strategies as st

from ebm_ref import RBM, BoltzmannMachine

MAGNITUDE = 30.0
EXTREMES = (0.0, 1e-300, -1e-300, 0.5, -0.5, MAGNITUDE, -MAGNITUDE)
SHAPES = [(nv, nh) for nv in range(1, 6) for nh in range(1, 6)]


def numbers(magnitude: float = MAGNITUDE):
    """Any number up to the magnitude, the named extremes among them."""
    extremes = [value for value in EXTREMES if abs(value) <= magnitude] + [magnitude, -magnitude]
    return st.floats(-magnitude, magnitude) | st.sampled_from(extremes)


def parameters(shape, magnitude: float = MAGNITUDE):
    """An array that is not zero throughout."""
    return arrays.arrays(np.float64, shape, elements=numbers(magnitude)).filter(np.any)


@st.composite
def rbms(draw, magnitude: float = MAGNITUDE, max_side: int = 5):
    """An RBM, rectangular more often than not."""
    nv, nh = draw(st.sampled_from([shape for shape in SHAPES if max(shape) <= max_side]))
    return RBM(*(draw(parameters(shape, magnitude)) for shape in ((nv, nh), (nv,), (nh,))))


@st.composite
def machines(draw, magnitude: float = MAGNITUDE, max_units: int = 5):
    """A Boltzmann machine of at least two units, some of them hidden."""
    n = draw(st.integers(2, max_units))
    upper = np.triu(draw(arrays.arrays(np.float64, (n, n), elements=numbers(magnitude))), 1)
    return BoltzmannMachine(upper + upper.T, draw(parameters((n,), magnitude)), draw(st.integers(1, n)))


def models(magnitude: float = MAGNITUDE, max_side: int = 4):
    """Any binary model."""
    return rbms(magnitude, max_side) | machines(magnitude, max_side + 1)


def rows(n_units: int, max_rows: int = 4):
    """A batch of binary rows."""
    shape = st.tuples(st.integers(1, max_rows), st.just(n_units))
    return arrays.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0]))
