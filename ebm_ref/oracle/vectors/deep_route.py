"""The second route of deep energies: other formulas for every layer and form, derivatives by differences at 200 digits.

Shares nothing with ``ebm_ref.oracle.deep`` (the first route: sums over windows, the chain rule run back over numbers):
convolutions scatter and transposed ones gather, variances are E[x^2] - m^2, SiLU is z(1 + tanh(z/2))/2, softplus is
z/2 + log(2 cosh(z/2)), x.f is (|x + f|^2 - |x - f|^2)/4, LSE takes its maximum out.
dF/da is (F(a + h) - F(a))/h, h = 1e-60 at 200 digits; a second difference of the same kind gives tangents of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ebm_ref.oracle.vectors.encoding import precise

Nested = Any
H, DIGITS = 60, 200


def flat(x: Nested) -> list[Any]:
    """The numbers of a nested list."""
    return [leaf for part in x for leaf in flat(part)] if isinstance(x, list) else [x]


def shaped(values: list[Any], like: Nested) -> Nested:
    """The next numbers, removed from the list, in the shape of another nested list."""
    return [shaped(values, part) for part in like] if isinstance(like, list) else values.pop(0)


class Route:
    """Layers on numbers of a context of mpmath."""

    def __init__(self, mp: Any) -> None:
        self.mp = mp

    def image(self, channels: int, rows: int, columns: int) -> Nested:
        """Zeros."""
        return [[[self.mp.mpf(0)] * columns for _ in range(rows)] for _ in range(channels)]

    def linear(self, layer: dict[str, Any], x: Nested) -> Nested:
        """b plus one column after the other."""
        y = list(layer["b"])
        for value, row in zip(x, layer["W"], strict=True):
            y = [total + value * w for total, w in zip(y, row, strict=True)]
        return y

    def spectral_linear(self, layer: dict[str, Any], x: Nested) -> Nested:
        """(xW)/sigma + b."""
        W, b = layer["W"], layer["b"]
        v = [self.mp.mpf(t) for t in layer["v"]]
        sigma = self.mp.fdot([self.mp.mpf(t) for t in layer["u"]], [self.mp.fdot(row, v) for row in W])
        y = self.linear({"W": W, "b": [self.mp.mpf(0)] * len(b)}, x)
        return [value / sigma + shift for value, shift in zip(y, b, strict=True)]

    def conv(self, layer: dict[str, Any], x: Nested) -> Nested:
        """Every pixel adds to the windows that it lies in."""
        W, s, p = layer["W"], layer["stride"], layer["padding"]
        kh, kw = len(W[0][0]), len(W[0][0][0])
        rows, columns = (len(x[0]) + 2 * p - kh) // s + 1, (len(x[0][0]) + 2 * p - kw) // s + 1
        y = [[[b] * columns for _ in range(rows)] for b in layer["b"]]
        for c, i, j, u, v in self.places(x, kh, kw):
            top, left = i + p - u, j + p - v
            if top % s == 0 and left % s == 0 and 0 <= top // s < rows and 0 <= left // s < columns:
                for o in range(len(W)):
                    y[o][top // s][left // s] += x[c][i][j] * W[o][c][u][v]
        return y

    def conv_transpose(self, layer: dict[str, Any], x: Nested) -> Nested:
        """Every pixel of the output collects from the input."""
        W, s, p = layer["W"], layer["stride"], layer["padding"]
        kh, kw = len(W[0][0]), len(W[0][0][0])
        rows = (len(x[0]) - 1) * s - 2 * p + kh + layer["output_padding"]
        columns = (len(x[0][0]) - 1) * s - 2 * p + kw + layer["output_padding"]
        y = self.image(len(layer["b"]), rows, columns)
        for o, i, j, u, v in self.places(y, kh, kw):
            top, left = i + p - u, j + p - v
            if top % s == 0 and left % s == 0 and 0 <= top // s < len(x[0]) and 0 <= left // s < len(x[0][0]):
                y[o][i][j] += self.mp.fsum(x[c][top // s][left // s] * W[c][o][u][v] for c in range(len(x)))
        return [[[value + b for value in row] for row in c] for c, b in zip(y, layer["b"], strict=True)]

    def places(self, x: Nested, kh: int, kw: int) -> list[tuple[int, ...]]:
        """(channel, row, column, row of a kernel, column of a kernel)."""
        shape = (len(x), len(x[0]), len(x[0][0]), kh, kw)
        found: list[tuple[int, ...]] = [()]
        for n in shape:
            found = [(*place, k) for place in found for k in range(n)]
        return found

    def group_norm(self, layer: dict[str, Any], x: Nested) -> Nested:
        """x (gain/s) + (shift - gain m/s)."""
        size, y = len(layer["gain"]) // layer["n_groups"], []
        for c, channel in enumerate(x):
            own = flat(x[c // size * size : (c // size + 1) * size])
            mean = self.mp.fsum(own) / len(own)
            variance = self.mp.fsum(v * v for v in own) / len(own) - mean * mean
            slope = layer["gain"][c] / self.mp.sqrt(variance + self.mp.mpf(layer["eps"]))
            y.append([[v * slope + (layer["shift"][c] - mean * slope) for v in row] for row in channel])
        return y

    def activation(self, layer: dict[str, Any], x: Nested) -> Nested:
        """Of every number."""
        if isinstance(x, list):
            return [self.activation(layer, part) for part in x]
        mp, name, alpha = self.mp, layer["function"], self.mp.mpf(layer["alpha"])
        if name == "silu":
            return x * (1 + mp.tanh(x / 2)) / 2
        if name == "softplus":
            return x / 2 + mp.log(2 * mp.cosh(x / 2))
        if name == "tanh":
            return mp.tanh(x)
        if name == "elu":
            return max(x, mp.mpf(0)) + alpha * mp.expm1(min(x, mp.mpf(0)))
        return (1 + alpha) / 2 * x + (1 - alpha) / 2 * abs(x)

    def avg_pool(self, layer: dict[str, Any], x: Nested) -> Nested:
        """Means of columns, then of rows."""
        r = layer["size"]
        narrow = [[[self.mp.fsum(row[j : j + r]) / r for j in range(0, len(row), r)] for row in c] for c in x]
        return [[[self.mp.fsum(part) / r for part in zip(*c[i : i + r], strict=True)] for i in range(0, len(c), r)]
                for c in narrow]  # fmt: skip

    def max_pool(self, layer: dict[str, Any], x: Nested) -> Nested:
        """(a + b + |a - b|)/2, one after the other."""
        r = layer["size"]

        def largest(values: list[Any]) -> Any:
            best = values[0]
            for other in values[1:]:
                best = (best + other + abs(best - other)) / 2
            return best

        return [[[largest([c[i + u][j + v] for u in range(r) for v in range(r)]) for j in range(0, len(c[0]), r)]
                 for i in range(0, len(c), r)] for c in x]  # fmt: skip

    def upsample(self, layer: dict[str, Any], x: Nested) -> Nested:
        """Each number r times, each row r times."""
        r = layer["size"]
        wide = [[[value for value in row for _ in range(r)] for row in c] for c in x]
        return [[row for row in c for _ in range(r)] for c in wide]

    def concat(self, layer: dict[str, Any], x: Nested) -> Nested:
        """Channels of x, then those of the branch."""
        return [*x, *self.run(layer["branch"], x)]

    def residual(self, layer: dict[str, Any], x: Nested) -> Nested:
        """x plus the branch."""
        y = self.run(layer["branch"], x)
        return shaped([a + b for a, b in zip(flat(x), flat(y), strict=True)], x)

    def flatten(self, layer: dict[str, Any], x: Nested) -> Nested:
        """One row."""
        return flat(x)

    def run(self, layers: Sequence[dict[str, Any]], x: Nested) -> Nested:
        """The layers one after the other."""
        for layer in layers:
            x = getattr(self, layer["kind"])(layer, x)
        return x

    def energy(self, model: dict[str, Any], layers: Sequence[dict[str, Any]], x: Nested, y: int | None) -> Any:
        """c e + |x|^2/(2 s0^2)."""
        mp, form = self.mp, model["form"]
        f, x = flat(self.run(layers, x)), flat(x)
        if form == "inner":
            pairs = list(zip(x, f, strict=True))
            e = (mp.fsum((a + b) ** 2 for a, b in pairs) - mp.fsum((a - b) ** 2 for a, b in pairs)) / 4
        elif form == "residual":
            e = mp.fdot(x, x) - 2 * mp.fdot(x, f) + mp.fdot(f, f)
        elif form == "marginal":
            e = -self.lse(f)
        elif form == "joint":
            assert y is not None
            e = -f[y]
        else:
            e = mp.fdot(f, f) if form == "square" else f[0]
        base = mp.fsum((a / mp.mpf(model["base"])) ** 2 for a in x) / 2 if model["base"] else 0
        return mp.mpf(model["scale"]) * e + base

    def lse(self, f: list[Any]) -> Any:
        """log sum exp."""
        top = max(f)
        return top + self.mp.log(self.mp.fsum(self.mp.exp(v - top) for v in f))


def differences(F: Callable[[Any, list[Any]], Any], at: list[Any], along: list[Any] | None = None) -> list[Any]:
    """dF/da for every a, or the derivative of these in the direction ``along``; F(mp, numbers)."""
    mp = precise(DIGITS)
    h = mp.mpf(10) ** -H
    here = [mp.mpf(a) for a in at]

    def slopes(point: list[Any]) -> list[Any]:
        start = F(mp, point)
        return [(F(mp, [*point[:i], point[i] + h, *point[i + 1 :]]) - start) / h for i in range(len(point))]

    if along is None:
        return slopes(here)
    moved = [a + h * mp.mpf(d) for a, d in zip(here, along, strict=True)]
    return [(after - before) / h for before, after in zip(slopes(here), slopes(moved), strict=True)]
