"""What explains recorded draws of a wrong law, beside the known mistakes: another temperature, or runs too short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ebm_ref.oracle.cases import Case, TableCase, with_kernel
from ebm_ref.oracle.checks.diagnosis import FLOOR, LEAD, rejects
from ebm_ref.oracle.naive import KERNELS
from ebm_ref.oracle.results import Diagnosis
from ebm_ref.oracle.statistics import devices

LONGEST, SMALL = 40, 256  # steps of the short runs, and states of a model whose every kernel is looked at


def with_temperature(
    found: tuple[Diagnosis, ...], counts: np.ndarray, energies: np.ndarray, rng: np.random.Generator
) -> tuple[Diagnosis, ...]:
    """The diagnoses, headed by "another temperature" if that explains the draws and no named mistake does as well."""
    stage = devices.profile_test(counts, energies, rng, 999)
    beta, gain = stage.details["beta"], stage.details["log_likelihood_gain"]
    best = found[0].log_likelihood_ratio if found else 0.0
    if stage.p_value <= 2e-3 or gain < LEAD or (found and found[0].explained and best > gain - LEAD):
        return found
    words = f"Boltzmann law at {beta:.3g} times the declared inverse temperature"
    return (Diagnosis("temperature", gain, words, True), *(replace(d, explained=False) for d in found))


def with_short_runs(
    found: tuple[Diagnosis, ...], counts: np.ndarray, case: Case | TableCase, rng: np.random.Generator
) -> tuple[Diagnosis, ...]:
    """The diagnoses, headed by "taken after m steps" if that explains the draws and no named mistake does as well."""
    runs = short_runs(case)
    with np.errstate(divide="ignore"):
        gains = [float(counts @ np.log(np.maximum(law, FLOOR) / case.pi)) for _, law in runs]
    words, law = runs[int(np.argmax(gains))]
    gain, best = max(gains), found[0].log_likelihood_ratio if found else 0.0
    named = bool(found) and found[0].explained and best > gain - LEAD
    if named or gain < max(LEAD, best) or rejects(counts[None, :], law[None, :], case.states, rng):
        return found
    return (Diagnosis("too_early", gain, words, True), *(replace(d, explained=False) for d in found))


def short_runs(case: Case | TableCase) -> list[tuple[str, np.ndarray]]:
    """What short runs from all units down, all up, or random units would have left: words and law (S,).

    Of the case's kernel, and, as a sweep may be called a step or not, of the others on its model if it is small.
    """
    S = len(case.pi)
    kernels: dict[str, np.ndarray] = {case.kernel: case.P}
    if isinstance(case, Case) and S <= SMALL:
        for kernel in KERNELS if case.n_hidden else KERNELS[1:]:
            kernels.setdefault(kernel, with_kernel(case, kernel).P)
    starts = {"all units down": np.eye(S)[0], "all units up": np.eye(S)[-1], "random units": np.full(S, 1.0 / S)}
    found = []
    for kernel, P in kernels.items():
        for start, begin in starts.items():
            law = begin
            for m in range(1, LONGEST + 1):
                law = law @ P
                steps = f"{m} step{'s' if m > 1 else ''}"
                found.append((f"taken {steps} of {kernel} after {start}: burn-in kept, or too short", law))
    return found


def stationary(P: np.ndarray) -> np.ndarray | None:
    """The unique law with pi P = pi, None if there is none."""
    S = len(P)
    A = np.vstack([P.T - np.eye(S), np.ones(S)])
    if np.linalg.matrix_rank(A) < S:
        return None
    pi = np.linalg.lstsq(A, np.append(np.zeros(S), 1.0), rcond=None)[0]
    return np.clip(pi, 0.0, None) / np.clip(pi, 0.0, None).sum()
