"""The statistics keep their levels, have the power that they state, and do their arithmetic.

Level tests: the number of rejections among R independent simulated experiments is at most the 1 - 1e-7 quantile of
Binomial(R, level); a level twice as high as stated would be found with probability > .9.
"""

import math

import numpy as np
import pytest
from scipy import stats

from ebm_ref.errors import DomainError, InsufficientDataError
from ebm_ref.oracle import cases
from ebm_ref.oracle.statistics import chains, evalues, exact, pairs, sequential
from ebm_ref.oracle.statistics.seeds import NULL, Seeds

CASE = cases.named("boltzmann_4", kernel="gibbs_random")
LAW = pairs.pair_law(CASE.P, CASE.states)
B, REPEATS = 99, 400


def drawn_counts(rng, P=None, n=2000):
    """Transition counts (S, S) from exact starts."""
    P = CASE.P if P is None else P
    starts = rng.multinomial(n, CASE.pi)
    return np.array([rng.multinomial(k, row) for k, row in zip(starts, P, strict=True)])


def s1(rng):
    return pairs.pair_test(drawn_counts(rng), LAW, rng, B).p_value


def s2(rng):
    counts = np.array([rng.multinomial(100, row) for row in CASE.P])
    return pairs.row_test(counts, CASE.P, rng, B).p_value


def s3(rng):
    column, _ = pairs.law_test(drawn_counts(rng).sum(axis=0), CASE.pi, rng, B)
    return float((column >= column[0]).mean())


def s4(rng):
    return exact.symmetry_test(drawn_counts(rng), rng, B).p_value


def s6(rng):
    counts = np.array([rng.multinomial(100, row) for row in CASE.P])
    return exact.unit_test(counts, CASE.P, CASE.states).p_value


def s10(rng, which=0):
    starts = CASE.draw(8, rng)
    path = [starts]
    for _ in range(60):
        path.append(np.array([rng.choice(len(CASE.pi), p=CASE.P[x]) for x in path[-1]]))
    return chains.chain_test(np.array(path).T, LAW, CASE.pi, rng, B)[which].p_value


def s9(rng):
    return s10(rng, 1)


def s12(rng):
    f, names = pairs.features(CASE.states, CASE.energies)
    return pairs.moment_test(drawn_counts(rng).sum(axis=0), CASE.pi, f, names, rng, B).p_value


def s13(rng):
    p = CASE.P[3]
    draws = rng.choice(len(p), size=(16, 40), p=p)
    tables = {"neighbours": chains.joint_counts(draws[:, ::2].ravel(), draws[:, 1::2].ravel(), len(p))}
    calls = np.array([np.bincount(row, minlength=len(p)) for row in draws])
    return chains.independence_test(tables, calls, CASE.states, p, rng, B).p_value


def s5(rng):
    return exact.rank_test(rng.integers(0, 8, (300, 2)), 8, rng, B).p_value


LEVEL_TESTS = (s1, s2, s3, s4, s5, s6, s12, s13)


def too_many(p_values, level):
    """True if the rejections at ``level`` are more than chance 1e-7 allows."""
    rejections = int(np.sum(np.asarray(p_values) <= level))
    return stats.binom.sf(rejections - 1, len(p_values), level) < 1e-7


@pytest.mark.parametrize("test", LEVEL_TESTS, ids=lambda test: test.__name__)
def test_p_values_keep_their_level(test):
    p_values = [test(np.random.default_rng([11, repeat])) for repeat in range(REPEATS)]
    assert not too_many(p_values, 0.05)
    assert not too_many(p_values, 0.2)


@pytest.mark.parametrize("test", [s9, s10], ids=lambda test: test.__name__)
def test_chain_p_values_keep_their_level(test):
    p_values = [test(np.random.default_rng([12, repeat])) for repeat in range(100)]
    assert not too_many(p_values, 0.05)
    assert not too_many(p_values, 0.2)


def test_the_level_test_bites():
    """A p-value that is half of what it should be is found out."""
    p_values = [s3(np.random.default_rng([13, repeat])) / 4 for repeat in range(REPEATS)]
    assert too_many(p_values, 0.05)


def test_e_values_are_small_on_the_right_kernel():
    """Ville: P(e >= 100) <= 0.01 for each; more than 13 of 300 has chance < 1e-5."""
    alternatives = [np.linalg.matrix_power(CASE.P, 2), 0.95 * CASE.P + 0.05 * np.eye(len(CASE.pi))]
    large = 0
    for repeat in range(300):
        counts = drawn_counts(np.random.default_rng([14, repeat]), n=500)
        ratios = evalues.log_likelihood_ratios(counts, CASE.P, alternatives)
        e_values = evalues.mixture_log_e(ratios), evalues.dirichlet_log_e(counts, CASE.P, LAW.labels)
        large += max(e_values) >= math.log(100)
    assert large <= 13


def test_mean_of_the_dirichlet_e_value_is_one():
    """E[e] = 1 exactly, by enumeration of all outcomes of three draws from one row."""
    P = np.array([[0.5, 0.3, 0.2]])
    total = 0.0
    for i in range(4):
        for j in range(4 - i):
            counts = np.array([[i, j, 3 - i - j]])
            total += stats.multinomial.pmf(counts[0], 3, P[0]) * math.exp(
                evalues.dirichlet_log_e(counts, P, np.zeros(1, int))
            )
    assert math.isclose(total, 1.0, rel_tol=1e-9)


def test_e_values_see_a_wrong_kernel():
    wrong = 0.5 * CASE.P + 0.5 * np.eye(len(CASE.pi))
    counts = drawn_counts(np.random.default_rng(15), wrong, 20_000)
    assert evalues.dirichlet_log_e(counts, CASE.P, LAW.labels) > 18.4
    assert evalues.log_likelihood_ratios(counts, CASE.P, [wrong])[0] > 18.4


def test_one_huge_face_is_not_hidden_by_its_own_fit():
    """The observed value leaves its column's fit, so the smallest possible p comes out."""
    pool = np.abs(np.random.default_rng(16).normal(size=(1000, 3)))
    pool[0, 1] = 1e9
    assert pairs.monte_carlo_p(pool)[0] == 0.001


def test_faces_see_what_the_lumped_face_is_blind_to():
    """A hidden unit that is never updated: the lumped face is blind, the others are not."""
    from ebm_ref.oracle import zoo

    case = cases.named("rbm_3x3")
    law = pairs.pair_law(case.P, case.states)
    wrong = zoo.bug("last_hidden_never").matrix(case)
    rng = np.random.default_rng(17)
    starts = rng.multinomial(4096, case.pi)
    counts = np.array([rng.multinomial(k, row) for k, row in zip(starts, wrong, strict=True)])
    stage = pairs.pair_test(counts, law, rng, 199)
    assert stage.p_value == 1 / 200
    assert stage.details["faces"]["movement"] > stage.details["faces"]["lumped"]


def test_sample_sizes_match_the_published_ones():
    table = {1: 34, 63: 93, 504: 210}
    for df, wanted in table.items():
        assert round(sequential.noncentrality(df, 1e-9)) == wanted
    for profile, effect in (("smoke", 0.16), ("ci", 0.040), ("nightly", 0.014), ("certify", 0.0035)):
        seen = sequential.smallest_detectable_effect("S1 lumped", sequential.PROFILES[profile], alpha=1e-9)
        assert math.isclose(seen, effect, rel_tol=0.05)


def test_required_samples_and_smallest_effect_are_inverse():
    n = sequential.required_samples("S12", 0.03, alpha=1e-7)
    assert math.isclose(sequential.smallest_detectable_effect("S12", n, alpha=1e-7), 0.03, rel_tol=1e-3)
    with pytest.raises(DomainError, match="test: expected one of"):
        sequential.required_samples("S99", 0.1)


def test_stated_power_is_true():
    """At the stated effect the scheme rejects 400 of 400 (power .999 each stage product; < 395 has chance 1e-5)."""
    alpha, n0 = 1e-6, 400
    lam = sequential.noncentrality(5, alpha)
    rng = np.random.default_rng(18)
    p = np.full(6, 1 / 6)
    direction = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    q = p + direction * math.sqrt(lam / n0 / (direction**2 / p).sum())

    def stage(n, j):
        counts = rng.multinomial(n, q)
        return sequential.Stage(float(stats.chi2.sf(((counts - n * p) ** 2 / (n * p)).sum(), 5)))

    rejected = sum(sequential.sequential_test(stage, n0, alpha).rejected for _ in range(400))
    assert rejected >= 395


def test_sequential_scheme_spends_its_level():
    """Uniform p-values: P(reject) = alpha; at alpha = 0.01 more than 140 of 10000 has chance 1e-4 x 1e-1."""
    rng = np.random.default_rng(19)
    rejected = sum(
        sequential.sequential_test(lambda n, j: sequential.Stage(rng.random()), 1, 0.01).rejected for _ in range(10_000)
    )
    assert rejected <= 145


def test_budget_arithmetic():
    assert sequential.level_of_each(8) * 8 <= sequential.BUDGET
    assert sequential.level_of_each(8, exact=1e-12) * 8 + 1e-12 <= sequential.BUDGET * (1 + 1e-12)
    with pytest.raises(InsufficientDataError, match="can never reject"):
        sequential.stage_level(1e-13, null_samples=999)


def test_holm():
    np.testing.assert_allclose(sequential.holm([0.5, 0.001, 0.02]), [0.5, 0.003, 0.04])


def test_seeds_are_addresses():
    seeds = Seeds(5)
    one = seeds.rng("S1", 0, NULL).random(4)
    np.testing.assert_array_equal(one, Seeds(5).rng("S1", 0, NULL).random(4))
    assert not np.array_equal(one, seeds.rng("S1", 1, NULL).random(4))
    assert not np.array_equal(one, Seeds(6).rng("S1", 0, NULL).random(4))
    given = [seeds.candidate("S1", 0, chunk) for chunk in range(200)]
    assert len(set(given)) == 200
    assert max(given) < 2**31


def test_alias_tables_sample_the_matrix():
    """Exact: the mass that the tables give to each column is the row."""
    keep, other = chains.alias_tables(CASE.P)
    S = len(CASE.pi)
    mass = keep / S
    for x in range(S):
        np.add.at(mass[x], other[x], (1 - keep[x]) / S)
    np.testing.assert_allclose(mass, CASE.P, rtol=0, atol=1e-14)


def test_asymptotic_covariance_is_the_sum_over_lags():
    P, pi = CASE.P, CASE.pi
    D = np.diag(pi) - np.outer(pi, pi)
    total, power = D.copy(), np.eye(len(pi))
    for _ in range(400):
        power = power @ P
        lag = pi[:, None] * (power - pi)
        total += lag + lag.T
    np.testing.assert_allclose(chains.asymptotic_covariance(P, pi), total, rtol=0, atol=1e-10)


def test_a_foregone_conclusion_ends_early_and_only_then():
    """Audits leave out stages that must reject; a small effect, or a large p-value, changes nothing."""

    def sizes(p_value, effect, **options):
        outcome = sequential.sequential_test(lambda n, j: sequential.Stage(p_value, effect), 100, 1e-8, **options)
        return outcome.rejected, outcome.sizes

    assert sizes(0.001, 0.5, foregone=20.0) == (True, (100,))
    assert sizes(0.001, 0.2, foregone=20.0) == (True, (100, 400, 1600))
    assert sizes(0.5, 0.5, foregone=20.0) == (False, (100,))
    assert sizes(0.001, 0.5) == (True, (100, 400, 1600, 6400))


@pytest.mark.parametrize("test", [*sequential.SHAPES, "S7", "S8"])
def test_each_statistic_says_what_it_needs_and_sees(test):
    n = sequential.required_samples(test, 0.1)
    assert abs(sequential.smallest_detectable_effect(test, n) - 0.1) < 0.1 / n + 1e-9
    assert sequential.required_samples(test, 0.05) > 3.9 * n
    assert sequential.required_samples(test, 0.1, alpha=1e-12) > n > sequential.required_samples(test, 0.1, power=0.5)


def test_smallest_effects_are_seen():
    """S8 and S12 at the effect that they state: power .999 is claimed; fewer than 56 of 60 has chance below 1e-6."""
    rng, n, level = np.random.default_rng(17), 2**13, 2e-8
    labels = pairs.equal_rows(CASE.P)
    direction = rng.normal(size=(labels.max() + 1, len(CASE.pi)))[labels]
    direction -= (CASE.P * direction).sum(axis=1, keepdims=True)
    size = np.sqrt((CASE.pi[:, None] * CASE.P * direction**2).sum())
    effect = np.sqrt(sequential.evidence_noncentrality((len(CASE.pi) - 1) * (labels.max() + 1), level) / n)
    wrong = CASE.P * np.maximum(1 + effect / size * direction, 0)
    wrong /= wrong.sum(axis=1, keepdims=True)
    seen = 0
    for _ in range(60):
        starts = rng.multinomial(n, CASE.pi)
        counts = np.stack([rng.multinomial(k, row) for k, row in zip(starts, wrong, strict=True)])
        seen += evalues.dirichlet_log_e(counts, CASE.P, labels) >= np.log(1 / level)
    assert seen >= 56
    f, names = pairs.features(CASE.states, CASE.energies)
    energy = f[:, -1] - CASE.pi @ f[:, -1]
    shift = np.sqrt(sequential.noncentrality(1, 1e-8, parts=len(names)) / n / (CASE.pi @ energy**2))
    law = CASE.pi * (1 + shift * energy)
    p = [pairs.moment_test(rng.multinomial(n, law), CASE.pi, f, names, rng, 199).p_value for _ in range(60)]
    assert np.sum(np.array(p) <= 0.01) >= 56
