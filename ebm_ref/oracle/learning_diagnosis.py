"""What a failing update is instead: known wrong updates by likelihood, fitted factors and offsets, mistakes of a batch.

(1) single rows  sum of ln P(update | mistake) - ln P(update | declared), a forbidden value counting 1e-9; explained if
                 no value is forbidden and G does not reject (p > 1e-3)
(2) factors      every single-row update is c times a legal one;  offsets: legal plus one constant, -lambda theta named
(3) batches      mistakes that one row cannot show (reduction, shared uniforms): Gaussian likelihood of batch updates
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from ebm_ref.oracle.learning_tests import Bench
from ebm_ref.oracle.results import Diagnosis
from ebm_ref.oracle.statistics.pairs import g_statistic, monte_carlo_p, row_null
from ebm_ref.oracle.statistics.sequential import MONTE_CARLO
from ebm_ref.oracle.update_recipe import UpdateLaw, make_update
from ebm_ref.oracle.zoo_learning import LEARNING_BUGS

LEAD = 3.0  # ln: a mistake is named only if it leads the declared update by that much, and is not led by as much
FLOOR = 1e-9  # the probability of a value that a law forbids, so that two laws stay comparable


def deviations(bench: Bench, variant: str) -> tuple[Diagnosis, ...]:
    """Known wrong updates that explain the calls better than the declared one; best first."""
    if not bench.singles:
        return ()
    found = single_row_mistakes(bench, variant)
    wrong_rows = single_log_likelihood(bench, bench.laws, bench.trees)[1]
    if not (found and found[0].explained):
        found += offsets(bench)
    if not any(d.explained for d in found) and not wrong_rows:
        found += batch_mistakes(bench, variant)
    return tuple(sorted(found, key=lambda d: (not d.explained, -d.log_likelihood_ratio)))


def single_log_likelihood(bench: Bench, laws: list[UpdateLaw], trees: list[cKDTree]) -> tuple[float, int, float]:
    """ln P of all single rows seen under some laws, how many are illegal, and the smallest p of G over the rows."""
    total, illegal, p_least = 0.0, 0, 1.0
    rng = np.random.default_rng(0)
    for x, (one, tree) in enumerate(zip(laws, trees, strict=True)):
        g = np.array([v for row, v in bench.singles if row == x])
        if not len(g):
            continue
        distance, index = tree.query(g)
        legal = distance <= bench.tolerance * math.sqrt(g.shape[1])
        total += float(np.log(one.p[index[legal]]).sum()) + math.log(FLOOR) * int((~legal).sum())
        illegal += int((~legal).sum())
        if legal.all():
            counts = np.bincount(index, minlength=len(one.p))
            sample = row_null(rng, len(g), one.p, counts, MONTE_CARLO)
            p_least = min(p_least, monte_carlo_p(g_statistic(sample, len(g) * one.p)[:, None])[0])
    return total, illegal, p_least


def single_row_mistakes(bench: Bench, variant: str) -> list[Diagnosis]:
    """The zoo, and k from 1 to 12, by likelihood of the single rows."""
    base = single_log_likelihood(bench, bench.laws, bench.trees)[0]
    k = bench.declared.k
    recipes = [
        (b.id, b.description, b.recipe(bench.case, k, variant, bench.declared.start))
        for b in LEARNING_BUGS
        if not b.id.startswith("k_")
    ]
    others = [j for j in range(1, 13) if j != k]
    recipes += [(f"k_{j}", f"CD-{j} for CD-{k}", replace(bench.declared, k=j)) for j in others]
    found = []
    seen: list[list[UpdateLaw]] = []
    for id, words, recipe in recipes:
        if recipe is None:
            continue
        laws = [bench.law_of(recipe, x) for x in bench.distinct[0]]
        if any(all(same_law(p, q) for p, q in zip(laws, known, strict=True)) for known in [bench.laws, *seen]):
            continue
        seen.append(laws)
        likelihood, illegal, p_least = single_log_likelihood(bench, laws, [cKDTree(one.values) for one in laws])
        if likelihood > base:
            found.append(Diagnosis(id, likelihood - base, words, illegal == 0 and p_least > 1e-3))
    best = max((d.log_likelihood_ratio for d in found), default=0.0)
    named = [d.explained and d.log_likelihood_ratio > max(LEAD, best - LEAD) for d in found]
    found = [replace(d, explained=name) for d, name in zip(found, named, strict=True)]
    return sorted(found, key=lambda d: -d.log_likelihood_ratio)


def same_law(p: UpdateLaw, q: UpdateLaw) -> bool:
    """Equal values with equal probabilities."""
    return p.values.shape == q.values.shape and np.allclose(p.values, q.values) and np.allclose(p.p, q.p)


def offsets(bench: Bench) -> list[Diagnosis]:
    """A constant added to every update, or a constant factor."""
    nv, nh = bench.declared.W.shape
    theta, blocks = bench.declared.theta, np.repeat(["W", "a", "b"], [nv * nh, nv, nh])
    g = np.array([v for _, v in bench.singles])
    rows = np.array([x for x, _ in bench.singles])
    certain = 1e4
    nearest = np.array([bench.laws[x].values[bench.trees[x].query(v)[1]] for x, v in zip(rows, g, strict=True)])
    rest = g - nearest
    near = 2 * bench.tolerance * math.sqrt(g.shape[1])
    if np.abs(rest - rest[0]).max() < near and np.abs(rest[0]).max() > near:
        rate = -float(rest[0] @ theta) / float((theta * (rest[0] != 0)) @ theta)
        touched = [b for b in "Wab" if np.abs(rest[0][blocks == b]).max(initial=0.0) > near]
        mask = np.isin(blocks, touched)
        if np.abs(rest[0] + rate * theta * mask).max() < 10 * near:
            words = f"undeclared decay {rate:.4g} on {', '.join(touched)}"
            return [Diagnosis("weight_decay", certain, words, True)]
        return [Diagnosis("offset", certain, "a constant vector is added to every update", True)]
    steps = np.abs(g[:, blocks == "a"])
    factor = float(steps[steps > near].min(initial=math.inf))
    if math.isfinite(factor) and abs(factor - 1) > near:
        legal = [bench.decode(int(x), v[None] / factor)[0] >= 0 for x, v in zip(rows, g, strict=True)]
        if all(legal):
            return [Diagnosis("scaled", certain, f"multiplied by {factor:.6g} (a learning rate, 1/beta, or 2)", True)]
    return []


def batch_mistakes(bench: Bench, variant: str) -> list[Diagnosis]:
    """Mistakes that one row cannot show, by a Gaussian likelihood of the batch updates."""
    g = np.vstack(list(bench.batches.values())) if bench.batches else np.zeros((0, 1))
    if not len(g):
        g = bench.batch(0, 64)
    g = g[:1024]
    ridge = 1e-6 * max(float(np.trace(bench.covariance)), 1e-12)  # one for all laws: directions that do not vary
    base = gaussian(g, bench.mean, bench.covariance, ridge)
    found = []
    for one in LEARNING_BUGS:
        recipe = one.recipe(bench.case, bench.declared.k, variant, bench.declared.start)
        if recipe is None or (recipe.reduction, recipe.rows) == ("mean", "independent"):
            continue
        wrong = make_update(recipe)
        draws = np.array([np.concatenate([v.ravel() for v in wrong(*bench.split(bench.rows), s)]) for s in range(1500)])
        ratio = gaussian(g, draws.mean(axis=0), np.cov(draws.T), ridge) - base
        if ratio > 0:
            z = (g.mean(axis=0) - draws.mean(axis=0)) / np.sqrt(
                draws.var(axis=0) * (1 / len(g) + 1 / len(draws)) + 1e-18
            )
            found.append(Diagnosis(one.id, ratio, one.description, bool(np.abs(z).max() < 6)))
    return found


def gaussian(g: np.ndarray, mean: np.ndarray, covariance: np.ndarray, ridge: float) -> float:
    """ln N(g; mean, covariance + ridge) summed over the rows of g."""
    wide = covariance + ridge * np.eye(len(mean))
    _, log_determinant = np.linalg.slogdet(wide)
    centred = g - mean
    return float(-0.5 * (centred * np.linalg.solve(wide, centred.T).T).sum() - 0.5 * len(g) * log_determinant)
