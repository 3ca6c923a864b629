"""``device="cpu" | "cuda"``: is there a card that can be used?

CUDA needs the extra ``cuda`` (numba-cuda with its compilers), NVIDIA's driver and a card.  With NUMBA_ENABLE_CUDASIM=1
Numba's simulator takes the card's place: every thread is a Python thread, so only tiny problems are sensible.
"""

from __future__ import annotations

from importlib.util import find_spec

from ebm_ref.compile import simulated
from ebm_ref.errors import BackendError, require_choice

DEVICES = ("cpu", "cuda")


def require_device(device: str) -> str:
    """The checked name of the device; BackendError, saying what is missing, if it is "cuda" and cannot be used."""
    if require_choice("device", device, DEVICES) == "cuda":
        missing = what_is_missing()
        if missing:
            raise BackendError(f"device='cuda': {missing}; or use device='cpu'")
    return device


def what_is_missing() -> str:
    """What stands between this process and a CUDA card, and the remedy; empty if nothing does."""
    if simulated():
        return ""
    if find_spec("numba_cuda") is None:
        return "numba-cuda is not installed: pip install 'ebm-ref[cuda]'"
    from numba import cuda

    try:
        found = len(cuda.gpus)
    except cuda.CudaSupportError as error:
        first = next((line.strip() for line in str(error).splitlines()[1:] if line.strip()), str(error).strip())
        return f"no NVIDIA driver was found ({first.rstrip('.:')}): install the driver on a machine with an NVIDIA card"
    return "" if found else "the NVIDIA driver sees no card: check nvidia-smi and CUDA_VISIBLE_DEVICES"
