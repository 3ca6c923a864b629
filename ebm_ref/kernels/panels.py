"""Matrix products in vector registers:  Z_u += sum_k w_ku S_k  for the rows of four units u, all chains side by side.

A row of Z or S is a unit, its columns are chains, their number a multiple of COLUMNS.  ``add_products`` cuts the
columns into panels of one to three vectors.  A panel's sums stay in registers while k runs over the rows of S in order,
so a chain's sum does not depend on the panel that it is in.  Written as LLVM vectors, since compilers do not find it:
three loads and four broadcasts serve twelve multiply-adds.  ``panel`` and ``fours`` say the same in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ebm_ref.compile import jit, vector_code

UNITS = 4  # rows of a panel
VECTOR_BYTES = 32
CHUNK_BYTES = 12_000  # rows of S that stay in the first-level cache while all units pass over them
COLUMNS = 8  # a width must be a multiple: one vector of float32, two of float64


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


def panel_code(n_vectors: int, in_fours: bool = False) -> Callable:
    """Either in LLVM: ``emit(builder, element, bits, Z, S, w, c, width, n, stride)``, pointers to the first elements.

    stride: of a row of w.
    """

    def emit(
        builder: Any, element: Any, bits: int, Z: Any, S: Any, w: Any, c: Any, width: Any, n: Any, stride: Any
    ) -> None:
        from llvmlite import ir

        i64, lanes = ir.IntType(64), 8 * VECTOR_BYTES // bits
        vector = ir.VectorType(element, lanes)
        zeros, anything = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None), ir.Constant(vector, ir.Undefined)
        name = f"llvm.fmuladd.v{lanes}f{bits}"
        multiply_add = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(vector, [vector] * 3), name
        )

        def at(base: Any, row: Any, v: int) -> Any:
            """Address of vector v of the panel in a row."""
            index = builder.add(builder.add(builder.mul(row, width), c), i64(v * lanes))
            return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

        def load(pointer: Any) -> Any:
            value = builder.load(pointer)
            value.align = bits // 8
            return value

        def weight(u: int, k: Any) -> Any:
            """w_ku in all lanes."""
            number = builder.load(builder.gep(w, [builder.add(builder.mul(k, stride), i64(u))]))
            one = builder.insert_element(anything, number, ir.IntType(32)(0))
            return builder.shuffle_vector(one, anything, zeros)

        def next_sums(k: Any, sums: dict) -> dict:
            """The sums with one term more, or four."""
            terms = [builder.add(k, i64(i)) for i in range(4 if in_fours else 1)]
            states = [[load(at(S, term, v)) for v in range(n_vectors)] for term in terms]
            new = {}
            for u in range(UNITS):
                weights = [weight(u, term) for term in terms]
                for v in range(n_vectors):
                    if in_fours:
                        a, b, c, d = (builder.fmul(x, s[v]) for x, s in zip(weights, states, strict=True))
                        four = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
                        new[u, v] = builder.fadd(sums[u, v], four)
                    else:
                        new[u, v] = builder.call(multiply_add, [weights[0], states[0][v], sums[u, v]])
            return new

        cells = [(u, v) for u in range(UNITS) for v in range(n_vectors)]
        targets = {(u, v): at(Z, i64(u), v) for u, v in cells}
        first = {cell: load(targets[cell]) for cell in cells}
        before, (loop, after, end) = builder.block, map(builder.append_basic_block, ("k", "done", "end"))
        builder.cbranch(builder.icmp_signed("<", i64(0), n), loop, end)
        builder.position_at_end(loop)
        k = builder.phi(i64)
        sums = {cell: builder.phi(vector) for cell in cells}
        new = next_sums(k, sums)
        following = builder.add(k, i64(4 if in_fours else 1))
        for phi, start, step in [(k, i64(0), following), *((sums[cell], first[cell], new[cell]) for cell in cells)]:
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
