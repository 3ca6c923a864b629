"""Discrete samplers and CD against what else one would use: ``python -m validation.benchmarks.gibbs``.

The same sweep written for NumPy, PyTorch (no_grad) and JAX (jitted, all sweeps of a call by one scan), each with its
own generator, in float32; ours in float64 unless the row says float32.  Rounds of one call each are interleaved, and
medians compared, so a load on the machine falls on all alike.  A peer that is not installed is skipped.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import ebm_ref as er

Row = dict[str, Any]
Job = Callable[[], object]
ROUNDS = 9


def medians(jobs: dict[str, Job], rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each job, interleaved; a first call (compilation) is not counted."""
    for job in jobs.values():
        job()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            began = time.perf_counter()
            job()
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def row(work: str, ours: float, peer: str, peer_ms: float, target: str, note: str = "") -> Row:
    """``ratio`` is how many times as long as ours the peer takes."""
    return {
        "work": work, "ours_ms": ours, "peer": peer, "peer_ms": peer_ms, "ratio": peer_ms / ours, "target": target,
        "note": note,
    }  # fmt: skip


def numpy_sweeps(model: er.RBM, n_chains: int, n_steps: int) -> Job:
    """Two matrix products, two sigmoids and two arrays of uniforms a sweep."""
    W, a, b = (leaf.astype(np.float32) for leaf in (model.W, model.a, model.b))
    rng = np.random.default_rng(0)
    x0 = rng.integers(0, 2, (n_chains, len(a))).astype(np.float32)

    def run() -> np.ndarray:
        x = x0
        for _ in range(n_steps):
            h = (rng.random((n_chains, len(b)), np.float32) < 1 / (1 + np.exp(-(x @ W + b)))).astype(np.float32)
            x = (rng.random((n_chains, len(a)), np.float32) < 1 / (1 + np.exp(-(h @ W.T + a)))).astype(np.float32)
        return x

    return run


def torch_sweeps(model: er.RBM, n_chains: int, n_steps: int) -> Job:
    """The same in PyTorch."""
    import torch

    W, a, b = (torch.tensor(leaf, dtype=torch.float32) for leaf in (model.W, model.a, model.b))
    x0 = torch.bernoulli(torch.full((n_chains, len(a)), 0.5))

    @torch.no_grad()
    def run() -> Any:
        x = x0
        for _ in range(n_steps):
            h = torch.bernoulli(torch.sigmoid(torch.addmm(b, x, W)))
            x = torch.bernoulli(torch.sigmoid(torch.addmm(a, h, W.T)))
        return x

    return run


def jax_sweeps(model: er.RBM, n_chains: int, n_steps: int) -> Job:
    """The same in JAX: one jitted scan."""
    import jax
    import jax.numpy as jnp

    W, a, b = (jnp.asarray(leaf, jnp.float32) for leaf in (model.W, model.a, model.b))

    def sweep(x: Any, key: Any) -> tuple[Any, None]:
        to_hidden, to_visible = jax.random.split(key)
        h = jax.random.bernoulli(to_hidden, jax.nn.sigmoid(x @ W + b)).astype(jnp.float32)
        return jax.random.bernoulli(to_visible, jax.nn.sigmoid(h @ W.T + a)).astype(jnp.float32), None

    scan = jax.jit(lambda x, keys: jax.lax.scan(sweep, x, keys)[0])
    x0 = jnp.asarray(np.random.default_rng(0).integers(0, 2, (n_chains, len(a))), jnp.float32)
    keys = jax.random.split(jax.random.key(0), n_steps)
    return lambda: scan(x0, keys).block_until_ready()


PEERS = {"numpy": numpy_sweeps, "torch": torch_sweeps, "jax": jax_sweeps}


def our_sweeps(model: er.RBM, n_chains: int, n_steps: int, dtype: str) -> Job:
    """One call of the compiled loop."""
    sampler, stream = er.block_gibbs(model, dtype), er.Stream(0, "transition")
    rows = np.random.default_rng(0).integers(0, 2, (n_chains, model.n_units)).astype(float)
    return lambda: sampler.advance(rows, stream, 0, n_steps)


def products(model: er.RBM, n_chains: int, n_steps: int) -> Job:
    """The two matrix products of a sweep alone, float32, by the BLAS."""
    W, rng = model.W.astype(np.float32), np.random.default_rng(0)
    x = rng.integers(0, 2, (n_chains, len(model.a))).astype(np.float32)
    h = rng.integers(0, 2, (n_chains, len(model.b))).astype(np.float32)
    return lambda: [(x @ W, h @ W.T) for _ in range(n_steps)]


def block_rows() -> Iterator[Row]:
    """Sweeps, milliseconds each, against the fastest peer and against the products alone."""
    for n_chains, nv, nh, n_steps, target in (
        (1000, 16, 8, 100, ">= 3"), (100, 64, 32, 100, ">= 3"), (1000, 64, 64, 20, ">= 3"),
        (100, 784, 500, 5, ">= 2"), (512, 784, 1024, 2, ">= 1.3"),
    ):  # fmt: skip
        model = er.RBM.random(nv, nh, 0.1 if nv < 100 else 0.02, seed=1)
        jobs: dict[str, Job] = {dtype: our_sweeps(model, n_chains, n_steps, dtype) for dtype in ("float64", "float32")}
        for name, make in PEERS.items():
            if importlib.util.find_spec(name):
                jobs[name] = make(model, n_chains, n_steps)
        jobs["products"] = products(model, n_chains, n_steps)
        ms = {name: value / n_steps for name, value in medians(jobs).items()}
        peers = {name: ms[name] for name in PEERS if name in ms}
        best = min(peers, key=peers.__getitem__)
        others = ", ".join(f"{name} {value:.3g} ms" for name, value in peers.items())
        for dtype in ("float64", "float32"):
            work = f"block Gibbs, {n_chains} chains of {nv} x {nh}, {dtype}"
            yield row(work, ms[dtype], f"{best}, float32", peers[best], target, others)
        if nv > 100:
            work = f"block Gibbs, {n_chains} chains of {nv} x {nh}, float32, against its two products"
            yield row(work, ms["float32"], "sgemm", ms["products"], ">= 0.77", "a sweep <= 1.3 x the products")


def many_chains_row() -> Row:
    """A million chains of a 3 x 3 RBM, one step from start to end: what the oracle does."""
    n = 10**6
    ms = medians({"ours": our_sweeps(er.RBM.random(3, 3, 0.5), n, 1, "float64")}, 7)["ours"]
    return row("1e6 chains of 3 x 3, one step", ms, "1e8 unit updates/s", 60.0, ">= 1", f"{6e3 * n / ms:.3g} a second")


def single_site_row() -> Row:
    """A sweep over 1000 units in 100 chains; the peer updates all chains together, unit by unit, in NumPy."""
    machine, n = er.BoltzmannMachine.random(1000, 0.05, seed=2), 100
    sampler, stream = er.gibbs(machine), er.Stream(0, "transition")
    start = np.random.default_rng(0).integers(0, 2, (n, 1000)).astype(float)
    J, c, rng = machine.J.astype(np.float32), machine.c.astype(np.float32), np.random.default_rng(1)

    def loop() -> np.ndarray:
        s = start.astype(np.float32)
        for i in range(len(c)):
            s[:, i] = rng.random(n, np.float32) < 1 / (1 + np.exp(-(c[i] + s @ J[i])))
        return s

    ms = medians({"ours": lambda: sampler.advance(start, stream, 0, 1), "numpy": loop}, 7)
    return row("Gibbs, 1000 units, 100 chains", ms["ours"], "numpy, float32", ms["numpy"], ">= 5")


def epoch(estimator: Any, data: np.ndarray, batch: int) -> Job:
    """An epoch of estimates and SGD steps."""
    model, optimizer = er.RBM.random(64, 100, 0.01), er.sgd(0.1)

    def run() -> er.RBM:
        m, chains = model, estimator.start(model, data, 0)
        for update in range(len(data) // batch):
            rows = data[update * batch : (update + 1) * batch]
            gradient, chains = estimator.estimate(m, rows, chains, 0, update)
            m, _ = optimizer.update(m, gradient, (), update)
        return m

    return run


def learning_rows() -> Iterator[Row]:
    """An epoch on the digits, 64 x 100, against BernoulliRBM (which is PCD), with one and with all BLAS threads."""
    if not importlib.util.find_spec("sklearn"):
        return
    from sklearn.neural_network import BernoulliRBM
    from threadpoolctl import threadpool_limits

    data = er.datasets.digits().binary
    for batch in (10, 100):
        theirs = BernoulliRBM(100, learning_rate=0.1, batch_size=batch, n_iter=1, random_state=0)
        jobs: dict[str, Job] = {"cd": epoch(er.cd(1), data, batch), "pcd": epoch(er.pcd(1, batch), data, batch)}
        for n in sorted({1, os.cpu_count() or 1}):
            jobs[f"sklearn, {n} threads"] = lambda n=n, theirs=theirs: _limited(threadpool_limits, n, theirs, data)
        ms = medians(jobs, 7)
        best = min((name for name in ms if name.startswith("sklearn")), key=ms.__getitem__)
        for name in ("cd", "pcd"):
            yield row(f"{name}(1), an epoch of digits, batch {batch}", ms[name], best, ms[best], ">= 3")


def _limited(limits: Any, n: int, rbm: Any, data: np.ndarray) -> object:
    with limits(n):
        return rbm.fit(data)


def each_row() -> Iterator[Row]:
    """The rows as they are measured."""
    yield from block_rows()
    yield many_chains_row()
    yield single_site_row()
    yield from learning_rows()


def rows() -> list[Row]:
    """Every row: work, ours_ms, peer, peer_ms, ratio (peer / ours), target of the ratio, note."""
    return list(each_row())


if __name__ == "__main__":
    for one in each_row():
        print(
            f"{one['work']:75s} {one['ours_ms']:9.3f} ms  {one['peer']:20s} {one['peer_ms']:9.3f} ms"
            f"  x{one['ratio']:6.2f}  {one['target']:8s} {one['note']}",
            flush=True,
        )
