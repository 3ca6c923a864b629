"""A GRBM is a mixture of 2^n_hidden normal laws with one diagonal covariance:

    p(v) = sum_h p(h) N(v; mu + Wh, diag s2),    p(h) = exp(-G(h)) / Z,    G the hidden free energy.

Component t is the hidden state whose bits are t.  Density, log Z, moments and samples without a table of components
are those of ``exact.log_prob``, ``log_partition``, ``moments`` and ``sample``; p(v_U|v_K) is that of the GRBM
``model.conditioned(K, v_K)``.
"""

from __future__ import annotations

import numpy as np

from ebm_ref.errors import DomainError, ModelTooLargeError
from ebm_ref.exact.partition import log_partition
from ebm_ref.exact.probabilities import TABLE_BITS, layer_log_weights
from ebm_ref.models.analytic import GaussianMixture
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.states import subset_sums


def mixture(model: GRBM) -> GaussianMixture:
    """The components as a record: weights (2**n_hidden,), means (2**n_hidden, n_visible), variances of that shape.

    Raises ModelTooLargeError when the table of means would not fit in memory.

    >>> weights, means, variances = mixture(GRBM([[2.0]], [1.0], [0.0], [-4.0]))
    >>> weights, means[:, 0]
    (array([0.5, 0.5]), array([1., 3.]))
    """
    if not isinstance(model, GRBM):
        raise DomainError(f"mixture: expected a GRBM, got {type(model).__name__}")
    numbers = np.ldexp(float(model.n_visible), min(model.n_hidden, 1000))
    if numbers > 2**TABLE_BITS:
        raise ModelTooLargeError(
            f"mixture: 2**{model.n_hidden} means of {model.n_visible} numbers, at most 2**{TABLE_BITS} numbers here;"
            " use exact.log_prob, moments or sample, which keep no table"
        )
    weights = np.exp(layer_log_weights(model) - log_partition(model))
    return GaussianMixture(weights / weights.sum(), model.mu + subset_sums(model.W.T), model.variance)
