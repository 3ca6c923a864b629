"""What a user waits for before the work begins: ``import ebm_ref``, and the first call of each sampler.

Compiled kernels are kept on disk, so the second wait comes once an installation; here its cache is empty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Session

MOST_SECONDS, MOST_COMPILING = 0.3, 5.0
SAMPLERS = {
    "block Gibbs": "block_gibbs(rbm)",
    "single-site Gibbs": "gibbs(rbm)",
    "random-scan Gibbs": "gibbs(rbm, 'random')",
    "Metropolis": "metropolis(rbm)",
    "block Gibbs, GRBM": "block_gibbs(grbm)",
    "ULA": "ula(grbm, 0.1)",
    "MALA": "mala(grbm, 0.1)",
    "HMC": "hmc(grbm, 0.1, 3)",
    "Gibbs-Langevin": "gibbs_langevin(grbm, [0.1])",
    "ULA, MLP": "ula(mlp, 0.1)",
}
FIRST_CALLS = """
import json, sys, time
import numba
import ebm_ref
rbm, grbm, stream = ebm_ref.RBM.random(3, 2), ebm_ref.GRBM.random(3, 2), ebm_ref.Stream(0, "transition")
mlp = ebm_ref.NetworkEnergy(ebm_ref.nets.mlp((3, 4, 1)), "scalar")
numba.njit(lambda x: x + 1)(1)  # the compiler's own start
seconds = {}
for name, sampler in json.loads(sys.argv[1]).items():
    sampler = eval(f"ebm_ref.{sampler}")
    rows = sampler.init([[1.0, 0.0, 1.0]] * 20, 0)
    start = time.process_time()
    sampler.advance(rows, stream, 0, 1)
    seconds[name] = time.process_time() - start
print(json.dumps(seconds))
"""


def measure_import(session: Session) -> Measured:
    """The median import, and for comparison those of NumPy and Numba."""
    times = session.time({OURS: _importing("ebm_ref"), "numpy": _importing("numpy"), "python alone": _importing("sys")})
    value = max(0.0, times[OURS].median - times["python alone"].median)
    return Measured(value, times, "loads nothing heavy; submodules load when they are first used")


def _importing(module: str):
    def run() -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    return run


def measure_compiling(session: Session) -> Measured:
    """The sampler whose first call adds most, in a process that makes them all in turn; its cache is empty at first."""
    samplers = dict(list(SAMPLERS.items())[: 1 if session.quick else None])
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CALLS, json.dumps(samplers)], capture_output=True, text=True, check=True,
            env=os.environ | {"EBM_REF_CACHE": cache},
        )  # fmt: skip
    seconds = json.loads(done.stdout)
    words = ", ".join(f"{s:.2g} {name}" for name, s in seconds.items())
    return Measured(max(seconds.values()), {}, f"processor time, once an installation, added in this order: {words}")


def rows() -> tuple[Benchmark, ...]:
    """Two rows."""
    return (
        Benchmark("import", "import ebm_ref", MOST_SECONDS, "s", measure_import, at_least=False),
        Benchmark(
            "compile", "what a sampler adds to compiling, no cache", MOST_COMPILING, "s", measure_compiling, False
        ),
    )
