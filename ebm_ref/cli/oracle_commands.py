"""``ebm-ref vectors write | verify`` and ``ebm-ref zoo``: golden vectors, and the audit of the tests themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import click

from ebm_ref.cli.inputs import emit, json_option, of_random_work, quiet_option
from ebm_ref.cli.verify import PROFILES, file_path
from ebm_ref.cli.zoo_matrix import KINDS, Row, table, write_matrix
from ebm_ref.progress import track

BATCH = 20  # audits that one process does in a row
UPDATE_ROWS = (5, 6, 5, 3)  # visible states by number: the batch on which wrong updates are audited

# golden vectors ------------------------------------------------------------------------------------------------------


@click.group()
def vectors() -> None:
    """Golden vectors: exact inputs and 30-digit answers in JSON, for implementations in any language."""


@vectors.command("write")
@click.argument("folder", type=click.Path(file_okay=False))
@json_option
@quiet_option
def write_vectors(folder: str, as_json: bool, quiet: bool) -> int:
    """Compute all golden vectors at 60 digits, by two routes, and write them with their schemas into FOLDER."""
    from ebm_ref.oracle import vectors as golden

    began = time.perf_counter()
    with track(None, "computing at 60 digits", enabled=not quiet):
        paths = golden.write(folder)
    counts = {path.name: json.loads(path.read_text(encoding="utf-8"))["numberOfTests"] for path in paths}
    emit({"folder": folder, **counts, "seconds": round(time.perf_counter() - began, 1)}, as_json)
    return 0


@vectors.command("verify")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--adapter", required=True, metavar="FILE.py:FUNCTION", help="adapter(quantity, model, input) -> answer,"
              " NotImplemented for a quantity that it does not have.")  # fmt: skip
@click.option("--html", type=file_path, help="Write the HTML page here.")
@click.option("--junit", type=file_path, help="Write JUnit XML here.")
@json_option
def verify_vectors(folder: str | None, adapter: str, html: str | None, junit: str | None, as_json: bool) -> int:
    """Run an implementation over the golden vectors in FOLDER, by default those that come with the package.

    Exit status: 0 all are right, 1 some are wrong, 2 wrong use, 3 the adapter implements none of the quantities.
    """
    from ebm_ref.errors import DomainError, InsufficientDataError
    from ebm_ref.oracle import vectors as golden
    from ebm_ref.oracle.adapters import load_callable

    try:
        candidate = load_callable(adapter)
    except DomainError as error:
        raise click.UsageError(f"--adapter: {str(error).removeprefix('target: ')}") from None
    report = replace(golden.verify(folder or golden.SHIPPED, candidate), subject=adapter)
    if not any(result.verdict != "skip" for result in report.results):
        raise InsufficientDataError(f"--adapter: {adapter} returned NotImplemented for every quantity; implement one")
    if html:
        report.to_html(html)
    if junit:
        report.to_junit(junit)
    click.echo(report.to_json() if as_json else str(report))
    return 0 if report.passed else 1


# the zoo -------------------------------------------------------------------------------------------------------------


def kernel_row(id: str, profile: str, seed: int, every_test: bool) -> Row:
    """One wrong kernel."""
    from ebm_ref.oracle import zoo

    bug = zoo.bug(id)
    found = zoo.audit_bug(bug, profile, seed, matrix=every_test)
    return row_of("kernel", bug, found.killed_by, found.survived, found.named, found.report)


def update_row(id: str, profile: str, seed: int, every_test: bool) -> Row:
    """One wrong learning update."""
    from ebm_ref.oracle import zoo_learning
    from ebm_ref.oracle.checks_learning import update_report

    bug = zoo_learning.learning_bug(id)
    case = bug.fixture()
    rows = case.states[list(UPDATE_ROWS), : case.n_visible]
    start = rows[::-1] if bug.start == "particles" else None
    report = update_report(
        bug.update(),
        case,
        rows,
        bug.k,
        start=start,
        profile=profile,
        seed=seed,
        thorough=every_test,
        foregone=True,
    )
    killed = tuple(dict.fromkeys(r.test for r in report.failures))
    survived = tuple(r.test for r in report.results if r.verdict == "pass")
    best = report.diagnosis[0] if report.diagnosis else None
    same = best is not None and (id in best.mistake.split(", ") or id[:2] == best.mistake[:2] == "k_")  # another k
    named = same and best is not None and best.explained
    return row_of("update", bug, killed, survived, named, report)


def annealing_row(id: str, profile: str, seed: int, every_test: bool) -> Row:
    """One wrong annealed importance sampler; its tests always run together."""
    from ebm_ref.oracle import zoo_annealing

    bug = next(bug for bug in zoo_annealing.ANNEALING_BUGS if bug.id == id)
    report = bug.audit(profile, seed)
    killed = tuple(dict.fromkeys(r.test for r in report.failures))
    survived = tuple(r.test for r in report.results if r.verdict == "pass")
    best = report.diagnosis[0] if report.diagnosis else None
    named = best is not None and best.explained and id in best.mistake.split(", ")
    return row_of("annealing", bug, killed, survived, named, report)


def continuous_row(id: str, profile: str, seed: int, every_test: bool) -> Row:
    """One wrong Langevin, Hamiltonian or Gaussian-Bernoulli step."""
    from ebm_ref.oracle import zoo

    bug = next(bug for bug in zoo.CONTINUOUS_BUGS if bug.id == id)
    report = bug.audit(profile, seed, every_test)
    killed = tuple(dict.fromkeys(r.test for r in report.failures))
    survived = tuple(r.test for r in report.results if r.verdict == "pass")
    return row_of("continuous", bug, killed, survived, bug.named_by(report), report)


def deep_row(id: str, profile: str, seed: int, every_test: bool) -> Row:
    """One wrong deep energy, derivative, loss or move; its tests are exact and always run together."""
    from ebm_ref.oracle.deep.zoo import deep_bug

    bug = deep_bug(id)
    report = bug.audit()
    killed = tuple(dict.fromkeys(r.test for r in report.failures))
    survived = tuple(r.test for r in report.results if r.verdict == "pass")
    return row_of("deep", bug, killed, survived, bug.named_by(report), report)


def row_of(kind: str, bug: Any, killed: Sequence[str], survived: Sequence[str], named: bool, report: Any) -> Row:
    """What became of one bug, in plain words and lists that travel between processes."""
    said = report.diagnosis[0].description if report.diagnosis else ""
    return {
        "kind": kind, "id": bug.id, "number": bug.number, "description": bug.description, "case": bug.case,
        "killed_by": list(killed), "passed": list(survived), "named": bool(named), "diagnosis": said,
        "expected": list(bug.killed_by), "report": str(report),
    }  # fmt: skip


def correct_row(name: str, kernel: str, profile: str, seed: int) -> Row:
    """The right kernel of a fixture: it must live."""
    from ebm_ref.oracle import cases, check_kernel, check_ula, zoo
    from ebm_ref.oracle.continuous.recipe import reference_step

    case: Any = cases.named(name, kernel)
    if name in cases.CONTINUOUS_NAMES:
        check: Any = check_ula if kernel == "ula" else check_kernel
        report = check(reference_step(case), case, profile=profile, seed=seed)
    else:
        report = check_kernel(zoo.reference_step(case), case, profile=profile, seed=seed)
    return {
        "kind": "correct", "id": f"{kernel} on {name}", "number": 0, "description": "correct", "case": name,
        "killed_by": [r.test for r in report.failures], "passed": [r.test for r in report.results], "named": False,
        "diagnosis": "", "expected": [], "report": str(report),
    }  # fmt: skip


class Piece(NamedTuple):
    """One audit: function(*arguments) -> Row, and the fixture, whose exact laws it shares with other pieces."""

    function: Callable[..., Row]
    arguments: tuple
    fixture: tuple


def planned_work(profile: str, seed: int, ids: Sequence[str], every_test: bool) -> tuple[list[Piece], list[str]]:
    """Each audit, and the ids that need a larger profile."""
    from ebm_ref.oracle import zoo, zoo_annealing, zoo_learning
    from ebm_ref.oracle.deep.zoo import DEEP_BUGS

    zoos: tuple[tuple[Any, Sequence[Any]], ...] = (
        (kernel_row, zoo.BUGS),
        (update_row, zoo_learning.LEARNING_BUGS),
        (annealing_row, zoo_annealing.ANNEALING_BUGS),
        (continuous_row, zoo.CONTINUOUS_BUGS),
        (deep_row, DEEP_BUGS),
    )
    known = {bug.id for _, bugs in zoos for bug in bugs}
    if unknown := [id for id in ids if id not in known]:
        raise click.UsageError(f"--bug: there is no bug {unknown[0]}; ebm-ref zoo --list shows all")
    work: list[Piece] = []
    later = []
    if not ids:
        fixtures = dict.fromkeys((bug.case, bug.kernel) for bugs in (zoo.BUGS, zoo.CONTINUOUS_BUGS) for bug in bugs)
        work += [Piece(correct_row, (*fixture, profile, seed), fixture) for fixture in fixtures]
    for function, bugs in zoos:
        for bug in bugs:
            due = PROFILES.index(bug.profile) <= PROFILES.index(profile)
            if bug.id in ids or (due and not ids):
                fixture = (bug.case, getattr(bug, "kernel", function.__name__))
                work.append(Piece(function, (bug.id, profile, seed, every_test), fixture))
            elif not ids:
                later.append(f"{bug.id} ({bug.profile})")
    return work, later


@click.command()
@click.option("--profile", type=click.Choice(PROFILES), default="ci", show_default=True)
@click.option("--bug", "ids", multiple=True, metavar="ID", help="Only this one; may be repeated.")
@click.option("--every-test", is_flag=True, help="Fill the whole matrix instead of stopping at the first failure.")
@click.option("--list", "only_list", is_flag=True, help="List the bugs and stop.")
@click.option("--jobs", metavar="N", default=1, show_default=True, type=click.IntRange(min=1), help="Processes.")
@click.option("--out", type=click.Path(file_okay=False), help="Folder for kill_matrix.png, kill_matrix.svg, zoo.json.")
@of_random_work
def zoo(
    profile: str, seed: int, ids: tuple[str, ...], every_test: bool, only_list: bool, jobs: int, out: str | None,
    as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Audit the tests: every known wrong implementation must be killed, every correct kernel must pass.

    Of wrong code, stages whose outcome the stages before make certain are left out.

    Prints the kill matrix, bug x test: x killed, . passed, blank not run.

    Exit status: 0 every bug that is due in this profile is killed and correct kernels pass, 1 not so.
    """
    if only_list:
        return list_bugs(as_json)
    began = time.perf_counter()
    work, later = planned_work(profile, seed, ids, every_test)
    rows: list[Row | None] = [None] * len(work)
    with track(len(work), "auditing", enabled=not quiet) as bar, finished(work, jobs) as results:
        for some in results:
            for place, row in some:
                rows[place] = row
            bar(len(some))
    done = [row for row in rows if row is not None]
    if out:
        write_matrix(Path(out), done, profile, seed)
    return conclude_zoo(done, later, time.perf_counter() - began, as_json)


@contextmanager
def finished(work: Sequence[Piece], jobs: int) -> Iterator[Iterator[list[tuple[int, Row]]]]:
    """(place, row) of pieces of work as they are done."""
    if jobs == 1:
        yield ([(place, piece.function(*piece.arguments))] for place, piece in enumerate(work))
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            futures = [pool.submit(carried_out, batch) for batch in batches(work)]
            yield (future.result() for future in as_completed(futures))
        finally:
            pool.shutdown(cancel_futures=True)


def carried_out(batch: Sequence[tuple[int, Piece]]) -> list[tuple[int, Row]]:
    """(place, row) of a batch, in one process."""
    return [(place, piece.function(*piece.arguments)) for place, piece in batch]


def batches(work: Sequence[Piece]) -> list[list[tuple[int, Piece]]]:
    """Pieces on one fixture together, at most BATCH of them: the first computes exact laws for all; long ones first."""
    by_fixture: dict[tuple, list[tuple[int, Piece]]] = {}
    for place, piece in enumerate(work):
        by_fixture.setdefault(piece.fixture, []).append((place, piece))
    cut = [group[k : k + BATCH] for group in by_fixture.values() for k in range(0, len(group), BATCH)]
    return sorted(cut, key=len, reverse=True)


def list_bugs(as_json: bool) -> int:
    """Every bug with its words."""
    from ebm_ref.oracle import zoo, zoo_annealing, zoo_learning
    from ebm_ref.oracle.deep.zoo import DEEP_BUGS

    zoos: dict[str, Sequence[Any]] = {
        "kernels": zoo.BUGS,
        "learning updates": zoo_learning.LEARNING_BUGS,
        "annealing": zoo_annealing.ANNEALING_BUGS,
        "continuous kernels": zoo.CONTINUOUS_BUGS,
        "deep energies": DEEP_BUGS,
    }
    fields = ("id", "number", "description", "case", "profile", "killed_by")
    if as_json:
        every = [{name: getattr(bug, name) for name in fields} for bugs in zoos.values() for bug in bugs]
        click.echo(json.dumps(every))
        return 0
    for title, bugs in zoos.items():
        click.echo(f"{title}: {len(bugs)}")
        for bug in bugs:
            click.echo(f"  {bug.id:<26} {bug.profile:<8} {', '.join(bug.killed_by):<14} {bug.description}")
    return 0


def conclude_zoo(rows: Sequence[Row], later: Sequence[str], seconds: float, as_json: bool) -> int:
    """Print; the exit status."""
    wrong = [row for row in rows if row["kind"] != "correct"]
    right = [row for row in rows if row["kind"] == "correct"]
    alive = [row["id"] for row in wrong if not row["killed_by"]]
    rejected = [row["id"] for row in right if row["killed_by"]]
    if as_json:
        emit({"passed": not alive and not rejected, "alive": alive, "rejected": rejected, "not_due": list(later),
              "seconds": round(seconds, 1), "rows": list(rows)}, True)  # fmt: skip
        return 1 if alive or rejected else 0
    for kind, (title, _) in KINDS.items():
        if of_kind := [row for row in wrong if row["kind"] == kind]:
            click.echo(f"{title}\n{table(of_kind)}\n")
    for row in rows:
        if (row["kind"] == "correct") == bool(row["killed_by"]):
            what = "a correct kernel was rejected" if row["kind"] == "correct" else "a bug survived"
            click.echo(f"{what}: {row['id']} ({row['description']})\n{row['report']}\n")
    summary = {"killed": f"{len(wrong) - len(alive)} of {len(wrong)}",
               "named by the diagnosis": f"{sum(row['named'] for row in wrong)} of {len(wrong)}"}  # fmt: skip
    summary |= {"correct kernels passed": f"{len(right) - len(rejected)} of {len(right)}"} if right else {}
    summary |= {"need a larger profile": ", ".join(later)} if later else {}
    emit({**summary, "seconds": round(seconds, 1)}, False)
    return 1 if alive or rejected else 0
