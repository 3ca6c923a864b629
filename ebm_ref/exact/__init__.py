"""Fast exact answers by enumeration: partition functions, probabilities, moments, transition matrices, updates."""

from ebm_ref.exact.langevin import (
    gibbs_langevin_variance,
    inner_chain,
    ula_bias,
    ula_covariance,
    ula_kl_divergence,
    ula_moments,
)
from ebm_ref.exact.mixture import mixture
from ebm_ref.exact.moments import (
    Moments,
    entropy,
    fisher_information,
    heat_capacity,
    log_likelihood_gradient,
    mean_energy,
    moments,
)
from ebm_ref.exact.partition import log_partition
from ebm_ref.exact.probabilities import (
    joint_map,
    joint_probabilities,
    kl_divergence,
    log_likelihood,
    log_prob,
    probabilities,
    sample,
)
from ebm_ref.exact.quadrature import (
    grid_kl_divergence,
    grid_log_partition,
    grid_log_partition_gradient,
    grid_log_prob,
)
from ebm_ref.exact.transitions import (
    asymptotic_covariance,
    is_reversible,
    spectral_gap,
    stationary_distribution,
    transition_matrix,
)
from ebm_ref.exact.updates import cd_gradient

__all__ = (
    "Moments", "asymptotic_covariance", "cd_gradient", "entropy", "fisher_information", "gibbs_langevin_variance",
    "grid_kl_divergence", "grid_log_partition", "grid_log_partition_gradient", "grid_log_prob", "heat_capacity",
    "inner_chain", "is_reversible", "joint_map", "joint_probabilities", "kl_divergence", "log_likelihood",
    "log_likelihood_gradient", "log_partition", "log_prob", "mean_energy", "mixture", "moments", "probabilities",
    "sample", "spectral_gap", "stationary_distribution", "transition_matrix", "ula_bias", "ula_covariance",
    "ula_kl_divergence", "ula_moments",
)  # fmt: skip
