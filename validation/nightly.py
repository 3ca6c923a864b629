"""The package's own kernels in the nightly profile, on fresh seeds from the operating system.

discrete    every kernel (block Gibbs, Gibbs in three scans, Metropolis) of every small model of ``ebm-ref verify``
continuous  ULA, MALA, HMC, block Gibbs and Gibbs-Langevin without and with adjustment, tempered, clamped and in a box
            (``validation.continuous_kernels``)
2^20 transitions in the first stage of each test.  One check fails with probability <= 1e-6 if the kernel is right, so
one failure in a run of this script is a finding, never noise.  With m p-values in all, the smallest is near 1/m.
Usage: python -m validation.nightly [--kernels discrete|continuous] [--runs 20 | --seeds N [N ...]] [--more]
(writes validation/nightly.json and NIGHTLY.md; rows of kernels that are not run stay, with --more all rows do)
"""

import argparse
import json
import platform
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import ebm_ref
from ebm_ref import oracle
from ebm_ref.cli.commands import sampler_named
from ebm_ref.cli.self_check import case_of, kernels_of, models, step_of
from ebm_ref.oracle.results import Report
from ebm_ref.progress import track
from validation.continuous_kernels import subjects

HERE = Path(__file__).parent
PROFILE, SEED_BITS = "nightly", 48


Check = Callable[[str, int], Report]


def discrete() -> list[tuple[str, str, Check]]:
    """(model, kernel, check of a profile and seed)."""

    def check(name: str, model, kernel: str, profile: str, seed: int) -> Report:
        case = case_of(name, model, kernel)
        return oracle.check_kernel(step_of(sampler_named(kernel, model)), case, profile=profile, seed=seed)

    return [(name, kernel, partial(check, name, model, kernel)) for name, model in models() for kernel in
            kernels_of(model)]  # fmt: skip


def continuous() -> list[tuple[str, str, Check]]:
    """The same of the continuous kernels."""
    return [(subject.model, subject.kernel, subject.check) for subject in subjects()]


GROUPS: dict[str, Callable[[], list[tuple[str, str, Check]]]] = {"discrete": discrete, "continuous": continuous}


def row_of(group: str, name: str, kernel: str, check: Check, seed: int) -> dict:
    """One check: verdict, smallest p-value and its test, greatest log e-value, stages beyond the first, seconds."""
    began = time.perf_counter()
    report = check(PROFILE, seed)
    p_values = {r.test: r.p_value for r in report.results if r.p_value is not None}
    firsts = [r.details["stages"][0] for r in report.results if r.details.get("stages")]
    smallest = min(p_values, key=lambda test: p_values[test])
    return {
        "group": group, "model": name, "kernel": kernel, "seed": seed, "passed": report.passed,
        "smallest_p": p_values[smallest], "test": smallest, "first_stage_p": firsts,
        "seconds": round(time.perf_counter() - began, 2),
        "largest_log_e": max((r.log_e for r in report.results if r.log_e is not None), default=None),
        "later_stages": sum(len(r.details.get("stages", ())) - 1 for r in report.results if r.details.get("stages")),
        "transitions": sum(r.n for r in report.results if r.test not in ("S7", "S8")),
        "report": "" if report.passed else str(report),
    }  # fmt: skip


def summary(group: str, rows: list[dict]) -> list[str]:
    """A group in words, and its table, one line for each kernel of each model."""
    p_values = [p for row in rows for p in row["first_stage_p"]]
    failed = [row for row in rows if not row["passed"]]
    lines = [
        f"## {group.capitalize()} kernels",
        "",
        f"{len(rows)} checks of {len({(r['model'], r['kernel']) for r in rows})} kernels, {len(failed)} failed."
        f" {sum(r['transitions'] for r in rows):.3g} transitions. {len(p_values)} first-stage p-values: smallest"
        f" {min(p_values):.2g} (about {1 / len(p_values):.2g} is expected),"
        f" share at most .05: {np.mean(np.array(p_values) <= 0.05):.4f}; share that needed a second stage:"
        f" {sum(r['later_stages'] for r in rows) / len(p_values):.4f}.",
        f"The chance that any of the checks fails if all kernels are right is at most {1e-6 * len(rows):.2g}.",
        "",
        "| model | kernel | seeds | passed | smallest p (last stage) | greatest ln e | seconds, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, kernel in dict.fromkeys((r["model"], r["kernel"]) for r in rows):
        own = [r for r in rows if (r["model"], r["kernel"]) == (model, kernel)]
        least = min(own, key=lambda r: r["smallest_p"])
        evidence = [r["largest_log_e"] for r in own if r["largest_log_e"] is not None]
        lines.append(
            f"| {model} | {kernel} | {len(own)} | {sum(r['passed'] for r in own)} | {least['smallest_p']:.2g}"
            f" ({least['test']}) | {f'{max(evidence):.2g}' if evidence else '-'} |"
            f" {statistics.median(r['seconds'] for r in own):.1f} |"
        )
    return lines + [f"\n```\n{row['report']}\n```" for row in failed]


def page(rows: list[dict]) -> str:
    """Both groups."""
    lines = ["# Nightly profile, fresh seeds", "", "Seeds and all numbers: [nightly.json](nightly.json)."]
    for group in GROUPS:
        if own := [row for row in rows if row["group"] == group]:
            lines += ["", *summary(group, own)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run seed by seed, so that what is written at any time is complete for the seeds so far."""
    parser = argparse.ArgumentParser(description="Nightly checks of the package's kernels on fresh seeds.")
    parser.add_argument("--kernels", choices=tuple(GROUPS), nargs="+", default=list(GROUPS))
    parser.add_argument("--runs", type=int, default=20, help="fresh seeds for each kernel")
    parser.add_argument("--seeds", type=int, nargs="+", help="these seeds instead, to repeat a run")
    parser.add_argument("--more", action="store_true", help="beside the rows on record, for kernels that are unchanged")
    arguments = parser.parse_args()
    kernels = [(group, *kernel) for group in arguments.kernels for kernel in GROUPS[group]()]
    runs = len(arguments.seeds) if arguments.seeds else arguments.runs
    path = HERE / "nightly.json"
    known = json.loads(path.read_text())["rows"] if path.exists() else []
    kept, rows = [row for row in known if arguments.more or row["group"] not in arguments.kernels], []
    with track(runs * len(kernels), "nightly checks") as bar:
        for run in range(runs):
            for kernel in kernels:
                seed = arguments.seeds[run] if arguments.seeds else secrets.randbits(SEED_BITS)
                rows.append(row_of(*kernel, seed))
                bar(1)
            document = {"profile": PROFILE, "version": ebm_ref.__version__, "python": platform.python_version(),
                        "numpy": np.__version__, "rows": kept + rows}  # fmt: skip
            path.write_text(json.dumps(document, indent=1) + "\n")
            (HERE / "NIGHTLY.md").write_text(page(kept + rows))
    print(page(rows))
    return 0 if all(row["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
