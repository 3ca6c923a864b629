"""Langevin samplers on a GRBM against blackjax, torchebm and JAX, and Gibbs-Langevin against its matrix products.

The target of MALA and ULA is the marginal exp(-F(v)), F(v) = 1/2 sum (v-mu)^2/s2 - sum softplus(b + W'(v/s2)); peers
work in float32 on the same F and take its gradient by automatic differentiation.  Ours is float64.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

import ebm_ref
from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Session, against_fastest
from ebm_ref.benchmarks.timing import ratio

Job = Callable[[], object]
STEP, CHAINS, STEPS = 0.1, 1000, 100
NORMALS = "a normal by inversion, exact to 53 bits, takes twenty rounds of Philox for four and seventy operations"
INNER = 5  # Langevin steps on v between two draws of h


def marginal(softplus: Callable, model: ebm_ref.GRBM, convert: Callable) -> Callable[[Any], Any]:
    """F of rows, or of one row, for any kind of array: ``convert`` makes them, ``softplus`` takes them."""
    W, mu, s2, b = (convert(np.array(leaf)) for leaf in (model.W, model.mu, model.variance, model.b))

    def free_energy(v: Any) -> Any:
        return 0.5 * ((v - mu) ** 2 / s2).sum(-1) - softplus(b + (v / s2) @ W).sum(-1)

    return free_energy


def scanned(jax: Any, step: Callable, start: Any, n_steps: int) -> Job:
    """n_steps of ``step(key, states) -> states`` in one jitted scan."""
    run = jax.jit(lambda x, keys: jax.lax.scan(lambda x, key: (step(key, x), None), x, keys)[0])
    keys = jax.random.split(jax.random.key(0), n_steps)
    return lambda: jax.block_until_ready(run(start, keys))


def jax_free_energy(jax: Any, model: ebm_ref.GRBM) -> Callable[[Any], Any]:
    """F in JAX, float32."""
    return marginal(jax.nn.softplus, model, lambda leaf: jax.numpy.asarray(leaf, jax.numpy.float32))


def blackjax_mala(blackjax: Any, jax: Any, model: ebm_ref.GRBM, v0: np.ndarray, n_steps: int) -> Job:
    """MALA, vmapped over chains, the chains' states with their energies and gradients carried through one scan."""
    F = jax_free_energy(jax, model)
    algorithm = blackjax.mala(lambda v: -F(v), STEP)
    advance = jax.vmap(algorithm.step)

    def step(key: Any, state: Any) -> Any:
        return advance(jax.random.split(key, len(v0)), state)[0]

    return scanned(jax, step, jax.vmap(algorithm.init)(jax.numpy.asarray(v0, jax.numpy.float32)), n_steps)


def jax_langevin(jax: Any, model: ebm_ref.GRBM, v0: np.ndarray, n_steps: int, adjusted: bool) -> Job:
    """ULA, or MALA, as one writes them by hand: all chains in one array, gradients carried."""
    jnp, F = jax.numpy, jax_free_energy(jax, model)
    both = jax.vmap(jax.value_and_grad(F))

    def unadjusted(key: Any, v: Any) -> Any:
        return v - STEP * both(v)[1] + jnp.sqrt(2 * STEP) * jax.random.normal(key, v.shape)

    def metropolis(key: Any, state: Any) -> Any:
        (v, E, g), (to_move, to_decide) = state, jax.random.split(key)
        new = v - STEP * g + jnp.sqrt(2 * STEP) * jax.random.normal(to_move, v.shape)
        E_new, g_new = both(new)
        log_ratio = E - E_new + 0.5 * ((new - v) * (g + g_new)).sum(1) - STEP / 4 * (g_new**2 - g**2).sum(1)
        ok = jnp.log(jax.random.uniform(to_decide, E.shape)) < log_ratio
        return jnp.where(ok[:, None], new, v), jnp.where(ok, E_new, E), jnp.where(ok[:, None], g_new, g)

    start = jnp.asarray(v0, jnp.float32)
    if adjusted:
        return scanned(jax, metropolis, (start, *both(start)), n_steps)
    return scanned(jax, unadjusted, start, n_steps)


def torchebm_langevin(torch: Any, core: Any, samplers: Any, model: ebm_ref.GRBM, v0: np.ndarray, n_steps: int) -> Job:
    """LangevinDynamics on F."""
    F = marginal(torch.nn.functional.softplus, model, lambda leaf: torch.tensor(leaf, dtype=torch.float32))

    class Marginal(core.BaseModel):
        """F as torchebm wants it."""

        def forward(self, x: Any) -> Any:
            """Energies of rows."""
            return F(x)

    device = torch.device("cpu")
    sampler = samplers.LangevinDynamics(Marginal(device=device), step_size=STEP, noise_scale=1.0, device=device)
    start = torch.tensor(v0, dtype=torch.float32)
    return lambda: sampler.sample(x=start, n_steps=n_steps)


def measure_langevin(adjusted: bool, session: Session) -> Measured:
    """Against the fastest of the peers that are installed."""
    n_steps = 2 if session.quick else STEPS
    model = ebm_ref.GRBM.random(16, 8, 0.3, seed=1)
    v0 = np.random.default_rng(0).standard_normal((20 if session.quick else CHAINS, 16))
    sampler = (ebm_ref.mala if adjusted else ebm_ref.ula)(model, STEP)
    stream = ebm_ref.Stream(0, "transition")
    jobs: dict[str, Job] = {OURS: lambda: sampler.advance(v0, stream, 0, n_steps)}
    jax, torch = session.peer("jax"), session.peer("torch")
    if jax is not None:
        jobs["jax"] = jax_langevin(jax, model, v0, n_steps, adjusted)
        blackjax = session.peer("blackjax") if adjusted else None
        if blackjax is not None:
            jobs["blackjax"] = blackjax_mala(blackjax, jax, model, v0, n_steps)
    core, samplers = session.peer("torchebm.core"), session.peer("torchebm.samplers")
    if torch is not None and core is not None and samplers is not None:
        jobs["torchebm (unadjusted)"] = torchebm_langevin(torch, core, samplers, model, v0, n_steps)
    times = session.time(jobs)
    found = against_fastest(times)
    rates = {name: v0.size * n_steps / timing.median / 1e6 for name, timing in times.items()}
    words = ", ".join(f"{rate:.3g} {name}" for name, rate in rates.items())
    return Measured(found.value, times, f"{found.remark}; million coordinate steps a second: {words}")


def _products(limits: Any, threads: int, v: np.ndarray, W: np.ndarray, h: np.ndarray, n_steps: int) -> Job:
    """The matrix products of n_steps, by so many BLAS threads where threadpoolctl is at hand."""

    def run() -> None:
        with limits.threadpool_limits(threads, "blas") if limits else nullcontext():
            for _ in range(n_steps):
                v @ W, h @ W.T

    return run


def measure_gibbs_langevin(collapsed: bool, session: Session) -> Measured:
    """A step in units of its two matrix products, (v/s2)'W and Wh, by NumPy's BLAS in float64."""
    shape, n = ((20, 12), 20) if session.quick else ((784, 256), 100)
    model = ebm_ref.GRBM.random(*shape, 0.02, seed=1)
    sampler = ebm_ref.gibbs_langevin(model, ebm_ref.cosine_steps(0.2, INNER), relative=True, collapsed=collapsed)
    rng = np.random.default_rng(0)
    v, h = rng.standard_normal((n, shape[0])), rng.integers(0, 2, (n, shape[1])).astype(np.float64)
    rows, stream, W = np.hstack([v, h]), ebm_ref.Stream(0, "transition"), np.array(model.W)
    single = [array.astype(np.float32) for array in (v, W, h)]
    n_steps = 2 if session.quick else 5
    jobs: dict[str, Job] = {OURS: lambda: sampler.advance(rows, stream, 0, n_steps)}
    limits = session.peer("threadpoolctl")
    for threads in (1, 2):  # two threads sometimes wait for one another: the products' time is that of the faster
        jobs[f"dgemm, {threads} BLAS"] = _products(limits, threads, v, W, h, n_steps)
        jobs[f"sgemm, {threads} BLAS"] = _products(limits, threads, single[0], single[1], single[2], n_steps)
    times = session.time(jobs)
    dgemm, sgemm = (
        min((times[f"{name}, {threads} BLAS"] for threads in (1, 2)), key=lambda timing: timing.median)
        for name in ("dgemm", "sgemm")
    )
    normals = n * shape[0] * (1 if collapsed else INNER)
    words = (
        f"{INNER} inner steps{' at once' * collapsed}: {1e3 * times[OURS].median / n_steps:.3g} ms a step,"
        f" {1e3 * dgemm.median / n_steps:.3g} its products"
        f" by dgemm, {1e3 * sgemm.median / n_steps:.3g} by sgemm; the rest: {normals} normals and"
        f" {n * shape[1]} units drawn"
    )
    return Measured(ratio(times[OURS], dgemm), times, words)


def rows() -> tuple[Benchmark, ...]:
    """MALA, ULA, Gibbs-Langevin."""
    steps = partial(
        Benchmark, unit="x", target=1.3, at_least=False,
        limit=f"sums of four rounded products keep dgemm's fused ones ahead, and {NORMALS}",
    )  # fmt: skip
    shape = "Gibbs-Langevin, 784 x 256, 100 chains"
    return (
        Benchmark("mala", "MALA, GRBM of 16 x 8, 1000 chains", 3, "x", partial(measure_langevin, True), limit=NORMALS),
        Benchmark("ula", "ULA, the same", 3, "x", partial(measure_langevin, False), limit=NORMALS),
        steps(
            "gibbs_langevin", f"{shape}, in its products",
            measure=partial(measure_gibbs_langevin, False),
        ),
        steps(
            "gibbs_langevin_collapsed", "the same, its inner steps drawn at once",
            measure=partial(measure_gibbs_langevin, True),
        ),
    )  # fmt: skip
