"""False-alarm calibration of the oracle's stage tests on correct code: fresh seeds, levels .05 and .0076.

A Monte Carlo p-value must be super-uniform: P(p <= level) <= level.  A test fails the audit if so many false alarms as
were seen have probability below 1e-6 / (number of tests and levels) under Bin(n, level).
The null sizes are those that the checks use (999; 199 for Z1), each p-value has a null of its own.  10,000 fresh seeds
of every test: half an hour on one core.  The e-processes S7 and S8 count as p = 1 / (greatest e of four looks).
Usage: python -m validation.calibration [share]
(a share of these seeds; writes validation/figures/calibration.png and calibration.json)
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from ebm_ref.oracle import cases, zoo
from ebm_ref.oracle.annealing import annealing_path, path_moments, simulate, weight_stage
from ebm_ref.oracle.checks.kernel_tests import RANK_LENGTH
from ebm_ref.oracle.learning_tests import Bench, mean_stage, single_stage, spread_stage
from ebm_ref.oracle.statistics.chains import chain_test, independence_test, joint_counts
from ebm_ref.oracle.statistics.evalues import dirichlet_log_e, log_likelihood_ratios, mixture_log_e
from ebm_ref.oracle.statistics.exact import rank_test, ranks_with_ties, symmetry_test, unit_test
from ebm_ref.oracle.statistics.pairs import equal_rows, features, law_test, moment_test, pair_law, pair_test, row_test
from ebm_ref.oracle.statistics.seeds import Seeds
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO
from ebm_ref.oracle.update_recipe import make_update, reference
from ebm_ref.progress import track

FIGURES = Path(__file__).parent / "figures"
LEVELS, NULLS, N, CHUNK = (0.05, 0.0076), MONTE_CARLO, 4096, 25
ROWS, UPDATES, RUNS = np.array([[1.0, 0], [0, 1], [1, 0]]), 48, 256
KERNELS: dict[tuple[int, str], cases.Case] = {}
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "black")


def case(kernel: str = "block_gibbs", n_hidden: int = 2) -> cases.Case:
    """A generic RBM of two visible units, tempered: 16 states, or 8 where a null is a table of transitions."""
    if (n_hidden, kernel) not in KERNELS:
        rng = np.random.default_rng(5)
        W, a, b = rng.normal(size=(2, 2)), rng.normal(size=2), rng.normal(size=2)
        made = cases.rbm(W[:, :n_hidden], a, b[:n_hidden], kernel=kernel, beta=1.3)
        KERNELS[n_hidden, kernel] = made
    return KERNELS[n_hidden, kernel]


@cache
def wrong_matrices() -> tuple[np.ndarray, ...]:
    """The alternatives of S7."""
    return tuple(a.P for a in zoo.alternatives(case()))


def table(P: np.ndarray, starts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts (S, S) of one transition from each start: ``starts`` (S,) counts of rows."""
    return np.stack([rng.multinomial(n, row / row.sum()) for n, row in zip(starts, P, strict=True)])


def walk(P: np.ndarray, starts: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Index chains (C, length) of P from ``starts`` (C,)."""
    chains, edges = np.empty((len(starts), length), dtype=np.int64), np.cumsum(P, axis=1)
    chains[:, 0] = starts
    for t in range(1, length):
        chains[:, t] = (rng.random(len(starts))[:, None] >= edges[chains[:, t - 1], :-1]).sum(axis=1)
    return chains


def state_p_values(seed: int) -> dict[str, float]:
    """The tests that need no table of transitions, or only an exact binomial."""
    rng, c, reversible = np.random.default_rng(seed), case(), case("gibbs_random")
    column, _ = law_test(rng.multinomial(N, c.pi), c.pi, rng, NULLS)
    f, names = features(c.states, c.energies)
    flow = table(reversible.P, rng.multinomial(N, c.pi), rng)
    by_row = table(c.P, np.full(len(c.pi), N // len(c.pi)), rng)
    return {
        "S3": float((column >= column[0]).sum() / len(column)),
        "S4": symmetry_test(flow, rng, NULLS).p_value,
        "S5": rank_p_value(rng),
        "S6": unit_test(by_row, c.P, c.states).p_value,
        "S12": moment_test(rng.multinomial(N, c.pi), c.pi, f, names, rng, NULLS).p_value,
    } | evidence(rng)


def evidence(rng: np.random.Generator) -> dict[str, float]:
    """S7 and S8, looked at after N/8, N/4, N/2 and N transitions."""
    c, seen = case(), np.zeros((len(case().pi),) * 2, dtype=np.int64)
    labels, log_e = equal_rows(c.P), {"S7": 0.0, "S8": 0.0}
    for n in (N // 8, N // 8, N // 4, N // 2):
        seen += table(c.P, rng.multinomial(n, c.pi), rng)
        now = mixture_log_e(log_likelihood_ratios(seen, c.P, wrong_matrices())), dirichlet_log_e(seen, c.P, labels)
        log_e = {test: max(was, e) for (test, was), e in zip(log_e.items(), now, strict=True)}
    return {test: float(np.exp(-value)) for test, value in log_e.items()}


def transition_p_values(seed: int) -> dict[str, float]:
    """The tests of transitions, of recorded chains, and of independence."""
    rng, c = np.random.default_rng(seed), case(n_hidden=1)
    P, pi, S = c.P, c.pi, len(c.pi)
    law = pair_law(P, c.states)
    pairs, visits = chain_test(walk(P, rng.choice(S, size=4, p=pi), 129, rng), law, pi, rng, NULLS)
    return {
        "S1": pair_test(table(P, rng.multinomial(N, pi), rng), law, rng, NULLS).p_value,
        "S2": row_test(table(P, np.full(S, N // S), rng), P, rng, NULLS).p_value,
        "S9": visits.p_value,
        "S10": pairs.p_value,
        "S13": independence_p_value(rng),
    }


def rank_p_value(rng: np.random.Generator) -> float:
    """S5 on N / 8 two-sided chains of the random scan, two functions of the state."""
    c, n = case("gibbs_random"), N // 8
    start, position = rng.choice(len(c.pi), size=n, p=c.pi), rng.integers(0, RANK_LENGTH, n)
    ahead, behind = walk(c.P, start, RANK_LENGTH, rng), walk(c.P, start, RANK_LENGTH, rng)
    offset = np.arange(RANK_LENGTH) - position[:, None]
    rows = np.arange(n)[:, None]
    path = np.where(offset >= 0, ahead[rows, np.maximum(offset, 0)], behind[rows, np.maximum(-offset, 0)])
    f = np.column_stack([c.energies, c.states @ np.sqrt(np.arange(2.0, 2.0 + c.n_units))])
    ranks = np.column_stack([ranks_with_ties(values[path], position, rng) for values in f.T])
    return rank_test(ranks, RANK_LENGTH, rng, NULLS).p_value


def independence_p_value(rng: np.random.Generator) -> float:
    """S13 on 32 calls of N / 32 rows from the least predictable start."""
    c, size = case(n_hidden=1), N // 32
    start = int(np.argmin((c.P**2).sum(axis=1)))
    S, p = len(c.pi), c.P[start]
    Y = rng.choice(S, size=(32, size), p=p / p.sum())
    tables = {
        "rows": joint_counts(Y[:, 0::2].ravel(), Y[:, 1::2].ravel(), S),
        "halves": joint_counts(Y[:, : size // 2].ravel(), Y[:, size // 2 :].ravel(), S),
        "calls": joint_counts(Y[0::2].ravel(), Y[1::2].ravel(), S),
    }
    counts = np.array([np.bincount(y, minlength=S) for y in Y])
    return independence_test(tables, counts, c.states, p, rng, NULLS).p_value


def update_p_values(seed: int) -> dict[str, float]:
    """L1, L2, L3 on the right CD-1 update of three rows; Z1 on RUNS runs with five temperatures."""
    recipe = reference(case())
    bench = Bench(make_update(recipe), case(), ROWS, recipe, Seeds(seed), "")
    stages = {"L1": mean_stage, "L2": single_stage, "L3": spread_stage}
    path, rng = annealing_path(case(), np.array([0.4, -0.6]), np.linspace(0.0, 1.0, 6)), np.random.default_rng(seed)
    annealed = weight_stage(simulate(path, RUNS, rng), path, path_moments(path), rng).p_value
    return {test: stage(bench, UPDATES, 0).p_value for test, stage in stages.items()} | {"Z1": annealed}


Function = Callable[[int], dict[str, float]]
GROUPS: dict[str, tuple[int, Function]] = {
    "states": (10_000, state_p_values),
    "updates": (10_000, update_p_values),
    "transitions": (10_000, transition_p_values),
}


def chunk(work: tuple[str, Function, int, int]) -> tuple[str, list[dict[str, float]]]:
    """p-values of a group for seeds first .. last - 1."""
    group, function, first, last = work
    return group, [function(seed) for seed in range(first, last)]


def draw(p: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Share of false alarms against nominal level, one panel a group, with the band of 99.9 % of exact tests."""
    figure = Figure(figsize=(3.2 + 3.0 * len(p), 4.2), layout="constrained")
    grid = np.geomspace(0.0025, 0.2, 60)
    panels = figure.subplots(1, len(p), sharey=True, squeeze=False)[0]
    for axes, (group, tests) in zip(panels, p.items(), strict=True):
        n = len(next(iter(tests.values())))
        low, high = stats.binom.interval(0.999, n, grid)
        axes.fill_between(grid, low / n / grid, high / n / grid, color="0.88", lw=0)
        for k, (test, values) in enumerate(tests.items()):
            rate = [(values <= g).mean() / g for g in grid]
            style, colour = STYLES[(k + k // 5) % 5], COLOURS[k % 5]
            axes.plot(grid, rate, linestyle=style, color=colour, lw=1.5, label=test)
        axes.axhline(1.0, color="black", lw=0.8)
        axes.set(xscale="log", xlabel="nominal level", ylim=(0, 2))
        axes.set_xticks([0.005, 0.01, 0.05, 0.1], ["0.005", "0.01", "0.05", "0.1"])
        axes.minorticks_off()
        axes.set_title(f"{group}: {n:,} fresh seeds", fontsize=11)
        axes.legend(ncol=3, fontsize=9, frameon=False, loc="upper right")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("false alarms / nominal level")
    figure.suptitle("Correct code under the oracle's tests; grey: 99.9 % of exact tests lie here", fontsize=11)
    return figure


def gathered(groups: dict[str, tuple[int, Function]], share: float, first: int) -> dict[str, dict[str, np.ndarray]]:
    """All p-values, group by group and test by test."""
    work = [
        (group, function, first + begin, first + min(begin + CHUNK, int(n * share)))
        for group, (n, function) in groups.items()
        for begin in range(0, int(n * share), CHUNK)
    ]
    found: dict[str, dict[str, list[float]]] = {group: {} for group in groups}
    with track(len(work), "calibrating") as bar, ProcessPoolExecutor() as pool:
        for group, rows in pool.map(chunk, work):
            for row in rows:
                for test, value in row.items():
                    found[group].setdefault(test, []).append(value)
            bar(1)
    return {group: {test: np.array(values) for test, values in tests.items()} for group, tests in found.items()}


def calibrate(groups: dict[str, tuple[int, Function]], name: str, first: int, null_samples: int) -> int:
    """Run each group's function on its number of seeds (times the share asked for), write name.json and name.png."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    began = time.perf_counter()
    p = gathered(groups, share, first)
    every = {test: values for tests in p.values() for test, values in tests.items()}
    rows, limit = [], 1e-6 / (len(every) * len(LEVELS))
    for test, values in every.items():
        for level in LEVELS:
            n, count = len(values), int((values <= level).sum())
            tail = float(stats.binom.sf(count - 1, n, level))
            rows.append({"test": test, "n_seeds": n, "level": level, "rate": count / n, "tail": tail,
                         "holds": tail >= limit})  # fmt: skip
            print(f"{test:9} {n:6} seeds, level {level:<7} false alarms {count / n:.4f}  P(so many) {tail:.2g}")
    FIGURES.mkdir(exist_ok=True)
    document = {"first_seed": first, "null_samples": null_samples, "n": N, "rows": rows}
    (FIGURES / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    draw(p).savefig(FIGURES / f"{name}.png", dpi=110, metadata={"Software": None})
    print(f"{time.perf_counter() - began:.0f} s; all hold: {all(row['holds'] for row in rows)}")
    return 0 if all(row["holds"] for row in rows) else 1


def main() -> int:
    """Run, write, judge."""
    return calibrate(GROUPS, "calibration", first=1_000_000, null_samples=NULLS)  # seeds of its own


if __name__ == "__main__":
    sys.exit(main())
