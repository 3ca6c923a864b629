"""Ten wrong kernels that are in no zoo, written after the tests and tuned to nothing, are caught in the ci profile.

False alarms: none possible, all are wrong.  Misses: each report says from which chi-distance on it sees everything.
"""

import numpy as np
import pytest

from ebm_ref.oracle import cases, check_kernel

CASE = cases.named("rbm_3x3")
W, a, b = CASE.W, CASE.a, CASE.b


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def draw(rng, p):
    return (rng.random(p.shape) < p).astype(float)


def hidden_drawn_again(rng, x, h):
    new = draw(rng, sigmoid(a + draw(rng, sigmoid(b + x @ W)) @ W.T))
    return new, draw(rng, sigmoid(b + new @ W))


def weights_decayed_one_way(rng, x, h):
    h = draw(rng, sigmoid(b + 0.97 * x @ W))
    return draw(rng, sigmoid(a + h @ W.T)), h


def label_noise(rng, x, h):
    h = draw(rng, sigmoid(b + x @ W))
    return draw(rng, 0.97 * sigmoid(a + h @ W.T) + 0.015), h


def hidden_permuted(rng, x, h):
    h = draw(rng, sigmoid(b + x @ W))
    return draw(rng, sigmoid(a + h @ W.T)), h[:, [1, 0, 2]]


def noisy_logits(rng, x, h):
    h = draw(rng, sigmoid(b + x @ W + rng.normal(0, 0.3, (len(x), 1))))
    return draw(rng, sigmoid(a + h @ W.T)), h


def visible_layer_skipped(rng, x, h):
    h = draw(rng, sigmoid(b + x @ W))
    return np.where(rng.random((len(x), 1)) < 0.03, x, draw(rng, sigmoid(a + h @ W.T))), h


def lateral_coupling(rng, x, h):
    h, x = draw(rng, sigmoid(b + x @ W)), x.copy()
    for i in range(3):
        x[:, i] = draw(rng, sigmoid(a[i] + h @ W[i] + 0.1 * x[:, (i + 1) % 3]))
    return x, h


def one_decimal_one_way(rng, x, h):
    h = draw(rng, sigmoid(b + x @ np.round(W, 1)))
    return draw(rng, sigmoid(a + h @ W.T)), h


def saturation(rng, x, h):
    h = draw(rng, sigmoid(b + x @ W))
    z = a + h @ W.T
    return draw(rng, np.where(z > 2, 1.0, sigmoid(z))), h


def rows_leak(rng, x, h):
    h = draw(rng, sigmoid(b + x @ W))
    x = draw(rng, sigmoid(a + h @ W.T))
    x[1:] = np.where(rng.random((len(x) - 1, 1)) < 0.02, x[:-1], x[1:])
    return x, h


UNSEEN = (
    hidden_drawn_again,
    weights_decayed_one_way,
    label_noise,
    hidden_permuted,
    noisy_logits,
    visible_layer_skipped,
    lateral_coupling,
    one_decimal_one_way,
    saturation,
    rows_leak,
)


@pytest.mark.parametrize("kernel", UNSEEN, ids=lambda kernel: kernel.__name__)
def test_unseen_kernel_is_caught(kernel):
    def step(states, seed):
        rng = np.random.default_rng(seed)
        return np.concatenate(kernel(rng, states[:, :3], states[:, 3:]), axis=1)

    assert not check_kernel(step, CASE, profile="ci").passed
