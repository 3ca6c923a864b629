"""``ebm-ref train``, ``sample`` and ``complete`` with deep energies: from rows to pictures, at tiny sizes."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from laws import close

import ebm_ref as er
from ebm_ref import cli as command_line
from ebm_ref.cli.commands import cli
from ebm_ref.cli.networks import read_recipe, recipe_for

IMAGES = (1.0 + np.sin(np.arange(20 * 16.0) ** 1.3)).reshape(20, 16) * 4.0  # 4 x 4, values from 0 to 8
TINY = ("--hidden", "4", "--batch-size", "10", "--epochs", "2", "-k", "2", "--quiet")


def run(*arguments, status=0):
    """Output of one command line."""
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with images, classes and masks."""
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", IMAGES)
    np.savez("labelled.npz", x=IMAGES, labels=np.arange(20) % 3)
    np.save("corner.npy", np.arange(16).reshape(4, 4) % 4 < 2)
    return tmp_path


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("mlp", ()),
        ("mlp", ("--levels", "2", "--form", "residual")),
        ("mlp", ("--estimator", "recovery")),
        ("mlp", ("--estimator", "cd", "--energy-penalty", "0.1")),
        ("convnet", ()),
        ("unet", ("--levels", "2")),
    ],
)
def test_from_rows_to_pictures(folder, model, options):
    told = json.loads(run("train", "--model", model, "--data", "rows.npy", *options, *TINY, "--json"))
    assert told["epoch"] == 2
    steps = ("--steps", "3", "--burn-in", "0") if "cd" in options else ()
    run("sample", "model.npz", "--chains", "5", "--quiet", *steps)
    assert er.load("samples.npz").states.shape == (5, 1, 16)
    run("plot", "samples", "samples.npz")
    run("plot", "curves", "model.history.npz")
    more = ("--known", "corner.npy", "--rows", "2", "--each", "3", "--steps", "3", "--seed", "4", "--quiet")
    run("complete", "model.npz", "--data", "rows.npy", *more)
    with np.load("completions.npz") as file:
        drawn, known = file["completions"], file["known"]
    assert drawn.shape == (2, 3, 16)
    assert np.array_equal(known, np.load("corner.npy").ravel())
    assert np.array_equal(drawn[:, :, known], np.repeat(IMAGES[:2, None, known], 3, axis=1))
    assert len(np.unique(drawn[0][:, ~known], axis=0)) == 3
    assert {"samples.png", "curves.png", "completions.png"} <= {path.name for path in folder.iterdir()}


def test_what_is_drawn_is_what_the_recipe_says():
    """The file holds the averaged model and the estimator; images come back in the units of the data."""
    run("train", "--model", "mlp", "--data", "rows.npy", *TINY, "--noise", "0.4")
    recipe, model = read_recipe("model.npz"), er.load("model.npz")
    assert isinstance(model, er.NetworkEnergy)
    assert recipe.sigmas == (0.4,)
    close([recipe.shift, recipe.scale], [(IMAGES.max() + IMAGES.min()) / 2, (IMAGES.max() - IMAGES.min()) / 2])
    close(recipe.rows(IMAGES).max(), 1.0)
    run("sample", "model.npz", "--chains", "3", "--seed", "5", "--quiet")
    estimator = er.annealed_score_matching([0.4], 6, centre=recipe.centre, spread=recipe.spread)
    close(er.load("samples.npz").last, recipe.data(estimator.sample(model, 3, 5)))


def test_a_run_that_was_cut_short_carries_on():
    options = ("--model", "mlp", "--data", "rows.npy", *TINY)
    run("train", *options, "-o", "whole.npz")
    run("train", *options, "--checkpoint", "run.npz")
    run("train", *options, "--checkpoint", "run.npz", "-o", "again.npz")
    whole, again = er.load("whole.npz"), er.load("again.npz")
    assert np.array_equal(whole.energy(IMAGES), again.energy(IMAGES))


def test_a_joint_energy_is_a_classifier():
    run("train", "--model", "jem", "--data", "labelled.npz", *TINY)
    assert er.load("model.npz").class_probabilities(IMAGES).shape == (20, 3)
    run("complete", "model.npz", "--data", "rows.npy", "--rows", "1", "--each", "1", "--steps", "2", "--quiet")


@pytest.mark.parametrize("known", ["left", "right", "top", "bottom"])
def test_completions_of_binary_and_grey_machines(known):
    er.RBM.random(16, 3, seed=1).save("rbm.npz")
    er.GRBM.random(16, 3, seed=1).save("grbm.npz")
    np.save("bits.npy", (IMAGES > 4).astype(float))
    for model, data, more in (("rbm.npz", "bits.npy", ()), ("grbm.npz", "rows.npy", ("--means",))):
        run("complete", model, "--data", data, "--known", known, "--rows", "2", "--each", "2", "--quiet", *more)
        with np.load("completions.npz") as file:
            drawn, mask, observed = file["completions"], file["known"].reshape(4, 4), file["observed"]
        assert mask.sum() == 8
        assert {"left": mask[:, 0], "right": mask[:, 3], "top": mask[0], "bottom": mask[3]}[known].all()
        assert np.array_equal(drawn[:, 0][:, mask.ravel()], observed[:, mask.ravel()])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --data rows.npy --form inner", "--form: an option of a network, not of --model rbm"),
        ("train --data rows.npy --model mlp --start data", "--start: an option of an RBM, not of --model mlp"),
        ("train --data rows.npy --model jem --form inner", "--form: an option"),
        ("train --data rows.npy --model mlp --estimator pcd", "expected score_matching or recovery or cd"),
        ("train --data rows.npy --estimator recovery", "--estimator: expected exact or cd or pcd for --model rbm"),
        ("train --data rows.npy --model unet --form scalar", "a U-Net gives an image"),
        ("train --data rows.npy --model mlp --levels 3 --noise 4", "--noise: expected less than the highest level"),
        ("train --data rows.npy --model jem", "expected digits, mnist, fashion-mnist, or an .npz with an array"),
        ("sample bare.npz", "expected a deep energy written by ebm-ref train, got one without a recipe"),
        ("complete rbm.npz --data rows.npy --known middle", "--known: expected left, right, top, bottom or a file"),
        ("complete rbm.npz --data rows.npy --means", "--means: expected a GRBM"),
        ("complete rbm.npz --data rows.npy --first 20", "--first: expected less than the 20 images"),
        ("complete rbm.npz --data rows.npy --picture x.pdf", "--picture: expected a .png or .svg file"),
    ],
)
def test_wrong_use(words, message):
    er.NetworkEnergy(er.nets.mlp((16, 2, 1)), "scalar").save("bare.npz")
    er.RBM.random(16, 2).save("rbm.npz")
    assert message in " ".join(run(*words.split(), status=2).split())


def test_steps_are_refused_where_levels_have_their_own():
    run("train", "--model", "mlp", "--data", "rows.npy", *TINY)
    assert "--steps: no option for a deep energy of score_matching" in run(
        "sample", "model.npz", "--steps", "9", status=2
    )


def test_a_mask_must_leave_something():
    er.RBM.random(16, 2).save("rbm.npz")
    np.save("ones.npy", np.ones(16))
    with pytest.raises(er.errors.DomainError, match="expected zeros and ones, and a zero"):
        CliRunner().invoke(
            cli, ["complete", "rbm.npz", "--data", "rows.npy", "--known", "ones.npy"], catch_exceptions=False
        )


def test_a_run_that_diverges_says_so_and_writes_nothing(folder, capsys):
    words = ["train", "--model", "mlp", "--data", "rows.npy", *TINY, "--lr", "1e9"]
    with pytest.raises(SystemExit) as left:
        command_line.main(words)
    assert left.value.code == command_line.DIVERGED
    told = capsys.readouterr().err
    assert "left the finite numbers" in told
    assert "try a lower --lr" in told
    assert not (folder / "model.npz").exists()


def test_levels_follow_the_size_of_the_images():
    assert recipe_for(np.eye(64), "score_matching", None, None, None, 0.0).sigmas == (0.5,)
    large = recipe_for(np.eye(144), "score_matching", None, None, None, 0.0)
    assert (len(large.sigmas), large.k) == (12, 5)
    close([large.sigmas[0], large.sigmas[-1]], [0.1, 6.0 * large.spread])
    assert large.shape == (12, 12)
