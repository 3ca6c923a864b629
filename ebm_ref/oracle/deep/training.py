"""What training and sampling make of given numbers, exactly: the equations of rules, and their usual mistakes.

Every function returns (values, bounds of rounding in units of u), flat, from the case's own energy E, g = dE/dx.
denoising        L = (sigma^2/2) mean |r|^2,  r = g(x + sigma z) - z/sigma;   dL/dtheta              [Vincent 2011]
contrastive      L = mean E(x+) - mean E(x-) + alpha (mean E(x+)^2 + mean E(x-)^2);   dL/dtheta  [Du & Mordatch 2019]
joint            L = mean -log p(y|x) + w (mean E(x) - mean E(x-));   dL/dtheta             [Grathwohl et al. 2020]
descent          noise "first": x <- box(x + s z), x <- box(x - lam clip(g(x)));  "with": both at once
langevin         x' = x - eta g + sqrt(2 eta T) z
completion       x <- observed where known, then a Langevin step of the others alone
recovery_pair    x_t = abar_t x + sbar_t z,  y = a_(t+1) x_t,  seen = y + sig_(t+1) z'              [Gao et al. 2021]
recovery_step    y' = y - g(y)/2 - s_t^2/(2 sig_(t+1)^2) (y - seen) + s_t z,  at the top without the middle term
recovery_loss    L = mean sig_1/sig_(t+1) (E(y+) - E(y-));   dL/dtheta
averaging        decay average + (1 - decay) new
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ebm_ref.oracle.deep.cases import RIGHT, NetworkCase, errors_of, evaluated, values_of
from ebm_ref.oracle.deep.equations import exp, log, total
from ebm_ref.oracle.deep.numbers import Bounded

Array = np.ndarray
Pair = tuple[Array, Array]
CUTS = (1, 101, 201, 301, 401, 501, 1000)
B2 = 2e-4
LOST = 2e4  # units of u in numbers made of 1 - a_0^2 = 1e-4, as most compute them


# derivatives of the case's energy -------------------------------------------------------------------------------------


def slopes(case: NetworkCase, x: Array) -> Pair:
    """g (n, d)."""
    found = evaluated(case, x, by="state", bounded=True).slopes
    return values_of(found, len(x)), errors_of(found, len(x))


def energies(case: NetworkCase, x: Array) -> Pair:
    """E (n,)."""
    found = [evaluated(case, x, bounded=True).energy]
    return values_of(found, len(x))[:, 0], errors_of(found, len(x))[:, 0]


def weighted(each: Pair, weights: Array) -> Pair:
    """sum_n w_n of rows (n, q)."""
    return weights @ each[0], np.abs(weights) @ (each[1] + 2.0 * np.abs(each[0]))


def by_parameters(case: NetworkCase, x: Array, weights: Array) -> Pair:
    """sum_n w_n dE(x_n)/dtheta (q,)."""
    found = evaluated(case, x, by="parameters", bounded=True).slopes
    return weighted((values_of(found, len(x)), errors_of(found, len(x))), weights)


def plus(a: Pair, b: Pair, c: float = 1.0) -> Pair:
    """a + c b."""
    return a[0] + c * b[0], a[1] + abs(c) * b[1] + np.abs(a[0]) + 2.0 * np.abs(c * b[0])


# losses ---------------------------------------------------------------------------------------------------------------


def denoising(
    case: NetworkCase,
    x: Array,
    z: Array,
    *,
    sigma: float,
    weight: float | None = None,
    target: float = 1.0,
    spread: float = 1.0,
    clean: bool = False,
    sign: float = 1.0,
    mean: bool = True,
) -> Pair:
    """See the head; weight for sigma^2, target times z/sigma, spread times sigma in x~."""
    noisy = x + sigma * spread * z
    at = x if clean else noisy
    g, bounds = slopes(case, at)
    r = g - target * z / sigma
    along = [Bounded(v, e) for v, e in zip(r.T, (bounds + np.abs(g) + 3.0 * np.abs(z) / sigma).T, strict=True)]
    found = evaluated(case, at, by="parameters", along=along, bounded=True).slopes
    weights = np.full(len(x), sign * (sigma**2 if weight is None else weight) / (len(x) if mean else 1))
    return weighted((values_of(found, len(x)), errors_of(found, len(x))), weights)


def contrastive(
    case: NetworkCase,
    positive: Array,
    negative: Array,
    *,
    alpha: float,
    phases: tuple[float, float] = (1.0, -1.0),
    penalty: tuple[float, float] = (2.0, 2.0),
    squared_mean: bool = False,
    difference: bool = False,
    mean: bool = True,
) -> Pair:
    """See the head; penalty: factors of alpha E in the weights of the two phases."""
    rows = [positive, negative]
    E = [energies(case, x)[0] for x in rows]
    if squared_mean:
        E = [np.full(len(e), e.mean()) for e in E]
    if difference:
        gap = E[0].mean() - E[1].mean()
        E = [np.full(len(E[0]), gap), np.full(len(E[1]), -gap)]
    parts = []
    for x, e, phase, own in zip(rows, E, phases, penalty, strict=True):
        weights = (phase + own * alpha * e) / (len(x) if mean else 1)
        parts.append(by_parameters(case, x, weights))
    return plus(parts[0], parts[1])


def joint(
    case: NetworkCase,
    x: Array,
    y: Array,
    negative: Array,
    *,
    weight: float,
    classes: float = 1.0,
    density: tuple[float, float] = (1.0, -1.0),
    conditional: bool = False,
) -> Pair:
    """See the head; classes: sign of the cross-entropy, conditional: E(x, y) for E(x) of the data."""
    heads = {
        "classes": lambda a, f, y: log(total(exp(b) for b in f)) - total(b * k for b, k in zip(f, y, strict=True)),
        "joint": RIGHT.heads["joint"],
    }

    def of(head: str, weights: Array) -> Pair:
        equations = replace(RIGHT, heads=RIGHT.heads | {case.form: heads[head]})
        found = evaluated(case, x, labels=y, by="parameters", bounded=True, equations=equations).slopes
        return weighted((values_of(found, len(x)), errors_of(found, len(x))), weights)

    share = np.full(len(x), 1.0 / len(x))
    up = of("joint", density[0] * share) if conditional else by_parameters(case, x, density[0] * share)
    down = by_parameters(case, negative, np.full(len(negative), density[1] / len(negative)))
    return plus(of("classes", classes * share), plus(up, down), weight)


# moves ----------------------------------------------------------------------------------------------------------------


def moved(x: Array, g: Pair, drift: float, kick: Array) -> Pair:
    """x - drift g + kick."""
    value = x - drift * g[0] + kick
    return value, 2.0 * (np.abs(x) + np.abs(drift * g[0]) + np.abs(kick)) + abs(drift) * g[1]


def descent(
    case: NetworkCase,
    x: Array,
    z: Array,
    *,
    step_size: float,
    noise: float,
    clip: float | None,
    box: tuple[float, float] | None,
    order: str,
    ball: bool = False,
    box_last_only: bool = False,
) -> Pair:
    """See the head; ball: the gradient clipped by its norm."""
    inside = (lambda v: v) if box is None else (lambda v: np.clip(v, *box))
    kick = noise * z
    start = x
    if order == "first":
        start = x + kick if box_last_only else inside(x + kick)
    if order == "after":
        start = inside(x)
    g, bounds = slopes(case, start)
    if clip is not None and ball:
        g = g * np.minimum(1.0, clip / np.sqrt((g**2).sum(axis=1, keepdims=True)))
    elif clip is not None:
        g = np.clip(g, -clip, clip)
    value, error = moved(start, (g, bounds + np.abs(z) * noise), step_size, 0.0 * kick if order == "first" else kick)
    return inside(value), error + np.abs(kick)


def langevin(
    case: NetworkCase, x: Array, z: Array, *, step_size: float, temperature: float, drift: float = 1.0,
    noise: float | None = None,
) -> Pair:  # fmt: skip
    """See the head; noise for sqrt(2 eta T)."""
    scale = math.sqrt(2.0 * step_size * temperature) if noise is None else noise
    return moved(x, slopes(case, x), drift * step_size, scale * z)


def completion(
    case: NetworkCase,
    x: Array,
    observed: Array,
    known: Array,
    z: Array,
    *,
    step_size: float,
    clamp_first: bool = True,
    clamp_last: bool = True,
    inverted: bool = False,
    noise_on_known: float = 0.0,
) -> Pair:
    """See the head; the mistakes leave out a clamp, or put noise on what is known."""
    mask = ~known if inverted else known
    start = np.where(mask, observed, x) if clamp_first else x
    kick = math.sqrt(2.0 * step_size) * z
    value, error = moved(start, slopes(case, start), step_size, kick)
    if clamp_last:
        value = np.where(mask, observed + noise_on_known * kick, value)
    return value, error + np.abs(observed)


# diffusion recovery ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def schedule(squares: bool = False) -> dict[str, list[float]]:
    """a, sig, abar, sbar of levels 0 ... 6 and s of levels 0 ... 5; ``squares``: s_t from (sbar_t/sbar_0)^2.

    >>> [round(s, 5) for s in schedule()["s"]]
    [0.00458, 0.04157, 0.06846, 0.089, 0.10364, 0.13855]
    """
    betas = [1e-4 + (0.02 - 1e-4) * k / 999 for k in range(1000)]
    cumulative = [0.5 * math.fsum(math.log1p(-b) for b in betas[:cut]) for cut in (0, *CUTS)]
    single = [new - old for old, new in itertools.pairwise(cumulative)]
    a, abar = ([math.exp(v) for v in logs] for logs in (single, cumulative[1:]))
    sig, sbar = ([math.sqrt(-math.expm1(2.0 * v)) for v in logs] for logs in (single, cumulative[1:]))
    power = 2 if squares else 1
    s = [math.sqrt((sbar[t] / sbar[0]) ** power * B2 * sig[t + 1] ** 2) for t in range(6)]
    return {"a": a, "sig": sig, "abar": abar, "sbar": sbar, "s": s}


def recovery_pair(
    case: NetworkCase, x: Array, t: int, z: Array, z2: Array, *, rescaled: bool = True, ahead: int = 1,
    variance: bool = False,
) -> Pair:  # fmt: skip
    """See the head, below the top level: y, then seen."""
    c = schedule()
    noisy = c["abar"][t] * x + c["sbar"][t] * z
    y = c["a"][t + ahead] * noisy
    sig = c["sig"][t + ahead]
    seen = y + (sig**2 if variance else sig) * z2
    answer = np.concatenate([(y if rescaled else noisy).ravel(), seen.ravel()])
    return answer, LOST * np.tile((np.abs(x) + np.abs(z) + np.abs(z2)).ravel(), 2)


def recovery_step(
    case: NetworkCase,
    y: Array,
    seen: Array,
    z: Array,
    t: int,
    *,
    squares: bool = False,
    quadratic: bool = True,
    top_quadratic: bool = False,
    half: float = 0.5,
    unscaled: bool = False,
    ahead: int = 1,
    noise: float = 1.0,
) -> Pair:
    """See the head; unscaled: s^2 g/2 for g/2, the energy not divided by s^2."""
    c = schedule(squares)
    s, sig = c["s"][t], c["sig"][t + ahead]
    pull = s**2 / (2.0 * sig**2) if quadratic and (t < 5 or top_quadratic) else 0.0
    drift = half * s**2 if unscaled else half
    value, error = moved(y, slopes(case, y), drift, noise * s * z - pull * (y - seen))
    return value, error + LOST * (np.abs(y) + np.abs(seen) + np.abs(z))


def recovery_loss(
    case: NetworkCase, positive: Array, negative: Array, t: Array, *, phases: tuple[float, float] = (1.0, -1.0),
    power: float = 1.0, divided: bool = False,
) -> Pair:  # fmt: skip
    """See the head; power: of sig_1/sig_(t+1), divided: E/s_t^2 for E."""
    c = schedule()
    weights = np.array([(c["sig"][1] / c["sig"][k + 1]) ** power / len(t) for k in t.tolist()])
    if divided:
        weights = weights / np.array([c["s"][k] ** 2 for k in t.tolist()])
    parts = [by_parameters(case, x, phase * weights) for x, phase in zip((positive, negative), phases, strict=True)]
    value, error = plus(parts[0], parts[1])
    return value, LOST * error


def averaging(case: NetworkCase, average: Array, new: Array, *, decay: float, new_share: float | None = None) -> Pair:
    """See the head."""
    share = 1.0 - decay if new_share is None else new_share
    value = decay * average + share * new
    return value, 4.0 * (np.abs(average) + np.abs(new))


def replay(case: NetworkCase, buffer: Array, n: int, move: Any, seed: int, *, how: str = "places") -> Pair:
    """All states of a buffer taken once, moved, and put back where they were; ``how`` has the mistakes."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(buffer))[:n]
    made = np.array(buffer)
    if how == "replacement":
        order = rng.integers(0, len(buffer), n)
    if how == "prepended":
        return np.concatenate([move(buffer[order]), buffer])[: len(buffer)], np.ones(buffer.shape)
    if how == "twice":
        made[order] = move(move(buffer[order]))
    elif how != "forgotten":
        made[order] = move(buffer[order])
    return made, np.ones(buffer.shape)
