"""Statistical tests with stated error rates.

Rows of counts against their exact laws: the statistic G = 2 sum n log(n / expected), its p-value from B simulated
tables, (1 + #{G* >= G}) / (B + 1).  A test fails only when K independent stages of n, 4n, 16n, 64n draws all have
p <= GAMMA = ALPHA^(1/K): an exact bound ALPHA on false alarms.  A draw of probability 0 fails at once.

Means of independent bounded variables: Bernstein's inequality with the exact variance, which holds for every n:
P(|mean - mu| >= t) <= 2 exp(-n t^2 / (2 v + 2 r t / 3)),  |variable - mu| <= r.
"""

import numpy as np

ALPHA = 1e-9  # false alarms per test, for any seed
STAGES = 4
GAMMA = ALPHA ** (1 / STAGES)
SIMULATIONS = 399  # (SIMULATIONS + 1) GAMMA >= 2


def assert_rows_follow(draw, law, n: int, seed: int) -> None:
    """``draw(row, n, seed) -> states``: n draws of row ``row`` follow law[row] (n_rows, n_states)."""
    p_values = []
    for stage in range(STAGES):
        size = n * 4**stage
        counts = np.array(
            [np.bincount(draw(r, size, (seed + stage) % 2**63), minlength=law.shape[1]) for r in range(len(law))]
        )
        impossible = (counts > 0) & (law == 0)
        assert not impossible.any(), f"a draw of probability 0: (row, state) {np.argwhere(impossible)[0]}"
        rng = np.random.default_rng(seed + stage)
        simulated = np.array([g_statistic(rng.multinomial(size, law), law * size) for _ in range(SIMULATIONS)])
        exceeding = np.count_nonzero(simulated >= g_statistic(counts, law * size) - 1e-9)
        p_values.append((1 + exceeding) / (SIMULATIONS + 1))
        if p_values[-1] > GAMMA:
            return
    raise AssertionError(f"counts do not follow the law: p-values {p_values} of {STAGES} independent stages")


def g_statistic(counts, expected) -> float:
    """2 sum n log(n / expected)."""
    held = counts > 0
    return float(2 * np.sum(counts[held] * np.log(counts[held] / expected[held])))


def bernstein(n: int, variance, n_means: int, bound: float = 1.0, alpha: float = ALPHA):
    """The t that no |mean - mu| of ``n_means`` means exceeds, but with probability alpha."""
    log_term = np.log(2 * n_means / alpha)
    linear = bound * log_term / (3 * n)
    return linear + np.sqrt(linear**2 + 2 * np.asarray(variance) * log_term / n)


def assert_means(means, exact, variance, n: int, resolution: float, bound: float = 1.0) -> None:
    """Means over n independent draws agree with the exact ones; twice the threshold stays below ``resolution``.

    So any component that is off by ``resolution`` is found with probability at least 1 - ALPHA.
    """
    threshold = bernstein(n, variance, np.size(means), bound)
    assert np.max(2 * threshold) <= resolution, "too few draws for the declared resolution"
    off = np.abs(np.asarray(means) - exact)
    assert np.all(off <= threshold), f"off by {np.max(off / threshold):.2f} thresholds"
