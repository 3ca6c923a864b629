"""JEM on 8x8 digits: the same network as a plain classifier and with its logits as energies too.

Data: the 1,797 shipped digits, pixels in [-1, 1]; SPLIT of them in the order of ``Stream(0, "shuffle")`` train, the
other 500 test.  Network: MLP 64-128-128-10 (SiLU, float32), base measure N(0, 1) for both.  Adam, cosine, EPOCHS epochs
of batches of 100, the running mean of the parameters is measured.  JEM: lambda = WEIGHT, chains of ULA at temperature 1
from a buffer of 1,000, K steps an update; its data have a noise of NOISE: pixels that never change have no density.
Strange images, as many as the test digits: OUTSIDE.  Scores: log p(x) up to log Z (JEM: -E(x), for the plain classifier
the same formula, which nothing trained) and the greatest class probability; AUROC, 1/2 is chance.
Usage: python -m validation.jem_digits [--seeds 3] [--epochs 60]
(writes validation/figures/jem_digits.png, .json; the table is printed)
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ebm_ref as er
from ebm_ref.progress import track
from validation.readme_figure import mosaic

SPLIT, WIDTHS, BATCH, RATE, NOISE, WEIGHT, STEP, K = 1297, (64, 128, 128, 10), 100, 2e-3, 0.3, 0.03, 0.004, 20
DRAWING, EACH = 1000, 8
OUT = Path(__file__).parent / "figures"
BLUE, VERMILLION, GREY = "#0072b2", "#d55e00", "#606060"


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(training rows, their labels, test rows, their labels)."""
    digits = er.datasets.digits()
    rows, labels = 2 * digits.images.reshape(-1, 64) - 1, digits.labels
    order = np.argsort(er.Stream(0, "shuffle").uniform(0, (1, len(rows)))[0])
    train, test = order[:SPLIT], order[SPLIT:]
    return rows[train], labels[train], rows[test], labels[test]


def outside(train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """Images that are no digits; the last two lie between digits."""
    draw = er.Stream(0, "user")
    n, d = test.shape
    bars = 2 * er.datasets.bars_and_stripes(8) - 1
    root = np.linalg.cholesky(np.cov(train.T) + 1e-6 * np.eye(d))
    return {
        "uniform noise": 2 * draw.uniform(0, (n, d)) - 1,
        "shuffled pixels": np.take_along_axis(test, np.argsort(draw.uniform(1, (n, d)), axis=1), axis=1),
        "inverted digits": -test,
        "bars and stripes": bars[np.argsort(draw.uniform(2, (1, len(bars)))[0])[:n]],
        "normal law of the digits": np.clip(train.mean(axis=0) + draw.normal(3, (n, d)) @ root.T, -1, 1),
        "means of two digits": (test + test[::-1]) / 2,
    }


def learn(seed: int, epochs: int) -> dict[str, Any]:
    """Both models of a seed."""
    rows, labels, _, _ = data()
    chains = er.langevin_cd(
        lambda m: er.ula(m, STEP), K, buffer_size=1000, base="uniform", data_noise=NOISE
    )  # fmt: skip
    start = er.JointEnergy(er.nets.mlp(WIDTHS, seed=seed, dtype="float32"), base=1.0)
    found: dict[str, Any] = {}
    for name, estimator in (("classifier", er.cross_entropy()), ("JEM", er.jem(chains, weight=WEIGHT))):
        rate = er.CosineDecay(RATE, epochs * -(-len(rows) // BATCH))
        optimiser, began = er.averaged(er.adam(rate), 0.99), time.process_time()
        fit = er.fit(start, rows, estimator, optimiser, epochs, BATCH, seed, labels=labels, progress=False)
        found[name] = {"model": fit.averaged, "seconds": time.process_time() - began}
    return found


def judged(model: er.JointEnergy) -> dict[str, Any]:
    """Accuracy, calibration, AUROC by each score against each kind of strange image."""
    train, _, test, labels = data()
    p = model.class_probabilities(test)
    calibration = er.calibration(p, labels)
    found = {"accuracy": calibration.accuracy, "ece": calibration.error, "ece_by_chance": calibration.chance,
             "cross_entropy": float(-np.log(p[np.arange(len(p)), labels]).mean())}  # fmt: skip
    scores: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "density": lambda x: -model.energy(x),
        "class": lambda x: model.class_probabilities(x).max(axis=1),
    }
    for name, score in scores.items():
        inside = score(test)
        found[name] = {what: er.auroc(inside, score(images)) for what, images in outside(train, test).items()}
    return found


def drawn(model: er.JointEnergy) -> np.ndarray:
    """EACH images of every class: DRAWING steps from noise by p(x|y), then E[x | x + noise]."""
    law = er.given_classes(model, np.tile(np.arange(10), EACH))
    start = 2 * er.Stream(1, "user").uniform(0, (10 * EACH, 64)) - 1
    rows = er.sample(er.ula(law, STEP), start, DRAWING, seed=1, thin=DRAWING).visible[:, -1]
    return np.clip((rows + NOISE**2 * law.score(rows) + 1) / 2, 0, 1)


def draw(models: dict[str, er.JointEnergy]) -> Figure:
    """Drawn digits, reliability, scores inside and outside."""
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    pictures, reliability, histogram = figure.subplots(1, 3, width_ratios=(1.15, 1, 1.3))
    pictures.imshow(mosaic(drawn(models["JEM"]), 10), cmap="gray_r", vmin=0, vmax=1)
    pictures.set_axis_off()
    pictures.set_title(f"JEM draws from p(x|y), y = 0 ... 9,\n{DRAWING} steps from noise", fontsize=11)
    train, _, test, labels = data()
    reliability.plot([0.3, 1], [0.3, 1], color=GREY, lw=1)
    styles = ((VERMILLION, "s", (-8, -13), "right"), (BLUE, "o", (7, 5), "left"))
    for (name, model), (colour, marker, offset, side) in zip(models.items(), styles, strict=True):
        found = er.calibration(model.class_probabilities(test), labels, 10)
        held = found.counts > 0
        c, right, n = found.confidence[held], found.right[held], found.counts[held]
        text = f"{name}: {100 * found.accuracy:.1f} % right"
        reliability.plot(c, right, marker, color=colour, mfc="none", ms=7, label=text)
        for at, count in zip(zip(c, right, strict=True), n, strict=True):
            where = {"xytext": offset, "textcoords": "offset points", "ha": side}
            reliability.annotate(f"{count:.0f}", at, fontsize=8, color=colour, **where)
    reliability.set(xlabel="confidence, max p(y|x)", ylabel="share that is right", xlim=(0.3, 1.1), ylim=(-0.08, 1.08))
    reliability.set_title("reliability on 500 test digits\n(numbers of digits in a bin)", fontsize=11)
    reliability.legend(frameon=False, fontsize=9)
    kinds = {"test digits": test, **outside(train, test)}
    values = [-models["JEM"].energy(images) for images in kinds.values()]
    histogram.boxplot(
        values, orientation="horizontal", whis=(1, 99), showfliers=False, medianprops={"color": VERMILLION}
    )
    histogram.set_yticks(range(1, len(kinds) + 1), list(kinds), fontsize=9)
    histogram.invert_yaxis()
    histogram.axvspan(*np.quantile(values[0], [0.01, 0.99]), color=BLUE, alpha=0.15)
    histogram.set(xlabel="log p(x) + log Z, nats")
    histogram.set_title("JEM's score: quartiles, 1st and 99th percentile\n(shaded: that of the digits)", fontsize=11)
    return figure


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: median (least to greatest) over seeds."""
    names = ("classifier", "JEM")
    lines = ["| | plain classifier | JEM |", "|---|---|---|"]

    def line(title: str, pick: Callable[[dict[str, Any]], float], form: str) -> None:
        cells = []
        for name in names:
            values = [pick(row[name]) for row in rows]
            low, mid, high = (format(f(values), form) for f in (np.min, np.median, np.max))
            cells.append(f"{mid} ({low} to {high})")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")

    line("test digits right", lambda r: r["accuracy"], ".3f")
    line("cross-entropy, nats", lambda r: r["cross_entropy"], ".3f")
    line("expected calibration error, 15 bins", lambda r: r["ece"], ".4f")
    line("- of a calibrated classifier, by chance", lambda r: r["ece_by_chance"], ".4f")
    for what in rows[0]["JEM"]["density"]:
        line(f"AUROC by log p(x): {what}", lambda r, what=what: r["density"][what], ".3f")
        line("- by max p(y given x)", lambda r, what=what: r["class"][what], ".3f")
    line("processor seconds of training", lambda r: r["seconds"], ".1f")
    return "\n".join(lines)


def main() -> None:
    """Learn, judge, draw."""
    parser = argparse.ArgumentParser(description="A classifier whose logits are energies.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    rows, shown = [], {}
    with track(arguments.seeds, "seeds") as bar:
        for seed in range(arguments.seeds):
            found = learn(seed, arguments.epochs)
            shown = shown or {name: what["model"] for name, what in found.items()}
            rows.append({name: {**judged(what["model"]), "seconds": what["seconds"]} for name, what in found.items()})
            bar(1)
    OUT.mkdir(exist_ok=True)
    (OUT / "jem_digits.json").write_text(json.dumps({"epochs": arguments.epochs, "seeds": rows}, indent=1) + "\n")
    draw(shown).savefig(OUT / "jem_digits.png", dpi=100, metadata={"Software": None})
    print(table(rows))


if __name__ == "__main__":
    main()
