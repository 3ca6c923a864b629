"""One run: train a GRBM by contrastive divergence with one sampler, draw pictures, measure.

Chains are persistent: between updates they move STEPS times, and the model changes under them.  Gibbs-Langevin counts
its INNER Langevin steps and the draw of h as one step, done as the one normal jump that they amount to.  Adjusted, it
may refuse from step ADJUST_STEP of each update on: chains that could refuse every move would stand still while the
model moves away from them, and diverge.
Pictures: chains start at N(0, I), take DRAWING steps of the run's own sampler, and show m(h), h ~ p(h|v).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ebm_ref as er
from ebm_ref.files import write_bytes
from ebm_ref.samplers.common import joint_rows
from validation.five_samplers.data import SCRATCH, Images, features, load

N_HIDDEN, BATCH, STEPS, EPOCHS, MAX_NORM, INNER, ADJUST_STEP = 256, 64, 5, 2, 10.0, 10, 3
DRAWN, DRAWING, SHOWN = 1000, 300, 32
AIS = {"n_temperatures": 2000, "n_chains": 64}
TITLES = {
    "gibbs": "Gibbs",
    "langevin": "Langevin",
    "langevin_adjusted": "Langevin, adjusted",
    "gibbs_langevin": "Gibbs-Langevin",
    "gibbs_langevin_adjusted": "Gibbs-Langevin, adjusted",
}
RATE = 0.02  # at 14 x 14; a logit sums all pixels
STEP_SIZES = {"langevin": 0.6, "langevin_adjusted": 0.3, "gibbs_langevin": 0.6, "gibbs_langevin_adjusted": 0.6}


@dataclass(frozen=True)
class Sampler:
    """model -> sampler; c is the step in units of each pixel's variance."""

    kind: str
    c: float | None

    def __call__(self, model: er.GRBM) -> Any:
        adjust, c = self.kind.endswith("adjusted"), self.c or 0.0
        if self.kind == "gibbs":
            return er.block_gibbs(model)
        if self.kind.startswith("gibbs_langevin"):
            steps, first = er.cosine_steps(c, INNER), ADJUST_STEP
            return er.gibbs_langevin(model, steps, adjust, relative=True, adjust_step=first, collapsed=True)
        return (er.mala if adjust else er.ula)(model, c * model.variance)


def sampler_named(kind: str) -> Sampler:
    """With the step size that the pilot chose."""
    return Sampler(kind, STEP_SIZES.get(kind))


def rate_at(side: int, rate: float) -> float:
    """The learning rate ``rate`` of 14 x 14 at another size: in proportion to 1 / number of pixels."""
    return rate * 14**2 / side**2


def train(images: Images, sampler: Sampler, rate: float, epochs: int, checkpoint: Path | None) -> er.Fit:
    """The GRBM of standardised rows."""
    rows = images.rows(images.train)
    schedule = er.CosineDecay(rate, epochs * -(-len(rows) // BATCH))
    optimiser = er.clipped(er.adam(schedule), MAX_NORM)
    estimator = er.cd(STEPS, start="persistent", sampler=sampler, n_chains=BATCH)
    start = er.GRBM.for_data(rows, N_HIDDEN, seed=0)
    return er.fit(start, rows, estimator, optimiser, epochs, BATCH, 0, checkpoint=checkpoint, checkpoint_seconds=30.0)


def draw(model: er.GRBM, sampler: Sampler, images: Images, n: int, steps: int) -> tuple[np.ndarray, float]:
    """(pictures (n, side^2), acceptance rate) of n chains from noise."""
    start = er.Stream(0, "user").normal(0, (n, model.n_visible))
    chain = er.sample(sampler(model), start, steps, 0, thin=steps, progress=True)
    h = joint_rows(model, chain.visible[:, -1], 1)[:, model.n_visible :]
    return images.pictures(model.visible_mean(h)), chain.acceptance_rate


def log_likelihood(model: er.GRBM, images: Images) -> dict[str, float]:
    """Mean log density of the test rows, nats an image in units of grey values: value, low, high, and the ESS."""
    z = er.ais_log_partition(model, None, AIS["n_temperatures"], AIS["n_chains"], seed=0, progress=True)
    inside = -float(model.free_energy(images.rows(images.test, len(images.train))).mean()) - images.log_scale
    return {
        "log_likelihood": inside - z.value, "low": inside - z.high, "high": inside - z.low, "ess": z.ess,
        "spread": float(z.log_weights.std()),
    }  # fmt: skip


def run(name: str, side: int, kind: str) -> dict[str, Any]:
    """Train, or carry on; measure; leave the numbers and a few pictures in the scratch folder."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    base = SCRATCH / f"{name}_{side}_{kind}"
    rate = rate_at(side, RATE)
    settings = {"data": name, "side": side, "sampler": kind, "c": STEP_SIZES.get(kind), "rate": rate, **budget()}
    done = base.with_suffix(".json")
    if done.exists() and (found := json.loads(done.read_text()))["settings"] == settings:
        return found
    images, sampler, began = load(name, side), sampler_named(kind), time.process_time()
    checkpoint = base.with_suffix(".checkpoint.npz")
    resumed = checkpoint.exists()
    fit = train(images, sampler, rate, EPOCHS, checkpoint)
    trained = time.process_time()
    own = sampler(fit.model)
    at_end = er.sample(own, fit.chains, 50, 2, thin=50).acceptance_rate
    pictures, accepted = draw(fit.model, sampler, images, DRAWN, DRAWING)
    judge = features(name, side)
    found = {
        "settings": settings, "frechet": er.frechet_distance(judge(pictures), judge.test),
        **log_likelihood(fit.model, images), "accepted": at_end, "accepted_from_noise": accepted,
        "variance": float(np.median(fit.model.variance)), "training_seconds": None if resumed else trained - began,
        "measuring_seconds": time.process_time() - trained, "accuracy": judge.accuracy,
        "reconstruction_error": fit.history["reconstruction_error"].tolist(),
    }  # fmt: skip
    np.savez(base.with_suffix(".pictures.npz"), pictures=pictures[:SHOWN])
    write_bytes(done, (json.dumps(found, indent=1) + "\n").encode())
    return found


def budget() -> dict[str, Any]:
    """What is the same for all."""
    return {
        "n_hidden": N_HIDDEN, "batch": BATCH, "steps": STEPS, "epochs": EPOCHS, "max_norm": MAX_NORM,
        "inner": INNER, "adjust_step": ADJUST_STEP, "drawn": DRAWN, "drawing": DRAWING, "ais": AIS,
    }  # fmt: skip
