"""Annealed importance sampling: the compiled run is the readable one, its weights have the exact law, log Z is bounded.

Statistical tests use 6.5 standard errors of the empirical weights, whose log deviation is below 1 here: false alarms
below 1e-9 a test; an error of Z of 5 % is found.
"""

import math
import re

import numpy as np
import pytest
from laws import close
from members import GRBM_2X3, GRBM_3X2, GRBMS, RBM_2X4, RBM_3X2
from scipy.special import logsumexp

import ebm_ref as er
from ebm_ref.errors import DomainError, ModelTooLargeError, ShapeError
from ebm_ref.estimate import annealing
from ebm_ref.oracle import annealing as judge
from ebm_ref.oracle import cases

BASE = np.array([0.4, -0.6, 0.7])
SCHEDULE = np.array([0, 0.1, 0.35, 0.6, 1.0])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("model", [RBM_3X2, RBM_2X4, *(m.values[0] for m in GRBMS)])
def test_the_compiled_run_is_the_readable_one(model, reverse):
    base = None if isinstance(model, er.GRBM) else BASE[: model.n_visible]
    got = er.ais_log_partition(model, base, SCHEDULE, 50, 3, reverse)
    zero = np.zeros(model.n_visible) if base is None else base
    close(got.log_weights, annealing.readable_weights(model, zero, SCHEDULE, 50, 3, reverse), 1e-11)
    assert got.log_z_base == annealing.log_z_base(model, zero)


def test_the_path_goes_from_the_base_to_the_model():
    for model, base in ((RBM_3X2, BASE), (GRBM_3X2, np.zeros(3))):
        first, last = (annealing.model_at(model, base, t) for t in (0.0, 1.0))
        close(er.exact.log_partition(first), annealing.log_z_base(model, base))
        close(er.exact.log_partition(last), er.exact.log_partition(model))


@pytest.mark.parametrize(("base", "schedule"), [(BASE, SCHEDULE), (np.zeros(3), np.linspace(0, 1, 6))])
def test_the_oracle_passes_it(base, schedule, seed):
    """check_annealing at "ci": false alarms 1e-6; errors of Z above 6 % excluded; the mean log weight too."""
    case = cases.named("rbm_3x3")
    model = er.RBM(case.W, case.a, case.b)

    def candidate(n, s):
        return er.ais_log_partition(model, base, schedule, n, s)

    report = judge.check_annealing(candidate, case, base, schedule, seed=seed % 2**31)
    assert report.passed, report


def test_the_oracle_rejects_another_schedule(seed):
    """The check bites: one temperature of the declared schedule is left out, another one doubled."""
    case = cases.named("rbm_3x3")
    model = er.RBM(case.W, case.a, case.b)

    def candidate(n, s):
        return er.ais_log_partition(model, BASE, [0, 0.1, 0.1, 0.6, 1.0], n, s).log_weights

    assert not judge.check_annealing(candidate, case, BASE, SCHEDULE, seed=seed % 2**31).passed


@pytest.mark.parametrize("model", [RBM_3X2, RBM_2X4, GRBM_3X2, GRBM_2X3])
def test_the_mean_weight_is_the_ratio_of_partition_functions(model, seed):
    """E[w] = Z/Z_0 forward and E[1/w] = Z_0/Z in reverse, with few temperatures, where a mistake would show."""
    exact, n = er.exact.log_partition(model), 40_000
    for reverse in (False, True):
        found = er.ais_log_partition(model, None, 25, n, seed % 2**31, reverse)
        sign = -1.0 if reverse else 1.0
        w = np.exp(sign * (found.log_weights - (exact - found.log_z_base)))  # mean 1
        assert abs(w.mean() - 1) <= 6.5 * w.std() / math.sqrt(n)
        assert 6.5 * w.std() / math.sqrt(n) < 0.05
        log_w = found.log_weights - (exact - found.log_z_base)
        assert sign * log_w.mean() <= 0  # Jensen: a lower bound forward, an upper one in reverse


@pytest.mark.parametrize("model", [er.RBM.random(12, 8, 0.4, seed=3), er.GRBM.random(6, 10, 0.5, seed=4)])
def test_the_interval_holds_the_exact_value(model):
    """One fixed seed each way: (low, high) is three deviations."""
    exact = er.exact.log_partition(model)
    forward, back = (er.ais_log_partition(model, None, 300, 200, 5, reverse) for reverse in (False, True))
    for found in (forward, back):
        assert found.low < exact < found.high
        assert found.low < found.value < found.high
        assert found.high - found.low < 0.3
        assert 100 < found.ess <= 200


def test_without_weights_every_run_gives_the_exact_value():
    for model in (er.GRBM([[0.0, 0.0]], [0.5], [1.0], [0.7, -2.0]), er.RBM([[0.0, 0.0]], [0.5], [0.7, -2.0])):
        base = None if isinstance(model, er.GRBM) else model.a
        found = er.ais_log_partition(model, base, 3, 5, 1)
        close(found.value, er.exact.log_partition(model))
        close(found.log_weights, np.full(5, np.log((1 + np.exp(model.b)) / 2).sum()))
        close(found.ess, 5.0)


def test_summary_of_weights_beyond_the_floating_range():
    log_w = np.array([-2000.0, -1999.0, -2005.0])
    found = annealing.summary(log_w, 10.0, False)
    close(found.value, 10 + logsumexp(log_w) - math.log(3))
    assert found.low == -math.inf
    assert annealing.summary(log_w, 10.0, True).high == math.inf
    assert annealing.summary(log_w[:1], 10.0, False).value == 10 - 2000.0


def test_the_number_of_threads_and_of_chains_does_not_matter():
    model = er.GRBM.random(20, 10, 0.3, seed=1)
    try:
        er.set_num_threads(1)
        alone = er.ais_log_partition(model, None, 100, 40, 7)
        er.set_num_threads(3)
        assert np.array_equal(er.ais_log_partition(model, None, 100, 40, 7).log_weights, alone.log_weights)
    finally:
        er.set_num_threads(None)
    assert np.array_equal(er.ais_log_partition(model, None, 100, 9, 7).log_weights, alone.log_weights[:9])


def test_the_base_of_data_is_their_smoothed_means():
    data = np.array([[1.0, 0, 1], [1, 0, 0]])
    close(1 / (1 + np.exp(-er.base_bias(data))), [3 / 4, 1 / 4, 1 / 2])


BAD = (
    (
        lambda: er.ais_log_partition(er.BoltzmannMachine.random(3)),
        DomainError,
        "ais_log_partition: expected an RBM or a",
    ),
    (lambda: er.ais_log_partition(GRBM_3X2, BASE), DomainError, "base: expected None for a GRBM"),
    (lambda: er.ais_log_partition(RBM_3X2, [0.0]), ShapeError, "base: expected shape (any, 3), got (1, 1)"),
    (lambda: er.ais_log_partition(RBM_3X2, None, [0, 0.5]), DomainError, "n_temperatures: expected a number, or"),
    (lambda: er.ais_log_partition(RBM_3X2, None, 0), DomainError, "n_temperatures: expected an integer of at least 1"),
    (lambda: er.ais_log_partition(er.GRBM.random(40, 40), reverse=True), ModelTooLargeError, "sample: 2**40"),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_at_the_door(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        call()
