"""Small data sets whose answers are known, and readers for larger ones.

    digits()                  1,797 real hand-written digits, 8x8, shipped with the package
    bars_and_stripes(n)       n x n images of bars or stripes; labelled_shifter(n): a third-order dependence
    best_log_likelihood(rows) what the perfect model reaches on them
    mixture_on_circle, two_spirals, rings, checkerboard   densities in the plane: exact values, scores, samples
    load_idx, load_idx_folder MNIST, Fashion-MNIST and any other IDX file

All but the densities need nothing but NumPy; they load when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ebm_ref.datasets.digits import Digits, digits
from ebm_ref.datasets.idx import DataNotFoundError, IdxData, load_idx, load_idx_folder
from ebm_ref.datasets.synthetic import bars_and_stripes, best_log_likelihood, labelled_shifter

if TYPE_CHECKING:
    from ebm_ref.datasets.planar import Checkerboard, Rings, checkerboard, mixture_on_circle, rings, two_spirals

PLANAR = ("Checkerboard", "Rings", "checkerboard", "mixture_on_circle", "rings", "two_spirals")

__all__ = [
    "Checkerboard",
    "DataNotFoundError",
    "Digits",
    "IdxData",
    "Rings",
    "bars_and_stripes",
    "best_log_likelihood",
    "checkerboard",
    "digits",
    "labelled_shifter",
    "load_idx",
    "load_idx_folder",
    "mixture_on_circle",
    "rings",
    "two_spirals",
]


def __getattr__(name: str) -> Any:
    if name not in PLANAR:
        raise AttributeError(f"module 'ebm_ref.datasets' has no attribute {name!r}")
    return getattr(importlib.import_module("ebm_ref.datasets.planar"), name)
