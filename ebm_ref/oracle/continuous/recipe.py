"""ONE readable reference step of each continuous kernel, cut at the places where implementers err.

(1) propose      from x and standard normals z to the possible proposals y with their probabilities (one for each h' in
                 the kernels of two layers): with eta, g as believed
    langevin     y = x - drift eta g(x) + noise sqrt(2 eta) z
    hmc          p = momentum z; n_inner times p -= eta g / 2, x += eta p, p -= eta g / 2
    block_gibbs  h' ~ sigmoid(logits(v)),  v' = mean(h') + sd z
    gibbs_langevin   v' = rho v + (1 - rho) mean(h) + tau z, which is n_inner Langevin steps on N(mean(h), sigma^2) with
                 rho = prod (1 - drift eta / sigma^2),  tau^2 <- tau^2 (1 - drift eta / sigma^2)^2 + noise^2 2 eta;
                 then h' ~ sigmoid(logits(v'))
(2) accept       y with probability accept(log ratio), else x stays:
    mala         U - U' + (|x' - x + eta g|^2 - |x - x' + eta g'|^2) / (4 eta), coordinate by coordinate
    hmc          U - U' + (|p|^2 - |p'|^2) / 2
    gibbs_langevin_adjusted   F - F' + sum (r^2 - s^2) / (2 tau^2),  r = v' - rho v - (1 - rho) m(h),
                              s = v - rho v' - (1 - rho) m(h')
(3) law          the same functions on a grid of z give the exact law of one step (``ebm_ref.oracle.continuous.laws``)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ebm_ref.oracle.continuous.cases import JOINT, ContinuousCase

Array = np.ndarray
Function = Callable[[Array], Array]
Outcome = tuple[Array, Array]  # proposals (n, d) and their probabilities (n,)


class Move(NamedTuple):
    """What an acceptance rule may look at: x, y with their energies and gradients (believed), eta, the recipe."""

    x: Array
    y: Array
    energy: Array
    new_energy: Array
    g: Array
    new_g: Array
    momentum: Array  # hmc: before and after
    new_momentum: Array
    recipe: Recipe


def metropolis(log_ratio: Array) -> Array:
    """min(1, exp(log ratio))."""
    return np.exp(np.minimum(log_ratio, 0.0))


def always(log_ratio: Array) -> Array:
    """Accepts everything: the unadjusted kernel."""
    return np.ones_like(log_ratio)


def forward(m: Move) -> Array:
    """-log q(y | x) of a Langevin proposal, without its constant."""
    eta = m.recipe.eta
    return ((m.y - m.x + eta * m.g) ** 2 / (4 * eta)).sum(axis=1)


def backward(m: Move) -> Array:
    """-log q(x | y)."""
    eta = m.recipe.eta
    return ((m.x - m.y + eta * m.new_g) ** 2 / (4 * eta)).sum(axis=1)


def mala_ratio(m: Move) -> Array:
    """(2)."""
    return m.energy - m.new_energy + forward(m) - backward(m)


def hmc_ratio(m: Move) -> Array:
    """(2)."""
    return m.energy - m.new_energy + 0.5 * (m.momentum**2 - m.new_momentum**2).sum(axis=1)


def residual_pair(m: Move, chain: tuple[Array, Array] | None = None) -> tuple[Array, Array]:
    """The squared residuals of the inner chain (rho, tau), forward and backward, over 2 tau^2: each (n,)."""
    r, nv = m.recipe, m.recipe.n_visible
    rho, tau = r.inner_chain() if chain is None else chain
    v, w, h, k = m.x[:, :nv], m.y[:, :nv], m.x[:, nv:], m.y[:, nv:]
    ahead = (w - rho * v - (1 - rho) * r.mean(h)) ** 2 / (2 * tau**2)
    back = (v - rho * w - (1 - rho) * r.mean(k)) ** 2 / (2 * tau**2)
    return ahead.sum(axis=1), back.sum(axis=1)


def gibbs_langevin_ratio(m: Move) -> Array:
    """(2)."""
    ahead, back = residual_pair(m)
    return m.energy - m.new_energy + ahead - back


RATIOS = {"mala": mala_ratio, "hmc": hmc_ratio, "gibbs_langevin_adjusted": gibbs_langevin_ratio}


def zero(rows: Array) -> Array:
    """Stands for parts that a model without hidden units doesn't have."""
    return np.zeros(len(rows))


@dataclass(frozen=True, eq=False)
class Recipe:
    """The reference step as data; a wrong kernel is ``dataclasses.replace(recipe, one_thing=...)``.

    energy, gradient   of v, as believed;  eta (nv,);  log_ratio, accept as in (2)
    logits, mean, sd, var   of a GRBM's conditionals as believed: c(v), m(h), sigma as used for drawing, sigma^2
    hidden             all h (2^nh, nh)
    marginal           v is pulled to m(p(h | v)), the score of p(v), not of p(v | h); right for one inner step only
    refresh            h' is drawn, else it stays h
    """

    kernel: str
    n_visible: int
    eta: Array
    n_inner: int
    energy: Function
    gradient: Function
    log_ratio: Callable[[Move], Array]
    accept: Function
    logits: Function
    mean: Function
    sd: Array
    var: Array
    hidden: Array
    drift: float | Array = 1.0
    noise: float | Array = 1.0
    momentum: float | Array = 1.0
    visible_first: bool = False
    marginal: bool = False
    refresh: bool = True
    kicks: tuple[float, float] = (0.5, 0.5)

    def inner_chain(self) -> tuple[Array, Array]:
        """rho and tau of (1), each (nv,)."""
        rate = self.drift * self.eta / self.var
        variance = np.zeros_like(self.var)
        for _ in range(self.n_inner):
            variance = variance * (1 - rate) ** 2 + self.noise**2 * 2 * self.eta
        return (1 - rate) ** self.n_inner, np.sqrt(variance)

    def hidden_odds(self, v: Array) -> Array:
        """p(h' | v) for each h', (n, 2^nh)."""
        logits = np.minimum(np.maximum(self.logits(v), -700.0), 700.0)
        return np.exp(logits @ self.hidden.T - np.logaddexp(0.0, logits).sum(axis=1, keepdims=True))

    def next_odds(self, h: Array, end: Array) -> Array:
        """p(h' | v' = end) for each h' (n, 2^nh), of kernels that move v first."""
        if self.refresh:
            return self.hidden_odds(end)
        return (h[:, None, :] == self.hidden).all(axis=2).astype(np.float64)

    def propose(self, x: Array, z: Array) -> list[Outcome]:
        """(1): the possible proposals and their probabilities."""
        ones = np.ones(len(x))
        nv = self.n_visible
        if self.kernel in ("ula", "mala"):
            return [(x - self.drift * self.eta * self.gradient(x) + self.noise * np.sqrt(2 * self.eta) * z, ones)]
        if self.kernel == "hmc":
            return [(self.leapfrog(x, self.momentum * z)[0], ones)]
        v, h = x[:, :nv], x[:, nv:]
        if self.kernel == "block_gibbs" and not self.visible_first:
            odds, ends = self.hidden_odds(v), [self.mean(np.tile(k, (len(x), 1))) + self.sd * z for k in self.hidden]
        elif self.kernel == "block_gibbs":
            end = self.mean(h) + self.sd * z
            odds, ends = self.hidden_odds(end), [end] * len(self.hidden)
        else:
            mean, sd = self.gaussian(x)
            end = mean + sd * z
            odds, ends = self.next_odds(h, end), [end] * len(self.hidden)
        return [
            (np.hstack([end, np.tile(k, (len(x), 1))]), odds[:, i])
            for i, (k, end) in enumerate(zip(self.hidden, ends, strict=True))
        ]

    def gaussian(self, x: Array) -> tuple[Array, Array]:
        """Mean (n, nv) and standard deviation (nv,) of v' in the kernels of two layers that move v first."""
        v, h = x[:, : self.n_visible], x[:, self.n_visible :]
        if self.kernel == "block_gibbs":
            return self.mean(h), self.sd
        rho, tau = self.inner_chain()
        if self.marginal:
            h = 1.0 / (1.0 + np.exp(-np.clip(self.logits(v), -700.0, 700.0)))
        return rho * v + (1 - rho) * self.mean(h), tau

    def leapfrog(self, x: Array, p: Array) -> tuple[Array, Array]:
        """n_inner steps of (1)."""
        first, last = self.kicks
        for _ in range(self.n_inner):
            p = p - first * self.eta * self.gradient(x)
            x = x + self.eta * p
            p = p - last * self.eta * self.gradient(x)
        return x, p

    def chance(self, x: Array, y: Array, z: Array) -> Array:
        """(2): the probability (n,) that y is accepted."""
        if self.accept is always:
            return np.ones(len(x))
        v, w = x[:, : self.n_visible], y[:, : self.n_visible]
        p = new_p = np.zeros_like(v)
        if self.kernel == "hmc":
            p = self.momentum * z
            new_p = self.leapfrog(x, p)[1]
        g, new_g = self.gradient(v), self.gradient(w)
        return self.accept(self.log_ratio(Move(x, y, self.energy(v), self.energy(w), g, new_g, p, new_p, self)))


def reference(case: ContinuousCase) -> Recipe:
    """The right step of a case."""
    adjusted = case.kernel in RATIOS
    log_ratio, accept = (RATIOS[case.kernel], metropolis) if adjusted else (lambda m: zero(m.x), always)
    logits: Function = zero
    mean: Function = zero
    sd = np.ones(case.n_visible)
    if case.kernel in JOINT:
        W, mu, b = case.W, case.mu, case.b
        assert W is not None
        assert mu is not None
        assert b is not None
        assert case.log_var is not None
        var = np.exp(case.log_var)
        sd = np.sqrt(var)
        logits, mean = (lambda v: b + (v / var) @ W), (lambda h: mu + h @ W.T)
    return Recipe(
        case.kernel, case.n_visible, case.step_size, case.n_inner, case.energy, case.gradient, log_ratio, accept,
        logits, mean, sd, sd**2, case.hidden,
    )  # fmt: skip


def make_step(recipe: Recipe) -> Callable[[Array, int], Array]:
    """``step(states, seed)`` of a recipe, every random number fresh."""

    def step(states: Array, seed: int) -> Array:
        x = np.array(states, dtype=np.float64)
        rng = np.random.default_rng(seed)
        z = rng.standard_normal((len(x), recipe.n_visible))
        outcomes = recipe.propose(x, z)
        y = outcomes[0][0]
        if len(outcomes) > 1:
            odds = np.cumsum([p for _, p in outcomes], axis=0)
            chosen = (rng.random(len(x)) * odds[-1] >= odds[:-1]).sum(axis=0)
            y = np.array([rows for rows, _ in outcomes])[chosen, np.arange(len(x))]
        if recipe.accept is always:
            return y
        taken = rng.random(len(x)) < recipe.chance(x, y, z)
        return np.where(taken[:, None], y, x)

    return step


def reference_step(case: ContinuousCase) -> Callable[[Array, int], Array]:
    """The right ``step(states, seed)`` of a case, in plain NumPy.

    >>> from ebm_ref.oracle.continuous.cases import named
    >>> case = named("grbm_2x2", "gibbs_langevin_adjusted")
    >>> reference_step(case)(case.starts[:3], 1).shape
    (3, 4)
    """
    return make_step(reference(case))
