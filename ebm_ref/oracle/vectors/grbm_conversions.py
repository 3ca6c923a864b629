"""Golden vectors of the conventions in use for a Gaussian-Bernoulli RBM: the same law in other parameters.

First route: the maps written out.  Second route: the coefficients of E as a polynomial in (v, h), read off from values
of E, and finite differences.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors import definition_route as direct
from ebm_ref.oracle.vectors import fixtures as fx
from ebm_ref.oracle.vectors import mixture_route as mixtures
from ebm_ref.oracle.vectors.continuous_scales import GrbmScale
from ebm_ref.oracle.vectors.encoding import hex_floats, leaves, mapped, valid

Test = dict[str, Any]


def conversion_tests(mp: Any, model: fx.Model) -> list[Test]:
    """The parameters of the same law in the other conventions in use, and back; flat, in the order of the comment."""
    nv, nh = len(model["mu"]), len(model["b"])
    W, mu, b = mapped(mp.mpf, model["W"]), mapped(mp.mpf, model["mu"]), mapped(mp.mpf, model["b"])
    s2 = [mp.exp(mp.mpf(t)) for t in model["log_var"]]
    sigma = [mp.sqrt(s) for s in s2]

    def over(units: list[Any]) -> list[list[Any]]:
        return [[w / u for w in row] for row, u in zip(W, units, strict=True)]

    pull = [mp.fsum(m * row[j] / s for m, row, s in zip(mu, W, s2, strict=True)) for j in range(nh)]
    K, theta, gamma, field, base = direct.coefficients(mp, lambda v, h: direct.energy(mp, model, v, h), nv, nh)
    root = [1 / mp.sqrt(g) for g in gamma]
    centre = [t / g for t, g in zip(theta, gamma, strict=True)]
    back = [field[j] + mp.fsum(m * row[j] for m, row in zip(centre, K, strict=True)) for j in range(nh)]
    beta = mp.mpf(3) / 4
    routes = [
        ("grbm_to_scaled", "W', mu, sigma, b of the coupling (v/sigma)'W'h", ["ScaledCoupling", "SigmaForVariance"],
         [over(sigma), mu, sigma, b],
         [[[k * r for k in row] for row, r in zip(K, root, strict=True)], centre, root, field]),
        ("grbm_to_centred", "W, mu, log_var, b' of the coupling ((v-mu)/s2)'Wh", ["CentredCoupling"],
         [W, mu, mapped(mp.mpf, model["log_var"]), [q + p for q, p in zip(b, pull, strict=True)]],
         [[[k / g for k in row] for row, g in zip(K, gamma, strict=True)], centre, [-mp.log(g) for g in gamma], back]),
        ("grbm_to_natural", "W', theta, gamma, b, constant of 1/2 sum gamma v^2 - theta.v - v'W'h - b.h + constant",
         ["HalfMissing", "SigmaForVariance"],
         [over(s2), [m / s for m, s in zip(mu, s2, strict=True)], [1 / s for s in s2], b,
          mp.fsum(m**2 / s for m, s in zip(mu, s2, strict=True)) / 2],
         [K, theta, gamma, field, base]),
        ("grbm_tempered", "the law p^beta: W, mu, log_var, b", ["BetaNotOne"],
         [W, mu, [mp.mpf(t) - mp.log(beta) for t in model["log_var"]], [beta * q for q in b]],
         [[[k / g for k in row] for row, g in zip(K, gamma, strict=True)], centre,
          [-mp.log(beta * g) for g in gamma], [beta * q for q in field]]),
    ]  # fmt: skip
    tests = []
    for name, comment, flags, first, second in routes:
        given = {"beta": hex_floats(0.75)} if name == "grbm_tempered" else {}
        tests.append(valid(mp, name, comment, flags, given, (leaves(first), leaves(second), flat_scale(mp, first))))
    return [*tests, from_scaled(mp, model), scaled_gradient(mp, model)]


def flat_scale(mp: Any, values: list[Any]) -> list[Any]:
    """|value| + 1 for logarithms and sums of a few terms; every number here is of order 1."""
    return [abs(v) + 1 for v in leaves(values)]


def from_scaled(mp: Any, model: fx.Model) -> Test:
    """The parameters (W, mu, log_var, b) of a machine given in the scaled form."""
    given = {
        "W": model["W"],
        "mu": model["mu"],
        "sigma": [1.5 + 0.375 * i for i in range(len(model["mu"]))],
        "b": model["b"],
    }
    K, theta, gamma, b, _ = direct.coefficients(
        mp, lambda v, h: direct.scaled_energy(mp, given, v, h), len(given["mu"]), len(given["b"])
    )
    first = [
        [[mp.mpf(w) * mp.mpf(s) for w in row] for row, s in zip(given["W"], given["sigma"], strict=True)],
        mapped(mp.mpf, given["mu"]), [2 * mp.log(mp.mpf(s)) for s in given["sigma"]], mapped(mp.mpf, given["b"]),
    ]  # fmt: skip
    second = [
        [[k / g for k in row] for row, g in zip(K, gamma, strict=True)],
        [t / g for t, g in zip(theta, gamma, strict=True)], [-mp.log(g) for g in gamma], b,
    ]  # fmt: skip
    comment = "W, mu, log_var, b of the machine with 1/2 sum (v-mu)^2/sigma^2 - (v/sigma)'Wh - b.h"
    answer = (leaves(first), leaves(second), flat_scale(mp, first))
    own = ["ScaledCoupling", "SigmaForVariance"]
    return valid(mp, "grbm_from_scaled", comment, own, {k: hex_floats(v) for k, v in given.items()}, answer)


def scaled_gradient(mp: Any, model: fx.Model) -> Test:
    """dE by the parameters of the scaled form: sigma enters the coupling too, since W' is held."""
    v, h = fx.POINTS_2[0], [1] * len(model["b"])
    sigma = [mp.exp(mp.mpf(t) / 2) for t in model["log_var"]]
    W = [[mp.mpf(w) / s for w in row] for row, s in zip(model["W"], sigma, strict=True)]
    nv, nh = len(sigma), len(h)
    own = mixtures.energy_gradient(mp, model, v, h)
    by_W = [own[i * nh + j] * sigma[i] for i in range(nv) for j in range(nh)]
    by_mu, by_log_var = own[nv * nh : nv * nh + nv], own[nv * nh + nv : nv * nh + 2 * nv]
    by_sigma = [2 * by_log_var[i] / sigma[i] + mp.fsum(own[i * nh + j] * W[i][j] for j in range(nh)) for i in range(nv)]
    first = [*by_W, *by_mu, *by_sigma, *own[-nh:]]
    fine = direct.to_scaled(model)
    second = direct.gradient(
        lambda ctx, moved: direct.scaled_energy(ctx, moved, v, h), fine, direct.parameter_names(fine)
    )
    scale, on = GrbmScale(mp, model), [mp.mpf(1)] * nh
    terms = scale.parameter_gradient(v, on)
    widths = [s for s in sigma for _ in range(nh)]
    terms = [*(t * s for t, s in zip(terms, widths, strict=False)), *terms[nv * nh : nv * nh + nv],
             *(4 * t / s for t, s in zip(terms[nv * nh + nv :], sigma, strict=False)), *terms[-nh:]]  # fmt: skip
    comment = "dE/d(W', mu, sigma, b) of the coupling (v/sigma)'W'h, flat"
    flags = ["LogVarianceGradient", "ScaledCoupling", "GradientSign"]
    given = {"v": hex_floats(v), "h": h}
    return valid(mp, "grbm_energy_gradient_scaled", comment, flags, given, (first, second, terms))
