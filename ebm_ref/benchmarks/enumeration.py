"""log Z and moments by enumeration, against a chunked NumPy log-sum-exp and the multiply-add rate of dgemm."""

from __future__ import annotations

import math

import numpy as np

import ebm_ref
from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Session
from ebm_ref.benchmarks.timing import ratio

CHUNK_BITS = 13
NUMPY_BITS = 14  # NumPy sums so many hidden bits, and its time is scaled up: it is the same for each chunk


def numpy_log_partition(model: ebm_ref.RBM) -> float:
    """What one writes in NumPy: blocks of hidden states, softplus by logaddexp, streaming log-sum-exp."""
    n = model.n_hidden
    total = -math.inf
    for start in range(0, 2**n, 2**CHUNK_BITS):
        h = (np.arange(start, min(start + 2**CHUNK_BITS, 2**n))[:, None] >> np.arange(n) & 1).astype(np.float64)
        log_weights = h @ model.b + np.logaddexp(0.0, model.a + h @ model.W.T).sum(axis=1)
        top = max(total, log_weights.max())
        total = top + math.log(math.exp(total - top) + np.exp(log_weights - top).sum())
    return float(total)


def measure_numpy_ratio(session: Session) -> Measured:
    """784 x 20 against NumPy; NumPy is timed on 2^14 states and its time multiplied by 2^6."""
    n = 10 if session.quick else 20
    n_numpy = min(n, NUMPY_BITS)
    model, small = (ebm_ref.RBM.random(784, k, 0.05) for k in (n, n_numpy))
    times = session.time(
        {OURS: lambda: ebm_ref.exact.log_partition(model), "numpy": lambda: numpy_log_partition(small)}
    )
    scale = 2.0 ** (n - n_numpy)
    words = f"NumPy timed on 2^{n_numpy} states, times {scale:.0f}: its cost a state is constant"
    return Measured(scale * ratio(times["numpy"], times[OURS]), times, words)


def rows() -> tuple[Benchmark, ...]:
    """The rows of issue-sized work."""
    return (
        Benchmark(
            "log_z_numpy", "log Z, 784 visible x 20 hidden, against chunked NumPy", 500, "x", measure_numpy_ratio
        ),
    )
