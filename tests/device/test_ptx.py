"""Every kernel is compiled to PTX for compute capability 9.0, with the very types that the public functions pass.

The launches are recorded instead of made, so no card and no driver is needed, only the compilers of the extra ``cuda``.
"""

from importlib.util import find_spec

import pytest
import twin_jobs as jobs
from numba import uint64

from ebm_ref.compile import config, simulated
from ebm_ref.maths import philox
from validation.benchmarks.compiled import ptx, recorded_launches, resources

pytestmark = pytest.mark.skipif(
    find_spec("numba_cuda") is None or simulated() or bool(config.DISABLE_JIT),
    reason="numba-cuda is not installed (pip install '.[cuda]'), or nothing is compiled in this run",
)
ALL_KERNELS = (
    "uniforms",
    "gaussian block",
    "ula",
    "gibbs_langevin",
    "adjusted",
    "mala",
    "block",
    "systematic",
    "random",
    "metropolis",
    "3x2",
    "3x2, gray",
    "machine",
)


@pytest.mark.parametrize("name", ALL_KERNELS)
def test_every_kernel_compiles_without_a_card(name):
    with recorded_launches() as launches:
        jobs.JOBS[name]("cuda")
    assert launches
    for kernel, types in {kernel: (kernel, types) for kernel, types in launches}.values():
        text = ptx(kernel.py_func, types, device=False)
        assert ".target sm_90" in text
        assert ".visible .entry" in text
        assert ".local" not in text  # all of a thread's own numbers are in registers
        used = resources(text)
        assert used["stack"] == used["spilled"] == 0
        assert used["registers"] <= (128 if name == "3x2" else 168)  # 2 blocks of 256 threads, 3 of 128, at least


def test_random_words_are_integers_throughout():
    text = ptx(philox.philox4x32.py_func, (uint64,) * 6, device=True)
    assert ".f64" not in text
    assert ".f32" not in text
