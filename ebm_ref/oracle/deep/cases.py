"""Declared deep energies: small networks of every common kind, their energies and all their derivatives by plain loops.

E(x) = scale e(x, f(x)) + |x|^2/(2 base^2), e by ``form``; forms and layers: ``ebm_ref.oracle.deep.equations``.
Weights and points are multiples of 1/64, which float32 holds exactly.  Derivatives are found by the chain rule run
back over the numbers themselves (``ebm_ref.oracle.deep.numbers``), never from a formula of a layer's derivative.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, ShapeError, require_choice, require_number, require_positive
from ebm_ref.oracle.arrays import checked
from ebm_ref.oracle.deep.equations import HEADS, KINDS, base_measure, flat, rows_of, shaped
from ebm_ref.oracle.deep.network import Layer, arrays_of, dyadic, layer_of, run, shape_after
from ebm_ref.oracle.deep.numbers import Bounded, Dual, Number, Var, gradient

Array = np.ndarray
POINTS = 6
FORMS = tuple(HEADS)


@dataclass(frozen=True)
class Equations:
    """What an energy is believed to be: a mistake is a changed entry."""

    kinds: dict[str, Callable[..., Any]] = field(default_factory=lambda: KINDS)
    heads: dict[str, Callable[..., Any]] = field(default_factory=lambda: HEADS)
    base: Callable[[list[Number], float], Number] = base_measure
    scale: float = 1.0


RIGHT = Equations()


@dataclass(frozen=True, eq=False, repr=False)
class NetworkCase:
    """One declared energy.  Make it with ``network`` or ``named``.

    layers       of ``ebm_ref.oracle.deep.network``;  input_shape  (d,) or (channels, height, width)
    form         "inner", "residual", "square", "scalar", or of a classifier's logits "marginal" (-log sum_y e^f_y) or
                 "joint" (-f_y);  scale, base  see the head, base None for no |x|^2/(2 base^2)
    points       (n, d) rows at which a candidate is asked;  labels (n,) their classes, for "joint"
    """

    name: str
    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]
    form: str
    scale: float
    base: float | None
    points: Array
    labels: Array
    n_outputs: int

    def __repr__(self) -> str:
        """Name, form and size; the arrays are long."""
        return f"NetworkCase({self.name}, {self.form}, inputs {self.input_shape}, {self.n_parameters} parameters)"

    @property
    def n_visible(self) -> int:
        """d."""
        return math.prod(self.input_shape)

    @property
    def images(self) -> Array:
        """The points in the shape that the network takes, (n, *input_shape)."""
        return self.points.reshape(-1, *self.input_shape)

    @property
    def parameters(self) -> tuple[Array, ...]:
        """All arrays, in the order in which they stand; W of a linear layer is (n_in, n_out)."""
        return tuple(array for _, array in arrays_of(self.layers))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Position, kind and name of each array."""
        return tuple(name for name, _ in arrays_of(self.layers))

    @property
    def n_parameters(self) -> int:
        """Numbers in them."""
        return sum(array.size for array in self.parameters)

    @cached_property
    def energies(self) -> tuple[Array, Array]:
        """E of the points (n,), and the bound of its rounding in units of u."""
        found = evaluated(self, self.points, bounded=True)
        return values_of([found.energy], len(self.points))[:, 0], errors_of([found.energy], len(self.points))[:, 0]

    @cached_property
    def gradients(self) -> tuple[Array, Array]:
        """dE/dx (n, d) and its bound."""
        found = evaluated(self, self.points, by="state", bounded=True).slopes
        return values_of(found, len(self.points)), errors_of(found, len(self.points))

    @cached_property
    def parameter_gradients(self) -> tuple[Array, Array]:
        """dE/dtheta of each row (n, q), flat, and its bound."""
        found = evaluated(self, self.points, by="parameters", bounded=True).slopes
        return values_of(found, len(self.points)), errors_of(found, len(self.points))

    @cached_property
    def outputs(self) -> Array:
        """f (n, n_outputs)."""
        return values_of(evaluated(self, self.points).outputs, len(self.points))

    def with_points(self, points: Any, labels: Any = None) -> NetworkCase:
        """The same energy asked elsewhere."""
        points = checked("points", np.reshape(points, (len(points), -1)), None, self.n_visible)
        labels = np.arange(len(points)) % self.n_outputs if labels is None else np.asarray(labels)
        return replace(self, points=points, labels=labels)


@dataclass(frozen=True)
class Evaluated:
    """E, its derivatives and f, one number for all rows each."""

    energy: Number
    slopes: list[Number]
    outputs: list[Number]


def evaluated(
    case: NetworkCase,
    x: Array,
    *,
    labels: Array | None = None,
    by: str = "nothing",
    along: Sequence[Number] | None = None,
    bounded: bool = False,
    equations: Equations = RIGHT,
) -> Evaluated:
    """E at rows x (n, d), and its derivatives by "state" or "parameters"; ``bounded`` carries rounding along.

    along, one number a coordinate: the slopes are their derivatives in this direction.
    """
    given = rows_of(x)
    columns: list[Number] = [Bounded(c) for c in given] if bounded else list(given)
    theta: list[Number] = [v for array in case.parameters for v in array.ravel().tolist()]
    if along is not None:
        columns = [Dual(c, t) for c, t in zip(columns, along, strict=True)]
    if by == "state":
        columns = [Var(c) for c in columns]
    if by == "parameters":
        theta = [Var(Bounded(v) if bounded else v) for v in theta]
    energy, outputs = energy_at(case, columns, theta, one_hot(case, x, labels), equations)
    slopes = gradient(energy, columns if by == "state" else theta) if by != "nothing" else []
    if along is not None:
        slopes = [s.t if isinstance(s, Dual) else 0.0 for s in slopes]
    return Evaluated(energy, slopes, outputs)


def energy_at(
    case: NetworkCase, columns: list[Number], theta: list[Number], y: list[Array], equations: Equations = RIGHT
) -> tuple[Number, list[Number]]:
    """(E, f) of numbers: coordinates of x, parameters flat, classes one-hot."""
    numbers = iter(theta)
    arrays = (shaped(numbers, array.shape) for array in case.parameters)
    image = shaped(iter(columns), case.input_shape)
    f = flat(run(case.layers, image, arrays, equations.kinds))
    energy = equations.heads[case.form](columns, f, y)
    if case.scale * equations.scale != 1.0:
        energy = energy * (case.scale * equations.scale)
    return (energy if case.base is None else energy + equations.base(columns, case.base)), f


def one_hot(case: NetworkCase, x: Array, labels: Array | None) -> list[Array]:
    """Classes as columns of zeros and ones."""
    y = case.labels if labels is None else np.asarray(labels)
    if len(y) != len(x):
        y = np.resize(y, len(x))
    return [(y == k).astype(np.float64) for k in range(case.n_outputs)]


def values_of(numbers: list[Number], n: int) -> Array:
    """(n, len): the bare values."""
    return np.stack([np.broadcast_to(_part(z, "v"), n) for z in numbers], axis=1).astype(np.float64)


def errors_of(numbers: list[Number], n: int) -> Array:
    """(n, len): the bounds of Bounded numbers."""
    return np.stack([np.broadcast_to(_part(z, "e"), n) for z in numbers], axis=1).astype(np.float64)


def _part(z: Number, which: str) -> Any:
    if isinstance(z, Var):
        z = z.v
    if isinstance(z, Bounded):
        return getattr(z, which)
    return z if which == "v" else 0.0


# fixtures -------------------------------------------------------------------------------------------------------------


def network(
    layers: Sequence[Any],
    input_shape: Sequence[int],
    form: str = "inner",
    *,
    scale: float = 1.0,
    base: float | None = None,
    points: Any = None,
    labels: Any = None,
    name: str = "network",
) -> NetworkCase:
    """A declared energy from layers as tuples.  Raises ShapeError, DomainError.

    points: rows (n, d) or images at which candidates are asked, by default six.  labels: classes, for form "joint".

    >>> case = network([("linear", [[1.0, 0.5], [0.0, 2.0]], [0.0, 0.0])], (2,), "inner")
    >>> case.with_points([[1.0, 2.0]]).energies[0]
    array([10.])
    """
    made = tuple(layer_of(layer) for layer in layers)
    shape = tuple(int(n) for n in input_shape)
    require_choice("form", form, FORMS)
    n_outputs = math.prod(shape_after(made, shape))
    wanted = {"inner": math.prod(shape), "residual": math.prod(shape), "scalar": 1}.get(form, n_outputs)
    if n_outputs != wanted:
        raise ShapeError(f"layers: expected {wanted} outputs for form={form!r}, got {n_outputs}")
    if require_number("scale", scale) == 0:
        raise DomainError("scale: expected a number other than 0")
    base = None if base is None else require_positive("base", base)
    if points is None:
        points = dyadic(np.random.default_rng(20260601).normal(size=(POINTS, math.prod(shape))), 6)
    case = NetworkCase(name, made, shape, form, float(scale), base, np.empty(0), np.empty(0), n_outputs)
    return case.with_points(points, labels)


class Weights:
    """Fresh arrays, N(0, gain/n_in) and biases N(0, 0.3^2), rounded to 1/64."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def of(self, shape: tuple[int, ...], n_in: float, gain: float = 2.0) -> Array:
        """W and its like."""
        return dyadic(self.rng.normal(0.0, math.sqrt(gain / n_in), shape), 6)

    def bias(self, n: int, mean: float = 0.0) -> Array:
        """b and its like."""
        return dyadic(mean + self.rng.normal(0.0, 0.3, n), 6)

    def linear(self, n_in: int, n_out: int) -> tuple:
        """A layer."""
        return ("linear", self.of((n_in, n_out), n_in), self.bias(n_out))

    def conv(self, n_in: int, n_out: int, k: tuple[int, int], stride: int, padding: int) -> tuple:
        """A layer."""
        return ("conv", self.of((n_out, n_in, *k), n_in * k[0] * k[1]), self.bias(n_out), stride, padding)


def mlp(name: str, sizes: tuple[int, ...], activation: tuple, form: str, scale: float, base: float | None, seed: int):
    """Linear layers with activations between."""
    w, layers = Weights(seed), []
    for n_in, n_out in itertools.pairwise(sizes[:-1]):
        layers += [w.linear(n_in, n_out), activation]
    return network([*layers, w.linear(*sizes[-2:])], sizes[:1], form, scale=scale, base=base, name=name)


def small_convnet(name: str, form: str) -> NetworkCase:
    """Convolutions of strides 2 and 1, kernels that are not square, a maximum, two linear layers."""
    w = Weights(20260602)
    layers = [
        w.conv(1, 2, (3, 2), 2, 1), ("silu",), ("max_pool", 2), w.conv(2, 3, (1, 2), 1, 0), ("softplus",),
        ("flatten",), w.linear(6, 3), ("silu",), w.linear(3, 2),
    ]  # fmt: skip
    return network(layers, (1, 7, 6), form, scale=0.5, base=1.5, name=name)


def small_unet(name: str) -> NetworkCase:
    """Two levels, a skip, group normalisation, means down and copies up: the output has the shape of the input."""
    w = Weights(20260603)
    below = [("avg_pool", 2), w.conv(2, 2, (3, 3), 1, 1), ("silu",), ("upsample", 2)]
    layers = [
        w.conv(1, 2, (3, 3), 1, 1), ("group_norm", w.bias(2, 1.0), w.bias(2), 1, 2.0**-7), ("silu",),
        ("concat", below), w.conv(4, 1, (1, 1), 1, 0),
    ]  # fmt: skip
    return network(layers, (1, 4, 4), "inner", name=name)


def small_decoder(name: str) -> NetworkCase:
    """A transposed convolution with a residual branch before it, leaky ReLU and ELU."""
    w = Weights(20260604)
    layers = [
        ("residual", [w.conv(1, 1, (3, 3), 1, 1), ("elu", 0.75)]), ("avg_pool", 2),
        ("conv_transpose", w.of((1, 1, 3, 2), 3), w.bias(1), 2, 1, 1), ("leaky_relu", 0.25),
    ]  # fmt: skip
    return network(layers, (1, 4, 4), "square", scale=0.5, base=2.0, name=name)


def spectral_mlp(name: str) -> NetworkCase:
    """A weight divided by u'Wv; u and v are near its singular vectors, as after a few power iterations."""
    w = Weights(20260611)
    W = w.of((3, 4), 3)
    left, _, right = np.linalg.svd(W)
    u, v = (dyadic(side, 6).tolist() for side in (left[:, 0], right[0]))
    layers = [("spectral_linear", W, w.bias(4), u, v), ("silu",), w.linear(4, 2)]
    return network(layers, (3,), "square", scale=0.5, name=name)


FIXTURES: tuple[tuple[str, Callable[[str], NetworkCase]], ...] = (
    ("mlp_inner", lambda name: mlp(name, (3, 4, 3), ("silu",), "inner", 1.0, None, 20260605)),
    ("mlp_residual", lambda name: mlp(name, (2, 4, 2), ("tanh",), "residual", 0.5, 1.5, 20260606)),
    ("mlp_square", lambda name: mlp(name, (3, 3, 3, 2), ("softplus",), "square", 2.0, None, 20260607)),
    ("mlp_scalar", lambda name: mlp(name, (3, 4, 4, 1), ("silu",), "scalar", -1.0, 2.5, 20260608)),
    ("linear_inner", lambda name: mlp(name, (3, 3), (), "inner", 1.0, None, 20260609)),
    ("jem_marginal", lambda name: mlp(name, (2, 5, 3), ("silu",), "marginal", 1.0, 2.0, 20260610)),
    ("jem_joint", lambda name: mlp(name, (2, 5, 3), ("silu",), "joint", 1.0, 2.0, 20260610)),
    ("mlp_spectral", spectral_mlp),
    ("convnet_square", lambda name: small_convnet(name, "square")),
    ("decoder_square", small_decoder),
    ("unet_inner", small_unet),
)
NAMES = tuple(name for name, _ in FIXTURES)


@lru_cache(maxsize=32)
def named(name: str) -> NetworkCase:
    """The fixture of that name (one of NAMES); the same object every time.

    >>> named("unet_inner")
    NetworkCase(unet_inner, inner, inputs (1, 4, 4), 67 parameters)
    """
    require_choice("name", name, NAMES)
    return dict(FIXTURES)[name](name)
