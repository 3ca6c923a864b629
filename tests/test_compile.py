"""How loops are compiled: the disk cache notices every edit, threads change no bit, plain Python runs."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import ebm_ref
from ebm_ref import compile

PACKAGE = Path(ebm_ref.__file__).parent
CALLER = "from ebm_ref.kernels.statistics import hidden_probabilities as p; import numpy as np"
ASK = f"{CALLER}; print(float(p(np.ones((1, 2)), np.ones((2, 1)), np.zeros(1))[0, 0]))"
SIGMOID_OF_2 = 1 / (1 + np.exp(-2.0))


def python(code, *, path=None, **environment):
    """Output of a fresh interpreter."""
    variables = {**os.environ, **environment}
    if path is not None:
        variables["PYTHONPATH"] = str(path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, cwd=path)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_edited_callee_in_another_file_is_noticed(tmp_path):
    """kernels/statistics.py calls sigmoid of maths/scalars.py: editing the latter changes the number of the former."""
    folder = tmp_path / "package"
    for part in ("__init__.py", "errors.py", "compile.py", "maths", "kernels"):
        copy = shutil.copytree if (PACKAGE / part).is_dir() else shutil.copy
        (folder / "ebm_ref").mkdir(parents=True, exist_ok=True)
        copy(PACKAGE / part, folder / "ebm_ref" / part)
    cache = {"path": folder, "EBM_REF_CACHE": str(tmp_path / "cache")}
    assert float(python(ASK, **cache)) == pytest.approx(SIGMOID_OF_2, rel=1e-15)
    stored = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.nbc")}
    assert stored
    assert float(python(ASK, **cache)) == pytest.approx(SIGMOID_OF_2, rel=1e-15)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.nbc")} == stored  # used, not redone

    scalars = folder / "ebm_ref" / "maths" / "scalars.py"
    text = scalars.read_text()
    edited = text.replace("return (1.0 if z >= 0.0", "return (0.5 if z >= 0.0")
    assert edited != text
    scalars.write_text(edited)
    assert float(python(ASK, **cache)) == pytest.approx(0.5 * SIGMOID_OF_2, rel=1e-15)


def test_a_cache_that_cannot_be_written_is_no_obstacle():
    code = "from ebm_ref.maths.scalars import softplus; print(softplus(0.0))"
    assert float(python(code, EBM_REF_CACHE="/proc/ebm_ref")) == pytest.approx(np.log(2), rel=1e-15)


PLAIN = """
import numpy as np, ebm_ref as er
m = er.RBM([[1.3, -0.7], [-0.4, 2.1], [0.9, -1.6]], [-0.3, 0.8, -1.1], [0.25, -0.6])
b = er.BoltzmannMachine.random(4, seed=3, n_visible=3)
start = [[1, 0, 1], [0, 0, 1]]
for sampler in (er.block_gibbs(m), er.gibbs(m), er.gibbs(b, "random"), er.gibbs(b, "palindromic"), er.metropolis(b)):
    print("".join(map(str, er.sample(sampler, start, 20, seed=5).states.astype(int).ravel())))
print(*(er.Stream(1, "user").uniform(3, (2, 6)).ravel().view(np.uint64)))
for model in (m, b, er.RBM.random(10, 9, 0.7, seed=1)):
    print(*(round(er.exact.log_partition(model, method=way), 11) for way in ("product", "gray", "vectorized")))
print(*np.round(er.cd(1).estimate(m, np.array(start, dtype=float), seed=2)[0].W.ravel(), 12))
print(*np.round(er.exact.moments(m).xh.ravel(), 12), *np.round(er.exact.moments(b).ss.ravel(), 12))
"""


def test_the_same_code_runs_as_plain_python():
    """NUMBA_DISABLE_JIT=1: every loop as it is written; states and uniforms agree to the bit, sums to 11 digits."""
    assert python(PLAIN, NUMBA_DISABLE_JIT="1") == python(PLAIN)


def square(chain, x, out):
    """out[chain] = x[chain]^2 summed in order."""
    out[chain] = 0.0
    for j in range(x.shape[1]):
        out[chain] += x[chain, j] * x[chain, j]


run_square = compile.over_chains(square)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("n_chains", [0, 1, 2, 7, 101])
def test_threads_share_the_chains(threads, n_chains):
    x, out = np.random.default_rng(0).normal(size=(n_chains, 50)), np.full(n_chains, np.nan)
    try:
        compile.set_num_threads(threads)
        run_square(n_chains, x, out, work=1e9)
    finally:
        compile.set_num_threads(None)
    expected = np.empty(n_chains)
    for chain in range(n_chains):
        square(chain, x, expected)
    assert out.tobytes() == expected.tobytes()
    assert run_square.py_body is square
    assert run_square.__doc__ == square.__doc__


def test_many_callers_at_once_do_not_disturb_each_other():
    x = np.random.default_rng(1).normal(size=(64, 200))
    expected = np.empty(64)
    run_square(64, x, expected)
    results = [np.empty(64) for _ in range(6)]
    callers = [threading.Thread(target=run_square, args=(64, x, out), kwargs={"work": 1e9}) for out in results]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(np.array_equal(out, expected) for out in results)


def test_number_of_threads():
    default = compile.get_num_threads()
    try:
        compile.set_num_threads(3)
        assert compile.get_num_threads() == 3
    finally:
        compile.set_num_threads(None)
    assert compile.get_num_threads() == default
    with pytest.raises(ValueError, match=r"^n: expected at least 1 thread, got 0"):
        compile.set_num_threads(0)
    assert python("import ebm_ref as er; print(er.get_num_threads())", NUMBA_NUM_THREADS="1") == "1"


class Pair(NamedTuple):
    left: np.ndarray
    right: np.ndarray


def test_arrays_lent_to_a_loop_are_given_back():
    """Loops see arrays without their reference counts; those inside tuples, too, are neither freed nor kept."""

    def add(chain, out, pair):
        left = pair.left[chain : chain + 1]
        out[chain] = left[0] + pair.right[chain]

    run, n = compile.over_chains(add), 64
    out, pair = np.zeros(n), Pair(np.arange(n, dtype=float), np.ones(n))
    counts = [sys.getrefcount(array) for array in (out, *pair)]
    for _ in range(50):
        run(n, out, pair, work=1e9)
    assert [sys.getrefcount(array) for array in (out, *pair)] == counts
    np.testing.assert_array_equal(out, np.arange(n) + 1.0)


def test_blas_starts_no_threads_beside_ours_and_gets_them_back():
    from threadpoolctl import threadpool_info

    def threads():
        return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    def block(rows):
        with compile._one_thread_for_blas:  # within, as another thread of the user's would be
            return max(threads().values(), default=1)

    before = threads()
    try:
        compile.set_num_threads(2)
        assert compile.over_blocks(block, 10, 2) == [1] * 5
    finally:
        compile.set_num_threads(None)
    assert threads() == before
