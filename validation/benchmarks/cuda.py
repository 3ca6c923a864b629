"""The CUDA twins measured on a card, and compared with the CPU: ``python -m validation.benchmarks.cuda``.

Writes CUDA.md and cuda.json beside this file.  Without a card it writes what is known from compiling alone.

(1) log Z at full size against a closed form: with n_hidden equal columns (w, b0),
    log Z = log sum_m C(n_hidden, m) exp(m b0 + sum_i softplus(a_i + m w_i)); at 2^26 states against the CPU too.
(2) Chains: one sweep from the same start gives the same states.  A state could differ where a uniform lies within
    rounding, 1e-14, of its probability: once in 1e8 of such checks.
Times are medians of repeats, uploads and downloads included, compilation not.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp

import ebm_ref as er
from ebm_ref.device import what_is_missing
from ebm_ref.models.rbm import softplus
from validation.benchmarks.compiled import ptx, recorded_launches, resources

FOLDER = Path(__file__).parent
REPEATS = 5
MULTIPROCESSOR_REGISTERS, MULTIPROCESSOR_THREADS = 65536, 2048  # compute capability 9.0


def equal_columns(n_visible: int, n_hidden: int) -> tuple[er.RBM, float]:
    """(1): a model whose log Z is a sum of n_hidden + 1 terms, and that log Z."""
    rng = np.random.default_rng(0)
    w, a, b0 = rng.normal(0, 0.05, n_visible), rng.normal(0, 0.5, n_visible), -0.3
    m = np.arange(n_hidden + 1)
    log_binomial = gammaln(n_hidden + 1) - gammaln(m + 1) - gammaln(n_hidden - m + 1)
    terms = log_binomial + m * b0 + softplus(a[:, None] + m * w[:, None]).sum(axis=0)
    model = er.RBM(np.tile(w[:, None], n_hidden), a, np.full(n_hidden, b0))
    return model, float(logsumexp(terms))


def seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median time of a call; a first call is not counted."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def log_z_row(n_visible: int, n_hidden: int, aim: float) -> dict[str, Any]:
    """Time at full size, relative errors there and, by 2^26 states at most, against the CPU."""
    model, exact = equal_columns(n_visible, n_hidden)
    small = er.RBM.random(n_visible, min(n_hidden, 26 if n_visible < 100 else 22), 0.3, seed=1)
    on_card, on_cpu = (er.exact.log_partition(small, device=device) for device in ("cuda", "cpu"))
    found = er.exact.log_partition(model, device="cuda", max_seconds=math.inf)
    took = seconds(lambda: er.exact.log_partition(model, device="cuda", max_seconds=math.inf), 3)
    error = max(abs(found / exact - 1), abs(on_card / on_cpu - 1))
    rate = 2 * n_visible * 2.0**n_hidden / took
    return {
        "work": f"log Z, {n_visible} x {n_hidden}", "seconds": took, "aim": f"<= {aim:g} s", "agrees": error <= 1e-12,
        "remark": f"relative error {error:.1e}; {rate / 1e12:.2f} T float64 instructions/s of about 16.7 (H200)",
    }  # fmt: skip


def chains_row(name: str, sampler, n_chains: int, n_steps: int) -> dict[str, Any]:
    """Time of a sweep, unit updates a second, and the states that differ from the CPU's after one sweep."""
    from ebm_ref.samplers import on_cuda

    n = sampler.model.n_units
    start = np.random.default_rng(0).integers(0, 2, (n_chains, n)).astype(float)
    stream = er.Stream(1, "transition")
    few = start[:2000]
    differing = int((on_cuda.advance(sampler, few, stream, 0, 1)[0] != sampler.advance(few, stream, 0, 1)[0]).sum())
    took = seconds(lambda: on_cuda.advance(sampler, start, stream, 0, n_steps)) / n_steps
    return {
        "work": f"{name}, {n_chains} chains", "seconds": took, "aim": "-", "agrees": differing == 0,
        "remark": f"{n_chains * n / took:.2g} unit updates/s; {differing} of {few.size} states differ after a sweep",
    }  # fmt: skip


def measure() -> dict[str, Any]:
    """Everything that needs a card."""
    from numba import cuda

    machine = er.BoltzmannMachine.random(1000, 0.05, seed=2)
    rows = [log_z_row(784, 30, 1.0), log_z_row(64, 38, 60.0)]
    for nv, nh, n_chains in ((3, 3, 10**6), (64, 64, 1000), (64, 64, 100_000), (784, 500, 100), (784, 500, 10_000)):
        sampler = er.block_gibbs(er.RBM.random(nv, nh, 0.1, seed=3))
        rows.append(chains_row(f"block Gibbs, {nv} x {nh}", sampler, n_chains, 20))
    rows.append(chains_row("Gibbs, 1000-unit Boltzmann machine", er.gibbs(machine), 10_000, 3))
    name = cuda.get_current_device().name
    return {"card": name.decode() if isinstance(name, bytes) else name, "date": today(), "rows": rows}


def today() -> str:
    """The date, UTC."""
    return datetime.now(UTC).date().isoformat()


def kernels() -> dict[str, Callable[[], object]]:
    """A call that launches each kernel; the launches are recorded, nothing runs."""
    rbm, machine, rows = er.RBM.random(3, 2), er.BoltzmannMachine.random(3), np.zeros((2, 3))
    grbm = er.GRBM.random(3, 2)
    samplers = {
        "block Gibbs": er.block_gibbs(rbm), "Gibbs": er.gibbs(machine),
        "Gibbs, random scan": er.gibbs(machine, "random"), "Metropolis": er.metropolis(machine),
        "block Gibbs, GRBM": er.block_gibbs(grbm), "ULA, GRBM": er.ula(grbm, 0.1), "MALA, GRBM": er.mala(grbm, 0.1),
        "Gibbs-Langevin": er.gibbs_langevin(grbm, [0.1]),
        "Gibbs-Langevin, adjusted": er.gibbs_langevin(grbm, [0.1], adjust=True),
    }  # fmt: skip
    sums = {
        "log Z, product form": (rbm, "product"),
        "log Z, Gray code": (rbm, "gray"),
        "log Z, machine": (machine, "auto"),
    }
    calls: dict[str, Callable[[], object]] = {
        name: lambda model=model, method=method: er.exact.log_partition(model, method=method, device="cuda")
        for name, (model, method) in sums.items()
    }
    for name, sampler in samplers.items():
        calls[name] = lambda sampler=sampler: er.sample(sampler, rows, 1, seed=0, device="cuda")
    return calls


def compiled() -> list[dict[str, Any]]:
    """What each kernel uses on compute capability 9.0."""
    from ebm_ref.kernels.cuda import driver, enumeration

    table = []
    for name, call in kernels().items():
        with recorded_launches() as launches:
            call()
        kernel, types = launches[0]
        used = resources(ptx(kernel.py_func, types, device=False))
        threads = enumeration.THREADS if kernel is enumeration.product_kernel else driver.THREADS
        blocks = min(MULTIPROCESSOR_REGISTERS // (used["registers"] * threads), MULTIPROCESSOR_THREADS // threads)
        table.append({"kernel": name, **used, "threads": threads, "occupancy": blocks * threads / 2048})
    return table


def page(results: dict[str, Any]) -> str:
    """CUDA.md."""
    card = results["measured"]
    lines = ["# On a card", "", "Written by `python -m validation.benchmarks.cuda`.", ""]
    if card:
        lines += [
            f"Measured on {card['card']}, {card['date']}.",
            "",
            "| work | seconds | aim | agrees with the CPU | |",
        ]
        lines += ["|---|---|---|---|---|"]
        for row in card["rows"]:
            agrees = "yes" if row["agrees"] else "**no**"
            lines.append(f"| {row['work']} | {row['seconds']:.3g} | {row['aim']} | {agrees} | {row['remark']} |")
    else:
        lines += ["**No card was at hand so far: nothing below was measured.** Run the command where there is one."]
    lines += ["", "## What the compiler says", ""]
    lines += [f"PTX for compute capability 9.0, assembled without a card, {results['compiled_on']}.", ""]
    lines += [
        "| kernel | registers a thread | threads a block | resident threads | shared memory a block | stack, spills |"
    ]
    lines += ["|---|---|---|---|---|---|"]
    for row in results["compiled"]:
        lines.append(
            f"| {row['kernel']} | {row['registers']} | {row['threads']} | {row['occupancy']:.0%} | {row['shared']} B"
            f" | {row['stack']} B, {row['spilled']} B |"
        )
    return "\n".join([*lines, "", *NOTES.splitlines(), ""])


NOTES = """## What to expect

- **log Z**: one fused multiply-add and one multiplication for each unit and state, in float64. At the 64 float64 lanes
  of each of 132 multiprocessors at 1.98 GHz (16.7e12 instructions a second) 784 x 30 cannot take less than 0.10 s,
  nor 64 x 38 less than 2.1 s. A thread holds 4 x 4 states: 8 loads from shared memory for 32 arithmetic instructions.
- **Block Gibbs, Langevin, Gibbs-Langevin**: a chain is up to 128 threads, one for each four units, which meet after
  each part of a step. Single sites: a chain is a thread, and states lie column by column; it takes 1e4 chains and more
  to fill a card.
- Philox compiles to integer instructions only; no kernel uses local memory."""


def main() -> int:
    """Compile, measure if there is a card, write the page; 1 if something disagrees with the CPU."""
    path = FOLDER / "cuda.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"measured": None}
    missing = what_is_missing()
    results = {"measured": before["measured"], "compiled_on": today(), "compiled": compiled()}
    if missing:
        print(f"not measured: {missing}", file=sys.stderr)
    else:
        results["measured"] = measure()
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "CUDA.md").write_text(page(results), encoding="utf-8")
    print(page(results))
    return int(not missing and not all(row["agrees"] for row in results["measured"]["rows"]))


if __name__ == "__main__":
    sys.exit(main())
