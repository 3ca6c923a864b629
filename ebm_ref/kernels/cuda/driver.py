"""How chains are shared out among CUDA threads.

``over_chains(body)``: (1) thread c of the grid runs body(c, *arrays), c < n_chains.
``in_halves(first, second)``: a chain is ``lanes`` threads of a block, one for each four units as far as they go.
    (2) In each step all run first(c, lane, lanes, step, *arrays), meet, and then run the second half.
(3) The first ``fills`` arrays hold a row per chain and are filled.  Where a thread is a chain they lie column by
    column on the card, so that neighbouring threads read neighbouring addresses.
(4) All other arrays are read only, and the same for all threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

from ebm_ref.compile import cuda_jit, jit

THREADS = 128  # a block; in halves a chain has at most so many


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
        if n_chains:
            there, fetch = _placed(arrays, fills, "F")
            launch(kernel, -(-n_chains // THREADS), THREADS, n_chains, there)
            fetch()

    run.py_body, run.__doc__ = body, body.__doc__  # type: ignore[attr-defined]
    return run


def in_halves(first: Callable, second: Callable, *, fills: int = 1) -> Callable:
    """``run(n_chains, units, start, n_steps, *arrays)`` on the card; a half step draws ``units`` units at most."""
    first_half, second_half = jit(first), jit(second)

    def threads(n_chains, start, n_steps, arrays):
        chain = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        lane, lanes = cuda.threadIdx.x, cuda.blockDim.x
        for t in range(n_steps):  # (2)
            step = start + np.uint64(t)
            if chain < n_chains:
                first_half(chain, lane, lanes, step, *arrays)
            cuda.syncthreads()
            if chain < n_chains:
                second_half(chain, lane, lanes, step, *arrays)
            cuda.syncthreads()

    kernel = cuda_jit(threads)

    def run(n_chains: int, units: int, start: np.uint64, n_steps: int, *arrays: Any) -> None:
        if n_chains:
            lanes = 1
            while lanes < THREADS and 4 * lanes < units:
                lanes *= 2
            there, fetch = _placed(arrays, fills, "F" if lanes == 1 else "C")
            chains = THREADS // lanes
            launch(kernel, -(-n_chains // chains), (lanes, chains), n_chains, start, n_steps, there)
            fetch()

    return run


def _placed(arrays: tuple, fills: int, order: str) -> tuple[tuple, Callable[[], None]]:
    """(3), (4): the arrays on the card, and what brings the filled ones back."""
    filled = [k for k, array in enumerate(arrays) if isinstance(array, np.ndarray)][:fills]
    there = tuple(upload(array, order if k in filled else "C") for k, array in enumerate(arrays))

    def fetch() -> None:
        for k in filled:
            arrays[k][...] = there[k].copy_to_host()

    return there, fetch
