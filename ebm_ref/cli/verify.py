"""``ebm-ref verify``: the package against the exact answers, or, with --target, anybody's sampler against the oracle."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import click

from ebm_ref.cli.inputs import emit
from ebm_ref.progress import track

PROFILES = ("smoke", "ci", "nightly", "certify")
STUDY_SHARE = 30.0  # of the progress bar, in checks


@click.command()
@click.option(
    "--out", default="ebm-ref-report", show_default=True, help="Folder for report.html, report.json, report.xml."
)
@click.option(
    "--profile", type=click.Choice(PROFILES), default="ci", show_default=True, help="How small effects are seen."
)
@click.option("--seed", default=0, show_default=True, help="Seed of every random number.")
@click.option("--epochs", default=None, type=int, help="Epochs of the study on digits  [default: 100]")
@click.option(
    "--target", metavar="FILE.py:STEP", help="Check this step(states, seed) -> states instead of the package."
)
@click.option("--case", "case_name", default="rbm_3x3", show_default=True, help="With --target: a case, or all.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def verify(
    out: str,
    profile: str,
    seed: int,
    epochs: int | None,
    target: str | None,
    case_name: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Check the package against exact answers, and write a report to look at.

    Trains an RBM on the hand-written digits by the exact gradient, CD-1, CD-10 and PCD, and compares every formula,
    log Z route, kernel and update of the package with the oracle on small models.  With --target, the judge is turned
    on your own sampler.

    Exit status: 0 everything holds, 1 something does not.
    """
    if target is not None:
        return verify_target(target, case_name, profile, seed, Path(out), as_json, quiet)
    return verify_package(Path(out), profile, seed, epochs, as_json, quiet)


def verify_package(folder: Path, profile: str, seed: int, epochs: int | None, as_json: bool, quiet: bool) -> int:
    """The main job."""
    from ebm_ref.cli.report import write_report
    from ebm_ref.cli.self_check import self_checks
    from ebm_ref.cli.study import N_EPOCHS, run_study, study_report

    began = time.perf_counter()
    checks = list(self_checks(profile, seed))
    with track(STUDY_SHARE + len(checks), "verifying", enabled=not quiet) as bar:
        study = run_study(seed, epochs or N_EPOCHS, lambda share: bar(STUDY_SHARE * share))
        reports, seconds = [study_report(study, seed)], [sum(study.seconds.values())]
        for _, check in checks:
            start = time.perf_counter()
            reports.append(check())
            seconds.append(time.perf_counter() - start)
            bar(1)
    page = write_report(folder, study, reports, seconds, profile, seed)
    return _conclude(reports, page, time.perf_counter() - began, as_json)


def verify_target(
    target: str, case_name: str, profile: str, seed: int, folder: Path, as_json: bool, quiet: bool
) -> int:
    """Somebody's step on one case or on all of them."""
    from ebm_ref import oracle
    from ebm_ref.oracle.rendering import report_html, report_junit

    step = load_target(target)
    names = oracle.cases.NAMES if case_name == "all" else (case_name,)
    reports, began = [], time.perf_counter()
    with track(len(names), "checking", enabled=not quiet) as bar:
        for name in names:
            reports.append(oracle.check_kernel(step, oracle.cases.named(name), profile=profile, seed=seed))
            bar(1)
    if not as_json:
        for report in reports:
            click.echo(str(report))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(report_html(reports), encoding="utf-8")
    (folder / "report.xml").write_text(report_junit(reports), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps([json.loads(r.to_json()) for r in reports], indent=1))
    return _conclude(reports, folder / "report.html", time.perf_counter() - began, as_json)


def load_target(target: str) -> Any:
    """The callable that ``file.py:name`` names; the file's folder is importable while it is read."""
    import importlib.util

    file, _, name = target.rpartition(":")
    path = Path(file)
    if not name or path.suffix != ".py":
        raise click.UsageError(f"--target: expected FILE.py:NAME, for example my_sampler.py:step, got {target}")
    if not path.exists():
        raise click.UsageError(f"--target: there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise click.UsageError(f"--target: {path} could not be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    if not callable(getattr(module, name, None)):
        raise click.UsageError(f"--target: {path} has no function named {name}")
    return getattr(module, name)


def _conclude(reports: list, page: Path, seconds: float, as_json: bool) -> int:
    """Print the summary; the exit status."""
    failed = [report for report in reports if not report.passed]
    results = [result for report in reports for result in report.results]
    summary = {
        "verdict": "does not hold" if failed else "holds",
        "checks": f"{len(reports) - len(failed)} of {len(reports)} passed, {len(results)} tests",
        "false alarm": f"at most {math.fsum(r.false_alarm_bound for r in reports):.2g} for the whole run",
        "seconds": round(seconds, 1),
        "report": str(page),
    }
    if as_json:
        emit({**summary, "failed": [f"{r.subject} on {r.case}" for r in failed]}, True)
        return 1 if failed else 0
    for report in failed:
        click.echo(str(report))
    emit(summary, False)
    return 1 if failed else 0
