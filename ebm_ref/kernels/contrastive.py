"""Many updates of contrastive divergence in one call: an RBM, CD-k or PCD, stochastic gradient ascent.

The bits are those of learning/estimators and learning/optimisers, update by update: the readable twins.  Rows x of a
batch, n of them; negatives y, m of them, k sweeps away from the same rows (CD) or from m chains (PCD):
(1) p = sigmoid(b + xW),  h ~ p,  y ~ sigmoid(a + hW'),  ...,  q = sigmoid(b + yW)       sums by kernels/row_sums
(2) gW = x'p / n - y'q / m,   ga = mean x - mean y,   gb = mean p - mean q,              times the batch's share
(3) v <- momentum v + g,   theta <- keep theta + lr v;   keep = 1 - lr decay for W, 1 for biases
(4) h_j = 1[U < p_j] by the quick comparison of kernels/gibbs_batch (3), near ties by the exact rule.
Small batches of small machines, so one thread.  Parameters, velocities and chains are held twice: an update reads one
copy and writes the other, and one that leaves the finite numbers has not happened.
"""

from typing import NamedTuple

import numpy as np

from ebm_ref.compile import jit
from ebm_ref.kernels.gibbs_batch import CLOSE, FAR, MARGIN, ZERO, gap
from ebm_ref.kernels.row_sums import add_some_rows
from ebm_ref.kernels.statistics import fill_mean_difference
from ebm_ref.maths.philox import LOW32, S2, S32, bernoulli, philox4x32_inlined
from ebm_ref.maths.scalars import sigmoid, sigmoid_from
from ebm_ref.maths.smooth import EXP, horner, split_exponent

LINE, WHOLE = 8, 16  # float64 in a cache line; 32-bit numbers in two registers
LARGEST = np.finfo(np.float64).max


class Carried(NamedTuple):
    """What an update changes: the first axis holds it before and after.  m = 0 for CD; without momentum v is empty."""

    W: np.ndarray  # (2, nv, at least nh)
    a: np.ndarray  # (2, nv)
    b: np.ndarray  # (2, nh)
    vW: np.ndarray  # velocities
    va: np.ndarray
    vb: np.ndarray
    chains: np.ndarray  # (2, m, nv + nh)


class Room(NamedTuple):
    """Scratch: samples, statistics, logits; n rows of data, m negatives, l the larger of the two."""

    x: np.ndarray  # (n, nv)
    y: np.ndarray  # (m, nv)
    h: np.ndarray  # (m, nh)
    xT: np.ndarray  # (nv, n)
    yT: np.ndarray  # (nv, m)
    p: np.ndarray  # (n, at least nh)
    q: np.ndarray  # (m, at least nh)
    c: np.ndarray  # (l, nh)
    z: np.ndarray  # (m, nv)
    WT: np.ndarray  # (nh, at least nv)
    gW: np.ndarray  # (nv, nh), as is the next: the two sums of (2)
    other: np.ndarray
    means: np.ndarray  # (2, max(nv, nh))
    zeros: np.ndarray  # (nh,)
    words: np.ndarray  # of a row, uint32, with WHOLE to spare; gaps likewise, float32
    gaps: np.ndarray
    listed: np.ndarray  # numbers of rows, uint64: (l, 1 + max(nv, nh))
    listed_rows: np.ndarray  # (nv, 1 + l)


def hidden_probabilities(p, logits, scratch):
    """sigmoid.  Three loops, since in one each number would wait for a long chain of others; the bits of the twin's."""
    for r in range(len(p)):
        own, z = p[r], logits[r]
        for j in range(len(z)):
            own[j], scratch[j] = split_exponent(abs(z[j]))
        for j in range(len(z)):
            own[j] = horner(EXP, own[j])
        for j in range(len(z)):
            own[j] = sigmoid_from(z[j], own[j] * scratch[j])


def fill_words(words, first_block, chain, step, purpose, k0, k1):
    """First words of one chain's units, from the block of four ``first_block`` on."""
    c2, c3 = step & LOW32, purpose | ((step >> S32) << np.uint64(16))
    for block in range(len(words) // 4):
        c0 = first_block + np.uint64(block)
        w0, w1, w2, w3 = philox4x32_inlined(c0, chain, c2, c3, k0 & LOW32, k1 & LOW32)
        words[4 * block] = w0
        words[4 * block + 1] = w1
        words[4 * block + 2] = w2
        words[4 * block + 3] = w3


def draw(states, logits, words, gaps, first_unit, chain, step, address):
    """(4); unit first_unit + j has its address, its first word is number first_unit % 4 + j of ``words``."""
    purpose, k0, k1, margin = address[0], address[1], address[2], np.float32(MARGIN)
    n, skipped, close = len(states), first_unit % 4, FAR
    whole = (n + WHOLE - 1) // WHOLE * WHOLE  # nothing is left over for a slow loop over single numbers
    fill_words(words[: whole + WHOLE * (skipped > 0)], np.uint64(first_unit) >> S2, chain, step, purpose, k0, k1)
    own = words[skipped:]
    for j in range(n):
        gaps[j] = logits[j]
    for j in range(whole):  # numbers of 32 bits alone, so that eight fill a register
        gaps[j] = gap(gaps[j], own[j])
        close = np.int32(close | (FAR if abs(gaps[j]) >= margin else CLOSE))
    for j in range(n):
        states[j] = 1.0 if gaps[j] < ZERO else 0.0
    if close:
        for j in range(n):
            if not abs(gaps[j]) >= margin:
                unit, word = np.uint64(first_unit + j), np.uint64(own[j])
                states[j] = bernoulli(sigmoid(logits[j]), word, unit, chain, step, purpose, k0, k1)


def draw_rows(states, logits, room, first_unit, step, address):
    """Row r is chain r of the address."""
    for r in range(len(states)):
        draw(states[r], logits[r], room.words, room.gaps, first_unit, address[3] + np.uint64(r), step, address)


hidden_probabilities, fill_words = jit(hidden_probabilities), jit(fill_words)
draw = jit(draw, flags=("contract",))
draw_rows = jit(draw_rows)


def transpose(out, x):
    """A cache line of ``out`` at a time."""
    whole = len(x) - len(x) % LINE
    for line in range(0, whole, LINE):
        for j in range(len(out)):
            for i in range(LINE):
                out[j, line + i] = x[line + i, j]
    for j in range(len(out)):
        for i in range(whole, len(x)):
            out[j, i] = x[i, j]


transpose = jit(transpose)


def move(new, old, new_v, old_v, g, share, momentum, lr, keep):
    """(3) for one row of a leaf; whether all new numbers are finite."""
    lost = False
    for j in range(len(g)):
        step = share * g[j]
        if len(old_v):
            step = momentum * old_v[j] + step
            new_v[j] = step
        new[j] = keep * old[j] + lr * step
        lost |= not abs(new[j]) <= LARGEST
    return not lost


move = jit(move)


def copy(out, x):
    """out[:] = x, for which Numba would compile the texts of errors too, for seconds."""
    for r in range(len(x)):
        for j in range(x.shape[1]):
            out[r, j] = x[r, j]


copy = jit(copy)


def sample(now, n, carried, room, k, start, address):
    """(1): p of the n rows x, negatives y and their q; returns how many those are.  PCD's chains go to the new copy."""
    W, a, b, chains = carried.W[now], carried.a[now], carried.b[now], carried.chains
    nv, persistent = len(a), chains.shape[1] > 0
    m, x, p, listed, scratch = chains.shape[1] if persistent else n, room.x[:n], room.p[:n], room.listed, room.means[0]
    y, h, c, z, q = room.y[:m], room.h[:m], room.c[:m], room.z[:m], room.q[:m]
    if persistent:
        add_some_rows(room.c[:n], b, x, W, listed)
        hidden_probabilities(p, room.c, scratch)
        copy(y, chains[now, :, :nv])
    else:
        copy(y, x)
    for t in range(k):
        step = start + np.uint64(t)
        add_some_rows(c, b, y, W, listed)
        if t == 0 and not persistent:
            hidden_probabilities(p, c, scratch)
        draw_rows(h, c, room, nv, step, address)
        add_some_rows(z, a, h, room.WT, listed)
        draw_rows(y, z, room, 0, step, address)
    add_some_rows(c, b, y, W, listed)
    hidden_probabilities(q, c, scratch)
    if persistent:
        copy(chains[1 - now, :, :nv], y)
        copy(chains[1 - now, :, nv:], h)
    return m


def ascend(now, n, m, carried, room, share, lr, keep, momentum):
    """(2) and (3); whether all new parameters are finite."""
    new, finite, gW, other = 1 - now, True, room.gW, room.other
    W, a, b, vW, va, vb = carried.W, carried.a, carried.b, carried.vW, carried.va, carried.vb
    x, y, p, q = room.x[:n], room.y[:m], room.p[:n], room.q[:m]
    xT = room.xT.ravel()[: x.size].reshape((len(gW), n))
    yT = room.yT.ravel()[: y.size].reshape((len(gW), m))
    transpose(xT, x)
    transpose(yT, y)
    add_some_rows(gW, room.zeros, xT, p, room.listed_rows)
    add_some_rows(other, room.zeros, yT, q, room.listed_rows)
    for i in range(len(gW)):
        for j in range(gW.shape[1]):
            gW[i, j] = gW[i, j] / n - other[i, j] / m
        finite &= move(W[new, i], W[now, i], vW[new, i], vW[now, i], gW[i], share, momentum, lr, keep)
    ga, gb = room.means[0, : len(gW)], room.means[0, : gW.shape[1]]
    fill_mean_difference(ga, room.means[1, : len(ga)], x, y)
    finite &= move(a[new], a[now], va[new], va[now], ga, share, momentum, lr, 1.0)
    fill_mean_difference(gb, room.means[1, : len(gb)], p, q)
    return finite & move(b[new], b[now], vb[new], vb[now], gb, share, momentum, lr, 1.0)


sample, ascend = jit(sample), jit(ascend)


def contrastive_updates(data, order, size, carried, room, k, lr, keep, momentum, update, address):
    """Updates ``update``, ``update`` + 1, ..., one for each of ``lr`` and ``keep`` (updates,); returns how many of them
    gave finite numbers: carried[done % 2] holds the last of these.

    Update t reads the rows order[size t : size (t + 1)] of ``data``, the last one perhaps fewer.
    """
    for t in range(len(lr)):
        now, chosen = t % 2, order[size * t : size * (t + 1)]
        for r in range(len(chosen)):
            for i in range(data.shape[1]):
                room.x[r, i] = data[chosen[r], i]
        transpose(room.WT, carried.W[now])
        step = np.uint64((update + t) * k)
        m = sample(now, len(chosen), carried, room, k, step, address)
        if not ascend(now, len(chosen), m, carried, room, len(chosen) / size, lr[t], keep[t], momentum):
            return t
    return len(lr)


contrastive_updates = jit(contrastive_updates)
