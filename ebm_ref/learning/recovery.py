"""Diffusion recovery likelihood: a chain of easy conditional energies instead of one hard energy.    [Gao et al. 2021]

x_0 the data, x_t = abar_t x_0 + sbar_t z;   x_(t+1) = a_(t+1) x_t + sig_(t+1) z',  sig^2 = 1 - a^2;   y = a_(t+1) x_t
(1) p(y | x_(t+1)) ~ exp( -E(y, t)/T_t - |y - x_(t+1)|^2/(2 sig_(t+1)^2) ),         t = 0 ... T-1
    for t = T-1 without the quadratic term, with a = 1, and chains that start from N(0, I)
(2) published: T_t = s_t^2 = (sbar_t/sbar_0) b^2 sig_(t+1)^2,   b^2 = 2e-4:  the energy of level t is measured in s_t^2
(3) ULA at temperature 1 with step s_t^2/2 from y = x_(t+1):
    y <- y - s_t^2/(2 T_t) dE/dy - s_t^2/(2 sig^2) (y - x_(t+1)) + s_t z
    In w = y/s_t its step is 1/2 at every t, so one chain serves a batch of mixed t.
(4) loss: mean c_t (E(y+, t) - E(y-, t)),  c_t = sig_1/sig_(t+1);   y+ from the data, y- from (3)
Schedule (T = 6): betas 1e-4 ... 0.02 in 1000 steps, cut after 1, 101, 201, 301, 401, 501 and 1000 of them.
Generation: x_T ~ N(0, I); for t = T-1 ... 0 chains (3), then x_t = y/a_(t+1).  Completion: at every level the known
pixels are those of the observed image, diffused to that level.
Gaussian check, E/s^2 = y^2/(2v):  p(y|x~) = N(x~ v/(v + sig^2), v sig^2/(v + sig^2)).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_finite, require_int, require_positive
from ebm_ref.kernels.noise import Stream
from ebm_ref.models.layers import at_time
from ebm_ref.models.record import leafwise
from ebm_ref.samplers.complete import require_known
from ebm_ref.samplers.langevin import ula

CUTS = (1, 101, 201, 301, 401, 501, 1000)
B2 = 2e-4
MONITORED = 256


@dataclass(frozen=True)
class Schedule:
    """(1), (2): a, sig, abar, sbar (T + 1,) and s, temperature T_t (T,)."""

    a: np.ndarray
    sig: np.ndarray
    abar: np.ndarray
    sbar: np.ndarray
    s: np.ndarray
    temperature: np.ndarray

    @property
    def n_levels(self) -> int:
        """T."""
        return len(self.s)

    @property
    def keep(self) -> np.ndarray:
        """a_(t+1) of y = a_(t+1) x_t, (T,); 1 at the top."""
        return np.append(self.a[1:-1], 1.0)

    @property
    def pull(self) -> np.ndarray:
        """1/sig_(t+1)^2 of the quadratic term, (T,); 0 at the top."""
        return np.append(1.0 / self.sig[1:-1] ** 2, 0.0)


def t6_schedule() -> Schedule:
    """The published schedule with T = 6.

    >>> t6_schedule().s.round(5)
    array([0.00458, 0.04157, 0.06846, 0.089  , 0.10364, 0.13855])
    """
    log_a = np.cumsum(0.5 * np.log1p(-np.linspace(1e-4, 0.02, 1000)))[np.array(CUTS) - 1]
    a, abar = np.exp(np.diff(log_a, prepend=0.0)), np.exp(log_a)
    sig, sbar = np.sqrt(1.0 - a**2), np.sqrt(1.0 - abar**2)
    square = sbar[:-1] / sbar[0] * B2 * sig[1:] ** 2  # (2)
    return Schedule(a, sig, abar, sbar, np.sqrt(square), square)


def local_schedule(width: float, share: float = 0.2) -> Schedule:
    """The published levels for few coordinates with structure of the size ``width``: T_t = 1, energies in nats, and
    s_t^2/2 = ``share`` of the least variance of (1), 1/(1/(width^2 + sbar_t^2) + 1/sig_(t+1)^2): k of 1/share or more
    steps forget their start within a bump, and k s_t^2 >= sig_(t+1)^2 lets them cross the width of a level: shorter
    chains teach an ever steeper energy (validation/DEEP_DENSITIES.md).

    >>> local_schedule(0.1).s.round(3)
    array([0.061, 0.179, 0.274, 0.334, 0.372, 0.611])
    """
    published = t6_schedule()
    width, share = require_positive("width", width), require_positive("share", share)
    tightness = 1 / (width**2 + published.sbar[:-1] ** 2) + published.pull
    return replace(published, s=np.sqrt(2 * share / tightness), temperature=np.ones(published.n_levels))


@dataclass(frozen=True, eq=False)
class Conditional:
    """(1) as a target in w = y/s, one row for each of ``seen`` (n, d): what the chains (3) sample."""

    model: Any  # bound to the times of the rows
    seen: np.ndarray
    s: np.ndarray  # (n, 1)
    pull: np.ndarray  # (n, 1)
    temperature: np.ndarray  # (n, 1)

    @property
    def n_visible(self) -> int:
        """Number of coordinates."""
        return self.model.n_visible

    def free_energy(self, w: np.ndarray) -> np.ndarray:
        """E(sw)/T + |sw - seen|^2 pull/2, (n,)."""
        y = self.s * w
        near = 0.5 * (self.pull * (y - self.seen) ** 2).sum(axis=1)
        return self.model.energy(y) / self.temperature[:, 0] + near

    def score(self, w: np.ndarray) -> np.ndarray:
        """Minus its gradient by w, (n, d)."""
        y = self.s * w
        return self.model.score(y) * (self.s / self.temperature) - self.s * self.pull * (y - self.seen)


@dataclass(frozen=True, eq=False)
class RecoveryLikelihood:
    """See ``recovery``."""

    k: int
    schedule: Schedule

    def start(self, model, data: np.ndarray, seed: int) -> np.ndarray:
        """Nothing is carried."""
        return np.zeros((0, 0))

    def pairs(self, rows: np.ndarray, seed: int, update: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(t, y+, x_(t+1)) of a batch, the time of each row uniform; at the top x_T is N(0, I)."""
        c, n = self.schedule, len(rows)
        t = (Stream(seed, "diffusion_time").uniform(update, (n, 1))[:, 0] * c.n_levels).astype(np.int64)
        noise = Stream(seed, "data_noise")
        z, w = noise.normal(2 * update, rows.shape), noise.normal(2 * update + 1, rows.shape)
        x = c.abar[t, None] * rows + c.sbar[t, None] * z
        top = (t == c.n_levels - 1)[:, None]
        return t, c.keep[t, None] * x, np.where(top, w, c.a[t + 1, None] * x + c.sig[t + 1, None] * w)

    def chains(self, model, t: np.ndarray, seen: np.ndarray, stream: Stream, start: int, clamp=None) -> np.ndarray:
        """(3): k steps from ``seen`` (clamped coordinates keep what ``seen`` says), y (n, d)."""
        c = self.schedule
        target = Conditional(at_time(model, t), seen, c.s[t, None], c.pull[t, None], c.temperature[t, None])
        sampler = ula(target, 0.5)
        if clamp is not None:
            sampler = sampler.clamped(clamp)
        return c.s[t, None] * sampler.advance(seen / c.s[t, None], stream, start, self.k)[0]

    def estimate(self, model, rows, chains=None, seed: int = 0, update: int = 0):
        """Minus the gradient of (4) at one batch."""
        t, y, seen = self.pairs(rows, seed, update)
        negatives = self.chains(model, t, seen, Stream(seed, "negative"), update * self.k)
        weights = self.schedule.sig[1] / self.schedule.sig[t + 1] / len(rows)
        both = at_time(model, np.tile(t, 2))
        gradient = both.energy_gradient(np.concatenate([y, negatives]), np.concatenate([weights, -weights]))
        return at_time_of(model, leafwise(np.negative, gradient)), chains

    def measure(self, model, data: np.ndarray, chains: np.ndarray, seed: int) -> dict[str, float]:
        """The gap E(y+) - E(y-) of (4) on the first rows, weighted as the loss is."""
        t, y, seen = self.pairs(data[:MONITORED], seed, 0)
        negatives = self.chains(model, t, seen, Stream(seed, "monitor"), 0)
        bound = at_time(model, t)
        gap = (bound.energy(y) - bound.energy(negatives)) * self.schedule.sig[1] / self.schedule.sig[t + 1]
        return {"recovery_gap": float(gap.mean())}

    def density(self, model, level: int = 0):
        """The law of y = a_(t+1) x_t at t = ``level``, exp(-E(y, t)/T_t)/Z: at 0 the data with a noise of sbar_0."""
        return at_time(model, require_int("level", level)).tempered(1.0 / self.schedule.temperature[level])

    def sample(self, model, n: int, seed: int) -> np.ndarray:
        """n images from noise, (n, n_visible), in the units of the data."""
        x = Stream(seed, "fantasy_start").normal(0, (require_int("n", n, 1), model.n_visible))
        return self._descend(model, x, seed, None, None)

    def complete(self, model, observed, known, seed: int) -> np.ndarray:
        """Images that agree with ``observed`` (n, n_visible) where the mask ``known`` (n_visible,) is true."""
        observed, known = require_known(observed, known, model.n_visible)
        require_finite("observed", observed)
        if known.all():
            raise DomainError("known: expected a mask that leaves something to complete")
        x = Stream(seed, "fantasy_start").normal(0, observed.shape)
        return np.where(known, observed, self._descend(model, x, seed, observed, known))

    def _descend(self, model, x: np.ndarray, seed: int, observed, known) -> np.ndarray:
        c, noise = self.schedule, Stream(seed, "data_noise")
        for t in reversed(range(c.n_levels)):
            times = np.full(len(x), t)
            if observed is not None:
                there = c.abar[t] * observed + c.sbar[t] * noise.normal(t, x.shape)
                x = np.where(known, c.keep[t] * there, x)
            start = (c.n_levels - 1 - t) * self.k
            x = self.chains(model, times, x, Stream(seed, "transition"), start, known) / c.keep[t]
        return x

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        c = self.schedule
        return {"name": "recovery", "k": self.k, "steps": c.s.tolist(), "temperatures": c.temperature.tolist()}


def at_time_of(model, gradient):
    """The gradient's leaves in a record of the model's own times."""
    return leafwise(lambda _, g: g, model, gradient)


def recovery(k: int = 30, schedule: Schedule | None = None) -> RecoveryLikelihood:
    """Diffusion recovery likelihood for an energy with a time embedding, data in about [-1, 1].    [Gao et al. 2021]

    model: ``NetworkEnergy(unet(..., time_embedding=32), ...)``.  k: Langevin steps at each level.
    schedule: the published one, or ``local_schedule(width)`` for few coordinates.
    After training: ``.sample(model, n, seed)`` and ``.complete(model, observed, known, seed)``.
    """
    return RecoveryLikelihood(require_int("k", k, 1), schedule or t6_schedule())
