"""A plain implementation of RBMs, Boltzmann machines and Philox in float64 as an adapter of golden vectors.

Written for the tests: sums over all joint states, none of the package's code but for Philox.
"""

import numpy as np

from ebm_ref.oracle.vectors import philox_vectors

CONTINUOUS = ("deep_", "grbm_", "target_", "ula_", "mala_", "leapfrog_", "hmc_", "gibbs_langevin_", "sampled_")


def states(n):
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1


def sigmoid(z):
    return np.exp(-np.logaddexp(0.0, -z))


def pairwise(model):
    """Any of the models as (J, c) on joint states."""
    if "J" in model:
        return model["J"], model["c"]
    W = model["W"]
    nv, nh = W.shape
    return np.block([[np.zeros((nv, nv)), W], [W.T, np.zeros((nh, nh))]]), np.concatenate([model["a"], model["b"]])


def require(condition):
    if not condition:
        raise ValueError("refused")


def check_model(model):
    require(all(np.isfinite(v).all() for v in model.values()))
    if "J" in model:
        require(model["J"].shape == (len(model["c"]),) * 2)
        require((model["J"] == model["J"].T).all() and not model["J"].diagonal().any())
    elif model:
        require(model["W"].shape == (len(model["a"]), len(model["b"])))


def check_input(model, given):
    sizes = {"x": "a", "h": "b", "s": "c"}
    for name, like in sizes.items():
        if name in given:
            require(given[name].shape == model[like].shape)
    if "data" in given:
        require(given["data"].size > 0 and set(given["data"].ravel()) <= {0, 1})


def energies(model):
    J, c = pairwise(model)
    S = states(len(c))
    return -0.5 * np.einsum("si,ij,sj->s", S, J, S) - S @ c


def law_of(model):
    e = energies(model)
    log_z = np.logaddexp.reduce(-e)
    return np.exp(-e - log_z), log_z


def site(model, i, metropolis=False):
    J, c = pairwise(model)
    S = states(len(c))
    z = (S @ J + c)[:, i] * (1 - 2 * S[:, i])  # log odds of flipping
    flip = np.exp(np.minimum(z, 0)) if metropolis else sigmoid(z)
    K = np.diag(1 - flip)
    K[np.arange(len(S)), np.arange(len(S)) ^ (1 << i)] = flip
    return K


def kernel(model, name):
    n = len(pairwise(model)[1])
    nv = len(model["a"]) if "a" in model else n
    order = [*range(nv, n), *range(nv)]
    if name in ("gibbs_random", "metropolis"):
        return sum(site(model, i, name == "metropolis") for i in range(n)) / n
    require(name in ("gibbs", "block_gibbs", "gibbs_palindromic"))
    if name == "gibbs_palindromic":
        order = order + order[-2::-1]
    return np.linalg.multi_dot([np.eye(2**n), *(site(model, i) for i in order)])


def conditionals(model):
    """Th (2^nv, 2^nh), Tx (2^nh, 2^nv), S (2^nv, parameters)."""
    W, a, b = model["W"], model["a"], model["b"]
    X, H = states(len(a)), states(len(b))

    def law(logits, bits):
        return np.exp(-np.logaddexp(0.0, -logits[:, None, :] * (2 * bits - 1)).sum(-1))

    p = sigmoid(b + X @ W)
    S = np.hstack([(X[:, :, None] * p[:, None, :]).reshape(len(X), -1), X, p])
    return law(b + X @ W, H), law(a + H @ W.T, X), S


def gap(model, given):
    if given["space"] == "visible":
        Th, Tx, _ = conditionals(model)
        P = Th @ Tx
    else:
        P = kernel(model, given["kernel"])
    values = np.linalg.eigvals(P)
    return 1 - np.abs(np.delete(values, np.argmin(abs(values - 1)))).max()


def gradient(model, given):
    law, _ = law_of(model)
    data = given["data"]
    if "J" in model:
        S, upper = states(len(model["c"])), np.triu_indices(len(model["c"]), 1)
        stats = [np.hstack([(T[:, :, None] * T[:, None, :])[:, upper[0], upper[1]], T]) for T in (data, S)]
        return stats[0].mean(0) - law @ stats[1]
    Th, _, S = conditionals(model)
    marginal = law.reshape(Th.shape[1], -1).sum(0)
    index = (data @ (1 << np.arange(data.shape[1]))).astype(int)
    return S[index].mean(0) - marginal @ S


def contrastive(model, given, covariance=False):
    Th, Tx, S = conditionals(model)
    K = np.linalg.matrix_power(Th @ Tx, given["k"])
    rows = (given["data"] @ (1 << np.arange(len(model["a"])))).astype(int)
    if not covariance:
        return (S - K @ S)[rows].mean(0)
    centred = S[None] - (K @ S)[:, None]
    return np.einsum("ij,ijp,ijq->pq", K[rows], centred[rows], centred[rows]) / len(rows) ** 2


def annealed(model, given, quantity):
    path = [
        {"W": t * model["W"], "a": (1 - t) * given["base"] + t * model["a"], "b": t * model["b"]}
        for t in given["schedule"]
    ]
    stars = [np.exp(-energies(m)).reshape(2 ** len(m["b"]), -1).sum(0) for m in path]
    base = stars[0] / stars[0].sum()
    first, second, law, log_mean = base, base, base, 0.0
    for k in range(1, len(path)):
        ratio = stars[k] / stars[k - 1]
        Th, Tx, _ = conditionals(path[k])
        log_mean += law @ np.log(ratio)
        first, second, law = (first * ratio) @ Th @ Tx, (second * ratio**2) @ Th @ Tx, law @ Th @ Tx
    if quantity == "ais_mean_log_weight":
        return log_mean
    return first.sum() if quantity == "ais_mean_weight" else second.sum() - first.sum() ** 2


def trace(model, given):
    x, rows = given["x"], []
    for u_h, u_x in zip(given["u_h"], given["u_x"], strict=True):
        h = (u_h < sigmoid(model["b"] + x @ model["W"])).astype(float)
        x = (u_x < sigmoid(model["a"] + model["W"] @ h)).astype(float)
        rows.append([*x, *h])
    return rows


def free_energies(model):
    return -states(len(model["a"])) @ model["a"] - np.logaddexp(
        0, model["b"] + states(len(model["a"])) @ model["W"]
    ).sum(1)


def swapped(model):
    return {"W": model["W"].T, "a": model["b"], "b": model["a"]}


def moments(model, quantity):
    law, _ = law_of(model)
    S = states(len(pairwise(model)[1]))
    mean, second = law @ S, S.T @ (law[:, None] * S)
    if quantity == "mean_ss":
        return second[np.triu_indices(len(mean), 1)]
    nv = len(model.get("a", mean))
    return {"mean_s": mean, "mean_x": mean[:nv], "mean_h": mean[nv:], "mean_xh": second[:nv, nv:]}[quantity]


def correct(quantity, model, given):
    """The adapter of the plain implementation."""
    if quantity.startswith(CONTINUOUS):
        return NotImplemented
    if quantity == "philox4x32_10":
        return philox_vectors.philox(tuple(map(int, given["counter"])), tuple(map(int, given["key"])))
    check_model(model)
    check_input(model, given)
    J, c = pairwise(model)
    state = np.concatenate([given[k] for k in ("x", "h") if k in given]) if "x" in given else given.get("s")
    table = {
        "energy": lambda: -0.5 * state @ J @ state - c @ state,
        "energies": lambda: energies(model),
        "free_energies": lambda: free_energies(model),
        "free_energy": lambda: -model["a"] @ state - np.logaddexp(0, model["b"] + state @ model["W"]).sum(),
        "hidden_free_energies": lambda: free_energies(swapped(model)),
        "hidden_probabilities": lambda: sigmoid(model["b"] + given["x"] @ model["W"]),
        "visible_probabilities": lambda: sigmoid(model["a"] + model["W"] @ given["h"]),
        "unit_probabilities": lambda: sigmoid(c + J @ state),
        "log_z": lambda: law_of(model)[1],
        "joint_probabilities": lambda: law_of(model)[0],
        "probabilities": lambda: law_of(model)[0].reshape(2 ** len(model.get("b", ())), -1).sum(0),
        "log_likelihood": lambda: log_likelihood(model, given["data"]),
        "log_likelihood_gradient": lambda: gradient(model, given),
        "transition_matrix": lambda: kernel(model, given["kernel"]),
        "spectral_gap": lambda: gap(model, given),
        "gibbs_trace": lambda: trace(model, given),
        "cd_mean": lambda: contrastive(model, given),
        "cd_covariance": lambda: contrastive(model, given, covariance=True),
        "log_z_estimate": lambda: (
            given["log_z_base"] + np.logaddexp.reduce(given["log_weights"]) - np.log(len(given["log_weights"]))
        ),
    }
    if quantity.startswith("mean_"):
        return moments(model, quantity)
    if quantity.startswith("ais_"):
        return annealed(model, given, quantity)
    return table[quantity]()


def log_likelihood(model, data):
    if "J" in model:
        return np.mean(0.5 * np.einsum("si,ij,sj->s", data, model["J"], data) + data @ model["c"]) - law_of(model)[1]
    free = -data @ model["a"] - np.logaddexp(0, model["b"] + data @ model["W"]).sum(1)
    return -free.mean() - law_of(model)[1]
