"""One MLP energy, four densities in the plane, each way of learning: KL to the truth by quadrature.

Model: E(x) = f(x) + |x|^2/(2 BASE^2), f an MLP 2-128-128-1 (SiLU), float32; data N_ROWS exact rows; Adam with a cosine,
the running mean of the parameters is what is measured.  Settings of each method are in METHODS.
(1) KL(p|q) by the trapezoidal rule on BOX with POINTS a side; an energy whose density does not fall to 1e-8 of its
    largest at the edge is reported as such, not measured.
(2) A published preset is made for data in [-1, 1] or [0, 1] (IGEBM), so it sees (x - low)/width, and its energy counts
    inside that box only.  It samples at T = noise^2/(2 step), not at 1: three numbers are reported, KL of exp(-E), of
    exp(-E/T), and of exp(-E/T*) at the temperature T* that makes it least, which asks for the shape of E alone.
(3) Level t of diffusion recovery is trained by -log q(y | y + sig z).  Its mean is, up to a constant of the data,
        E KL(p(y|y~) | q(y|y~)) = KL(p | q) - KL(p * N(0, sig^2) | q * N(0, sig^2)),        y~ = y + sig z
    (chain rule, both ways round), so what is left after blurring p and q by sig is not seen by this objective: weights
    of bumps farther apart than sig, wells far from the data.  Level 0, which is judged, is the data with a noise of
    sbar_0 and is seen through sig = sig_1/a_1 in units of x.  "kl" = smoothing + seen + "kl_blurred".
(4) "chains": total variation between the buffer's states and the truth over BLOCKS^2 squares; exact rows, as many as
    the buffer holds, are at the distance "exact rows" of the table: a run below 2 of those has chains that look right.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar

import ebm_ref as er
from ebm_ref.errors import DivergenceError, DomainError
from ebm_ref.files import write_bytes
from ebm_ref.learning.recovery import local_schedule

LAWS: dict[str, Any] = {
    "mixture": er.datasets.mixture_on_circle(), "spirals": er.datasets.two_spirals(), "rings": er.datasets.rings(),
    "checkerboard": er.datasets.checkerboard(),
}  # fmt: skip
N_ROWS, WIDTHS, BASE, SIGMA, ETA, DECAY = 20_480, (2, 128, 128, 1), 1.5, 0.1, 2e-3, 0.99
BOX, POINTS, SPAN, INSIDE, BLOCKS, SHOWN = (-10.0, 10.0), 321, 2.75, 177, 16, 121
SCRATCH = Path(__file__).parent.parent / "out" / "deep_densities"  # ignored by git
SCHEDULE, DRAWN = local_schedule(SIGMA), 4096
BLUR = float(SCHEDULE.sig[1] / SCHEDULE.a[1])
LIKELIHOOD, CHAINS, DENOISING, RECOVERY = "maximum likelihood", "Langevin CD, T = 1", "denoising", "diffusion recovery"
PRESETS = {"uva": "UvA preset", "jem": "JEM preset", "igebm": "IGEBM preset"}
BOXES = {"igebm": (0.0, 1.0)}  # [-1, 1] for the others


class Seen:
    """A model of y = (x - low)/width as a law of x; the constant of the change of variables is left to log Z."""

    n_visible = 2

    def __init__(self, model, low: float, width: float, temperature: float = 1.0) -> None:
        self.model, self.low, self.width, self.temperature = model, low, width, temperature

    def energy(self, x: np.ndarray) -> np.ndarray:
        """E(y)/T."""
        return self.model.energy((x - self.low) / self.width) / self.temperature

    def at(self, temperature: float) -> Seen:
        """The law at another temperature."""
        return Seen(self.model, self.low, self.width, temperature)


def preset(name: str, k: int) -> Callable[[], Any]:
    """The published sampler, buffer and penalty; k steps an update."""
    penalty, noise = {"uva": (0.1, 0.005), "jem": (0.0, 0.03), "igebm": (1.0, 0.0)}[name]
    return lambda: er.langevin_cd(
        er.published_sampler(name), k, buffer_size=8192, base="uniform", base_range=BOXES.get(name, (-1.0, 1.0)),
        energy_penalty=penalty, data_noise=noise,
    )  # fmt: skip


# name: (estimator, updates, batch, learning rate, beta1, greatest norm of a gradient)
METHODS: dict[str, tuple[Callable[[], Any], int, int, float, float, float | None]] = {
    LIKELIHOOD: (lambda: er.exact_gradient(box=(-4, 4), n=64), 800, 256, 1.5e-2, 0.9, None),
    CHAINS: (lambda: er.langevin_cd(lambda m: er.ula(m, ETA), 20, buffer_size=4096), 1600, 256, 2e-2, 0.9, None),
    DENOISING: (lambda: er.denoising_score_matching(SIGMA), 1000, 512, 5e-3, 0.9, None),
    RECOVERY: (lambda: er.recovery(40, SCHEDULE), 640, 256, 1.5e-2, 0.9, 1.0),
    PRESETS["uva"]: (preset("uva", 60), 240, 128, 1e-3, 0.0, 0.1),
    PRESETS["jem"]: (preset("jem", 20), 640, 128, 1e-3, 0.9, None),
    PRESETS["igebm"]: (preset("igebm", 60), 240, 128, 1e-3, 0.0, None),
}


def name_of(who: str) -> str | None:
    """The preset that a title stands for."""
    return next((name for name, title in PRESETS.items() if title == who), None)


def frame(recipe: str | None) -> tuple[float, float]:
    """(low, width) of (2): the square of side 2 SPAN is the preset's box; (0, 1) where there is no preset."""
    if recipe is None:
        return 0.0, 1.0
    left, right = BOXES.get(recipe, (-1.0, 1.0))
    width = 2 * SPAN / (right - left)
    return -SPAN - width * left, width


def kept(law: str, who: str, seed: int) -> dict[str, Any] | None:
    """What a run with the settings of today left in the scratch folder."""
    path = file_of(law, who, seed)
    if not path.exists() or (found := json.loads(path.read_text()))["settings"] != settings_of(who):
        return None
    return {**found["row"], "picture": np.array(found["picture"]) if found["picture"] else None}


def file_of(law: str, who: str, seed: int) -> Path:
    """Where a run is kept."""
    return SCRATCH / f"{law}_{who.replace(' ', '_')}_{seed}.json"


def settings_of(who: str) -> Any:
    """All that a method's result depends on, as JSON has it."""
    return json.loads(json.dumps([METHODS[who][1:], METHODS[who][0]().settings(), N_ROWS, WIDTHS, BASE, DECAY]))


def run(law: str, who: str, seed: int) -> dict[str, Any]:
    """``learn``, or what it left in the scratch folder when it did the same before."""
    if (found := kept(law, who, seed)) is not None:
        return found
    SCRATCH.mkdir(parents=True, exist_ok=True)
    row = learn(law, who, seed)
    shown = row.get("picture")
    told = {"settings": settings_of(who), "row": {key: value for key, value in row.items() if key != "picture"},
            "picture": None if shown is None else shown.round(6).tolist()}  # fmt: skip
    write_bytes(file_of(law, who, seed), json.dumps(told).encode())
    return row


def learn(law: str, who: str, seed: int) -> dict[str, Any]:
    """One run, and what became of it."""
    make, n_updates, batch, rate, beta1, greatest = METHODS[who]
    recipe, truth = name_of(who), LAWS[law]
    low, width = frame(recipe)
    data = (truth.sample(N_ROWS, seed) - low) / width
    network = er.nets.mlp(WIDTHS, seed=seed, dtype="float32", time_embedding=16 * (who == RECOVERY))
    model = er.NetworkEnergy(network, "scalar", base=None if recipe else BASE)
    optimiser: Any = er.adam(er.CosineDecay(rate, n_updates), beta1)
    optimiser = er.averaged(er.clipped(optimiser, greatest) if greatest else optimiser, DECAY)
    estimator, n_epochs = make(), n_updates * batch // N_ROWS
    row: dict[str, Any] = {"density": law, "who": who, "seed": seed, "updates": n_updates}
    began = time.process_time()
    try:
        fit = er.fit(model, data, estimator, optimiser, n_epochs, batch, seed, progress=False)
    except DivergenceError as error:
        return {**row, "seconds": time.process_time() - began, "diverged": str(error)}
    row["seconds"] = time.process_time() - began
    learned = fit.averaged
    if who == RECOVERY:
        learned = Seen(estimator.density(learned), 0.0, 1.0 / SCHEDULE.keep[0])
    if recipe:
        learned = Seen(learned, low, width)
        row["temperature"] = er.published_sampler(recipe)(learned.model).temperature
    if who == RECOVERY:
        row["chains"] = total_variation(truth, estimator.sample(fit.averaged, DRAWN, seed))
    if len(fit.chains):
        row["chains"] = total_variation(truth, low + width * fit.chains)
    row |= measured(truth, learned, who, row.get("temperature"))
    return {**row, "picture": picture(learned.at(row["best_temperature"]) if recipe else learned)}


def measured(truth, learned, who: str, temperature: float | None) -> dict[str, Any]:
    """The divergences that the head of this module names."""
    if temperature is None:
        found = {"kl": divergence(truth, learned)}
        if who == DENOISING:
            found |= {"kl_smoothed": divergence(truth.smoothed(SIGMA), learned)}
        if who == RECOVERY:
            found |= {"kl_blurred": blurred_divergence(truth, learned)}
        return found
    inside = lambda T: inside_divergence(truth, learned.at(T))  # noqa: E731
    best = minimize_scalar(lambda log_t: inside(np.exp(log_t)), bounds=np.log([1e-7, 1e3]), method="bounded")
    return {"kl": inside(1.0), "kl_at_temperature": inside(temperature), "kl_best": float(best.fun),
            "best_temperature": float(np.exp(best.x))}  # fmt: skip


def divergence(p, q) -> float | None:
    """(1), None where q's density reaches the edge of the box."""
    try:
        return er.exact.grid_kl_divergence(p, q, BOX, POINTS)
    except DomainError:
        return None


def blurred_divergence(p, q) -> float:
    """(3): KL after both were blurred by BLUR, on the grid of (1)."""
    axis = np.linspace(*BOX, POINTS)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    log_q = -q.energy(points)
    cell = axis[1] - axis[0]
    shape = np.exp(log_q - log_q.max()).reshape(POINTS, POINTS)
    blurred = gaussian_filter(shape / shape.sum() / cell**2, BLUR / cell, truncate=8.0, mode="constant").ravel()
    log_p = -p.smoothed(BLUR).energy(points)
    some = log_p > -600
    ratio = log_p[some] - np.log(np.maximum(blurred[some], 1e-300))
    return float((np.exp(log_p[some]) * ratio).sum() * cell**2)


def inside_divergence(p, q) -> float:
    """KL(p|q), q normalised on the square of side 2 SPAN; p has less than 1e-8 of its mass outside."""
    points, log_cell = square(INSIDE)
    log_q = -q.energy(points)
    log_z = log_q.max() + np.log(np.exp(log_q - log_q.max()).sum()) + log_cell
    return er.exact.grid_kl_divergence(p, q, (-SPAN, SPAN), INSIDE, log_z_q=float(log_z))


def square(n: int) -> tuple[np.ndarray, float]:
    """(points (n^2, 2) of the square of side 2 SPAN, log of the area of a cell)."""
    axis = np.linspace(-SPAN, SPAN, n)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    return points, float(2 * np.log(2 * SPAN / (n - 1)))


def total_variation(truth, rows: np.ndarray) -> float:
    """(4); all that lies outside the square is one more block."""
    fine = 8
    middle = (np.arange(BLOCKS * fine) + 0.5) * 2 * SPAN / (BLOCKS * fine) - SPAN
    points = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)
    p = np.exp(-truth.energy(points)) * (2 * SPAN / (BLOCKS * fine)) ** 2
    p = p.reshape(BLOCKS, fine, BLOCKS, fine).sum(axis=(1, 3))
    edges = np.linspace(-SPAN, SPAN, BLOCKS + 1)
    q = np.histogram2d(rows[:, 0], rows[:, 1], bins=[edges, edges])[0] / len(rows)
    return float(0.5 * (np.abs(p - q).sum() + abs(p.sum() - q.sum())))


def picture(law) -> np.ndarray:
    """The density on the square, (SHOWN, SHOWN), x_1 along the first axis."""
    points, log_cell = square(SHOWN)
    log_q = -law.energy(points)
    q = np.exp(log_q - log_q.max())
    return (q / (q.sum() * np.exp(log_cell))).reshape(SHOWN, SHOWN)


def anchors() -> dict[str, dict[str, float]]:
    """What the numbers are held against: one normal law, the smoothed truth, the chains' own spread."""
    found = {}
    for law, truth in LAWS.items():
        rows = truth.sample(N_ROWS, 0)
        normal = er.Gaussian(rows.mean(axis=0), np.linalg.inv(np.cov(rows.T)))
        found[law] = {
            "normal": er.exact.grid_kl_divergence(truth, normal, BOX, POINTS),
            "least_noise": er.exact.grid_kl_divergence(
                truth, truth.smoothed(float(SCHEDULE.sbar[0] / SCHEDULE.abar[0])), BOX, POINTS
            ),
            "smoothed": er.exact.grid_kl_divergence(truth, truth.smoothed(SIGMA), BOX, POINTS),
            "rows": total_variation(truth, truth.sample(4096, 1)),
            "rows_of_presets": total_variation(truth, truth.sample(8192, 1)),
        }
    return found
