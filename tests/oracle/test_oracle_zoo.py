"""Each wrong kernel is what it says, and dies; the tests' own blindness is known."""

import numpy as np
import pytest
from scipy import stats

from ebm_ref.errors import DomainError
from ebm_ref.oracle import cases, zoo

WITH_MATRIX = tuple(bug for bug in zoo.BUGS if bug.mutate is not None or bug.law is not None)
SMOKE = tuple(bug for bug in zoo.BUGS if bug.profile == "smoke")
CI = ("colder_5", "hidden_bias_omitted", "lazy_5", "couplings_quantised", "last_site_never", "beta_twice", "clipped")


def test_ids_are_unique_and_enough():
    ids = [bug.id for bug in zoo.BUGS]
    assert len(set(ids)) == len(ids) >= 110
    assert all(bug.description and bug.killed_by for bug in zoo.BUGS)
    with pytest.raises(DomainError, match="no bug is called"):
        zoo.bug("unicorn")


@pytest.mark.parametrize("bug", WITH_MATRIX, ids=lambda bug: bug.id)
def test_step_and_matrix_are_the_same_mistake(bug):
    """Chi-square of 20000 transitions from the exact law against the wrong matrix: false alarm about 1e-7 a bug.

    A gross difference only (chi-distance 0.3); that each matrix is stochastic is exact.
    """
    case = bug.fixture()
    P = bug.matrix(case)
    np.testing.assert_allclose(P.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    starts = case.draw(20_000, np.random.default_rng(21))
    ends = case.index(bug.step(case)(case.states[starts], 22))
    S = len(case.pi)
    counts = np.bincount(starts * S + ends, minlength=S * S).reshape(S, S)
    expected = counts.sum(axis=1, keepdims=True) * P
    assert (counts[expected < 1e-9] == 0).all()
    common = expected >= 5
    rest = np.maximum(expected[~common].sum(), 1e-9)
    statistic = ((counts - expected) ** 2)[common] / expected[common]
    statistic = statistic.sum() + (counts[~common].sum() - rest) ** 2 / max(rest, 1.0)
    assert stats.chi2.sf(statistic / 1.15, max(common.sum(), 1)) > 1e-7
    assert np.abs(P - case.P).max() > 1e-4


@pytest.mark.parametrize("name", cases.NAMES)
def test_reference_recipe_is_the_right_kernel(name):
    case = cases.named(name)
    np.testing.assert_allclose(zoo.reference_matrix(case), case.P, rtol=0, atol=1e-14)


@pytest.mark.parametrize("bug", SMOKE, ids=lambda bug: bug.id)
def test_bug_dies_at_smoke_and_is_diagnosed(bug):
    found = zoo.audit_bug(bug, "smoke")
    assert found.killed, str(found.report)
    assert found.named, str(found.report)


@pytest.mark.parametrize("id", CI)
def test_bug_dies_at_ci_and_is_diagnosed(id):
    found = zoo.audit_bug(zoo.bug(id), "ci")
    assert found.killed, str(found.report)
    assert found.named, str(found.report)


@pytest.mark.parametrize(
    ("id", "test"),
    [
        ("stale_half", "S1"),
        ("last_unit_never", "S6"),
        ("energy_sign", "D9"),
        ("rows_stratified", "S13"),
        ("last_row_never", "S1 single"),
        ("seed_plus_row", "D8"),
        ("in_place", "contract"),
    ],
)
def test_named_test_kills(id, test):
    found = zoo.audit_bug(zoo.bug(id), "ci")
    if test not in found.killed_by:
        from ebm_ref.oracle import check_kernel

        case = zoo.bug(id).fixture()
        report = check_kernel(zoo.bug(id).step(case), case, profile="smoke", tests=(test,))
        assert test in [r.test for r in report.failures], str(report)


def test_blind_tests_are_blind():
    """S3 and S12 pass a kernel that is valid but another one; S4 passes a heat bath for Metropolis."""
    from ebm_ref.oracle import check_kernel

    for id, tests in (("two_sweeps", ("S3", "S12")), ("accept_less", ("S4", "S3"))):
        bug = zoo.bug(id)
        case = bug.fixture()
        report = check_kernel(bug.step(case), case, profile="smoke", tests=tests)
        assert all(r.verdict == "pass" for r in report.results if r.test in tests), str(report)


def test_kill_table_reads():
    audits = list(zoo.audit([zoo.bug("w_transposed"), zoo.bug("nan"), zoo.bug("colder_1")], "smoke"))
    assert [a.bug.id for a in audits] == ["w_transposed", "nan"]
    table = zoo.kill_table(audits)
    assert len(table.splitlines()) == 3
    assert "contract" in table.splitlines()[0]


def test_alternatives_differ_from_the_claim_and_from_each_other():
    for name in ("rbm_3x3", "ising_5_chord", "rbm_3x3_cold"):
        case = cases.named(name)
        found = zoo.alternatives(case)
        assert len(found) > 30
        for k, one in enumerate(found):
            assert np.abs(one.P - case.P).max() >= 1e-9
            assert all(np.abs(one.P - other.P).max() >= 1e-9 for other in found[:k])


def test_conventions_are_among_the_alternatives():
    ids = ", ".join(a.id for a in zoo.alternatives(cases.named("rbm_3x3_cold")))
    for id in ("spins_for_bits", "w_transposed", "beta_twice", "hidden_bias_omitted", "j_twice"):
        assert id in ids
