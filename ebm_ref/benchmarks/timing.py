"""Fair timing on a machine that others use too: interleaved runs, medians, ratios of neighbours.

Contestants take turns (ours, peer, ours, peer, ...), so that load which comes and goes hits all of them.  Each is
warmed up first (compilation, caches), then timed in samples of many calls, long enough for the clock.  A rest goes
before each sample, since the threads of OpenBLAS and OpenMP wait for more work by spinning, for tens of milliseconds,
and would take a core from whoever comes next; then a call that is not counted, if calls are short, wakes the core up.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

REST_SECONDS = 0.05


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, a value a sample."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Where the middle half lies."""
        low, _, high = statistics.quantiles(self.samples, n=4) if len(self.samples) > 1 else self.samples * 3
        return low, high


def interleaved(
    contestants: Mapping[str, Callable[[], object]], repeats: int = 5, sample_seconds: float = 0.02
) -> dict[str, Timing]:
    """Seconds of one call of each, ``repeats`` samples taken in turns; a first call of each is not counted.

    A sample is as many calls as fill ``sample_seconds``, at least one.

    >>> times = interleaved({"ours": lambda: sum(range(9)), "peer": lambda: sum(range(999))}, sample_seconds=1e-4)
    >>> ratio(times["peer"], times["ours"]) > 1
    True
    """
    calls = {}
    for name, run in contestants.items():
        run()
        calls[name] = max(1, math.ceil(sample_seconds / max(_seconds(run, 1), 1e-9)))
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, run in contestants.items():
            time.sleep(REST_SECONDS)
            if calls[name] > 1:
                run()
            samples[name].append(_seconds(run, calls[name]))
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def _seconds(run: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def ratio(slow: Timing, fast: Timing) -> float:
    """How many times longer the first took: the median over pairs of neighbouring samples."""
    return statistics.median(s / f for s, f in zip(slow.samples, fast.samples, strict=True))
