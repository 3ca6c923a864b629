"""IDX files, the format of MNIST and Fashion-MNIST.   [LeCun, Cortes, Burges, The MNIST database, 1998]

bytes 0, 1    zero
byte 2        type of the values: one of DTYPES
byte 3        number of axes, k
then          k sizes, unsigned 32 bit, big-endian
then          the values, big-endian, last axis fastest; nothing after them
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ebm_ref.errors import DomainError, EbmError

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PARTS = {
    "train_images": ("train-images", 3),
    "train_labels": ("train-labels", 1),
    "test_images": ("t10k-images", 3),
    "test_labels": ("t10k-labels", 1),
}
KNOWN_NAMES = ("mnist", "fashion-mnist")
GZIP_MAGIC = b"\x1f\x8b"


class DataNotFoundError(EbmError, FileNotFoundError):
    """The files of a data set are in none of the places looked in; lists the places and the remedy."""


@dataclass(frozen=True)
class IdxData:
    """Images uint8 (n, height, width) with values 0..255, and their labels int64 (n,), for training and testing."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file, plain or gzipped (told by its first bytes, not by its name).

    Args:
        path: the file.

    Returns:
        A writable array with the shape and type that the file states, in native byte order.

    Raises:
        DataNotFoundError: there is no such file.
        DomainError: the file is not IDX, is cut short, or goes on after its last value.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "pair.idx")
    ...     _ = file.write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 2, 5, 7]))
    ...     load_idx(file)
    array([5, 7], dtype=uint8)
    """
    content = read_bytes(Path(path))
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES:
        kinds = ", ".join(f"{code:#04x}" for code in DTYPES)
        got = content[:4].hex(" ") or "an empty file"
        raise DomainError(f"{path}: expected an IDX file that starts with 00 00 and a type among {kinds}, got {got}")
    dtype, n_axes = np.dtype(DTYPES[content[2]]), content[3]
    start = 4 + 4 * n_axes
    if len(content) < start:
        raise DomainError(f"{path}: expected {n_axes} sizes in the first {start} bytes, got {len(content)} bytes")
    shape = struct.unpack_from(f">{n_axes}I", content, 4)
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        problem = "truncated" if len(content) < expected else "too long"
        raise DomainError(
            f"{path}: {problem}: expected {expected} bytes for shape {shape} of {dtype.name}, got {len(content)}"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if it is gzipped."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataNotFoundError(f"{path}: expected an IDX file, but there is no such file") from None
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DomainError(f"{path}: expected a whole gzip file, got a truncated or damaged one ({error})") from None


def load_idx_folder(name_or_path: str | os.PathLike[str]) -> IdxData:
    """Read the four files of MNIST, of Fashion-MNIST or of any data set laid out like them.

    The files are train-images, train-labels, t10k-images and t10k-labels, followed by -idx3-ubyte or .idx3-ubyte
    (labels: idx1), with or without .gz.

    Args:
        name_or_path: "mnist" or "fashion-mnist", looked for as a folder of that name in each folder of the environment
            variable EBM_REF_DATA (separated as in PATH) and then in validation/data; or the path of a folder
            (write "./mnist" for a folder of your own called mnist).

    Returns:
        ``IdxData``: ``.train_images`` (n, 28, 28) uint8, ``.train_labels`` (n,) int64, ``.test_images``,
        ``.test_labels``.

    Raises:
        DataNotFoundError: files are missing; says where they were looked for, and how to get them.
        DomainError: a file is damaged, or the numbers of images and labels differ.

    >>> load_idx_folder("./no such folder")
    Traceback (most recent call last):
        ...
    ebm_ref.datasets.idx.DataNotFoundError: './no such folder': expected four IDX files, looked in
      no such folder: there is no such folder
    """
    found = {folder: find_parts(folder) for folder in candidate_folders(name_or_path)}
    folder = next((folder for folder, files in found.items() if len(files) == len(PARTS)), None)
    if folder is None:
        raise DataNotFoundError(not_found_message(name_or_path, found))
    arrays = {part: load_part(file, *PARTS[part]) for part, file in found[folder].items()}
    for split in ("train", "test"):
        n_images, n_labels = len(arrays[f"{split}_images"]), len(arrays[f"{split}_labels"])
        if n_images != n_labels:
            raise DomainError(
                f"{folder}: expected one label per {split} image, got {n_images} images, {n_labels} labels"
            )
    return IdxData(**arrays)


def candidate_folders(name_or_path: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to look, in order."""
    if name_or_path not in KNOWN_NAMES:
        yield Path(name_or_path)
        return
    for root in os.environ.get("EBM_REF_DATA", "").split(os.pathsep):
        if root:
            yield Path(root, name_or_path)
    yield Path("validation", "data", name_or_path)


def find_parts(folder: Path) -> dict[str, Path]:
    """The file of each part that is there, under any of its usual names."""
    found = {}
    for part, (stem, n_axes) in PARTS.items():
        names = [f"{stem}{mark}idx{n_axes}-ubyte{end}" for end in ("", ".gz") for mark in "-."]
        files = [folder / name for name in names if (folder / name).is_file()]
        if files:
            found[part] = files[0]
    return found


def not_found_message(name_or_path: str | os.PathLike[str], found: dict[Path, dict[str, Path]]) -> str:
    """Every folder looked in with what it lacks, and the remedy for the names we know."""
    lines = [f"{os.fspath(name_or_path)!r}: expected four IDX files, looked in"]
    for folder, files in found.items():
        missing = ", ".join(stem for part, (stem, _) in PARTS.items() if part not in files)
        lines.append(f"  {folder}: " + (f"lacks {missing}" if folder.is_dir() else "there is no such folder"))
    if name_or_path in KNOWN_NAMES:
        lines.append(f"run `sh validation/get_data.sh`, or set EBM_REF_DATA to the folder that holds {name_or_path}/")
    return "\n".join(lines)


def load_part(file: Path, stem: str, n_axes: int) -> np.ndarray:
    """Images as they are; labels as int64, ready to index with."""
    array = load_idx(file)
    if array.ndim != n_axes or array.dtype != np.uint8:
        raise DomainError(
            f"{file}: expected {stem} with {n_axes} axes of uint8, got {array.ndim} of {array.dtype.name}"
        )
    return array if n_axes == 3 else array.astype(np.int64)
