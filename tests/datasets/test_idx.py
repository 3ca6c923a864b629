"""IDX files: every type, plain and gzipped; damaged files and missing folders are named with a remedy."""

import gzip
import itertools
import os
import struct

import numpy as np
import pytest

from ebm_ref import datasets
from ebm_ref.errors import DomainError, EbmError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array, code):
    """The format, read aloud: 0, 0, type, number of axes, sizes and values, all big-endian."""
    array = np.asarray(array)
    header = bytes([0, 0, CODES[code], array.ndim]) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.astype(">" + code).tobytes()


def write_data_set(folder, mark="-", end="", n_train=5, n_test=2, skip=()):
    """A small data set laid out like MNIST; returns its arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for stem, n in (("train", n_train), ("t10k", n_test)):
        arrays[f"{stem}-images"] = np.arange(n * 12).reshape(n, 3, 4) + n
        arrays[f"{stem}-labels"] = np.arange(n) % 10
    for stem, array in arrays.items():
        if stem not in skip:
            content = idx_bytes(array, "u1")
            file = folder / f"{stem}{mark}idx{array.ndim}-ubyte{end}"
            file.write_bytes(gzip.compress(content, mtime=0) if end else content)
    return arrays


def assert_same(loaded, arrays):
    assert np.array_equal(loaded.train_images, arrays["train-images"])
    assert np.array_equal(loaded.train_labels, arrays["train-labels"])
    assert np.array_equal(loaded.test_images, arrays["t10k-images"])
    assert np.array_equal(loaded.test_labels, arrays["t10k-labels"])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_every_type_plain_and_gzipped(tmp_path, code, packed):
    values = np.array([[0, 1, 2], [3, 100, 127]]) * (1 if code == "u1" else -1)
    content = idx_bytes(values, code)
    file = tmp_path / "array.idx"
    file.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    array = datasets.load_idx(file)
    assert np.array_equal(array, values)
    assert array.dtype == np.dtype(code)
    assert array.dtype.isnative
    array += 1  # the caller's own


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 1, 3, 1)])
def test_any_number_of_axes(tmp_path, shape):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    (tmp_path / "array").write_bytes(idx_bytes(values, "i4"))
    array = datasets.load_idx(str(tmp_path / "array"))
    assert array.shape == shape
    assert np.array_equal(array, values)


GOOD = idx_bytes(np.arange(6).reshape(2, 3), "i2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an IDX file .* got an empty file"),
        (b"\0\0\x08", "expected an IDX file .* got 00 00 08"),
        (b"\x89PNG....", "expected an IDX file .* got 89 50 4e 47"),
        (b"\0\0\x0a\x01\0\0\0\0", "a type among 0x08, .* got 00 00 0a 01"),
        (GOOD[:11], "expected 2 sizes in the first 12 bytes, got 11"),
        (GOOD[:-1], r"truncated: expected 24 bytes for shape \(2, 3\) of int16, got 23"),
        (GOOD + b"\0", r"too long: expected 24 bytes for shape \(2, 3\) of int16, got 25"),
        (b"\0\0\x0e\x03" + b"\xff" * 12, "truncated: expected .* got 16"),
        (gzip.compress(GOOD, mtime=0)[:-9], "truncated or damaged"),
        (gzip.compress(GOOD, mtime=0)[:12] + b"\xff" * 20, "truncated or damaged"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    file = tmp_path / "damaged"
    file.write_bytes(content)
    with pytest.raises(DomainError, match=message) as caught:
        datasets.load_idx(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        datasets.load_idx(tmp_path / "nowhere")


@pytest.mark.parametrize(("mark", "end"), [*itertools.product("-.", ("", ".gz"))])
def test_folder_with_any_of_the_usual_names(tmp_path, mark, end):
    arrays = write_data_set(tmp_path, mark, end)
    loaded = datasets.load_idx_folder(tmp_path)
    assert_same(loaded, arrays)
    assert loaded.train_images.dtype == loaded.test_images.dtype == np.uint8
    assert loaded.train_labels.dtype == loaded.test_labels.dtype == np.int64


def test_names_are_looked_for_in_the_environment_first_then_in_validation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EBM_REF_DATA", raising=False)
    last = write_data_set(tmp_path / "validation/data/mnist", n_train=7)
    assert_same(datasets.load_idx_folder("mnist"), last)
    monkeypatch.setenv("EBM_REF_DATA", os.pathsep.join(["one", "two"]))
    write_data_set(tmp_path / "one/mnist", skip=["t10k-labels"])
    second = write_data_set(tmp_path / "two/mnist", n_train=3)
    assert_same(datasets.load_idx_folder("mnist"), second)
    own = write_data_set(tmp_path / "mnist", n_train=4)
    assert_same(datasets.load_idx_folder("./mnist"), own)


def test_absent_data_says_where_and_how(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EBM_REF_DATA", "elsewhere")
    write_data_set(tmp_path / "elsewhere/fashion-mnist", skip=["train-images", "t10k-images"])
    with pytest.raises(datasets.DataNotFoundError) as caught:
        datasets.load_idx_folder("fashion-mnist")
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, EbmError)
    first, one, two, remedy = str(caught.value).splitlines()
    assert first.startswith("'fashion-mnist': expected four IDX files")
    assert one.split() == ["elsewhere/fashion-mnist:", "lacks", "train-images,", "t10k-images"]
    assert two.strip() == "validation/data/fashion-mnist: there is no such folder"
    assert "sh validation/get_data.sh" in remedy
    assert "EBM_REF_DATA" in remedy


def test_parts_that_do_not_fit_together_are_refused(tmp_path):
    write_data_set(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes([1, 2, 3], "u1"))
    with pytest.raises(DomainError, match="one label per test image, got 2 images, 3 labels"):
        datasets.load_idx_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes([1, 2], "i4"))
    with pytest.raises(DomainError, match="expected t10k-labels with 1 axes of uint8, got 1 of int32"):
        datasets.load_idx_folder(tmp_path)
