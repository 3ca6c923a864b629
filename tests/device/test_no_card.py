"""Without a card, and for what has no twin on it, a clear refusal before any work."""

import os
import subprocess
import sys

import numpy as np
import pytest
from members import RBM_3X2

import ebm_ref as er
from ebm_ref import device
from ebm_ref.compile import simulated
from ebm_ref.errors import BackendError, DomainError


@pytest.fixture
def no_simulator(monkeypatch):
    """Also where these tests run in the simulator."""
    monkeypatch.setattr(device, "simulated", lambda: False)


CALLS = (
    lambda: er.exact.log_partition(RBM_3X2, device="cuda"),
    lambda: er.sample(er.block_gibbs(RBM_3X2), np.zeros((1, 3)), 1, seed=0, device="cuda"),
    lambda: er.complete(er.block_gibbs(RBM_3X2), np.zeros((1, 3)), np.arange(3) > 1, 1, seed=0, device="cuda"),
)


@pytest.mark.parametrize("call", CALLS)
def test_numba_cuda_is_not_installed(call, monkeypatch, no_simulator):
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    message = r"^device='cuda': numba-cuda is not installed: pip install 'ebm-ref\[cuda\]'; or use device='cpu'$"
    with pytest.raises(BackendError, match=message):
        call()


class NoDriver:
    def __len__(self):
        from numba import cuda

        raise cuda.CudaSupportError("Error at driver init: \n\nCUDA driver library cannot be found.\nMore.")


def test_a_diverging_chain_is_reported(monkeypatch):
    """The kernel notes the step; here the launch is replaced by what it would have noted."""
    from ebm_ref.kernels.cuda import langevin
    from ebm_ref.samplers import on_cuda

    def diverges(n_chains, units, start, n_steps, rows, active, diverged, *others):
        diverged[1] = 4

    monkeypatch.setattr(langevin, "run_ula_steps", diverges)
    sampler = er.ula(er.GRBM.random(2, 2), 0.1)
    with pytest.raises(er.errors.DivergenceError, match=r"^chain 6 left the finite numbers at step 3"):
        on_cuda.advance(sampler, np.zeros((2, 2)), er.Stream(0, "transition", first_chain=5), 0, 9)


@pytest.mark.skipif(simulated(), reason="the simulator knows no driver")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("gpus", "message"),
    [
        (NoDriver(), r"no NVIDIA driver was found \(CUDA driver library cannot be found\): install the driver"),
        ((), r"the NVIDIA driver sees no card: check nvidia-smi and CUDA_VISIBLE_DEVICES; or use device='cpu'$"),
    ],
)
def test_no_driver_or_no_card(call, gpus, message, monkeypatch, no_simulator):
    import numba.cuda

    monkeypatch.setattr(device, "find_spec", lambda name: True)
    monkeypatch.setattr(numba.cuda, "gpus", gpus)
    with pytest.raises(BackendError, match=f"^device='cuda': {message}"):
        call()


def test_hidden_cards_are_no_cards():
    """Here and on a machine with a card alike: the real libraries, told to see none."""
    code = "import ebm_ref as er; er.exact.log_partition(er.RBM.random(2, 2), device='cuda')"
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "NUMBA_ENABLE_CUDASIM": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert done.returncode == 1
    assert "BackendError: device='cuda': " in done.stderr
    assert done.stderr.rstrip().endswith("or use device='cpu'")


def test_what_has_no_twin_is_refused(monkeypatch):
    monkeypatch.setattr(device, "what_is_missing", lambda: "")

    class Other(type(er.block_gibbs(RBM_3X2))):
        pass

    message = r"^device='cuda': Other runs on the CPU only \(on a card: BlockGibbs, .+\); use device='cpu'"
    with pytest.raises(BackendError, match=message):
        er.sample(Other(RBM_3X2, np.ones(5, dtype=bool)), np.zeros((1, 3)), 1, seed=0, device="cuda")
    with pytest.raises(BackendError, match=r"^device='cuda': expected dtype='float64', got 'float32'"):
        er.sample(er.block_gibbs(RBM_3X2, dtype="float32"), np.zeros((1, 3)), 1, seed=0, device="cuda")
    with pytest.raises(BackendError, match=r"^device='cuda': of the Langevin samplers, those of a GRBM without a box"):
        er.sample(er.mala(er.GRBM.random(2, 2), 0.1, box=(-1, 1)), np.zeros((1, 2)), 1, seed=0, device="cuda")
    with pytest.raises(BackendError, match=r"^device='cuda': method='gray' of a GRBM runs on the CPU only"):
        er.exact.log_partition(er.GRBM.random(2, 2), method="gray", device="cuda")
    with pytest.raises(DomainError, match=r"^method='vectorized': runs on the CPU only"):
        er.exact.log_partition(RBM_3X2, method="vectorized", device="cuda")
    with pytest.raises(DomainError, match=r"^executor: expected None with device='cuda'"):
        er.exact.log_partition(RBM_3X2, device="cuda", executor=object())
    with pytest.raises(er.errors.ModelTooLargeError, match=r"^log_partition: 2\*\*60 states, about .+ h on a card"):
        er.exact.log_partition(er.RBM.random(60, 60), device="cuda")
    with pytest.raises(DomainError, match=r"^device: expected one of 'cpu', 'cuda', got 'gpu'"):
        er.exact.log_partition(RBM_3X2, device="gpu")
