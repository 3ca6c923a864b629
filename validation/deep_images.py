"""Images that deep energies draw and complete, and how far they are from real ones.

``ebm-ref train --model mlp``, ``sample`` and ``complete`` on digits 8 x 8 and Fashion-MNIST 14 x 14 and 28 x 28; the
Frechet distance in the features of a small classifier, beside real images and beside the GRBM.  DEEP_IMAGES.md has the
outcome.  A run that was killed carries on; one that is done is not repeated.

Usage: python -m validation.deep_images [digits fashion-14 fashion-28] [--report]      after sh validation/get_data.sh
"""

from __future__ import annotations

import json
import time
import zlib
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
WIDE = ("--model", "mlp", "--hidden", "512", "--lr", "1e-3", "--weight-decay", "0", "--average", "0.995")
UNET = (
    "--model", "unet", "--hidden", "24", "--lr", "3e-3", "--weight-decay", "0", "--average", "0.998", "--clip", "1000",
    "--batch-size", "32", "--epochs", "4",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """Options of ``ebm-ref train``, and which half of an image is known when it is completed."""

    title: str
    side: int
    options: tuple[str, ...]
    known: str


SETTINGS = {
    "digits": Setting("digits 8 x 8", 8, ("--model", "mlp", "--epochs", "200"), "left"),
    "fashion-14": Setting("Fashion-MNIST 14 x 14", 14, (*WIDE, "--epochs", "7"), "top"),
    "fashion-28": Setting("Fashion-MNIST 28 x 28", 28, UNET, "top"),
}


@dataclass(frozen=True, eq=False)
class Judge:
    """The features of images, those of all test images, and the classifier's accuracy on these."""

    features: Callable[[np.ndarray], np.ndarray]
    seen: np.ndarray
    accuracy: float


def images_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images (n, pixels) in [0, 1]; digits: 1,297 and 500."""
    if name == "digits":
        images, _ = shuffled_digits()
        return images[:DIGITS_TRAIN], images[DIGITS_TRAIN:]
    images = load("fashion-mnist", SETTINGS[name].side)
    return images.train, images.test


def shuffled_digits() -> tuple[np.ndarray, np.ndarray]:
    """(images, labels)."""
    raw = er.datasets.digits()
    order = np.argsort(er.Stream(0, "shuffle").uniform(0, (1, len(raw.labels)))[0])
    return raw.images.reshape(-1, 64)[order], raw.labels[order]


def judge_of(name: str) -> Judge:
    """The classifier in whose features images are compared."""
    if name == "digits":
        return judge_of_digits()
    found = features("fashion-mnist", SETTINGS[name].side)
    return Judge(found, found.test, found.accuracy)


def judge_of_digits() -> Judge:
    """A classifier with 128 and 32 units."""
    images, labels = shuffled_digits()
    start = er.JointEnergy(er.nets.mlp((64, 128, 32, 10), seed=0))
    rate, rows, classes = er.adam(er.CosineDecay(2e-3, 60 * 13)), images[:DIGITS_TRAIN], labels[:DIGITS_TRAIN]
    model = er.fit(start, rows, er.cross_entropy(), rate, 60, 100, 0, labels=classes, progress=False).model

    def judge(x: np.ndarray) -> np.ndarray:
        for layer in model.network.layers.layers[:-1]:
            x = layer.forward(x)[0]
        return x

    test = images[DIGITS_TRAIN:]
    right = model.class_probabilities(test).argmax(axis=1) == labels[DIGITS_TRAIN:]
    return Judge(judge, judge(test), float(right.mean()))


def run(*arguments: str) -> float:
    """One command line of ebm-ref; the processor seconds it took."""
    began = time.process_time()
    cli.main(args=list(arguments), standalone_mode=False)
    return time.process_time() - began


def trained(name: str, train: np.ndarray) -> tuple[str, float | None]:
    """The file of the model, and the processor seconds it took, None where a run was cut short and carried on."""
    base = f"{SCRATCH}/{name}.{zlib.crc32(' '.join(SETTINGS[name].options).encode()):08x}"
    model, checkpoint, seconds = (Path(f"{base}.{end}") for end in ("model.npz", "checkpoint.npz", "seconds.json"))
    if not seconds.exists():
        resumed = checkpoint.exists()
        np.save(f"{base}.npy", train)
        options = (*SETTINGS[name].options, "-o", str(model), "--checkpoint", str(checkpoint))
        spent = run("train", "--data", f"{base}.npy", *options)
        seconds.write_text(json.dumps(None if resumed else spent))
    return str(model), json.loads(seconds.read_text())


def measured(name: str) -> dict[str, Any]:
    """Train, draw, complete and measure one setting; the numbers, and the pictures in the scratch folder."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    how, base = SETTINGS[name], SCRATCH / name
    done = base.with_suffix(".json")
    if done.exists() and (found := json.loads(done.read_text()))["options"] == list(how.options):
        return found
    train, test = images_of(name)
    model, spent = trained(name, train)
    drawing = run("sample", model, "--chains", str(DRAWN), "-o", f"{base}.samples.npz")
    np.save(f"{base}.test.npy", test[:COMPLETED])
    more = ("--known", how.known, "--rows", str(COMPLETED), "--each", str(EACH))
    run("complete", model, "--data", f"{base}.test.npy", *more, "-o", f"{base}.completions.npz")
    judge, pictures = judge_of(name), er.load(f"{base}.samples.npz").last.clip(0, 1)
    chosen = train[np.argsort(er.Stream(0, "shuffle").uniform(0, (1, len(train)))[0])[:DRAWN]]
    np.save(f"{base}.real.npy", chosen[:SHOWN])
    found = {
        "options": list(how.options), "frechet": er.frechet_distance(judge.features(pictures), judge.seen),
        "real": er.frechet_distance(judge.features(chosen), judge.seen), "accuracy": judge.accuracy,
        "grbm": grbm_of_digits(train, judge) if name == "digits" else grbm_of_the_five_samplers(how.side),
        "training_seconds": spent, "drawing_seconds": drawing,
    }  # fmt: skip
    write_bytes(done, (json.dumps(found, indent=1) + "\n").encode())
    return found


def grbm_of_digits(train: np.ndarray, judge: Judge) -> float:
    """The GRBM that ``ebm-ref train --model grbm`` makes of the same rows, drawn as the README's gallery does."""
    base = f"{SCRATCH}/digits.grbm"
    if not Path(f"{base}.samples.npz").exists():
        np.save(f"{base}.npy", train)
        run("train", "--model", "grbm", "--data", f"{base}.npy", "-o", f"{base}.model.npz")
        run("sample", f"{base}.model.npz", "--means", "--chains", str(DRAWN), "-o", f"{base}.samples.npz")
    pictures = er.load(f"{base}.samples.npz").visible[:, -1].clip(0, 1)
    return er.frechet_distance(judge.features(pictures), judge.seen)


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
    drawn, real = er.load(SCRATCH / f"{name}.samples.npz").last.clip(0, 1), np.load(SCRATCH / f"{name}.real.npy")
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
