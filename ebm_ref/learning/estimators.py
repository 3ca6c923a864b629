"""Estimators of the log-likelihood gradient:  <-dE/dtheta>_data - <-dE/dtheta>_negatives.

estimator       negatives                                                   expectation
exact_gradient  the model's exact moments                                   the gradient
cd(k)           k sweeps of block Gibbs from the data rows                  exact.cd_gradient    [Hinton 2002]
pcd(k, n)       n chains that are never restarted, k sweeps an update       the gradient, once the chains mix and the
                                                    learning rate is small  [Younes 1989; Tieleman 2008]

Statistics use p(h|x) in place of sampled h (Rao-Blackwell) unless a switch says otherwise; ``visible="mean"``, Hinton's
recipe, replaces the reconstruction by its probabilities and so changes the expectation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from ebm_ref.errors import DomainError, as_float_array, require_choice, require_int, require_positive, require_shape
from ebm_ref.exact.moments import Moments, data_statistics, difference, layer_statistics, moments
from ebm_ref.exact.quadrature import grid
from ebm_ref.kernels import statistics
from ebm_ref.kernels.noise import Stream
from ebm_ref.learning.quadrature import GridGradient
from ebm_ref.learning.short_run import STARTS, ChainDivergence
from ebm_ref.models.boltzmann import BoltzmannMachine
from ebm_ref.models.grbm import GRBM
from ebm_ref.models.rbm import RBM
from ebm_ref.samplers.common import joint_rows
from ebm_ref.samplers.gibbs import block_gibbs, gibbs

Model = RBM | BoltzmannMachine | GRBM
NO_CHAINS = np.zeros((0, 0))


class Estimator(Protocol):
    """``start`` makes the state carried between updates; ``estimate`` returns a gradient and the new state."""

    def start(self, model: Any, data: np.ndarray, seed: int) -> np.ndarray:
        """The persistent chains before the first update, (n_chains, n_units); empty for estimators without any."""

    def estimate(
        self, model: Any, rows: np.ndarray, chains: np.ndarray, seed: int, update: int
    ) -> tuple[Any, np.ndarray]:
        """(ascent direction as a record, mean over rows; chains to carry on), at the given number of update."""

    def settings(self) -> dict[str, Any]:
        """Name and every switch, as recorded with the result."""


@dataclass(frozen=True)
class ExactGradient:
    """See ``exact_gradient``."""

    def start(self, model: Model, data: np.ndarray, seed: int) -> np.ndarray:
        """Nothing is carried."""
        return NO_CHAINS

    def estimate(self, model: Model, rows, chains=NO_CHAINS, seed: int = 0, update: int = 0):
        """The gradient of the mean log-likelihood of the rows."""
        return difference(model, batch_statistics(model, rows), moments(model)), chains

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        return {"name": "exact_gradient"}


@dataclass(frozen=True)
class ContrastiveDivergence:
    """See ``cd``."""

    k: int
    visible: str
    positive: str
    negative: str

    def start(self, model: Model, data: np.ndarray, seed: int) -> np.ndarray:
        """Nothing is carried."""
        return NO_CHAINS

    def estimate(self, model: RBM, rows, chains=NO_CHAINS, seed: int = 0, update: int = 0):
        """One CD-k estimate; row n of the batch is chain n, its sweeps are the steps from update * k on."""
        if isinstance(model, GRBM) and self.visible == "sample" and self.k:
            general = ChainDivergence(self.k, "data", "last", None, self.positive, self.negative, 0)
            return general.estimate(model, rows, chains, seed, update)
        if not isinstance(model, RBM):
            raise DomainError(
                f"cd: expected an RBM, got {type(model).__name__}; use pcd or exact_gradient"
                + "; a GRBM needs visible='sample' and k >= 1" * isinstance(model, GRBM)
            )
        if self.k == 0:
            zero = np.zeros_like
            return RBM(zero(model.W), zero(model.a), zero(model.b)), chains
        reconstruct = self._sampled if self.visible == "sample" else self._mean_field
        reconstruction = reconstruct(model, rows, Stream(seed, "negative"), update * self.k)
        if self.positive == self.negative == "probabilities":
            return _contrast(model, rows, reconstruction), chains
        noise = Stream(seed, "positive")
        positive = self._statistics(model, rows, self.positive, noise, 2 * update)
        negative = self._statistics(model, reconstruction, self.negative, noise, 2 * update + 1)
        return difference(model, positive, negative), chains

    def _sampled(self, model: RBM, x: np.ndarray, stream: Stream, start: int) -> np.ndarray:
        """k compiled sweeps of block Gibbs."""
        state = np.hstack([x, np.zeros((len(x), model.n_hidden))])
        return block_gibbs(model).advance(state, stream, start, self.k)[0][:, : model.n_visible]

    def _mean_field(self, model: RBM, x: np.ndarray, stream: Stream, start: int) -> np.ndarray:
        """Reconstructions by probabilities, the hidden units that they come from being sampled."""
        for t in range(start, start + self.k):
            u = stream.uniform(t, (len(x), model.n_units))[:, model.n_visible :]
            h = u < model.hidden_probabilities(x)
            x = model.visible_probabilities(h)
        return x

    def _statistics(self, model: RBM, x: np.ndarray, hidden: str, noise: Stream, step: int) -> Moments:
        h = statistics.hidden_probabilities(x, model.W, model.b)
        if hidden == "sample":
            h = (noise.uniform(step, h.shape) < h).astype(np.float64)
        return Moments(x.mean(axis=0), h.mean(axis=0), statistics.outer_mean(x, h))

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        return {"name": "cd", **asdict(self)}


@dataclass(frozen=True)
class PersistentContrastiveDivergence:
    """See ``pcd``."""

    k: int
    n_chains: int

    def _general(self) -> ChainDivergence:
        return ChainDivergence(self.k, "persistent", "last", None, "probabilities", "probabilities", self.n_chains)

    def start(self, model: Model, data: np.ndarray, seed: int) -> np.ndarray:
        """Chains start at uniformly chosen rows of the data, made binary by chance where they are not."""
        if isinstance(model, GRBM):
            return self._general().start(model, data, seed)
        u = Stream(seed, "fantasy_start").uniform(0, (self.n_chains, 1 + model.n_visible))
        rows = data[(u[:, 0] * len(data)).astype(np.int64)]
        return joint_rows(model, (u[:, 1:] < rows).astype(np.float64), seed)

    def estimate(self, model: Model, rows, chains, seed: int = 0, update: int = 0):
        """Advance every chain k sweeps under the current parameters, then compare."""
        if isinstance(model, GRBM):
            return self._general().estimate(model, rows, chains, seed, update)
        sampler: Any = block_gibbs(model) if isinstance(model, RBM) else gibbs(model)
        chains, _ = sampler.advance(chains, Stream(seed, "persistent"), update * self.k, self.k)
        if isinstance(model, RBM):
            return _contrast(model, rows, chains[:, : model.n_visible]), chains
        positive = batch_statistics(model, rows)
        negative = batch_statistics(model, chains[:, : model.n_visible])
        return difference(model, positive, negative), chains

    def settings(self) -> dict[str, Any]:
        """Name and switches."""
        return {"name": "pcd", **asdict(self)}


def _contrast(model: RBM, x: np.ndarray, y: np.ndarray) -> RBM:
    """difference(model, batch_statistics(model, x), batch_statistics(model, y)), bit for bit, in one go."""
    return RBM(*statistics.contrast(np.ascontiguousarray(x), np.ascontiguousarray(y), model.W, model.b))


def batch_statistics(model: Model, x: np.ndarray) -> Moments:
    """<-dE/dtheta> with x clamped and the hidden units averaged, mean over rows, in a fixed order of summation."""
    return data_statistics(model, x) if isinstance(model, BoltzmannMachine) else layer_statistics(model, x)


def exact_gradient(box=None, n: int = 64) -> ExactGradient | GridGradient:
    """The exact gradient of the mean log-likelihood of a batch, by enumeration (small models).

    box: for deep energies of one or two coordinates, by quadrature with n points a side: (lo, hi) of each axis, (d, 2),
    or one pair for all.  See learning/quadrature.py for its error.

    >>> exact_gradient(box=(-4, 4), n=80).n
    80
    """
    if box is None:
        return ExactGradient()
    sides = np.atleast_2d(as_float_array("box", box))
    grid(len(sides), sides, n)  # refuses what is no box
    return GridGradient(tuple((float(low), float(high)) for low, high in sides), n)


def cd(
    k: int = 1,
    *,
    visible: str = "sample",
    positive: str = "probabilities",
    negative: str = "probabilities",
    start: str = "data",
    collect: str = "last",
    sampler: Callable[[Any], Any] | None = None,
    n_chains: int = 100,
    schedule=None,
    adjust_after: int = 0,
) -> ContrastiveDivergence | ChainDivergence:
    """Contrastive divergence: k sweeps of block Gibbs from the data rows, on an RBM or a GRBM.       [Hinton 2002]

    visible: "sample", or "mean" for reconstructions by probabilities (another expectation than exact.cd_gradient).
    positive, negative: hidden units of the two statistics, "probabilities" or "sample" (same mean, more variance).
    k = 0 gives exactly 0.
    start: "data", "noise" or "persistent" (``n_chains`` of them); collect: the "last" state or "all" k of them;
    sampler: a function model -> sampler in place of ``block_gibbs``, such as ``lambda m: er.ula(m, 0.01)``.
    schedule: factors (k,) on the step size of a Langevin sampler, such as ``cosine_steps(1.0, k)``.
    adjust_after: number of updates during which an adjusted sampler takes every proposal.
    See learning/short_run.py for what these learn.

    >>> import ebm_ref as er
    >>> def adjusted(m):
    ...     return er.gibbs_langevin(m, er.cosine_steps(0.2, 10), adjust=True, relative=True, adjust_step=5)
    >>> cd(10, start="noise", collect="all", sampler=adjusted, adjust_after=100).k
    10
    """
    require_choice("visible", visible, ("sample", "mean"))
    require_choice("start", start, STARTS)
    require_choice("collect", collect, ("last", "all"))
    for name, value in (("positive", positive), ("negative", negative)):
        require_choice(name, value, ("probabilities", "sample"))
    if sampler is not None and not callable(sampler):
        raise DomainError(
            f"sampler: expected a function model -> sampler, got {type(sampler).__name__}; write lambda m: ..."
        )
    if sampler is None and (schedule is not None or adjust_after):
        raise DomainError("schedule, adjust_after: expected a sampler with steps, such as lambda m: er.mala(m, 0.1)")
    if start == "data" and collect == "last" and sampler is None:
        return ContrastiveDivergence(require_int("k", k), visible, positive, negative)
    if visible == "mean":
        raise DomainError("visible='mean': expected start='data', collect='last' and no sampler of your own")
    k, n_chains = require_int("k", k, 1), require_int("n_chains", n_chains, 1)
    if schedule is not None:
        factors = as_float_array("schedule", schedule)
        require_shape("schedule", factors, k)
        schedule = tuple(require_positive("schedule", factor) for factor in factors)
    return ChainDivergence(
        k, start, collect, sampler, positive, negative, n_chains if start == "persistent" else 0, schedule,
        require_int("adjust_after", adjust_after),
    )  # fmt: skip


def pcd(k: int = 1, n_chains: int = 100) -> PersistentContrastiveDivergence:
    """Persistent contrastive divergence: ``n_chains`` chains, never restarted, k sweeps an update. [Tieleman 2008]"""
    return PersistentContrastiveDivergence(require_int("k", k, 1), require_int("n_chains", n_chains, 1))
