"""``fit``: batches in a shuffled order, an estimate, an optimiser step; history, checkpoints, exact resumption.

Update u of epoch e reads rows perm_e[B u : B (u+1)], perm_e sorting the uniforms at step e of the purpose "shuffle";
every other random number stands at an address made of the update's number.  So (parameters, optimiser state, chains,
update number) is the whole state of a run: a run that was killed and started again ends with the same bits.

A last batch of r < B rows is weighted by r / B: every row counts the same in an epoch.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ebm_ref import files
from ebm_ref.errors import DomainError, require_finite, require_int, require_rows, require_unit_interval
from ebm_ref.kernels.noise import Stream
from ebm_ref.learning.estimators import Estimator
from ebm_ref.learning.monitors import measure
from ebm_ref.learning.optimisers import Optimiser
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.record import leaf_names, leafwise, leaves, with_leaves
from ebm_ref.progress import track


@dataclass(frozen=True, eq=False)
class Fit:
    """What ``fit`` returns.

    model: the trained record.  history: arrays, one entry before training and one after every epoch, by the names of
    ``learning.monitors.measure`` and "epoch", "update".  chains: persistent chains.  settings: every switch of the run.
    """

    model: Any
    history: dict[str, np.ndarray]
    chains: np.ndarray
    settings: dict[str, Any]


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
    validation=None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_seconds: float = 5.0,
    progress: bool = True,
) -> Fit:
    """Maximise the mean log-likelihood of the rows of ``data`` (n, n_visible), values in [0, 1]; a GRBM takes any.

    checkpoint: a file that is rewritten atomically every ``checkpoint_seconds`` and at the end.  When it exists, the
    run carries on from it; one that another run wrote (other data, settings or seed) is refused.

    >>> import ebm_ref as er
    >>> data = er.datasets.bars_and_stripes(2)
    >>> result = er.fit(er.RBM.random(4, 3), data, er.cd(1), er.sgd(0.1), 5, 2, seed=0, progress=False)
    >>> result.history["log_likelihood"].shape
    (6,)
    """
    data = require_rows("data", data, model.n_visible)
    if not len(data):
        raise DomainError("data: expected at least one row, got none")
    require_finite("data", data) if isinstance(model, GRBM) else require_unit_interval("data", data)
    n_epochs, seed = require_int("n_epochs", n_epochs), require_int("seed", seed)
    batch_size = min(require_int("batch_size", batch_size, 1), len(data))
    if validation is not None:
        validation = require_rows("validation", validation, model.n_visible)
    settings = {
        "estimator": estimator.settings(), "optimizer": optimizer.settings(), "batch_size": batch_size, "seed": seed,
        "model": f"{model!r}", "data": _digest(data), "initial": _digest(*leaves(model).values()),
        "validation": None if validation is None else _digest(validation),
    }  # fmt: skip
    _forget_parts(checkpoint)
    run = _load(checkpoint, model, settings) if checkpoint is not None and Path(checkpoint).exists() else None
    if run is None:
        run = _Run(model, optimizer.init(model), estimator.start(model, data, seed), 0, {})
        _record(run, data, validation, epoch=0)
    saved = time.monotonic()
    n_updates = n_epochs * -(-len(data) // batch_size)
    with track(n_updates, "training", enabled=progress) as bar:
        bar(min(run.update, n_updates))
        for epoch, rows, share, last in _batches(data, batch_size, seed, run.update, n_updates):
            gradient, run.chains = estimator.estimate(run.model, rows, run.chains, seed, run.update)
            gradient = leafwise(partial(np.multiply, share), gradient)
            run.model, run.state = optimizer.update(run.model, gradient, run.state, run.update)
            run.update += 1
            if last:
                _record(run, data, validation, epoch=epoch + 1)
            bar(1)
            if checkpoint is not None and time.monotonic() - saved >= checkpoint_seconds:
                _save(checkpoint, run, settings)
                saved = time.monotonic()
    if checkpoint is not None:
        _save(checkpoint, run, settings)
    history = {name: np.array(values) for name, values in run.history.items()}
    return Fit(run.model, history, run.chains, settings)


def _batches(
    data: np.ndarray, batch_size: int, seed: int, start: int, stop: int
) -> Iterator[tuple[int, np.ndarray, float, bool]]:
    """(epoch, rows, weight of the batch, whether it ends the epoch) of the updates start, ..., stop - 1."""
    per_epoch = -(-len(data) // batch_size)
    shuffle, order = Stream(seed, "shuffle"), np.zeros(0, dtype=np.int64)
    for update in range(start, stop):
        epoch, batch = divmod(update, per_epoch)
        if batch == 0 or update == start:
            order = np.argsort(shuffle.uniform(epoch, (1, len(data)))[0], kind="stable")
        rows = data[order[batch * batch_size : (batch + 1) * batch_size]]
        yield epoch, rows, len(rows) / batch_size, batch == per_epoch - 1


def _record(run: _Run, data: np.ndarray, validation: np.ndarray | None, epoch: int) -> None:
    values = {"epoch": epoch, "update": run.update, **measure(run.model, data, validation)}
    for name, value in values.items():
        run.history.setdefault(name, []).append(value)


def _forget_parts(path: str | os.PathLike | None) -> None:
    """Remove what a killed run left of a half-written checkpoint."""
    if path is not None:
        for part in Path(path).parent.glob(f".{Path(path).name}.*.part"):
            part.unlink(missing_ok=True)


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _save(path: str | os.PathLike, run: _Run, settings: dict[str, Any]) -> None:
    arrays = {f"model.{name}": leaf for name, leaf in leaves(run.model).items()}
    for i, part in enumerate(run.state):
        arrays |= {f"state.{i}.{name}": leaf for name, leaf in leaves(part).items()}
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
        return with_leaves(model, {name: arrays[f"{prefix}.{name}"] for name in leaf_names(model)})

    history = {key[len("history.") :]: list(values) for key, values in arrays.items() if key.startswith("history.")}
    state = tuple(stored(f"state.{i}") for i in range(meta["n_state"]))
    return _Run(stored("model"), state, arrays["chains"], meta["update"], history)
