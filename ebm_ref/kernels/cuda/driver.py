"""How a body becomes one CUDA thread per chain.

(1) Thread c of the grid runs body(c, *arrays), c < n_chains.
(2) The first ``fills`` arrays hold a row per chain and are filled.  On the card they lie column by column, so that
    neighbouring threads, which are neighbouring chains, read neighbouring addresses.
(3) All other arrays are read only, and the same for all threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

from ebm_ref.compile import cuda_jit, jit

THREADS = 128  # a block


def upload(value: Any, order: str = "C") -> Any:
    """An array on the card; anything else as it is."""
    return cuda.to_device(np.asarray(value, order=order)) if isinstance(value, np.ndarray) else value  # type: ignore[call-overload]


def empty(shape: tuple[int, ...]) -> Any:
    """An array of float64 on the card, not filled."""
    return cuda.device_array(shape)


def launch(kernel: Any, blocks: Any, threads: Any, *args: Any) -> None:
    """Start a kernel on a grid."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*under-utilization")  # a small job is no mistake
        kernel[blocks, threads](*args)


def over_chains(body: Callable, *, fills: int = 1) -> Callable:
    """``run(n_chains, *arrays)`` on the card, from the body of ``compile.over_chains``.

    ``run.py_body`` is the readable body.
    """
    on_card = jit(body)

    def threads(n_chains, arrays):
        chain = cuda.grid(1)  # (1)
        if chain < n_chains:
            on_card(chain, *arrays)

    kernel = cuda_jit(threads)

    def run(n_chains: int, *arrays: Any) -> None:
        if not n_chains:
            return
        filled = [k for k, array in enumerate(arrays) if isinstance(array, np.ndarray)][:fills]
        there = tuple(upload(array, "F" if k in filled else "C") for k, array in enumerate(arrays))  # (2), (3)
        launch(kernel, -(-n_chains // THREADS), THREADS, n_chains, there)
        for k in filled:
            arrays[k][...] = there[k].copy_to_host()

    run.py_body, run.__doc__ = body, body.__doc__  # type: ignore[attr-defined]
    return run
