"""Records: frozen collections of float64 arrays that are checked once, when made.

A model is a record, and a gradient is a record of the same type, so optimisers do arithmetic on leaves and know no
names.  Leaves are the array fields, in the order in which they are declared; integer fields are part of the shape.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import numpy as np

from ebm_ref import files
from ebm_ref.errors import ShapeError, as_float_array, require_finite

R = TypeVar("R")


@dataclass_transform(frozen_default=True, eq_default=False)
def record(cls: type[R]) -> type[R]:
    """Class decorator: a frozen dataclass whose array leaves are copied to float64, contiguous and read-only.

    The class's own ``check`` sees the leaves as finite float64 arrays and checks their shapes.
    """

    def __post_init__(self: Any) -> None:
        for field in dataclasses.fields(self):
            if field.type in ("np.ndarray", np.ndarray):
                leaf = np.array(as_float_array(field.name, getattr(self, field.name)), order="C")
                require_finite(field.name, leaf)
                leaf.flags.writeable = False
                object.__setattr__(self, field.name, leaf)
        self.check()

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)


def leaf_names(model: Any) -> tuple[str, ...]:
    """Names of the array fields, in declaration order."""
    return tuple(f.name for f in dataclasses.fields(model) if f.type in ("np.ndarray", np.ndarray))


def leaves(model: Any) -> dict[str, np.ndarray]:
    """The arrays of a record by name."""
    return {name: getattr(model, name) for name in leaf_names(model)}


def sizes(model: Any) -> dict[str, Any]:
    """The fields of a record that are not arrays."""
    names = leaf_names(model)
    return {f.name: getattr(model, f.name) for f in dataclasses.fields(model) if f.name not in names}


def leafwise(function: Callable[..., np.ndarray], first: R, *others: R) -> R:
    """A record of the same type, ``function`` applied to the corresponding leaves.

    >>> from ebm_ref.models.rbm import RBM
    >>> doubled = leafwise(lambda p, g: p + g, *2 * [RBM([[1.0]], [2.0], [3.0])])
    >>> float(doubled.b[0])
    6.0
    """
    for other in others:
        if type(other) is not type(first):
            raise ShapeError(f"expected records of one type, got {type(first).__name__} and {type(other).__name__}")
    changed: dict[str, Any] = {
        name: function(leaf, *(getattr(o, name) for o in others)) for name, leaf in leaves(first).items()
    }
    return dataclasses.replace(first, **changed)  # type: ignore[type-var]


def flatten(model: Any) -> np.ndarray:
    """All leaves in declaration order, each row-major, as one vector."""
    return np.concatenate([leaf.ravel() for leaf in leaves(model).values()])


def describe(model: Any) -> str:
    """``RBM(W=(3, 2), a=(3,), b=(2,))``: what a record's repr shows."""
    parts = [f"{name}={leaf.shape}" for name, leaf in leaves(model).items()]
    return f"{type(model).__name__}({', '.join(parts)})"


def save(model: Any, path: str | os.PathLike) -> None:
    """Write a record as a versioned ``.npz`` file (atomically); ``ebm_ref.load`` reads it back bit for bit."""
    files.write_arrays(path, type(model).__name__, leaves(model), sizes(model))
