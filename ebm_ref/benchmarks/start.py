"""How long ``import ebm_ref`` takes in a fresh interpreter, beyond the interpreter itself."""

from __future__ import annotations

import subprocess
import sys

from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Session

MOST_SECONDS = 0.3


def measure_import(session: Session) -> Measured:
    """The median import, and for comparison those of NumPy and Numba."""
    times = session.time({OURS: _importing("ebm_ref"), "numpy": _importing("numpy"), "python alone": _importing("sys")})
    value = max(0.0, times[OURS].median - times["python alone"].median)
    return Measured(value, times, "loads nothing heavy; submodules load when they are first used")


def _importing(module: str):
    def run() -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    return run


def rows() -> tuple[Benchmark, ...]:
    """One row."""
    return (Benchmark("import", "import ebm_ref", MOST_SECONDS, "s", measure_import, at_least=False),)
