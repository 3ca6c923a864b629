"""Cases by their table: Potts models, replica exchange, declared grids; right kernels pass, mistakes die by name."""

import itertools
import math

import numpy as np
import pytest

from ebm_ref.errors import DomainError, ModelTooLargeError, ShapeError
from ebm_ref.oracle import cases, check_kernel, check_reversibility, zoo

POTTS = cases.named("potts_3x3")
REPLICAS = cases.named("tempering_1x1")
KERNELS = [("potts_3x3", k) for k in ("gibbs", "gibbs_random", "metropolis")]
KERNELS += [("tempering_1x1", k) for k in ("tempering", "swap", "swap_even_odd")]
TABLED = tuple(bug for bug in zoo.BUGS if bug.case in cases.TABLE_NAMES)


@pytest.mark.parametrize(("name", "kernel"), KERNELS)
def test_two_routes_to_the_matrix_agree(name, kernel):
    case = cases.named(name, kernel)
    np.testing.assert_allclose(case.P.sum(axis=1), 1.0, rtol=0, atol=1e-14)
    np.testing.assert_allclose(case.pi @ case.P, case.pi, rtol=0, atol=1e-15)
    np.testing.assert_allclose(zoo.reference_matrix(case), case.P, rtol=0, atol=1e-14)
    assert case.reversible == (kernel in ("gibbs_random", "metropolis", "swap"))


@pytest.mark.parametrize(("name", "kernel"), KERNELS)
def test_right_steps_pass(name, kernel):
    """False alarm 1e-6 each."""
    case = cases.named(name, kernel)
    few = ("S1", "S6") if kernel == "tempering" else None
    report = check_kernel(zoo.reference_step(case), case, profile="smoke", tests=few)
    assert report.passed, str(report)


@pytest.mark.parametrize("bug", TABLED, ids=lambda bug: bug.id)
def test_each_mistake_dies_by_name(bug):
    found = zoo.audit_bug(bug, "smoke")
    assert found.killed, str(found.report)
    assert found.named, str(found.report)


def test_the_swap_of_the_wrong_sign_is_number_49():
    assert [bug.id for bug in TABLED if bug.number == 49] == ["swap_sign"]


def test_two_colours_are_an_ising_model():
    """J [s = t] with two colours is J/2 s t + const on -1/+1."""
    rng = np.random.default_rng(3)
    J = np.triu(rng.normal(size=(3, 3)), 1)
    J, h = J + J.T, rng.normal(size=(3, 2))
    two = cases.potts(J, h, beta=0.7, kernel="metropolis")
    spins = cases.ising(J / 2, (h[:, 1] - h[:, 0]) / 2, beta=0.7)
    np.testing.assert_allclose(two.pi, spins.pi, rtol=1e-13)
    np.testing.assert_allclose(two.P, spins.P, rtol=0, atol=1e-14)


def test_law_of_replicas_is_a_product():
    base, betas = REPLICAS.model.base, REPLICAS.model.betas
    laws = [np.exp(-beta * base.energies) / np.exp(-beta * base.energies).sum() for beta in betas]
    for row, p in zip(REPLICAS.states, REPLICAS.pi, strict=True):
        parts = base.index(row.reshape(-1, base.n_units))
        assert math.isclose(p, math.prod(law[k] for law, k in zip(laws, parts, strict=True)), rel_tol=1e-13)


def test_fine_grids_approach_the_exact_kernel():
    exact = cases.named("ising_5_chord")
    gaps = [np.abs(cases.quantised(exact, bits).pi - exact.pi).sum() for bits in (4, 8, 16)]
    assert gaps[0] > gaps[1] > gaps[2] > 0
    np.testing.assert_allclose(cases.quantised(exact, 52).P, exact.P, rtol=0, atol=1e-15)


def test_a_device_of_five_bits_passes_as_such_and_not_as_exact():
    case = cases.named("rbm_3x3")
    device, rough = zoo.bug("five_bits").step(case), cases.quantised(case, 5)
    assert check_kernel(device, rough, profile="smoke").passed
    report = check_kernel(zoo.reference_step(case), cases.quantised(case, 4), profile="smoke")
    assert report.diagnosis[0].mistake.startswith("exact_probabilities")


def test_any_kernel_by_its_matrix():
    states = list(itertools.product((0, 1, 7), repeat=2))
    rng = np.random.default_rng(1)
    P = rng.dirichlet(np.ones(9), size=9)
    case = cases.table(states, P / P.sum(axis=1, keepdims=True))
    assert check_kernel(zoo.reference_step(case), case, profile="smoke").passed
    assert case.index([[7, 0], [0, 2]]).tolist() == [6, -1]
    stuck = check_kernel(lambda s, seed: np.where(s == 7, 1, zoo.reference_step(case)(s, seed)), case, profile="smoke")
    assert not stuck.passed


def test_off_support_is_named():
    report = check_kernel(lambda s, seed: s + 3, POTTS, profile="smoke")
    assert [r.test for r in report.failures] == ["D9"]
    assert "units of potts_3x3 are 0, 1, 2" in report.failures[0].message


def test_reversibility_of_swaps():
    case = cases.named("tempering_1x1", "swap")
    assert check_reversibility(zoo.reference_step(case), case, profile="smoke").passed
    with pytest.raises(DomainError, match="not reversible"):
        check_reversibility(zoo.reference_step(REPLICAS), REPLICAS, profile="smoke")


def test_a_case_of_256_states_fits_into_memory():
    """Rows of equal law are judged group by group: a step of 8 units takes well under 1 GB and a few seconds."""
    rng = np.random.default_rng(8)
    case = cases.rbm(rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3), kernel="gibbs_random")
    report = check_kernel(zoo.reference_step(case), case, profile="smoke", tests=("S1",))
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: cases.potts(np.ones((2, 2)), np.zeros((2, 3))), DomainError, "zero diagonal"),
        (lambda: cases.potts(np.zeros((2, 2)), np.zeros((3, 3))), ShapeError, "J: expected shape"),
        (lambda: cases.potts(np.zeros((9, 9)), np.zeros((9, 3))), ModelTooLargeError, r"3\*\*9 states"),
        (lambda: cases.tempering(cases.named("rbm_3x3"), (1.0, 0.5, 0.2)), ModelTooLargeError, "product states"),
        (lambda: cases.tempering(cases.named("rbm_1x1"), (1.0,)), DomainError, "at least two"),
        (lambda: cases.quantised(cases.named("rbm_extreme"), 3), DomainError, "3 are too few"),
        (lambda: cases.table([[0], [0]], np.eye(2)), DomainError, "all different"),
        (lambda: cases.table([[0], [1]], np.eye(2)), DomainError, "one invariant law"),
        (lambda: cases.table([[0], [1]], [[0.5, 0.6], [0.5, 0.5]]), DomainError, "rows of probabilities"),
        (lambda: cases.table([[0], [1]], [[0.5, 0.5], [0.5, 0.5]], [0.4, 0.6]), DomainError, "pi P = pi"),
        (lambda: cases.named("potts_3x3", "tempering"), DomainError, "kernel: expected one of"),
    ],
)
def test_wrong_use(make, error, words):
    with pytest.raises(error, match=words):
        make()
