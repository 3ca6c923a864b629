"""Golden vectors of deep energies: layers, forms of the energy, their first and second derivatives, exact twins.

First route: deep_numbers_route.py, plain loops over numbers of 60 digits that carry their derivatives and a bound of
their rounding, which is the scale.  Second route: deep_route.py.  Both are run for every number.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.deep.equations import HEADS
from ebm_ref.oracle.deep.equations import flat as numbers_of
from ebm_ref.oracle.deep.numbers import Bounded, Dual, Number
from ebm_ref.oracle.vectors import deep_fixtures as fx
from ebm_ref.oracle.vectors.deep_numbers_route import (
    bounded,
    dual,
    outputs,
    parameters,
    pulled,
    read,
    slopes_of,
    with_parameters,
)
from ebm_ref.oracle.vectors.deep_route import Route, differences, flat, shaped
from ebm_ref.oracle.vectors.encoding import group, hex_floats, invalid, mapped, precise, valid

Test = dict[str, Any]
Nested = Any
WORDS = ("kind", "function", "form", "stride", "padding", "output_padding", "n_groups", "size")


def encoded(name: str, value: Any) -> Any:
    """A model for the file: words and counts as they are, numbers as hex floats."""
    if name in ("layers", "branch"):
        return [{key: encoded(key, part) for key, part in layer.items()} for layer in value]
    return value if name in WORDS else hex_floats(value)


# tests ----------------------------------------------------------------------------------------------------------------


def vector(
    mp: Any, quantity: str, flags: list[str], given: dict[str, Any], first: tuple, second: Any, like: Nested
) -> Test:
    """One vector; ``like`` gives the answer its shape."""
    values, bounds = (shaped(list(part), like) for part in first)
    answer = values, shaped(list(second), like), bounds
    return valid(mp, quantity, QUANTITIES[quantity], flags, given, answer)


QUANTITIES = {
    "deep_forward": "f(x)",
    "deep_vjp": "x_bar = J'y_bar",
    "deep_vjp_parameters": "d<y_bar, f>/dtheta, flat",
    "deep_jvp": "J x_dot",
    "deep_rvjp": "the tangent of x_bar along x_dot and y_bar_dot",
    "deep_rvjp_parameters": "the tangent of d<y_bar, f>/dtheta along x_dot and y_bar_dot",
    "deep_energy": "E",
    "deep_gradient": "dE/dx",
    "deep_parameter_gradient": "dE/dtheta, flat",
    "deep_hessian_vector": "(d^2E/dx^2) u",
    "deep_mixed_product": "d(r.dE/dx)/dtheta, flat",
    "deep_denoising_gradient": "d/dtheta of (sigma^2/2) mean |dE/dx(x + sigma z) - z/sigma|^2, flat",
    "deep_class_log_probabilities": "log p(y|x) of all classes",
    "deep_gaussian_log_z": "log of the integral of e^-E over all x",
    "deep_box_log_z": "log of the integral of e^-E over the box [-1, 1]^d",
}
SECOND = ["SecondDerivative"]
OF_GRADIENTS = ("MissingPullback", "HeadFactor")


def layer_tests(mp: Any, layer: fx.Layer, shape: tuple[int, ...], flags: list[str], x: Nested = None) -> list[Test]:
    """Everything that a layer can be asked, at one point; of ties (x given) first derivatives alone."""
    layers, tied = [layer], x is not None
    x = fx.generic(shape, 101, 2.0) if x is None else x
    y = outputs(mp, layers, x, list(bounded(mp, parameters(layers))), list(bounded(mp, flat(x))))
    y_like = mapped(lambda z: 0, y)
    n = len(flat(y_like))
    y_bar, y_bar_dot = (shaped(list(fx.generic((n,), key)), y_like) for key in (102, 103))
    x_dot = fx.generic(shape, 104)
    size, theta = len(flat(x)), parameters(layers)

    def product(mp_: Any, point: list[Any]) -> Any:
        """<y_bar, f> of x, theta, y_bar."""
        made = with_parameters(layers, list(point[size : size + len(theta)]))
        image = shaped(
            [v - k * mp_.mpf(10) ** -50 for k, v in enumerate(point[:size])] if tied else list(point[:size]), x
        )
        return mp_.fdot(flat(Route(mp_).run(made, image)), point[size + len(theta) :])

    at = [*flat(x), *theta, *flat(y_bar)]
    slopes = differences(product, at)
    given = {"x": hex_floats(x)}
    bar = given | {"y_bar": hex_floats(y_bar)}
    first = pulled(mp, layers, x, y_bar)
    tests = [
        vector(mp, "deep_forward", flags, given, read(mp, numbers_of(y)), slopes[size + len(theta) :], y_like),
        vector(mp, "deep_vjp", [*flags, "AdjointNotForward"], bar, read(mp, first[0]), slopes[:size], x),
    ]
    if theta:
        found = slopes[size : size + len(theta)]
        tests.append(vector(mp, "deep_vjp_parameters", flags, bar, read(mp, first[1]), found, theta))
    if tied:
        return tests
    tangents = differences(product, at, [*flat(x_dot), *([0] * len(theta)), *flat(y_bar_dot)])
    moved = outputs(mp, layers, x, list(bounded(mp, theta)), dual(mp, flat(x), flat(x_dot)))
    still = differences(product, at, [*flat(x_dot), *([0] * len(theta)), *([0] * n)])[size + len(theta) :]
    tests.append(
        vector(
            mp,
            "deep_jvp",
            flags,
            given | {"x_dot": hex_floats(x_dot)},
            read(mp, numbers_of(moved), True),
            still,
            y_like,
        )
    )
    both = bar | {"x_dot": hex_floats(x_dot), "y_bar_dot": hex_floats(y_bar_dot)}
    second = pulled(mp, layers, x, y_bar, x_dot, y_bar_dot)
    bent = SECOND if layer["kind"] == "group_norm" or layer.get("function", "leaky_relu") != "leaky_relu" else []
    tests.append(vector(mp, "deep_rvjp", [*flags, *bent], both, read(mp, second[0], True), tangents[:size], x))
    if theta:
        found = tangents[size : size + len(theta)]
        tests.append(
            vector(mp, "deep_rvjp_parameters", [*flags, *SECOND], both, read(mp, second[1], True), found, theta)
        )
    return tests


def energy_tests(mp: Any, model: dict[str, Any], shape: tuple[int, ...], flags: list[str]) -> list[Test]:
    """E, its derivatives and their tangents at one point, or two where that is cheap."""
    layers, theta = model["layers"], parameters(model["layers"])
    large = len(theta) > 30
    value_flags = [flag for flag in flags if flag not in OF_GRADIENTS]
    theta_flags = [flag for flag in flags if flag != "MissingPullback"]
    tests = []
    for key in (111,) if large else (111, 112):
        x, u = fx.generic(shape, key, 1.5), fx.generic(shape, key + 10)
        label = key % 3 if model["form"] == "joint" else None
        size = len(flat(x))

        def E(mp_: Any, point: list[Any], x: Nested = x, label: int | None = label, size: int = size) -> Any:
            made = with_parameters(layers, list(point[size:]))
            return Route(mp_).energy(model, made, shaped(list(point[:size]), x), label)

        at = [*flat(x), *theta]
        wide = precise(100)
        given = {"x": hex_floats(x)} | ({"label": label} if label is not None else {})
        energy, by_x, by_theta = slopes_of(mp, model, x, label)
        value = [mp.mpf(E(wide, [wide.mpf(v) for v in at]))]
        second = differences(E, at)
        tests += [
            vector(mp, "deep_energy", value_flags, given, read(mp, [energy]), value, 0),
            vector(mp, "deep_gradient", [*flags, "GradientSign"], given, read(mp, by_x), second[:size], x),
            vector(
                mp,
                "deep_parameter_gradient",
                [*theta_flags, "GradientSign"],
                given,
                read(mp, by_theta),
                second[size:],
                theta,
            ),
        ]
        tangents = differences(E, at, [*flat(u), *([0] * len(theta))])
        _, by_x, by_theta = slopes_of(mp, model, x, label, flat(u))
        more = given | {"u": hex_floats(u)}
        tests.append(
            vector(mp, "deep_hessian_vector", [*value_flags, *SECOND], more, read(mp, by_x, True), tangents[:size], x)
        )
        more = given | {"r": hex_floats(u)}
        tests.append(
            vector(
                mp,
                "deep_mixed_product",
                [*value_flags, *SECOND],
                more,
                read(mp, by_theta, True),
                tangents[size:],
                theta,
            )
        )
    return tests


def denoising_test(mp: Any, model: dict[str, Any], shape: tuple[int, ...], sigma: float) -> Test:
    """The gradient of the loss of two rows."""
    rows, noise = [fx.generic(shape, key, 1.5) for key in (131, 132)], [fx.generic(shape, key) for key in (133, 134)]
    theta, s = parameters(model["layers"]), mp.mpf(sigma)
    total: list[Number] = [0] * len(theta)
    for x, z in zip(rows, noise, strict=True):
        noisy = [mp.mpf(a) + s * mp.mpf(b) for a, b in zip(flat(x), flat(z), strict=True)]
        _, by_x, _ = slopes_of(mp, model, noisy, None)
        r = [slope - Bounded(mp.mpf(b)) / s for slope, b in zip(by_x, flat(z), strict=True)]
        _, _, by_theta = slopes_of(mp, model, noisy, None, r)
        parts = [slope.t if isinstance(slope, Dual) else 0 for slope in by_theta]
        total = [part * (s * s / len(rows)) + t for part, t in zip(parts, total, strict=True)]

    exact = precise(400)
    small = exact.mpf(10) ** -130

    def loss(point: list[Any]) -> Any:
        made, terms, sigma_ = with_parameters(model["layers"], list(point)), [], exact.mpf(sigma)
        for x, z in zip(rows, noise, strict=True):
            at = [exact.mpf(a) + sigma_ * exact.mpf(b) for a, b in zip(flat(x), flat(z), strict=True)]
            start = Route(exact).energy(model, made, at, None)
            for i, b in enumerate(flat(z)):
                up = Route(exact).energy(model, made, [*at[:i], at[i] + small, *at[i + 1 :]], None)
                terms.append(((up - start) / small - exact.mpf(b) / sigma_) ** 2)
        return sigma_**2 / 2 * exact.fsum(terms) / len(rows)

    here, h = [exact.mpf(v) for v in theta], exact.mpf(10) ** -60
    start = loss(here)
    second = [(loss([*here[:k], here[k] + h, *here[k + 1 :]]) - start) / h for k in range(len(here))]
    given = {"data": hex_floats(rows), "z": hex_floats(noise), "sigma": hex_floats(sigma)}
    flags = ["DenoisingTarget", "DenoisingWeight", "SecondDerivative"]
    return vector(mp, "deep_denoising_gradient", flags, given, read(mp, total), second, theta)


def class_test(mp: Any, model: dict[str, Any], shape: tuple[int, ...]) -> Test:
    """f_y - LSE f against -log sum_k e^(f_k - f_y)."""
    x = fx.generic(shape, 141, 1.5)
    f = numbers_of(
        outputs(mp, model["layers"], x, list(bounded(mp, parameters(model["layers"]))), list(bounded(mp, flat(x))))
    )
    marginal = HEADS["marginal"]([], f, None)
    first = read(mp, [z + marginal for z in f])
    exact = Route(precise(100))
    other = flat(exact.run(with_parameters(model["layers"], [exact.mp.mpf(v) for v in parameters(model["layers"])]),
                           [exact.mp.mpf(v) for v in x]))  # fmt: skip
    second = [-exact.mp.log(exact.mp.fsum(exact.mp.exp(k - y) for k in other)) for y in other]
    given = {"x": hex_floats(x)}
    return vector(mp, "deep_class_log_probabilities", ["LogSumExpSign"], given, first, second, [0] * len(f))


def gaussian_tests(mp: Any) -> list[Test]:
    """f = xW + b: the forms are quadratic, and log Z is known.  2-d: determinant and adjugate, or Cholesky."""
    one, tests = mp.eye(2), []
    for form, scale, layer in (
        ("inner", 1.0, fx.GAUSSIAN),
        ("residual", 0.5, fx.RESIDUAL),
        ("square", 0.5, fx.GAUSSIAN),
    ):
        c, W, b = mp.mpf(scale), mp.matrix(layer["W"]), mp.matrix(layer["b"])
        A = W if form == "inner" else (one - W if form == "residual" else W)
        P = W + W.T if form == "inner" else 2 * c * A * A.T
        shift = b if form == "inner" else 2 * c * A * (b if form == "square" else -b)
        constant = mp.mpf(0) if form == "inner" else c * (b.T * b)[0]
        det = P[0, 0] * P[1, 1] - P[0, 1] * P[1, 0]
        adjugate = mp.matrix([[P[1, 1], -P[0, 1]], [-P[1, 0], P[0, 0]]])
        first = mp.log(2 * mp.pi) - mp.log(det) / 2 + (shift.T * adjugate * shift)[0] / (2 * det) - constant
        L = mp.cholesky(P)
        half = mp.lu_solve(L, shift)
        second = 2 * mp.log(mp.sqrt(2 * mp.pi)) - mp.log(L[0, 0]) - mp.log(L[1, 1]) + (half.T * half)[0] / 2 - constant
        model = fx.energy([layer], form, scale)
        given = {"model": {key: encoded(key, value) for key, value in model.items()}}
        size = 10 + abs(first) + constant
        words, flags = QUANTITIES["deep_gaussian_log_z"], ["GaussianConstant", "HeadFormula"]
        tests.append(valid(mp, "deep_gaussian_log_z", words, flags, given, (first, second, size)))
    return tests


def box_tests(mp: Any) -> list[Test]:
    """Linear logits of a classifier on [-1, 1]^2: sum_y e^(b_y) prod_i 2 sinh(W_iy)/W_iy, or by quadrature."""
    W, b = fx.LOGITS["W"], fx.LOGITS["b"]
    terms = [
        mp.exp(mp.mpf(s)) * mp.fprod(2 * mp.sinh(mp.mpf(row[y])) / mp.mpf(row[y]) for row in W) for y, s in enumerate(b)
    ]
    sides = [[mp.quad(lambda t, w=row[y]: mp.exp(mp.mpf(w) * t), [-1, 1]) for row in W] for y in range(len(b))]
    first = mp.log(mp.fsum(terms))
    second = mp.log(mp.fsum(mp.exp(mp.mpf(s)) * mp.fprod(side) for s, side in zip(b, sides, strict=True)))
    given = {"model": {key: encoded(key, value) for key, value in fx.energy([fx.LOGITS], "marginal").items()}}
    words = QUANTITIES["deep_box_log_z"]
    return [valid(mp, "deep_box_log_z", words, ["LogSumExpSign"], given, (first, second, 4 + abs(first)))]


def refused() -> list[Test]:
    """Inputs that must raise, or give NaN, on the model of the group."""
    x = fx.generic((2,), 151)
    layers = encoded("layers", mlp := fx.mlp((2, 3, 2), "silu", 51))
    bad = [layers[0] | {"W": [["nan", *layers[0]["W"][0][1:]], layers[0]["W"][1]]}, *layers[1:]]
    short = encoded("layers", [mlp[0] | {"b": mlp[0]["b"][:2]}, *mlp[1:]])
    model = {key: encoded(key, value) for key, value in fx.energy([], "inner").items()}
    given = {"x": hex_floats(x)}
    return [
        invalid("deep_energy", "x of length 1 would broadcast", ["WrongShape"], {"x": hex_floats(x[:1])}),
        invalid("deep_energy", "a short bias", ["WrongShape"], given | {"model": model | {"layers": short}}),
        invalid("deep_energy", "NaN in a weight", ["NonFinite"], given | {"model": model | {"layers": bad}}),
        invalid("deep_energy", "x.f with one output for two inputs", ["WrongShape"],
                given | {"model": model | {"layers": encoded("layers", fx.mlp((2, 3, 1), "silu", 63))}}),
    ]  # fmt: skip


def made(name: str, first: int, model: dict[str, Any], tests: list[Test]) -> dict[str, Any]:
    """A group with its model for the file."""
    return group(name, first, {}, tests) | {"model": {key: encoded(key, value) for key, value in model.items()}}


def groups(mp: Any) -> list[dict[str, Any]]:
    """All groups of the file."""
    result = []
    for i, (name, layer, shape, flags) in enumerate(fx.LAYERS):
        tests = layer_tests(mp, layer, shape, flags)
        if layer["kind"] == "max_pool":
            tests += layer_tests(mp, layer, (1, 2, 4), ["PoolTies"], fx.TIED)
        result.append(made(f"Layer {name}", 100 + 100 * i, {"layers": [layer]}, tests))
    for i, (name, model, shape, flags) in enumerate(fx.ENERGIES):
        tests = energy_tests(mp, model, shape, flags)
        if name in ("inner", "residual", "square", "marginal"):
            tests.append(denoising_test(mp, model, shape, 0.375))
        if name == "marginal":
            tests.append(class_test(mp, model, shape))
        result.append(made(f"Energy {name}", 5000 + 100 * i, model, tests))
    result.append(group("ExactTwins", 6000, {}, gaussian_tests(mp) + box_tests(mp)))
    result.append(made("DeepInvalid", 9000, fx.ENERGIES[0][1], refused()))
    return result
