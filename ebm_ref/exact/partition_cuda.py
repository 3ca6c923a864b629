"""log Z by enumeration on a card: the shards of exact/partition, run by kernels/cuda/enumeration.

The hidden bits from the lowest: low bits, high bits, bits that number the shards.  The tables of the low and the high
words stay on the card, TABLE_BYTES each at most so that its cache holds them; a piece of the sum brings the factors of
its own shards.  Boltzmann machines, and models that are not safe in product form, go by Gray code, a thread per shard.
The times are estimates from a card's arithmetic rate: no card was at hand to measure them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ebm_ref.errors import BackendError, DomainError, ModelTooLargeError
from ebm_ref.exact.partition import SAFE_LOGIT, Shards, enumerated, merge, run_shards
from ebm_ref.kernels.cuda import driver
from ebm_ref.kernels.cuda import enumeration as kernels
from ebm_ref.kernels.enumeration import LN2, LOG2E
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.rbm import RBM, softplus
from ebm_ref.models.states import subset_sums

TABLE_BYTES = 1 << 24
MAX_LOW_BITS, MAX_HIGH_BITS = 14, 12
MAX_GRAY_SHARD_BITS, LEAST_GRAY_BITS = 15, 8
NANOSECONDS = {True: 5e-4, False: 3e-2}  # by product or not, per state and unit, rough
SECONDS_PER_PIECE = 0.5
MAX_BIAS = 1e8  # exponents have 32 bits on the card
MAX_SHARDS_PER_PIECE = 1024


def log_partition_on_card(
    model: RBM | BoltzmannMachine | GRBM, method: str, executor: Any, progress: bool, max_seconds: float
) -> float:
    """log Z in nats; ``method`` is "product" (an RBM that is safe in it) or "gray"."""
    if executor is not None:
        raise DomainError("executor: expected None with device='cuda', one card runs all shards")
    if method == "vectorized":
        raise DomainError("method='vectorized': runs on the CPU only; use method='auto' or device='cpu'")
    if isinstance(model, GRBM):
        raise BackendError(
            f"device='cuda': method={method!r} of a GRBM runs on the CPU only; use method='product' or device='cpu'"
        )
    n, units = enumerated(model)
    by_product = method == "product" and isinstance(model, RBM) and np.abs(model.b).sum() < MAX_BIAS
    seconds = math.ldexp((units + 20) * NANOSECONDS[by_product] * 1e-9, n) if n < 1000 else math.inf
    if seconds > max_seconds:
        raise ModelTooLargeError(
            f"log_partition: 2**{n} states, about {seconds / 3600:.3g} h on a card; use ais_log_partition (RBM, GRBM),"
            f" or raise max_seconds={max_seconds:g}"
        )
    n_pieces = math.ceil(seconds / SECONDS_PER_PIECE)
    if by_product:
        assert isinstance(model, RBM)
        shards = product_shards(model)
        return merge(run_shards(shards, max(n_pieces, -(-shards[0] // MAX_SHARDS_PER_PIECE)), None, progress))
    return merge(run_shards(gray_shards(model), n_pieces, None, progress))  # its shards are threads


def layout(n: int, units: int) -> tuple[int, int, int]:
    """(low bits, high bits, bits that number shards) of n hidden bits."""
    fits = int(math.log2(TABLE_BYTES / (8 * units)))
    n_low = min(n, MAX_LOW_BITS, fits)
    n_high = min(n - n_low, MAX_HIGH_BITS, fits)
    return n_low, n_high, n - n_low - n_high


def product_shards(model: RBM) -> Shards:
    """The sum in product form; units are padded with ones that never switch on."""
    padding = -model.n_visible % kernels.UNITS
    WT = np.pad(model.W.T, ((0, 0), (0, padding)))
    a = np.pad(model.a, (0, padding), constant_values=-np.inf)
    n_low, n_high, n_shard = layout(model.n_hidden, len(a))
    renormalise = np.zeros(len(a) // 4, dtype=bool)
    renormalise[groups(model, len(a)) // 4 - 1] = True
    top = n_low + n_high
    low, high = word_tables(WT[:n_low], model.b[:n_low]), word_tables(WT[n_low:top], model.b[n_low:top])
    tables = [driver.upload(array) for array in (high[0], low[0], *high[1:], *low[1:], renormalise)]
    return 2**n_shard, partial(_product, a, WT[top:], model.b[top:], tables)


def groups(model: RBM, n_padded: int) -> np.ndarray:
    """Ends of the longest groups of units, multiples of four, whose product of 1 + exp(z_i) stays below 2^1000."""
    most = np.zeros(n_padded)
    most[: model.n_visible] = softplus(model.a + np.maximum(model.W, 0).sum(axis=1)) + 1e-9
    ends, room = [], SAFE_LOGIT
    for i in range(0, n_padded, 4):
        growth = most[i : i + 4].sum()
        if growth > room:
            ends.append(i)
            room = SAFE_LOGIT
        room -= growth
    return np.array([*ends, n_padded], dtype=np.int64)


def scaled_exp(lin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """exp(lin) = factor 2^exponent."""
    whole = np.floor(lin * LOG2E)
    return np.exp(lin - whole * LN2), whole.astype(np.int32)


def word_tables(WT: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """exp((W h)_i) (units, words) of all words h, and e^{b.h} as factor and exponent; padded to whole blocks."""
    factor, exponent = scaled_exp(subset_sums(b[:, None])[:, 0])
    padding = -len(factor) % kernels.WORDS
    table = np.pad(np.exp(subset_sums(WT)), ((0, padding), (0, 0)), constant_values=1.0)
    exponent = np.pad(exponent, (0, padding), constant_values=2 * kernels.LOWEST)
    return np.ascontiguousarray(table.T), np.pad(factor, (0, padding)), exponent


def _product(a: np.ndarray, WT: np.ndarray, b: np.ndarray, tables: list, first: int, count: int) -> np.ndarray:
    """(m, s) of shards first, ..., first + count - 1;  WT (n_shard, units) and b (n_shard,) of the bits that number."""
    z, lin = np.tile(a, (count, 1)), np.zeros(count)
    for j in range(len(b)):
        on = (np.arange(first, first + count) >> j & 1).astype(np.float64)
        z += on[:, None] * WT[j]
        lin += on * b[j]
    A, B, A_factor, A_exponent, B_factor, B_exponent, renormalise = tables
    n_blocks = A.shape[1] // kernels.WORDS
    out = driver.empty((count, n_blocks, 2))
    factor, exponent = scaled_exp(lin)
    of_shards = [driver.upload(array) for array in (np.exp(z), factor, exponent)]
    driver.launch(
        kernels.product_kernel, (n_blocks, count), (kernels.SIDE, kernels.SIDE), out,
        of_shards[0], A, B, *of_shards[1:], A_factor, A_exponent, B_factor, B_exponent, renormalise,
    )  # fmt: skip
    return np.array([_sum_of(pairs) for pairs in out.copy_to_host()])


def _sum_of(pairs: np.ndarray) -> tuple[float, float]:
    """(m, s) of the blocks of a shard together."""
    m = pairs[:, 0].max()
    return float(m), math.fsum((pairs[:, 1] * np.exp(pairs[:, 0] - m)).tolist())


def gray_shards(model: RBM | BoltzmannMachine) -> Shards:
    """The sum by Gray code, the same body as on the CPU."""
    n, _ = enumerated(model)
    shard_bits = max(0, min(MAX_GRAY_SHARD_BITS, n - LEAST_GRAY_BITS))
    return 2**shard_bits, partial(_gray, model, n - shard_bits)


def _gray(model: RBM | BoltzmannMachine, n_low: int, first: int, count: int) -> np.ndarray:
    out = np.empty((count, 2))
    if isinstance(model, RBM):
        scratch = np.empty((count, model.n_visible))
        kernels.run_layer_gray(count, first, out, scratch, model.W.T, model.a, model.b, n_low)
    else:
        scratch = np.empty((count, model.n_units))
        kernels.run_machine_gray(count, first, out, scratch, model.J, model.c, n_low)
    return out
