"""Optimisers: arithmetic on records.  They ascend: the gradient is that of the log-likelihood.

(1) sgd:   v <- momentum v + g,   theta <- theta + lr v
(2) adam:  m <- b1 m + (1-b1) g,  v <- b2 v + (1-b2) g^2,
           theta <- theta + lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)                [Kingma & Ba 2015]
(3) weight decay, on couplings (leaves with two axes or more) and never on biases:  theta <- theta - lr decay theta,
    decoupled from the gradient's history                                            [Loshchilov & Hutter 2019]
(4) clipped: g <- g min(1, max_norm / |g|), |g| the norm over all leaves together, before (1) or (2)
(5) averaged: mean <- d mean + (1-d) theta after each update, beside it; samples are drawn with the mean
(6) rates: linear lr (1 - t/T);  cosine lr (1 + cos(pi t/T))/2, t = 0..T-1: the first is lr, the last above 0
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ebm_ref.errors import DomainError, require_int, require_positive
from ebm_ref.models.record import leafwise, leaves

Rate = float | Callable[[int], float]


class Optimiser(Protocol):
    """``init`` makes the state (records of the model's type); ``update`` returns new parameters and state."""

    def init(self, params: Any) -> tuple[Any, ...]:
        """Records of zeros."""

    def update(self, params: Any, gradient: Any, state: tuple[Any, ...], step: int) -> tuple[Any, tuple[Any, ...]]:
        """(new parameters, new state) at update number ``step`` = 0, 1, ..."""

    def settings(self) -> dict[str, Any]:
        """Name and every setting, as recorded with the result."""


@dataclass(frozen=True)
class LinearDecay:
    """A learning rate that falls linearly from ``initial`` to 0 over ``n_updates`` updates."""

    initial: float
    n_updates: int

    def __post_init__(self) -> None:
        require_positive("initial", self.initial)
        require_int("n_updates", self.n_updates, 1)

    def __call__(self, step: int) -> float:
        return self.initial * max(0.0, 1.0 - step / self.n_updates)


@dataclass(frozen=True)
class CosineDecay:
    """A learning rate that falls like half a cosine from ``initial`` to 0 over ``n_updates`` updates, (6)."""

    initial: float
    n_updates: int

    def __post_init__(self) -> None:
        require_positive("initial", self.initial)
        require_int("n_updates", self.n_updates, 1)

    def __call__(self, step: int) -> float:
        return self.initial * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.n_updates)))


@dataclass(frozen=True)
class Clipped:
    """See ``clipped``."""

    optimiser: Optimiser
    max_norm: float

    def init(self, params: Any) -> tuple[Any, ...]:
        """The state of the optimiser inside."""
        return self.optimiser.init(params)

    def update(self, params, gradient, state, step: int):
        """(4), then the optimiser inside."""
        norm = math.sqrt(sum(float((leaf * leaf).sum()) for leaf in leaves(gradient).values()))
        if norm > self.max_norm:
            gradient = leafwise(lambda g: g * (self.max_norm / norm), gradient)
        return self.optimiser.update(params, gradient, state, step)

    def settings(self) -> dict[str, Any]:
        """Those of the optimiser inside, and the largest norm."""
        return {**self.optimiser.settings(), "max_norm": self.max_norm}


@dataclass(frozen=True)
class Averaged:
    """See ``averaged``."""

    optimiser: Optimiser
    decay: float

    def init(self, params: Any) -> tuple[Any, ...]:
        """The state of the optimiser inside, and the mean."""
        return (*self.optimiser.init(params), params)

    def update(self, params, gradient, state, step: int):
        """The optimiser inside, then (5)."""
        params, inside = self.optimiser.update(params, gradient, state[:-1], step)
        d = self.decay
        return params, (*inside, leafwise(lambda p, mean: d * mean + (1 - d) * p, params, state[-1]))

    def settings(self) -> dict[str, Any]:
        """Those of the optimiser inside, and the decay."""
        return {**self.optimiser.settings(), "averaged": self.decay}


@dataclass(frozen=True)
class Sgd:
    """See ``sgd``."""

    lr: Rate
    momentum: float
    weight_decay: float

    def init(self, params: Any) -> tuple[Any, ...]:
        """The velocity, zero; none without momentum."""
        return (leafwise(np.zeros_like, params),) if self.momentum else ()

    def update(self, params, gradient, state, step: int):
        """(1) and (3)."""
        if self.momentum:
            gradient = leafwise(lambda v, g: self.momentum * v + g, state[0], gradient)
            state = (gradient,)
        lr = rate(self.lr, step)
        return leafwise(lambda p, g: decayed(p, lr * self.weight_decay) + lr * g, params, gradient), state

    def settings(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": "sgd", "lr": described(self.lr), "momentum": self.momentum, "weight_decay": self.weight_decay}


@dataclass(frozen=True)
class Adam:
    """See ``adam``."""

    lr: Rate
    beta1: float
    beta2: float
    eps: float
    weight_decay: float

    def init(self, params: Any) -> tuple[Any, ...]:
        """First and second moments, zero."""
        return leafwise(np.zeros_like, params), leafwise(np.zeros_like, params)

    def update(self, params, gradient, state, step: int):
        """(2) and (3)."""
        b1, b2, t, lr = self.beta1, self.beta2, step + 1, rate(self.lr, step)
        m = leafwise(lambda m, g: b1 * m + (1 - b1) * g, state[0], gradient)
        v = leafwise(lambda v, g: b2 * v + (1 - b2) * g * g, state[1], gradient)

        def move(p, m, v):
            direction = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + self.eps)
            return decayed(p, lr * self.weight_decay) + lr * direction

        return leafwise(move, params, m, v), (m, v)

    def settings(self) -> dict[str, Any]:
        """Name and settings."""
        return {
            "name": "adam", "lr": described(self.lr), "beta1": self.beta1, "beta2": self.beta2, "eps": self.eps,
            "weight_decay": self.weight_decay,
        }  # fmt: skip


def rate(lr: Rate, step: int) -> float:
    """The learning rate at an update."""
    return lr(step) if callable(lr) else lr


def described(lr: Any) -> str:
    """A learning rate, or another function, in words that a later process can compare: no memory addresses."""
    if callable(lr) and not dataclasses.is_dataclass(lr):
        return f"{getattr(lr, '__module__', '')}.{getattr(lr, '__qualname__', type(lr).__qualname__)}"
    return str(lr)


def decayed(leaf: np.ndarray, amount: float) -> np.ndarray:
    """(3): couplings shrink, biases don't."""
    return leaf * (1.0 - amount) if leaf.ndim >= 2 else leaf


def _check(lr: Rate, weight_decay: float, decays: dict[str, float]) -> None:
    if not callable(lr):
        require_positive("lr", lr)
    for name, value in decays.items():
        if not 0 <= value < 1:
            raise DomainError(f"{name}: expected a number in [0, 1), got {value}")
    if not weight_decay >= 0:
        raise DomainError(f"weight_decay: expected a number of at least 0, got {weight_decay}")


def sgd(lr: Rate, momentum: float = 0.0, weight_decay: float = 0.0) -> Sgd:
    """Stochastic gradient ascent (1).  ``lr`` is a number or a function of the update number, like LinearDecay."""
    _check(lr, weight_decay, {"momentum": momentum})
    return Sgd(lr, momentum, weight_decay)


def adam(lr: Rate, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0) -> Adam:
    """Adam (2).  ``lr`` is a number or a function of the update number."""
    _check(lr, weight_decay, {"beta1": beta1, "beta2": beta2})
    return Adam(lr, beta1, beta2, require_positive("eps", eps), weight_decay)


def clipped(optimiser: Optimiser, max_norm: float) -> Clipped:
    """An optimiser whose gradient is scaled down to ``max_norm`` where its norm over all parameters is larger (4).

    >>> optimiser = clipped(sgd(0.1), max_norm=10.0)
    """
    return Clipped(optimiser, require_positive("max_norm", max_norm))


def averaged(optimiser: Optimiser, decay: float = 0.999) -> Averaged:
    """An optimiser with a running mean of the parameters, ``Fit.averaged`` (5).  [Polyak & Juditsky 1992]

    >>> optimiser = averaged(clipped(adam(1e-3), max_norm=1.0), decay=0.99)
    """
    if not 0 <= decay < 1:
        raise DomainError(f"decay: expected a number in [0, 1), got {decay}")
    return Averaged(optimiser, float(decay))
