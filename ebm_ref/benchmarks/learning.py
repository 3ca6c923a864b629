"""CD-1 and PCD on the digits, 64 x 100, an epoch, against scikit-learn's BernoulliRBM (which is PCD).

scikit-learn takes part twice, with one BLAS thread and with all: on small batches threads slow it down.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import ebm_ref
from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Session, against_fastest

HIDDEN, RATE = 100, 0.1


def epoch(estimator: Any, data: np.ndarray, batch: int) -> Callable[[], object]:
    """An epoch of estimates and SGD steps."""
    model, optimizer = ebm_ref.RBM.random(data.shape[1], HIDDEN, 0.01), ebm_ref.sgd(RATE)

    def run() -> ebm_ref.RBM:
        m, chains = model, estimator.start(model, data, 0)
        for update in range(len(data) // batch):
            rows = data[update * batch : (update + 1) * batch]
            gradient, chains = estimator.estimate(m, rows, chains, 0, update)
            m, _ = optimizer.update(m, gradient, (), update)
        return m

    return run


def sklearn_epochs(sklearn: Any, data: np.ndarray, batch: int) -> dict[str, Callable[[], object]]:
    """``fit`` for one epoch, by the number of BLAS threads."""
    from threadpoolctl import threadpool_limits

    theirs = sklearn.BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=batch, n_iter=1, random_state=0)

    def run(n_threads: int) -> object:
        with threadpool_limits(n_threads):
            return theirs.fit(data)

    return {f"sklearn, BLAS threads {n}": partial(run, n) for n in sorted({1, os.cpu_count() or 1})}


def measure_epoch(name: str, batch: int, session: Session) -> Measured:
    """Against the faster of the two."""
    data = ebm_ref.datasets.digits().binary
    data = data[: 2 * batch] if session.quick else data[: len(data) // batch * batch]
    estimator: Any = {"cd": ebm_ref.cd(1), "pcd": ebm_ref.pcd(1, batch)}[name]
    jobs = {OURS: epoch(estimator, data, batch)}
    module = session.peer("sklearn.neural_network")
    if module is not None:
        jobs |= sklearn_epochs(module, data, batch)
    times = session.time(jobs)
    found = against_fastest(times)
    words = ", ".join(f"{1e3 * t.median:.3g} ms {who}" for who, t in times.items())
    return Measured(found.value, times, f"{found.remark}; {words}")


def rows() -> tuple[Benchmark, ...]:
    """Two estimators, two sizes of batch."""
    return tuple(
        Benchmark(
            f"{name}_batch{batch}", f"{words}, an epoch of the digits, 64 x 100, batch {batch}", 3, "x",
            partial(measure_epoch, name, batch),
            limit="in small batches most of an update is Python: checked records, arrays, calls",
        )
        for name, words in (("cd", "CD-1"), ("pcd", "PCD")) for batch in (10, 100)
    )  # fmt: skip
