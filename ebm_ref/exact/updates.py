"""The exact expectation of contrastive divergence.                     [Hinton 2002; Carreira-Perpinan & Hinton 2005]

With all visible states X (2^nv, nv), S = sigmoid(b + XW), the chain P = p(h|x) p(x|h) on visible states, and d the law
of the data as a row vector, d_k = d P^k:
(1) E[g_W] = X' diag(d - d_k) S      (2) E[g_a] = X'(d - d_k)      (3) E[g_b] = S'(d - d_k)
k = 0 gives 0; k -> infinity gives the gradient of the log-likelihood; d = p(x) gives 0 for every k.
"""

from __future__ import annotations

import numpy as np

from ebm_ref.errors import DomainError, require_binary, require_int, require_some_rows
from ebm_ref.exact.transitions import layer_conditionals
from ebm_ref.models.rbm import RBM
from ebm_ref.models.states import all_states, require_few_states, state_index


def cd_gradient(model: RBM, data, k: int = 1) -> RBM:
    """E[CD-k update] over the rows of ``data`` (n, n_visible) of 0 and 1: the ascent direction, a record.

    The random choices of sampled or averaged hidden units in the statistics do not change it; mean-field visible units
    do.  Raises ModelTooLargeError beyond 24 units in all.
    """
    if not isinstance(model, RBM):
        raise DomainError(f"cd_gradient: expected an RBM, got {type(model).__name__}")
    x = require_some_rows("data", data, model.n_visible)
    require_binary("data", x)
    require_int("k", k)
    require_few_states("cd_gradient", model.n_units, 24, "average many cd(k) updates")
    d = np.bincount(state_index(x), minlength=2**model.n_visible) / len(x)
    given_x, given_h = layer_conditionals(model)
    d_k = d
    for _ in range(k):
        d_k = d_k @ given_x @ given_h
    states = all_states(model.n_visible)
    S = model.hidden_probabilities(states)
    difference = d - d_k
    return RBM((states * difference[:, None]).T @ S, states.T @ difference, S.T @ difference)  # (1) (2) (3)
