"""What unadjusted Langevin steps get wrong, measured against its closed form, over step sizes; adjusted ones beside it.

N_CHAINS independent chains start from exact draws of the target and take k steps; each gives one number, so errors are
exact: chi-square for variances of Gaussian laws, else the covariance of x and x^2 under the exact law.  Expected values
are those after exactly k steps, so that nothing is lost where the chain is not yet at its limit:
(1) Gaussian, 2-D: R = I - eta P on an eigenvector with target variance v: variance s + (1 - eta/v)^2k (v - s),
    s = v / (1 - eta/(2v))                                                     (exact.ula_covariance)
(2) GRBM, 1-D: the one-step kernel on a grid of (v) or (v, h), trapezoidal rule, applied k times to the exact law;
    with W = 0 its limit is 1/(1 - c/2) for ULA and 2/(2 - c) for Gibbs-Langevin without adjustment, step c s^2
(3) MALA and adjusted Gibbs-Langevin: the target's own values
Every z is N(0, 1) if the sampler is right.  Verdict: the p-value of the chi-square that their squares add up to, the z
of a mean square being taken given that of the mean, so that all are independent.
Told apart: ``check_kernel`` on an ULA step where MALA is claimed and ``check_ula`` on a MALA step where ULA is claimed,
transitions until rejection at level 1e-6 (preflight included); beside them what i.i.d. draws of ULA's own law would
need, ln(10^6) / KL(ULA's law | target).
Usage: python -m validation.ula_bias  (writes validation/figures/ula_bias.png and .json; about a minute)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

import ebm_ref as er
from ebm_ref.oracle import cases, check_kernel, check_ula
from ebm_ref.oracle.continuous.cases import with_kernel
from ebm_ref.progress import track
from validation.continuous_kernels import model_of, one_step, sampler_of

OUT = Path(__file__).parent / "figures"
N_CHAINS, LEFT, GRID, FARTHEST = 40_000, 1e-3, 481, 9.0
FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the largest stable step
GAUSSIAN = er.Gaussian([0.5, -1.0], np.linalg.inv([[1.0, 0.6], [0.6, 2.0]]))
COUPLED = er.GRBM([[2.2, -1.4]], [0.3], [np.log(0.8)], [-1.0, 0.5])
FREE = er.GRBM([[0.0, 0.0]], [0.3], [np.log(0.8)], [-1.0, 0.5])
INNER = 3
STEPS, SEEDS, LEVEL = (0.1, 0.2, 0.4, 0.7, 1.0), (1, 2, 3), 1e-6
COLOURS = {"ula": "#d55e00", "mala": "#0072b2", "gibbs_langevin": "#cc79a7", "gibbs_langevin_adjusted": "#009e73"}
WORDS = {
    "ula": "ULA", "mala": "MALA",
    "gibbs_langevin": "Gibbs-Langevin", "gibbs_langevin_adjusted": "Gibbs-Langevin, adjusted",
}  # fmt: skip


def row(model: str, sampler: str, fraction: float, what: str, measured: float, expected: float, target: float,
        error: float, z: float, limit: float) -> dict[str, Any]:  # fmt: skip
    """One comparison; ``limit`` is the stationary value."""
    return {"model": model, "sampler": sampler, "fraction": fraction, "what": what, "measured": measured,
            "expected": expected, "stationary": limit, "target": target, "standard_error": error, "z": z}  # fmt: skip


def gaussian_rows(fraction: float, seed: int) -> list[dict[str, Any]]:
    """(1): ULA and MALA, the variance along both eigenvectors."""
    v, U = np.linalg.eigh(GAUSSIAN.covariance)
    eta = fraction * 2.0 * v[0]
    k = int(np.ceil(np.log(LEFT) / (2.0 * np.log(np.abs(1.0 - eta / v).max()))))
    start = GAUSSIAN.sample(N_CHAINS, seed)
    limit = np.diag(U.T @ er.exact.ula_covariance(GAUSSIAN, eta) @ U)
    found = []
    for sampler, law in ((er.ula(GAUSSIAN, eta), limit), (er.mala(GAUSSIAN, eta), v)):
        ends = er.sample(sampler, start, k, seed + 1, thin=k).last
        squares = (((ends - GAUSSIAN.mean) @ U) ** 2).sum(axis=0)
        expected = law + (1.0 - eta / v) ** (2 * k) * (v - law)
        for i in range(2):
            lower = stats.chi2.cdf(squares[i] / expected[i], N_CHAINS)
            z = stats.norm.ppf(np.clip(lower, 1e-300, 1 - 1e-16))
            error = expected[i] * np.sqrt(2.0 / N_CHAINS)
            found.append(row("Gaussian", sampler.name, fraction, f"variance, eigenvector {i}", squares[i] / N_CHAINS,
                             expected[i], v[i], error, float(z), law[i]))  # fmt: skip
    return found


class GridLaw:
    """(2): the law of v, or of (v, h), on a grid, and the kernel of an unadjusted sampler."""

    def __init__(self, model: er.GRBM) -> None:
        self.model = model
        self.v = np.linspace(-FARTHEST, FARTHEST, GRID)
        self.h = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float)
        points = self.v[:, None]
        self.target = np.exp(-model.free_energy(points))
        self.target /= self.target.sum()
        logits = model.hidden_logits(points)
        self.odds = np.exp(logits @ self.h.T - np.logaddexp(0.0, logits).sum(axis=1, keepdims=True))  # (GRID, 4)

    def normal(self, mean: np.ndarray, variance: float) -> np.ndarray:
        """N(v; mean, variance) on the grid, (..., GRID), normalised."""
        p = np.exp(-0.5 * (self.v - mean[..., None]) ** 2 / variance)
        return p / p.sum(axis=-1, keepdims=True)

    def kernel(self, sampler: str, eta: float) -> np.ndarray:
        """Rows sum to 1; for Gibbs-Langevin over states (v, h), v running slowest."""
        if sampler == "ula":
            mean = self.v + eta * self.model.score(self.v[:, None])[:, 0]
            return self.normal(mean, 2.0 * eta)
        rho, tau2 = er.exact.inner_chain([eta] * INNER, self.model.variance)
        pull = (1.0 - rho) * self.model.visible_mean(self.h)[:, 0]
        ahead = self.normal(rho * self.v[:, None] + pull, float(tau2[0]))  # (GRID, 4, GRID)
        return (ahead[..., None] * self.odds).reshape(GRID * 4, GRID * 4)

    def after(self, sampler: str, eta: float, k: int | None) -> np.ndarray:
        """The law of v after k steps from the target; k None: the stationary one."""
        K = self.kernel(sampler, eta)
        joint = len(K) > GRID
        p = (self.target[:, None] * self.odds).ravel() if joint else self.target
        for _ in range(10_000 if k is None else k):
            new = p @ K
            done, p = k is None and np.abs(new - p).sum() < 1e-12, new
            if done:
                break
        return p.reshape(GRID, -1).sum(axis=1)

    def moment(self, p: np.ndarray, power: int) -> float:
        """E[(v - mu)^power]."""
        return float(p @ (self.v - self.model.mu[0]) ** power)


def moment_rows(
    name: str, sampler: str, fraction: float, law: GridLaw, p: np.ndarray, limit: np.ndarray, v: np.ndarray
) -> list[dict[str, Any]]:
    """The mean and the mean square of v (n,) against the law p; the second z given the first."""
    one, two, three, four = (law.moment(p, power) for power in (1, 2, 3, 4))
    errors = np.sqrt(np.array([two - one**2, four - two**2]) / len(v))
    rho = (three - one * two) / np.sqrt((two - one**2) * (four - two**2))
    measured = np.array([v.mean(), (v**2).mean()])
    z = (measured - [one, two]) / errors
    given = np.array([z[0], (z[1] - rho * z[0]) / np.sqrt(1.0 - rho**2)])
    found = []
    for i, what in enumerate(("mean", "mean square")):
        target, stationary = law.moment(law.target, i + 1), law.moment(limit, i + 1)
        found.append(row(name, sampler, fraction, what, float(measured[i]), (one, two)[i], target, float(errors[i]),
                         float(z[i]), stationary))  # fmt: skip
        found[-1]["z_given"] = float(given[i])
    return found


def grbm_rows(name: str, model: er.GRBM, fraction: float, seed: int) -> list[dict[str, Any]]:
    """(2), (3): the mean and the mean square of v under four samplers."""
    eta, law = fraction * 2.0 * float(model.variance[0]), GridLaw(model)
    steps = np.full(INNER, eta)
    rows = np.hstack(er.exact.sample(model, N_CHAINS, seed))
    found = []
    for name_of, sampler in (
        ("ula", er.ula(model, eta)), ("mala", er.mala(model, eta)),
        ("gibbs_langevin", er.gibbs_langevin(model, steps)),
        ("gibbs_langevin_adjusted", er.gibbs_langevin(model, steps, adjust=True)),
    ):  # fmt: skip
        joint, adjusted = name_of.startswith("gibbs"), name_of in ("mala", "gibbs_langevin_adjusted")
        k = max(10, int(4.0 / fraction) // (INNER if joint else 1))
        start = rows if joint else rows[:, :1]
        v = er.sample(sampler, start, k, seed + 1, thin=k).last[:, 0] - model.mu[0]
        p = law.target if adjusted else law.after(name_of, eta, k)
        limit = law.target if adjusted else law.after(name_of, eta, None)
        found += moment_rows(name, name_of, fraction, law, p, limit, v)
    return found


def told_apart(step_size: float) -> dict[str, Any]:
    """Transitions until each check rejects the other sampler, on the two-bump mixture; right ones pass."""
    mala = with_kernel(cases.named("gmm_1d", "mala"), "mala", step_size)
    ula = with_kernel(mala, "ula")
    model = model_of(mala)
    steps = {k: sampler_of(case, model) for k, case in (("ula", ula), ("mala", mala))}
    found: dict[str, Any] = {"step_size": step_size, "ula_as_mala": [], "mala_as_ula": [], "right_pass": True}
    for seed in SEEDS:
        rows = {"ula": 0, "mala": 0}

        def step(which: str, x: np.ndarray, s: int, rows: dict[str, int] = rows) -> np.ndarray:
            rows[which] += len(x)
            return one_step(steps[which], x, s)

        wrong = check_kernel(lambda x, s, step=step: step("ula", x, s), mala, profile="ci", seed=seed)
        other = check_ula(lambda x, s, step=step: step("mala", x, s), ula, profile="ci", seed=seed)
        for key, report, who in (("ula_as_mala", wrong, "ula"), ("mala_as_ula", other, "mala")):
            first = report.failures[0] if report.failures else None
            n = None if first is None else first.n or rows[who]
            found[key].append({"n": n, "test": None if first is None else first.test})
    found["right_pass"] = bool(
        check_kernel(lambda x, s: one_step(steps["mala"], x, s), mala, profile="smoke", seed=SEEDS[0]).passed
        and check_ula(lambda x, s: one_step(steps["ula"], x, s), ula, profile="smoke", seed=SEEDS[0]).passed
    )
    return found | {"iid_draws": float(np.log(1.0 / LEVEL) / mixture_kl(mala, step_size))}


def mixture_kl(case: Any, eta: float) -> float:
    """KL(ULA's stationary law | target) on the line, nats, by the grid of (2)."""
    v = np.linspace(-FARTHEST, FARTHEST, GRID)
    target = np.exp(-case.energy(v[:, None]))
    target /= target.sum()
    K = np.exp(-((v - (v - eta * case.gradient(v[:, None])[:, 0])[:, None]) ** 2) / (4.0 * eta))
    K /= K.sum(axis=1, keepdims=True)
    p = np.linalg.matrix_power(K, 4096)[GRID // 2]
    return float((p * np.log(np.maximum(p, 1e-300) / target)).sum())


def draw(rows: list[dict[str, Any]], apart: list[dict[str, Any]], verdict: str) -> Figure:
    """Three models, then the draws that it takes."""
    figure = Figure(figsize=(11.5, 8.2), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    groups = (("Gaussian", "variance, eigenvector 0", "Gaussian in the plane, stiffest direction"),
              ("GRBM, W = 0", "mean square", "GRBM without weights"),
              ("GRBM", "mean square", "GRBM with two hidden units, E[(v - mu)^2]"))  # fmt: skip
    for axes, (model, what, title) in zip(panels, groups, strict=False):
        for sampler, colour in COLOURS.items():
            own = [r for r in rows if (r["model"], r["sampler"], r["what"]) == (model, sampler, what)]
            if not own:
                continue
            x = [r["fraction"] for r in own]
            beside = [f + 0.006 * (list(COLOURS).index(sampler) - 1.5) for f in x]
            axes.plot(x, [r["stationary"] / r["target"] for r in own], color=colour, lw=1.4,
                      ls="-" if sampler in ("ula", "mala") else "--")  # fmt: skip
            axes.errorbar(beside, [r["measured"] / r["target"] for r in own], color=colour, fmt="o" if sampler in
                          ("ula", "gibbs_langevin") else "s", ms=5, mfc="white", capsize=3, label=WORDS[sampler],
                          yerr=[3 * r["standard_error"] / r["target"] for r in own])  # fmt: skip
        axes.set(title=title, xlabel="step, as a share of the largest stable one", yscale="log",
                 ylabel="variance / that of the target")  # fmt: skip
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.yaxis.set_minor_formatter("{x:.3g}")
        axes.legend(frameon=False, fontsize=9)
    axes, x = panels[3], [a["step_size"] for a in apart]
    for key, label, colour, marker in (("ula_as_mala", "check_kernel: ULA for MALA", COLOURS["ula"], "o"),
                                       ("mala_as_ula", "check_ula: MALA for ULA", COLOURS["mala"], "s")):  # fmt: skip
        every = [[found["n"] for found in a[key]] for a in apart]
        axes.plot(x, [np.median([n or np.nan for n in own]) for own in every], marker=marker, color=colour, mfc="white",
                  label=label)  # fmt: skip
    axes.plot(
        x,
        [a["iid_draws"] for a in apart],
        color="#555555",
        ls=":",
        label="i.i.d. draws of ULA's own law, ln(10$^6$)/KL",
    )
    axes.set(title="Told apart on a mixture on the line", xlabel="step size", yscale="log",
             ylabel="transitions until rejected at 10$^{-6}$")  # fmt: skip
    axes.legend(frameon=False, fontsize=9)
    figure.suptitle(f"Bias of unadjusted Langevin steps: lines exact, points measured (3 standard errors); {verdict}")
    return figure


def main() -> int:
    """Measure, judge, draw, write; the exit status says whether the measurements agree and all are told apart."""
    rows: list[dict[str, Any]] = []
    with track(3 * len(FRACTIONS) + len(STEPS), "bias") as bar:
        for j, fraction in enumerate(FRACTIONS):
            rows += gaussian_rows(fraction, 100 * j)
            bar(1)
            for k, (name, model) in enumerate((("GRBM, W = 0", FREE), ("GRBM", COUPLED))):
                rows += grbm_rows(name, model, fraction, 100 * j + 10 * (k + 1))
                bar(1)
            print(f"step {fraction} of the largest", flush=True)
        apart = []
        for step_size in STEPS:
            apart.append(told_apart(step_size))
            print(f"told apart at {step_size}: {apart[-1]}", flush=True)
            bar(1)
    z = np.array([r.get("z_given", r["z"]) for r in rows])
    groups = {s: z[[r["sampler"] == s for r in rows]] for s in COLOURS}
    p = {s: float(stats.chi2.sf((own**2).sum(), len(own))) for s, own in groups.items()}
    total = float(stats.chi2.sf((z**2).sum(), len(z)))
    verdict = f"chi-square of {len(z)} comparisons, p = {total:.2g}"
    print(verdict, p)
    told = all(n["n"] for a in apart for key in ("ula_as_mala", "mala_as_ula") for n in a[key])
    document = {"chains": N_CHAINS, "p_value": total, "p_values": p, "largest_z": float(np.abs(z).max()),
                "told_apart": apart, "rows": rows}  # fmt: skip
    OUT.mkdir(exist_ok=True)
    (OUT / "ula_bias.json").write_text(json.dumps(document, indent=1) + "\n")
    draw(rows, apart, verdict).savefig(OUT / "ula_bias.png", dpi=110, metadata={"Software": None})
    return 0 if total > 1e-4 and told and all(a["right_pass"] for a in apart) else 1


if __name__ == "__main__":
    sys.exit(main())
