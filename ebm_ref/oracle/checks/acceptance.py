"""Does a Metropolis kernel accept what it says, as often as it says?  check_acceptance.

(1) a(s, s*) = min(1, exp(E(s) - E(s*))),  s* = s with one uniformly chosen free unit flipped
(2) accepted ~ Bernoulli(a),  next = s* if accepted, else s

D1   the reported probability against (1);    D9   proposals are single flips, and next follows (2)
S14  flags given the reported probabilities: for each pair (s, s*) Binomial, calibrated by simulation: the greatest
     squared z of a pair, and the squared z of all flags together
S14 sites   the flipped unit is uniform given s: G, calibrated by simulation

The flags alone find a wrong acceptance rule a hundred times sooner than the law of the states; and they say which half
is wrong, the probability or its use.  Source: Metropolis et al. 1953.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ebm_ref.errors import require_choice
from ebm_ref.oracle.cases import Case, expression
from ebm_ref.oracle.checks.candidate import as_numpy
from ebm_ref.oracle.deterministic import (
    Alternative,
    CandidateError,
    explain,
    name_of,
    refused,
    state_label,
    usable,
    value_result,
)
from ebm_ref.oracle.results import Diagnosis, Report, Result
from ebm_ref.oracle.statistics.pairs import g_statistic, monte_carlo_p, row_null, squared_z
from ebm_ref.oracle.statistics.seeds import NULL, STARTS, Seeds
from ebm_ref.oracle.statistics.sequential import (
    MONTE_CARLO,
    ROWS_PER_CALL,
    Stage,
    level_of_each,
    noncentrality,
    require_profile,
    sequential_test,
)

LEAD = 3.0


def check_acceptance(
    step: Callable[[np.ndarray, int], Any], case: Case, *, profile: str = "ci", seed: int = 0
) -> Report:
    """Are the proposals, acceptance probabilities and accept flags those of single-flip Metropolis on the case?

    step(states (n, d), seed) -> (next (n, d), proposal (n, d), probability (n,), accepted (n,)), one proposal a row.
    P(any failure | correct) <= 1e-6; what the candidate does wrong is a verdict.

    >>> import numpy as np
    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("ising_5_chord")
    >>> def step(s, seed, factor=1.0):
    ...     rng, rows = np.random.default_rng(seed), np.arange(len(s))
    ...     new, site = s.copy(), rng.integers(0, 5, len(s))
    ...     new[rows, site] *= -1
    ...     change = 2 * s[rows, site] * (case.c[site] + (case.J[site] * s).sum(1))
    ...     a = np.minimum(1, np.exp(-change))
    ...     flag = rng.random(len(s)) < factor * a
    ...     return np.where(flag[:, None], new, s), new, a, flag
    >>> check_acceptance(step, case, profile="smoke").passed
    True
    >>> report = check_acceptance(lambda s, seed: step(s, seed, 0.9), case, profile="smoke")
    >>> [r.test for r in report.failures], report.diagnosis[0].mistake
    (['S14'], 'accept_factor')
    """
    require_choice("case.kernel", case.kernel, ("metropolis",))
    replay = f"oracle.check_acceptance(step, {expression(case)}, profile={profile!r}, seed={seed})"
    bench = Flags(step, case, Seeds(seed), replay)
    n0, alpha = require_profile(profile), level_of_each(2)
    found: tuple[Diagnosis, ...] = ()
    try:
        results, found = bench.first_look()
        for test, stage, df in (("S14", bench.flag_stage, 1), ("S14 sites", bench.site_stage, len(case.free))):
            outcome = sequential_test(stage, n0, alpha)
            last = outcome.stages[-1]
            p_values = ", ".join(f"{s.p_value:.3g}" for s in outcome.stages)
            words = "flags given their probabilities" if test == "S14" else "which unit is proposed"
            results.append(
                Result(
                    test,
                    "fail" if outcome.rejected else "pass",
                    f"{words}: p = {p_values}",
                    p_value=last.p_value,
                    effect=last.effect,
                    smallest_detectable_effect=float(np.sqrt(noncentrality(df, alpha) / n0)),
                    n=sum(outcome.sizes[: len(outcome.stages)]),
                    seed=seed,
                    replay=replay,
                    details={"effect_unit": "shift in standard deviations of one flag" if df == 1 else "chi-distance"}
                    | last.details,
                )
            )
    except CandidateError as error:
        results = [refused("contract", error, replay)]
    if any(r.test == "S14" and r.verdict == "fail" for r in results):
        found += bench.rules()
    return Report(name_of(step), case.name, profile, seed, tuple(results), found, (), 2 * alpha)


class Flags:
    """One candidate on one case; ``accepted`` and ``proposed`` (S, d) count what was seen of each start and unit."""

    def __init__(self, step: Callable[[np.ndarray, int], Any], case: Case, seeds: Seeds, replay: str) -> None:
        self.step, self.case, self.seeds, self.replay = step, case, seeds, replay
        S, d = case.states.shape
        self.proposed, self.accepted = np.zeros((S, d), dtype=np.int64), np.zeros((S, d), dtype=np.int64)
        target = np.arange(S)[:, None] * np.ones(d, dtype=np.int64)
        for i in case.free:
            other = case.states.copy()
            other[:, i] = sum(case.values) - other[:, i]
            target[:, i] = case.index(other)
        self.change = case.energies[target] - case.energies[:, None]
        self.probability = np.exp(-np.maximum(self.change, 0.0))

    def ask(self, start: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One call: unit proposed (n,), reported probability (n,), flag (n,); contract and D9 inside."""
        states = self.case.states[start]
        n, d = states.shape
        given = states.copy()
        try:
            answer = self.step(given, seed)
            parts = [as_numpy(part) for part in answer]
        except Exception as error:  # the candidate's own, whatever it is
            raise CandidateError(f"raised {type(error).__name__}: {error}") from error
        if not np.array_equal(given, states):
            raise CandidateError("modified its input")
        if len(parts) != 4:
            raise CandidateError(f"returned {len(parts)} arrays, expected next, proposal, probability, accepted")
        new, proposal, flag = usable(parts[0], (n, d)), usable(parts[1], (n, d)), usable(parts[3], (n,))
        probability = usable(parts[2], (n,))
        if not np.isin(flag, (0, 1)).all():
            raise CandidateError("returned flags that are neither true nor false")
        if ((probability < 0) | (probability > 1)).any():
            bad = float(probability[(probability < 0) | (probability > 1)][0])
            raise CandidateError(f"returned the probability {bad:.6g}; report min(1, ratio)")
        changed = proposal != states
        if (self.case.index(proposal) < 0).any() or (changed.sum(axis=1) != 1).any():
            k = int(np.argmax((self.case.index(proposal) < 0) | (changed.sum(axis=1) != 1)))
            raise CandidateError(
                f"proposed {proposal[k].tolist()} from {states[k].tolist()}: not a flip of one free unit"
            )
        wrong = (new != np.where(flag[:, None] == 1, proposal, states)).any(axis=1)
        if wrong.any():
            k = int(np.argmax(wrong))
            what = "accepted" if flag[k] else "rejected"
            raise CandidateError(
                f"{what} {proposal[k].tolist()} from {states[k].tolist()} but went to {new[k].tolist()}"
            )
        unit = np.argmax(changed, axis=1)
        np.add.at(self.proposed, (start, unit), 1)
        np.add.at(self.accepted, (start, unit), flag.astype(np.int64))
        return unit, probability, flag

    def first_look(self) -> tuple[list[Result], tuple[Diagnosis, ...]]:
        """D1 of the reported probabilities from every start."""
        S, d = self.case.states.shape
        start = np.repeat(np.arange(S), 16 * d)
        unit, probability, _ = self.ask(start, self.seeds.candidate("D1", 0))
        reference = self.probability[start, unit]
        scale = 1.0 + np.abs(self.change[start, unit]) + np.abs(self.case.energies).max()
        flip = [f"a({state_label(self.case, self.case.states[s])}, unit {i})" for s, i in zip(start, unit, strict=True)]
        results = [
            Result("contract", "pass", "usable answers; next follows the flag", n=len(start), replay=self.replay),
            value_result("D1", probability, reference, scale, flip, self.replay),
        ]
        wrong = partial(wrong_acceptances, self.change[start, unit], reference)
        return results, explain(probability, reference, scale, wrong)

    def draw(self, test: str, n: int, j: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """n proposals from exact starts: start, unit, probability, flag."""
        parts = []
        for chunk, begin in enumerate(range(0, n, ROWS_PER_CALL)):
            start = self.case.draw(min(ROWS_PER_CALL, n - begin), self.seeds.rng(test, j, STARTS, chunk))
            parts.append((start, *self.ask(start, self.seeds.candidate(test, j, chunk))))
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]

    def flag_stage(self, n: int, j: int) -> Stage:
        """S14 on n flags."""
        start, unit, a, flag = self.draw("S14", n, j)
        d = self.case.n_units
        cell = start * d + unit
        size = len(self.case.pi) * d
        tries, hits = np.bincount(cell, minlength=size), np.bincount(cell, weights=flag, minlength=size)
        mean = np.bincount(cell, weights=a, minlength=size)
        rate = np.clip(mean / np.maximum(tries, 1), 0.0, 1.0)
        if ((hits > 0) & (rate == 0)).any() or ((hits < tries) & (rate == 1)).any():
            return Stage(0.0, np.inf, {"message": "accepted at probability 0, or rejected at probability 1"})
        rng = self.seeds.rng("S14", j, NULL)
        counts = np.vstack([hits, rng.binomial(tries, rate, size=(MONTE_CARLO, size))])
        variance = tries * rate * (1 - rate)
        each = squared_z(counts, tries * rate, variance).max(axis=1)
        total = squared_z(counts.sum(axis=1), (tries * rate).sum(), np.array(variance.sum()))
        p_value, _ = monte_carlo_p(np.column_stack([each, total]))
        shift = float((hits.sum() - (tries * rate).sum()) / max(np.sqrt(n * variance.sum()), 1e-300))
        return Stage(p_value, abs(shift), {"rate": float(hits.sum() / n), "expected_rate": float(mean.sum() / n)})

    def site_stage(self, n: int, j: int) -> Stage:
        """S14 sites: G of (start, unit)."""
        start, unit, _, _ = self.draw("S14 sites", n, j)
        free = np.array(self.case.free)
        counts = np.zeros(self.proposed.shape, dtype=np.int64)
        np.add.at(counts, (start, unit), 1)
        total, p = np.zeros(MONTE_CARLO + 1), np.full(len(free), 1.0 / len(free))
        rng = self.seeds.rng("S14 sites", j, NULL)
        for row in counts[:, free]:
            if m := int(row.sum()):
                total += g_statistic(row_null(rng, m, p, row, MONTE_CARLO), m * p)
        merged = row_null(rng, n, p, counts.sum(axis=0)[free], MONTE_CARLO)
        both = np.column_stack([total, g_statistic(merged, n * p)])
        p_value, _ = monte_carlo_p(both)
        return Stage(p_value, float(np.sqrt(max(0.0, both[0, 1] - len(free) + 1) / n)), {"sites": merged[0].tolist()})

    def rules(self) -> tuple[Diagnosis, ...]:
        """Which rule the flags follow, by log likelihood ratio against (1); a constant factor is fitted."""
        right = self.log_likelihood(self.probability)
        seen = self.proposed > 0
        fitted = float(self.accepted[seen].sum() / (self.proposed * self.probability)[seen].sum())
        candidates = [(a.id, a.description, a.values) for a in wrong_acceptances(self.change, self.probability)]
        words = f"accepted {100 * abs(1 - fitted):.2g} % too {'seldom' if fitted < 1 else 'often'}"
        candidates.append(("accept_factor", words, np.minimum(fitted * self.probability, 1.0)))
        found = [(id, self.log_likelihood(a) - right, words) for id, words, a in candidates]
        found.sort(key=lambda one: -one[1])
        lead = found[0][1] - found[1][1] >= LEAD
        return tuple(
            Diagnosis(id, ratio, words, bool(k == 0 and lead and ratio > 0))
            for k, (id, ratio, words) in enumerate(found[:5])
        )

    def log_likelihood(self, a: np.ndarray) -> float:
        """ln P(flags) with acceptance a (S, d), kept off 0 and 1 by 1e-6."""
        a = np.clip(a, 1e-6, 1 - 1e-6)
        return float((self.accepted * np.log(a) + (self.proposed - self.accepted) * np.log1p(-a)).sum())


def wrong_acceptances(change: np.ndarray, right: np.ndarray) -> list[Alternative]:
    """Acceptance rules that people write for min(1, exp(-dE))."""
    rules = (
        ("accept_all", "every proposal accepted", np.ones_like(right)),
        ("greedy", "only dE <= 0 accepted", (change <= 0).astype(float)),
        ("change_sign", "sign of dE", np.exp(-np.maximum(-change, 0.0))),
        ("change_halved", "dE halved", np.sqrt(right)),
        ("change_doubled", "dE doubled", right**2),
        ("glauber", "heat bath 1 / (1 + exp(dE))", 1.0 / (1.0 + np.exp(np.clip(change, -700, 700)))),
        ("accept_absolute", "exp(-|dE|)", np.exp(-np.abs(change))),
        ("complement", "rejection probability for acceptance probability", 1.0 - right),
        ("accept_base_2", "2^(-dE) for exp(-dE)", 2.0 ** -np.maximum(change, 0.0)),
        ("accept_linear", "1 - dE for exp(-dE)", np.clip(1.0 - change, 0.0, 1.0)),
        ("log_ratio", "log acceptance for the acceptance", -np.maximum(change, 0.0)),
    )
    return [Alternative(id, words, values) for id, words, values in rules]
