"""Known answers of Philox4x32-10, the counter-based generator of Salmon et al. (SC 2011, "Parallel random numbers").

Two programs of this file that share no line must agree: one multiplies 64-bit products, the other 16-bit limbs.  The
first three vectors are the published ones of Random123 (its file ``kat_vectors``), and both programs must give them.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.oracle.vectors.encoding import group

Words = tuple[int, ...]
PUBLISHED: tuple[tuple[str, str, str, str], ...] = (
    ("zeros", "00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ones", "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("digits of pi", "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
)
OTHERS: tuple[tuple[str, str, str], ...] = (
    ("counter word 0", "00000001 00000000 00000000 00000000", "00000000 00000000"),
    ("counter word 1", "00000000 00000001 00000000 00000000", "00000000 00000000"),
    ("counter word 2", "00000000 00000000 00000001 00000000", "00000000 00000000"),
    ("counter word 3", "00000000 00000000 00000000 00000001", "00000000 00000000"),
    ("key word 0", "00000000 00000000 00000000 00000000", "00000001 00000000"),
    ("key word 1", "00000000 00000000 00000000 00000000", "00000000 00000001"),
    ("the last block before word 0 carries", "ffffffff 00000000 00000000 00000000", "00000007 00000000"),
    ("the first block after it", "00000000 00000001 00000000 00000000", "00000007 00000000"),
    ("the Weyl keys wrap around", "01234567 89abcdef fedcba98 76543210", "fffffff0 fffffff1"),
    ("a high bit in every word", "80000000 80000000 80000000 80000000", "80000000 80000000"),
)


def philox(counter: Words, key: Words) -> Words:
    """Ten rounds with products of 64 bits.

    >>> " ".join(f"{word:08x}" for word in philox((0, 0, 0, 0), (0, 0)))
    '6627e8d5 e169c58d bc57ac4c 9b00dbd8'
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        left, right = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (right >> 32) ^ c1 ^ k0, right % 2**32, (left >> 32) ^ c3 ^ k1, left % 2**32
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def philox_by_limbs(counter: Words, key: Words) -> Words:
    """Ten rounds with products of 16-bit limbs and the keys of all rounds computed beforehand."""
    multipliers = ((0x1F53, 0xD251), (0x8D57, 0xCD9E))
    keys = [((key[0] + r * 2654435769) & 4294967295, (key[1] + r * 3144134277) & 4294967295) for r in range(10)]
    words = list(counter)
    for r in range(10):
        high, low = [], []
        for (m_low, m_high), word in zip(multipliers, words[::2], strict=True):
            w_low, w_high = word & 65535, word >> 16
            columns = [m_low * w_low, m_low * w_high + m_high * w_low, m_high * w_high]
            columns[1] += columns[0] >> 16
            columns[2] += columns[1] >> 16
            low.append((columns[1] & 65535) << 16 | columns[0] & 65535)
            high.append(columns[2])
        words = [high[1] ^ words[1] ^ keys[r][0], low[1], high[0] ^ words[3] ^ keys[r][1], low[0]]
    return tuple(words)


def known_answer(comment: str, counter: str, key: str, published: str | None) -> dict[str, Any]:
    """One test; words are hexadecimal strings, first word first."""
    numbers = tuple(int(word, 16) for word in counter.split())
    keys = tuple(int(word, 16) for word in key.split())
    words = [f"{word:08x}" for word in philox(numbers, keys)]
    other = [f"{word:08x}" for word in philox_by_limbs(numbers, keys)]
    if words != other or (published is not None and words != published.split()):
        raise ArithmeticError(f"philox4x32_10 ({comment}): the routes or the published words differ")
    return {
        "quantity": "philox4x32_10",
        "comment": comment,
        "flags": ["PhiloxConstants", "PhiloxWords"],
        "input": {"counter": counter.split(), "key": key.split()},
        "expected": {"u32": words},
        "tolerance": {"test_ratio": 0},
        "result": "valid",
    }


def groups() -> list[dict[str, Any]]:
    """The published vectors, and more."""
    tests = [known_answer(f"Random123 kat_vectors: {row[0]}", *row[1:]) for row in PUBLISHED]
    others = [known_answer(*row, None) for row in OTHERS]
    return [group("PhiloxPublished", 100, {}, tests), group("PhiloxWords", 200, {}, others)]
