"""Discrete samplers against the same sweeps in NumPy, PyTorch and JAX, and against their matrix products alone.

Peers work in float32 with their own generators; JAX is jitted, all sweeps of a call in one scan.  Ours is float64,
unless the row says float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import ebm_ref
from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Session, against_fastest
from ebm_ref.benchmarks.timing import ratio

Job = Callable[[], object]
LIMIT = "bound by Philox, ten rounds for four units, and in large layers by tables of sums and reading their rows"
SWEEPS_WORK = 4e8  # multiply-adds of a call, or two sweeps: many of a small model, few of a large one


def numpy_sweeps(numpy: Any, model: ebm_ref.RBM, x0: np.ndarray, n_steps: int) -> Job:
    """Two matrix products, two sigmoids and two arrays of uniforms a sweep."""
    W, a, b = (leaf.astype(np.float32) for leaf in (model.W, model.a, model.b))
    rng, n = np.random.default_rng(0), len(x0)

    def run() -> np.ndarray:
        x = x0
        for _ in range(n_steps):
            h = (rng.random((n, len(b)), np.float32) < 1 / (1 + np.exp(-(x @ W + b)))).astype(np.float32)
            x = (rng.random((n, len(a)), np.float32) < 1 / (1 + np.exp(-(h @ W.T + a)))).astype(np.float32)
        return x

    return run


def torch_sweeps(torch: Any, model: ebm_ref.RBM, x0: np.ndarray, n_steps: int) -> Job:
    """The same in PyTorch."""
    W, a, b = (torch.tensor(np.array(leaf), dtype=torch.float32) for leaf in (model.W, model.a, model.b))
    start = torch.tensor(x0)

    @torch.no_grad()
    def run() -> Any:
        x = start
        for _ in range(n_steps):
            h = torch.bernoulli(torch.sigmoid(torch.addmm(b, x, W)))
            x = torch.bernoulli(torch.sigmoid(torch.addmm(a, h, W.T)))
        return x

    return run


def jax_sweeps(jax: Any, model: ebm_ref.RBM, x0: np.ndarray, n_steps: int) -> Job:
    """The same in JAX: one jitted scan."""
    jnp = jax.numpy
    W, a, b = (jnp.asarray(np.array(leaf), jnp.float32) for leaf in (model.W, model.a, model.b))

    def sweep(x: Any, key: Any) -> tuple[Any, None]:
        to_hidden, to_visible = jax.random.split(key)
        h = jax.random.bernoulli(to_hidden, jax.nn.sigmoid(x @ W + b)).astype(jnp.float32)
        return jax.random.bernoulli(to_visible, jax.nn.sigmoid(h @ W.T + a)).astype(jnp.float32), None

    scan = jax.jit(lambda x, keys: jax.lax.scan(sweep, x, keys)[0])
    start, keys = jnp.asarray(x0), jax.random.split(jax.random.key(0), n_steps)
    return lambda: scan(start, keys).block_until_ready()


PEERS = {"numpy": numpy_sweeps, "torch": torch_sweeps, "jax": jax_sweeps}


def our_sweeps(model: ebm_ref.RBM, x0: np.ndarray, n_steps: int, dtype: str) -> Job:
    """One call of the compiled loop."""
    sampler, stream = ebm_ref.block_gibbs(model, dtype), ebm_ref.Stream(0, "transition")
    rows = np.hstack([x0, np.zeros((len(x0), model.n_hidden))]).astype(np.float64)
    return lambda: sampler.advance(rows, stream, 0, n_steps)


def products(model: ebm_ref.RBM, x0: np.ndarray, n_steps: int) -> Job:
    """The two matrix products of a sweep alone, float32, by NumPy's BLAS."""
    W = model.W.astype(np.float32)
    h = np.random.default_rng(1).integers(0, 2, (len(x0), model.n_hidden)).astype(np.float32)
    return lambda: [(x0 @ W, h @ W.T) for _ in range(n_steps)]


def setting(n_chains: int, n_visible: int, n_hidden: int, quick: bool) -> tuple[ebm_ref.RBM, np.ndarray, int]:
    """(model, float32 start, sweeps of a call)."""
    if quick:
        n_chains, n_visible, n_hidden = min(n_chains, 20), min(n_visible, 20), min(n_hidden, 16)
    model = ebm_ref.RBM.random(n_visible, n_hidden, 0.1 if n_visible < 100 else 0.02, seed=1)
    x0 = np.random.default_rng(0).integers(0, 2, (n_chains, n_visible)).astype(np.float32)
    n_steps = max(2, min(2 if quick else 100, int(SWEEPS_WORK / (2.0 * n_chains * n_visible * n_hidden))))
    return model, x0, n_steps


def measure_block(n_chains: int, n_visible: int, n_hidden: int, session: Session) -> Measured:
    """Against the fastest peer; in words also what float32 and the matrix products alone take."""
    model, x0, n_steps = setting(n_chains, n_visible, n_hidden, session.quick)
    jobs = {OURS: our_sweeps(model, x0, n_steps, "float64")}
    for name, make in PEERS.items():
        module = session.peer(name)
        if module is not None:
            jobs[name] = make(module, model, x0, n_steps)
    extra = {"single": our_sweeps(model, x0, n_steps, "float32"), "sgemm": products(model, x0, n_steps)}
    times = session.time(jobs | extra)
    found = against_fastest({name: times[name] for name in jobs})
    each = {name: 1e6 * timing.median / n_steps for name, timing in times.items()}
    words = (
        f"{found.remark}: {each[OURS]:.3g} us a sweep against"
        f" {', '.join(f'{each[name]:.3g} {name}' for name in jobs if name != OURS)};"
        f" float32 {each['single']:.3g} us; its products by sgemm {each['sgemm']:.3g} us"
    )
    return Measured(found.value, times, words)


def measure_products(n_chains: int, n_visible: int, n_hidden: int, session: Session) -> Measured:
    """A float32 sweep in units of its two matrix products."""
    model, x0, n_steps = setting(n_chains, n_visible, n_hidden, session.quick)
    times = session.time({OURS: our_sweeps(model, x0, n_steps, "float32"), "sgemm": products(model, x0, n_steps)})
    rate = 2.0 * len(x0) * model.W.size * n_steps / times["sgemm"].median
    words = f"sgemm at {rate / 1e9:.3g} G multiply-adds/s; the rest are {len(x0) * model.n_units} draws a sweep"
    return Measured(ratio(times[OURS], times["sgemm"]), times, words)


def measure_million(session: Session) -> Measured:
    """Unit updates a second of one step of many tiny chains, which is what the oracle does."""
    n = 100 if session.quick else 10**6
    model = ebm_ref.RBM.random(3, 3, 0.5)
    x0 = np.random.default_rng(0).integers(0, 2, (n, 3)).astype(np.float32)
    times = session.time({OURS: our_sweeps(model, x0, 1, "float64")})
    rate = n * model.n_units / times[OURS].median
    return Measured(rate / 1e6, times, f"{1e3 * times[OURS].median:.3g} ms a step")


def numpy_sites(machine: ebm_ref.BoltzmannMachine, start: np.ndarray) -> Job:
    """Unit by unit, all chains together, float32."""
    J, c, rng = machine.J.astype(np.float32), machine.c.astype(np.float32), np.random.default_rng(1)

    def run() -> np.ndarray:
        s = start.astype(np.float32)
        for i in range(len(c)):
            s[:, i] = rng.random(len(s), np.float32) < 1 / (1 + np.exp(-(c[i] + s @ J[i])))
        return s

    return run


def measure_sites(session: Session) -> Measured:
    """A sweep over 1000 units in 100 chains."""
    machine = ebm_ref.BoltzmannMachine.random(20 if session.quick else 1000, 0.05, seed=2)
    sampler, stream = ebm_ref.gibbs(machine), ebm_ref.Stream(0, "transition")
    start = np.random.default_rng(0).integers(0, 2, (100, machine.n_units)).astype(np.float64)
    times = session.time({OURS: lambda: sampler.advance(start, stream, 0, 1), "numpy": numpy_sites(machine, start)})
    each = {name: 1e3 * timing.median for name, timing in times.items()}
    words = f"{each[OURS]:.3g} ms a sweep against {each['numpy']:.3g} in NumPy, float32"
    return Measured(ratio(times["numpy"], times[OURS]), times, words)


def rows() -> tuple[Benchmark, ...]:
    """Block Gibbs, many tiny chains, single sites."""

    def block(n_chains: int, n_visible: int, n_hidden: int, target: float) -> Benchmark:
        work = f"block Gibbs, {n_chains} chains of {n_visible} x {n_hidden}"
        measure = partial(measure_block, n_chains, n_visible, n_hidden)
        return Benchmark(f"gibbs_{n_visible}x{n_hidden}", work, target, "x", measure, limit=LIMIT)

    def single(n_chains: int, n_visible: int, n_hidden: int) -> Benchmark:
        work = f"the same in float32, {n_visible} x {n_hidden}, in its sgemm"
        measure = partial(measure_products, n_chains, n_visible, n_hidden)
        name = f"gibbs_{n_visible}x{n_hidden}_products"
        limit = "besides its sums, by tables, a sweep draws every unit"
        return Benchmark(name, work, 1.3, "x", measure, at_least=False, limit=limit)

    return (
        block(1000, 16, 8, 3),
        block(100, 64, 32, 3),
        block(1000, 64, 64, 3),
        block(100, 784, 500, 2),
        single(100, 784, 500),
        block(512, 784, 1024, 1.3),
        single(512, 784, 1024),
        Benchmark(
            "gibbs_million", "unit updates, 1e6 chains of 3 x 3, one step", 100, "M/s", measure_million,
            limit="bound by memory: states come and go as rows of float64",
        ),
        Benchmark(
            "gibbs_sites", "single-site Gibbs, 1000 units, 100 chains", 5, "x", measure_sites,
            limit="bound by the products with J, in float32",
        ),
    )  # fmt: skip
