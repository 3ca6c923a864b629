"""CD-1 and PCD on the digits, 64 x 100, an epoch, against scikit-learn's BernoulliRBM (which is PCD).

scikit-learn takes part twice, with one BLAS thread and with all: on small batches threads slow it down.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

import ebm_ref
from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Session, against_fastest
from ebm_ref.errors import DivergenceError
from ebm_ref.learning import updates

HIDDEN, RATE = 100, 0.1


def epoch(estimator: Any, data: np.ndarray, batch: int) -> Callable[[], object]:
    """The updates of an epoch as ``fit`` makes them, without its monitors; scikit-learn has none either."""
    model, optimizer = ebm_ref.RBM.random(data.shape[1], HIDDEN, 0.01), ebm_ref.sgd(RATE)
    n_updates, rows = len(data) // batch, np.arange(len(data))

    def run() -> ebm_ref.RBM:
        made = SimpleNamespace(model=model, state=(), chains=estimator.start(model, data, 0), update=0)
        while made.update < n_updates:
            left = rows[made.update * batch :]
            if not updates.advance(made, estimator, optimizer, data, left, batch, 0, n_updates - made.update):
                raise DivergenceError("an update left the finite numbers")
        return made.model

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
            limit="one thread; sums in the order of the rows, in float64",
        )
        for name, words in (("cd", "CD-1"), ("pcd", "PCD")) for batch in (10, 100)
    )  # fmt: skip
