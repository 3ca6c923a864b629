"""log Z to 12 digits of a 50-digit sum, by every method and executor; too large a model is refused before any work."""

import re
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import product
from multiprocessing import get_context

import laws
import mpmath
import numpy as np
import pytest
from members import RBM_3X2

import ebm_ref as er
from ebm_ref.errors import DomainError, ModelTooLargeError

METHODS = ("product", "gray", "vectorized")


def exact_log_z(model) -> mpmath.mpf:
    """log sum exp(-E) over the smaller layer (RBM) or all states, to 50 digits, from the equation."""
    with mpmath.workdps(50):
        if isinstance(model, er.BoltzmannMachine):
            J, c = mpmath.matrix(model.J.tolist()), [mpmath.mpf(v) for v in model.c.tolist()]
            total = mpmath.mpf(0)
            for s in product((0, 1), repeat=len(c)):
                on = [i for i, bit in enumerate(s) if bit]
                total += mpmath.exp(mpmath.fsum([c[i] for i in on] + [J[i, j] for i in on for j in on if i < j]))
            return mpmath.log(total)
        W, a, b = (
            [[mpmath.mpf(v) for v in row] for row in np.atleast_2d(leaf).tolist()]
            for leaf in (model.W, model.a, model.b)
        )
        total = mpmath.mpf(0)
        for h in product((0, 1), repeat=model.n_hidden):
            on = [j for j, bit in enumerate(h) if bit]
            term = mpmath.exp(mpmath.fsum(b[0][j] for j in on))
            for i in range(model.n_visible):
                term *= 1 + mpmath.exp(a[0][i] + mpmath.fsum(W[i][j] for j in on))
            total += term
        return mpmath.log(total)


def extreme_rbm(seed: int, n_visible: int, n_hidden: int, weight: float, bias: float):
    """Weights uniform up to +-weight with some at the limits, biases likewise."""
    rng = np.random.default_rng(seed)

    def leaf(shape, top):
        values = rng.uniform(-top, top, shape)
        ends = rng.random(shape) < 0.2
        return np.where(ends, np.sign(values) * top, values)

    return er.RBM(leaf((n_visible, n_hidden), weight), leaf(n_visible, bias), leaf(n_hidden, bias))


CASES = [
    (nv, nh, weight, bias)
    for nv, nh in ((3, 2), (5, 9), (12, 10), (1, 1), (7, 11))
    for weight, bias in ((50.0, 1000.0), (50.0, 30.0), (50.0, 0.5), (1.0, 1000.0), (30.0, 100.0), (0.2, 0.2))
]


@pytest.mark.parametrize(("n_visible", "n_hidden", "weight", "bias"), CASES)
def test_fifty_digits(n_visible, n_hidden, weight, bias):
    """Weights to +-50 and biases to +-1000: relative error at most 1e-12 by every method that applies."""
    model = extreme_rbm(n_visible * 100 + n_hidden, n_visible, n_hidden, weight, bias)
    exact = exact_log_z(model)
    for method in ("auto", *METHODS):
        try:
            got = er.exact.log_partition(model, method=method)
        except DomainError:
            assert method == "product"
            assert laws.may_refuse_the_product_form(model)
            continue
        assert abs(got - exact) <= 1e-12 * abs(exact), method


@pytest.mark.parametrize(("weight", "bias"), [(50.0, 1000.0), (50.0, 3.0), (20.0, 20.0), (1.0, 1.0)])
@pytest.mark.parametrize("n", [2, 6, 10])
def test_fifty_digits_for_machines(n, weight, bias):
    rng = np.random.default_rng(n)
    upper = np.triu(rng.uniform(-weight, weight, (n, n)), 1)
    model = er.BoltzmannMachine(upper + upper.T, rng.uniform(-bias, bias, n), n_visible=n // 2)
    exact = exact_log_z(model)
    for method in ("auto", *METHODS):
        try:
            got = er.exact.log_partition(model, method=method)
        except DomainError:
            assert method == "product"
            continue
        assert abs(got - exact) <= 1e-12 * abs(exact), method


def test_a_small_log_z_keeps_its_digits():
    """All biases far below zero: Z is one plus very little, log Z its excess."""
    model = er.RBM([[5.0, -3.0], [2.0, 7.0], [1.0, 1.0]], [-600.0, -30.0, -20.0], [-25.0, -28.0])
    exact = exact_log_z(model)
    assert 0 < exact < 1e-8
    for method in METHODS:
        assert abs(er.exact.log_partition(model, method=method) - exact) <= 4e-16  # an ulp of Z = 1


def test_product_form_is_refused_where_it_may_overflow_and_auto_falls_back():
    strong = er.RBM([[400.0, -300.0], [1.0, 2.0]], [0.0, 3.0], [1.0, 2.0])
    with pytest.raises(DomainError, match=r"^method='product': expected .*; use method='auto'"):
        er.exact.log_partition(strong, method="product")
    assert er.exact.log_partition(strong) == er.exact.log_partition(strong, method="gray")


@pytest.mark.parametrize("units", [(17, 14), (40, 17)])
def test_methods_agree_over_many_shards(units):
    model = er.RBM.random(*units, 0.8, seed=3)
    values = [er.exact.log_partition(model, method=method) for method in METHODS]
    assert max(values) - min(values) <= 1e-12 * abs(values[0])
    machine = er.BoltzmannMachine.random(units[1], 0.7, seed=2)
    values = [er.exact.log_partition(machine, method=method) for method in METHODS]
    assert max(values) - min(values) <= 1e-12 * abs(values[0])


@pytest.mark.parametrize("method", ["product", "gray"])
@pytest.mark.parametrize(
    "model", [er.RBM.random(9, 16, 0.9, seed=4).swapped(), er.BoltzmannMachine.random(15, 0.9, seed=4)]
)
def test_threads_and_executors_change_no_bit(method, model):
    values = []
    for threads in (1, 2):
        try:
            er.set_num_threads(threads)
            values.append(er.exact.log_partition(model, method=method))
        finally:
            er.set_num_threads(None)
    with ThreadPoolExecutor(3) as executor:
        values.append(er.exact.log_partition(model, method=method, executor=executor))
    assert len(set(values)) == 1


def test_processes_change_no_bit():
    model = er.RBM.random(20, 15, 0.9, seed=4)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        assert er.exact.log_partition(model, executor=executor) == er.exact.log_partition(model)


@pytest.mark.parametrize("method", ["auto", "gray", "vectorized"])
@pytest.mark.parametrize("n", [60, 2000])
def test_a_model_that_is_too_large_is_refused_at_once(method, n):
    began = time.perf_counter()
    with pytest.raises(ModelTooLargeError, match=rf"^log_partition: 2\*\*{n} states, .+; use ais_log_partition"):
        er.exact.log_partition(er.RBM.random(n, n), method=method)
    assert time.perf_counter() - began < 2.0


def test_the_estimate_of_the_time_is_in_the_message():
    with pytest.raises(ModelTooLargeError, match=r"2\*\*40 states, about [0-9.e+]+ h"):
        er.exact.log_partition(er.RBM.random(40, 40, 0.1), max_seconds=60)
    with pytest.raises(ModelTooLargeError, match=r"2\*\*12 states"):
        er.exact.log_partition(er.RBM.random(12, 12), max_seconds=1e-9)
    with pytest.raises(ModelTooLargeError, match=r"^log_partition: 2\*\*64 states"):
        er.exact.log_partition(er.BoltzmannMachine.random(64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: er.exact.probabilities(er.RBM.random(40, 2)), "probabilities: 2**40"),
        (lambda: er.exact.joint_probabilities(er.RBM.random(20, 20)), "joint_probabilities: 2**40"),
        (lambda: er.exact.sample(er.RBM.random(40, 40), 3, 0), "sample: 2**40"),
        (lambda: er.exact.joint_map(er.RBM.random(40, 40)), "joint_map: 2**40"),
        (lambda: er.exact.fisher_information(er.RBM.random(40, 2)), "fisher_information: 2**40"),
        (lambda: er.exact.cd_gradient(er.RBM.random(20, 20), np.zeros((1, 20))), "cd_gradient: 2**40"),
        (lambda: er.exact.transition_matrix(er.gibbs(er.RBM.random(20, 20))), "transition_matrix: 2**40"),
        (lambda: er.exact.kl_divergence(er.RBM.random(40, 2), er.RBM.random(40, 2)), "kl_divergence: 2**40"),
        (lambda: er.exact.moments(er.RBM.random(60, 60)), "moments: 2**60"),
    ],
)
def test_tables_that_are_too_large_are_refused_at_once(call, message):
    began = time.perf_counter()
    with pytest.raises(ModelTooLargeError, match="^" + re.escape(message)):
        call()
    assert time.perf_counter() - began < 1.0


def test_bad_input():
    with pytest.raises(DomainError, match=r"^method: expected one of"):
        er.exact.log_partition(RBM_3X2, method="magic")


def test_progress_changes_nothing(capsys):
    model = er.RBM.random(16, 16, seed=1)
    assert er.exact.log_partition(model, progress=True) == er.exact.log_partition(model)
    assert capsys.readouterr().out == ""
