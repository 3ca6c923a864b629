"""Many updates of contrastive divergence in one call: an RBM, CD-k or PCD, stochastic gradient ascent.

The bits are those of learning/estimators and learning/optimisers, update by update: the readable twins.  Rows x of a
batch, n of them; negatives y, m of them, k sweeps away from the same rows (CD) or from m chains (PCD):
(1) p = sigmoid(b + xW),  h ~ p,  y ~ sigmoid(a + hW'),  ...,  q = sigmoid(b + yW)       sums by kernels/row_sums
(2) gW = x'p / n - y'q / m,   ga = mean x - mean y,   gb = mean p - mean q,              times the batch's share
(3) v <- momentum v + g,   theta <- keep theta + lr v;   keep = 1 - lr decay for W, 1 for biases
(4) h_j = 1[U < p_j].  Its first word says u <= U < u + 2^-32, so u < p_j decides where |u - p_j| >= MARGIN, which also
    covers the 1e-15 between p_j and the sigmoid of maths/scalars; elsewhere the exact rule of maths/philox decides.
Small batches of small machines, so one thread.  Parameters, velocities and chains are held twice: an update reads one
copy and writes the other, and one that leaves the finite numbers has not happened.
"""

from typing import NamedTuple

import numpy as np

from ebm_ref.compile import jit
from ebm_ref.kernels.row_sums import add_some_rows
from ebm_ref.maths.philox import LOW32, S2, S32, bernoulli, philox4x32_inlined
from ebm_ref.maths.scalars import sigmoid, sigmoid_from
from ebm_ref.maths.smooth import exp_minus

MARGIN, TWO_MINUS_32 = 2.0**-31, 2.0**-32
LINE = 8  # float64 in a cache line
LARGEST = np.finfo(np.float64).max

class Carried(NamedTuple):
    """What an update changes: the first axis holds it before and after.  m = 0 for CD; without momentum v is empty."""

    W: np.ndarray  # (2, nv, nh)
    a: np.ndarray  # (2, nv)
    b: np.ndarray  # (2, nh)
    vW: np.ndarray  # velocities
    va: np.ndarray
    vb: np.ndarray
    chains: np.ndarray  # (2, m, nv + nh)


class Room(NamedTuple):
    """Scratch: samples and their transposes, statistics, logits and probabilities of one chain."""

    x: np.ndarray  # (n, nv)
    y: np.ndarray  # (n or m, nv)
    xT: np.ndarray  # (nv, n)
    yT: np.ndarray
    p: np.ndarray  # (n, nh)
    q: np.ndarray  # (n or m, nh)
    WT: np.ndarray  # (nh, nv)
    c: np.ndarray  # (1, nh)
    z: np.ndarray  # (1, nv)
    h: np.ndarray  # (nh,), as are the next two
    hidden: np.ndarray
    zeros: np.ndarray
    visible: np.ndarray  # (nv,), as is the next
    ga: np.ndarray
    positive: np.ndarray  # (1, nh), as is the next: rows of the sums in (2)
    negative: np.ndarray
    words: np.ndarray  # a row's, uint32
    listed: np.ndarray  # numbers of rows, uint64


def fill_probabilities(p, logits):
    """sigmoid, by the exponential of maths/smooth: the loop vectorises."""
    for j in range(len(p)):
        p[j] = sigmoid_from(logits[j], exp_minus(abs(logits[j])))


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


def draw(states, p, logits, words, first_unit, chain, step, address):
    """(4); unit first_unit + j has its address, its first word is number first_unit % 4 + j of ``words``."""
    purpose, k0, k1, margin = address[0], address[1], address[2], MARGIN
    skipped, undecided = first_unit % 4, False
    fill_words(words[: (skipped + len(p) + 3) // 4 * 4], np.uint64(first_unit) >> S2, chain, step, purpose, k0, k1)
    own = words[skipped:]
    for j in range(len(states)):
        above = TWO_MINUS_32 * np.float64(np.int64(own[j])) - p[j]
        states[j] = 1.0 if above < 0.0 else 0.0
        undecided |= not abs(above) >= margin
    if undecided:
        for j in range(len(states)):
            if not abs(TWO_MINUS_32 * np.float64(np.int64(own[j])) - p[j]) >= margin:
                unit, word = np.uint64(first_unit + j), np.uint64(own[j])
                states[j] = bernoulli(sigmoid(logits[j]), word, unit, chain, step, purpose, k0, k1)


fill_probabilities, fill_words = jit(fill_probabilities), jit(fill_words)
draw = jit(draw)


def fill_layer(states, p, logits, given, bias, weights, first_unit, chain, step, address, room):
    """(1): probabilities of a layer given the other, and states drawn with them.  logits (1, units)."""
    add_some_rows(logits, bias, given, weights, room.listed)
    fill_probabilities(p, logits[0])
    draw(states, p, logits[0], room.words, first_unit, chain, step, address)


fill_layer = jit(fill_layer)


def sweep_chain(y, h, p, W, a, b, k, chain, first_step, address, room):
    """k sweeps of block Gibbs from y (nv,) to y and h; p is that of the first hidden layer."""
    for t in range(k):
        step = first_step + np.uint64(t)
        fill_layer(h, p if t == 0 else room.hidden, room.c, y, b, W, len(a), chain, step, address, room)
        fill_layer(y, room.visible, room.z, h, a, room.WT, 0, chain, step, address, room)


def hidden_probabilities(p, x, W, b, room):
    """(1)."""
    add_some_rows(room.c, b, x, W, room.listed)
    fill_probabilities(p, room.c[0])


sweep_chain, hidden_probabilities = jit(sweep_chain), jit(hidden_probabilities)


def transpose(out, x):
    """A cache line of ``out`` at a time."""
    for line in range(0, len(x), LINE):
        for j in range(x.shape[1]):
            for i in range(line, min(line + LINE, len(x))):
                out[j, i] = x[i, j]


def add_column_sums(out, x):
    """From the first row on."""
    for r in range(len(x)):
        for j in range(len(out)):
            out[j] += x[r, j]


transpose, add_column_sums = jit(transpose), jit(add_column_sums)


def fill_mean_difference(g, scratch, x, y):
    """Means of the columns of x minus those of y."""
    for j in range(len(g)):
        g[j] = scratch[j] = 0.0
    add_column_sums(g, x)
    add_column_sums(scratch, y)
    for j in range(len(g)):
        g[j] = g[j] / len(x) - scratch[j] / len(y)


fill_mean_difference = jit(fill_mean_difference)


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


def sample(now, n, carried, room, k, step, address):
    """(1): p of the n rows x, negatives y and their q; returns how many those are.  PCD's chains go to the new copy."""
    W, a, b, chains = carried.W[now], carried.a[now], carried.b[now], carried.chains
    nv, m = len(a), chains.shape[1]
    for r in range(n):
        if m:
            hidden_probabilities(room.p[r], room.x[r], W, b, room)
        else:
            room.y[r, :] = room.x[r]
            sweep_chain(room.y[r], room.h, room.p[r], W, a, b, k, address[3] + np.uint64(r), step, address, room)
    for r in range(m):
        y, h = room.y[r], chains[1 - now, r, nv:]
        y[:] = chains[now, r, :nv]
        sweep_chain(y, h, room.hidden, W, a, b, k, address[3] + np.uint64(r), step, address, room)
        chains[1 - now, r, :nv] = y
    m = m if m else n
    for r in range(m):
        hidden_probabilities(room.q[r], room.y[r], W, b, room)
    return m


def ascend(now, n, m, carried, room, share, lr, keep, momentum):
    """(2) and (3); whether all new parameters are finite."""
    new, finite = 1 - now, True
    W, a, b, vW, va, vb = carried.W, carried.a, carried.b, carried.vW, carried.va, carried.vb
    transpose(room.xT, room.x[:n])
    transpose(room.yT, room.y[:m])
    g, other = room.positive, room.negative
    for i in range(W.shape[1]):
        add_some_rows(g, room.zeros, room.xT[i, :n], room.p, room.listed)
        add_some_rows(other, room.zeros, room.yT[i, :m], room.q, room.listed)
        for j in range(W.shape[2]):
            g[0, j] = g[0, j] / n - other[0, j] / m
        finite &= move(W[new, i], W[now, i], vW[new, i], vW[now, i], g[0], share, momentum, lr, keep)
    fill_mean_difference(room.ga, room.visible, room.x[:n], room.y[:m])
    finite &= move(a[new], a[now], va[new], va[now], room.ga, share, momentum, lr, 1.0)
    fill_mean_difference(g[0], other[0], room.p[:n], room.q[:m])
    return finite & move(b[new], b[now], vb[new], vb[now], g[0], share, momentum, lr, 1.0)


sample, ascend = jit(sample), jit(ascend)


def contrastive_updates(data, order, size, carried, room, k, lr, keep, momentum, update, address):
    """Updates ``update``, ``update`` + 1, ..., one for each of ``lr`` and ``keep`` (updates,); returns how many of them
    gave finite numbers: carried[done % 2] holds the last of these.

    Update t reads the rows order[size t : size (t + 1)] of ``data``, the last one perhaps fewer.
    """
    for t in range(len(lr)):
        now, chosen = t % 2, order[size * t : size * (t + 1)]
        for r in range(len(chosen)):
            room.x[r, :] = data[chosen[r]]
        transpose(room.WT, carried.W[now])
        step = np.uint64((update + t) * k)
        m = sample(now, len(chosen), carried, room, k, step, address)
        if not ascend(now, len(chosen), m, carried, room, len(chosen) / size, lr[t], keep[t], momentum):
            return t
    return len(lr)


contrastive_updates = jit(contrastive_updates)
