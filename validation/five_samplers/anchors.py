"""What the numbers of a run are held against: real images, and a normal law with the mean and covariance of the data.

The normal law is that of probabilistic PCA with every component kept: the full covariance of the training rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

import ebm_ref as er
from ebm_ref.estimate.frechet import covariance
from validation.five_samplers.data import Images, features, load
from validation.five_samplers.runs import DRAWN, SHOWN


def normal_law(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """(mean, lower Cholesky factor) of the training rows with their noise."""
    rows = images.rows(images.train)
    return rows.mean(axis=0), np.linalg.cholesky(covariance(rows))


def normal_log_likelihood(mean: np.ndarray, L: np.ndarray, images: Images) -> float:
    """Mean log density of the test rows, nats an image in units of grey values."""
    rows = images.rows(images.test, len(images.train))
    z = solve_triangular(L, (rows - mean).T, lower=True)
    at_mean = -0.5 * len(mean) * np.log(2 * np.pi) - np.log(np.diag(L)).sum()
    return float(at_mean - 0.5 * (z**2).sum(axis=0).mean() - images.log_scale)


def measure(name: str, side: int) -> dict[str, Any]:
    """Both anchors, with as many pictures as a run draws."""
    images, judge = load(name, side), features(name, side)
    mean, L = normal_law(images)
    z = er.Stream(0, "user").normal(0, (DRAWN, side**2))
    drawn = images.pictures(mean + z @ L.T)
    chosen = np.argsort(er.Stream(0, "shuffle").uniform(0, (1, len(images.train)))[0])[:DRAWN]
    return {
        "real": {"frechet": er.frechet_distance(judge(images.train[chosen]), judge.test)},
        "normal": {
            "frechet": er.frechet_distance(judge(drawn), judge.test),
            "log_likelihood": normal_log_likelihood(mean, L, images),
        },
        "accuracy": judge.accuracy,
        "pictures": {"real": images.train[chosen[:SHOWN]], "normal": drawn[:SHOWN]},
    }
