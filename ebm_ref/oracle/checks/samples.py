"""Are these recorded samples what they claim to be?  Independent draws, every step of a kernel, thinned, or unknown.

A file has a fixed length, so it cannot grow: it is cut into two parts and fails only if both have p <= sqrt(alpha).
Parts are sets of chains; a single chain is cut in time, the null of each part starting from its own first state.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, InsufficientDataError, ShapeError, require_choice, require_int, require_positive
from ebm_ref.oracle import zoo
from ebm_ref.oracle.cases import Case, TableCase, expression, require_case
from ebm_ref.oracle.checks.candidate import as_numpy
from ebm_ref.oracle.checks.diagnosis import diagnose
from ebm_ref.oracle.checks.law_diagnosis import stationary, with_short_runs, with_temperature
from ebm_ref.oracle.checks.session import law_pictures
from ebm_ref.oracle.results import Diagnosis, Report, Result
from ebm_ref.oracle.statistics import chains, devices, evalues
from ebm_ref.oracle.statistics import pairs as pair_tests
from ebm_ref.oracle.statistics.seeds import NULL, Seeds
from ebm_ref.oracle.statistics.sequential import Stage, level_of_each, noncentrality

SAMPLING = ("iid", "every_step", "thinned", "unknown")
PARTS, NULL_SAMPLES, SIMULATED = 2, 1999, 4e7
PLANS = {
    "iid": ("S3", "S12", "S13"),
    "every_step": ("S7", "S10", "S9"),
    "thinned": ("S7", "S10", "S9"),
    "unknown": ("S11", "S12"),
}


def check_samples(
    samples: Any, case: Case | TableCase, sampling: str = "iid", *, thin: int = 1, effect: float = 0.2, seed: int = 0
) -> Report:
    """Judge recorded states against a case.

    samples   (n, d), or (chains, draws, d): rows [x, h] in the units of the case
    sampling  "iid"         independent draws of the law (S3, S12, and S13 on consecutive draws)
              "every_step"  every state of chains of the case's kernel (S7, S8, S10, S9)
              "thinned"     every ``thin``-th state of such chains: judged against P^thin
              "unknown"     correlated draws of an unknown kernel (S11, S12 after thinning: approximate levels; notes
                    say the fitted temperature, total variation, autocorrelation time); see also check_device
    effect    the chi-square distance that the file must be able to show; InsufficientDataError names the draws needed
    P(any failure | correct) <= 1e-6 (approximately, for "unknown").
    Raises ShapeError, DomainError, InsufficientDataError.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("ising_5_chord")
    >>> draws = case.states[case.draw(20_000, np.random.default_rng(1))]
    >>> check_samples(draws, case).passed, check_samples(-draws, case).passed
    (True, False)
    """
    require_case(case)
    require_choice("sampling", sampling, SAMPLING)
    require_int("thin", thin, 1)
    if thin > 1 and sampling != "thinned":
        raise DomainError(f"thin: expected 1 for sampling={sampling!r}, got {thin}; say sampling='thinned'")
    index = indices(samples, case)
    run = FileCheck(case, sampling, thin, seed, require_positive("effect", effect), index.size)
    if (index < 0).any():
        chain, draw = np.argwhere(index < 0)[0]
        run.add("D9", off_support(samples, case, chain, draw, int((index < 0).sum())), True)
        return run.report(())
    if sampling in ("every_step", "thinned"):
        return run.judge_chains(index)
    return run.judge_draws(index)


def indices(samples: Any, case: Case | TableCase) -> np.ndarray:
    """State indices (chains, draws), -1 outside the support."""
    rows = as_numpy(samples)
    if rows.ndim == 2:
        rows = rows[None]
    if rows.ndim != 3 or rows.shape[2] != case.n_units or not rows.size:
        raise ShapeError(
            f"samples: expected shape (n, {case.n_units}) or (chains, draws, {case.n_units}), got {np.shape(samples)}"
            f"{rows_of_two_layers(rows.shape[-1], case)}"
        )
    if rows.dtype.kind not in "biuf":
        raise DomainError(f"samples: expected numbers, got dtype {rows.dtype}")
    return case.index(rows.reshape(-1, case.n_units)).reshape(rows.shape[:2])


def rows_of_two_layers(width: int, case: Case | TableCase) -> str:
    """What to do about rows that hold one layer of a model of two, in words; "" if that is not what they are."""
    if not case.n_hidden:
        return ""
    words = f"; rows are [x, h], {case.n_visible} visible units and then {case.n_hidden} hidden ones"
    if width == case.n_visible:
        return words + (
            ": record the hidden units too, or append draws of h from p(h | x), which keeps the law of independent"
            " draws right (sampling='iid')"
        )
    return words + (": the visible units are missing" if width == case.n_hidden else "")


def off_support(samples: Any, case: Case | TableCase, chain: int, draw: int, n: int) -> str:
    """What is wrong with the first draw that no state of the case is, in words."""
    row = as_numpy(samples).reshape(-1, case.n_units)[chain * (np.shape(samples)[-2]) + draw]
    down, *_, up = case.values
    why = f"units are {down} or {up}" if len(case.values) == 2 else f"units are {down} to {up}"
    if isinstance(case, TableCase):
        return f"draw [{chain}, {draw}] lies outside the support ({n} such): {row.tolist()}; {why}"
    if np.isin(row, (-1, 0, 1)).all():
        why += "; map x = (s + 1) / 2" if case.units == "01" else "; map s = 2 x - 1"
    if np.isin(row, (down, up)).all():
        why = f"clamped units must keep {dict(case.clamp)}"
    return f"draw [{chain}, {draw}] lies outside the support ({n} such): {row.tolist()}; {why}"


class FileCheck:
    """One check of one file: level, results, report."""

    def __init__(self, case: Case | TableCase, sampling: str, thin: int, seed: int, effect: float, n: int) -> None:
        self.case, self.sampling, self.thin, self.effect, self.n = case, sampling, thin, effect, n
        self.call, self.subject = "check_samples", "samples"
        self.seeds = Seeds(seed)
        self.set_plan(PLANS[sampling])
        self.P = np.linalg.matrix_power(case.P, thin)
        self.share = 1.0  # of the recorded draws that are used
        self.dependence = 0.0  # half the G statistic of S13 beyond its mean under independence, nats
        self.results: list[Result] = []
        self.notes: list[str] = []

    def set_plan(self, planned: tuple[str, ...]) -> None:
        """The tests, the level of each, that of a part, and a Monte Carlo null that can reject at it."""
        self.planned = planned
        self.alpha = level_of_each(len(planned))
        self.gamma = math.sqrt(self.alpha)
        self.null_samples = max(NULL_SAMPLES, math.ceil(1.0 / self.gamma))

    def add(self, test: str, message: str, failed: bool, **numbers: Any) -> None:
        """Append a Result."""
        case = expression(self.case)
        how = f"sampling={self.sampling!r}, " + (f"thin={self.thin}, " if self.thin > 1 else "")
        replay = f"oracle.{self.call}(samples, {case}, {how}seed={self.seeds.seed})"
        self.results.append(
            Result(test, "fail" if failed else "pass", message, seed=self.seeds.seed, replay=replay, **numbers)
        )

    def require(self, n: int, df: float, parts: int = 1) -> float:
        """The smallest detectable effect of the two parts; refuses a file that cannot show the declared one."""
        lam = noncentrality(max(df, 1), self.alpha, k=PARTS, growth=1, parts=parts) * PARTS
        if n < lam / self.effect**2:
            needed = math.ceil(lam / self.effect**2 / self.share)
            kept = f"{n} draws" if self.share == 1.0 else f"{n} nearly independent draws (of {round(n / self.share)})"
            raise InsufficientDataError(
                f"samples: {kept} cannot show an effect of {self.effect} at level {self.alpha:.2g}; record at least"
                f" {needed}, or declare a larger effect"
            )
        return math.sqrt(lam / n)

    def add_parts(self, test: str, words: str, stages: list[Stage], n: int, detectable: float) -> None:
        """The Result of a test in independent parts."""
        failed = all(s.p_value <= self.gamma for s in stages)
        p_values = ", ".join(f"{s.p_value:.3g}" for s in stages)
        worst = max(stages, key=lambda s: s.effect)
        self.add(
            test,
            f"{words} {'rejected' if failed else 'as claimed'} (p = {p_values} in {len(stages)} parts)",
            failed,
            p_value=max(s.p_value for s in stages),
            effect=worst.effect,
            smallest_detectable_effect=detectable,
            n=n,
            details=dict(worst.details)
            | {"gamma": self.gamma, "parts": [s.p_value for s in stages], "effect_unit": "chi-distance"},
        )

    def judge_draws(self, index: np.ndarray) -> Report:
        """iid, or unknown after thinning."""
        case, law_test = self.case, "S3"
        if self.sampling == "unknown":
            index, law_test = self.thinned_enough(index), "S11"
        parts, n = two_parts(index, len(case.pi)), index.size
        detectable = self.require(n, len(case.pi) - 1)
        f, names = pair_tests.features(case.states, case.energies)
        stages, moments = [], []
        for j, counts in enumerate(parts):
            column, effect = pair_tests.law_test(counts, case.pi, self.seeds.rng(law_test, j, NULL), self.null_samples)
            stages.append(Stage(float((column >= column[0]).sum() / len(column)), effect))
            rng = self.seeds.rng("S12", j, NULL)
            moments.append(pair_tests.moment_test(counts, case.pi, f, names, rng, self.null_samples))
        self.add_parts(law_test, "law of the states", stages, n, detectable)
        self.add_parts("S12", "means, pair products, energy", moments, n, self.require(n, 1, len(names)))
        if self.sampling == "iid":
            self.judge_neighbours(index.ravel())
        counts = np.sum(parts, axis=0)
        self.results[0] = replace(self.results[0], details=self.results[0].details | law_pictures(counts, case))
        if self.sampling == "unknown":
            self.describe(counts)
        return self.report(self.diagnose_law(counts))

    def describe(self, counts: np.ndarray) -> None:
        """What a device's owner wants to know whatever the verdicts: fitted temperature (H3), total variation (H5)."""
        beta, error = devices.beta_and_error(counts, self.case.energies)
        self.notes.append(f"fitted inverse temperature: {beta:.3g} +- {error:.2g} times the declared one")
        estimate, low, high = devices.variation_interval(counts, self.case.pi, self.alpha)
        self.notes.append(
            f"total variation to the declared law: {estimate:.2g}, certainly between {low:.2g} and {high:.2g}"
        )

    def judge_neighbours(self, flat: np.ndarray) -> None:
        """S13: draws declared independent are so of the draw before: disjoint pairs against pi x pi."""
        pi, S = self.case.pi, len(self.case.pi)
        product, stages = np.outer(pi, pi).ravel(), []
        for j, part in enumerate(np.array_split(flat, PARTS)):
            even = part[: len(part) // 2 * 2]
            counts = chains.joint_counts(even[0::2], even[1::2], S).ravel()
            sample = pair_tests.row_null(
                self.seeds.rng("S13", j, NULL), len(even) // 2, product, counts, self.null_samples
            )
            column = chains.interaction(sample.reshape(-1, S, S))  # a wrong law is not called dependence
            p_value = float((column >= column[0]).sum() / len(column))
            stages.append(Stage(p_value, pair_tests.excess(column, len(even) // 2)))
            self.dependence += 0.5 * float(column[0] - column[1:].mean())
        lam = noncentrality((S - 1) ** 2, self.alpha, k=PARTS, growth=1) * PARTS
        n = len(flat) // 2
        self.add_parts("S13", "independence of consecutive draws", stages, n, math.sqrt(lam / n))

    def thinned_enough(self, index: np.ndarray) -> np.ndarray:
        """S11: the thinning is chosen on the first quarter, the test uses the rest."""
        quarter = index.shape[1] // 4
        if quarter < 8:
            raise InsufficientDataError(f"samples: {index.shape[1]} draws a chain; an unknown kernel needs at least 32")
        features = np.concatenate([self.case.states, self.case.energies[:, None]], axis=1)
        series = features[index[:, :quarter]]
        step = 2 * chains.thinning(series) if chains.thinning(series) > 1 else 1  # correlations fall from .05 to .0025
        tau = max(devices.integrated_time(series[:, :, k]) for k in range(series.shape[2]))
        kept = index[:, quarter::step]
        self.share = kept.size / index.size
        self.notes.append(f"used draw {quarter} of each chain and every {step}. after it; the level is approximate")
        worth = int(index.size / tau)
        self.notes.append(
            f"integrated autocorrelation time {tau:.3g} draws: {index.size} draws are worth about {worth}"
        )
        return kept

    def judge_chains(self, index: np.ndarray) -> Report:
        """every_step or thinned: e-processes on all transitions, then S10 and S9 on what can be simulated."""
        S = len(self.case.pi)
        if index.shape[1] < 3:
            raise InsufficientDataError(f"samples: {index.shape[1]} draws a chain; transitions need at least 3")
        counts = chains.transition_counts(index, S)
        law = pair_tests.pair_law(self.P, self.case.states)
        detectable = self.require(int(counts.sum()), law.degrees["lumped"])
        forbidden = pair_tests.impossible(counts, self.P)
        if len(forbidden):
            i, j = forbidden[0]
            states = self.case.states.astype(int)
            self.add("D9", f"{states[i].tolist()} -> {states[j].tolist()} was recorded but is impossible", True)
            return self.report(self.diagnose_pairs(counts))
        self.add_e_values(counts, law)
        used = self.simulated_share(index)
        parts = np.array_split(used, PARTS, axis=0) if len(used) >= PARTS else np.array_split(used, PARTS, axis=1)
        found = [
            chains.chain_test(part, law, self.case.pi, self.seeds.rng("S10", j, NULL), self.null_samples)
            for j, part in enumerate(parts)
        ]
        n = sum(part.shape[0] * (part.shape[1] - 1) for part in parts)
        shrink = math.sqrt(counts.sum() / n)
        self.add_parts("S10", "consecutive pairs", [pair for pair, _ in found], n, detectable * shrink)
        lam = noncentrality(S - 1, self.alpha, k=PARTS, growth=1) * PARTS
        self.add_parts("S9", "visit frequencies", [visit for _, visit in found], n, math.sqrt(lam / n))
        return self.report(self.diagnose_pairs(counts))

    def add_e_values(self, counts: np.ndarray, law: pair_tests.PairLaw) -> None:
        """S7 and S8 share one test's level; both are exact for dependent chains."""
        limit = math.log(2.0 / self.alpha)
        ratios = evalues.log_likelihood_ratios(counts, self.P, [a.P for a in self.alternatives()])
        values = (
            ("S7", evalues.mixture_log_e(ratios), "known mistakes"),
            ("S8", evalues.dirichlet_log_e(counts, self.P, law.labels), "any other law"),
        )
        for test, value, words in values:
            message = f"evidence for {words}: ln e = {value:.3g}, rejection from {limit:.3g}"
            self.add(test, message, value >= limit, log_e=value, n=int(counts.sum()))

    def simulated_share(self, index: np.ndarray) -> np.ndarray:
        """The first draws of each chain, as many as the Monte Carlo null can afford."""
        affordable = max(4, int(SIMULATED / self.null_samples / len(index)))
        if affordable < index.shape[1]:
            self.notes.append(f"S9 and S10 use the first {affordable} draws of each chain; S7 and S8 use all")
        return index[:, :affordable]

    def alternatives(self) -> tuple[zoo.Alternative, ...]:
        """Known mistakes after ``thin`` steps, and a loop over the steps that runs once."""
        found = [replace(a, P=np.linalg.matrix_power(a.P, self.thin)) for a in zoo.alternatives(self.case)]
        if np.abs(self.case.P - self.P).max() > 1e-9:
            words = f"one step between draws, {self.thin} declared: not thinned"
            found.append(zoo.Alternative("thinned_once", words, self.case.P))
        return tuple(found)

    @property
    def failed(self) -> bool:
        """True once something has failed."""
        return any(r.verdict == "fail" for r in self.results)

    def diagnose_pairs(self, counts: np.ndarray) -> tuple[Diagnosis, ...]:
        """Ranked mistakes of the transitions."""
        if not self.failed:
            return ()
        return diagnose(counts, self.P, self.case.states, self.alternatives(), self.seeds.rng("diagnosis", 0, NULL))

    def diagnose_law(self, counts: np.ndarray) -> tuple[Diagnosis, ...]:
        """Ranked mistakes of the stationary law, another temperature among them; counts (S,).

        S13 compares pairs with the product of their own margins: where it failed the draws are those of a chain, and
        the other tests, which take them for independent, say nothing.
        """
        if not self.failed:
            return ()
        if "S13" in [r.test for r in self.results if r.verdict == "fail"]:
            words = "draws depend on the one before: declare every_step or thinned, or record independent ones"
            return (Diagnosis("dependent_draws", self.dependence, words, True),)
        laws = []
        for a in zoo.alternatives(self.case):
            pi = stationary(a.P)
            if pi is not None and np.abs(pi - self.case.pi).max() > 1e-6:
                laws.append(replace(a, P=pi[None, :]))
        rng, pi = self.seeds.rng("diagnosis", 0, NULL), self.case.pi[None, :]
        found = diagnose(counts[None, :], pi, self.case.states, tuple(laws), rng)
        found = with_temperature(found, counts, self.case.energies, rng)
        return with_short_runs(found, counts, self.case, rng)

    def report(self, diagnosis: tuple[Diagnosis, ...]) -> Report:
        """The finished report."""
        bound = len(self.planned) * self.alpha
        subject = f"{self.subject} ({self.sampling}, {self.n} draws)"
        results, notes = tuple(self.results), tuple(self.notes)
        return Report(subject, self.case.name, "file", self.seeds.seed, results, diagnosis, notes, bound)


def two_parts(index: np.ndarray, S: int) -> list[np.ndarray]:
    """Counts (S,) of the two parts of index chains (C, T): sets of chains, or halves in time of a single one."""
    parts = np.array_split(index, PARTS, axis=0) if len(index) >= PARTS else np.array_split(index, PARTS, axis=1)
    return [np.bincount(part.ravel(), minlength=S) for part in parts]
