"""Deep energies on the command line: which network, trained how, and how pictures are drawn from it.

Data are brought to about [-1, 1]: x = (value - shift)/scale, shift and scale the middle and half the range of all data.
energy  scale e(x, f(x)) + |x|^2/2: the second term keeps Z finite, except for "residual", which needs no help
score_matching  learning/annealed: one noise level for small images, several for large ones; the quickest to digits.
                The highest of several is HIGHEST times the deviation of an image, |x - centre|: noise of that size
                leaves little of what sets images apart, so chains that start from it can go anywhere.  The network
                is conditioned on the level, models/nets (4), and needs no second term
recovery        learning/recovery: diffusion recovery likelihood, T = 6.  Its chains take half a step down dE/dx, stable
                where the curvature of E is below 4: spectral norms keep J = df/dx near 1 at most, and so the curvature
                (I - J)'(I - J) of the residual form; without them chains run off after some hundred updates
cd              learning/replay: Langevin chains at temperature 1 from a replay buffer; the lecture's way
In score_matching and cd a model's law is that of the data with noise; what is drawn has it taken away at the end, by
E[x | x~] = x~ + sigma^2 score(x~) (learning/annealed (4)).
The file of a model also says how it was trained, since a picture is drawn by the chains that the training had in mind.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import click
import numpy as np

import ebm_ref
from ebm_ref import files
from ebm_ref.models.record import constants, leaves, sizes
from ebm_ref.progress import track

FORMS = {"mlp": "inner", "convnet": "scalar", "unet": "inner", "jem": "classes"}  # the default, of each network
WIDTHS = {"mlp": 256, "convnet": 32, "unet": 24, "jem": 256}
STEPS = {"score_matching": 20, "recovery": 30, "cd": 30, "jem": 20}  # Langevin steps, of an update or of a level
LEVEL_STEPS = 5  # score matching with several levels
RATES = {"score_matching": 2e-3, "recovery": 1e-3, "cd": 3e-4, "jem": 3e-4}
TIME_EMBEDDING, BUFFER = 32, 500
SMALL, ONE_LEVEL, LOWEST, HIGHEST, LEVELS = 100, 0.5, 0.1, 0.5, 12  # score matching: up to 100 pixels one level
ALONE, CD_STEP, CD_NOISE = 3, 0.02, 0.3  # one level draws by ALONE times as many steps; ULA and data noise of cd
UPDATES = 2500  # about, by default
CHECKPOINT_SECONDS = 60.0  # parameters of a large network take a second to write
CLIP, CD_CLIP, CD_BETA1, AVERAGE = 10.0, 1.0, 0.5, 0.99
LEVELS_CLIP = 1000.0  # several levels of noise: each row counts by w_t of learning/annealed (2), up to 200


@dataclass(frozen=True)
class Recipe:
    """How a deep energy was trained and is drawn from; data = shift + scale x, images of ``shape``."""

    estimator: str
    k: int
    shift: float
    scale: float
    shape: tuple[int, int]
    centre: float = 0.0
    spread: float = 1.0
    sigmas: tuple[float, ...] = ()
    energy_penalty: float = 0.0

    def rows(self, data: np.ndarray) -> np.ndarray:
        """Data as the network sees them."""
        return (data - self.shift) / self.scale

    def data(self, rows: np.ndarray) -> np.ndarray:
        """And back."""
        return self.shift + self.scale * rows

    @property
    def has_levels(self) -> bool:
        """Whether images are drawn down noise levels, not by one long chain."""
        return self.estimator in ("score_matching", "recovery")

    @property
    def levels(self) -> int:
        """How many times the network must tell apart."""
        return 6 if self.estimator == "recovery" else max(1, len(self.sigmas))

    def learner(self) -> Any:
        """The estimator for ``fit``; those with levels also draw."""
        if self.estimator == "recovery":
            return ebm_ref.recovery(self.k)
        if self.estimator == "score_matching":
            k = self.k * (ALONE if len(self.sigmas) == 1 else 1)
            return ebm_ref.annealed_score_matching(self.sigmas, k, centre=self.centre, spread=self.spread)
        density = ebm_ref.langevin_cd(
            langevin, self.k, buffer_size=BUFFER, data_noise=CD_NOISE, energy_penalty=self.energy_penalty
        )
        return ebm_ref.jem(density) if self.estimator == "jem" else density


def langevin(model) -> Any:
    """The sampler of cd: ULA at temperature 1."""
    return ebm_ref.ula(model, CD_STEP)


def recipe_for(rows, estimator: str, k: int | None, noise: float | None, levels: int | None, penalty: float) -> Recipe:
    """The choices that the data suggest, where nothing was said."""
    low, high = float(rows.min()), float(rows.max())
    shift, scale = (low + high) / 2, (high - low) / 2 or 1.0
    centre, spread = float((rows.mean() - shift) / scale), max(1e-3, float(rows.std()) / scale)
    sigmas: tuple[float, ...] = ()
    if estimator == "score_matching":
        n = levels or (1 if rows.shape[1] <= SMALL else LEVELS)
        lowest, highest = noise or (ONE_LEVEL if n == 1 else LOWEST), HIGHEST * math.sqrt(rows.shape[1]) * spread
        if n > 1 and lowest >= highest:
            raise click.UsageError(f"--noise: expected less than the highest level, {highest:.3g}, got {lowest}")
        sigmas = tuple(np.geomspace(lowest, highest, n).tolist()) if n > 1 else (lowest,)
    return Recipe(
        estimator, k or (LEVEL_STEPS if len(sigmas) > 1 else STEPS[estimator]), shift, scale, shape_of(rows.shape[1]),
        centre, spread, sigmas, penalty,
    )  # fmt: skip


def shape_of(n_pixels: int) -> tuple[int, int]:
    """(height, width): a square where there is one, else the flattest of its kind."""
    height = max(d for d in range(1, math.isqrt(n_pixels) + 1) if n_pixels % d == 0)
    return height, n_pixels // height


def build(kind: str, form: str | None, width: int | None, recipe: Recipe, n_classes: int, seed: int) -> Any:
    """A deep energy with fresh weights, in float32."""
    form = form or ("residual" if recipe.estimator in ("cd", "recovery") else FORMS[kind])
    n, shape = math.prod(recipe.shape), (1, *recipe.shape)
    width, n_outputs = width or WIDTHS[kind], {"scalar": 1, "classes": n_classes}.get(form, n)
    timed, normed = TIME_EMBEDDING if recipe.levels > 1 else 0, recipe.estimator == "recovery"
    more: dict[str, Any] = {"time_embedding": timed, "spectral_norm": normed, "dtype": "float32"}
    if kind == "unet":
        if form == "scalar":
            raise click.UsageError("--form: a U-Net gives an image, so expected inner, residual or square, got scalar")
        channels, small = [width * 2**i for i in range(3)], min(recipe.shape) <= 14
        stride = 1 if small or normed else 2
        network = ebm_ref.nets.unet(shape, channels[: 2 if small else 3], seed, stride=stride, **more)
    elif kind == "convnet":
        network = ebm_ref.nets.convnet(shape, (width, 2 * width, 2 * width), n_outputs, seed, n_hidden=256, **more)
    else:
        network = ebm_ref.nets.mlp((n, width, width, n_outputs), "silu", seed, **more)
    if kind == "jem":
        return ebm_ref.JointEnergy(network, 1.0)
    if len(recipe.sigmas) > 1 and form in ("inner", "residual"):
        size = math.hypot(recipe.centre, recipe.spread)
        return ebm_ref.NetworkEnergy(ebm_ref.nets.conditioned(network, recipe.sigmas, size, form), form, 0.5)
    return ebm_ref.NetworkEnergy(network, form, 0.5, None if form == "residual" else 1.0)


def save(path: str, model: Any, recipe: Recipe) -> None:
    """A file that ``ebm_ref.load`` reads as the model, and ``read_recipe`` as the recipe."""
    meta = {**sizes(model), "recipe": asdict(recipe)}
    files.write_arrays(path, type(model).__name__, leaves(model) | constants(model), meta)


def read_recipe(path: str) -> Recipe:
    """How the model in a file was trained; click.UsageError where the file does not say."""
    found = files.read_arrays(path)[2].get("recipe")
    if found is None:
        raise click.UsageError(f"{path}: expected a deep energy written by ebm-ref train, got one without a recipe")
    return Recipe(**{**found, "shape": tuple(found["shape"]), "sigmas": tuple(found["sigmas"])})


def train_network(
    kind: str, rows: np.ndarray, labels: np.ndarray | None, recipe: Recipe, *, form: str | None, width: int | None,
    epochs: int | None, batch_size: int, lr: float | None, weight_decay: float, clip: float | None,
    average: float | None, checkpoint: str | None, seed: int, progress: bool,
) -> ebm_ref.Fit:  # fmt: skip
    """Fit; ``Fit.averaged`` is the model to keep."""
    per_epoch = -(-len(rows) // min(batch_size, len(rows)))
    epochs = max(1, round(UPDATES / per_epoch)) if epochs is None else epochs
    rate = ebm_ref.CosineDecay(lr or RATES[recipe.estimator], max(1, epochs * per_epoch))
    adam = ebm_ref.adam(rate, 0.9 if recipe.has_levels else CD_BETA1, weight_decay=weight_decay)
    if clip is None:
        clip = LEVELS_CLIP if len(recipe.sigmas) > 1 else CLIP if recipe.has_levels else CD_CLIP
    optimizer = ebm_ref.averaged(ebm_ref.clipped(adam, clip), AVERAGE if average is None else average)
    n_classes = 0 if labels is None else int(labels.max()) + 1
    start = build(kind, form, width, recipe, n_classes, seed)
    with np.errstate(over="ignore", invalid="ignore"):  # fit says where a run left the finite numbers
        return ebm_ref.fit(
            start, recipe.rows(rows), recipe.learner(), optimizer, epochs, batch_size, seed, labels=labels,
            checkpoint=checkpoint, checkpoint_seconds=CHECKPOINT_SECONDS, progress=progress,
        )  # fmt: skip


def draw(model: Any, recipe: Recipe, n: int, n_steps: int, seed: int, progress: bool = False) -> np.ndarray:
    """n images from noise, in the units of the data: down the levels, or ``n_steps`` Langevin steps."""
    if recipe.has_levels:
        with track(None, "sampling", enabled=progress):
            return recipe.data(recipe.learner().sample(model, n, seed))
    start = ebm_ref.Stream(seed, "noise_start").normal(0, (n, model.n_visible))
    noisy = ebm_ref.sample(langevin(model), start, n_steps, seed, thin=max(1, n_steps), progress=progress).last
    return recipe.data(denoised(model, noisy))


def denoised(model: Any, noisy: np.ndarray) -> np.ndarray:
    """The mean of the images given what cd's chains drew."""
    return noisy + CD_NOISE**2 * model.score(noisy)


def complete(
    model: Any, recipe: Recipe, observed: np.ndarray, known: np.ndarray, n_steps: int, seed: int, progress: bool = False
) -> np.ndarray:
    """Images that agree with ``observed`` where ``known`` is true, in the units of the data."""
    rows = recipe.rows(observed)
    if recipe.has_levels:
        with track(None, "completing", enabled=progress):
            completed = recipe.learner().complete(model, rows, known, seed)
    else:
        held = rows + CD_NOISE * ebm_ref.Stream(seed, "data_noise").normal(0, rows.shape)
        completed = denoised(model, ebm_ref.complete(langevin(model), held, known, n_steps, seed, progress=progress))
    return np.where(known, observed, recipe.data(completed))
