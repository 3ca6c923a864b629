"""The independent route: the oracle's plain loops over the equations, applied to our records."""

import numpy as np

from ebm_ref import RBM
from ebm_ref.oracle import naive


def energies(model) -> list[float]:
    """E of every joint state, in the order of the index, from the equation."""
    if isinstance(model, RBM):
        W, a, b = model.W.tolist(), model.a.tolist(), model.b.tolist()
        return [naive.rbm_energy(W, a, b, s[: len(a)], s[len(a) :]) for s in naive.states(model.n_units)]
    J, c = model.J.tolist(), model.c.tolist()
    return [naive.boltzmann_energy(J, c, s) for s in naive.states(model.n_units)]


def states(n: int) -> np.ndarray:
    """Every state of n units, (2**n, n)."""
    return np.array(naive.states(n), dtype=float).reshape(2**n, n)


def joint_law(model) -> np.ndarray:
    """p(x, h), (2**n_units,)."""
    return np.array(naive.law(energies(model)))


def visible_law(model) -> np.ndarray:
    """p(x), (2**n_visible,): visible units have the low bits."""
    return joint_law(model).reshape(-1, 2**model.n_visible).sum(axis=0)


def matrix(model, kernel: str, clamped=()) -> np.ndarray:
    """The oracle's exact transition matrix of a named kernel."""
    return np.array(naive.transition_matrix(energies(model), kernel, model.n_visible, model.n_hidden, clamped))


def index(rows) -> np.ndarray:
    """Number of each row's state."""
    return np.array([naive.state_index(row) for row in np.asarray(rows)])


def statistics(model) -> np.ndarray:
    """-dE/dtheta of every joint state, (2**n_units, p), by the change of E when one parameter moves by one."""
    s, nv = states(model.n_units), model.n_visible
    if isinstance(model, RBM):
        pairs = [s[:, i] * s[:, nv + j] for i in range(nv) for j in range(model.n_hidden)]
    else:
        pairs = [s[:, i] * s[:, j] for i in range(model.n_units) for j in range(i + 1, model.n_units)]
    return np.column_stack([*pairs, s])


def vector(record) -> np.ndarray:
    """A record's parameters in the order of ``statistics``."""
    if isinstance(record, RBM):
        return np.concatenate([record.W.ravel(), record.a, record.b])
    return np.concatenate([record.J[np.triu_indices(record.n_units, 1)], record.c])


def from_vector(model, values):
    """The record of a model's type with these parameters."""
    if isinstance(model, RBM):
        n, nv = model.W.size, model.n_visible
        return RBM(values[:n].reshape(model.W.shape), values[n : n + nv], values[n + nv :])
    n = model.n_units
    upper = np.zeros((n, n))
    upper[np.triu_indices(n, 1)] = values[: n * (n - 1) // 2]
    return type(model)(upper + upper.T, values[n * (n - 1) // 2 :], model.n_visible)


def gradient(function, model, h: float = 1e-3) -> np.ndarray:
    """Central differences with one Richardson step: error O(h^4)."""
    at = vector(model)
    result = np.zeros(len(at))
    for k in range(len(at)):
        slopes = []
        for step in (h, h / 2):
            up, down = at.copy(), at.copy()
            up[k] += step
            down[k] -= step
            slopes.append((function(from_vector(model, up)) - function(from_vector(model, down))) / (2 * step))
        result[k] = (4 * slopes[1] - slopes[0]) / 3
    return result
