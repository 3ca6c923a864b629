"""Every kernel is compiled to PTX for compute capability 9.0, with the very types that the public functions pass.

The launches are recorded instead of made, so no card and no driver is needed, only the compilers of the extra ``cuda``.
"""

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import twin_jobs as jobs

from ebm_ref import device
from ebm_ref.compile import simulated
from ebm_ref.maths import philox

pytestmark = pytest.mark.skipif(
    find_spec("numba_cuda") is None or simulated(), reason="numba-cuda is not installed: pip install '.[cuda]'"
)
HOPPER = (9, 0)
ALL_KERNELS = ("uniforms", "block", "systematic", "random", "metropolis", "3x2", "3x2, gray", "machine")


class Recorded:
    """Stands for an array on the card."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def copy_to_host(self):
        return np.ones_like(self.array)


@pytest.fixture
def launches(monkeypatch):
    """(kernel, types of its arguments) of every launch; the kernels do not run."""
    from numba import typeof, types

    from ebm_ref.kernels.cuda import driver

    def upload(value, order="C"):
        return Recorded(np.array(value, order=order)) if isinstance(value, np.ndarray) else value

    def type_of(value):
        if isinstance(value, tuple):
            return types.Tuple([type_of(v) for v in value])
        return typeof(value.array if isinstance(value, Recorded) else value)

    made = []
    monkeypatch.setattr(device, "what_is_missing", lambda: "")
    monkeypatch.setattr(driver, "upload", upload)
    monkeypatch.setattr(driver, "empty", lambda shape: Recorded(np.empty(shape)))
    monkeypatch.setattr(driver, "launch", lambda kernel, b, t, *args: made.append((kernel, tuple(map(type_of, args)))))
    return made


@pytest.fixture
def ptx(monkeypatch):
    """The PTX of a function.  The device functions that it calls ask the card for its capability: told here."""
    from numba import cuda

    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: SimpleNamespace(compute_capability=HOPPER))
    return lambda function, types, **options: cuda.compile_ptx(function, types, cc=HOPPER, **options)[0]


@pytest.mark.parametrize("name", ALL_KERNELS)
def test_every_kernel_compiles_without_a_card(name, launches, ptx):
    jobs.JOBS[name]("cuda")
    assert launches
    for kernel, types in {kernel: (kernel, types) for kernel, types in launches}.values():
        text = ptx(kernel.py_func, types, device=False)
        assert ".target sm_90" in text
        assert ".visible .entry" in text
        assert ".local" not in text  # all of a thread's own numbers are in registers
        assert "vprintf" not in text


def test_random_words_are_integers_throughout(ptx):
    from numba import uint64

    plain = getattr(philox.philox4x32, "py_func", philox.philox4x32)
    text = ptx(plain, (uint64,) * 6, device=True)
    assert ".f64" not in text
    assert ".f32" not in text
