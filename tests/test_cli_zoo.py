"""``ebm-ref vectors`` and ``ebm-ref zoo``: verdicts, exit status, files, messages."""

from __future__ import annotations

import json
from pathlib import Path

HOLDS, FAILS, WRONG_USE, TOO_LITTLE = 0, 1, 2, 3


# vectors -------------------------------------------------------------------------------------------------------------

ADAPTER = """
import numpy as np
def right(quantity, model, given):
    if quantity != "energy" or "W" not in model:
        return NotImplemented
    return -given["x"] @ model["W"] @ given["h"] - model["a"] @ given["x"] - model["b"] @ given["h"]
def wrong(quantity, model, given):
    found = right(quantity, model, given)
    return found if found is NotImplemented else found + 1e-9
def nothing(quantity, model, given):
    return NotImplemented
"""


def test_vectors_verify(run, tmp_path):
    (tmp_path / "mine.py").write_text(ADAPTER)
    status, out, _ = run("vectors", "verify", "--adapter", "mine.py:right")
    assert status == HOLDS
    assert "PASS  mine.py:right on golden vectors" in out
    status, out, _ = run(
        "vectors", "verify", "--adapter", "mine.py:wrong", "--json", "--html", "v.html", "--junit", "v.xml"
    )
    assert status == FAILS
    assert json.loads(out)["passed"] is False
    assert (tmp_path / "v.html").exists()
    assert (tmp_path / "v.xml").exists()
    assert run("vectors", "verify", "--adapter", "mine.py:nothing")[0] == TOO_LITTLE
    assert run("vectors", "verify", ".", "--adapter", "mine.py:right")[0] == WRONG_USE
    status, _, err = run("vectors", "verify", "--adapter", "mine.py:none")
    assert status == WRONG_USE
    assert "--adapter: mine.py has no function named none" in err


def test_vectors_write(run, monkeypatch, tmp_path):
    from ebm_ref.oracle import vectors

    def write(folder):
        path = Path(folder) / "a.json"
        path.write_text('{"numberOfTests": 7}')
        return (path,)

    monkeypatch.setattr(vectors, "write", write)  # the real one takes long; tests/oracle/test_vectors.py has it
    status, out, _ = run("vectors", "write", ".", "--json", "--quiet")
    assert status == HOLDS
    assert json.loads(out)["a.json"] == 7


# the zoo -------------------------------------------------------------------------------------------------------------


def test_zoo(run, tmp_path):
    some = ("--bug", "w_transposed", "--bug", "nan", "--bug", "stale_hidden")
    status, out, _ = run("zoo", "--profile", "smoke", *some, "--out", "z", "--quiet")
    assert status == HOLDS
    assert "killed                  3 of 3" in out
    assert {p.name for p in (tmp_path / "z").iterdir()} >= {"zoo.json", "kill_matrix.png", "kill_matrix_updates.svg"}
    rows = {row["id"]: row for row in json.loads((tmp_path / "z" / "zoo.json").read_text())["rows"]}
    assert rows["nan"]["killed_by"] == ["contract"]
    assert rows["w_transposed"]["named"]
    header, line = out.splitlines()[1:3]
    assert line[header.index("S7")] == "x"


def test_zoo_of_annealers(run, tmp_path):
    some = ("--bug", "kernel_at_one", "--bug", "ratio_sign", "--bug", "other_weights")
    status, out, _ = run("zoo", "--profile", "smoke", *some, "--out", "z", "--quiet")
    assert status == HOLDS, out
    assert "wrong annealers" in out
    assert "Z1" in out.splitlines()[1]
    assert (tmp_path / "z" / "kill_matrix_annealing.png").stat().st_size > 1000
    rows = {row["id"]: row for row in json.loads((tmp_path / "z" / "zoo.json").read_text())["rows"]}
    assert all(row["kind"] == "annealing" and row["killed_by"] == ["Z1"] for row in rows.values())
    assert rows["ratio_sign"]["expected"] == ["Z1"]


def test_zoo_of_deep_energies(run, tmp_path):
    some = ("--bug", "vjp_missing", "--bug", "noise_order", "--bug", "spectral_norm_in_evaluation")
    status, out, _ = run("zoo", "--profile", "smoke", *some, "--out", "z", "--quiet")
    assert status == HOLDS, out
    assert "wrong deep energies" in out
    assert (tmp_path / "z" / "kill_matrix_deep.png").stat().st_size > 1000
    rows = {row["id"]: row for row in json.loads((tmp_path / "z" / "zoo.json").read_text())["rows"]}
    assert all(row["kind"] == "deep" and row["named"] for row in rows.values())
    assert rows["spectral_norm_in_evaluation"]["killed_by"][:2] == ["D1", "D7"]


def test_zoo_with_a_survivor(run):
    status, out, _ = run("zoo", "--profile", "smoke", "--bug", "colder_1", "--quiet")
    assert status == FAILS
    assert "a bug survived: colder_1" in out


def test_zoo_lists(run):
    status, out, _ = run("zoo", "--list", "--json")
    assert status == HOLDS
    assert {"w_transposed", "stale_hidden"} <= {bug["id"] for bug in json.loads(out)}
    assert "w_transposed" in run("zoo", "--list")[1]
    status, _, err = run("zoo", "--bug", "unicorn")
    assert status == WRONG_USE
    assert "there is no bug unicorn" in err


def test_zoo_plan_and_verdict(capsys):
    from ebm_ref.cli.oracle_commands import conclude_zoo, correct_row, planned_work

    work, later = planned_work("smoke", 0, (), False)
    assert any(piece.function is correct_row for piece in work)
    assert any(name.startswith("colder_1 (") for name in later)
    row = correct_row("rbm_1x1", "gibbs", "smoke", 0)
    assert conclude_zoo([row], later, 1.0, False) == HOLDS
    assert conclude_zoo([row | {"killed_by": ["S1"]}], [], 1.0, False) == FAILS
    assert "a correct kernel was rejected: gibbs on rbm_1x1" in capsys.readouterr().out
    assert conclude_zoo([row], [], 1.0, True) == HOLDS
    assert json.loads(capsys.readouterr().out)["passed"]


def test_zoo_batches_are_the_whole_work():
    """Each audit once; one fixture of the continuous zoo in one process, so that its laws are computed once."""
    from ebm_ref.cli.oracle_commands import BATCH, batches, planned_work

    work = planned_work("ci", 0, (), False)[0]
    cut = batches(work)
    assert sorted(place for batch in cut for place, _ in batch) == list(range(len(work)))
    assert max(map(len, cut)) <= BATCH
    assert all(len({piece.fixture for _, piece in batch}) == 1 for batch in cut)
    assert sum(piece.fixture == ("grbm_2x2", "gibbs_langevin_adjusted") for batch in cut for _, piece in batch[:1]) == 1


def test_zoo_in_several_processes(run):
    some = ("--bug", "nan", "--bug", "raises")
    status, out, _ = run("zoo", "--profile", "smoke", *some, "--jobs", "2", "--quiet", "--json")
    assert status == HOLDS
    killed_by = {row["id"]: row["killed_by"] for row in json.loads(out)["rows"]}
    assert killed_by == {"nan": ["contract"], "raises": ["contract"]}
