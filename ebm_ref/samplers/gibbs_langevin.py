"""Gibbs-Langevin on a Gaussian-Bernoulli RBM.                        [Liao, Kornblith, Ren, Fleet & Hinton 2022]

One step on rows [v, h]:  K Langevin steps on E(., h) with h fixed, then h ~ p(h|v):
(1) v <- v - d_k (v-m(h))/s2 + sqrt(2 eta_k) z_k,  k = 1..K,  d_k = eta_k  (released code, batch size B: eta_k/B)
(2) all K at once:  v' ~ N(rho v + (1-rho) m(h), tau2), elementwise,  rho = prod_k (1 - d_k/s2),
    tau2 <- tau2 (1 - d_k/s2)^2 + 2 eta_k  from 0                             (exact/langevin.py, inner_chain)
(3) adjusted: (v', h') is accepted with probability min(1, exp(log alpha)),
    log alpha = -E(v',h') + E(v,h) + log q(v|v',h') + log p(h|v) - log q(v'|v,h) - log p(h'|v')
              = F(v) - F(v') + sum_i [(v'-rho v-(1-rho)m(h))^2 - (v-rho v'-(1-rho)m(h'))^2] / (2 tau2)
    since E(v,h) + log p(h|v) = F(v): p(h'|v') drops out, whatever K is.
Without (3) the law is off by O(eta): with W = 0 and eta = c s2 its variance is 2 s2 / (2-c).  With (3) it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ebm_ref.errors import DomainError, as_float_array, require_finite, require_int, require_positive, require_shape
from ebm_ref.exact.langevin import inner_chain
from ebm_ref.kernels import gibbs_langevin as kernels
from ebm_ref.kernels.noise import LANES, ROOM, Stream, from_tiles, lined_up, to_tiles
from ebm_ref.kernels.panels import tiles as packed
from ebm_ref.models.grbm import GRBM
from ebm_ref.samplers.common import GaussianNoise, Info, free_units, joint_rows
from ebm_ref.samplers.continuous import acceptance


@dataclass(frozen=True, eq=False)
class GibbsLangevin:
    """Gibbs-Langevin; see ``gibbs_langevin``.  step_sizes (K, n_visible): the eta of (1), by inner step and unit."""

    model: GRBM
    step_sizes: np.ndarray
    adjusted: bool
    adjust_from: int
    collapsed: bool
    drift_divisor: float
    free: np.ndarray

    name = "gibbs_langevin"

    @property
    def reversible(self) -> bool:
        """Whether the flow of the target is symmetric: adjusted, it is, for all of (v, h) at once."""
        return self.adjusted and self.adjust_from == 0

    @property
    def temperature(self) -> float:
        """s^2 / (2 d) of the inner steps: 1, or the batch size of the compatible mode."""
        return self.drift_divisor

    @property
    def inner(self) -> tuple[np.ndarray, np.ndarray]:
        """(2): (rho, tau2), each (n_visible,); clamped units have (1, 0)."""
        rho, tau2 = inner_chain(self.step_sizes, self.model.variance, self.drift_divisor)
        moves = self.free[: self.model.n_visible]
        return np.where(moves, rho, 1.0), np.where(moves, tau2, 0.0)

    def half_precision(self) -> np.ndarray:
        """1/(2 tau2) of (3), (n_visible,); 0 for clamped units."""
        tau2 = self.inner[1]
        return np.where(tau2 > 0, 0.5 / np.where(tau2 > 0, tau2, 1.0), 0.0)

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """(pull, noise), each (inner steps, n_visible), of v <- v + pull (m - v) + noise z: (1), or (2) at once."""
        if self.collapsed:
            rho, tau2 = self.inner
            return (1.0 - rho)[None], np.sqrt(tau2)[None]
        moves = self.free[: self.model.n_visible]
        pull = self.step_sizes / (self.drift_divisor * self.model.variance)
        return np.where(moves, pull, 0.0), np.where(moves, np.sqrt(2.0 * self.step_sizes), 0.0)

    def clamped(self, clamp) -> GibbsLangevin:
        """The sampler that never moves the clamped units."""
        return replace(self, free=free_units(clamp, self.model.n_visible, self.model.n_units))

    def begun(self, first: int) -> GibbsLangevin:
        """The sampler for a run that begins at step ``first``: ``adjust_step`` counts from there."""
        return replace(self, adjust_from=self.adjust_from + first)

    def unadjusted(self) -> GibbsLangevin:
        """The same inner steps, every proposal taken."""
        return replace(self, adjusted=False)

    def init(self, initial, seed: int, first_chain: int = 0) -> np.ndarray:
        """Initial states as joint rows [v, h]."""
        return joint_rows(self.model, initial, seed, first_chain)

    def draw(self, stream: Stream, step: int, n_chains: int) -> GaussianNoise:
        """z (n_chains, inner steps, n_visible); u: one for each hidden unit and, last, that of the decision.

        At steps before ``adjust_from`` the last one is -1, which accepts.
        """
        nv, nh = self.model.W.shape
        n_inner, stride = 1 if self.collapsed else len(self.step_sizes), -(-nv // 4) * 4
        z = stream.normal(step, (n_chains, n_inner * stride)).reshape(n_chains, n_inner, stride)[:, :, :nv]
        u = stream.uniform(step, (n_chains, n_inner * stride + nh + 1))[:, n_inner * stride :]
        if not self.adjusted or step < self.adjust_from:
            u[:, nh] = -1.0
        return GaussianNoise(z, u)

    def step(self, state: np.ndarray, noise: GaussianNoise) -> tuple[np.ndarray, Info]:
        """One step in plain NumPy; equal to ``advance`` up to the rounding of sums."""
        model, nv = self.model, self.model.n_visible
        v, h = state[:, :nv], state[:, nv:]
        v_new, mean = v, model.visible_mean(h)
        for k, (pull, scale) in enumerate(zip(*self.coefficients(), strict=True)):
            v_new = v_new + pull * (mean - v_new) + scale * noise.z[:, k]  # (1) or (2)
        h_new = np.where(self.free[nv:], noise.u[:, :-1] < model.hidden_probabilities(v_new), h).astype(np.float64)
        if not self.adjusted:
            return np.hstack([v_new, h_new]), Info(np.ones(len(v), dtype=np.int64), 1, np.ones(len(v)))
        with np.errstate(all="ignore"):
            log_ratio = self._free_energy(v, h) - self._free_energy(v_new, h_new) + self._log_q(v_new, v, mean)
            log_ratio = log_ratio - self._log_q(v, v_new, model.visible_mean(h_new))  # (3)
        probability = acceptance(log_ratio, np.zeros(len(v), dtype=bool))
        accepted = noise.u[:, -1] < probability
        new = np.where(accepted[:, None], np.hstack([v_new, h_new]), state)
        return new, Info(accepted.astype(np.int64), 1, probability)

    def _free_energy(self, v: np.ndarray, h: np.ndarray) -> np.ndarray:
        """-log sum exp(-E) over the hidden units that are free; the clamped ones are h."""
        logits = self.model.hidden_logits(v)
        soft = np.where(self.free[v.shape[1] :], np.logaddexp(0.0, logits), h * logits).sum(axis=1)
        return 0.5 * ((v - self.model.mu) ** 2 / self.model.variance).sum(axis=1) - soft

    def _log_q(self, to: np.ndarray, at: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Minus the exponent of q(to | at): sum (to - rho at - (1-rho) mean)^2 / (2 tau2) over the free units."""
        rho, half = self.inner[0], self.half_precision()
        return (half * ((to - mean) - rho * (at - mean)) ** 2).sum(axis=1)

    def advance(self, state: np.ndarray, stream: Stream, start: int, n: int) -> tuple[np.ndarray, Info]:
        """n steps by the compiled loop, numbers at steps start, ..., start + n - 1; the input is not modified."""
        model, (nv, nh), tiles, (pull, noise) = self.model, self.model.W.shape, to_tiles(state), self.coefficients()
        weights = packed(model.W.T, np.float64), packed(model.W / model.variance[:, None], np.float64)
        numbers, work = (stream.address, np.uint64(start), n), tiles.size * n * (20.0 * len(pull) + nh)
        mu, b, n_normals = np.array(model.mu), np.array(model.b), -(-nv // 4) * 4
        if not self.adjusted:
            scratch = lined_up(len(tiles), (nv + nh + n_normals) * LANES + ROOM)
            kernels.run_gibbs_langevin(
                len(tiles), tiles, scratch, *weights, mu, b, pull, noise, self.free, *numbers, work=work
            )
            return from_tiles(tiles, len(state), nv + nh), Info(np.full(len(state), n), n)
        accepted = np.zeros(len(tiles) * LANES, dtype=np.int64)
        scratch = lined_up(len(tiles), (3 * nv + 2 * nh + 6 + n_normals) * LANES + ROOM)
        kernels.run_adjusted(
            len(tiles), tiles, scratch, accepted, *weights, mu, 1.0 / model.variance, b, pull, noise, self.inner[0],
            self.half_precision(), self.free, self.adjust_from, *numbers, work=work,
        )  # fmt: skip
        return from_tiles(tiles, len(state), nv + nh), Info(accepted[: len(state)], n)


def gibbs_langevin(
    model: GRBM,
    step_sizes,
    adjust: bool = False,
    *,
    relative: bool = False,
    adjust_step: int = 0,
    collapsed: bool = False,
    dsl_compat_batch_size: int | None = None,
) -> GibbsLangevin:
    """Gibbs-Langevin on a GRBM: inner Langevin steps on v with h fixed, then h ~ p(h|v).       [Liao et al. 2022]

    step_sizes: (K,) or (K, n_visible), the eta of the K inner steps; ``cosine_steps`` makes the paper's schedule.
    relative: step sizes are c with eta_i = c s2_i, stable for c < 2 whatever the variances are.
    adjust: accept or refuse each step by (3), which keeps the model's law; from step ``adjust_step`` of a run on
    (``cd`` counts in each update anew, so that no chain stands still for good).
    collapsed: draw the K inner steps as the one normal jump (2): equal in law, other numbers, one normal a unit.
    dsl_compat_batch_size: the released code divides the energy by the batch size B in the drift, not in the noise:
    d = eta/B.  Its inner steps then sample at temperature B: left running with h fixed they have the law
    N(m(h), tau2/(1-rho^2)), rho and tau2 of (2) with d = eta/B, whose variance tends to B s2 for small steps; h is
    still drawn at temperature 1, so the whole samples no p(v,h)^beta.  Off by default; not with ``adjust``.
    (Its "Langevin" is ``ula(model, eta/B, temperature=B)``, which targets p(v)^(1/B) but for ULA's bias.)
    DomainError when an inner step is unstable, |1 - d/s2| >= 1, with the largest step allowed.

    >>> sampler = gibbs_langevin(GRBM.random(3, 2), cosine_steps(0.2, 10), adjust=True, relative=True)
    >>> rows, info = sampler.advance(sampler.init([[0.0, 1.0, -1.0]], seed=0), Stream(0, "transition"), 0, 5)
    >>> rows.shape, info.proposed
    ((1, 5), 5)
    """
    if not isinstance(model, GRBM):
        raise DomainError(f"gibbs_langevin: expected a GRBM, got {type(model).__name__}")
    steps = np.atleast_1d(as_float_array("step_sizes", step_sizes))
    require_finite("step_sizes", steps)
    if steps.ndim == 1:
        steps = np.repeat(steps[:, None], model.n_visible, axis=1)
    if not require_shape("step_sizes", steps, None, model.n_visible)[0] or not np.all(steps > 0):
        raise DomainError("step_sizes: expected one or more positive numbers")
    divisor = 1.0
    if dsl_compat_batch_size is not None:
        divisor = float(require_int("dsl_compat_batch_size", dsl_compat_batch_size, 1))
        if adjust:
            raise DomainError(
                "dsl_compat_batch_size: expected adjust=False; the released ratio keeps no law of the model"
            )
    etas = steps * model.variance if relative else steps
    _require_stable(etas / (divisor * model.variance), steps)
    etas.flags.writeable = False
    first = require_int("adjust_step", adjust_step)
    return GibbsLangevin(model, etas, bool(adjust), first, bool(collapsed), divisor, np.ones(model.n_units, dtype=bool))


def _require_stable(pull: np.ndarray, steps: np.ndarray) -> None:
    """Every |1 - d/s2| < 1."""
    if np.any(pull >= 2.0):
        k, i = np.unravel_index(int(np.argmax(pull)), pull.shape)
        raise DomainError(
            f"step_sizes: expected below {2.0 * steps[k, i] / pull[k, i]:.6g} for visible unit {i},"
            f" got {steps[k, i]:.6g}: |1 - step/variance| must stay below 1; try relative=True"
        )


def cosine_steps(maximum: float, n: int) -> np.ndarray:
    """maximum (1 + cos(pi t/n)) / 2, t = 0..n-1: from ``maximum`` downwards, never 0.

    >>> cosine_steps(0.2, 2)
    array([0.2, 0.1])
    """
    n, maximum = require_int("n", n, 1), require_positive("maximum", maximum)
    return maximum * (1.0 + np.cos(np.pi * np.arange(n) / n)) / 2.0
