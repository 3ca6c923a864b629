"""Philox4x32-10: a random number is a function of an address.     [Salmon, Moraes, Dror & Shaw, SC 2011]

counter (c0, c1, c2, c3) and key (k0, k1), 32 bits each -> four random 32-bit words.  Ten rounds of
(1) (hi0, lo0) = M0 c0,   (hi1, lo1) = M1 c2
(2) (c0, c1, c2, c3) <- (hi1 ^ c1 ^ k0, lo1, hi0 ^ c3 ^ k1, lo0)
(3) (k0, k1) <- (k0 + W0, k1 + W1) mod 2^32

Addresses in ebm_ref (a promise, see README): key = the seed, 64 bits, low word first;
c0 = unit // 4 (bit 31 set: the low words that break ties), c1 = chain, c2 = step mod 2^32,
c3 = purpose + 2^16 (step // 2^32).  Unit u reads word u mod 4.

(4) A uniform has 53 bits: U = (word << 21) + (low word >> 11), u = U 2^-53.
(5) A Bernoulli(p) draw is 1[u < p] = 1[U < T], T = ceil(p 2^53): the first word decides unless it equals T >> 21
    (once in 2^32), so the low word is fetched only then.  The probability is exact to 2^-53.

Words are held in uint64, so the same body works on NumPy arrays of addresses.
"""

import math

import numpy as np

from ebm_ref.compile import jit

M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW32, S32 = np.uint64(0xFFFFFFFF), np.uint64(32)
LOW21, S21, S11, S10, S2 = np.uint64(0x1FFFFF), np.uint64(21), np.uint64(11), np.uint64(10), np.uint64(2)
LOW2 = np.uint64(3)
TIE = np.uint64(1 << 31)
TWO53 = 9007199254740992.0


def philox4x32(c0, c1, c2, c3, k0, k1):
    """Four 32-bit words (in uint64) at the counter c0..c3 under the key k0, k1 (each uint64 below 2^32)."""
    for _ in range(10):
        p0 = M0 * c0  # (1)
        p1 = M1 * c2
        c0, c1, c2, c3 = (p1 >> S32) ^ c1 ^ k0, p1 & LOW32, (p0 >> S32) ^ c3 ^ k1, p0 & LOW32  # (2)
        k0 = (k0 + W0) & LOW32  # (3)
        k1 = (k1 + W1) & LOW32
    return c0, c1, c2, c3


def word(unit, chain, step, purpose, k0, k1, tie):
    """The 32-bit word of a unit; ``tie`` is 0 for the first word, TIE for the low one."""
    c3 = purpose | ((step >> S32) << np.uint64(16))
    w0, w1, w2, w3 = philox4x32((unit >> S2) | tie, chain, step & LOW32, c3, k0, k1)
    lane = unit & LOW2
    if lane == 0:
        return w0
    if lane == 1:
        return w1
    return w2 if lane == 2 else w3


def uniform(unit, chain, step, purpose, k0, k1):
    """(4), in [0, 1)."""
    high = word(unit, chain, step, purpose, k0, k1, np.uint64(0))
    low = word(unit, chain, step, purpose, k0, k1, TIE)
    return float((high << S21) | (low >> S11)) / TWO53


def bernoulli(p, first, unit, chain, step, purpose, k0, k1):
    """(5): 1.0 with probability p; ``first`` is the unit's first word, already at hand."""
    threshold = np.uint64(math.ceil(p * TWO53))
    high = threshold >> S21
    if first != high:
        return 1.0 if first < high else 0.0
    low = word(unit, chain, step, purpose, k0, k1, TIE) >> S11
    return 1.0 if low < (threshold & LOW21) else 0.0


philox4x32_inlined = jit(philox4x32, inlined=True)  # for loops over chains
philox4x32 = jit(philox4x32)
word = jit(word)
uniform = jit(uniform)
bernoulli = jit(bernoulli)
