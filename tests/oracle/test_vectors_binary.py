"""Golden vectors of binary units: a plain implementation passes, broken twins fail and are diagnosed."""

import numpy as np
import pytest
from vectors_binary import correct, pairwise, require, site, states

from ebm_ref.oracle import vectors

# broken twins; BROKEN says which flag must lead the diagnosis, and what must fail


def transposed(quantity, model, given):
    if "W" in model:
        W = model["W"]
        require(W.shape == (len(model["a"]), len(model["b"])))
        model = {**model, "W": W.ravel().reshape(W.shape[::-1]).T}  # column-major memory
    return correct(quantity, model, given)


def beta_again(quantity, model, given):
    scaled = {k: 0.75 * v for k, v in model.items()} if "W" in model and (model["W"] * 256 % 1).any() else model
    return correct(quantity, scaled, given)


def no_hidden_bias(quantity, model, given):
    return correct(quantity, {**model, "b": 0 * model["b"]} if "b" in model else model, given)


def edges_twice(quantity, model, given):
    return correct(quantity, {**model, "J": 2 * model["J"]} if "J" in model else model, given)


def overflowing(quantity, model, given):
    if quantity in ("free_energy", "free_energies"):
        with np.errstate(over="ignore"):
            X = states(len(model["a"])) if quantity == "free_energies" else given["x"]
            return -X @ model["a"] - np.log(1 + np.exp(model["b"] + X @ model["W"])).sum(-1)
    return correct(quantity, model, given)


def summed(quantity, model, given):
    answer = correct(quantity, model, given)
    return np.multiply(answer, len(given["data"])) if quantity in ("cd_mean", "log_likelihood_gradient") else answer


def descent(quantity, model, given):
    answer = correct(quantity, model, given)
    return np.negative(answer) if quantity in ("cd_mean", "log_likelihood_gradient") else answer


def step_more(quantity, model, given):
    return correct(quantity, model, {**given, "k": given["k"] + 1} if "k" in given else given)


def visible_first(quantity, model, given):
    if given.get("kernel") == "block_gibbs" and quantity == "transition_matrix":
        n, nv = len(pairwise(model)[1]), len(model["a"])
        return np.linalg.multi_dot([np.eye(2**n), *(site(model, i) for i in [*range(nv), *range(nv, n)])])
    return correct(quantity, model, given)


def glauber(quantity, model, given):
    if given.get("kernel") == "metropolis":
        given = {**given, "kernel": "gibbs_random"}
    return correct(quantity, model, given)


def at_most(quantity, model, given):
    if quantity == "gibbs_trace":
        given = {**given, "u_h": given["u_h"] - 2.0**-54, "u_x": given["u_x"] - 2.0**-54}
    return correct(quantity, model, given)


def log_mean(quantity, model, given):
    if quantity == "log_z_estimate":
        return given["log_z_base"] + given["log_weights"].mean()
    return correct(quantity, model, given)


def accepts_nan(quantity, model, given):
    return correct(quantity, {k: np.nan_to_num(v, posinf=0.0, neginf=0.0) for k, v in model.items()}, given)


def first_bit_last(quantity, model, given):
    answer = correct(quantity, model, given)
    if quantity in ("energies", "probabilities", "joint_probabilities"):
        n = int(np.log2(len(answer)))
        return np.asarray(answer).reshape((2,) * n).transpose(range(n)[::-1]).ravel()
    return answer


BROKEN = (
    (transposed, "TransposedW", "bernoulli_rbm/energies"),
    (beta_again, "BetaNotOne", "bernoulli_rbm/log_z"),
    (no_hidden_bias, "HiddenBias", "bernoulli_rbm/hidden_probabilities"),
    (edges_twice, "CouplingTwice", "boltzmann_machine/log_z"),
    (overflowing, "SoftplusOverflow", "bernoulli_rbm/free_energies"),
    (summed, "SumForMean", "bernoulli_rbm/cd_mean"),
    (descent, "GradientSign", "bernoulli_rbm/log_likelihood_gradient"),
    (step_more, "CdSteps", "bernoulli_rbm/cd_mean"),
    (visible_first, "ScanOrder", "bernoulli_rbm/transition_matrix"),
    (glauber, "GlauberForMetropolis", "boltzmann_machine/transition_matrix"),
    (at_most, "StrictInequality", "bernoulli_rbm/gibbs_trace"),
    (log_mean, "MeanOfLogWeights", "bernoulli_rbm/log_z_estimate"),
    (accepts_nan, "NonFinite", "bernoulli_rbm/log_z"),
    (first_bit_last, "StateOrder", "bernoulli_rbm/energies"),
)


def test_a_correct_implementation_passes():
    report = vectors.verify(vectors.SHIPPED, correct)
    assert report.passed, str(report)
    assert max(r.effect for r in report.results if r.n) < 30
    skipped = {r.test for r in report.results if r.verdict == "skip"}
    assert all(test.startswith(("deep_energies/", "gaussian_bernoulli_rbm/", "langevin/")) for test in skipped)


@pytest.mark.parametrize(("adapter", "flag", "killed_by"), BROKEN, ids=[b[0].__name__ for b in BROKEN])
def test_a_broken_implementation_fails_and_is_diagnosed(adapter, flag, killed_by):
    report = vectors.verify(vectors.SHIPPED, adapter)
    assert killed_by in {r.test for r in report.failures}
    assert flag in [d.mistake for d in report.diagnosis[:3]]
