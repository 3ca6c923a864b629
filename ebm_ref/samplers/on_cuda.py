"""The CUDA twin of each sampler's ``advance``: the same random numbers, the same rows.

A binary state may differ from the CPU's only where a uniform lies within rounding of its probability; continuous ones
differ by rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ebm_ref.errors import BackendError
from ebm_ref.kernels.cuda import adjusted as adjusted_kernels
from ebm_ref.kernels.cuda import driver
from ebm_ref.kernels.cuda import gibbs as kernels
from ebm_ref.kernels.cuda import langevin as continuous_kernels
from ebm_ref.kernels.noise import Stream
from ebm_ref.models.grbm import GRBM
from ebm_ref.samplers import continuous
from ebm_ref.samplers.common import Info
from ebm_ref.samplers.gaussian_gibbs import GaussianGibbs
from ebm_ref.samplers.gibbs import BlockGibbs, Gibbs
from ebm_ref.samplers.gibbs_langevin import GibbsLangevin
from ebm_ref.samplers.langevin import Langevin
from ebm_ref.samplers.metropolis import Metropolis

Advanced = tuple[np.ndarray, Info]


def advance(sampler, state: np.ndarray, stream: Stream, start: int, n: int) -> Advanced:
    """n steps on the card, numbers at steps start, ..., start + n - 1; the input is not modified."""
    twin = TWINS.get(type(sampler))
    if twin is None:
        known = ", ".join(kind.__name__ for kind in TWINS)
        raise BackendError(
            f"device='cuda': {type(sampler).__name__} runs on the CPU only (on a card: {known}); use device='cpu'"
        )
    return twin(sampler, np.array(state), stream.address, np.uint64(start), n)


def _block_gibbs(sampler: BlockGibbs, rows: np.ndarray, address: np.ndarray, start: np.uint64, n: int) -> Advanced:
    m = sampler.model
    if sampler.dtype != "float64":
        raise BackendError(f"device='cuda': expected dtype='float64', got {sampler.dtype!r}")
    units = max(m.n_visible, m.n_hidden)
    kernels.run_block_sweeps(len(rows), units, start, n, rows, m.W, m.W.T, m.a, m.b, sampler.free, address)
    return rows, Info(np.full(len(rows), n * m.n_units), n * m.n_units)


def _gaussian_gibbs(
    sampler: GaussianGibbs, rows: np.ndarray, address: np.ndarray, start: np.uint64, n: int
) -> Advanced:
    m = sampler.model
    continuous_kernels.run_block_sweeps(
        len(rows), max(m.n_visible, m.n_hidden), start, n,
        rows, m.W / m.variance[:, None], m.W.T, m.mu, np.sqrt(m.variance), m.b, sampler.free, address,
    )  # fmt: skip
    return rows, Info(np.full(len(rows), n * m.n_units), n * m.n_units)


def _gibbs(sampler: Gibbs, rows: np.ndarray, address: np.ndarray, start: np.uint64, n: int) -> Advanced:
    J, c, visits = sampler.machine.J, sampler.machine.c, sampler.visits
    if sampler.scan == "random":
        kernels.run_random_site_updates(len(rows), rows, J, c, visits, address, start, n)
        return rows, Info(np.full(len(rows), n), n)
    kernels.run_site_sweeps(len(rows), rows, J, c, visits, sampler.addresses, address, start, n)
    return rows, Info(np.full(len(rows), n * len(visits)), n * len(visits))


def _langevin(sampler: Langevin, rows: np.ndarray, address: np.ndarray, start: np.uint64, n: int) -> Advanced:
    m = sampler.model
    if sampler.box is not None or type(m) is not GRBM:
        raise BackendError("device='cuda': of the Langevin samplers, those of a GRBM without a box; use device='cpu'")
    free = np.ones(m.n_visible) if sampler.free is None else sampler.free
    A, lam, s = m.W / m.variance[:, None], sampler.step_size * free, sampler.noise * free
    units, empty = max(m.n_visible, m.n_hidden), driver.empty
    if sampler.adjusted:
        accepted, (visible, by_lane) = np.zeros(len(rows), dtype=np.int64), (rows.shape, _by_lane(rows, units))
        adjusted_kernels.run_mala_rounds(
            len(rows), units, start, n + 1, rows, accepted, empty(visible), empty(visible), empty(visible),
            empty((len(rows), m.n_hidden)), empty(by_lane), empty(by_lane), empty(by_lane),
            A, A.T, m.mu, 1 / m.variance, m.b, lam, s, 1.0 / sampler.temperature, start, address,
        )  # fmt: skip
        return rows, Info(accepted, n)
    diverged = np.zeros(len(rows), dtype=np.int64)
    continuous_kernels.run_ula_steps(
        len(rows), units, start, n, rows, np.empty((len(rows), m.n_hidden)), diverged,
        A, A.T, m.mu, 1 / m.variance, m.b, lam, s, address,
    )  # fmt: skip
    continuous.require_no_divergence(diverged, int(address[3]))
    return rows, Info(np.full(len(rows), n), n)


def _gibbs_langevin(
    sampler: GibbsLangevin, rows: np.ndarray, address: np.ndarray, start: np.uint64, n: int
) -> Advanced:
    m, (pull, noise), empty = sampler.model, sampler.coefficients(), driver.empty
    A, units = m.W / m.variance[:, None], max(m.n_visible, m.n_hidden)
    if not sampler.adjusted:
        continuous_kernels.run_gibbs_langevin(
            len(rows), units, start, n, rows, A, m.W.T, m.mu, m.b, pull, noise, sampler.free, address
        )
        return rows, Info(np.full(len(rows), n), n)
    accepted, visible, by_lane = np.zeros(len(rows), dtype=np.int64), (len(rows), m.n_visible), _by_lane(rows, units)
    adjusted_kernels.run_adjusted_rounds(
        len(rows), units, start, n + 1, rows, accepted, empty(rows.shape), empty(visible), empty(visible),
        empty(by_lane), empty(by_lane), empty(by_lane), A, m.W.T, m.mu, 1 / m.variance, m.b, pull, noise,
        sampler.inner[0], sampler.half_precision(), sampler.free, sampler.adjust_from, start, address,
    )  # fmt: skip
    return rows, Info(accepted, n)


def _by_lane(rows: np.ndarray, units: int) -> tuple[int, int]:
    """The shape of one number for each lane of each chain."""
    return len(rows), driver.lanes_of(units)


def _metropolis(sampler: Metropolis, rows: np.ndarray, address: np.ndarray, start: np.uint64, n: int) -> Advanced:
    J, c, accepted = sampler.machine.J, sampler.machine.c, np.zeros(len(rows), dtype=np.int64)
    kernels.run_metropolis_updates(len(rows), rows, accepted, J, c, sampler.visits, address, start, n)
    return rows, Info(accepted, n)


TWINS: dict[type, Callable[..., Advanced]] = {
    BlockGibbs: _block_gibbs, GaussianGibbs: _gaussian_gibbs, Gibbs: _gibbs, Metropolis: _metropolis,
    Langevin: _langevin, GibbsLangevin: _gibbs_langevin,
}  # fmt: skip
