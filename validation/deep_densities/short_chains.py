"""What k Langevin steps teach at the lowest level of diffusion recovery: exact, on a line, without network or noise.

The law: three normal bumps of width WIDTH, SPACING apart, like a cut through the rings, on a grid of POINTS points; the
energy is a table.  Level 0 of ``local_schedule(0.1)``, in units of x: seen = x~ = x + BLUR z, steps of size eta.
(1) exact conditional    q(x|x~) ~ exp(-E(x)) N(x~; x, BLUR^2)
(2) k steps from x~      each moves x to N(x - eta (E'(x) + (x - x~)/BLUR^2), 2 eta): a matrix for each x~
(3) the estimate's mean is zero where sum over x~ of p(x~) q(x|x~) = p(x);  E <- E - RATE (p - q)/(p + q) goes there
With (1) the answer is E = -log p.  With (2) chains that have not forgotten where they began, sqrt(2 eta k) below BLUR,
must be brought home by the slope of E, which then is no slope of -log p.
Usage: python -m validation.deep_densities.short_chains     (prints a table; half a minute)
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from validation.deep_densities.runs import BASE, BLUR, SCHEDULE

WIDTH, SPACING, SIDE, POINTS, RATE, ROUNDS, SMALL = 0.08, 0.6, 1.6, 81, 1.0, 200, 1e-4
ETA = float(SCHEDULE.s[0] ** 2 / 2 / SCHEDULE.a[1] ** 2)
CHAINS = (10, 20, 40, 80, None)  # None: (1)


def negatives(energy: np.ndarray, x: np.ndarray, seen: np.ndarray, k: int | None) -> np.ndarray:
    """The law of the last states, chains begun at x~ with probabilities ``seen``."""
    if k is None:
        post = np.exp(energy.min() - energy - (x[:, None] - x) ** 2 / (2 * BLUR**2))
        return seen @ (post / post.sum(axis=1, keepdims=True))
    slope = np.gradient(energy, x[1] - x[0]) + (x - x[:, None]) / BLUR**2  # (x~, x)
    step = np.exp(-((x - (x - ETA * slope)[:, :, None]) ** 2) / (4 * ETA))  # (x~, x, x')
    step /= np.maximum(step.sum(axis=2, keepdims=True), 1e-300)
    law = np.eye(len(x))
    for _ in range(k):
        law = np.matmul(law[:, None, :], step)[:, 0, :]
    return seen @ law


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """KL of two tables, nats."""
    return float((p * np.log(np.maximum(p, 1e-300) / np.maximum(q, 1e-300))).sum())


def taught(k: int | None) -> tuple[float, float, float]:
    """(3): (total variation of negatives and data, KL, KL after a blur by BLUR) at the end."""
    x = np.linspace(-SIDE, SIDE, POINTS)
    p = sum(np.exp(-((x - m) ** 2) / (2 * WIDTH**2)) for m in (-SPACING, 0.0, SPACING))
    p /= p.sum()
    noise = np.exp(-((x[:, None] - x) ** 2) / (2 * BLUR**2))
    seen = p @ (noise / noise.sum(axis=1, keepdims=True))
    energy = x**2 / (2 * BASE**2)
    for _ in range(ROUNDS):
        q = negatives(energy, x, seen, k)
        energy = energy - RATE * (p - q) / (p + q + SMALL)
    law = np.exp(energy.min() - energy)
    law /= law.sum()
    blur = lambda table: gaussian_filter1d(table, BLUR / (x[1] - x[0]), truncate=8.0, mode="constant")  # noqa: E731
    return float(np.abs(p - q).sum() / 2), divergence(p, law), divergence(blur(p), blur(law))


def main() -> None:
    """A line for each length of chains."""
    print(f"BLUR {BLUR:.3f}, eta {ETA:.5f}\n")
    print("| k | sqrt(2 eta k)/BLUR | total variation, negatives and data | KL | - after the blur |")
    print("|---|---|---|---|---|")
    for k in CHAINS:
        far = "" if k is None else f"{np.sqrt(2 * ETA * k) / BLUR:.2f}"
        print(f"| {k or 'exact'} | {far} | " + " | ".join(f"{value:.2g}" for value in taught(k)) + " |", flush=True)


if __name__ == "__main__":
    main()
