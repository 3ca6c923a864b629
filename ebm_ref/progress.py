"""Progress bars on standard error, only where a person watches; imported lazily so that quiet work pays nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def track(total: float | None, what: str, *, enabled: bool = True) -> Iterator[Callable[..., None]]:
    """``with track(n, "sampling") as bar: ...; bar(1)``: a bar with the remaining time, gone when the work is done.

    ``bar(amount, doing)`` also says in words what is being done; a total of None shows only that work goes on.
    """
    if not (enabled and sys.stderr.isatty()):
        yield lambda amount, doing="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    words = TextColumn("{task.description}")
    columns = (SpinnerColumn(), words, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount, doing="": bar.update(task, advance=amount, **{"description": doing} if doing else {})
