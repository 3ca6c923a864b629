"""Sums of the rows that are switched on:  out = bias + sum_i s_i W_i,  i ascending, rows with s_i = 0 left out.

Where every state is 0 or 1 and a row is long enough, PANEL columns of a sum stay in vector registers while the rows
of W pass by, a load and an addition for each vector, and these columns of W in the first-level cache.  The last panel
ends with the row and overlaps its neighbour, so no columns are left over.  ``add_listed`` says the same in NumPy, one
addition after the other; products with other states round before they are added (nothing is fused), so a sum has the
same bits by either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ebm_ref.compile import jit, vector_code

LANES, N_VECTORS = 4, 9  # float64 in a register; registers with sums, enough that none waits for its own addition
PANEL = LANES * N_VECTORS
ZERO, S61 = np.uint64(0), np.uint64(61)


def add_listed(out, listed, weights, c):
    """out[0, c : c + PANEL] += weights[i, c : c + PANEL] for each i in listed (n,)."""
    for i in listed:
        out[0, c : c + PANEL] += weights[i, c : c + PANEL]


def listed_code(
    builder: Any, element: Any, bits: int, out: Any, listed: Any, weights: Any, c: Any, width: Any, n: Any, stride: Any
) -> None:
    """The same in LLVM."""
    from llvmlite import ir

    i64, vector = ir.IntType(64), ir.VectorType(element, LANES)

    def vectors(base: Any, row: Any) -> list[Any]:
        """Addresses of the panel's vectors in a row."""
        first = builder.add(builder.mul(row, stride), c)
        offsets = [builder.add(first, i64(LANES * v)) for v in range(N_VECTORS)]
        return [builder.bitcast(builder.gep(base, [offset]), vector.as_pointer()) for offset in offsets]

    def load(pointer: Any) -> Any:
        value = builder.load(pointer)
        value.align = bits // 8
        return value

    targets = vectors(out, i64(0))
    first = [load(target) for target in targets]
    before, (loop, after, end) = builder.block, map(builder.append_basic_block, ("row", "done", "end"))
    builder.cbranch(builder.icmp_signed("<", i64(0), n), loop, end)
    builder.position_at_end(loop)
    k, sums = builder.phi(i64), [builder.phi(vector) for _ in targets]
    row = vectors(weights, builder.load(builder.gep(listed, [k])))
    new = [builder.fadd(total, load(term)) for total, term in zip(sums, row, strict=True)]
    following = builder.add(k, i64(1))
    for phi, start, step in [(k, i64(0), following), *zip(sums, first, new, strict=True)]:
        phi.add_incoming(start, before)
        phi.add_incoming(step, loop)
    builder.cbranch(builder.icmp_signed("<", following, n), loop, after)
    builder.position_at_end(after)
    for total, target in zip(new, targets, strict=True):
        builder.store(total, target).align = bits // 8
    builder.branch(end)
    builder.position_at_end(end)


add_listed_rows = vector_code(listed_code, add_listed)


def list_ones(listed, states):
    """Numbers of the states that are 1, where all are 0 or 1: without a branch, 1.0 alone having bit 61."""
    n = ZERO
    for i in range(len(states)):
        listed[n] = i
        n += np.uint64(np.float64(states[i]).view(np.int64)) >> S61
    return n


list_ones = jit(list_ones)


def add_some_rows(out, bias, states, weights, listed):
    """out (n, width) = bias + states @ weights as above; ``listed`` (n, 1 + terms), uint64, is scratch.

    Rows of weights may be longer than those of out.
    """
    others, width = False, out.shape[1]
    for r in range(len(states)):
        for i in range(states.shape[1]):
            others |= (states[r, i] != 0.0) & (states[r, i] != 1.0)
        for j in range(width):
            out[r, j] = bias[j]
    if others or width < PANEL:
        for r in range(len(states)):
            add_row_by_row(out[r], states[r], weights)
        return
    for r in range(len(states)):
        listed[r, 0] = list_ones(listed[r, 1:], states[r])
    for start in range(0, width, PANEL):
        c = min(start, width - PANEL)
        for r in range(len(states)):
            for j in range(c, start):
                out[r, j] = bias[j]
            add_listed_rows(out[r : r + 1], listed[r, 1 : np.uint64(1) + listed[r, 0]], weights, c)


def add_row_by_row(out, states, weights):
    """out += states @ weights, whatever the states and however short the rows."""
    for i in range(len(states)):
        s, row = states[i], weights[i]
        if s != 0.0:
            for j in range(len(out)):
                out[j] += s * row[j]


add_row_by_row = jit(add_row_by_row)
add_some_rows = jit(add_some_rows)
