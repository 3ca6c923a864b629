"""Every example runs as a newcomer would run it, and stays short."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
RUNS = (("exact_answers.py", ()), ("train_digits.py", ("2",)), ("deep_digits.py", ("2",)), ("jem_digits.py", ("2",)))


@pytest.mark.parametrize(("script", "arguments"), RUNS)
def test_example_runs(script, arguments, tmp_path):
    command = [sys.executable, "-W", "error", str(EXAMPLES / script), *arguments]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "log" in run.stdout or "nats" in run.stdout


def test_examples_are_short():
    assert all(len(path.read_text().splitlines()) <= 60 for path in EXAMPLES.iterdir() if path.is_file())
