"""Golden vectors: questions about energy-based models with answers to 30 digits, for any language.

A file is JSON: models and inputs as C99 hex floats (exact), expected values as hex floats and 30-digit decimals, the
conventions in words, and for each vector the mistakes that it hunts.  Ids (``tcId``) are never used twice; a
released file never changes.  The JSON Schemas lie beside the files.

    bernoulli_rbm.json           energies, free energies, conditionals, log Z, laws, moments, likelihood and gradient,
                                 transition matrices, spectral gaps, injected uniforms, exact CD-k means and
                                 covariances, AIS moments
    boltzmann_machine.json       energies, conditionals, log Z, laws, moments, likelihood and gradient, transition
                                 matrices, spectral gaps
    gaussian_bernoulli_rbm.json  energies, free energies, conditionals, scores, log Z, densities, the mixture, moments,
                                 gradients with log-variance, completion, maps between the conventions in use
    langevin.json                ULA and MALA with injected normals, proposal densities, acceptance ratios, ULA's law on
                                 a Gaussian, leapfrog trajectories, Gibbs-Langevin
    deep_energies.json           layers with their vjp, jvp and second derivatives, forms of the energy with gradients,
                                 Hessian and mixed products, the gradient of denoising score matching, log Z
    philox4x32.json              known answers of the counter-based generator

``write(folder)`` makes them (needs mpmath), ``verify(folder, adapter)`` runs an implementation over them,
``SHIPPED`` is the folder with the released ones.  Quantities and their inputs are listed in ``conventions`` of each
file.
"""

from ebm_ref.oracle.vectors.checking import SHIPPED, verify
from ebm_ref.oracle.vectors.writing import write

__all__ = ["SHIPPED", "verify", "write"]
