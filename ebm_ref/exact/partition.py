"""log Z by enumeration, three routes that must agree.

RBM: log Z = log sum_h exp(b.h + sum_i softplus(a_i + (Wh)_i)) over the smaller layer: 2^min(nv, nh) states.
Boltzmann machine: log Z = log sum_s exp(-E(s)), 2^n states.
GRBM: log Z = log sum_h exp(-G(h)) over the 2^nh components of the mixture, G the hidden free energy; its product form
is that of the Boltzmann machine of h, models/grbm (15).  A law whose log Z is known has no method.

method       how                                                         error, relative to max(1, |log Z|)
vectorized   NumPy, blocks of states, softplus and log-sum-exp           1e-14
gray         compiled; consecutive states differ in one bit              1e-13
product      compiled; no exp or log per state, see kernels/product_form  1e-13, needs moderate weights
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
from ebm_ref.device import require_device
from ebm_ref.errors import DomainError, ModelTooLargeError, require_choice
from ebm_ref.kernels import enumeration, product_form
from ebm_ref.kernels.grbm import run_mixture_gray
from ebm_ref.kernels.strips import SIDES, WIDTH
from ebm_ref.models.analytic import Gaussian, GaussianMixture
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.rbm import RBM, softplus
from ebm_ref.models.states import all_states, subset_sums
from ebm_ref.parallel import run_pieces

SAFE_LOGIT = 690.0  # exp stays finite and normal on both sides
NANOSECONDS = {"product": 0.06, "gray": 9.0, "vectorized": 18.0}  # per state and unit on one core, rough
MAX_SECONDS = 600.0
SECONDS_PER_PIECE = 0.5
PIECES_FOR_EXECUTOR = 64
SHARDS_PER_PIECE = 32  # each has scratch of its own
MAX_SHARD_BITS = 8
LOW_BITS = 8  # the inner loop runs over their states
BATCH_BITS = 3  # words of the product form that share what was loaded
LEAST_OWN_BITS = 5  # words of its shard, whose first costs an exponential a unit
LN2_HIGH = math.floor(math.log(2.0) * 2**30) * 2.0**-30  # times an integer below 2^22: exact
LN2_LOW = 8.893134238886677e-10  # log 2 - LN2_HIGH
BLOCK_BITS = 11  # states in one block of the vectorised route
SAFE_FIELD = 1000.0  # GRBM: beyond it the pairs of the hidden machine cancel with a loss of digits

Enumerable = RBM | BoltzmannMachine | GRBM


def log_partition(
    model: Enumerable | Gaussian | GaussianMixture,
    *,
    method: str = "auto",
    device: str = "cpu",
    executor: Executor | None = None,
    progress: bool = False,
    max_seconds: float = MAX_SECONDS,
) -> float:
    """log Z in nats, exact up to rounding.

    executor: any ``concurrent.futures.Executor``, for instance a process pool or ``dask.distributed.Client(...)
    .get_executor()``; shards of the sum are submitted to it.  A worker that is lost on the way changes no bit.
    device: "cuda" sums on an NVIDIA card (extra ``cuda``); BackendError, saying what is missing, where there is none.
    Raises ModelTooLargeError, before any work, when the estimated time exceeds ``max_seconds``.

    >>> round(log_partition(RBM([[0.0]], [0.0], [0.0])), 12) == round(2 * math.log(2), 12)
    True
    """
    require_choice("method", method, ("auto", "product", "gray", "vectorized"))
    require_device(device)
    if isinstance(model, Gaussian | GaussianMixture):
        return model.log_z
    if isinstance(model, RBM) and model.n_hidden > model.n_visible:
        model = model.swapped()
    if method == "auto":
        method = "product" if product_is_safe(model) else "gray"
    elif method == "product" and not product_is_safe(model):
        raise DomainError(
            "method='product': expected a hidden unit, and largest logits that sum to less than"
            f" {SAFE_LOGIT:g} over any 4 units; use method='auto'"
        )
    if isinstance(model, GRBM) and method == "product":
        machine, constant = model.hidden_machine()
        return (
            log_partition(
                machine, method=method, device=device, executor=executor, progress=progress, max_seconds=max_seconds
            )
            - constant
        )
    if device == "cuda":
        from ebm_ref.exact.partition_cuda import log_partition_on_card

        return log_partition_on_card(model, method, executor, progress, max_seconds)
    refuse_too_long("log_partition", model, method, max_seconds)
    routes: dict[str, Callable[..., Shards]] = {
        "product": product_shards, "gray": gray_shards, "vectorized": vectorized_shards,
    }  # fmt: skip
    shards = routes[method](model)
    n_pieces = max(
        PIECES_FOR_EXECUTOR
        if executor is not None
        else math.ceil(estimated_seconds(model, method) / SECONDS_PER_PIECE),
        -(-shards[0] // SHARDS_PER_PIECE),
    )
    return merge(run_shards(shards, n_pieces, executor, progress))


def enumerated(model: Enumerable) -> tuple[int, int]:
    """(number of enumerated units, work per state in units)."""
    return (model.n_units, 4) if isinstance(model, BoltzmannMachine) else (model.n_hidden, model.n_visible)


def estimated_seconds(model: Enumerable, method: str) -> float:
    """Rough time of the sum on this machine's threads."""
    n, width = enumerated(model)
    return math.ldexp((width + 20) * NANOSECONDS[method] * 1e-9 / get_num_threads(), n) if n < 1000 else math.inf


def refuse_too_long(what: str, model, method: str, max_seconds: float) -> None:
    """ModelTooLargeError when the estimated time is beyond the limit."""
    n, _ = enumerated(model)
    seconds = estimated_seconds(model, method)
    if seconds > max_seconds:
        hours = f"about {seconds / 3600:.3g} h" if seconds < 3.6e9 else "longer than a human life"
        raise ModelTooLargeError(
            f"{what}: 2**{n} states, {hours} by method={method!r}; use ais_log_partition (RBM, GRBM),"
            f" or raise max_seconds={max_seconds:g}, or spread shards with executor= over a cluster"
        )


def product_is_safe(model: Enumerable) -> bool:
    """Whether no factor of the product form, nor a product of four, can leave the normal float64 range."""
    if isinstance(model, GRBM):
        if not model.n_hidden:
            return False
        machine, _ = model.hidden_machine()
        return bool(np.abs(machine.J).sum() + np.abs(machine.c).sum() < SAFE_FIELD) and product_is_safe(machine)
    if isinstance(model, BoltzmannMachine):
        n_low = min(LOW_BITS, model.n_units)
        return bool(np.abs(model.J[:n_low]).sum() + np.abs(model.c[:n_low]).sum() < SAFE_LOGIT)
    if not model.n_hidden:
        return False
    logits = np.abs(model.a) + np.abs(model.W).sum(axis=1) + enumeration.LN2  # of R + B or its reciprocal, at most
    fours = np.pad(logits, (0, -len(logits) % 4)).reshape(-1, 4).sum(axis=1)
    return bool(fours.max() < SAFE_LOGIT)


# Shards: (number, function(first, count) -> (count, 2) array of (m, s) pairs) ----------------------------------------

Shards = tuple[int, Callable[[int, int], np.ndarray]]


def _shard_bits(n: int) -> int:
    return max(0, min(MAX_SHARD_BITS, n - LOW_BITS))


def gray_shards(model: Enumerable) -> Shards:
    """The sum by Gray code."""
    n, _ = enumerated(model)
    return 2 ** _shard_bits(n), partial(_gray, model, n - _shard_bits(n))


def _gray(model, n_low: int, first: int, count: int) -> np.ndarray:
    out = np.empty((count, 2))
    if isinstance(model, RBM):
        scratch = np.empty((count, model.n_visible))
        WT = np.ascontiguousarray(model.W.T)
        enumeration.run_layer_gray(count, first, out, scratch, WT, model.a, model.b, n_low, work=2.0**60)
    elif isinstance(model, GRBM):
        scratch, WT = np.empty((count, model.n_visible)), np.ascontiguousarray(model.W.T)
        linear, half = model.mu / model.variance, 0.5 / model.variance
        run_mixture_gray(count, first, out, scratch, WT, linear, half, model.b, n_low, work=2.0**60)
        out[:, 0] += model.log_gaussian
    else:
        scratch = np.empty((count, model.n_units))
        enumeration.run_machine_gray(count, first, out, scratch, model.J, model.c, n_low, work=2.0**60)
    return out


def product_shards(model: RBM | BoltzmannMachine) -> Shards:
    """The sum in product form."""
    n, _ = enumerated(model)
    if isinstance(model, BoltzmannMachine):
        n_low, shard_bits = min(LOW_BITS, n), _shard_bits(n)
        low = -BoltzmannMachine(model.J[:n_low, :n_low], model.c[:n_low]).joint_energy(all_states(n_low))
        return 2**shard_bits, partial(_machine_product, model, np.exp(low), n_low, n - n_low - shard_bits)
    missing = product_form.PAIRED_BITS + product_form.LEAST_LOW_BITS - n
    if missing > 0:  # a unit without weights doubles Z
        padded = RBM(np.pad(model.W, ((0, 0), (0, missing))), model.a, np.pad(model.b, (0, missing)))
        shards, function = product_shards(padded)
        return shards, partial(_scaled, function, 0.5**missing)
    n_low, shard_bits, n_own = product_layout(n, MAX_SHARD_BITS)
    return 2**shard_bits, partial(_layer_product, product_tables(model, n_low), n_own)


def _scaled(function, factor: float, first: int, count: int) -> np.ndarray:
    return function(first, count) * np.array([1.0, factor])


def product_layout(n: int, max_shard_bits: int) -> tuple[int, int, int]:
    """How n >= 5 hidden bits are shared out: (low bits, bits that number shards, bits of a shard's own words).

    Two bits more, above the low ones, are the paired bits.
    """
    n_low = min(LOW_BITS, n - product_form.PAIRED_BITS)
    n_high = n - product_form.PAIRED_BITS - n_low
    shard_bits = max(0, min(max_shard_bits, n_high - LEAST_OWN_BITS))
    return n_low, shard_bits, n_high - shard_bits


def product_tables(model: RBM, n_low: int) -> product_form.ProductTables:
    """What the product form multiplies.

    Units are padded to a multiple of four with ones whose factor R + B is 1 + 0.
    """
    W_low, W_high = model.W.T[:n_low], model.W.T[n_low:]
    B = np.zeros((2**n_low // WIDTH, model.n_visible + -model.n_visible % 4, WIDTH))
    B[:, : model.n_visible] = np.exp(model.a + subset_sums(W_low)).reshape(len(B), WIDTH, -1).transpose(0, 2, 1)
    split = [_mantissa_and_exponent([*row, b]) for row, b in zip(W_high, model.b[n_low:], strict=True)]
    rest, shift = np.array([r for r, _ in split]), np.array([k for _, k in split], dtype=np.int64)
    low, low_shift = _mantissas_and_exponents(subset_sums(model.b[:n_low, None])[:, 0])
    WT, pair = np.pad(W_high, ((0, 0), (0, B.shape[1] - model.n_visible))), slice(product_form.PAIRED_BITS)
    above = slice(product_form.PAIRED_BITS, None)
    return product_form.ProductTables(
        WT[above], np.exp(WT[above]), np.exp(-WT[above]), rest[above], shift[above],
        np.ascontiguousarray(np.exp(-subset_sums(WT[pair])).T), subset_sums(rest[pair, None])[:, 0],
        subset_sums(shift[pair, None])[:, 0].astype(np.int64), B, np.exp(low), low_shift,
        _groups(model, n_low, B.shape[1]),
    )  # fmt: skip


def _mantissa_and_exponent(terms: list[float]) -> tuple[float, int]:
    """exp(sum of the terms) = exp(r) 2^k with 0 <= r < log 2 or so, without the rounding error of the sum."""
    k = math.floor(math.fsum(terms) * enumeration.LOG2E)
    return math.fsum([*terms, -k * LN2_HIGH, -k * LN2_LOW]), k


def _mantissas_and_exponents(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of each of the numbers."""
    k = np.floor(logs * enumeration.LOG2E)
    return logs - k * LN2_HIGH - k * LN2_LOW, k.astype(np.int64)


def _groups(model: RBM, n_low: int, n_padded: int) -> np.ndarray:
    """Ends of the longest groups of units, multiples of four, whose product of R + B stays within 2^-995 and 2^995."""
    (low_min, low_max), (high_min, high_max) = (
        (np.minimum(W, 0).sum(axis=1), np.maximum(W, 0).sum(axis=1)) for W in (model.W[:, :n_low], model.W[:, n_low:])
    )
    bounds = np.zeros((2, n_padded))
    bounds[0, : model.n_visible] = -np.logaddexp(-high_max, model.a + low_min)
    bounds[1, : model.n_visible] = np.logaddexp(-high_min, model.a + low_max)
    fours = bounds.reshape(2, -1, 4).sum(axis=2).T + 1e-9
    ends, growth = [], np.zeros(2)
    for i, four in enumerate(fours):
        growth += four
        if growth.max() > SAFE_LOGIT:
            ends.append(4 * i)
            growth = four.copy()
    return np.array([*ends, n_padded], dtype=np.int64)


def _layer_product(tables: product_form.ProductTables, n_own: int, first: int, count: int) -> np.ndarray:
    out = np.empty((count, 2))
    product_form.run_layer_product(
        count, first, out, *product_scratch(tables, n_own, count), tables, n_own, work=2.0**60
    )
    return out


def product_scratch(tables: product_form.ProductTables, n_own: int, count: int) -> tuple[np.ndarray, ...]:
    """r, R, P, the bits of P, E of each shard."""
    n_strips, units, width = tables.B.shape
    batch = 2 ** min(BATCH_BITS, n_own)
    P = np.empty((count, batch, SIDES, n_strips * width))
    R = np.empty((count, batch, units, SIDES))
    return np.empty((count, units)), R, P, P.view(np.int64), np.empty(P.shape, dtype=np.int64)


def _machine_product(model, low_weight, n_low: int, n_own: int, first: int, count: int) -> np.ndarray:
    out, Q = np.empty((count, 2)), np.empty((count, 2**n_low))
    enumeration.run_machine_product(count, first, out, Q, model.J, model.c, low_weight, n_low, n_own, work=2.0**60)
    return out


def vectorized_shards(model: Enumerable) -> Shards:
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


def log_weight_block(model: Enumerable, n_low: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """(log weights (2**n_low,), fields) of the enumerated states whose bits above ``n_low`` are those of ``block``.

    RBM: b.h + sum_i softplus(z_i), and z = a + Wh (2**n_low, n_visible), h being enumerated.
    Boltzmann machine: -E(s), and the low bits of s (2**n_low, n_low).  GRBM: -G(h), and the low bits of h.
    """
    n, _ = enumerated(model)
    high = high_bits(block, n - n_low)
    if isinstance(model, RBM):
        z = subset_sums(model.W.T[:n_low])
        z += model.a + (high[:, None] * model.W.T[n_low:]).sum(axis=0)
        bias = subset_sums(model.b[:n_low, None])[:, 0] + high @ model.b[n_low:]
        return bias + softplus(z).sum(axis=1), z
    low = all_states(n_low)
    if isinstance(model, GRBM):
        z = subset_sums(model.W.T[:n_low])
        z += (high[:, None] * model.W.T[n_low:]).sum(axis=0)
        bias = subset_sums(model.b[:n_low, None])[:, 0] + high @ model.b[n_low:]
        gain = (z * (model.mu + 0.5 * z) / model.variance).sum(axis=1)
        return bias + gain + model.log_gaussian, low
    within = -BoltzmannMachine(model.J[:n_low, :n_low], model.c[:n_low]).joint_energy(low)
    above = -BoltzmannMachine(model.J[n_low:, n_low:], model.c[n_low:]).joint_energy(high[None])[0]
    return within + low @ (model.J[:n_low, n_low:] @ high) + above, low


def high_bits(block: int, n: int) -> np.ndarray:
    """The n bits of a block's number, (n,)."""
    return np.array([block >> j & 1 for j in range(n)], dtype=np.float64)


# Running and merging --------------------------------------------------------------------------------------------------


def run_shards(shards: Shards, n_pieces: int, executor: Executor | None, progress: bool) -> np.ndarray:
    """All (m, s) pairs in the order of the shards; in pieces, so that Ctrl-C and the bar come through."""
    n, function = shards
    return np.concatenate(run_pieces(function, n, n_pieces, "log Z", executor, progress))


def merge(pairs: np.ndarray) -> float:
    """log sum_k s_k exp(m_k), summed without rounding error."""
    m = float(pairs[:, 0].max())
    return m + math.log(math.fsum(s * math.exp(k - m) for k, s in pairs))
