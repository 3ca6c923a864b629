"""A plain PyTorch RBM, as a textbook writes it, and its adapters: what a user of the oracle has to write.

The class is the example; ``step`` and ``update`` are the two adapters (any function of NumPy states and a seed).
"""

from __future__ import annotations

import numpy as np
import torch

from ebm_ref.oracle import cases, check_kernel
from ebm_ref.oracle.checks_formulas import check_conditionals, check_energy, check_gradient
from ebm_ref.oracle.checks_learning import check_update
from validation.peers.table import Peer, Row
from validation.peers.updates import BATCH

PEER = Peer("plain PyTorch RBM", "torch")
CASE = cases.named("rbm_4x2")


class TorchRBM(torch.nn.Module):
    """E(x, h) = -a.x - b.h - x'Wh, units in {0,1}; x (n, nv), h (n, nh)."""

    def __init__(self, W, a, b):
        super().__init__()
        self.W, self.a, self.b = (torch.nn.Parameter(torch.tensor(np.array(v))) for v in (W, a, b))

    def energy(self, x, h):
        return -x @ self.a - h @ self.b - ((x @ self.W) * h).sum(dim=1)

    def free_energy(self, x):
        return -x @ self.a - torch.nn.functional.softplus(self.b + x @ self.W).sum(dim=1)

    def hidden_probabilities(self, x):
        return torch.sigmoid(self.b + x @ self.W)

    def visible_probabilities(self, h):
        return torch.sigmoid(self.a + h @ self.W.T)

    @torch.no_grad()
    def gibbs(self, x, generator):
        h = torch.bernoulli(self.hidden_probabilities(x), generator=generator)
        return torch.bernoulli(self.visible_probabilities(h), generator=generator), h

    def cd_loss(self, x, k, generator):
        negative = x
        for _ in range(k):
            negative, _ = self.gibbs(negative, generator)
        return self.free_energy(x).mean() - self.free_energy(negative).mean()


RBM = TorchRBM(CASE.W, CASE.a, CASE.b)


def as_tensors(f):
    """NumPy in, NumPy out."""
    return lambda *arrays: f(*(torch.tensor(v) for v in arrays)).detach().numpy()


def step(states: np.ndarray, seed: int):
    """One transition of n chains, rows [x, h]; the oracle takes tensors back too."""
    x, h = RBM.gibbs(torch.tensor(states[:, : CASE.n_visible]), torch.Generator().manual_seed(seed))
    return torch.hstack([x, h])


def ascent(loss) -> list[np.ndarray]:
    """Minus the gradient of a loss, (dW, da, db)."""
    return [-g.numpy() for g in torch.autograd.grad(loss, (RBM.W, RBM.a, RBM.b))]


def update(rows: np.ndarray, seed: int):
    """The CD-2 update at learning rate 1."""
    return ascent(RBM.cd_loss(torch.tensor(rows), 2, torch.Generator().manual_seed(seed)))


def likelihood_gradient(data: np.ndarray):
    """Autograd through the enumerated log Z."""
    every = torch.tensor(np.unique(CASE.states[:, : CASE.n_visible], axis=0))
    return ascent(RBM.free_energy(torch.tensor(data)).mean() + torch.logsumexp(-RBM.free_energy(every), 0))


def rows(seed: int = 0) -> list[Row]:
    """All rows of this peer."""
    pair = as_tensors(RBM.hidden_probabilities), as_tensors(RBM.visible_probabilities)
    return [
        PEER.measure("energy", lambda: check_energy(lambda x, h: as_tensors(RBM.energy)(x, h), CASE)),
        PEER.measure("conditionals", lambda: check_conditionals(pair, CASE)),
        PEER.measure("autograd log-likelihood gradient", lambda: check_gradient(likelihood_gradient, CASE)),
        PEER.measure("block Gibbs", lambda: check_kernel(step, CASE, seed=seed)),
        PEER.measure("CD-2 update", lambda: check_update(update, CASE, BATCH, k=2, seed=seed)),
    ]
