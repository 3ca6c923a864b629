"""Any program as a step: one JSON object a line on its stdin, one on its stdout.  Protocol ``ebm-ref-program/1``.

First line in, with the whole model (nothing else is ever needed; beta is inside the parameters):

    {"id": 1, "op": "hello", "protocol": "ebm-ref-program/1", "case": "rbm_3x3", "kernel": "block_gibbs",
     "model": {"type": "rbm", "W": [[..]], "a": [..], "b": [..]}, "n_visible": 3, "n_hidden": 3, "units": [0, 1],
     "clamp": [], "conventions": {"energy": "-a.x - b.h - x'Wh", ...}}

First line out: {"id": 1}; or {"id": 1, "files": true} to get large batches in files; or {"id": 1, "unsupported": "why"}
for a model or kernel that the program doesn't have.  Then, over and over:

    {"id": 2, "op": "step", "seed": 1234, "states": [[0, 1, 1, 0, 0, 1], ..]}       rows [x, h], one chain each
    {"id": 2, "states": [[1, 1, 0, 0, 0, 1], ..]}                                   the same chains, one step later

With files, a large batch arrives as "file", an .npz with the array ``states`` (n, d) int8; the program writes the same
kind of file to the path "reply_file" and answers {"id": 2, "file": that path}.  {"id": 2, "error": "text"} gives up.
At the end of stdin the program ends.  Its stderr is free for messages.

A crash, an answer that is not JSON or has another id, an ``error`` and a timeout are named failures of the check
(``Violation``), and end the program.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ebm_ref.errors import DomainError, require_positive
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks.candidate import Violation

PROTOCOL = "ebm-ref-program/1"
TIMEOUT, PATIENCE = 60.0, 1.0  # seconds: for an answer, and between the ways of ending a program
LONGEST_LINE = 2**28
ROWS_IN_LINE = 2**12  # more go through a file, for programs that read files
KERNELS = {
    "block_gibbs": "h' ~ p(.|x), then x' ~ p(.|h')",
    "gibbs": "one unit after the other from its conditional: hidden units 0, 1, .. first, then visible ones",
    "gibbs_random": "one uniformly chosen unit from its conditional",
    "gibbs_palindromic": "the scan of gibbs there and back",
    "metropolis": "flip one uniformly chosen unit, accept with probability min(1, exp(-dE))",
}
ENERGIES = {"rbm": "-a.x - b.h - x'Wh", "boltzmann": "-s'Js/2 - c.s", "ising": "-s'Js/2 - h.s"}


Outbox = queue.SimpleQueue[bytes | None]


def model_of(case: Case) -> dict[str, Any]:
    """The parameters of a case as lists."""
    if case.W is not None and case.a is not None and case.b is not None:
        return {"type": "rbm", "W": case.W.tolist(), "a": case.a.tolist(), "b": case.b.tolist()}
    kind, field = ("boltzmann", "c") if case.units == "01" else ("ising", "h")
    return {"type": kind, "J": case.J.tolist(), field: case.c.tolist()}


def greeting(case: Case) -> dict[str, Any]:
    """The first request.

    >>> from ebm_ref.oracle import cases
    >>> greeting(cases.named("rbm_1x1"))["model"]
    {'type': 'rbm', 'W': [[1.3]], 'a': [-0.4], 'b': [0.7]}
    """
    model = model_of(case)
    conventions = {
        "energy": ENERGIES[model["type"]],
        "rows": "[x, h], visible units first" if case.n_hidden else "one value a unit",
        "step": KERNELS.get(case.kernel, case.kernel),
        "beta": "already inside the parameters",
        "clamp": "pairs [unit, value] that never change",
        "seed": "an integer below 2**31 that decides every draw of the call; rows are independent",
    }
    return {
        "op": "hello",
        "protocol": PROTOCOL,
        "case": case.name,
        "kernel": case.kernel,
        "model": model,
        "n_visible": case.n_visible,
        "n_hidden": case.n_hidden,
        "units": list(case.values),
        "clamp": [list(pair) for pair in case.clamp],
        "conventions": conventions,
    }


class Program:
    """``step(states, seed)`` answered by another process; use it in a ``with`` block.

    command   as in a shell, without a shell: split at blanks, quotes respected; or a list of words
    timeout   seconds for one answer
    Raises DomainError if the program cannot be started.

    >>> import sys
    >>> from ebm_ref.oracle import cases, check_kernel
    >>> case = cases.named("rbm_1x1")
    >>> with Program([sys.executable, "-c", "print('hello world')"], case) as step:
    ...     report = check_kernel(step, case, profile="smoke")
    >>> report.passed, report.diagnosis[0].description
    (False, 'step answers with garbage')
    """

    def __init__(self, command: str | Sequence[str], case: Case, *, timeout: float = TIMEOUT) -> None:
        words = shlex.split(command) if isinstance(command, str) else list(command)
        if not words:
            raise DomainError("program: expected a command, got nothing")
        self.case, self.timeout = case, require_positive("timeout", timeout)
        self.__module__, self.__qualname__ = "", f"program {shlex.join(words)}"
        self.requests, self.files, self.greeted = 0, False, False
        self.declined: str | None = None
        self.broken: Violation | None = None
        self.folder = tempfile.TemporaryDirectory(prefix="ebm-ref-")
        try:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self.folder.cleanup()
            raise DomainError(f"program: {words[0]} could not be started ({error})") from None
        self.outbox: Outbox = queue.SimpleQueue()
        self.inbox: queue.Queue[bytes] = queue.Queue(maxsize=4)
        self.last_words: deque[str] = deque(maxlen=3)
        self.closing = threading.Event()
        self._end = weakref.finalize(self, end, self.process, self.outbox, self.closing)
        self.threads = [
            threading.Thread(target=work, args=arguments, daemon=True)
            for work, arguments in (
                (write, (self.process.stdin, self.outbox)),
                (read, (self.process.stdout, self.inbox, self.closing)),
                (listen, (self.process.stderr, self.last_words)),
            )
        ]
        for thread in self.threads:
            thread.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the program: end of its stdin, then a request to stop, then no more questions.  May be called twice."""
        if self._end.alive:
            self.outbox.put(None)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        self._end()
        self.folder.cleanup()

    def unsupported(self) -> str | None:
        """Say hello: why the program doesn't have this model or kernel; None if it has.  Never raises."""
        try:
            return self._greet()
        except Violation:
            return None

    def __call__(self, states: np.ndarray, seed: int) -> np.ndarray:
        """One step of all rows.  Raises Violation for everything that a program can do wrong."""
        if (reason := self._greet()) is not None:
            raise self._fail("does not support the case", f"the program declined {self.case.name}: {reason}")
        whole = np.asarray(states).astype(np.int8)
        request: dict[str, Any] = {"op": "step", "seed": int(seed)}
        if self.files and len(whole) > ROWS_IN_LINE:
            stem = Path(self.folder.name) / f"{self.requests + 1}"
            request |= {"file": f"{stem}.npz", "reply_file": f"{stem}.reply.npz"}
            np.savez(request["file"], states=whole)
        else:
            request["states"] = whole.tolist()
        return self._states(self._exchange(request), request)

    def _greet(self) -> str | None:
        """The handshake, once; the reason if the case is declined."""
        if self.broken is not None:
            raise self.broken
        if not self.greeted:
            reply = self._exchange(greeting(self.case))
            self.greeted, self.files = True, reply.get("files") is True
            self.declined = str(reply["unsupported"]) if "unsupported" in reply else None
        return self.declined

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request, one reply with its id."""
        self.requests += 1
        request = {"id": self.requests, **request}
        self.outbox.put(json.dumps(request, separators=(",", ":")).encode() + b"\n")
        asked = f"request {self.requests} ({request['op']})"
        try:
            line = self.inbox.get(timeout=self.timeout)
        except queue.Empty:
            raise self._fail("times out", f"no answer to {asked} within {self.timeout:g} s; flush stdout") from None
        if not line:
            raise self._ended(asked)
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            shown = line[:80].decode("utf-8", "replace").strip()
            raise self._fail(
                "answers with garbage",
                f"{asked}: expected one JSON object on a line of stdout, got {shown!r}; messages belong on stderr",
            )
        if reply.get("id") != self.requests:
            raise self._fail(
                "answers with the wrong id",
                f"{asked}: expected id {self.requests}, got {reply.get('id')!r}; one answer a request, in order",
            )
        if "error" in reply:
            raise self._fail("reports an error", f"{asked}: {str(reply['error'])[:300]}")
        return reply

    def _states(self, reply: dict[str, Any], request: dict[str, Any]) -> np.ndarray:
        """The rows of a reply; their shape and values are the check's business."""
        if "file" in reply:
            try:
                with np.load(str(reply["file"]), allow_pickle=False) as file:
                    states = file["states"]
            except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
                text = f"{reply['file']} holds no array named states ({error})"
                raise self._fail("answers with garbage", text) from None
            for name in ("file", "reply_file"):
                if name in request:
                    Path(request[name]).unlink(missing_ok=True)
            return states
        if "states" not in reply:
            raise self._fail("answers with garbage", f"expected states in the answer, got {', '.join(reply)}")
        try:
            return np.array(reply["states"])
        except ValueError:
            raise Violation("contract", "returns the wrong shape", "rows of different lengths came back") from None

    def _ended(self, asked: str) -> Violation:
        """The program closed its stdout."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        self.threads[2].join(PATIENCE)
        status = self.process.returncode
        if status is None:
            what = "closed its stdout"
        elif status < 0:
            what = f"was ended by signal {-status}"
        else:
            what = f"ended with status {status}"
        said = f"; its last words: {' / '.join(self.last_words)}" if self.last_words else ""
        return self._fail("crashes", f"the program {what} at {asked}{said}")

    def _fail(self, name: str, message: str) -> Violation:
        """Remember the first failure and end the program: nothing that it says afterwards can be trusted."""
        self.broken = Violation("contract", name, message)
        self._end()
        return self.broken


def write(stream: IO[bytes], outbox: Outbox) -> None:
    """Requests to stdin, until None or until nobody reads."""
    with contextlib.suppress(OSError, ValueError):
        while (line := outbox.get()) is not None:
            stream.write(line)
            stream.flush()
    with contextlib.suppress(OSError):
        stream.close()


def read(stream: IO[bytes], inbox: queue.Queue[bytes], closing: threading.Event) -> None:
    """Lines of stdout, an empty one at the end; what comes unasked waits in the pipe."""

    def put(line: bytes) -> None:
        while not closing.is_set():
            with contextlib.suppress(queue.Full):
                return inbox.put(line, timeout=0.1)

    with contextlib.suppress(OSError, ValueError), stream:
        while not closing.is_set() and (line := stream.readline(LONGEST_LINE)):
            if line.strip():
                put(line)
    put(b"")


def listen(stream: IO[bytes], words: deque[str]) -> None:
    """The last lines of stderr."""
    with contextlib.suppress(OSError, ValueError), stream:
        while line := stream.readline(2**12):
            words.append(line.decode("utf-8", "replace").strip())


def end(process: subprocess.Popen, outbox: Outbox, closing: threading.Event) -> None:
    """Stop the process and all that it started, and the threads that talk to it."""
    closing.set()
    outbox.put(None)
    for stop in ("SIGTERM", "SIGKILL"):
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, getattr(signal, stop))
            else:
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
