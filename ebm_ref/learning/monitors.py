"""What ``fit`` writes in its history: exact where it is cheap, a proxy that needs no log Z where it is not.

log_likelihood          mean log p(x) over the training rows, nats a row, exact             small models
validation_log_likelihood   the same on the validation rows
pseudo_log_likelihood   mean log PL(x), nats a row, first MONITORED rows                    large models
reconstruction_error    mean squared error of m(p(h|v)), first MONITORED rows, in squared units of v   large GRBMs
free_energy_gap         mean F(validation) - mean F(training), nats: log Z cancels; it grows with overfitting
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ebm_ref.estimate.pseudo_likelihood import pseudo_log_likelihood
from ebm_ref.exact.partition import enumerated, log_partition
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.rbm import RBM

AFFORDABLE_TERMS = 2**24  # states times units of an exact log Z, once an epoch; a number of threads must not matter
MONITORED = 1000


def measure(model: Any, data: np.ndarray, validation: np.ndarray | None) -> dict[str, float]:
    """The numbers of one history entry."""
    values = {}
    if validation is not None:
        values["free_energy_gap"] = float(model.free_energy(validation).mean() - model.free_energy(data).mean())
    if isinstance(model, RBM) and model.n_hidden > model.n_visible:
        n, width = enumerated(model.swapped())
    else:
        n, width = enumerated(model)
    if n > AFFORDABLE_TERMS.bit_length() or width * 2**n > AFFORDABLE_TERMS:
        if isinstance(model, GRBM):
            values["reconstruction_error"] = reconstruction_error(model, data[:MONITORED])
        elif isinstance(model, RBM) or model.n_hidden == 0:
            values["pseudo_log_likelihood"] = float(pseudo_log_likelihood(model, np.round(data[:MONITORED])).mean())
        return values
    log_z = log_partition(model, max_seconds=math.inf)
    values["log_likelihood"] = float(-model.free_energy(data).mean() - log_z)
    if validation is not None:
        values["validation_log_likelihood"] = float(-model.free_energy(validation).mean() - log_z)
    return values


def reconstruction_error(model: GRBM, data: np.ndarray) -> float:
    """Mean over rows and units of (v - m(p(h|v)))^2."""
    return float(((data - model.visible_mean(model.hidden_probabilities(data))) ** 2).mean())
