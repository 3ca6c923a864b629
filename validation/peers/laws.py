"""Tests of continuous kernels and of one-row updates, each at level 1e-6 by four independent stages of n, 4n, 16n, 64n.

U target energy, g its gradient, eta step size, r = (x' - x + eta g(x)) / sqrt(2 eta T)
(1) residuals     r ~ N(0, I) whatever x and U are: sum r^2, regression on [1, x, g], correlations of columns, of even
                  and odd rows and of two calls, histogram of Phi(r)
(2) one step      given x0 the next state is x0 with probability 1 - A, else one of 8 cells of equal mass of the
                  accepted law; cells by quadrature over the normal noise z on 2e5 midpoints of equal probability
(3) conservation  x ~ pi implies x' ~ pi after 1 and 5 steps: 64 equal cells of f(x'); flow symmetry as a sign test of
                  f(x') > f(x); independence of neighbouring rows
Within a stage the parts share gamma by Bonferroni.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special, stats

from ebm_ref.oracle.statistics.pairs import g_statistic, law_test, monte_carlo_p, row_null
from ebm_ref.oracle.statistics.seeds import NULL, STARTS, Seeds
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO, STAGES, Stage, noncentrality, sequential_test
from validation.peers.table import Finding

Array = np.ndarray
Step = Callable[[Array, int], Array]  # (states, seed) -> states
Noise = Callable[[float, Array], tuple[Array, Array]]  # (x0, z) -> proposals and acceptance probabilities
ALPHA, BINS, CELLS, MIDPOINTS = 1e-6, 64, 8, 200_000


def decide(
    stage: Callable[[int, int], Stage], n0: int, df: int, unit: str, parts: int = 1, scale: float = 1.0
) -> Finding:
    """The k-of-k scheme; the smallest detectable effect is sqrt(lambda / n0) times ``scale``."""
    outcome = sequential_test(stage, n0, ALPHA)
    last = outcome.stages[-1]
    seen = scale * math.sqrt(noncentrality(df, (outcome.gamma / parts) ** STAGES) / n0)
    message = f"p = {', '.join(f'{s.p_value:.3g}' for s in outcome.stages)}; {last.details.get('worst', '')}"
    return Finding(not outcome.rejected, last.effect, seen, unit, last.p_value, sum(outcome.sizes), message)


def smallest(parts: dict[str, float], effect: float) -> Stage:
    """Bonferroni over the parts of one stage."""
    worst = min(parts, key=lambda name: parts[name])
    return Stage(min(1.0, len(parts) * parts[worst]), effect, {"worst": worst})


def two_sided(p: float) -> float:
    """Twice the smaller tail of a lower tail p."""
    return min(1.0, 2.0 * min(p, 1.0 - p))


def correlation(u: Array, v: Array) -> float:
    """p of independence of two vectors of standard normals: rho uncentred, exact Student law."""
    rho = float(u @ v / math.sqrt((u @ u) * (v @ v)))
    t = rho * math.sqrt((len(u) - 1) / max(1.0 - rho * rho, 1e-300))
    return float(2.0 * stats.t.sf(abs(t), len(u) - 1))


# (1) ------------------------------------------------------------------------------------------------------------------


def residual_test(
    step: Step, draw: Callable, gradient: Callable, eta: float, temperature: float = 1.0, n0: int = 2**16, seed: int = 0
) -> Finding:
    """Is x' = x - eta g(x) + sqrt(2 eta T) eps, with fresh independent normal eps?  Effect: excess variance of r."""
    seeds = Seeds(seed)
    d = draw(np.random.default_rng(0), 2).shape[1]

    def stage(n: int, j: int) -> Stage:
        x = draw(seeds.rng("C1", j, STARTS), n)
        g = gradient(x)
        first, second = (
            (step(x, seeds.candidate("C1", j, c)) - x + eta * g) / math.sqrt(2 * eta * temperature) for c in range(2)
        )
        return smallest(residual_parts(first, second, x, g, seeds.rng("C1", j, NULL)), float((first**2).mean() - 1.0))

    parts = 6 + d * (d - 1) // 2
    return decide(stage, n0, 1, "relative excess of the noise variance", parts, math.sqrt(2.0 / d))


def residual_parts(r: Array, other: Array, x: Array, g: Array, rng: np.random.Generator) -> dict[str, float]:
    """The p-values of (1)."""
    n, d = r.shape
    u, singular, _ = np.linalg.svd(np.column_stack([np.ones(n), x, g]), full_matrices=False)
    basis = u[:, singular > 1e-10 * singular[0]]
    counts = np.bincount(np.minimum((special.ndtr(r.ravel()) * BINS).astype(int), BINS - 1), minlength=BINS)
    column, _ = law_test(counts, np.full(BINS, 1.0 / BINS), rng)
    half = n // 2 * 2
    parts = {
        "noise scale": two_sided(float(stats.chi2.cdf((r**2).sum(), n * d))),
        "drift": float(stats.chi2.sf(((basis.T @ r) ** 2).sum(), basis.shape[1] * d)),
        "even and odd rows": correlation(r[0:half:2].ravel(), r[1:half:2].ravel()),
        "two calls": correlation(r.ravel(), other.ravel()),
        "first and second half": correlation(r[: n // 2].ravel(), r[n // 2 : n // 2 * 2].ravel()),
        "shape of the noise": float((column >= column[0]).mean()),
    }
    for a in range(d):
        for b in range(a + 1, d):
            parts[f"coordinates {a} and {b}"] = correlation(r[:, a], r[:, b])
    return parts


# (2) ------------------------------------------------------------------------------------------------------------------


def one_step_test(step: Step, noise: Noise, starts: Sequence[float], n0: int = 2**17, seed: int = 0) -> Finding:
    """Does one step from fixed starts (a 1-D chain) follow its exact law?  Effect: chi-square distance."""
    seeds = Seeds(seed)
    z = special.ndtri((np.arange(MIDPOINTS) + 0.5) / MIDPOINTS)
    cells = [accepted_cells(*noise(float(x), z)) for x in starts]

    def stage(n: int, j: int) -> Stage:
        each = n // len(starts)
        begin = np.repeat(np.asarray(starts, dtype=float), each)
        end = step(begin[:, None], seeds.candidate("C3", j))[:, 0]
        total, worst = np.zeros(MONTE_CARLO + 1), np.zeros(MONTE_CARLO + 1)
        rng, chi_square = seeds.rng("C3", j, NULL), 0.0
        for (edges, p), y, x in zip(cells, end.reshape(-1, each), starts, strict=True):
            index = np.where(y == x, 0, 1 + np.searchsorted(edges, y))
            counts = np.bincount(index, minlength=CELLS + 1)
            keep = p > 0
            sample = row_null(rng, each, p[keep], counts[keep], MONTE_CARLO)
            total += g_statistic(sample, each * p[keep])
            worst = np.maximum(worst, ((sample - each * p[keep]) ** 2 / (each * p[keep])).max(axis=1))
            chi_square += float(((counts[keep] - each * p[keep]) ** 2 / (each * p[keep])).sum()) - CELLS
        p_value, _ = monte_carlo_p(np.column_stack([total, worst]))
        return Stage(p_value, math.sqrt(max(0.0, chi_square / n)), {"worst": "law of one step"})

    return decide(stage, n0, CELLS * len(starts), "chi-square distance of the one-step law")


def accepted_cells(proposal: Array, accept: Array) -> tuple[Array, Array]:
    """Edges (7,) of cells of equal accepted mass, and p (9,): rejection first."""
    order = np.argsort(proposal)
    cumulative = np.cumsum(accept[order])
    edges = np.interp(np.arange(1, CELLS) / CELLS * cumulative[-1], cumulative, proposal[order])
    inside = np.bincount(np.searchsorted(edges, proposal), weights=accept, minlength=CELLS) / len(proposal)
    return edges, np.concatenate([[max(0.0, 1.0 - inside.sum())], inside])


def flags_test(flags: Callable[[int, int], tuple[Array, Array]], n0: int = 2**16, seed: int = 0) -> Finding:
    """Are acceptances Bernoulli draws of their reported probabilities?  flags(n, seed) -> accepted, probability."""
    seeds = Seeds(seed)

    def stage(n: int, j: int) -> Stage:
        accepted, p = (np.asarray(v, dtype=float) for v in flags(n, seeds.candidate("S14", j)))
        rng, excess = seeds.rng("S14", j, NULL), (accepted - p).sum()
        null = np.array([((rng.random(n) < p) - p).sum() for _ in range(MONTE_CARLO)])
        return Stage(float((1 + (np.abs(null) >= abs(excess)).sum()) / (MONTE_CARLO + 1)), float(excess / n))

    return decide(stage, n0, 1, "acceptances above their reported rate", scale=0.5)


# (3) ------------------------------------------------------------------------------------------------------------------


def conservation_test(
    advance: Callable[[Array, int, int], Array],
    draw: Callable[[np.random.Generator, int], Array],
    uniforms: Callable[[Array], Array],
    *,
    steps: tuple[int, ...] = (1, 5),
    reversible: bool = True,
    n0: int = 2**17,
    seed: int = 0,
) -> Finding:
    """Is the law kept?  advance(x, m, seed) makes m steps; ``uniforms``: functions (n, f) of x, U(0,1) under pi.

    Effect: the greatest chi-square distance of f from its law.
    """
    seeds = Seeds(seed)
    columns = uniforms(draw(np.random.default_rng(0), 2)).shape[1]

    def stage(n: int, j: int) -> Stage:
        rng, parts, effects = seeds.rng("C4", j, NULL), {}, []
        for k, m in enumerate(steps):
            x = draw(seeds.rng("C4", j, STARTS, k), n)
            before, after = uniforms(x), uniforms(advance(x, m, seeds.candidate("C4", j, k)))
            for f in range(columns):
                counts = np.bincount(np.minimum((after[:, f] * BINS).astype(int), BINS - 1), minlength=BINS)
                column, effect = law_test(counts, np.full(BINS, 1.0 / BINS), rng)
                effects.append(effect)
                parts[f"law of f{f} after {m} steps"] = float((column >= column[0]).mean())
                if m == 1 and reversible:
                    up, down = int((after[:, f] > before[:, f]).sum()), int((after[:, f] < before[:, f]).sum())
                    parts[f"symmetry of f{f}"] = float(stats.binomtest(up, max(up + down, 1)).pvalue)
            z = special.ndtri(np.clip(after[:, 0], 1e-12, 1 - 1e-12))
            parts[f"neighbouring rows after {m} steps"] = correlation(z[0 : n // 2 * 2 : 2], z[1 : n // 2 * 2 : 2])
        return smallest(parts, max(effects))

    parts = len(steps) * (columns + 1) + (columns if reversible and 1 in steps else 0)
    return decide(stage, n0, BINS - 1, "chi-square distance of f(x') from its law", parts)
