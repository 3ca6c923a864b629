"""What the commands on models and data say to a user who gets something wrong, before any work is done."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import ebm_ref as er
from ebm_ref.cli.commands import cli
from ebm_ref.cli.self_check import self_checks

RBM = er.RBM(np.linspace(-1.0, 1.0, 12).reshape(6, 2), np.zeros(6), np.ones(2))


def run(*arguments):
    """(exit status, output) of one command line."""
    result = CliRunner().invoke(cli, list(arguments))
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a file of each kind."""
    monkeypatch.chdir(tmp_path)
    RBM.save("rbm.npz")
    er.BoltzmannMachine.random(3, seed=0).save("bm.npz")
    er.GRBM.random(4, 2, seed=0).save("grbm.npz")
    er.Gaussian([0.0], [[1.0]]).save("gaussian.npz")
    er.sample(er.block_gibbs(RBM), np.zeros((2, 6)), 0, seed=0).save("chain.npz")
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "head.csv").write_text("a,b\n1,0\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("exact chain.npz", "chain.npz: expected a file of RBM or BoltzmannMachine or GRBM, got Chain"),
        ("exact gaussian.npz", "got Gaussian"),
        ("sample chain.npz", "got Chain"),
        ("sample rbm.npz --chains 0", "0 is not in the range x>=1"),
        ("sample rbm.npz --burn-in -1", "-1 is not in the range x>=0"),
        ("sample rbm.npz --steps 5", "--thin: expected at most --steps, 5, got 10: nothing would be kept"),
        ("sample rbm.npz --out no/x.npz", "there is no folder no"),
        ("sample grbm.npz --kernel metropolis", "--kernel: a GRBM has block_gibbs only, got metropolis"),
        ("train --data digits --out no/x.npz", "there is no folder no"),
        ("train --data digits --hidden 0", "0 is not in the range x>=1"),
        ("train --data digits -k -1", "-1 is not in the range x>=1"),
        ("train --data digits --epochs -1", "-1 is not in the range x>=0"),
        ("train --data .", "--data .: no such file or data set"),
        ("plot filters bm.npz", "bm.npz: expected a file of RBM or GRBM, got BoltzmannMachine"),
        ("plot filters rbm.npz", "6 units are no square image; give for example --shape 2x3"),
        ("plot filters rbm.npz --shape 2x3 -o x.pdf", "--out: expected a .png or .svg file, got x.pdf"),
        ("plot samples rbm.npz", "expected a file of Chain, got RBM"),
        ("plot samples chain.npz", "expected chains with kept states, got none"),
        ("plot spectrum grbm.npz", "expected a file of RBM or BoltzmannMachine, got GRBM"),
        ("plot curves rbm.npz", "rbm.npz: expected the NAME.history.npz of ebm-ref train, got W, a, b"),
    ],
)
def test_wrong_use(words, message):
    status, output = run(*words.split())
    assert status == 2
    assert message in " ".join(output.split())


@pytest.mark.parametrize("words", ["exact rbm.npz --data head.csv", "train --data text.npz"])
def test_a_file_that_holds_no_rows(words):
    with pytest.raises(er.errors.DomainError, match="expected rows of numbers"):
        CliRunner().invoke(cli, words.split(), catch_exceptions=False)


def test_a_file_of_one_axis():
    np.savez("line.npz", x=np.zeros(3))
    with pytest.raises(er.errors.ShapeError, match=r"--data line.npz: expected shape \(any, any\), got \(3,\)"):
        CliRunner().invoke(cli, ["train", "--data", "line.npz"], catch_exceptions=False)


def test_a_folder_that_cannot_be_written_to(folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode, **more: False)
    assert "can't be written to" in run("sample", str(folder / "rbm.npz"), "--out", "x.npz")[1]


def test_what_is_printed(folder):
    output = run("exact", "rbm.npz", "--moments", "--quiet")[1]
    names = [line.split("  ")[0] for line in output.splitlines()]
    assert names[-2:] == ["E[x]", "E[h]"]
    assert all(line == line.rstrip() for line in output.splitlines())
    told = json.loads(run("sample", "rbm.npz", "--chains", "2", "--steps", "20", "--quiet", "--json")[1])
    assert told["states"] == [2, 2, 8]
    assert repr(er.load("samples.npz")).startswith("Chain(states=(2, 2, 8), n_visible=6, acceptance_rate=1, ")


def test_the_package_is_not_judged_before_its_checks_are_called(monkeypatch):
    """What compiles for long happens under the progress bar."""
    monkeypatch.setattr(er.exact, "log_partition", None)
    assert len(list(self_checks("smoke", 0))) > 90
