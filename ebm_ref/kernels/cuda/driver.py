"""How chains are shared out among CUDA threads.

``over_chains(body)``: (1) thread c of the grid runs body(c, *arrays), c < n_chains.
``in_parts(*parts)``: a chain is ``lanes`` threads of a block, one for each four units as far as they go.
    (2) In each step all run part(c, lane, lanes, step, *arrays), part after part, and meet after each.
(3) The first ``fills`` arrays hold a row per chain and are filled.  Where a thread is a chain they lie column by
    column on the card, so that neighbouring threads read neighbouring addresses.
(4) All other arrays are read only, and the same for all threads; those of ``empty`` are scratch, a row per chain.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

from ebm_ref.compile import cuda_jit, jit

THREADS = 128  # a block; in parts a chain has at most so many


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


def lanes_of(units: int) -> int:
    """How many threads share a chain whose layers have ``units`` units at most."""
    lanes = 1
    while lanes < THREADS and 4 * lanes < units:
        lanes *= 2
    return lanes


def in_parts(*parts: Callable, fills: int = 1) -> Callable:
    """``run(n_chains, units, start, n_steps, *arrays)`` on the card; a part draws ``units`` units at most."""
    step_parts = functools.reduce(_then, map(jit, parts), jit(_nothing))

    def threads(n_chains, start, n_steps, arrays):
        chain = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        for t in range(n_steps):  # (2)
            step_parts(chain < n_chains, chain, cuda.threadIdx.x, cuda.blockDim.x, start + np.uint64(t), arrays)

    kernel = cuda_jit(threads)

    def run(n_chains: int, units: int, start: np.uint64, n_steps: int, *arrays: Any) -> None:
        if n_chains:
            lanes = lanes_of(units)
            there, fetch = _placed(arrays, fills, "F" if lanes == 1 else "C")
            chains = THREADS // lanes
            launch(kernel, -(-n_chains // chains), (lanes, chains), n_chains, start, n_steps, there)
            fetch()

    return run


def _nothing(exists, chain, lane, lanes, step, arrays):
    """Before the first part."""


def _then(earlier: Callable, part: Callable) -> Callable:
    """(2): ``earlier``, then ``part``; threads without a chain only meet the others."""

    def both(exists, chain, lane, lanes, step, arrays):
        earlier(exists, chain, lane, lanes, step, arrays)
        if exists:
            part(chain, lane, lanes, step, *arrays)
        cuda.syncthreads()

    return jit(both)


def _placed(arrays: tuple, fills: int, order: str) -> tuple[tuple, Callable[[], None]]:
    """(3), (4): the arrays on the card, and what brings the filled ones back."""
    filled = [k for k, array in enumerate(arrays) if isinstance(array, np.ndarray)][:fills]
    there = tuple(upload(array, order if k in filled else "C") for k, array in enumerate(arrays))

    def fetch() -> None:
        for k in filled:
            arrays[k][...] = there[k].copy_to_host()

    return there, fetch
