"""Gibbs samplers of binary models.                              [Geman & Geman 1984; Hinton 2002; lecture 9]

K_i resamples unit i from p(s_i | rest).  One step is
  block        K_h K_x:      all hidden units given x, then all visible units given the new h     (RBM)
  systematic   K_1 K_2 ... K_n in ``order``; by default hidden units first, then visible ones, which is block Gibbs
  palindromic  K_1 ... K_n ... K_1, reversible
  random       K_i for one uniformly chosen unit i, reversible
All leave the model's law invariant.  With clamped units the law is that of the others given them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import expit

from ebm_ref.compile import get_num_threads
from ebm_ref.errors import DomainError, require_choice, require_int
from ebm_ref.kernels import gibbs as kernels
from ebm_ref.kernels import gibbs_batch, gibbs_tables, panels, sites_batch
from ebm_ref.kernels.noise import Stream
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.rbm import RBM
from ebm_ref.samplers.common import Info, Noise, binary_machine, free_units, joint_rows
from ebm_ref.samplers.gaussian_gibbs import GaussianGibbs

FEW_CHAINS = 4  # fewer run one by one: a register would be mostly empty


@dataclass(frozen=True, eq=False)
class BlockGibbs:
    """Block Gibbs on an RBM; ``free`` (n_units,) marks the units that are not clamped.  See ``block_gibbs``."""

    model: RBM
    free: np.ndarray
    dtype: str = "float64"

    name = "block_gibbs"
    reversible = False
    temperature = 1.0

    def clamped(self, clamp) -> BlockGibbs:
        """The sampler that never moves the clamped units."""
        return replace(self, free=free_units(clamp, self.model.n_visible, self.model.n_units))

    def init(self, initial, seed: int, first_chain: int = 0) -> np.ndarray:
        """Initial states as joint rows."""
        return joint_rows(self.model, initial, seed, first_chain)

    def draw(self, stream: Stream, step: int, n_chains: int) -> Noise:
        """One uniform for each unit."""
        return Noise(stream.uniform(step, (n_chains, self.model.n_units)))

    def step(self, state: np.ndarray, noise: Noise) -> tuple[np.ndarray, Info]:
        """One sweep in plain NumPy: unit j becomes 1[u_j < p_j]."""
        m, nv = self.model, self.model.n_visible
        W, a, b = (leaf.astype(self.dtype) for leaf in (m.W, m.a, m.b))
        x, h = state[:, :nv].astype(self.dtype), state[:, nv:].astype(self.dtype)
        h = np.where(self.free[nv:], noise.u[:, nv:] < expit((b + x @ W).astype(np.float64)), h).astype(self.dtype)
        x = np.where(self.free[:nv], noise.u[:, :nv] < expit((a + h @ W.T).astype(np.float64)), x)
        return np.hstack([x, h]).astype(np.float64), Info(np.full(len(state), m.n_units), m.n_units)

    def advance(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        """n sweeps by the compiled loop, numbers at steps start, ..., start + n - 1; the input is not modified."""
        m, n_chains = self.model, len(state)
        if n_chains < FEW_CHAINS and self.dtype == "float64":
            rows = np.array(state)
            kernels.run_block_sweeps(
                n_chains, rows, np.empty_like(rows), m.W, np.ascontiguousarray(m.W.T), m.a, m.b, self.free,
                stream.address, np.uint64(start), n, work=n_chains * n * (20.0 * m.n_units + 2 * m.W.size),
            )  # fmt: skip
        else:
            rows = np.ascontiguousarray(state, dtype=np.float64)
            if self._layers is None:
                rows = self._side_by_side(rows, stream, start, n)
            else:
                rows = self._by_tables(self._layers, rows, stream, start, n)
        return rows, Info(np.full(n_chains, n * m.n_units), n * m.n_units)

    def _by_tables(
        self, layers: tuple[gibbs_tables.Layer, ...], state: np.ndarray, stream: Stream, start: int, n: int
    ) -> np.ndarray:
        """kernels/gibbs_tables; where a state is not binary, the loops that give the same rows for any states."""
        m, n_chains = self.model, len(state)
        rows, width = np.empty(state.shape), gibbs_tables.block_width(n_chains, get_num_threads())
        left = np.zeros(-(-n_chains // width), dtype=np.bool_)
        gibbs_tables.run_table_sweeps(
            len(left), width, state, rows, left, *layers, self.free[None].astype(np.float64), stream.address,
            np.uint64(start), n, work=n_chains * (n * (2.0 * m.n_units + m.W.size / 32) + m.n_units),
        )  # fmt: skip
        if not left.any():
            return rows
        if self.dtype == "float64":
            return self._side_by_side(state, stream, start, n)
        rows, (W, WT) = np.array(state), (M.astype(np.float32, order="C") for M in (m.W, m.W.T))
        gibbs_tables.run_plain_sweeps(
            n_chains, rows, np.empty_like(rows), W, WT, m.a, m.b, self.free, stream.address, np.uint64(start), n,
            work=n_chains * n * (20.0 * m.n_units + m.W.size),
        )  # fmt: skip
        return rows

    @cached_property
    def _layers(self) -> tuple[gibbs_tables.Layer, gibbs_tables.Layer] | None:
        """What kernels/gibbs_tables decides by; None where it isn't the faster one."""
        m = self.model
        if not gibbs_tables.worthwhile(m.n_visible, m.n_hidden):
            return None
        return gibbs_tables.layers(m.W, m.a, m.b, self.dtype == "float32")

    def _side_by_side(self, state: np.ndarray, stream: Stream, start: int, n: int) -> np.ndarray:
        """kernels/gibbs_batch, at first with sums in float32; in float64 throughout where a state is not binary."""
        m, n_chains = self.model, len(state)
        rows, width = np.empty(state.shape), gibbs_batch.block_width(n_chains, get_num_threads())
        left = np.zeros(-(-n_chains // width), dtype=np.bool_)
        for sums in ("_packed", "_packed_double"):
            packed = getattr(self, sums)  # made when it is needed
            gibbs_batch.run_batch_sweeps(
                len(left), width, state, rows, left, *packed, self.free, stream.address, np.uint64(start), n,
                work=n_chains * (n * (2.0 * m.n_units + m.W.size / 16) + m.n_units),
            )  # fmt: skip
            if not left.any():
                break
        return rows

    @cached_property
    def _packed(self) -> tuple[np.ndarray, ...]:
        """W and W' in tiles, biases, weights to sum again, margins of the two layers: what the kernel decides by."""
        W, a, b = self.model.W, self.model.a, self.model.b
        if self.dtype == "float32":
            return self._packed_in("float32")
        to_hidden, WT, d_hidden = gibbs_batch.prepared(W, b)
        to_visible, _, d_visible = gibbs_batch.prepared(WT, a)
        margins = gibbs_batch.MARGIN + np.array([d_visible, d_hidden])
        if W.size == 0 or not np.all(margins < gibbs_batch.WIDEST_MARGIN):
            return self._packed_double
        return to_hidden, to_visible, a, b, WT, W, margins

    @cached_property
    def _packed_double(self) -> tuple[np.ndarray, ...]:
        return self._packed_in("float64")

    def _packed_in(self, dtype: str) -> tuple[np.ndarray, ...]:
        """The same where the sums in this precision decide."""
        m, none = self.model, (np.empty((self.model.n_hidden, 0)), np.empty((self.model.n_visible, 0)))
        tiles = panels.tiles(m.W, dtype), panels.tiles(m.W.T, dtype)
        return *tiles, m.a, m.b, *none, np.full(2, gibbs_batch.MARGIN)

    def site_schedule(self) -> tuple[str, tuple[int, ...]]:
        """How the step is composed of site kernels: a product, in this order."""
        nv, n = self.model.n_visible, self.model.n_units
        return "product", tuple(i for i in (*range(nv, n), *range(nv)) if self.free[i])


@dataclass(frozen=True, eq=False)
class Gibbs:
    """Single-site Gibbs on the Boltzmann machine of a model; see ``gibbs``."""

    model: RBM | BoltzmannMachine
    machine: BoltzmannMachine  # the model as a general Boltzmann machine
    scan: str
    order: tuple[int, ...]
    free: np.ndarray

    name = "gibbs"
    temperature = 1.0

    @property
    def reversible(self) -> bool:
        """Whether pi_i P_ij = pi_j P_ji."""
        return self.scan != "systematic"

    @property
    def visits(self) -> np.ndarray:
        """Units in the order in which one step visits them (random scan: the units to choose from)."""
        order = [i for i in self.order if self.free[i]]
        return np.array(order + order[-2::-1] if self.scan == "palindromic" else order, dtype=np.int64)

    @property
    def addresses(self) -> np.ndarray:
        """Where each visit reads its uniform: i at the first visit of unit i, n + i at the second."""
        visits, n_free = self.visits, int(self.free[list(self.order)].sum())
        return np.where(np.arange(len(visits)) < n_free, visits, self.machine.n_units + visits)

    @property
    def _later(self) -> np.ndarray:
        """(n_visits, 2): after each visit, the range of units that the step has still to visit; empty at the end."""
        rest, later = self.visits[:0:-1], np.zeros((len(self.visits), 2), dtype=np.int64)
        later[:-1, 0] = np.minimum.accumulate(rest)[::-1]
        later[:-1, 1] = np.maximum.accumulate(rest)[::-1] + 1
        return later

    def clamped(self, clamp) -> Gibbs:
        """The sampler that never moves the clamped units."""
        return replace(self, free=free_units(clamp, self.model.n_visible, self.model.n_units))

    def init(self, initial, seed: int, first_chain: int = 0) -> np.ndarray:
        """Initial states as joint rows."""
        return joint_rows(self.model, initial, seed, first_chain)

    def draw(self, stream: Stream, step: int, n_chains: int) -> Noise:
        """Uniforms by unit (twice as many for the palindrome); for the random scan: choice, value."""
        n = self.machine.n_units
        width = {"systematic": n, "palindromic": 2 * n, "random": 2}[self.scan]
        return Noise(stream.uniform(step, (n_chains, width)))

    def step(self, state: np.ndarray, noise: Noise) -> tuple[np.ndarray, Info]:
        """One step in plain NumPy: s_i becomes 1[u < sigmoid(c_i + J_i.s)], site by site."""
        J, c, s = self.machine.J, self.machine.c, np.array(state)
        if self.scan == "random":
            chains = np.arange(len(s))
            i = self.visits[(noise.u[:, 0] * len(self.visits)).astype(np.int64)]
            s[chains, i] = noise.u[:, 1] < expit(c[i] + np.einsum("nj,nj->n", J[i], s))
            return s, Info(np.ones(len(s), dtype=np.int64), 1)
        for i, address in zip(self.visits, self.addresses, strict=True):
            s[:, i] = noise.u[:, address] < expit(c[i] + s @ J[i])
        return s, Info(np.full(len(s), len(self.visits)), len(self.visits))

    def advance(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        """n steps by the compiled loop; the input is not modified."""
        J, c, rows = self.machine.J, self.machine.c, np.array(state)
        if self.scan == "random":
            kernels.run_random_site_updates(
                len(rows), rows, J, c, self.visits, stream.address, np.uint64(start), n,
                work=len(rows) * n * (200.0 + len(c)),
            )  # fmt: skip
            return rows, Info(np.full(len(rows), n), n)
        if self.scan == "systematic" and len(rows) >= FEW_CHAINS and self._side_by_side(rows, stream, start, n):
            return rows, Info(np.full(len(rows), n * len(self.visits)), n * len(self.visits))
        kernels.run_site_sweeps(
            len(rows), rows, np.empty_like(rows), J, c, self.visits, self.addresses, self._later, stream.address,
            np.uint64(start), n, work=len(rows) * n * (60.0 * len(c) + J.size),
        )  # fmt: skip
        return rows, Info(np.full(len(rows), n * len(self.visits)), n * len(self.visits))

    def _side_by_side(self, rows: np.ndarray, stream: Stream, start: int, n: int) -> bool:
        """kernels/sites_batch, in place; False, and nothing done, where a state is not binary or float32 too coarse."""
        tiles, c, margin = self._packed
        if not margin < gibbs_batch.WIDEST_MARGIN:
            return False
        width = gibbs_batch.block_width(len(rows), get_num_threads())
        left = np.zeros(-(-len(rows) // width), dtype=np.bool_)
        out = np.empty(rows.shape)
        sites_batch.run_batch_site_sweeps(
            len(left), width, rows, out, left, tiles, self.machine.J, c, self.visits, margin, stream.address,
            np.uint64(start), n, work=len(rows) * n * (20.0 * len(self.visits) + self.machine.J.size / 16),
        )  # fmt: skip
        if left.any():
            return False
        rows[:] = out
        return True

    @cached_property
    def _packed(self) -> tuple[np.ndarray, np.ndarray, float]:
        """J from all units to the visits in tiles, c in the order of the visits, the margin: what the kernel wants."""
        J, c = self.machine.J[:, self.visits], self.machine.c[self.visits]
        return panels.tiles(J, "float32"), c, gibbs_batch.MARGIN + sites_batch.rounding(J, c)

    def site_schedule(self) -> tuple[str, tuple[int, ...]]:
        """How the step is composed of site kernels: a product in this order, or their mean."""
        return ("mean" if self.scan == "random" else "product"), tuple(int(i) for i in self.visits)


def block_gibbs(model: RBM | GRBM, dtype: str = "float64") -> BlockGibbs | GaussianGibbs:
    """Block Gibbs on an RBM or a GRBM: h ~ p(h|x), then x ~ p(x|h).

    dtype: "float32" holds W, a, b and the sums b + W'x in single precision (RBM only); float64 is as fast, unless
    weights are so large that sums in single precision decide little.  A sum of n terms then errs by at most 6e-8 n
    sum|terms|; a probability by a quarter of that.  The uniforms and the comparison are those of float64, so a unit
    differs only where u falls between the two probabilities.

    >>> sampler = block_gibbs(RBM.random(3, 2, 1.0))
    >>> rows, info = sampler.advance(sampler.init([[1, 0, 1]], seed=0), Stream(0, "transition"), 0, 10)
    >>> rows.shape
    (1, 5)
    """
    require_choice("dtype", dtype, ("float64", "float32"))
    if isinstance(model, GRBM):
        if dtype != "float64":
            raise DomainError("dtype='float32': expected an RBM, got a GRBM; use dtype='float64'")
        return GaussianGibbs(model, np.ones(model.n_units, dtype=bool))
    if not isinstance(model, RBM):
        raise DomainError(f"block_gibbs: expected an RBM or a GRBM, got {type(model).__name__}; use gibbs")
    return BlockGibbs(model, np.ones(model.n_units, dtype=bool), dtype)


def gibbs(model: RBM | BoltzmannMachine, scan: str = "systematic", order=None) -> Gibbs:
    """Single-site Gibbs; ``scan`` is "systematic", "palindromic" (a sweep a step) or "random" (one unit a step).

    ``order`` lists the units in the order of a sweep; by default hidden units come first, then visible ones.
    """
    require_choice("scan", scan, ("systematic", "random", "palindromic"))
    machine = binary_machine("gibbs", model)
    n, nv = machine.n_units, machine.n_visible
    if order is None:
        order = (*range(nv, n), *range(nv))
    order = tuple(require_int("order", i, 0, n - 1) for i in order)
    if sorted(order) != list(range(n)):
        raise DomainError(f"order: expected each of the {n} units once, got {order}")
    return Gibbs(model, machine, scan, order, np.ones(n, dtype=bool))
