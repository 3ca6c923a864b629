"""How step sizes and rates were chosen: half an epoch at MNIST 14 x 14 for each Langevin sampler and pair of one grid.

The rows are the first 30,000 training images.  The pair whose model gives 10,000 other training images the highest
log-likelihood (annealing) is taken for all settings.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

import ebm_ref as er
from ebm_ref.files import write_bytes
from validation.five_samplers.data import SCRATCH, load
from validation.five_samplers.runs import STEP_SIZES, Sampler, log_likelihood, train

GRID = {0.02: (0.003, 0.01, 0.03, 0.1, 0.3, 0.6), 0.005: (0.03, 0.1, 0.3)}  # c for each learning rate
LEARNED, JUDGED, SETTING = 30_000, 10_000, ("mnist", 14)


def pilot(kinds: Iterable[str] = tuple(STEP_SIZES)) -> dict[str, dict[str, dict[str, float]]]:
    """{sampler: {"rate, c": {log_likelihood, low, high, accepted}}}; what is there already is kept."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    images = load(*SETTING)
    part = dataclasses.replace(
        images, train=images.train[:LEARNED], test=images.train[LEARNED : LEARNED + JUDGED]
    )  # fmt: skip
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind in kinds:
        for rate, c in ((rate, c) for rate, steps in GRID.items() for c in steps):
            path = SCRATCH / f"pilot_{kind}_{rate}_{c}.json"
            if not path.exists():
                sampler = Sampler(kind, c)
                fit = train(part, sampler, rate, 1, None)
                accepted = er.sample(sampler(fit.model), fit.chains, 50, 2, thin=50).acceptance_rate
                measured = {**log_likelihood(fit.model, part), "accepted": accepted}
                write_bytes(path, json.dumps(measured).encode())
            found.setdefault(kind, {})[f"{rate}, {c}"] = json.loads(path.read_text())
            print(kind, rate, c, found[kind][f"{rate}, {c}"], flush=True)
    return found
