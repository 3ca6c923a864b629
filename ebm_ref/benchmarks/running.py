"""Choosing rows by name and running them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ebm_ref.benchmarks import FAMILIES, scaling
from ebm_ref.benchmarks.machine import Limits, description
from ebm_ref.benchmarks.rows import Benchmark, Session
from ebm_ref.errors import DomainError


def all_benchmarks() -> tuple[Benchmark, ...]:
    """The rows of all families, in their order."""
    modules = [importlib.import_module(f"ebm_ref.benchmarks.{name}") for name in FAMILIES]
    return tuple(benchmark for module in modules for benchmark in module.rows())


def chosen(patterns: Sequence[str]) -> tuple[Benchmark, ...]:
    """Benchmarks whose name is one of the patterns (``log_z*``); all of them when there is no pattern.

    >>> [b.name for b in chosen(["import"])]
    ['import']
    """
    known = all_benchmarks()
    for pattern in patterns:
        if not any(fnmatchcase(b.name, pattern) for b in known):
            raise DomainError(f"rows: expected some of {', '.join(b.name for b in known)}, got {pattern}")
    return tuple(b for b in known if not patterns or any(fnmatchcase(b.name, pattern) for pattern in patterns))


def report(
    benchmarks: Sequence[Benchmark],
    quick: bool,
    repeats: int,
    advance: Callable[..., None],
    *,
    with_scaling: bool = False,
) -> dict[str, Any]:
    """Measure one after the other; the result is what JSON holds.

    ``advance(share, doing="")`` is told each row that begins and each that is done.  Ctrl-C ends the run and keeps the
    rows that are done: then "stopped" is true.
    """
    limits = Limits(quick)
    session = Session(quick, repeats, limits)
    body: dict[str, Any] = {
        "machine": description(), "quick": quick, "repeats": repeats, "stopped": False, "rows": [],
    }  # fmt: skip
    try:
        for benchmark in benchmarks:
            advance(0, benchmark.work)
            body["rows"].append(benchmark.run(session).plain())
            advance(1)
        if with_scaling:
            advance(0, "how time grows")
            body["scaling"] = scaling.measure(session, advance)
    except KeyboardInterrupt:
        body["stopped"] = True
    return body | {"limits": limits.plain(hurried=body["stopped"])}
