"""The commands on models and data: exact, sample, plot.  ``train`` and ``verify`` have files of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import ebm_ref
from ebm_ref.cli.inputs import (
    DATA_HELP,
    MODELS,
    NETWORKS,
    NewFile,
    emit,
    json_option,
    model_argument,
    natural,
    of_random_work,
    positive,
    quiet_option,
    read_data,
    read_model,
    shape_option,
)

KERNELS = ("block_gibbs", "gibbs", "gibbs_random", "gibbs_palindromic", "metropolis")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ebm_ref.__version__)
def cli() -> None:
    """The reference for energy-based models: exact answers, samplers, learning, and checks of other people's code.

    Models are .npz files: arrays W, a, b (an RBM), J, c (a Boltzmann machine), units in {0, 1}; or W, mu, log_var, b
    (a Gaussian-Bernoulli RBM); or what ``train`` wrote, deep energies too.

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
@json_option
@quiet_option
def exact(model: str, data: str | None, method: str, with_moments: bool, as_json: bool, quiet: bool) -> None:
    """Exact answers for MODEL: log Z, entropy, mean energy, heat capacity, the most probable state."""
    m = read_model(model)
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
        rows = read_data(data, grey=isinstance(m, ebm_ref.GRBM))
        values["log-likelihood (nats per row)"] = ebm_ref.exact.log_likelihood(m, rows)
    emit(values, as_json)


@cli.command()
@model_argument
@click.option("--kernel", type=click.Choice(KERNELS), help="[default: gibbs; a GRBM has block_gibbs only]")
@click.option(
    "--chains",
    default=100,
    show_default=True,
    type=positive,
    help="Number of chains, started at fair coin flips (GRBM: noise).",
)
@click.option("--steps", default=1000, show_default=True, type=positive, help="Steps after burn-in.")
@click.option("--burn-in", default=1000, show_default=True, type=natural, help="Steps before the first kept one.")
@click.option("--thin", default=10, show_default=True, type=positive, help="Keep every THIN-th state.")
@click.option(
    "--means", is_flag=True, help="Write a GRBM's mean of v given the last h in place of v, free of its noise."
)
@click.option("-o", "--out", default="samples.npz", show_default=True, type=NewFile())
@of_random_work
def sample(
    model: str, kernel: str | None, chains: int, steps: int, burn_in: int, thin: int, means: bool, out: str, seed: int,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Run a sampler on MODEL and write the kept states, (chains, kept, units), rows [x, h].

    A deep energy that ``ebm-ref train`` wrote is drawn from as its training had in mind, in the units of its data: down
    the noise levels (score_matching, recovery; --steps and the like don't apply), or by Langevin steps (cd).
    """
    m = read_model(model, *MODELS, *NETWORKS)
    if type(m).__name__ in NETWORKS:
        chain = network_chain(m, model, chains, burn_in + steps, seed, not quiet)
        chain.save(out)
        emit({"file": out, "states": chain.states.shape}, as_json)
        return
    if means and not isinstance(m, ebm_ref.GRBM):
        raise click.UsageError(f"--means: expected a GRBM, got {m!r}")
    if thin > steps:
        raise click.UsageError(f"--thin: expected at most --steps, {steps}, got {thin}: nothing would be kept")
    chain = ebm_ref.sample(
        sampler_of(m, kernel), first_states(m, chains, seed), steps, seed, thin=thin, burn_in=burn_in,
        progress=not quiet,
    )  # fmt: skip
    if means:
        chain = with_means(m, chain)
    chain.save(out)
    emit({"file": out, "states": chain.states.shape, "acceptance rate": chain.acceptance_rate}, as_json)


def network_chain(model, path: str, n: int, n_steps: int, seed: int, progress: bool) -> ebm_ref.Chain:
    """One state of each of n chains of a deep energy, in the units of its data."""
    import numpy as np

    from ebm_ref.cli import networks

    recipe, context = networks.read_recipe(path), click.get_current_context()
    unheard = ("kernel", "means", "thin") + (("steps", "burn_in") if recipe.has_levels else ())
    for name in unheard:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')}: no option for a deep energy of {recipe.estimator}")
    rows = networks.draw(model, recipe, n, n_steps, seed, progress)
    return ebm_ref.Chain(rows[:, None], rows, model.n_visible, np.ones(n), n_steps, seed)


def first_states(model, n: int, seed: int):
    """Fair coins for all units; a GRBM's visible units are independent normals with its mu and variances."""
    stream = ebm_ref.Stream(seed, "user")
    if isinstance(model, ebm_ref.GRBM):
        return model.mu + model.variance**0.5 * stream.normal(0, (n, model.n_visible))
    return (stream.uniform(0, (n, model.n_units)) < 0.5).astype(float)


def with_means(model, chain):
    """The chain with mu + Wh in place of v."""
    from dataclasses import replace

    states = chain.states.copy()
    states[:, :, : model.n_visible] = model.mu + chain.hidden @ model.W.T
    return replace(chain, states=states)


def sampler_of(model, kernel: str | None):
    """The sampler that was asked for, or the model's own."""
    if not isinstance(model, ebm_ref.GRBM):
        return sampler_named(kernel or "gibbs", model)
    if kernel not in (None, "block_gibbs"):
        raise click.UsageError(f"--kernel: a GRBM has block_gibbs only, got {kernel}")
    return ebm_ref.block_gibbs(model)


def sampler_named(kernel: str, model):
    """A sampler by the name that the oracle uses for its kernel."""
    if kernel == "block_gibbs":
        return ebm_ref.block_gibbs(model)
    if kernel == "metropolis":
        return ebm_ref.metropolis(model)
    return ebm_ref.gibbs(model, kernel.removeprefix("gibbs").removeprefix("_") or "systematic")


@cli.command()
@click.argument("what", type=click.Choice(["filters", "samples", "curves", "spectrum"]))
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--out", type=NewFile(), help="A .png or .svg file  [default: WHAT.png]")
@shape_option
@click.option("--kernel", type=click.Choice(KERNELS), default="gibbs", show_default=True, help="For spectrum.")
def plot(what: str, file: str, out: str | None, shape: str | None, kernel: str) -> None:
    """Draw filters of a model, samples of a chain, curves of a history, or the spectrum of a model's kernel.

    FILE is what ``ebm-ref train`` (the model; NAME.history.npz for curves) or ``ebm-ref sample`` wrote.
    """
    from ebm_ref import files, plots

    out = out or f"{what}.png"
    if Path(out).suffix not in (".png", ".svg"):
        raise click.UsageError(f"--out: expected a .png or .svg file, got {out}")
    draw: dict[str, Callable[[str], Any]] = {
        "curves": curves, "spectrum": partial(spectrum_of, kernel), "filters": partial(filters, shape),
        "samples": partial(last_samples, shape),
    }  # fmt: skip
    drawn = draw[what](file)
    svg = Path(out).suffix == ".svg"
    files.write_bytes(out, plots.to_svg(drawn).encode() if svg else plots.to_png_bytes(drawn))
    click.echo(out)


CURVES = {
    "log_likelihood": "log-likelihood (nats per row)",
    "pseudo_log_likelihood": "pseudo-log-likelihood (nats per row)",
    "reconstruction_error": "reconstruction error",
    "denoising_loss": "denoising loss of the first rows",
    "energy_gap": "energy, data less chains (nats)",
    "recovery_gap": "energy, positives less negatives (nats)",
}  # what a history may hold, the most telling first, and the words beside the axis


def curves(file: str):
    """The likelihood of a history, or what stands for it."""
    from ebm_ref import files, plots

    _, history, _ = files.read_arrays(file)
    name = next((n for n in CURVES if n in history and "update" in history), None)
    if name is None:
        raise click.UsageError(f"{file}: expected the NAME.history.npz of ebm-ref train, got {', '.join(history)}")
    return plots.learning_curves({Path(file).stem: (history["update"], history[name])}, y_label=CURVES[name])


def spectrum_of(kernel: str, file: str):
    """The eigenvalues of a model's kernel."""
    from ebm_ref import plots
    from ebm_ref.exact.transitions import spectrum

    model = read_model(file, "RBM", "BoltzmannMachine")
    P = ebm_ref.exact.transition_matrix(sampler_named(kernel, model))
    return plots.spectrum(spectrum(P, ebm_ref.exact.joint_probabilities(model)))


def filters(shape: str | None, file: str):
    """The weights of each hidden unit."""
    from ebm_ref import plots

    model = read_model(file, "RBM", "GRBM")
    return plots.image_grid(model.W.T, image_shape(shape, model.n_visible), symmetric=True)


def last_samples(shape: str | None, file: str):
    """The visible units of the last state of up to 100 chains."""
    from ebm_ref import plots

    rows = read_model(file, "Chain").visible[:100]
    if not rows.shape[1]:
        raise click.UsageError(f"{file}: expected chains with kept states, got none")
    return plots.image_grid(rows[:, -1].clip(0, 1), image_shape(shape, rows.shape[2]))


def image_shape(shape: str | None, n_pixels: int) -> tuple[int, int]:
    """``8x8`` as numbers; a square when nothing is said."""
    if shape is None:
        side = round(n_pixels**0.5)
        if side * side != n_pixels:
            height = max(d for d in range(1, side + 1) if n_pixels % d == 0)
            example = f"{height}x{n_pixels // height}"
            raise click.UsageError(f"--shape: {n_pixels} units are no square image; give for example --shape {example}")
        return side, side
    parts = shape.split("x")
    if len(parts) != 2 or not all(p.isdigit() for p in parts) or int(parts[0]) * int(parts[1]) != n_pixels:
        raise click.UsageError(f"--shape: expected height x width with {n_pixels} pixels, got {shape}")
    return int(parts[0]), int(parts[1])


def _register() -> None:
    from ebm_ref.cli.bench import bench
    from ebm_ref.cli.completion import complete
    from ebm_ref.cli.oracle_commands import vectors, zoo
    from ebm_ref.cli.training import train
    from ebm_ref.cli.verify import verify

    for command in (verify, train, complete, vectors, zoo, bench):
        cli.add_command(command)


_register()
