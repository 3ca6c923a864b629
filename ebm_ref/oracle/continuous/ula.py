"""check_ula: is this x' = x - eta g(x) + sqrt(2 eta T) z, fresh independent normal z, and nothing else?

Unadjusted Langevin does not keep the law exp(-E)/Z, so it is never judged by it: its residuals are normal whatever the
energy is (``ebm_ref.oracle.statistics.residuals``).  g is the gradient of the case's energy; T = 1 unless declared.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import special, stats

from ebm_ref.errors import require_positive
from ebm_ref.oracle.checks.candidate import Step, Violation, subject_name
from ebm_ref.oracle.continuous.candidate import ContinuousCandidate
from ebm_ref.oracle.continuous.cases import ContinuousCase, with_kernel
from ebm_ref.oracle.continuous.session import ContinuousSession, worst_part
from ebm_ref.oracle.results import Report, Result
from ebm_ref.oracle.statistics.residuals import Products, Regression, Shape, chi_square_p
from ebm_ref.oracle.statistics.seeds import NULL
from ebm_ref.oracle.statistics.sequential import Stage

SINGLE_ROWS = 2**10


class Whitener:
    """r of one declaration: eta (d,), T, the case's gradient."""

    def __init__(self, case: ContinuousCase, temperature: float) -> None:
        self.case, self.temperature = case, temperature
        self.scale = np.sqrt(2.0 * case.step_size * temperature)

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Residuals (n, d) of the transitions x -> y."""
        return (y - x + self.case.step_size * self.case.gradient(x)) / self.scale

    def features(self, x: np.ndarray) -> np.ndarray:
        """[1, x, g(x)], (n, 1 + 2d), x centred and scaled, which changes no test but keeps digits."""
        return np.column_stack([np.ones(len(x)), x / self.scale, self.case.gradient(x) * self.scale])


def likelihood_test(session: ContinuousSession, white: Whitener) -> None:
    """S7: the likelihood-ratio e-process over known mistakes; looked at after every call, so that most end here."""
    from ebm_ref.oracle.continuous.ula_diagnosis import log_ratios

    log_e, limit, n = 0.0, -float(np.log(session.alpha)), 0
    total: np.ndarray | float = 0.0
    try:
        for rows in (session.n0 // 16, session.n0 // 16, session.n0 // 8):
            for _, x, y in session.transitions("S7", n, rows):
                total, n = total + log_ratios(session.case, white, x, y), n + len(x)
                log_e = float(special.logsumexp(total) - np.log(np.size(total)))
            if log_e >= limit:
                break
    except Violation as violation:
        session.violated(violation, " (during S7)")
        return
    words = f"evidence for known mistakes: ln e = {log_e:.3g}, rejection from {limit:.3g}"
    verdict = "fail" if log_e >= limit else "pass"
    replay, seed = session.replay("S7"), session.seed
    session.results.append(Result("S7", verdict, words, log_e=log_e, n=n, seed=seed, replay=replay))


def drift_test(session: ContinuousSession, white: Whitener) -> None:
    """C1 drift: what the starts explain of the residuals, in units of their own scatter."""
    d = session.case.n_visible

    def stage(n: int, j: int) -> Stage:
        every, along = Regression(), Products()
        for _, x, y in session.transitions("C1 drift", j, n):
            r = white(x, y)
            every.add(white.features(x), r)
            along.add(session.case.gradient(x) * session.case.step_size / white.scale, r)
        rest, df = every.unexplained()
        t = along.uv / np.sqrt(along.uu * max(float(rest.sum()) / (df * d), 1e-300))
        parts = {"drift: any": every.p_value(), "drift: its size": float(2.0 * stats.t.sf(abs(t), df * d))}
        return worst_part(parts, every.excess(), {"drift_over_claimed": 1.0 - along.uv / max(along.uu, 1e-300)})

    df, unit = (1 + 2 * d) * d, "shift of the residuals in standard deviations"
    session.measure("C1 drift", "drift eta g(x)", stage, session.n0, df=df, parts=2, unit=unit)


def scale_test(session: ContinuousSession, white: Whitener) -> None:
    """C1 scale: the variance of the noise, coordinate by coordinate, after what the starts explain."""
    d = session.case.n_visible

    def stage(n: int, j: int) -> Stage:
        every = Regression()
        for _, x, y in session.transitions("C1 scale", j, n):
            every.add(white.features(x), white(x, y))
        squares, df = every.unexplained()
        parts = {f"noise of x{i}": chi_square_p(float(squares[i]), df) for i in range(d)}
        if d > 1:
            parts["noise of all"] = chi_square_p(float(squares.sum()), df * d)
        ratio = squares / df
        return worst_part(parts, float(np.abs(ratio - 1.0).max()), {"variance_over_claimed": ratio.tolist()})

    words, unit = "variance of the noise", "relative excess of the noise variance"
    parts = d + (d > 1)
    session.measure("C1 scale", words, stage, session.n0, parts=parts, scale=float(np.sqrt(2.0)), unit=unit)


def shape_test(session: ContinuousSession, white: Whitener) -> None:
    """C1 shape: the law of the noise, and whether it depends on where the step starts."""
    d = session.case.n_visible

    def stage(n: int, j: int) -> Stage:
        shapes = [Shape() for _ in range(d)]
        for _, x, y in session.transitions("C1 shape", j, n):
            r, position = white(x, y), session.case.target.uniforms(x)[0]
            for i, shape in enumerate(shapes):
                shape.add(r[:, i], position[:, i])
        judged = [s.judge(session.seeds.rng("C1 shape", j, NULL, i)) for i, s in enumerate(shapes)]
        parts = {f"noise of x{i}": p for i, (p, _) in enumerate(judged)}
        worst = int(np.argmin([p for p, _ in judged]))
        return worst_part(parts, max(e for _, e in judged), {"ecdf": shapes[worst].ecdf()})

    session.measure("C1 shape", "normal law of the noise", stage, session.n0, df=63, parts=d)


def correlation_test(session: ContinuousSession, white: Whitener) -> None:
    """C1 correlation: between coordinates, rows, halves of a call, and calls."""
    d = session.case.n_visible
    pairs = [(a, b) for a in range(d) for b in range(a + 1, d)]

    def stage(n: int, j: int) -> Stage:
        found = {name: Products() for name in ("even and odd rows", "halves of a call", "two calls")}
        found |= {f"x{a} and x{b}": Products() for a, b in pairs}
        for chunk, x, y in session.transitions("C1 correlation", j, n):
            r, half = white(x, y), len(x) // 2
            again = white(x, session.move(x, "C1 correlation again", j, chunk))
            found["even and odd rows"].add(r[0 : 2 * half : 2], r[1 : 2 * half : 2])
            found["halves of a call"].add(r[:half], r[half : 2 * half])
            found["two calls"].add(r, again)
            for a, b in pairs:
                found[f"x{a} and x{b}"].add(r[:, a], r[:, b])
        parts = {name: products.p_value for name, products in found.items()}
        worst = min(parts, key=lambda name: parts[name])
        return worst_part(parts, abs(found[worst].rho), {"rho": found[worst].rho})

    unit, words = "correlation", "independence of coordinates, rows and calls"
    session.measure("C1 correlation", words, stage, session.n0, parts=3 + len(pairs), scale=float(np.sqrt(2.0)),
                    unit=unit)  # fmt: skip


def steps_test(session: ContinuousSession, white: Whitener) -> None:
    """C1 steps: a second step knows nothing of the first but where it ended (stale gradients, noise used twice)."""
    d = session.case.n_visible

    def stage(n: int, j: int) -> Stage:
        every, present, lag = Regression(), Regression(), Products()
        for chunk, x, y in session.transitions("C1 steps", j, n):
            y = session.candidate.rounded(y)
            first, second = white(x, y), white(y, session.move(y, "C1 steps again", j, chunk))
            now = white.features(y)
            every.add(np.hstack([now, white.features(x)[:, 1:]]), second)
            present.add(now, second)
            lag.add(first, second)
        parts = {"past of the chain": every.p_value(present), "noise of two steps": lag.p_value}
        past = max(0.0, every.excess() ** 2 - present.excess() ** 2)
        return worst_part(parts, float(np.sqrt(past)), {"rho": lag.rho})

    df, unit = 2 * d * d, "shift of the residuals in standard deviations"
    session.measure("C1 steps", "independence of successive steps", stage, session.n0, df=df, parts=2, unit=unit)


def single_test(session: ContinuousSession, white: Whitener) -> None:
    """C1 single: one row a call: seeding by call, and batches of one."""
    d = session.case.n_visible

    def stage(n: int, j: int) -> Stage:
        x = session.exact_rows("C1 single", j, 0, n)
        y = np.concatenate([session.move(x[k : k + 1], "C1 single", j, k) for k in range(n)])
        r = white(x, y)
        drift, lag = Regression(), Products()
        drift.add(white.features(x), r)
        lag.add(r[0 : n // 2 * 2 : 2], r[1 : n // 2 * 2 : 2])
        total = float((r**2).sum())
        parts = {"noise": chi_square_p(total, n * d), "drift": drift.p_value(), "calls in a row": lag.p_value}
        return worst_part(parts, abs(total / (n * d) - 1.0))

    words, unit = "residuals of one row a call", "relative excess of the noise variance"
    scale = float(np.sqrt(2.0 / d))
    session.measure("C1 single", words, stage, SINGLE_ROWS, parts=3, scale=scale, unit=unit, growth=1)


TESTS: dict[str, Callable[..., None]] = {
    "S7": likelihood_test,
    "C1 drift": drift_test,
    "C1 scale": scale_test,
    "C1 shape": shape_test,
    "C1 correlation": correlation_test,
    "C1 steps": steps_test,
    "C1 single": single_test,
}


def check_ula(
    step: Step,
    case: ContinuousCase,
    step_size: Any = None,
    *,
    temperature: float = 1.0,
    profile: str = "ci",
    seed: int = 0,
    tests: tuple[str, ...] | None = None,
) -> Report:
    """Is ``step`` unadjusted Langevin, x' = x - eta g(x) + sqrt(2 eta T) z, on the case's energy?

    step         ``step(states (n, d), seed) -> states (n, d)``, one step of n independent chains, no hidden units
    step_size    eta, a number or one for each coordinate (d,); the case's own if None
    temperature  T: with the noise sqrt(2 eta T) the chain samples near exp(-E/T)

    P(any failure | correct) <= 1e-6.  Anything that ``step`` does wrong is a failure in the Report, never an exception.
    Raises DomainError or ShapeError for wrong use.

    >>> from ebm_ref.oracle import cases
    >>> case = cases.named("gauss_2d", "ula")
    >>> def lecture(x, seed, noise=2.0):
    ...     z = np.random.default_rng(seed).standard_normal(x.shape)
    ...     return x - 0.3 * case.gradient(x) + np.sqrt(noise * 0.3) * z
    >>> check_ula(lecture, case, 0.3, profile="smoke").passed
    True
    >>> check_ula(lambda x, seed: lecture(x, seed, 1.0), case, 0.3, profile="smoke").diagnosis[0].description
    'noise sqrt(eta) for sqrt(2 eta)'
    """
    return ula_report(step, case, step_size, temperature, profile, seed, tests)


def ula_report(
    step: Step,
    case: ContinuousCase,
    step_size: Any,
    temperature: float,
    profile: str,
    seed: int,
    tests: tuple[str, ...] | None,
    foregone: bool = False,
) -> Report:
    """``check_ula``; ``foregone`` (audits of wrong code only) leaves out stages whose outcome is certain."""
    from ebm_ref.oracle.continuous.ula_diagnosis import explain_ula

    case = with_kernel(case, "ula", step_size)
    temperature = require_positive("temperature", temperature)
    candidate: Any = ContinuousCandidate(step, case)
    session = ContinuousSession("check_ula", candidate, case, profile, seed, tuple(TESTS), foregone=foregone)  # type: ignore[arg-type]
    session.arguments = "" if step_size is None else f", step_size={np.asarray(step_size).tolist()}"
    session.arguments += f", temperature={temperature}" if temperature != 1.0 else ""
    white = Whitener(case, temperature)
    session.carry_out({name: partial(run, white=white) for name, run in TESTS.items()}, tests)
    found = session.plain_faults()
    if session.failed and not found:
        found = explain_ula(session, white)
    return session.report(subject_name(step), found)
