"""The table, the numbers and the picture of all runs that are done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from validation.five_samplers.anchors import measure
from validation.five_samplers.data import SCRATCH
from validation.five_samplers.pilot import pilot
from validation.five_samplers.runs import TITLES, run

DATA, SIDES = ("mnist", "fashion-mnist"), (14, 28)
HERE = Path(__file__).parent.parent
PAGE, FIGURE, NUMBERS = HERE / "FIVE_SAMPLERS.md", "figures/five_samplers.png", HERE / "figures" / "five_samplers.json"
COLUMNS = 16
REAL, NORMAL = "real training images", "normal law, full covariance"


def collect() -> dict[str, dict[str, Any]]:
    """{"mnist 14": {"runs": {kind: numbers}, "anchors": ..., "pictures": {title: images}}} for the settings done."""
    found = {}
    for name in DATA:
        for side in SIDES:
            base = f"{name}_{side}"
            if not all((SCRATCH / f"{base}_{kind}.json").exists() for kind in TITLES):
                continue
            anchors = measure(name, side)
            pictures = {"data": anchors["pictures"]["real"], "normal law": anchors.pop("pictures")["normal"]}
            for kind, title in TITLES.items():
                pictures[title] = np.load(SCRATCH / f"{base}_{kind}.pictures.npz")["pictures"]
            runs = {kind: run(name, side, kind) for kind in TITLES}
            found[f"{name} {side} x {side}"] = {"runs": runs, "anchors": anchors, "pictures": pictures}
    return found


def table(setting: str, found: dict[str, Any]) -> str:
    """Markdown: one row a sampler, the anchors last."""
    lines = [
        f"\n**{setting}** (classifier: {100 * found['anchors']['accuracy']:.1f} % of the test images right)\n",
        "| sampler | Frechet distance | log-likelihood, AIS | low, high | ESS of 64 | accepted | training, CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, title in TITLES.items():
        r = found["runs"][kind]
        accepted = f"{r['accepted']:.2f}" if kind.endswith("adjusted") else "-"
        seconds = "-" if r["training_seconds"] is None else f"{r['training_seconds']:.0f}"
        likelihood = f"{r['log_likelihood']:.1f} | {r['low']:.1f}, {end(r['high'])} | {r['ess']:.1f}"
        if diverged(r):
            likelihood = "diverged | - | -"
        lines.append(f"| {title} | {r['frechet']:.2f} | {likelihood} | {accepted} | {seconds} |")
    real, normal = found["anchors"]["real"], found["anchors"]["normal"]
    lines.append(f"| *{REAL}* | {real['frechet']:.2f} | - | - | - | - | - |")
    lines.append(f"| *{NORMAL}* | {normal['frechet']:.2f} | {normal['log_likelihood']:.1f} | exact | - | - | - |")
    return "\n".join(lines) + "\n"


def diverged(run: dict[str, float]) -> bool:
    """Whether learning left the data altogether: many times worse than one normal law for each pixel."""
    return run["log_likelihood"] < -1e5


def end(bound: float) -> str:
    """An end of an interval, which may be open."""
    return f"{bound:.1f}" if np.isfinite(bound) else "open"


def strict(value: Any) -> Any:
    """The same with null for an infinite number, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: strict(part) for key, part in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def step_table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: log-likelihood and acceptance over the grid; a divergent run is said to be one."""
    lines = ["| rate, c | " + " | ".join(TITLES[kind] for kind in found) + " |", "|---" * (len(found) + 1) + "|"]
    best = {kind: max(cells, key=lambda at: cells[at]["log_likelihood"]) for kind, cells in found.items()}
    for at in next(iter(found.values())):
        cells = []
        for kind, by_step in found.items():
            r = by_step[at]
            number = "diverged" if diverged(r) else f"{r['log_likelihood']:.1f}"
            number = f"**{number}**" if at == best[kind] else number
            cells.append(number + (f" ({r['accepted']:.2f})" if kind.endswith("adjusted") else ""))
        lines.append(f"| {at} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(found: dict[str, dict[str, Any]]) -> Figure:
    """A panel for each setting, a row of pictures for the data, the normal law and each sampler."""
    figure = Figure(figsize=(15, 3.3 * -(-len(found) // 2)), layout="constrained")
    panels = figure.subplots(-(-len(found) // 2), 2, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, (setting, what) in zip(panels, found.items(), strict=False):
        rows = [strip(pictures[:COLUMNS]) for pictures in what["pictures"].values()]
        axes.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(setting, fontsize=12)
        for i, title in enumerate(what["pictures"]):
            height = len(rows[0])
            axes.text(-0.01 * rows[0].shape[1], (i + 0.5) * height, title, ha="right", va="center", fontsize=10)
    return figure


def strip(rows: np.ndarray) -> np.ndarray:
    """Images side by side, white lines between them."""
    side = int(np.sqrt(rows.shape[1]))
    return np.hstack(list(np.pad(rows.reshape(-1, side, side), ((0, 0), (2, 2), (1, 1)))))


def write() -> None:
    """The tables into the page, between its two marks; the picture; the numbers."""
    found, steps = collect(), pilot()
    begin, end = "<!-- tables: written by the script -->\n", "<!-- end of tables -->"
    text = PAGE.read_text()
    before, after = text.split(begin)[0], text.split(end)[1]
    tables = "".join(table(setting, what) for setting, what in found.items())
    picture = f"\n![Pictures drawn by each model beside data]({FIGURE})\n\n"
    PAGE.write_text(before + begin + tables + picture + step_table(steps) + end + after)
    draw(found).savefig(HERE / FIGURE, dpi=100, metadata={"Software": None})
    numbers = {name: {"runs": what["runs"], "anchors": what["anchors"]} for name, what in found.items()}
    NUMBERS.write_text(json.dumps(strict({"settings": numbers, "pilot": steps}), indent=1) + "\n")
    print(f"wrote {PAGE}, {HERE / FIGURE}, {NUMBERS}")
