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


def grbm(W: list[list[int]], mu: list[int], log_var: list[int], b: list[int], unit: float = 1 / 256) -> Model:
    """A Gaussian-Bernoulli record from integers, in multiples of ``unit``."""
    layers = {"mu": mu, "log_var": log_var, "b": b}
    return {"W": [[w * unit for w in row] for row in W]} | {k: [p * unit for p in v] for k, v in layers.items()}


GRBM_2X3 = grbm([[207, -390, 121], [-181, 302, 67]], [113, -171], [-262, 271], [-139, 205, 66])  # sigma 0.60, 1.70
GRBM_3X2 = grbm([[371, -155], [-217, 283], [94, -338]], [-101, 158, 57], [143, -198, 61], [83, -126])
GRBM_2X2 = grbm([[333, -142], [287, 95]], [-218, 174], [-190, 226], [57, -83])  # square, not symmetric
GRBM_1X1 = grbm([[402]], [-87], [-141], [59])
GRBM_SIGMA_1 = grbm([[207, -390], [-181, 302]], [113, -171], [0, 0], [-139, 205])
GRBM_MU_0 = grbm([[207, -390], [-181, 302]], [0, 0], [-262, 271], [-139, 205])
GRBM_EXTREME = grbm([[50, -50], [8, -8]], [-100, 10], [6, -4], [1000, -900], 1.0)  # sigma 20.1, 0.135

POINTS_1 = [[0.75], [-1.5], [0.0], [2.125]]
POINTS_2 = [[0.5, -1.25], [-0.375, 2.0], [1.625, 0.25], [-2.0, -0.875]]
POINTS_3 = [[0.5, -1.25, 0.375], [-0.75, 2.0, -1.5], [1.625, 0.25, 0.875], [0.0, -0.5, 2.25]]
POINTS_EXTREME = [[-100.0, 10.25], [-57.5, 17.5], [40.0, 2.0]]

GAUSSIAN_2: Model = {"mean": [0.4375, -0.78125], "precision": [[2.25, -0.8125], [-0.8125, 0.6875]]}
GAUSSIAN_3: Model = {
    "mean": [-0.3125, 0.5625, 1.125],
    "precision": [[1.75, 0.4375, -0.3125], [0.4375, 2.5, 0.625], [-0.3125, 0.625, 0.8125]],
}
DOUBLE_WELL: Model = {"quartic": [1.0, 2.5], "quadratic": [2.25, 1.75], "linear": [0.3125, -0.1875]}
NORMALS = [[0.8125, -1.375, 0.4375], [-0.6875, 0.3125, 1.5625], [1.1875, 0.9375, -0.25], [-1.75, -0.125, 0.625]]
UNIFORMS = [0.4375, 0.8125, 0.15625, 0.6875]
