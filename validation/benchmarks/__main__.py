"""``python -m validation.benchmarks [--rows NAMES] [--repeats N]``: measure; results.json, scaling.png, README.md.

With ``--rows``, or after Ctrl-C, the other rows keep their last values; ``--page`` only writes the page anew.
``--quick --out FOLDER`` shows in a minute that all of it works.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ebm_ref.benchmarks import running
from ebm_ref.cli import bench

FOLDER = Path(__file__).parent
RESULTS, PAGE, FIGURE = "results.json", "README.md", "scaling.png"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> int:
    """Exit status 0 also when rows fall short: they are results."""
    parser = argparse.ArgumentParser(
        prog="python -m validation.benchmarks", description="measure speed, write the page"
    )
    parser.add_argument("--rows", help="some rows, with commas; the others keep their last values")
    parser.add_argument("--quick", action="store_true", help="tiny work, figures that mean nothing; needs --out")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where to write")
    parser.add_argument("--repeats", type=int, default=7, help="samples of each contestant")
    parser.add_argument("--no-scaling", action="store_true", help="keep the last figure")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    given = parser.parse_args()
    if given.quick and given.out == FOLDER:
        parser.error("--quick: name a folder with --out, or its figures would replace real ones")
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / RESULTS
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {"rows": []}
    if not given.page:
        chosen = running.chosen(given.rows.split(",") if given.rows else [])
        print(f"measuring {len(chosen)} rows", flush=True)
        new = running.report(chosen, given.quick, given.repeats, _tell, with_scaling=not given.no_scaling)
        known = merged(known, new)
        results.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    if "scaling" in known:
        bench.draw(known["scaling"], given.out / FIGURE)
    before, _, rest = (FOLDER / PAGE).read_text(encoding="utf-8").partition(BEGIN)
    page = given.out / PAGE
    page.write_text(f"{before}{BEGIN}\n{markdown(known)}{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(f"wrote {page}")
    return 0


def _tell(share: float, doing: str = "") -> None:
    if doing:
        print(f"  {doing}", flush=True)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """New rows in place of old ones, in the order of the families; each row keeps the date of its own run."""
    for row in new["rows"]:
        row |= {"date": new["machine"]["date"]}
    rows = {row["name"]: row for row in (*old["rows"], *new["rows"])}
    order = [b.name for b in running.all_benchmarks()]
    return old | new | {"rows": [rows[name] for name in order if name in rows]}


def markdown(body: dict[str, Any]) -> str:
    """The machine, its limits, the table, the figure."""
    machine, limits = body["machine"], body["limits"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, {machine['system']}, Python"
        f" {machine['python']}; {versions}.",
        f"Measured in the last run: dgemm {limits['dgemm_multiply_adds_per_second'] / 1e9:.1f} and sgemm"
        f" {limits['sgemm_multiply_adds_per_second'] / 1e9:.1f} G multiply-adds/s, copying"
        f" {limits['copy_bytes_per_second'] / 1e9:.1f} GB/s.",
        "",
        "| work | target | measured | | load | date | remark |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in body["rows"]:
        verdict = row["verdict"] if row["verdict"] == "reached" else f"**{row['verdict']}**"
        cells = [
            row["work"], bench.target(row), bench.measured(row), verdict, f"{row['load']:.1f}", row["date"][:10],
            row["remark"],
        ]  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", "![Time of log Z against hidden units; block Gibbs against chains](scaling.png)", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
