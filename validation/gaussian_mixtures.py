"""The two mixtures in the plane of Liao et al. 2022, learned by a GRBM with the five samplers, and built by hand.

Targets: weights .33, .33, .34 at (-5,-5), (5,-5), (0,5); deviations 1, or (1.25,.5), (1.25,.5), (.5,1.25).
Data: 1,000 exact draws, seed 0.  Model: 16 hidden units, one variance a coordinate, learned.  Every sampler has the
same budget: CD from noise, STEPS steps an update, 2,000 updates of 100 rows, Adam .02 with a cosine, clipped at 10.
KL(target | model) by quadrature over the plane, the model's log Z by its 2^16 components: both exact to 1e-9.
One seed and one step size, not tuned: the order of the samplers is that of one run.
"exact gradient" is what the same model, data and optimiser reach without sampling.

By hand, isotropic: mu is the orthocentre of the three means, W_k = m_k - mu, so that all W_j.W_k are -18.75, and
b_k = 8.75 + log 3 w_k - mu.W_k - |W_k|^2/2: single units weigh e^8.75, none 1, pairs e^-1.25, all three e^-30.

Usage: python -m validation.gaussian_mixtures  (writes validation/figures/gaussian_mixtures.png and .json)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ebm_ref as er

WEIGHTS, MEANS = np.array([0.33, 0.33, 0.34]), np.array([[-5.0, -5.0], [5.0, -5.0], [0.0, 5.0]])
TARGETS = {
    "isotropic": er.GaussianMixture(WEIGHTS, MEANS, np.ones(2)),
    "anisotropic": er.GaussianMixture(WEIGHTS, MEANS, np.array([[1.25, 0.5], [1.25, 0.5], [0.5, 1.25]]) ** 2),
}
FRACTION = 0.2  # of each unit's variance: the step of the Langevin samplers
N_ROWS, N_HIDDEN, N_EPOCHS, BATCH, STEPS, RATE = 1000, 16, 200, 100, 20, 0.02
BOX, POINTS = [(-14.0, 14.0), (-14.0, 14.0)], 281
OUT = Path(__file__).parent / "figures"


def estimators() -> dict[str, Any]:
    """The exact gradient, and CD from noise with each sampler."""

    def with_sampler(sampler: Callable[[Any], Any]) -> Any:
        return er.cd(STEPS, start="noise", sampler=sampler)

    return {
        "exact gradient": er.exact_gradient(),
        "Gibbs": with_sampler(er.block_gibbs),
        "Langevin": with_sampler(lambda m: er.ula(m, FRACTION * m.variance)),
        "Langevin, adjusted": with_sampler(lambda m: er.mala(m, FRACTION * m.variance)),
    }


def hand_built() -> er.GRBM:
    """The three-hidden-unit model of the isotropic target."""
    mu = np.array([0.0, -2.5])
    W = (MEANS - mu).T
    b = 8.75 + np.log(3 * WEIGHTS) - mu @ W - 0.5 * (W**2).sum(axis=0)
    return er.GRBM(W, mu, np.zeros(2), b)


def kl(target: er.GaussianMixture, model: er.GRBM) -> float:
    """KL(target | model) in nats."""
    return er.exact.grid_kl_divergence(target, model, BOX, POINTS, log_z_q=er.exact.log_partition(model))


def learn(target: er.GaussianMixture, estimator: Any) -> dict[str, Any]:
    """One run: the model in the target's units, its KL, mean log-likelihood of the data, seconds."""
    data = target.sample(N_ROWS, seed=0)
    mean, deviation = data.mean(axis=0), data.std(axis=0)
    rows = (data - mean) / deviation
    optimiser = er.clipped(er.adam(er.CosineDecay(RATE, N_EPOCHS * N_ROWS // BATCH)), 10.0)
    began = time.perf_counter()
    start = er.GRBM.for_data(rows, N_HIDDEN, seed=0)
    fit = er.fit(start, rows, estimator, optimiser, N_EPOCHS, BATCH, seed=0, progress=False)
    model = fit.model.rescaled(deviation, mean)
    return {
        "model": model, "kl": kl(target, model), "log_likelihood": er.exact.log_likelihood(model, data),
        "log_likelihood_of_target": float(target.log_density(data).mean()),
        "variance": model.variance.round(3).tolist(), "seconds": time.perf_counter() - began,
    }  # fmt: skip


def density(model: Any, log_z: float, side: np.ndarray) -> np.ndarray:
    """p on the square grid ``side`` x ``side``, rows from the bottom."""
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return np.exp(-model.free_energy(points) - log_z).reshape(len(side), -1)


def draw(results: dict[str, dict[str, Any]]) -> Figure:
    """A row for each target: the true density, then each model's, on one scale, with its KL."""
    names = list(next(iter(results.values())))
    figure = Figure(figsize=(2.1 * (len(names) + 1), 4.6), layout="constrained")
    panels = figure.subplots(len(results), len(names) + 1, squeeze=False)
    side = np.linspace(-10, 10, 201)
    for row, (name, target) in zip(panels, TARGETS.items(), strict=True):
        truth = density(target, 0.0, side)
        pictures = [("target", truth, "")]
        for who, found in results[name].items():
            p = density(found["model"], er.exact.log_partition(found["model"]), side)
            pictures.append((who, p, f"KL {found['kl']:.2g}"))
        for axes, (who, p, label) in zip(row, pictures, strict=False):
            axes.imshow(p, origin="lower", extent=(-10, 10, -10, 10), vmin=0, vmax=truth.max(), cmap="magma")
            axes.set_title(who, fontsize=9)
            axes.set_xlabel(label or name, fontsize=9)
        for axes in row:
            axes.set(xticks=[], yticks=[])
        for axes in row[len(pictures) :]:
            axes.set_axis_off()
    return figure


def main() -> None:
    """Learn, measure, draw, write."""
    results: dict[str, dict[str, Any]] = {name: {} for name in TARGETS}
    for name, target in TARGETS.items():
        for who, estimator in estimators().items():
            found = results[name][who] = learn(target, estimator)
            print(f"{name:12} {who:32} KL {found['kl']:.4f}  {found['seconds']:.0f} s", flush=True)
    by_hand = hand_built()
    results["isotropic"]["by hand, 3 units"] = {"model": by_hand, "kl": kl(TARGETS["isotropic"], by_hand)}
    print(f"by hand: KL {results['isotropic']['by hand, 3 units']['kl']:.3e}")
    OUT.mkdir(exist_ok=True)
    plain = {
        name: {who: {k: v for k, v in found.items() if k != "model"} for who, found in rows.items()}
        for name, rows in results.items()
    }
    (OUT / "gaussian_mixtures.json").write_text(json.dumps(plain, indent=1) + "\n")
    draw(results).savefig(OUT / "gaussian_mixtures.png", dpi=110, metadata={"Software": None})
    print(f"wrote {OUT / 'gaussian_mixtures.png'}")


if __name__ == "__main__":
    main()
