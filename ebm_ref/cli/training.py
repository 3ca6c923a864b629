"""``ebm-ref train``: an RBM on binary rows, a Gaussian-Bernoulli RBM on grey ones, or a deep energy (cli/networks.py).

The settings of ``DEFAULTS["grbm"]`` give digits that a person can read (README, gallery).  A GRBM is trained on rows
with a little noise, without which a pixel that never changes would have an infinite density, and then mean 0 and
variance 1 in every unit, since the hidden units read v/variance: a large mean or a small variance of one unit would ask
for learning rates of its own.  The model that is written speaks of the original units again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import ebm_ref
from ebm_ref import files
from ebm_ref.cli.inputs import DATA_HELP, NewFile, emit, natural, of_random_work, positive, read_data, read_labels

NETWORKS = ("mlp", "convnet", "unet", "jem")
DEFAULTS: dict[str, dict[str, Any]] = {
    "rbm": {"hidden": 16, "k": 1, "epochs": 20, "lr": 0.1, "start": "data", "estimator": "cd"},
    "grbm": {"hidden": 256, "k": 10, "epochs": 240, "lr": 0.02, "start": "noise", "estimator": "pcd"},
}
MAX_NORM, GRBM_NOISE = 10.0, 0.1  # of a GRBM: the largest norm of a gradient; noise added to the rows
OF_MACHINES, OF_NETWORKS = ("start", "chains", "momentum"), ("form", "levels", "clip", "average", "energy_penalty")
OF_ESTIMATORS = {"rbm": ("exact", "cd", "pcd"), "grbm": ("exact", "cd", "pcd"), "jem": ("cd",)}
OF_ESTIMATORS |= dict.fromkeys(("mlp", "convnet", "unet"), ("score_matching", "recovery", "cd"))


def both(name: str, networks: str) -> str:
    """How --help shows a default that depends on the model."""
    return f"[default: {DEFAULTS['rbm'][name]}, grbm {DEFAULTS['grbm'][name]}, networks {networks}]"


@click.command()
@click.option("--data", required=True, help=DATA_HELP + ". All models but the RBM take the grey values of images.")
@click.option("--model", "kind", type=click.Choice(["rbm", "grbm", *NETWORKS]), default="rbm", show_default=True)
@click.option(
    "--hidden",
    type=positive,
    help=f"Hidden units; of a convnet or U-Net, channels of the first level.  {both('hidden', '256, 32, 24')}",
)
@click.option(
    "--form",
    type=click.Choice(["inner", "residual", "square", "scalar"]),
    help="The energy from a network's f: x.f, |x - f|^2, |f|^2, f.  "
    "[default: inner, convnet scalar; cd, recovery residual]",
)
@click.option(
    "--estimator",
    type=click.Choice(["exact", "cd", "pcd", "score_matching", "recovery"]),
    help=f"Networks know score_matching, recovery and cd (jem: cd).  {both('estimator', 'score_matching')}",
)
@click.option(
    "-k", type=positive, help=f"Sweeps or Langevin steps, at each update or level.  {both('k', '5, 20 or 30')}"
)
@click.option("--start", type=click.Choice(["data", "noise"]), help="Where an RBM's chains of cd start.")
@click.option("--chains", default=100, show_default=True, type=positive, help="Persistent chains (pcd).")
@click.option("--epochs", type=natural, help=both("epochs", "as many as make about 2,500 updates"))
@click.option("--batch-size", default=100, show_default=True, type=positive)
@click.option(
    "--lr",
    type=float,
    help=f"Learning rate; falls by a cosine but for the RBM.  {both('lr', '0.002, recovery 0.001, cd 0.0003')}",
)
@click.option("--momentum", default=0.5, show_default=True, help="Of the RBM's stochastic gradient.")
@click.option("--weight-decay", default=1e-4, show_default=True, help="On the weights, never on biases.")
@click.option(
    "--noise",
    type=float,
    help="On a GRBM's rows, in deviations of all data [default: 0.1]; or the lowest level of score_matching, for data"
    " in [-1, 1]  [default: 0.5 alone, else 0.1]",
)
@click.option("--levels", type=positive, help="Noise levels of score_matching.  [default: 1 to 100 pixels, else 12]")
@click.option("--clip", type=float, help="Largest norm of a network's gradient.  [default: 10, cd 1, levels 1000]")
@click.option(
    "--average", type=float, help="Decay of the mean of a network's parameters, the one written. [default: 0.99]"
)
@click.option(
    "--energy-penalty", type=float, help="alpha in alpha (E_data^2 + E_chains^2), cd of networks. [default: 0]"
)
@click.option("-o", "--out", default="model.npz", show_default=True, type=NewFile())
@click.option("--checkpoint", type=NewFile(), help="Carry on from this file if a run was cut short.")
@of_random_work
def train(
    data: str, kind: str, hidden: int | None, form: str | None, estimator: str | None, k: int | None, start: str | None,
    chains: int, epochs: int | None, batch_size: int, lr: float | None, momentum: float, weight_decay: float,
    noise: float | None, levels: int | None, clip: float | None, average: float | None, energy_penalty: float | None,
    out: str, checkpoint: str | None, seed: int, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train a model; writes it and, beside it, NAME.history.npz for ``ebm-ref plot curves``.

    \b
    ebm-ref train --data digits                         an RBM
    ebm-ref train --data digits --model grbm            a Gaussian-Bernoulli RBM
    ebm-ref train --data digits --model mlp             a deep energy, with digits to read after about a minute
    ebm-ref train --data fashion-mnist --model unet     a deep energy of larger images
    ebm-ref train --data digits --model jem             a classifier whose logits are energies

    Then ``ebm-ref sample`` draws from it, and ``ebm-ref complete`` fills in images that are known in part.
    Training that leaves the finite numbers ends with status 1: give a lower --lr or --clip.
    """
    require_own_options(kind, estimator)
    common: dict[str, Any] = {"batch_size": batch_size, "checkpoint": checkpoint, "progress": not quiet}
    if kind in NETWORKS:
        from ebm_ref.cli import networks

        rows, labels = read_data(data, grey=True), read_labels(data) if kind == "jem" else None
        how = "jem" if kind == "jem" else estimator or "score_matching"
        recipe = networks.recipe_for(rows, how, k, noise, levels, energy_penalty or 0.0)
        result = networks.train_network(
            kind, rows, labels, recipe, form=form, width=hidden, epochs=epochs, lr=lr, weight_decay=weight_decay,
            clip=clip, average=average, seed=seed, **common,
        )  # fmt: skip
        networks.save(out, result.averaged, recipe)
    else:
        given = {"hidden": hidden, "k": k, "epochs": epochs, "lr": lr, "start": start, "estimator": estimator}
        chosen = {**DEFAULTS[kind], **{name: value for name, value in given.items() if value is not None}}
        result = train_machine(kind, data, chosen, chains, momentum, weight_decay, noise, out, seed, common)
    history = Path(out).with_suffix(".history.npz")
    files.write_arrays(history, "History", dict(result.history), {})
    last = {name: float(values[-1]) for name, values in result.history.items()}
    emit({"model": out, "history": str(history), **last}, as_json)


def require_own_options(kind: str, estimator: str | None) -> None:
    """An option that belongs to other models is a mistake, not a wish to be passed over."""
    context = click.get_current_context()
    foreign, owner = (OF_MACHINES, "an RBM") if kind in NETWORKS else (OF_NETWORKS, "a network")
    for name in (*foreign, *(("form",) if kind == "jem" else ())):
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')}: an option of {owner}, not of --model {kind}")
    if estimator not in (None, *OF_ESTIMATORS[kind]):
        raise click.UsageError(
            f"--estimator: expected {' or '.join(OF_ESTIMATORS[kind])} for --model {kind}, got {estimator}"
        )


def train_machine(
    kind: str, data: str, chosen: dict[str, Any], chains: int, momentum: float, weight_decay: float,
    noise: float | None, out: str, seed: int, common: dict[str, Any],
) -> ebm_ref.Fit:  # fmt: skip
    """An RBM or a GRBM, trained and written."""
    rows, mean, deviation = read_data(data, grey=kind == "grbm"), 0.0, 1.0
    estimators: dict[str, Any] = {
        "exact": ebm_ref.exact_gradient,
        "cd": lambda: ebm_ref.cd(chosen["k"], start=chosen["start"]),
        "pcd": lambda: ebm_ref.pcd(chosen["k"], chains),
    }
    n_updates = max(1, chosen["epochs"] * -(-len(rows) // min(common["batch_size"], len(rows))))
    model: Any
    optimizer: Any
    if kind == "grbm":
        rows, mean, deviation = standardised(rows, GRBM_NOISE if noise is None else noise, seed)
        rate = ebm_ref.CosineDecay(chosen["lr"], n_updates)
        optimizer = ebm_ref.clipped(ebm_ref.adam(rate, weight_decay=weight_decay), MAX_NORM)
        model = ebm_ref.GRBM.for_data(rows, chosen["hidden"], seed=seed)
    else:
        optimizer = ebm_ref.sgd(chosen["lr"], momentum, weight_decay)
        model = base_rate_rbm(rows, chosen["hidden"], seed)
    negatives = estimators[chosen["estimator"]]()
    result = ebm_ref.fit(model, rows, negatives, optimizer, n_epochs=chosen["epochs"], seed=seed, **common)
    (result.model.rescaled(deviation, mean) if kind == "grbm" else result.model).save(out)
    return result


def base_rate_rbm(rows, n_hidden: int, seed: int):
    """Small random weights, visible biases at the smoothed log odds of the data: Hinton's starting point."""
    import numpy as np

    weights = 0.05 * ebm_ref.Stream(seed, "parameters").normal(0, (rows.shape[1], n_hidden))
    return ebm_ref.RBM(weights, ebm_ref.base_bias(rows), np.zeros(n_hidden))


def standardised(rows, noise: float, seed: int):
    """(rows with noise added, then with mean 0 and variance 1 in every unit; means; deviations).

    The noise has ``noise`` deviations of all units together.
    """
    import numpy as np

    z = ebm_ref.Stream(seed, "user").normal(0, rows.shape)
    rows = rows + noise * (float(rows.std()) or 1.0) * z
    deviation = rows.std(axis=0)
    mean, deviation = rows.mean(axis=0), np.where(deviation > 0, deviation, 1.0)
    return (rows - mean) / deviation, mean, deviation
