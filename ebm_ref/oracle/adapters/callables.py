"""Python callables: found by name, made for a case, and translated from the habits of other frameworks.

The contract of a step: ``step(states, seed) -> states``; states (n, d) are float64 NumPy rows [x, h], one independent
chain each, not to be modified; seed, an int below 2^31, decides every draw.  What comes back may be a NumPy, PyTorch or
JAX array, or anything with ``__array__`` or ``__dlpack__``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ebm_ref.errors import BackendError, DomainError
from ebm_ref.oracle.cases import Case

Step = Callable[[np.ndarray, int], Any]


def load_callable(target: str) -> Callable[..., Any]:
    """The function that ``FILE.py:NAME`` or ``package.module:NAME`` names; NAME may have dots.

    The file's folder is importable while the file is read.  Raises DomainError that says what is missing, or what the
    import raised.

    >>> load_callable("math:sqrt")(9.0)
    3.0
    """
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise DomainError(f"target: expected FILE.py:NAME, for example my_sampler.py:step, got {target!r}")
    found: Any = _import(where)
    for part in name.split("."):
        if not hasattr(found, part):
            raise DomainError(f"target: {where} has no function named {name}{_suggestion(found)}")
        found = getattr(found, part)
    if not callable(found):
        raise DomainError(f"target: {name} in {where} is no function but of type {type(found).__name__}")
    return found


def _import(where: str) -> Any:
    path = Path(where)
    if path.suffix != ".py":
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise DomainError(f"target: expected FILE.py:NAME or an importable MODULE:NAME ({error})") from None
        except Exception as error:
            raise DomainError(f"target: {where} could not be imported: {_said(error)}") from error
    if not path.is_file():
        raise DomainError(f"target: there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickle look there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        if sys.modules.get(path.stem) is module:
            del sys.modules[path.stem]
        raise DomainError(f"target: {path} could not be imported: {_said(error)}") from error
    finally:
        sys.path.remove(folder)
    return module


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _suggestion(module: Any) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == getattr(module, "__name__", None)
    ]
    return f"; it has {', '.join(names[:6])}" if names else ""


def makes_steps(target: Callable[..., Any]) -> bool:
    """True if ``target(case)`` is meant: it requires exactly one argument.

    >>> makes_steps(lambda case: None), makes_steps(lambda states, seed: states)
    (True, False)
    """
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) == 1 and not any(
        p.kind is p.VAR_POSITIONAL for p in parameters
    )


def step_for(target: Callable[..., Any], case: Case) -> Step | None:
    """The step for one case: ``target`` itself, or what ``target(case)`` returns if it requires one argument only.

    None if ``target(case)`` is NotImplemented or None: a model that the implementation doesn't have.  If it raises, so
    does the step, and a check reports that.

    >>> from ebm_ref.oracle import cases
    >>> step_for(lambda case: (lambda states, seed: states), cases.named("rbm_1x1"))([[0.0, 1.0]], 0)
    [[0.0, 1.0]]
    """
    if not makes_steps(target):
        return target
    try:
        made = target(case)
    except Exception as error:
        failure = error

        def broken(states: np.ndarray, seed: int) -> Any:
            raise failure

        return broken
    return None if made is NotImplemented or made is None else made


def rowwise(f: Callable[[np.ndarray, np.random.Generator], Any]) -> Step:
    """A step from ``f(state (d,), rng) -> state``, code that moves one chain: called row by row, each with its own rng.

    >>> step = rowwise(lambda state, rng: rng.permutation(state))
    >>> step(np.eye(3), seed=1).sum(axis=1).tolist()
    [1.0, 1.0, 1.0]
    """

    def step(states: np.ndarray, seed: int) -> np.ndarray:
        streams = np.random.SeedSequence(seed).spawn(len(states))
        return np.array([f(row.copy(), np.random.default_rng(s)) for row, s in zip(states, streams, strict=True)])

    return step


def torch_step(f: Callable[[Any, Any], Any], dtype: str = "float32", device: str = "cpu") -> Step:
    """A step from ``f(states: torch.Tensor, generator: torch.Generator) -> torch.Tensor``."""
    torch = _framework("torch")

    def step(states: np.ndarray, seed: int) -> Any:
        generator = torch.Generator(device=device).manual_seed(seed)
        return f(torch.tensor(states, dtype=getattr(torch, dtype), device=device), generator)

    return step


def jax_step(f: Callable[[Any, Any], Any], dtype: str = "float32") -> Step:
    """A step from ``f(states: jax.Array, key) -> jax.Array``; wrap f in ``jax.jit`` yourself."""
    jax = _framework("jax")

    def step(states: np.ndarray, seed: int) -> Any:
        return f(jax.numpy.asarray(states, dtype=dtype), jax.random.PRNGKey(seed))

    return step


def _framework(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise BackendError(f"{name} is not installed; pip install 'ebm-ref[peers]'") from None
