"""Persistent chains with a frozen model: check_persistent (L4).

(1) At learning rate 0 the particles v_0, v_1, .. after each update are a chain of K^k,
    K[x, y] = sum_h p(h|x) p(y|h),  reversible with law p(x) = sum_h p(x, h)
(2) An update that restarts from the first particles every time gives, from stationary ones, neighbours (v_t, v_t+1)
    with the law p(x) K^2k[x, y]: it looks like twice the number of steps

The tests are those of ``check_chains`` on the visible states.  Source: Tieleman 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError, require_int
from ebm_ref.oracle import zoo
from ebm_ref.oracle.arrays import frozen
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks.kernel_tests import visible_group
from ebm_ref.oracle.checks.runs import judged_run
from ebm_ref.oracle.results import Report


def check_persistent(
    run: Callable[[np.ndarray, int, int], Any], case: Case, k: int = 1, *, profile: str = "ci", seed: int = 0
) -> Report:
    """Does persistent contrastive divergence carry its particles on, k steps of block Gibbs an update?

    run(particles (n, nv), n_updates, seed) -> (n_updates, n, nv): the visible units of the particles after each update,
    parameters held at those of the case (learning rate 0), whatever data the updates see.
    P(any failure | correct) <= 1e-6.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("rbm_slow_3x3")
    >>> def run(x, n_updates, seed, restart=False):
    ...     rng, first, out = np.random.default_rng(seed), x, []
    ...     for _ in range(n_updates):
    ...         x = first if restart else x
    ...         h = rng.random((len(x), 3)) < 1 / (1 + np.exp(-(case.b + x @ case.W)))
    ...         x = (rng.random(x.shape) < 1 / (1 + np.exp(-(case.a + h @ case.W.T)))).astype(float)
    ...         out.append(x)
    ...     return np.array(out)
    >>> check_persistent(run, case, profile="smoke").passed
    True
    >>> check_persistent(lambda *given: run(*given, restart=True), case, profile="smoke").diagnosis[0].description
    'each update restarts from the first particles, or: 2 steps an update'
    """
    if case.W is None or case.clamp:
        raise DomainError(f"case: expected an RBM without clamped units, got {case.name}")
    k = require_int("k", k, 1)
    visible = visible_case(case, k)

    def chains_first(states: np.ndarray, n_steps: int, seed: int) -> Any:
        return np.moveaxis(np.asarray(run(states, n_steps, seed)), 0, 1)

    report = judged_run(chains_first, visible, alternatives(case, k), "check_persistent", profile, seed)
    name = getattr(run, "__name__", type(run).__name__)
    old, new = "check_persistent(step, case,", f"check_persistent(run, cases.named({case.name!r}), k={k},"
    return replace(
        report, subject=name, results=tuple(replace(r, replay=r.replay.replace(old, new)) for r in report.results)
    )


def marginal(case: Case, P: np.ndarray) -> np.ndarray:
    """The kernel on visible states (2^nv, 2^nv) of a joint one that forgets the hidden units; others are averaged."""
    group = visible_group(case)
    size = int(group.max()) + 1
    weight = case.pi / np.bincount(group, weights=case.pi)[group]
    K = np.zeros((size, size))
    np.add.at(K, (group[:, None], group[None, :]), weight[:, None] * P)
    return K


def visible_case(case: Case, k: int) -> Case:
    """A case of the visible states, law p(x) and kernel K^k; only its enumerated answers mean anything."""
    nv = case.n_visible
    made = replace(
        case, name=f"visible units of {case.name}", J=frozen(np.zeros((nv, nv))), c=frozen(np.zeros(nv)), n_hidden=0,
        W=None, a=None, b=None,
    )  # fmt: skip
    group = visible_group(case)
    law = np.bincount(group, weights=case.pi)
    order = made.index(np.array([case.states[group == g][0, :nv] for g in range(len(law))]))
    pi, K = np.empty_like(law), np.empty((len(law), len(law)))
    pi[order] = law
    block = replace(case, kernel="block_gibbs")
    K[np.ix_(order, order)] = np.linalg.matrix_power(marginal(block, block.P), k)
    made.__dict__.update(pi=frozen(pi), P=frozen(K), energies=frozen(-np.log(pi)))
    return made


def alternatives(case: Case, k: int) -> tuple[zoo.Alternative, ...]:
    """Other numbers of steps, and k steps of each known wrong kernel."""
    block = replace(case, kernel="block_gibbs")
    group, nv = visible_group(case), case.n_visible
    order = visible_case(case, 1).index(np.array([case.states[group == g][0, :nv] for g in range(group.max() + 1)]))
    claim = np.linalg.matrix_power(marginal(block, block.P), k)
    restart = "each update restarts from the first particles, or: "
    found = [("identity", "particles never move", np.eye(len(claim)))]
    for j in (j for j in range(1, 2 * k + 2) if j != k):
        words = f"{restart if j == 2 * k else ''}{j} steps an update"
        found.append((f"k_{j}", words, np.linalg.matrix_power(marginal(block, block.P), j)))
    law = np.bincount(group, weights=case.pi)
    found.append(("model_draws", "every update draws new particles", np.tile(law, (len(claim), 1))))
    found += [(a.id, a.description, np.linalg.matrix_power(marginal(block, a.P), k)) for a in zoo.alternatives(block)]
    kept: list[zoo.Alternative] = []
    for id, words, K in found:
        sorted_K = np.empty_like(K)
        sorted_K[np.ix_(order, order)] = K
        if np.abs(K - claim).max() > 1e-9 and all(np.abs(sorted_K - other.P).max() > 1e-9 for other in kept):
            kept.append(zoo.Alternative(id, words, sorted_K))
    return tuple(kept)
