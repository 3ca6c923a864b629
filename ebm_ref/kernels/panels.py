"""Matrix products in vector registers:  Z_u += sum_k w_ku S_k  for the rows of four units u, all chains side by side.

A row of Z or S is a unit, its columns are chains, their number a multiple of COLUMNS.  ``add_products`` cuts the
columns into panels of one to three vectors.  A panel's sums stay in registers while k runs over the rows of S in order,
so a chain's sum does not depend on the panel that it is in.  Written as LLVM vectors, since compilers do not find it:
three loads and four broadcasts serve twelve multiply-adds.  ``panel`` and ``fours`` say the same in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from llvmlite import ir

from ebm_ref.compile import jit, vector_code

UNITS = 4  # rows of a panel
VECTOR_BYTES = 32
CHUNK_BYTES = 12_000  # rows of S that stay in the first-level cache while all units pass over them
COLUMNS = 8  # a width must be a multiple: one vector of float32, two of float64
I64 = ir.IntType(64)


def panel(n_vectors: int) -> Callable:
    """Z[:4, c:c+n] += w' S[:, c:c+n], terms in the order of the rows of S, in NumPy; n columns fill the vectors."""

    def add(Z, S, w, c):
        columns = slice(c, c + n_vectors * VECTOR_BYTES // Z.dtype.itemsize)
        for k in range(len(S)):
            Z[:, columns] += w[k][:, None] * S[k, columns]

    return add


def fours(n_vectors: int) -> Callable:
    """The same with terms in fours: Z += (w_0 S_0 + w_1 S_1) + (w_2 S_2 + w_3 S_3), nothing fused."""

    def add(Z, S, w, c):
        columns = slice(c, c + n_vectors * VECTOR_BYTES // Z.dtype.itemsize)
        for k in range(0, len(S), 4):
            a, b, c2, d = (w[k + i][:, None] * S[k + i, columns] for i in range(4))
            Z[:, columns] += (a + b) + (c2 + d)

    return add


@dataclass(frozen=True)
class Panel:
    """The LLVM of one panel being written: width of the rows of Z and S, stride of those of w, first column c."""

    builder: Any
    element: Any
    bits: int
    n_vectors: int
    width: Any
    stride: Any
    c: Any

    @cached_property
    def vector(self) -> Any:
        """The type of a vector."""
        return ir.VectorType(self.element, 8 * VECTOR_BYTES // self.bits)

    @cached_property
    def multiply_add(self) -> Any:
        """x y + z of vectors, in one instruction where there is one."""
        name, module = f"llvm.fmuladd.v{self.vector.count}f{self.bits}", self.builder.module
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return module.globals.get(name) or ir.Function(module, kind, name)

    def at(self, base: Any, row: Any, v: int) -> Any:
        """Address of vector v of the panel in a row."""
        build = self.builder
        index = build.add(build.add(build.mul(row, self.width), self.c), I64(v * self.vector.count))
        return build.bitcast(build.gep(base, [index]), self.vector.as_pointer())

    def load(self, pointer: Any) -> Any:
        """A vector, aligned as a number is."""
        value = self.builder.load(pointer)
        value.align = self.bits // 8
        return value

    def weight(self, w: Any, k: Any, u: int) -> Any:
        """w_ku in all lanes."""
        build, anything = self.builder, ir.Constant(self.vector, ir.Undefined)
        number = build.load(build.gep(w, [build.add(build.mul(k, self.stride), I64(u))]))
        one = build.insert_element(anything, number, ir.IntType(32)(0))
        return build.shuffle_vector(one, anything, ir.Constant(ir.VectorType(ir.IntType(32), self.vector.count), None))

    def next_sums(self, S: Any, w: Any, k: Any, sums: dict, n_terms: int) -> dict:
        """The sums with one term more, or four."""
        build, new = self.builder, {}
        terms = [build.add(k, I64(i)) for i in range(n_terms)]
        states = [[self.load(self.at(S, term, v)) for v in range(self.n_vectors)] for term in terms]
        for u in range(UNITS):
            weights = [self.weight(w, term, u) for term in terms]
            for v in range(self.n_vectors):
                if n_terms == 1:
                    new[u, v] = build.call(self.multiply_add, [weights[0], states[0][v], sums[u, v]])
                    continue
                first, second, third, fourth = (build.fmul(x, s[v]) for x, s in zip(weights, states, strict=True))
                four = build.fadd(build.fadd(first, second), build.fadd(third, fourth))
                new[u, v] = build.fadd(sums[u, v], four)
        return new


def panel_code(n_vectors: int, in_fours: bool = False) -> Callable:
    """Either in LLVM: ``emit(builder, element, bits, Z, S, w, c, width, n, stride)``, Z, S, w the first elements."""
    n_terms = 4 if in_fours else 1

    def emit(
        builder: Any, element: Any, bits: int, Z: Any, S: Any, w: Any, c: Any, width: Any, n: Any, stride: Any
    ) -> None:
        panel = Panel(builder, element, bits, n_vectors, width, stride, c)
        cells = [(u, v) for u in range(UNITS) for v in range(n_vectors)]
        targets = {(u, v): panel.at(Z, I64(u), v) for u, v in cells}
        first = {cell: panel.load(targets[cell]) for cell in cells}
        before, (loop, after, end) = builder.block, map(builder.append_basic_block, ("k", "done", "end"))
        builder.cbranch(builder.icmp_signed("<", I64(0), n), loop, end)
        builder.position_at_end(loop)
        k = builder.phi(I64)
        sums = {cell: builder.phi(panel.vector) for cell in cells}
        new = panel.next_sums(S, w, k, sums, n_terms)
        following = builder.add(k, I64(n_terms))
        for phi, start, step in [(k, I64(0), following), *((sums[cell], first[cell], new[cell]) for cell in cells)]:
            phi.add_incoming(start, before)
            phi.add_incoming(step, loop)
        builder.cbranch(builder.icmp_signed("<", following, n), loop, after)
        builder.position_at_end(after)
        for cell in cells:
            builder.store(new[cell], targets[cell]).align = bits // 8
        builder.branch(end)
        builder.position_at_end(end)

    return emit


panel_1, panel_2, panel_3 = (vector_code(panel_code(v), panel(v)) for v in (1, 2, 3))
panel_of_fours = vector_code(panel_code(1, in_fours=True), fours(1))


def add_products(Z, S, tiles):
    """Z[4g + u] += sum_k tiles[g, k, u] S[k]; Z and S have the same width, a multiple of COLUMNS."""
    per_vector, width = VECTOR_BYTES // Z.itemsize, Z.shape[1]
    chunk = max(16, CHUNK_BYTES // (width * Z.itemsize))
    for k in range(0, len(S), chunk):
        rows = S[k : k + chunk]
        for g in range(len(tiles)):
            z, w, c = Z[UNITS * g : UNITS * (g + 1)], tiles[g, k : k + chunk], 0
            left = width // per_vector
            while left > 0:
                if left == 3 or left > 4:
                    panel_3(z, rows, w, c)
                    n = 3
                elif left > 1:
                    panel_2(z, rows, w, c)
                    n = 2
                else:
                    panel_1(z, rows, w, c)
                    n = 1
                left -= n
                c += n * per_vector


add_products = jit(add_products)


def tiles(W: np.ndarray, dtype: Any) -> np.ndarray:
    """W (terms, units) as ``add_products`` reads it: [g, k, u] = W[k, 4g + u], units padded with zeros."""
    terms, units = W.shape
    groups = -(-units // UNITS)
    padded = np.zeros((terms, groups * UNITS), dtype)
    padded[:, :units] = W
    return np.ascontiguousarray(padded.reshape(terms, groups, UNITS).transpose(1, 0, 2))
