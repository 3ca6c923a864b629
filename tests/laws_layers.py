"""What every layer must satisfy, written once; ``test_laws_bite_layers.py`` has a broken twin of each law.

Points, tangents and cotangents are fixed generic numbers.  Derivatives are compared with complex steps, which have no
rounding error (Im f(x + ih)/h at h = 1e-30), and with central differences after one Richardson step, O(h^4).
"""

import copy

import numpy as np

import ebm_ref as er
from ebm_ref.models.layers import SpectralNorm
from ebm_ref.models.record import astype, flatten, leaves, with_leaves

BATCH = 3
TINY = 1e-30


def generic(shape, step: int) -> np.ndarray:
    """Numbers of order 1 that nothing singles out."""
    shape = tuple(shape)
    return er.Stream(11, "user").normal(step, (1, int(np.prod(shape)))).reshape(shape)


def points(layer, shape):
    """(x, x_dot, y, cache, y_bar, y_bar_dot) of a batch."""
    x, x_dot = generic((BATCH, *shape), 1), generic((BATCH, *shape), 2)
    y, cache = layer.forward(x)
    return x, x_dot, y, cache, generic(y.shape, 3), generic(y.shape, 4)


def near(got, expected, tolerance: float) -> None:
    """Equal in norm, relative to the expected norm."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"shape {got.shape}, expected {expected.shape}"
    error, scale = np.linalg.norm(got - expected), np.linalg.norm(expected)
    assert error <= tolerance * max(scale, 1e-3), f"relative error {error / max(scale, 1e-3):.1e}"


def slope(function, h: float = 1e-3):
    """d/de function(e) at 0, error O(h^4)."""
    wide, narrow = ((function(step) - function(-step)) / (2 * step) for step in (h, h / 2))
    return (4 * narrow - wide) / 3


def vector(gradient) -> np.ndarray:
    """All leaves in one vector; empty for a layer without parameters."""
    return flatten(gradient) if leaves(gradient) else np.zeros(0)


def directions(layer):
    """A generic direction in each leaf."""
    return {name: generic(leaf.shape, 20 + i) for i, (name, leaf) in enumerate(leaves(layer).items())}


def moved(layer, name: str, direction: np.ndarray):
    """The layer with one leaf moved, by a complex amount too, which a record would not accept."""
    if direction.dtype.kind != "c":
        return with_leaves(layer, leaves(layer) | {name: leaves(layer)[name] + direction})
    bent = copy.deepcopy(layer)
    *path, last = name.split(".")
    owner = bent
    for step in path:
        owner = owner[int(step)] if step.isdigit() else getattr(owner, step)
    object.__setattr__(owner, last, leaves(layer)[name] + direction)
    return bent


def has_spectral_norm(layer) -> bool:
    """Whether its u and v are real, so that no complex step is possible in the weights."""
    return isinstance(layer, SpectralNorm)


# the laws -------------------------------------------------------------------------------------------------------------


def shapes_are_as_announced(layer, shape) -> None:
    """``output_shape``, and one sample gives what it gives in a batch."""
    x, _, y, _, _, _ = points(layer, shape)
    assert y.shape == (BATCH, *layer.output_shape(tuple(shape)))
    for n in range(BATCH):
        near(layer.forward(x[n : n + 1])[0], y[n : n + 1], 1e-13)


def vjp_is_the_adjoint_of_jvp(layer, shape) -> None:
    """<jvp(x_dot), y_bar> = <x_dot, vjp(y_bar)>, to rounding."""
    _, x_dot, _, cache, y_bar, _ = points(layer, shape)
    y_dot, (x_bar, _) = layer.jvp(cache, x_dot), layer.vjp(cache, y_bar)
    scale = max(np.linalg.norm(y_dot) * np.linalg.norm(y_bar), np.linalg.norm(x_dot) * np.linalg.norm(x_bar))
    assert abs((y_dot * y_bar).sum() - (x_dot * x_bar).sum()) <= 1e-12 * scale
    assert np.array_equal(layer.pullback(cache, y_bar), x_bar)


def jvp_is_the_derivative(layer, shape) -> None:
    """By a complex step and by differences."""
    x, x_dot, _, cache, _, _ = points(layer, shape)
    got = layer.jvp(cache, x_dot)
    near(got, layer.forward(x + 1j * TINY * x_dot)[0].imag / TINY, 1e-12)
    near(got, slope(lambda e: layer.forward(x + e * x_dot)[0], 1e-4), 1e-7)


def gradient_is_the_derivative(layer, shape) -> None:
    """<gradient, direction> for a direction in each leaf, by a complex step and by differences."""
    x, _, _, cache, y_bar, _ = points(layer, shape)
    gradient = layer.vjp(cache, y_bar)[1]
    assert type(gradient) is type(layer)
    for name, d in directions(layer).items():
        got = (leaves(gradient)[name] * d).sum()
        near(got, slope(lambda e, n=name, d=d: (y_bar * moved(layer, n, e * d).forward(x)[0]).sum()), 1e-7)
        if not has_spectral_norm(layer):
            bent = moved(layer, name, 1j * TINY * d).forward(x)[0]
            scale = np.linalg.norm(y_bar) * np.linalg.norm(bent.imag / TINY)
            assert abs(got - (y_bar * bent.imag / TINY).sum()) <= 1e-12 * scale


def rvjp_is_the_tangent_of_vjp(layer, shape) -> None:
    """Against differences of the vjp along (x_dot, y_bar_dot)."""
    x, x_dot, _, cache, y_bar, y_bar_dot = points(layer, shape)
    x_bar_dot, gradient_dot = layer.rvjp(cache, x_dot, y_bar, y_bar_dot)
    assert type(gradient_dot) is type(layer)

    def along(e):
        x_bar, gradient = layer.vjp(layer.forward(x + e * x_dot)[1], y_bar + e * y_bar_dot)
        return np.concatenate([x_bar.ravel(), vector(gradient)])

    expected = slope(along, 1e-4)
    near(x_bar_dot, expected[: x.size].reshape(x.shape), 1e-7)
    near(vector(gradient_dot), expected[x.size :], 1e-7)


def hessians_are_symmetric(layer, shape) -> None:
    """Of L(x) = |f(x)|^2/2 + c.f(x):  <u, Hv> = <v, Hu>, with Hu from rvjp."""
    _, u, y, cache, c, _ = points(layer, shape)
    v = generic(u.shape, 5)
    Hu, Hv = (layer.rvjp(cache, d, y + c, layer.jvp(cache, d))[0] for d in (u, v))
    scale = np.linalg.norm(u) * np.linalg.norm(Hv)
    assert abs((u * Hv).sum() - (v * Hu).sum()) <= 1e-11 * scale


def single_precision_stays_single(layer, shape) -> None:
    """float32 parameters and inputs give float32 throughout, close to the float64 numbers."""
    x, x_dot, y, cache, y_bar, y_bar_dot = points(layer, shape)
    expected = (y, layer.vjp(cache, y_bar), layer.jvp(cache, x_dot), layer.rvjp(cache, x_dot, y_bar, y_bar_dot))
    small = astype(layer, "float32")
    x, x_dot, y_bar, y_bar_dot = (array.astype(np.float32) for array in (x, x_dot, y_bar, y_bar_dot))
    y, cache = small.forward(x)
    got = (y, small.vjp(cache, y_bar), small.jvp(cache, x_dot), small.rvjp(cache, x_dot, y_bar, y_bar_dot))
    for mine, wanted in zip(flat(got), flat(expected), strict=True):
        assert mine.dtype == np.float32
        near(mine, wanted, 2e-5)


def flat(results):
    """(y, (x_bar, gradient), y_dot, (x_bar_dot, gradient_dot)) as a list of arrays."""
    y, (x_bar, gradient), y_dot, (x_bar_dot, gradient_dot) = results
    return [y, x_bar, *leaves(gradient).values(), y_dot, x_bar_dot, *leaves(gradient_dot).values()]


def nothing_is_modified(layer, shape) -> None:
    """Neither inputs nor the cache: the same calls give the same bits again."""
    x, x_dot, _, cache, y_bar, y_bar_dot = given = points(layer, shape)
    kept = [np.array(given[i]) for i in (0, 1, 4, 5)]
    twice = [
        (layer.forward(x)[0], layer.vjp(cache, y_bar), layer.jvp(cache, x_dot),
         layer.rvjp(cache, x_dot, y_bar, y_bar_dot))
        for _ in range(2)
    ]  # fmt: skip
    assert all(np.array_equal(a, b) for a, b in zip(flat(twice[0]), flat(twice[1]), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(kept, (x, x_dot, y_bar, y_bar_dot), strict=True))


LAYER_LAWS = (
    shapes_are_as_announced,
    vjp_is_the_adjoint_of_jvp,
    jvp_is_the_derivative,
    gradient_is_the_derivative,
    rvjp_is_the_tangent_of_vjp,
    hessians_are_symmetric,
    single_precision_stays_single,
    nothing_is_modified,
)
