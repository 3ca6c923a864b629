"""Completion: draw the unknown units given the known ones.

p(x_U | x_K) ~ exp(-E(x_U, x_K)): the known units are clamped, the sampler runs on the others.  That is exact as far as
the sampler is: dE/dx_U is the gradient of the conditional law, and a Gibbs site kernel knows nothing of clamping.
"""

from __future__ import annotations

import numpy as np

from ebm_ref.errors import DomainError, require_int, require_rows, require_shape
from ebm_ref.kernels.noise import Stream
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.rbm import RBM
from ebm_ref.samplers.sample import sample


def complete(
    sampler, observed, known, n_steps: int, seed: int, *, start=None, device: str = "cpu", progress: bool = False
) -> np.ndarray:
    """Rows (n, n_visible) that agree with ``observed`` where ``known`` is true, after ``n_steps`` of the sampler.

    known: a boolean mask (n_visible,).  start: rows whose unknown units the chains start from; by default fair coins
    (binary units) or N(0, 1).  Repeat a row of ``observed`` to draw several completions of it.
    device: "cpu" or "cuda", as for ``sample``.

    >>> import ebm_ref as er
    >>> m = er.RBM.random(4, 3, 1.0)
    >>> complete(er.block_gibbs(m), [[1, 0, 0, 0]], [True, True, False, False], 50, seed=0)[:, :2]
    array([[1., 0.]])
    """
    model = sampler.model
    observed, known = require_known(observed, known, model.n_visible)
    if start is None:
        noise = Stream(require_int("seed", seed), "noise_start")
        binary = isinstance(model, RBM | BoltzmannMachine)
        start = noise.uniform(0, observed.shape) < 0.5 if binary else noise.normal(0, observed.shape)
    start = require_rows("start", np.asarray(start, dtype=np.float64), model.n_visible)
    require_shape("start", start, *observed.shape)
    initial = np.where(known, observed, start)
    chain = sample(sampler, initial, n_steps, seed, thin=max(1, n_steps), clamp=known, device=device, progress=progress)
    return chain.last[:, : model.n_visible]


def require_known(observed, known, n_visible: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, n_visible) and the boolean mask (n_visible,) of what is known of them, or an error that says which."""
    observed = require_rows("observed", observed, n_visible)
    known = np.asarray(known)
    require_shape("known", known, n_visible)
    if known.dtype != bool:
        raise DomainError(f"known: expected a boolean mask, got {known.dtype}")
    return observed, known
