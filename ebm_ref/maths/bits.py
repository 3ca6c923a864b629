"""Bits of a state index, and the reflected binary Gray code.

State index of a binary vector: sum_i x_i 2^i, so bit i is unit i.
Gray word of t: g(t) = t ^ (t >> 1).  Going from t - 1 to t flips exactly bit ctz(t).   [Gray 1953]
"""

from ebm_ref.compile import jit


def gray(t):
    """The t-th Gray word."""
    return t ^ (t >> 1)


def trailing_zeros(t):
    """Number of zero bits below the lowest one bit, t >= 1."""
    n = 0
    while t & 1 == 0:
        t >>= 1
        n += 1
    return n


gray = jit(gray)
trailing_zeros = jit(trailing_zeros)
