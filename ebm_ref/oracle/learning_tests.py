"""The tests behind ``check_update``: first looks (contract, L5, legal values), then L1, L2 and L3 in stages."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks_formulas import flat_gradient
from ebm_ref.oracle.deterministic import CandidateError, refused
from ebm_ref.oracle.results import Result
from ebm_ref.oracle.statistics.pairs import g_statistic, monte_carlo_p, row_null, squared_z
from ebm_ref.oracle.statistics.seeds import CANDIDATE, NULL, Seeds
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO, STAGES, Stage, noncentrality, sequential_test
from ebm_ref.oracle.update_recipe import UpdateLaw, UpdateRecipe, law

UPDATE_SIZES = {"smoke": 2**8, "ci": 2**12, "nightly": 2**15, "certify": 2**18}
GROWTH = 2
L3_ROWS = 2**9
CONTRACT_SEEDS = 32


@dataclass(eq=False)
class Bench:
    """One candidate on one batch, with the exact laws of its rows; remembers what it has seen."""

    update: Callable[..., Any]
    case: Case
    rows: np.ndarray  # (n, nv); with persistent chains (n, 2 nv), each row beside its particle
    declared: UpdateRecipe
    seeds: Seeds
    replay: str
    exact_budget: float = 0.0
    foregone: bool = False  # leave out stages whose outcome is certain: only for audits of wrong code
    singles: list[tuple[int, np.ndarray]] = field(default_factory=list)
    batches: dict[int, np.ndarray] = field(default_factory=dict)

    @cached_property
    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct rows (m, nv) and how often each occurs (m,)."""
        return np.unique(self.rows, axis=0, return_counts=True)

    @cached_property
    def laws(self) -> list[UpdateLaw]:
        """The exact law of the update of each distinct row."""
        return [self.law_of(self.declared, x) for x in self.distinct[0]]

    def law_of(self, recipe: UpdateRecipe, x: np.ndarray) -> UpdateLaw:
        """The exact law of a recipe's update of one entry of ``rows``."""
        return law(recipe, *self.split(x))

    def split(self, rows: np.ndarray) -> list[np.ndarray]:
        """[rows], or [rows, particles]."""
        nv = self.case.n_visible
        return [np.ascontiguousarray(rows[..., i : i + nv]) for i in range(0, rows.shape[-1], nv)]

    @cached_property
    def trees(self) -> list[cKDTree]:
        """For finding the nearest legal value."""
        return [cKDTree(one.values) for one in self.laws]

    @cached_property
    def mean(self) -> np.ndarray:
        """E of the batch's update (q,)."""
        weight = self.distinct[1] / len(self.rows)
        return sum((w * one.mean for w, one in zip(weight, self.laws, strict=True)), np.zeros(1))

    @cached_property
    def covariance(self) -> np.ndarray:
        """Cov of the batch's update (q, q)."""
        weight = self.distinct[1] / len(self.rows) ** 2
        return sum((w * one.covariance for w, one in zip(weight, self.laws, strict=True)), np.zeros(1))

    @cached_property
    def whitener(self) -> np.ndarray:
        """(q, rank): g - Eg times this has uncorrelated coordinates of variance 1."""
        values, vectors = np.linalg.eigh(self.covariance)
        keep = values > 1e-10 * max(values.max(), 1e-300)
        return vectors[:, keep] / np.sqrt(values[keep])

    @cached_property
    def tolerance(self) -> float:
        """How far from a legal value rounding may take an update; set by the dtype that came back first."""
        return 64 * self.epsilon * max(1.0, float(np.abs(self.declared.theta).max()))

    epsilon: float = 2.0**-52

    def ask(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """One update, flat (q,); float32 answers are remembered as such."""
        answer = flat_gradient(lambda *given: self.update(*given, seed), self.split(rows), self.case)
        if answer.dtype != np.float64 and self.epsilon < 1e-10:
            self.epsilon = float(np.finfo(answer.dtype).eps)
            self.__dict__.pop("tolerance", None)
        return answer.astype(np.float64)

    def fresh_seeds(self, test: str, stage: int, first: int, last: int) -> list[int]:
        """31-bit seeds not yet given to the candidate, in blocks: one SeedSequence a call would cost as much as CD."""
        found: list[int] = []
        block = 0
        while len(found) < last - first:
            key = (zlib.crc32(test.encode()), stage, CANDIDATE, first, block)
            words = np.random.SeedSequence(self.seeds.seed, spawn_key=key).generate_state(last - first) >> 1
            fresh = [s for s in dict.fromkeys(words.tolist()) if s not in self.seeds.given][: last - first - len(found)]
            self.seeds.given.update(fresh)
            found += fresh
            block += 1
        return found

    def batch(self, stage: int, n: int) -> np.ndarray:
        """n independent updates of the whole batch (n, q); L1 and L3 share those of a stage."""
        have = self.batches.get(stage, np.zeros((0, len(self.mean))))
        if len(have) < n:
            fresh = [self.ask(self.rows, s) for s in self.fresh_seeds("L1", stage, len(have), n)]
            self.batches[stage] = have = np.vstack([have, *fresh]) if len(have) else np.array(fresh)
        return have[:n]

    def decode(self, x: int, g: np.ndarray) -> np.ndarray:
        """Index of the legal value of each update (n, q) of the distinct row x; -1 if there is none near."""
        distance, index = self.trees[x].query(g)
        return np.where(distance <= self.tolerance * math.sqrt(g.shape[1]), index, -1)


# first looks ----------------------------------------------------------------------------------------------------------


def first_looks(bench: Bench) -> tuple[list[Result], tuple[str, ...]]:
    """The contract, the arithmetic of the batch (L5), and 64 single rows that must be legal."""
    notes: list[str] = []
    try:
        looks = [bench.ask(bench.rows, bench.seeds.candidate("contract", 0, i)) for i in range(CONTRACT_SEEDS)]
        again = [bench.ask(bench.rows, s) for s in [bench.seeds.candidate("contract", 1)] * 2]
        for i in range(64):
            x = i % len(bench.laws)
            single = bench.ask(bench.distinct[0][x : x + 1], bench.seeds.candidate("contract", 2, i))
            bench.singles.append((x, single))
    except CandidateError as error:
        return [refused("contract", error, bench.replay)], ()
    if bench.epsilon > 1e-10:
        notes.append("answers come as float32 and are judged as such")
    if not np.array_equal(again[0], again[1]):
        notes.append("the same seed gave two answers: not reproducible, replay impossible")
    same = all(np.array_equal(looks[0], other) for other in looks[1:])
    chance = math.prod(float((one.p**CONTRACT_SEEDS).sum()) for one in bench.laws)
    results = [
        Result("contract", "pass", "usable answers; the seed decides", n=CONTRACT_SEEDS + 66, replay=bench.replay)
    ]
    if chance < 1e-12:
        bench.exact_budget += chance
        if same:
            words = f"ignores its seed: {CONTRACT_SEEDS} seeds gave one and the same update"
            results = [Result("contract", "fail", words, n=CONTRACT_SEEDS, replay=bench.replay, details={"seed": True})]
    return [*results, arithmetic(bench, np.array(looks)), legality(bench)], tuple(notes)


def arithmetic(bench: Bench, g: np.ndarray) -> Result:
    """L5: n da must be whole numbers between -n and n, because x_0 and x_k are 0 or 1."""
    n, (nv, nh) = len(bench.rows), bench.declared.W.shape
    sums = n * g[:, nv * nh : nv * nh + nv]
    off = np.abs(sums - np.round(sums)) / (bench.tolerance * n)
    beyond = np.abs(sums) > n * (1 + bench.tolerance)
    bad = np.argwhere((off > 1) | beyond)
    if not len(bad):
        return Result("L5", "pass", f"n da is whole in {len(g)} updates", effect=0.0, n=len(g), replay=bench.replay)
    call, unit = (int(v) for v in bad[0])
    words = f"n da[{unit}] = {sums[call, unit]:.6g} with n = {n}: expected a whole number from {-n} to {n}"
    words += "; the divisor, a decay, or mean-field values in x"
    return Result("L5", "fail", words, effect=float(off.max()), n=len(g), replay=bench.replay)


def legality(bench: Bench) -> Result:
    """D9: single rows give legal values only; no budget, one illegal value is enough."""
    for x, g in bench.singles:
        if bench.decode(x, g[None])[0] < 0:
            distance, nearest = bench.trees[x].query(g)
            word = "".join(str(int(v)) for v in bench.distinct[0][x])
            words = f"the update of row {word} is none of its {len(bench.laws[x].p)} legal values; the nearest is"
            words += f" {distance:.3g} away (largest difference {np.abs(g - bench.laws[x].values[nearest]).max():.3g})"
            return Result("D9", "fail", words, effect=float(distance), n=len(bench.singles), replay=bench.replay)
    return Result(
        "D9", "pass", "all single-row updates are legal", effect=0.0, n=len(bench.singles), replay=bench.replay
    )


# L1, L2, L3 -----------------------------------------------------------------------------------------------------------


def staged(bench: Bench, test: str, n0: int, alpha: float) -> Result:
    """One test through the k-of-k scheme; stages after an impossible value cost nothing."""
    stage = {"L1": mean_stage, "L2": single_stage, "L3": spread_stage}[test]
    size = min(n0, L3_ROWS) if test == "L3" else n0
    rank = bench.whitener.shape[1]
    if rank == 0 and test != "L2":
        return Result(test, "skip", "the update is deterministic on these rows", replay=bench.replay)
    cells = sum(len(one.p) - 1 for one in bench.laws)
    degrees = {"L1": rank, "L2": max(cells, 1), "L3": 1}[test]
    try:
        enough = noncentrality(degrees, alpha, k=STAGES, growth=GROWTH) if bench.foregone and test != "L3" else math.inf
        outcome = sequential_test(lambda n, j: stage(bench, n, j), size, alpha, growth=GROWTH, foregone=enough)
    except CandidateError as error:
        return refused(test, error, bench.replay)
    last = outcome.stages[-1]
    seen = math.sqrt(noncentrality(degrees, alpha, k=STAGES, growth=GROWTH) / size)
    if test == "L3":  # in units of the relative spread: its standard deviation comes from the exact law
        seen *= math.sqrt(size) * float(last.details["sd"]) * math.sqrt(outcome.sizes[-1] / size)
    units = {
        "L1": "shift of the mean, in standard deviations of one batch update (Mahalanobis)",
        "L2": "chi-square distance of the law of single-row updates",
        "L3": "relative excess of the variance",
    }
    words = last.details.get("message") or (f"stage p-values {', '.join(f'{s.p_value:.3g}' for s in outcome.stages)}")
    return Result(
        test,
        "fail" if outcome.rejected else "pass",
        words,
        p_value=last.p_value,
        effect=last.effect,
        smallest_detectable_effect=seen,
        n=sum(outcome.sizes),
        seed=bench.seeds.seed,
        replay=bench.replay,
        details={"effect_unit": units[test], **last.details},
    )


def single_stage(bench: Bench, n: int, stage: int) -> Stage:
    """L2: n single rows, the same number of each distinct row; G over (row, legal value), and the worst cell."""
    rng = bench.seeds.rng("L2", stage, NULL)
    each = max(1, n // len(bench.laws))
    total, worst = np.zeros(MONTE_CARLO + 1), np.zeros(MONTE_CARLO + 1)
    chi_square = 0.0
    cells: list[list[Any]] = []
    for x, one in enumerate(bench.laws):
        row = bench.distinct[0][x : x + 1]
        g = np.array([bench.ask(row, s) for s in bench.fresh_seeds("L2", stage, x * each, (x + 1) * each)])
        bench.singles += [(x, v) for v in g[: max(512, each // 16)]]  # for the diagnosis
        index = bench.decode(x, g)
        if (index < 0).any():
            return Stage(0.0, math.inf, {"message": f"{(index < 0).sum()} of {each} updates of row {x} are illegal"})
        counts = np.bincount(index, minlength=len(one.p))
        sample = row_null(rng, each, one.p, counts, MONTE_CARLO)
        total += g_statistic(sample, each * one.p)
        z2 = squared_z(sample, each * one.p, each * one.p * (1 - one.p))
        worst = np.maximum(worst, z2.max(axis=1))
        chi_square += float(((counts - each * one.p) ** 2 / (each * one.p)).sum()) - (len(one.p) - 1)
        word = "".join(str(int(v)) for v in row[0])
        cells += [
            [f"row {word}, value {i}", int(c), float(each * p)]
            for i, (c, p) in enumerate(zip(counts, one.p, strict=True))
        ]
    p_value, _ = monte_carlo_p(np.column_stack([total, worst]))
    cells.sort(key=lambda cell: -abs(cell[1] - cell[2]) / math.sqrt(max(cell[2], 1e-300)))
    return Stage(p_value, math.sqrt(max(0.0, chi_square / (each * len(bench.laws)))), {"cells": cells[:8]})


def mean_stage(bench: Bench, n: int, stage: int) -> Stage:
    """L1: D = mean of n batch updates - Eg; n D' pinv(C) D and the greatest squared z; exact off the range of C."""
    g = bench.batch(stage, n)
    D = g.mean(axis=0) - bench.mean
    white = bench.whitener
    basis = white / np.linalg.norm(white, axis=0)
    outside = float(np.abs(D - basis @ (basis.T @ D)).max())
    if outside > bench.tolerance * 4:
        words = f"the mean update is off by {outside:.3g} in a direction in which it cannot vary"
        return Stage(0.0, math.inf, {"message": words})
    rng = bench.seeds.rng("L1", stage, NULL)
    null = np.zeros((MONTE_CARLO, len(D)))
    for one, times in zip(bench.laws, bench.distinct[1], strict=True):
        counts = rng.multinomial(n * int(times), one.p, size=MONTE_CARLO)
        null += (counts @ one.values - n * int(times) * one.mean) / (n * len(bench.rows))
    pool = np.vstack([D, null])
    hotelling = n * ((pool @ white) ** 2).sum(axis=1)
    z2 = squared_z(pool, np.zeros(len(D)), np.diag(bench.covariance) / n)
    p_value, _ = monte_carlo_p(np.column_stack([hotelling, z2.max(axis=1)]))
    effect = math.sqrt(max(0.0, (hotelling[0] - white.shape[1]) / n))
    return Stage(p_value, effect, {"mean_difference": D.tolist(), "worst": int(np.argmax(z2[0]))})


def spread_stage(bench: Bench, n: int, stage: int) -> Stage:
    """L3: V = mean of |white'(g - Eg)|^2 / rank, two-sided against batches drawn from the exact laws."""
    g = bench.batch(stage, n)
    white = bench.whitener
    rank = white.shape[1]
    observed = float((((g - bench.mean) @ white) ** 2).sum(axis=1).mean() / rank)
    rng = bench.seeds.rng("L3", stage, NULL)
    null = np.zeros(MONTE_CARLO)
    tables = [(one.values - one.mean) @ white / len(bench.rows) for one in bench.laws]
    edges = [np.cumsum(one.p)[:-1] for one in bench.laws]
    for start in range(0, MONTE_CARLO, 100):
        count = min(100, MONTE_CARLO - start)
        coordinates = np.zeros((count * n, rank))
        for table, edge, times in zip(tables, edges, bench.distinct[1], strict=True):
            for _ in range(int(times)):
                coordinates += table[np.searchsorted(edge, rng.random(count * n), side="right")]
        null[start : start + count] = (coordinates**2).sum(axis=1).reshape(count, n).mean(axis=1) / rank
    above = (1 + (null >= observed).sum()) / (MONTE_CARLO + 1)
    below = (1 + (null <= observed).sum()) / (MONTE_CARLO + 1)
    return Stage(
        float(min(1.0, 2 * min(above, below))), observed - 1.0, {"variance_ratio": observed, "sd": float(null.std())}
    )
