"""Reading back what ebm_ref saved, and plain ``.npz`` models made by anybody."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from ebm_ref import files
from ebm_ref.errors import DomainError
from ebm_ref.models.analytic import Gaussian, GaussianMixture
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.heads import JointEnergy, NetworkEnergy
from ebm_ref.models.layers import LAYERS
from ebm_ref.models.nets import Network
from ebm_ref.models.rbm import RBM
from ebm_ref.models.record import restored
from ebm_ref.samplers.sample import Chain

RECORDS = (RBM, BoltzmannMachine, GRBM, Gaussian, GaussianMixture)
NESTED = {record.__name__: record for record in (NetworkEnergy, JointEnergy, Network, *LAYERS)}


def load(path: str | os.PathLike) -> Any:
    """The model or chain in an ``.npz`` file written by ``save``, bit for bit; or a model from its bare arrays.

    Bare arrays are W, a, b (RBM), J, c (Boltzmann machine) or W, mu, log_var, b (GRBM), as
    ``numpy.savez(path, W=W, a=a, b=b)`` writes them.

    Raises DomainError for any other file; nothing in a file is ever executed.
    """
    kind, arrays, meta = files.read_arrays(path)
    if kind == "Chain":
        return Chain(arrays["states"], arrays["last"], acceptance=arrays["acceptance"], **meta)
    if kind in NESTED:
        try:
            return restored(kind, meta, arrays, NESTED)
        except (KeyError, TypeError) as error:
            raise DomainError(f"{path}: expected all parts of a {kind}, got an incomplete file ({error})") from None
    for record in RECORDS:
        names = {field.name for field in dataclasses.fields(record)}
        fields: dict[str, Any] = {**arrays, **meta}
        if (kind == record.__name__ and names == set(fields)) or (not kind and set(arrays) == leaf_names_of(record)):
            return record(**fields)
    expected = " or ".join(", ".join(sorted(leaf_names_of(record))) for record in RECORDS)
    raise DomainError(
        f"{path}: expected arrays {expected}, or a file saved by ebm_ref; got {', '.join(sorted(arrays))}"
    )


def leaf_names_of(record: type) -> set[str]:
    """The array fields of a record's type."""
    return {field.name for field in dataclasses.fields(record) if field.type in ("np.ndarray",)}
