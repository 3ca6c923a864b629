"""``ebm-ref verify``: the package against exact answers, or anybody's step, program or samples against the oracle."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ebm_ref.cli.inputs import as_record, emit, quiet_option, seed_option
from ebm_ref.progress import track

if TYPE_CHECKING:
    from ebm_ref.cli.targets import Outputs

PROFILES = ("smoke", "ci", "nightly", "certify")
KERNELS = ("block_gibbs", "gibbs", "gibbs_random", "gibbs_palindromic", "metropolis", "ula", "mala", "hmc",
           "gibbs_langevin", "gibbs_langevin_adjusted", "metropolis_sweep", "tempering", "swap",
           "swap_even_odd")  # fmt: skip
FOLDER = "ebm-ref-report"
STUDY_SHARE = 30.0  # of the progress bar, in checks
EVERY = ("--target", "--program", "--samples")
OWNERS: dict[str, tuple[str, ...]] = {
    "--case": EVERY, "--kernel": EVERY, "--check": ("--target",), "--of": ("--target",),
    "--test": ("--target", "--program"), "--timeout": ("--program",), "--sampling": ("--samples",),
    "--thin": ("--samples",), "--effect": ("--samples",), "--device": ("--samples",), "--epochs": (),
}  # of the options: what must be given for them to mean something, nothing at all for the last  # fmt: skip
CHECKS = ("kernel", "invariance", "reversibility", "ula", "chains", "acceptance", "persistent", "update", "fixed_point",
          "given_uniforms", "transition_matrix", "free_energy", "conditionals", "log_partition", "energy", "gradient",
          "pseudo_likelihood")  # fmt: skip
file_path = click.Path(dir_okay=False)


@dataclass(frozen=True)
class Asked:
    """The command line; None where it says nothing."""

    target: str | None
    program: str | None
    samples: str | None
    case: str | None
    kernel: str | None
    check: str | None
    of: str | None
    profile: str
    seed: int
    tests: tuple[str, ...]
    timeout: float | None
    sampling: str | None
    thin: int | None
    device: bool
    tolerance: float | None
    scaled: tuple[str, float] | None
    gauged: tuple[str, str] | None
    effect: float | None
    epochs: int | None
    out: str | None
    html: str | None
    junit: str | None
    json_to: str | None
    quiet: bool

    def subject(self) -> tuple[str, str] | None:
        """--target, --program or --samples with its value; refuses two, and options that mean nothing here."""
        subjects = {"--target": self.target, "--program": self.program, "--samples": self.samples}
        given = [(name, value) for name, value in subjects.items() if value is not None]
        if len(given) > 1:
            raise click.UsageError(f"expected one of {', '.join(subjects)}, got {' and '.join(n for n, _ in given)}")
        names = {name for name, _ in given}
        for name, owners in OWNERS.items():
            field = "tests" if name == "--test" else name.removeprefix("--")
            if getattr(self, field) and not (names & set(owners) if owners else not given):
                needs = f"it needs {' or '.join(owners)}" if owners else "it belongs to the package's own study"
                raise click.UsageError(f"{name}: {needs}")
        if (self.tolerance or self.scaled or self.gauged) and not self.device:
            needs = "--device" if self.samples else "--samples and --device"
            raise click.UsageError(f"--tolerance, --scaled, --gauged: they need {needs}")
        return given[0] if given else None

    def outputs(self) -> Outputs:
        """Where results go."""
        from ebm_ref.cli.targets import Outputs

        single = self.html or self.junit or (self.json_to and self.json_to != "-")
        folder = Path(self.out or FOLDER) if self.out or not single else None
        return Outputs(folder, self.html, self.junit, self.json_to)


@click.command()
@click.option(
    "--target",
    metavar="FILE.py:STEP",
    help="Judge this step(states, seed) -> states, or what --check says, or this function of a case that returns one.",
)
@click.option(
    "--program",
    metavar="COMMAND",
    help="Judge a program that speaks JSON lines on stdin and stdout, as ebm_ref.oracle.adapters.program says.",
)
@click.option(
    "--samples",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Judge recorded states: .npz, .npy, .csv or .parquet.",
)
@click.option(
    "--case", metavar="NAME|all", help="The model to judge against, or several with commas  [default: rbm_3x3]"
)
@click.option("--kernel", type=click.Choice(KERNELS), help="The kernel that is claimed  [default: the case's own]")
@click.option(
    "--check",
    metavar="WHAT",
    type=click.Choice(CHECKS),
    help=f"What the target is judged as: {', '.join(CHECKS)}  [default: kernel; energy if the case is a network]",
)
@click.option(
    "--of",
    type=click.Choice(["energy", "log_likelihood", "state", "value", "gradient"]),
    help="Of --check gradient: by the parameters (energy, log_likelihood) or by the state; of pseudo_likelihood: value"
    " or gradient.  [default: what the arguments say; value]",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="ci",
    show_default=True,
    help="How small effects are seen: 2^13, 2^17, 2^20 or 2^24 transitions.",
)
@seed_option
@click.option("--test", "tests", metavar="ID", multiple=True, help="Only this test (a replay); may be repeated.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds a program may take for one answer  [default: 60]",
)
@click.option(
    "--sampling",
    type=click.Choice(["iid", "every_step", "thinned", "unknown"]),
    help="How states were recorded  [default: what the file says, else iid]",
)
@click.option("--thin", metavar="T", type=click.IntRange(min=1), help="Steps between two recorded states.")
@click.option(
    "--device",
    is_flag=True,
    help="The file is of a device that claims a Boltzmann law at any temperature: equal energies, fitted temperature,"
    " total variation (H1-H5).",
)
@click.option(
    "--tolerance",
    metavar="D",
    type=click.FloatRange(min=0, min_open=True),
    help="Of a device: the total variation to the declared law that is allowed.",
)
@click.option(
    "--scaled",
    type=(click.Path(exists=True, dir_okay=False), float),
    metavar="FILE C",
    help="Of a device: a second run with all parameters multiplied by C (two temperatures).",
)
@click.option(
    "--gauged",
    type=(click.Path(exists=True, dir_okay=False), str),
    metavar="FILE SIGNS",
    help="Of a device: a second run with fields h_i g_i and couplings J_ij g_i g_j; SIGNS such as +-+--.",
)
@click.option(
    "--effect",
    metavar="D",
    type=click.FloatRange(min=0, min_open=True),
    help="The chi-square distance that a file must be able to show  [default: 0.2]",
)
@click.option(
    "--epochs", metavar="N", type=click.IntRange(min=1), help="Of the package's own study on digits  [default: 60]"
)
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    help=f"Folder for report.html, report.json, report.xml  [default: {FOLDER}, unless single files are asked for]",
)
@click.option("--html", type=file_path, help="Write the HTML page here.")
@click.option("--junit", type=file_path, help="Write JUnit XML here, for a CI server.")
@click.option(
    "--json",
    "json_to",
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Print JSON, or write it to FILE.",
)
@quiet_option
@as_record(Asked)
def verify(asked: Asked) -> int:
    """Check the package against exact answers, or somebody's code against the oracle; write a report to look at.

    By itself: trains an RBM on the hand-written digits by the exact gradient, CD-1, CD-10 and PCD, and compares every
    formula, log Z route, kernel, update and deep energy of the package with the oracle on small models.

    With --target, --program or --samples the judge is turned on your own sampler:

    \b
      ebm-ref verify --target examples/my_sampler.py:step --case rbm_3x3
      ebm-ref verify --program './my_sampler --fast' --case all --html out.html
      ebm-ref verify --samples draws.npz --case ising_5_chord --sampling iid
      ebm-ref verify --samples chip.npz --case ising_5_chord --device --tolerance 0.05

    A target may be another function than a step. --check says which; ebm_ref.oracle.check_WHAT says what it asks:

    \b
      ebm-ref verify --target mine.py:energy --case mlp_inner              E(x) of a network, rows x
      ebm-ref verify --target mine.py:score --case unet_inner --check gradient --of state
      ebm-ref verify --target mine.py:log_pl --case boltzmann_4 --check pseudo_likelihood
      ebm-ref verify --target mine.py:make --case rbm_3x3,rbm_4x2 --check conditionals

    The last, like any function whose one argument is named case, returns what is judged on each case.

    Exit status: 0 everything holds, 1 something does not, 2 wrong use, 3 too little data to tell.
    """
    given = asked.subject()
    from ebm_ref.cli import targets

    outputs = asked.outputs()
    if given is None:
        folder = Path(asked.out or FOLDER)
        return verify_package(folder, asked.profile, asked.seed, asked.epochs, outputs, asked.quiet)
    name, subject = given
    if asked.samples is not None:
        recording = targets.Recording(
            asked.samples, asked.case, asked.kernel, asked.sampling, asked.thin, asked.effect or 0.2, asked.seed
        )
        extras = targets.Device(asked.tolerance, asked.scaled, asked.gauged) if asked.device else None
        return targets.verify_samples(recording, outputs, asked.quiet, extras)
    chosen = targets.chosen_cases(asked.case or "rbm_3x3", asked.kernel)
    request = targets.Request(
        subject, (name, subject), chosen, asked.kernel, asked.profile, asked.seed, asked.tests, asked.quiet,
        asked.check, asked.of,
    )  # fmt: skip
    if asked.program is not None:
        return targets.verify_program(subject, asked.timeout or 60.0, request, outputs)
    return targets.verify_target(subject, request, outputs)


def verify_package(folder: Path, profile: str, seed: int, epochs: int | None, outputs: Outputs, quiet: bool) -> int:
    """The main job."""
    from ebm_ref.cli.report import write_report
    from ebm_ref.cli.self_check import self_checks
    from ebm_ref.cli.study import N_EPOCHS, run_study, study_report

    began = time.perf_counter()
    with track(None, "compiling, the first time only", enabled=not quiet):
        checks = list(self_checks(profile, seed))
    with track(STUDY_SHARE + len(checks) + 1, "training", enabled=not quiet) as bar:
        study = run_study(epochs or N_EPOCHS, lambda share, doing: bar(STUDY_SHARE * share, doing))
        bar(0, "checking against the oracle")
        reports, seconds = [study_report(study, seed)], [sum(study.seconds.values())]
        for check in checks:
            start = time.perf_counter()
            reports.append(check())
            seconds.append(time.perf_counter() - start)
            bar(1)
        bar(0, "drawing the report")
        page = write_report(folder, study, reports, seconds, profile, seed)
    for kind, path in outputs.paths().items():
        own = folder / {"html": "report.html", "junit": "report.xml", "json": "report.json"}[kind]
        if path != own:
            shutil.copyfile(own, path)
    return _conclude(reports, page, time.perf_counter() - began, outputs.as_json)


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
