"""The energy forms on equal terms: inner x.f(x), residual |x - f(x)|^2, square |f(x)|^2 of one U-Net, and a scalar.

Data: the digits of validation/jem_digits.py, 8 x 8 (a U-Net at 28 x 28 would need hours of one core), with a noise of
NOISE.  Networks, float32: U-Net CHANNELS for the first three; a convnet of about as many parameters for the scalar,
which needs one output.  All: base measure N(0, 1), contrastive divergence with K steps of ULA at temperature 1 from a
buffer of BUFFER states, UPDATES updates of Adam with a cosine, batches of BATCH, the running mean of the parameters.
Pilot, the same for all: each step size of STEPS, PILOT updates, seed 100; the best Frechet distance to training digits
is kept.  Judged: the Frechet distance of the buffer's states without their noise, E[x | x + noise] by the model, to the
500 test digits, in the 32 features of a classifier; and from noise, after DRAWING steps.  A run that leaves the finite
numbers is reported as diverged.
Usage: python -m validation.deep_forms [--seeds 1]     what was done before is not repeated
(writes validation/figures/deep_forms.png, .json; the tables are printed)
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ebm_ref as er
from ebm_ref.errors import DivergenceError
from ebm_ref.files import write_bytes
from ebm_ref.models.record import leaves
from ebm_ref.progress import track
from validation.jem_digits import BATCH as CLASSIFIER_BATCH
from validation.jem_digits import data
from validation.readme_figure import mosaic

FORMS = ("inner", "residual", "square", "scalar")
CHANNELS, NOISE, K, BUFFER, BATCH, RATE, UPDATES, PILOT = (8, 16), 0.3, 10, 500, 50, 4e-3, 260, 78
STEPS, DRAWING, SHOWN, N = (0.003, 0.01), 200, 30, 500
OUT, SCRATCH = Path(__file__).parent / "figures", Path(__file__).parent / "out" / "deep_forms"


def network(form: str, seed: int) -> Any:
    """The U-Net, or for a scalar the convnet."""
    if form == "scalar":
        return er.nets.convnet((1, 8, 8), (16, 32), 1, seed=seed, n_hidden=32, dtype="float32")
    return er.nets.unet((1, 8, 8), CHANNELS, seed=seed, dtype="float32")


def features() -> Any:
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


def learn(form: str, step: float, n_updates: int, seed: int) -> dict[str, Any]:
    """One run: seconds, gap of energies along it, pictures of the buffer and from noise."""
    rows = data()[0]
    model = er.NetworkEnergy(network(form, seed), form, base=1.0)
    estimator = er.langevin_cd(lambda m: er.ula(m, step), K, buffer_size=BUFFER, base="uniform", data_noise=NOISE)
    optimiser = er.averaged(er.adam(er.CosineDecay(RATE, n_updates)), 0.98)
    epochs = n_updates // -(-len(rows) // BATCH) or 1
    found: dict[str, Any] = {
        "form": form, "step": step, "seed": seed, "parameters": sum(leaf.size for leaf in leaves(model).values()),
    }  # fmt: skip
    began = time.process_time()
    try:
        fit = er.fit(model, rows, estimator, optimiser, epochs, BATCH, seed, progress=False)
        found["seconds"] = time.process_time() - began
        learned = fit.averaged
        start = 2 * er.Stream(seed, "user").uniform(0, (SHOWN, 64)) - 1
        fresh = er.sample(er.ula(learned, step), start, DRAWING, seed=seed, thin=DRAWING).visible[:, -1]
        pictures = {name: clean(learned, x) for name, x in (("buffer", fit.chains), ("noise", fresh))}
    except DivergenceError as error:
        return {**found, "seconds": time.process_time() - began, "diverged": str(error)}
    return {**found, "gap": fit.history["energy_gap"].tolist(), "pictures": pictures}


def clean(model, rows: np.ndarray) -> np.ndarray:
    """E[x | x + noise], as the model has it, inside [-1, 1]."""
    return np.clip(rows + NOISE**2 * model.score(rows), -1, 1)


def run(form: str, step: float, n_updates: int, seed: int) -> dict[str, Any]:
    """``learn``, or what it left in the scratch folder."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = SCRATCH / f"{form}_{step}_{n_updates}_{seed}.json"
    if not path.exists():
        found = learn(form, step, n_updates, seed)
        if "pictures" in found:
            found["pictures"] = {name: x.round(3).tolist() for name, x in found["pictures"].items()}
        write_bytes(path, json.dumps(found).encode())
    found = json.loads(path.read_text())
    found["pictures"] = {name: np.array(x) for name, x in found.get("pictures", {}).items()}
    return found


def distance(found: dict[str, Any], judge, rows: np.ndarray) -> float:
    """Frechet distance of the buffer to rows; infinite where the run diverged."""
    return er.frechet_distance(judge(found["pictures"]["buffer"]), judge(rows)) if found["pictures"] else np.inf


def anchors(judge) -> dict[str, float]:
    """Real training digits, and a normal law with their mean and covariance."""
    train, _, test, _ = data()
    root = np.linalg.cholesky(np.cov(train.T) + 1e-6 * np.eye(64))
    normal = np.clip(train.mean(axis=0) + er.Stream(0, "user").normal(0, (N, 64)) @ root.T, -1, 1)
    return {
        "training digits": er.frechet_distance(judge(train[:N]), judge(test)),
        "normal law": er.frechet_distance(judge(normal), judge(test)),
    }


def draw(shown: dict[str, dict[str, Any]], text: dict[str, str]) -> Figure:
    """Digits, and what each form has in its buffer and draws from noise."""
    figure = Figure(figsize=(14, 5), layout="constrained")
    panels = figure.subplots(2, 1 + len(shown))
    for axes in panels.ravel():
        axes.set_axis_off()
    panels[0, 0].imshow(mosaic((data()[2][:SHOWN] + 1) / 2, 6), cmap="gray_r", vmin=0, vmax=1)
    panels[0, 0].set_title("test digits", fontsize=11)
    for i, (form, found) in enumerate(shown.items()):
        titles = (text[form], f"{DRAWING} steps from noise")
        for axes, rows, title in zip(panels[:, i + 1], found["pictures"].values(), titles, strict=False):
            axes.imshow(mosaic((rows[:SHOWN] + 1) / 2, 6), cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(title, fontsize=11)
        if not found["pictures"]:
            panels[0, i + 1].set_title(text[form] + "\ndiverged", fontsize=11)
    return figure


def main() -> None:
    """Pilot, runs, tables, picture."""
    parser = argparse.ArgumentParser(description="Forms of deep energies on equal terms.")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    judge, (train, _, test, _) = features(), data()
    runs: dict[str, list[dict[str, Any]]] = {}
    pilot: dict[str, dict[str, float]] = {}
    with track(len(FORMS) * (len(STEPS) + arguments.seeds), "runs") as bar:
        for form in FORMS:
            pilot[form] = {}
            for step in STEPS:
                pilot[form][str(step)] = distance(run(form, step, PILOT, 100), judge, train[N : 2 * N])
                print(f"pilot {form:9} step {step}: {pilot[form][str(step)]:.2f}", flush=True)
                bar(1)
        for form in FORMS:
            best = min(STEPS, key=lambda step: pilot[form][str(step)])
            runs[form] = []
            for seed in range(arguments.seeds):
                found = run(form, best, UPDATES, seed)
                found["frechet"] = distance(found, judge, test)
                runs[form].append(found)
                print(f"{form:9} step {best} seed {seed}: Frechet {found['frechet']:.2f}, {found['seconds']:.0f} s"
                      f" {found.get('diverged', '')} gap {found.get('gap', [])[-3:]}", flush=True)  # fmt: skip
                bar(1)
    write(runs, pilot, anchors(judge))


def write(runs: dict[str, list[dict[str, Any]]], pilot: dict[str, dict[str, float]], real: dict[str, float]) -> None:
    """Tables on standard output, numbers and picture."""
    print("| form | parameters | step | Frechet distance, median (least to greatest) | diverged | processor seconds |")
    print("|---|---|---|---|---|---|")
    text = {}
    for form, found in runs.items():
        values = sorted(run["frechet"] for run in found)
        bad, middle = sum("diverged" in run for run in found), values[(len(values) - 1) // 2]
        text[form] = f"{form}, Frechet {middle:.1f}"
        spread = f"{middle:.2f} ({values[0]:.2f} to {values[-1]:.2f}) | {bad} of {len(found)}"
        seconds = np.median([run["seconds"] for run in found])
        print(f"| {form} | {found[0]['parameters']:,} | {found[0]['step']} | {spread} | {seconds:.0f} |")
    for name, value in real.items():
        print(f"| *{name}* | | | {value:.2f} | | |")
    OUT.mkdir(exist_ok=True)
    plain = {
        form: [{key: run[key] for key in run if key != "pictures"} for run in found] for form, found in runs.items()
    }
    finite = {form: {step: v if np.isfinite(v) else None for step, v in each.items()} for form, each in pilot.items()}
    (OUT / "deep_forms.json").write_text(json.dumps({"runs": plain, "pilot": finite, "anchors": real}, indent=1) + "\n")
    draw({form: found[0] for form, found in runs.items()}, text).savefig(
        OUT / "deep_forms.png", dpi=100, metadata={"Software": None}
    )  # fmt: skip


if __name__ == "__main__":
    main()
