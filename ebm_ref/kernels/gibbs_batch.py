"""Block Gibbs on chains side by side: the rows of kernels/gibbs.block_sweeps, bit for bit, in full vector registers.

Layers stand unit by unit, (units, width): one row holds a unit in ``width`` chains, which are neighbours in memory, so
every inner loop runs over chains and no chain sees another.
(1) Z_j = bias_j + sum_i W_ij S_i, in the order of i, by kernels/panels.  States are 0 or 1, so a product is exact and a
    multiply-add rounds as the addition of a row does.
(2) The first words of four units in all chains by one loop over Philox.
(3) u < sigmoid(z) where  gap = u (1 + e) - (1 if z >= 0 else e) < 0,  e = exp(-|z|), in single precision.  Its error is
    below MARGIN / 8; where |gap| is less than the margin, the exact rule of maths/philox decides.
(4) Double precision at the price of single: Z is summed in float32, which errs by at most d_j = 2^-24 times
        |bias_j| + sum_i |W_ij| + sum_k max(|bias_j + P_kj|, |bias_j - N_kj|),
    P_kj and N_kj the sums of the positive and of the negative W_ij, i <= k: roundings of the numbers and of every sum
    on the way.  |dgap/dz| <= 1, so the sign of the gap is right beyond MARGIN + d; within it the sum is done again in
    float64, whose own rounding is 2^-29 of that.
"""

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.kernels.panels import COLUMNS, UNITS, add_products
from ebm_ref.maths.activations import exp_minus_roughly
from ebm_ref.maths.philox import LOW32, S32, bernoulli, philox4x32_inlined
from ebm_ref.maths.scalars import sigmoid

WIDEST, LINE = 64, 8  # chains of a block at most; float64 in a cache line
MARGIN, WIDEST_MARGIN = 2.0**-18, 2.0**-7  # beyond the second, sums done again cost more than double precision
ZERO, ONE, TWO_MINUS_24, S8 = np.float32(0.0), np.float32(1.0), np.float32(2.0**-24), np.uint32(8)
FAR, CLOSE = np.int32(0), np.int32(1)
FIRST = np.int64(0)


def fill_words(words, block, chain, c2, c3, k0, k1):
    """(2) words[lane, c]: unit 4 block + lane of chain ``chain`` + c."""
    for c in range(words.shape[1]):
        w0, w1, w2, w3 = philox4x32_inlined(block, chain + np.uint64(c), c2, c3, k0 & LOW32, k1 & LOW32)
        words[0, c] = w0
        words[1, c] = w1
        words[2, c] = w2
        words[3, c] = w3


def gap(z, first):
    """(3), float32; ``first`` is the first word of u."""
    z = np.float32(z)
    e = exp_minus_roughly(abs(z))
    u = np.float32(np.int32(np.uint32(first) >> S8)) * TWO_MINUS_24
    return np.float32(u * (ONE + e) - (ONE if z >= ZERO else e))


fill_words = jit(fill_words)
gap = jit(gap, flags=("contract",), inlined=True)


def draw_quickly(states, logits, words, margin):
    """(3) for all; CLOSE if any lies within the margin."""
    close = FAR
    for c in range(len(states)):
        g = gap(logits[c], words[c])
        states[c] = ONE if g < ZERO else ZERO
        close = np.int32(close | (CLOSE if abs(g) < margin else FAR))
    return close


def settle(states, logits, words, margin, given, weights, bias, unit, chain, step, purpose, k0, k1):
    """The exact rule for those of one unit that are close; weights, if any, are those of its sum in float64, (4)."""
    for c in range(len(states)):
        if abs(gap(logits[c], words[c])) < margin:
            z = np.float64(logits[c])
            if len(weights):
                z = bias
                for i in range(len(weights)):
                    z += weights[i] if given[i, c] == ONE else 0.0
            states[c] = bernoulli(sigmoid(z), np.uint64(words[c]), unit, chain + np.uint64(c), step, purpose, k0, k1)


draw_quickly = jit(draw_quickly, flags=("contract",))
settle = jit(settle)


def draw_layer(S, Z, given, tiles, bias, weights, margin, free, first_unit, words, chain, step, purpose, k0, k1):
    """S ~ p(layer | given); unit ``first_unit`` + j has its address.  Z and words are scratch.

    weights (units, n): row j is summed again where float32 does not decide; (units, 0) where Z decides.
    """
    n, width = len(bias), Z.shape[1]
    margin = np.float32(margin)
    for j in range(n):
        for c in range(width):
            Z[j, c] = bias[j]
    add_products(Z, given, tiles)
    s, z, w = S.ravel(), Z.ravel(), words.ravel()
    c3 = purpose | ((step >> S32) << np.uint64(16))
    for block in range(first_unit >> 2, (first_unit + n + 3) >> 2):
        fill_words(words, np.uint64(block), chain, step & LOW32, c3, k0, k1)
        start, stop = max(4 * block - first_unit, 0), min(4 * block + 4 - first_unit, n)
        offset = first_unit - 4 * block
        moving = True
        for j in range(start, stop):
            moving &= free[j]
        run = stop - start if moving else 1  # neighbours are drawn in one loop
        for j in range(start, stop, run):
            here, there = slice(j * width, (j + run) * width), slice((j + offset) * width, (j + run + offset) * width)
            if free[j] and draw_quickly(s[here], z[here], w[there], margin):
                for k in range(j, j + run):
                    unit = np.uint64(first_unit + k)
                    settle(
                        S[k], Z[k], words[k + offset], margin, given, weights[k], bias[k], unit, chain, step, purpose,
                        k0, k1,
                    )  # fmt: skip


draw_layer = jit(draw_layer)


def to_columns(S, rows, offset, n):
    """S[i, c] = rows[c, offset + i] of n chains; whether any is neither 0 nor 1.  A cache line of a row at a time."""
    units = S.shape[0]
    odd = FAR
    for line in range(0, units, LINE):
        for i in range(line, min(line + LINE, units)):
            for c in range(n):
                s = rows[c, offset + i]
                S[i, c] = s
                odd = np.int32(odd | (FAR if s == 0.0 or s == 1.0 else CLOSE))
    return odd


def to_rows(rows, S, offset, n):
    """The inverse of ``to_columns``."""
    units = S.shape[0]
    for line in range(0, units, LINE):
        for c in range(n):
            for i in range(line, min(line + LINE, units)):
                rows[c, offset + i] = S[i, c]


to_columns = jit(to_columns)
to_rows = jit(to_rows)


def batch_sweeps(
    block, width, states, out, left, to_hidden, to_visible, a, b, for_hidden, for_visible, margins, free, address,
    start, n_steps,
):  # fmt: skip
    """n_steps of block Gibbs from ``states`` to ``out`` (chains, nv + nh), for the block's ``width`` chains.

    to_hidden, to_visible: W and W' as panels.tiles packs them; their precision is that of the sums.
    for_hidden, for_visible: W' and W in float64, for (4); then ``left[block]`` is set, and nothing done, where a state
    is neither 0 nor 1.  Without rows of weights the sums decide, and any number may stand in a state.
    """
    nv, nh = len(a), len(b)
    first = block * width
    n = min(width, len(states) - first)
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(first)
    X = np.zeros((UNITS * len(to_visible), width), to_visible.dtype)
    H = np.zeros((UNITS * len(to_hidden), width), to_hidden.dtype)
    Z = np.zeros((max(len(X), len(H)), width), to_hidden.dtype)
    words = np.empty((4, width), np.uint32)
    rows = states[first : first + n]
    odd = to_columns(X[:nv], rows, FIRST, n) | to_columns(H[:nh], rows, nv, n)
    left[block] = odd != FAR and for_hidden.shape[1] > 0
    for t in range(0 if left[block] else n_steps):
        step = start + np.uint64(t)
        draw_layer(
            H, Z[: len(H)], X[:nv], to_hidden, b, for_hidden, margins[1], free[nv:], nv, words, chain, step, purpose,
            k0, k1,
        )  # fmt: skip
        draw_layer(
            X, Z[: len(X)], H[:nh], to_visible, a, for_visible, margins[0], free[:nv], FIRST, words, chain, step,
            purpose, k0, k1,
        )  # fmt: skip
    to_rows(out[first : first + n], X[:nv], FIRST, n)
    to_rows(out[first : first + n], H[:nh], nv, n)


run_batch_sweeps = over_chains(batch_sweeps)


def prepare(W, bias, tiles, transposed, scratch):
    """W (terms, units) into ``tiles`` and W' into ``transposed``; the largest d_j of (4).  scratch (3, units)."""
    size, highest, lowest = scratch[0], scratch[1], scratch[2]
    on_the_way = np.zeros(len(bias))
    for j in range(len(bias)):
        size[j], highest[j], lowest[j] = abs(bias[j]), bias[j], bias[j]
    for i in range(len(W)):
        row = W[i]
        for j in range(len(bias)):
            w = row[j]
            tiles[j // UNITS, i, j % UNITS] = w
            transposed[j, i] = w
            size[j] += abs(w)
            highest[j] += w if w > 0.0 else 0.0
            lowest[j] += w if w < 0.0 else 0.0
            on_the_way[j] += max(abs(highest[j]), abs(lowest[j]))
    largest = 0.0
    for j in range(len(bias)):
        largest = max(largest, size[j] + on_the_way[j])
    return 1.01 * 2.0**-24 * largest


prepare = jit(prepare)


def prepared(W: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(W in float32 as panels.tiles packs it, W', d): what (4) needs of a layer with weights W (terms, units)."""
    terms, units = W.shape
    tiles, transposed = np.zeros((-(-units // UNITS), terms, UNITS), np.float32), np.empty((units, terms))
    d = prepare(W, bias, tiles, transposed, np.empty((3, units)))
    transposed.flags.writeable = False
    return tiles, transposed, d


def block_width(n_chains: int, n_threads: int) -> int:
    """Chains of a block: wide, yet as many blocks for each thread.  No chain's numbers depend on it."""
    n_threads = min(n_threads, -(-n_chains // (2 * COLUMNS)))
    n_blocks = n_threads * -(-n_chains // (max(n_threads, 1) * WIDEST))
    return COLUMNS * -(-n_chains // (COLUMNS * max(n_blocks, 1)))
