"""Read-only, checked arrays of the oracle's cases."""

from __future__ import annotations

from typing import Any

import numpy as np

from ebm_ref.errors import as_float_array, require_finite, require_shape


def frozen(values: Any) -> np.ndarray:
    """A read-only float64 copy."""
    array = np.array(values, dtype=np.float64, order="C")
    array.flags.writeable = False
    return array


def checked(name: str, value: Any, *shape: int | None) -> np.ndarray:
    """A read-only, finite array of the wanted shape."""
    array = as_float_array(name, value)
    require_shape(name, array, *shape)
    require_finite(name, array)
    return frozen(array)
