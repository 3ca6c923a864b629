"""Which known mistake explains the data: the ranking of wrong kernels by log likelihood ratio.

ln LR_b = sum over transitions of ln((1 - eps) P_b/P + eps),  eps = 1e-3,  P floored at 1e-12 where an impossible
transition was seen.  b is named only if ln LR_b > 0 leads the runner-up by 3 and the data do not reject P_b
(p > 1e-5 both for G of the full face, by a Gamma law fitted to 499 simulated ones, and for the greatest z of the
moments, which tells one small change of parameters from another); otherwise it is only the nearest.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ebm_ref.oracle.results import Diagnosis
from ebm_ref.oracle.statistics.evalues import log_likelihood_ratios
from ebm_ref.oracle.statistics.pairs import MomentFace, g_statistic, row_null
from ebm_ref.oracle.zoo import Alternative

LEAD, LIVES, FLOOR, LISTED = 3.0, 1e-5, 1e-12, 5


def diagnose(
    counts: np.ndarray,
    P: np.ndarray,
    states: np.ndarray,
    alternatives: tuple[Alternative, ...],
    rng: np.random.Generator,
) -> tuple[Diagnosis, ...]:
    """The five best alternatives to P (S, S) given transition counts (S, S); laws are matrices of one row.

    states (S, d) are the units of the states.
    """
    if not alternatives or not counts.sum():
        return ()
    ratios = log_likelihood_ratios(counts, np.maximum(P, FLOOR), [a.P for a in alternatives])
    order = np.argsort(-ratios)
    leads = len(order) == 1 or ratios[order[0]] - ratios[order[1]] >= LEAD
    found = []
    for rank, k in enumerate(order[:LISTED]):
        named = rank == 0 and leads and ratios[k] > 0 and not rejects(counts, alternatives[k].P, states, rng)
        found.append(Diagnosis(alternatives[k].id, float(ratios[k]), alternatives[k].description, bool(named)))
    return tuple(found)


def rejects(counts: np.ndarray, P: np.ndarray, states: np.ndarray, rng: np.random.Generator) -> bool:
    """True if the data speak against P too."""
    return full_face_p(counts, P, rng) <= LIVES or moments_p(counts, P, states) <= LIVES


def moments_p(counts: np.ndarray, P: np.ndarray, states: np.ndarray) -> float:
    """About P(greatest z of the moments >= observed) under P, by the normal law and Bonferroni."""
    d = states.shape[1]
    face = MomentFace(states, 1)
    starts = states if len(P) == len(states) else np.zeros((len(P), d))
    for x in np.flatnonzero(counts.sum(axis=1)):
        support = np.flatnonzero(P[x] > 0)
        face.add(counts[x, support][None, :], starts[x], support, int(counts[x].sum()), P[x, support])
    parts = len(face.variance) + d * d
    return float(min(1.0, parts * special.chdtrc(1, face.z2()[0])))


def full_face_p(counts: np.ndarray, P: np.ndarray, rng: np.random.Generator, null_samples: int = 499) -> float:
    """About P(G >= observed) under P, row counts given; 0 if P forbids what was seen.  Only for the diagnosis."""
    P = np.where(P < 1e-14, 0.0, P)
    if ((counts > 0) & (P <= 0)).any():
        return 0.0
    total = np.zeros(null_samples + 1)
    for x in np.flatnonzero(counts.sum(axis=1)):
        support = np.flatnonzero(P[x] > 0)
        n = int(counts[x].sum())
        total += g_statistic(row_null(rng, n, P[x, support], counts[x, support], null_samples), n * P[x, support])
    mean, variance = total[1:].mean(), total[1:].var()
    if variance <= 1e-12:
        return float(total[0] <= mean + 1e-9)
    return float(special.gammaincc(mean**2 / variance, total[0] * mean / variance))
