"""Golden vectors: files are reproducible and well formed, a correct implementation passes, broken ones fail with a
diagnosis.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ebm_ref.errors import BackendError, DomainError
from ebm_ref.oracle import vectors
from ebm_ref.oracle.vectors import encoding, philox_vectors, writing

NAMES = ("bernoulli_rbm.json", "boltzmann_machine.json", "philox4x32.json")
EXAMPLE = Path(__file__).parents[2] / "examples" / "verify_vectors.js"


# a plain implementation in float64, written for this test ----------------------------------------------------------


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


# broken twins; BROKEN says which flag must lead the diagnosis, and what must fail


def transposed(quantity, model, given):
    if "W" in model:
        W = model["W"]
        require(W.shape == (len(model["a"]), len(model["b"])))
        model = {**model, "W": W.ravel().reshape(W.shape[::-1]).T}  # column-major memory
    return correct(quantity, model, given)


def beta_again(quantity, model, given):
    scaled = {k: 0.75 * v for k, v in model.items()} if "W" in model and (model["W"] * 256 % 1).any() else model
    return correct(quantity, scaled, given)


def no_hidden_bias(quantity, model, given):
    return correct(quantity, {**model, "b": 0 * model["b"]} if "b" in model else model, given)


def edges_twice(quantity, model, given):
    return correct(quantity, {**model, "J": 2 * model["J"]} if "J" in model else model, given)


def overflowing(quantity, model, given):
    if quantity in ("free_energy", "free_energies"):
        with np.errstate(over="ignore"):
            X = states(len(model["a"])) if quantity == "free_energies" else given["x"]
            return -X @ model["a"] - np.log(1 + np.exp(model["b"] + X @ model["W"])).sum(-1)
    return correct(quantity, model, given)


def summed(quantity, model, given):
    answer = correct(quantity, model, given)
    return np.multiply(answer, len(given["data"])) if quantity in ("cd_mean", "log_likelihood_gradient") else answer


def descent(quantity, model, given):
    answer = correct(quantity, model, given)
    return np.negative(answer) if quantity in ("cd_mean", "log_likelihood_gradient") else answer


def step_more(quantity, model, given):
    return correct(quantity, model, {**given, "k": given["k"] + 1} if "k" in given else given)


def visible_first(quantity, model, given):
    if given.get("kernel") == "block_gibbs" and quantity == "transition_matrix":
        n, nv = len(pairwise(model)[1]), len(model["a"])
        return np.linalg.multi_dot([np.eye(2**n), *(site(model, i) for i in [*range(nv), *range(nv, n)])])
    return correct(quantity, model, given)


def glauber(quantity, model, given):
    if given.get("kernel") == "metropolis":
        given = {**given, "kernel": "gibbs_random"}
    return correct(quantity, model, given)


def at_most(quantity, model, given):
    if quantity == "gibbs_trace":
        given = {**given, "u_h": given["u_h"] - 2.0**-54, "u_x": given["u_x"] - 2.0**-54}
    return correct(quantity, model, given)


def log_mean(quantity, model, given):
    if quantity == "log_z_estimate":
        return given["log_z_base"] + given["log_weights"].mean()
    return correct(quantity, model, given)


def accepts_nan(quantity, model, given):
    return correct(quantity, {k: np.nan_to_num(v, posinf=0.0, neginf=0.0) for k, v in model.items()}, given)


def first_bit_last(quantity, model, given):
    answer = correct(quantity, model, given)
    if quantity in ("energies", "probabilities", "joint_probabilities"):
        n = int(np.log2(len(answer)))
        return np.asarray(answer).reshape((2,) * n).transpose(range(n)[::-1]).ravel()
    return answer


BROKEN = (
    (transposed, "TransposedW", "bernoulli_rbm/energies"),
    (beta_again, "BetaNotOne", "bernoulli_rbm/log_z"),
    (no_hidden_bias, "HiddenBias", "bernoulli_rbm/hidden_probabilities"),
    (edges_twice, "CouplingTwice", "boltzmann_machine/log_z"),
    (overflowing, "SoftplusOverflow", "bernoulli_rbm/free_energies"),
    (summed, "SumForMean", "bernoulli_rbm/cd_mean"),
    (descent, "GradientSign", "bernoulli_rbm/log_likelihood_gradient"),
    (step_more, "CdSteps", "bernoulli_rbm/cd_mean"),
    (visible_first, "ScanOrder", "bernoulli_rbm/transition_matrix"),
    (glauber, "GlauberForMetropolis", "boltzmann_machine/transition_matrix"),
    (at_most, "StrictInequality", "bernoulli_rbm/gibbs_trace"),
    (log_mean, "MeanOfLogWeights", "bernoulli_rbm/log_z_estimate"),
    (accepts_nan, "NonFinite", "bernoulli_rbm/log_z"),
    (first_bit_last, "StateOrder", "bernoulli_rbm/energies"),
)


def test_a_correct_implementation_passes():
    report = vectors.verify(vectors.SHIPPED, correct)
    assert report.passed, str(report)
    assert max(r.effect for r in report.results) < 30
    assert not [r for r in report.results if r.verdict == "skip"]


@pytest.mark.parametrize(("adapter", "flag", "killed_by"), BROKEN, ids=[b[0].__name__ for b in BROKEN])
def test_a_broken_implementation_fails_and_is_diagnosed(adapter, flag, killed_by):
    report = vectors.verify(vectors.SHIPPED, adapter)
    assert killed_by in {r.test for r in report.failures}
    assert flag in [d.mistake for d in report.diagnosis[:3]]


def test_an_adapter_that_crashes_or_returns_nonsense_is_a_failure_not_a_crash():
    def crashes(quantity, model, given):
        raise RuntimeError("no")

    for nonsense in (crashes, lambda q, m, g: None, lambda q, m, g: "text", lambda q, m, g: np.zeros((9, 9))):
        assert not vectors.verify(vectors.SHIPPED, nonsense).passed


def test_an_adapter_without_anything_does_not_pass():
    report = vectors.verify(vectors.SHIPPED, lambda quantity, model, given: NotImplemented)
    assert not report.passed
    assert not report.failures


def test_writing_gives_the_shipped_bytes(tmp_path):
    pytest.importorskip("mpmath")
    assert {path.name for path in vectors.write(tmp_path)} == set(NAMES)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (vectors.SHIPPED / name).read_bytes(), (
            f"{name} differs from the release"
        )
        schema = json.loads((tmp_path / name).read_text())["schema"]
        assert (tmp_path / schema).exists()


@pytest.mark.parametrize("name", NAMES)
def test_files_follow_their_schema_and_ids_are_unique(name):
    jsonschema = pytest.importorskip("jsonschema")
    contents = json.loads((vectors.SHIPPED / name).read_text())
    schema = json.loads((vectors.SHIPPED / contents["schema"]).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(contents)
    tests = [test for group in contents["testGroups"] for test in group["tests"]]
    assert contents["numberOfTests"] == len(tests) == len({test["tcId"] for test in tests})
    assert {flag for test in tests for flag in test["flags"]} == set(contents["notes"])


def test_the_schema_refuses_a_broken_file():
    jsonschema = pytest.importorskip("jsonschema")
    contents = json.loads((vectors.SHIPPED / "bernoulli_rbm.json").read_text())
    schema = json.loads((vectors.SHIPPED / "bernoulli_rbm_v1.json").read_text())
    contents["testGroups"][0]["tests"][0]["expected"]["f64"][0] = 0.5
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(contents))


@pytest.mark.parametrize("name", NAMES[:2])
def test_decimals_and_hex_floats_are_the_same_numbers(name):
    for group in json.loads((vectors.SHIPPED / name).read_text())["testGroups"]:
        for test in group["tests"]:
            if test["expected"]:
                for text, decimal in zip(
                    *(encoding.leaves(test["expected"][k]) for k in ("f64", "decimal")), strict=True
                ):
                    assert float.fromhex(text) == float(decimal)


def test_disagreeing_routes_are_not_written():
    mp = encoding.precise()
    with pytest.raises(ArithmeticError, match="differ"):
        encoding.agree(mp, "log_z", mp.mpf(1), mp.mpf(1) + mp.mpf(10) ** -39, mp.mpf(1))
    encoding.agree(mp, "log_z", mp.mpf(1), mp.mpf(1) + mp.mpf(10) ** -41, mp.mpf(1))


def test_a_used_id_and_an_unknown_flag_are_refused():
    groups = philox_vectors.groups()
    with pytest.raises(ArithmeticError, match="twice"):
        writing.document("philox4x32-10", "philox4x32_v1.json", {}, "", groups[:1] * 2)
    groups[0]["tests"][0]["flags"] = ["Unheard"]
    with pytest.raises(KeyError, match="Unheard"):
        writing.document("philox4x32-10", "philox4x32_v1.json", {}, "", groups)


def test_without_mpmath_writing_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mpmath.ctx_mp", None)
    with pytest.raises(BackendError, match=r"ebm-ref\[test\]"):
        vectors.write(tmp_path)


def test_a_folder_without_vectors_is_refused(tmp_path):
    with pytest.raises(DomainError, match="none in"):
        vectors.verify(tmp_path, correct)


def test_another_language_can_use_them(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    source = vectors.SHIPPED / "bernoulli_rbm.json"
    done = subprocess.run([node, EXAMPLE, source], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fail: 0" in done.stdout
    contents = json.loads(source.read_text())
    test = next(t for t in contents["testGroups"][0]["tests"] if t["quantity"] == "free_energy")
    test["expected"]["f64"] = (float.fromhex(test["expected"]["f64"]) + 1e-9).hex()
    (tmp_path / "wrong.json").write_text(json.dumps(contents))
    done = subprocess.run(
        [node, EXAMPLE, tmp_path / "wrong.json"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"tcId {test['tcId']}" in done.stdout
    assert len(EXAMPLE.read_text().splitlines()) < 60
