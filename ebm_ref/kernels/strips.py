"""Products of sums in vector registers:  P_sk *= prod_u (R_us + B_uk)  over the units u, for four sides s of a state.

A strip is eight neighbouring states k; its products, four sides times two vectors, stay in registers while u runs over
the rows of R and B, so that two loads and four broadcasts serve eight additions and eight multiplications, the mix
that fills both kinds of arithmetic units of a core.  Written as LLVM vectors, since compilers do not find it.
``multiply_strip`` of a simulated card, and what a reader wants, is ``strip`` in NumPy.
"""

from __future__ import annotations

from typing import Any

from ebm_ref.compile import vector_code

SIDES, WIDTH = 4, 8  # rows of P, and states of a strip
LANES = 4  # float64 in a vector
UNROLLED = 2  # units of one turn; their number must be a multiple


def strip(P, B, R, c):
    """P (4, n), its columns c to c + 7, times R (units, 4) + B (units, 8), unit by unit."""
    columns = slice(c, c + WIDTH)
    for u in range(len(B)):
        P[:, columns] *= R[u][:, None] + B[u]


def strip_code(
    builder: Any, element: Any, bits: int, P: Any, B: Any, R: Any, c: Any, width: Any, n: Any, stride: Any
) -> None:
    """The same in LLVM; P, B and R are pointers to the first numbers, ``width`` the length of a row of P."""
    from llvmlite import ir

    i64, i32 = ir.IntType(64), ir.IntType(32)
    vector = ir.VectorType(element, LANES)
    anything, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(i32, LANES), None)

    def pointer(base: Any, index: Any) -> Any:
        return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

    def load(base: Any, index: Any) -> Any:
        value = builder.load(pointer(base, index))
        value.align = bits // 8
        return value

    def spread(base: Any, index: Any) -> Any:
        """One number in all lanes."""
        one = builder.insert_element(anything, builder.load(builder.gep(base, [index])), i32(0))
        return builder.shuffle_vector(one, anything, zeros)

    cells = [(side, v) for side in range(SIDES) for v in range(WIDTH // LANES)]
    places = {(s, v): builder.add(builder.add(builder.mul(i64(s), width), c), i64(v * LANES)) for s, v in cells}
    start = {cell: load(P, places[cell]) for cell in cells}
    before, (loop, end) = builder.block, map(builder.append_basic_block, ("units", "end"))
    builder.branch(loop)
    builder.position_at_end(loop)
    unit = builder.phi(i64)
    products = {cell: builder.phi(vector) for cell in cells}
    new = dict(products)
    for u in (builder.add(unit, i64(turn)) for turn in range(UNROLLED)):
        columns = [load(B, builder.add(builder.mul(u, i64(WIDTH)), i64(v * LANES))) for v in range(WIDTH // LANES)]
        for side in range(SIDES):
            r = spread(R, builder.add(builder.mul(u, stride), i64(side)))
            for v, b in enumerate(columns):
                new[side, v] = builder.fmul(new[side, v], builder.fadd(r, b))
    following = builder.add(unit, i64(UNROLLED))
    for phi, first, then in [(unit, i64(0), following), *((products[x], start[x], new[x]) for x in cells)]:
        phi.add_incoming(first, before)
        phi.add_incoming(then, loop)
    builder.cbranch(builder.icmp_signed("<", following, n), loop, end)
    builder.position_at_end(end)
    for cell in cells:
        builder.store(new[cell], pointer(P, places[cell])).align = bits // 8


multiply_strip = vector_code(strip_code, strip)
