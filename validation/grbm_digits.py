"""Digits that a GRBM draws: ``ebm-ref train --model grbm`` and ``ebm-ref sample --means``, beside the data.

Usage: python -m validation.grbm_digits  (about a minute; writes validation/figures/grbm_digits.png)
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import ebm_ref as er
from ebm_ref.cli.commands import cli
from ebm_ref.cli.inputs import read_data
from validation.readme_figure import mosaic

OUT = Path(__file__).parent / "figures" / "grbm_digits.png"
N, COLUMNS = 60, 12


def run(*arguments: str) -> None:
    """One command line of ebm-ref."""
    cli.main(args=list(arguments), standalone_mode=False)


def draw(chain: er.Chain) -> Figure:
    """Data, and the last mean of each chain."""
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    pictures = np.clip(chain.visible[:, -1], 0, 1)
    for axes, rows, title in (
        (left, read_data("digits", grey=True)[:N], "data"),
        (right, pictures, "mu + Wh after 2,000 sweeps from noise"),
    ):
        axes.imshow(mosaic(rows, COLUMNS), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
    return figure


def main() -> None:
    """Train with the default settings, sample from noise, draw."""
    with tempfile.TemporaryDirectory() as folder:
        model, samples = f"{folder}/model.npz", f"{folder}/samples.npz"
        run("train", "--model", "grbm", "--data", "digits", "-o", model)
        run("sample", model, "--means", "--chains", str(N), "-o", samples)
        chain = er.load(samples)
    OUT.parent.mkdir(exist_ok=True)
    draw(chain).savefig(OUT, dpi=110, metadata={"Software": None})
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
