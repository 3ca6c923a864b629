"""The shipped digits are the UCI digits, whole, and binarised as documented."""

import dataclasses
import hashlib
import subprocess
import sys

import numpy as np
import pytest

from ebm_ref import datasets

CONTENT_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


@pytest.fixture(scope="module")
def data():
    return datasets.digits()


def test_content_is_intact(data):
    ink = (data.images * 16).astype(np.uint8)
    assert hashlib.sha256(ink.tobytes() + data.labels.astype(np.uint8).tobytes()).hexdigest() == CONTENT_SHA256


def test_shapes_types_and_ranges(data):
    assert data.images.shape == (1797, 8, 8)
    assert data.images.dtype == np.float64
    assert (data.images.min(), data.images.max()) == (0.0, 1.0)
    assert np.array_equal(data.images * 16, np.round(data.images * 16))
    assert data.binary.shape == (1797, 64)
    assert data.binary.dtype == np.float64
    assert data.labels.dtype == np.int64
    assert np.bincount(data.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_binary_is_seven_sixteenths_of_ink(data):
    assert np.array_equal(data.binary, (data.images >= 7 / 16).reshape(1797, 64))
    assert data.binary.mean() == pytest.approx(0.345872, abs=1e-6)


def test_record_is_frozen_and_arrays_are_the_callers(data):
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.labels = data.labels
    changed = datasets.digits()
    changed.images[:], changed.binary[:], changed.labels[:] = 0, 0, 0
    again = datasets.digits()
    assert np.array_equal(again.images, data.images)
    assert np.array_equal(again.binary, data.binary)
    assert np.array_equal(again.labels, data.labels)


def test_equal_to_the_copy_of_scikit_learn(data):
    source = pytest.importorskip("sklearn.datasets").load_digits()
    assert np.array_equal(data.images * 16, source.images)
    assert np.array_equal(data.labels, source.target)


def test_needs_numpy_only():
    program = "import sys, ebm_ref.datasets as d; d.digits(); print(*sorted({m.split('.')[0] for m in sys.modules}))"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in modules
    assert not {"sklearn", "scipy", "numba", "matplotlib", "pandas"} & set(modules)
