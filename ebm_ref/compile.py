"""The only place with Numba options: how a loop is compiled, cached on disk, and spread over threads.

Four ideas.

* Scalar functions are plain ``def`` over ``math.*``, compiled by assignment: ``softplus = jit(softplus)``.
* A *body* ``body(chain, *arrays)`` is one loop over one chain.  ``over_chains(body)`` makes the function
  ``run(n_chains, *arrays)`` of it: compiled once, without the interpreter's lock, cut into ranges of chains that a few
  Python threads work off.  A chain's numbers depend on its own index only, so any number of threads gives
  the same bits.
* A scalar function or a body is called from CUDA kernels as it is (kernels/cuda/driver).  Numba's simulator of a card
  is plain Python, and so is then all that it calls.
* Numba's disk cache goes stale when a callee in *another* file changes.  Ours is keyed on the sources of the whole
  package: any edit makes a fresh folder.
"""

from __future__ import annotations

import contextvars
import hashlib
import inspect
import itertools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba.core import caching
from numba.core import config as numba_config

from ebm_ref.errors import DomainError

PACKAGE = Path(__file__).parent
config: Any = numba_config  # its attributes are made at run time
MIN_WORK_FOR_THREADS = 200_000  # elementary operations; below this, waking a thread costs more than it saves
RANGES_PER_THREAD = 4
KEPT_CACHES = 8  # folders of older sources are removed beyond this many


# The disk cache -------------------------------------------------------------------------------------------------------


def source_stamp(package: Path = PACKAGE) -> str:
    """Hash of every source file of the package, and of the versions that the machine code depends on."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:3]} {package}".encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """``$EBM_REF_CACHE`` or the user's cache folder, and in it one folder per state of the sources."""
    root = Path(os.environ.get("EBM_REF_CACHE") or platformdirs.user_cache_dir("ebm_ref", appauthor=False))
    folder = root / "numba" / source_stamp()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        _forget_old(folder.parent)
    except OSError:
        pass  # a read-only home: Numba compiles in memory
    return folder


def _forget_old(root: Path) -> None:
    """Remove all but the most recently used caches."""
    folders = sorted((p for p in root.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    for stale in folders[KEPT_CACHES:]:
        for file in stale.iterdir():
            file.unlink(missing_ok=True)
        stale.rmdir()


class _CompileResults(caching.CompileResultCacheImpl):
    """How a compile result is pickled; without Numba's own choice of a folder."""

    def __init__(self) -> None:
        pass


class _PackageCache(caching.FunctionCache):
    """Numba's function cache in our folder.  The folder stands for all sources, so a name and a signature suffice."""

    def __init__(self, py_func: Callable, name: str) -> None:
        self._name = name
        self._py_func = py_func
        self._impl = _CompileResults()
        self._cache_path = str(cache_folder())
        self._cache_file = caching.IndexDataCacheFile(self._cache_path, name, source_stamp="")
        self.enable()

    def _index_key(self, sig: Any, codegen: Any) -> tuple:
        return (sig, codegen.magic_tuple())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except OSError:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            if self._enabled and self._impl.check_cachable(data):
                self._cache_file.save(self._index_key(sig, data.codegen), self._impl.reduce(data))
        except OSError:
            pass  # no disk cache here: the function is compiled again next time


def simulated() -> bool:
    """Whether Numba's simulator stands for the card: NUMBA_ENABLE_CUDASIM=1."""
    return bool(getattr(config, "ENABLE_CUDASIM", False))


def _compile(function: Callable, name: str, flags: set[str], cached: bool, **choices: Any) -> Callable:
    if simulated():
        return function
    options = {"nogil": True, "error_model": "numpy", "fastmath": flags or False, "no_cfunc_wrapper": True}
    njit: Any = numba.njit
    compiled = njit(**options, **choices)(function)
    if cached and not config.DISABLE_JIT:
        compiled._cache = _PackageCache(function, name)
    return compiled


def jit(function: Callable, *, flags: tuple[str, ...] = (), inlined: bool = False) -> Callable:
    """Compile for the CPU.  ``flags`` grants single LLVM fast-math flags, where a test shows that the bound holds.

    ``inlined`` puts the function into its callers however long it is, so that loops over it can vectorise.
    """
    name = _name(function) + ".inlined" * inlined
    return _compile(function, name, set(flags), _is_ours(function), forceinline=inlined)


def vector_code(emit: Callable, twin: Callable) -> Callable:
    """``twin(Z, S, w, c)``, in compiled code replaced by what ``emit`` writes in LLVM (kernels/panels.py)."""
    if simulated() or config.DISABLE_JIT:
        return twin
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def call(typing, Z, S, w, c):
        def generate(context, builder, signature, args):
            arrays = [
                context.make_array(t)(context, builder, a) for t, a in zip(signature.args, args[:3], strict=False)
            ]
            width, n, stride = (builder.extract_value(arrays[i].shape, axis) for i, axis in ((0, 1), (1, 0), (2, 1)))
            number = signature.args[0].dtype
            pointers = [array.data for array in arrays]
            emit(builder, context.get_data_type(number), number.bitwidth, *pointers, args[3], width, n, stride)
            return context.get_dummy_value()

        return types.void(Z, S, w, c), generate

    return call


def vectors(emit: Callable, twin: Callable) -> Callable:
    """``twin(*arguments)``, in compiled code replaced by what ``emit(builder, element, bits, *arguments)`` writes in
    LLVM: each array as the pointer to its first number, each integer as it is.  The first is an array of floats.
    """
    if simulated() or config.DISABLE_JIT:
        return twin
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    @intrinsic
    def call(typing, *arguments):
        def generate(context, builder, signature, packed):
            kinds = signature.args[0]
            given = [
                context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
                for kind, value in zip(kinds, cgutils.unpack_tuple(builder, packed[0]), strict=True)
            ]
            emit(builder, context.get_data_type(kinds[0].dtype), kinds[0].dtype.bitwidth, *given)
            return context.get_dummy_value()

        return types.void(types.StarArgTuple.from_types(arguments)), generate

    return call


def _borrowed(arrays: tuple) -> tuple:
    """The same arrays; in compiled code without their reference counts, which threads would otherwise fight over.

    Every slice that a loop hands to a function counts up and down in memory that all threads write to.  Whoever calls
    the compiled function holds the arrays meanwhile.
    """
    return arrays


def _uncounted(function: Callable) -> Callable:
    """``function`` for pure Python, and its counterpart in compiled code: null pointers instead of owners."""
    if simulated() or config.DISABLE_JIT:
        return function
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def call(typing, arrays):
        def generate(context, builder, signature, args):
            lent = []
            for kind, value in zip(signature.args[0], cgutils.unpack_tuple(builder, args[0]), strict=True):
                if isinstance(kind, types.Array):
                    array = context.make_array(kind)(context, builder, value)
                    for owner in ("meminfo", "parent"):
                        setattr(array, owner, cgutils.get_null_value(getattr(array, owner).type))
                    value = array._getvalue()
                elif context.enable_nrt:
                    context.nrt.incref(builder, kind, value)  # anything else is shared as usual
                lent.append(value)
            return context.make_tuple(builder, signature.return_type, lent)

        return arrays(arrays), generate

    from numba.core import cgutils

    return call


borrowed = _uncounted(_borrowed)


def cuda_jit(kernel: Callable) -> Callable:
    """Compile a CUDA kernel when it is first launched.  Multiply and add may be fused, nothing else is relaxed."""
    from numba import cuda

    return cuda.jit(kernel)


def _name(function: Callable) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _is_ours(function: Callable) -> bool:
    """Whether name and sources say all: a function of this package, at the top level of its module."""
    return function.__module__.split(".")[0] == PACKAGE.name and function.__qualname__.isidentifier()


# Threads --------------------------------------------------------------------------------------------------------------

_n_threads: int | None = None


def get_num_threads() -> int:
    """How many threads the compiled loops use: set here, else ``NUMBA_NUM_THREADS``, else one per core."""
    return _n_threads or config.NUMBA_NUM_THREADS


def set_num_threads(n: int | None) -> None:
    """Use ``n`` threads from now on (``None``: the default again).  No result depends on it, only the time."""
    global _n_threads
    if n is not None and n < 1:
        raise DomainError(f"n: expected at least 1 thread, got {n}")
    _n_threads = n


@lru_cache(maxsize=4)
def _pool(n: int, pid: int) -> ThreadPoolExecutor:
    """One pool per process: a forked child must not wait for its parent's threads."""
    return ThreadPoolExecutor(n, thread_name_prefix=f"ebm_ref-{pid}")


class OneThreadForBlas:
    """While any thread is inside, NumPy's matrix products start no threads of their own.

    Theirs keep a core busy after a product, waiting for the next one: beside ours they cost more than they bring (a
    training step of a small network 55 ms with them, 37 without, on two cores).
    """

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.limit: Any = None

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.limit = _blas().limit(limits=1)
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.limit.restore_original_limits()


@lru_cache(maxsize=1)
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


_one_thread_for_blas = OneThreadForBlas()
_here = threading.local()  # .alone: whether this thread works off a block, whose loops are then its own


def over_blocks(function: Callable[[slice], Any], n: int, size: int) -> list[Any]:
    """[function(block) for each block of ``size`` of n rows, a slice], blocks on the threads, their loops not.

    For work of many small loops with memory of its own, which then stays in a core's cache.
    """
    blocks = [slice(start, start + size) for start in range(0, max(n, 1), size)]
    n_threads = min(get_num_threads(), len(blocks))
    if n_threads <= 1 or getattr(_here, "alone", False):
        return [function(block) for block in blocks]

    def alone(block: slice) -> Any:
        _here.alone = True
        try:
            return function(block)
        finally:
            _here.alone = False

    pool = _pool(n_threads, os.getpid())
    with _one_thread_for_blas:
        jobs = [pool.submit(contextvars.copy_context().run, alone, block) for block in blocks]  # with NumPy's errstate
        return [job.result() for job in jobs]


def _ranges(body: Callable, compiled_body: Callable) -> Callable:
    """``chains(start, stop, *arrays)``; written out, since Numba inlines no call with a star.

    A body is compiled within its loop only: on its own it would cost as much time again.
    """
    arrays = ", ".join(f"array_{i}" for i in range(1, len(inspect.signature(body).parameters)))
    loop = (
        f"def chains(start, stop, {arrays}):\n  {arrays}, = borrowed(({arrays},))\n"
        f"  for chain in range(start, stop):\n    body(chain, {arrays})"
    )
    scope: dict[str, Any] = {"body": compiled_body, "borrowed": borrowed, "__name__": __name__}
    exec(loop, scope)
    return scope["chains"]


def over_chains(body: Callable, *, flags: tuple[str, ...] = (), name: str = "") -> Callable:
    """``run(n_chains, *arrays, work=0)`` from ``body(chain, *arrays)``; ``name`` if it is made inside a function.

    ``work`` is a rough count of elementary operations; small jobs stay on the calling thread.
    ``run.py_body`` is the readable body.
    """
    ours = _is_ours(body) or bool(name)
    name = f"{body.__module__}.{name}" if name else _name(body)
    compiled_body = _compile(body, name, set(flags), cached=False, inline="always")
    serial = _compile(_ranges(body, compiled_body), f"{name}.chains", set(flags), ours)

    def run(n_chains: int, *arrays: Any, work: float = 0) -> None:
        n = min(get_num_threads(), n_chains)
        if n <= 1 or work < MIN_WORK_FOR_THREADS or getattr(_here, "alone", False):
            serial(0, n_chains, *arrays)
            return
        n_ranges = min(n_chains, RANGES_PER_THREAD * n)  # more than threads: a slow core takes fewer
        edges = [n_chains * t // n_ranges for t in range(n_ranges + 1)]
        pool = _pool(n, os.getpid())
        jobs = [pool.submit(serial, lo, hi, *arrays) for lo, hi in itertools.pairwise(edges)]
        for job in jobs:
            job.result()

    run.py_body, run.__doc__ = body, body.__doc__  # type: ignore[attr-defined]
    return run
