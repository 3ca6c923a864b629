"""Many updates in one compiled call: the bits of the estimator and the optimiser, one update after the other."""

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.errors import DivergenceError
from ebm_ref.kernels import contrastive, row_sums
from ebm_ref.learning import updates

RNG = np.random.default_rng(5)
BINARY, GREY = RNG.integers(0, 2, (23, 11)).astype(float), RNG.random((23, 11))
PLAIN, CAREFUL = er.sgd(0.3), er.sgd(er.LinearDecay(0.2, 7), momentum=0.7, weight_decay=0.02)


def everything(n_hidden=40, estimator=er.cd(1), optimizer=PLAIN, data=BINARY, batch_size=5, n_epochs=2):  # noqa: B008
    """All numbers of a run whose last batch is short."""
    model = er.RBM.random(data.shape[1], n_hidden, 0.3, seed=3)
    result = er.fit(model, data, estimator, optimizer, n_epochs, batch_size, seed=2**33 + 1, progress=False)
    leaves = [result.model.W, result.model.a, result.model.b, result.chains, *result.history.values()]
    return b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in leaves)


def one_by_one(monkeypatch, **choices):
    with monkeypatch.context() as patched:
        patched.setattr(updates, "purpose", lambda *_: None)
        return everything(**choices)


@pytest.mark.parametrize("optimizer", [PLAIN, CAREFUL])
@pytest.mark.parametrize("estimator", [er.cd(1), er.cd(3), er.pcd(1, 9), er.pcd(2, 3)])
@pytest.mark.parametrize("n_hidden", [1, 40])
def test_a_call_has_the_bits_of_its_updates(monkeypatch, n_hidden, estimator, optimizer):
    choices = {"n_hidden": n_hidden, "estimator": estimator, "optimizer": optimizer}
    assert everything(**choices) == one_by_one(monkeypatch, **choices)


@pytest.mark.parametrize("choices", [{"data": GREY}, {"batch_size": 1}, {"data": np.tile(BINARY, 4), "n_hidden": 50}])
@pytest.mark.parametrize("estimator", [er.cd(1), er.pcd(1, 30)])
def test_other_data(monkeypatch, choices, estimator):
    assert everything(estimator=estimator, **choices) == one_by_one(monkeypatch, estimator=estimator, **choices)


def test_short_calls_are_one_long_call(monkeypatch):
    whole = everything(optimizer=CAREFUL)
    monkeypatch.setattr(updates, "CALL_WORK", 1.0)
    assert everything(optimizer=CAREFUL) == whole


BROKEN = {
    "another address": (updates, "purpose", lambda *_: "persistent"),
    "a rate in the last bit": (updates, "rate", lambda lr, step: np.nextafter(lr, 1.0)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_call_is_noticed(monkeypatch, name):
    expected = one_by_one(monkeypatch)
    module, attribute, value = BROKEN[name]
    monkeypatch.setattr(module, attribute, value)
    assert everything() != expected


def test_what_the_loop_does_not_know_goes_the_general_way():
    model = er.RBM.random(3, 2)
    for estimator in (er.cd(0), er.cd(1, visible="mean"), er.cd(1, negative="sample"), er.exact_gradient()):
        assert updates.purpose(model, estimator, PLAIN) is None
    for optimizer in (er.adam(0.1), er.clipped(PLAIN, 1.0), er.averaged(PLAIN)):
        assert updates.purpose(model, er.cd(1), optimizer) is None
    assert updates.purpose(er.BoltzmannMachine.random(3), er.pcd(1), PLAIN) is None
    assert updates.purpose(model, er.cd(2), CAREFUL) == "negative"
    assert updates.purpose(model, er.pcd(2), CAREFUL) == "persistent"


def test_divergence_is_told_in_the_same_words(monkeypatch):
    """The second update overflows; the first stands."""
    words = []
    for way in (everything, lambda **choices: one_by_one(monkeypatch, **choices)):
        with pytest.raises(DivergenceError) as told:
            way(optimizer=er.sgd(lambda step: 1e308 if step else 0.1, weight_decay=1e10))
        words.append(str(told.value))
    assert words[0] == words[1]
    assert words[0].startswith("fit: update 1 left the finite numbers: ")


@pytest.mark.parametrize("width", [5, 36, 37, 100])
@pytest.mark.parametrize("grey", [False, True])
def test_sums_of_rows(width, grey):
    """Terms in the order of the rows, one after the other."""
    states = RNG.random((6, 17)) if grey else RNG.integers(0, 2, (6, 17)).astype(float)
    states[0] = 0.0
    bias, weights, out = RNG.normal(size=width), RNG.normal(size=(17, width + 3)), np.empty((6, width))
    row_sums.add_some_rows(out, bias, states, weights, np.empty((6, 18), np.uint64))
    expected = np.tile(bias, (6, 1))
    for i in range(17):
        expected += states[:, [i]] * weights[i, :width]
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("first_unit", [0, 3, 8])
def test_near_ties_follow_the_exact_rule(first_unit):
    """Logits that put p next to u, closer than single precision tells; the units' addresses begin within a block."""
    stream, n = er.Stream(7, "negative", first_chain=2), 45
    u = stream.uniform(6, (3, first_unit + n))[:, first_unit:]
    edge = np.log(u) - np.log1p(-u)
    room = updates.room(er.RBM.random(2, n), 3, 0)
    for nudge in (-1e-9, 1e-9):
        states = np.empty((3, n))
        contrastive.draw_rows(states, edge + nudge, room, first_unit, np.uint64(6), stream.address)
        assert np.all(states == (nudge > 0))
