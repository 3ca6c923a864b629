"""The tables, the numbers and the picture."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from validation.deep_forms.runs import FORMS, OBJECTIVES, SHOWN
from validation.deep_forms.statistics import permutation_test, sign_flip_test
from validation.jem_digits import data
from validation.readme_figure import mosaic

HERE = Path(__file__).parent.parent
PAGE, FIGURE, NUMBERS = HERE / "DEEP_FORMS.md", HERE / "figures/deep_forms.png", HERE / "figures/deep_forms.json"
BEGIN, END = "<!-- tables: written by the script -->\n", "<!-- end of tables -->"
PAIRS = tuple(combinations(FORMS[:3], 2))
WIDE = 10  # times the normal law's loss: from there on the axis is logarithmic
COLOURS = dict(zip(FORMS, ("#0072b2", "#d55e00", "#009e73", "#606060"), strict=True))

Runs = dict[str, list[dict[str, Any]]]  # form -> its runs, one a seed, in the order of the seeds


def line(found: dict[str, Any]) -> str:
    """One run in words."""
    setting = f"rate {found['rate']} base {found['base']} step {found['step']}"
    outcome = found.get("diverged") or f"loss {found['loss']:.3f}" + (
        f" Frechet {found['frechet']:.2f}" if "frechet" in found else ""
    )
    name = f"{found['objective']:11} {found['form']:9} {setting} seed {found['seed']}"
    return f"{name}: {outcome}, {found['seconds']:.0f} s"


def finite(runs: list[dict[str, Any]], key: str) -> np.ndarray:
    """The values of the runs that did not diverge."""
    return np.array([run[key] for run in runs if key in run])


def spread(values: np.ndarray) -> str:
    """Median (least to greatest)."""
    if not len(values):
        return "-"
    return f"{np.median(values):.2f} ({values.min():.2f} to {values.max():.2f})"


def forms_table(runs: Runs, real: dict[str, dict[str, float]]) -> str:
    """Markdown: each form of one objective beside the anchors."""
    lines = [
        "| form | parameters | rate | base | step | held-out loss | Frechet distance | diverged | processor s |",
        "|---" * 9 + "|",
    ]
    for form, found in runs.items():
        first, bad = found[0], sum("diverged" in run for run in found)
        cells = (form, f"{first['parameters']:,}", first["rate"], first["base"] or "none", first["step"] or "",
                 spread(finite(found, "loss")), spread(finite(found, "frechet")), f"{bad} of {len(found)}",
                 f"{np.median([run['seconds'] for run in found]):.0f}")  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for name, values in real.items():
        lines.append(f"| *{name}* | | | | | {values['loss']:.2f} | {values['frechet']:.2f} | | |")
    return "\n".join(lines) + "\n"


def compared(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> dict[str, float] | None:
    """Two forms, seed by seed: losses on the same digits with the same noises, Frechet distances."""
    pairs = [(a, b) for a, b in zip(first, second, strict=False) if "loss" in a and "loss" in b]
    if len(pairs) < 2:
        return None
    by_digit = np.mean([np.subtract(a["losses"], b["losses"]) for a, b in pairs], axis=0)
    found = {"seeds": len(pairs), "se_over_digits": float(by_digit.std(ddof=1) / np.sqrt(len(by_digit)))}
    for key in ("loss", "frechet"):
        a, b = (np.array([pair[i][key] for pair in pairs]) for i in (0, 1))
        found |= {
            key: float((a - b).mean()), f"{key}_se_over_seeds": float((a - b).std(ddof=1) / np.sqrt(len(a))),
            f"{key}_first_is_less": int((a < b).sum()), f"{key}_p_signs": sign_flip_test(a - b),
            f"{key}_p_permutation": permutation_test(a, b),
        }  # fmt: skip
    return found


def pairs_table(runs: Runs) -> tuple[str, dict[str, Any]]:
    """Markdown and numbers: the forms of the U-Net against each other; a negative difference favours the first."""
    lines = [
        "| pair | difference of loss, +- over seeds, +- over digits | first is less | p signs, permutation |"
        " difference of Frechet distance, +- over seeds | first is less | p signs, permutation |",
        "|---" * 7 + "|",
    ]
    numbers: dict[str, Any] = {}
    for one, other in PAIRS:
        found = compared(runs.get(one, []), runs.get(other, []))
        numbers[f"{one} - {other}"] = found
        if found is None:
            lines.append(f"| {one} - {other} | too few runs | | | | | |")
            continue
        cells = [f"{one} - {other}"]
        for key in ("loss", "frechet"):
            errors = f"{found[key]:+.3f} +- {found[f'{key}_se_over_seeds']:.3f}"
            cells += [errors + (f" +- {found['se_over_digits']:.3f}" if key == "loss" else ""),
                      f"{found[f'{key}_first_is_less']} of {found['seeds']}",
                      f"{found[f'{key}_p_signs']:.3g}, {found[f'{key}_p_permutation']:.2g}"]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n", numbers


def pilot_table(pilots: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: the loss of each setting after a short run and, of the best ones, after a whole one."""
    key = lambda run: (run["rate"], run["base"] or 0.0, run["step"] or 0.0)  # noqa: E731
    settings = sorted({key(run) for each in pilots.values() for run in each})
    words = [f"{rate}, {base or 'none'}" + (f", {step}" if step else "") for rate, base, step in settings]
    lines = ["| pilot: rate, base, step | " + " | ".join(words) + " |", "|---" * (len(words) + 1) + "|"]
    for form, each in pilots.items():
        texts = []
        for setting in settings:
            found = sorted((run for run in each if key(run) == setting), key=lambda run: run["epochs"])
            texts.append(", ".join(f"{run['loss']:.2f}" if "loss" in run else "diverged" for run in found))
        lines.append(f"| {form} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def draw(runs: dict[str, Runs], real: dict[str, dict[str, dict[str, float]]]) -> Figure:
    """A row an objective: losses by seed, test digits, and what the run of each form's median distance drew."""
    figure = Figure(figsize=(16, 3.1 * len(runs)), layout="constrained")
    panels = figure.subplots(len(runs), 2 + len(FORMS), squeeze=False)
    for row, (objective, by_form) in zip(panels, runs.items(), strict=True):
        dots(row[0], by_form, real[objective])
        row[0].set_title(f"{objective}, noise {OBJECTIVES[objective].sigma}", fontsize=11)
        for axes in row[1:]:
            axes.set_axis_off()
        row[1].imshow(mosaic((data()[2][:SHOWN] + 1) / 2, 6), cmap="gray_r", vmin=0, vmax=1)
        row[1].set_title("test digits", fontsize=11)
        for axes, form in zip(row[2:], FORMS, strict=True):
            done = sorted((run for run in by_form.get(form, []) if "images" in run), key=lambda run: run["frechet"])
            if not done:
                axes.set_title(f"{form}: none", fontsize=11)
                continue
            shown = done[(len(done) - 1) // 2]
            axes.imshow(mosaic((np.array(shown["images"]) + 1) / 2, 6), cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(f"{form}, Frechet {shown['frechet']:.1f}", fontsize=11)
    return figure


def dots(axes, by_form: Runs, real: dict[str, dict[str, float]]) -> None:
    """Held-out loss of each run."""
    for i, form in enumerate(FORMS):
        values = finite(by_form.get(form, []), "loss")
        axes.plot(np.full(len(values), i), values, "o", color=COLOURS[form], alpha=0.7)
    if max(axes.get_ylim()) > WIDE * real["normal law"]["loss"]:
        axes.set_yscale("log")
    axes.axhline(real["normal law"]["loss"], color="black", lw=1, ls="--", label="normal law")
    axes.set(xticks=range(len(FORMS)), xticklabels=FORMS, ylabel="held-out denoising loss")
    axes.tick_params(axis="x", labelsize=9)
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def write(runs: dict[str, Runs], pilots: dict[str, Runs], real: dict[str, dict[str, dict[str, float]]]) -> None:
    """The tables into the page, between its two marks; the picture; the numbers."""
    text, numbers = "", {}
    for objective, by_form in runs.items():
        pairs, numbers[objective] = pairs_table(by_form)
        how = OBJECTIVES[objective]
        updates = max(run["updates"] for each in by_form.values() for run in each)
        text += f"**{objective}**, noise {how.sigma}, {updates} updates\n\n"
        text += forms_table(by_form, real[objective]) + "\n" + pairs + "\n" + pilot_table(pilots[objective]) + "\n"
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + text.rstrip() + "\n" + END + rest.split(END)[1])
    draw(runs, real).savefig(FIGURE, dpi=90, metadata={"Software": None})
    kept = {
        objective: {form: [{k: v for k, v in run.items() if k not in ("images", "losses")} for run in found]
                    for form, found in by_form.items()}
        for objective, by_form in runs.items()
    }  # fmt: skip
    everything = {"anchors": real, "pairs": numbers, "runs": kept, "pilots": pilots}
    NUMBERS.write_text(json.dumps(everything, indent=1) + "\n")
    print(text + f"wrote {PAGE}, {FIGURE}, {NUMBERS}")
