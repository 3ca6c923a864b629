"""check_pseudo_likelihood: right values and gradients pass on every case, wrong ones are named.

Deterministic: no false alarms; a pass excludes errors above 30 units of roundoff of the terms.
"""

import numpy as np
import pytest
from scipy.special import expit, log_expit

import ebm_ref as er
from ebm_ref.errors import DomainError
from ebm_ref.oracle import cases, check_pseudo_likelihood
from ebm_ref.oracle.checks_formulas import likelihood_statistics
from ebm_ref.oracle.checks_pseudo import Pseudo, wrong_gradients, wrong_values

CASES = [name for name in cases.NAMES if not cases.named(name).clamp]
COLD, MACHINE = cases.named("rbm_3x3_cold"), cases.named("boltzmann_4")


def flips(case, x):
    """F(x^i) - F(x) by the closed forms, (n, nv)."""
    down, up = case.values
    if not case.n_hidden:
        return np.where(x == up, 1, -1) * (up - down) * (case.c + x @ case.J)
    F = lambda rows: -rows @ case.a - np.logaddexp(0, case.b + rows @ case.W).sum(axis=1)  # noqa: E731
    other = [np.where(np.arange(case.n_visible) == i, 1 - x, x) for i in range(case.n_visible)]
    return np.column_stack([F(rows) - F(x) for rows in other])


def values(case):
    return lambda x: log_expit(flips(case, x)).sum(axis=1)


def gradient(case):
    """d/dJ_ij = x_j r_i + x_i r_j, r_i = q_i d D_i / d field_i, of a model of one layer."""

    def f(x):
        rise = expit(-flips(case, x)) * np.where(x == case.values[1], 1, -1) * np.subtract(*case.values[::-1])
        J = (rise.T @ x + x.T @ rise) / len(x)
        return J * (1 - np.eye(len(J))), rise.mean(axis=0)

    return f


@pytest.mark.parametrize("name", CASES)
def test_right_answers_pass_on_every_case(name):
    case = cases.named(name)
    right = lambda x: er.pseudo_log_likelihood_gradient(er.RBM(case.W, case.a, case.b), x)  # noqa: E731
    for report in (
        check_pseudo_likelihood(values(case), case),
        check_pseudo_likelihood(right if case.n_hidden else gradient(case), case, of="gradient"),
    ):
        assert report.passed, str(report)
        assert not report.diagnosis
        assert report.false_alarm_bound == 0.0


@pytest.mark.parametrize("case", [COLD, MACHINE], ids=lambda case: case.name)
def test_every_known_mistake_is_named(case):
    right, place = Pseudo(case, case.energies), 2 ** np.arange(case.n_visible)
    each = [np.array([v]) for v in range(len(right.rows))]
    gradients = [w for w in wrong_gradients(right, each) if w.id not in ("sum_for_mean", "log_likelihood")]
    for of, wrong in [("value", w) for w in wrong_values(right)] + [("gradient", w) for w in gradients]:
        if case.beta == 1.0 and wrong.id == "beta_factor":
            continue
        table = wrong.values.reshape(len(right.rows), -1)

        def f(x, of=of, table=table):
            rows = table[(x @ place).astype(int)]
            return rows[:, 0] if of == "value" else blocks(case, rows.mean(axis=0))

        report = check_pseudo_likelihood(f, case, of)
        assert not report.passed, wrong.id
        assert wrong.description in report.diagnosis[0].description, str(report)
        assert report.diagnosis[0].explained


def blocks(case, flat):
    """The flat gradient as the tuple that a candidate returns."""
    shapes = [v.shape for v in ((case.W, case.a, case.b) if case.n_hidden else (case.J, case.c))]
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=True)]


def test_reductions_of_gradients_are_named():
    right = Pseudo(COLD, COLD.energies)
    table, place = right.gradients(-np.expm1(right.logs)), 2 ** np.arange(3)
    summed = lambda x: blocks(COLD, table[(x @ place).astype(int)].sum(axis=0))  # noqa: E731
    likelihood = lambda x: blocks(COLD, np.subtract(*likelihood_statistics(COLD, x)))  # noqa: E731
    for f, name in ((summed, "sum_for_mean"), (likelihood, "log_likelihood")):
        assert check_pseudo_likelihood(f, COLD, of="gradient").diagnosis[0].mistake == name


def test_reconstruction_and_one_sided_gradients_are_named():
    p = lambda x: expit(COLD.b + x @ COLD.W)  # noqa: E731
    cross_entropy = lambda x: log_expit((2 * x - 1) * (COLD.a + p(x) @ COLD.W.T)).sum(axis=1)  # noqa: E731
    assert check_pseudo_likelihood(cross_entropy, COLD).diagnosis[0].mistake == "reconstruction"

    def one_sided(s):
        rise = s - expit(MACHINE.c + s @ MACHINE.J)
        return (rise.T @ s / len(s)) * (1 - np.eye(4)), rise.mean(axis=0)

    assert check_pseudo_likelihood(one_sided, MACHINE, of="gradient").diagnosis[0].mistake == "one_sided"


def test_one_random_unit_for_all_is_no_value():
    """97: n_visible log p(x_i | rest) of a random unit has the right mean, and is refused as a value."""
    rng = np.random.default_rng(0)

    def estimate(x):
        i = rng.integers(0, x.shape[1], len(x))
        return x.shape[1] * log_expit(flips(COLD, x))[np.arange(len(x)), i]

    assert not check_pseudo_likelihood(estimate, COLD).passed


def test_wrong_use_is_refused():
    with pytest.raises(DomainError, match="clamped"):
        check_pseudo_likelihood(values(COLD), cases.named("rbm_3x3_clamped"))
    with pytest.raises(DomainError, match="expected binary units"):
        check_pseudo_likelihood(values(COLD), cases.named("gmm_1d"))
    with pytest.raises(DomainError, match="of: expected"):
        check_pseudo_likelihood(values(COLD), COLD, of="score")
    mean = check_pseudo_likelihood(lambda x: values(COLD)(x).mean(), COLD)
    assert "returned shape (), expected (8,)" in str(mean)
    assert "replay: ebm_ref.oracle.check_pseudo_likelihood(f, cases.named('rbm_3x3_cold', 'block_gibbs'))" in str(mean)
    assert "of='gradient')" in str(check_pseudo_likelihood(lambda x: 1 / 0, COLD, of="gradient"))
