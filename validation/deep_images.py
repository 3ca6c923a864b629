"""Images that deep energies draw and complete, and how far they are from real ones.

``ebm-ref train --model mlp``, ``sample`` and ``complete`` on digits 8 x 8 and Fashion-MNIST 14 x 14 and 28 x 28; the
Frechet distance in the features of a small classifier, beside real images and beside the GRBM.  DEEP_IMAGES.md has the
outcome.  A run that was killed carries on; one that is done is not repeated.

Usage: python -m validation.deep_images [digits fashion-14 fashion-28] [--report]      after sh validation/get_data.sh
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure

import ebm_ref as er
from ebm_ref.cli.commands import cli
from ebm_ref.files import write_bytes
from validation.five_samplers.data import features, load

HERE = Path(__file__).parent
SCRATCH = HERE / "data" / "deep_images"  # ignored by git
FIGURES, PAGE, NUMBERS = HERE / "figures", HERE / "DEEP_IMAGES.md", HERE / "figures" / "deep_images.json"
DRAWN, COMPLETED, EACH, SHOWN = 1000, 12, 4, 60
DIGITS_TRAIN = 1297  # of 1,797, in a shuffled order; the other 500 are the test images
WIDE = ("--hidden", "512", "--lr", "1e-3")


@dataclass(frozen=True)
class Setting:
    """Options of ``ebm-ref train``, and which half of an image is known when it is completed."""

    title: str
    side: int
    options: tuple[str, ...]
    known: str


SETTINGS = {
    "digits": Setting("digits 8 x 8", 8, ("--model", "mlp", "--epochs", "200"), "left"),
    "fashion-14": Setting("Fashion-MNIST 14 x 14", 14, ("--model", "mlp", *WIDE, "--epochs", "6"), "top"),
    "fashion-28": Setting("Fashion-MNIST 28 x 28", 28, ("--model", "mlp", *WIDE, "--epochs", "4"), "top"),
}


@dataclass(frozen=True, eq=False)
class Data:
    """Images (n, pixels) in [0, 1], the features of the test images, and the classifier's accuracy on them."""

    train: np.ndarray
    test: np.ndarray
    judge: Callable[[np.ndarray], np.ndarray]
    seen: np.ndarray
    accuracy: float


def data_of(name: str) -> Data:
    """The images of a setting and the classifier in whose features they are compared."""
    if name == "digits":
        return digits()
    side = SETTINGS[name].side
    images, judge = load("fashion-mnist", side), features("fashion-mnist", side)
    return Data(images.train, images.test, judge, judge.test, judge.accuracy)


def digits() -> Data:
    """1,297 digits for training, 500 for the test; the classifier has 128 and 32 units."""
    raw = er.datasets.digits()
    order = np.argsort(er.Stream(0, "shuffle").uniform(0, (1, len(raw.labels)))[0])
    images, labels = raw.images.reshape(-1, 64)[order], raw.labels[order]
    train, test = images[:DIGITS_TRAIN], images[DIGITS_TRAIN:]
    start = er.JointEnergy(er.nets.mlp((64, 128, 32, 10), seed=0))
    rate = er.adam(er.CosineDecay(2e-3, 60 * 13))
    model = er.fit(
        start, train, er.cross_entropy(), rate, 60, 100, 0, labels=labels[:DIGITS_TRAIN], progress=False
    ).model

    def judge(x: np.ndarray) -> np.ndarray:
        for layer in model.network.layers.layers[:-1]:
            x = layer.forward(x)[0]
        return x

    right = model.class_probabilities(test).argmax(axis=1) == labels[DIGITS_TRAIN:]
    return Data(train, test, judge, judge(test), float(right.mean()))


def run(*arguments: str) -> float:
    """One command line of ebm-ref; the processor seconds it took."""
    began = time.process_time()
    cli.main(args=list(arguments), standalone_mode=False)
    return time.process_time() - began


def measured(name: str) -> dict[str, Any]:
    """Train, draw, complete and measure one setting; the numbers, and the pictures in the scratch folder."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    how, base = SETTINGS[name], SCRATCH / name
    done = base.with_suffix(".json")
    if done.exists() and (found := json.loads(done.read_text()))["options"] == list(how.options):
        return found
    data = data_of(name)
    file = {part: f"{base}.{part}.npy" for part in ("train", "test")}
    np.save(file["train"], data.train)
    np.save(file["test"], data.test[:COMPLETED])
    model, checkpoint = f"{base}.model.npz", Path(f"{base}.checkpoint.npz")
    resumed = checkpoint.exists()
    spent = run("train", "--data", file["train"], *how.options, "-o", model, "--checkpoint", str(checkpoint))
    drawing = run("sample", model, "--chains", str(DRAWN), "-o", f"{base}.samples.npz")
    more = ("--known", how.known, "--rows", str(COMPLETED), "--each", str(EACH))
    run("complete", model, "--data", file["test"], *more, "-o", f"{base}.completions.npz")
    pictures = er.load(f"{base}.samples.npz").last.clip(0, 1)
    chosen = np.argsort(er.Stream(0, "shuffle").uniform(0, (1, len(data.train)))[0])[:DRAWN]
    found = {
        "options": list(how.options), "frechet": er.frechet_distance(data.judge(pictures), data.seen),
        "real": er.frechet_distance(data.judge(data.train[chosen]), data.seen), "accuracy": data.accuracy,
        "grbm": grbm_of_digits(data) if name == "digits" else grbm_of_the_five_samplers(how.side),
        "training_seconds": None if resumed else spent, "drawing_seconds": drawing,
    }  # fmt: skip
    write_bytes(done, (json.dumps(found, indent=1) + "\n").encode())
    return found


def grbm_of_digits(data: Data) -> float:
    """The GRBM that ``ebm-ref train --model grbm`` makes of the same rows, drawn as the README's gallery does."""
    model, samples = f"{SCRATCH}/digits.grbm.npz", f"{SCRATCH}/digits.grbm.samples.npz"
    run("train", "--model", "grbm", "--data", f"{SCRATCH}/digits.train.npy", "-o", model)
    run("sample", model, "--means", "--chains", str(DRAWN), "-o", samples)
    return er.frechet_distance(data.judge(er.load(samples).visible[:, -1].clip(0, 1)), data.seen)


def grbm_of_the_five_samplers(side: int) -> float:
    """The best of the GRBMs of FIVE_SAMPLERS.md, in the features of the same classifier."""
    runs = json.loads((FIGURES / "five_samplers.json").read_text())["settings"][f"fashion-mnist {side} x {side}"][
        "runs"
    ]
    return min(r["frechet"] for r in runs.values() if np.isfinite(r["frechet"]))


# the page -----------------------------------------------------------------------------------------------------------


def draw(name: str) -> Figure:
    """Real images, images drawn from noise; below, images of the test, what was known of them, their completions."""
    side = SETTINGS[name].side
    with np.load(SCRATCH / f"{name}.completions.npz") as file:
        observed, known, completions = file["observed"], file["known"], file["completions"].clip(0, 1)
    masked = np.where(known, observed, 0.3)
    drawn, real = er.load(SCRATCH / f"{name}.samples.npz").last.clip(0, 1), np.load(SCRATCH / f"{name}.train.npy")
    figure = Figure(figsize=(13, 8), layout="constrained")
    panels = figure.subplots(2, 2, height_ratios=(1, 1.25)).ravel()
    columns = [observed, masked, *np.moveaxis(completions, 1, 0)]
    half = COMPLETED // 2
    shown = (
        ("training images", sheet(real[:SHOWN], side, 10)),
        ("drawn from noise", sheet(drawn[:SHOWN], side, 10)),
        (
            "test image, known, completions",
            sheet(np.stack([c[:half] for c in columns], 1).reshape(-1, side**2), side, 6),
        ),
        ("", sheet(np.stack([c[half:] for c in columns], 1).reshape(-1, side**2), side, 6)),
    )
    for axes, (title, picture) in zip(panels, shown, strict=True):
        axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(title, fontsize=11, loc="left")
        axes.set_axis_off()
    return figure


def sheet(rows: np.ndarray, side: int, across: int) -> np.ndarray:
    """Images side by side, grey lines between them."""
    tiles = np.pad(rows.reshape(-1, side, side), ((0, 0), (1, 1), (1, 1)), constant_values=0.15)
    return np.vstack([np.hstack(list(tiles[i : i + across])) for i in range(0, len(tiles), across)])


def table(found: dict[str, dict[str, Any]]) -> str:
    """A line for each setting."""
    lines = [
        "| data | deep energy | best GRBM | real images | classifier right | training, CPU s | drawing, CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in found.items():
        spent = "-" if r["training_seconds"] is None else f"{r['training_seconds']:.0f}"
        lines.append(
            f"| {SETTINGS[name].title} | **{r['frechet']:.2f}** | {r['grbm']:.2f} | {r['real']:.2f} |"
            f" {100 * r['accuracy']:.1f} % | {spent} | {r['drawing_seconds']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def write(found: dict[str, dict[str, Any]]) -> None:
    """The table into the page, between its two marks; figures; numbers."""
    begin, end = "<!-- table: written by the script -->\n", "<!-- end of table -->"
    text = PAGE.read_text()
    PAGE.write_text(text.split(begin)[0] + begin + table(found) + end + text.split(end)[1])
    for name in found:
        path = FIGURES / f"deep_{name.replace('-', '_')}.png"
        draw(name).savefig(path, dpi=90, metadata={"Software": None})
        print(f"wrote {path}")
    NUMBERS.write_text(json.dumps(found, indent=1) + "\n")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SETTINGS)))
@click.option("--report", is_flag=True, help="The page and the figures, from the runs done.")
def main(names: tuple[str, ...], report: bool) -> None:
    """Run settings, all by default; then write the page from those that are done."""
    chosen = [n for n in SETTINGS if (SCRATCH / f"{n}.json").exists()] if report else list(names or SETTINGS)
    found = {name: measured(name) for name in chosen}
    for name, numbers in found.items():
        print(name, json.dumps(numbers))
    if report or not names:
        write(found)


if __name__ == "__main__":
    main()
