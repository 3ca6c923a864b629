"""The models of the golden vectors: rectangular, generic biases, no symmetric W, and a temperature already inside.

Every number is a multiple of 2**-8 (the tempered ones of 2**-10), so it is exact in float32 and in any decimal print
of a few digits: implementations differ by their arithmetic only.
"""

from __future__ import annotations

from typing import Any

Model = dict[str, Any]


def rbm(W: list[list[int]], a: list[int], b: list[int], unit: float = 1 / 256) -> Model:
    """A record from integers, in multiples of ``unit``."""
    return {"W": [[w * unit for w in row] for row in W], "a": [p * unit for p in a], "b": [q * unit for q in b]}


W_3X2 = [[371, -155], [-217, 283], [94, -338]]
A_3X2, B_3X2 = [113, -171, 67], [-139, 205]

RBM_3X2 = rbm(W_3X2, A_3X2, B_3X2)
RBM_3X2_TEMPERED = rbm(
    [[3 * w for w in row] for row in W_3X2], [3 * p for p in A_3X2], [3 * q for q in B_3X2], 1 / 1024
)
RBM_2X3 = rbm([[-181, 402, 67], [259, -93, -315]], [77, -142], [-59, 187, -211])
RBM_2X1 = rbm([[333], [-245]], [-101, 158], [83])
RBM_1X3 = rbm([[207, -390, 121]], [-87], [149, -66, 33])
RBM_4X2_SLOW = rbm([[640, -610], [590, -655], [-620, 570], [-605, 630]], [-40, 35, 30, 10], [-25, 45])
RBM_EXTREME = rbm([[50, -50], [-50, 50], [50, 50]], [-1000, 1000, -20], [1000, -1000], 1.0)
RBM_LARGE_LOGITS = rbm([[90, -720], [-100, 20], [40, -37]], [-89, 12, 710], [17, 709], 1.0)
RBM_ZERO_LOGITS = rbm([[2, -4], [-3, 5], [1, 7]], [4, -5, -7], [1, -1], 0.5)  # logits 0 at x = 110, and at h = 01

J_4 = [[0, 301, -187, 0], [301, 0, 142, -269], [-187, 142, 0, 223], [0, -269, 223, 0]]
BOLTZMANN_4: Model = {"J": [[w / 256 for w in row] for row in J_4], "c": [p / 256 for p in [95, -163, 58, 121]]}
BOLTZMANN_3: Model = {
    "J": [[0.0, 1.4375, -0.8125], [1.4375, 0.0, 0.5625], [-0.8125, 0.5625, 0.0]],
    "c": [-0.3125, 0.6875, 0.1875],
}

ROWS_3 = [[1, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1]]
ROWS_2 = [[1, 0], [0, 1], [1, 0]]
ROWS_4 = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 0, 1], [1, 0, 1, 0], [0, 0, 0, 1]]
