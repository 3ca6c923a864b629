"""Exact transition matrices of discrete kernels, and what they tell: stationary law, spectrum, asymptotic variance.

Matrices act on row vectors, states in the order of their index sum_i s_i 2^i, s = [x, h].
K_i resamples unit i from its conditional, which follows from two energies only:
(1) p(s_i=1|rest) = sigmoid(E(s, s_i=0) - E(s, s_i=1))
(2) block Gibbs K_h K_x:  P((x,h) -> (x',h')) = p(h'|x) p(x'|h');   on x alone:  P(x -> x') = sum_h' p(h'|x) p(x'|h')
(3) Metropolis: the mean over i of: flip with probability min(1, exp(-dE)), else stay
(4) fundamental matrix Z = (I - P + 1 pi')^-1;  Sigma = DZ + Z'D - D - pi pi', D = diag(pi):  n^-1 f'Sigma f is the
    variance of a long chain's mean of f                                          [Kemeny & Snell 1960]
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from ebm_ref.errors import DomainError, ShapeError, as_float_array, require_choice, require_shape
from ebm_ref.exact.probabilities import require_binary_model
from ebm_ref.kernels.transitions import run_product_rows
from ebm_ref.models.rbm import RBM
from ebm_ref.models.states import all_states, require_few_states

MATRIX_BITS = 13
SQUARE = "the matrix has an entry for each pair of states"


def transition_matrix(sampler, space: str = "joint") -> np.ndarray:
    """P of one step of a discrete sampler: (2**n, 2**n) with n = n_units ("joint") or n_visible ("visible").

    On "visible" the sampler must forget the hidden units (as block Gibbs does): else x alone is no Markov chain and
    DomainError is raised.  Clamped samplers give the matrix that never leaves a state's clamped values.
    """
    require_choice("space", space, ("joint", "visible"))
    model = sampler.model
    require_binary_model("transition_matrix", model)
    blocks = sampler.name == "block_gibbs" and sampler.free.all()
    if blocks and space == "visible":
        require_few_states("transition_matrix", model.n_visible, MATRIX_BITS, SQUARE)
        require_few_states("transition_matrix, p(h|x)", model.n_units, 2 * MATRIX_BITS, SQUARE)
    else:
        require_few_states("transition_matrix", model.n_units, MATRIX_BITS, SQUARE)
    if blocks:
        return block_gibbs_matrix(model, space)
    rule, sites = sampler.site_schedule()
    joint = site_matrix(model, rule, sites)
    return joint if space == "joint" or model.n_hidden == 0 else _visible_part(joint, model.n_visible)


def block_gibbs_matrix(model: RBM, space: str = "joint") -> np.ndarray:
    """(2), from the conditionals of the two layers."""
    given_x, given_h = layer_conditionals(model)
    if space == "visible":
        return given_x @ given_h
    # P[(x,h), (x',h')] = given_x[x, h'] given_h[h', x'], with the visible state in the low bits
    rows = (given_x[:, :, None] * given_h[None, :, :]).reshape(len(given_x), -1)
    return np.tile(rows, (2**model.n_hidden, 1))


def layer_conditionals(model: RBM) -> tuple[np.ndarray, np.ndarray]:
    """p(h|x) (2**nv, 2**nh) and p(x|h) (2**nh, 2**nv) of all states."""
    return _product_law(model.hidden_logits(all_states(model.n_visible))), _product_law(
        model.visible_logits(all_states(model.n_hidden))
    )


def _product_law(logits: np.ndarray) -> np.ndarray:
    """Law of independent units from their log odds (rows, n) -> (rows, 2**n), by doubling."""
    law = np.ones((len(logits), 1))
    for j in range(logits.shape[1]):
        law = np.hstack([law * expit(-logits[:, [j]]), law * expit(logits[:, [j]])])
    return law


def site_matrix(model, rule: str, sites) -> np.ndarray:
    """The kernel composed of single-unit kernels, from energies alone.

    rule: "product" K_1 K_2 ... in the order of ``sites``; "mean" of them; "metropolis", the mean of the flips (3).
    """
    n = model.n_units
    energies = model.joint_energy(all_states(n))
    if rule == "product":
        P = np.empty((2**n, 2**n))
        on = np.array([_on_probability(energies, i).ravel() for i in range(n)]).reshape(n, 2**n // 2)
        run_product_rows(2**n, P, np.array(sites, dtype=np.int64), on, work=4.0**n * len(sites))
        return P
    P = np.zeros((2**n, 2**n))
    index = np.arange(2**n)
    for i in sites:
        flipped = index ^ (1 << i)
        minus_dE = energies[index] - energies[flipped]
        move = (expit(minus_dE) if rule == "mean" else np.exp(np.minimum(0.0, minus_dE))) / len(sites)
        P[index, flipped] += move
    P[index, index] += 1.0 - P.sum(axis=1)
    return P


def _on_probability(energies: np.ndarray, i: int) -> np.ndarray:
    """(1) p(s_i=1|rest) of each pair of states that differ in unit i, (pairs above, pairs below)."""
    E = energies.reshape(-1, 2, 2**i)
    return expit(E[:, 0] - E[:, 1])


def product_matrix_vectorized(energies: np.ndarray, sites) -> np.ndarray:
    """K_1 K_2 ... in plain NumPy, the readable twin of the compiled rows: each K_i shares out the mass of its pairs."""
    P = np.eye(len(energies))
    for i in sites:
        p1 = _on_probability(energies, i)
        mass = P.reshape(len(P), -1, 2, 2**i).sum(axis=2)
        P = np.stack([mass * (1 - p1), mass * p1], axis=2).reshape(P.shape)
    return P


def _visible_part(joint: np.ndarray, n_visible: int) -> np.ndarray:
    nv = 2**n_visible
    rows = joint.reshape(-1, nv, len(joint) // nv, nv).sum(axis=2)  # (h, x, x')
    if np.abs(rows - rows[0]).max() > 1e-12:
        raise DomainError(
            "space='visible': this sampler's next x depends on h, so x alone is no Markov chain; use 'joint'"
        )
    return rows[0]


def _require_stochastic(P) -> np.ndarray:
    P = as_float_array("P", P)
    require_shape("P", P, len(P), len(P))
    if P.min() < -1e-14 or np.abs(P.sum(axis=1) - 1).max() > 1e-9:
        raise DomainError("P: expected a stochastic matrix, non-negative with rows that sum to 1")
    return P


def stationary_distribution(P) -> np.ndarray:
    """pi with pi P = pi and sum 1, by state elimination without subtraction.   [Grassmann, Taksar & Heyman 1985]

    Raises DomainError when P is reducible, so that pi is not unique or not positive.
    """
    A = np.array(_require_stochastic(P))
    n = len(A)
    for k in range(n - 1, 0, -1):
        leaving = A[k, :k].sum()
        if leaving <= 0:
            raise DomainError(f"P: expected an irreducible chain; no way leads from state {k} to the states below it")
        A[:k, k] /= leaving
        A[:k, :k] += np.outer(A[:k, k], A[k, :k])
    pi = np.ones(n)
    for k in range(1, n):
        pi[k] = pi[:k] @ A[:k, k]
    if not np.all(pi > 0):
        raise DomainError(f"P: expected an irreducible chain; state {int(np.argmin(pi))} is left for ever")
    return pi / pi.sum()


def is_reversible(P, pi=None, tolerance: float = 1e-12) -> bool:
    """Whether the flow pi_i P_ij is symmetric to within ``tolerance`` (probabilities of transitions)."""
    P = _require_stochastic(P)
    flow = _law(P, pi)[:, None] * P
    return bool(np.abs(flow - flow.T).max() <= tolerance)


def spectrum(P, pi=None) -> np.ndarray:
    """Eigenvalues by decreasing modulus; real when P is reversible (from the symmetric D^1/2 P D^-1/2)."""
    P = _require_stochastic(P)
    pi = _law(P, pi)
    root = np.sqrt(pi)
    balanced = root[:, None] * P / root if pi.min() > 0 else np.full_like(P, np.nan)
    if np.abs(balanced - balanced.T).max() <= 1e-10:  # NaN compares false
        values = np.linalg.eigvalsh(_symmetric(balanced))
    else:
        values = np.linalg.eigvals(P)
    return values[np.argsort(-np.abs(values), kind="stable")]


def _symmetric(A: np.ndarray) -> np.ndarray:
    return (A + A.T) / 2


def spectral_gap(P, pi=None) -> float:
    """1 - |lambda_2|: 1 forgets at once, 0 never.  Relaxation time 1/gap, in steps."""
    values = spectrum(P, pi)
    return float(1.0 - np.abs(values[1])) if len(values) > 1 else 1.0


def asymptotic_covariance(P, pi, f) -> np.ndarray | float:
    """(4): lim n Cov(mean of f over n steps); f (n_states,) -> a number, f (n_states, k) -> (k, k).

    >>> asymptotic_covariance([[0.5, 0.5], [0.5, 0.5]], [0.5, 0.5], [0.0, 1.0])
    0.25
    """
    P = _require_stochastic(P)
    pi, f = _law(P, pi), as_float_array("f", f)
    if len(f) != len(P):
        raise ShapeError(f"f: expected {len(P)} rows, one for each state, got {len(f)}")
    centred = (f - pi @ f).reshape(len(f), -1)
    solved = np.linalg.solve(np.eye(len(P)) - P + pi, centred)  # Z f, since pi f = 0
    cross = (centred * pi[:, None]).T @ solved
    covariance = cross + cross.T - (centred * pi[:, None]).T @ centred
    return float(covariance[0, 0]) if f.ndim == 1 else covariance


def _law(P: np.ndarray, pi) -> np.ndarray:
    if pi is None:
        return stationary_distribution(P)
    pi = as_float_array("pi", pi)
    require_shape("pi", pi, len(P))
    return pi
