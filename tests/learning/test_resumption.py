"""A run that is killed at any moment and started again ends with the very bits of an undisturbed one."""

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import training_run
from members import RBM_3X2

import ebm_ref as er
from ebm_ref import files
from ebm_ref.errors import DomainError

SCRIPT = Path(training_run.__file__)
DATA = er.datasets.bars_and_stripes(2)


def updates_done(checkpoint: Path) -> int:
    return files.read_arrays(checkpoint)[2]["update"] if checkpoint.exists() else 0


def start(choice, checkpoint, result):
    command = [sys.executable, str(SCRIPT), choice, str(checkpoint), str(result)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.parametrize("choice", training_run.CHOICES)
def test_kill_minus_nine_changes_no_bit(choice, tmp_path, seed):
    """A real process dies by SIGKILL three times at random moments while it writes a checkpoint after every update."""
    chance, checkpoint, result = random.Random(seed), tmp_path / "run.npz", tmp_path / "result.npz"
    died_at = []
    for _ in range(3):
        before = updates_done(checkpoint)
        process = start(choice, checkpoint, result)
        while process.poll() is None and updates_done(checkpoint) <= before:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.08))
        process.kill()
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors.decode()
        died_at.append(updates_done(checkpoint))
    assert 0 < died_at[0] < died_at[1] < died_at[2] < 240
    process = start(choice, checkpoint, result)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()

    undisturbed = training_run.everything(training_run.train(choice, None))
    with np.load(result) as file:
        assert set(file.files) == set(undisturbed)
        for name, expected in undisturbed.items():
            assert file[name].tobytes() == expected.tobytes(), name
            assert file[name].dtype == expected.dtype


def run(checkpoint, n_epochs=3, **changes):
    arguments = {"estimator": er.pcd(1, n_chains=3), "optimizer": er.adam(0.1), "batch_size": 4, "seed": 1} | changes
    model, data = arguments.pop("model", er.RBM.random(4, 3)), arguments.pop("data", DATA)
    return er.fit(model, data, n_epochs=n_epochs, checkpoint=checkpoint, progress=False, **arguments)


def test_a_longer_run_carries_on_from_a_shorter_one(tmp_path):
    run(tmp_path / "a.npz", 2)
    longer = run(tmp_path / "a.npz", 5)
    whole = run(None, 5)
    for name, expected in training_run.everything(whole).items():
        assert training_run.everything(longer)[name].tobytes() == expected.tobytes(), name
    finished = run(tmp_path / "a.npz", 5)
    assert finished.model.W.tobytes() == whole.model.W.tobytes()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("estimator", {"estimator": er.pcd(2, n_chains=3)}),
        ("optimizer", {"optimizer": er.adam(0.2)}),
        ("batch_size", {"batch_size": 5}),
        ("seed", {"seed": 2}),
        ("data", {"data": DATA[::-1]}),
        ("initial", {"model": er.RBM.random(4, 3, seed=1)}),
        ("model", {"model": er.RBM.random(4, 2)}),
        ("validation", {"validation": DATA}),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(tmp_path, name, change):
    path = tmp_path / "run.npz"
    run(path)
    before = path.read_bytes()
    with pytest.raises(DomainError, match=f"^checkpoint: .* belongs to another run: {name} was .*; delete the file"):
        run(path, **change)
    assert path.read_bytes() == before


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    RBM_3X2.save(path)
    with pytest.raises(DomainError, match=re.escape("checkpoint: expected a checkpoint of fit")):
        run(path)


def test_a_checkpoint_is_replaced_in_one_step(tmp_path, monkeypatch):
    """A crash while writing leaves the former checkpoint, and no other file."""
    path = tmp_path / "run.npz"
    run(path, 1)
    before = path.read_bytes()

    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(OSError, match="disk full"):
        run(path, 2)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]
