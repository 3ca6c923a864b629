"""The first route of deep energies: ``ebm_ref.oracle.deep`` on numbers of 60 digits, with derivatives and rounding.

A model's layers come as dictionaries (deep_fixtures.py); their parameters run through as one flat list of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ebm_ref.oracle.deep.equations import HEADS, KINDS, base_measure
from ebm_ref.oracle.deep.equations import flat as numbers_of
from ebm_ref.oracle.deep.network import Layer, run
from ebm_ref.oracle.deep.numbers import Bounded, Dual, Number, Var, gradient
from ebm_ref.oracle.vectors import deep_fixtures as fx
from ebm_ref.oracle.vectors.deep_route import flat, shaped

Nested = Any
PARAMETERS = ("W", "b", "gain", "shift")
TINY = 2.0**-50
NUMBERS = {
    "conv": ("stride", "padding"), "conv_transpose": ("stride", "padding", "output_padding"),
    "group_norm": ("n_groups", "eps"), "activation": ("function", "alpha"), "avg_pool": ("size",),
    "max_pool": ("size",), "upsample": ("size",), "spectral_linear": ("u", "v"),
}  # fmt: skip


def parameters(layers: Sequence[fx.Layer]) -> list[Any]:
    """All parameters, flat, in the order in which they stand."""
    found: list[Any] = []
    for layer in layers:
        for name in PARAMETERS:
            found += flat(layer[name]) if name in layer else []
        found += parameters(layer.get("branch", []))
    return found


def with_parameters(layers: Sequence[fx.Layer], values: list[Any]) -> list[fx.Layer]:
    """The layers with the next numbers in place of their parameters."""
    made = []
    for layer in layers:
        layer = dict(layer)
        for name in PARAMETERS:
            if name in layer:
                layer[name] = shaped(values, layer[name])
        if "branch" in layer:
            layer["branch"] = with_parameters(layer["branch"], values)
        made.append(layer)
    return made


def declared(layers: Sequence[fx.Layer]) -> tuple[Layer, ...]:
    """The first route's records; arrays come as numbers when it runs."""
    made = []
    for layer in layers:
        arrays = tuple(None for name in PARAMETERS if name in layer)
        numbers = tuple(layer[name] for name in NUMBERS.get(layer["kind"], ()))
        made.append(Layer(layer["kind"], arrays, numbers, declared(layer.get("branch", []))))  # type: ignore[arg-type]
    return tuple(made)


def arrays(layers: Sequence[fx.Layer], values: list[Any]) -> list[Any]:
    """The parameters as nested lists in order, made of the next numbers."""
    found = []
    for layer in layers:
        found += [shaped(values, layer[name]) for name in PARAMETERS if name in layer]
        found += arrays(layer.get("branch", []), values)
    return found


def bounded(mp: Any, values: Sequence[Any]) -> list[Bounded]:
    """Exact numbers."""
    return [Bounded(mp.mpf(v)) for v in values]


def dual(mp: Any, values: Sequence[Any], along: Sequence[Any] | None) -> list[Number]:
    """Numbers that move in a direction; without one they stay as they are."""
    if along is None:
        return list(bounded(mp, values))
    return [Dual(v, d if isinstance(d, Bounded) else Bounded(mp.mpf(d))) for v, d in
            zip(bounded(mp, values), along, strict=True)]  # fmt: skip


def read(mp: Any, numbers: Sequence[Number], tangent: bool = False) -> tuple[list[Any], list[Any]]:
    """(values, bounds), of the tangents if asked."""
    values, bounds = [], []
    for number in numbers:
        z = number.v if isinstance(number, Var) else number
        if tangent:
            z = z.t if isinstance(z, Dual) else 0
        z = z.v if isinstance(z, Dual) else z
        values.append(z.v if isinstance(z, Bounded) else mp.mpf(z))
        bounds.append(z.e if isinstance(z, Bounded) else 0)
    floor = max(map(abs, values), default=1) * TINY  # of numbers that are zero by structure
    return values, [max(e, abs(v), floor) for v, e in zip(values, bounds, strict=True)]


def outputs(mp: Any, layers: Sequence[fx.Layer], x: Nested, theta: list[Number], columns: list[Number]) -> Nested:
    """f of numbers."""
    return run(declared(layers), shaped(list(columns), x), iter(arrays(layers, list(theta))), KINDS)


def pulled(
    mp: Any, layers: Sequence[fx.Layer], x: Nested, y_bar: Nested, x_dot: Nested = None, y_bar_dot: Nested = None
) -> tuple[list[Number], list[Number]]:
    """d<y_bar, f>/dx and d/dtheta, or the tangents of these."""
    along = None if x_dot is None else flat(x_dot)
    columns = [Var(z) for z in dual(mp, flat(x), along)]
    theta = [Var(z) for z in bounded(mp, parameters(layers))]
    bars = dual(mp, flat(y_bar), None if y_bar_dot is None else flat(y_bar_dot))
    y = numbers_of(outputs(mp, layers, x, list(theta), list(columns)))
    loss: Number = 0
    for bar, value in zip(bars, y, strict=True):
        loss = value * bar + loss
    slopes = gradient(loss, [*columns, *theta])
    return slopes[: len(columns)], slopes[len(columns) :]


def energy_number(mp: Any, model: dict[str, Any], columns: list[Number], theta: list[Number], x: Nested, y: int | None):
    """E of numbers."""
    f = numbers_of(outputs(mp, model["layers"], x, theta, columns))
    one_hot = [int(k == y) for k in range(len(f))]
    energy = HEADS[model["form"]](columns, f, one_hot) * mp.mpf(model["scale"])
    return energy + base_measure(columns, mp.mpf(model["base"])) if model["base"] else energy


def slopes_of(
    mp: Any, model: dict[str, Any], x: Nested, y: int | None, along: Sequence[Any] | None = None
) -> tuple[Number, list[Number], list[Number]]:
    """E, dE/dx, dE/dtheta; with a direction the last two move."""
    columns = [Var(z) for z in dual(mp, flat(x), along)]
    theta = [Var(z) for z in bounded(mp, parameters(model["layers"]))]
    energy = energy_number(mp, model, list(columns), list(theta), x, y)
    slopes = gradient(energy, [*columns, *theta])
    return energy, slopes[: len(columns)], slopes[len(columns) :]
