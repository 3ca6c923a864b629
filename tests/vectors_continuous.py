"""The package's Gaussian-Bernoulli RBM and Langevin samplers as an adapter of golden vectors.

Samplers are asked by their ``step`` with injected normals and uniforms.  They give no log ratios but probabilities: of
a move and its reverse one has probability below 1, and their log ratios are opposite.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from vectors_binary import CONTINUOUS

import ebm_ref as er
from ebm_ref.errors import require_finite, require_rows
from ebm_ref.exact.langevin import inner_chain, ula_bias, ula_covariance, ula_kl_divergence, ula_moments
from ebm_ref.models.analytic import Gaussian
from ebm_ref.samplers.common import GaussianNoise

ACCEPT = -1.0  # a uniform below every probability


def flat(*arrays):
    return np.concatenate([np.ravel(a) for a in arrays])


def leaves(record):
    return flat(record.W, record.mu, record.log_var, record.b)


# the Gaussian-Bernoulli RBM ------------------------------------------------------------------------------------------


def states(n):
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(float)


def grbm(quantity, model, given):
    """Quantities of gaussian_bernoulli_rbm.json."""
    if quantity == "grbm_from_scaled":
        return leaves(er.GRBM.from_scaled(**given))
    m = er.GRBM(**model)
    v, h, data = (np.atleast_2d(given[k]) if k in given else None for k in ("v", "h", "data"))
    if data is not None:
        require_finite("data", data)
    every = states(m.n_hidden)
    table = {
        "energies": lambda: m.energy(np.repeat(v, len(every), axis=0), every),
        "energy": lambda: m.energy(v, h)[0],
        "free_energies": lambda: m.free_energy(data),
        "hidden_free_energies": lambda: m.hidden_free_energy(every),
        "hidden_probabilities": lambda: m.hidden_probabilities(v)[0],
        "visible_mean": lambda: m.visible_mean(h)[0],
        "visible_variance": lambda: m.variance,
        "scores": lambda: m.score(data),
        "score_given_hidden": lambda: m.score_given_hidden(v, h)[0],
        "energy_gradient": lambda: leaves(m.energy_gradient(v, h)),
        "energy_gradient_scaled": lambda: flat(*m.gradient_to_scaled(m.energy_gradient(v, h))),
        "log_z": lambda: er.exact.log_partition(m),
        "log_densities": lambda: er.exact.log_prob(m, data),
        "mixture_weights": lambda: er.exact.mixture(m).weights,
        "covariance_v": lambda: er.exact.mixture(m).covariance,
        "mean_v": lambda: er.exact.moments(m).x,
        "mean_h": lambda: er.exact.moments(m).h,
        "mean_vh": lambda: er.exact.moments(m).xh,
        "mean_hh": lambda: er.exact.moments(m).hh,
        "hidden_couplings": lambda: m.hidden_machine()[0].J,
        "hidden_fields": lambda: m.hidden_machine()[0].c,
        "log_likelihood": lambda: er.exact.log_likelihood(m, data),
        "log_likelihood_gradient": lambda: leaves(er.exact.log_likelihood_gradient(m, data)),
        "conditional_log_density": lambda: completion(m, v[0], given["known"].astype(bool)),
        "to_scaled": lambda: flat(*m.to_scaled()),
        "to_centred": lambda: flat(*m.to_centred()),
        "to_natural": lambda: flat(*m.to_natural()),
        "tempered": lambda: leaves(m.tempered(given["beta"])),
    }
    return table[quantity.removeprefix("grbm_")]()


def completion(m, v, known):
    return er.exact.log_prob(m.conditioned(known, v[known]), v[None, ~known])[0]


# Langevin samplers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DoubleWell:
    """E = sum a x^4/4 - b x^2/2 - c x."""

    quartic: np.ndarray
    quadratic: np.ndarray
    linear: np.ndarray

    @property
    def n_visible(self):
        return len(self.linear)

    def energy(self, x):
        return (self.quartic * x**4 / 4 - self.quadratic * x**2 / 2 - self.linear * x).sum(axis=1)

    def score(self, x):
        return -self.quartic * x**3 + self.quadratic * x + self.linear


def target(model):
    kind = Gaussian if "precision" in model else DoubleWell if "quartic" in model else er.GRBM
    return kind(**model)


def energies(m, rows):
    return getattr(m, "free_energy", m.energy)(require_rows("data", rows, m.n_visible))


def trace(sampler, x, z, u):
    """The states after each move."""
    row, found = sampler.init(x, seed=0), []
    for normals, uniform in zip(z, u, strict=True):
        row, _ = sampler.step(row, GaussianNoise(normals[None], np.array([[uniform]])))
        found.append(row[0])
    return np.array(found)


def log_ratio(there, back):
    """From the probabilities of a move and of its reverse, the smaller of which is exp(-|log ratio|)."""
    return np.log(there) if there < 1 else -np.log(back)


def mala_probability(sampler, x, to):
    """Of accepting ``to`` at x: the proposal is reached by the right normals."""
    drift = sampler.unadjusted().step(x[None], GaussianNoise(np.zeros((1, len(x))), np.empty((1, 0))))[0][0]
    z = (to - drift) / sampler.noise
    return sampler.step(x[None], GaussianNoise(z[None], np.array([[ACCEPT]])))[1].probability[0]


def mala(quantity, m, given):
    """Quantities of one proposal."""
    x, to = (sampler_row(m, given[k]) for k in ("x", "proposal"))
    sampler = er.mala(m, given["step_size"], temperature=given["temperature"])
    if quantity == "mala_log_ratio":
        return log_ratio(mala_probability(sampler, x, to), mala_probability(sampler, to, x))
    drift = sampler.unadjusted().step(x[None], GaussianNoise(np.zeros((1, len(x))), np.empty((1, 0))))[0][0]
    return norm.logpdf(to, drift, sampler.noise).sum()


def sampler_row(m, x):
    return require_rows("x", x[None], m.n_visible)[0]


def leapfrog(quantity, m, given):
    """Where the trajectory ends.  p_n = (x_{n+1} - x_n)/e + e g_n/(2T), the first half of the step after."""
    x, p, e, T = given["x"], given["p"], given["step_size"], given["temperature"]

    def run(at, momentum, n):
        new, info = er.hmc(m, e, n, temperature=T).step(at[None], GaussianNoise(momentum[None], np.array([[ACCEPT]])))
        return new[0], info.probability[0]

    end, probability = run(x, p, given["n_leapfrog"])
    if quantity == "leapfrog_position":
        return end
    momentum = (run(x, p, given["n_leapfrog"] + 1)[0] - end) / e - e * m.score(end[None])[0] / (2 * T)
    if quantity == "leapfrog_momentum":
        return momentum
    return log_ratio(probability, run(end, -momentum, given["n_leapfrog"])[1])


def gibbs_langevin(quantity, m, given):
    """rho, tau2 and the ratio of the joint move, drawn as one normal jump."""
    rho, tau2 = inner_chain(given["step_sizes"], m.variance)
    if quantity != "gibbs_langevin_log_ratio":
        return rho if quantity == "gibbs_langevin_rho" else tau2
    sampler = er.gibbs_langevin(m, given["step_sizes"], adjust=True, collapsed=True)
    old, new = (given["v"], given["h"]), (given["new_v"], given["new_h"])

    def probability(start, end):
        (v, h), (to, chosen) = start, end
        z = (to - rho * v - (1 - rho) * m.visible_mean(h[None])[0]) / np.sqrt(tau2)
        u = np.concatenate([1.0 - chosen, [ACCEPT]])  # u = 0 draws a one, u = 1 a zero
        return sampler.step(np.concatenate([v, h])[None], GaussianNoise(z[None, None], u[None]))[1].probability[0]

    return log_ratio(probability(old, new), probability(new, old))


def langevin(quantity, model, given):
    """Quantities of langevin.json."""
    if quantity == "sampled_temperature":
        return er.ula(Gaussian([0.0], [[1.0]]), given["step_size"], noise=given["noise"]).temperature
    m = target(model)
    if quantity.startswith("target_"):
        require_finite("energies", energies(m, given["data"]))
        return energies(m, given["data"]) if quantity == "target_energies" else -m.score(given["data"])
    if quantity.startswith(("leapfrog", "hmc")):
        return leapfrog(quantity, m, given)
    if quantity.startswith("gibbs_langevin"):
        return gibbs_langevin(quantity, m, given)
    steps, T = given["step_size"], given["temperature"]
    if quantity.endswith("_trace"):
        make = er.mala if quantity == "mala_trace" else er.ula
        return trace(make(m, steps, temperature=T), given["x"], given["z"], given.get("u", np.zeros(len(given["z"]))))
    if quantity.startswith("mala_"):
        return mala(quantity, m, given)
    if quantity == "ula_kl_divergence":
        return ula_kl_divergence(m, steps)
    if quantity in ("ula_mean", "ula_covariance"):
        return ula_moments(m, given["x"], given["k"], steps, T)[quantity == "ula_covariance"]
    return (ula_bias if quantity == "ula_bias" else ula_covariance)(m, steps, T)


def continuous(quantity, model, given):
    """The adapter: what it doesn't know belongs to the files of binary units."""
    if not quantity.startswith(CONTINUOUS):
        return NotImplemented
    return (grbm if quantity.startswith("grbm_") else langevin)(quantity, model, given)
