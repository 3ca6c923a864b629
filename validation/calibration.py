"""False-alarm calibration of the oracle's stage tests: 10,000 fresh seeds each, correct sampler, levels .05 and .0076.

A Monte Carlo p-value must be super-uniform: P(p <= level) <= level.  A test fails the audit if so many false alarms as
were seen have probability below 1e-6 / (number of tests and levels) under Bin(n, level).
Usage: python -m validation.calibration [n_seeds]  (writes validation/figures/calibration.png and calibration.json)
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from ebm_ref.oracle import cases
from ebm_ref.oracle.statistics.chains import chain_test
from ebm_ref.oracle.statistics.exact import symmetry_test, unit_test
from ebm_ref.oracle.statistics.pairs import features, law_test, moment_test, pair_law, pair_test, row_test
from ebm_ref.progress import track

FIGURES = Path(__file__).parent / "figures"
LEVELS, NULLS, N, CHUNK = (0.05, 0.0076), 399, 4096, 50
TESTS = ("S1", "S2", "S3", "S4", "S6", "S9", "S10", "S12")


def case(kernel: str = "block_gibbs") -> cases.Case:
    """A generic RBM 2x2: 16 states, tempered."""
    rng = np.random.default_rng(5)
    return cases.rbm(rng.normal(size=(2, 2)), rng.normal(size=2), rng.normal(size=2), kernel=kernel, beta=1.3)


def table(P: np.ndarray, starts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts (S, S) of one transition from each start: ``starts`` (S,) counts of rows."""
    return np.stack([rng.multinomial(n, row / row.sum()) for n, row in zip(starts, P, strict=True)])


def p_values(seed: int) -> list[float]:
    """One p-value of each test, on data of the right law, everything from one fresh seed."""
    rng, c, reversible = np.random.default_rng(seed), case(), case("gibbs_random")
    P, pi, S = c.P, c.pi, len(c.pi)
    law = pair_law(P, c.states)
    from_pi = table(P, rng.multinomial(N, pi), rng)
    by_row = table(P, np.full(S, N // S), rng)
    column, _ = law_test(rng.multinomial(N, pi), pi, rng, NULLS)
    names = features(c.states, c.energies)
    flow = table(reversible.P, rng.multinomial(N, pi), rng)
    chains = np.empty((4, 257), dtype=np.int64)
    chains[:, 0] = rng.choice(S, size=4, p=pi)
    edges = np.cumsum(P, axis=1)
    for t in range(1, chains.shape[1]):
        chains[:, t] = (rng.random(4)[:, None] >= edges[chains[:, t - 1], :-1]).sum(axis=1)
    pairs, visits = chain_test(chains, law, pi, rng, NULLS)
    found = {
        "S1": pair_test(from_pi, law, rng, NULLS).p_value,
        "S2": row_test(by_row, P, rng, NULLS).p_value,
        "S3": float((column >= column[0]).sum() / len(column)),
        "S4": symmetry_test(flow, rng, NULLS).p_value,
        "S6": unit_test(by_row, P, c.states).p_value,
        "S9": visits.p_value,
        "S10": pairs.p_value,
        "S12": moment_test(rng.multinomial(N, pi), pi, *names, rng, NULLS).p_value,
    }
    return [found[test] for test in TESTS]


def chunk(first: int) -> np.ndarray:
    """p-values of CHUNK seeds, (CHUNK, tests)."""
    return np.array([p_values(seed) for seed in range(first, first + CHUNK)])


def draw(p: np.ndarray, tests: tuple[str, ...] = TESTS) -> Figure:
    """Share of false alarms against nominal level, with the band in which 99.9 % of exact tests lie."""
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    grid = np.geomspace(0.0025, 0.2, 60)
    low, high = stats.binom.interval(0.999, len(p), grid)
    axes.fill_between(
        grid, low / len(p) / grid, high / len(p) / grid, color="0.88", label="99.9 % band of an exact test"
    )
    for k, test in enumerate(tests):
        style = ("-", "--", "-.", ":")[k // 2 % 4]
        axes.plot(grid, [(p[:, k] <= g).mean() / g for g in grid], style, lw=1.4, label=test)
    axes.axhline(1.0, color="black", lw=0.8)
    axes.set(xscale="log", xlabel="nominal level", ylabel="false alarms / nominal", ylim=(0, 1.6))
    axes.set_title(f"{len(p):,} fresh seeds, correct sampler", fontsize=11)
    axes.legend(ncol=3, fontsize=8, frameon=False, loc="upper right")
    return figure


def main() -> int:
    """Run, write, judge."""
    return calibrate(chunk, TESTS, "calibration", first=1_000_000)  # seeds of its own


def calibrate(chunk: Callable[[int], np.ndarray], tests: tuple[str, ...], name: str, first: int) -> int:
    """``chunk(first)`` gives the p-values of CHUNK seeds, (CHUNK, tests); writes name.json and name.png."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    began, parts = time.perf_counter(), []
    with track(n, "calibrating") as bar, ProcessPoolExecutor() as pool:
        for part in pool.map(chunk, range(first, first + n, CHUNK)):
            parts.append(part)
            bar(len(part))
    p = np.concatenate(parts)[:n]
    rows, limit = [], 1e-6 / (len(tests) * len(LEVELS))
    for k, test in enumerate(tests):
        for level in LEVELS:
            count = int((p[:, k] <= level).sum())
            tail = float(stats.binom.sf(count - 1, n, level))
            rows.append({"test": test, "level": level, "rate": count / n, "tail": tail, "holds": tail >= limit})
            print(f"{test:4} level {level:<7} false alarms {count / n:.4f}  P(so many) {tail:.2g}")
    FIGURES.mkdir(exist_ok=True)
    document = {"n_seeds": n, "first_seed": first, "null_samples": NULLS, "n": N, "rows": rows}
    (FIGURES / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    draw(p, tests).savefig(FIGURES / f"{name}.png", dpi=110, metadata={"Software": None})
    print(f"{time.perf_counter() - began:.0f} s; all hold: {all(row['holds'] for row in rows)}")
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
