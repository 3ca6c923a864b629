"""Golden vectors: files are reproducible and well formed; the package and a plain implementation pass."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from vectors_binary import correct
from vectors_continuous import continuous
from vectors_deep import deep

from ebm_ref.errors import BackendError, DomainError
from ebm_ref.oracle import vectors
from ebm_ref.oracle.vectors import (
    definition_route,
    encoding,
    grbm_vectors,
    langevin_vectors,
    philox_vectors,
    proposal_route,
    writing,
)

NAMES = (
    "bernoulli_rbm.json",
    "boltzmann_machine.json",
    "deep_energies.json",
    "gaussian_bernoulli_rbm.json",
    "langevin.json",
    "philox4x32.json",
)
EXAMPLE = Path(__file__).parents[2] / "examples" / "verify_vectors.js"


def everything(quantity, model, given):
    if quantity.startswith("deep_"):
        return deep(quantity, model, given)
    answer = continuous(quantity, model, given)
    return correct(quantity, model, given) if answer is NotImplemented else answer


def test_the_package_and_a_plain_implementation_pass_together_and_skip_nothing():
    report = vectors.verify(vectors.SHIPPED, everything)
    assert report.passed, str(report)
    assert {r.test.split("/")[0] + ".json" for r in report.results} == set(NAMES)
    assert not [r for r in report.results if r.verdict == "skip"]
    assert max(r.effect for r in report.results) < 30


def test_an_adapter_that_crashes_or_returns_nonsense_is_a_failure_not_a_crash():
    def crashes(quantity, model, given):
        raise RuntimeError("no")

    for nonsense in (crashes, lambda q, m, g: None, lambda q, m, g: "text", lambda q, m, g: np.zeros((9, 9))):
        assert not vectors.verify(vectors.SHIPPED, nonsense).passed


def test_an_adapter_without_anything_does_not_pass():
    report = vectors.verify(vectors.SHIPPED, lambda quantity, model, given: NotImplemented)
    assert not report.passed
    assert not report.failures


def test_writing_gives_the_shipped_bytes(tmp_path):
    pytest.importorskip("mpmath")
    assert {path.name for path in vectors.write(tmp_path)} == set(NAMES)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (vectors.SHIPPED / name).read_bytes(), (
            f"{name} differs from the release"
        )
        schema = json.loads((tmp_path / name).read_text())["schema"]
        assert (tmp_path / schema).exists()


@pytest.mark.parametrize("name", NAMES)
def test_files_follow_their_schema_and_ids_are_unique(name):
    jsonschema = pytest.importorskip("jsonschema")
    contents = json.loads((vectors.SHIPPED / name).read_text())
    schema = json.loads((vectors.SHIPPED / contents["schema"]).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(contents)
    tests = [test for group in contents["testGroups"] for test in group["tests"]]
    assert contents["numberOfTests"] == len(tests) == len({test["tcId"] for test in tests})
    assert {flag for test in tests for flag in test["flags"]} == set(contents["notes"])


def test_the_schema_refuses_a_broken_file():
    jsonschema = pytest.importorskip("jsonschema")
    contents = json.loads((vectors.SHIPPED / "bernoulli_rbm.json").read_text())
    schema = json.loads((vectors.SHIPPED / "bernoulli_rbm_v1.json").read_text())
    contents["testGroups"][0]["tests"][0]["expected"]["f64"][0] = 0.5
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(contents))


@pytest.mark.parametrize("name", NAMES[:5])
def test_decimals_and_hex_floats_are_the_same_numbers(name):
    for group in json.loads((vectors.SHIPPED / name).read_text())["testGroups"]:
        for test in group["tests"]:
            if test["expected"]:
                for text, decimal in zip(
                    *(encoding.leaves(test["expected"][k]) for k in ("f64", "decimal")), strict=True
                ):
                    number = float.fromhex(text)  # an exact value between two floats is a tie, its 30 digits aren't
                    half = Fraction(math.ulp(number)) / 2
                    assert abs(Fraction(number) - Fraction(decimal)) <= half + Fraction(1, 10**29) * abs(
                        Fraction(decimal)
                    )


def test_disagreeing_routes_are_not_written():
    mp = encoding.precise()
    with pytest.raises(ArithmeticError, match="differ"):
        encoding.agree(mp, "log_z", mp.mpf(1), mp.mpf(1) + mp.mpf(10) ** -39, mp.mpf(1))
    encoding.agree(mp, "log_z", mp.mpf(1), mp.mpf(1) + mp.mpf(10) ** -41, mp.mpf(1))


def test_a_mistake_in_one_route_is_not_written(monkeypatch):
    mp, log_normal = encoding.precise(), proposal_route.log_normal

    def too_wide(mp, at, mean, variance):
        return log_normal(mp, at, mean, [2 * s for s in variance])

    monkeypatch.setattr(proposal_route, "log_normal", too_wide)
    with pytest.raises(ArithmeticError, match="mala_log_proposal"):
        langevin_vectors.groups(mp)
    monkeypatch.setattr(definition_route, "softplus", lambda mp, z: max(z, 0))
    with pytest.raises(ArithmeticError, match="grbm_free_energies"):
        grbm_vectors.groups(mp)


def test_a_used_id_and_an_unknown_flag_are_refused():
    groups = philox_vectors.groups()
    with pytest.raises(ArithmeticError, match="twice"):
        writing.document("philox4x32-10", "philox4x32_v1.json", {}, "", groups[:1] * 2)
    groups[0]["tests"][0]["flags"] = ["Unheard"]
    with pytest.raises(KeyError, match="Unheard"):
        writing.document("philox4x32-10", "philox4x32_v1.json", {}, "", groups)


def test_without_mpmath_writing_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mpmath.ctx_mp", None)
    with pytest.raises(BackendError, match=r"ebm-ref\[test\]"):
        vectors.write(tmp_path)


def test_a_folder_without_vectors_is_refused(tmp_path):
    with pytest.raises(DomainError, match="none in"):
        vectors.verify(tmp_path, correct)


def test_another_language_can_use_them(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    source = vectors.SHIPPED / "bernoulli_rbm.json"
    done = subprocess.run([node, EXAMPLE, source], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fail: 0" in done.stdout
    contents = json.loads(source.read_text())
    test = next(t for t in contents["testGroups"][0]["tests"] if t["quantity"] == "free_energy")
    test["expected"]["f64"] = (float.fromhex(test["expected"]["f64"]) + 1e-9).hex()
    (tmp_path / "wrong.json").write_text(json.dumps(contents))
    done = subprocess.run(
        [node, EXAMPLE, tmp_path / "wrong.json"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"tcId {test['tcId']}" in done.stdout
    other = vectors.SHIPPED / "gaussian_bernoulli_rbm.json"
    done = subprocess.run([node, EXAMPLE, other], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "grbm_log_z: 9" in done.stdout  # it says what it skips
    assert len(EXAMPLE.read_text().splitlines()) < 60
