"""Memory for arrays that come and go at every step: given back by the last array on it, and used again.

The operating system clears each page that it hands out for the first time, which costs about as much as the arithmetic
of a layer on it.  Arrays begin with a cache line, so that no vector stands in two.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

LINE = 64  # bytes of a cache line
SMALL = 2**15  # bytes, of which the allocator of NumPy takes good care itself
MOST_KEPT = 2**26  # bytes that may lie idle

_lock = threading.RLock()  # a collection of garbage may give memory back while this thread is at it
_idle: dict[int, list[np.ndarray]] = {}
_kept = [0]  # bytes of all idle blocks


class _Loan:
    """A block on loan; arrays made of it hold it."""

    def __init__(self, block: np.ndarray) -> None:
        self.block = block
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        with _lock:
            if _kept[0] + self.block.nbytes <= MOST_KEPT:
                _idle.setdefault(self.block.nbytes, []).append(self.block)
                _kept[0] += self.block.nbytes


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As ``numpy.empty``.

    >>> empty((2, 3), "float32").shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    n = math.prod(shape) * dtype.itemsize
    if n < SMALL:
        return np.empty(shape, dtype)
    n += -n % LINE
    with _lock:
        idle = _idle.get(n)
        block = idle.pop() if idle else None
        _kept[0] -= n if block is not None else 0
    if block is None:
        memory = np.empty(n + LINE, np.uint8)
        first = -memory.ctypes.data % LINE
        block = memory[first : first + n]
    array = np.asarray(_Loan(block))
    return array[: math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
