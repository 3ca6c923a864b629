"""Golden vectors of Langevin samplers on exp(-E(x)/T), steps lam by coordinate:

    x' = x - lam g + sqrt(2 lam T) z,   g = dE/dx;     MALA accepts x' if u < pi(x') q(x|x') / (pi(x) q(x'|x))

Targets: a Gaussian, double wells, and the marginal of a Gaussian-Bernoulli RBM (its energy then is F(v)).  Both routes
are run for every number (proposal_route.py, closed_route.py).
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors import closed_route as closed
from ebm_ref.oracle.vectors import fixtures as fx
from ebm_ref.oracle.vectors import proposal_route as written
from ebm_ref.oracle.vectors.continuous_scales import GrbmScale, TargetScale, WalkScale, leapfrog_scale
from ebm_ref.oracle.vectors.encoding import group, hex_floats, invalid, valid

Test = dict[str, Any]
Rows = list[list[float]]
NOISE, DRIFT = ["NoiseRoot", "NoiseIsStep"], ["StepConvention", "HalfDrift", "GradientClimb"]
RATIO = ["ReverseProposal", "ProposalInverted", "ProposalDenominator", "RatioSign"]
PRECONDITIONED = ["OneStepForAll", "PreconditionerRoot"]


def given(step_size: list[float], temperature: float, **rest: Any) -> dict[str, Any]:
    """The input of a test: the walk, and what is asked of it."""
    words = {k: v if isinstance(v, int) else hex_floats(v) for k, v in rest.items()}
    return words | {"step_size": hex_floats(step_size), "temperature": hex_floats(temperature)}


def walk_flags(step_size: list[float], temperature: float) -> list[str]:
    """What a walk with these steps hunts besides."""
    return [*(PRECONDITIONED if len(set(step_size)) > 1 else []), *(["TemperatureOfStep"] if temperature != 1 else [])]


def target_tests(mp: Any, model: fx.Model, points: Rows) -> list[Test]:
    """E and dE/dx, so that a wrong target is not taken for a wrong sampler."""
    pairs, scale = [written.energy_and_gradient(mp, model, x) for x in points], TargetScale(mp, model)
    energies = ([e for e, _ in pairs], [closed.energy(mp, model, x) for x in points], [scale.energy(x) for x in points])
    slopes = (
        [g for _, g in pairs],
        [closed.gradient(mp, model, x) for x in points],
        [scale.gradient(x) for x in points],
    )
    rows = {"data": hex_floats(points)}
    return [
        valid(mp, "target_energies", "E, one number a row", ["TargetFormula"], rows, energies),
        valid(mp, "target_gradients", "dE/dx, one row a row", ["TargetFormula", "GradientClimb"], rows, slopes),
    ]


def walk_tests(mp: Any, model: fx.Model, points: Rows, step_size: list[float], temperature: float) -> list[Test]:
    """ULA and MALA with given normals and uniforms, proposal densities, acceptance ratios."""
    first, second = (route.Walk(mp, model, step_size, temperature) for route in (written, closed))
    scale, flags, tests = WalkScale(mp, model, step_size, temperature), walk_flags(step_size, temperature), []
    for z, what, own in (
        ([[0.0] * 3], "the drift alone", []),
        ([[-1.125] * 3], "equal normals", NOISE),
        (fx.NORMALS[:1], "one step", [*NOISE, "OneNoiseForAll"]),
        (fx.NORMALS, "four steps, the state after each", [*NOISE, "OneNoiseForAll", "SameNoiseEachStep"]),
    ):
        z, own = [row[: len(step_size)] for row in z], [*DRIFT, *own, *flags]
        states = first.trace(points[0], z)
        answer = (states, second.trace(points[0], z), scale.trace(points[0], z, states))
        words = given(step_size, temperature, x=points[0], z=z)
        tests.append(valid(mp, "ula_trace", what, own, words, answer))
    for x, to in [(p, q) for p in points[:3] for q in points[:3] if p != q]:
        words = given(step_size, temperature, x=x, proposal=to)
        answer = (first.log_q(to, x), second.log_q(to, x), scale.log_q(to, x))
        own = ["ProposalDenominator", *DRIFT, *flags]
        tests.append(valid(mp, "mala_log_proposal", "log q(proposal|x), constant included", own, words, answer))
        answer = (first.log_ratio(x, to), second.log_ratio(x, to), scale.log_ratio(x, to))
        tests.append(valid(mp, "mala_log_ratio", "not cut off at 0", [*RATIO, *flags], words, answer))
    z = [row[: len(step_size)] for row in fx.NORMALS]
    for start in points[:2]:
        states = first.trace(start, z, fx.UNIFORMS)
        answer = (states, second.trace(start, z, fx.UNIFORMS), scale.trace(start, z, states))
        accepted = moves(start, states)
        own = [*(["AlwaysAccepts"] if accepted < len(z) else []), "RejectedMoves", "ThresholdSign", *RATIO]
        own += ["SameNoiseEachStep", "OneNoiseForAll", *NOISE, *DRIFT, *flags]
        words = given(step_size, temperature, x=start, z=z, u=fx.UNIFORMS)
        tests.append(valid(mp, "mala_trace", f"{accepted} of {len(z)} accepted", own, words, answer))
    return tests


def moves(start: list[Any], states: list[list[Any]]) -> int:
    """How many of the states differ from the one before."""
    return sum(old != new for old, new in zip([start, *states[:-1]], states, strict=True))


def leapfrog_tests(mp: Any, model: fx.Model, x: list[float], steps: list[float], temperature: float) -> list[Test]:
    """Where leapfrog trajectories end, and the log acceptance ratio H - H'."""
    T, tests = mp.mpf(temperature), []
    p = fx.NORMALS[1][: len(x)]
    for n in (1, 4):
        first, second = (route.leapfrog(mp, model, x, p, steps, n, T) for route in (written, closed))
        path = [written.leapfrog(mp, model, x, p, steps, k, T) for k in range(n + 1)]
        of_x, of_p = leapfrog_scale(mp, model, path, steps, T)
        words = given(steps, temperature, x=x, p=p, n_leapfrog=n)
        own = ["LeapfrogHalfStep", "LeapfrogCount", "GradientClimb", *walk_flags(steps, temperature)]
        comment = f"{n} leapfrog steps"
        tests.append(valid(mp, "leapfrog_position", comment, own, words, (first[0], second[0], of_x)))
        tests.append(valid(mp, "leapfrog_momentum", comment, own, words, (first[1], second[1], of_p)))
        ratio = written.hamiltonian(mp, model, x, p, T) - written.hamiltonian(mp, model, first[0], first[1], T)
        kinetic = mp.fsum((mp.mpf(q) - r) * (mp.mpf(q) + r) for q, r in zip(p, second[1], strict=True)) / 2
        other = (closed.energy(mp, model, x) - closed.energy(mp, model, second[0])) / T + kinetic
        target = TargetScale(mp, model)
        scale = (target.energy(x) + target.energy(first[0])) / T
        slopes = zip(of_x, target.gradient(first[0]), strict=True)
        scale += mp.fsum(s * g for s, g in slopes) / T + mp.fsum(
            s * (abs(q) + 1) for s, q in zip(of_p, first[1], strict=True)
        )
        flags = ["KineticEnergy", "RatioSign", *own]
        tests.append(valid(mp, "hmc_log_ratio", f"H - H', {comment}", flags, words, (ratio, other, scale)))
    return tests


def gaussian_tests(mp: Any, model: fx.Model, x: list[float], step_size: list[float], temperature: float) -> list[Test]:
    """ULA's law on a Gaussian: after k steps from x, and in the end."""
    T, flags = mp.mpf(temperature), walk_flags(step_size, temperature)
    P, tests = mp.matrix(model["precision"]), []
    stationary = written.stationary_covariance(mp, model, step_size, T)
    size = mp.mnorm(stationary, mp.inf) * mp.mnorm(P, mp.inf) / T
    large = max(abs(c) for c in stationary) * size**2
    wide = ["TargetForUla", *NOISE, *flags]
    for k in (1, 2, 5):
        first, second = (route.gaussian_moments(mp, model, x, step_size, T, k) for route in (written, closed))
        reach = (max(abs(mp.mpf(p)) + abs(mp.mpf(m)) for p, m in zip(x, model["mean"], strict=True))) * k * size
        words, comment = given(step_size, temperature, x=x, k=k), f"after {k} steps from x"
        own = [*DRIFT, *(flag for flag in flags if flag == "OneStepForAll")]
        tests.append(valid(mp, "ula_mean", comment, own, words, (first[0], second[0], reach)))
        tests.append(valid(mp, "ula_covariance", comment, wide, words, (first[1], second[1], large)))
    words = given(step_size, temperature)
    answer = (stationary.tolist(), closed.stationary_covariance(mp, model, step_size, T).tolist(), large)
    tests.append(valid(mp, "ula_stationary_covariance", "not the target's", wide, words, answer))
    answer = ((stationary - T * P**-1).tolist(), closed.bias(mp, model, step_size, T).tolist(), large)
    tests.append(valid(mp, "ula_bias", "ULA's minus the target's", wide, words, answer))
    answer = (written.kl_divergence(mp, model, stationary, T), closed.kl_divergence(mp, model, step_size), size**2)
    tests.append(valid(mp, "ula_kl_divergence", "of ULA's law from the target, nats", wide, words, answer))
    return tests


def temperature_tests(mp: Any) -> list[Test]:
    """At which T a step with drift lam and noise s samples: s^2/(2 lam)."""
    tests = []
    for lam, s in ((0.25, 0.5), (180.0, 0.0078125), (0.5, 1.0)):
        second = mp.exp(2 * mp.log(mp.mpf(s)) - mp.log(2 * mp.mpf(lam)))
        answer = (mp.mpf(s) ** 2 / (2 * mp.mpf(lam)), second, second)
        words = {"step_size": hex_floats(lam), "noise": hex_floats(s)}
        tests.append(valid(mp, "sampled_temperature", "s^2/(2 lam)", ["TemperatureOfStep"], words, answer))
    return tests


def gibbs_langevin_tests(mp: Any, model: fx.Model, points: Rows, steps: list[float]) -> list[Test]:
    """K inner steps at fixed h as one normal jump, and the acceptance ratio of (v, h) -> (v', h')."""
    variance = [mp.exp(mp.mpf(t)) for t in model["log_var"]]
    first, second = (route.inner_chain(mp, variance, steps) for route in (written, closed))
    words, flags = {"step_sizes": hex_floats(steps)}, ["InnerSteps", "SigmaForVariance"]
    at_rho = [mp.fprod(1 + mp.mpf(e) / s for e in steps) ** 2 * len(steps) for s in variance]
    at_tau2 = [g * s for g, s in zip(at_rho, variance, strict=True)]
    answers = (first[0], second[0], at_rho), (first[1], second[1], at_tau2)
    tests = [
        valid(mp, "gibbs_langevin_rho", "v' = rho v + (1-rho) m(h) + ...", flags, words, answers[0]),
        valid(mp, "gibbs_langevin_tau2", "Var[v'|v,h]", ["NoiseRoot", *flags], words, answers[1]),
    ]
    nh, scale = len(model["b"]), GrbmScale(mp, model)
    one, two = [1] + [0] * (nh - 1), [0] + [1] * (nh - 1)
    for old, new in (((points[0], one), (points[1], two)), ((points[2], two), (points[0], two))):
        values = [route.gibbs_langevin_log_ratio(mp, model, old, new, steps) for route in (written, closed)]
        size = scale.free_energy(old[0]) + scale.free_energy(new[0])
        units = zip(old[0], new[0], scale.reach, first[1], strict=True)
        size += 2 * mp.fsum((abs(p) + abs(q) + r) ** 2 / t for p, q, r, t in units)
        given_here = words | {"v": hex_floats(old[0]), "h": old[1]}
        given_here |= {"new_v": hex_floats(new[0]), "new_h": new[1]}
        own = ["MarginalForConditional", "ReverseProposal", "ProposalInverted", "RatioSign", *flags]
        tests.append(valid(mp, "gibbs_langevin_log_ratio", "not cut off at 0", own, given_here, (*values, size)))
    return tests


def refused() -> list[Test]:
    """Inputs that must raise, or give NaN, on the Gaussian of the group."""
    mean, precision = hex_floats(fx.GAUSSIAN_2["mean"]), hex_floats(fx.GAUSSIAN_2["precision"])
    indefinite = [[precision[0][0], hex_floats(2.5)], [hex_floats(2.5), precision[1][1]]]
    point = hex_floats(fx.POINTS_2[0])
    steady = given([0.25, 0.25], 1.0)
    pair = given([0.25, 0.25], 1.0, x=fx.POINTS_2[0], proposal=fx.POINTS_2[1])
    return [
        invalid("ula_stationary_covariance", "the step is too long", ["UnstableStep"], given([1.0, 1.0], 1.0)),
        invalid("ula_stationary_covariance", "precision not positive definite", ["UnstableStep"],
                {**steady, "model": {"mean": mean, "precision": indefinite}}),
        invalid("ula_kl_divergence", "the step is too long", ["UnstableStep"], given([0.5, 2.0], 1.0)),
        invalid("mala_log_ratio", "step 0", ["UnstableStep"], {**pair, "step_size": hex_floats([0.25, 0.0])}),
        invalid("mala_log_ratio", "temperature 0", ["TemperatureOfStep"], {**pair, "temperature": hex_floats(0.0)}),
        invalid("mala_log_ratio", "x of length 1 would broadcast", ["WrongShape"], {**pair, "x": point[:1]}),
        invalid("target_energies", "rows of length 1 would broadcast", ["WrongShape"], {"data": [point[:1]]}),
        invalid("target_energies", "NaN in the precision", ["NonFinite"],
                {"data": [point], "model": {"mean": mean, "precision": [["nan", precision[0][1]], precision[1]]}}),
    ]  # fmt: skip


def groups(mp: Any) -> list[dict[str, Any]]:
    """All groups of the file."""
    targets = [
        ("Gaussian 2", fx.GAUSSIAN_2, fx.POINTS_2, ([0.453125, 0.453125], 1.0), ([0.28125, 0.84375], 1.75)),
        ("Gaussian 3", fx.GAUSSIAN_3, fx.POINTS_3, ([0.375] * 3, 1.0), ([0.265625, 0.484375, 0.859375], 0.625)),
        ("double wells", fx.DOUBLE_WELL, fx.POINTS_2, ([0.15625, 0.15625], 1.0), ([0.1875, 0.0625], 1.5)),
        ("GRBM 2x3", fx.GRBM_2X3, fx.POINTS_2, ([0.21875, 0.21875], 1.0), ([0.125, 1.375], 0.75)),
    ]
    result = []
    for i, (name, model, points, plain, general) in enumerate(targets):
        first = 100 + 100 * i
        tests = target_tests(mp, model, points) + walk_tests(mp, model, points, *plain)
        result.append(group(f"LangevinMoves {name}", first, model, tests + walk_tests(mp, model, points, *general)))
        tests = leapfrog_tests(mp, model, points[0], *plain) + leapfrog_tests(mp, model, points[1], *general)
        result.append(group(f"Leapfrog {name}", 2000 + first, model, tests))
        if i < 2:
            tests = gaussian_tests(mp, model, points[0], *plain) + gaussian_tests(mp, model, points[1], *general)
            result.append(group(f"UlaLaws {name}", 1000 + first, model, tests))
    inner = [0.21875, 0.15625, 0.0625]
    result.append(
        group("GibbsLangevin 2x3", 3100, fx.GRBM_2X3, gibbs_langevin_tests(mp, fx.GRBM_2X3, fx.POINTS_2, inner))
    )
    result.append(
        group("GibbsLangevin 3x2", 3200, fx.GRBM_3X2, gibbs_langevin_tests(mp, fx.GRBM_3X2, fx.POINTS_3, inner[:2]))
    )
    result.append(group("Temperature", 4100, {}, temperature_tests(mp)))
    result.append(group("LangevinInvalid", 9000, fx.GAUSSIAN_2, refused()))
    return result
