"""Golden vectors of sampling and learning with an RBM: injected uniforms, exact CD-k means and covariances, AIS.

Traces: h' = 1[u < sigmoid(b + xW)], x' = 1[u < sigmoid(a + Wh')], strict, u in [0, 1); rows are [x', h'].
CD-k:   updates S(x_0) - S(x_k), S(x) = [x p(h|x)^T, x, p(h|x)] (Rao-Blackwellised, ascent, mean over the rows, each
used once). AIS:    path and weights on p*_t(x) as in table_route.ais_moments.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors import factor_route as factor
from ebm_ref.oracle.vectors import fixtures as fx
from ebm_ref.oracle.vectors import table_route as tables
from ebm_ref.oracle.vectors.encoding import group, hex_floats, index_of, mapped, valid
from ebm_ref.oracle.vectors.rbm_vectors import size_of

Test = dict[str, Any]
EDGE = 2.0**-53  # the spacing of the largest uniforms below 1


def trace_test(
    mp: Any, model: fx.Model, comment: str, flags: list[str], given: dict[str, Any], result: str = "valid"
) -> Test:
    """Rows [x', h'] after each sweep; thresholds from the joint table and from the logits."""
    t = tables.rbm_table(mp, model["W"], model["a"], model["b"])
    answers = []
    for route in ("table", "logit"):
        x, rows = given["x"], []
        for u_h, u_x in zip(given["u_h"], given["u_x"], strict=True):
            if route == "table":
                p = tables.unit_probabilities(t, tables.hidden_conditional(t, index_of(x)), t.nh)
            else:
                p = [factor.sigmoid(mp, z) for z in factor.hidden_logits(mp, model, x)]
            h = [int(mp.mpf(u) < q) for u, q in zip(u_h, p, strict=True)]
            if route == "table":
                p = tables.unit_probabilities(t, tables.visible_conditional(t, index_of(h)), t.nv)
            else:
                p = [factor.sigmoid(mp, z) for z in factor.visible_logits(mp, model, h)]
            x = [int(mp.mpf(u) < q) for u, q in zip(u_x, p, strict=True)]
            rows.append([mp.mpf(v) for v in [*x, *h]])
        answers.append(rows)
    exact = {"x": given["x"], "u_h": hex_floats(given["u_h"]), "u_x": hex_floats(given["u_x"])}
    scale = mapped(lambda _: mp.mpf(0), answers[0])
    test = valid(mp, "gibbs_trace", comment, flags, exact, (*answers, scale))
    return {**test, "result": result}


def uniforms(count: int, width: int, start: int) -> list[list[float]]:
    """Dyadic numbers that fill the unit interval evenly: a Weyl sequence modulo 2**20, for reading and for every
    language.
    """
    steps = [(start + 648055 * (i + 1)) % 2**20 / 2**20 for i in range(count * width)]
    return [steps[i * width : (i + 1) * width] for i in range(count)]


def trace_groups(mp: Any) -> list[dict[str, Any]]:
    """Generic traces, and the edges of the comparison u < p."""
    flags = ["UniformOrder", "StaleHalf", "TransposedW"]
    plain = [
        trace_test(
            mp, fx.RBM_3X2, "six sweeps", flags, {"x": [1, 0, 1], "u_h": uniforms(6, 2, 11), "u_x": uniforms(6, 3, 7)}
        ),
        trace_test(
            mp,
            fx.RBM_3X2,
            "six other sweeps",
            flags,
            {"x": [0, 1, 0], "u_h": uniforms(6, 2, 5005), "u_x": uniforms(6, 3, 70707)},
        ),
    ]
    half, below = 0.5, 0.5 - 2.0**-54
    zero = "every logit is exactly 0, so p = 1/2: u = 1/2 gives 0, the number before it gives 1"
    at_half = {"x": [1, 1, 0], "u_h": [[half, below]], "u_x": [[below, half, below]]}
    at_zero = {"x": [1, 0, 0], "u_h": [[0.0, 0.0]], "u_x": [[0.0, 0.0, 0.0]]}
    edges = [
        trace_test(mp, fx.RBM_ZERO_LOGITS, zero, ["StrictInequality"], at_half),
        trace_test(mp, fx.RBM_ZERO_LOGITS, "u = 0 gives 1 whenever p > 0", ["StrictInequality"], at_zero),
    ]
    far = [
        trace_test(
            mp,
            fx.RBM_EXTREME,
            "the largest uniform below 1 against p = 1 - exp(-1000)",
            ["StrictInequality", "SigmoidSaturation"],
            {"x": [1, 0, 1], "u_h": [[1 - EDGE, 1 - EDGE]], "u_x": [[1 - EDGE, 1 - EDGE, 1 - EDGE]]},
        ),
        trace_test(
            mp,
            fx.RBM_EXTREME,
            "u = 0 against p = exp(-1000), which float64 rounds to 0: 0 or 1",
            ["StrictInequality", "SigmoidSaturation"],
            {"x": [1, 0, 1], "u_h": [[0.0, 0.0]], "u_x": [[0.0, 0.0, 0.0]]},
            "acceptable",
        ),
    ]
    return [
        group("RbmTraces 3x2", 3100, fx.RBM_3X2, plain),
        group("RbmTraces zero logits", 3200, fx.RBM_ZERO_LOGITS, edges),
        group("RbmTraces extremes", 3300, fx.RBM_EXTREME, far),
    ]


def cd_tests(mp: Any, model: fx.Model, data: list[list[int]], steps: tuple[int, ...]) -> list[Test]:
    """Exact mean and covariance of the CD-k update on a given batch."""
    t = tables.rbm_table(mp, model["W"], model["a"], model["b"])
    size = size_of(mp, model)
    tests = []
    for k in steps:
        mean, covariance = tables.cd_moments(t, [index_of(x) for x in data], k)
        other_mean, other_covariance = factor.cd_moments(mp, model, data, k)
        given = {"data": data, "k": k}
        flags = ["CdSteps", "StaleHidden", "MeanFieldNegative", "GradientSign", "SumForMean", "TransposedW"]
        scale = mapped(lambda v: abs(v) + 2 * size, mean)
        tests.append(valid(mp, "cd_mean", f"CD-{k}", flags, given, (mean, other_mean, scale)))
        scale = mapped(lambda v: abs(v) + 2 * size / len(data), covariance)
        flags = ["SampledHidden", "BatchDivisor", "CdSteps"]
        tests.append(valid(mp, "cd_covariance", f"CD-{k}", flags, given, (covariance, other_covariance, scale)))
    return tests


def ais_tests(mp: Any, model: fx.Model, base: list[float], schedules: tuple[list[float], ...]) -> list[Test]:
    """E[w], Var[w] and E[log w] of annealed importance sampling from the base with visible bias ``base``."""
    size = size_of(mp, model)
    tests = []
    for schedule in schedules:
        first = tables.ais_moments(mp, model, base, schedule)
        second = factor.ais_moments(mp, model, base, schedule)
        given = {"base": hex_floats(base), "schedule": hex_floats(schedule)}
        comment = f"{len(schedule) - 1} temperatures"
        mean, variance, log_mean = zip(first, second, strict=True)
        tests.append(
            valid(mp, "ais_mean_weight", comment, ["MissingLog2", "BetaNotOne"], given, (*mean, mean[0] * size))
        )
        square = (variance[0] + mean[0] ** 2) * 2 * size
        tests.append(
            valid(mp, "ais_weight_variance", comment, ["AisOrder", "WeightsOnJoint"], given, (*variance, square))
        )
        tests.append(
            valid(
                mp,
                "ais_mean_log_weight",
                comment,
                ["AisOrder", "WeightsOnJoint"],
                given,
                (*log_mean, 2 * len(schedule) * size),
            )
        )
    return tests


def weight_tests(mp: Any) -> list[Test]:
    """log Z from given log weights: log Z_0 + logsumexp(log w) - log n."""
    sets = [
        ("plain", [0.25, -1.5, 2.0, 0.75, -0.125], 3.5),
        ("exp of a weight overflows float64", [712.0, 709.5, 713.25], 1000.0),
        ("exp of every weight underflows", [-801.0, -803.5, -799.25, -800.0], 12.25),
        ("one weight", [-3.5], 0.5),
    ]
    tests = []
    for comment, log_weights, base in sets:
        top = max(log_weights)
        first = mp.mpf(base) + mp.log(mp.fsum(mp.exp(mp.mpf(v)) for v in log_weights) / len(log_weights))
        second = mp.mpf(log_weights[0])
        for v in log_weights[1:]:  # pairwise log-add
            second = max(second, v) + mp.log1p(mp.exp(-abs(second - v)))
        second += mp.mpf(base) - mp.log(len(log_weights))
        given = {"log_weights": hex_floats(log_weights), "log_z_base": hex_floats(base)}
        scale = abs(mp.mpf(base)) + abs(mp.mpf(top)) + 2
        tests.append(
            valid(
                mp, "log_z_estimate", comment, ["MeanOfLogWeights", "LogSumExpOverflow"], given, (first, second, scale)
            )
        )
    return tests


def groups(mp: Any) -> list[dict[str, Any]]:
    """Traces, contrastive divergence and annealing."""
    base_3 = [0.375, -0.5, 0.8125]
    schedules = ([0.0, 0.375, 1.0], [0.0, 0.25, 0.625, 1.0])
    return [
        *trace_groups(mp),
        group("RbmLearning 3x2", 4100, fx.RBM_3X2, cd_tests(mp, fx.RBM_3X2, fx.ROWS_3, (1, 2))),
        group("RbmLearning 2x3", 4200, fx.RBM_2X3, cd_tests(mp, fx.RBM_2X3, fx.ROWS_2, (1, 3))),
        group("RbmLearning slow 4x2", 4300, fx.RBM_4X2_SLOW, cd_tests(mp, fx.RBM_4X2_SLOW, fx.ROWS_4[:2], (1, 2))),
        group("RbmAnnealing 3x2", 5100, fx.RBM_3X2, ais_tests(mp, fx.RBM_3X2, base_3, schedules)),
        group("RbmAnnealing 2x3", 5200, fx.RBM_2X3, ais_tests(mp, fx.RBM_2X3, [-0.25, 0.5], schedules)),
        group("LogMeanExp", 5300, fx.RBM_3X2, weight_tests(mp)),
    ]
