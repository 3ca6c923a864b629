"""Continuous cases from the shell and from pytest, and the package's own samplers held to them.

Every statistical check is one Report: false alarms at most 1e-6, for any seed.
"""

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.cli import main
from ebm_ref.models.analytic import Gaussian, GaussianMixture
from ebm_ref.oracle import cases, check_kernel, check_ula
from ebm_ref.oracle.plugin import conformance_tests

OWN = (
    ("gauss_2d", "ula"),
    ("grbm_3x3", "ula"),
    ("gmm_1d", "mala"),
    ("gauss_2d", "mala"),
    ("grbm_3x3", "mala"),
    ("gauss_2d", "hmc"),
    ("grbm_2x2_hot", "block_gibbs"),
)

MALA = """
import numpy as np


def step(case):
    def move(x, seed):
        rng = np.random.default_rng(seed)
        y = x - case.step_size * case.gradient(x) + np.sqrt(2 * case.step_size) * rng.standard_normal(x.shape)
        return np.where((np.log(rng.random(len(x))) < case.energy(x) - case.energy(y))[:, None], y, x)

    return move
"""


def model_of(case):
    if case.W is not None:
        return er.GRBM(case.W, case.mu, case.log_var, case.b)
    target = case.target
    if len(target.weights) == 1:
        return Gaussian(target.means[0], target.precisions[0])
    return GaussianMixture(target.weights, target.means, np.diagonal(target.covariances, axis1=1, axis2=2))


def step_of(case):
    """One compiled step of the package's own sampler."""
    model = model_of(case)
    made = {
        "ula": lambda: er.ula(model, case.step_size),
        "mala": lambda: er.mala(model, case.step_size),
        "hmc": lambda: er.hmc(model, case.step_size, case.n_inner),
        "block_gibbs": lambda: er.block_gibbs(model),
    }
    sampler = made[case.kernel]()
    return lambda states, seed: er.sample(sampler, states, 1, seed).last


@pytest.mark.parametrize(("name", "kernel"), OWN)
def test_own_samplers_pass(name, kernel):
    case = cases.named(name, kernel)
    check = check_ula if kernel == "ula" else check_kernel
    report = check(step_of(case), case, profile="smoke", seed=7)
    assert report.passed, str(report)


def test_mala_and_ula_are_told_apart():
    ula, mala = cases.named("gauss_2d", "ula"), cases.named("gauss_2d", "mala")
    assert "rejects proposals" in check_ula(step_of(mala), ula, profile="smoke").failures[0].message
    report = check_kernel(step_of(ula), mala, profile="smoke")
    assert report.diagnosis[0].mistake == "mala_never_rejects"
    assert report.diagnosis[0].explained


def test_verify_judges_a_continuous_target(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(MALA)
    words = ["verify", "--target", f"{path}:step", "--case", "gmm_1d", "--profile", "smoke", "--quiet"]
    with pytest.raises(SystemExit) as status:
        main([*words, "--html", str(tmp_path / "report.html")])
    assert status.value.code == 1
    assert "proposal ratio missing" in capsys.readouterr().out
    assert "proposal ratio missing" in (tmp_path / "report.html").read_text()


def test_the_zoo_command_knows_continuous_bugs(capsys):
    with pytest.raises(SystemExit) as status:
        main(["zoo", "--bug", "mala_accepts_less", "--bug", "ula_noise_eta", "--profile", "smoke", "--quiet"])
    assert status.value.code == 0
    assert "wrong continuous kernels" in capsys.readouterr().out


@conformance_tests(cases=["grbm_2x2"])
class TestConformance:
    def step(self, case):
        return step_of(case)

    def energy(self, case):
        return model_of(case).free_energy

    def conditionals(self, case):
        return model_of(case)

    def log_partition(self, case):
        return er.exact.log_partition(model_of(case))
