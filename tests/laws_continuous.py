"""What every sampler of continuous units must satisfy, written once.

Means of functions of independent chains against exact values, in standard errors of the sample: a test of m means
rejects a true law with probability below m 1e-10 (6.5 normal deviations; chains number 20 000 or more).  Off by 13
standard errors, 0.09 deviations of a function at 20 000 chains, a mean is found with probability 1 - 1e-10.
"""

import numpy as np

import ebm_ref as er

BOUND = 6.5


def assert_zero_means(values, what: str) -> None:
    """Every column of ``values`` (n, k) has mean 0."""
    n, error = len(values), values.std(axis=0)
    off = np.abs(values.mean(axis=0)) * np.sqrt(n)
    assert np.all(off <= BOUND * error + 1e-12), f"{what}: off by {np.max(off / (error + 1e-300)):.1f} standard errors"


def step_and_advance_agree(sampler, start, exact_bits: bool = False, n_steps: int = 7) -> None:
    """The readable step and the fast loop read the same numbers: equal decisions, equal states up to rounding."""
    stream, rows, before = er.Stream(21, "transition", 4), start, start.copy()
    accepted = np.zeros(len(start))
    for t in range(9, 9 + n_steps):
        rows, info = sampler.step(rows, sampler.draw(stream, t, len(start)))
        accepted = accepted + info.accepted
    fast, evidence = sampler.advance(start, stream, 9, n_steps)
    assert np.array_equal(start, before), "an input was modified"
    assert np.array_equal(evidence.accepted, accepted)
    assert np.all(np.abs(fast - rows) <= (0 if exact_bits else 1e-11) * np.maximum(1, np.abs(rows)))
    assert np.any(fast != start)


def splits_do_not_matter(sampler, start) -> None:
    """Any cut of the steps and of the chains gives the same bits, and so does any number of threads."""
    stream = er.Stream(5, "transition", 3)
    whole, info = sampler.advance(start, stream, 4, 9)
    rows, accepted = start, 0
    for first, n in ((4, 1), (5, 6), (11, 2)):
        rows, part = sampler.advance(rows, stream, first, n)
        accepted = accepted + part.accepted
    assert rows.tobytes() == whole.tobytes()
    assert np.array_equal(accepted, info.accepted)
    for lo, hi in ((0, 1), (1, 18), (18, len(start))):
        part, _ = sampler.advance(start[lo:hi], er.Stream(5, "transition", 3 + lo), 4, 9)
        assert part.tobytes() == whole[lo:hi].tobytes()
    assert not np.array_equal(sampler.advance(start, er.Stream(6, "transition", 3), 4, 9)[0], whole)


def the_law_is_kept(sampler, energy, draw, seed: int, n: int = 20_000, n_steps: int = 5) -> None:
    """From exact draws of the target, some steps: means of x, x x', E stay; one step: the flow is symmetric.

    ``draw(n, seed)``: exact draws; two independent sets are compared, so the exact moments are not needed.
    """
    start, fresh = draw(n, seed), draw(n, seed + 1)
    after, _ = sampler.advance(start, er.Stream(seed, "transition"), 0, n_steps)
    assert_zero_means(features(after, energy) - features(fresh, energy), "the law")
    if sampler.reversible:
        moved, _ = sampler.advance(start, er.Stream(seed, "transition"), 0, 1)
        f, g = features(start, energy), features(moved, energy)
        pairs = [f[:, i] * g[:, j] - f[:, j] * g[:, i] for i in range(f.shape[1]) for j in range(i)]
        assert_zero_means(np.stack(pairs, axis=1), "the flow")


def features(x, energy) -> np.ndarray:
    """x, the products x_i x_j, E(x), and exp(-E) up to a factor, (n, k)."""
    E = energy(x)
    products = (x[:, :, None] * x[:, None, :])[:, *np.triu_indices(x.shape[1])]
    return np.column_stack([x, products, E, np.exp(-(E - np.median(E)).clip(-5))])


def ula_has_its_stationary_law(sampler, gaussian, seed: int, n: int = 20_000) -> None:
    """Started from N(m, Sigma_eta) of the closed form, ULA keeps exactly that law; started from a point, k steps."""
    Sigma = er.exact.ula_covariance(gaussian, sampler.step_size, sampler.temperature)
    z = er.Stream(seed, "user").normal(0, (n, gaussian.n_visible))
    start = gaussian.mean + z @ np.linalg.cholesky(Sigma).T
    for k in (1, 4):
        after, _ = sampler.advance(start, er.Stream(seed, "transition"), 0, k)
        check_normal(after, gaussian.mean, Sigma)
    at = gaussian.mean + 1.0
    mean, covariance = er.exact.ula_moments(gaussian, at, 3, sampler.step_size, sampler.temperature)
    after, _ = sampler.advance(np.tile(at, (n, 1)), er.Stream(seed, "transition"), 0, 3)
    check_normal(after, mean, covariance)


def check_normal(x, mean, covariance) -> None:
    """First and second moments of x (n, d)."""
    away = x - mean
    products = away[:, :, None] * away[:, None, :] - covariance
    assert_zero_means(away, "the mean")
    assert_zero_means(products.reshape(len(x), -1), "the covariance")


def clamped_coordinates_stay(sampler, start, clamp) -> None:
    """They keep their bits; the others move."""
    after, _ = sampler.clamped(clamp).advance(start, er.Stream(2, "transition"), 0, 20)
    free = np.setdiff1d(np.arange(start.shape[1]), clamp)
    assert np.array_equal(after[:, clamp], start[:, clamp])
    assert np.all(np.any(after[:, free] != start[:, free], axis=0))
