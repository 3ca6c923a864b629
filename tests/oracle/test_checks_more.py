"""Checks of matrices, free energies, given uniforms, streams, accept flags and runs: right code passes, wrong is named.

False alarms: each report of right code fails with probability at most 1e-6 (0 for the deterministic ones), seeds fixed.
Misses: none of the wrong candidates is near what its check could miss (the reports say where that is).
"""

import numpy as np
import pytest
from scipy.special import expit

from ebm_ref.errors import DomainError
from ebm_ref.oracle import (
    cases,
    check_acceptance,
    check_chains,
    check_free_energy,
    check_given_uniforms,
    check_streams,
    check_transition_matrix,
    zoo,
)

RBM, ISING, UNIFORM = (cases.named(name) for name in ("rbm_4x2", "ising_5_chord", "rbm_uniform"))

# matrices, free energies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cases.NAMES)
@pytest.mark.parametrize("kernel", ["gibbs_random", "metropolis_sweep", "gibbs"])
def test_right_matrices_pass(name, kernel):
    case = cases.named(name, kernel)
    report = check_transition_matrix(zoo.reference_matrix(case), case, min_gap=0.0)
    ergodic = not (kernel == "metropolis_sweep" and name in ("rbm_uniform", "ising_degenerate"))
    failed = {r.test for r in report.failures}
    assert failed == set() if ergodic else failed <= {"D4 irreducible", "D4 aperiodic", "D4 gap"}, str(report)


def test_ergodicity_that_sampling_cannot_see():
    """A Metropolis sweep where no flip costs anything jumps to the opposite state for ever: right law, period 2."""
    case = cases.named("rbm_uniform", "metropolis_sweep")
    report = check_transition_matrix(zoo.reference_matrix(case), case)
    assert {r.test for r in report.failures} == {"D4 irreducible", "D4 aperiodic", "D4 gap"}


def test_wrong_matrices_are_named():
    case = cases.named("rbm_3x3")
    report = check_transition_matrix(lambda: zoo.bug("hidden_bias_omitted").matrix(case), case)
    assert {r.test for r in report.failures} == {"D4 invariance", "D4 entries"}
    assert report.diagnosis[0].mistake == "hidden_bias_omitted"
    two = case.P @ case.P
    assert not check_transition_matrix(two, case).passed
    assert check_transition_matrix(two, case, same_kernel=False).passed
    assert "D4 stochastic" in {r.test for r in check_transition_matrix(0.999 * case.P, case).failures}
    assert "raised" in check_transition_matrix(lambda: 1 / 0, case).failures[0].message
    assert "shape" in check_transition_matrix(case.P[:3], case).failures[0].message
    flow = cases.named("ising_5_chord", "gibbs_random")
    sweep = cases.named("ising_5_chord", "gibbs").P
    failed = {r.test for r in check_transition_matrix(sweep, flow, same_kernel=False).failures}
    assert failed == {"D4 flow"}


def free_energy(case, W=None, b=None, f=None):
    W, b = case.W if W is None else W, case.b if b is None else b
    soft = (lambda z: np.logaddexp(0, z)) if f is None else f
    return lambda x: -x @ case.a - soft(b + x @ W).sum(axis=1)


@pytest.mark.parametrize(
    ("f", "mistake"),
    [
        (free_energy(RBM, b=0 * RBM.b), "hidden_bias_omitted"),
        (free_energy(RBM, f=lambda z: np.maximum(z, 0)), "maximum_for_sum"),
        (free_energy(RBM, f=np.exp), "exponential"),
        (free_energy(RBM, f=lambda z: np.logaddexp(0, z) - np.log(2)), "mean_for_sum"),
        (free_energy(RBM, f=lambda z: z * expit(z)), "mean_field"),
        (lambda x: free_energy(RBM)(x) + x @ RBM.a, "visible_bias_omitted"),
        (lambda x: free_energy(RBM)(x) + RBM.moments.log_z, "normalised"),
    ],
)
def test_wrong_free_energies_are_named(f, mistake):
    report = check_free_energy(f, RBM)
    assert not report.passed
    assert report.diagnosis[0].mistake == mistake
    assert report.diagnosis[0].explained


def test_right_free_energies_pass():
    assert check_free_energy(free_energy(RBM), RBM).passed
    assert check_free_energy(lambda h: -h @ RBM.b - np.logaddexp(0, RBM.a + h @ RBM.W.T).sum(1), RBM, "hidden").passed
    assert not check_free_energy(lambda x: free_energy(RBM)(x).mean() + 0 * x[:, 0], RBM).passed
    with pytest.raises(DomainError, match="two layers"):
        check_free_energy(free_energy(RBM), ISING)


# given uniforms, streams ----------------------------------------------------------------------------------------------


def inverted(case, less=np.less, dtype=float):
    def draw(states, u):
        x, nv = states[:, : case.n_visible], case.n_visible
        u = u.astype(dtype)
        h = less(u[:, nv:], expit(case.b + x @ case.W))
        return np.hstack([less(u[:, :nv], expit(case.a + h @ case.W.T)), h])

    return draw


def test_given_uniforms():
    assert check_given_uniforms(inverted(RBM), RBM).passed
    assert check_given_uniforms(inverted(UNIFORM), UNIFORM).passed
    at_most = check_given_uniforms(inverted(UNIFORM, np.less_equal), UNIFORM)
    assert at_most.diagnosis[0].mistake == "at_most"  # 2^-53 a draw: no sampling finds it
    assert check_given_uniforms(inverted(RBM, dtype=np.float32), RBM).diagnosis[0].mistake == "float32"

    def stale(s, u):
        return np.hstack([u[:, :4] < expit(RBM.a + s[:, 4:] @ RBM.W.T), u[:, 4:] < expit(RBM.b + s[:, :4] @ RBM.W)])

    assert "stale" in check_given_uniforms(stale, RBM).diagnosis[0].mistake
    with pytest.raises(DomainError, match="kernel"):
        check_given_uniforms(inverted(RBM), ISING)


def rows(seed, c, n):
    return np.random.default_rng(seed).random((c, n))


STREAMS = (
    (lambda s, c, n: 1.0 - rows(s, c, n) * (np.arange(n) > 0), "outside [0, 1)"),
    (lambda s, c, n: np.array([rows(s + i, 1, n)[0] for i in range(c)]), "share numbers"),
    (lambda s, c, n: rows(s & 0xFF, c, n), "share numbers"),
    (lambda s, c, n: np.tile(rows(s, c, 128), (1, n // 128 + 1))[:, :n], "a stream repeats itself"),
    (lambda s, c, n: 0.5 * rows(s, c, n), "leading byte"),
    (lambda s, c, n: rows(s, c, n) ** 1.1, "leading byte"),
    (lambda s, c, n: np.floor(rows(s, c, n) * 2**12) / 2**12, "second byte"),
    (lambda s, c, n: np.repeat(rows(s, c, n // 2), 2, axis=1) + 0.5**40 * rows(s + 1, c, n), "neighbours in a stream"),
    (lambda s, c, n: np.random.default_rng().random((c, n)), "not reproducible"),
)


@pytest.mark.parametrize(("f", "words"), STREAMS)
def test_wrong_streams_are_named(f, words):
    report = check_streams(f, profile="smoke")
    assert not report.passed
    assert words in str(report)


def test_the_package_s_streams_pass():
    from ebm_ref.kernels.noise import Stream

    report = check_streams(lambda seed, c, n: Stream(seed, "transition").uniform(0, (c, n)), profile="smoke")
    assert report.passed, str(report)
    single = check_streams(lambda seed, c, n: np.random.default_rng(seed).random((c, n), dtype=np.float32))
    assert single.passed, str(single)


# accept flags ---------------------------------------------------------------------------------------------------------


def metropolis(rule=lambda change: np.exp(-np.maximum(change, 0)), told=None, odds=None):
    def step(s, seed):
        rng, index = np.random.default_rng(seed), np.arange(len(s))
        site = rng.choice(5, size=len(s), p=odds)
        new = s.copy()
        new[index, site] *= -1
        change = 2 * s[index, site] * (ISING.c[site] + (ISING.J[site] * s).sum(axis=1))
        flag = rng.random(len(s)) < rule(change)
        return np.where(flag[:, None], new, s), new, (rule if told is None else told)(change), flag

    return step


def right(change):
    return np.exp(-np.maximum(change, 0))


@pytest.mark.parametrize(
    ("step", "tests", "mistake"),
    [
        (metropolis(lambda c: 1 / (1 + np.exp(c))), {"D1"}, "glauber"),
        (metropolis(lambda c: 1 / (1 + np.exp(c)), right), {"S14"}, "glauber"),
        (metropolis(np.ones_like, right), {"S14"}, "accept_all"),
        (metropolis(lambda c: right(2 * c), right), {"S14"}, "change_doubled"),
        (metropolis(lambda c: 0.9 * right(c), right), {"S14"}, "accept_factor"),
        (metropolis(lambda c: right(-c), right), {"S14"}, "change_sign"),
        (metropolis(odds=[0.25, 0.25, 0.25, 0.25, 0.0]), {"S14 sites"}, None),
    ],
)
def test_accept_flags(step, tests, mistake):
    report = check_acceptance(step, ISING, profile="smoke")
    assert {r.test for r in report.failures} == tests, str(report)
    if mistake:
        assert report.diagnosis[0].mistake == mistake, str(report)


def test_right_accept_flags_pass_and_bad_answers_are_named():
    assert check_acceptance(metropolis(), ISING, profile="ci", seed=4).passed
    bad = {
        "returned 3 arrays": lambda s, seed: metropolis()(s, seed)[:3],
        "but went to": lambda s, seed: (s, *metropolis()(s, seed)[1:]),
        "not a flip": lambda s, seed: (-s, -s, np.ones(len(s)), np.ones(len(s))),
        "report min(1, ratio)": lambda s, seed: (*metropolis()(s, seed)[:2], 2 * np.ones(len(s)), np.ones(len(s))),
        "neither true nor false": lambda s, seed: (*metropolis()(s, seed)[:3], 0.5 * np.ones(len(s))),
        "raised": lambda s, seed: 1 / 0,
    }
    for words, step in bad.items():
        report = check_acceptance(step, ISING, profile="smoke")
        assert not report.passed
        assert words in report.failures[0].message
    with pytest.raises(DomainError, match="kernel"):
        check_acceptance(metropolis(), RBM)


# runs -----------------------------------------------------------------------------------------------------------------


def sweep(x, u):
    h = u[:, 4:] < expit(RBM.b + x[:, :4] @ RBM.W)
    return np.hstack([u[:, :4] < expit(RBM.a + h @ RBM.W.T), h]).astype(float)


def run_with(uniforms, keep=1, first=False):
    """uniforms(seed, step, n_chains) -> (n_chains, 6)."""

    def run(states, n_steps, seed):
        out = [states] if first else []
        for t in range(keep * n_steps):
            states = sweep(states, uniforms(seed, t, len(states)))
            if (t + 1) % keep == 0:
                out.append(states)
        return np.stack(out[:n_steps], axis=1)

    return run


def fresh(seed, t, n):
    return np.random.default_rng([seed, t]).random((n, 6))


RUNS = (
    (run_with(lambda seed, t, n: np.tile(fresh(seed, t, 1), (n, 1))), "chains of one run share"),
    (run_with(lambda seed, t, n: np.array([fresh(seed + c, t, 1)[0] for c in range(n)])), "chains of seeds"),
    (run_with(lambda seed, t, n: np.random.default_rng(seed + t).random((n, 6))), "chains of seeds"),
    (run_with(lambda seed, t, n: fresh(seed, 0, n)), "a chain repeats itself"),
    (run_with(lambda seed, t, n: fresh(seed, t % 50, n)), "a chain repeats itself"),
    (run_with(fresh, keep=2), "two sweeps"),
    (run_with(fresh, first=True), "repeats its initial state"),
    (run_with(lambda seed, t, n: np.repeat(fresh(seed, t, (n + 1) // 2), 2, axis=0)[:n]), "chains of one run share"),
    (lambda s, n, seed: run_with(fresh)(s, n, seed)[:, 1:], "returns the wrong shape"),
    (lambda s, n, seed: 2 * run_with(fresh)(s, n, seed) - 1, "leaves the support"),
    (lambda s, n, seed: run_with(fresh)(s, n, seed) + 0 * s.__imul__(1 - s)[:, None], "modifies its input"),
    (lambda s, n, seed: 1 / 0, "raises"),
)


@pytest.mark.parametrize(("run", "words"), RUNS, ids=range(len(RUNS)))
def test_wrong_runs_are_named(run, words):
    report = check_chains(run, RBM, profile="smoke")
    assert not report.passed
    assert words in str(report), str(report)


def test_right_runs_pass():
    report = check_chains(run_with(fresh), RBM, profile="ci")
    assert report.passed, str(report)
    assert report.false_alarm_bound <= 1e-6 * (1 + 1e-9)
    assert {"D8", "S7", "S8", "S9", "S10", "S13"} <= {r.test for r in report.results}


def test_the_package_s_runs_pass():
    import ebm_ref

    model = ebm_ref.RBM(RBM.W, RBM.a, RBM.b)
    sampler = ebm_ref.block_gibbs(model)

    def run(states, n_steps, seed):
        return ebm_ref.sample(sampler, states, n_steps, seed).states

    report = check_chains(run, RBM, profile="smoke")
    assert report.passed, str(report)
