"""Files that a crash cannot spoil: written under a temporary name, flushed to disk, then renamed."""

from __future__ import annotations

import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError

FORMAT = "ebm_ref/1"


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step: after a crash it holds the old bytes or the new, never a mixture."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_arrays(path: str | os.PathLike, kind: str, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Write an ``.npz`` file of the given kind; ``meta`` must survive JSON."""
    header = json.dumps({"format": FORMAT, "kind": kind, "meta": meta}, sort_keys=True)
    buffer = io.BytesIO()
    contents: dict[str, Any] = {"header": np.array(header), **arrays}
    np.savez_compressed(buffer, **contents)
    write_bytes(path, buffer.getvalue())


def read_arrays(path: str | os.PathLike) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
    """Read what ``write_arrays`` wrote: (kind, arrays, meta); kind "" for anybody else's ``.npz``.

    Nothing in the file is executed.
    """
    try:
        with open(path, "rb") as opened:
            file = np.load(opened, allow_pickle=False)
            arrays = {name: file[name] for name in file.files}
        if "header" not in arrays:
            return "", arrays, {}
        header = json.loads(str(arrays.pop("header")))
        version, kind, meta = header["format"], header["kind"], header["meta"]
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception:  # a damaged archive fails in many ways: zipfile, zlib, struct, json, ...
        raise DomainError(f"{path}: expected an .npz file of plain arrays, got something else") from None
    if version != FORMAT:
        raise DomainError(f"{path}: expected format {FORMAT!r}, got {version!r}; a newer ebm_ref wrote it")
    return kind, arrays, meta
