"""Tiny named fixtures with their exact answers: what a candidate is held against.

No special values: rectangular or non-symmetric weights, generic biases, a temperature that is not 1.

RBM          E(x,h) = -a.x - b.h - x'Wh   (units {0,1}, rows [x, h])
Boltzmann    E(s) = -1/2 s'Js - c.s       (units {0,1})
Ising        E(s) = -1/2 s'Js - h.s       (units {-1,+1}; the record calls h "c")
``potts``, ``tempering``, ``quantised`` and ``table`` make TableCases: any finite kernel by its matrix.
Continuous variables (``grbm``, ``gaussian``, ``mixture``) are ContinuousCases: ``ebm_ref.oracle.continuous.cases``.
Deep energies (``network``) are NetworkCases: ``ebm_ref.oracle.deep.cases``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, overload

import numpy as np

from ebm_ref.errors import DomainError, require_choice
from ebm_ref.oracle.continuous import cases as continuous
from ebm_ref.oracle.continuous.cases import ContinuousCase, gaussian, grbm, mixture
from ebm_ref.oracle.deep import cases as deep
from ebm_ref.oracle.deep.cases import NetworkCase, network
from ebm_ref.oracle.deep.differences import CallableCase, energy_of
from ebm_ref.oracle.discrete import (
    LARGEST,
    VALUES,
    Case,
    Moments,
    boltzmann,
    ising,
    rbm,
    with_clamp,
    with_kernel,
)
from ebm_ref.oracle.potts import potts
from ebm_ref.oracle.replicas import tempering
from ebm_ref.oracle.rounded import quantised
from ebm_ref.oracle.tables import TableCase, table

__all__ = [
    "CONTINUOUS_NAMES", "LARGEST", "NAMES", "NETWORK_NAMES", "TABLE_NAMES", "VALUES", "CallableCase", "Case",
    "ContinuousCase", "Moments", "NetworkCase", "TableCase", "boltzmann", "energy_of", "expression", "gaussian", "grbm",
    "ising", "mixture", "named", "network", "potts", "quantised", "rbm", "require_case", "table", "tempering",
    "with_clamp", "with_kernel",
]  # fmt: skip


def random_rbm(name: str, nv: int, nh: int, seed: int = 20260101, beta: float = 1.0) -> Case:
    """W ~ N(0,1), then a, then b ~ N(0, .7^2), drawn in this order."""
    rng = np.random.default_rng(seed)
    W = rng.normal(0.0, 1.0, (nv, nh))
    a = rng.normal(0.0, 0.7, nv)
    b = rng.normal(0.0, 0.7, nh)
    return rbm(W, a, b, name=name, beta=beta)


def slow_rbm(name: str, scale: float) -> Case:
    """Two opposite modes: W = scale [[1,1,-1],[1,1,-1],[-1,-1,1]], a = -W1/2, b = -W'1/2."""
    W = scale * np.array([[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    return rbm(W, -W.sum(axis=1) / 2, -W.sum(axis=0) / 2, name=name)


def extreme_rbm(name: str) -> Case:
    """Conditionals with logits near +-20: nearly deterministic, with an escape now and then."""
    W = [[19.3, -21.1], [-20.7, 18.9], [20.4, -19.6]]
    return rbm(W, [-9.1, 10.3, -10.8], [-19.9, 0.6], name=name)


def chord_ising(name: str, beta: float) -> Case:
    """Ring of five with one chord: J ~ N(0, .7^2) on (0,1) .. (4,0), (0,2) in this order, then h ~ N(0, .5^2)."""
    rng = np.random.default_rng(7)
    J = np.zeros((5, 5))
    for i, j in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2)):
        J[i, j] = J[j, i] = rng.normal(0.0, 0.7)
    return ising(J, rng.normal(0.0, 0.5, 5), beta, name=name)


def degenerate_ising(name: str) -> Case:
    """Integer couplings and fields, so that many flips cost exactly nothing."""
    J = np.zeros((4, 4))
    for i, j, value in ((0, 1, 1), (1, 2, 1), (2, 3, -1), (3, 0, 1)):
        J[i, j] = J[j, i] = value
    return ising(J, [0, 1, 0, -1], 0.4, name=name)


def dense_boltzmann(name: str) -> Case:
    """Four fully connected units: J ~ N(0,1) above the diagonal by rows, then c ~ N(0, .7^2)."""
    rng = np.random.default_rng(20260102)
    J = np.zeros((4, 4))
    J[np.triu_indices(4, 1)] = rng.normal(0.0, 1.0, 6)
    return boltzmann(J + J.T, rng.normal(0.0, 0.7, 4), name=name)


def ring_potts(name: str, kernel: str) -> TableCase:
    """Three sites, three colours: J ~ N(0, .8^2) on (0,1), (1,2), (0,2), then h ~ N(0, .5^2) row by row; beta 0.8."""
    rng = np.random.default_rng(20260104)
    J = np.zeros((3, 3))
    for i, j in ((0, 1), (1, 2), (0, 2)):
        J[i, j] = J[j, i] = rng.normal(0.0, 0.8)
    return potts(J, rng.normal(0.0, 0.5, (3, 3)), 0.8, kernel, name)


def three_replicas(name: str, kernel: str) -> TableCase:
    """An RBM of one visible and one hidden unit at beta 1, 0.6 and 0.25."""
    return tempering(rbm([[1.9]], [-1.2], [0.8]), (1.0, 0.6, 0.25), kernel, name)


TABLES: tuple[tuple[str, str, Callable[[str, str], TableCase]], ...] = (
    ("potts_3x3", "gibbs", ring_potts),
    ("tempering_1x1", "tempering", three_replicas),
)
TABLE_NAMES = tuple(name for name, _, _ in TABLES)
FIXTURES: tuple[tuple[str, Callable[[str], Case]], ...] = (
    ("rbm_3x3", lambda name: random_rbm(name, 3, 3)),
    ("rbm_4x2", lambda name: random_rbm(name, 4, 2)),
    ("rbm_3x2_hot", lambda name: random_rbm(name, 3, 2, seed=20260103, beta=0.7)),
    ("rbm_3x3_cold", lambda name: random_rbm(name, 3, 3, beta=1.3)),
    ("rbm_slow_3x3", lambda name: slow_rbm(name, 2.0)),
    ("rbm_slower_3x3", lambda name: slow_rbm(name, 2.5)),
    ("rbm_extreme", extreme_rbm),
    ("rbm_1x1", lambda name: rbm([[1.3]], [-0.4], [0.7], name=name)),
    ("rbm_w0", lambda name: rbm(np.zeros((2, 3)), [0.8, -1.1], [0.3, -0.6, 1.4], name=name)),
    ("rbm_uniform", lambda name: rbm(np.zeros((2, 2)), np.zeros(2), np.zeros(2), name=name)),
    ("rbm_3x3_clamped", lambda name: with_clamp(random_rbm(name, 3, 3), {0: 1, 4: 0})),
    ("boltzmann_4", dense_boltzmann),
    ("ising_5_chord", lambda name: chord_ising(name, 0.7)),
    ("ising_5_chord_cold", lambda name: chord_ising(name, 1.3)),
    ("ising_degenerate", degenerate_ising),
)
NAMES = tuple(name for name, _ in FIXTURES)
CONTINUOUS_NAMES = continuous.NAMES
NETWORK_NAMES = deep.NAMES
ContinuousName = Literal[
    "gauss_2d", "gmm_1d", "quartic_1d", "mlp_1d", "grbm_2x2", "grbm_2x2_hot", "grbm_3x3", "grbm_2x3"
]
NetworkName = Literal[
    "mlp_inner", "mlp_residual", "mlp_square", "mlp_scalar", "linear_inner", "jem_marginal", "jem_joint",
    "mlp_spectral", "convnet_square", "decoder_square", "unet_inner",
]  # fmt: skip


@overload
def named(name: ContinuousName, kernel: str | None = None) -> ContinuousCase: ...  # type: ignore[overload-overlap]


@overload
def named(name: Literal["potts_3x3", "tempering_1x1"], kernel: str | None = None) -> TableCase: ...  # type: ignore[overload-overlap]


@overload
def named(name: NetworkName, kernel: None = None) -> NetworkCase: ...  # type: ignore[overload-overlap]


@overload
def named(name: str, kernel: str | None = None) -> Case: ...


def named(name: str, kernel: str | None = None) -> Case | ContinuousCase | TableCase | NetworkCase:
    """The fixture of that name, with another kernel if one is given: of NAMES, CONTINUOUS_NAMES or TABLE_NAMES; or of
    NETWORK_NAMES, which have no kernel.

    The same object every time, so that its exact answers are computed once.

    >>> case = named("rbm_3x3")
    >>> float(case.pi.min().round(5)), case.kernel, named("ising_5_chord", kernel="gibbs_random").kernel
    (0.00012, 'block_gibbs', 'gibbs_random')
    >>> named("grbm_2x2", kernel="mala").mixture.weights.shape
    (4,)
    """
    if name in CONTINUOUS_NAMES:
        return continuous.named(name, kernel)
    if name in NETWORK_NAMES and kernel is None:
        return deep.named(name)
    require_choice("name", name, (*NAMES, *CONTINUOUS_NAMES, *TABLE_NAMES))
    return discrete_fixture(name, kernel)


@lru_cache(maxsize=64)
def discrete_fixture(name: str, kernel: str | None) -> Case | TableCase:
    """``named`` of what has finitely many states."""
    for table_name, default, made in TABLES:
        if name == table_name:
            return made(name, kernel or default)
    case = dict(FIXTURES)[name](name)
    return case if kernel is None else with_kernel(case, kernel)


def require_case(case: object) -> None:
    """Refuse what is no case of binary or tabled units, with the way to one."""
    if not isinstance(case, Case | TableCase):
        example = f"cases.named({case!r})" if isinstance(case, str) else "cases.named('rbm_3x3')"
        kind = "a continuous case" if isinstance(case, ContinuousCase) else type(case).__name__
        raise DomainError(f"case: expected a Case such as {example}, got {kind}")


def expression(case: Case | ContinuousCase | TableCase) -> str:
    """How a replay line writes a case: the call that makes it, "case" if it has no name of ours.

    >>> expression(named("rbm_4x2"))
    "cases.named('rbm_4x2', 'block_gibbs')"
    """
    known = (*NAMES, *CONTINUOUS_NAMES, *TABLE_NAMES)
    return f"cases.named({case.name!r}, {case.kernel!r})" if case.name in known else "case"
