"""log Z, moments and transition matrices, against a chunked log-sum-exp and the multiply-add rate of dgemm.

The product form spends one addition and one multiplication on each unit and state ("unit-state"), dgemm one fused
multiply-add on each of its inner steps; both are limited by the two multipliers of a core, so their rates compare.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import ebm_ref
from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Session
from ebm_ref.benchmarks.timing import ratio

CHUNK_BITS = 13
PEER_BITS = 14  # peers sum so many hidden bits, and their time is scaled up: it is the same for each chunk
MEGABYTE = 1e6
PEAK = """
import resource, sys
from pathlib import Path
import ebm_ref
ebm_ref.exact.log_partition(ebm_ref.RBM.random(784, {hidden}, 0.05))
status = Path("/proc/self/status")
if status.exists():  # ru_maxrss would include what the parent held when it forked
    print(1024 * int(status.read_text().partition("VmHWM:")[2].split()[0]))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def numpy_log_partition(model: ebm_ref.RBM) -> float:
    """What one writes in NumPy: blocks of hidden states, softplus by logaddexp, streaming log-sum-exp."""
    n, total = model.n_hidden, -math.inf
    for h in _chunks(n):
        log_weights = h @ model.b + np.logaddexp(0.0, model.a + h @ model.W.T).sum(axis=1)
        top = max(total, log_weights.max())
        total = top + math.log(math.exp(total - top) + np.exp(log_weights - top).sum())
    return float(total)


def _chunks(n: int):
    for start in range(0, 2**n, 2**CHUNK_BITS):
        yield (np.arange(start, min(start + 2**CHUNK_BITS, 2**n))[:, None] >> np.arange(n) & 1).astype(np.float64)


def torch_log_partition(torch, model: ebm_ref.RBM) -> Callable[[], float]:
    """The same in PyTorch, float64."""
    W, a, b = (torch.tensor(np.array(leaf)) for leaf in (model.W, model.a, model.b))
    n = model.n_hidden

    def run() -> float:
        parts = []
        for start in range(0, 2**n, 2**CHUNK_BITS):
            states = torch.arange(start, min(start + 2**CHUNK_BITS, 2**n))
            h = (states[:, None] >> torch.arange(n) & 1).to(torch.float64)
            parts.append(torch.logsumexp(h @ b + torch.nn.functional.softplus(a + h @ W.T).sum(1), 0))
        return float(torch.logsumexp(torch.stack(parts), 0))

    return run


def jax_log_partition(jax, model: ebm_ref.RBM) -> Callable[[], float]:
    """The same in JAX, float32 (its default), one jitted scan over the blocks."""
    jnp = jax.numpy
    W, a, b = (jnp.asarray(np.array(leaf), dtype=jnp.float32) for leaf in (model.W, model.a, model.b))
    n = model.n_hidden
    block = 2 ** min(CHUNK_BITS, n)

    @jax.jit
    def whole():
        def one(total, start):
            h = (start + jnp.arange(block)[:, None] >> jnp.arange(n) & 1).astype(jnp.float32)
            part = jax.scipy.special.logsumexp(h @ b + jax.nn.softplus(a + h @ W.T).sum(1))
            return jnp.logaddexp(total, part), None

        return jax.lax.scan(one, jnp.float32(-jnp.inf), jnp.arange(0, 2**n, block))[0]

    return lambda: float(whole())


def measure_numpy_ratio(session: Session) -> Measured:
    """784 x 20 against NumPy; peers are timed on 2^14 states and their time multiplied by 2^6."""
    n = 10 if session.quick else 20
    n_peer = min(n, PEER_BITS)
    model, small = (ebm_ref.RBM.random(784, k, 0.05) for k in (n, n_peer))
    contestants: dict[str, Callable] = {
        OURS: lambda: ebm_ref.exact.log_partition(model), "numpy": lambda: numpy_log_partition(small),
    }  # fmt: skip
    for name, make in (("torch", torch_log_partition), ("jax", jax_log_partition)):
        module = session.peer(name)
        if module is not None:
            contestants[name] = make(module, small)
    times, scale = session.time(contestants), 2.0 ** (n - n_peer)
    others = [f"{scale * ratio(times[k], times[OURS]):.0f} x {k}" for k in times if k not in (OURS, "numpy")]
    words = f"peers timed on 2^{n_peer} states, times {scale:.0f}" + "".join(f"; {other}" for other in others)
    return Measured(scale * ratio(times["numpy"], times[OURS]), times, words)


def measure_seconds(n_visible: int, n_hidden: int, session: Session) -> Measured:
    """Seconds of one log Z."""
    model = ebm_ref.RBM.random(n_visible, 12 if session.quick else n_hidden, 0.05)
    times = session.time({OURS: lambda: ebm_ref.exact.log_partition(model)}, most_repeats=5)
    rate = n_visible * 2.0**model.n_hidden / times[OURS].median
    start = time.process_time()
    ebm_ref.exact.log_partition(model)
    busy = (time.process_time() - start) / ebm_ref.get_num_threads()
    words = f"{rate / 1e9:.1f} G unit-states/s; {busy:.2g} s of processor time a thread, the rest is waiting for a core"
    return Measured(times[OURS].median, times, words)


def measure_rate(session: Session) -> Measured:
    """Unit-states a second as a share of the multiply-adds a second of dgemm, in turns."""
    model, size = ebm_ref.RBM.random(784, 12 if session.quick else 25, 0.05), 256 if session.quick else 1536
    a = np.random.default_rng(0).random((size, size))
    product = np.empty_like(a)
    times = session.time(
        {OURS: lambda: ebm_ref.exact.log_partition(model), "dgemm": lambda: np.matmul(a, a, out=product)},
        most_repeats=5,
    )
    work = 784 * 2.0**model.n_hidden / size**3
    rates = 784 * 2.0**model.n_hidden / times[OURS].median, size**3 / times["dgemm"].median
    words = f"{rates[0] / 1e9:.1f} G unit-states/s against {rates[1] / 1e9:.1f} G multiply-adds/s of dgemm"
    return Measured(100 * work * ratio(times["dgemm"], times[OURS]), times, words)


def measure_memory(session: Session) -> Measured:
    """Peak resident memory of a process that imports the package and sums 2^25 states, kernels being compiled."""
    peaks = [
        float(subprocess.run(
            [sys.executable, "-c", PEAK.format(hidden=n)], capture_output=True, text=True, check=True
        ).stdout)
        for n in (10, 10, 12 if session.quick else 25)
    ]  # fmt: skip
    _, few, many = (peak / MEGABYTE for peak in peaks)
    return Measured(many, {}, f"{few:.0f} MB for 2^10 states: most of it is Numba and its compiler")


def measure_growth(session: Session) -> Measured:
    """Cost of a state at the most states over the cost at the fewest."""
    sizes = (10, 11) if session.quick else (20, 23, 26)
    models = {n: ebm_ref.RBM.random(64, n, 0.05) for n in sizes}
    times = session.time({f"64x{n}": partial(ebm_ref.exact.log_partition, m) for n, m in models.items()})
    cost = [times[f"64x{n}"].median / 2.0**n * 1e9 for n in sizes]
    words = ", ".join(f"{c:.2f} ns at 2^{n}" for c, n in zip(cost, sizes, strict=True))
    return Measured(
        2.0 ** (sizes[0] - sizes[-1]) * ratio(times[f"64x{sizes[-1]}"], times[f"64x{sizes[0]}"]), times, words
    )


def measure_moments(what: str, session: Session) -> Measured:
    """Moments or the gradient in units of the time of log Z."""
    model = ebm_ref.RBM.random(784, 12 if session.quick else 20, 0.05)
    data = np.random.default_rng(0).integers(0, 2, (100, 784)).astype(np.float64)
    runs = {
        "moments": lambda: ebm_ref.exact.moments(model),
        "gradient": lambda: ebm_ref.exact.log_likelihood_gradient(model, data),
    }
    times = session.time({OURS: runs[what], "log Z": lambda: ebm_ref.exact.log_partition(model)})
    words = "a division for two units, two and a half multiplications a unit more, and the weights themselves"
    return Measured(ratio(times[OURS], times["log Z"]), times, words)


def measure_matrix(kernel: str, session: Session) -> Measured:
    """Seconds of the transition matrix of a 6 x 6 RBM."""
    side = 3 if session.quick else 6
    sampler = getattr(ebm_ref, kernel)(ebm_ref.RBM.random(side, side, 1.0))
    times = session.time({OURS: lambda: ebm_ref.exact.transition_matrix(sampler)})
    return Measured(times[OURS].median, times, f"{4 ** (2 * side)} entries")


def rows() -> tuple[Benchmark, ...]:
    """The exact engine."""
    at_most = partial(Benchmark, at_least=False)
    return (
        Benchmark("log_z_numpy", "log Z, 784 x 20, against chunked NumPy", 500, "x", measure_numpy_ratio),
        at_most("log_z_784x25", "log Z, 784 x 25: 2^25 states", 2, "s", partial(measure_seconds, 784, 25)),
        Benchmark("log_z_rate", "unit-states of log Z, 784 x 25, in multiply-adds of dgemm", 60, "%", measure_rate),
        at_most("log_z_64x30", "log Z, 64 x 30: 2^30 states", 15, "s", partial(measure_seconds, 64, 30)),
        at_most("log_z_memory", "peak memory of a process, 784 x 25", 200, "MB", measure_memory),
        at_most("log_z_growth", "cost of a state, 64 x 26 over 64 x 20", 1.1, "x", measure_growth),
        at_most("moments", "moments, 784 x 20, in times of log Z", 6, "x", partial(measure_moments, "moments")),
        at_most("gradient", "gradient, 784 x 20, 100 rows, likewise", 6, "x", partial(measure_moments, "gradient")),
        at_most("matrix_gibbs", "transition matrix, 6 x 6, Gibbs", 1, "s", partial(measure_matrix, "gibbs")),
        at_most("matrix_metropolis", "the same, Metropolis", 1, "s", partial(measure_matrix, "metropolis")),
    )
