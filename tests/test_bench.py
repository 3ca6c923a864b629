"""``ebm-ref bench``: it runs, writes what its schema says, names what is missing.  No test asserts a time."""

import json
import math

import jsonschema
import pytest

from ebm_ref.benchmarks import running, scaling
from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Session, against_fastest, not_run
from ebm_ref.benchmarks.timing import Timing, interleaved, ratio
from ebm_ref.cli import main

NUMBER = {"type": "number"}
SCHEMA = {
    "type": "object",
    "required": ["machine", "limits", "quick", "repeats", "rows"],
    "properties": {
        "machine": {
            "type": "object",
            "required": ["date", "processor", "system", "cores", "threads", "load", "python", "versions"],
            "properties": {"cores": {"type": "integer", "minimum": 1}, "versions": {"required": ["ebm_ref", "numpy"]}},
        },
        "limits": {
            "type": "object",
            "required": [
                "dgemm_multiply_adds_per_second", "sgemm_multiply_adds_per_second", "copy_bytes_per_second",
            ],
            "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
        },
        "quick": {"type": "boolean"},
        "rows": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": [
                    "name", "work", "target", "at_least", "unit", "measured", "verdict", "remark", "seconds",
                ],
                "properties": {
                    "target": NUMBER,
                    "measured": {"type": ["number", "null"]},
                    "verdict": {"enum": ["reached", "falls short", "not run"]},
                    "seconds": {"additionalProperties": {"required": ["median", "quartiles", "samples"]}},
                },
            },
        },
    },
}  # fmt: skip


def run(capsys, *arguments):
    """(exit status, stdout, stderr)."""
    with pytest.raises(SystemExit) as leaving:
        main(["bench", *arguments])
    shown = capsys.readouterr()
    return leaving.value.code, shown.out, shown.err


def test_json_follows_the_schema(capsys, tmp_path):
    out, figure = tmp_path / "bench.json", tmp_path / "scaling.png"
    status, printed, _ = run(
        capsys, "--quick", "--rows", "matrix_*", "--json", "--out", str(out), "--figure", str(figure)
    )
    assert status == 0
    body = json.loads(printed)
    jsonschema.validate(body, SCHEMA)
    assert json.loads(out.read_text()) == body
    assert [row["name"] for row in body["rows"]] == ["matrix_gibbs", "matrix_metropolis"]
    assert all(row["seconds"][OURS]["median"] > 0 for row in body["rows"])
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_table_says_that_quick_figures_mean_nothing(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, printed, _ = run(capsys, "--quick", "--rows", "matrix_gibbs")
    assert status == 0
    for words in ("mean nothing", "transition matrix, 6 x 6, Gibbs", "<= 1 s", "dgemm"):
        assert words in printed


def test_names_of_the_rows(capsys):
    status, printed, _ = run(capsys, "--list")
    assert status == 0
    names = [line.split()[0] for line in printed.splitlines()]
    assert {"import", "log_z_784x25", "moments"} <= set(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--rows", "nonsense"), "rows: expected some of import"), (("--repeats", "2"), "x>=5"), (("--rows", ""), "")],
)
def test_wrong_use(capsys, arguments, message):
    status, _, error = run(capsys, "--list", *arguments)
    assert status == (2 if message else 0)
    assert message in error


def timing(*samples):
    return Timing(tuple(samples))


def test_the_ratio_is_of_neighbours():
    """Load that doubles half-way hits both alike."""
    assert ratio(timing(3.0, 3.0, 6.0, 6.0), timing(1.0, 1.0, 2.0, 2.0)) == 3.0


def test_contestants_take_turns_and_warming_up_is_not_counted():
    calls = []
    times = interleaved(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=5, sample_seconds=1e-12
    )
    assert calls == ["a", "a", "b", "b", *["a", "b"] * 5]
    assert all(len(t.samples) == 5 for t in times.values())


def test_verdicts():
    def row(value, at_least=True):
        return Benchmark("x", "work", 3.0, "x", lambda session: Measured(value), at_least).run(Session(quick=True))

    assert [row(v).verdict for v in (3.0, 2.9, math.nan)] == ["reached", "falls short", "not run"]
    assert [row(v, at_least=False).verdict for v in (3.0, 3.1)] == ["reached", "falls short"]
    assert row(math.nan).plain()["measured"] is None


def test_the_fastest_peer_counts_and_a_missing_one_is_named():
    found = against_fastest({OURS: timing(1.0), "slow": timing(9.0), "fast": timing(4.0)})
    assert found.value == 4.0
    assert "fast" in found.remark
    alone = against_fastest({OURS: timing(1.0)})
    assert math.isnan(alone.value)
    assert "no peer is installed" in alone.remark
    assert Session().peer("no_such_package") is None


def test_a_row_that_fails_says_so_and_the_table_goes_on():
    def broken(session):
        raise RuntimeError("no luck\nmore words")

    rows = (Benchmark("bad", "work", 1.0, "x", broken), Benchmark("good", "work", 1.0, "x", lambda s: not_run("why")))
    body = running.report(rows, True, 5, lambda share: None)
    assert [row["remark"] for row in body["rows"]] == ["RuntimeError: no luck", "why"]
    assert {row["verdict"] for row in body["rows"]} == {"not run"}


def test_the_figure_names_its_axes():
    drawn = scaling.figure({"log_z": {"ours": [[10, 0.1], [11, 0.2]]}, "gibbs": {"3 x 2": [[1, 1e-8], [10, 2e-8]]}})
    left, right = drawn.axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("hidden units", "seconds")
    assert (right.get_xlabel(), right.get_ylabel()) == ("chains", "nanoseconds a unit update")
