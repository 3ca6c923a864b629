"""Numbers that carry more than a value, so that an equation written once gives its derivatives and its rounding too.

Plain     a float, an array (rows,) of float64 with one number for each row, or a number of mpmath
Bounded   value v and e, a first-order bound of its rounding in units of u          [running error analysis, Wilkinson]
          (1) a + b: e_a + e_b + |a + b|     (2) ab: |a| e_b + |b| e_a + |ab|     (3) f(a): |f'(a)| e_a + |f(a)|
Dual      value and tangent along one direction: (a + a'eps)(b + b'eps) = ab + (a'b + ab')eps        [Clifford 1873]
Var       value, and how it was made: ``gradient`` runs the chain rule back over all of it           [Linnainmaa 1970]

They nest in this order: the value of a Var may be a Dual of Bounded numbers.  Operations with a number of lower rank
treat it as a constant.  The elementary functions are exp, log and powers; everything else is made of them.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

Number = Any
_clock = itertools.count()


class Ranked:
    """Arithmetic by ``plus`` and ``times`` with numbers of the same or of a lower rank."""

    rank = 0
    __array_ufunc__ = None  # arrays leave the operation to us
    __slots__ = ()

    def plus(self, other: Number) -> Number:
        raise NotImplementedError

    def times(self, other: Number) -> Number:
        raise NotImplementedError

    def function(self, name: str, p: float, order: int) -> Number:
        raise NotImplementedError

    def __add__(self, other: Number) -> Number:
        return NotImplemented if rank_of(other) > self.rank else self.plus(other)

    def __mul__(self, other: Number) -> Number:
        return NotImplemented if rank_of(other) > self.rank else self.times(other)

    def __radd__(self, other: Number) -> Number:
        return self.plus(other)

    def __rmul__(self, other: Number) -> Number:
        return self.times(other)

    def __neg__(self) -> Number:
        return self.times(-1)

    def __sub__(self, other: Number) -> Number:
        return self + (-other)

    def __rsub__(self, other: Number) -> Number:
        return (-self) + other

    def __truediv__(self, other: Number) -> Number:
        if rank_of(other):
            return self * power(other, -1)
        return self * ((plain(self) * 0 + 1) / other)  # one in the precision at hand

    def __rtruediv__(self, other: Number) -> Number:
        return power(self, -1) * other


def rank_of(x: Number) -> int:
    """0 for plain numbers."""
    return x.rank if isinstance(x, Ranked) else 0


class Bounded(Ranked):
    """v with a bound e of its rounding, in units of u.

    >>> x = Bounded(3.0) * 2.0 + 1.0
    >>> x.v, x.e
    (7.0, 13.0)
    """

    rank = 1
    __slots__ = ("e", "v")

    def __init__(self, v: Number, e: Number = 0) -> None:
        self.v, self.e = v, e

    def plus(self, other: Number) -> Bounded:
        """(1)."""
        v, e = (other.v, other.e) if isinstance(other, Bounded) else (other, 0)
        total = self.v + v
        return Bounded(total, self.e + e + abs(total))

    def times(self, other: Number) -> Bounded:
        """(2); -1, 0 and 1 don't round."""
        if isinstance(other, Bounded):
            product = self.v * other.v
            return Bounded(product, abs(self.v) * other.e + abs(other.v) * self.e + abs(product))
        if isinstance(other, int) and -1 <= other <= 1:
            return Bounded(self.v * other, self.e * abs(other))
        product = self.v * other
        return Bounded(product, abs(other) * self.e + abs(product))

    def function(self, name: str, p: float, order: int) -> Bounded:
        """(3)."""
        value = elementary(self.v, name, p, order)
        return Bounded(value, abs(elementary(self.v, name, p, order + 1)) * self.e + abs(value))


class Dual(Ranked):
    """v + t eps with eps^2 = 0.

    >>> x = Dual(3.0, 1.0)
    >>> (x * x).t
    6.0
    """

    rank = 2
    __slots__ = ("t", "v")

    def __init__(self, v: Number, t: Number = 0) -> None:
        self.v, self.t = v, t

    def plus(self, other: Number) -> Dual:
        return Dual(self.v + other.v, self.t + other.t) if isinstance(other, Dual) else Dual(self.v + other, self.t)

    def times(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.v * other.v, self.t * other.v + self.v * other.t)
        return Dual(self.v * other, self.t * other)

    def function(self, name: str, p: float, order: int) -> Dual:
        value = elementary(self.v, name, p, order)
        return Dual(value, elementary(self.v, name, p, order + 1) * self.t)


class Var(Ranked):
    """A number that remembers (parent, derivative by the parent) of what it was made of."""

    rank = 3
    __slots__ = ("parents", "time", "v")

    def __init__(self, v: Number, parents: tuple[tuple[Var, Number], ...] = ()) -> None:
        self.v, self.parents, self.time = v, parents, next(_clock)

    def plus(self, other: Number) -> Var:
        if isinstance(other, Var):
            return Var(self.v + other.v, ((self, 1), (other, 1)))
        return Var(self.v + other, ((self, 1),))

    def times(self, other: Number) -> Var:
        if isinstance(other, Var):
            return Var(self.v * other.v, ((self, other.v), (other, self.v)))
        return Var(self.v * other, ((self, other),))

    def function(self, name: str, p: float, order: int) -> Var:
        return Var(elementary(self.v, name, p, order), ((self, elementary(self.v, name, p, order + 1)),))


def gradient(y: Number, by: list[Var]) -> list[Number]:
    """dy/dx for each x of ``by``, in the numbers that the values are; 0 where y does not depend on x.

    >>> x, w = Var(2.0), Var(5.0)
    >>> gradient(x * x * w, [x, w])
    [20.0, 4.0]
    """
    bars: dict[int, Number] = {}
    if isinstance(y, Var):
        bars[id(y)] = 1
        for node in sorted(_ancestors(y), key=lambda n: -n.time):
            bar = bars.pop(id(node)) if node.parents else None
            for parent, slope in node.parents:
                term = slope * bar
                known = bars.get(id(parent))
                bars[id(parent)] = term if known is None else known + term
    return [bars.get(id(x), 0) for x in by]


def _ancestors(y: Var) -> list[Var]:
    found, waiting = {id(y): y}, [y]
    while waiting:
        for parent, _ in waiting.pop().parents:
            if id(parent) not in found:
                found[id(parent)] = parent
                waiting.append(parent)
    return list(found.values())


# elementary functions and their derivatives of any order --------------------------------------------------------------


def elementary(x: Number, name: str, p: float, order: int) -> Number:
    """The derivative of that order of exp(x), log(x) or x^p (``name`` "exp", "log", "power")."""
    if isinstance(x, Ranked):
        return x.function(name, p, order)
    if name == "exp":
        return np.exp(x) if isinstance(x, float | np.ndarray) else x.context.exp(x)
    if name == "log":
        if order == 0:
            return np.log(x) if isinstance(x, float | np.ndarray) else x.context.log(x)
        return (-1) ** (order - 1) * math.factorial(order - 1) * _raised(x, -order)
    falling = math.prod(p - k for k in range(order))
    return falling * _raised(x, p - order)


def _raised(x: Number, p: float) -> Number:
    whole = int(p)
    if whole == p:
        return 1 / x**-whole if whole < 0 else x**whole
    return x**p


def exp(x: Number) -> Number:
    """e^x."""
    return elementary(x, "exp", 0, 0)


def log(x: Number) -> Number:
    """The natural logarithm."""
    return elementary(x, "log", 0, 0)


def power(x: Number, p: float) -> Number:
    """x^p, p a constant: -1 is a division, 0.5 a root."""
    return elementary(x, "power", p, 0)


def plain(x: Number) -> Number:
    """The bare value."""
    while isinstance(x, Ranked):
        x = x.v  # type: ignore[attr-defined]
    return x


def held(x: Number) -> Number:
    """x as a constant: derivatives don't run through it."""
    return x.v if isinstance(x, Var) else x


def where(condition: Any, x: Number, y: Number) -> Number:
    """x where a plain condition holds, else y; row by row for arrays of rows."""
    if isinstance(condition, np.ndarray):
        yes = condition.astype(np.float64)
        return x * yes + y * (1.0 - yes)
    return x if condition else y
