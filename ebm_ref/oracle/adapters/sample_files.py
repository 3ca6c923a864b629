"""Recorded states: ``read_samples(path)`` reads what samplers, simulators and chips leave behind.

.npz      array ``states`` (draws, units) or (chains, draws, units), optionally ``meta``, a JSON object as text;
          files written by ``ebm_ref.Chain.save`` too.  .npy: the array alone
.csv      one draw a line, units in the order of the case, visible first; a header is optional.  Delimiter , ; or tab
.parquet  one draw a row, one column a unit

Tables with named columns may also have ``chain`` and ``draw`` (regrouped and sorted), and ``num_occurrences`` (each row
repeated so often); ``energy``, ``chain_break_fraction`` and unnamed index columns are passed over.
meta      {"case": "rbm_3x3", "sampling": "iid"|"every_step"|"thinned"|"unknown", "thin": 10, ...}; all optional
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ebm_ref.errors import BackendError, DomainError, ShapeError

SUFFIXES = (".npz", ".npy", ".csv", ".parquet")
IGNORED = ("energy", "chain_break_fraction", "chain_.", "", "index", "unnamed: 0", "__index_level_0__")


@dataclass(frozen=True, eq=False)
class SampleFile:
    """Recorded states (chains, draws, units) and what the file says about them."""

    path: Path
    states: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)


def read_samples(path: str | Path) -> SampleFile:
    """Read recorded states from .npz, .npy, .csv or .parquet (the last needs pyarrow, extra ``parquet``).

    Nothing in the file is executed.  Raises DomainError or ShapeError for a file that is something else, BackendError
    without pyarrow, OSError if it cannot be opened.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "draws.csv"
    >>> _ = file.write_text("x0,x1,h0\\n0,1,1\\n1,1,0\\n")
    >>> read_samples(file).states.tolist()
    [[[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]]
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DomainError(f"{path}: expected a file ending in {', '.join(SUFFIXES)}, got {suffix or 'no ending'!r}")
    if suffix in (".npz", ".npy"):
        states, meta = _numpy_file(path)
    else:
        names, table = _csv(path) if suffix == ".csv" else _parquet(path)
        states, meta = arranged(path, names, table), {}
    if states.dtype.kind not in "biuf":
        raise DomainError(f"{path}: expected states of numbers, got dtype {states.dtype}")
    if states.ndim == 2:
        states = states[None]
    if states.ndim != 3 or not states.size:
        raise ShapeError(
            f"{path}: expected states of shape (draws, units) or (chains, draws, units), got {states.shape}"
        )
    return SampleFile(path, states, meta)


def _numpy_file(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, {}
        with loaded as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, EOFError, KeyError) as error:
        raise DomainError(f"{path}: expected an {path.suffix} file of plain arrays ({error})") from None
    if "states" not in arrays:
        got = ", ".join(arrays) or "no array"
        raise DomainError(f"{path}: expected an array named states (chains, draws, units), got {got}")
    return arrays["states"], _meta(path, arrays)


def _meta(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """``meta`` of anybody's file, or the header of a file of ours."""
    for name in ("meta", "header"):
        if name in arrays:
            raw = arrays[name]
            try:
                text = raw.tobytes().decode() if raw.dtype == np.uint8 else str(raw[()])
                found = json.loads(text)
            except (ValueError, TypeError):
                found = None
            if not isinstance(found, dict):
                raise DomainError(f"{path}: expected {name} to be a JSON object as text, got {str(raw)[:60]!r}")
            return {"kind": found.get("kind"), **found.get("meta", {})} if name == "header" else found
    return {}


def _csv(path: Path) -> tuple[list[str] | None, np.ndarray]:
    with open(path, encoding="utf-8-sig") as stream:
        lines = [line for line in (raw.strip("\r\n ") for raw in stream) if line.strip() and line[0] != "#"]
    if not lines:
        raise ShapeError(f"{path}: expected one draw a line, got an empty file")
    delimiter = next((d for d in ",;\t" if d in lines[0]), None)
    first = [cell.strip().strip('"') for cell in lines[0].split(delimiter)]
    names = None if all(_is_number(cell) for cell in first) else first
    body = lines[1:] if names else lines
    if not body:
        raise ShapeError(f"{path}: expected one draw a line, got a header alone")
    try:
        table = np.loadtxt(body, delimiter=delimiter, ndmin=2, comments=None)
    except ValueError as error:
        raise DomainError(f"{path}: expected numbers only, as many on each line ({error})") from None
    return names, table


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parquet(path: Path) -> tuple[list[str], np.ndarray]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise BackendError(
            f"{path}: .parquet files need pyarrow: pip install 'ebm-ref[parquet]', or save as .npz or .csv"
        ) from None
    try:
        table = parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise DomainError(f"{path}: expected a parquet file ({error})") from None
    columns = []
    for name in table.column_names:
        column = table[name].to_numpy()
        if name.lower() in IGNORED:
            column = np.zeros(len(column))
        if column.dtype.kind not in "biuf":
            raise DomainError(f"{path}: expected columns of numbers, got {table[name].type} in column {name!r}")
        columns.append(column.astype(np.float64))
    if not columns or not len(columns[0]):
        raise ShapeError(f"{path}: expected one draw a row, got no rows")
    return list(table.column_names), np.stack(columns, axis=1)


def arranged(path: Path, names: Sequence[str] | None, table: np.ndarray) -> np.ndarray:
    """Rows of a table as states (chains, draws, units): bookkeeping columns used, then dropped."""
    if names is None:
        return table
    if len(names) != table.shape[1]:
        raise ShapeError(f"{path}: expected as many numbers on a line as the header has names, {len(names)}, got"
                         f" {table.shape[1]}")  # fmt: skip
    lower = [name.lower() for name in names]
    special = {name: table[:, lower.index(name)] for name in ("chain", "draw", "num_occurrences") if name in lower}
    units = table[:, [i for i, name in enumerate(lower) if name not in IGNORED and name not in special]]
    if "num_occurrences" in special:
        counts = special["num_occurrences"]
        if (counts < 0).any() or (counts != counts.round()).any():
            raise DomainError(f"{path}: expected whole numbers in num_occurrences, got {counts.min()}")
        return np.repeat(units, counts.astype(np.int64), axis=0)
    chain = special.get("chain", np.zeros(len(units)))
    order = np.lexsort((special.get("draw", np.arange(len(units))), chain))
    _, lengths = np.unique(chain, return_counts=True)
    if lengths.min() != lengths.max():
        raise ShapeError(f"{path}: expected chains of one length, got lengths {lengths.min()} to {lengths.max()}")
    return units[order].reshape(len(lengths), lengths[0], units.shape[1])
