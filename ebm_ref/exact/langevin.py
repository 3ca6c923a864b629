"""What Langevin samplers do on Gaussian laws, exactly.            [Roberts & Tweedie 1996; Wibisono 2018; lecture 9]

ULA on N(m, P^-1), drift lam (by coordinate), noise variance 2 lam T:  x' = x - lam P(x-m) + sqrt(2 lam T) z.
With D = diag lam, Q = D^1/2 P D^1/2 = U diag(q) U' and y = D^-1/2 (x-m):  y' = (I - Q) y + sqrt(2T) z, so
(1) mean_k = m + D^1/2 U (1-q)^k U'D^-1/2 (x0-m)
(2) Cov_k = D^1/2 U diag(2T sum_{j<k} (1-q)^2j) U'D^1/2,  the sum being (1 - (1-d)^2k) / (d (2-d)),  d = min(q, 2-q),
    and so without cancellation:  (1-d)^2k = exp(2k log1p(-d)),  |1-d| = |1-q|;  k where d = 0
(3) stationary iff max q < 2:  Sigma = T D^1/2 U diag(1 / (q - q^2/2)) U'D^1/2
    one lam for all, T = 1:  Sigma = P^-1 (I - lam P/2)^-1, variance v / (1 - lam/(2v)) where the target's is v
    bias, Sigma - T P^-1 = T/2 D^1/2 U diag(1 / (1 - q/2)) U'D^1/2
(4) KL(N(m, Sigma) || target^(1/T)) = 1/2 sum_i [r_i - 1 - log r_i],  r_i = 1 / (1 - s_i),  s = q/2
    r - 1 - log r = s/(1-s) + log(1-s) = sum_{n>1} (1 - 1/n) s^n,  the series for small s
Inner steps of Gibbs-Langevin, h fixed:  v <- v - d_k (v-m(h))/s2 + sqrt(2 eta_k) z, k = 1..K, elementwise with
drift d_k = eta_k, or eta_k/B in the released code's scaling:
(5) v_K ~ N(rho v_0 + (1-rho) m(h), tau2),  rho = prod_k (1 - d_k/s2),  tau2 <- tau2 (1 - d_k/s2)^2 + 2 eta_k from 0
(6) left running with h fixed: variance tau2 / (1 - rho^2), rho^2 as in (2);  d = eta = c s2 always gives 2 s2 / (2-c)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import xlog1py

from ebm_ref.errors import DomainError, as_float_array, require_finite, require_int, require_positive, require_shape
from ebm_ref.models.analytic import Gaussian


def ula_covariance(gaussian: Gaussian, step_size, temperature: float = 1.0) -> np.ndarray:
    """(3): the covariance (d, d) of ULA's stationary law; its mean is the target's.

    Raises DomainError, with the largest stable step, when ULA has none.

    >>> ula_covariance(Gaussian([0.0], [[1.0]]), 0.5)
    array([[1.33333333]])
    """
    root, q, U = _spectrum(gaussian, step_size)
    _require_stable(q)
    y = require_positive("temperature", temperature) / (q * (1.0 - 0.5 * q))
    return root[:, None] * (U * y) @ U.T * root


def ula_moments(
    gaussian: Gaussian, start, n_steps: int, step_size, temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """(1), (2): mean (d,) and covariance (d, d) after ``n_steps`` from the point ``start``; stable or not."""
    k, T = require_int("n_steps", n_steps), require_positive("temperature", temperature)
    root, q, U = _spectrum(gaussian, step_size)
    x0 = as_float_array("start", start)
    require_shape("start", x0, gaussian.n_visible)
    require_finite("start", x0)
    d, power = _log_power(q, k)
    total = np.where(d == 0, float(k), -np.expm1(2.0 * power) / np.where(d == 0, 1.0, d * (2.0 - d)))
    away = np.sign(1.0 - q) ** k * np.exp(power)
    mean = gaussian.mean + root * ((U * away) @ (U.T @ ((x0 - gaussian.mean) / root)))
    return mean, root[:, None] * (U * (2.0 * T * total)) @ U.T * root


def ula_bias(gaussian: Gaussian, step_size, temperature: float = 1.0) -> np.ndarray:
    """ULA's stationary covariance minus that of the target exp(-E/temperature), (d, d): positive definite, O(step)."""
    root, q, U = _spectrum(gaussian, step_size)
    _require_stable(q)
    y = 0.5 * require_positive("temperature", temperature) / (1.0 - 0.5 * q)
    return root[:, None] * (U * y) @ U.T * root


def ula_kl_divergence(gaussian: Gaussian, step_size) -> float:
    """(4): KL divergence in nats of ULA's stationary law from its target; the same at every temperature."""
    _, q, _ = _spectrum(gaussian, step_size)
    _require_stable(q)
    s = 0.5 * q
    series = np.sum([(1.0 - 1.0 / n) * s**n for n in range(2, 10)], axis=0)
    return float(0.5 * np.sum(np.where(s < 0.01, series, s / (1.0 - s) + np.log1p(-s))))


def inner_chain(step_sizes, variance, drift_divisor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(5): (rho, tau2), each (n_visible,), of the inner steps ``step_sizes`` (K,) or (K, n_visible).

    >>> rho, tau2 = inner_chain([0.5, 0.5], [1.0])
    >>> rho, tau2
    (array([0.25]), array([1.25]))
    """
    steps, scale = _inner_steps(step_sizes, variance, drift_divisor)
    rho, tau2 = np.ones(len(scale)), np.zeros(len(scale))
    for eta in steps:
        factor = 1.0 - eta / scale
        rho, tau2 = rho * factor, tau2 * factor**2 + 2.0 * eta
    return rho, tau2


def gibbs_langevin_variance(step_sizes, variance, drift_divisor: float = 1.0) -> np.ndarray:
    """(6): stationary variance (n_visible,) of the inner steps with h fixed; without weights, that of the sampler.

    >>> gibbs_langevin_variance([0.5], [1.0])
    array([1.33333333])
    """
    _, tau2 = inner_chain(step_sizes, variance, drift_divisor)
    steps, scale = _inner_steps(step_sizes, variance, drift_divisor)
    log_rho = _log_power(steps / scale, 1)[1].sum(axis=0)
    if not np.all(log_rho < 0):
        raise DomainError("step_sizes: expected a stable inner chain, |rho| < 1; use smaller steps")
    return tau2 / -np.expm1(2.0 * log_rho)


def _inner_steps(step_sizes, variance, drift_divisor: float) -> tuple[np.ndarray, np.ndarray]:
    """(steps (K, n_visible) or (K, 1), drift_divisor times variance (n_visible,)), all positive."""
    variance, steps = as_float_array("variance", variance), as_float_array("step_sizes", step_sizes)
    (nv,) = require_shape("variance", variance, None)
    if steps.ndim == 2:
        require_shape("step_sizes", steps, None, nv)
    else:
        steps = steps.reshape(*require_shape("step_sizes", steps, None), 1)
    for name, values in (("variance", variance), ("step_sizes", steps)):
        if not np.all((values > 0) & (values < np.inf)):
            raise DomainError(f"{name}: expected positive numbers, got {values.tolist()}")
    return steps, require_positive("drift_divisor", drift_divisor) * variance


def _log_power(q: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(d, log |1-q|^k) of (2)."""
    d = np.minimum(q, 2.0 - q)
    return d, xlog1py(float(k), -d)


def _spectrum(gaussian: Gaussian, step_size: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(D^1/2 (d,), q (d,), U (d, d)); q > 0 is asked for, so the target must be normalisable."""
    if not isinstance(gaussian, Gaussian):
        raise DomainError(f"gaussian: expected a Gaussian, got {type(gaussian).__name__}")
    lam = as_float_array("step_size", step_size)
    if lam.ndim:
        require_shape("step_size", lam, gaussian.n_visible)
    lam = np.broadcast_to(lam, gaussian.mean.shape)
    if not np.all((lam > 0) & np.isfinite(lam)):
        raise DomainError(f"step_size: expected positive numbers, got {step_size}")
    root = np.sqrt(lam)
    q, U = np.linalg.eigh(root[:, None] * gaussian.precision * root)
    if q[0] <= 0:
        raise DomainError("gaussian: expected a positive definite precision")
    return root, q, U


def _require_stable(q: np.ndarray) -> None:
    if q[-1] >= 2.0:
        raise DomainError(f"step_size: ULA has no stationary law; scale the step by less than {2.0 / q[-1]:.6g}")
