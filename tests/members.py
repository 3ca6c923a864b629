"""The members over which the laws run.  A new model, sampler or estimator is one more line here."""

import numpy as np
import pytest

import ebm_ref as er

RBM_3X2 = er.RBM(
    [[1.3, -0.7], [-0.4, 2.1], [0.9, -1.6]], [-0.3, 0.8, -1.1], [0.25, -0.6]
)  # rectangular, generic biases, mixed signs
RBM_2X4 = er.RBM.random(2, 4, 1.2, seed=5).tempered(0.8)
MACHINE_5 = er.BoltzmannMachine.random(5, 0.9, seed=3, n_visible=3)
MACHINE_4 = er.BoltzmannMachine.random(4, 1.3, seed=8).tempered(1.25)

GRBM_3X2 = er.GRBM(
    [[1.3, -0.7], [-0.4, 2.1], [0.9, -1.6]], [-0.3, 0.8, -1.1], [0.4, -0.9, 0.15], [0.25, -0.6]
)  # three different variances
GRBM_2X3 = er.GRBM.random(2, 3, 1.2, seed=5).tempered(0.8)

MODELS = (
    pytest.param(RBM_3X2, id="rbm_3x2"),
    pytest.param(RBM_2X4, id="rbm_2x4_tempered"),
    pytest.param(er.RBM.random(4, 1, 2.0, seed=1), id="rbm_4x1"),
    pytest.param(er.RBM.random(1, 3, 2.0, seed=2), id="rbm_1x3"),
    pytest.param(er.RBM([[0.0]] * 2, [0.5, -1.5], [0.75]), id="rbm_without_weights"),
    pytest.param(er.RBM(np.zeros((3, 0)), [0.5, -1.5, 0.2], []), id="rbm_without_hidden"),
    pytest.param(er.RBM.random(2, 3, 6.0, seed=4), id="rbm_strong"),
    pytest.param(MACHINE_5, id="machine_5_with_2_hidden"),
    pytest.param(MACHINE_4, id="machine_4_visible"),
    pytest.param(er.BoltzmannMachine.random(2, 3.0, seed=6, n_visible=1), id="machine_2"),
)

GRBMS = (
    pytest.param(GRBM_3X2, id="grbm_3x2"),
    pytest.param(GRBM_2X3, id="grbm_2x3_tempered"),
    pytest.param(er.GRBM.random(1, 4, 1.5, seed=1), id="grbm_1x4"),
    pytest.param(er.GRBM.random(4, 1, 1.0, seed=2), id="grbm_4x1"),
    pytest.param(er.GRBM([[0.0, 0.0]] * 2, [0.5, -1.5], [-1.0, 0.7], [0.75, -2.0]), id="grbm_without_weights"),
    pytest.param(er.GRBM(np.zeros((2, 0)), [0.5, -1.5], [0.2, -0.4], []), id="grbm_without_hidden"),
)

SAMPLERS = (
    pytest.param(er.block_gibbs(RBM_3X2), "block_gibbs", id="block_gibbs"),
    pytest.param(er.block_gibbs(RBM_2X4), "block_gibbs", id="block_gibbs_wide"),
    pytest.param(er.gibbs(RBM_3X2), "gibbs", id="gibbs_rbm"),
    pytest.param(er.gibbs(MACHINE_5), "gibbs", id="gibbs_machine"),
    pytest.param(er.gibbs(MACHINE_5, "random"), "gibbs_random", id="gibbs_random"),
    pytest.param(er.gibbs(MACHINE_5, "palindromic"), "gibbs_palindromic", id="gibbs_palindromic"),
    pytest.param(er.metropolis(RBM_3X2), "metropolis", id="metropolis_rbm"),
    pytest.param(er.metropolis(MACHINE_4), "metropolis", id="metropolis_machine"),
)  # the sampler, and the name of its kernel in the oracle's plain loops

UNBIASED = (
    pytest.param(er.cd(1), id="cd1"),
    pytest.param(er.cd(3), id="cd3"),
    pytest.param(er.cd(2, positive="sample"), id="cd2_positive_sampled"),
    pytest.param(er.cd(1, negative="sample"), id="cd1_negative_sampled"),
)  # estimators whose expectation is exact.cd_gradient

ESTIMATORS = (
    pytest.param(er.exact_gradient(), id="exact_gradient"),
    *UNBIASED,
    pytest.param(er.cd(1, visible="mean"), id="cd1_mean"),
    pytest.param(er.pcd(2, n_chains=7), id="pcd2"),
)
