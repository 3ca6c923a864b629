"""The ways in: callables of any framework, sample files, programs.  What they do wrong has a name, and nothing hangs.

Every statistical verdict comes from a report with a false-alarm rate of at most 1e-6, at seed 0.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.errors import BackendError, DomainError, ShapeError
from ebm_ref.oracle import adapters, cases, check_kernel, check_samples, zoo

TINY = cases.named("rbm_1x1")
RIGHT = zoo.reference_step(TINY)
EXAMPLES = Path(__file__).parents[2] / "examples"


class ArrayOnly:
    """What a foreign array looks like: no NumPy, only the door to it."""

    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self._values, dtype=dtype)


class DLPackOnly:
    def __init__(self, values):
        self._values = np.array(values)

    def __dlpack__(self, **options):
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


class Tensor(ArrayOnly):
    """A tensor that needs a gradient: NumPy may have it only after detach().cpu()."""

    detached = False

    def detach(self):
        self.detached = True
        return self

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        assert self.detached
        return super().__array__(dtype, copy)


@pytest.mark.parametrize("kind", [ArrayOnly, DLPackOnly, Tensor, np.ndarray.tolist])
def test_arrays_of_any_framework(kind):
    report = check_kernel(lambda states, seed: kind(RIGHT(states, seed).astype(np.float32)), TINY, profile="smoke")
    assert report.passed, str(report)


def fake_torch():
    """Just enough of torch for the adapter."""
    torch = types.SimpleNamespace(float32=np.float32)

    class Generator:
        def __init__(self, device):
            assert device == "cpu"

        def manual_seed(self, seed):
            self.rng = np.random.default_rng(seed)
            return self

    torch.Generator = Generator
    torch.tensor = lambda values, dtype, device: np.array(values, dtype=dtype)
    return torch


def test_torch_and_jax_steps(monkeypatch):
    jax = types.SimpleNamespace(
        numpy=types.SimpleNamespace(asarray=lambda values, dtype: np.array(values, dtype=dtype)),
        random=types.SimpleNamespace(PRNGKey=lambda seed: ("key", seed)),
    )
    monkeypatch.setitem(sys.modules, "torch", fake_torch())
    monkeypatch.setitem(sys.modules, "jax", jax)
    states = TINY.states[[0, 1]]
    torch_step = adapters.torch_step(lambda x, generator: (x, generator.rng.random()))
    moved, number = torch_step(states, 3)
    assert moved.dtype == np.float32
    assert number == torch_step(states, 3)[1] != torch_step(states, 4)[1]
    moved, key = adapters.jax_step(lambda x, key: (x, key))(states, 3)
    assert (moved.dtype, key) == (np.float32, ("key", 3))


def test_a_missing_framework_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendError, match=r"torch is not installed; pip install 'ebm-ref\[peers\]'"):
        adapters.torch_step(lambda x, generator: x)


def test_one_chain_code():
    def one(state, rng):
        h = float(rng.random() < 1 / (1 + np.exp(-TINY.b[0] - TINY.W[0, 0] * state[0])))
        x = float(rng.random() < 1 / (1 + np.exp(-TINY.a[0] - TINY.W[0, 0] * h)))
        return [x, h]

    report = check_kernel(adapters.rowwise(one), TINY, profile="smoke")
    assert report.passed, str(report)


# callables by name ---------------------------------------------------------------------------------------------------


def test_load_callable(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("SHIFT = 2\n")
    file = tmp_path / "sampler_of_mine.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom helper_of_mine import SHIFT\n"
        "@dataclass\nclass S:\n    n: int = 1\n    @staticmethod\n    def step(states, seed):\n        return SHIFT\n"
        "number = 3\ndef walk(states, seed):\n    return states\n"
    )
    assert adapters.load_callable(f"{file}:S.step")(None, 0) == 2
    for name, words in (("stepp", "has no function named stepp; it has walk"), ("number", "no function but of type")):
        with pytest.raises(DomainError, match=words):
            adapters.load_callable(f"{file}:{name}")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("sampler.py", "expected FILE.py:NAME"),
        ("nowhere.py:step", "there is no file nowhere.py"),
        ("no_such_module:step", "No module named"),
        ("{bad}:step", "could not be imported: ZeroDivisionError"),
        ("{leaving}:step", "could not be imported: SystemExit"),
    ],
)
def test_targets_that_cannot_be_loaded(target, words, tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)\n")
    target = target.format(bad=tmp_path / "bad.py", leaving=tmp_path / "leaving.py")
    with pytest.raises(DomainError, match=words):
        adapters.load_callable(target)


def test_a_function_of_the_case():
    assert adapters.step_for(lambda case: NotImplemented, TINY) is None
    assert adapters.step_for(lambda case: lambda states, seed: case.name, TINY)(None, 0) == "rbm_1x1"
    assert adapters.step_for(RIGHT, TINY) is RIGHT
    assert adapters.step_for(max, TINY) is max

    def broken(case):
        raise RuntimeError("no model today")

    report = check_kernel(adapters.step_for(broken, TINY), TINY, profile="smoke")
    assert "no model today" in report.failures[0].message


# sample files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def draws():
    case = cases.named("ising_5_chord")
    return case.states[case.draw(12, np.random.default_rng(1))].reshape(3, 4, 5)


def test_npz_with_meta(tmp_path, draws):
    np.savez(tmp_path / "a.npz", states=draws, meta=json.dumps({"case": "ising_5_chord", "thin": 4}))
    found = adapters.read_samples(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.states, draws)
    assert found.meta == {"case": "ising_5_chord", "thin": 4}
    np.savez(tmp_path / "b.npz", states=draws.reshape(-1, 5).astype(np.int8), meta=np.frombuffer(b"{}", np.uint8))
    assert adapters.read_samples(tmp_path / "b.npz").states.shape == (1, 12, 5)
    np.save(tmp_path / "c.npy", draws)
    assert adapters.read_samples(tmp_path / "c.npy").states.shape == (3, 4, 5)


def test_files_of_chains(tmp_path):
    states = TINY.states[TINY.draw(150, np.random.default_rng(1))].reshape(3, 50, 2)
    chain = er.Chain(states, states[:, -1], 1, np.ones(3), 50, 0)
    chain.save(tmp_path / "chain.npz")
    found = adapters.read_samples(tmp_path / "chain.npz")
    np.testing.assert_array_equal(found.states, chain.states)
    assert found.meta["kind"] == "Chain"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(tmp_path, draws, delimiter):
    rows = draws.reshape(-1, 5)
    file = tmp_path / "a.csv"
    np.savetxt(file, rows, delimiter=delimiter, fmt="%d")
    np.testing.assert_array_equal(adapters.read_samples(file).states[0], rows)
    head = delimiter.join(["", "Chain", "draw", *(f"s{i}" for i in range(5)), "energy"])
    table = [(k, c, t, *draws[c, t].astype(int), 0.5) for k, (c, t) in enumerate(np.ndindex(3, 4))]
    text = [head, *(delimiter.join(map(str, row)) for row in reversed(table))]
    file.write_text("\ufeff# recorded on Tuesday\n\n" + "\n".join(text) + "\n", encoding="utf-8")
    np.testing.assert_array_equal(adapters.read_samples(file).states, draws)


def test_parquet(tmp_path, draws):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = draws.reshape(-1, 5)
    columns = {str(i): rows[:, i].astype(np.int8) for i in range(5)}
    columns |= {"num_occurrences": np.arange(12), "chain_.": ["a"] * 12}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    expected = np.repeat(rows, np.arange(12), axis=0)
    np.testing.assert_array_equal(adapters.read_samples(tmp_path / "a.parquet").states[0], expected)
    parquet.write_table(pyarrow.table({"x": ["a", "b"]}), tmp_path / "b.parquet")
    with pytest.raises(DomainError, match="columns of numbers, got string in column 'x'"):
        adapters.read_samples(tmp_path / "b.parquet")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BackendError, match=r"pip install 'ebm-ref\[parquet\]'"):
        adapters.read_samples(tmp_path / "a.parquet")


def save_arrays(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("a.txt", "0 1\n", DomainError, "expected a file ending in .npz"),
        ("a.csv", "", ShapeError, "an empty file"),
        ("a.csv", "x,y\n", ShapeError, "a header alone"),
        ("a.csv", "0,1\n0,one\n", DomainError, "expected numbers only"),
        ("a.csv", "0,1\n0\n", DomainError, "expected numbers only"),
        ("a.csv", "x,y,z\n0,1\n", ShapeError, "header has names, 3, got 2"),
        ("a.csv", "chain,x\n0,1\n0,1\n1,0\n", ShapeError, "chains of one length, got lengths 1 to 2"),
        ("a.csv", "num_occurrences,x\n-1,1\n", DomainError, "whole numbers in num_occurrences"),
        ("a.npz", "not a zip", DomainError, "expected an .npz file of plain arrays"),
        ("a.parquet", "not parquet", DomainError, "expected a parquet file"),
        ("a.npz", {"samples": np.ones((2, 2))}, DomainError, "array named states .*, got samples"),
        ("a.npz", {"states": np.ones(3)}, ShapeError, "expected states of shape"),
        ("a.npz", {"states": np.ones((0, 3))}, ShapeError, "expected states of shape"),
        ("a.npz", {"states": np.array([["0", "1"]])}, DomainError, "states of numbers, got dtype <U1"),
        ("a.npz", {"states": np.array([[object()]])}, DomainError, "plain arrays"),
        ("a.npz", {"states": np.ones((2, 2)), "meta": "[1]"}, DomainError, "meta to be a JSON object"),
    ],
)
def test_files_that_are_something_else(name, content, error, words, tmp_path):
    path = tmp_path / name
    if isinstance(content, dict):
        save_arrays(path, **content)
    else:
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow")
        path.write_text(content)
    with pytest.raises(error, match=words):
        adapters.read_samples(path)


def test_what_was_read_can_be_judged(tmp_path):
    case = cases.named("ising_5_chord")
    np.savez(tmp_path / "a.npz", states=case.states[case.draw(20_000, np.random.default_rng(5))])
    assert check_samples(adapters.read_samples(tmp_path / "a.npz").states, case).passed


# programs ------------------------------------------------------------------------------------------------------------

PROLOGUE = "import json, os, sys, time\ndef say(**reply): print(json.dumps(reply), flush=True)\n"
LOOP = PROLOGUE + "for line in sys.stdin:\n    r = json.loads(line)\n    s = r.get('states')\n"
GREET = LOOP + "    if r['op'] == 'hello':\n        say(id=r['id']); continue\n"
FAULTS = {
    "garbage": (PROLOGUE + "print('loading the model ...', flush=True); time.sleep(60)", "answers with garbage"),
    "not an object": (LOOP + "    print([1], flush=True)", "answers with garbage"),
    "silence": (PROLOGUE + "time.sleep(60)", "times out"),
    "deaf flood": (PROLOGUE + "while True: say(id=1)", "answers with the wrong id"),
    "crash": (LOOP + "    sys.exit('out of luck')", "crashes"),
    "signal": (LOOP + "    os.kill(os.getpid(), 11)", "crashes"),
    "later crash": (GREET + "    raise RuntimeError('no step today')", "crashes"),
    "closed stdout": (PROLOGUE + "os.close(1); time.sleep(60)", "crashes"),
    "wrong id": (GREET + "    say(id=r['id'] + 1, states=s)", "answers with the wrong id"),
    "no id": (GREET + "    say(states=s)", "answers with the wrong id"),
    "error": (GREET + "    say(id=r['id'], error='too hot')", "reports an error"),
    "no states": (GREET + "    say(id=r['id'], rows=s)", "answers with garbage"),
    "no file": (GREET + "    say(id=r['id'], file='nowhere.npz')", "answers with garbage"),
    "ragged": (GREET + "    say(id=r['id'], states=[[0, 1], [0]])", "returns the wrong shape"),
    "too few": (GREET + "    say(id=r['id'], states=s[:-1])", "returns the wrong shape"),
    "words": (GREET + "    say(id=r['id'], states=[['a', 'b'] for _ in s])", "returns the wrong dtype"),
    "nan": (
        GREET + "    say(id=r['id'], states=[[float('nan')] * 2 for _ in s])",
        "returns numbers that are not finite",
    ),
    "null": (GREET + "    say(id=r['id'], states=None)", "returns nothing"),
    "identity": (GREET + "    say(id=r['id'], states=s)", "returns its input"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_program_does_wrong_is_named(fault):
    source, name = FAULTS[fault]
    with adapters.Program([sys.executable, "-c", source], TINY, timeout=1.5 if name == "times out" else 20) as program:
        report = check_kernel(program, TINY, profile="smoke")
    assert not report.passed
    assert report.diagnosis[0].description == f"step {name}", str(report)
    assert program.process.returncode is not None


def test_last_words_of_a_crash():
    with adapters.Program([sys.executable, "-c", FAULTS["crash"][0]], TINY) as program:
        message = check_kernel(program, TINY, profile="smoke").failures[0].message
    assert "ended with status 1 at request 1 (hello); its last words: out of luck" in message


def test_a_right_program_passes_and_gets_the_model():
    with adapters.Program([sys.executable, str(EXAMPLES / "sampler_program.py")], TINY) as program:
        assert program.unsupported() is None
        report = check_kernel(program, TINY, profile="smoke")
    assert report.passed, str(report)
    assert report.subject.startswith("program ")
    assert program.process.returncode == 0


def test_a_program_may_decline():
    ising = cases.named("ising_5_chord")
    with adapters.Program([sys.executable, str(EXAMPLES / "sampler_program.py")], ising) as program:
        assert "only block Gibbs" in program.unsupported()
        report = check_kernel(program, ising, profile="smoke")
    assert report.diagnosis[0].description == "step does not support the case"


def test_large_batches_in_files():
    source = PROLOGUE + (
        "import numpy as np\n"
        "for line in sys.stdin:\n"
        "    r = json.loads(line)\n"
        "    if r['op'] == 'hello': say(id=r['id'], files=True)\n"
        "    elif 'file' in r:\n"
        "        np.savez(r['reply_file'], states=1 - np.load(r['file'])['states'])\n"
        "        say(id=r['id'], file=r['reply_file'])\n"
        "    else: say(id=r['id'], states=r['states'])\n"
    )
    with adapters.Program([sys.executable, "-c", source], TINY) as program:
        few, many = np.zeros((3, 2)), np.zeros((5000, 2))
        np.testing.assert_array_equal(program(few, 1), few)
        np.testing.assert_array_equal(program(many, 2), 1 - many)
        assert os.listdir(program.folder.name) == []
    assert not Path(program.folder.name).exists()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX")
def test_a_stubborn_program_and_its_children_end(tmp_path):
    note = tmp_path / "pid"
    source = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    program = adapters.Program([sys.executable, "-c", source], TINY)
    while not (note.exists() and note.read_text()):
        time.sleep(0.02)
    program.close()
    program.close()
    assert program.process.returncode is not None
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and running(int(note.read_text())):
        time.sleep(0.05)
    assert not running(int(note.read_text()))


def running(pid: int) -> bool:
    """False for a process that is gone or only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("command", ["", "./no/such/program --fast"])
def test_a_program_that_cannot_start(command):
    with pytest.raises(DomainError, match=r"program: (expected a command|\./no/such/program could not be started)"):
        adapters.Program(command, TINY)
