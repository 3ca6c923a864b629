"""log Z of an RBM on a card: the product form, laid out like a matrix product.

Split the hidden bits from the top into shard, high and low: h = (s, g, l).  With t = exp(z), z = a + Wh,
(1) t_i = C_i(s) A_i(g) B_i(l),   C = exp(a + W h_s),  A = exp(W h_g),  B = exp(W h_l)
(2) Z(s) = sum_g sum_l e^{b.h} prod_i (1 + C_i A_i(g) B_i(l)): a matrix product with "times 1 + a b" for "plus a b".
A block of SIDE x SIDE threads takes WORDS high words and runs over all low words, WORDS at a time; a thread holds
EACH x EACH states in registers: 8 loads from shared memory a unit, for 16 multiply-adds and 16 multiplications.
(3) Numbers are p 2^e.  p is brought back to [1/2, 1) after each four units where ``renormalise`` says so: the host
    bounds the growth beforehand.
(4) A thread adds its states in order, a block its threads by a tree, the host the blocks: the same bits every time.
"""

import math

from numba import cuda, float64, int32

from ebm_ref.compile import cuda_jit, jit
from ebm_ref.kernels.cuda.driver import over_chains
from ebm_ref.kernels.enumeration import LN2, POW2, layer_gray, machine_gray

SIDE, EACH, UNITS = 16, 4, 16  # threads along a side of a block, states along a side of a thread, units at a time
WORDS, THREADS, STATES = SIDE * EACH, SIDE * SIDE, EACH * EACH
LOWEST = -(1 << 28)  # below every exponent; those of padding are lower still


def shift(p, k):
    """p 2^k for k <= 0; far down it is 0."""
    return p * POW2[min(-k, 1099)]


shift = jit(shift)


def product_tiles(
    out, C, A, B, C_factor, C_exponent, A_factor, A_exponent, B_factor, B_exponent, renormalise
):  # fmt: skip
    """out[shard, block] = (m, s), the sum of a block's states being s e^m.

    C (shards, units), A (units, high words), B (units, low words), units a multiple of UNITS, words of WORDS;
    e^{b.h} of a shard or word = factor 2^exponent, factor 0 for padding;  renormalise (units / 4,).
    """
    tx, ty, shard = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockIdx.y
    thread = ty * SIDE + tx
    first = cuda.blockIdx.x * WORDS
    a_shared = cuda.shared.array((UNITS, WORDS), float64)
    b_shared = cuda.shared.array((UNITS, WORDS), float64)
    p = cuda.local.array(STATES, float64)
    e = cuda.local.array(STATES, int32)
    total, top = 0.0, int32(LOWEST)
    for tile in range(0, B.shape[1], WORDS):
        for k in range(STATES):
            p[k] = 1.0
            e[k] = 0
        for start in range(0, A.shape[0], UNITS):
            cuda.syncthreads()
            for k in range(thread, UNITS * WORDS, THREADS):
                unit, w = k // WORDS, k % WORDS
                a_shared[unit, w] = C[shard, start + unit] * A[start + unit, first + w]
                b_shared[unit, w] = B[start + unit, tile + w]
            cuda.syncthreads()
            for four in range(0, UNITS, 4):
                for unit in range(four, four + 4):
                    b0, b1 = b_shared[unit, tx], b_shared[unit, tx + SIDE]
                    b2, b3 = b_shared[unit, tx + 2 * SIDE], b_shared[unit, tx + 3 * SIDE]
                    for r in range(EACH):
                        a = a_shared[unit, ty + r * SIDE]
                        p[EACH * r] *= 1.0 + a * b0  # (2)
                        p[EACH * r + 1] *= 1.0 + a * b1
                        p[EACH * r + 2] *= 1.0 + a * b2
                        p[EACH * r + 3] *= 1.0 + a * b3
                if renormalise[(start + four) >> 2]:
                    for k in range(STATES):
                        p[k], exponent = math.frexp(p[k])  # (3)
                        e[k] += exponent
        largest = int32(LOWEST)
        for k in range(STATES):
            g, l = first + ty + (k // EACH) * SIDE, tile + tx + (k % EACH) * SIDE
            p[k] *= C_factor[shard] * A_factor[g] * B_factor[l]
            e[k] += C_exponent[shard] + A_exponent[g] + B_exponent[l]
            largest = max(largest, e[k])
        if largest > top:
            total = shift(total, top - largest)
            top = largest
        for k in range(STATES):
            total += shift(p[k], e[k] - top)  # (4)
    tops = cuda.shared.array(THREADS, int32)
    totals = cuda.shared.array(THREADS, float64)
    tops[thread], totals[thread] = top, total
    half = THREADS // 2
    while half:
        cuda.syncthreads()
        if thread < half:
            m = max(tops[thread], tops[thread + half])
            totals[thread] = shift(totals[thread], tops[thread] - m) + shift(
                totals[thread + half], tops[thread + half] - m
            )
            tops[thread] = m
        half //= 2
    if thread == 0:
        out[shard, cuda.blockIdx.x, 0], out[shard, cuda.blockIdx.x, 1] = tops[0] * LN2, totals[0]


product_kernel = cuda_jit(product_tiles)
run_layer_gray = over_chains(layer_gray, fills=2)  # out, scratch
run_machine_gray = over_chains(machine_gray, fills=2)
