"""Ten more wrong kernels that are in no zoo, and what became of each in its only run before this file was written.

History.  The first ten (test_oracle_unseen.py) were looked at while S1 and S13 were still being changed, so they are no
blind trial.  These ten were written on 2026-11-24 when the tests were finished, from mistakes that people make in RBM
code and in hardware; each was run once through ``check_kernel`` at ci with the seed SEED drawn from the operating
system, and nothing was tuned afterwards.  RESULTS holds that run, misses included; the test repeats it.
8 of 10 were caught.  None was named, rightly: the diagnosis said "none of the known mistakes" and gave the nearest.
The two that were missed lie far below what ci claims to see (a chi-distance of 0.064 in the full face): CHI_MISSED.

False alarms: none possible, all are wrong.
"""

import numpy as np
import pytest

from ebm_ref.oracle import cases, check_kernel

CASE = cases.named("rbm_3x3")
W, a, b = CASE.W, CASE.a, CASE.b
SEED = 205713559373194


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def draw(rng, p):
    return (rng.random(p.shape) < p).astype(float)


def smoothed_hidden(rng, x, h):
    """The visible units see the mean of the old and the new hidden units."""
    new = draw(rng, sigmoid(b + x @ W))
    return draw(rng, sigmoid(a + 0.5 * (h + new) @ W.T)), new


def half_precision(rng, x, h):
    """Parameters and fields in float16."""
    w, bias, own = (v.astype(np.float16) for v in (W, b, a))
    h = draw(rng, sigmoid((bias + x.astype(np.float16) @ w).astype(float)))
    return draw(rng, sigmoid((own + h.astype(np.float16) @ w.T).astype(float))), h


def weights_clipped(rng, x, h):
    """Weights clipped to +-1, as by a max-norm constraint of training."""
    w = np.clip(W, -1, 1)
    h = draw(rng, sigmoid(b + x @ w))
    return draw(rng, sigmoid(a + h @ w.T)), h


def visible_hotter(rng, x, h):
    """Logistic noise of scale 1.05 in the visible layer: a relaxation's temperature left in."""
    h = draw(rng, sigmoid(b + x @ W))
    return draw(rng, sigmoid((a + h @ W.T) / 1.05)), h


def uint8_scale(rng, x, h):
    """Inputs divided by 256 where 255 is meant: a visible unit that is on counts 255/256."""
    h = draw(rng, sigmoid(b + x * (255 / 256) @ W))
    return draw(rng, sigmoid(a + h @ W.T)), h


def two_winners(rng, x, h):
    """A sparsity rule of training left in: of the hidden units only the two with the greatest field may be on."""
    field = b + x @ W
    h = draw(rng, sigmoid(field)) * (field > field.min(axis=1, keepdims=True))
    return draw(rng, sigmoid(a + h @ W.T)), h


def lcg_16_bits(rng, x, h):
    """A 16-bit linear congruential generator in each row, seeded at random; one number a unit."""
    word = rng.integers(0, 2**16, len(x))

    def uniforms():
        nonlocal word
        columns = []
        for _ in range(3):
            word = (25173 * word + 13849) % 2**16
            columns.append(word / 2**16)
        return np.column_stack(columns)

    h = (uniforms() < sigmoid(b + x @ W)).astype(float)
    return (uniforms() < sigmoid(a + h @ W.T)).astype(float), h


def fast_sigmoid(rng, x, h):
    """(1 + z / (1 + |z|)) / 2 for the sigmoid in the hidden layer."""
    z = b + x @ W
    h = draw(rng, 0.5 * (1 + z / (1 + np.abs(z))))
    return draw(rng, sigmoid(a + h @ W.T)), h


def layers_share_uniforms(rng, x, h):
    """One matrix of uniforms for both layers."""
    u = rng.random((len(x), 3))
    h = (u < sigmoid(b + x @ W)).astype(float)
    return (u < sigmoid(a + h @ W.T)).astype(float), h


def centring_left_in(rng, x, h):
    """A centred model's offset 0.05 of the visible units is not folded into the hidden bias."""
    h = draw(rng, sigmoid(b + (x - 0.05) @ W))
    return draw(rng, sigmoid(a + h @ W.T)), h


UNSEEN = (
    smoothed_hidden,
    half_precision,
    weights_clipped,
    visible_hotter,
    uint8_scale,
    two_winners,
    lcg_16_bits,
    fast_sigmoid,
    layers_share_uniforms,
    centring_left_in,
)


def step_of(kernel):
    def step(states, seed):
        return np.concatenate(kernel(np.random.default_rng(seed), states[:, :3], states[:, 3:]), axis=1)

    return step


# kernel: tests that failed, transitions until then, nearest known mistake (never given as the explanation)
RESULTS = {
    "smoothed_hidden": ({"S7", "S8"}, 8192, "dropout left on"),
    "half_precision": (set(), 131072, None),
    "weights_clipped": ({"S7", "S8"}, 8192, "factor 1/2 of the energy applied to each pair: J halved"),
    "visible_hotter": ({"S7"}, 131072, "temperature 1 % too high"),
    "uint8_scale": (set(), 131072, None),
    "two_winners": ({"S7", "S8"}, 8192, "hidden bias added twice"),
    "lcg_16_bits": ({"S8"}, 524288, "probabilities rounded to bfloat16"),
    "fast_sigmoid": ({"S7", "S8"}, 8192, "temperature 10 % too high"),
    "layers_share_uniforms": ({"S7", "S8"}, 8192, "sigmoid read from a table with steps of 1"),
    "centring_left_in": ({"S8"}, 131072, "temperature 1 % too high"),
}
CHI_MISSED = {"half_precision": 5.0e-4, "uint8_scale": 2.7e-3}  # exact chi-distance of the pair law


@pytest.mark.parametrize("kernel", UNSEEN, ids=lambda kernel: kernel.__name__)
def test_unseen_kernel(kernel):
    report = check_kernel(step_of(kernel), CASE, profile="ci", seed=SEED)
    tests, _, nearest = RESULTS[kernel.__name__]
    assert {r.test for r in report.failures} == tests
    assert (report.diagnosis[0].description if report.diagnosis else None) == nearest
    assert not any(d.explained for d in report.diagnosis)
    seen = {r.test: r.smallest_detectable_effect for r in report.results}["S1"]
    assert report.passed == (CHI_MISSED.get(kernel.__name__, 1.0) < seen / 4)
