"""``python -m validation.peers [--seed N] [--only NAME ...] [--out FOLDER]``: measure every peer, write the page."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from validation.peers import table

MODULES = (
    "sklearn_rbm",
    "thrml_gibbs",
    "blackjax_chains",
    "torchebm_langevin",
    "torch_rbm",
    "jax_rbm",
    "deep_energies",
)


def rows_of(module: str, seed: int) -> list[table.Row]:
    """The rows of one file; a package that is missing or broken gives one "not run" row."""
    try:
        return importlib.import_module(f"validation.peers.{module}").rows(seed)
    except Exception as error:  # an import can fail in any way
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        return [table.Row(module, "-", "import", "not run", remark=why)]


def main() -> int:
    """Measure, print one line a peer, write the page.  Exit status 0 also with deviations: they are results."""
    parser = argparse.ArgumentParser(prog="python -m validation.peers", description="conformance of real peers")
    parser.add_argument("--seed", type=int, default=0, help="all randomness follows from it")
    parser.add_argument("--only", nargs="*", default=MODULES, choices=MODULES, help="some of the peers")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for RESULTS.md, results.json")
    given = parser.parse_args()
    start, rows = time.perf_counter(), []
    for k, module in enumerate(given.only):
        print(f"[{k + 1}/{len(given.only)}] {module} ...", end=" ", flush=True)
        began = time.perf_counter()
        found = rows_of(module, given.seed)
        counts = ", ".join(f"{n} {v}" for v in table.VERDICTS if (n := sum(r.verdict == v for r in found)))
        print(f"{counts} ({time.perf_counter() - began:.0f} s)", flush=True)
        rows += found
    given.out.mkdir(parents=True, exist_ok=True)
    table.write(rows, given.out, given.seed, time.perf_counter() - start)
    print(f"wrote {given.out / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
