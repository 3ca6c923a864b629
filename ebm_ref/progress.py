"""Progress on standard error: a bar where a person watches, a line now and then where a log is written.

A thread of its own tells the log, so that long work which says nothing itself is heard of too.  The bar is imported
lazily, so that quiet work pays nothing; work shorter than PERIOD leaves no line.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

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
        with told(Log(total, what), sys.stderr) as log:
            yield log.advance
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    words = TextColumn("{task.description}")
    columns = (SpinnerColumn(), words, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount, doing="": bar.update(task, advance=amount, **{"description": doing} if doing else {})


class Log:
    """How much of some work is done, in words."""

    def __init__(self, total: float | None, what: str) -> None:
        self.total, self.words, self.done, self.began = total, what, 0.0, time.monotonic()

    def advance(self, amount: float, doing: str = "") -> None:
        """What ``track`` hands out."""
        self.done, self.words = self.done + amount, doing or self.words

    def line(self) -> str:
        """What is being done, since when, how much of it, and about how long the rest takes."""
        spent, done = time.monotonic() - self.began, self.done
        line = f"{self.words}: {spent:.0f} s"
        if self.total and done:
            line += f", {100 * done / self.total:.0f} % done, about {spent * (self.total - done) / done:.0f} s left"
        return line


@contextmanager
def told(log: Log, stream: TextIO) -> Iterator[Log]:
    """A line of ``log`` once a PERIOD while the work goes on."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(PERIOD):
            print(log.line(), file=stream, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield log
    finally:
        over.set()
        teller.join()
