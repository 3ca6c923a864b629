"""``ebm-ref train``, ``sample``, ``plot`` and ``exact`` with a GRBM, from a file of rows to a picture."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from laws import close

import ebm_ref as er
from ebm_ref.cli.commands import cli
from ebm_ref.cli.training import standardised

ROWS = 3.0 + 2.0 * np.sin(np.arange(120.0)).reshape(30, 4)


def run(*arguments, status=0):
    """Output of one command line."""
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == status, result.output
    return result.output


def test_a_grbm_from_rows_to_a_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", ROWS)
    options = ("--hidden", "3", "--epochs", "4", "--batch-size", "10", "-k", "2", "--quiet", "--json")
    told = json.loads(run("train", "--model", "grbm", "--data", "rows.npy", *options))
    model = er.load("model.npz")
    assert isinstance(model, er.GRBM)
    assert model.W.shape == (4, 3)
    rows, mean, deviation = standardised(ROWS, 0.1, 0)
    inside = model.rescaled(1 / deviation, -mean / deviation)  # the model as it was trained
    close(told["log_likelihood"], er.exact.log_likelihood(inside, rows))
    answer = json.loads(run("exact", "model.npz", "--data", "rows.npy", "--json", "--quiet", "--moments"))
    close(answer["log-likelihood (nats per row)"], er.exact.log_likelihood(model, ROWS))
    close(answer["E[x]"], er.exact.moments(model).x)
    run("sample", "model.npz", "--chains", "5", "--steps", "4", "--thin", "2", "--burn-in", "1", "--means", "--quiet")
    chain = er.load("samples.npz")
    close(chain.visible, model.mu + chain.hidden @ model.W.T)
    run("plot", "samples", "samples.npz")
    run("plot", "curves", "model.history.npz")
    assert {"samples.png", "curves.png"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("estimator", ["exact", "pcd"])
def test_the_other_estimators_and_the_rbm(tmp_path, monkeypatch, estimator):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", (ROWS > 3).astype(float))
    for kind in ("rbm", "grbm"):
        options = ("--estimator", estimator, "--hidden", "2", "--epochs", "1", "--chains", "4", "--quiet")
        run("train", "--model", kind, "--data", "rows.npy", *options)
        assert type(er.load("model.npz")).__name__ == kind.upper()
    (tmp_path / "model.npz").unlink()
    run("train", "--data", "rows.npy", "--epochs", "1", "--quiet", "--start", "noise")
    output = run("sample", "model.npz", "--means", status=2)
    assert "--means: expected a GRBM" in output


def test_standardised_rows_have_mean_0_and_variance_1_in_every_unit():
    rows, mean, deviation = standardised(ROWS, 0.0, 3)
    close(rows.mean(axis=0), np.zeros(4))
    close(rows.std(axis=0), np.ones(4))
    close(rows * deviation + mean, ROWS)
    rows, mean, deviation = standardised(ROWS, 0.1, 3)
    assert np.std(rows * deviation + mean - ROWS) == pytest.approx(0.1 * ROWS.std(), rel=0.3)
    rows, mean, deviation = standardised(np.ones((5, 2)), 0.0, 3)  # nothing changes
    assert np.array_equal(rows, np.zeros((5, 2)))
    assert np.array_equal(deviation, np.ones(2))
