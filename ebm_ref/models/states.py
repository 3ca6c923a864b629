"""All states of n binary units, in the order of their index sum_i x_i 2^i."""

from __future__ import annotations

import numpy as np

from ebm_ref.errors import ModelTooLargeError


def all_states(n: int) -> np.ndarray:
    """(2**n, n) array of 0 and 1; row t holds the bits of t, unit 0 first.

    >>> all_states(2)
    array([[0., 0.],
           [1., 0.],
           [0., 1.],
           [1., 1.]])
    """
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.float64)


def state_index(rows) -> np.ndarray:
    """sum_i x_i 2^i of each row, (batch,) integers."""
    rows = np.asarray(rows)
    return rows.astype(np.int64) @ (1 << np.arange(rows.shape[1], dtype=np.int64))


def subset_sums(rows: np.ndarray) -> np.ndarray:
    """(2**n, k): row t is the sum of the rows (n, k) whose bit is set in t.  By doubling: one addition per element."""
    n, k = rows.shape
    table = np.zeros((2**n, k))
    for j in range(n):
        np.add(table[: 2**j], rows[j], out=table[2**j : 2 ** (j + 1)])
    return table


def bit_sums(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From values (2**n, k) of all states: (sum over all (k,), sums over the states with bit j set (n, k)).

    The top half is summed for the top bit, then folded onto the bottom half: two additions per element in all, and
    no matrix product, so the result does not depend on the number of BLAS threads.
    """
    n = len(values).bit_length() - 1
    with_bit = np.empty((n, values.shape[1]))
    for j in reversed(range(n)):
        upper = values[2**j :]
        with_bit[j] = upper.sum(axis=0)
        values = values[: 2**j] + upper
    return values[0], with_bit


def require_few_states(what: str, n_units: int, most: int, remedy: str = "") -> None:
    """Refuse before any work when 2**n_units states would not fit in memory."""
    if n_units > most:
        raise ModelTooLargeError(
            f"{what}: 2**{n_units} = {2.0**n_units:.3g} states,"
            f" about {2.0**n_units * 1e-7:.2g} s at 10 million a second; at most 2**{most} here"
            f"{'; ' + remedy if remedy else ''}"
        )
