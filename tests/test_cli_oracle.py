"""``ebm-ref verify`` on other people's work: verdicts, exit status, files, messages.

Correct subjects fail with chance <= 1e-6; seeds are 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.oracle import cases, zoo

EXAMPLES = Path(__file__).parents[1] / "examples"
RIGHT, WRONG = f"{EXAMPLES}/my_sampler.py:step", f"{EXAMPLES}/broken_sampler.py:step"
MAKER = f"{EXAMPLES}/my_sampler.py:make_step"
HOLDS, FAILS, WRONG_USE, TOO_LITTLE = 0, 1, 2, 3


@pytest.fixture
def verify(run):
    return lambda *words: run("verify", "--profile", "smoke", "--quiet", *words)


# steps ---------------------------------------------------------------------------------------------------------------


def test_as_the_readme_says(tmp_path):
    code = "import sys; from ebm_ref.cli import main; main(sys.argv[1:])"
    words = ["verify", "--target", RIGHT, "--case", "rbm_3x3"]
    command = [sys.executable, "-W", "error", "-c", code, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == HOLDS, done.stderr
    assert "verdict      holds" in done.stdout
    assert "A pass excludes, with power .999" in done.stdout
    assert {p.name for p in (tmp_path / "ebm-ref-report").iterdir()} == {"report.html", "report.json", "report.xml"}


def test_a_wrong_step_is_named_and_replayed(verify, tmp_path):
    status, out, _ = verify("--target", WRONG, "--junit", "a/out.xml", "--html", "out.html", "--json", "out.json")
    assert status == FAILS
    assert "Looks like: hidden bias omitted" in out
    replay = f"ebm-ref verify --target {WRONG} --case rbm_3x3 --profile smoke --seed 0 --test S7"
    assert f"replay: {replay}" in out
    assert not (tmp_path / "ebm-ref-report").exists()
    suite = ElementTree.parse(tmp_path / "a" / "out.xml").getroot().find("testsuite")
    assert suite.get("failures") == "1"
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["passed"] is False
    assert document["reports"][0]["diagnosis"][0]["mistake"] == "hidden_bias_omitted"
    assert "Looks like:" in (tmp_path / "out.html").read_text()
    status, out, _ = verify(*replay.split()[2:])
    assert status == FAILS
    assert "fail S7" in out


def test_json_for_machines(verify):
    status, out, _ = verify("--target", MAKER, "--case", "rbm_1x1,boltzmann_4", "--json")
    found = json.loads(out)
    assert (status, found["passed"], list(found["skipped"])) == (HOLDS, True, ["boltzmann_4"])
    assert found["reports"][0]["results"][0]["replay"].startswith("ebm-ref verify --target ")


def test_several_cases(verify, tmp_path):
    (tmp_path / "s.py").write_text(
        "from ebm_ref.oracle import zoo\n"
        "def make(case):\n    if case.clamp: raise ValueError('no clamps here')\n"
        "    return zoo.reference_step(case) if case.n_units == 2 else zoo.bug('nan').step(case)\n"
    )
    status, out, err = verify("--target", "s.py:make", "--case", "rbm_1x1,boltzmann_4,rbm_3x3_clamped")
    assert status == FAILS
    assert "PASS  s.py:make on rbm_1x1" in out
    assert "Looks like: step returns numbers that are not finite" in out
    assert "no clamps here" in out
    assert "1 of 3 passed" in out
    assert err == ""
    status, _, err = verify("--target", RIGHT, "--case", "rbm_1x1,rbm_w0")
    assert status == FAILS
    assert "a function of one argument, the case, may return one for each" in err


CANDIDATES = """
import numpy as np
from ebm_ref.oracle import adapters, cases

net = cases.named("mlp_inner")
W1, b1, W2, b2 = net.parameters

def f(x):
    z = x @ W1 + b1
    return (z / (1 + np.exp(-z))) @ W2 + b2

def energy(x):
    return (x * f(x)).sum(axis=1)

def upside_down(x):
    return -energy(x)

def score(x):
    return 0 * x

def log_pl(s):
    case = cases.named("boltzmann_4")
    return -np.logaddexp(0, (1 - 2 * s) * (case.c + s @ case.J)).sum(axis=1)

def matrix(case):
    return case.P

def conditionals(case):
    if not case.n_hidden:
        return NotImplemented
    up = lambda z: 1 / (1 + np.exp(-z))
    return lambda x: up(case.b + x @ case.W), lambda h: up(case.a + h @ case.W.T)

def drift(case):
    return lambda states, seed: states

def update(case):
    from ebm_ref.oracle.update_recipe import make_update, reference
    return make_update(reference(case))
"""


@pytest.mark.parametrize(
    ("words", "expected", "said"),
    [
        ("energy --case mlp_inner", HOLDS, "c.py:energy on mlp_inner"),
        ("upside_down --case mlp_inner", FAILS, "replay: ebm-ref verify --target c.py:upside_down --case mlp_inner"),
        ("score --case mlp_inner --check gradient --of state", FAILS, "--check gradient --of state"),
        ("log_pl --case boltzmann_4 --check pseudo_likelihood", HOLDS, "PASS c.py:log_pl"),
        ("matrix --case rbm_1x1,boltzmann_4 --check transition_matrix", HOLDS, "2 of 2 passed"),
        ("conditionals --case rbm_4x2,boltzmann_4 --check conditionals", HOLDS, "skip boltzmann_4"),
        ("drift --case rbm_1x1 --check invariance --test S3", HOLDS, "PASS c.py:drift on rbm_1x1"),
        ("update --case rbm_1x1 --check update", HOLDS, "PASS c.py:update on rbm_1x1"),
        ("energy --case mlp_inner --kernel gibbs", WRONG_USE, "--kernel: mlp_inner is an energy, which has no kernel"),
        ("energy --case rbm_1x1 --check free_energy --of value", WRONG_USE, "--of: there is one answer only"),
        ("energy --case mlp_inner --check kernel", WRONG_USE, "--case: mlp_inner is no case for --check kernel"),
        ("energy --case mlp_inner --test D1", WRONG_USE, "--test: --check energy runs as a whole"),
    ],
)
def test_other_functions_than_steps(verify, tmp_path, words, expected, said):
    (tmp_path / "c.py").write_text(CANDIDATES)
    status, out, err = verify(*f"--target c.py:{words}".split())
    assert status == expected, out + err
    assert said in " ".join((out + err).split())


def test_checks_of_the_command_line_are_those_of_the_oracle():
    from ebm_ref import oracle
    from ebm_ref.cli.target_checks import CHECKS
    from ebm_ref.cli.verify import CHECKS as offered

    assert set(offered) == set(CHECKS)
    elsewhere = {
        "annealing",
        "device",
        "rule",
        "samples",
        "streams",
        "training",
    }  # a path, files, a rule, no case, data
    assert {f"check_{name}" for name in (*offered, *elsewhere)} == {n for n in oracle.__all__ if n.startswith("check_")}


def test_all_cases_are_chosen():
    from ebm_ref.cli.targets import chosen_cases

    assert [case.name for case in chosen_cases("all", None)] == list(cases.NAMES)
    assert {case.n_hidden > 0 for case in chosen_cases("all", "block_gibbs")} == {True}
    assert {case.kernel for case in chosen_cases("all", "gibbs_random")} == {"gibbs_random"}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("raise RuntimeError('boom')", "step raises"),
        ("return states[:-1]", "step returns the wrong shape"),
        ("states[:] = 0; return states", "step modifies its input"),
        ("return states", "step returns its input"),
        ("return states + 0.5", "step leaves the support"),
        ("import sys; sys.exit(3)", "step raises"),
    ],
)
def test_what_a_step_does_wrong_is_a_verdict(verify, tmp_path, body, name):
    (tmp_path / "s.py").write_text(f"def step(states, seed):\n    {body}\n")
    status, out, _ = verify("--target", "s.py:step")
    assert status == FAILS
    assert f"Looks like: {name}" in out


# programs ------------------------------------------------------------------------------------------------------------


def test_programs(verify):
    program = f"{sys.executable} {EXAMPLES / 'sampler_program.py'}"
    status, out, _ = verify("--program", program, "--case", "rbm_1x1,ising_5_chord", "--out", "here")
    assert status == HOLDS
    assert "skip  ising_5_chord: the program declined: only block Gibbs" in out
    assert Path("here/report.html").exists()
    status, out, _ = verify("--program", f"{sys.executable} -c 'print(1)'")
    assert status == FAILS
    assert "Looks like: step answers with garbage" in out
    status, out, _ = verify("--program", f"{sys.executable} -c 'import time; time.sleep(60)'", "--timeout", "0.3")
    assert status == FAILS
    assert "no answer to request 1 (hello) within 0.3 s" in out
    status, _, err = verify("--program", program, "--case", "boltzmann_4")
    assert status == WRONG_USE
    assert "nothing to judge; boltzmann_4: the program declined" in err


# samples -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def draws():
    case = cases.named("ising_5_chord")
    return case.states[case.draw(12_000, np.random.default_rng(1))]


def test_samples(verify, draws):
    np.savez("a.npz", states=draws)
    np.savetxt("b.csv", -draws, fmt="%d", delimiter=",")
    np.savez("few.npz", states=draws[:100])
    assert verify("--samples", "a.npz", "--case", "ising_5_chord")[0] == HOLDS
    status, out, _ = verify("--samples", "b.csv", "--case", "ising_5_chord", "--sampling", "iid")
    assert status == FAILS
    assert "replay: ebm-ref verify --samples b.csv --case ising_5_chord --sampling iid --effect 0.2 --seed 0" in out
    status, _, err = verify("--samples", "few.npz", "--case", "ising_5_chord")
    assert status == TOO_LITTLE
    assert "record at least" in err
    status, out, _ = verify("--samples", "a.npz", "--case", "rbm_4x2")
    assert status == WRONG_USE
    np.savez("zero.npz", states=(draws + 1) / 2)
    status, out, _ = verify("--samples", "zero.npz", "--case", "ising_5_chord")
    assert status == FAILS
    assert "units are -1 or 1; map s = 2 x - 1" in out


def test_what_the_file_says(verify):
    case = cases.named("rbm_3x2_hot")
    step, states = zoo.reference_step(case), case.states[case.draw(10, np.random.default_rng(1))]
    kept = []
    for t in range(4500):
        states = step(states, t)
        if t % 3 == 2:
            kept.append(states)
    chain = er.Chain(np.stack(kept, axis=1), states, 3, np.ones(10), 4500, 0)
    chain.save("chain.npz")
    np.savez(
        "meta.npz", states=chain.states, meta=json.dumps({"case": "rbm_3x2_hot", "sampling": "thinned", "thin": 3})
    )
    status, _, err = verify("--samples", "chain.npz")
    assert status == WRONG_USE
    assert "say --sampling every_step if each step was kept" in err
    status, out, _ = verify("--samples", "meta.npz")
    assert status == HOLDS
    assert "(10 chains of 1500 draws, thinned by 3)" in out
    assert verify("--samples", "meta.npz", "--thin", "1", "--sampling", "every_step")[0] == FAILS
    for meta, words in (({"sampling": "daily"}, "meta sampling"), ({"thin": "x"}, "meta thin")):
        np.savez("bad.npz", states=chain.states, meta=json.dumps(meta))
        status, _, err = verify("--samples", "bad.npz")
        assert status == WRONG_USE
        assert words in err


def test_a_device(verify):
    """H1 to H5 from files: right at another temperature, wrong gauge, too few for the tolerance."""
    case = cases.named("ising_5_chord")
    rng, signs = np.random.default_rng(1), np.array([1, -1, 1, -1, -1])
    warm, hot = cases.ising(case.J, case.c, beta=0.93), cases.ising(case.J, case.c, beta=0.5 * 0.93)
    gauged = cases.ising(case.J * np.outer(signs, signs), case.c * signs, beta=0.93)
    for name, of in (("warm", warm), ("hot", hot), ("gauged", gauged)):
        np.savez(f"{name}.npz", states=case.states[of.draw(20_000, rng)])
    line = "--samples warm.npz --case ising_5_chord --device --sampling iid --scaled hot.npz 0.5 --gauged gauged.npz"
    status, out, _ = verify(*line.split(), "+-+--", "--tolerance", "0.1")
    assert status == HOLDS
    for words in ("H2", "H3", "H4 gauge", "H5", "fitted inverse temperature: 0.9"):
        assert words in out
    status, out, _ = verify(*line.split(), "+++--")
    assert status == FAILS
    assert "--device --scaled hot.npz 0.5 --gauged gauged.npz +++-- --effect 0.2" in out
    assert verify(*line.split(), "+-+--", "--tolerance", "0.001")[0] == TOO_LITTLE
    for words, message in (
        ("--samples warm.npz --tolerance 0.1", "they need --device"),
        ("--samples warm.npz --case ising_5_chord --device --gauged warm.npz +-", "expected 5 signs + or -, got +-"),
        ("--samples warm.npz --case ising_5_chord --device --sampling every_step", "iid or unknown"),
        (f"--target {RIGHT} --device", "--device: it needs --samples"),
    ):
        status, _, err = verify(*words.split())
        assert status == WRONG_USE
        assert message in err


# wrong use -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--target nope.py:step", "--target: there is no file nope.py"),
        (f"--target {EXAMPLES}/my_sampler.py", "expected FILE.py:NAME"),
        (f"--target {EXAMPLES}/my_sampler.py:stop", "has no function named stop; it has"),
        (f"--target {RIGHT} --case rbm_9", "there is no case rbm_9; expected all, or one of rbm_3x3, "),
        (f"--target {RIGHT} --case rbm3x3", "there is no case rbm3x3; did you mean rbm_3x3?"),
        (f"--target {RIGHT} --case boltzmann_4 --kernel block_gibbs", "--kernel: block_gibbs needs two layers"),
        (f"--target {RIGHT} --test S99", "tests: expected one of"),
        (f"--target {RIGHT} --program x", "expected one of --target, --program, --samples, got"),
        (f"--target {RIGHT} --thin 3", "--thin: it needs --samples"),
        (f"--target {RIGHT} --timeout 3", "--timeout: it needs --program"),
        ("--program x --check energy", "--check: it needs --target"),
        (f"--target {RIGHT} --epochs 3", "--epochs: it belongs to the package's own study"),
        ("--case rbm_3x3", "--case: it needs --target or --program or --samples"),
        ("--program ./nope", "./nope could not be started"),
        ("--program '", "No closing quotation"),
        ("--samples nope.npz", "does not exist"),
        (f"--samples {EXAMPLES}/my_sampler.py", "expected a file ending in .npz"),
        ("--seed -1", "--seed"),
    ],
)
def test_wrong_use(verify, words, message):
    status, _, err = verify(*words.split())
    assert status == WRONG_USE
    assert message in err
