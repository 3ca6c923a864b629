"""The catalogue of mistakes seen in the wild, number by number: what kills each.

RECORDS names records of the zoos, which their own tests run; TWINS are wrong twins of this file's; TESTS are tests
elsewhere.  False alarms: 0 for the deterministic checks, 1e-6 a report else, seeds fixed; no twin is near the smallest
effect that its check sees.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit, log_expit, logsumexp

from ebm_ref.oracle import (
    cases,
    check_annealing,
    check_conditionals,
    check_free_energy,
    check_given_uniforms,
    check_kernel,
    check_log_partition,
    check_pseudo_likelihood,
    check_samples,
    check_streams,
    check_transition_matrix,
    zoo,
)
from ebm_ref.oracle.annealing import annealing_path, simulate
from ebm_ref.oracle.zoo_annealing import ANNEALING_BUGS, SCHEDULE
from ebm_ref.oracle.zoo_learning import LEARNING_BUGS

RECORDS = {
    1: "w_transposed",
    2: "visible_bias_sign",
    3: "hidden_bias_sign",
    4: "hidden_bias_twice gibbs_bias_twice",
    5: "logit_doubled logit_halved",
    6: "beta_not_on_biases gibbs_beta_bias",
    7: "beta_twice ula_beta_twice",
    8: "colder_5 hotter_5 mala_temperature",
    9: "colder_1 hotter_1",
    10: "stale_half joint_stale_hidden gibbs_stale_half",
    12: "threshold_hidden gibbs_threshold",
    13: "shared_uniform mala_shared_uniform",
    15: "last_unit_never last_hidden_never",
    17: "edge_missing",
    19: "two_sweeps ula_two_steps mala_two_steps gibbs_twice",
    20: "identity",
    21: "lazy_5",
    23: "five_bits",
    24: "eight_bits",
    25: "bfloat16 ula_half_precision",
    26: "tilted_uniform half_uniform",
    27: "clamp_ignored",
    28: "stale_unit",
    29: "change_sign",
    30: "change_halved change_doubled",
    31: "accept_all joint_no_energy mala_no_energy hmc_never_rejects",
    32: "greedy",
    33: "jump_chain mala_until_moved",
    34: "glauber",
    36: "last_site_never",
    38: "byte_modulo",
    39: "order_reversed gibbs_order",
    40: "field_omitted",
    41: "j_twice",
    43: "energy_sign",
    44: "field_sign_only",
    45: "couplings_quantised",
    49: "swap_sign",
    50: "auxiliaries_resampled",
    51: "ula_noise_sqrt_eta inner_noise",
    52: "ula_noise_eta",
    53: "ula_half_drift_eta",
    55: "ula_drift_sign mala_gradient_sign",
    56: "ula_decoupled",
    57: "ula_noise_1_percent ula_noise_01_percent",
    58: "ula_drift_1_percent",
    59: "ula_scalar_noise ula_row_noise",
    60: "ula_same_noise",
    62: "ula_precond_noise",
    63: "joint_no_proposal_ratio mala_no_proposal_ratio",
    64: "joint_ratio_inverted mala_ratio_inverted",
    66: "mala_denominator",
    68: "joint_never_rejects mala_never_rejects",
    69: "mala_noise_sqrt_eta",
    70: "joint_ratio_sign mala_ratio_sign mala_ratio_doubled hmc_ratio_sign",
    71: "mala_exp_threshold",
    72: "accept_less mala_accepts_less",
    74: "inner_one_more inner_one_less inner_marginal inner_marginal_steps",
    75: "ula_clamped",
    76: "ula_sigma inner_sigma gibbs_sigma",
    77: "gibbs_no_sigma",
    79: "gibbs_variance_as_sd gibbs_unit_sd",
    81: "ula_mu_omitted gibbs_mu_omitted gibbs_transposed",
    82: "gibbs_sd_2_percent",
    83: "stale_hidden",
    84: "negative_pairs_first",
    85: "gibbs_mean_field gibbs_probabilities mean_field_negative",
    86: "mean_field_driving",
    87: "deterministic",
    88: "hidden_drawn both_hidden_drawn",
    89: "k_plus_one k_plus_one_slow k_minus_one_slow",
    90: "k_minus_one_of_ten",
    91: "update_sign visible_bias_block_sign hidden_bias_block_sign weight_block_sign",
    92: "negative_missing",
    93: "sum_for_mean divisor_plus_one divisor_minus_one",
    94: "decay_on_biases",
    95: "chain_from_model chain_from_rows particles_never_move",
    96: "chain_from_noise",
    98: "kernel_before kernel_after",
    99: "kernel_at_one",
    100: "ratio_sign",
    105: "ula_positive_noise",
    106: "low_resolution",
    110: "rows_share",
    111: "seed_plus_row",
    112: "seed_ignored",
    115: "int8_fields",
}
TESTS = {
    47: "oracle/test_oracle_samples.py::test_samples_taken_too_early_fail",
    48: "oracle/test_oracle_samples.py::test_burn_in_kept_and_samples_dropped_fails",
}
UNUSED = {11, 14, 16, 18, 35, 37, 42, 54, 61, 65, 67, 73, 78, 80, 109}  # no entry of the catalogue bears these
ZOOS = (*zoo.BUGS, *zoo.CONTINUOUS_BUGS, *ANNEALING_BUGS, *LEARNING_BUGS)

RBM, EXTREME, UNIFORM, ISING = (
    cases.named(name) for name in ("rbm_3x3", "rbm_extreme", "rbm_uniform", "ising_5_chord")
)
OVERFLOWING = cases.rbm([[800.0, -750.0]], [-2.0], [-20.0, 3.0])  # exp overflows beyond 709.8
OVERFLOWING_32 = cases.rbm([[100.0, -90.0]], [-2.0], [-8.0, 3.0])  # and beyond 88.7 in float32


# loops and scans ------------------------------------------------------------------------------------------------------


def loop_that_runs_once():
    """22: ``for _ in n`` where the range of n is meant; three steps between draws are declared."""
    step, rng = zoo.reference_step(ISING), np.random.default_rng(5)
    states, path = ISING.states[ISING.draw(64, rng)], []
    for t in range(250):
        states = step(states, 900 + t)
        path.append(states)
    return check_samples(np.stack(path, axis=1), ISING, "thinned", thin=3)


def sweep_without_cost():
    """46: a Metropolis sweep accepts every flip with dE = 0, so it goes to the opposite state and back for ever."""
    case = cases.named("rbm_uniform", "metropolis_sweep")
    return check_transition_matrix(zoo.reference_matrix(case), case)


# pseudo-likelihood ----------------------------------------------------------------------------------------------------


def mean_over_units():
    """97: divided by the number of units; the sum is declared."""
    flips = lambda x, i: np.where(np.arange(3) == i, 1 - x, x)  # noqa: E731
    F = lambda x: -x @ RBM.a - np.logaddexp(0, RBM.b + x @ RBM.W).sum(axis=1)  # noqa: E731
    return check_pseudo_likelihood(lambda x: sum(log_expit(F(flips(x, i)) - F(x)) for i in range(3)) / 3, RBM)


# log Z ----------------------------------------------------------------------------------------------------------------

BASE = np.array([0.4, -0.6, 0.7])


def annealed(value):
    """check_annealing of right weights with another way to log Z; value(log weights, log Z_0)."""
    path, log_z_base = annealing_path(RBM, BASE, SCHEDULE), np.logaddexp(0, BASE).sum() + 3 * np.log(2)

    def candidate(n, seed):
        log_w = simulate(path, n, np.random.default_rng(seed))
        return SimpleNamespace(log_weights=log_w, value=value(log_w, log_z_base))

    return check_annealing(candidate, RBM, BASE, SCHEDULE, profile="smoke")


def mean_of_log_weights():
    """101."""
    return annealed(lambda log_w, base: base + log_w.mean())


def base_without_hidden_units():
    """102, in an annealed estimate."""
    return annealed(lambda log_w, base: base - 3 * np.log(2) + logsumexp(log_w) - np.log(len(log_w)))


def hidden_log_2_missing():
    """102, in a number."""
    return check_log_partition(RBM.moments.log_z - 3 * np.log(2), RBM)


def sum_over_unique_samples():
    """103: the states that 500 exact draws happen to visit, for all 64."""
    rng = np.random.default_rng(8)
    return check_log_partition(lambda: logsumexp(-RBM.energies[np.unique(RBM.draw(500, rng))]), RBM)


# uniforms -------------------------------------------------------------------------------------------------------------


def drawn(case, u_of=lambda u: u, p_of=lambda p: p, less=np.less):
    """check_given_uniforms of block Gibbs with changed uniforms, probabilities or comparison."""
    nv = case.n_visible

    def draw(states, u):
        v = u_of(u)
        h = less(v[:, nv:], p_of(expit(case.b + states[:, :nv] @ case.W)))
        return np.hstack([less(v[:, :nv], p_of(expit(case.a + h @ case.W.T))), h])

    return check_given_uniforms(draw, case)


def right_draws():
    """The right twin of those below."""
    return drawn(EXTREME)


def closed_comparison():
    """104, in the kernel: u <= p, written for u in (0, 1]."""
    return drawn(UNIFORM, less=np.less_equal)


def closed_uniforms():
    """104, in the generator: (k + 1) / 2^11, the grid of float16, reaches 1."""
    return check_streams(
        lambda seed, c, n: np.ceil(2.0**11 * (1.0 - np.random.default_rng(seed).random((c, n)))) / 2.0**11,
        profile="smoke",
    )


def closed_uniforms_of_float32():
    """104, in the generator, on the grid of float32: 1 comes once in 2^24 numbers, certify looks at 2^27."""
    return check_streams(
        lambda seed, c, n: 1 - np.random.default_rng(seed).random((c, n), np.float32), profile="certify"
    )


def too_often():
    """108: uniforms k / 2^24 draw every p > 0 with chance 2^-24 at least."""
    return drawn(EXTREME, lambda u: np.floor(u * 2.0**24) / 2.0**24)


def never():
    """108: uniforms (k + 1/2) / 2^24 never draw p < 2^-25."""
    return drawn(EXTREME, lambda u: (np.floor(u * 2.0**24) + 0.5) / 2.0**24)


def saturated_draws():
    """113: p is 1 where float32 cannot tell it from 1, so the unit never goes down."""
    return drawn(EXTREME, p_of=lambda p: np.where(p.astype(np.float32) == 1, 1.0, p))


def single_draws():
    """113: all of p in float32."""
    return drawn(EXTREME, p_of=lambda p: p.astype(np.float32))


def categorical(dtype, n_bits=6, tail=2.0**-13, profile="smoke"):
    """check_kernel of a jump by k with P(k) = tail for 0 < k < S - 1 and 0 for the last, from cumulative sums.

    In float16 the sum stays at its first term, since 2^-13 is a quarter of the spacing below 1: the tail is never
    drawn, and the rest of the mass goes to the last state, of probability 0.  Tails below 2^-25 do the same in float32:
    254 of them are one draw in 130,000, which the 2^24 of certify, and of nightly too, cannot miss.
    """
    S, place = 2**n_bits, 1 << np.arange(n_bits)
    p = np.full(S, tail)
    p[0], p[-1] = 1.0 - (S - 2) * tail, 0.0
    jump = np.arange(S)
    case = cases.table((jump[:, None] >> np.arange(n_bits)) & 1, p[(jump[None, :] - jump[:, None]) % S])
    edges = np.add.accumulate(p.astype(dtype), dtype=dtype).astype(np.float64)

    def step(states, seed):
        u = np.random.default_rng(seed).random(len(states))
        k = np.minimum(np.searchsorted(edges, u, side="right"), S - 1)
        return case.states[((states @ place).astype(int) + k) % S]

    return check_kernel(step, case, profile=profile, tests=("S7",))


def short_cumulative_sum():
    """107."""
    return categorical(np.float16)


def short_cumulative_sum_of_float32():
    """107, with a tail that float32 loses."""
    return categorical(np.float32, 8, 0.99 * 2.0**-25, "certify")


# extremes -------------------------------------------------------------------------------------------------------------


def layers(case, sigmoid):
    """check_conditionals of both layers with another sigmoid."""
    with np.errstate(over="ignore", invalid="ignore"):
        return check_conditionals(
            (lambda x: sigmoid(case.b + x @ case.W), lambda h: sigmoid(case.a + h @ case.W.T)), case
        )


def saturated():
    """113: 1 - sigmoid(-z) in float32 is 0 below logit -17."""
    return layers(EXTREME, lambda z: np.float32(1) - expit(-z).astype(np.float32))


def expit_overflow():
    """113: exp(z) / (1 + exp(z)) is inf / inf."""
    return layers(OVERFLOWING, lambda z: np.exp(z) / (1.0 + np.exp(z)))


def softplus(case, dtype):
    """check_free_energy with log(1 + exp(z)) as it stands."""

    def F(x):
        z = (case.b + x @ case.W).astype(dtype)
        with np.errstate(over="ignore"):
            return (-x @ case.a).astype(dtype) - np.log(1 + np.exp(z)).sum(axis=1)

    return check_free_energy(F, case)


def softplus_overflow():
    """114, beyond 709.8."""
    return softplus(OVERFLOWING, np.float64)


def softplus_overflow_32():
    """114, beyond 88.7."""
    return softplus(OVERFLOWING_32, np.float32)


TWINS = (
    (22, loop_that_runs_once, "S7", "thinned_once"),
    (46, sweep_without_cost, "D4 aperiodic", "period 2"),
    (97, mean_over_units, "D1", "divided_by_units"),
    (101, mean_of_log_weights, "Z2", "mean_of_log_weights"),
    (102, base_without_hidden_units, "Z2", "missing_3_log_2"),
    (102, hidden_log_2_missing, "D1", "missing_log_2"),
    (103, sum_over_unique_samples, "D1", "visited_states"),
    (104, closed_comparison, "D5", "at_most"),
    (104, closed_uniforms, "contract", "outside [0, 1)"),
    (104, closed_uniforms_of_float32, "contract", "outside [0, 1)"),
    (107, short_cumulative_sum, "D9", "probability 0"),
    (107, short_cumulative_sum_of_float32, "D9", "probability 0"),
    (108, too_often, "D5", "bits_24"),
    (108, never, "D5", "bits_24_centred"),
    (113, saturated_draws, "D5", "saturated"),
    (113, single_draws, "D5", "float32_p"),
    (113, saturated, "D1 hidden", "saturated"),
    (113, expit_overflow, "D1 hidden", "returned nan"),
    (114, softplus_overflow, "D1", "returned -inf"),
    (114, softplus_overflow_32, "D1", "returned -inf"),
)  # number, report of the twin, test that kills it, its name in the diagnosis or the words of the failure


@pytest.mark.parametrize(("number", "twin", "test", "name"), TWINS, ids=[f.__name__ for _, f, _, _ in TWINS])
def test_twins_die_by_the_named_test(number, twin, test, name):
    report = twin()
    assert test in [r.test for r in report.failures], str(report)
    names = report.diagnosis[0].mistake.split(", ") if report.diagnosis else []
    assert name in names or any(name in r.message for r in report.failures), str(report)


@pytest.mark.parametrize("right", [right_draws, lambda: categorical(np.float64)], ids=["draws", "categorical"])
def test_right_twins_pass(right):
    report = right()
    assert report.passed, str(report)


def test_right_extremes_pass():
    for case in (OVERFLOWING, OVERFLOWING_32, EXTREME):
        assert layers(case, expit).passed
        F = lambda x, case=case: -x @ case.a - np.logaddexp(0, case.b + x @ case.W).sum(axis=1)  # noqa: E731
        assert check_free_energy(F, case).passed


@pytest.mark.parametrize("number", RECORDS)
def test_records_bear_their_number(number):
    ids = {bug.id for bug in ZOOS if bug.number == number}
    assert set(RECORDS[number].split()) <= ids


@pytest.mark.parametrize("test", TESTS.values())
def test_tests_exist(test):
    file, name = test.split("::")
    assert f"def {name}(" in (Path(__file__).parents[1] / file).read_text()


def test_every_number_has_a_killer():
    killed = {*RECORDS, *TESTS, *(number for number, *_ in TWINS)}
    assert killed == set(range(1, 116)) - UNUSED
