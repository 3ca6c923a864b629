"""Error budget, sample sizes, and the k-of-k scheme with growth.

(1) fail only if k independent stages of n, g n, g^2 n, .. draws all have p <= gamma = alpha^(1/k);
    then P(fail | correct) <= alpha for any valid p-value, discrete and Monte Carlo ones included
(2) a Monte Carlo p-value with B null samples can only reject if (B + 1) gamma >= 1
(3) power for a chi-square distance delta and df degrees:  prod_j P(chi2_df(n g^j delta^2) > chi2_df^-1(1 - gamma))
(4) one report spends at most 1e-6:  alpha of each of its M tests = (1e-6 - sum of exact collision checks) / M

Source: Gandy and Scott 2020 (arXiv 2001.06465), with the continuation region that super-uniform p-values allow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from ebm_ref.errors import InsufficientDataError, require_choice, require_positive

PROFILES = {"smoke": 2**13, "ci": 2**17, "nightly": 2**20, "certify": 2**24}
BUDGET = 1e-6
STAGES, GROWTH, MONTE_CARLO, POWER = 4, 4, 999, 0.999
ROWS_PER_CALL = 2**17

# (degrees of freedom, parts of which the greatest counts) on rbm_3x3, the fixture behind the published sample sizes;
# S1 face by face, as published: reports also share its level between the four faces
SHAPES: dict[str, tuple[float, int]] = {
    "S1": (4032, 1), "S1 lumped": (504, 1), "S1 movement": (1, 1), "S1 single": (4032, 1), "S2": (63, 64),
    "S3": (63, 2),
    "S4": (28, 2), "S5": (7, 2), "S6": (1, 384), "S9": (63, 1), "S10": (4032, 2), "S11": (63, 1), "S12": (1, 22),
    "S13": (3969, 6), "S14": (1, 1), "H1": (8, 1), "H2": (12, 1), "H3": (62, 1), "H4": (16, 3), "H4 gauge": (63, 1),
    "L1": (7, 1), "L2": (504, 1), "L3": (1, 1), "Z1": (1, 1), "R1": (255, 4),
}  # fmt: skip
KNOWN_MISTAKES, STRENGTHS = 60, 26  # what S7 and S8 are means of, on rbm_3x3


@dataclass(frozen=True)
class Stage:
    """One stage of a test: its p-value and what a report wants to show of it."""

    p_value: float
    effect: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The verdict of the k-of-k scheme: ``rejected``, all stages, the size of each."""

    rejected: bool
    stages: tuple[Stage, ...]
    sizes: tuple[int, ...]
    gamma: float


def require_profile(profile: str) -> int:
    """The size n0 of a profile's first stage."""
    require_choice("profile", profile, tuple(PROFILES))
    return PROFILES[profile]


def stage_level(alpha: float, k: int = STAGES, null_samples: int | None = MONTE_CARLO, parts: int = 1) -> float:
    """gamma of (1); refuses a Monte Carlo size that could never reject, (2).

    >>> round(stage_level(1e-8), 6)
    0.01
    """
    gamma = alpha ** (1.0 / k)
    if null_samples is not None and (null_samples + 1) * gamma < parts:
        needed = math.ceil(parts / gamma)
        raise InsufficientDataError(f"null_samples: {null_samples} can never reject at level {alpha:.3g}; use {needed}")
    return gamma


def sequential_test(
    stage: Callable[[int, int], Stage],
    n0: int,
    alpha: float,
    k: int = STAGES,
    growth: int = GROWTH,
    foregone: float = math.inf,
) -> Outcome:
    """(1): ``stage(n, j)`` draws n fresh transitions for stage j and returns its Stage.

    foregone: only for audits of wrong code. If a stage rejects with n effect^2 of at least this, larger ones would too
    (take ``noncentrality``: power .999 already for the first stage, and the others are 4, 16, 64 times as large), and
    they are not run.

    >>> outcome = sequential_test(lambda n, j: Stage(0.001), 100, 1e-8)
    >>> outcome.rejected, outcome.sizes
    (True, (100, 400, 1600, 6400))
    >>> sequential_test(lambda n, j: Stage(0.3), 100, 1e-8).sizes
    (100,)
    """
    gamma = stage_level(alpha, k, None)
    stages: list[Stage] = []
    sizes: list[int] = []
    for j in range(k):
        sizes.append(n0 * growth**j)
        stages.append(stage(sizes[-1], j))
        if stages[-1].p_value > gamma:
            return Outcome(False, tuple(stages), tuple(sizes), gamma)
        if sizes[-1] * stages[-1].effect ** 2 >= foregone:
            break
    return Outcome(True, tuple(stages), tuple(sizes), gamma)


def level_of_each(n_tests: int, exact: float = 0.0, budget: float = BUDGET) -> float:
    """(4): the level of each of ``n_tests`` statistical tests.

    >>> level_of_each(10)
    1e-07
    """
    return (budget - exact) / max(n_tests, 1)


@lru_cache(maxsize=4096)
def noncentrality(
    df: float, alpha: float, power: float = POWER, k: int = STAGES, growth: int = GROWTH, parts: int = 1
) -> float:
    """lambda = n0 delta^2 of (3) that the scheme rejects with this power; ``parts`` share gamma (Bonferroni).

    >>> [round(noncentrality(df, 1e-9)) for df in (1, 63, 504)]
    [34, 93, 210]
    """
    threshold = float(special.chdtri(df, alpha ** (1.0 / k) / parts))
    low, high = math.log(threshold + 50.0) - 11.0, math.log(threshold + 50.0) + 5.0
    while high - low > 1e-7:  # bisection: power increases with lambda
        middle = (low + high) / 2
        lam = math.exp(middle) * float(growth) ** np.arange(k)
        reached = float(np.log1p(-special.chndtr(threshold, df, lam)).sum()) >= math.log(power)
        low, high = (low, middle) if reached else (middle, high)
    return math.exp(high)


def evidence_noncentrality(df: float, alpha: float, power: float = POWER, n_mistakes: int = 0) -> float:
    """lambda = n delta^2 that the e-processes reject with this power, to leading order.

    S7 (n_mistakes > 0, the mistake among them): ln e ~ N(lambda/2, lambda) - ln n_mistakes
    S8 (df degrees of freedom): at the best strength, r = lambda/df: ln e ~ df/2 (r - ln(1 + r)) - ln 26,
    with variance (df + 2 lambda)/2 (r/(1 + r))^2;  rejection from ln(1/alpha)

    >>> round(evidence_noncentrality(1, 1e-8, n_mistakes=23)), round(evidence_noncentrality(504, 1e-8))
    (107, 425)
    """
    z = float(special.ndtri(power))
    if n_mistakes:
        return (z + math.sqrt(z * z + 2.0 * math.log(n_mistakes / alpha))) ** 2

    def surplus(lam: float) -> float:
        r = lam / df
        spread = r / (1.0 + r) * math.sqrt((df + 2.0 * lam) / 2.0)
        return 0.5 * df * (r - math.log1p(r)) - z * spread - math.log(STRENGTHS / alpha)

    low, high = 1.0, 1e7
    while high / low > 1.0 + 1e-7:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if surplus(middle) > 0 else (middle, high)
    return high


def first_stage_noncentrality(
    test: str, alpha: float, power: float, df: float | None, k: int, parts: int | None
) -> float:
    """lambda of any test by its id, with the shape given or that of rbm_3x3."""
    if test == "S7":
        return evidence_noncentrality(1, alpha, power, parts or KNOWN_MISTAKES)
    if test == "S8":
        return evidence_noncentrality(504 if df is None else require_positive("df", df), alpha, power)
    if df is None:
        require_choice("test", test, (*SHAPES, "S7", "S8"))
    shape = SHAPES.get(test, (1.0, 1))
    return noncentrality(shape[0] if df is None else require_positive("df", df), alpha, power, k,
                         parts=shape[1] if parts is None else parts)  # fmt: skip


def required_samples(
    test: str,
    effect: float,
    alpha: float = 1e-8,
    power: float = POWER,
    df: float | None = None,
    k: int = STAGES,
    parts: int | None = None,
) -> int:
    """First-stage draws that find a chi-square distance ``effect`` with this power at this level.

    ``effect`` = sqrt(sum (q - p)^2 / p) over the cells of the test (for one mean: its shift in standard deviations).
    df, parts: degrees of freedom of the case at hand, and how many statistics the greatest of which counts; without
    them those of ``rbm_3x3``.  S7 supposes that the mistake is a known one; S7 and S8 are approximate.

    >>> required_samples("S9", 0.1, alpha=1e-9), required_samples("S7", 0.1)
    (9318, 10979)
    """
    require_positive("effect", effect)
    return math.ceil(first_stage_noncentrality(test, alpha, power, df, k, parts) / effect**2)


def smallest_detectable_effect(
    test: str,
    n: int,
    alpha: float = 1e-8,
    power: float = POWER,
    df: float | None = None,
    k: int = STAGES,
    parts: int | None = None,
) -> float:
    """The chi-square distance that n first-stage draws find with this power at this level; arguments as above.

    >>> round(smallest_detectable_effect("S1 lumped", 2**17, alpha=1e-9), 3)
    0.04
    """
    require_positive("n", n)
    return math.sqrt(first_stage_noncentrality(test, alpha, power, df, k, parts) / n)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p-values: the family-wise level at which each would be rejected.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
