"""CUDA kernels compiled without a card: PTX for compute capability 9.0, and what the machine code uses.

Launches are recorded instead of made, with the very types that the public functions pass; then each kernel is compiled
by NVVM and assembled by nvJitLink, which come with the extra ``cuda`` and need no driver.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from ebm_ref import device

HOPPER = (9, 0)


class Recorded:
    """Stands for an array on the card."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape = array, array.shape

    def copy_to_host(self) -> np.ndarray:
        """Ones, and no count: nothing was computed."""
        return np.ones_like(self.array) if self.array.dtype.kind == "f" else np.zeros_like(self.array)


def _upload(value: Any, order: Any = "C") -> Any:
    return Recorded(np.array(value, order=order)) if isinstance(value, np.ndarray) else value


def _type_of(value: Any) -> Any:
    from numba import typeof, types

    if isinstance(value, tuple):
        return types.Tuple([_type_of(v) for v in value])
    return typeof(value.array if isinstance(value, Recorded) else value)


@contextmanager
def recorded_launches() -> Iterator[list[tuple[Any, tuple]]]:
    """(kernel, types of its arguments) of every launch within; the kernels do not run."""
    from ebm_ref.kernels.cuda import driver

    made: list[tuple[Any, tuple]] = []

    def launch(kernel: Any, blocks: Any, threads: Any, *args: Any) -> None:
        made.append((kernel, tuple(_type_of(a) for a in args)))

    changes = {"upload": _upload, "launch": launch, "empty": lambda shape: Recorded(np.empty(shape))}
    with mock.patch.multiple(driver, **changes), mock.patch.object(device, "what_is_missing", return_value=""):
        yield made


def ptx(function: Any, types: tuple, **options: Any) -> str:
    """PTX of a plain function.  The functions that it calls ask the card for its capability: it is told here."""
    from numba import cuda

    card = SimpleNamespace(compute_capability=HOPPER)
    with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=card):
        return cuda.compile_ptx(function, types, cc=HOPPER, **options)[0]


def resources(text: str) -> dict[str, int]:
    """Registers a thread, shared bytes a block, bytes of a thread's stack and spills, as the assembler reports them."""
    from cuda.bindings import nvjitlink

    handle = nvjitlink.create(2, ["-arch=sm_90", "-verbose"])
    code = text.encode()
    nvjitlink.add_data(handle, nvjitlink.InputType.PTX, code, len(code), "kernel")
    nvjitlink.complete(handle)
    log = bytearray(nvjitlink.get_info_log_size(handle))
    nvjitlink.get_info_log(handle, log)
    report = log.decode()
    found = re.search(r"used (\d+) registers,.* (\d+) stack, (\d+) bytes smem", report)
    spills = [int(n) for n in re.findall(r"(\d+) bytes spill", report)]
    if found is None:
        raise ValueError(f"the assembler's report was not understood: {report}")
    registers, stack, shared = map(int, found.groups())
    return {"registers": registers, "shared": shared, "stack": stack, "spilled": sum(spills)}
