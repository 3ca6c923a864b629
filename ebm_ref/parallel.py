"""Independent pieces of one job, here or on any ``concurrent.futures.Executor``: threads, processes, a cluster.

A piece is ``function(first, count)`` of a range of shards.  It is a pure function of its arguments, and results are put
together in the order of the shards: a lost worker, whose pieces another one repeats, changes no bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from typing import TypeVar

from ebm_ref.progress import track

T = TypeVar("T")


def run_pieces(
    function: Callable[[int, int], T], n: int, n_pieces: int, what: str, executor: Executor | None, progress: bool
) -> list[T]:
    """[function(first, count), ...] over the ranges that cut n shards into about ``n_pieces``, in their order.

    The bar counts finished shards.  When a piece fails, or Ctrl-C comes, pieces that did not start are given up.

    >>> run_pieces(lambda first, count: list(range(first, first + count)), 5, 2, "counting", None, False)
    [[0, 1], [2, 3, 4]]
    """
    n_pieces = max(1, min(n_pieces, n))
    edges = [n * k // n_pieces for k in range(n_pieces + 1)]
    pieces = [(low, high - low) for low, high in itertools.pairwise(edges)]
    results = {}
    with track(n, what, enabled=progress) as bar:
        if executor is None:
            for first, count in pieces:
                results[first] = function(first, count)
                bar(count)
        else:
            jobs = {executor.submit(function, *piece): piece for piece in pieces}
            try:
                for job in as_completed(jobs):
                    first, count = jobs[job]
                    results[first] = job.result()
                    bar(count)
            finally:
                for job in jobs:
                    job.cancel()
    return [results[first] for first, _ in pieces]
