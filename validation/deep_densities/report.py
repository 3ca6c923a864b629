"""The table, the numbers and the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from validation.deep_densities.runs import DENOISING, LAWS, METHODS, RECOVERY, SPAN, name_of, picture

HERE = Path(__file__).parent.parent
PAGE, FIGURE, NUMBERS = HERE / "DEEP_DENSITIES.md", "figures/deep_densities.png", HERE / "figures/deep_densities.json"
BEGIN, END = "<!-- tables: written by the script -->\n", "<!-- end of tables -->"


def line(row: dict[str, Any]) -> str:
    """One run in words."""
    numbers = {key: value for key, value in row.items() if key not in ("density", "who", "seed", "picture")}
    told = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in numbers.items()
    )
    return f"{row['density']:13} {row['who']:20} seed {row['seed']}  {told}"


def own(rows: list[dict[str, Any]], law: str, who: str) -> list[dict[str, Any]]:
    """The runs of one cell, the smallest KL first; those without a KL last."""
    found = [row for row in rows if (row["density"], row["who"]) == (law, who)]
    return sorted(found, key=lambda row: np.inf if row.get("kl") is None else row["kl"])


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run of the median KL (the lower one of two)."""
    return runs[(len(runs) - 1) // 2] if runs else {}


def median(values: list[float | None]) -> float | None:
    """None where one of them is."""
    return None if None in values or not values else float(np.median(values))  # type: ignore[arg-type]


def number(value: float | None) -> str:
    """Three digits; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.2g}"


def cell(runs: list[dict[str, Any]]) -> str:
    """Median (least to greatest), or what went wrong."""
    if not runs:
        return "-"
    if any("diverged" in run for run in runs):
        return f"{sum('diverged' in run for run in runs)} of {len(runs)} diverged"
    kls = [run["kl"] for run in runs]
    if None in kls:
        return f"{kls.count(None)} of {len(kls)} reach the edge of the box"
    if len(kls) == 1:
        return number(kls[0])
    return f"{number(middle(runs)['kl'])} ({number(kls[0])} to {number(kls[-1])})"


def table(rows: list[dict[str, Any]], found: dict[str, dict[str, float]]) -> str:
    """Markdown: KL(truth, model) in nats for each method and density."""
    lines = [
        "| method | " + " | ".join(LAWS) + " | seeds | processor seconds a run |",
        "|---" * (len(LAWS) + 3) + "|",
    ]
    for who in METHODS:
        runs = {law: own(rows, law, who) for law in LAWS}
        seeds = " to ".join(map(str, sorted({len(each) for each in runs.values()})))
        seconds = np.median([run["seconds"] for each in runs.values() for run in each] or [0.0])
        cells = " | ".join(cell(each) for each in runs.values()) + f" | {seeds} | {seconds:.0f} |"
        if name_of(who):
            temperature = middle(runs["mixture"]).get("temperature")
            lines.append(f"| {who}, exp(-E) | {cells}")
            for key, title in (("kl_at_temperature", f"exp(-E/T), T = {temperature}"), ("kl_best", "exp(-E/T*)")):
                texts = [number(middle(each).get(key)) for each in runs.values()]
                if key == "kl_best":
                    texts = [f"{t} (T* = {middle(each).get('best_temperature', np.nan):.2g})" for t, each in
                             zip(texts, runs.values(), strict=True)]  # fmt: skip
                lines.append(f"| - {title} | " + " | ".join(texts) + " | | |")
            continue
        lines.append(f"| {who} | {cells}")
        if who == DENOISING:
            texts = [number(median([run.get("kl_smoothed") for run in each])) for each in runs.values()]
            lines.append("| - to the smoothed density, which it learns | " + " | ".join(texts) + " | | |")
        if who == RECOVERY:
            lines += recovery_lines(runs, found)
    for key, title in (("smoothed", "*the smoothed density itself*"), ("normal", "*one normal law*")):
        lines.append(f"| {title} | " + " | ".join(number(found[law][key]) for law in LAWS) + " | | |")
    return "\n".join(lines) + "\n\n" + chains_table(rows, found)


def recovery_lines(runs: dict[str, list[dict[str, Any]]], found: dict[str, dict[str, float]]) -> list[str]:
    """(3) of runs.py: where the KL of diffusion recovery comes from; medians of each part."""
    split: dict[str, list[float | None]] = {"smoothing, noise .01": [], "seen by its objective": [], "not seen": []}
    for law, each in runs.items():
        least, whole = found[law]["least_noise"], [run for run in each if run.get("kl") is not None]
        split["smoothing, noise .01"].append(least)
        split["seen by its objective"].append(median([run["kl"] - run["kl_blurred"] - least for run in whole]))
        split["not seen"].append(median([run["kl_blurred"] for run in whole]))
    return [
        f"| - {title} | " + " | ".join(number(value) for value in values) + " | | |" for title, values in split.items()
    ]


def chains_table(rows: list[dict[str, Any]], found: dict[str, dict[str, float]]) -> str:
    """Markdown: how far the states of the buffer are from the truth."""
    lines = ["| states of the buffer, or drawn (recovery) | " + " | ".join(LAWS) + " |", "|---" * (len(LAWS) + 1) + "|"]
    for who in METHODS:
        runs = [own(rows, law, who) for law in LAWS]
        if all("chains" in middle(each) for each in runs):
            values = [float(np.median([run["chains"] for run in each])) for each in runs]
            lines.append(f"| {who} | " + " | ".join(number(value) for value in values) + " |")
    for key, title in (("rows", "4,096 exact rows"), ("rows_of_presets", "8,192 exact rows")):
        lines.append(f"| *{title}* | " + " | ".join(number(found[law][key]) for law in LAWS) + " |")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, Any]]) -> Figure:
    """A row of pictures for each density: the truth, then each method's median run, in the colours of the truth."""
    columns = ("truth", *METHODS)
    figure = Figure(figsize=(2.05 * len(columns), 2.3 * len(LAWS)), layout="constrained")
    grid = figure.subplots(len(LAWS), len(columns))
    for axes_row, (law, truth) in zip(grid, LAWS.items(), strict=True):
        exact = picture(truth)
        for axes, who in zip(axes_row, columns, strict=True):
            axes.set(xticks=[], yticks=[])
            if who == "truth":
                image, text = exact, ""
                axes.set_ylabel(law, fontsize=12)
            else:
                run = middle(own(rows, law, who))
                image, text = run.get("picture"), title_of(run)
            if image is not None:
                axes.imshow(
                    np.asarray(image).T, origin="lower", extent=(-SPAN, SPAN, -SPAN, SPAN), vmin=0, vmax=exact.max(),
                    cmap="viridis",
                )  # fmt: skip
            axes.set_xlabel(text, fontsize=10)
            if law == next(iter(LAWS)):
                axes.set_title(
                    who.replace("Langevin CD, ", "Langevin CD,\n").replace("diffusion ", "diffusion\n"), fontsize=11
                )
    figure.suptitle(
        "Learned densities (the median run) and KL(truth | model) in nats; presets at their best T*", fontsize=13
    )
    return figure


def title_of(run: dict[str, Any]) -> str:
    """Below a picture."""
    if "diverged" in run or not run:
        return "diverged" if run else "not run"
    if "kl_best" in run:
        return f"KL {number(run['kl'])} at T = 1,\n{number(run['kl_best'])} at T* = {run['best_temperature']:.1g}"
    return f"KL {number(run['kl'])}"


def write(rows: list[dict[str, Any]], found: dict[str, dict[str, float]]) -> None:
    """The tables into the page, between its two marks; the picture; the numbers."""
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + table(rows, found) + END + rest.split(END)[1])
    draw(rows).savefig(HERE / FIGURE, dpi=95, metadata={"Software": None})
    plain = [{key: value for key, value in row.items() if key != "picture"} for row in rows]
    NUMBERS.write_text(json.dumps({"anchors": found, "runs": plain}, indent=1) + "\n")
    print(f"wrote {PAGE}, {HERE / FIGURE}, {NUMBERS}")
