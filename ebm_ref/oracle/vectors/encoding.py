"""Numbers on paper: C99 hex floats beside 30-digit decimals, and the rule by which two exact routes must agree.

A value is given with its ``scale``, the sum of the absolute values of the terms that it is made of.  An answer is
right if

    |answer - f64| <= test_ratio * 2**-53 * scale                (LAPACK's test ratio; 30 everywhere)

so the tolerance follows the arithmetic and not the eye.  ``condition`` is the largest scale / |value|, for reading.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ebm_ref.errors import BackendError

DIGITS = 60
AGREEMENT = 40  # the two routes agree to 10**-AGREEMENT of the scale
SCALE_FLOOR = 1e-290  # below it float64 loses digits to underflow, which is nobody's mistake


def precise(digits: int = DIGITS) -> Any:
    """A context of mpmath of its own with that many digits; mpmath is only needed to write vectors, never to check
    them.
    """
    try:
        from mpmath.ctx_mp import MPContext
    except ImportError:
        raise BackendError(
            "vectors.write: mpmath is not installed; install the test extra: pip install 'ebm-ref[test]'"
        ) from None
    context = MPContext()
    context.dps = digits
    return context


def bits(n: int) -> list[list[int]]:
    """All 2**n states, unit i being bit i of the index."""
    return [[(index >> i) & 1 for i in range(n)] for index in range(2**n)]


def index_of(state: Sequence[int]) -> int:
    """sum_i x_i 2**i."""
    return sum(int(bit) << i for i, bit in enumerate(state))


def leaves(value: Any) -> list[Any]:
    """The numbers of a nested list, in order."""
    return list(itertools.chain.from_iterable(map(leaves, value))) if isinstance(value, list) else [value]


def mapped(function: Any, *values: Any) -> Any:
    """function over nested lists of one shape; a single number goes with every element."""
    if any(isinstance(value, list) for value in values):
        length = next(len(value) for value in values if isinstance(value, list))
        columns = [value if isinstance(value, list) else [value] * length for value in values]
        return [mapped(function, *row) for row in zip(*columns, strict=True)]
    return function(*values)


def hex_floats(value: Any) -> Any:
    """float64 numbers, nested, as C99 hex floats; NaN and infinities as nan, inf, -inf."""
    return mapped(lambda number: float(number).hex(), value)


def agree(mp: Any, quantity: str, first: Any, second: Any, scale: Any) -> None:
    """Refuse to write a number on which the two routes differ."""
    tolerance = mp.mpf(10) ** -AGREEMENT
    if len(leaves(first)) != len(leaves(second)):
        raise ArithmeticError(f"{quantity}: the two routes return different shapes")
    worst = max(leaves(mapped(lambda p, q, s: abs(p - q) / max(s, mp.mpf(10) ** -400), first, second, scale)))
    if worst > tolerance:
        raise ArithmeticError(
            f"{quantity}: the two routes differ by {mp.nstr(worst, 3)} of the scale, allowed 1e-{AGREEMENT}"
        )


def expected(mp: Any, value: Any, scale: Any) -> dict[str, Any]:
    """The block ``expected`` of one test."""
    scales = mapped(lambda v, s: float(mp.nstr(max(s, mp.mpf(SCALE_FLOOR)), 4)), value, scale)
    ratios = [
        s / abs(v) for v, s in zip(map(float, leaves(value)), leaves(scales), strict=True) if abs(v) > SCALE_FLOOR
    ]
    if len(set(leaves(scales))) == 1:
        scales = leaves(scales)[0]
    return {
        "f64": hex_floats(value),
        "decimal": mapped(lambda v: mp.nstr(v, 30), value),
        "scale": scales,
        "condition": float(f"{max(ratios, default=1.0):.3g}"),
    }


def valid(
    mp: Any, quantity: str, comment: str, flags: list[str], given: dict[str, Any], answer: tuple
) -> dict[str, Any]:
    """One test that an implementation must pass; answer = (first route, second route, scale)."""
    first, second, scale = answer
    agree(mp, f"{quantity} ({comment})", first, second, scale)
    return {
        "quantity": quantity,
        "comment": comment,
        "flags": flags,
        "input": given,
        "expected": expected(mp, first, scale),
        "tolerance": {"test_ratio": 30},
        "result": "valid",
    }


def invalid(quantity: str, comment: str, flags: list[str], given: dict[str, Any]) -> dict[str, Any]:
    """One input that must be refused: raise, or return a NaN."""
    return {
        "quantity": quantity,
        "comment": comment,
        "flags": flags,
        "input": given,
        "expected": None,
        "tolerance": None,
        "result": "invalid",
    }


def group(name: str, first_id: int, model: dict[str, Any], tests: list[dict[str, Any]]) -> dict[str, Any]:
    """A group owns the hundred ids from first_id on; ids are appended to and never given out again."""
    if len(tests) > 100:
        raise ArithmeticError(f"{name}: {len(tests)} tests do not fit into one block of 100 ids")
    return {
        "type": name,
        "source": {"name": "ebm_ref", "version": "2026.1"},
        "model": {key: hex_floats(value) for key, value in model.items()},
        "tests": [{"tcId": first_id + i, **test} for i, test in enumerate(tests)],
    }
