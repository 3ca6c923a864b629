"""thrml: energies of an Ising model, block Gibbs (one spin a block, two layers of an RBM, clamped), the KL gradient.

thrml's units are -1/+1 (False/True) and its energy contains beta: E = -beta (b.s + sum J_ij s_i s_j), as documented.
An RBM in {0,1} with x = (1 + s)/2 has biases a/2 + W1/4, b/2 + W'1/4 and couplings W/4.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from thrml import Block, SamplingSchedule, SpinNode, sample_states
from thrml.models import IsingEBM, IsingSamplingProgram, IsingTrainingSpec, estimate_kl_grad

from ebm_ref.oracle import cases, check_kernel
from ebm_ref.oracle.cases import Case
from ebm_ref.oracle.checks_formulas import check_energy
from ebm_ref.oracle.deterministic import value_result
from ebm_ref.oracle.results import Report
from ebm_ref.oracle.statistics.pairs import law_test
from ebm_ref.oracle.statistics.seeds import NULL, STARTS, Seeds
from ebm_ref.oracle.statistics.sequential import Stage
from validation.peers.laws import decide, smallest
from validation.peers.table import Finding, Peer, Row

PEER = Peer("thrml", "thrml")
BETA = 1.6


def spin_parameters(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """J (d, d) and biases (d,) over -1/+1 units, the case's beta inside."""
    if case.units == "spin":
        return case.J, case.c
    return case.J / 4, case.c / 2 + case.J.sum(axis=1) / 4


def ising(case: Case, beta: float) -> tuple[list[SpinNode], IsingEBM]:
    """The case as a thrml model with this beta; what beta multiplies is divided by it."""
    J, c = spin_parameters(case)
    nodes = [SpinNode() for _ in range(case.n_units)]
    i, j = np.nonzero(np.triu(J))
    edges = [(nodes[p], nodes[q]) for p, q in zip(i, j, strict=True)]
    return nodes, IsingEBM(nodes, edges, jnp.array(c / beta), jnp.array(J[i, j] / beta), jnp.array(beta))


def energy(case: Case) -> Report:
    """``IsingEBM.energy`` on all states."""
    nodes, ebm = ising(case, case.beta)
    one = lambda s: ebm.energy([s], [Block(nodes)])  # noqa: E731
    return check_energy(lambda rows: jax.vmap(one)(jnp.array(rows > 0)), case)


def stepper(case: Case, order: list[list[int]]):
    """step(states, seed): one sweep over the blocks of units, in this order; units in none are clamped."""
    nodes, ebm = ising(case, BETA)
    held = [unit for unit, _ in case.clamp]
    clamped = [Block([nodes[u]]) for u in held]
    program = IsingSamplingProgram(ebm, [Block([nodes[u] for u in units]) for units in order], clamped)

    @partial(jax.jit, static_argnums=1)
    def sweep(key, n, s):
        def one(k, row):
            free = [row[jnp.array(units)] for units in order]
            fixed = [row[jnp.array([u])] for u in held]
            return sample_states(k, program, SamplingSchedule(1, 1, 1), free, fixed, [Block(nodes)])[0][0]

        return jax.vmap(one)(jax.random.split(key, n), s)

    def step(states: np.ndarray, seed: int) -> np.ndarray:
        up = np.asarray(sweep(jax.random.key(seed), len(states), jnp.array(states == case.values[1])))
        return np.where(up, case.values[1], case.values[0])

    return step


def layers(case: Case) -> list[list[int]]:
    """Hidden block, then visible block, without the clamped units."""
    hidden = [u for u in case.free if u >= case.n_visible]
    return [hidden, [u for u in case.free if u < case.n_visible]]


# the KL gradient ------------------------------------------------------------------------------------------------------

TIMES, GAP = 3, 2


def spin_products(case: Case, nodes: list[SpinNode], edges: list) -> np.ndarray:
    """s_i and s_i s_j of every state (S, d + edges)."""
    place = {node: k for k, node in enumerate(nodes)}
    pairs = [case.states[:, place[p]] * case.states[:, place[q]] for p, q in edges]
    return np.column_stack([case.states, *pairs])


def sum_law(case: Case, f: np.ndarray) -> np.ndarray:
    """P of 0..TIMES values +1 of f among the recorded states of a stationary chain, GAP sweeps apart."""
    P = np.linalg.matrix_power(case.P, GAP)
    table = np.zeros((TIMES + 1, len(f)))
    table[0] = case.pi
    for t in range(TIMES):
        moved = table @ P if t else table
        table = np.where(f > 0, np.vstack([np.zeros(len(f)), moved[:-1]]), moved)
    return table.sum(axis=1)


def kl_gradient(case: Case, seed: int, n0: int = 2**12) -> Finding:
    """estimate_kl_grad of a fully visible model: negative moments of chains from exact starts, then the arithmetic.

    The moments of each chain sum TIMES values -1/+1: their exact law is followed along the chain; the gradient must be
    -beta (data mean - mean over chains) to float32.
    """
    nodes, ebm = ising(case, BETA)
    blocks = [Block([node]) for node in nodes]
    schedule = SamplingSchedule(1, TIMES, GAP)
    spec = IsingTrainingSpec(ebm, [Block(nodes)], [], [], blocks, schedule, schedule)
    data = case.states[[3, 17, 17, 30, 9]] > 0
    f = spin_products(case, nodes, ebm.edges)
    laws, seeds = [sum_law(case, column) for column in f.T], Seeds(seed)
    positive = f[[3, 17, 17, 30, 9]].mean(axis=0)

    def stage(n: int, j: int) -> Stage:
        starts = case.states[case.draw(n, seeds.rng("kl", j, STARTS))] > 0
        first = [jnp.array(starts[:, [u]]) for u in range(len(nodes))]
        key = jax.random.key(seeds.candidate("kl", j))
        grad_w, grad_b, _, (b, w) = estimate_kl_grad(key, spec, nodes, ebm.edges, [jnp.array(data)], [], [], first)
        moments = np.column_stack([b, w]).astype(float)
        plus = np.rint((moments + 1) * TIMES / 2).astype(int)
        expected = -BETA * (positive - moments.mean(axis=0))
        found = value_result(
            "D1", np.concatenate([grad_b, grad_w]), expected, np.full(len(laws), 4.0), ["g"] * len(laws), ""
        )
        if found.verdict == "fail":
            return Stage(
                0.0, float("inf"), {"worst": f"the gradient is not -beta (positive - negative): {found.message}"}
            )
        parts, effects, rng = {}, [], seeds.rng("kl", j, NULL)
        for k, law in enumerate(laws):
            column, effect = law_test(np.bincount(plus[:, k], minlength=TIMES + 1), law, rng)
            parts[f"moment {k}"] = float((column >= column[0]).mean())
            effects.append(effect)
        return smallest(parts, max(effects))

    return decide(stage, n0, TIMES, "chi-square distance of a chain's moment from its law", len(laws))


def rows(seed: int = 0) -> list[Row]:
    """All rows of this peer."""
    rbm, clamped, chord = cases.named("rbm_4x2"), cases.named("rbm_3x3_clamped"), cases.named("ising_5_chord", "gibbs")
    singles = [[u] for u in range(chord.n_units)]
    mapped = f"Units mapped to -1/+1, beta = {BETA} with parameters divided by it; float32 as is the default of JAX."
    return [
        PEER.measure(
            "IsingEBM.energy, beta = 0.7", lambda: energy(chord), remark="The energy contains beta, as documented."
        ),
        PEER.measure("IsingEBM.energy, beta = 1.3", lambda: energy(cases.named("ising_5_chord_cold"))),
        PEER.measure(
            "Gibbs, one spin a block, beta != 1", lambda: check_kernel(stepper(chord, singles), chord, seed=seed)
        ),
        PEER.measure(
            "block Gibbs of an RBM", lambda: check_kernel(stepper(rbm, layers(rbm)), rbm, seed=seed), remark=mapped
        ),
        PEER.measure(
            "block Gibbs with clamped units",
            lambda: check_kernel(stepper(clamped, layers(clamped)), clamped, seed=seed),
        ),
        PEER.measure("estimate_kl_grad: chain moments and arithmetic", lambda: kl_gradient(chord, seed)),
    ]
