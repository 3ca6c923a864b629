"""torchebm: LangevinDynamics, HamiltonianMonteCarlo, the contrastive-divergence loss, the persistent start points.

Declared: x' = x - eta grad U + sqrt(2 eta) s eps, s = noise_scale (temperature s^2); leapfrog HMC with mass m; the loss
mean U(data) - mean U(k steps later), whose gradient is CD-k; judged with an RBM's free energy and block Gibbs.
"""

from __future__ import annotations

import numpy as np
import torch
from torchebm.core import BaseModel, BaseSampler, DoubleWellModel, GaussianModel
from torchebm.losses import ContrastiveDivergence, PersistentContrastiveDivergence
from torchebm.samplers import HamiltonianMonteCarlo, LangevinDynamics

from ebm_ref.oracle import cases
from ebm_ref.oracle.checks_learning import check_update
from validation.peers import targets
from validation.peers.laws import conservation_test, one_step_test, residual_test
from validation.peers.table import Finding, Peer, Row
from validation.peers.updates import BATCH

PEER = Peer("torchebm", "torchebm")
CASE = cases.named("rbm_4x2")
CPU = torch.device("cpu")

NEW_SAMPLES = """
import torch
from torchebm.core import DoubleWellModel
from torchebm.losses import PersistentContrastiveDivergence
from torchebm.samplers import LangevinDynamics

model = DoubleWellModel()
loss = PersistentContrastiveDivergence(
    model, LangevinDynamics(model, step_size=1e-3), buffer_size=1000, new_sample_ratio=0.5, init_steps=0
)
loss.initialize_buffer((2,))
loss.replay_buffer.fill_(5.0)  # all chains stand at 5
start = loss.get_start_points(torch.zeros(1000, 2))
print((start == 5).all(dim=1).float().mean(), (start - 5).abs().max())  # half moved, none further than about 0.04
"""


NEW_SAMPLES_HOW = (
    "Documented as the fraction of new random samples in the chains; get_start_points instead adds noise of standard"
    " deviation 0.01 to that fraction of the buffer's states, so no chain is ever restarted. (get_negative_samples,"
    " which the loss does not call, draws new random states.) Either the code or the docstring may be what is meant."
)


class Mixture(BaseModel):
    """targets.gmm_1d."""

    def forward(self, x):
        """U (n,) of x (n, 1)."""
        weights, means = (torch.tensor(v, dtype=x.dtype) for v in (targets.WEIGHTS, targets.MEANS))
        return -torch.logsumexp(torch.log(weights) - 0.5 * (x - means) ** 2, dim=1)


def mover(sampler: BaseSampler):
    """advance(x, m, seed) through the public ``sample``."""

    def advance(x: np.ndarray, m: int, seed: int) -> np.ndarray:
        start = torch.tensor(x, dtype=sampler.dtype)
        return sampler.sample(x=start, n_steps=m, generator=torch.Generator().manual_seed(seed)).double().numpy()

    return advance


def gaussian(dtype: torch.dtype = torch.float32) -> GaussianModel:
    """targets.gauss_2d."""
    return GaussianModel(torch.tensor(targets.MU), torch.tensor(targets.SIGMA), dtype=dtype, device=CPU)


def langevin(model: BaseModel, eta: float, scale: float, dtype: torch.dtype) -> LangevinDynamics:
    """The sampler on the CPU."""
    return LangevinDynamics(model, step_size=eta, noise_scale=scale, dtype=dtype, device=CPU)


def residuals(model: BaseModel, draw, gradient, eta: float, scale: float, dtype: torch.dtype, seed: int) -> Finding:
    """C1 of one step."""
    advance = mover(langevin(model, eta, scale, dtype))
    return residual_test(lambda x, s: advance(x, 1, s), draw, gradient, eta, scale**2, seed=seed)


def own_law(eta: float, seed: int) -> Finding:
    """Unadjusted Langevin on a Gaussian keeps N(mu, P^-1 (I - eta P/2)^-1), not the target: started there, it stays."""
    covariance = targets.langevin_covariance(eta)
    root = np.linalg.cholesky(covariance)
    return conservation_test(
        mover(langevin(gaussian(), eta, 1.0, torch.float32)),
        lambda rng, n: targets.single(targets.MU + rng.standard_normal((n, 2)) @ root.T),
        lambda x: targets.gauss_uniforms(x, targets.MU, covariance),
        seed=seed,
    )


def hmc_law(seed: int) -> Finding:
    """One HMC step on gmm_1d with mass 2.3."""
    sampler = HamiltonianMonteCarlo(Mixture(device=CPU), step_size=1.9, n_leapfrog_steps=3, mass=2.3, device=CPU)
    advance = mover(sampler)
    noise = targets.hmc_noise(1.9, 3, 2.3)
    return one_step_test(lambda x, s: advance(x, 1, s), noise, targets.gmm_starts(), seed=seed)


def hmc_kept(seed: int) -> Finding:
    """Conservation of gauss_2d with a mass vector."""
    mass = torch.tensor([0.7, 1.9])
    sampler = HamiltonianMonteCarlo(gaussian(), step_size=0.9, n_leapfrog_steps=3, mass=mass, device=CPU)
    return conservation_test(mover(sampler), targets.gauss_draw, targets.gauss_uniforms, seed=seed)


# contrastive divergence -----------------------------------------------------------------------------------------------


class FreeEnergy(BaseModel):
    """The free energy of the case's RBM, -a.x - sum softplus(b + xW), parameters trainable."""

    def __init__(self) -> None:
        super().__init__(dtype=torch.float64, device=CPU)
        self.W, self.a, self.b = (torch.nn.Parameter(torch.tensor(np.array(v))) for v in (CASE.W, CASE.a, CASE.b))

    def forward(self, x):
        """F (n,) of x (n, nv)."""
        return -x @ self.a - torch.nn.functional.softplus(self.b + x @ self.W).sum(dim=1)


class BlockGibbs(BaseSampler):
    """x -> h -> x in torchebm's interface, so that its CD loss can be judged by enumeration."""

    def sample(self, x=None, n_steps=1, generator=None, model_kwargs=None):
        """n_steps block-Gibbs steps from x."""
        for _ in range(n_steps):
            h = torch.bernoulli(torch.sigmoid(self.model.b + x @ self.model.W), generator=generator)
            x = torch.bernoulli(torch.sigmoid(self.model.a + h @ self.model.W.T), generator=generator)
        return x.detach()


def cd_update(regularisation: float, k: int = 2):
    """update(rows, seed): minus the gradient of the loss."""
    model = FreeEnergy()
    sampler = BlockGibbs(model, dtype=torch.float64, device=CPU)
    loss_of = ContrastiveDivergence(model, sampler, k_steps=k, energy_reg_weight=regularisation, dtype=torch.float64)

    def update(rows: np.ndarray, seed: int):
        model.zero_grad()
        loss, _ = loss_of(torch.tensor(rows), generator=torch.Generator().manual_seed(seed))
        loss.backward()
        return [-p.grad.numpy() for p in (model.W, model.a, model.b)]

    return update


def regularisation_remark() -> str:
    """How much the default regulariser changes one update."""
    plain, default = (np.concatenate([v.ravel() for v in cd_update(r)(BATCH, 1)]) for r in (0.0, 0.001))
    share = np.linalg.norm(default - plain) / np.linalg.norm(plain)
    words = "With energy_reg_weight=0.  The documented default 0.001 adds a pull of the energies to 0;"
    return f"{words} on this model it changes an update by {100 * share:.2g} % of its length."


def new_samples(seed: int) -> Finding:
    """Are a share ``new_sample_ratio`` of the start points new?  Effect: their distance from their old chain."""
    model = DoubleWellModel(device=CPU)
    sampler = langevin(model, 1e-3, 1.0, torch.float32)
    loss = PersistentContrastiveDivergence(model, sampler, buffer_size=1000, new_sample_ratio=0.5, init_steps=0)
    generator = torch.Generator().manual_seed(seed)
    loss.initialize_buffer((2,), generator=generator)
    loss.replay_buffer.fill_(5.0)
    start = loss.get_start_points(torch.zeros(1000, 2), generator=generator).numpy()
    moved = np.abs(start - 5.0).max(axis=1)
    distance = float(moved.max())
    words = f"{int((moved > 0).sum())} of 1000 start points changed, by at most {distance:.3g}"
    return Finding(distance > 1.0, distance, None, "distance of a start point from its old chain", None, 1000, words)


def rows(seed: int = 0) -> list[Row]:
    """All rows of this peer."""
    single, double = torch.float32, torch.float64
    well = DoubleWellModel(targets.HEIGHT, targets.WELL, device=CPU)
    wide, steep = targets.wide_draw, targets.well_gradient
    gauss = (targets.gauss_draw, targets.gauss_gradient)
    return [
        PEER.measure(
            "LangevinDynamics, residuals, Gaussian, step 0.7",
            lambda: residuals(gaussian(), *gauss, 0.7, 1.0, single, seed),
        ),
        PEER.measure(
            "LangevinDynamics, residuals, Gaussian, float64, noise_scale 0.8",
            lambda: residuals(gaussian(double), *gauss, 0.3, 0.8, double, seed + 1),
            remark="noise_scale multiplies the noise: temperature noise_scale^2, as its integrator documents.",
        ),
        PEER.measure(
            "LangevinDynamics, residuals, double well",
            lambda: residuals(well, wide, steep, 0.05, 1.0, single, seed + 2),
        ),
        PEER.measure(
            "LangevinDynamics keeps its own stationary law (1 and 5 steps)",
            lambda: own_law(0.7, seed),
            remark="Unadjusted, as documented: on a Gaussian that law is N(mu, P^-1 (I - eta P/2)^-1), used here.",
        ),
        PEER.measure("HamiltonianMonteCarlo, law of one step, mass 2.3", lambda: hmc_law(seed)),
        PEER.measure(
            "HamiltonianMonteCarlo, target kept (1 and 5 steps), flow symmetric, mass vector", lambda: hmc_kept(seed)
        ),
        PEER.measure(
            "gradient of ContrastiveDivergence = CD-2",
            lambda: check_update(cd_update(0.0), CASE, BATCH, k=2, seed=seed),
            remark=regularisation_remark(),
        ),
        PEER.measure(
            "PersistentContrastiveDivergence, new_sample_ratio",
            lambda: new_samples(seed),
            how=NEW_SAMPLES_HOW,
            snippet=NEW_SAMPLES,
        ),
    ]
