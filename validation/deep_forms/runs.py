"""The energy forms on equal terms: inner x.f(x), residual |x - f(x)|^2, square |f(x)|^2 of one U-Net, and a scalar.

Data: the digits of validation/jem_digits.py, 8 x 8, pixels in [-1, 1], 1,297 to learn from and 500 to test.  Networks,
float32: U-Net CHANNELS for the first three, with the same first weights for the same seed; a convnet for the scalar,
which needs one output.  Scale 1/2; base measure N(0, I) or none: at f = 0 E is |x|^2/2 for inner and square with it and
for residual without it, so the pilot chooses.  Batches of BATCH, Adam with a cosine to 0, the running mean of the
parameters (DECAY).  Two objectives, each at one noise level sigma:
(1) denoising: exp(-E/sigma^2) learns the law of x + sigma z by score matching; drawn: K_DRAW Langevin steps from noise
(2) contrastive: exp(-E) learns the law of x + sigma z from K steps an update of ULA at temperature 1, from a buffer
Judged, on the 500 test digits:
(3) held-out denoising loss 1/2 |sigma s(x + sigma z) + z|^2, s the model's score: of a digit the mean over DRAWS
    noises, the same for every model.  sigma^2 E|s - score of p_sigma|^2/2 = (3) minus a constant of the data, so a
    difference of two models' losses is sigma^2 times the difference of their Fisher divergences to the smoothed truth.
    Both objectives have it at their own sigma.  A normal law with the training digits' moments has it in closed form.
(4) Frechet distance, in 32 features of a classifier, of N images: (1) drawn, (2) in the buffer; without their noise
    by E[x | x + sigma z] = x + sigma^2 s.
Pilot, the same for every form, on the first FIRST training digits with one seed: each setting of the objective's grid
for PILOT epochs, then the HALVED best ones for all epochs; the least (3) on the other training digits is kept.  The
test digits are not looked at.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import ebm_ref as er
from ebm_ref.errors import DivergenceError
from ebm_ref.files import write_bytes
from ebm_ref.models.record import leaves
from validation.jem_digits import BATCH as CLASSIFIER_BATCH
from validation.jem_digits import data

FORMS = ("inner", "residual", "square", "scalar")
CHANNELS, BATCH, DECAY, BUFFER, K, K_DRAW = (8, 16), 25, 0.99, 500, 5, 60
SEED_OF_PILOT, FIRST, PILOT, DRAWS, N, SHOWN = 100, 1000, 4, 8, 500, 30
HALVED, MOST_SEEDS = 2, 100
SCRATCH = Path(__file__).parent.parent / "out" / "deep_forms"  # ignored by git


@dataclass(frozen=True)
class Setting:
    """What the pilot chooses: Adam's rate, s0 of the base measure, ULA's step (contrastive only)."""

    rate: float
    base: float | None = 1.0
    step: float | None = None


@dataclass(frozen=True)
class Objective:
    """(1) or (2): noise, epochs of a run, and the grid of the pilot."""

    sigma: float
    epochs: int
    grid: tuple[Setting, ...]


OBJECTIVES = {
    "denoising": Objective(0.5, 15, tuple(Setting(*each) for each in product((0.003, 0.01, 0.02), (1.0, None)))),
    "contrastive": Objective(
        0.3, 40, tuple(Setting(rate, base, 0.03) for rate, base in product((0.003, 0.01), (1.0, None)))
    ),
}


def network(form: str, seed: int) -> Any:
    """The U-Net, or for a scalar the convnet."""
    if form == "scalar":
        return er.nets.convnet((1, 8, 8), (16, 32), 1, seed=seed, n_hidden=32, dtype="float32")
    return er.nets.unet((1, 8, 8), CHANNELS, seed=seed, dtype="float32")


def estimator_of(objective: str, setting: Setting) -> Any:
    """(1) or (2)."""
    sigma = OBJECTIVES[objective].sigma
    if objective == "denoising":
        return er.annealed_score_matching([sigma], K_DRAW)
    step = setting.step
    return er.langevin_cd(lambda m: er.ula(m, step), K, buffer_size=BUFFER, base="uniform", data_noise=sigma)


@functools.cache
def judge() -> Callable[[np.ndarray], np.ndarray]:
    """rows (n, 64) -> the penultimate layer (n, 32) of a classifier of the training digits."""
    rows, labels, _, _ = data()
    start = er.JointEnergy(er.nets.mlp((64, 128, 32, 10), seed=7, dtype="float32"))
    rate = er.CosineDecay(2e-3, 30 * -(-len(rows) // CLASSIFIER_BATCH))
    fit = er.fit(start, rows, er.cross_entropy(), er.adam(rate), 30, CLASSIFIER_BATCH, 7, labels=labels, progress=False)

    def of(x: np.ndarray) -> np.ndarray:
        for layer in fit.model.network.layers.layers[:-1]:
            x = layer.forward(x.astype(np.float32))[0]
        return x.astype(np.float64)

    return of


def losses(law, sigma: float, rows: np.ndarray, draws: int = DRAWS) -> np.ndarray:
    """(3) of each row, (n,)."""
    found = np.zeros(len(rows))
    for i in range(draws):
        z = er.Stream(0, "monitor").normal(i, rows.shape)
        r = sigma * law.score(rows + sigma * z) + z
        found += 0.5 * (r * r).sum(axis=1) / draws
    return found


def clean(law, sigma: float, rows: np.ndarray) -> np.ndarray:
    """E[x | x + sigma z], as the law has it, inside [-1, 1]."""
    return np.clip(rows + sigma**2 * law.score(rows), -1, 1)


def learn(objective: str, form: str, setting: Setting, epochs: int, seed: int, pilot: bool) -> dict[str, Any]:
    """One run and what it is judged by; a run that leaves the finite numbers says so."""
    train, _, test, _ = data()
    rows, others = (train[:FIRST], train[FIRST:]) if pilot else (train, test)
    model = er.NetworkEnergy(network(form, seed), form, 0.5, setting.base)
    estimator, n_updates = estimator_of(objective, setting), epochs * -(-len(rows) // BATCH)
    optimiser = er.averaged(er.adam(er.CosineDecay(setting.rate, n_updates)), DECAY)
    found: dict[str, Any] = {
        "objective": objective, "form": form, **asdict(setting), "epochs": epochs, "updates": n_updates, "seed": seed,
        "parameters": sum(leaf.size for leaf in leaves(model).values()),
    }  # fmt: skip
    began = time.process_time()
    try:
        fit = er.fit(model, rows, estimator, optimiser, epochs, BATCH, seed, progress=False)
        found["seconds"] = time.process_time() - began
        return found | judged(objective, fit, estimator, others, seed, pilot)
    except DivergenceError as error:
        return found | {"seconds": time.process_time() - began, "diverged": str(error)}


def judged(objective: str, fit, estimator, others: np.ndarray, seed: int, pilot: bool) -> dict[str, Any]:
    """(3), and after a pilot no more; (4) and SHOWN images."""
    sigma, learned = OBJECTIVES[objective].sigma, fit.averaged
    law = estimator.law(learned, 0) if objective == "denoising" else learned
    each = losses(law, sigma, others)
    if not np.isfinite(each).all():
        raise DivergenceError("the held-out loss is not finite")
    if pilot:
        return {"loss": float(each.mean())}
    images = np.clip(estimator.sample(learned, N, seed), -1, 1) if objective == "denoising" else fit.chains
    if objective == "contrastive":
        images = clean(law, sigma, images)
    distance = er.frechet_distance(judge()(images), judge()(others))
    return {"loss": float(each.mean()), "losses": each.round(4).tolist(), "frechet": distance,
            "images": images[:SHOWN].round(2).tolist()}  # fmt: skip


def file_of(objective: str, form: str, setting: Setting, epochs: int, seed: int, pilot: bool = False) -> Path:
    """Where a run is kept."""
    words = (objective, form, setting.rate, setting.base, setting.step, epochs, seed, *(["pilot"] if pilot else []))
    return SCRATCH / ("_".join(map(str, words)) + ".json")


def run(objective: str, form: str, setting: Setting, epochs: int, seed: int, pilot: bool = False) -> dict[str, Any]:
    """``learn``, or what it left in the scratch folder."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = file_of(objective, form, setting, epochs, seed, pilot)
    if not path.exists():
        write_bytes(path, json.dumps(learn(objective, form, setting, epochs, seed, pilot)).encode())
    return json.loads(path.read_text())


def piloted(objective: str, form: str) -> list[dict[str, Any]]:
    """The pilot of one form: the HALVED settings at all epochs, the best first, then the short runs, likewise."""
    how = OBJECTIVES[objective]

    def stage(settings: Iterable[Setting], epochs: int) -> list[dict[str, Any]]:
        found = [run(objective, form, setting, epochs, SEED_OF_PILOT, pilot=True) for setting in settings]
        return sorted(found, key=loss_of)

    short = stage(how.grid, PILOT)
    return stage(map(setting_of, short[:HALVED]), how.epochs) + short


def loss_of(found: dict[str, Any]) -> float:
    """(3), infinite where the run diverged."""
    return found.get("loss", np.inf)


def setting_of(found: dict[str, Any]) -> Setting:
    """That of a run."""
    return Setting(found["rate"], found["base"], found["step"])


def done(objective: str) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[dict[str, Any]]]]:
    """(the runs of each form at its best setting, its pilot), of the forms that have runs; runs nothing."""
    how, runs, pilots = OBJECTIVES[objective], {}, {}
    for form in FORMS:
        every = [json.loads(path.read_text()) for path in sorted(SCRATCH.glob(f"{objective}_{form}_*_pilot.json"))]
        long = sorted(
            (each for each in every if each["epochs"] == how.epochs), key=lambda each: each.get("loss", np.inf)
        )
        if len(long) < HALVED:
            continue
        files = [file_of(objective, form, setting_of(long[0]), how.epochs, seed) for seed in range(MOST_SEEDS)]
        if found := [json.loads(path.read_text()) for path in files if path.exists()]:
            runs[form], pilots[form] = found, long + [each for each in every if each["epochs"] == PILOT]
    return runs, pilots


def anchors(objective: str) -> dict[str, dict[str, float]]:
    """(3) and (4) of a normal law with the training digits' moments, of them as a mixture, of them as images."""
    train, _, test, _ = data()
    sigma, mean, covariance = OBJECTIVES[objective].sigma, train.mean(axis=0), np.cov(train.T)
    precision = np.linalg.inv(covariance + sigma**2 * np.eye(64))
    smoothed = er.Gaussian(mean, (precision + precision.T) / 2)
    every = er.GaussianMixture(np.full(len(train), 1 / len(train)), train, np.full(64, sigma**2))
    root = np.linalg.cholesky(covariance + 1e-6 * np.eye(64))
    normal = np.clip(mean + er.Stream(0, "user").normal(0, (N, 64)) @ root.T, -1, 1)
    to_test = lambda rows: er.frechet_distance(judge()(rows), judge()(test))  # noqa: E731
    return {
        "normal law": {"loss": float(losses(smoothed, sigma, test).mean()), "frechet": to_test(normal)},
        "training digits": {"loss": float(losses(every, sigma, test).mean()), "frechet": to_test(train[:N])},
    }
