"""What ``fit`` writes in its history: exact where it is cheap, a proxy that needs no log Z where it is not.

log_likelihood          mean log p(x) over the training rows, nats a row, exact             small models
validation_log_likelihood   the same on the validation rows
pseudo_log_likelihood   mean log PL(x), nats a row, first MONITORED rows                    large models
free_energy_gap         mean F(validation) - mean F(training), nats: log Z cancels; it grows with overfitting
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ebm_ref.errors import ModelTooLargeError
from ebm_ref.estimate.pseudo_likelihood import pseudo_log_likelihood
from ebm_ref.exact.partition import log_partition

AFFORDABLE_SECONDS = 0.1  # exact log Z, once an epoch
MONITORED = 1000


def measure(model: Any, data: np.ndarray, validation: np.ndarray | None) -> dict[str, float]:
    """The numbers of one history entry."""
    values = {}
    train = model.free_energy(data)
    if validation is not None:
        values["free_energy_gap"] = float(model.free_energy(validation).mean() - train.mean())
    try:
        log_z = log_partition(model, max_seconds=AFFORDABLE_SECONDS)
    except ModelTooLargeError:
        values["pseudo_log_likelihood"] = float(pseudo_log_likelihood(model, np.round(data[:MONITORED])).mean())
        return values
    values["log_likelihood"] = float(-train.mean() - log_z)
    if validation is not None:
        values["validation_log_likelihood"] = float(-model.free_energy(validation).mean() - log_z)
    return values
