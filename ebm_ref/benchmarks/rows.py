"""What a row of the table is: some work, a target, what was measured, and whether it was reached."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ebm_ref.benchmarks.machine import Limits
from ebm_ref.benchmarks.timing import Timing, interleaved, ratio

OURS = "ebm_ref"
CROWDED = 1.5  # jobs a core, from which on a row that falls short names the load
NO_PEER = "no peer is installed (pip install 'ebm-ref[peers]')"


def system_load() -> float:
    """Jobs that ran or waited in the last minute; NaN where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan


@dataclass(frozen=True)
class Session:
    """What a measurement is given: how often to repeat, what is installed, and the machine's limits."""

    quick: bool = False
    repeats: int = 7
    limits: Limits = field(default_factory=Limits)

    def time(self, contestants: Mapping[str, Callable[[], object]], most_repeats: int = 1000) -> dict[str, Timing]:
        """Interleaved timings; ours under the name ``ebm_ref``.  ``most_repeats``: for work of many seconds."""
        repeats = 2 if self.quick else min(self.repeats, most_repeats)
        return interleaved(contestants, repeats, 0.001 if self.quick else 0.1)

    def peer(self, module: str) -> Any:
        """An installed package, or None."""
        try:
            return importlib.import_module(module)
        except Exception:  # a broken installation can fail in any way
            return None


@dataclass(frozen=True)
class Measured:
    """One figure in the benchmark's unit, the timings behind it, and words: what limits it, or why it was not run."""

    value: float
    times: Mapping[str, Timing] = field(default_factory=dict)
    remark: str = ""


def not_run(why: str) -> Measured:
    """Nothing to measure here, and why."""
    return Measured(math.nan, {}, why)


def against_fastest(times: Mapping[str, Timing], remark: str = "") -> Measured:
    """How many times faster than the fastest of the others ours is."""
    peers = {name: timing for name, timing in times.items() if name != OURS}
    if not peers:
        return Measured(math.nan, times, NO_PEER)
    fastest = min(peers, key=lambda name: peers[name].median)
    return Measured(ratio(peers[fastest], times[OURS]), times, f"fastest peer {fastest}{'; ' * bool(remark)}{remark}")


@dataclass(frozen=True)
class Benchmark:
    """Some work with a target.

    name      for ``--rows``: letters, digits and underscores
    work      what is done, in words
    target    in ``unit``; to be reached from below if ``at_least``, else not to be exceeded
    unit      "x" (times the rival's speed or time), "s", "GB/s", "%", ...
    measure   takes a Session, warms up, measures
    limit     what the work is bound by, said when the row falls short
    """

    name: str
    work: str
    target: float
    unit: str
    measure: Callable[[Session], Measured]
    at_least: bool = True
    limit: str = ""

    def run(self, session: Session) -> Row:
        """Measure; whatever goes wrong in a peer gives a row that says so."""
        load = system_load()
        try:
            return Row(self, self.measure(session), load)
        except Exception as error:  # the table goes on
            return Row(self, not_run(f"{type(error).__name__}: {error}".splitlines()[0]), load)


@dataclass(frozen=True)
class Row:
    """A benchmark and what came out."""

    benchmark: Benchmark
    measured: Measured
    load: float = math.nan

    @property
    def verdict(self) -> str:
        """reached, falls short, or not run."""
        value, target = self.measured.value, self.benchmark.target
        if math.isnan(value):
            return "not run"
        return "reached" if (value >= target if self.benchmark.at_least else value <= target) else "falls short"

    @property
    def remark(self) -> str:
        """What the measurement says; of a row that falls short, first why."""
        if self.verdict != "falls short":
            return self.measured.remark
        cores = os.cpu_count() or 1
        crowd = f"load {self.load:.1f} on {cores} cores" if self.load > CROWDED * cores else ""
        return "; ".join(part for part in (self.benchmark.limit, crowd, self.measured.remark) if part)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        b, m = self.benchmark, self.measured
        times = {
            name: {"median": t.median, "quartiles": list(t.quartiles), "samples": len(t.samples)}
            for name, t in m.times.items()
        }
        return {
            "name": b.name, "work": b.work, "target": b.target, "at_least": b.at_least, "unit": b.unit,
            "measured": None if math.isnan(m.value) else m.value, "verdict": self.verdict,
            "remark": self.remark, "load": None if math.isnan(self.load) else self.load, "seconds": times,
        }  # fmt: skip
