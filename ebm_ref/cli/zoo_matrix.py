"""The kill matrix of ``ebm-ref zoo``, wrong code x test: as text, as pictures, and as zoo.json."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]
KINDS = {
    "kernel": ("wrong kernels", "kill_matrix"),
    "update": ("wrong updates", "kill_matrix_updates"),
    "annealing": ("wrong annealers", "kill_matrix_annealing"),
    "continuous": ("wrong continuous kernels", "kill_matrix_continuous"),
    "deep": ("wrong deep energies", "kill_matrix_deep"),
}  # words, and the name of the picture
TESTS = {
    "kernel": ("contract", "D8", "D9", "S7", "S8", "S1", "S1 single", "S2", "S6", "S4", "S3", "S12", "S13"),
    "update": ("contract", "D9", "L5", "L2", "L3", "L1"),
    "annealing": ("contract", "Z2", "Z1"),
    "continuous": ("contract", "D8", "D9", "S7", "S8", "C1 drift", "C1 scale", "C1 shape", "C1 correlation",
                   "C1 steps", "C1 single", "C3", "C3 single", "C4", "C5", "S13"),
    "deep": ("D1", "D3", "D3 weights", "D6", "D7"),
}  # fmt: skip
PANEL = 60  # rows of a picture side by side with the next ones
CELL, LINE, LETTER = 0.24, 0.17, 0.068  # inches: width of a cell, height of a row, width of a letter


def mark(row: Row, test: str) -> str:
    """What a test said of a piece of wrong code: "x" killed, "." passed, " " not run."""
    return "x" if test in row["killed_by"] else "." if test in row["passed"] else " "


def table(rows: Sequence[Row]) -> str:
    """The matrix of one zoo as text."""
    tests, width = TESTS[rows[0]["kind"]], max(len(row["id"]) for row in rows)
    lines = [" " * width + "  " + " ".join(tests) + "  named"]
    for row in rows:
        cells = " ".join(mark(row, test).center(len(test)) for test in tests)
        lines.append(f"{row['id']:<{width}}  {cells}  {'yes' if row['named'] else ''}".rstrip())
    return "\n".join(lines)


def write_matrix(folder: Path, rows: Sequence[Row], profile: str, seed: int) -> None:
    """zoo.json, and the matrix of each zoo as a picture."""
    from ebm_ref import files, plots

    folder.mkdir(parents=True, exist_ok=True)
    document = {"format": "ebm-ref-zoo/1", "profile": profile, "seed": seed, "rows": list(rows)}
    files.write_bytes(folder / "zoo.json", json.dumps(document, indent=1).encode())
    for kind, (_, name) in KINDS.items():
        if of_kind := [row for row in rows if row["kind"] == kind]:
            figure = picture(of_kind, profile, seed)
            files.write_bytes(folder / f"{name}.png", plots.to_png_bytes(figure))
            files.write_bytes(folder / f"{name}.svg", plots.to_svg(figure).encode())


def picture(rows: Sequence[Row], profile: str, seed: int) -> Figure:
    """The matrix of one zoo, in panels of at most PANEL rows; a bug that the diagnosis did not name says so."""
    from matplotlib.patches import Patch

    from ebm_ref.oracle.titles import title
    from ebm_ref.plots import BLUE, GREY, PALE, new_figure, settled

    kind = rows[0]["kind"]
    n_panels = math.ceil(len(rows) / PANEL)
    height = math.ceil(len(rows) / n_panels)
    columns = [f"{test}: {title(test)}".rstrip(": ") for test in TESTS[kind]]
    labels = [row["id"] + ("" if row["named"] else " (not named)") for row in rows]
    width = n_panels * (0.4 + LETTER * max(map(len, labels)) + CELL * len(columns))
    figure = new_figure(max(width, 6.5), 1.1 + 0.07 * max(map(len, columns)) + LINE * height)
    panels = figure.subplots(1, n_panels, squeeze=False)[0]
    for k, axes in enumerate(panels):
        part = slice(k * height, (k + 1) * height)
        draw_panel(axes, rows[part], labels[part], columns, height)
    killed, named = (sum(bool(row[key]) for row in rows) for key in ("killed_by", "named"))
    words = f"{killed} of {len(rows)} {KINDS[kind][0]} killed, {named} named by the diagnosis"
    figure.suptitle(f"{words}; profile {profile}, seed {seed}", fontsize=11)
    meanings = ((BLUE, "x  killed by this test"), (PALE, "passed"), ("white", "not run"))
    patches = [Patch(facecolor=colour, edgecolor=GREY, linewidth=0.6, label=label) for colour, label in meanings]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return settled(figure)


def draw_panel(axes: Axes, rows: Sequence[Row], labels: Sequence[str], columns: Sequence[str], height: int) -> None:
    """Some rows of the matrix: colours say what the crosses say."""
    from matplotlib.colors import ListedColormap

    from ebm_ref.plots import BLUE, PALE

    marks = [[mark(row, test) for test in TESTS[row["kind"]]] for row in rows]
    values = [["x. ".index(m) for m in line] for line in marks]
    colours = ListedColormap([BLUE, PALE, "white"])
    axes.pcolormesh(values, cmap=colours, vmin=-0.5, vmax=2.5, edgecolors="white", linewidth=1)
    for i, line in enumerate(marks):
        for j, one in enumerate(line):
            if one == "x":
                axes.text(j + 0.5, i + 0.5, "x", ha="center", va="center", fontsize=7, color="white")
    axes.set(xlim=(0, len(columns)), ylim=(height, 0))
    axes.set_yticks([i + 0.5 for i in range(len(rows))], labels, fontsize=8)
    axes.set_xticks([j + 0.5 for j in range(len(columns))], columns, rotation=90, fontsize=8)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
