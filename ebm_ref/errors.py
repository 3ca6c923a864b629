"""The error family, and the checks at the door.

Every message names the argument, what was expected, what came, and the remedy if there is one:
``a: expected shape (3,), got (4,)``.  Public functions check their arguments here once; inner code trusts them.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np


class EbmError(Exception):
    """Base class of every error that ebm_ref raises on purpose."""


class ShapeError(EbmError, ValueError):
    """An array has the wrong number of axes or the wrong length along one of them."""


class DomainError(EbmError, ValueError):
    """A value lies outside the support: NaN, infinity, a state that is not 0 or 1, a negative count, ..."""


class NonFiniteError(DomainError):
    """An array holds NaN or infinity; says where."""


class ModelTooLargeError(EbmError):
    """An exact answer would take too many states; says how many, about how long, and what to use instead."""


class NotNormalizableError(EbmError):
    """The energy defines no probability law: its partition function diverges."""


class DivergenceError(EbmError):
    """A chain left the finite numbers; says which chain and at which step."""


class InsufficientDataError(EbmError):
    """Too few samples for the declared effect and error rate; says how many are needed."""


class BackendError(EbmError):
    """The device or backend that was asked for is not there."""


def as_float_array(name: str, value: Any) -> np.ndarray:
    """A float64 array made from anything array-like (PyTorch and JAX arrays too); the input is never modified."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name}: expected an array of numbers, got {type(value).__name__} ({error})") from None


def require_shape(name: str, array: np.ndarray, *expected: int | None) -> tuple[int, ...]:
    """Check the shape; ``None`` accepts any length along that axis.  Returns the shape."""
    shape = np.shape(array)
    matches = len(shape) == len(expected) and all(e is None or e == s for e, s in zip(expected, shape, strict=True))
    if not matches:
        inner = ", ".join("any" if e is None else str(e) for e in expected)
        wanted = f"({inner},)" if len(expected) == 1 else f"({inner})"
        raise ShapeError(f"{name}: expected shape {wanted}, got {shape}")
    return shape


def require_finite(name: str, array: np.ndarray) -> None:
    """Refuse NaN and infinities, saying where the first one is."""
    if np.isfinite(array).all():
        return
    bad = np.argwhere(~np.isfinite(array))
    where = ", ".join(map(str, bad[0]))
    raise NonFiniteError(
        f"{name}: expected finite numbers, got {array[tuple(bad[0])]} at [{where}]"
        f" ({len(bad)} non-finite value{'s' if len(bad) > 1 else ''})"
    )


def require_binary(name: str, array: np.ndarray) -> None:
    """Refuse anything but 0 and 1."""
    bad = np.argwhere((array != 0) & (array != 1))
    if len(bad):
        where = ", ".join(map(str, bad[0]))
        value = array[tuple(bad[0])]
        remedy = "; map spins with x = (s + 1) / 2" if value == -1 else ""
        raise DomainError(f"{name}: expected only 0 and 1, got {value} at [{where}]{remedy}")


def require_unit_interval(name: str, array: np.ndarray) -> None:
    """Refuse anything outside [0, 1] (NaN too)."""
    bad = np.argwhere(~((array >= 0) & (array <= 1)))
    if len(bad):
        where = ", ".join(map(str, bad[0]))
        raise DomainError(f"{name}: expected values in [0, 1], got {array[tuple(bad[0])]} at [{where}]")


def require_rows(name: str, value: Any, n_columns: int) -> np.ndarray:
    """A batch of rows, float64 (batch, n_columns)."""
    rows = as_float_array(name, value)
    require_shape(name, rows, None, n_columns)
    return rows


def require_some_rows(name: str, value: Any, n_columns: int) -> np.ndarray:
    """A batch of at least one row of finite numbers."""
    rows = require_rows(name, value, n_columns)
    require_finite(name, rows)
    if not len(rows):
        raise DomainError(f"{name}: expected at least one row, got none")
    return rows


def unit_indices(name: str, value: Any, n: int) -> np.ndarray:
    """Which of n units a boolean mask (n,), or a list of different unit indices, names; in its order."""
    value = np.asarray(value)
    if value.dtype == bool:
        require_shape(name, value, n)
        return np.flatnonzero(value)
    indices = [require_int(name, i, 0, n - 1) for i in value.ravel()]
    if len(set(indices)) < len(indices):
        raise DomainError(f"{name}: expected different unit indices, got {indices}; a mask must be boolean")
    return np.array(indices, dtype=np.int64)


def require_pair(name: str, value: Any) -> tuple[Any, Any]:
    """(low, high)."""
    try:
        low, high = value
    except (TypeError, ValueError):
        raise DomainError(f"{name}: expected a pair (low, high), got {value!r}") from None
    return low, high


def require_int(name: str, value: Any, minimum: int = 0, maximum: int | None = None) -> int:
    """An integer (NumPy's too, not a bool or a float) within [minimum, maximum]."""
    try:
        number = operator.index(value)
    except TypeError:
        raise DomainError(f"{name}: expected an integer, got {value!r}") from None
    if isinstance(value, bool | np.bool_):
        raise DomainError(f"{name}: expected an integer, got {value!r}")
    if number < minimum or (maximum is not None and number > maximum):
        upper = f" and at most {maximum}" if maximum is not None else ""
        raise DomainError(f"{name}: expected an integer of at least {minimum}{upper}, got {number}")
    return number


def require_number(name: str, value: Any) -> float:
    """A finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DomainError(f"{name}: expected a number, got {value!r}") from None
    if not np.isfinite(number):
        raise DomainError(f"{name}: expected a finite number, got {number}")
    return number


def require_positive(name: str, value: Any) -> float:
    """A finite number above zero."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DomainError(f"{name}: expected a positive number, got {value!r}") from None
    if not (number > 0 and np.isfinite(number)):
        raise DomainError(f"{name}: expected a positive number, got {number}")
    return number


def require_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """One of a few words."""
    if value not in choices:
        raise DomainError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")
    return value
