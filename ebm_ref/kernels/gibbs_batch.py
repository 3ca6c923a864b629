"""Block Gibbs on chains side by side: the rows of kernels/gibbs.block_sweeps, bit for bit, in full vector registers.

Layers stand unit by unit, (units, width): one row holds a unit in ``width`` chains, which are neighbours in memory, so
every inner loop runs over chains and no chain sees another.  Units are padded with zeros to multiples of four.
(1) Z_j = bias_j + sum_i W_ij S_i, in the order of i:  four i and four j at a time, so 16 multiply-adds share 12 loads
    and stores.  States are 0 or 1, so a product is exact and a multiply-add rounds as the addition of a row does.
(2) The first words of four units in all chains by one loop over Philox.
(3) u < sigmoid(z) where u (1 + e) < (1 if z >= 0 else e), e = exp(-|z|), in single precision.  Its error is below
    MARGIN / 8; where the two sides are nearer than MARGIN (about once in 10^5), the exact rule of maths/philox decides.
"""

import numpy as np

from ebm_ref.compile import jit, over_chains
from ebm_ref.maths.activations import exp_minus_single
from ebm_ref.maths.philox import LOW32, S32, bernoulli, philox4x32_inlined
from ebm_ref.maths.scalars import sigmoid

LANES, WIDEST = 16, 64  # chains of a block: a multiple of LANES, at most WIDEST
MARGIN = np.float32(2.0**-18)
ZERO, ONE, TWO_MINUS_32 = np.float32(0.0), np.float32(1.0), np.float32(2.0**-32)


def pack(W, transposed, tiles):
    """tiles[g, k, i, j] = W[4k + i, 4g + j], or of W' where ``transposed``; zero outside."""
    n_groups, n_steps = tiles.shape[:2]
    for g in range(n_groups):
        for k in range(n_steps):
            for i in range(4 * k, 4 * k + 4):
                for j in range(4 * g, 4 * g + 4):
                    row, column = (j, i) if transposed else (i, j)
                    inside = row < W.shape[0] and column < W.shape[1]
                    tiles[g, k, i - 4 * k, j - 4 * g] = W[row, column] if inside else 0.0


def add_tiles(Z, S, tiles):
    """(1) Z[4g + j] += tiles[g, k, i, j] S[4k + i], k and i in order."""
    for g in range(len(tiles)):
        z0, z1, z2, z3 = Z[4 * g], Z[4 * g + 1], Z[4 * g + 2], Z[4 * g + 3]
        for k in range(tiles.shape[1]):
            w = tiles[g, k]
            p0, p1, p2, p3 = w[0, 0], w[0, 1], w[0, 2], w[0, 3]
            q0, q1, q2, q3 = w[1, 0], w[1, 1], w[1, 2], w[1, 3]
            r0, r1, r2, r3 = w[2, 0], w[2, 1], w[2, 2], w[2, 3]
            t0, t1, t2, t3 = w[3, 0], w[3, 1], w[3, 2], w[3, 3]
            s0, s1, s2, s3 = S[4 * k], S[4 * k + 1], S[4 * k + 2], S[4 * k + 3]
            for c in range(len(z0)):
                p, q, r, t = s0[c], s1[c], s2[c], s3[c]
                z0[c] = (((z0[c] + p0 * p) + q0 * q) + r0 * r) + t0 * t
                z1[c] = (((z1[c] + p1 * p) + q1 * q) + r1 * r) + t1 * t
                z2[c] = (((z2[c] + p2 * p) + q2 * q) + r2 * r) + t2 * t
                z3[c] = (((z3[c] + p3 * p) + q3 * q) + r3 * r) + t3 * t


def fill_words(words, block, chain, c2, c3, k0, k1):
    """(2) words[lane, c]: unit 4 block + lane of chain ``chain`` + c."""
    for c in range(words.shape[1]):
        w0, w1, w2, w3 = philox4x32_inlined(block, chain + np.uint64(c), c2, c3, k0 & LOW32, k1 & LOW32)
        words[0, c] = w0
        words[1, c] = w1
        words[2, c] = w2
        words[3, c] = w3


def gap(z, first):
    """(3) left side minus right side, float32; ``first`` is the first word of u."""
    z = np.float32(z)
    e = exp_minus_single(abs(z))
    return np.float32(np.float32(first) * TWO_MINUS_32 * (ONE + e) - (ONE if z >= ZERO else e))


pack = jit(pack)
add_tiles = jit(add_tiles, flags=("contract",))  # a fused multiply-add: exact products, see (1)
fill_words = jit(fill_words)
gap = jit(gap, inlined=True)


def draw_unit(states, logits, words, unit, chain, step, purpose, k0, k1):
    """states[c] ~ Bernoulli(sigmoid(logits[c])), one unit in all chains; ``words`` are its first words."""
    n_close = 0
    for c in range(len(states)):
        g = gap(logits[c], words[c])
        states[c] = g < ZERO
        n_close += abs(g) < MARGIN
    if n_close:
        for c in range(len(states)):
            if abs(gap(logits[c], words[c])) < MARGIN:
                p = sigmoid(np.float64(logits[c]))
                states[c] = bernoulli(p, np.uint64(words[c]), unit, chain + np.uint64(c), step, purpose, k0, k1)


draw_unit = jit(draw_unit)


def draw_layer(S, Z, given, tiles, bias, free, first_unit, words, chain, step, purpose, k0, k1):
    """S ~ p(layer | given); unit ``first_unit`` + j has its address.  Z and words are scratch."""
    n = len(bias)
    for j in range(n):
        for c in range(Z.shape[1]):
            Z[j, c] = bias[j]
    add_tiles(Z, given, tiles)
    c3 = purpose | ((step >> S32) << np.uint64(16))
    for block in range(first_unit >> 2, (first_unit + n + 3) >> 2):
        fill_words(words, np.uint64(block), chain, step & LOW32, c3, k0, k1)
        for lane in range(4):
            j = 4 * block + lane - first_unit
            if 0 <= j < n and free[j]:
                draw_unit(S[j], Z[j], words[lane], np.uint64(4 * block + lane), chain, step, purpose, k0, k1)


draw_layer = jit(draw_layer)


def batch_sweeps(block, width, states, out, to_hidden, to_visible, a, b, free, address, start, n_steps):
    """n_steps of block Gibbs from ``states`` to ``out`` (chains, nv + nh), for the block's ``width`` chains.

    to_hidden, to_visible: W and W' as ``tiles`` packs them; their precision is that of the sums.
    """
    nv, nh = len(a), len(b)
    first = block * width
    n = min(width, len(states) - first)
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(first)
    X = np.zeros((4 * len(to_visible), width), to_visible.dtype)
    H = np.zeros((4 * len(to_hidden), width), to_hidden.dtype)
    Z = np.zeros((max(len(X), len(H)), width), to_hidden.dtype)
    words = np.empty((4, width), np.uint32)
    for c in range(n):
        for i in range(nv):
            X[i, c] = states[first + c, i]
        for j in range(nh):
            H[j, c] = states[first + c, nv + j]
    for t in range(n_steps):
        step = start + np.uint64(t)
        draw_layer(H, Z, X, to_hidden, b, free[nv:], nv, words, chain, step, purpose, k0, k1)
        draw_layer(X, Z, H, to_visible, a, free[:nv], 0, words, chain, step, purpose, k0, k1)
    for c in range(n):
        for i in range(nv):
            out[first + c, i] = X[i, c]
        for j in range(nh):
            out[first + c, nv + j] = H[j, c]


run_batch_sweeps = over_chains(batch_sweeps)


def tiles(W: np.ndarray, dtype: str, transposed: bool = False) -> np.ndarray:
    """W or W' in tiles of four by four, in the order in which (1) reads them."""
    rows, columns = W.shape[::-1] if transposed else W.shape
    packed = np.empty((-(-columns // 4), -(-rows // 4), 4, 4), dtype)
    pack(W, transposed, packed)
    return packed


def block_width(n_chains: int, n_threads: int) -> int:
    """Chains of a block: wide, yet a block for each thread.  No chain's numbers depend on it."""
    n_blocks = max(-(-n_chains // WIDEST), min(n_threads, -(-n_chains // LANES)))
    return LANES * -(-n_chains // (LANES * max(n_blocks, 1)))
