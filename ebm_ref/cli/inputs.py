"""What the commands read: data sets by name or file, models, and how they print."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import click
import numpy as np

from ebm_ref.errors import DomainError, as_float_array, require_shape

DATA_HELP = (
    "digits, bars_and_stripes:N, labelled_shifter:N, mnist, fashion-mnist, a folder of four IDX files, or a file: .npy,"
    " .csv, .npz (its array 'data', 'x' or 'visible', or its only one)"
)
GREY_THRESHOLD = 127.5
natural, positive = click.IntRange(min=0), click.IntRange(min=1)
MODELS = ("RBM", "BoltzmannMachine", "GRBM")
NETWORKS = ("NetworkEnergy", "JointEnergy")


class NewFile(click.Path):
    """A file to write: a missing folder is refused before the work, not after it."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, as click takes it."""
        path = super().convert(value, param, ctx)
        folder = Path(os.fsdecode(path)).parent
        if not folder.is_dir():
            self.fail(f"there is no folder {folder}", param, ctx)
        if not os.access(folder, os.W_OK):
            self.fail(f"the folder {folder} can't be written to", param, ctx)
        return path


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")
model_argument = click.argument("model", type=click.Path(exists=True, dir_okay=False))
shape_option = click.option("--shape", help="Height x width of an image, for example 8x8  [default: square]")
seed_option = click.option(
    "--seed", default=0, show_default=True, type=natural, metavar="N", help="Seed of every random number."
)


def of_random_work(command: Callable[..., Any]) -> Callable[..., Any]:
    """--seed, --json and --quiet, as all commands have them that draw."""
    return seed_option(json_option(quiet_option(command)))


def as_record(kind: type) -> Callable[[Callable[[Any], Any]], Callable[..., Any]]:
    """The options of a command as one record, whose fields have their names: command(kind(...))."""

    def decorate(command: Callable[[Any], Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def called(**options: Any) -> Any:
            return command(kind(**options))

        return called

    return decorate


def read_model(path: str, *kinds: str) -> Any:
    """The model in a file; click.UsageError if it holds something else than ``kinds`` (by default MODELS)."""
    import ebm_ref

    loaded = ebm_ref.load(path)
    found = type(loaded).__name__
    if found not in (kinds or MODELS):
        raise click.UsageError(f"{path}: expected a file of {' or '.join(kinds or MODELS)}, got {found}")
    return loaded


def read_data(source: str, grey: bool = False) -> np.ndarray:
    """Rows of visible units (n, n_visible) from the name of a data set or a file; ``grey`` images are in [0, 1]."""
    from ebm_ref import datasets

    name, _, size = source.partition(":")
    if name == "digits":
        digits = datasets.digits()
        return digits.images.reshape(len(digits.images), -1) if grey else digits.binary
    if name in ("bars_and_stripes", "labelled_shifter"):
        if not size.isdigit():
            raise click.UsageError(f"--data {name}: expected a size, for example {name}:4")
        return getattr(datasets, name)(int(size))
    if is_idx(source):
        images = datasets.load_idx_folder(source).train_images
        pixels = images.reshape(len(images), -1)
        return pixels / 255.0 if grey else (pixels > GREY_THRESHOLD).astype(np.float64)
    path = Path(source)
    if not path.is_file():
        raise click.UsageError(f"--data {source}: no such file or data set; expected {DATA_HELP}")
    rows = as_float_array(f"--data {source}", _read_file(path))
    require_shape(f"--data {source}", rows, None, None)
    return rows


def is_idx(source: str) -> bool:
    """Whether images come from IDX files: of a data set by name, or in a folder."""
    return source in ("mnist", "fashion-mnist") or any(Path(source).glob("*idx*-ubyte*"))


def read_labels(source: str) -> np.ndarray:
    """Class numbers (n,) of the rows that ``read_data`` gives; click.UsageError where there are none."""
    from ebm_ref import datasets

    if source == "digits":
        return datasets.digits().labels
    if is_idx(source):
        return datasets.load_idx_folder(source).train_labels
    if Path(source).suffix == ".npz" and Path(source).is_file():
        with np.load(source, allow_pickle=False) as file:
            if "labels" in file.files:
                return file["labels"]
    raise click.UsageError(f"--data {source}: expected digits, mnist, fashion-mnist, or an .npz with an array 'labels'")


def _read_file(path: Path) -> np.ndarray:
    try:
        if path.suffix == ".csv":
            return np.loadtxt(path, delimiter=",", ndmin=2)
        loaded = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile) as error:
        raise DomainError(f"{path}: expected rows of numbers without a header, got something else ({error})") from None
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded as file:
        for name in ("data", "x", "visible"):
            if name in file.files:
                return file[name]
        if len(file.files) == 1:
            return file[file.files[0]]
        raise DomainError(f"{path}: expected an array named data, x or visible, got {', '.join(file.files)}")


def emit(values: dict[str, Any], as_json: bool) -> None:
    """Print results: a table for people, JSON for machines."""
    if as_json:
        click.echo(json.dumps({k: plain(v) for k, v in values.items()}))
        return
    width = max(map(len, values))
    for name, value in values.items():
        click.echo(f"{name:<{width}}  {shown(value)}".rstrip())


def plain(value: Any) -> Any:
    """A value that JSON can hold."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def shown(value: Any) -> str:
    """A value for the table: 12 significant digits, short vectors in full."""
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, np.ndarray):
        cells = [f"{v:.4g}" for v in value.ravel()[:16]]
        return " ".join(cells) + (f" ... ({value.size} values)" if value.size > 16 else "")
    return str(value)
