"""check_device: Boltzmann laws at any temperature pass, each named fault fails its test, tolerances are certified.

False alarms: at most 1e-6 a report (the temperature tests approximately), seeds fixed; the faults are several times
what a report says that it would have seen.
"""

import numpy as np
import pytest

from ebm_ref.errors import DomainError, InsufficientDataError
from ebm_ref.oracle import cases, check_device, check_samples, zoo
from ebm_ref.oracle.statistics import devices

CASE = cases.named("ising_5_chord")
DEGENERATE = cases.named("ising_degenerate")
N = 40_000


def draws(case, seed=1, n=N):
    return case.states[case.draw(n, np.random.default_rng(seed))]


def at(beta, J=CASE.J, h=CASE.c):
    return cases.ising(J, h, beta=beta)


def stuck(samples, unit, share, seed=2):
    wrong = samples.copy()
    wrong[np.random.default_rng(seed).random(len(wrong)) < share, unit] = 1
    return wrong


def failed(report):
    return [r.test for r in report.failures]


@pytest.mark.parametrize("beta", [0.6, 1.0, 1.4])
def test_any_temperature_passes_and_is_fitted(beta):
    report = check_device(draws(at(beta)), CASE, sampling="iid")
    assert report.passed, str(report)
    fitted, error = devices.beta_and_error(np.bincount(CASE.index(draws(at(beta))), minlength=32), CASE.energies)
    assert abs(fitted - beta) < 5.5 * error  # false alarm 4e-8


def test_stuck_unit_breaks_the_boltzmann_law():
    assert failed(check_device(stuck(draws(CASE), 2, 0.2), CASE, sampling="iid")) == ["H3"]


def test_equal_energies_are_compared_whatever_the_temperature():
    warm = cases.ising(DEGENERATE.J, DEGENERATE.c, beta=0.5)
    assert check_device(draws(warm), DEGENERATE, sampling="iid").passed
    assert "H1" in failed(check_device(stuck(draws(warm), 2, 0.1), DEGENERATE, sampling="iid"))


def test_mirror_images_are_compared_without_fields():
    free = at(1.0, h=0 * CASE.c)
    assert check_device(draws(free), free, sampling="iid").passed
    assert "H4" in failed(check_device(stuck(draws(free), 0, 0.15), free, sampling="iid"))


def test_two_temperatures():
    right = check_device(draws(at(0.9)), CASE, sampling="iid", scaled=(draws(at(1.35), 3), 1.5))
    assert right.passed, str(right)
    note = next(note for note in right.notes if note.startswith("inverse temperature from two runs"))
    beta, _, error, *_ = note.split(": ")[1].split()
    assert abs(float(beta) - 0.9) < 5.5 * float(error) < 0.15  # false alarm 4e-8
    wrong = check_device(draws(at(0.9)), CASE, sampling="iid", scaled=(stuck(draws(at(1.35), 3), 1, 0.25), 1.5))
    assert "H2" in failed(wrong)


def test_gauge():
    g = np.array([1, -1, -1, 1, -1])
    turned = at(1.0, CASE.J * np.outer(g, g), CASE.c * g)
    assert check_device(draws(CASE), CASE, sampling="iid", gauged=(draws(turned, 3), g)).passed
    report = check_device(draws(CASE), CASE, sampling="iid", gauged=(stuck(draws(turned, 3), 2, 0.2), g))
    assert failed(report) == ["H4 gauge"]


def test_certificate_passes_fails_or_asks_for_more():
    many = draws(CASE, n=200_000)
    assert check_device(many, CASE, sampling="iid", tolerance=0.02).passed
    assert failed(check_device(draws(at(0.9), n=200_000), CASE, sampling="iid", tolerance=0.01)) == ["H5"]
    with pytest.raises(InsufficientDataError, match=r"leave it open; about \d+ would certify"):
        check_device(draws(CASE), CASE, sampling="iid", tolerance=0.02)


def test_variation_interval_covers():
    """Both ends err with chance at most 1e-3 each: more than 8 of 400 has chance 2e-7."""
    rng = np.random.default_rng(5)
    pi, other = CASE.pi, at(0.9).pi
    truth = 0.5 * np.abs(pi - other).sum()
    outside = 0
    for _ in range(400):
        _, low, high = devices.variation_interval(rng.multinomial(5000, other), pi, 1e-3)
        outside += not low <= truth <= high
    assert outside <= 8


def test_dependent_draws():
    step, states, path = zoo.reference_step(CASE), draws(CASE, n=64), []
    for t in range(3000):
        states = step(states, 900 + t)
        path.append(states)
    chains = np.array(path).transpose(1, 0, 2)
    for report in (check_device(chains, CASE, effect=0.3), check_samples(chains, CASE, "unknown", effect=0.3)):
        assert report.passed, str(report)
        assert any("integrated autocorrelation time" in note for note in report.notes)
        assert any("fitted inverse temperature" in note for note in report.notes)
    with pytest.raises(InsufficientDataError, match=r"nearly independent draws \(of 64000\).* record at least \d{5}"):
        check_samples(chains[:, :1000], CASE, "unknown")


def test_another_temperature_is_diagnosed_and_not_called_dependence():
    report = check_samples(draws(at(0.86), n=60_000), CASE)
    assert {"S3", "S12"} == set(failed(report))
    assert report.diagnosis[0].mistake == "temperature"
    assert report.diagnosis[0].explained
    assert "at 0.8" in report.diagnosis[0].description


def test_declared_grid_is_judged_by_itself():
    """H6: a device of three bits passes as one, and fails as an exact one."""
    rough = cases.quantised(CASE, 3)
    x = draws(rough, n=60_000)
    assert check_samples(x, rough).passed
    assert not check_samples(x, CASE).passed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampling": "every_step"}, "sampling: expected one of"),
        ({"scaled": (draws(CASE), 1.0)}, "factor other than 1"),
        ({"gauged": (draws(CASE), [1, 1, 0, 1, 1])}, "5 signs"),
        ({"tolerance": -1.0}, "tolerance"),
    ],
)
def test_wrong_use(options, words):
    with pytest.raises(DomainError, match=words):
        check_device(draws(CASE), CASE, **({"sampling": "iid"} | options))


def test_impossible_values_are_named():
    assert failed(check_device(np.zeros((100, 5)), CASE)) == ["D9"]
