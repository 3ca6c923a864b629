"""``ebm-ref complete``: the unknown part of images, drawn given the known part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

import ebm_ref
from ebm_ref import files
from ebm_ref.cli.inputs import (
    DATA_HELP,
    MODELS,
    NETWORKS,
    NewFile,
    emit,
    model_argument,
    natural,
    of_random_work,
    positive,
    read_data,
    read_model,
    shape_option,
)
from ebm_ref.errors import DomainError, as_float_array, require_shape

HALVES = ("left", "right", "top", "bottom")


@click.command()
@model_argument
@click.option("--data", required=True, help=f"Images to complete: {DATA_HELP}.")
@click.option(
    "--known",
    default="left",
    show_default=True,
    help="The known part: left, right, top, bottom, or a file (.npy, .csv) of one 0 or 1 for each pixel, 1 = known.",
)
@click.option("--rows", default=10, show_default=True, type=positive, help="How many images, from the first.")
@click.option("--first", default=0, show_default=True, type=natural, help="The first image, counted from 0.")
@click.option("--each", default=5, show_default=True, type=positive, help="Completions of each image.")
@click.option(
    "--steps",
    default=500,
    show_default=True,
    type=positive,
    help="Sampler steps; the levels of score_matching and recovery have their own number.",
)
@click.option("--means", is_flag=True, help="Write a GRBM's mean of v given h in place of v, free of its noise.")
@shape_option
@click.option("-o", "--out", default="completions.npz", show_default=True, type=NewFile())
@click.option("--picture", type=NewFile(), help="A .png or .svg file  [default: beside --out, .png]")
@of_random_work
def complete(
    model: str, data: str, known: str, rows: int, first: int, each: int, steps: int, means: bool, shape: str | None,
    out: str, picture: str | None, seed: int, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Complete images: draw their unknown pixels from the law of MODEL given the known ones.

    Known pixels are clamped, and the sampler moves the others by their exact conditional law or its slope: block Gibbs
    for an RBM and a GRBM, Langevin steps for a deep energy, at every noise level it was trained with.

    Writes 'completions' (rows, each, pixels), 'observed' (rows, pixels) and 'known' (pixels,), and a picture: each
    image, what was known of it, its completions.
    """
    from ebm_ref.cli.commands import image_shape

    m = read_model(model, *MODELS, *NETWORKS)
    if means and not isinstance(m, ebm_ref.GRBM):
        raise click.UsageError(f"--means: expected a GRBM, got {m!r}")
    picture = picture or str(Path(out).with_suffix(".png"))
    if Path(picture).suffix not in (".png", ".svg"):
        raise click.UsageError(f"--picture: expected a .png or .svg file, got {picture}")
    observed = read_data(data, grey=not isinstance(m, ebm_ref.RBM | ebm_ref.BoltzmannMachine))
    require_shape(f"--data {data}", observed, None, m.n_visible)
    if first >= len(observed):
        raise click.UsageError(f"--first: expected less than the {len(observed)} images of {data}, got {first}")
    observed = observed[first : first + rows]
    size = image_shape(shape, m.n_visible)
    mask = known_pixels(known, size)
    drawn = draw(m, model, np.repeat(observed, each, axis=0), mask, steps, seed, not quiet)
    if means:
        drawn = np.where(mask, drawn, m.visible_mean(m.hidden_probabilities(drawn)))
    completions = drawn.reshape(len(observed), each, -1)
    files.write_arrays(out, "Completions", {"completions": completions, "observed": observed, "known": mask}, {})
    write_picture(picture, completions, observed, mask, size)
    emit({"file": out, "picture": picture, "completions": completions.shape}, as_json)


def known_pixels(known: str, size: tuple[int, int]) -> np.ndarray:
    """The mask (pixels,): a half by name, or a file; click.UsageError or DomainError for anything else."""
    height, width = size
    mask = np.zeros(size, dtype=bool)
    if known in HALVES:
        part: dict[str, Any] = {
            "left": np.s_[:, : width // 2], "right": np.s_[:, (width + 1) // 2 :],
            "top": np.s_[: height // 2], "bottom": np.s_[(height + 1) // 2 :],
        }  # fmt: skip
        mask[part[known]] = True
        return mask.ravel()
    if not Path(known).is_file():
        raise click.UsageError(f"--known: expected {', '.join(HALVES)} or a file, got {known}")
    values = as_float_array(f"--known {known}", read_data(known) if known.endswith(".csv") else np.load(known)).ravel()
    require_shape(f"--known {known}", values, height * width)
    if np.any((values != 0) & (values != 1)) or values.all():
        raise DomainError(f"--known {known}: expected zeros and ones, and a zero to complete")
    return values.astype(bool)


def draw(
    model: Any, path: str, rows: np.ndarray, mask: np.ndarray, steps: int, seed: int, progress: bool
) -> np.ndarray:
    """One completion of each row."""
    if type(model).__name__ in NETWORKS:
        from ebm_ref.cli import networks

        return networks.complete(model, networks.read_recipe(path), rows, mask, steps, seed, progress)
    sampler = ebm_ref.gibbs(model) if isinstance(model, ebm_ref.BoltzmannMachine) else ebm_ref.block_gibbs(model)
    return ebm_ref.complete(sampler, rows, mask, steps, seed, progress=progress)


def write_picture(
    path: str, completions: np.ndarray, observed: np.ndarray, mask: np.ndarray, size: tuple[int, int]
) -> None:
    """A line for each image: itself, the known part on grey, its completions."""
    from ebm_ref import plots

    low, high = observed.min(), observed.max()
    masked = np.where(mask, observed, low + 0.3 * (high - low))
    lines = np.concatenate([observed[:, None], masked[:, None], completions.clip(low, high)], axis=1)
    grey = (lines.reshape(-1, lines.shape[2]) - low) / ((high - low) or 1.0)
    figure = plots.image_grid(grey, size, columns=lines.shape[1], title="image, what is known, completions")
    svg = Path(path).suffix == ".svg"
    files.write_bytes(path, plots.to_svg(figure).encode() if svg else plots.to_png_bytes(figure))
