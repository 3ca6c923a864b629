"""Pilot, learn, compare.

Usage: python -m validation.deep_forms [--seeds 5] [--objective denoising] [--report]
What was done before is not repeated; --report writes from the runs that are done.
(writes validation/figures/deep_forms.png, .json and the tables in validation/DEEP_FORMS.md)
"""

from __future__ import annotations

import argparse
from typing import Any

from ebm_ref.progress import track
from validation.deep_forms.report import Runs, line, write
from validation.deep_forms.runs import FORMS, OBJECTIVES, anchors, done, piloted, run, setting_of


def learned(objective: str, seeds: int) -> None:
    """The pilot of every form, then the seeds one after another, so that all forms have as many."""
    chosen = {}
    with track(len(FORMS) * (1 + seeds), objective) as bar:
        for form in FORMS:
            pilot = piloted(objective, form)
            chosen[form] = setting_of(pilot[0])
            print("\n".join(line(each) for each in pilot), flush=True)
            bar(1)
        for seed in range(seeds):
            for form in FORMS:
                print(line(run(objective, form, chosen[form], OBJECTIVES[objective].epochs, seed)), flush=True)
                bar(1)


def main() -> None:
    """What is asked for, then the page."""
    parser = argparse.ArgumentParser(description="Forms of deep energies on equal terms.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--objective", choices=tuple(OBJECTIVES), help="one of the two; both by default")
    parser.add_argument("--report", action="store_true", help="the page, from the runs done")
    arguments = parser.parse_args()
    if not arguments.report:
        for objective in [arguments.objective] if arguments.objective else OBJECTIVES:
            learned(objective, arguments.seeds)
    runs: dict[str, Runs] = {}
    pilots: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for objective in OBJECTIVES:
        by_form, pilot = done(objective)
        if by_form:
            runs[objective], pilots[objective] = by_form, pilot
    write(runs, pilots, {objective: anchors(objective) for objective in runs})


if __name__ == "__main__":
    main()
