"""Reports say what they have to say, and travel as JSON, JUnit and HTML."""

import ast
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import ebm_ref.oracle
from ebm_ref.oracle import cases, check_kernel, zoo
from ebm_ref.oracle.results import Diagnosis, Report, Result

OWN = ("results.py", "naive.py", "cases.py", "rendering.py")
OWN_FOLDERS = ("statistics", "checks", "zoo")


def failing():
    return check_kernel(zoo.bug("hidden_bias_sign").step(), cases.named("rbm_3x3"), profile="smoke")


def test_text_says_what_is_wrong_and_how_to_replay():
    text = str(failing())
    assert text.startswith("FAIL  ")
    assert "Looks like: sign of the hidden bias flipped" in text
    assert "replay: oracle.check_kernel(step, cases.named('rbm_3x3', 'block_gibbs'), profile='smoke', seed=0" in text
    assert "at most 1e-06" in text


def test_pass_says_what_it_excludes():
    case = cases.named("rbm_1x1")
    report = check_kernel(zoo.reference_step(case), case, profile="smoke")
    assert report.passed
    assert "A pass excludes, with power .999: S1 effects above" in str(report)


def test_a_report_and_a_case_show_themselves_in_a_line():
    assert repr(Report("f", "rbm_3x3", "ci", 0, ())) == "Report(FAIL: f on rbm_3x3, 0 results)"
    names = {"rbm_3x3": "Case", "gmm_1d": "ContinuousCase", "potts_3x3": "TableCase"}
    for name, kind in names.items():
        assert repr(cases.named(name)).startswith(f"{kind}({name}, ")
        assert len(repr(cases.named(name))) < 100


def test_nothing_tested_is_not_a_pass():
    assert not Report("s", "c", "ci", 0, (Result("S1", "skip", "no data"),)).passed
    assert not Report("s", "c", "ci", 0, ()).passed


def test_unknown_verdict_is_refused():
    with pytest.raises(ValueError, match="verdict"):
        Result("S1", "maybe", "")


def test_json_round_trip(tmp_path):
    report = failing()
    text = report.to_json(tmp_path / "r.json")
    loaded = json.loads((tmp_path / "r.json").read_text())
    assert json.loads(text) == loaded
    assert loaded["passed"] is False
    assert [r["test"] for r in loaded["results"]] == [r.test for r in report.results]
    assert loaded["diagnosis"][0]["mistake"] == "hidden_bias_sign"


def test_json_holds_anything():
    details = {"a": np.arange(3), "b": np.float64("nan"), "c": (np.int64(2), [np.bool_(True)]), "d": float("inf")}
    report = Report(
        "s", "c", "ci", 0, (Result("S1", "pass", "m", details=details),), (Diagnosis("b", np.inf, "d", True),)
    )
    loaded = json.loads(report.to_json())
    assert loaded["results"][0]["details"] == {"a": [0, 1, 2], "b": "nan", "c": [2, [True]], "d": "inf"}


def test_junit(tmp_path):
    report = failing()
    report.to_junit(tmp_path / "r.xml")
    suite = ElementTree.parse(tmp_path / "r.xml").getroot().find("testsuite")
    assert suite.get("tests") == str(len(report.results))
    assert suite.get("failures") == str(len(report.failures))
    failed = [case for case in suite if case.find("failure") is not None]
    names = {p.get("name") for p in failed[0].find("properties")}
    assert {"log_e", "seed", "replay", "diagnosis"} <= names


def test_junit_survives_control_characters(tmp_path):
    Report("s\x00", "c", "ci", 0, (Result("S1", "fail", "bad \x1b[31m < & >"),)).to_junit(tmp_path / "r.xml")
    ElementTree.parse(tmp_path / "r.xml")


def test_html_is_self_contained(tmp_path):
    text = failing().to_html(tmp_path / "r.html")
    assert "<svg" in text
    assert "worst cells" in text
    assert "Looks like:" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "<script" not in text


def test_html_escapes():
    report = Report("<b>step</b>", "c", "ci", 0, (Result("S1", "fail", "<img src=x>"),))
    from ebm_ref.oracle.rendering import report_html

    text = report_html((report,))
    assert "<b>step" not in text
    assert "<img" not in text


def test_the_judge_imports_nothing_that_it_judges():
    folder = Path(ebm_ref.oracle.__file__).parent
    files = [folder / name for name in OWN]
    files += [path for name in OWN_FOLDERS for path in (folder / name).glob("*.py")]
    assert len(files) > 15
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = [module or ""] if module else [a.name for a in getattr(node, "names", [])]
            for name in names if isinstance(node, ast.Import | ast.ImportFrom) else []:
                ours = name.startswith("ebm_ref")
                assert not ours or name == "ebm_ref.errors" or name.startswith("ebm_ref.oracle"), f"{path}: {name}"
