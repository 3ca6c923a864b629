"""False-alarm calibration of the stage tests of continuous kernels, as in ``validation.calibration``.

Correct ULA (tests C1) and MALA (C4, C5, C7) on a correlated Gaussian, the exact cells of adjusted Gibbs-Langevin on a
GRBM (C3), and independent cells (S13).
Usage: python -m validation.calibration_continuous [share]
(a share of 3,000 seeds; writes validation/figures/calibration_continuous.*)
"""

import sys
from functools import cache

import numpy as np

from ebm_ref.oracle import cases
from ebm_ref.oracle.continuous.kernel_tests import FLOW_BINS
from ebm_ref.oracle.continuous.laws import CellLaw, cell_law
from ebm_ref.oracle.continuous.recipe import reference_step
from ebm_ref.oracle.continuous.ula import Whitener
from ebm_ref.oracle.statistics.chains import dependence
from ebm_ref.oracle.statistics.continuous import BINS, cell_test, column_test, two_sample_test
from ebm_ref.oracle.statistics.exact import symmetry_test
from ebm_ref.oracle.statistics.residuals import Products, Regression, Shape, bins_of, chi_square_p
from validation.calibration import N, calibrate

NULLS = 399
TESTS = ("C1 drift", "C1 scale", "C1 shape", "C1 rows", "C1 steps", "C3", "C4", "C5", "C7", "S13")


@cache
def grbm_law() -> CellLaw:
    """The law of one adjusted Gibbs-Langevin step."""
    return cell_law(cases.named("grbm_2x2", "gibbs_langevin_adjusted"))


def residual_p_values(rng: np.random.Generator, seed: int) -> list[float]:
    """C1, two successive steps of right ULA."""
    case = cases.named("gauss_2d", "ula")
    white, step = Whitener(case, 1.0), reference_step(case)
    x = case.draw(N, rng)
    y = step(x, 2 * seed)
    r, again = white(x, y), white(y, step(y, 2 * seed + 1))
    drift, every, present, rows, shape = Regression(), Regression(), Regression(), Products(), Shape()
    drift.add(white.features(x), r)
    present.add(white.features(y), again)
    every.add(np.hstack([white.features(y), white.features(x)[:, 1:]]), again)
    rows.add(r[0::2], r[1::2])
    shape.add(r[:, 0], case.target.uniforms(x)[0][:, 0])
    squares, df = drift.unexplained()
    scale = chi_square_p(float(squares.sum()), 2 * df)
    return [drift.p_value(), scale, shape.judge(rng, NULLS)[0], rows.p_value, every.p_value(present)]


def p_values(seed: int) -> list[float]:
    """One p-value of each test, on data of the right law, everything from one fresh seed."""
    rng, law = np.random.default_rng(seed), grbm_law()
    each = N // len(law.P)
    cells = np.array([rng.multinomial(each, row / row.sum()) for row in law.P])
    case = cases.named("gauss_2d", "mala")
    x = case.draw(N, rng)
    y = reference_step(case)(x, seed)
    u, v = case.uniforms(x)[0][:, 2], case.uniforms(y)[0][:, 2]
    codes = bins_of(u, FLOW_BINS) * FLOW_BINS + bins_of(v, FLOW_BINS)
    flow = np.bincount(codes, minlength=FLOW_BINS**2).reshape(FLOW_BINS, FLOW_BINS)
    table = rng.multinomial(N, np.outer(law.P[0], law.P[0]).ravel() / law.P[0].sum() ** 2)
    side = len(law.P[0])
    return [
        *residual_p_values(rng, seed),
        cell_test(cells, law.P, law.units, rng, NULLS).p_value,
        column_test(np.bincount(bins_of(v, BINS), minlength=BINS), rng, NULLS)[0],
        symmetry_test(flow, rng, NULLS).p_value,
        two_sample_test(case.energy(y), case.energy(case.draw(N, rng)), rng, NULLS)[0],
        dependence({"cells": table.reshape(side, side)[:16, :16]}, rng).p_value,
    ]


def named_p_values(seed: int) -> dict[str, float]:
    """The same by test."""
    return dict(zip(TESTS, p_values(seed), strict=True))


if __name__ == "__main__":
    groups = {"continuous kernels": (3_000, named_p_values)}
    sys.exit(calibrate(groups, "calibration_continuous", first=2_000_000, null_samples=NULLS))
