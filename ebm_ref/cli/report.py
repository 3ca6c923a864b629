"""The page that ``ebm-ref verify`` writes: self-contained HTML with its figures, and the same as JSON and JUnit XML."""

from __future__ import annotations

import base64
import json
import math
import platform
from pathlib import Path
from typing import Any

import numpy as np

import ebm_ref
from ebm_ref import files, plots
from ebm_ref.cli.study import BATCH_SIZE, LEARNING_RATE, MOMENTUM, N_HIDDEN, Study
from ebm_ref.exact.transitions import spectrum
from ebm_ref.oracle import Report
from ebm_ref.oracle.rendering import report_junit
from ebm_ref.oracle.titles import title

N_DRAWS = 100_000


def write_report(
    folder: Path, study: Study, reports: list[Report], seconds: list[float], profile: str, seed: int
) -> Path:
    """Write report.html, report.json and report.xml; returns the path of the page."""
    import jinja2

    folder.mkdir(parents=True, exist_ok=True)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["title_of"] = title
    environment.filters["number"] = lambda v: "" if v is None else f"{v:.3g}"
    template = environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    page = template.render(
        passed=all(r.passed for r in reports), version=ebm_ref.__version__, profile=profile, seed=seed, study=study,
        recipe=f"{N_HIDDEN} hidden units, {study.n_updates} updates, batches of {BATCH_SIZE}, stochastic gradient"
        f" ascent with momentum {MOMENTUM} and a rate that falls linearly from {LEARNING_RATE} to 0",
        rows=[(name, fit.history["log_likelihood"], study.seconds[name]) for name, fit in study.fits.items()],
        figures=figures(study, seed), reports=list(zip(reports, seconds, strict=True)),
        python=platform.python_version(), numpy=np.__version__, bound=math.fsum(r.false_alarm_bound for r in reports),
    )  # fmt: skip
    files.write_bytes(folder / "report.html", page.encode())
    files.write_bytes(
        folder / "report.json", json.dumps(summary(study, reports, seconds, profile, seed), indent=1).encode()
    )
    files.write_bytes(folder / "report.xml", report_junit(reports).encode())
    return folder / "report.html"


def summary(study: Study, reports: list[Report], seconds: list[float], profile: str, seed: int) -> dict[str, Any]:
    """Everything that the page says, for machines."""
    return {
        "format": "ebm-ref-verify/1", "version": ebm_ref.__version__, "profile": profile, "seed": seed,
        "passed": all(r.passed for r in reports),
        "study": {
            name: {key: values.tolist() for key, values in fit.history.items()} for name, fit in study.fits.items()
        },
        "reports": [
            {**json.loads(r.to_json()), "seconds": round(s, 3)} for r, s in zip(reports, seconds, strict=True)
        ],
    }  # fmt: skip


def figures(study: Study, seed: int) -> dict[str, str]:
    """The pictures as data URIs."""
    curves = {name: (fit.history["update"], fit.history["log_likelihood"]) for name, fit in study.fits.items()}
    best = study.fits["exact gradient"].model
    model = ebm_ref.RBM.random(3, 2, 1.2, seed=21).tempered(1.3)
    chain = ebm_ref.sample(ebm_ref.block_gibbs(model), ebm_ref.exact.sample(model, N_DRAWS, seed)[0], 1, seed).last
    counts = np.bincount((chain @ (1 << np.arange(model.n_units))).astype(np.int64), minlength=2**model.n_units)
    pi = ebm_ref.exact.joint_probabilities(model)
    images = {name: plots.image_grid(rows, (8, 8), columns=10) for name, rows in study.samples.items()}
    drawn = {
        "curves": plots.learning_curves(curves, title="Exact log-likelihood of the digits"),
        "data": plots.image_grid(study.data[:40], (8, 8), columns=10),
        "filters": plots.image_grid(best.W.T, (8, 8), columns=7, symmetric=True),
        "frequencies": plots.frequencies(pi, counts / N_DRAWS, N_DRAWS, title="States of an RBM 3x2 after one sweep"),
        "spectrum": plots.spectrum(
            spectrum(ebm_ref.exact.transition_matrix(ebm_ref.gibbs(model, "random")), pi),
            title="Random-scan Gibbs, RBM 3x2",
        ),
        **images,
    }
    encode = base64.b64encode
    return {name: "data:image/png;base64," + encode(plots.to_png_bytes(f)).decode() for name, f in drawn.items()}
