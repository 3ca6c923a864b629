"""The candidate at arm's length: whatever ``step(states, seed)`` does, the oracle gets indices or a named violation."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ebm_ref.oracle.cases import Case, TableCase

Step = Callable[[np.ndarray, int], Any]


class Violation(Exception):
    """The candidate broke the contract of ``step``: ``test`` is the id of the failed check, ``name`` the short name."""

    def __init__(self, test: str, name: str, message: str) -> None:
        super().__init__(message)
        self.test, self.name, self.message = test, name, message


def as_numpy(value: Any) -> np.ndarray:
    """A NumPy copy of an array of any framework (PyTorch tensors are detached and brought to the CPU first).

    >>> as_numpy([[1, 0]]).tolist()
    [[1, 0]]
    """
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
        if "bfloat16" in str(getattr(value, "dtype", "")):
            value = value.float()
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        value = np.from_dlpack(value)
    return np.array(value)


def place(error: BaseException) -> str:
    """Where in the candidate's own file an error was raised: `` at line 7 of step.py``; empty if no line is known."""
    ours = str(Path(__file__).parents[2])
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)]
    lines = [f.lineno for f in frames if f.filename == frames[0].filename]
    return f" at line {lines[-1]} of {Path(frames[0].filename).name}" if frames else ""


def subject_name(step: Callable[..., Any]) -> str:
    """How reports call a candidate: module and name of the callable, or its type."""
    name = getattr(step, "__qualname__", type(step).__qualname__).replace("<locals>.", "")
    return f"{getattr(step, '__module__', '')}.{name}".lstrip(".")


class Candidate:
    """Calls of one ``step`` on states of one case, as indices; counts its calls and rows."""

    def __init__(self, step: Step, case: Case | TableCase) -> None:
        self.step, self.case = step, case
        self.calls = self.rows = 0

    def __call__(self, index: np.ndarray, seed: int) -> np.ndarray:
        """Indices (n,) of the states after one step from the states with the given indices (n,)."""
        states = np.array(self.case.states[index])
        before = states.copy()
        self.calls, self.rows = self.calls + 1, self.rows + len(index)
        try:
            raw = self.step(states, seed)
            same = np.array_equal(states, before)
            new = as_numpy(raw)
        except (KeyboardInterrupt, Violation):
            raise
        except BaseException as error:
            kind = type(error).__name__
            said = f"step raised {kind} on {len(index)} rows{place(error)}: {error}"
            raise Violation("contract", "raises", said) from error
        if not same:
            raise Violation(
                "contract", "modifies its input", "step changed the array of states it was given; work on a copy"
            )
        require_rows_like(new, before)
        found = self.case.index(new)
        if (found < 0).any():
            raise self.off_support(new, np.flatnonzero(found < 0), before)
        return found

    def off_support(self, new: np.ndarray, bad: np.ndarray, before: np.ndarray) -> Violation:
        """The violation of rows outside the support, with a guess at the reason."""
        down, *_, up = self.case.values
        row = new[bad[0]]
        values = np.unique(new[bad].astype(float))[:6]
        if isinstance(self.case, TableCase):
            allowed = ", ".join(map(str, self.case.values)) if len(self.case.values) < 9 else f"{down} to {up}"
            name, why = "leaves the support", f"units of {self.case.name} are {allowed}"
        elif self.case.clamp and np.isin(new, (down, up)).all():
            name, why = "moves a clamped unit", f"clamped units must keep {dict(self.case.clamp)}"
        elif np.isin(new, (-1, 1)).all() or np.isin(new, (0, 1)).all():
            name, why = (
                "returns the wrong unit values",
                f"this case has units {down} and {up}; map x = (s + 1) / 2, s = 2 x - 1",
            )
        elif ((new >= 0) & (new <= 1)).all():
            name, why = "returns probabilities", "return draws, not means"
        else:
            name, why = "leaves the support", f"units are {down} or {up}"
        return Violation(
            "D9",
            name,
            f"step returned {row.tolist()} from {before[bad[0]].tolist()} ({len(bad)} of {len(new)} rows outside the"
            f" support, values {values.tolist()}); {why}",
        )


def require_rows_like(new: np.ndarray, before: np.ndarray) -> None:
    """Numbers, finite, of the shape that went in."""
    if new.shape == () and new.item() is None:
        raise Violation("contract", "returns nothing", "step returned None; expected an array of states")
    if new.dtype.kind not in "biuf":
        raise Violation(
            "contract", "returns the wrong dtype", f"step returned dtype {new.dtype}; expected real numbers"
        )
    if new.shape != before.shape:
        raise Violation(
            "contract", "returns the wrong shape", f"step returned shape {new.shape}; expected {before.shape}"
        )
    if new.dtype.kind == "f" and not np.isfinite(new).all():
        bad = np.argwhere(~np.isfinite(new))
        r, i = bad[0]
        raise Violation(
            "contract",
            "returns numbers that are not finite",
            f"step returned {new[r, i]} at [{r}, {i}] ({len(bad)} such values)",
        )
