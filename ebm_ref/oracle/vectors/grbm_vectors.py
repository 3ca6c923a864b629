"""Golden vectors of the Gaussian-Bernoulli RBM, in the convention of Liao et al. 2022 and of the package:

    E(v,h) = 1/2 sum (v-mu)^2/s2 - (v/s2)'Wh - b.h,   s2 = exp(log_var),   v real, h in {0,1}

Quantities carry the prefix ``grbm_``, so that code which only knows binary units skips them.  Both routes are run for
every number (mixture_route.py, definition_route.py).
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors import definition_route as direct
from ebm_ref.oracle.vectors import fixtures as fx
from ebm_ref.oracle.vectors import mixture_route as mixtures
from ebm_ref.oracle.vectors.continuous_scales import GrbmScale
from ebm_ref.oracle.vectors.encoding import bits, group, hex_floats, invalid, mapped, valid
from ebm_ref.oracle.vectors.grbm_conversions import conversion_tests

Test = dict[str, Any]
Rows = list[list[float]]
OWN = ["SigmaForVariance", "VarianceIgnored", "ScaledCoupling", "CentredCoupling"]


def formula_tests(mp: Any, model: fx.Model, integrals: direct.Quadrature, points: Rows, flags: list[str]) -> list[Test]:
    """Energies, conditionals, scores and parameter gradients, point by point."""
    mix, scale = mixtures.mixture(mp, model), GrbmScale(mp, model)
    states = bits(len(model["b"]))
    v, log_z = points[0], mp.log(mix.z)
    first = [-mix.log_joint(v, t) - log_z for t in range(len(states))]
    second = [direct.energy(mp, model, v, h) for h in states]
    terms = [scale.energy(v, h) for h in states]
    own = ["TransposedW", "HalfMissing", "VisibleMean", *OWN, *flags]
    tests = [
        valid(mp, "grbm_energies", "one v, all h", ["StateOrder", *own], {"v": hex_floats(v)}, (first, second, terms))
    ]
    for t in (len(states) - 1, len(states) // 2):
        given = {"v": hex_floats(points[1]), "h": states[t]}
        first, second = -mix.log_joint(points[1], t) - log_z, direct.energy(mp, model, points[1], states[t])
        answer = (first, second, scale.energy(points[1], states[t]))
        tests.append(valid(mp, "grbm_energy", "E(v,h)", own, given, answer))
    first = [-mix.log_density(x) - log_z for x in points]
    second = [direct.free_energy(mp, model, x) for x in points]
    terms = [scale.free_energy(x) for x in points]
    given = {"data": hex_floats(points)}
    free = ["EnergyOverBatch", "MissingSoftplus", *own]
    tests.append(valid(mp, "grbm_free_energies", "F(v), one number a row", free, given, (first, second, terms)))
    return tests + conditional_tests(mp, model, integrals, points, flags) + slope_tests(mp, model, points, flags)


def conditional_tests(
    mp: Any, model: fx.Model, integrals: direct.Quadrature, points: Rows, flags: list[str]
) -> list[Test]:
    """p(h_j=1|v), the mean and the variance of v given h, -log int exp(-E) dv."""
    mix, scale = mixtures.mixture(mp, model), GrbmScale(mp, model)
    states, tests = bits(len(model["b"])), []
    for v in points:
        first, second = mix.hidden_probabilities(v), direct.hidden_probabilities(mp, model, v)
        answer = (first, second, mapped(lambda p, v=v: p * scale.size(v), first))
        own = ["TransposedW", "HiddenBias", "MissingBiasOfMean", *OWN, *flags]
        tests.append(valid(mp, "grbm_hidden_probabilities", "p(h_j=1|v)", own, {"v": hex_floats(v)}, answer))
    for t, h in enumerate(states):
        own = ["VisibleMean", "TransposedW", "ScaledCoupling", *flags]
        answer = (mix.means[t], integrals.mean_given(t), scale.reach)
        tests.append(valid(mp, "grbm_visible_mean", "E[v|h]", own, {"h": h}, answer))
    own = ["SpreadOfVisible", "SigmaForVariance", *flags]
    answer = (mix.variance, integrals.variance_given(0), mix.variance)
    tests.append(valid(mp, "grbm_visible_variance", "Var[v|h], the same for all h", own, {}, answer))
    first = [-mp.log(part) for part in mix.integral]
    second = [-mp.log(part) for part in integrals.integral]
    own = ["GaussianConstant", "HalfMissing", "StateOrder", *flags]
    answer = (first, second, scale.log_z)
    tests.append(valid(mp, "grbm_hidden_free_energies", "-log int exp(-E) dv, all h", own, {}, answer))
    return tests


def slope_tests(mp: Any, model: fx.Model, points: Rows, flags: list[str]) -> list[Test]:
    """Scores and the gradient of E by the parameters."""
    mix, scale, states = mixtures.mixture(mp, model), GrbmScale(mp, model), bits(len(model["b"]))
    first = [mix.score(v) for v in points]
    second = [direct.moved_by(mp, lambda ctx, at: direct.free_energy(ctx, model, at), v) for v in points]
    own = ["GradientSign", "EnergyOverBatch", "TransposedW", *OWN, *flags]
    answer = (first, second, [scale.score(v) for v in points])
    tests = [valid(mp, "grbm_scores", "-dF/dv, one row a row", own, {"data": hex_floats(points)}, answer)]
    v, h = points[1], states[-1]
    first = [(m - mp.mpf(x)) / s for m, x, s in zip(mix.means[-1], v, mix.variance, strict=True)]
    second = direct.moved_by(mp, lambda ctx, at: direct.energy(ctx, model, at, h), v)
    own = ["GradientSign", "MarginalForConditional", *OWN, *flags]
    given = {"v": hex_floats(v), "h": h}
    answer = (first, second, scale.score_given(v))
    tests.append(valid(mp, "grbm_score_given_hidden", "-dE/dv, h held", own, given, answer))
    for t in (len(states) - 1, 1):
        h = states[t]
        first, second = mixtures.energy_gradient(mp, model, v, h), direct.energy_gradient(model, v, h)
        answer = (first, second, scale.parameter_gradient(v, [mp.mpf(on) for on in h]))
        own = ["GradientSign", "LogVarianceGradient", "TransposedW", *flags]
        comment = "dE/d(W, mu, log_var, b), flat"
        tests.append(valid(mp, "grbm_energy_gradient", comment, own, {"v": hex_floats(v), "h": h}, answer))
    return tests


def exact_tests(mp: Any, model: fx.Model, integrals: direct.Quadrature, data: Rows, flags: list[str]) -> list[Test]:
    """log Z, p(v), the mixture, moments, the machine of the hidden units, likelihood and its gradient."""
    mix, scale = mixtures.mixture(mp, model), GrbmScale(mp, model)
    size, log_z = scale.log_z, mp.log(integrals.z)
    own = ["GaussianConstant", "HalfMissing", "VisibleMean", *OWN, *flags]
    tests = [valid(mp, "grbm_log_z", "nats", ["LogSumExpOverflow", *own], {}, (mp.log(mix.z), log_z, size))]
    first = [mix.log_density(v) for v in data]
    second = [-direct.free_energy(mp, model, v) - log_z for v in data]
    terms = [scale.free_energy(v) + size for v in data]
    rows = {"data": hex_floats(data)}
    tests.append(valid(mp, "grbm_log_densities", "log p(v), one number a row", own, rows, (first, second, terms)))
    answer = (mix.weights, integrals.law, mapped(lambda p: p * size, mix.weights))
    flagged = ["StateOrder", "HalfMissing", "VisibleMean", *flags]
    tests.append(valid(mp, "grbm_mixture_weights", "p(h), all h", flagged, {}, answer))
    tests += moment_tests(mp, model, integrals, flags) + machine_tests(mp, model, integrals, flags)
    value = mp.fsum(first) / len(data)
    answer = (value, mp.fsum(second) / len(data), mp.fsum(terms) / len(data))
    tests.append(valid(mp, "grbm_log_likelihood", "mean over rows", ["SumForMean", *own], rows, answer))
    first = mixtures.log_likelihood_gradient(mp, model, data)
    second = direct.gradient(
        lambda ctx, moved: direct.log_likelihood(ctx, moved, data), model, direct.parameter_names(model)
    )
    comment = "ascent, mean over rows; flat W, mu, log_var, b"
    own = ["GradientSign", "SumForMean", "LogVarianceGradient", "TransposedW", *flags]
    answer = (first, second, gradient_scale(mp, scale, mix, data))
    tests.append(valid(mp, "grbm_log_likelihood_gradient", comment, own, rows, answer))
    return tests + completion_tests(mp, model, integrals, data, flags)


def gradient_scale(mp: Any, scale: GrbmScale, mix: mixtures.Mixture, data: Rows) -> list[Any]:
    """Data terms and model terms together."""
    parts = []
    for v in data:
        on = [p * scale.size(v) for p in mix.hidden_probabilities(v)]
        parts.append(scale.parameter_gradient(v, on))
    on = [p * scale.log_z for p in mixtures.on_probabilities(mp, mix.weights)]
    expected = scale.parameter_gradient(scale.reach, on)
    return [
        mp.fsum(column) / len(data) + e + mp.mpf(10) ** -60
        for column, e in zip(zip(*parts, strict=True), expected, strict=True)
    ]


def moment_tests(mp: Any, model: fx.Model, integrals: direct.Quadrature, flags: list[str]) -> list[Test]:
    """E[v], Cov[v], E[v h'], E[h], E[hh']."""
    scale = GrbmScale(mp, model)
    first, second = mixtures.moments(mp, model), integrals.moments()
    reach, size = scale.reach, scale.log_z
    scales = {
        "v": [r * size for r in reach],
        "covariance": [[p * q * size + s for q in reach] for p, s in zip(reach, scale.s2, strict=True)],
        "vh": [[r * q * size for q in first["h"]] for r in reach],
        "h": [q * size for q in first["h"]],
        "hh": mapped(lambda q: q * size + mp.mpf(10) ** -60, first["hh"]),
    }  # fmt: skip
    own = {
        "v": ["VisibleMean"],
        "covariance": ["SpreadOfVisible", "SigmaForVariance"],
        "vh": ["VisibleMean", "TransposedW"],
        "h": ["HalfMissing"],
        "hh": ["HalfMissing"],
    }
    comments = {"v": "E[v]", "covariance": "Cov[v]", "vh": "E[v h']", "h": "E[h]", "hh": "E[h h']"}
    return [
        valid(mp, name, comments[key], [*own[key], *flags], {}, (first[key], second[key], scales[key]))
        for name, key in (
            ("grbm_mean_v", "v"), ("grbm_covariance_v", "covariance"), ("grbm_mean_vh", "vh"), ("grbm_mean_h", "h"),
            ("grbm_mean_hh", "hh"),
        )
    ]  # fmt: skip


def machine_tests(mp: Any, model: fx.Model, integrals: direct.Quadrature, flags: list[str]) -> list[Test]:
    """p(h) has the energy -1/2 h'Jh - c.h, J = W'diag(1/s2)W off the diagonal, c = b + W'(mu/s2) + own/2."""
    scale, s2 = GrbmScale(mp, model), [mp.exp(mp.mpf(t)) for t in model["log_var"]]
    nh = range(len(model["b"]))
    W = [[mp.mpf(w) for w in row] for row in model["W"]]

    def product(j: int, k: int) -> Any:
        return mp.fsum(row[j] * row[k] / s for row, s in zip(W, s2, strict=True))

    J = [[product(j, k) if j != k else mp.mpf(0) for k in nh] for j in nh]
    c = [
        mp.mpf(model["b"][j]) + product(j, j) / 2
        + mp.fsum(mp.mpf(m) * row[j] / s for m, row, s in zip(model["mu"], W, s2, strict=True))
        for j in nh
    ]  # fmt: skip
    second = integrals.couplings()
    own = ["CouplingTwice", "HalfMissing", *flags]
    return [
        valid(mp, "grbm_hidden_couplings", "J of p(h)", own, {}, (J, second[0], scale.log_z)),
        valid(mp, "grbm_hidden_fields", "c of p(h)", ["VisibleMean", *own], {}, (c, second[1], scale.log_z)),
    ]


def completion_tests(
    mp: Any, model: fx.Model, integrals: direct.Quadrature, data: Rows, flags: list[str]
) -> list[Test]:
    """log p(v_U|v_K), K marked by ones."""
    nv, tests = len(model["mu"]), []
    for known in [k for k in bits(nv) if 0 < sum(k) < nv][:3]:
        v = data[1]
        mix, scale = mixtures.mixture(mp, model), GrbmScale(mp, model)
        units = [i for i in range(nv) if known[i]]
        first = mix.log_density(v) - mix.log_density([v[i] for i in units], units)
        rest = direct.conditioned(mp, model, known, v)
        unknown = [i for i in range(nv) if not known[i]]
        log_z = mp.log(mp.fsum(integrals.integrals_over(unknown, rest["b"])))
        second = -direct.free_energy(mp, rest, [v[i] for i in unknown]) - log_z
        given = {"v": hex_floats(v), "known": known}
        own = ["KnownUnitsIgnored", *OWN, *flags]
        answer = (first, second, 2 * (scale.free_energy(v) + scale.log_z))
        tests.append(valid(mp, "grbm_conditional_log_density", "log p(v_U|v_K)", own, given, answer))
    return tests


def refused() -> list[Test]:
    """Inputs that must raise, or give NaN, on the 2x3 model of the group."""
    base = {k: hex_floats(v) for k, v in fx.GRBM_2X3.items()}
    mu, log_var = base["mu"], base["log_var"]
    at = {"v": hex_floats(fx.POINTS_2[0]), "h": [1, 0, 1]}
    one = {"data": hex_floats([fx.POINTS_2[0][:1]])}

    def but(**changed: Any) -> dict[str, Any]:
        return {"model": {**base, **changed}}

    broadcast = "of length 1 would broadcast"
    return [
        invalid("grbm_log_z", "NaN in log_var", ["NonFinite"], but(log_var=["nan", log_var[1]])),
        invalid("grbm_log_z", "variance 0", ["NonFinite"], but(log_var=["-inf", log_var[1]])),
        invalid("grbm_energy", "infinity in mu", ["NonFinite"], but(mu=[mu[0], "inf"]) | at),
        invalid("grbm_energy", f"mu {broadcast}", ["WrongShape"], but(mu=mu[:1]) | at),
        invalid("grbm_energy", f"log_var {broadcast}", ["WrongShape"], but(log_var=log_var[:1]) | at),
        invalid("grbm_energy", "h too short", ["WrongShape"], {**at, "h": [1, 0]}),
        invalid("grbm_free_energies", f"rows {broadcast}", ["WrongShape"], one),
        invalid("grbm_scores", f"rows {broadcast}", ["WrongShape"], one),
        invalid("grbm_free_energies", "NaN in the data", ["NonFinite"], {"data": [["nan", at["v"][1]]]}),
        invalid("grbm_log_likelihood", "no rows", ["WrongShape"], {"data": []}),
        invalid("grbm_tempered", "beta = 0", ["BetaNotOne"], {"beta": hex_floats(0.0)}),
    ]


def seen_by(model: fx.Model, tests: list[Test]) -> list[Test]:
    """The tests without the flags of mistakes that this model cannot show; what passes on it tells them apart."""
    unseen = (
        [] if any(model["log_var"]) else ["SigmaForVariance", "VarianceIgnored", "ScaledCoupling", "SpreadOfVisible"]
    )
    unseen += [] if any(model["mu"]) else ["CentredCoupling", "VisibleMean", "MissingBiasOfMean"]
    return [{**test, "flags": [flag for flag in test["flags"] if flag not in unseen]} for test in tests]


def groups(mp: Any) -> list[dict[str, Any]]:
    """All groups of the file."""
    models = [
        ("2x3", fx.GRBM_2X3, fx.POINTS_2, []),
        ("3x2", fx.GRBM_3X2, fx.POINTS_3, []),
        ("2x2, not symmetric", fx.GRBM_2X2, fx.POINTS_2[1:], []),
        ("1x1", fx.GRBM_1X1, fx.POINTS_1, []),
        ("weights 50, biases 1000", fx.GRBM_EXTREME, fx.POINTS_EXTREME, ["SoftplusOverflow", "SigmoidSaturation"]),
        ("sigma = 1", fx.GRBM_SIGMA_1, fx.POINTS_2, []),
        ("mu = 0", fx.GRBM_MU_0, fx.POINTS_2, []),
    ]
    result = []
    for i, (name, model, points, flags) in enumerate(models):
        given = (mp, model, direct.Quadrature(mp, model), points, flags)
        formulas, sums = (seen_by(model, make(*given)) for make in (formula_tests, exact_tests))
        result.append(group(f"GrbmFormulas {name}", 100 + 100 * i, model, formulas))
        result.append(group(f"GrbmExact {name}", 1100 + 100 * i, model, sums))
    result.append(group("GrbmConventions 2x3", 3100, fx.GRBM_2X3, conversion_tests(mp, fx.GRBM_2X3)))
    result.append(group("GrbmConventions 2x2", 3200, fx.GRBM_2X2, conversion_tests(mp, fx.GRBM_2X2)))
    result.append(group("GrbmInvalid", 9000, fx.GRBM_2X3, refused()))
    return result
