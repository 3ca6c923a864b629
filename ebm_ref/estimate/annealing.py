"""Annealed importance sampling: log Z where it cannot be enumerated.          [Neal 2001; Salakhutdinov & Murray 2008]

Path, t from 0 to 1, each p*_t the law of a record ``model_at(t)``:
(1) RBM    (tW, (1-t) base + t a, t b);      log Z_0 = sum softplus(base) + nh log 2
    GRBM   (tW, mu, log_var, t b);           log Z_0 = nv/2 log 2pi + 1/2 sum log_var + nh log 2
(2) forward  x_1 ~ p_0;  log w = sum_k log p*_{t_k}(x_k) - log p*_{t_(k-1)}(x_k),  k = 1..K;
             x_(k+1) from one sweep of block Gibbs at t_k.  E[w] = Z/Z_0 for every K
(3) reverse  x_K ~ p exactly (by enumeration); the same sum for k = K..1, x_(k-1) from a sweep at t_(k-1)
             (on x alone block Gibbs is its own reversal).  E[1/w] = Z_0/Z for every K
(4) value = log Z_0 + log mean w (reverse: log Z_0 - log mean 1/w)
             Jensen: E[value] <= log Z forward, >= log Z in reverse.  Markov: P(value > log Z + c) <= e^-c forward,
             P(value < log Z - c) <= e^-c in reverse
(5) low, high = log(Z +- 3 deviations of Z), on the linear scale; low = -inf (reverse: high = inf) when the mean is
             not known to a third.  ESS = (sum w)^2 / sum w^2: when it is small, neither value nor interval is reliable
Weights are those of x with h summed out, whose variance is smaller than that of joint weights.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ebm_ref.errors import DomainError, as_float_array, require_finite, require_int, require_some_rows
from ebm_ref.exact.probabilities import sample as exact_sample
from ebm_ref.kernels import annealing as kernels
from ebm_ref.kernels.grbm import sweep_scratch
from ebm_ref.kernels.noise import LANES, Stream, to_tiles
from ebm_ref.kernels.panels import tiles as packed
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.rbm import RBM, softplus
from ebm_ref.parallel import run_pieces
from ebm_ref.progress import track
from ebm_ref.samplers.gibbs import block_gibbs

STAGES_PER_SLICE = 2e8  # elementary operations between two looks at the keyboard and the progress bar
DEVIATIONS = 3.0
BLOCKS_FOR_EXECUTOR = 32


@dataclass(frozen=True, eq=False)
class Annealing:
    """What ``ais_log_partition`` returns: ``value``, ``low`` and ``high`` in nats, see (4) and (5).

    log_weights (n_chains,) are the log w of (2) or (3); ess is the effective number of chains; log_z_base is log Z_0.
    """

    value: float
    low: float
    high: float
    ess: float
    log_weights: np.ndarray
    log_z_base: float
    reverse: bool


def ais_log_partition(
    model: RBM | GRBM,
    base=None,
    n_temperatures=1000,
    n_chains: int = 100,
    seed: int = 0,
    reverse: bool = False,
    *,
    executor: Executor | None = None,
    progress: bool = False,
) -> Annealing:
    """log Z in nats by annealed importance sampling.

    base: the RBM's visible bias at t = 0, (n_visible,), for instance ``base_bias(data)``; None is 0.  A GRBM starts at
    its own mu and log_var, so base must be None.  n_temperatures: the number K of equal steps, or the schedule itself,
    increasing from 0 to 1.  reverse=True starts from exact samples (small models) and gives the bound from above.
    executor: any ``concurrent.futures.Executor``; blocks of chains are submitted to it, and the bits are the same.

    >>> model = RBM([[0.0]], [0.0], [1.0])
    >>> estimate = ais_log_partition(model, None, 10, 4, seed=0)
    >>> abs(estimate.value - (math.log(2) + math.log(1 + math.e))) < 1e-12  # without weights every w is the same
    True
    """
    base = _checked_base(model, base)
    schedule, n, seed = _schedule(n_temperatures), require_int("n_chains", n_chains, 1), require_int("seed", seed)
    rows, stream = _start(model, base, n, seed, reverse)
    job = partial(_run_block, model, base, rows, stream, _stages(schedule, reverse))
    if executor is None:
        log_weights = job(0, n, progress)
    else:
        log_weights = np.concatenate(run_pieces(job, n, BLOCKS_FOR_EXECUTOR, "annealing", executor, progress))
    return summary(log_weights, log_z_base(model, base), reverse)


def base_bias(data, smoothing: float = 1.0) -> np.ndarray:
    """The visible bias whose independent units have the data's smoothed means, (count + s) / (n + 2 s): a good base."""
    data = as_float_array("data", data)
    data = require_some_rows("data", data, np.shape(data)[-1] if data.ndim else 0)
    on = data.sum(axis=0)
    return np.log(on + smoothing) - np.log(len(data) - on + smoothing)


def model_at(model: RBM | GRBM, base: np.ndarray, t: float) -> RBM | GRBM:
    """(1): the record whose law is p_t."""
    if isinstance(model, GRBM):
        return GRBM(t * model.W, model.mu, model.log_var, t * model.b)
    return RBM(t * model.W, (1 - t) * base + t * model.a, t * model.b)


def log_z_base(model: RBM | GRBM, base: np.ndarray) -> float:
    """(1): log Z_0."""
    visible = model.log_gaussian if isinstance(model, GRBM) else float(softplus(base).sum())
    return visible + model.n_hidden * math.log(2)


def readable_weights(model: RBM | GRBM, base: np.ndarray, schedule, n: int, seed: int, reverse: bool) -> np.ndarray:
    """(2), (3) in plain NumPy: the twin of the compiled runs, which reads the same random numbers."""
    rows, stream = _start(model, base, n, seed, reverse)
    log_weights, nv = np.zeros(n), model.n_visible
    for k, (before, after, move) in enumerate(zip(*_stages(np.asarray(schedule), reverse), strict=True)):
        x = rows[:, :nv]
        log_weights += model_at(model, base, before).free_energy(x) - model_at(model, base, after).free_energy(x)
        if move >= 0:
            sampler: Any = block_gibbs(model_at(model, base, move))
            rows, _ = sampler.step(rows, sampler.draw(stream, k + 1, n))
    return log_weights


def summary(log_weights: np.ndarray, log_z_0: float, reverse: bool) -> Annealing:
    """(4), (5) from the log weights."""
    n, sign = len(log_weights), -1.0 if reverse else 1.0
    top = float((sign * log_weights).max())
    w = np.exp(sign * log_weights - top)
    mean, spread = float(w.mean()), DEVIATIONS * float(w.std(ddof=min(1, n - 1))) / math.sqrt(n)
    ends = [top + (math.log(m) if m > 0 else -math.inf) for m in (mean - spread, mean + spread)]
    low, high = sorted(log_z_0 + sign * end for end in ends)
    value = log_z_0 + sign * (float(logsumexp(sign * log_weights)) - math.log(n))
    return Annealing(value, low, high, float(w.sum() ** 2 / (w @ w)), log_weights, log_z_0, reverse)


def _checked_base(model, base) -> np.ndarray:
    if not isinstance(model, RBM | GRBM):
        raise DomainError(f"ais_log_partition: expected an RBM or a GRBM, got {type(model).__name__}")
    if isinstance(model, GRBM) and base is not None:
        raise DomainError("base: expected None for a GRBM, whose path starts at its own mu and log_var")
    values = np.zeros(model.n_visible) if base is None else as_float_array("base", base)
    require_finite("base", values)
    return require_some_rows("base", values[None] if values.ndim == 1 else values, model.n_visible)[0]


def _schedule(n_temperatures) -> np.ndarray:
    if np.ndim(n_temperatures) == 0:
        return np.linspace(0, 1, require_int("n_temperatures", n_temperatures, 1) + 1)
    schedule = as_float_array("n_temperatures", n_temperatures)
    if (
        schedule.ndim != 1
        or len(schedule) < 2
        or schedule[0] != 0
        or schedule[-1] != 1
        or np.any(np.diff(schedule) < 0)
    ):
        raise DomainError("n_temperatures: expected a number, or inverse temperatures that increase from 0 to 1")
    return schedule


def _stages(schedule: np.ndarray, reverse: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(before, after, move) of each stage, in the order of the run; the last one moves no more."""
    before, after = schedule[:-1], schedule[1:]
    if reverse:
        before, after = before[::-1], after[::-1]
    moves = np.array(before if reverse else after)
    moves[-1] = -1.0
    return np.ascontiguousarray(before), np.ascontiguousarray(after), moves


def _start(model, base: np.ndarray, n: int, seed: int, reverse: bool) -> tuple[np.ndarray, Stream]:
    """Rows [x, 0] at the first stage, and the noise of the run: exact draws of p_0, or of p in reverse."""
    stream = Stream(seed, "annealing_reverse" if reverse else "annealing")
    if reverse:
        x, _ = exact_sample(model, n, seed)
    elif isinstance(model, GRBM):
        x = model.mu + np.sqrt(model.variance) * stream.normal(0, (n, model.n_visible))
    else:
        x = (stream.uniform(0, (n, model.n_visible)) < 1 / (1 + np.exp(-base))).astype(np.float64)
    return np.hstack([x, np.zeros((n, model.n_hidden))]), stream


def _run_block(model, base, rows, stream: Stream, stages, first: int, count: int, progress: bool = False) -> np.ndarray:
    """log w of some of the chains, which read the numbers at their own addresses."""
    part = Stream(stream.seed, stream.purpose, stream.first_chain + first)
    before, after, moves = stages
    return _run(model, base, np.array(rows[first : first + count]), part, before, after, moves, progress)


def _run(model, base, rows, stream: Stream, before, after, moves, progress: bool) -> np.ndarray:
    """The compiled runs, in slices of stages."""
    run = _gaussian_runs(model, rows) if isinstance(model, GRBM) else _binary_runs(model, base, rows)
    per_stage = len(rows) * (2.0 * model.W.size + 60.0 * model.n_units)
    slice_length = max(1, int(STAGES_PER_SLICE / per_stage))
    log_weights = np.zeros(len(rows))
    with track(len(moves), "annealing", enabled=progress) as bar:
        for k in range(0, len(moves), slice_length):
            part = slice(k, min(k + slice_length, len(moves)))
            stages = before[part], after[part], moves[part], stream.address, np.uint64(k + 1)
            log_weights = run(stages, per_stage * (part.stop - k))
            bar(part.stop - k)
    return log_weights


def _binary_runs(model: RBM, base, rows):
    """run(stages, work) -> log w so far, for an RBM: a chain a row."""
    log_weights, scratch, free = np.zeros(len(rows)), np.empty_like(rows), np.ones(model.n_units, dtype=bool)
    arrays = model.W, np.ascontiguousarray(model.W.T), base, model.a, model.b, free

    def run(stages, work: float) -> np.ndarray:
        kernels.run_binary_annealing(len(rows), rows, log_weights, scratch, *arrays, *stages, work=work)
        return log_weights

    return run


def _gaussian_runs(model: GRBM, rows):
    """The same for a GRBM: LANES chains a tile."""
    (nv, nh), tiles, free = model.W.shape, to_tiles(rows), np.ones(model.n_units, dtype=bool)
    log_weights, scratch = np.zeros((len(tiles), LANES)), sweep_scratch(len(tiles), nv, nh)
    weights = packed(model.W.T, np.float64), packed(model.W / model.variance[:, None], np.float64)
    deviation = np.sqrt(model.variance)
    arrays = *weights, np.zeros(nv), np.array(model.mu), deviation, np.array(model.b), free

    def run(stages, work: float) -> np.ndarray:
        kernels.run_gaussian_annealing(len(tiles), tiles, log_weights, scratch, *arrays, *stages, work=work)
        return log_weights.ravel()[: len(rows)]

    return run
