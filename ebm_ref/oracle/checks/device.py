"""Draws from a device: is it a Boltzmann machine at all, at which temperature, and how far from the declared law?

A device is never exact, so the questions are those that any temperature leaves open (H1, H3, H4), those that need no Z
(H2), and a tolerance (H5); formulas in ``ebm_ref.oracle.statistics.devices``.  A declared grid of probabilities is
judged by ``check_kernel`` or ``check_samples`` on ``cases.quantised(case, bits)`` (H6).

Draws are independent, or of an unknown kernel: then the first quarter of each chain chooses how far apart the others
must lie (S11) and the levels are approximate.  Tests run on two halves; both have to reject.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, InsufficientDataError, require_choice, require_positive
from ebm_ref.oracle.cases import Case, TableCase, require_case
from ebm_ref.oracle.checks.samples import PARTS, FileCheck, indices, off_support, two_parts
from ebm_ref.oracle.checks.session import law_pictures
from ebm_ref.oracle.results import Report
from ebm_ref.oracle.statistics import devices
from ebm_ref.oracle.statistics.seeds import NULL
from ebm_ref.oracle.statistics.sequential import Stage

SAMPLING = ("iid", "unknown")


def check_device(
    samples: Any,
    case: Case | TableCase,
    *,
    sampling: str = "unknown",
    tolerance: float | None = None,
    scaled: tuple[Any, float] | None = None,
    gauged: tuple[Any, Any] | None = None,
    effect: float = 0.2,
    seed: int = 0,
) -> Report:
    """Judge recorded states of a device that claims to draw from the case's Boltzmann law at some temperature.

    samples    (n, d), or (chains, draws, d), in the units of the case
    tolerance  H5 passes if the total variation to the declared law is certainly below it, fails if certainly above
    scaled     (samples, c): a second run with all parameters multiplied by c: H2
    gauged     (samples, g): a second run with h_i g_i, J_ij g_i g_j, g in {-1,+1}; spins only: H4 gauge
    effect     the chi-square distance that the draws must be able to show

    H1 runs if states share energies, H4 if the law is symmetric (no fields).  P(any failure | a Boltzmann law) <= 1e-6,
    approximately for H2, H3 and dependent draws.  The notes say the fitted temperature and the interval of H5.
    Raises ShapeError, DomainError, InsufficientDataError.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("ising_5_chord")
    >>> warm = cases.ising(case.J, case.c, beta=0.93)
    >>> draws = case.states[warm.draw(40_000, np.random.default_rng(1))]
    >>> report = check_device(draws, case, sampling="iid")
    >>> report.passed, report.notes[0]
    (True, 'fitted inverse temperature: 0.931 +- 0.0058 times the declared one')
    """
    require_case(case)
    require_choice("sampling", sampling, SAMPLING)
    if tolerance is not None:
        require_positive("tolerance", tolerance)
    run = DeviceCheck(case, sampling, require_positive("effect", effect), seed)
    first = run.counted("samples", samples)
    if first is None:
        return run.report(())
    plan = run.plan(tolerance is not None, scaled is not None, gauged is not None)
    run.set_plan(plan)
    n = sum(int(c.sum()) for c in first)
    if "H1" in plan:
        run.microcanonical(first, n)
    run.profile(first, n)
    if "H4" in plan:
        run.symmetry(first, n)
    if scaled is not None:
        run.two_temperatures(first, scaled)
    if gauged is not None:
        run.gauge(first, gauged)
    run.certificate(first, tolerance)
    return run.report(())


class DeviceCheck(FileCheck):
    """One check of one device; counts (S,) come as two independent halves."""

    def __init__(self, case: Case | TableCase, sampling: str, effect: float, seed: int) -> None:
        super().__init__(case, sampling, 1, seed, effect, 0)
        self.call, self.subject = "check_device", "device"

    def counted(self, name: str, samples: Any, case: Case | TableCase | None = None) -> list[np.ndarray] | None:
        """The counts of each half, None if a draw is no state (D9)."""
        case = self.case if case is None else case
        index = indices(samples, case)
        self.n += index.size
        if (index < 0).any():
            chain, draw = np.argwhere(index < 0)[0]
            self.add("D9", off_support(samples, case, chain, draw, int((index < 0).sum())), True)
            return None
        if self.sampling == "unknown":
            index = self.thinned_enough(index)
        return two_parts(index, len(case.pi))

    def plan(self, certificate: bool, scaled: bool, gauged: bool) -> tuple[str, ...]:
        """The tests that mean something here."""
        labels = devices.energy_classes(self.case.energies)
        wanted = {
            "H1": len(np.unique(labels)) < len(labels),
            "H3": True,
            "H4": self.mirror() is not None,
            "H2": scaled,
            "H4 gauge": gauged,
            "H5": certificate,
        }
        return tuple(test for test, needed in wanted.items() if needed)

    def mirror(self) -> np.ndarray | None:
        """The index of each state with all units flipped, if that leaves the law as it is."""
        if isinstance(self.case, TableCase):
            return None
        partner = self.case.index(sum(self.case.values) - self.case.states)
        if (partner < 0).any() or np.abs(self.case.energies[partner] - self.case.energies).max() > 1e-9:
            return None
        return partner

    def halves(self, test: str, words: str, stages: list[Stage], n: int, df: int, parts: int = 1) -> None:
        """A Result of two halves."""
        self.add_parts(test, words, stages, n, self.require(n, df, parts))

    def microcanonical(self, counts: list[np.ndarray], n: int) -> None:
        """H1."""
        labels = devices.energy_classes(self.case.energies)
        found = [
            devices.microcanonical_test(c, labels, self.seeds.rng("H1", j, NULL), self.null_samples)
            for j, c in enumerate(counts)
        ]
        self.halves("H1", "states of equal energy equally likely", [s for s, _ in found], n, max(d for _, d in found))

    def profile(self, counts: list[np.ndarray], n: int) -> None:
        """H3; a temperature that isn't the declared one is a diagnosis, not a failure."""
        E = self.case.energies
        stages = [
            devices.profile_test(c, E, self.seeds.rng("H3", j, NULL), self.null_samples) for j, c in enumerate(counts)
        ]
        self.halves("H3", "Boltzmann law at the fitted temperature", stages, n, len(E) - 2)
        self.describe(np.sum(counts, axis=0))
        drawn = law_pictures(np.sum(counts, axis=0), self.case)  # against the declared temperature
        self.results[-1] = replace(self.results[-1], details=self.results[-1].details | drawn)

    def symmetry(self, counts: list[np.ndarray], n: int) -> None:
        """H4."""
        partner = self.mirror()
        assert partner is not None
        rngs = [self.seeds.rng("H4", j, NULL) for j in range(PARTS)]
        stages = [devices.flip_test(c, partner, rng, self.null_samples) for c, rng in zip(counts, rngs, strict=True)]
        self.halves("H4", "P(s) = P(-s)", stages, n, len(partner) // 2, parts=3)

    def two_temperatures(self, first: list[np.ndarray], scaled: tuple[Any, float]) -> None:
        """H2."""
        samples, c = scaled[0], require_positive("scaled", scaled[1])
        if c == 1.0:
            raise DomainError("scaled: expected a factor other than 1")
        second = self.counted("scaled", samples)
        if second is None:
            return
        found = [
            devices.two_temperature_test(a, b, self.case.energies, self.seeds.rng("H2", j, NULL), self.null_samples)
            for j, (a, b) in enumerate(zip(first, second, strict=True))
        ]
        n = sum(int(a.sum() + b.sum()) for a, b in zip(first, second, strict=True))
        self.halves(
            "H2", "log ratio of two temperatures linear in E", [s for s, _ in found], n, max(d for _, d in found)
        )
        slope = float(np.mean([s.details["slope"] for s, _ in found]))
        error = float(np.hypot(*(s.details["slope_error"] for s, _ in found)) / 2)
        beta, error = slope / (c - 1.0), error / abs(c - 1.0)
        self.notes.append(f"inverse temperature from two runs: {beta:.3g} +- {error:.2g} times the declared one")

    def gauge(self, first: list[np.ndarray], gauged: tuple[Any, Any]) -> None:
        """H4 gauge: the second run turned back."""
        g = np.asarray(gauged[1], dtype=float)
        if getattr(self.case, "units", "") != "spin":
            raise DomainError("gauged: expected a case with units -1 and +1")
        if g.shape != (self.case.n_units,) or not np.isin(g, (-1, 1)).all():
            raise DomainError(f"gauged: expected {self.case.n_units} signs -1 or +1, got {np.asarray(gauged[1])}")
        second = self.counted("gauged", np.asarray(gauged[0]) * g)
        if second is None:
            return
        rngs = [self.seeds.rng("H4 gauge", j, NULL) for j in range(PARTS)]
        stages = [
            devices.two_sample_test(a, b, rng, self.null_samples) for a, b, rng in zip(first, second, rngs, strict=True)
        ]
        n = sum(int(a.sum() + b.sum()) for a, b in zip(first, second, strict=True))
        self.halves("H4 gauge", "same law after a gauge transformation", stages, n, len(first[0]) - 1)

    def certificate(self, counts: list[np.ndarray], tolerance: float | None) -> None:
        """H5, as a verdict if a tolerance is declared, else as a note."""
        if tolerance is None:
            return
        total = np.sum(counts, axis=0)
        estimate, low, high = devices.variation_interval(total, self.case.pi, self.alpha)
        words = f"total variation {estimate:.3g}, certainly between {low:.3g} and {high:.3g}; tolerance {tolerance:g}"
        if low <= tolerance <= high:
            n, S = int(total.sum()), len(total)
            width = 0.5 * math.sqrt(S - 1) + math.sqrt(2.0 * math.log(1.0 / self.alpha))
            raise InsufficientDataError(
                f"samples: {words}; {n} independent draws leave it open; about"
                f" {math.ceil((width / tolerance) ** 2 / self.share)} would certify an exact device"
            )
        n = int(total.sum())
        details = {"effect_unit": "total variation", "interval": [low, high]}
        self.add("H5", words, low > tolerance, effect=estimate, smallest_detectable_effect=tolerance, n=n,
                 details=details)  # fmt: skip
