"""``ebm-ref bench``: measured speed against the installed peers and the machine's own limit."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import click

from ebm_ref.cli.inputs import json_option, quiet_option
from ebm_ref.progress import track

COLOURS = {"reached": "green", "falls short": "red", "not run": "yellow"}
COUNTED = {"reached": "reached", "falls short": "fall short", "not run": "not run"}
STOPPED = 130  # the exit status of a program that Ctrl-C ended


@click.command()
@click.option("--rows", "patterns", metavar="NAMES", help="Some rows, with commas: import,log_z*  [default: all]")
@click.option("--list", "only_list", is_flag=True, help="Print the names of the rows and what each measures.")
@click.option("--quick", is_flag=True, help="Tiny work and two samples: does it run?  The figures mean nothing.")
@click.option(
    "--repeats", default=7, show_default=True, type=click.IntRange(min=5), help="Samples of each contestant, in turns."
)
@click.option("--out", type=click.Path(dir_okay=False), help="Write the JSON here.")
@click.option(
    "--figure", type=click.Path(dir_okay=False), help="Also measure how time grows, and draw it here (.png or .svg)."
)
@json_option
@quiet_option
def bench(
    patterns: str | None, only_list: bool, quick: bool, repeats: int, out: str | None, figure: str | None,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Measure speed: each row some work, its target, what came out, and what limits it.

    Contestants take turns and medians are compared; compilation and warming up are not counted. Peers (PyTorch, JAX,
    scikit-learn, blackjax, torchebm) take part where they are installed. Exit status 0 also when rows fall short: they
    are results. Ctrl-C ends the run and shows the rows that are done.
    """
    from ebm_ref.benchmarks import running

    benchmarks = running.chosen([p.strip() for p in patterns.split(",")] if patterns else [])
    if only_list:
        for benchmark in benchmarks:
            click.echo(f"{benchmark.name:24} {benchmark.work}")
        return
    with track(len(benchmarks) + bool(figure), "measuring", enabled=not quiet) as bar:
        body = running.report(benchmarks, quick, repeats, bar, with_scaling=bool(figure))
    if "scaling" in body:
        draw(body["scaling"], Path(figure or ""))
    if out:
        Path(out).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(body))
    else:
        show(body)
    if body["stopped"]:
        click.echo(f"stopped after {len(body['rows'])} of {len(benchmarks)} rows", err=True)
        sys.exit(STOPPED)


def draw(curves: dict[str, Any], path: Path) -> None:
    """The scaling figure."""
    from ebm_ref import plots
    from ebm_ref.benchmarks import scaling

    drawn = scaling.figure(curves)
    path.write_bytes(plots.to_svg(drawn).encode() if path.suffix == ".svg" else plots.to_png_bytes(drawn))


def show(body: dict[str, Any]) -> None:
    """The table on the terminal: a line of figures for each row, and under it what there is to say."""
    where, limits = body["machine"], body["limits"]
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    wide = width - 41
    if body["quick"]:
        click.secho("QUICK RUN: the figures mean nothing", bold=True)
    click.secho(f"{'work':{wide}} {'target':>14} {'measured':>13}", bold=True)
    for row in body["rows"]:
        first, *rest = textwrap.wrap(row["work"], wide)
        mark = click.style(row["verdict"], fg=COLOURS[row["verdict"]])
        click.echo(f"{first:{wide}} {target(row):>14} {measured(row):>13} {mark}")
        for line in rest:
            click.echo(line)
        for line in textwrap.wrap(row["remark"], width - 4):
            click.echo("    " + click.style(line, dim=True))
    verdicts = [row["verdict"] for row in body["rows"]]
    counts = ", ".join(
        f"{verdicts.count(verdict)} {words}" for verdict, words in COUNTED.items() if verdict in verdicts
    )
    summary = (
        f"{counts or 'nothing was measured'}. {where['processor']}, {where['cores']} cores, {where['threads']} threads,"
        f" load {where['load']:.1f} at the start, {where['date']}, Python {platform.python_version()}; dgemm"
        f" {limits['dgemm_multiply_adds_per_second'] / 1e9:.1f} and sgemm"
        f" {limits['sgemm_multiply_adds_per_second'] / 1e9:.1f} G multiply-adds/s, copying"
        f" {limits['copy_bytes_per_second'] / 1e9:.1f} GB/s."
    )
    click.echo("\n" + textwrap.fill(summary, width))


def target(row: dict[str, Any]) -> str:
    """>= 3 x"""
    return f"{'>=' if row['at_least'] else '<='} {row['target']:.4g} {row['unit']}"


def measured(row: dict[str, Any]) -> str:
    """3.21 x, or a dash."""
    return "-" if row["measured"] is None else f"{row['measured']:.3g} {row['unit']}"
