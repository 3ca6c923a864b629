"""check_kernel, check_invariance and check_reversibility on continuous cases: right steps pass, wrong ones die named.

Every statistical check is one Report: false alarms at most 1e-6, for any seed.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

from ebm_ref.errors import DomainError
from ebm_ref.oracle import cases, check_invariance, check_kernel, check_reversibility, zoo
from ebm_ref.oracle.continuous.cases import with_kernel
from ebm_ref.oracle.continuous.kernel import laws_of
from ebm_ref.oracle.continuous.laws import accuracy, cell_law
from ebm_ref.oracle.continuous.recipe import reference, reference_step
from ebm_ref.oracle.continuous.zoo_kernels import KERNEL_BUGS
from ebm_ref.oracle.continuous.zoo_mutations import JOINT
from ebm_ref.oracle.statistics.continuous import column_test, two_sample_test

RIGHT = (
    ("gmm_1d", "mala"),
    ("quartic_1d", "hmc"),
    ("gauss_2d", "mala"),
    ("gauss_2d", "hmc"),
    ("grbm_2x2_hot", "block_gibbs"),
    ("grbm_2x2", "gibbs_langevin"),
    ("grbm_2x2", "gibbs_langevin_adjusted"),
    ("grbm_3x3", "mala"),
)
IDS = (
    "mala_no_proposal_ratio",
    "mala_stale_gradient",
    "mala_never_rejects",
    "mala_temperature",
    "hmc_no_kinetic",
    "hmc_last_kick",
    "hmc_one_less",
    "gibbs_sigma",
    "gibbs_centred",
    "gibbs_krizhevsky",
    "inner_one_more",
)
NAMED = tuple(bug for bug in KERNEL_BUGS if bug.id in IDS or bug.wrap or (bug.kernel == JOINT and bug.mutate))


@pytest.mark.parametrize(("name", "kernel"), RIGHT)
def test_right_kernels_pass(name, kernel):
    case = cases.named(name, kernel)
    report = check_kernel(reference_step(case), case, profile="smoke", seed=2)
    assert report.passed, str(report)
    assert report.false_alarm_bound <= 1e-6 * (1 + 1e-9)
    assert len([r for r in report.results if r.smallest_detectable_effect]) >= 3


@pytest.mark.parametrize("bug", NAMED, ids=lambda bug: bug.id)
def test_wrong_kernels_die_and_are_named(bug):
    report = bug.audit("smoke")
    assert not report.passed
    assert bug.named_by(report), str(report)


def test_ids_of_the_continuous_zoo_are_unique():
    ids = [bug.id for bug in zoo.CONTINUOUS_BUGS]
    assert len(set(ids)) == len(ids) >= 100
    assert not set(ids) & {bug.id for bug in zoo.BUGS}
    assert all(bug.fixture().kernel == bug.kernel for bug in zoo.CONTINUOUS_BUGS)


def test_checks_of_a_named_case_share_its_laws():
    """A fixture is one object, and the laws of one step are computed once for it."""
    bugs = [bug for bug in KERNEL_BUGS if bug.kernel == JOINT]
    assert len({id(bug.fixture()) for bug in bugs}) == 1
    assert laws_of(bugs[0].fixture())[0] is laws_of(cases.named("grbm_2x2", JOINT))[0]


@pytest.mark.parametrize("id", ["mala_shared_uniform", "gibbs_probabilities"])
def test_named_test_kills(id):
    bug = next(bug for bug in KERNEL_BUGS if bug.id == id)
    report = check_kernel(bug.step(), bug.fixture(), profile="smoke", tests=bug.killed_by)
    assert bug.killed_by[0] in [r.test for r in report.failures], str(report)


def test_one_step_law_is_the_integral():
    """Masses of a MALA step on the quartic against adaptive quadrature."""
    case = cases.named("quartic_1d", "mala")
    law, recipe, start = cell_law(case), reference(case), 5
    x = law.starts[start][None]

    def density(z):
        y = recipe.propose(x, np.array([[z]]))[0][0]
        return stats.norm.pdf(z) * recipe.chance(x, y, np.array([[z]]))[0]

    edges = stats.norm.ppf(np.arange(9) / 8)
    exact = [integrate.quad(density, a, b, limit=200)[0] for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(law.P[start, 1:], exact, atol=2e-6)
    np.testing.assert_allclose(law.P[start, 0], 1 - sum(exact), atol=4e-6)


@pytest.mark.parametrize(
    ("name", "kernel"),
    [("gmm_1d", "mala"), ("gmm_1d", "hmc"), ("mlp_1d", "mala"), ("gauss_2d", "mala"), ("grbm_2x2_hot", "mala"),
     ("grbm_2x2", "gibbs_langevin"), ("grbm_2x3", "gibbs_langevin"), ("grbm_2x2", "gibbs_langevin_adjusted")],
)  # fmt: skip
def test_one_step_law_is_accurate_to_the_last_stage_of_certify(name, kernel):
    """The chi-square distance that a finer quadrature makes is far below 1 / (64 * 2^24)."""
    law = cell_law(cases.named(name, kernel))
    law = replace(law, starts=law.starts[:3], edges=law.edges[:3], P=law.P[:3])
    order, width = accuracy(law.case)
    better = law.masses(reference(law.case), order + 8 if width == np.inf else order, width / 2)
    distance = ((law.P - better) ** 2 / np.maximum(better, 1e-300))[better > 0].sum() / 3
    assert distance < 1e-9, distance


@pytest.mark.parametrize("kernel", ["gibbs_langevin", "gibbs_langevin_adjusted"])
def test_inner_chain_is_n_inner_langevin_steps(kernel):
    """rho and tau of the closed form against the loop over inner steps, on mean and variance."""
    case = cases.named("grbm_2x3", kernel)
    rho, tau = reference(case).inner_chain()
    var = np.exp(case.log_var)
    mean, spread = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(case.n_inner):
        mean = mean - case.step_size * mean / var
        spread = spread * (1 - case.step_size / var) ** 2 + 2 * case.step_size
    np.testing.assert_allclose(mean, rho * [1.0, -2.0], rtol=1e-13)
    np.testing.assert_allclose(spread, tau**2, rtol=1e-13)


def test_invariance_and_reversibility():
    """Barker's rule keeps the law and is reversible, though it is another kernel; ULA keeps nothing."""
    bugs = {bug.id: bug for bug in KERNEL_BUGS}
    barker, case = bugs["mala_barker"], bugs["mala_barker"].fixture()
    assert check_invariance(barker.step(), case, profile="smoke").passed
    assert check_reversibility(barker.step(), case, profile="smoke").passed
    ula = bugs["mala_never_rejects"].step()
    assert not check_invariance(ula, case, profile="smoke").passed
    assert not check_reversibility(bugs["mala_no_proposal_ratio"].step(), case, profile="smoke").passed
    with pytest.raises(DomainError, match="not reversible"):
        check_reversibility(ula, with_kernel(case, "ula"))


def test_the_identity_is_seen_for_what_it_is():
    case = cases.named("gmm_1d", "mala")
    report = check_kernel(lambda x, seed: x, case, profile="smoke")
    assert "returns its input" in report.failures[0].message
    assert any("unchanged" in note for note in check_invariance(lambda x, seed: x, case, profile="smoke").notes)


def test_reports_render(tmp_path):
    bug = next(bug for bug in KERNEL_BUGS if bug.id == "mala_no_proposal_ratio")
    report = bug.audit("smoke")
    assert "svg" in report.to_html(tmp_path / "a.html")
    assert "proposal ratio missing" in report.to_junit(tmp_path / "a.xml")
    assert "cases.named('gmm_1d', 'mala')" in report.to_json()


def test_column_and_two_sample_tests_see_a_shift():
    rng = np.random.default_rng(0)
    u = rng.random(4000)
    even, tilted = (np.bincount((v * 64).astype(int), minlength=64) for v in (u, u**1.2))
    assert column_test(even, rng)[0] > 1e-3
    assert column_test(tilted, rng)[0] == 1e-3
    assert two_sample_test(u, rng.random(4000), rng)[0] > 1e-3
    assert two_sample_test(u, u**1.5, rng)[0] == 1e-3
