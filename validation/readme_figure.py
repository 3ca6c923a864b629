"""Draws the picture at the top of the README from a run of ``ebm-ref verify``'s study.

Usage: python -m validation.readme_figure  (writes validation/figures/digits.png)
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ebm_ref.cli.study import N_EPOCHS, run_study

COLOURS = {"exact gradient": "#0072B2", "CD-10": "#009E73", "CD-1": "#D55E00", "PCD": "#CC79A7"}
OUT = Path(__file__).parent / "figures" / "digits.png"


def mosaic(rows: np.ndarray, columns: int) -> np.ndarray:
    """Images (n, 64) as one picture, white lines between them."""
    tiles = np.pad(rows.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    return np.vstack([np.hstack(list(tiles[i : i + columns])) for i in range(0, len(tiles), columns)])


def main() -> None:
    """Train, draw, write."""
    study = run_study(N_EPOCHS, lambda share, doing: None)
    figure = Figure(figsize=(10.5, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    ends = sorted(COLOURS, key=lambda name: -study.fits[name].history["log_likelihood"][-1])
    for name in ends:
        history = study.fits[name].history
        label = f"{name}  {history['log_likelihood'][-1]:.2f}"
        left.plot(history["update"], history["log_likelihood"], color=COLOURS[name], label=label, lw=1.6)
    left.set(xlabel="updates", ylabel="exact log-likelihood (nats per digit)", ylim=(-24, -17.5))
    left.legend(frameon=False, title="64 x 14 RBM, final value", fontsize=9, title_fontsize=9)
    left.spines[["top", "right"]].set_visible(False)
    middle.imshow(mosaic(study.data[:40], 8), cmap="gray_r")
    middle.set_title("data", fontsize=11)
    right.imshow(mosaic(study.samples["exact gradient"], 8), cmap="gray_r")
    right.set_title("samples after 2,000 sweeps", fontsize=11)
    for axes in (middle, right):
        axes.set_axis_off()
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=110, metadata={"Software": None})
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
