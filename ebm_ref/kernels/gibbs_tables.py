"""Block Gibbs on binary layers by tables of partial sums: the rows of kernels/gibbs.block_sweeps, bit for bit.

States are 0 or 1, so four units of a layer add one of only 16 numbers to a field.   [Arlazarov et al. 1970]
A *block* is four units with one Philox counter (addresses 4k, ..., 4k + 3), their states the low bits of a byte; a
*tile* is eight blocks, 32 units, a word of 64 bits in each chain.  In a tile the fields of the units with equal places
in their blocks stand together: place p, block k is number 8 p + k.  The word of a chain selects eight rows of a table:
(1) T_k[s] = ((s_0 w_0 + s_1 w_1) + s_2 w_2) + s_3 w_3  for each block k of the tile of given units, 32 fields at once
(2) z <- z + T_k[s_k],  k in order, starting from the bias: one vector addition for 32 products
(3) u < sigmoid(z) where gap(z, u) < 0, and (4) the bound on its error, as in kernels/gibbs_batch, but with
        d_j = 2^-24 (|bias_j| + 4 sum_i |W_ij| + sum_k max(|bias_j + P_kj|, |bias_j - N_kj|)),
    P_kj and N_kj the sums of the positive and of the negative W_ij in blocks 0, ..., k: the numbers are rounded once,
    a row of a table errs by at most three roundings of its sum of absolute values, and every addition (2) rounds once.
"""

import numpy as np

from ebm_ref.compile import jit, over_chains, vector_code
from ebm_ref.kernels.gibbs_batch import gap
from ebm_ref.maths.philox import LOW32, S32, bernoulli, philox4x32_inlined
from ebm_ref.maths.scalars import sigmoid

BLOCKS, PLACES = 8, 4  # of a tile; of a block
UNITS = BLOCKS * PLACES
AT_ONCE = 64  # chains whose words are drawn at once
ZERO = np.float32(0.0)
CLOSE = np.uint64(0xF0F0F0F0F0F0F0F0)
U1, U3, U4, U7, U8 = (np.uint64(n) for n in (1, 3, 4, 7, 8))


def fill_table(T, w):
    """(1); T (8, 16, 32) and w (8, 4, 32) as flat arrays."""
    for k in range(BLOCKS):
        t, rows = T[512 * k : 512 * (k + 1)], w[128 * k : 128 * (k + 1)]
        for j in range(UNITS):
            w0, w1, w2, w3 = rows[j], rows[32 + j], rows[64 + j], rows[96 + j]
            w01, w02, w12 = w0 + w1, w0 + w2, w1 + w2
            w012 = w01 + w2
            t[j] = ZERO
            t[32 + j] = w0
            t[64 + j] = w1
            t[96 + j] = w01
            t[128 + j] = w2
            t[160 + j] = w02
            t[192 + j] = w12
            t[224 + j] = w012
            t[256 + j] = w3
            t[288 + j] = w0 + w3
            t[320 + j] = w1 + w3
            t[352 + j] = w01 + w3
            t[384 + j] = w2 + w3
            t[416 + j] = w02 + w3
            t[448 + j] = w12 + w3
            t[480 + j] = w012 + w3


def add_rows_code(builder, element, bits, Z, T, S, c, width, n, stride):
    """(2) in LLVM: the four sums of a chain stay in registers."""
    from llvmlite import ir

    i64 = ir.IntType(64)
    vector = ir.VectorType(element, BLOCKS)

    def at(base, index):
        return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

    def load(pointer):
        value = builder.load(pointer)
        value.align = 4
        return value

    before, (loop, end) = builder.block, map(builder.append_basic_block, ("chain", "end"))
    builder.cbranch(builder.icmp_signed("<", i64(0), width), loop, end)
    builder.position_at_end(loop)
    i = builder.phi(i64)
    word = builder.load(builder.gep(S, [builder.lshr(i, i64(3))]))
    targets = [at(Z, builder.add(builder.mul(width, i64(p)), i)) for p in range(PLACES)]
    sums = [load(target) for target in targets]
    for k in range(BLOCKS):
        shift = 8 * k - 5
        moved = builder.lshr(word, i64(shift)) if shift > 0 else builder.shl(word, i64(-shift))
        row = builder.and_(moved, i64(15 * UNITS))
        base = builder.gep(T, [row])
        sums = [
            builder.fadd(sums[p], load(at(base, i64(16 * UNITS * k + BLOCKS * p)))) for p in range(PLACES)
        ]
    for target, value in zip(targets, sums, strict=True):
        builder.store(value, target).align = 4
    following = builder.add(i, i64(BLOCKS))
    i.add_incoming(i64(0), before)
    i.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, width), loop, end)
    builder.position_at_end(end)


def add_rows_twin(Z, T, S, c):
    """(2) in NumPy: Z (4, 8 chains), T (8, 16, 32), S (1, chains)."""
    T = T.reshape(BLOCKS, 16, PLACES, BLOCKS)
    z = Z.reshape(PLACES, -1, BLOCKS)
    for k in range(BLOCKS):
        s = (S[0] >> np.uint64(8 * k)).astype(np.int64) & 15
        z += T[k, s].transpose(1, 0, 2)


add_rows = vector_code(add_rows_code, add_rows_twin)
fill_table = jit(fill_table)


def fill_words(words, n_words, block, chain, c2, c3, k0, k1):
    """words[p, 8 c + k]: first word of place p in block ``block`` + k of chain ``chain`` + c."""
    a0, a1, a2, a3 = words[0], words[1], words[2], words[3]
    for i in range(n_words):
        n = np.uint64(i)
        w0, w1, w2, w3 = philox4x32_inlined(block + (n & U7), chain + (n >> U3), c2, c3, k0 & LOW32, k1 & LOW32)
        a0[i] = w0
        a1[i] = w1
        a2[i] = w2
        a3[i] = w3


def draw_bytes(drawn, Z, start, words, margin):
    """(3): the states of the four units of a block in the low bits, what is within the margin in the high ones."""
    z0, z1, z2, z3 = Z[0][start:], Z[1][start:], Z[2][start:], Z[3][start:]
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    for i in range(len(drawn)):
        g0, g1, g2, g3 = gap(z0[i], w0[i]), gap(z1[i], w1[i]), gap(z2[i], w2[i]), gap(z3[i], w3[i])
        on = (np.int32(g0 < ZERO)) | (np.int32(g1 < ZERO) << 1) | (np.int32(g2 < ZERO) << 2) | (np.int32(g3 < ZERO) << 3)
        close = (
            (np.int32(abs(g0) < margin) << 4) | (np.int32(abs(g1) < margin) << 5) | (np.int32(abs(g2) < margin) << 6)
            | (np.int32(abs(g3) < margin) << 7)
        )
        drawn[i] = on | close


fill_words = jit(fill_words)
draw_bytes = jit(draw_bytes, flags=("contract",))


def exact_field(S, c, first_unit, bias, weights):
    """bias + sum_i weights_i s_i in float64, in the order of i; given unit i is at address first_unit + i."""
    z = bias
    shift = first_unit - 4 * (first_unit >> 2)
    for i in range(len(weights)):
        n = np.uint64(i + shift)
        bit = (S[(i + shift) // UNITS, c] >> (((n >> np.uint64(2)) & U7) * U8 + (n & U3))) & U1
        z += weights[i] if bit else 0.0
    return z


exact_field = jit(exact_field)


def settle(word, flags, tile, c, given, given_first, Z, layer, chain, step, purpose, k0, k1):
    """The exact rule for the units of a chain's word that are close."""
    first_unit, bias, weights = layer.first_unit, layer.exact_bias, layer.exact_weights
    base = 4 * (first_unit >> 2) + tile * UNITS
    for k in range(BLOCKS):
        for p in range(PLACES):
            if (flags >> np.uint64(8 * k + p + 4)) & U1:
                j = base + 4 * k + p - first_unit
                unit = np.uint64(first_unit + j)
                if weights.shape[1]:
                    z = exact_field(given, c, given_first, bias[j], weights[j])
                else:
                    z = np.float64(Z[p, 8 * c + k])
                c3 = purpose | ((step >> S32) << np.uint64(16))
                w0, w1, w2, w3 = philox4x32(unit >> np.uint64(2), chain, step & LOW32, c3, k0, k1)
                first = w0 if p == 0 else w1 if p == 1 else w2 if p == 2 else w3
                s = bernoulli(sigmoid(z), first, unit, chain, step, purpose, k0, k1)
                mask = U1 << np.uint64(8 * k + p)
                word = (word | mask) if s == 1.0 else (word & ~mask)
    return word


from ebm_ref.maths.philox import philox4x32

settle = jit(settle)


def draw_tile(S, drawn, Z, words, tile, given, given_first, layer, chain, step, purpose, k0, k1):
    """S[tile] ~ p(units | given)."""
    width = S.shape[1]
    c3 = purpose | ((step >> S32) << np.uint64(16))
    block = np.uint64((layer.first_unit >> 2) + BLOCKS * tile)
    margin, free = np.float32(layer.margin), layer.free[tile]
    for start in range(0, width, AT_ONCE):
        stop = min(start + AT_ONCE, width)
        d = drawn[: 8 * (stop - start)]
        fill_words(words, len(d), block, chain + np.uint64(start), step & LOW32, c3, k0, k1)
        draw_bytes(d, Z, 8 * start, words, margin)
        d64 = d.view(np.uint64)
        s = S[tile, start:stop]
        for c in range(stop - start):
            new = d64[c]
            flags = new & CLOSE & (free << U4)
            if flags:
                new = settle(
                    new, flags, tile, start + c, given, given_first, Z, layer, chain + np.uint64(start + c), step,
                    purpose, k0, k1,
                )
            s[c] = (new & free) | (s[c] & ~free)


draw_tile = jit(draw_tile)


def draw_layer(S, given, given_first, layer, T, Z, drawn, words, chain, step, purpose, k0, k1):
    """S ~ p(layer | given)."""
    tiles = layer.tiles
    T2 = T.reshape(128, 32)
    for tile in range(len(tiles)):
        bias = layer.bias[tile]
        for p in range(PLACES):
            z, b = Z[p], bias[8 * p : 8 * p + 8]
            for c in range(0, len(z), 8):
                for k in range(BLOCKS):
                    z[c + k] = b[k]
        for g in range(tiles.shape[1]):
            fill_table(T, tiles[tile, g].ravel())
            add_rows(Z, T2, given[g : g + 1], 0)
        draw_tile(S, drawn, Z, words, tile, given, given_first, layer, chain, step, purpose, k0, k1)


draw_layer = jit(draw_layer)


def to_words(S, rows, first_unit):
    """Rows of one layer as words; whether any state is neither 0 nor 1."""
    shift = first_unit - 4 * (first_unit >> 2)
    odd = False
    for c in range(len(rows)):
        row = rows[c]
        for tile in range(len(S)):
            word = np.uint64(0)
            lo = max(tile * UNITS - shift, 0)
            for i in range(lo, min((tile + 1) * UNITS - shift, len(row))):
                s = row[i]
                odd |= not (s == 0.0 or s == 1.0)
                n = np.uint64(i + shift)
                word |= np.uint64(s == 1.0) << (((n >> np.uint64(2)) & U7) * U8 + (n & U3))
            S[tile, c] = word
    return odd


def to_rows(rows, S, first_unit):
    """The inverse."""
    shift = first_unit - 4 * (first_unit >> 2)
    for c in range(len(rows)):
        row = rows[c]
        for tile in range(len(S)):
            word = S[tile, c]
            lo = max(tile * UNITS - shift, 0)
            for i in range(lo, min((tile + 1) * UNITS - shift, len(row))):
                n = np.uint64(i + shift)
                row[i] = np.float64((word >> (((n >> np.uint64(2)) & U7) * U8 + (n & U3))) & U1)


to_words = jit(to_words)
to_rows = jit(to_rows)


def table_sweeps(block, width, states, out, left, visible, hidden, address, start, n_steps):
    """n_steps of block Gibbs from ``states`` to ``out`` (chains, nv + nh), for the block's ``width`` chains."""
    nv = hidden.first_unit
    first = block * width
    n = min(width, len(states) - first)
    purpose, k0, k1, chain = address[0], address[1], address[2], address[3] + np.uint64(first)
    X, H = np.empty((len(visible.tiles), n), np.uint64), np.empty((len(hidden.tiles), n), np.uint64)
    T, Z = np.empty(16 * 8 * UNITS, np.float32), np.empty((PLACES, 8 * n), np.float32)
    words, drawn = np.empty((PLACES, 8 * AT_ONCE), np.uint32), np.empty(8 * AT_ONCE, np.uint8)
    rows = states[first : first + n]
    odd = to_words(X, rows[:, :nv], 0)
    odd |= to_words(H, rows[:, nv:], nv)
    left[block] = odd
    for t in range(0 if odd else n_steps):
        step = start + np.uint64(t)
        draw_layer(H, X, 0, hidden, T, Z, drawn, words, chain, step, purpose, k0, k1)
        draw_layer(X, H, nv, visible, T, Z, drawn, words, chain, step, purpose, k0, k1)
    to_rows(out[first : first + n, :nv], X, 0)
    to_rows(out[first : first + n, nv:], H, nv)


run_table_sweeps = over_chains(table_sweeps)
