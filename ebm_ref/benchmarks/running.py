"""Choosing rows by name and running them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from ebm_ref.benchmarks import FAMILIES
from ebm_ref.benchmarks.rows import Benchmark, Row, Session
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


def run(benchmarks: Sequence[Benchmark], session: Session, advance: Callable[[float], None]) -> list[Row]:
    """Measure one after the other; ``advance`` is told each that is done."""
    rows = []
    for benchmark in benchmarks:
        rows.append(benchmark.run(session))
        advance(1)
    return rows
