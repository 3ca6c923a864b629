"""``ebm-ref verify`` turned on other people's work: --target (a function), --program, --samples (recorded states)."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
import numpy as np

from ebm_ref import files, oracle
from ebm_ref.cli.inputs import emit
from ebm_ref.cli.target_checks import CHECKS, candidate_for, default_check, is_maker, judged, require_fitting
from ebm_ref.errors import DomainError, EbmError
from ebm_ref.oracle import Report, adapters
from ebm_ref.oracle.cases import CONTINUOUS_NAMES, NAMES, NETWORK_NAMES, TABLE_NAMES, Case, named
from ebm_ref.oracle.rendering import report_html, report_json, report_junit
from ebm_ref.oracle.results import diagnosis_line
from ebm_ref.progress import track

STDOUT = "-"
MOST_IN_FULL = 3  # failed reports on a terminal; the page has all
CONTINUOUS_KERNELS = ("ula", "mala", "hmc", "gibbs_langevin", "gibbs_langevin_adjusted")  # without those of RBMs too
SAMPLING = ("iid", "every_step", "thinned", "unknown")
ROWS_A_CHECK = 3_500, 11  # rows of one check of right code: so many, and so often n0
FIRST_STAGE = {"smoke": 2**13, "ci": 2**17, "nightly": 2**20, "certify": 2**24}


@dataclass(frozen=True)
class Outputs:
    """Where results go: a folder with all three, or single files; ``json`` "-" prints."""

    folder: Path | None
    html: str | None
    junit: str | None
    json: str | None

    @property
    def as_json(self) -> bool:
        """True if machines read stdout."""
        return self.json == STDOUT

    def paths(self) -> dict[str, Path]:
        """kind -> path of every file to write."""
        found = {}
        if self.folder is not None:
            found = {kind: self.folder / f"report.{end}" for kind, end in
                     (("html", "html"), ("junit", "xml"), ("json", "json"))}  # fmt: skip
        asked = {"html": self.html, "junit": self.junit, "json": None if self.as_json else self.json}
        return found | {kind: Path(path) for kind, path in asked.items() if path}


@dataclass(frozen=True)
class Request:
    """What is judged, and how; ``words`` repeats it on the command line."""

    subject: str
    words: tuple[str, ...]
    cases: tuple[Case, ...]
    kernel: str | None
    profile: str
    seed: int
    tests: tuple[str, ...]
    quiet: bool
    check: str | None = None
    of: str | None = None

    def check_of(self, case: Any) -> str:
        """The check that was asked for, or that a case suggests; click.UsageError if other options do not fit it."""
        what = self.check or default_check(case)
        require_fitting(what, case, self.of, self.tests)
        return what

    def replay(self, case: str, what: str, test: str) -> str:
        """The line that repeats one test."""
        line = ["ebm-ref", "verify", *self.words, "--case", case]
        line += ["--kernel", self.kernel] if self.kernel else []
        line += ["--check", self.check] if self.check else []
        line += ["--of", self.of] if self.of else []
        line += ["--profile", self.profile, "--seed", str(self.seed)] if CHECKS[what].by_chance else []
        return shlex.join([*line, "--test", test] if CHECKS[what].of_steps else line)


def chosen_cases(name: str, kernel: str | None) -> tuple[Case, ...]:
    """One case, several with commas between them, or all that have the kernel."""
    if name != "all":
        return tuple(_case(part.strip(), kernel) for part in name.split(","))
    found = []
    for each in CONTINUOUS_NAMES if kernel in CONTINUOUS_KERNELS else NAMES:
        try:
            found.append(named(each, kernel))
        except DomainError:  # the kernel needs two layers
            continue
    return tuple(found)


def _case(name: str, kernel: str | None) -> Any:
    if name == "all":
        raise click.UsageError("--case: a file of samples has one case, got all")
    every = (*NAMES, *CONTINUOUS_NAMES, *TABLE_NAMES, *NETWORK_NAMES)
    if name in NETWORK_NAMES and kernel is not None:
        raise click.UsageError(f"--kernel: {name} is an energy, which has no kernel")
    if name not in every:
        near = get_close_matches(name, every, 1, cutoff=0.8)
        known = f"did you mean {near[0]}?" if near else f"expected all, or one of {', '.join(every)}"
        raise click.UsageError(f"--case: there is no case {name}; {known}")
    try:
        return named(name, kernel)
    except EbmError as error:
        raise click.UsageError(f"--kernel: {str(error).removeprefix('kernel: ')}") from None


# a step, a program ---------------------------------------------------------------------------------------------------


def verify_target(target: str, request: Request, outputs: Outputs) -> int:
    """A callable on its cases."""
    try:
        candidate = adapters.load_callable(target)
    except DomainError as error:
        raise click.UsageError(f"--{error}") from None

    @contextmanager
    def opened(case: Case) -> Iterator[tuple[Callable | None, str]]:
        made = candidate_for(candidate, request.check_of(case), case)
        yield made, "the target returned NotImplemented or None"

    status = verify_candidates(opened, request, outputs)
    if status and len(request.cases) > 1 and not is_maker(candidate, request.check_of(request.cases[0])):
        click.echo(f"{target} was the same for all models; a function of one argument, the case, may return one"
                   " for each, or NotImplemented", err=True)  # fmt: skip
    return status


def verify_program(command: str, timeout: float, request: Request, outputs: Outputs) -> int:
    """A program over JSON lines, started anew for each case."""

    if any(case.name not in NAMES for case in request.cases):
        raise click.UsageError("--program: programs are judged on models of binary units; use --target")

    @contextmanager
    def opened(case: Case) -> Iterator[tuple[Callable | None, str]]:
        try:
            program = adapters.Program(command, case, timeout=timeout)
        except (DomainError, ValueError) as error:
            raise click.UsageError(f"--program: {str(error).removeprefix('program: ')}") from None
        with closing(program):
            reason = program.unsupported()
            yield None if reason is not None else program, f"the program declined: {reason}"

    return verify_candidates(opened, request, outputs)


def verify_candidates(opened: Callable, request: Request, outputs: Outputs) -> int:
    """The check on each case, with a bar that counts the rows of a step."""
    fixed, times = ROWS_A_CHECK
    share = fixed + times * FIRST_STAGE[request.profile]
    reports, skipped, began = [], {}, time.perf_counter()
    with track(share * len(request.cases), "checking", enabled=not request.quiet) as bar:
        for case in request.cases:
            with opened(case) as (candidate, reason):
                if candidate is None:
                    skipped[case.name] = reason
                    bar(share)
                    continue
                what, meter = request.check_of(case), Meter(candidate, bar, share)
                report = judged(
                    meter if CHECKS[what].of_steps else candidate,
                    case, what, request.of, request.profile, request.seed, request.tests,
                )  # fmt: skip
            reports.append(for_the_shell(report, what, request))
            bar(share - meter.shown)
    if not reports:
        raise click.UsageError("--case: nothing to judge; " + "; ".join(f"{n}: {r}" for n, r in skipped.items()))
    return conclude(reports, outputs, time.perf_counter() - began, skipped)


class Meter:
    """A step that moves a progress bar."""

    def __init__(self, step: Callable, bar: Callable[[float], None], most: float) -> None:
        self.step, self.bar, self.most, self.shown = step, bar, most, 0.0

    def __call__(self, states: np.ndarray, seed: int) -> Any:
        new = self.step(states, seed)
        rows = min(len(states), 0.98 * self.most - self.shown)
        if rows > 0:
            self.shown += rows
            self.bar(rows)
        return new


def for_the_shell(report: Report, what: str, request: Request) -> Report:
    """The report under the user's name for the subject, with replays as command lines."""
    lines = (request.replay(report.case, what, r.test) if r.replay else "" for r in report.results)
    results = tuple(replace(r, replay=line) for r, line in zip(report.results, lines, strict=True))
    return replace(report, subject=request.subject, results=results)


# recorded states -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    """What the command line says about a file; None where it says nothing."""

    path: str
    case: str | None
    kernel: str | None
    sampling: str | None
    thin: int | None
    effect: float
    seed: int


@dataclass(frozen=True)
class Device:
    """What is known of a device beside its file: the tolerance of H5, and the runs for H2 and H4 gauge."""

    tolerance: float | None = None
    scaled: tuple[str, float] | None = None
    gauged: tuple[str, str] | None = None

    def words(self) -> list[str]:
        """These options on a command line."""
        found = ["--device"]
        found += ["--tolerance", f"{self.tolerance:g}"] if self.tolerance else []
        found += ["--scaled", self.scaled[0], f"{self.scaled[1]:g}"] if self.scaled else []
        return found + (["--gauged", *self.gauged] if self.gauged else [])

    def check(self, states: np.ndarray, case: Case, sampling: str, said: Recording) -> Report:
        """``check_device`` with what the files hold."""
        scaled = gauged = None
        if self.scaled is not None:
            scaled = (adapters.read_samples(self.scaled[0]).states, self.scaled[1])
        if self.gauged is not None:
            path, signs = self.gauged
            if len(signs) != case.n_units or set(signs) - {"+", "-"}:
                raise click.UsageError(f"--gauged: expected {case.n_units} signs + or -, got {signs}")
            gauged = (adapters.read_samples(path).states, np.array([1.0 if s == "+" else -1.0 for s in signs]))
        return oracle.check_device(
            states, case, sampling=sampling, tolerance=self.tolerance, scaled=scaled, gauged=gauged,
            effect=said.effect, seed=said.seed,
        )  # fmt: skip


def verify_samples(said: Recording, outputs: Outputs, quiet: bool, device: Device | None = None) -> int:
    """A file of states.  What the command line leaves out, the file's ``meta`` may say."""
    began = time.perf_counter()
    with track(None, "checking", enabled=not quiet):
        found = adapters.read_samples(said.path)
        case = _case(str(said.case or found.meta.get("case", "rbm_3x3")), said.kernel or found.meta.get("kernel"))
        if case.name in (*CONTINUOUS_NAMES, *NETWORK_NAMES):
            raise click.UsageError("--samples: files are judged on models of binary units")
        sampling, thin = how_sampled(said, found) if device is None else device_sampling(said, found)
        try:
            if device is not None:
                report = device.check(found.states, case, sampling, said)
            else:
                report = oracle.check_samples(
                    found.states, case, sampling, thin=thin, effect=said.effect, seed=said.seed
                )  # fmt: skip
        except DomainError as error:
            raise click.UsageError(str(error)) from None
    chains, draws, _ = found.states.shape
    how = f"thinned by {thin}" if sampling == "thinned" else sampling.replace("_", " ")
    subject = f"{said.path} ({chains} chain{'s' if chains > 1 else ''} of {draws} draws, {how})"
    line = ["ebm-ref", "verify", "--samples", said.path, "--case", case.name, "--sampling", sampling]
    line += ["--kernel", case.kernel] if case.kernel != named(case.name).kernel else []
    line += ["--thin", str(thin)] if thin > 1 else []
    line += device.words() if device is not None else []
    line += ["--effect", f"{said.effect:g}", "--seed", str(said.seed)]
    results = tuple(replace(r, replay=shlex.join(line)) for r in report.results)
    return conclude([replace(report, subject=subject, results=results)], outputs, time.perf_counter() - began, {})


def device_sampling(said: Recording, found: adapters.SampleFile) -> tuple[str, int]:
    """(sampling, 1): draws of a device are independent, or of unknown dependence, which is what is taken if unsaid."""
    sampling = said.sampling or found.meta.get("sampling") or "unknown"
    if sampling not in ("iid", "unknown"):
        raise click.UsageError(f"--sampling: a device's draws are iid or unknown, got {sampling}")
    return sampling, 1


def how_sampled(said: Recording, found: adapters.SampleFile) -> tuple[str, int]:
    """(sampling, thin) from the command line, else from the file, else independent draws."""
    thin = found.meta.get("thin", 1) if said.thin is None else said.thin
    if not isinstance(thin, int) or thin < 1:
        raise DomainError(f"{said.path}: expected meta thin to be an integer of at least 1, got {thin!r}")
    sampling = said.sampling or found.meta.get("sampling")
    if sampling is None and found.meta.get("kind") == "Chain":
        raise click.UsageError(
            f"--sampling: {said.path} holds chains; say --sampling every_step if each step was kept, --sampling thinned"
            " --thin T if every T-th was"
        )
    if sampling is None:
        sampling = "iid" if thin == 1 else "thinned"
    if sampling not in SAMPLING:
        raise DomainError(f"{said.path}: expected meta sampling to be one of {', '.join(SAMPLING)}, got {sampling!r}")
    return sampling, thin


# the end -------------------------------------------------------------------------------------------------------------


def brief(report: Report) -> str:
    """A failure among many: what failed, what it looks like, the line that shows it in full."""
    lines = [f"FAIL  {report.subject} on {report.case}"]
    lines += [f"    {r.test}: {r.message}" for r in report.failures[:1]]
    lines += [f"    {diagnosis_line(d)}" for d in report.diagnosis[:1]]
    return "\n".join([*lines, *(f"    replay: {r.replay}" for r in report.failures[:1])])


def conclude(reports: list[Report], outputs: Outputs, seconds: float, skipped: dict[str, str]) -> int:
    """Write the files, print the summary; the exit status."""
    failed = [report for report in reports if not report.passed]
    paths = outputs.paths()
    results = [result for report in reports for result in report.results if result.verdict != "skip"]
    summary: dict[str, Any] = {
        "verdict": "does not hold" if failed else "holds",
        "checks": f"{len(reports) - len(failed)} of {len(reports)} passed, {len(results)} tests",
        "false alarm": f"at most {math.fsum(r.false_alarm_bound for r in reports):.2g} for the whole run",
        "seconds": round(seconds, 1),
    }
    whole = {"format": "ebm-ref-verify/1", "passed": not failed, "skipped": skipped,
             "reports": [json.loads(report_json(r)) for r in reports]}  # fmt: skip
    texts = {"html": lambda: report_html(reports), "junit": lambda: report_junit(reports),
             "json": lambda: json.dumps(whole, indent=1)}  # fmt: skip
    for kind, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, texts[kind]().encode())
    if outputs.as_json:
        emit({**summary, **whole}, True)
        return 1 if failed else 0
    for report in reports:
        if report.passed and len(reports) > 1:
            click.echo(f"PASS  {report.subject} on {report.case}")
        else:
            click.echo(brief(report) if len(failed) > MOST_IN_FULL else f"{report}\n")
    for name, reason in skipped.items():
        click.echo(f"skip  {name}: {reason}")
    if len(reports) > 1 or skipped:
        click.echo("")
    shown = next(iter(paths.values()), None)
    emit(summary | ({"report": str(shown)} if shown else {}), False)
    return 1 if failed else 0
