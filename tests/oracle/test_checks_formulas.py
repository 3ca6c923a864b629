"""The checks of formulas: right ones pass, wrong ones are named.

Deterministic: no false alarms; a pass excludes errors above 30 units of roundoff of the terms (about 1e-14 here).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logsumexp

from ebm_ref.errors import DomainError
from ebm_ref.oracle import alternatives, cases
from ebm_ref.oracle.checks_formulas import check_conditionals, check_energy, check_gradient
from ebm_ref.oracle.checks_log_z import check_log_partition

COLD = cases.named("rbm_3x3_cold")  # square and beta = 1.3: every mistake of belief means something here


class Right:
    """Formulas from (J, c) in plain NumPy, for any case, with the parameters that it is told to believe."""

    def __init__(self, case, J=None, c=None):
        self.case, self.J, self.c = case, case.J if J is None else J, case.c if c is None else c

    def rows(self, s):
        return -0.5 * np.einsum("si,ij,sj->s", s, self.J, s) - s @ self.c

    def energy(self, x, h):
        return self.rows(np.hstack([x, h]))

    def unit_probabilities(self, s):
        return expit((1.0 if self.case.units == "01" else 2.0) * (self.c + s @ self.J.T))

    def hidden_probabilities(self, x):
        nv = self.case.n_visible
        return expit(self.c[nv:] + x @ self.J[nv:, :nv].T)

    def visible_probabilities(self, h):
        nv = self.case.n_visible
        return expit(self.c[:nv] + h @ self.J[:nv, nv:].T)

    def log_z(self):
        return logsumexp(-self.rows(self.case.states))

    def energy_candidate(self):
        return self.energy if self.case.n_hidden else self.rows

    def likelihood_gradient(self, data):
        nv, s = self.case.n_visible, self.case.states
        p = self.hidden_probabilities(data)
        weight = np.exp(-self.rows(s) - self.log_z())
        W = data.T @ p / len(data) - (s[:, :nv] * weight[:, None]).T @ s[:, nv:]
        return W, data.mean(0) - weight @ s[:, :nv], p.mean(0) - weight @ s[:, nv:]


def energy_gradient(x, h, weights):
    return -(x * weights[:, None]).T @ h, -weights @ x, -weights @ h


def pair_gradient(s, weights):
    J = -(s * weights[:, None]).T @ s
    np.fill_diagonal(J, 0.0)
    return J, -weights @ s


@pytest.mark.parametrize("name", cases.NAMES)
def test_right_formulas_pass_on_every_case(name):
    case = cases.named(name)
    right = Right(case)
    reports = [
        check_energy(right.energy_candidate(), case),
        check_energy(lambda rows: right.rows(rows), case),
        check_conditionals(right, case),
        check_log_partition(right.log_z, case),
        check_gradient(energy_gradient if case.n_hidden else pair_gradient, case, of="energy"),
    ]
    if case.n_hidden and not case.clamp:
        reports.append(check_gradient(right.likelihood_gradient, case))
    for report in reports:
        assert report.passed, str(report)
        assert not report.diagnosis
        assert report.false_alarm_bound == 0.0


BELIEFS = {i: recipe for i, _, recipe in alternatives.beliefs(COLD)}


@pytest.mark.parametrize("mistake", sorted(BELIEFS))
def test_mistakes_of_belief_are_named_by_every_check(mistake):
    recipe = BELIEFS[mistake]
    wrong = Right(COLD, recipe.J, recipe.c)
    report = check_conditionals(wrong, COLD)
    assert not report.passed
    assert report.diagnosis[0].mistake == mistake
    assert report.diagnosis[0].explained
    if np.array_equal(recipe.J, recipe.J.T):
        assert check_energy(wrong.energy, COLD).diagnosis[0].mistake == mistake
        assert check_gradient(wrong.likelihood_gradient, COLD).diagnosis[0].mistake == mistake
        named = check_log_partition(wrong.log_z, COLD).diagnosis[0]
        words = {i: words for i, words, _ in alternatives.beliefs(COLD)}[mistake]
        assert words in named.description  # exchanged biases and a transposed W have one log Z


RIGHT = Right(COLD)
BETA = COLD.beta
N = len(COLD.states)
WRONG_ENERGIES = (
    (lambda x, h: -RIGHT.energy(x, h), "energy_sign"),
    (lambda x, h: RIGHT.energy(2 * x - 1, 2 * h - 1), "other_units"),
    (lambda x, h: RIGHT.energy(x, h) / BETA, "beta_forgotten"),
    (lambda x, h: RIGHT.energy(x, h) + 0.25, "shifted"),
    (lambda x, h: RIGHT.energy(x, h) * 1.07, "scaled"),
    (lambda x, h: np.exp(-RIGHT.energy(x, h)), "unnormalised_probability"),
    (lambda x, h: -x @ COLD.a - np.logaddexp(0, COLD.b + x @ COLD.W).sum(1), "free_energy"),
    (lambda x, h: RIGHT.energy(x, h) / len(x), "mean_over_rows"),
)
WRONG_CONDITIONALS = (
    (lambda p: 1 - p, "energy_sign"),
    (lambda p: np.log(p / (1 - p)), "logits"),
    (lambda p: (p > 0.5) * 1.0, "threshold_all"),
    (lambda p: np.round(p * 32) / 32, "five_bits"),
    (lambda p: 2 * p - 1, "means_of_spins"),
)
WRONG_LOG_Z = (
    (RIGHT.log_z() - 3 * np.log(2), "missing_log_2"),
    (-RIGHT.log_z(), "free_energy"),
    (np.exp(RIGHT.log_z()), "z_for_log_z"),
    (RIGHT.log_z() / np.log(2), "base_2"),
    (-COLD.energies.min(), "maximum"),
    (logsumexp(-COLD.energies[:-1]), "last_state_missing"),
    (RIGHT.log_z() - 6 * np.log(2), "mean_for_sum"),
)
WRONG_GRADIENTS = (
    (lambda x, h, weights: [-g for g in energy_gradient(x, h, weights)], "gradient_sign"),
    (lambda x, h, weights: [g / len(x) for g in energy_gradient(x, h, weights)], "mean_over_rows"),
    (lambda x, h, weights: energy_gradient(x, h, weights / weights.sum()), "weights_normalised"),
    (lambda x, h, weights: [energy_gradient(x, h, weights)[0].T, *energy_gradient(x, h, weights)[1:]], "w_transposed"),
    (lambda x, h, weights: [BETA * g for g in energy_gradient(x, h, weights)], "beta_factor"),
)
WRONG_LIKELIHOOD = (
    (lambda data: [-g for g in RIGHT.likelihood_gradient(data)], "gradient_sign"),
    (lambda data: [len(data) * g for g in RIGHT.likelihood_gradient(data)], "sum_for_mean"),
    (lambda data: [BETA * g for g in RIGHT.likelihood_gradient(data)], "beta_factor"),
)


@pytest.mark.parametrize(("f", "mistake"), WRONG_ENERGIES, ids=[m for _, m in WRONG_ENERGIES])
def test_wrong_energies(f, mistake):
    report = check_energy(f, COLD)
    assert not report.passed
    assert report.diagnosis[0].mistake == mistake or mistake == "mean_over_rows"
    assert mistake in [d.mistake for d in report.diagnosis if d.explained]


@pytest.mark.parametrize(("f", "mistake"), WRONG_CONDITIONALS, ids=[m for _, m in WRONG_CONDITIONALS])
def test_wrong_conditionals(f, mistake):
    wrong = (lambda x: f(RIGHT.hidden_probabilities(x)), lambda h: f(RIGHT.visible_probabilities(h)))
    report = check_conditionals(wrong, COLD)
    assert not report.passed
    assert report.diagnosis[0].mistake == mistake


@pytest.mark.parametrize(("value", "mistake"), WRONG_LOG_Z, ids=[m for _, m in WRONG_LOG_Z])
def test_wrong_log_z(value, mistake):
    report = check_log_partition(value, COLD)
    assert not report.passed
    assert report.diagnosis[0].mistake == mistake


@pytest.mark.parametrize(("f", "mistake"), WRONG_GRADIENTS, ids=[m for _, m in WRONG_GRADIENTS])
def test_wrong_energy_gradients(f, mistake):
    report = check_gradient(f, COLD)
    assert not report.passed
    assert report.diagnosis[0].mistake == mistake


@pytest.mark.parametrize(("f", "mistake"), WRONG_LIKELIHOOD, ids=[m for _, m in WRONG_LIKELIHOOD])
def test_wrong_likelihood_gradients(f, mistake):
    report = check_gradient(f, COLD)
    assert not report.passed
    assert report.diagnosis[0].mistake == mistake


def test_ising_conventions_are_named():
    case = cases.named("ising_5_chord")
    as_bits = Right(case, case.J, case.c)
    assert check_energy(lambda s: as_bits.rows((s + 1) / 2), case).diagnosis[0].mistake == "other_units"
    assert check_energy(Right(case, 2 * case.J, case.c).rows, case).diagnosis[0].mistake == "j_twice"
    halved = check_conditionals(lambda s: expit(case.c + s @ case.J), case)
    assert halved.diagnosis[0].mistake == "logit_halved"


def test_float32_is_judged_as_float32_and_a_float32_answer_in_float64_is_not():
    single = lambda x, h: RIGHT.energy(x.astype("f4"), h.astype("f4")).astype("f4")  # noqa: E731
    assert check_energy(single, COLD).passed
    assert not check_energy(lambda x, h: single(x, h).astype(float), COLD).passed


def raises(*_):
    raise RuntimeError("out of order")


def changes(x, h):
    x += 1
    return RIGHT.energy(x, h)


BAD = (
    (raises, "raised RuntimeError"),
    (lambda x, h: RIGHT.energy(x, h)[:, None], "shape"),
    (lambda x, h: RIGHT.energy(x, h) * np.nan, "nan"),
    (lambda x, h: "text", "returned"),
    (lambda x, h: None, "returned"),
    (changes, "modified its input"),
)


@pytest.mark.parametrize(("f", "words"), BAD)
def test_a_misbehaving_candidate_is_a_named_failure(f, words):
    report = check_energy(f, COLD)
    assert not report.passed
    assert words in report.failures[0].message
    assert not check_conditionals((f, f), COLD).passed
    assert not check_gradient(f, COLD, of="energy").passed
    assert not check_gradient(f, COLD, of="log_likelihood").passed


def test_rows_that_depend_on_their_batch_are_found():
    def shifted(x, h):
        e = RIGHT.energy(x, h)
        return e + (1e-9 if len(e) == 1 else 0.0)

    report = check_energy(shifted, COLD)
    assert [r.test for r in report.failures] == ["D6"]


def test_wrong_use_is_refused():
    with pytest.raises(DomainError, match="pair"):
        check_conditionals(RIGHT.energy, COLD)
    with pytest.raises(DomainError, match="arguments"):
        check_log_partition(lambda x: 0.0, COLD)
    with pytest.raises(DomainError, match="of"):
        check_gradient(energy_gradient, COLD, of="z")
