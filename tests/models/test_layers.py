"""The laws of the layers, and facts about single ones."""

import dataclasses
import re

import laws_layers
import numpy as np
import pytest
from laws_layers import generic, near
from members import LAYERS, LINEAR_3X2, SMALL_UNET, conv

import ebm_ref as er
from ebm_ref.compile import set_num_threads
from ebm_ref.errors import DomainError, ShapeError
from ebm_ref.kernels import activations, resize
from ebm_ref.kernels import conv as kernels
from ebm_ref.models import layers as nn
from ebm_ref.models import record as records


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
@pytest.mark.parametrize("law", laws_layers.LAYER_LAWS, ids=lambda law: law.__name__)
def test_layer(law, layer, shape):
    law(layer, shape)


def test_every_layer_is_a_member():
    found = {type(entry.values[0]) for entry in LAYERS}
    assert found == set(nn.LAYERS)


# convolution ----------------------------------------------------------------------------------------------------------


def plain_convolution(x, w, b, stride, padding):
    """The equation, window by window."""
    N, C, H, W = x.shape
    O, _, kh, kw = w.shape
    y = np.zeros((N, O, (H + 2 * padding - kh) // stride + 1, (W + 2 * padding - kw) // stride + 1))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = b[o]
        for c, u, v in np.ndindex(C, kh, kw):
            a, d = stride * i + u - padding, stride * j + v - padding
            if 0 <= a < H and 0 <= d < W:
                y[n, o, i, j] += w[o, c, u, v] * x[n, c, a, d]
    return y


@pytest.mark.parametrize(("layer", "shape"), [p for p in LAYERS if isinstance(p.values[0], nn.Conv2d)])
def test_convolution_is_its_equation(layer, shape):
    x = generic((2, *shape), 1)
    near(layer.forward(x)[0], plain_convolution(x, layer.W, layer.b, layer.stride, layer.padding), 1e-13)


@pytest.mark.parametrize(
    ("stride", "padding", "size"), [(1, 0, (5, 4)), (2, 1, (7, 6)), (3, 2, (8, 5)), (1, 1, (4, 6)), (2, 0, (6, 8))]
)
def test_transposed_convolution_is_the_adjoint_of_convolution(stride, padding, size):
    """<conv(x), y> = <x, transposed(y)>; the output padding gives the rows back that no window covered."""
    forth = dataclasses.replace(conv(2, 3, 3, 2, stride=stride, padding=padding), b=np.zeros(3))
    uncovered = [(side + 2 * padding - k) % stride for side, k in zip(size, (3, 2), strict=True)]
    size = (size[0] - uncovered[0], size[1] - uncovered[1])
    for extra in range(stride):
        x = generic((2, 2, size[0] + extra, size[1] + extra), 1)
        y = forth.forward(x)[0]
        y_bar = generic(y.shape, 2)
        back = nn.ConvTranspose2d(forth.W, np.zeros(2), stride, padding, extra)
        image = back.forward(y_bar)[0]
        assert image.shape == x.shape
        near((y * y_bar).sum(), (x * image).sum(), 1e-13)


WINDOWS = ((5, 1, 0), (9, 1, 1), (3, 2, 4), (4, 3, 1), (1, 2, 0))  # images, stride, padding


@pytest.mark.parametrize(("n", "stride", "padding"), WINDOWS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 1e-6)])
def test_compiled_sums_over_windows_equal_their_plain_twins(n, stride, padding, dtype, tolerance):
    x, w = generic((n, 3, 6, 7), 1).astype(dtype), generic((5, 3, 3, 2), 2).astype(dtype)
    y = kernels.correlate(x, w, stride, padding)
    near(y, kernels.correlate_plain(x, w, stride, padding), tolerance)
    y_bar = generic(y.shape, 3).astype(dtype)
    back = kernels.correlate_adjoint(y_bar, w, stride, padding, (6, 7))
    near(back, kernels.adjoint_plain(y_bar, w, stride, padding, (6, 7)), tolerance)
    W_bar = kernels.kernel_gradient(x, y_bar, 3, 2, stride, padding)
    near(W_bar, kernels.kernel_gradient_plain(x, y_bar, 3, 2, stride, padding), tolerance)
    assert {y.dtype, back.dtype, W_bar.dtype} == {np.dtype(dtype)}


def test_an_image_has_the_same_bits_in_any_batch_and_with_any_number_of_threads():
    layer, x = conv(3, 5, 3, 3, stride=2, padding=1), generic((21, 3, 40, 41), 1)
    y, cache = layer.forward(x)
    x_bar = layer.pullback(cache, y)
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            assert np.array_equal(layer.forward(x)[0], y)
            assert np.array_equal(layer.vjp(cache, y)[0], x_bar)
    finally:
        set_num_threads(None)
    some = slice(5, 18)
    again, cache = layer.forward(x[some])
    assert np.array_equal(again, y[some])
    assert np.array_equal(layer.pullback(cache, again), x_bar[some])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_resizing_equals_its_plain_twin(dtype):
    x = generic((2, 3, 4, 6), 1).astype(dtype)
    for r, q in ((2, 1), (2, 4), (3, 9)):
        assert np.array_equal(resize.repeated(x, r, q), resize.repeated_plain(x, r, q))
        y = generic((2, 3, 4 * r, 6 * r), 2).astype(dtype)
        near(resize.summed(y, r, q), resize.summed_plain(y, r, q), 1e-15 if dtype == "float64" else 3e-7)
        assert resize.summed(y, r, q).dtype == y.dtype


# activations ----------------------------------------------------------------------------------------------------------

WIDE = np.concatenate([np.linspace(-6, 6, 41), [-800.0, -40.0, 0.0, 40.0, 800.0]])


@pytest.mark.parametrize("name", activations.LOOPS)
def test_activations_equal_their_plain_twins(name):
    a, b = generic(WIDE.shape, 1), generic(WIDE.shape, 2)
    value, slope, curvature = (twin(WIDE, 0.3) for twin in activations.TWINS[name])
    near(activations.value(name, 0.3, WIDE), value, 1e-14)
    near(activations.slope(name, 0.3, WIDE, a), a * slope, 1e-14)
    near(activations.curvature(name, 0.3, WIDE, a, b), a * slope + b * curvature, 1e-14)


@pytest.mark.parametrize("name", activations.LOOPS)
def test_single_precision_activations(name):
    """Within a few units in the last place of the largest term, far out too."""
    z, ones = WIDE.astype(np.float32), np.ones(WIDE.shape, np.float32)
    value, slope, curvature = (twin(WIDE, 0.3) for twin in activations.TWINS[name])
    scale = 1 + np.abs(WIDE) * (np.abs(WIDE) < 100)
    assert np.all(np.abs(activations.value(name, 0.3, z) - value) <= 4e-7 * np.abs(value) + 2e-35)
    assert np.all(np.abs(activations.slope(name, 0.3, z, ones) - slope) <= 4e-7 * scale)
    assert np.all(np.abs(activations.curvature(name, 0.3, z, 0 * ones, ones) - curvature) <= 4e-7 * scale)


# pooling, spectral norm, time -----------------------------------------------------------------------------------------


def test_upsampling_is_the_adjoint_of_average_pooling_times_its_area():
    x, y = generic((2, 1, 2, 3), 1), generic((2, 1, 4, 6), 2)
    up, pooled = nn.Upsample(2).forward(x)[0], nn.AvgPool(2).forward(y)[0]
    near((up * y).sum(), 4 * (x * pooled).sum(), 1e-13)


def test_a_tie_of_max_pooling_goes_to_the_first():
    x = np.array([[[[1.0, 2.0], [2.0, 2.0]]]])
    _, cache = nn.MaxPool(2).forward(x)
    assert nn.MaxPool(2).pullback(cache, np.ones((1, 1, 1, 1))).tolist() == [[[[0, 1], [0, 0]]]]


def test_spectral_norm_converges_to_one_and_its_gradient_is_orthogonal():
    layer = nn.SpectralNorm.of(LINEAR_3X2, seed=3, n_iterations=200)
    assert np.linalg.norm(layer.normalised[0].W, 2) == pytest.approx(1, rel=1e-12)
    x = generic((4, 3), 1)
    y, cache = layer.forward(x)
    W_bar = layer.vjp(cache, generic(y.shape, 2))[1].layer.W
    assert abs((W_bar * LINEAR_3X2.W).sum()) <= 1e-12 * np.linalg.norm(W_bar)


def test_spectral_norms_change_by_an_explicit_call_only():
    first = nn.SpectralNorm.of(LINEAR_3X2, seed=3, n_iterations=1)
    chain = nn.Sequential((first, nn.Activation()))
    assert np.array_equal(chain.forward(np.eye(3))[0], chain.forward(np.eye(3))[0])
    kept = records.leafwise(lambda p: 2 * p, chain)
    assert np.array_equal(kept.layers[0].u, first.u)
    updated = nn.update_spectral_norms(chain)
    assert not np.array_equal(updated.layers[0].u, first.u)
    assert np.array_equal(updated.layers[0].layer.W, first.layer.W)


def test_each_sample_has_its_own_time():
    bias = nn.TimeBias(generic((6, 2), 1), generic((2,), 2))
    x = generic((3, 2, 2, 1), 3)
    together = nn.at_time(bias, [0.0, 1.5, 4.0]).forward(x)[0]
    for n, t in enumerate((0.0, 1.5, 4.0)):
        near(nn.at_time(bias, t).forward(x[n : n + 1])[0], together[n : n + 1], 1e-14)
    assert np.abs(together[0] - x[0] - together[2] + x[2]).max() > 0.1
    near(nn.at_time(nn.TimeScale((0.5, 3.0)), [1, 0, 1]).forward(x)[0], [3.0 * x[0], 0.5 * x[1], 3.0 * x[2]], 1e-15)


# records of records ---------------------------------------------------------------------------------------------------


def test_optimisers_move_nested_records():
    gradient = records.leafwise(np.ones_like, SMALL_UNET)
    moved, _ = er.sgd(0.5).update(SMALL_UNET, gradient, (), 0)
    assert list(records.leaves(moved)) == [
        "layers.0.W", "layers.0.b", "layers.2.branch.layers.1.W", "layers.2.branch.layers.1.b", "layers.3.W",
        "layers.3.b",
    ]  # fmt: skip
    assert np.allclose(records.flatten(moved), records.flatten(SMALL_UNET) + 0.5)
    single = records.astype(SMALL_UNET, "float32")
    adam = er.adam(0.1)
    moved, _ = adam.update(single, records.astype(gradient, "float32"), adam.init(single), 0)
    assert {leaf.dtype for leaf in records.leaves(moved).values()} == {np.dtype(np.float32)}


def test_records_with_other_parts_do_not_mix():
    one, two = (nn.Sequential((LINEAR_3X2,) * n) for n in (1, 2))
    with pytest.raises(ShapeError, match=r"^layers: expected equally many parts, got \[1, 2\]"):
        records.leafwise(np.add, one, two)
    with pytest.raises(ShapeError, match="expected records of one type, got Linear and Activation"):
        records.leafwise(np.add, one, nn.Sequential((nn.Activation(),)))


BAD = (
    (lambda: nn.Linear([[1.0]], [1.0, 2.0]), ShapeError, "b: expected shape (1,), got (2,)"),
    (lambda: LINEAR_3X2.output_shape((4,)), ShapeError, "Linear: expected inputs of shape (3,), got (4,)"),
    (lambda: conv(2, 3, 3, 3).output_shape((2, 2, 5)), ShapeError, "Conv2d: a window of (3, 3) does not fit"),
    (lambda: conv(2, 3, 3, 3).output_shape((1, 5, 5)), ShapeError, "Conv2d: expected images of shape (2, height"),
    (lambda: conv(2, 3, 3, 3, stride=0), DomainError, "stride: expected an integer of at least 1, got 0"),
    (lambda: nn.AvgPool(2).output_shape((1, 3, 4)), ShapeError, "AvgPool: expected images whose sides 2 divides"),
    (lambda: nn.Activation("relu6"), DomainError, "function: expected one of 'silu', 'softplus', 'tanh', 'elu'"),
    (lambda: nn.GroupNorm(np.ones(4), np.ones(4), 3), DomainError, "n_groups: expected a divisor of 4 channels, got 3"),
    (lambda: nn.Pad((-2, 0, 0, 0)).output_shape((1, 2, 2)), ShapeError, "Pad: (-2, 0, 0, 0) leaves nothing"),
    (lambda: nn.Sequential(()), ShapeError, "layers: expected a tuple of one or more layers"),
    (lambda: nn.Residual(nn.Upsample(2)).output_shape((1, 2, 2)), ShapeError, "Residual: expected a branch that keeps"),
    (lambda: nn.Concat(nn.Upsample(2)).output_shape((1, 2, 2)), ShapeError, "Concat: expected a branch that keeps"),
    (lambda: nn.Residual(3), ShapeError, "branch: expected a layer, got int"),
    (lambda: nn.SpectralNorm.of(nn.Linear([[0.0]], [0.0])), DomainError, "W: expected a matrix that is not zero"),
    (
        lambda: nn.TimeBias(np.ones((2, 1)), [0.0]).forward(np.ones((1, 1))),
        DomainError,
        "t: expected a time; bind one with er.nets.at_time(network, t)",
    ),
    (lambda: nn.TimeScale(()), ShapeError, "factors: expected a tuple of one or more numbers, got ()"),
    (
        lambda: nn.TimeScale((1.0, 2.0), 0.5).forward(np.ones((1, 1))),
        DomainError,
        "t: expected whole numbers from 0 to 1, got 0.5",
    ),
    (
        lambda: nn.ConvTranspose2d(np.ones((1, 1, 2, 2)), [0.0], 2, 0, 2),
        DomainError,
        "output_padding: expected a number below the stride 2, got 2",
    ),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_at_the_door(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        call()
