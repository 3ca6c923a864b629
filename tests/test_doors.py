"""What a careless caller, a damaged file or an odd environment meets: named errors, never wrong numbers."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

import ebm_ref as er
from ebm_ref.compile import over_chains, set_num_threads
from ebm_ref.errors import DomainError, ModelTooLargeError, ShapeError
from ebm_ref.exact.transitions import spectrum
from ebm_ref.kernels.noise import centred
from ebm_ref.maths.smooth import normal_quantile

MODEL = er.RBM.random(3, 2, 1.0, seed=4)


def writer(value):
    def body(chain, out):
        out[chain] = value

    return over_chains(body)


def test_two_bodies_of_one_name_stay_two():
    out = np.zeros(1)
    writer(1.0)(1, out)
    assert out[0] == 1.0
    writer(2.0)(1, out)
    assert out[0] == 2.0


def test_history_does_not_depend_on_threads():
    data = np.eye(16)
    names = []
    for n in (1, 2):
        set_num_threads(n)
        fit = er.fit(er.RBM.random(16, 22, 0.05), data, er.cd(1), er.sgd(0.1), 1, 16, seed=0, progress=False)
        names.append(set(fit.history))
    set_num_threads(None)
    assert names[0] == names[1]


def test_moments_enumerate_the_smaller_layer():
    wide = er.RBM.random(4, 64, 0.3, seed=2)
    swapped = er.exact.moments(wide.swapped())
    assert np.array_equal(er.exact.moments(wide).xh, swapped.xh.T)


def test_exact_gradient_has_the_same_bits_for_any_number_of_blas_threads():
    code = (
        "import ebm_ref as er, hashlib; d = er.datasets.digits().binary;"
        "g, _ = er.exact_gradient().estimate(er.RBM.random(64, 10, .1), d);"
        "print(hashlib.sha256(g.W.tobytes()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OPENBLAS_NUM_THREADS": n, "MKL_NUM_THREADS": n},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in "12"
    }
    assert len(found) == 1


def test_a_nearly_reversible_chain_keeps_its_complex_eigenvalues():
    e = 1e-13
    P = np.zeros((4, 4))
    P[0, :2] = 1 - e, e
    P[1, 2] = P[2, 3] = P[3, 1] = 0.9
    for i in (1, 2, 3):
        P[i, i] = P[i, 0] = 0.05
    expected = np.abs(0.05 + 0.9 * np.exp(2j * np.pi / 3))
    assert np.iscomplexobj(spectrum(P))
    np.testing.assert_allclose(sorted(np.abs(spectrum(P)))[:2], expected, rtol=1e-6)


def test_matrices_that_do_not_fit_are_refused():
    for sampler in (er.block_gibbs(er.RBM.random(3, 20)).clamped([0]), er.block_gibbs(er.RBM.random(12, 30))):
        with pytest.raises(ModelTooLargeError, match="states"):
            er.exact.transition_matrix(sampler, "visible")
    with pytest.raises(ModelTooLargeError, match=r"2\*\*60 states, .*; use ais_log_partition \(RBM, GRBM\), or raise"):
        er.exact.log_partition(er.RBM.random(60, 60))


def test_normals_are_finite_at_both_ends_of_the_uniforms():
    lowest, highest = np.uint64(0), np.uint64(2**32 - 1)
    z = [normal_quantile(centred(word, word)) for word in (lowest, highest)]
    assert -8.3 < z[0] == -z[1] < -8.2


def test_a_damaged_file_is_a_domain_error(tmp_path):
    path = tmp_path / "model.npz"
    MODEL.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        with pytest.raises(DomainError, match=r"expected an \.npz file"):
            er.load(path)


def test_a_named_function_as_learning_rate_survives_a_restart(tmp_path):
    path = tmp_path / "run.npz"
    for n_epochs in (1, 2):
        optimizer = er.sgd(lambda step: 0.1 / (1 + step))
        er.fit(MODEL, np.eye(3), er.cd(1), optimizer, n_epochs, 3, 0, checkpoint=path, progress=False)


def test_numpy_integers_are_seeds(tmp_path):
    chain = er.sample(er.gibbs(MODEL), np.eye(3), 2, np.int64(3))
    chain.save(tmp_path / "chain.npz")
    assert er.load(tmp_path / "chain.npz").seed == 3


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: MODEL.energy(np.eye(3), np.ones((1, 2))), ShapeError, "h: expected shape"),
        (lambda: er.exact.log_likelihood(MODEL, np.zeros((0, 3))), DomainError, "at least one row"),
        (lambda: er.exact.cd_gradient(MODEL, np.zeros((0, 3))), DomainError, "at least one row"),
        (lambda: er.adam(0.1, beta1=1.5), DomainError, "beta1: expected"),
        (lambda: MODEL.tempered(math.nan), DomainError, "beta: expected a finite number"),
        (lambda: er.gibbs(MODEL).clamped([1, 0, 0]), DomainError, "mask must be boolean"),
        (lambda: er.exact.stationary_distribution([[1.0, 0.0], [0.5, 0.5]]), DomainError, "irreducible"),
        (lambda: er.exact.stationary_distribution([[0.5, 0.5], [0.0, 1.0]]), DomainError, "irreducible"),
        (lambda: er.Stream(0, "user").uniform(-1, (1, 1)), DomainError, "step: expected"),
        (lambda: er.Stream(0, "nothing"), DomainError, "purpose: expected"),
        (lambda: er.set_num_threads(0), DomainError, "at least 1 thread"),
        (lambda: er.LinearDecay(0.1, 0), DomainError, "n_updates"),
        (lambda: er.exact.log_partition(er.RBM.random(40, 40)), ModelTooLargeError, "h by method"),
    ],
)
def test_wrong_use_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
