"""The Frechet distance: zero, invariance, closed forms, its bias; each law rejects a distance with one mistake."""

import itertools

import numpy as np
import pytest
from laws import close

import ebm_ref as er
from ebm_ref.errors import DomainError, InsufficientDataError, ShapeError
from ebm_ref.estimate import frechet

MIXING = np.array([[1.3, 0.4, -0.2], [0.0, 0.7, 0.9], [0.5, -1.1, 0.3]])


def rows(seed: int, n: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 3)) @ MIXING + [0.3, -2.0, 1.1]


def equal_moments_are_at_zero(distance) -> None:
    x = rows(1)
    close(distance(x, 2 * x.mean(axis=0) - x), 0.0, 1e-12)
    assert distance(x, x + 1e-3) > 2e-6


def maps_of_both_change_nothing(distance) -> None:
    x, y = rows(1), 1.5 * rows(2, 55)
    Q = np.linalg.qr(MIXING)[0]
    close(distance(x @ Q + 7.0, y @ Q + 7.0), distance(x, y))
    close(distance(y, x), distance(x, y))


def diagonal_covariances_have_a_closed_form(distance) -> None:
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    s1, s2, shift = np.array([0.5, 2.0, 1.0]), np.array([1.5, 0.25, 1.0]), np.array([1.0, 0.0, -2.0])
    close(distance(corners * s1, corners * s2 + shift), 5.0 + 8 / 7 * ((s1 - s2) ** 2).sum())


def two_features_have_a_closed_form(distance) -> None:
    """tr (A^1/2 B A^1/2)^1/2 = (tr AB + 2 (det A det B)^1/2)^1/2 for 2 x 2 matrices that do not commute."""
    x, y = rows(3)[:, :2], rows(4)[:, 1:]
    A, B = np.cov(x.T), np.cov(y.T)
    assert abs(A @ B - B @ A).max() > 0.1
    cross = np.sqrt(np.trace(A @ B) + 2 * np.sqrt(np.linalg.det(A) * np.linalg.det(B)))
    away = x.mean(axis=0) - y.mean(axis=0)
    close(distance(x, y), away @ away + np.trace(A) + np.trace(B) - 2 * cross)


LAWS = (
    equal_moments_are_at_zero, maps_of_both_change_nothing, diagonal_covariances_have_a_closed_form,
    two_features_have_a_closed_form,
)  # fmt: skip


@pytest.mark.parametrize("law", LAWS)
def test_laws(law):
    law(er.frechet_distance)


def by(change):
    """The distance with one of its four terms changed: change(m, A, B) -> (mean part, traces, cross part)."""

    def distance(x, y):
        mean, traces, cross = change(x.mean(axis=0) - y.mean(axis=0), np.cov(x.T), np.cov(y.T))
        return mean + traces - 2 * cross

    return distance


def cross(A, B):
    return np.linalg.svd(frechet.root(A) @ frechet.root(B), compute_uv=False).sum()


def test_the_laws_bite():
    def traces(A, B):
        return np.trace(A) + np.trace(B)

    right = by(lambda m, A, B: (m @ m, traces(A, B), cross(A, B)))
    commuting = by(lambda m, A, B: (m @ m, traces(A, B), np.trace(frechet.root(A) @ frechet.root(B))))
    not_squared = by(lambda m, A, B: (np.sqrt(m @ m), traces(A, B), cross(A, B)))
    deviations = by(lambda m, A, B: (m @ m, traces(A, B), np.sqrt(np.diag(A) * np.diag(B)).sum()))
    population = by(lambda m, A, B: (m @ m, 0.875 * traces(A, B), 0.875 * cross(A, B)))
    halved = by(lambda m, A, B: (m @ m, traces(A, B), cross(A, B) / 2))
    for law in LAWS:
        law(right)
    for law, twins in (
        (equal_moments_are_at_zero, (halved,)), (maps_of_both_change_nothing, (deviations,)),
        (diagonal_covariances_have_a_closed_form, (not_squared, population)),
        (two_features_have_a_closed_form, (commuting, deviations)),
    ):  # fmt: skip
        for twin in twins:
            with pytest.raises(AssertionError):
                law(twin)


def test_the_bias_is_the_stated_one(seed):
    """Means of 400 distances of one normal law: 6.5 standard errors, false alarms 1e-9; 15 % of the bias is found."""
    rng, n, k = np.random.default_rng(seed), 300, 500
    C = MIXING.T @ MIXING
    distances = [
        er.frechet_distance(rng.standard_normal((n, 3)) @ MIXING, rng.standard_normal((k, 3)) @ MIXING)
        for _ in range(400)
    ]
    expected, error = frechet.frechet_bias(C, n, k), np.std(distances) / np.sqrt(len(distances))
    assert abs(np.mean(distances) - expected) < 6.5 * error + 0.02 * expected
    without_covariances = (1 / n + 1 / k) * np.trace(C)
    assert abs(np.mean(distances) - without_covariances) > 6.5 * error + 0.02 * expected


def test_bad_rows_are_refused():
    with pytest.raises(ShapeError, match="y: expected shape"):
        er.frechet_distance(np.zeros((4, 3)), np.zeros((4, 2)))
    with pytest.raises(InsufficientDataError, match="x: expected at least 2 rows"):
        er.frechet_distance([[1.0]], [[1.0], [2.0]])
    with pytest.raises(DomainError, match="y"):
        er.frechet_distance([[1.0], [2.0]], [[1.0], [np.nan]])
