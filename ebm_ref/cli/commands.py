"""The commands on models and data: exact, sample, train, plot.  ``verify`` has a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import ebm_ref
from ebm_ref.cli.inputs import DATA_HELP, emit, read_data

KERNELS = ("block_gibbs", "gibbs", "gibbs_random", "gibbs_palindromic", "metropolis")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
quiet = click.option("--quiet", is_flag=True, help="No progress bar.")
seed_option = click.option("--seed", default=0, show_default=True, help="Seed of every random number.")
model_argument = click.argument("model", type=click.Path(exists=True, dir_okay=False))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ebm_ref.__version__)
def cli() -> None:
    """The reference for energy-based models: exact answers, samplers, learning, and checks of other people's code.

    Models are .npz files: arrays W, a, b (an RBM) or J, c (a Boltzmann machine), units in {0, 1}.

    Exit status: 0 it holds, 1 it does not hold, 2 wrong use, 3 too little data.
    """


@cli.command()
@model_argument
@click.option("--data", help=f"Also the mean log-likelihood of these rows: {DATA_HELP}.")
@click.option(
    "--method", type=click.Choice(["auto", "product", "gray", "vectorized"]), default="auto", show_default=True,
    help="How log Z is summed.",
)  # fmt: skip
@click.option("--moments", "with_moments", is_flag=True, help="Also the mean of each unit.")
@as_json
@quiet
def exact(model: str, data: str | None, method: str, with_moments: bool, as_json: bool, quiet: bool) -> None:
    """Exact answers for MODEL: log Z, entropy, mean energy, heat capacity, the most probable state."""
    m = ebm_ref.load(model)
    log_z = ebm_ref.exact.log_partition(m, method=method, progress=not quiet)
    energy = ebm_ref.exact.mean_energy(m)
    x, h = ebm_ref.exact.joint_map(m)
    values = {
        "model": repr(m), "log Z (nats)": log_z, "mean energy": energy, "entropy (nats)": log_z + energy,
        "heat capacity": ebm_ref.exact.heat_capacity(m), "most probable x": x, "most probable h": h,
    }  # fmt: skip
    if with_moments:
        moments = ebm_ref.exact.moments(m)
        values |= {"E[x]": moments.x, "E[h]": moments.h}
    if data:
        values["log-likelihood (nats per row)"] = ebm_ref.exact.log_likelihood(m, read_data(data))
    emit(values, as_json)


@cli.command()
@model_argument
@click.option("--kernel", type=click.Choice(KERNELS), default="gibbs", show_default=True)
@click.option("--chains", default=100, show_default=True, help="Number of chains, started at fair coin flips.")
@click.option("--steps", default=1000, show_default=True, help="Steps after burn-in.")
@click.option("--burn-in", default=1000, show_default=True)
@click.option("--thin", default=10, show_default=True, help="Keep every THIN-th state.")
@click.option("-o", "--out", default="samples.npz", show_default=True, type=click.Path(dir_okay=False))
@seed_option
@as_json
@quiet
def sample(
    model: str, kernel: str, chains: int, steps: int, burn_in: int, thin: int, out: str, seed: int, as_json: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Run a sampler on MODEL and write the kept states, (chains, kept, units), rows [x, h]."""
    m = ebm_ref.load(model)
    start = ebm_ref.Stream(seed, "user").uniform(0, (chains, m.n_units)) < 0.5
    chain = ebm_ref.sample(
        sampler_named(kernel, m), start.astype(float), steps, seed, thin=thin, burn_in=burn_in, progress=not quiet
    )
    chain.save(out)
    emit({"file": out, "states": str(chain.states.shape), "acceptance rate": chain.acceptance_rate}, as_json)


def sampler_named(kernel: str, model):
    """A sampler by the name that the oracle uses for its kernel."""
    if kernel == "block_gibbs":
        return ebm_ref.block_gibbs(model)
    if kernel == "metropolis":
        return ebm_ref.metropolis(model)
    return ebm_ref.gibbs(model, kernel.removeprefix("gibbs").removeprefix("_") or "systematic")


@cli.command()
@click.option("--data", required=True, help=DATA_HELP + ".")
@click.option("--hidden", default=16, show_default=True, help="Hidden units.")
@click.option("--estimator", type=click.Choice(["exact", "cd", "pcd"]), default="cd", show_default=True)
@click.option("-k", default=1, show_default=True, help="Sweeps an update (cd, pcd).")
@click.option("--chains", default=100, show_default=True, help="Persistent chains (pcd).")
@click.option("--epochs", default=20, show_default=True)
@click.option("--batch-size", default=100, show_default=True)
@click.option("--lr", default=0.1, show_default=True, help="Learning rate.")
@click.option("--momentum", default=0.5, show_default=True)
@click.option("--weight-decay", default=1e-4, show_default=True, help="On the weights, never on biases.")
@click.option("-o", "--out", default="model.npz", show_default=True, type=click.Path(dir_okay=False))
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Carry on from this file if a run was cut short.")
@seed_option
@as_json
@quiet
def train(
    data: str, hidden: int, estimator: str, k: int, chains: int, epochs: int, batch_size: int, lr: float,
    momentum: float, weight_decay: float, out: str, checkpoint: str | None, seed: int, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train an RBM; writes the model and, beside it, NAME.history.npz for ``ebm-ref plot curves``."""
    import numpy as np

    rows = read_data(data)
    estimators: dict[str, Any] = {
        "exact": ebm_ref.exact_gradient,
        "cd": lambda: ebm_ref.cd(k),
        "pcd": lambda: ebm_ref.pcd(k, chains),
    }
    result = ebm_ref.fit(
        base_rate_rbm(rows, hidden, seed), rows, estimators[estimator](), ebm_ref.sgd(lr, momentum, weight_decay),
        epochs, batch_size, seed, checkpoint=checkpoint, progress=not quiet,
    )  # fmt: skip
    result.model.save(out)
    history = Path(out).with_suffix(".history.npz")
    arrays: dict[str, Any] = dict(result.history)
    np.savez(history, **arrays)
    last = {name: float(values[-1]) for name, values in result.history.items()}
    emit({"model": out, "history": str(history), **last}, as_json)


def base_rate_rbm(rows, n_hidden: int, seed: int):
    """Small random weights, visible biases at the smoothed log odds of the data: Hinton's starting point."""
    import numpy as np

    means = (rows.sum(axis=0) + 1) / (len(rows) + 2)
    weights = 0.05 * ebm_ref.Stream(seed, "parameters").normal(0, (rows.shape[1], n_hidden))
    return ebm_ref.RBM(weights, np.log(means / (1 - means)), np.zeros(n_hidden))


@cli.command()
@click.argument("what", type=click.Choice(["filters", "samples", "curves", "spectrum"]))
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--out", type=click.Path(dir_okay=False), help="A .png or .svg file  [default: WHAT.png]")
@click.option("--shape", help="Height x width of an image, for example 8x8  [default: square]")
@click.option("--kernel", type=click.Choice(KERNELS), default="gibbs", show_default=True, help="For spectrum.")
def plot(what: str, file: str, out: str | None, shape: str | None, kernel: str) -> None:
    """Draw filters of a model, samples of a chain, curves of a history, or the spectrum of a model's kernel."""
    import numpy as np

    from ebm_ref import plots
    from ebm_ref.exact.transitions import spectrum

    if what == "curves":
        history = dict(np.load(file, allow_pickle=False))
        name = "log_likelihood" if "log_likelihood" in history else "pseudo_log_likelihood"
        label = f"{name.replace('_', '-')} (nats per row)"
        figure = plots.learning_curves({Path(file).stem: (history["update"], history[name])}, y_label=label)
    else:
        loaded = ebm_ref.load(file)
        if what == "spectrum":
            P = ebm_ref.exact.transition_matrix(sampler_named(kernel, loaded))
            figure = plots.spectrum(spectrum(P, ebm_ref.exact.joint_probabilities(loaded)))
        elif what == "filters":
            figure = plots.image_grid(loaded.W.T, image_shape(shape, loaded.n_visible), symmetric=True)
        else:
            rows = loaded.visible[:, -1][:100]
            figure = plots.image_grid(rows, image_shape(shape, rows.shape[1]))
    out = out or f"{what}.png"
    svg = Path(out).suffix == ".svg"
    Path(out).write_bytes(plots.to_svg(figure).encode() if svg else plots.to_png_bytes(figure))
    click.echo(out)


def image_shape(shape: str | None, n_pixels: int) -> tuple[int, int]:
    """``8x8`` as numbers; a square when nothing is said."""
    if shape is None:
        side = round(n_pixels**0.5)
        if side * side != n_pixels:
            raise click.UsageError(
                f"--shape: {n_pixels} units are no square image; give for example --shape 4x{n_pixels // 4}"
            )
        return side, side
    parts = shape.split("x")
    if len(parts) != 2 or not all(p.isdigit() for p in parts) or int(parts[0]) * int(parts[1]) != n_pixels:
        raise click.UsageError(f"--shape: expected height x width with {n_pixels} pixels, got {shape}")
    return int(parts[0]), int(parts[1])


def _register() -> None:
    from ebm_ref.cli.bench import bench
    from ebm_ref.cli.oracle_commands import vectors, zoo
    from ebm_ref.cli.verify import verify

    for command in (verify, vectors, zoo, bench):
        cli.add_command(command)


_register()
