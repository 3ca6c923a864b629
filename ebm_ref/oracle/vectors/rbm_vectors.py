"""Golden vectors of the Bernoulli RBM, E(x,h) = -a.x - b.h - x'Wh: formulas, exact sums and transition matrices.

Both routes are run for every number (table_route.py, factor_route.py).  Scales: energies and free energies carry the
sum of their absolute terms; a probability p = exp(t) carries p (1 + size), size = n + sum of all |parameters|, which
bounds the terms of any logit, energy difference or log Z; differences of averages carry the sum of both.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors import factor_route as factor
from ebm_ref.oracle.vectors import fixtures as fx
from ebm_ref.oracle.vectors import table_route as tables
from ebm_ref.oracle.vectors.encoding import bits, group, index_of, invalid, leaves, mapped, valid

Test = dict[str, Any]


def size_of(mp: Any, model: fx.Model) -> Any:
    """n + sum of |parameters|."""
    numbers = [abs(mp.mpf(p)) for value in model.values() for p in leaves(value)]
    units = len(model["a"]) + len(model["b"]) if "a" in model else len(model["c"])
    return 1 + units + mp.fsum(numbers)


def relative(value: Any, factor_: Any) -> Any:
    """Scales |value| * factor, element by element."""
    return mapped(lambda v: abs(v) * factor_, value)


def energy_terms(mp: Any, model: fx.Model, x: Any, h: Any) -> Any:
    """sum of |terms| of E(x,h)."""
    total = mp.fsum(abs(mp.mpf(p)) for p, v in zip(model["a"], x, strict=True) if v)
    total += mp.fsum(abs(mp.mpf(q)) for q, v in zip(model["b"], h, strict=True) if v)
    return total + mp.fsum(abs(mp.mpf(model["W"][i][j])) for i in range(len(x)) for j in range(len(h)) if x[i] and h[j])


def free_energy_terms(mp: Any, model: fx.Model, x: Any) -> Any:
    """sum of |terms| of F(x): |a_i x_i|, the absolute terms of every logit, and log 2 a hidden unit."""
    total = mp.fsum(abs(mp.mpf(p)) for p, v in zip(model["a"], x, strict=True) if v)
    for j, q in enumerate(model["b"]):
        total += abs(mp.mpf(q)) + mp.log(2) + mp.fsum(abs(mp.mpf(model["W"][i][j])) for i, v in enumerate(x) if v)
    return total


def swapped(model: fx.Model) -> fx.Model:
    """The same model with the layers exchanged: (x, a, W) <-> (h, b, W^T)."""
    return {"W": [list(column) for column in zip(*model["W"], strict=True)], "a": model["b"], "b": model["a"]}


def formula_tests(mp: Any, model: fx.Model, flags: list[str]) -> list[Test]:
    """Energies, free energies of both sides and conditionals, over all states."""
    nv, nh = len(model["a"]), len(model["b"])
    t = tables.rbm_table(mp, model["W"], model["a"], model["b"])
    tests = []
    joint = [(s[:nv], s[nv:]) for s in bits(nv + nh)]
    energies = [factor.rbm_energy(mp, model, x, h) for x, h in joint]
    terms = [energy_terms(mp, model, x, h) for x, h in joint]
    own = ["TransposedW", "EnergySign", "VisibleBias", "HiddenBias", "SpinConvention", *flags]
    tests.append(valid(mp, "energies", "all joint states", ["StateOrder", *own], {}, (t.energy, energies, terms)))
    x, h = joint[-2]
    answer = (t.energy[-2], energies[-2], terms[-2])
    tests.append(valid(mp, "energy", "one state", own, {"x": x, "h": h}, answer))
    first = [-mp.log(t.over_hidden(i)) for i in range(2**nv)]
    second = [factor.free_energy(mp, model, x) for x in bits(nv)]
    scale = [free_energy_terms(mp, model, x) for x in bits(nv)]
    tests.append(valid(mp, "free_energies", "all x", ["MissingLog2", *own], {}, (first, second, scale)))
    answer = (first[2], second[2], scale[2])
    tests.append(valid(mp, "free_energy", "one x", ["MissingLog2", *own], {"x": bits(nv)[2 % 2**nv]}, answer))
    first = [-mp.log(t.over_visible(i)) for i in range(2**nh)]
    second = [factor.hidden_free_energy(mp, model, h) for h in bits(nh)]
    scale = [free_energy_terms(mp, swapped(model), h) for h in bits(nh)]
    tests.append(valid(mp, "hidden_free_energies", "all h", own, {}, (first, second, scale)))
    return tests + conditional_tests(mp, model, t, flags)


def conditional_tests(mp: Any, model: fx.Model, t: tables.Table, flags: list[str]) -> list[Test]:
    """p(h_j = 1|x) for every x, p(x_i = 1|h) for every h."""
    size = size_of(mp, model)
    tests = []
    for index, x in enumerate(bits(t.nv)):
        p = tables.unit_probabilities(t, tables.hidden_conditional(t, index), t.nh)
        q = [factor.sigmoid(mp, z) for z in factor.hidden_logits(mp, model, x)]
        tests.append(
            valid(
                mp,
                "hidden_probabilities",
                "p(h_j=1|x)",
                ["TransposedW", "HiddenBias", *flags],
                {"x": x},
                (p, q, relative(p, size)),
            )
        )
    for index, h in enumerate(bits(t.nh)):
        p = tables.unit_probabilities(t, tables.visible_conditional(t, index), t.nv)
        q = [factor.sigmoid(mp, z) for z in factor.visible_logits(mp, model, h)]
        tests.append(
            valid(
                mp,
                "visible_probabilities",
                "p(x_i=1|h)",
                ["TransposedW", "VisibleBias", *flags],
                {"h": h},
                (p, q, relative(p, size)),
            )
        )
    return tests


def exact_tests(mp: Any, model: fx.Model, data: list[list[int]], flags: list[str]) -> list[Test]:
    """log Z, laws, moments, log-likelihood and its gradient."""
    nv, nh = len(model["a"]), len(model["b"])
    t = tables.rbm_table(mp, model["W"], model["a"], model["b"])
    size = size_of(mp, model)
    log_z = factor.log_z(mp, model)
    tests = [valid(mp, "log_z", "nats", ["LogSumExpOverflow", *flags], {}, (mp.log(t.z), log_z, size))]
    p = [t.over_hidden(i) / t.z for i in range(2**nv)]
    q = [mp.exp(-factor.free_energy(mp, model, x) - log_z) for x in bits(nv)]
    tests.append(valid(mp, "probabilities", "p(x), all x", ["StateOrder", *flags], {}, (p, q, relative(p, size))))
    p = [w / t.z for w in t.weight]
    q = [mp.exp(-factor.rbm_energy(mp, model, s[:nv], s[nv:]) - log_z) for s in bits(nv + nh)]
    tests.append(valid(mp, "joint_probabilities", "p(x,h)", ["StateOrder", *flags], {}, (p, q, relative(p, size))))
    names = parameter_names(nv, nh)
    moments = factor.gradient(factor.log_z, model, names)  # the derivatives of log Z are the means
    mean_x, mean_h, mean_xh = tables.mean_statistics(t)
    seconds = [
        moments[nv * nh : nv * nh + nv],
        moments[nv * nh + nv :],
        [moments[i * nh : (i + 1) * nh] for i in range(nv)],
    ]
    for name, first, second in zip(("mean_x", "mean_h", "mean_xh"), (mean_x, mean_h, mean_xh), seconds, strict=True):
        tests.append(
            valid(
                mp,
                name,
                "under the model",
                ["TransposedW", *flags],
                {},
                (first, second, mapped(lambda v: v * size + mp.mpf(10) ** -60, first)),
            )
        )
    value = mp.fsum(mp.log(t.over_hidden(index_of(x)) / t.z) for x in data) / len(data)
    scale = size + mp.fsum(free_energy_terms(mp, model, x) for x in data) / len(data)
    answer = (value, factor.rbm_log_likelihood(mp, model, data), scale)
    tests.append(
        valid(mp, "log_likelihood", "mean over rows", ["SumForMean", "EnergySign", *flags], {"data": data}, answer)
    )
    tests.append(gradient_test(mp, model, t, data, flags))
    return tests


def gradient_test(mp: Any, model: fx.Model, t: tables.Table, data: list[list[int]], flags: list[str]) -> Test:
    """Data means minus model means against finite differences."""
    size = size_of(mp, model)
    mean_x, mean_h, mean_xh = tables.mean_statistics(t)
    statistics = [tables.rbm_statistic(t, index_of(x)) for x in data]
    model_mean = [*(v for row in mean_xh for v in row), *mean_x, *mean_h]
    data_mean = [mp.fsum(column) / len(data) for column in zip(*statistics, strict=True)]
    first = [d - m for d, m in zip(data_mean, model_mean, strict=True)]
    scale = [(d + m) * size + mp.mpf(10) ** -60 for d, m in zip(data_mean, model_mean, strict=True)]
    second = factor.gradient(
        lambda ctx, moved: factor.rbm_log_likelihood(ctx, moved, data), model, parameter_names(t.nv, t.nh)
    )
    own = ["GradientSign", "SumForMean", "TransposedW", *flags]
    answer = (first, second, scale)
    return valid(mp, "log_likelihood_gradient", "ascent, mean over rows", own, {"data": data}, answer)


def parameter_names(nv: int, nh: int) -> list[list[tuple]]:
    """W row by row, then a, then b."""
    pairs = [[("W", i, j)] for i in range(nv) for j in range(nh)]
    return pairs + [[("a", i)] for i in range(nv)] + [[("b", j)] for j in range(nh)]


def kernel_tests(mp: Any, model: fx.Model, flags: list[str]) -> list[Test]:
    """Transition matrices on the joint space, and the spectral gaps of the reversible chains."""
    nv, nh = len(model["a"]), len(model["b"])
    n = nv + nh
    t = tables.rbm_table(mp, model["W"], model["a"], model["b"])
    logit = factor.rbm_logit(mp, model)
    order = [*range(nv, n), *range(nv)]
    there_and_back = order + order[-2::-1]
    block = factor.block_kernel(mp, model)
    pairs = {
        "block_gibbs": (tables.scan_kernel(t, order), block, ["StaleHalf", "ScanOrder"]),
        "gibbs": (block, factor.scan_kernel(mp, logit, n, order), ["ScanOrder", "SiteChoice"]),
        "gibbs_random": (
            tables.random_scan_kernel(t),
            factor.flip_kernel(mp, logit, n, lambda d: factor.sigmoid(mp, d)),
            ["SiteChoice"],
        ),
        "gibbs_palindromic": (
            tables.scan_kernel(t, there_and_back),
            factor.scan_kernel(mp, logit, n, there_and_back),
            ["ScanOrder"],
        ),
        "metropolis": (
            tables.metropolis_kernel(t),
            factor.flip_kernel(mp, logit, n, lambda d: mp.exp(min(d, mp.mpf(0)))),
            ["GlauberForMetropolis", "RejectionsDropped", "DeltaEnergy"],
        ),
    }
    size = size_of(mp, model)
    tests = []
    for name, (first, second, own) in pairs.items():
        scale = mapped(lambda v: (v + mp.mpf(10) ** -60) * n * size, first)
        if name == "metropolis":  # the probability to stay is a difference from 1
            scale = [[n * size if i == j else s for j, s in enumerate(row)] for i, row in enumerate(scale)]
        tests.append(
            valid(mp, "transition_matrix", name, ["StateOrder", *own, *flags], {"kernel": name}, (first, second, scale))
        )
    tests.append(visible_gap(mp, model, t, size))
    law = [w / t.z for w in t.weight]
    for name in ("gibbs_random", "gibbs_palindromic", "metropolis"):
        first, second, _ = pairs[name]
        answer = (1 - tables.second_eigenvalue(mp, first, law), 1 - factor.second_eigenvalue(mp, second), 10 * n * size)
        tests.append(valid(mp, "spectral_gap", name, ["AbsoluteGap"], {"kernel": name, "space": "joint"}, answer))
    return tests


def visible_gap(mp: Any, model: fx.Model, t: tables.Table, size: Any) -> Test:
    """1 - lambda_2 of x -> h -> x'; the second route takes the eigenvalue of the hidden chain."""
    law = [t.over_hidden(i) / t.z for i in range(2**t.nv)]
    first = 1 - tables.second_eigenvalue(mp, tables.visible_chain(t), law)
    second = 1 - factor.second_eigenvalue(mp, factor.hidden_chain(mp, model))
    given = {"kernel": "block_gibbs", "space": "visible"}
    return valid(mp, "spectral_gap", "visible chain", ["StaleHalf"], given, (first, second, 10 * (t.nv + t.nh) * size))


def refused() -> list[Test]:
    """Inputs that must raise, or give NaN, on the 3x2 model of the group; "model" in the input replaces its arrays."""
    base = {k: mapped(lambda v: float(v).hex(), v) for k, v in fx.RBM_3X2.items()}
    one_nan = [["nan", base["W"][0][1]], *base["W"][1:]]
    x, h = [1, 0, 1], [0, 1]
    return [
        invalid("free_energy", "NaN in W", ["NonFinite"], {"model": {**base, "W": one_nan}, "x": x}),
        invalid("log_z", "infinity in a", ["NonFinite"], {"model": {**base, "a": ["inf", *base["a"][1:]]}}),
        invalid("log_z", "-infinity in b", ["NonFinite"], {"model": {**base, "b": [base["b"][0], "-inf"]}}),
        invalid("log_z", "a too short", ["WrongShape"], {"model": {**base, "a": base["a"][:2]}}),
        invalid(
            "free_energy",
            "b of length 1 would broadcast",
            ["WrongShape"],
            {"model": {**base, "b": base["b"][:1]}, "x": x},
        ),
        invalid(
            "energy",
            "W transposed",
            ["WrongShape", "TransposedW"],
            {"model": {**base, "W": [list(c) for c in zip(*base["W"], strict=True)]}, "x": x, "h": h},
        ),
        invalid("free_energy", "x too long", ["WrongShape"], {"x": [1, 0, 1, 1]}),
        invalid("hidden_probabilities", "x of length 1 would broadcast", ["WrongShape"], {"x": [1]}),
        invalid("energy", "x and h exchanged", ["WrongShape"], {"x": h, "h": x}),
        invalid("cd_mean", "a row that is no state", ["NotBinary"], {"data": [[1, 0, 2]], "k": 1}),
        invalid("log_likelihood", "no rows", ["WrongShape"], {"data": []}),
        invalid("transition_matrix", "no such kernel", [], {"kernel": "gibs"}),
    ]


def groups(mp: Any) -> list[dict[str, Any]]:
    """The groups of formulas and exact sums; learning and sampling are in learning_vectors.py."""
    result = []
    models = [
        ("3x2", fx.RBM_3X2, fx.ROWS_3, []),
        ("3x2, beta = 3/4 inside", fx.RBM_3X2_TEMPERED, fx.ROWS_3, ["BetaNotOne"]),
        ("2x3", fx.RBM_2X3, fx.ROWS_2, []),
        ("2x1", fx.RBM_2X1, fx.ROWS_2, []),
        ("weights 50, biases 1000", fx.RBM_EXTREME, fx.ROWS_3, ["SoftplusOverflow", "SigmoidSaturation"]),
        ("logits around 17, 37, 89, 710", fx.RBM_LARGE_LOGITS, fx.ROWS_3, ["SoftplusOverflow", "SigmoidSaturation"]),
    ]
    for i, (name, model, data, flags) in enumerate(models):
        result.append(group(f"RbmFormulas {name}", 100 + 100 * i, model, formula_tests(mp, model, flags)))
        result.append(group(f"RbmExact {name}", 1100 + 100 * i, model, exact_tests(mp, model, data, flags)))
    for i, (name, model) in enumerate([("2x1", fx.RBM_2X1), ("1x3", fx.RBM_1X3)]):
        result.append(group(f"RbmKernels {name}", 2100 + 100 * i, model, kernel_tests(mp, model, [])))
    result.append(group("RbmInvalid", 9000, fx.RBM_3X2, refused()))
    return result
