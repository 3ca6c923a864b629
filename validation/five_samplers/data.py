"""Images as rows, at 28 x 28 or as means of 2 x 2 pixels, and the classifier in whose features they are compared.

(1) y = (x + d z - m)/s,  x in [0, 1], z ~ N(0, I), d = NOISE deviations of all training pixels together, m and s the
    mean and deviation of each pixel of x + d z: without noise a pixel that never changes would have an infinite density
(2) log p(x + d z) = log p(y) - sum log s,  nats an image where grey values are numbers in [0, 1]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

import ebm_ref as er

NOISE = 0.1
SCRATCH = Path(__file__).parent.parent / "data" / "five_samplers"  # ignored by git
CLASSIFIER = {"hidden": (256, 64), "epochs": 6, "batch": 100, "rate": 2e-3}


@dataclass(frozen=True, eq=False)
class Images:
    """train, test (n, side^2) in [0, 1]; noise (), mean and deviation (side^2,): d, m, s of (1)."""

    name: str
    side: int
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    noise: float
    mean: np.ndarray
    deviation: np.ndarray

    def rows(self, images: np.ndarray, first: int = 0) -> np.ndarray:
        """(1); image n reads the noise of chain ``first`` + n."""
        z = er.Stream(0, "data_noise", first).normal(0, images.shape)
        z *= self.noise
        z += images - self.mean
        z /= self.deviation
        return z

    def pictures(self, rows: np.ndarray) -> np.ndarray:
        """Back to grey values, cut off at 0 and 1."""
        return np.clip(rows * self.deviation + self.mean, 0.0, 1.0)

    @property
    def log_scale(self) -> float:
        """sum log s of (2)."""
        return float(np.log(self.deviation).sum())


@lru_cache(maxsize=1)
def load(name: str, side: int) -> Images:
    """The data set ``name`` at side x side."""
    raw = er.datasets.load_idx_folder(name)

    def scaled(images: np.ndarray) -> np.ndarray:
        k = images.shape[1] // side
        return images.reshape(len(images), side, k, side, k).mean(axis=(2, 4)).reshape(len(images), -1) / 255.0

    train, test = scaled(raw.train_images), scaled(raw.test_images)
    noise = NOISE * float(train.std())
    deviation = np.sqrt(train.var(axis=0) + noise**2)
    return Images(
        name, side, train, test, raw.train_labels, raw.test_labels, noise, train.mean(axis=0), deviation
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Features:
    """The classifier, and the penultimate layer of the test images."""

    network: er.nets.Network
    accuracy: float
    test: np.ndarray

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """The penultimate layer (n, 64), after its activation."""
        x = pictures.astype(np.float32)
        for layer in self.network.layers.layers[:-1]:
            x = layer.forward(x)[0]
        return x.astype(np.float64)


@lru_cache(maxsize=1)
def features(name: str, side: int) -> Features:
    """Train the classifier, or take the one trained before."""
    images, how = load(name, side), CLASSIFIER
    sizes, n_updates = (side**2, *how["hidden"], 10), how["epochs"] * len(images.train) // how["batch"]
    model = er.JointEnergy(er.nets.mlp(sizes, "silu", seed=0, dtype="float32"))
    SCRATCH.mkdir(parents=True, exist_ok=True)
    fit = er.fit(
        model, images.train, er.cross_entropy(), er.adam(er.CosineDecay(how["rate"], n_updates)), how["epochs"],
        how["batch"], 0, labels=images.train_labels, checkpoint=SCRATCH / f"classifier_{name}_{side}.npz",
    )  # fmt: skip
    logits = fit.model.network.forward(images.test)[0]
    accuracy = float((logits.argmax(axis=1) == images.test_labels).mean())
    found = Features(fit.model.network, accuracy, np.empty(0))
    return Features(found.network, accuracy, found(images.test))
