"""``ebm-ref train``: an RBM on binary rows, or a Gaussian-Bernoulli RBM on grey ones.

The settings of ``DEFAULTS["grbm"]`` give digits that a person can read (README, gallery).  A GRBM is trained on rows
with a little noise, without which a pixel that never changes would have an infinite density, and then mean 0 and
variance 1 in every unit, since the hidden units read v/variance: a large mean or a small variance of one unit would ask
for learning rates of its own.  The model that is written speaks of the original units again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import ebm_ref
from ebm_ref import files
from ebm_ref.cli.inputs import DATA_HELP, NewFile, emit, natural, positive, read_data

DEFAULTS: dict[str, dict[str, Any]] = {
    "rbm": {"hidden": 16, "k": 1, "epochs": 20, "lr": 0.1, "start": "data", "estimator": "cd"},
    "grbm": {"hidden": 256, "k": 10, "epochs": 240, "lr": 0.02, "start": "noise", "estimator": "pcd"},
}
MAX_NORM = 10.0  # of a GRBM's gradient


def both(name: str) -> str:
    """How --help shows a default that depends on the model."""
    return f"[default: {DEFAULTS['rbm'][name]}, grbm {DEFAULTS['grbm'][name]}]"


@click.command()
@click.option("--data", required=True, help=DATA_HELP + ". A GRBM takes the grey values of images.")
@click.option("--model", "kind", type=click.Choice(["rbm", "grbm"]), default="rbm", show_default=True)
@click.option("--hidden", type=positive, help=f"Hidden units.  {both('hidden')}")
@click.option("--estimator", type=click.Choice(["exact", "cd", "pcd"]), help=both("estimator"))
@click.option("-k", type=positive, help=f"Sweeps an update (cd, pcd).  {both('k')}")
@click.option("--start", type=click.Choice(["data", "noise"]), help=f"Where chains of cd start.  {both('start')}")
@click.option("--chains", default=100, show_default=True, type=positive, help="Persistent chains (pcd).")
@click.option("--epochs", type=natural, help=both("epochs"))
@click.option("--batch-size", default=100, show_default=True, type=positive)
@click.option("--lr", type=float, help=f"Learning rate; a GRBM's falls by a cosine (Adam).  {both('lr')}")
@click.option("--momentum", default=0.5, show_default=True, help="Of the RBM's stochastic gradient.")
@click.option("--weight-decay", default=1e-4, show_default=True, help="On the weights, never on biases.")
@click.option("--noise", default=0.1, show_default=True, help="Added to a GRBM's rows, in deviations of all data.")
@click.option("-o", "--out", default="model.npz", show_default=True, type=NewFile())
@click.option("--checkpoint", type=NewFile(), help="Carry on from this file if a run was cut short.")
@click.option("--seed", default=0, show_default=True, type=natural, metavar="N", help="Seed of every random number.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def train(
    data: str, kind: str, hidden: int | None, estimator: str | None, k: int | None, start: str | None, chains: int,
    epochs: int | None, batch_size: int, lr: float | None, momentum: float, weight_decay: float, noise: float, out: str,
    checkpoint: str | None, seed: int, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train an RBM or a GRBM; writes the model and, beside it, NAME.history.npz for ``ebm-ref plot curves``."""
    given = {"hidden": hidden, "k": k, "epochs": epochs, "lr": lr, "start": start, "estimator": estimator}
    chosen = {**DEFAULTS[kind], **{name: value for name, value in given.items() if value is not None}}
    rows, mean, deviation = read_data(data, grey=kind == "grbm"), 0.0, 1.0
    estimators: dict[str, Any] = {
        "exact": ebm_ref.exact_gradient,
        "cd": lambda: ebm_ref.cd(chosen["k"], start=chosen["start"]),
        "pcd": lambda: ebm_ref.pcd(chosen["k"], chains),
    }
    n_updates = max(1, chosen["epochs"] * -(-len(rows) // min(batch_size, len(rows))))
    model: Any
    optimizer: Any
    if kind == "grbm":
        rows, mean, deviation = standardised(rows, noise, seed)
        rate = ebm_ref.CosineDecay(chosen["lr"], n_updates)
        optimizer = ebm_ref.clipped(ebm_ref.adam(rate, weight_decay=weight_decay), MAX_NORM)
        model = ebm_ref.GRBM.for_data(rows, chosen["hidden"], seed=seed)
    else:
        optimizer = ebm_ref.sgd(chosen["lr"], momentum, weight_decay)
        model = base_rate_rbm(rows, chosen["hidden"], seed)
    negatives = estimators[chosen["estimator"]]()
    result = ebm_ref.fit(
        model, rows, negatives, optimizer, chosen["epochs"], batch_size, seed, checkpoint=checkpoint, progress=not quiet
    )
    (result.model.rescaled(deviation, mean) if kind == "grbm" else result.model).save(out)
    history = Path(out).with_suffix(".history.npz")
    files.write_arrays(history, "History", dict(result.history), {})
    last = {name: float(values[-1]) for name, values in result.history.items()}
    emit({"model": out, "history": str(history), **last}, as_json)


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
