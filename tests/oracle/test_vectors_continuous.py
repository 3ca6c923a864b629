"""Golden vectors of continuous units: broken twins of the package fail and are diagnosed."""

import shutil

import numpy as np
import pytest
from vectors_continuous import continuous, energies, mala, target, trace

import ebm_ref as er
from ebm_ref.oracle import vectors

# the Gaussian-Bernoulli RBM: another model, or another answer


def is_grbm(model):
    return "log_var" in model


def as_record(model):
    return {"W": model.W, "mu": model.mu, "log_var": model.log_var, "b": model.b}


def with_model(change):
    """The twin that takes every GRBM for another one."""

    def adapter(quantity, model, given):
        accepted = is_grbm(model) and not quantity.startswith("grbm_to_")
        if accepted:
            er.GRBM(**model)  # what the package refuses, the twin refuses
        return continuous(quantity, change(model) if accepted else model, given)

    return adapter


def with_answer(change, *quantities):
    """The twin that answers some questions differently: change(answer, model, given)."""

    def adapter(quantity, model, given):
        answer = continuous(quantity, model, given)
        return change(answer, model, given) if quantity in quantities else answer

    return adapter


def column_major(model):
    W = model["W"]
    return {**model, "W": W.ravel().reshape(W.shape[::-1]).T}


def scaled(model):
    sigma = np.exp(model["log_var"] / 2)
    return as_record(er.GRBM.from_scaled(model["W"], model["mu"], sigma, model["b"]))


def by_sigma(answer, model, given):
    """d/dsigma where d/dlog_var is asked for."""
    nv, nh = model["W"].shape
    answer[nv * nh + nv : nv * nh + 2 * nv] *= 2 / np.exp(model["log_var"] / 2)
    return answer


def over_batch(answer, model, given):
    return answer / len(given["data"])


def without_known(quantity, model, given):
    if quantity != "grbm_conditional_log_density":
        return continuous(quantity, model, given)
    unknown = ~given["known"].astype(bool)
    part = {**model, **{k: model[k][unknown] for k in ("W", "mu", "log_var")}}
    return continuous("grbm_log_densities", part, {"data": given["v"][None, unknown]})[0]


def marginal_score(quantity, model, given):
    if quantity == "grbm_score_given_hidden":
        return continuous("grbm_scores", model, {"data": given["v"][None]})[0]
    return continuous(quantity, model, given)


def beta_twice(quantity, model, given):
    return continuous(quantity, model, {**given, "beta": given["beta"] ** 2} if "beta" in given else given)


def anything_goes(quantity, model, given):
    arrays = {k: np.nan_to_num(v, posinf=0.0, neginf=0.0) for k, v in model.items()}
    return continuous(quantity, arrays, given)


BROKEN_GRBMS = (
    (with_model(lambda m: {**m, "log_var": m["log_var"] / 2}), "SigmaForVariance", "grbm_hidden_probabilities"),
    (with_model(lambda m: {**m, "log_var": 0 * m["log_var"]}), "VarianceIgnored", "grbm_scores"),
    (with_model(lambda m: {**m, "mu": 0 * m["mu"]}), "VisibleMean", "grbm_visible_mean"),
    (with_model(column_major), "TransposedW", "grbm_energies"),
    (with_model(scaled), "ScaledCoupling", "grbm_free_energies"),
    (with_model(lambda m: as_record(er.GRBM.from_centred(**m))), "CentredCoupling", "grbm_hidden_probabilities"),
    (with_answer(over_batch, "grbm_free_energies", "grbm_scores"), "EnergyOverBatch", "grbm_scores"),
    (
        with_answer(by_sigma, "grbm_energy_gradient", "grbm_log_likelihood_gradient"),
        "LogVarianceGradient",
        "grbm_log_likelihood_gradient",
    ),
    (
        with_answer(lambda z, m, g: z - len(m["mu"]) / 2 * np.log(2 * np.pi), "grbm_log_z"),
        "GaussianConstant",
        "grbm_log_z",
    ),
    (with_answer(lambda s, m, g: np.sqrt(s), "grbm_visible_variance"), "SpreadOfVisible", "grbm_visible_variance"),
    (with_answer(lambda J, m, g: 2 * J, "grbm_hidden_couplings"), "CouplingTwice", "grbm_hidden_couplings"),
    (
        with_answer(lambda s, m, g: -s, "grbm_scores", "grbm_energy_gradient", "grbm_log_likelihood_gradient"),
        "GradientSign",
        "grbm_scores",
    ),
    (without_known, "KnownUnitsIgnored", "grbm_conditional_log_density"),
    (marginal_score, "MarginalForConditional", "grbm_score_given_hidden"),
    (beta_twice, "BetaNotOne", "grbm_tempered"),
    (anything_goes, "NonFinite", "grbm_log_z"),
)

# Langevin samplers


def changed(**changes):
    """The twin that reads some inputs differently: name -> function of the input."""

    def adapter(quantity, model, given):
        read = {k: changes[k](given) if k in changes else v for k, v in given.items()}
        return continuous(quantity, model, read)

    return adapter


def only(adapter, *quantities):
    """What an implementation that has moves and no laws would answer."""
    return lambda q, model, given: adapter(q, model, given) if q in quantities else NotImplemented


def moves(**changes):
    return only(changed(**changes), "target_energies", "target_gradients", "ula_trace", "mala_trace")


def noise_times(factor):
    """z scaled in the moves: sqrt(lam) for sqrt(2 lam) is 1/sqrt(2), lam is sqrt(lam/(2T))."""
    return moves(z=lambda given: factor(given) * given["z"])


class Uphill:
    """A target whose gradient has the wrong sign."""

    def __init__(self, model):
        self.n_visible, self.score, self.energy = (
            model.n_visible,
            lambda x: -model.score(x),
            lambda x: energies(model, x),
        )


def uphill(quantity, model, given):
    make = er.ula if quantity == "ula_trace" else er.mala
    sampler = make(Uphill(target(model)), given["step_size"], temperature=given["temperature"])
    return trace(sampler, given["x"], given["z"], given.get("u", np.zeros(len(given["z"]))))


def ratio_of(change):
    """The twin whose log ratio of MALA is change(E - E' over T, log q back - log q there)."""

    def adapter(quantity, model, given):
        if quantity != "mala_log_ratio":
            return continuous(quantity, model, given)
        m = target(model)
        back = {**given, "x": given["proposal"], "proposal": given["x"]}
        q = mala("mala_log_proposal", m, back) - mala("mala_log_proposal", m, given)
        pair = np.array([given["x"], given["proposal"]])
        return change(-np.diff(energies(m, pair))[0] / given["temperature"], q)

    return adapter


def opposite(quantity, model, given):
    answer = continuous(quantity, model, given)
    return -answer if quantity in ("mala_log_ratio", "hmc_log_ratio", "gibbs_langevin_log_ratio") else answer


def narrow_proposal(quantity, model, given):
    """2 lam T for 4 lam T in log q: half the variance there."""
    if quantity == "mala_log_ratio":
        return ratio_of(lambda energy, q: energy + 2 * q)(quantity, model, given)
    if quantity == "mala_log_proposal":
        m = target(model)
        mean = given["x"] + given["step_size"] * m.score(given["x"][None])[0]
        variance = given["step_size"] * given["temperature"]
        return (-0.5 * np.log(2 * np.pi * variance) - (given["proposal"] - mean) ** 2 / (2 * variance)).sum()
    return continuous(quantity, model, given)


def target_for_ula(quantity, model, given):
    covariance = given["temperature"] * np.linalg.inv(model["precision"]) if "precision" in model else None
    answers = {"ula_stationary_covariance": covariance, "ula_kl_divergence": 0.0}
    answer = continuous(quantity, model, given)  # refuses what is to be refused
    return answers.get(quantity, answer) if covariance is not None else answer


def whole_kicks(quantity, model, given):
    if quantity != "leapfrog_position":
        return continuous(quantity, model, given)
    m, x, p, e = target(model), given["x"], given["p"], given["step_size"]
    for _ in range(given["n_leapfrog"]):
        p = p + e * m.score(x[None])[0] / given["temperature"]
        x = x + e * p
    return x


def without_last(given):
    return given["step_sizes"][:-1]


BROKEN_SAMPLERS = (
    (noise_times(lambda g: np.sqrt(0.5)), "NoiseRoot", "ula_trace"),
    (noise_times(lambda g: np.sqrt(g["step_size"] / (2 * g["temperature"]))), "NoiseIsStep", "ula_trace"),
    (moves(z=lambda g: np.repeat(g["z"][:1], len(g["z"]), axis=0)), "SameNoiseEachStep", "ula_trace"),
    (moves(z=lambda g: np.repeat(g["z"][:, :1], g["z"].shape[1], axis=1)), "OneNoiseForAll", "mala_trace"),
    (moves(step_size=lambda g: g["step_size"] / 2), "StepConvention", "ula_trace"),
    (changed(step_size=lambda g: np.full_like(g["step_size"], g["step_size"].mean())), "OneStepForAll", "ula_trace"),
    (changed(temperature=lambda g: 1.0), "TemperatureOfStep", "mala_log_ratio"),
    (only(uphill, "ula_trace", "mala_trace"), "GradientClimb", "ula_trace"),
    (ratio_of(lambda energy, q: energy), "ReverseProposal", "mala_log_ratio"),
    (ratio_of(lambda energy, q: energy - q), "ProposalInverted", "mala_log_ratio"),
    (narrow_proposal, "ProposalDenominator", "mala_log_proposal"),
    (opposite, "RatioSign", "hmc_log_ratio"),
    (changed(u=lambda g: 0 * g["u"]), "AlwaysAccepts", "mala_trace"),
    (changed(u=lambda g: 1 - 0 * g["u"]), "RejectedMoves", "mala_trace"),
    (changed(u=lambda g: 1 / g["u"]), "ThresholdSign", "mala_trace"),
    (target_for_ula, "TargetForUla", "ula_stationary_covariance"),
    (changed(n_leapfrog=lambda g: g["n_leapfrog"] + 1), "LeapfrogCount", "leapfrog_position"),
    (whole_kicks, "LeapfrogHalfStep", "leapfrog_position"),
    (changed(step_sizes=without_last), "InnerSteps", "gibbs_langevin_log_ratio"),
)


@pytest.mark.parametrize(("adapter", "flag", "killed_by"), BROKEN_GRBMS, ids=[b[1] for b in BROKEN_GRBMS])
def test_a_broken_gaussian_machine_fails_and_is_diagnosed(adapter, flag, killed_by, tmp_path):
    check(adapter, flag, f"gaussian_bernoulli_rbm/{killed_by}", tmp_path)


@pytest.mark.parametrize(("adapter", "flag", "killed_by"), BROKEN_SAMPLERS, ids=[b[1] for b in BROKEN_SAMPLERS])
def test_a_broken_sampler_fails_and_is_diagnosed(adapter, flag, killed_by, tmp_path):
    check(adapter, flag, f"langevin/{killed_by}", tmp_path)


def check(adapter, flag, killed_by, folder):
    shutil.copy(vectors.SHIPPED / (killed_by.split("/")[0] + ".json"), folder)  # one file: the others cost time only
    with np.errstate(all="ignore"):
        report = vectors.verify(folder, adapter)
    assert killed_by in {r.test for r in report.failures}
    assert flag in [d.mistake for d in report.diagnosis[:3]], report.diagnosis[:5]
