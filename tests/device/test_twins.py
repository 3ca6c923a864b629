"""Every CUDA twin gives the CPU's numbers: run in Numba's simulator, where each thread of the card is a Python thread.

Uniforms and integers agree bit for bit, log Z to 1e-12.  A state may differ only where a uniform lies within 1e-12 of
its probability; in these fixed runs none does.  Where there is a card, the same jobs run on it.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import twin_jobs as jobs

import ebm_ref as er
from ebm_ref.compile import jit, over_chains
from ebm_ref.device import what_is_missing
from ebm_ref.kernels.cuda import gibbs

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """All jobs, computed in the simulator by one fresh interpreter: name -> list of arrays."""
    path = tmp_path_factory.mktemp("device") / "simulated.npz"
    places = os.pathsep.join([str(Path(er.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": places}
    command = [sys.executable, "-W", "error", str(FOLDER / "twin_jobs.py"), str(path)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results: dict[str, list] = {}
    with np.load(path) as file:
        for key in file.files:
            results.setdefault(key.rsplit("/", 1)[0], []).append(file[key])
    return results


def same_bits(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one.shape == other.shape
        assert one.tobytes() == np.ascontiguousarray(other).tobytes()


def same_numbers(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", [*jobs.UNIFORMS, *jobs.CHAINS])
def test_uniforms_and_states_are_the_same_bits(name, simulated):
    same_bits(simulated[name], jobs.JOBS[name]("cpu"))


@pytest.mark.parametrize("name", [*jobs.SUMS, *jobs.CONTINUOUS])
def test_numbers_agree(name, simulated):
    """log Z, and continuous states after a few steps: sums in another order."""
    same_numbers(simulated[name], jobs.JOBS[name]("cpu"))


@pytest.mark.skipif(bool(what_is_missing()), reason=f"no card: {what_is_missing()}")
@pytest.mark.parametrize("name", jobs.JOBS)
def test_on_a_card(name):
    got, expected = jobs.JOBS[name]("cuda"), jobs.JOBS[name]("cpu")
    (same_numbers if name in jobs.SUMS or name in jobs.CONTINUOUS else same_bits)(got, expected)


hidden_half, visible_half = jit(gibbs.hidden_half), jit(gibbs.visible_half)


def block_sweeps(chain, lanes, states, W, WT, a, b, free, address, start, n_steps):
    """What ``lanes`` threads do, one after the other."""
    for t in range(n_steps):
        step = start + np.uint64(t)
        for lane in range(lanes):
            hidden_half(chain, lane, lanes, step, states, W, WT, a, b, free, address)
        for lane in range(lanes):
            visible_half(chain, lane, lanes, step, states, W, WT, a, b, free, address)


def test_the_bodies_of_the_card_agree_on_larger_models():
    """The same bodies compiled for the CPU, where a hundred times larger models are quick."""
    model = er.RBM.random(37, 22, 0.6, seed=6)
    stream, n = er.Stream(3, "transition", first_chain=5), 40
    start = np.random.default_rng(1).integers(0, 2, (n, model.n_units)).astype(float)
    rows = start.copy()
    over_chains(block_sweeps)(
        n, 4, rows, model.W, np.ascontiguousarray(model.W.T), model.a, model.b, np.ones(59, dtype=bool), stream.address,
        np.uint64(9), 25,
    )  # fmt: skip
    same_bits([rows], [er.block_gibbs(model).advance(start, stream, 9, 25)[0]])
    sampler, rows = er.gibbs(model, "palindromic"), start.copy()
    over_chains(gibbs.site_sweeps)(
        n, rows, sampler.machine.J, sampler.machine.c, sampler.visits, sampler.addresses, stream.address, np.uint64(9),
        25,
    )  # fmt: skip
    same_bits([rows], [sampler.advance(start, stream, 9, 25)[0]])
