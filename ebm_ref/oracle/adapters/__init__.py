"""Ways in: how somebody else's code or data reaches the checks.

callables      ``step(states, seed) -> states`` in NumPy, PyTorch or JAX; ``load_callable("file.py:name")``
networks       energies as ``torch.nn.Module`` or JAX functions, with their automatic gradients
sample_files   recorded states in .npz, .npy, .csv, .parquet: ``read_samples(path)``
program        any executable that speaks JSON lines on stdin and stdout: ``Program(command, case)``

Golden vectors (``ebm_ref.oracle.vectors``) and the pytest plugin (``ebm_ref.oracle.plugin``) are the two others.
"""

from ebm_ref.oracle.adapters.callables import jax_step, load_callable, rowwise, step_for, torch_step
from ebm_ref.oracle.adapters.networks import NetworkFunctions, jax_energy, torch_energy
from ebm_ref.oracle.adapters.program import Program
from ebm_ref.oracle.adapters.sample_files import SampleFile, read_samples

__all__ = [
    "NetworkFunctions", "Program", "SampleFile", "jax_energy", "jax_step", "load_callable", "read_samples", "rowwise",
    "step_for", "torch_energy", "torch_step",
]  # fmt: skip
