"""check_kernel and its siblings: right kernels pass, wrong ones fail with a name, bad candidates never crash it.

False alarms: each check of a right kernel fails with probability at most 1e-6, and the seeds are fixed.  What a check
could miss stands in its report; the smoke profile sees chi-distances above 0.25 (full face) on ``rbm_3x3``.
"""

import math
import re
import time

import numpy as np
import pytest

from ebm_ref.errors import DomainError
from ebm_ref.oracle import cases, check_invariance, check_kernel, check_reversibility, naive, zoo


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def block_gibbs(case):
    """A candidate written as a user would write it; nothing of the zoo's recipe."""

    def step(states, seed):
        rng = np.random.default_rng(seed)
        x = states[:, : case.n_visible]
        h = (rng.random((len(x), case.n_hidden)) < sigmoid(case.b + x @ case.W)).astype(float)
        x = (rng.random(x.shape) < sigmoid(case.a + h @ case.W.T)).astype(float)
        return np.concatenate([x, h], axis=1)

    return step


def metropolis(case):
    """One uniformly proposed flip of an Ising spin."""

    def step(states, seed):
        rng = np.random.default_rng(seed)
        s, rows = states.copy(), np.arange(len(states))
        site = rng.integers(0, case.n_units, len(s))
        change = 2 * s[rows, site] * (case.c[site] + (case.J[site] * s).sum(axis=1))
        s[rows, site] *= np.where(rng.random(len(s)) < np.exp(-change), -1, 1)
        return s

    return step


RBM = cases.named("rbm_3x3")
ISING = cases.named("ising_5_chord")


@pytest.mark.parametrize(
    "name", ["rbm_3x3", "rbm_4x2", "rbm_3x2_hot", "rbm_slow_3x3", "rbm_1x1", "rbm_w0", "rbm_uniform"]
)
def test_right_block_gibbs_passes(name):
    case = cases.named(name)
    report = check_kernel(block_gibbs(case), case, profile="smoke")
    assert report.passed, str(report)
    assert report.false_alarm_bound <= 1e-6 * (1 + 1e-9)


@pytest.mark.parametrize("name", ["ising_5_chord", "ising_5_chord_cold", "ising_degenerate"])
def test_right_metropolis_passes(name):
    case = cases.named(name)
    assert check_kernel(metropolis(case), case, profile="smoke").passed


@pytest.mark.parametrize("kernel", naive.KERNELS)
@pytest.mark.parametrize("name", ["rbm_3x3_clamped", "rbm_extreme", "boltzmann_4"])
def test_reference_step_passes_as_every_kernel(name, kernel):
    if name == "boltzmann_4" and kernel == "block_gibbs":
        pytest.skip("one layer")
    case = cases.named(name, kernel=kernel)
    report = check_kernel(zoo.reference_step(case), case, profile="smoke", seed=3)
    assert report.passed, str(report)


def test_ci_profile_in_time():
    """Under 10 s including Monte Carlo calibration (about 3 s here), smoke under 2 s on a free core."""
    before = time.process_time()
    report = check_kernel(block_gibbs(RBM), RBM)
    assert report.passed
    assert time.process_time() - before < 10
    s1 = next(r for r in report.results if r.test == "S1")
    assert s1.smallest_detectable_effect < 0.065
    assert s1.details["detectable"]["lumped"] < 0.042


def test_another_kernel_with_the_same_law_is_rejected_but_invariant():
    """Two sweeps for one: invariance is blind, the pair test is not."""

    def twice(states, seed):
        step = block_gibbs(RBM)
        return step(step(states, seed), seed + 1)

    assert check_invariance(twice, RBM, profile="smoke").passed
    report = check_kernel(twice, RBM, profile="smoke")
    assert not report.passed
    assert "two sweeps" in report.diagnosis[0].description
    assert report.diagnosis[0].explained


def test_wrong_law_fails_invariance_with_a_diagnosis():
    wrong = zoo.bug("hidden_bias_sign")
    report = check_invariance(wrong.step(), RBM, profile="smoke")
    assert not report.passed
    assert report.diagnosis[0].mistake == "hidden_bias_sign"


def test_reversibility_of_right_kernels():
    assert check_reversibility(metropolis(ISING), ISING, profile="smoke").passed
    assert check_reversibility(block_gibbs(RBM), RBM, profile="smoke").passed


@pytest.mark.parametrize("kernel", ["gibbs", "metropolis_sweep"])
def test_systematic_scan_is_not_reversible(kernel):
    """The flow of a sweep is not symmetric: the check refuses the case, and its tests reject the kernel."""
    sweep = cases.named("ising_5_chord", kernel=kernel)
    with pytest.raises(DomainError, match="is not reversible"):
        check_reversibility(metropolis(sweep), sweep)
    report = check_reversibility(zoo.reference_step(sweep), ISING, profile="smoke")
    assert not report.passed


def test_same_seed_same_report():
    wrong = zoo.bug("stale_half").step()
    one, two = (check_kernel(wrong, RBM, profile="smoke", seed=7) for _ in range(2))
    assert one.to_json() == two.to_json()


def test_replay_of_one_test_gives_its_numbers():
    whole = check_kernel(block_gibbs(RBM), RBM, profile="smoke", seed=2)
    alone = check_kernel(block_gibbs(RBM), RBM, profile="smoke", seed=2, tests=("S12",))
    of_whole, of_alone = (next(r for r in report.results if r.test == "S12") for report in (whole, alone))
    assert of_whole == of_alone
    assert "tests=('S12',)" in of_whole.replay


def test_kernel_outside_the_zoo_is_caught_and_not_misnamed():
    """Every unit keeps its value with chance 2 %."""
    right = block_gibbs(RBM)

    def sticky(states, seed):
        new = right(states, seed)
        keep = np.random.default_rng([seed, 9]).random(new.shape) < 0.02
        return np.where(keep, states, new)

    report = check_kernel(sticky, RBM)
    assert not report.passed
    assert not report.diagnosis[0].explained
    assert "None of the known mistakes; nearest" in str(report)


class Tensor:
    """Quacks like a PyTorch tensor on a device, in bfloat16."""

    dtype = "torch.bfloat16"

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return self.array.astype(np.float32)


@pytest.mark.parametrize(
    "convert",
    [
        Tensor,
        lambda a: a.astype(np.float32),
        lambda a: a.astype(np.int8),
        lambda a: a.astype(bool),
        lambda a: a.tolist(),
    ],
    ids=["tensor", "float32", "int8", "bool", "lists"],
)
def test_any_array_may_come_back(convert):
    right = block_gibbs(RBM)
    assert check_kernel(lambda states, seed: convert(right(states, seed)), RBM, profile="smoke", tests=("S12",)).passed


def test_candidate_gets_fresh_states_it_may_not_keep():
    """A candidate that returns its own buffer each time is right."""
    right, buffer = block_gibbs(RBM), {}

    def reuse(states, seed):
        new = right(states, seed)
        buffer.setdefault(new.shape, np.empty(new.shape))[:] = new
        return buffer[new.shape]

    assert check_kernel(reuse, RBM, profile="smoke").passed


def test_global_generator_is_a_note_not_a_failure():
    rng = np.random.default_rng(5)

    def stateful(states, seed):
        return block_gibbs(RBM)(states, rng.integers(2**62))

    report = check_kernel(stateful, RBM, profile="smoke")
    assert report.passed
    assert any("not reproducible" in note for note in report.notes)


def bad(change):
    right = block_gibbs(RBM)
    return lambda states, seed: change(right(states, seed))


def raises(states, seed):
    raise ValueError("no such device")


def in_place(states, seed):
    states[:] = block_gibbs(RBM)(states, seed)
    return states


@pytest.mark.parametrize(
    ("step", "test", "words"),
    [
        (raises, "contract", r"step raised ValueError on 64 rows at line \d+ of test_oracle_kernel.py: no such device"),
        (lambda states: states, "contract", "step raised TypeError"),
        (lambda states, seed: None, "contract", "step returned None; expected an array of states"),
        (bad(lambda new: exit(3)), "contract", "step raised SystemExit"),
        (bad(lambda new: new[:, :3]), "contract", r"step returned shape \(64, 3\); expected \(64, 6\)"),
        (bad(lambda new: new[0]), "contract", r"step returned shape \(6,\)"),
        (bad(lambda new: new.astype(str)), "contract", "step returned dtype"),
        (bad(lambda new: new.astype(complex)), "contract", "step returned dtype complex128"),
        (bad(lambda new: np.full_like(new, np.nan)), "contract", r"step returned nan at \[0, 0\]"),
        (bad(lambda new: 2 * new - 1), "D9", "map x = "),
        (bad(lambda new: 0.25 + 0.5 * new), "D9", "return draws, not means"),
        (bad(lambda new: new + 7), "D9", "units are 0 or 1"),
        (in_place, "contract", "changed the array of states it was given"),
        (lambda states, seed: states, "contract", "returned its input for all"),
        (lambda states, seed: block_gibbs(RBM)(states, 4), "D8", "same answer for 37 different seeds"),
        (lambda states, seed: block_gibbs(RBM)(states, seed // 256), "D8", "different seeds gave the same answer"),
    ],
)
def test_bad_candidates_are_named_failures(step, test, words):
    report = check_kernel(step, RBM, profile="smoke")
    assert not report.passed
    assert [r.test for r in report.failures] == [test]

    assert re.search(words, report.failures[0].message), report.failures[0].message
    assert report.diagnosis[0].explained
    assert math.isinf(report.diagnosis[0].log_likelihood_ratio)


def test_failure_that_comes_late_is_named_too():
    """Right on 64 rows, wrong shape on one row: found by the test with single rows."""
    report = check_kernel(bad(lambda new: new[0] if len(new) == 1 else new), RBM, profile="smoke")
    assert [r.test for r in report.failures] == ["contract"]
    assert "(during S1 single)" in report.failures[0].message


def test_clamped_unit_that_moves():
    case = cases.named("rbm_3x3_clamped")
    report = check_kernel(block_gibbs(case), case, profile="smoke")
    assert "clamped units must keep {0: 1, 4: 0}" in report.failures[0].message


def test_wrong_use_is_refused():
    step = block_gibbs(RBM)
    with pytest.raises(DomainError, match="profile: expected one of 'smoke', 'ci', 'nightly', 'certify', got 'fast'"):
        check_kernel(step, RBM, profile="fast")
    with pytest.raises(DomainError, match="tests: expected one of"):
        check_kernel(step, RBM, tests=("S99",))
    with pytest.raises(DomainError, match="seed: expected an integer"):
        check_kernel(step, RBM, seed=-1)
    with pytest.raises(DomainError, match="case: expected a Case such as"):
        check_kernel(step, "rbm_3x3")
