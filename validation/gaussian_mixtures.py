"""The two mixtures in the plane of Liao et al. 2022, learned by a GRBM with the five samplers, and built by hand.

Targets: weights .33, .33, .34 at (-5,-5), (5,-5), (0,5); deviations 1, or (1.25,.5), (1.25,.5), (.5,1.25).
Data: 10,000 exact draws, standardised, so that the sample's own error, about parameters / (2 n) nats, is small.
Model: 12 hidden units, variances learned.  The five samplers have one budget: N_UPDATES updates of Adam with a cosine,
clipped at 10, each from BATCH rows against BATCH chains that start at N(0, I), as in the paper, and take K_STEPS steps;
a step of any of them costs one product with W and one with W'.  Step sizes are shares of the model's own variances:
C_ULA is small for its bias, C_MALA larger; Gibbs-Langevin takes INNER annealed inner steps, C_INNER at first.  Its
adjusted form refuses moves only in the second half of the steps (adjust_step).  From the first step on it collapses:
1 to 2 % of the chains are refused all 20 moves and stay in the noise, the model answers for these outliers with
narrower bumps, then more are refused, and the variances end at a sixth of the target's (isotropic, seed 0, KL 8.2; with
steps of .05 in place of C_INNER hardly any is refused, but 20 steps do not reach the bumps: KL 3.7, and .022 with 100).
"exact gradient" is the same model, data and optimiser without sampling.  Median, least and greatest KL of the seeds.

KL(target | model) by quadrature, log Z by the 2^12 components.  Cut at y = 0 and, below, x = 0 into one piece for each
bump, it is the KL of the three weights plus the mean KL inside the pieces: chains of K_STEPS steps that cannot cross
between bumps learn their shapes, but the weights that K_STEPS steps from noise give, not those of the model's law.
All components of a GRBM share one diagonal covariance, so bumps of different shapes must each be put together from
several components.  What can be reached: L-BFGS on KL(target | model) itself, both expectations by quadrature, with
REACH_UNITS hidden units and weights that start wide.

By hand, isotropic: mu is the orthocentre of the three means, W_k = m_k - mu, so that all W_j.W_k are -18.75, and
b_k = 8.75 + log 3 w_k - mu.W_k - |W_k|^2/2: single units weigh e^8.75, none 1, pairs e^-1.25, all three e^-30.

Usage: python -m validation.gaussian_mixtures [--seeds 3] [--jobs 2]
(writes validation/figures/gaussian_mixtures.png and .json)
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize

import ebm_ref as er
from ebm_ref.models.record import leaves
from ebm_ref.progress import track

WEIGHTS, MEANS = np.array([0.33, 0.33, 0.34]), np.array([[-5.0, -5.0], [5.0, -5.0], [0.0, 5.0]])
TARGETS = {
    "isotropic": er.GaussianMixture(WEIGHTS, MEANS, np.ones(2)),
    "anisotropic": er.GaussianMixture(WEIGHTS, MEANS, np.array([[1.25, 0.5], [1.25, 0.5], [0.5, 1.25]]) ** 2),
}
N_ROWS, N_HIDDEN, N_UPDATES, BATCH, K_STEPS, RATE, CLIP = 10_000, 12, 2_000, 100, 20, 0.03, 10.0
C_ULA, C_MALA, C_INNER, INNER = 0.2, 0.8, 0.4, 5
REACH_UNITS, REACH_STEPS = {"isotropic": 12, "anisotropic": 64}, {"isotropic": 1000, "anisotropic": 1500}
BOX, POINTS, COARSE = [(-14.0, 14.0), (-14.0, 14.0)], 141, 57
OUT = Path(__file__).parent / "figures"


def gibbs_langevin(adjust: bool) -> Callable[[er.GRBM], Any]:
    """Model -> sampler, its inner steps drawn as one normal number, which is the same law."""
    steps, first = er.cosine_steps(C_INNER, INNER), K_STEPS // 2
    return lambda m: er.gibbs_langevin(m, steps, adjust, relative=True, collapsed=True, adjust_step=first)


SAMPLERS: dict[str, Callable[[er.GRBM], Any]] = {
    "Gibbs": er.block_gibbs,
    "Langevin": lambda m: er.ula(m, C_ULA * m.variance),
    "Langevin,\nadjusted": lambda m: er.mala(m, C_MALA * m.variance),
    "Gibbs-Langevin": gibbs_langevin(False),
    "Gibbs-Langevin,\nadjusted": gibbs_langevin(True),
}
EXACT, HAND, REACH = "exact\ngradient", "by hand,\n3 units", "best\nreached"


def hand_built() -> er.GRBM:
    """The three-hidden-unit model of the isotropic target."""
    mu = np.array([0.0, -2.5])
    W = (MEANS - mu).T
    b = 8.75 + np.log(3 * WEIGHTS) - mu @ W - 0.5 * (W**2).sum(axis=0)
    return er.GRBM(W, mu, np.zeros(2), b)


def grid(n: int, side: float) -> np.ndarray:
    """Points (n^2, 2) of a square."""
    axis = np.linspace(-side, side, n)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def log_z_of(model: er.GRBM) -> float:
    """By the components, or in the plane where they are too many."""
    return er.exact.log_partition(model) if model.n_hidden <= 20 else er.exact.grid_log_partition(model, BOX, POINTS)


def divergences(target: er.GaussianMixture, model: er.GRBM) -> dict[str, float]:
    """KL(target | model) in nats, and the part of it that the weights of the three bumps make."""
    points = grid(POINTS, BOX[0][1])
    p, q = np.exp(target.log_density(points)), np.exp(-model.free_energy(points))
    piece = np.where(points[:, 1] > 0, 2, np.where(points[:, 0] < 0, 0, 1))
    P, Q = (np.bincount(piece, weights=weight / weight.sum()) for weight in (p, q))
    kl = er.exact.grid_kl_divergence(target, model, BOX, POINTS, log_z_q=log_z_of(model))
    return {"kl": kl, "kl_of_weights": float((P * np.log(P / Q)).sum()), "weights": Q.tolist()}


def learn(name: str, who: str, seed: int) -> dict[str, Any]:
    """One run: the model in the target's units and what became of it."""
    target = TARGETS[name]
    data = target.sample(N_ROWS, seed)
    mean, deviation = data.mean(axis=0), data.std(axis=0)
    rows = (data - mean) / deviation
    n_epochs = N_UPDATES * BATCH // N_ROWS
    optimiser = er.clipped(er.adam(er.CosineDecay(RATE, N_UPDATES)), CLIP)
    estimator: Any = er.exact_gradient()
    if who != EXACT:
        estimator = er.cd(K_STEPS, start="noise", sampler=SAMPLERS[who])
    began = time.process_time()
    start = er.GRBM.for_data(rows, N_HIDDEN, seed=seed)
    fit = er.fit(start, rows, estimator, optimiser, n_epochs, BATCH, seed=seed, progress=False)
    model = fit.model.rescaled(deviation, mean)
    seconds = time.process_time() - began
    return {
        "target": name, "who": who, "seed": seed, **divergences(target, model), "variance": model.variance.tolist(),
        "processor_seconds": seconds, "model": parameters(model),
    }  # fmt: skip


def parameters(model: er.GRBM) -> dict[str, list]:
    """A model as lists."""
    return {key: leaf.tolist() for key, leaf in leaves(model).items()}


def reach(name: str, who: str, seed: int) -> dict[str, Any]:
    """KL(target | model) itself driven down by L-BFGS; the gradient is E_target[-dE] - E_model[-dE], by quadrature."""
    target, n_hidden = TARGETS[name], REACH_UNITS[name]
    deviation = np.sqrt(np.diag(target.covariance))
    points = grid(COARSE, 11.0)
    p = np.exp(target.log_density(points))
    p, v = p / p.sum(), (points - target.mean) / deviation
    first = er.GRBM.random(2, n_hidden, 4.0 / np.sqrt(2 + n_hidden), seed)
    zero = np.zeros_like
    start = leaves(er.GRBM(first.W, zero(first.mu), np.full(2, -2.0), zero(first.b)))
    shapes = {key: leaf.shape for key, leaf in start.items()}
    ends = np.cumsum([leaf.size for leaf in start.values()])

    def model_of(theta: np.ndarray) -> er.GRBM:
        parts = zip(shapes.items(), np.split(theta, ends[:-1]), strict=True)
        return er.GRBM(**{key: part.reshape(shape) for (key, shape), part in parts})

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        model = model_of(theta)
        log_q = -model.free_energy(v)
        log_q -= log_q.max() + np.log(np.exp(log_q - log_q.max()).sum())
        slope = model.energy_gradient(v, model.hidden_probabilities(v), weights=p - np.exp(log_q))
        gradient = np.concatenate([leaf.ravel() for leaf in leaves(slope).values()])
        return -float(p @ log_q), gradient

    began = time.process_time()
    theta = np.concatenate([leaf.ravel() for leaf in start.values()])
    limits = {"maxiter": REACH_STEPS[name], "maxfun": 2 * REACH_STEPS[name], "maxcor": 30}
    found = minimize(objective, theta, jac=True, method="L-BFGS-B", options=limits)
    model = model_of(found.x).rescaled(deviation, target.mean)
    return {
        "target": name, "who": who, "seed": seed, **divergences(target, model), "variance": model.variance.tolist(),
        "n_hidden": n_hidden, "evaluations": found.nfev, "processor_seconds": time.process_time() - began,
        "model": parameters(model),
    }  # fmt: skip


def density(model: Any, log_z: float, side: np.ndarray) -> np.ndarray:
    """p on the square grid ``side`` x ``side``, rows from the bottom."""
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return np.exp(-model.free_energy(points) - log_z).reshape(len(side), -1)


def median_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The run whose KL is the median (the lower one of two)."""
    return sorted(rows, key=lambda r: r["kl"])[(len(rows) - 1) // 2]


def draw(rows: list[dict[str, Any]]) -> Figure:
    """A row of pictures for each target, the same colours in all, and the KLs of all seeds below."""
    names = [HAND, REACH, EXACT, *SAMPLERS]
    figure = Figure(figsize=(15.5, 7.6), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(2, 1.15))
    cells, charts = upper.add_gridspec(2, len(names) + 1), lower.subplots(1, 2)
    side = np.linspace(-9, 9, 181)
    for k, (name, target) in enumerate(TARGETS.items()):
        truth = density(target, 0.0, side)
        for i, who in enumerate(("target", *names)):
            axes = upper.add_subplot(cells[k, i])
            axes.set(xticks=[], yticks=[])
            own = [r for r in rows if (r["target"], r["who"]) == (name, who)]
            if who == "target":
                p, label = truth, ""
                axes.set_ylabel(name, fontsize=11)
            elif own:
                best = median_row(own)
                model = er.GRBM(**{key: np.array(leaf) for key, leaf in best["model"].items()})
                p, label = density(model, log_z_of(model), side), f"KL {best['kl']:.2g}"
                if "n_hidden" in best:
                    label += f", {best['n_hidden']} units"
            else:
                axes.set_axis_off()
                continue
            axes.imshow(p, origin="lower", extent=(-9, 9, -9, 9), vmin=0, vmax=truth.max(), cmap="viridis")
            axes.set_xlabel(label, fontsize=10)
            if k == 0:
                axes.set_title(who, fontsize=10)
    for axes, name in zip(charts, TARGETS, strict=True):
        chart(axes, [r for r in rows if r["target"] == name], name)
    figure.suptitle(
        "Mixtures of Liao et al. 2022: learned densities (the median run), and KL of every run", fontsize=12
    )
    return figure


def chart(axes: Any, rows: list[dict[str, Any]], name: str) -> None:
    """Every seed's KL, and the part of the weights."""
    names = [who for who in (HAND, REACH, EXACT, *SAMPLERS) if any(r["who"] == who for r in rows)]
    for i, who in enumerate(names):
        own = [r for r in rows if r["who"] == who]
        for values, colour, marker, shift, label in (
            ([r["kl"] for r in own], "#0072b2", "o", -0.12, "whole"),
            ([max(r["kl_of_weights"], 1e-7) for r in own], "#d55e00", "x", 0.12, "of the three weights"),
        ):
            axes.plot([i + shift] * len(values), values, marker, color=colour, ms=6, mfc="none",
                      label=label if i == 0 else None)  # fmt: skip
            axes.plot([i + shift - 0.1, i + shift + 0.1], [np.median(values)] * 2, color=colour, lw=1.5)
    axes.set(yscale="log", ylabel="KL(target | model), nats", title=f"{name}: all seeds, median")
    axes.set_xticks(range(len(names)), [n.replace("Gibbs-Langevin", "Gibbs-\nLangevin") for n in names], fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    if names:
        axes.legend(frameon=False, fontsize=8)


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Median, least and greatest by target and sampler."""
    found = []
    for name, who in dict.fromkeys((r["target"], r["who"]) for r in rows):
        own = [r for r in rows if (r["target"], r["who"]) == (name, who)]
        kl = [r["kl"] for r in own]
        found.append({
            "target": name, "who": who.replace("\n", " "), "runs": len(own), "median": float(np.median(kl)),
            "least": min(kl), "greatest": max(kl), "of_weights": float(np.median([r["kl_of_weights"] for r in own])),
            "processor_seconds": float(np.median([r.get("processor_seconds", 0.0) for r in own])),
        })  # fmt: skip
    return found


def main() -> None:
    """Learn, measure, draw, write."""
    parser = argparse.ArgumentParser(description="Gaussian mixtures learned with five samplers.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    work: list[tuple] = [(reach, name, REACH, 0) for name in TARGETS]
    work += [(learn, n, who, seed) for seed in range(arguments.seeds) for who in (*SAMPLERS, EXACT) for n in TARGETS]
    model = hand_built()
    rows: list[dict[str, Any]] = [{"target": "isotropic", "who": HAND, "seed": 0, "n_hidden": 3, "model":
                                   parameters(model), **divergences(TARGETS["isotropic"], model)}]  # fmt: skip
    OUT.mkdir(exist_ok=True)
    pool = ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn"))
    with track(len(work), "runs") as bar, pool:
        for job in as_completed([pool.submit(function, *what) for function, *what in work]):
            row = job.result()
            rows.append(row)
            print(
                f"{row['target']:12} {row['who']!r:30} seed {row['seed']}  KL {row['kl']:.4f}, of weights"
                f" {row['kl_of_weights']:.4f}, {row['processor_seconds']:.0f} s", flush=True,
            )  # fmt: skip
            write(rows)
            bar(1)
    for line in summary(rows):
        print(line)


def write(rows: list[dict[str, Any]]) -> None:
    """Figure and numbers of what is done so far."""
    plain = [{key: value for key, value in row.items() if key != "model"} for row in rows]
    document = {"summary": summary(rows), "rows": plain}
    (OUT / "gaussian_mixtures.json").write_text(json.dumps(document, indent=1) + "\n")
    draw(rows).savefig(OUT / "gaussian_mixtures.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
