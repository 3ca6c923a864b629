"""Tests of draws whose exact law nobody claims: what holds at any temperature, or without knowing Z.

(1) H1  microcanonical   states of equal energy are equally likely: the m counts of a class ~ Multinomial(n, 1/m)
(2) H2  two temperatures log P(E|c1)/P(E|c2) = const - (c1 - c2) beta E: lack of fit of a logistic regression on E
(3) H3  profile          draws ~ pi_beta for some beta: G at the maximum-likelihood beta, where E_beta[E] = mean of E
(4) H4  symmetry         P(s) = P(-s) where the model has it: n_s given n_s + n_(-s) ~ Binomial(m, 1/2)
        gauge            the run with s_i -> g_i s_i, J, h accordingly, turned back, has the same law: 2 x S table,
                         margins fixed
(5) H5  certificate      TV in [t - sqrt((S-1)/N)/2 - r, t + r] with chance 1 - 2 delta,  r = sqrt(ln(1/delta) / 2N),
                         t = sum |phat - pi| / 2 (E t >= TV, so no bias term above)

H1 and H4 are exact by simulation; H2 and H3 simulate at the fitted parameters and refit, which is exact for large n.
Sources: Shirts 2013 (1208.0910) for H2; McDiarmid 1989 for H5.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ebm_ref.oracle.statistics.pairs import excess, g_statistic, monte_carlo_p, row_null
from ebm_ref.oracle.statistics.sequential import Stage

STEEPEST = 60.0  # |beta| relative to the declared one


def energy_classes(energies: np.ndarray) -> np.ndarray:
    """A label (S,) for each state; states whose energies agree to 1e-9 share it.

    >>> energy_classes(np.array([0.5, -1.0, 0.5])).tolist()
    [1, 0, 1]
    """
    order = np.argsort(energies, kind="stable")
    jumps = np.concatenate([[0], np.cumsum(np.diff(energies[order]) > 1e-9)])
    labels = np.empty(len(energies), dtype=np.int64)
    labels[order] = jumps
    return labels


def microcanonical_test(
    counts: np.ndarray, labels: np.ndarray, rng: np.random.Generator, null_samples: int
) -> tuple[Stage, int]:
    """H1 and its degrees of freedom; counts (S,) of states with class ``labels`` (S,)."""
    total, df, worst, n_used = np.zeros(null_samples + 1), 0, (0.0, 0), 0
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        n = int(counts[members].sum())
        if len(members) > 1 and n:
            p = np.full(len(members), 1.0 / len(members))
            column = g_statistic(row_null(rng, n, p, counts[members], null_samples), n * p)
            total, df, n_used = total + column, df + len(members) - 1, n_used + n
            worst = max(worst, (float(column[0]) / (len(members) - 1), int(members[np.argmax(counts[members])])))
    p_value = float((total >= total[0]).sum() / len(total))
    return Stage(p_value, excess(total, max(n_used, 1)), {"most_favoured": worst[1]}), df


def fitted_beta(counts: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """(3): the maximum-likelihood beta of each row of counts (B, S), relative to the declared one.

    >>> E = np.array([0.0, 1.0])
    >>> fitted_beta(np.array([[731059.0, 268941.0]]), E).round(4).tolist()
    [1.0]
    """
    target = counts @ energies / counts.sum(axis=1)
    low, high = np.full(len(counts), -STEEPEST), np.full(len(counts), STEEPEST)
    for _ in range(50):  # bisection: the mean energy falls with beta
        middle = (low + high) / 2
        p = special.softmax(-middle[:, None] * energies, axis=1)
        colder = p @ energies > target
        low, high = np.where(colder, middle, low), np.where(colder, high, middle)
    return (low + high) / 2


def beta_and_error(counts: np.ndarray, energies: np.ndarray) -> tuple[float, float]:
    """The maximum-likelihood beta of counts (S,), relative to the declared one, and its standard error.

    >>> beta, error = beta_and_error(np.array([731059, 268941]), np.array([0.0, 1.0]))
    >>> round(beta, 4), round(error, 4)
    (1.0, 0.0023)
    """
    beta = float(fitted_beta(counts[None].astype(float), energies)[0])
    pi = special.softmax(-beta * energies)
    variance = float(pi @ (energies - pi @ energies) ** 2)
    return beta, 1.0 / float(np.sqrt(max(variance * counts.sum(), 1e-300)))


def profile_test(counts: np.ndarray, energies: np.ndarray, rng: np.random.Generator, null_samples: int) -> Stage:
    """H3 of counts (S,); details: beta relative to the declared one, its standard error, 2 ln LR against beta = 1."""
    n = int(counts.sum())
    beta, error = beta_and_error(counts, energies)
    pi = special.softmax(-beta * energies)
    sample = row_null(rng, n, pi, counts, null_samples)
    fitted = fitted_beta(sample, energies)
    expected = n * special.softmax(-fitted[:, None] * energies, axis=1)
    column = g_statistic(sample, np.maximum(expected, 1e-300))
    gain = float(counts @ (special.log_softmax(-beta * energies) - special.log_softmax(-energies)))
    details = {"beta": beta, "beta_error": error, "log_likelihood_gain": gain}
    return Stage(float((column >= column[0]).sum() / len(column)), excess(column, n), details)


def logistic_fit(first: np.ndarray, second: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2): intercept and slope (B, 2) of logit P(file 1 | E), and the deviance (B,); counts (B, K) of K energies."""
    total = first + second
    centre = (total[0] @ energy) / total[0].sum()
    width = np.sqrt(total[0] @ (energy - centre) ** 2 / total[0].sum())
    x = (energy - centre) / width
    coefficients = np.zeros((len(first), 2))
    for _ in range(25):
        p = special.expit(coefficients[:, :1] + coefficients[:, 1:] * x)
        residual, weight = first - total * p, total * p * (1.0 - p)
        a, b, c = weight.sum(axis=1), weight @ x, weight @ x**2
        u, v = residual.sum(axis=1), residual @ x
        determinant = np.maximum(a * c - b * b, 1e-300)
        step = np.column_stack([c * u - b * v, a * v - b * u]) / determinant[:, None]
        coefficients += np.clip(step, -2.0, 2.0)
    p = special.expit(coefficients[:, :1] + coefficients[:, 1:] * x)
    deviance = special.xlogy(first, first / np.maximum(total * p, 1e-300))
    deviance += special.xlogy(second, second / np.maximum(total * (1 - p), 1e-300))
    slope = coefficients[:, 1] / width
    return np.column_stack([coefficients[:, 0] - slope * centre, slope]), 2.0 * deviance.sum(axis=1)


def two_temperature_test(
    first: np.ndarray, second: np.ndarray, energies: np.ndarray, rng: np.random.Generator, null_samples: int
) -> tuple[Stage, int]:
    """H2 and its degrees of freedom; counts (S,) of the states of two files."""
    labels = energy_classes(energies)
    K = labels.max() + 1
    one, two = (np.bincount(labels, weights=c, minlength=K) for c in (first, second))
    energy = np.bincount(labels, weights=energies) / np.bincount(labels)
    seen = one + two > 0
    one, two, energy = one[seen], two[seen], energy[seen]
    fit, _ = logistic_fit(one[None], two[None], energy)
    p = special.expit(fit[0, 0] + fit[0, 1] * energy)
    total = (one + two).astype(np.int64)
    drawn = np.vstack([one, rng.binomial(total, p, size=(null_samples, len(p)))])
    slopes, column = logistic_fit(drawn, total - drawn, energy)
    n = int(total.sum())
    details = {"slope": float(slopes[0, 1]), "slope_error": float(slopes[1:, 1].std())}
    return Stage(float((column >= column[0]).sum() / len(column)), excess(column, n), details), max(len(p) - 2, 1)


def flip_test(counts: np.ndarray, partner: np.ndarray, rng: np.random.Generator, null_samples: int) -> Stage:
    """H4: counts (S,) of states, ``partner`` (S,) the index of each state's mirror image; sum and greatest pair."""
    low = np.flatnonzero(np.arange(len(partner)) < partner)
    m = (counts[low] + counts[partner[low]]).astype(np.int64)
    low, m = low[m > 0], m[m > 0]
    if not len(m):
        return Stage(1.0, 0.0, {})
    up = np.vstack([counts[low], rng.binomial(m, 0.5, size=(null_samples, len(m)))])
    z2 = (2.0 * up - m) ** 2 / m
    drift = (2.0 * up.sum(axis=1) - m.sum()) ** 2 / m.sum()
    p_value, _ = monte_carlo_p(np.column_stack([z2.sum(axis=1), z2.max(axis=1), drift]))
    worst = int(low[np.argmax(z2[0])])
    effect = float(np.sqrt(max(0.0, (z2[0].sum() - len(m)) / m.sum())))
    return Stage(p_value, effect, {"worst_state": worst})


def two_sample_test(first: np.ndarray, second: np.ndarray, rng: np.random.Generator, null_samples: int) -> Stage:
    """H4 gauge: two counts (S,) have one law; G of the 2 x S table given its margins."""
    seen = first + second > 0
    total, n = (first + second)[seen].astype(np.int64), int(first.sum())
    drawn = rng.multivariate_hypergeometric(total, n, size=null_samples, method="marginals")
    one = np.vstack([first[seen], drawn]).astype(float)
    share = n / total.sum()
    column = g_statistic(one, share * total) + g_statistic(total - one, (1.0 - share) * total)
    return Stage(float((column >= column[0]).sum() / len(column)), excess(column, int(total.sum())), {})


def variation_interval(counts: np.ndarray, pi: np.ndarray, delta: float) -> tuple[float, float, float]:
    """H5: (estimate, lower, upper) of the total variation between the law of independent draws and pi.

    >>> [round(v, 4) for v in variation_interval(np.array([600_000, 400_000]), np.array([0.5, 0.5]), 1e-6)]
    [0.1, 0.0969, 0.1026]
    """
    n = counts.sum()
    estimate = 0.5 * float(np.abs(counts / n - pi).sum())
    reach = float(np.sqrt(np.log(1.0 / delta) / (2.0 * n)))
    bias = 0.5 * float(np.sqrt((len(pi) - 1) / n))
    return estimate, max(0.0, estimate - bias - reach), min(1.0, estimate + reach)


def integrated_time(series: np.ndarray) -> float:
    """Integrated autocorrelation time of series (C, T): 1 + 2 sum of rho_t up to the first below .02; at least 1.

    >>> integrated_time(np.random.default_rng(0).random((4, 500))) < 1.2
    True
    """
    centred = series - series.mean()
    variance = float((centred**2).mean())
    if variance <= 0:
        return float(series.size)
    total = 1.0
    for t in range(1, series.shape[1] // 2):
        rho = float((centred[:, :-t] * centred[:, t:]).mean()) / variance
        if rho < 0.02:
            break
        total += 2.0 * rho
    return total
