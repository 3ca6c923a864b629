"""See the package."""

from __future__ import annotations

import click

from validation.five_samplers.pilot import pilot
from validation.five_samplers.report import DATA, SIDES, write
from validation.five_samplers.runs import STEP_SIZES, TITLES, run


@click.command()
@click.option("--data", type=click.Choice(DATA), multiple=True, help="One or more; all by default.")
@click.option("--size", type=click.Choice([str(side) for side in SIDES]), multiple=True, help="14 or 28; both.")
@click.option("--sampler", type=click.Choice(list(TITLES)), multiple=True, help="One or more; all by default.")
@click.option("--pilot", "only_pilot", is_flag=True, help="Only the search for step sizes.")
@click.option("--report", "only_report", is_flag=True, help="Only the page and the figure, from the runs done.")
def main(
    data: tuple[str, ...], size: tuple[str, ...], sampler: tuple[str, ...], only_pilot: bool, only_report: bool
) -> None:
    """Train with each sampler, measure, report.  A run that was killed carries on; one that is done is not repeated."""
    if only_pilot:
        pilot(sampler or tuple(STEP_SIZES))
        return
    for name in () if only_report else data or DATA:
        for side in [int(s) for s in size] or SIDES:
            for kind in sampler or TITLES:
                r = run(name, side, kind)
                print(
                    f"{name:14} {side} {TITLES[kind]:26} Frechet {r['frechet']:8.2f}  log-likelihood"
                    f" {r['log_likelihood']:9.1f}  accepted {r['accepted']:.2f}  {r['training_seconds'] or 0:.0f} s",
                    flush=True,
                )
    if not (data or size or sampler):
        write()


if __name__ == "__main__":
    main()
