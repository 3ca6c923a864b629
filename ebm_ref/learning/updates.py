"""Many updates in one compiled call, where kernels/contrastive has the loop: CD or PCD, an RBM, plain ``sgd``.

``advance`` returns how many updates it made.  0 means that ``fit`` takes the next one by the estimator and the
optimiser, which are the readable twin, bit for bit: another estimator, optimiser or model; a machine so large that the
estimator's threads pay; an update that leaves the finite numbers, of which the general way says what is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ebm_ref.kernels.contrastive import LINE, WHOLE, Carried, Room, contrastive_updates
from ebm_ref.kernels.noise import Stream
from ebm_ref.learning.estimators import ContrastiveDivergence, PersistentContrastiveDivergence
from ebm_ref.learning.optimisers import Sgd, rate
from ebm_ref.models.rbm import RBM

MOST_WORK = 1.5e6  # multiply-adds of a product; beyond, several threads are faster
CALL_WORK, CALL_SECONDS = 3e8, 0.1  # multiply-adds of a call; about how long Ctrl-C and the progress bar wait for it


def purpose(model: Any, estimator: Any, optimizer: Any) -> str | None:
    """Of the negatives' random numbers, where the compiled loop knows model, estimator and optimiser."""
    if type(model) is not RBM or type(optimizer) is not Sgd or model.n_hidden == 0:
        return None
    if type(estimator) is PersistentContrastiveDivergence:
        return "persistent"
    plain = ("sample", "probabilities", "probabilities")
    if type(estimator) is ContrastiveDivergence and estimator.k:
        return "negative" if (estimator.visible, estimator.positive, estimator.negative) == plain else None
    return None


def advance(run: Any, estimator: Any, optimizer: Any, data: np.ndarray, order, size: int, seed: int, most: int) -> int:
    """Up to ``most`` updates of ``run`` (learning/fit), update t on the rows order[size t : size (t + 1)]; how many."""
    model, chains = run.model, run.chains
    name = purpose(model, estimator, optimizer)
    work = (size + len(chains)) * model.W.size if name else 0
    if name is None or work > MOST_WORK:
        return 0
    n = min(most, max(1, int(CALL_WORK / (work * (3 + 2 * estimator.k)))))
    if name == "negative":
        chains = np.empty((0, model.n_units))
    W = spread(2 * model.n_visible, model.n_hidden).reshape((2, model.n_visible, -1))
    W[:, :, : model.n_hidden] = model.W
    carried = Carried(W, *map(twice, (model.a, model.b, *velocities(run.state, model), chains)))
    rates = [rate(optimizer.lr, run.update + t) for t in range(n)]
    keep = np.array([1.0 - lr * optimizer.weight_decay for lr in rates], dtype=np.float64)
    done = contrastive_updates(
        data, order, size, carried, room(model, size, len(chains)), estimator.k, np.array(rates, dtype=np.float64),
        keep, optimizer.momentum, run.update, Stream(seed, name).address,
    )  # fmt: skip
    W, a, b, vW, va, vb, chains = (array[done % 2] for array in carried)
    run.model, run.update = RBM(W[:, : model.n_hidden], a, b), run.update + done
    run.state = (RBM(vW, va, vb),) if run.state else ()
    run.chains = chains.copy() if name == "persistent" else run.chains
    return done


def twice(array: np.ndarray) -> np.ndarray:
    """The state before and after an update."""
    return np.stack([array, array])


def velocities(state: tuple[Any, ...], model: RBM) -> tuple[np.ndarray, ...]:
    """Those of W, a, b; without momentum there are none."""
    if state:
        return state[0].W, state[0].a, state[0].b
    return np.empty((model.n_visible, 0)), np.empty(0), np.empty(0)


def room(model: RBM, n: int, n_chains: int) -> Room:
    """Scratch for batches of n rows."""
    nv, nh = model.W.shape
    m, most = n_chains or n, max(nv, nh)
    rows = max(n, m)
    return Room(
        x=np.empty((n, nv)), y=np.empty((m, nv)), h=np.empty((m, nh)), xT=np.empty((nv, n)), yT=np.empty((nv, m)),
        p=spread(n, nh), q=spread(m, nh), c=np.empty((rows, nh)), z=np.empty((m, nv)), WT=spread(nh, nv),
        gW=np.empty((nv, nh)), other=np.empty((nv, nh)), means=np.empty((2, most)), zeros=np.zeros(nh),
        words=np.empty(most + 2 * WHOLE, np.uint32), gaps=np.zeros(most + 2 * WHOLE, np.float32),
        listed=np.empty((rows, 1 + most), np.uint64), listed_rows=np.empty((nv, 1 + rows), np.uint64),
    )  # fmt: skip


def spread(n: int, width: int) -> np.ndarray:
    """n rows of at least ``width`` float64: whole cache lines, an odd number of them, so that no columns of a matrix
    crowd into the same few places of the cache."""
    lines = -(-width // LINE) | 1
    room = np.empty((n * lines + 1) * LINE)
    first = -room.ctypes.data % (8 * LINE) // 8
    return room[first : first + n * lines * LINE].reshape((n, lines * LINE))
