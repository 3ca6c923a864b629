"""Progress on standard error: a bar where a person watches, a line now and then where a log is written.

The bar is imported lazily, so that quiet work pays nothing; work shorter than PERIOD leaves no line.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PERIOD = 20.0  # seconds from one line of a log to the next


@contextmanager
def track(total: float | None, what: str, *, enabled: bool = True) -> Iterator[Callable[..., None]]:
    """``with track(n, "sampling") as bar: ...; bar(1)``: a bar with the remaining time, gone when the work is done.

    ``bar(amount, doing)`` also says in words what is being done; a total of None shows only that work goes on.
    """
    if not enabled:
        yield lambda amount, doing="": None
        return
    if not sys.stderr.isatty():
        yield log_lines(total, what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    words = TextColumn("{task.description}")
    columns = (SpinnerColumn(), words, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount, doing="": bar.update(task, advance=amount, **{"description": doing} if doing else {})


def log_lines(total: float | None, what: str) -> Callable[..., None]:
    """``bar(amount, doing)`` for a log: how much is done, and how long the rest takes, at most once a PERIOD."""
    began = said = time.monotonic()
    done, words = 0.0, what

    def bar(amount: float, doing: str = "") -> None:
        nonlocal said, done, words
        done, words, now = done + amount, doing or words, time.monotonic()
        if now - said < PERIOD:
            return
        said, spent = now, now - began
        line = f"{words}: {spent:.0f} s"
        if total and done:
            line += f", {100 * done / total:.0f} % done, about {spent * (total - done) / done:.0f} s left"
        print(line, file=sys.stderr, flush=True)

    return bar
