"""check_samples: every kind of file, right ones pass, wrong ones fail, short ones are sent back.

False alarms: at most 1e-6 a file, seeds fixed.  What a file could have shown stands in its report.
"""

import numpy as np
import pytest

from ebm_ref.errors import DomainError, InsufficientDataError, ShapeError
from ebm_ref.oracle import cases, check_samples, zoo

CASE = cases.named("ising_5_chord")
TWO_LAYERS = cases.named("rbm_4x2")


def run_chains(step, case, n_chains, length, start=None, every=1, first_seed=100):
    """States (chains, draws, units) of chains of a kernel, started at one state or at exact draws."""
    rng = np.random.default_rng(first_seed)
    states = case.states[case.draw(n_chains, rng)] if start is None else np.tile(start, (n_chains, 1))
    path = []
    for t in range(length * every):
        states = step(states, first_seed + t)
        if t % every == 0:
            path.append(states)
    return np.array(path).transpose(1, 0, 2)


RIGHT = run_chains(zoo.reference_step(CASE), CASE, 32, 3000, start=CASE.states[0])
EXACT = CASE.states[CASE.draw(60_000, np.random.default_rng(3))]


def test_exact_draws_pass():
    report = check_samples(EXACT, CASE)
    assert report.passed, str(report)
    assert report.false_alarm_bound <= 1e-6


@pytest.mark.parametrize(("sampling", "thin"), [("every_step", 1), ("thinned", 3), ("unknown", 1)])
def test_right_chains_pass(sampling, thin):
    samples = RIGHT[:, ::thin]
    if sampling == "unknown":
        samples = run_chains(zoo.reference_step(CASE), CASE, 200, 1500)
    report = check_samples(samples, CASE, sampling, thin=thin, effect=0.3)
    assert report.passed, str(report)


def test_chains_declared_independent_fail_as_dependent():
    report = check_samples(RIGHT, CASE, "iid")
    assert "S13" in [r.test for r in report.failures]
    assert report.diagnosis[0].mistake == "dependent_draws"
    assert report.diagnosis[0].log_likelihood_ratio > 100
    assert "declare every_step" in report.diagnosis[0].description


@pytest.mark.parametrize("id", ["change_doubled", "jump_chain", "first_site_more", "accept_linear"])
def test_wrong_chains_fail_with_a_diagnosis(id):
    samples = run_chains(zoo.bug(id).step(CASE), CASE, 32, 2000)
    report = check_samples(samples, CASE, "every_step")
    assert not report.passed
    assert id in report.diagnosis[0].mistake
    assert report.diagnosis[0].explained


def test_dropped_rejections_fail_even_when_thinned():
    samples = run_chains(zoo.bug("jump_chain").step(CASE), CASE, 32, 1000, every=2)
    assert not check_samples(samples, CASE, "thinned", thin=2).passed


def test_undeclared_thinning_fails():
    assert not check_samples(RIGHT[:, ::2], CASE, "every_step").passed


def test_draws_at_another_temperature_fail_and_are_named():
    cold = cases.ising(CASE.J / 0.7, CASE.c / 0.7, beta=0.7 * 1.1)
    draws = cold.states[cold.draw(60_000, np.random.default_rng(4))]
    report = check_samples(draws, CASE)
    assert not report.passed
    assert "temperature 10 % too low" in report.diagnosis[0].description


def test_samples_taken_too_early_fail():
    """Two sweeps from all -1, read as independent draws (catalogue number 47)."""
    sweep = cases.named("ising_5_chord", kernel="metropolis_sweep")
    step = zoo.reference_step(sweep)
    states = np.tile(-np.ones(5), (20_000, 1))
    for t in range(2):
        states = step(states, 50 + t)
    report = check_samples(states, CASE)
    assert "S3" in [r.test for r in report.failures]
    assert report.diagnosis[0].mistake == "too_early"
    assert report.diagnosis[0].explained
    assert "2 steps of metropolis_sweep after all units down" in report.diagnosis[0].description


def test_burn_in_kept_and_samples_dropped_fails():
    """The first ten steps of many chains, kept by an inverted flag (catalogue number 48)."""
    early = run_chains(zoo.reference_step(CASE), CASE, 6000, 10, start=-np.ones(5))
    report = check_samples(early[:, 3], CASE)
    assert "S3" in [r.test for r in report.failures]
    assert "taken 4 steps of metropolis after all units down" in report.diagnosis[0].description
    assert report.diagnosis[0].explained


def test_impossible_transition_and_state_are_named():
    swapped = RIGHT[:, ::-1].copy()
    swapped[:, 1::2] = -swapped[:, 1::2]
    report = check_samples(swapped, CASE, "every_step")
    assert [r.test for r in report.failures] == ["D9"]
    outside = EXACT.copy()
    outside[7, 2] = 0
    report = check_samples(outside, CASE)
    assert "draw [0, 7] lies outside the support" in report.failures[0].message


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: check_samples(EXACT[:500], CASE), InsufficientDataError, "500 draws cannot show an effect of 0.2"),
        (lambda: check_samples(RIGHT[:2, :50], CASE, "every_step"), InsufficientDataError, "record at least"),
        (lambda: check_samples(RIGHT[:, :10], CASE, "unknown"), InsufficientDataError, "at least 32"),
        (lambda: check_samples(EXACT[:, :4], CASE), ShapeError, r"samples: expected shape \(n, 5\)"),
        (
            lambda: check_samples(np.zeros((9, 4)), TWO_LAYERS),
            ShapeError,
            "rows are .x, h., 4 visible units",
        ),
        (lambda: check_samples(np.zeros((9, 4)), TWO_LAYERS), ShapeError, r"append draws of h from p\(h \| x\)"),
        (lambda: check_samples(np.zeros((9, 2)), TWO_LAYERS), ShapeError, "the visible units are missing"),
        (lambda: check_samples(EXACT, CASE, "every_second"), DomainError, "sampling: expected one of"),
        (lambda: check_samples(EXACT, CASE, thin=3), DomainError, "say sampling='thinned'"),
        (lambda: check_samples(EXACT.astype(str), CASE), DomainError, "samples: expected numbers"),
        (lambda: check_samples(EXACT, CASE, effect=0), DomainError, "effect: expected a positive number"),
    ],
)
def test_wrong_use_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
