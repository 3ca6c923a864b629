"""Philox4x32-10 against published answers and an independent plain-Python version; Bernoulli at every boundary."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebm_ref.maths.philox import LOW2, TIE, bernoulli, philox4x32, uniform, word

KNOWN = (  # Random123, kat_vectors: counter, key, answer
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
)
WORD = st.integers(0, 2**32 - 1)
TWO53 = 2**53


def plain_philox(counter, key):
    """The same ten rounds in Python's own integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q // 2**32 ^ c[1] ^ k[0], q % 2**32, p // 2**32 ^ c[3] ^ k[1], p % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def as_words(*values):
    return [np.uint64(value) for value in values]


def hexadecimal(text):
    return [int(part, 16) for part in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_published_answers(counter, key, answer):
    got = philox4x32(*as_words(*hexadecimal(counter), *hexadecimal(key)))
    assert [int(w) for w in got] == hexadecimal(answer)
    assert plain_philox(hexadecimal(counter), hexadecimal(key)) == hexadecimal(answer)


@given(st.tuples(WORD, WORD, WORD, WORD), st.tuples(WORD, WORD))
def test_any_counter_and_key(counter, key):
    expected = plain_philox(counter, key)
    assert [int(w) for w in philox4x32(*as_words(*counter, *key))] == expected
    plain = getattr(philox4x32, "py_func", philox4x32)
    assert [int(w) for w in plain(*as_words(*counter, *key))] == expected


@given(st.integers(0, 2**33 - 1), WORD, st.integers(0, 2**48 - 1), st.integers(0, 255), st.integers(0, 2**64 - 1))
def test_the_address_is_the_promised_one(unit, chain, step, purpose, seed):
    counter = [unit // 4, chain, step % 2**32, purpose + (step // 2**32 << 16)]
    key = [seed % 2**32, seed // 2**32]
    address = as_words(unit, chain, step, purpose, *key)
    high = plain_philox(counter, key)[unit % 4]
    low = plain_philox([counter[0] + 2**31, *counter[1:]], key)[unit % 4]
    assert int(word(*address, np.uint64(0))) == high
    assert int(word(*address, TIE)) == low
    assert uniform(*address) == ((high << 21) + (low >> 11)) / TWO53


@given(
    st.floats(0, 1) | st.sampled_from([0.0, 2.0**-53, 2.0**-32, 1 - 2.0**-53, 1.0]),
    st.integers(0, 1000),
    st.integers(0, 2**32 - 1),
)
def test_bernoulli_is_the_uniform_below_p_even_when_the_first_word_ties(p, step, any_first):
    address = as_words(step % 7, 3, step, 2, 11, 0)
    low = int(word(*address, TIE))
    tie = math.ceil(p * TWO53) >> 21
    for first in {any_first, tie, max(tie - 1, 0), tie + 1, 0, 2**32 - 1}:
        if first < 2**32:
            expected = 1.0 if (first << 21 | low >> 11) / TWO53 < p else 0.0
            assert bernoulli(p, np.uint64(first), *address) == expected


def test_bernoulli_at_the_boundaries_of_p():
    address = as_words(0, 0, 0, 255, 0, 0)
    top, zero = np.uint64(2**32 - 1), np.uint64(0)
    assert bernoulli(0.0, zero, *address) == 0.0
    assert bernoulli(1.0, top, *address) == 1.0
    low = int(word(*address, TIE)) >> 11
    assert 0 < low < 2**21 - 1
    assert bernoulli(2.0**-53, zero, *address) == 0.0  # U = low > 0
    for first in (0, 12345, 2**32 - 1):
        u = (first << 21 | low) / TWO53
        assert bernoulli(u, np.uint64(first), *address) == 0.0  # 1[u < u]
        assert bernoulli(u + 2.0**-53, np.uint64(first), *address) == 1.0
    assert bernoulli(1 - 2.0**-53, top, *address) == 1.0  # U < 2^53 - 1


def test_units_of_a_block_read_its_four_lanes():
    key = as_words(5, 6)
    four = philox4x32(*as_words(9, 8, 7, 255), *key)
    units = [np.uint64(4 * 9 + lane) for lane in range(4)]
    assert [int(word(u, *as_words(8, 7, 255), *key, np.uint64(0))) for u in units] == [int(w) for w in four]
    assert [int(u & LOW2) for u in units] == [0, 1, 2, 3]
