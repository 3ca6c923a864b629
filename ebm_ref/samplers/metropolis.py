"""Single-flip Metropolis on binary models.                      [Metropolis et al. 1953]

One step: choose one unit uniformly, propose to flip it, accept with probability min(1, exp(-dE)),
dE = -(1 - 2 s_i)(c_i + J_i.s).  A rejected proposal leaves the state, and the state counts again.
Reversible; more flips per draw than Glauber's heat bath, p(accept) = sigmoid(-dE).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ebm_ref.kernels import gibbs as kernels
from ebm_ref.kernels.noise import Stream
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.rbm import RBM
from ebm_ref.samplers.common import Info, Noise, binary_machine, free_units, joint_rows


@dataclass(frozen=True, eq=False)
class Metropolis:
    """Single-flip Metropolis on the Boltzmann machine of a model; see ``metropolis``."""

    model: RBM | BoltzmannMachine
    machine: BoltzmannMachine
    free: np.ndarray

    name = "metropolis"
    reversible = True
    temperature = 1.0

    @property
    def visits(self) -> np.ndarray:
        """The units to choose from."""
        return np.flatnonzero(self.free)

    def clamped(self, clamp) -> Metropolis:
        """The sampler that never proposes to flip the clamped units."""
        return replace(self, free=free_units(clamp, self.model.n_visible, self.model.n_units))

    def init(self, initial, seed: int, first_chain: int = 0) -> np.ndarray:
        """Initial states as joint rows."""
        return joint_rows(self.model, initial, seed, first_chain)

    def draw(self, stream: Stream, step: int, n_chains: int) -> Noise:
        """Two uniforms: which unit, and whether to accept."""
        return Noise(stream.uniform(step, (n_chains, 2)))

    def step(self, state: np.ndarray, noise: Noise) -> tuple[np.ndarray, Info]:
        """One proposal in plain NumPy."""
        J, c, s = self.machine.J, self.machine.c, np.array(state)
        chains, visits = np.arange(len(s)), self.visits
        i = visits[(noise.u[:, 0] * len(visits)).astype(np.int64)]
        dE = -(1 - 2 * s[chains, i]) * (c[i] + np.einsum("nj,nj->n", J[i], s))
        accepted = noise.u[:, 1] < np.exp(np.minimum(0.0, -dE))
        s[chains[accepted], i[accepted]] = 1 - s[chains[accepted], i[accepted]]
        return s, Info(accepted.astype(np.int64), 1)

    def advance(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        """n proposals by the compiled loop; the input is not modified."""
        rows, accepted = np.array(state), np.zeros(len(state), dtype=np.int64)
        kernels.run_metropolis_updates(
            len(rows), rows, accepted, self.machine.J, self.machine.c, self.visits, stream.address, np.uint64(start),
            n, work=len(rows) * n * (250.0 + self.machine.n_units),
        )  # fmt: skip
        return rows, Info(accepted, n)

    def site_schedule(self) -> tuple[str, tuple[int, ...]]:
        """How the step is composed of site kernels: the mean of the Metropolis flips."""
        return "metropolis", tuple(int(i) for i in self.visits)


def metropolis(model: RBM | BoltzmannMachine) -> Metropolis:
    """Single-flip Metropolis: one step proposes to flip one uniformly chosen unit.

    >>> from ebm_ref.exact.transitions import transition_matrix
    >>> transition_matrix(metropolis(BoltzmannMachine([[0.0]], [0.0])))
    array([[0., 1.],
           [1., 0.]])
    """
    machine = binary_machine("metropolis", model)
    return Metropolis(model, machine, np.ones(machine.n_units, dtype=bool))
