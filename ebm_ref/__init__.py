"""ebm_ref: the reference for energy-based models, p(x) = exp(-E(x)) / Z.

Exact answers where a model is small enough, samplers and learning with hand-derived gradients, and an oracle that tells
whether somebody else's implementation is right.  Submodules load when they are first used: ``import ebm_ref`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ebm_ref import compile, datasets, errors, exact, oracle, plots
    from ebm_ref.compile import get_num_threads, set_num_threads
    from ebm_ref.estimate.annealing import ais_log_partition, base_bias
    from ebm_ref.estimate.classification import auroc, calibration
    from ebm_ref.estimate.frechet import frechet_distance
    from ebm_ref.estimate.pseudo_likelihood import pseudo_log_likelihood, pseudo_log_likelihood_gradient
    from ebm_ref.io import load
    from ebm_ref.kernels.noise import Stream
    from ebm_ref.learning.annealed import annealed_score_matching
    from ebm_ref.learning.estimators import cd, exact_gradient, pcd
    from ebm_ref.learning.fit import Fit, fit
    from ebm_ref.learning.joint import cross_entropy, given_classes, jem
    from ebm_ref.learning.optimisers import CosineDecay, LinearDecay, adam, averaged, clipped, sgd
    from ebm_ref.learning.recovery import recovery
    from ebm_ref.learning.replay import langevin_cd
    from ebm_ref.learning.score_matching import denoising_score_matching, score_matching_objective
    from ebm_ref.models import nets
    from ebm_ref.models.analytic import Gaussian, GaussianMixture
    from ebm_ref.models.boltzmann import BoltzmannMachine
    from ebm_ref.models.grbm import GRBM
    from ebm_ref.models.heads import JointEnergy, NetworkEnergy
    from ebm_ref.models.rbm import RBM
    from ebm_ref.samplers.complete import complete
    from ebm_ref.samplers.descent import noisy_descent, published_sampler
    from ebm_ref.samplers.gibbs import block_gibbs, gibbs
    from ebm_ref.samplers.gibbs_langevin import cosine_steps, gibbs_langevin
    from ebm_ref.samplers.hmc import hmc
    from ebm_ref.samplers.langevin import mala, ula
    from ebm_ref.samplers.metropolis import metropolis
    from ebm_ref.samplers.sample import Chain, sample

_MODULES = {
    "compile": "compile",
    "datasets": "datasets",
    "errors": "errors",
    "exact": "exact",
    "nets": "models.nets",
    "oracle": "oracle",
    "plots": "plots",
}
_HOMES = {
    "RBM": "models.rbm",
    "BoltzmannMachine": "models.boltzmann",
    "GRBM": "models.grbm",
    "Gaussian": "models.analytic",
    "GaussianMixture": "models.analytic",
    "NetworkEnergy": "models.heads",
    "JointEnergy": "models.heads",
    "Stream": "kernels.noise",
    "block_gibbs": "samplers.gibbs",
    "gibbs": "samplers.gibbs",
    "metropolis": "samplers.metropolis",
    "gibbs_langevin": "samplers.gibbs_langevin",
    "cosine_steps": "samplers.gibbs_langevin",
    "ula": "samplers.langevin",
    "mala": "samplers.langevin",
    "hmc": "samplers.hmc",
    "noisy_descent": "samplers.descent",
    "published_sampler": "samplers.descent",
    "complete": "samplers.complete",
    "sample": "samplers.sample",
    "Chain": "samplers.sample",
    "ais_log_partition": "estimate.annealing",
    "base_bias": "estimate.annealing",
    "auroc": "estimate.classification",
    "calibration": "estimate.classification",
    "frechet_distance": "estimate.frechet",
    "pseudo_log_likelihood": "estimate.pseudo_likelihood",
    "pseudo_log_likelihood_gradient": "estimate.pseudo_likelihood",
    "exact_gradient": "learning.estimators",
    "cd": "learning.estimators",
    "pcd": "learning.estimators",
    "sgd": "learning.optimisers",
    "adam": "learning.optimisers",
    "langevin_cd": "learning.replay",
    "denoising_score_matching": "learning.score_matching",
    "score_matching_objective": "learning.score_matching",
    "annealed_score_matching": "learning.annealed",
    "recovery": "learning.recovery",
    "jem": "learning.joint",
    "cross_entropy": "learning.joint",
    "given_classes": "learning.joint",
    "averaged": "learning.optimisers",
    "clipped": "learning.optimisers",
    "CosineDecay": "learning.optimisers",
    "LinearDecay": "learning.optimisers",
    "fit": "learning.fit",
    "Fit": "learning.fit",
    "load": "io",
    "get_num_threads": "compile",
    "set_num_threads": "compile",
}

__all__ = (*_MODULES, *_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"ebm_ref.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"ebm_ref.{_MODULES[name]}")
    else:
        raise AttributeError(f"module 'ebm_ref' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
