"""The machine: what it is, and how fast it multiplies and moves memory, measured in the same run as the work.

The limits are those of NumPy's BLAS and of a compiled copy on as many threads as our own loops use.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np

import ebm_ref
from ebm_ref.compile import get_num_threads

PACKAGES = ("numpy", "numba", "scipy", "torch", "jax", "scikit-learn", "dask")
SIZE, QUICK_SIZE = 1536, 256
BYTES, QUICK_BYTES = 2**28, 2**22


class Limits:
    """Rates of the machine; each is measured when it is first asked for, and again by ``multiply_adds``."""

    def __init__(self, quick: bool = False) -> None:
        self.size = QUICK_SIZE if quick else SIZE
        self.bytes = QUICK_BYTES if quick else BYTES
        self.repeats = 3 if quick else 7
        self.measured: dict[str, list[float]] = {}

    def multiply_adds(self, dtype: type = np.float64) -> float:
        """Multiply-adds a second in one matrix product, now; kept for the report."""
        a: np.ndarray = np.random.default_rng(0).random((self.size, self.size)).astype(dtype)
        product = np.empty_like(a)
        np.matmul(a, a, out=product)
        start = time.perf_counter()
        np.matmul(a, a, out=product)
        rate = self.size**3 / (time.perf_counter() - start)
        return self._keep("dgemm" if dtype is np.float64 else "sgemm", rate)

    def bandwidth(self) -> float:
        """Bytes read and written a second by a copy that fits in no cache."""
        source = np.ones(self.bytes // 8)
        target = np.empty_like(source)
        np.copyto(target, source)
        start = time.perf_counter()
        np.copyto(target, source)
        return self._keep("copy", 2 * self.bytes / (time.perf_counter() - start))

    def _keep(self, name: str, rate: float) -> float:
        self.measured.setdefault(name, []).append(rate)
        return rate

    def plain(self, hurried: bool = False) -> dict[str, float]:
        """Medians of all measurements of the run, for JSON; measures what was not asked for, ``hurried`` only once."""
        for _ in range(1 if hurried else self.repeats):
            self.multiply_adds()
            self.multiply_adds(np.float32)
            self.bandwidth()
        median = {name: statistics.median(rates) for name, rates in self.measured.items()}
        return {
            "dgemm_multiply_adds_per_second": median["dgemm"],
            "sgemm_multiply_adds_per_second": median["sgemm"],
            "copy_bytes_per_second": median["copy"],
        }


def description() -> dict[str, object]:
    """Processor, cores, date, versions, and how loaded the machine was."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"),
        "python": platform.python_version(),
        "versions": {"ebm_ref": ebm_ref.__version__} | {name: v for name in PACKAGES if (v := _version(name))},
    }


def _processor() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
