"""``ebm-ref bench``: it runs, writes what its schema says, names what is missing.  No test asserts a time."""

import json
import math

import jsonschema
import numpy as np
import pytest

import ebm_ref
from ebm_ref.benchmarks import langevin, running, scaling
from ebm_ref.benchmarks.rows import OURS, Benchmark, Measured, Row, Session, against_fastest, not_run
from ebm_ref.benchmarks.timing import Timing, interleaved, ratio
from ebm_ref.cli import main

NUMBER = {"type": "number"}
SCHEMA = {
    "type": "object",
    "required": ["machine", "limits", "quick", "repeats", "stopped", "rows"],
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
                    "name", "work", "target", "at_least", "unit", "measured", "verdict", "remark", "load",
                    "seconds",
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
    monkeypatch.setenv("COLUMNS", "100")
    status, printed, _ = run(capsys, "--quick", "--rows", "matrix_gibbs")
    assert status == 0
    assert max(map(len, printed.splitlines())) <= 100
    for words in ("mean nothing", "transition matrix, 6 x 6, Gibbs", "<= 1 s", "dgemm"):
        assert words in printed


def test_names_of_the_rows(capsys):
    status, printed, _ = run(capsys, "--list")
    assert status == 0
    names = [line.split()[0] for line in printed.splitlines()]
    assert {"import", "log_z_784x25", "moments", "gibbs_784x500", "gibbs_sites", "mala", "cd_batch10"} <= set(names)
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
    body = running.report(rows, True, 5, lambda share, doing="": None)
    assert [row["remark"] for row in body["rows"]] == ["RuntimeError: no luck", "why"]
    assert {row["verdict"] for row in body["rows"]} == {"not run"}


def test_a_row_that_falls_short_says_why():
    row = Benchmark("x", "work", 3.0, "x", lambda session: Measured(2.0, {}, "words"), limit="bound by memory")
    assert row.run(Session(quick=True)).remark.startswith("bound by memory")
    assert row.run(Session(quick=True)).remark.endswith("words")
    crowded = Row(row, Measured(2.0), load=1000.0)
    assert "load 1000.0 on" in crowded.remark
    assert Row(row, Measured(4.0, {}, "words"), load=1000.0).remark == "words"


def test_ctrl_c_keeps_the_rows_that_are_done(capsys, monkeypatch):
    def interrupted(session):
        raise KeyboardInterrupt

    rows = (
        Benchmark("good", "work", 1.0, "x", lambda session: Measured(2.0)),
        Benchmark("long", "work", 1.0, "x", interrupted),
    )
    monkeypatch.setattr(running, "chosen", lambda patterns: rows)
    status, printed, error = run(capsys, "--quick", "--json")
    assert status == 130
    assert "1 of 2 rows" in error
    body = json.loads(printed)
    assert body["stopped"]
    assert [row["name"] for row in body["rows"]] == ["good"]


@pytest.mark.parametrize(
    "name", ["gibbs_16x8", "gibbs_sites", "gibbs_784x500_products", "ula", "gibbs_langevin", "pcd_batch10"]
)
def test_each_kind_of_row_measures(name):
    """Whatever peers are installed; what is missing is said."""
    (benchmark,) = running.chosen([name])
    row = benchmark.run(Session(quick=True))
    assert row.measured.times[OURS].median > 0, row.remark


def test_written_langevin_agrees_with_the_model():
    """The energy that peers get is the model's marginal."""
    model = ebm_ref.GRBM.random(3, 2, 0.7)
    v = np.random.default_rng(0).standard_normal((4, 3))
    written = langevin.marginal(lambda c: np.logaddexp(0.0, c), model, lambda leaf: leaf)
    np.testing.assert_allclose(written(v), model.free_energy(v), rtol=1e-12)


def test_the_figure_names_its_axes():
    drawn = scaling.figure({"log_z": {"ours": [[10, 0.1], [11, 0.2]]}, "gibbs": {"3 x 2": [[1, 1e-8], [10, 2e-8]]}})
    left, right = drawn.axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("hidden units", "seconds")
    assert (right.get_xlabel(), right.get_ylabel()) == ("chains", "nanoseconds a unit update")
