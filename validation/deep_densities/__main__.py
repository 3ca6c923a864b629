"""Learn, measure, draw.

Usage: python -m validation.deep_densities [--seeds 3] [--jobs 2] [--report]
What was done before is not repeated; --report writes from the runs that are done.
(writes validation/figures/deep_densities.png, .json and the table in validation/DEEP_DENSITIES.md)
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from ebm_ref.progress import track
from validation.deep_densities.report import line, write
from validation.deep_densities.runs import LAWS, METHODS, anchors, kept, run


def main() -> None:
    """Every method on every density."""
    parser = argparse.ArgumentParser(description="Deep energies in the plane.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="the page, from the runs done")
    arguments = parser.parse_args()
    work = [(law, who, seed) for seed in range(arguments.seeds) for who in METHODS for law in LAWS]
    if arguments.report:
        write([row for what in work if (row := kept(*what)) is not None], anchors())
        return
    rows = []
    with (
        track(len(work), "runs") as bar,
        ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool,
    ):
        for job in as_completed([pool.submit(run, *what) for what in work]):
            rows.append(job.result())
            print(line(rows[-1]), flush=True)
            bar(1)
    write(rows, anchors())


if __name__ == "__main__":
    main()
