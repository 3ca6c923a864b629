"""The error family and the checks at the door."""

import inspect
import re

import numpy as np
import pytest

from ebm_ref import errors
from ebm_ref.errors import DomainError, EbmError, ShapeError


def test_the_family():
    family = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)]
    assert all(issubclass(cls, EbmError) and cls.__doc__ for cls in family)
    assert issubclass(ShapeError, ValueError)
    assert issubclass(DomainError, ValueError)


BAD = (
    (lambda: errors.require_shape("x", np.zeros((2, 3)), None, 4), "x: expected shape (any, 4), got (2, 3)"),
    (lambda: errors.require_shape("a", np.zeros(4), 3), "a: expected shape (3,), got (4,)"),
    (lambda: errors.require_shape("a", np.float64(1), 3), "a: expected shape (3,), got ()"),
    (
        lambda: errors.require_finite("W", np.array([[0, np.inf], [np.nan, 1]])),
        "W: expected finite numbers, got inf at [0, 1] (2 non-finite values)",
    ),
    (lambda: errors.require_binary("x", np.array([0, 2.0])), "x: expected only 0 and 1, got 2.0 at [1]"),
    (
        lambda: errors.require_binary("x", np.array([[1, -1.0]])),
        "x: expected only 0 and 1, got -1.0 at [0, 1]; map spins with x = (s + 1) / 2",
    ),
    (
        lambda: errors.require_unit_interval("x", np.array([0.5, np.nan])),
        "x: expected values in [0, 1], got nan at [1]",
    ),
    (lambda: errors.require_rows("x", [1, 2], 2), "x: expected shape (any, 2), got (2,)"),
    (lambda: errors.require_int("k", 1.0), "k: expected an integer, got 1.0"),
    (lambda: errors.require_int("k", True), "k: expected an integer, got True"),
    (lambda: errors.require_int("k", 11, 2, 10), "k: expected an integer of at least 2 and at most 10, got 11"),
    (lambda: errors.require_positive("lr", "fast"), "lr: expected a positive number, got 'fast'"),
    (lambda: errors.require_positive("lr", np.inf), "lr: expected a positive number, got inf"),
    (lambda: errors.require_choice("scan", "up", ("down", "side")), "scan: expected one of 'down', 'side', got 'up'"),
    (lambda: errors.as_float_array("x", [[1], [2, 3]]), "x: expected an array of numbers, got list"),
)


@pytest.mark.parametrize(("call", "message"), BAD)
def test_messages(call, message):
    with pytest.raises(EbmError, match="^" + re.escape(message)):
        call()


def test_what_is_accepted():
    assert errors.require_shape("x", np.zeros((2, 3)), 2, None) == (2, 3)
    assert errors.require_int("k", np.int32(3)) == 3
    assert errors.require_positive("lr", np.float32(0.5)) == 0.5
    array = np.array([[1, 0]], dtype=np.uint8)
    rows = errors.require_rows("x", array, 2)
    assert rows.dtype == np.float64
    assert array.dtype == np.uint8
    errors.require_binary("x", np.zeros((0, 2)))


def test_other_libraries_arrays_are_taken():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array([[1, 2]], dtype=dtype)

    assert errors.as_float_array("x", Tensor()).tolist() == [[1.0, 2.0]]
