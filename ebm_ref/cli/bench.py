"""``ebm-ref bench``: measured speed against the installed peers and the machine's own limit."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import click

from ebm_ref.progress import track

STYLES = {"reached": "green", "falls short": "red", "not run": "dim"}


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
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def bench(
    patterns: str | None, only_list: bool, quick: bool, repeats: int, out: str | None, figure: str | None,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Measure speed: each row some work, its target, what came out, and what limits it.

    Contestants take turns and medians are compared; compilation and warming up are not counted. Peers (PyTorch, JAX,
    scikit-learn) take part where they are installed. Exit status 0 also when rows fall short: they are results.
    """
    from ebm_ref.benchmarks import running

    benchmarks = running.chosen([p.strip() for p in patterns.split(",")] if patterns else [])
    if only_list:
        for benchmark in benchmarks:
            click.echo(f"{benchmark.name:24} {benchmark.work}")
        return
    with track(len(benchmarks) + bool(figure), "measuring", enabled=not quiet) as bar:
        body = running.report(benchmarks, quick, repeats, bar, with_scaling=bool(figure))
    if figure:
        draw(body["scaling"], Path(figure))
    if out:
        Path(out).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(body))
    else:
        show(body)


def draw(curves: dict[str, Any], path: Path) -> None:
    """The scaling figure."""
    from ebm_ref import plots
    from ebm_ref.benchmarks import scaling

    drawn = scaling.figure(curves)
    path.write_bytes(plots.to_svg(drawn).encode() if path.suffix == ".svg" else plots.to_png_bytes(drawn))


def show(body: dict[str, Any]) -> None:
    """The table on the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    where, limits = body["machine"], body["limits"]
    table = Table(title="QUICK RUN: the figures mean nothing" if body["quick"] else None, box=None, pad_edge=False)
    for heading in ("work", "target", "measured", "", "remark"):
        table.add_column(heading, justify="right" if heading in ("target", "measured") else "left")
    for row in body["rows"]:
        verdict = Text(row["verdict"], style=STYLES[row["verdict"]])
        table.add_row(row["work"], target(row), measured(row), verdict, row["remark"])
    console = Console()
    console.print(table)
    console.print(
        f"{where['processor']}, {where['cores']} cores, {where['threads']} threads, load {where['load']:.1f} at the"
        f" start, {where['date']}, Python {platform.python_version()}; dgemm"
        f" {limits['dgemm_multiply_adds_per_second'] / 1e9:.1f} and sgemm"
        f" {limits['sgemm_multiply_adds_per_second'] / 1e9:.1f} G multiply-adds/s,"
        f" copying {limits['copy_bytes_per_second'] / 1e9:.1f} GB/s",
        highlight=False,
    )


def target(row: dict[str, Any]) -> str:
    """>= 3 x"""
    return f"{'>=' if row['at_least'] else '<='} {row['target']:.4g} {row['unit']}"


def measured(row: dict[str, Any]) -> str:
    """3.21 x, or a dash."""
    return "-" if row["measured"] is None else f"{row['measured']:.3g} {row['unit']}"
