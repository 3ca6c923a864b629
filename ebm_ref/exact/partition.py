"""log Z by enumeration, three routes that must agree.

RBM: log Z = log sum_h exp(b.h + sum_i softplus(a_i + (Wh)_i)) over the smaller layer: 2^min(nv, nh) states.
Boltzmann machine: log Z = log sum_s exp(-E(s)), 2^n states.

method       how                                                         relative error
vectorized   NumPy, blocks of states, softplus and log-sum-exp           1e-14
gray         compiled; consecutive states differ in one bit              1e-13
product      compiled; no exp or log per state, see kernels/enumeration  1e-13, needs |a_i| + sum_j |W_ij| < 690
auto         product where it is safe, else gray

Memory is constant in the number of states.  The bits do not depend on the number of threads nor on the executor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import numpy as np

from ebm_ref.compile import get_num_threads
from ebm_ref.errors import BackendError, DomainError, ModelTooLargeError, require_choice
from ebm_ref.kernels import enumeration as kernels
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.rbm import RBM, softplus
from ebm_ref.models.states import all_states, subset_sums
from ebm_ref.progress import track

SAFE_LOGIT = 690.0  # exp stays finite and normal on both sides
NANOSECONDS = {"product": 0.5, "gray": 9.0, "vectorized": 18.0}  # per state and unit on one core, rough
MAX_SECONDS = 3600.0
MAX_SHARD_BITS = 8
LOW_BITS = 8
BLOCK_BITS = 11  # states in one block of the vectorised route


def log_partition(
    model: RBM | BoltzmannMachine,
    *,
    method: str = "auto",
    device: str = "cpu",
    executor: Executor | None = None,
    progress: bool = False,
    max_seconds: float = MAX_SECONDS,
) -> float:
    """log Z in nats, exact up to rounding.

    executor: any ``concurrent.futures.Executor``; shards of the sum are submitted to it (compiled methods).
    Raises ModelTooLargeError, before any work, when the estimated time exceeds ``max_seconds``.

    >>> round(log_partition(RBM([[0.0]], [0.0], [0.0])), 12) == round(2 * math.log(2), 12)
    True
    """
    require_choice("method", method, ("auto", "product", "gray", "vectorized"))
    if require_choice("device", device, ("cpu", "cuda")) == "cuda":
        raise BackendError(
            "device='cuda': log_partition runs on the CPU; use device='cpu', or executor= for more cores"
        )
    if isinstance(model, RBM) and model.n_hidden > model.n_visible:
        model = model.swapped()
    if method == "auto":
        method = "product" if product_is_safe(model) else "gray"
    elif method == "product" and not product_is_safe(model):
        raise DomainError(f"method='product': expected every |bias| + sum |weights| < {SAFE_LOGIT}; use method='auto'")
    refuse_too_long("log_partition", model, method, max_seconds)
    shards = {"product": product_shards, "gray": gray_shards, "vectorized": vectorized_shards}[method](model)
    return merge(_run(shards, None if method == "vectorized" else executor, progress))


def enumerated(model: RBM | BoltzmannMachine) -> tuple[int, int]:
    """(number of enumerated units, work per state in units)."""
    return (model.n_hidden, model.n_visible) if isinstance(model, RBM) else (model.n_units, 4)


def refuse_too_long(what: str, model, method: str, max_seconds: float) -> None:
    """ModelTooLargeError when the estimated time is beyond the limit."""
    n, width = enumerated(model)
    seconds = math.ldexp((width + 20) * NANOSECONDS[method] * 1e-9 / get_num_threads(), n) if n < 1000 else math.inf
    if seconds > max_seconds:
        hours = f"about {seconds / 3600:.3g} h" if seconds < 3.6e9 else "longer than a human life"
        raise ModelTooLargeError(
            f"{what}: 2**{n} states, {hours} by method={method!r}; use annealed importance sampling,"
            f" or raise max_seconds={max_seconds:g}, or spread shards with executor= over a cluster"
        )


def product_is_safe(model: RBM | BoltzmannMachine) -> bool:
    """Whether no factor of the product form can leave the normal float64 range."""
    if isinstance(model, RBM):
        return bool(np.all(np.abs(model.a) + np.abs(model.W).sum(axis=1) < SAFE_LOGIT))
    n_low = min(LOW_BITS, model.n_units)
    return bool(np.abs(model.J[:n_low]).sum() + np.abs(model.c[:n_low]).sum() < SAFE_LOGIT)


# Shards: (number, function(first, count) -> (count, 2) array of (m, s) pairs) ----------------------------------------

Shards = tuple[int, Callable[[int, int], np.ndarray]]


def _shard_bits(n: int) -> int:
    return max(0, min(MAX_SHARD_BITS, n - LOW_BITS))


def gray_shards(model: RBM | BoltzmannMachine) -> Shards:
    """The sum by Gray code."""
    n, _ = enumerated(model)
    return 2 ** _shard_bits(n), partial(_gray, model, n - _shard_bits(n))


def _gray(model, n_low: int, first: int, count: int) -> np.ndarray:
    out = np.empty((count, 2))
    if isinstance(model, RBM):
        scratch = np.empty((count, model.n_visible))
        WT = np.ascontiguousarray(model.W.T)
        kernels.run_layer_gray(count, first, out, scratch, WT, model.a, model.b, n_low, work=2.0**60)
    else:
        scratch = np.empty((count, model.n_units))
        kernels.run_machine_gray(count, first, out, scratch, model.J, model.c, n_low, work=2.0**60)
    return out


def product_shards(model: RBM | BoltzmannMachine) -> Shards:
    """The sum in product form."""
    n, _ = enumerated(model)
    n_low, shard_bits = min(LOW_BITS, n), _shard_bits(n)
    n_own = n - n_low - shard_bits
    if isinstance(model, BoltzmannMachine):
        low = -BoltzmannMachine(model.J[:n_low, :n_low], model.c[:n_low]).joint_energy(all_states(n_low))
        return 2**shard_bits, partial(_machine_product, model, np.exp(low), n_low, n_own)
    return 2**shard_bits, partial(_layer_product, product_tables(model, n_low), n_own)


def product_tables(model: RBM, n_low: int) -> tuple[np.ndarray, ...]:
    """What the product form multiplies; see kernels.enumeration.layer_product for names and shapes."""
    WT = np.ascontiguousarray(model.W.T)
    lin = subset_sums(model.b[:n_low, None])[:, 0]
    whole = np.floor(lin * kernels.LOG2E)
    return (
        WT[n_low:], np.exp(WT[n_low:]), np.exp(-WT[n_low:]), model.a, model.b[n_low:],
        np.ascontiguousarray(np.exp(subset_sums(WT[:n_low])).T),
        np.exp(lin - whole * kernels.LN2), whole.astype(np.int64), _groups(model),
    )  # fmt: skip


def _groups(model: RBM) -> np.ndarray:
    """Ends of the longest groups of units whose product of 1 + exp(z_i) stays below 2^1000."""
    most = softplus(model.a + np.maximum(model.W, 0).sum(axis=1)) + 1e-9
    ends, room = [], SAFE_LOGIT
    for i, growth in enumerate(most):
        if growth > room:
            ends.append(i)
            room = SAFE_LOGIT
        room -= growth
    return np.array([*ends, len(most)], dtype=np.int64)


def _layer_product(tables: tuple, n_own: int, first: int, count: int) -> np.ndarray:
    out = np.empty((count, 2))
    kernels.run_layer_product(count, first, out, *product_scratch(tables, count), *tables, n_own, work=2.0**60)
    return out


def product_scratch(tables: tuple, count: int) -> tuple[np.ndarray, ...]:
    """A, P, the bits of P, E of each shard."""
    units, low = tables[5].shape
    P = np.empty((count, low))
    return np.empty((count, units)), P, P.view(np.int64), np.empty((count, low), dtype=np.int64)


def _machine_product(model, low_weight, n_low: int, n_own: int, first: int, count: int) -> np.ndarray:
    out, Q = np.empty((count, 2)), np.empty((count, 2**n_low))
    kernels.run_machine_product(count, first, out, Q, model.J, model.c, low_weight, n_low, n_own, work=2.0**60)
    return out


def vectorized_shards(model: RBM | BoltzmannMachine) -> Shards:
    """The sum in plain NumPy: the readable route.  A shard is one block of low states under fixed high bits."""
    n, _ = enumerated(model)
    n_low = min(BLOCK_BITS, n)
    return 2 ** (n - n_low), partial(_vectorized, model, n_low)


def _vectorized(model, n_low: int, first: int, count: int) -> np.ndarray:
    pairs = np.empty((count, 2))
    for k in range(count):
        log_weights, _ = log_weight_block(model, n_low, first + k)
        m = log_weights.max()
        pairs[k] = m, np.exp(log_weights - m).sum()
    return pairs


def log_weight_block(model: RBM | BoltzmannMachine, n_low: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """(log weights (2**n_low,), fields) of the enumerated states whose bits above ``n_low`` are those of ``block``.

    RBM: b.h + sum_i softplus(z_i), and z = a + Wh (2**n_low, n_visible), h being enumerated.
    Boltzmann machine: -E(s), and the low bits of s (2**n_low, n_low).
    """
    n, _ = enumerated(model)
    high = high_bits(block, n - n_low)
    if isinstance(model, RBM):
        z = subset_sums(model.W.T[:n_low])
        z += model.a + (high[:, None] * model.W.T[n_low:]).sum(axis=0)
        bias = subset_sums(model.b[:n_low, None])[:, 0] + high @ model.b[n_low:]
        return bias + softplus(z).sum(axis=1), z
    low = all_states(n_low)
    within = -BoltzmannMachine(model.J[:n_low, :n_low], model.c[:n_low]).joint_energy(low)
    above = -BoltzmannMachine(model.J[n_low:, n_low:], model.c[n_low:]).joint_energy(high[None])[0]
    return within + low @ (model.J[:n_low, n_low:] @ high) + above, low


def high_bits(block: int, n: int) -> np.ndarray:
    """The n bits of a block's number, (n,)."""
    return np.array([block >> j & 1 for j in range(n)], dtype=np.float64)


# Running and merging --------------------------------------------------------------------------------------------------


def _run(shards: Shards, executor: Executor | None, progress: bool) -> np.ndarray:
    """All (m, s) pairs in the order of the shards, whoever computes them."""
    n, function = shards
    pieces = [(n * k // 64, n * (k + 1) // 64) for k in range(64)] if n >= 64 else [(0, n)]
    with track(n, "log Z", enabled=progress) as bar:
        if executor is None:
            parts = []
            for lo, hi in pieces:
                parts.append(function(lo, hi - lo))
                bar(hi - lo)
            return np.concatenate(parts)
        jobs = [executor.submit(function, lo, hi - lo) for lo, hi in pieces]
        parts = []
        for job, (lo, hi) in zip(jobs, pieces, strict=True):
            parts.append(job.result())
            bar(hi - lo)
        return np.concatenate(parts)


def merge(pairs: np.ndarray) -> float:
    """log sum_k s_k exp(m_k), summed without rounding error."""
    m = float(pairs[:, 0].max())
    return m + math.log(math.fsum(s * math.exp(k - m) for k, s in pairs))
