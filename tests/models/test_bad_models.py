"""Bad parameters and rows are refused with a message that says what and where."""

import re

import numpy as np
import pytest
from members import MACHINE_5, RBM_3X2

import ebm_ref as er
from ebm_ref.errors import DomainError, EbmError, ShapeError

NAN = float("nan")
BAD = (
    (lambda: er.RBM([[1.0], [2.0]], [0.0], [0.0]), ShapeError, "a: expected shape (2,), got (1,)"),
    (lambda: er.RBM([[1.0], [2.0]], [0.0, 0.0], [0.0, 1.0]), ShapeError, "b: expected shape (1,), got (2,)"),
    (lambda: er.RBM([1.0, 2.0], [0.0], [0.0]), ShapeError, "W: expected shape (any, any), got (2,)"),
    (
        lambda: er.RBM([[1.0], [NAN]], [0, 0], [0]),
        DomainError,
        "W: expected finite numbers, got nan at [1, 0] (1 non-finite value)",
    ),
    (
        lambda: er.RBM([[1.0]], [np.inf], [-np.inf]),
        DomainError,
        "a: expected finite numbers, got inf at [0] (1 non-finite value)",
    ),
    (lambda: er.RBM("weights", [0], [0]), ShapeError, "W: expected an array of numbers, got str"),
    (lambda: er.RBM.random(0, 2), DomainError, "n_visible: expected an integer of at least 1, got 0"),
    (lambda: er.RBM.random(2, 2, scale=0), DomainError, "scale: expected a positive number, got 0.0"),
    (lambda: RBM_3X2.free_energy([[1, 0]]), ShapeError, "x: expected shape (any, 3), got (1, 2)"),
    (lambda: RBM_3X2.hidden_free_energy([1, 0]), ShapeError, "h: expected shape (any, 2), got (2,)"),
    (lambda: RBM_3X2.joint_energy([[1, 0]]), ShapeError, "rows: expected shape (any, 5), got (1, 2)"),
    (
        lambda: RBM_3X2.energy_gradient([[1, 0, 1]], [[1, 0]], [1, 2]),
        ShapeError,
        "weights: expected shape (1,), got (2,)",
    ),
    (lambda: er.BoltzmannMachine([[0, 1.0]], [0]), ShapeError, "J: expected shape (1, 1), got (1, 2)"),
    (
        lambda: er.BoltzmannMachine([[0, 1.0], [2.0, 0]], [0, 0]),
        DomainError,
        "J: expected a symmetric matrix, got 1.0 at [0, 1] and 2.0 at [1, 0]; symmetrise with (J + J.T) / 2",
    ),
    (
        lambda: er.BoltzmannMachine([[0, 1.0], [1.0, 3.0]], [0, 0]),
        DomainError,
        "J: expected a zero diagonal, got 3.0 at [1, 1]; add J_ii/2 to c_i instead",
    ),
    (
        lambda: er.BoltzmannMachine.random(3, n_visible=4),
        DomainError,
        "n_visible: expected an integer of at least 0 and at most 3, got 4",
    ),
    (lambda: MACHINE_5.field([[1, 0, 1]]), ShapeError, "rows: expected shape (any, 5), got (1, 3)"),
    (
        lambda: er.pseudo_log_likelihood(RBM_3X2, [[1, 0, 0.5]]),
        DomainError,
        "x: expected only 0 and 1, got 0.5 at [0, 2]",
    ),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_at_the_door(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)) as caught:
        call()
    assert isinstance(caught.value, EbmError)
    assert isinstance(caught.value, ValueError)


def test_files_of_others(tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, W=np.ones((2, 1)), a=np.zeros(2), b=np.zeros(1, dtype=np.float32))
    assert isinstance(er.load(path), er.RBM)
    np.savez(path, J=np.zeros((2, 2)), c=np.ones(2))
    assert isinstance(er.load(path), er.BoltzmannMachine)

    np.savez(path, W=np.ones((2, 1)))
    with pytest.raises(DomainError, match=re.escape("expected arrays W, a, b or J, c")):
        er.load(path)
    np.savez(path, W=np.array([object()]))
    with pytest.raises(DomainError, match=r"plain arrays"):
        er.load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DomainError, match=re.escape("expected an .npz file")):
        er.load(path)
    with pytest.raises(FileNotFoundError):
        er.load(tmp_path / "missing.npz")


def test_a_failed_save_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    RBM_3X2.save(path)

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        MACHINE_5.save(path)
    assert isinstance(er.load(path), er.RBM)
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]
