"""check_update: right updates of every variant pass, every wrong one is killed by its named test and named.

Each report's false alarms are at most 1e-6 for any seed; seeds are derived from 0.  Smallest effects seen with power
.999 on rbm_3x3 with four rows, at smoke: L1 .41 standard deviations of one batch update, L2 chi-distance .47, L3 29 %
of the variance; at ci: .10, .12 and 23 %.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.oracle import cases, vectors
from ebm_ref.oracle.checks_learning import check_update
from ebm_ref.oracle.update_recipe import VARIANTS, law, make_update, reference
from ebm_ref.oracle.vectors.checking import decoded
from ebm_ref.oracle.zoo_learning import LEARNING_BUGS, learning_bug

ROWS = [[1, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0]]
SMOKE = [b for b in LEARNING_BUGS if b.profile == "smoke"]
SQUARE = cases.named("rbm_3x3")


def test_laws_agree_with_the_golden_vectors():
    checked = 0
    for group in json.loads((vectors.SHIPPED / "bernoulli_rbm.json").read_text())["testGroups"]:
        if not group["type"].startswith("RbmLearning"):
            continue
        model = {name: decoded(name, value) for name, value in group["model"].items()}
        for test in group["tests"]:
            data, k = decoded("data", test["input"]["data"]), test["input"]["k"]
            laws = [law(reference(cases.rbm(model["W"], model["a"], model["b"]), k), x) for x in data]
            mean, covariance = sum(one.mean for one in laws), sum(one.covariance for one in laws)
            got = mean / len(data) if test["quantity"] == "cd_mean" else covariance / len(data) ** 2
            np.testing.assert_allclose(got, decoded("f64", test["expected"]["f64"]), atol=1e-14)
            checked += 1
    assert checked >= 12


def test_numbers_of_legal_values():
    counts = [len(law(reference(SQUARE, 1, v), np.array([1.0, 0.0, 1.0])).p) for v in VARIANTS]
    assert counts == [8, 64, 475]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["rbm_3x3_cold", "rbm_4x2"])
def test_right_updates_pass(name, variant):
    case = cases.named(name)
    rows = ROWS if case.n_visible == 3 else [[1, 0, 1, 1], [0, 1, 0, 0], [1, 0, 1, 1]]
    for k in (1, 3):
        report = check_update(make_update(reference(case, k, variant)), case, rows, k, variant=variant, profile="smoke")
        assert report.passed, str(report)
        assert report.false_alarm_bound <= 1e-6
        assert {"L1", "L2", "L3"} <= {r.test for r in report.results if r.smallest_detectable_effect}


def test_a_right_update_passes_at_ci():
    report = check_update(make_update(reference(SQUARE)), SQUARE, ROWS)
    assert report.passed, str(report)
    effects = {r.test: r.smallest_detectable_effect for r in report.results}
    assert effects["L1"] < 0.11
    assert effects["L2"] < 0.13


@pytest.mark.parametrize("bug", SMOKE, ids=[b.id for b in SMOKE])
def test_every_bug_dies_by_its_test_and_is_named(bug):
    start = ROWS[::-1] if bug.start == "particles" else None
    report = check_update(bug.update(), bug.fixture(), ROWS, bug.k, start=start, profile=bug.profile)
    assert bug.killed_by[0] in [r.test for r in report.failures], str(report)
    assert report.diagnosis[0].explained
    assert report.diagnosis[0].mistake == bug.id, str(report)


def test_a_bug_that_needs_ci_dies_there():
    bug = learning_bug("k_plus_one_slow")
    report = check_update(bug.update(), bug.fixture(), ROWS, bug.k)
    assert [r.test for r in report.failures] == ["L2"]
    assert report.diagnosis[0].description == "CD-2 for CD-1"


def test_the_declared_variant_is_what_is_tested():
    sampled = make_update(reference(SQUARE, 1, "sampled"))
    assert not check_update(sampled, SQUARE, ROWS, profile="smoke").passed
    report = check_update(make_update(reference(SQUARE)), SQUARE, ROWS, variant="sampled_negative", profile="smoke")
    assert "D9" in [r.test for r in report.failures]


@pytest.mark.parametrize(("factor", "words"), [(0.1, "multiplied by 0.1"), (2.0, "multiplied by 2")])
def test_factors_are_read_off(factor, words):
    right = make_update(reference(SQUARE))
    report = check_update(lambda rows, seed: [factor * g for g in right(rows, seed)], SQUARE, ROWS, profile="smoke")
    assert words in report.diagnosis[0].description


def test_decays_of_any_size_are_read_off():
    wrong = make_update(replace(reference(SQUARE), decay=(3e-4, 3e-4, 0.0)))
    assert (
        check_update(wrong, SQUARE, ROWS, profile="smoke").diagnosis[0].description == "undeclared decay 0.0003 on W, a"
    )


def gradient(rows):
    s, nv = SQUARE.states, 3
    p = 1 / (1 + np.exp(-(SQUARE.b + rows @ SQUARE.W)))
    W = rows.T @ p / len(rows) - (s[:, :nv] * SQUARE.pi[:, None]).T @ s[:, nv:]
    return W, rows.mean(0) - SQUARE.pi @ s[:, :nv], p.mean(0) - SQUARE.pi @ s[:, nv:]


def test_exact_updates():
    assert check_update(lambda rows, seed: gradient(rows), SQUARE, ROWS, estimator="exact").passed
    wrong = check_update(lambda rows, seed: [4 * g for g in gradient(rows)], SQUARE, ROWS, estimator="exact")
    assert not wrong.passed
    cd = check_update(make_update(reference(SQUARE)), SQUARE, ROWS, estimator="exact")
    assert not cd.passed


def test_float32_updates_are_judged_as_such():
    right = make_update(reference(SQUARE))
    single = check_update(lambda rows, seed: [np.float32(g) for g in right(rows, seed)], SQUARE, ROWS, profile="smoke")
    assert single.passed, str(single)
    assert "float32" in single.notes[0]
    hidden = lambda rows, seed: [np.float32(g).astype(float) for g in right(rows, seed)]  # noqa: E731
    assert not check_update(hidden, SQUARE, ROWS, profile="smoke").passed


def raises(rows, seed):
    raise ValueError("no")


def changes(rows, seed):
    rows += 1
    return gradient(rows)


BAD = (
    (raises, "raised ValueError"),
    (changes, "modified its input"),
    (lambda rows, seed: gradient(rows)[:2], "returned 2 arrays"),
    (lambda rows, seed: [g[:1] for g in gradient(rows)], "shape"),
    (lambda rows, seed: [g * np.nan for g in gradient(rows)], "nan"),
    (lambda rows, seed: None, "raised"),
    (lambda rows, seed: make_update(reference(SQUARE))(rows, 7), "ignores its seed"),
)


@pytest.mark.parametrize(("update", "words"), BAD)
def test_a_misbehaving_update_is_a_named_failure(update, words):
    report = check_update(update, SQUARE, ROWS, profile="smoke")
    assert not report.passed
    assert words in report.failures[0].message


def test_an_update_that_cannot_be_replayed_is_noted():
    state = np.random.default_rng(1)
    right = make_update(reference(SQUARE))
    report = check_update(lambda rows, seed: right(rows, state.integers(2**31)), SQUARE, ROWS, profile="smoke")
    assert report.passed
    assert "not reproducible" in report.notes[0]


def test_wrong_use_is_refused():
    right = make_update(reference(SQUARE))
    with pytest.raises(ShapeError, match="data"):
        check_update(right, SQUARE, [[1, 0]])
    with pytest.raises(DomainError, match="data"):
        check_update(right, SQUARE, [[1, 0, 2]])
    with pytest.raises(DomainError, match="RBM"):
        check_update(right, cases.named("boltzmann_4"), [[1, 0, 1, 1]])
    with pytest.raises(DomainError, match="k"):
        check_update(right, SQUARE, ROWS, 0)


@pytest.mark.parametrize("test", ["L1", "L2", "L3"])
def test_p_values_of_a_right_update_are_not_too_small(test):
    """20 seeds, P(p <= .05) <= .05: more than 8 below has probability 2e-7."""
    from ebm_ref.oracle.learning_tests import Bench, mean_stage, single_stage, spread_stage
    from ebm_ref.oracle.statistics.seeds import Seeds

    stage = {"L1": mean_stage, "L2": single_stage, "L3": spread_stage}[test]
    recipe = reference(SQUARE)
    rows = np.array(ROWS, dtype=float)
    small = 0
    for seed in range(20):
        bench = Bench(make_update(recipe), SQUARE, rows, recipe, Seeds(seed), "")
        small += stage(bench, 64, 0).p_value <= 0.05
    assert small <= 8


PARTICLES = [[0, 1, 1], [1, 1, 1], [0, 0, 1], [0, 1, 1]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_right_persistent_updates_pass(variant):
    for k in (1, 3):
        update = make_update(reference(SQUARE, k, variant, "particles"))
        report = check_update(update, SQUARE, ROWS, k, variant=variant, start=PARTICLES, profile="smoke", seed=k)
        assert report.passed, str(report)


def test_the_package_s_persistent_update_passes():
    import ebm_ref

    model = ebm_ref.RBM(SQUARE.W, SQUARE.a, SQUARE.b)
    estimator = ebm_ref.pcd(k=2, n_chains=4)

    def update(rows, particles, seed):
        chains = np.hstack([particles, np.zeros_like(particles)])  # block Gibbs forgets the hidden units
        return estimator.estimate(model, rows, chains, seed=seed)[0]

    report = check_update(update, SQUARE, ROWS, 2, start=PARTICLES, profile="smoke")
    assert report.passed, str(report)


def test_persistent_declaration_is_checked():
    right = make_update(reference(SQUARE, 1, "rao_blackwell", "particles"))
    with pytest.raises(DomainError, match="start"):
        check_update(right, SQUARE, ROWS, start=PARTICLES[:2])
    with pytest.raises(DomainError, match="start"):
        check_update(right, SQUARE, ROWS, start=PARTICLES, estimator="exact")
