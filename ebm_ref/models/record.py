"""Records: frozen collections of float64 arrays that are checked once, when made.

A model is a record, and a gradient is a record of the same type, so optimisers do arithmetic on leaves and know no
names.  A field is one of
    np.ndarray   a leaf: a parameter, copied, contiguous, finite, read-only
    Constant     an array too, but no parameter: arithmetic on leaves keeps the one of the first record
    a record, or a tuple of records   a part, whose leaves are leaves of the whole, named "layers.0.W"
    anything else                     part of the shape: numbers, words, tuples of them
Leaves are ordered as declared, depth first.  float64 throughout, but for classes made with ``@record(single=True)``:
there an array that comes in float32 stays float32, and ``astype`` changes the precision of all leaves.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, dataclass_transform

import numpy as np

from ebm_ref import files
from ebm_ref.errors import DomainError, ShapeError, as_float_array, require_choice, require_finite

R = TypeVar("R")
Constant = np.ndarray
LEAF, CONSTANT = ("np.ndarray", np.ndarray), ("Constant",)


@dataclass_transform(frozen_default=True, eq_default=False)
def record(cls: Any = None, *, single: bool = False) -> Any:
    """Class decorator: a frozen dataclass whose array fields are copied, contiguous and read-only.

    The class's own ``check`` sees them as finite float arrays and checks their shapes.  ``single`` lets float32 in.
    """
    if cls is None:
        return lambda decorated: record(decorated, single=single)

    def __post_init__(self: Any) -> None:
        for field in dataclasses.fields(self):
            if field.type in LEAF + CONSTANT:
                value = getattr(self, field.name)
                if not (single and getattr(value, "dtype", None) == np.float32):
                    value = as_float_array(field.name, value)
                leaf = np.array(value, order="C")
                require_finite(field.name, leaf)
                leaf.flags.writeable = False
                object.__setattr__(self, field.name, leaf)
        self.check()

    cls.__post_init__ = __post_init__
    return dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)


# walking through a record ---------------------------------------------------------------------------------------------


def parts_of(value: Any) -> tuple[Any, ...] | None:
    """The records in a field's value: of a record itself, of a tuple its items; None for any other value."""
    if dataclasses.is_dataclass(value):
        return (value,)
    if isinstance(value, tuple) and value and all(map(dataclasses.is_dataclass, value)):
        return value
    return None


def _named(model: Any, types: tuple[Any, ...], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for field in dataclasses.fields(model):
        value, name = getattr(model, field.name), prefix + field.name
        if field.type in types:
            yield name, value
        elif (parts := parts_of(value)) is not None:
            for i, part in enumerate(parts):
                yield from _named(part, types, f"{name}.{i}." if isinstance(value, tuple) else f"{name}.")


def leaves(model: Any) -> dict[str, np.ndarray]:
    """The parameters of a record by name."""
    return dict(_named(model, LEAF))


def constants(model: Any) -> dict[str, np.ndarray]:
    """The arrays that no optimiser moves, by name."""
    return dict(_named(model, CONSTANT))


def sizes(model: Any) -> dict[str, Any]:
    """The fields of a record that are not arrays; of a part its kind and sizes."""
    found = {}
    for field in dataclasses.fields(model):
        if field.type not in LEAF + CONSTANT:
            value = getattr(model, field.name)
            if (parts := parts_of(value)) is not None:
                described = [{"kind": type(part).__name__, **sizes(part)} for part in parts]
                value = described if isinstance(value, tuple) else described[0]
            found[field.name] = value
    return found


# arithmetic -----------------------------------------------------------------------------------------------------------


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
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(first):  # type: ignore[arg-type]
        values = [getattr(model, field.name) for model in (first, *others)]
        if field.type in LEAF:
            changed[field.name] = function(*values)
        elif isinstance(values[0], tuple) and parts_of(values[0]) is not None:
            if len({len(value) for value in values}) > 1:
                raise ShapeError(f"{field.name}: expected equally many parts, got {[len(v) for v in values]}")
            changed[field.name] = tuple(leafwise(function, *items) for items in zip(*values, strict=True))
        elif parts_of(values[0]) is not None:
            changed[field.name] = leafwise(function, *values)
    return dataclasses.replace(first, **changed)  # type: ignore[type-var]


def with_leaves(model: R, arrays: Mapping[str, np.ndarray]) -> R:
    """The record with these leaves, by the names of ``leaves``."""
    return _filled(model, arrays, LEAF)


def with_constants(model: R, arrays: Mapping[str, np.ndarray]) -> R:
    """The record with these constants, by the names of ``constants``."""
    return _filled(model, arrays, CONSTANT)


def _filled(model: Any, arrays: Mapping[str, np.ndarray], types: tuple[Any, ...], prefix: str = "") -> Any:
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(model):
        value, name = getattr(model, field.name), prefix + field.name
        if field.type in types:
            changed[field.name] = arrays[name]
        elif isinstance(value, tuple) and (parts := parts_of(value)) is not None:
            changed[field.name] = tuple(_filled(part, arrays, types, f"{name}.{i}.") for i, part in enumerate(parts))
        elif parts_of(value) is not None:
            changed[field.name] = _filled(value, arrays, types, f"{name}.")
    return dataclasses.replace(model, **changed)


def partwise(function: Callable[[Any], Any], model: Any) -> Any:
    """The record with every part, innermost first, and then itself replaced by ``function`` of it."""
    changed = {}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if (parts := parts_of(value)) is not None:
            made = tuple(partwise(function, part) for part in parts)
            changed[field.name] = made if isinstance(value, tuple) else made[0]
    return function(dataclasses.replace(model, **changed) if changed else model)


def astype(model: R, dtype: Any) -> R:
    """The record with all arrays in float32 or float64, where its class allows float32."""
    name = require_choice("dtype", np.dtype(dtype).name, ("float32", "float64"))

    def changed(part: Any) -> Any:
        arrays = {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.type in LEAF + CONSTANT}
        return dataclasses.replace(part, **{key: array.astype(name) for key, array in arrays.items()})

    return partwise(changed, model)


def flatten(model: Any) -> np.ndarray:
    """All leaves in declaration order, each row-major, as one vector."""
    return np.concatenate([leaf.ravel() for leaf in leaves(model).values()])


def describe(model: Any) -> str:
    """``RBM(W=(3, 2), a=(3,), b=(2,))``: what a record's repr shows."""
    shapes = [f"{name}={leaf.shape}" for name, leaf in leaves(model).items()]
    return f"{type(model).__name__}({', '.join(shapes)})"


# files ----------------------------------------------------------------------------------------------------------------


def save(model: Any, path: str | os.PathLike) -> None:
    """Write a record as a versioned ``.npz`` file (atomically); ``ebm_ref.load`` reads it back bit for bit."""
    files.write_arrays(path, type(model).__name__, leaves(model) | constants(model), sizes(model))


def restored(kind: str, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray], types: Mapping[str, type]) -> Any:
    """The record that ``save`` wrote, with all its parts; ``types`` gives the class of every kind that may occur."""
    if kind not in types:
        raise DomainError(f"kind: expected one of {', '.join(types)}, got {kind!r}")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(types[kind]):
        name = field.name
        if field.type in LEAF + CONSTANT:
            values[name] = arrays[name]
            continue
        value = meta[name]
        if isinstance(value, dict):
            value = _restored_part(value, arrays, f"{name}.", types)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            value = tuple(_restored_part(item, arrays, f"{name}.{i}.", types) for i, item in enumerate(value))
        elif isinstance(value, list):
            value = tuple(value)
        values[name] = value
    return types[kind](**values)


def _restored_part(meta: dict, arrays: Mapping[str, np.ndarray], prefix: str, types: Mapping[str, type]) -> Any:
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return restored(meta["kind"], meta, own, types)
