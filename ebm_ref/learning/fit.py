"""``fit``: batches in a shuffled order, an estimate, an optimiser step; history, checkpoints, exact resumption.

Update u of epoch e reads rows perm_e[B u : B (u+1)], perm_e sorting the uniforms at step e of the purpose "shuffle";
every other random number stands at an address made of the update's number.  So (parameters, optimiser state, chains,
update number) is the whole state of a run: a run that was killed and started again ends with the same bits.

A last batch of r < B rows is weighted by r / B: every row counts the same in an epoch.
Where learning/updates has a compiled loop for them, updates are made many at a time, at most those of an epoch.
After each update, layers with spectral normalisation take one power iteration; while chains run they are frozen.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ebm_ref import files
from ebm_ref.errors import (
    DivergenceError,
    DomainError,
    NonFiniteError,
    as_float_array,
    require_finite,
    require_int,
    require_rows,
    require_shape,
    require_unit_interval,
)
from ebm_ref.kernels.noise import Stream
from ebm_ref.learning import updates
from ebm_ref.learning.estimators import Estimator
from ebm_ref.learning.monitors import measure
from ebm_ref.learning.optimisers import Averaged, Optimiser
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.layers import update_spectral_norms
from ebm_ref.models.rbm import RBM
from ebm_ref.models.record import constants, leafwise, leaves, with_constants, with_leaves
from ebm_ref.progress import track


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """What ``fit`` returns.

    model: the trained record.  history: arrays, one entry before training and one after every epoch, by the names of
    ``learning.monitors.measure``, or of the estimator's own ``measure``, and "epoch", "update".  chains: persistent
    chains, or the replay buffer.  settings: every switch of the run.  averaged: the running mean of the parameters
    where the optimiser was ``averaged(...)``, else the model.
    """

    model: Any
    history: dict[str, np.ndarray]
    chains: np.ndarray
    settings: dict[str, Any]
    averaged: Any = None

    def __repr__(self) -> str:
        """The model, and where each entry of the history ended."""
        last = ", ".join(f"{name}={values[-1]:.6g}" for name, values in self.history.items())
        return f"Fit({self.model!r}, {last})"


@dataclass
class _Run:
    """Everything that a run needs to carry on."""

    model: Any
    state: tuple[Any, ...]
    chains: np.ndarray
    update: int
    history: dict[str, list[float]]


def fit(
    model,
    data,
    estimator: Estimator,
    optimizer: Optimiser,
    n_epochs: int,
    batch_size: int,
    seed: int,
    *,
    labels=None,
    validation=None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_seconds: float = 5.0,
    progress: bool = True,
) -> Fit:
    """Ascend the estimator's gradient: the mean log-likelihood of the rows of ``data`` (n, n_visible), or its stand-in.

    data: values in [0, 1] for binary units; any for a GRBM and for deep energies.
    labels: (n,) class numbers, for estimators that take them: ``jem``, ``cross_entropy``.
    checkpoint: a file that is rewritten atomically every ``checkpoint_seconds`` and at the end.  When it exists, the
    run carries on from it; one that another run wrote (other data, settings or seed) is refused.
    Raises DivergenceError, with the number of the update, when parameters or chains leave the finite numbers.

    >>> import ebm_ref as er
    >>> data = er.datasets.bars_and_stripes(2)
    >>> result = er.fit(er.RBM.random(4, 3), data, er.cd(1), er.sgd(0.1), 5, 2, seed=0, progress=False)
    >>> result.history["log_likelihood"].shape
    (6,)
    """
    data, labels, validation = _checked(model, data, labels, validation, estimator)
    n_epochs, seed = require_int("n_epochs", n_epochs), require_int("seed", seed)
    batch_size = min(require_int("batch_size", batch_size, 1), len(data))
    settings = {"estimator": estimator.settings(), "optimizer": optimizer.settings(), "batch_size": batch_size,
                "seed": seed, **_digests(model, data, labels, validation)}  # fmt: skip
    _forget_parts(checkpoint)
    run = _load(checkpoint, model, settings) if checkpoint is not None and Path(checkpoint).exists() else None
    record = partial(_record, data=data, validation=validation, estimator=estimator, seed=seed)
    per_epoch = -(-len(data) // batch_size)
    n_updates = n_epochs * per_epoch
    with track(n_updates, "training", enabled=progress) as bar:
        if run is None:
            run = _Run(model, optimizer.init(model), estimator.start(model, data, seed), 0, {})
            record(run, epoch=0)
        saved = time.monotonic()
        bar(min(run.update, n_updates))
        order = np.zeros(0, dtype=np.int64)
        most = 1 if checkpoint is not None and checkpoint_seconds < updates.CALL_SECONDS else per_epoch
        while run.update < n_updates:
            epoch, batch = divmod(run.update, per_epoch)
            if batch == 0 or not len(order):
                order = _shuffled(len(data), seed, epoch)
            left = order[batch * batch_size :]
            many = min(most, per_epoch - batch)
            done = updates.advance(run, estimator, optimizer, data, left, batch_size, seed, many) or _advance(
                run, estimator, optimizer, data, labels, left[:batch_size], batch_size, seed
            )
            if run.update % per_epoch == 0:
                record(run, epoch=epoch + 1)
            bar(done)
            if checkpoint is not None and time.monotonic() - saved >= checkpoint_seconds:
                _save(checkpoint, run, settings)
                saved = time.monotonic()
    if checkpoint is not None:
        _save(checkpoint, run, settings)
    history = {name: np.array(values) for name, values in run.history.items()}
    mean = run.state[-1] if isinstance(optimizer, Averaged) else run.model
    return Fit(run.model, history, run.chains, settings, mean)


def _checked(model, data, labels, validation, estimator) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Data, labels and validation rows as arrays that fit the model and the estimator."""
    data = require_rows("data", data, model.n_visible)
    if not len(data):
        raise DomainError("data: expected at least one row, got none")
    require_unit_interval("data", data) if isinstance(model, RBM | BoltzmannMachine) else require_finite("data", data)
    if validation is not None:
        validation = require_rows("validation", validation, model.n_visible)
    if getattr(estimator, "needs_labels", False) != (labels is not None):
        wanted = "expected class numbers (n,), got none" if labels is None else "expected none"
        raise DomainError(f"labels: {wanted} with the estimator {estimator.settings()['name']}")
    if labels is not None:
        labels = as_float_array("labels", labels)
        require_shape("labels", labels, len(data))
    return data, labels, validation


def _advance(run: _Run, estimator, optimizer, data: np.ndarray, labels, chosen, batch_size: int, seed: int) -> int:
    """One update, on the chosen rows; returns 1."""
    rows, also = data[chosen], {} if labels is None else {"labels": labels[chosen]}
    try:
        gradient, run.chains = estimator.estimate(run.model, rows, run.chains, seed, run.update, **also)
        if len(rows) < batch_size:
            gradient = leafwise(partial(np.multiply, len(rows) / batch_size), gradient)
        model, run.state = optimizer.update(run.model, gradient, run.state, run.update)
        run.model = update_spectral_norms(model)
    except NonFiniteError as error:
        raise DivergenceError(f"fit: update {run.update} left the finite numbers: {error}; lower the rates") from error
    run.update += 1
    return 1


def _record(run: _Run, data, validation, estimator, seed: int, epoch: int) -> None:
    own = getattr(estimator, "measure", None)
    found = own(run.model, data, run.chains, seed) if own else measure(run.model, data, validation)
    values = {"epoch": epoch, "update": run.update, **found}
    for name, value in values.items():
        run.history.setdefault(name, []).append(value)


def _forget_parts(path: str | os.PathLike | None) -> None:
    """Remove what a killed run left of a half-written checkpoint."""
    if path is not None:
        for part in Path(path).parent.glob(f".{Path(path).name}.*.part"):
            part.unlink(missing_ok=True)


def _shuffled(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of n rows in an epoch."""
    return np.argsort(Stream(seed, "shuffle").uniform(epoch, (1, n))[0], kind="stable")


def _digests(model, data, labels, validation) -> dict[str, Any]:
    """By which a checkpoint knows the model and the data of its run."""
    return {
        "model": f"{model!r}", "data": _digest(data), "initial": _digest(*leaves(model).values()),
        "validation": None if validation is None else _digest(validation),
        **({} if labels is None else {"labels": _digest(labels)}),
    }  # fmt: skip


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _save(path: str | os.PathLike, run: _Run, settings: dict[str, Any]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for prefix, part in (("model", run.model), *((f"state.{i}", part) for i, part in enumerate(run.state))):
        arrays |= {f"{prefix}.{name}": array for name, array in (leaves(part) | constants(part)).items()}
    arrays["chains"] = run.chains
    arrays |= {f"history.{name}": np.array(values) for name, values in run.history.items()}
    files.write_arrays(
        path, "Checkpoint", arrays, {"settings": settings, "update": run.update, "n_state": len(run.state)}
    )


def _load(path: str | os.PathLike, model: Any, settings: dict[str, Any]) -> _Run:
    kind, arrays, meta = files.read_arrays(path)
    if kind != "Checkpoint":
        raise DomainError(f"checkpoint: expected a checkpoint of fit in {path}, got a file of kind {kind!r}")
    wanted = json.loads(json.dumps(settings))
    for name, value in wanted.items():
        if meta["settings"].get(name) != value:
            raise DomainError(
                f"checkpoint: {path} belongs to another run: {name} was {meta['settings'].get(name)!r}, now {value!r};"
                " delete the file or choose another name"
            )

    def stored(prefix: str) -> Any:
        own = {name.removeprefix(f"{prefix}."): array for name, array in arrays.items()}
        return with_constants(with_leaves(model, own), own)

    history = {key[len("history.") :]: list(values) for key, values in arrays.items() if key.startswith("history.")}
    state = tuple(stored(f"state.{i}") for i in range(meta["n_state"]))
    return _Run(stored("model"), state, arrays["chains"], meta["update"], history)
