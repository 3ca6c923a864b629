"""Reports as JSON, JUnit XML and HTML; the pictures are inline SVG drawn from ``Result.details``.

details["cells"]  [[label, observed, expected], ...]                         a table of the worst cells
details["ratio"]  {"x": [...], "y": [...], "sd": [...], "x_label": ...}      observed / expected against expected
details["ecdf"]   {"x": [...], "y": [...], "expected": [...], "band": b}     empirical minus exact distribution function
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ebm_ref.oracle.results import Report, Result, number
from ebm_ref.oracle.titles import SKIPPED, TITLES, WOULD_HAVE_SEEN

WIDTH, HEIGHT, MARGIN = 420, 190, 44
FEWEST_DOTS = 2  # a picture of one cell shows nothing


def write_text(path: str | Path | None, text: str) -> str:
    """Write UTF-8 text under a temporary name, then rename; returns the text."""
    if path is not None:
        target = Path(path)
        partial = target.with_name(target.name + ".part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    return text


def plain(value: Any) -> Any:
    """Anything in a report as JSON: arrays as lists, NaN and infinities as strings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def report_json(report: Report) -> str:
    """One report as JSON, with ``passed`` spelled out.

    >>> text = report_json(Report("step", "rbm_3x3", "ci", 0, (Result("S1", "pass", "ok", p_value=0.5),)))
    >>> json.loads(text)["passed"], json.loads(text)["results"][0]["p_value"]
    (True, 0.5)
    """
    return json.dumps(
        {"format": "ebm-ref-report/1", "passed": report.passed, **plain(report), "holm": plain(report.holm)}, indent=1
    )


def report_junit(reports: Sequence[Report]) -> str:
    """JUnit XML: one suite a report, one case a test."""
    root = ElementTree.Element("testsuites", name="ebm-ref")
    for report in reports:
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=printable(f"{report.subject} on {report.case}"),
            tests=str(len(report.results)),
            failures=str(len(report.failures)),
            skipped=str(sum(r.verdict == "skip" for r in report.results)),
            errors="0",
        )
        for result in report.results:
            junit_case(suite, report, result)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def junit_case(suite: ElementTree.Element, report: Report, result: Result) -> None:
    """One ``<testcase>`` with the evidence as properties."""
    case = ElementTree.SubElement(suite, "testcase", classname=printable(f"ebm_ref.{report.case}"), name=result.test)
    properties = ElementTree.SubElement(case, "properties")
    values = {
        "p_value": result.p_value,
        "holm_p": report.holm.get(result.test),
        "log_e": result.log_e,
        "effect": result.effect,
        "smallest_detectable_effect": result.smallest_detectable_effect,
        "n": result.n,
        "seed": result.seed,
        "replay": result.replay,
        "diagnosis": "; ".join(d.description for d in report.diagnosis if d.explained),
    }
    for name, value in values.items():
        if value not in (None, ""):
            ElementTree.SubElement(properties, "property", name=name, value=printable(str(value)))
    if result.verdict == "fail":
        failure = ElementTree.SubElement(case, "failure", message=printable(result.message), type="EbmRefFailure")
        failure.text = printable(f"{result.message}\nreplay: {result.replay}")
    elif result.verdict == "skip":
        ElementTree.SubElement(case, "skipped", message=printable(result.message))


def printable(text: str) -> str:
    """Text without the control characters that XML forbids."""
    return "".join(ch if ch >= " " or ch in "\n\t" else "?" for ch in text)


def report_html(reports: Sequence[Report]) -> str:
    """One self-contained page for any number of reports."""
    import jinja2

    template = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    environment.filters["count"] = count
    tools = {"meter": meter, "pictures": pictures, "titles": TITLES, "shown": shown, "would": WOULD_HAVE_SEEN,
             "not_needed": SKIPPED}  # fmt: skip
    return environment.from_string(template).render(reports=reports, **tools)


def shown(report: Report) -> str:
    """The test whose pictures are open in a report without failures: the first that has any."""
    drawn = (
        r.test for r in report.results if r.verdict == "pass" and (r.details.get("ratio") or r.details.get("ecdf"))
    )
    return "" if report.failures else next(drawn, "")


def count(value: float) -> str:
    """Counts in full, small expected ones with their decimals.

    >>> count(11104.0), count(3.25)
    ('11,104', '3.25')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else number(value)


def meter(result: Result) -> float | None:
    """Effect over smallest detectable effect, as a share of a bar that ends at 2."""
    if result.effect is None or not result.smallest_detectable_effect:
        return None
    return min(result.effect / result.smallest_detectable_effect / 2.0, 1.0)


def pictures(result: Result) -> str:
    """The plots of one result as SVG, marked safe for the template."""
    import markupsafe

    drawn = []
    if result.details.get("ratio"):
        drawn.append(ratio_plot(result.details["ratio"]))
    if result.details.get("ecdf"):
        drawn.append(ecdf_plot(result.details["ecdf"]))
    return markupsafe.Markup("".join(drawn))


def scale(values: np.ndarray, low: float, high: float, start: float, end: float) -> np.ndarray:
    """Linear map of [low, high] to [start, end]."""
    return start + (values - low) / max(high - low, 1e-300) * (end - start)


def frame(title: str, x_label: str, body: str, y_ticks: Sequence[tuple[float, str]]) -> str:
    """Axes, labels and a title around a plot."""
    ticks = "".join(
        f'<line x1="{MARGIN}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{MARGIN - 4}" y="{y + 3:.1f}" text-anchor="end">{label}</text>'
        for y, label in y_ticks
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{ticks}{body}'
        f'<text x="{MARGIN}" y="12" class="title">{title}</text>'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 4}" text-anchor="end">{x_label}</text></svg>'
    )


def ratio_plot(data: dict[str, Any]) -> str:
    """Observed / expected of every cell with enough counts, against expected counts; the band is +-4 sd."""
    x, y, sd = (np.asarray(data[k], dtype=float) for k in ("x", "y", "sd"))
    if len(x) < FEWEST_DOTS:
        return ""
    order = np.argsort(x)
    x, y, sd = np.log10(x[order]), y[order], 4.0 * sd[order]
    out = np.abs(y - 1) > sd
    widest = 8.0  # a ratio beyond it, or 0, is drawn at the edge
    shown = np.clip(y, 1 / widest, widest)
    top = float(np.clip(np.abs(np.log(shown)).max() * 1.1, 0.02, math.log(widest) * 1.05))
    px = scale(x, x.min(), x.max() + 1e-9, MARGIN + 6, WIDTH - 14)

    def py(values: np.ndarray) -> np.ndarray:
        logs = np.log(np.maximum(values, 1e-3))
        return scale(np.clip(logs, -top, top), -top, top, HEIGHT - 22, 20)

    upper = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py(1 + sd), strict=True))
    lower = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px[::-1], py(1 - sd)[::-1], strict=True))
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2" class="{"bad" if far else "dot"}"/>'
        for a, b, far in zip(px, py(shown), out, strict=True)
    )
    half = math.exp(top / 2)
    ticks = [(float(py(np.array(v))), f"{v:.3g}") for v in (1 / half, 1.0, half)]
    body = f'<polygon points="{upper} {lower}" class="band"/>{dots}{count_labels(x, px)}'
    return frame("observed / expected (log scale), band 4 sd", "expected count (log scale)", body, ticks)


def count_labels(log_counts: np.ndarray, positions: np.ndarray) -> str:
    """1, 2 and 5 times powers of ten below the axis, where there is room."""
    values = [m * 10.0**e for e in range(0, 10) for m in (1, 2, 5)]
    drawn, last = [], -np.inf
    for value in values:
        at = float(np.interp(math.log10(value), log_counts, positions, left=-1, right=-1))
        if at >= max(last + 30, 0) and at < WIDTH - 170:
            drawn.append(f'<text x="{at:.1f}" y="{HEIGHT - 4}" text-anchor="middle">{value:,.0f}</text>')
            last = at
    return "".join(drawn)


def ecdf_plot(data: dict[str, Any]) -> str:
    """Empirical minus exact distribution function with its simultaneous band."""
    x, y = np.asarray(data["x"], dtype=float), np.asarray(data["y"], dtype=float)
    difference = y - np.asarray(data["expected"], dtype=float)
    band = float(data.get("band", 0.0))
    if not len(x):
        return ""
    top = max(float(np.abs(difference).max()), band, 1e-12) * 1.2
    px = scale(x, x.min(), x.max() + 1e-9, MARGIN + 6, WIDTH - 14)
    py = scale(difference, -top, top, HEIGHT - 22, 20)
    edge = scale(np.array([-band, band]), -top, top, HEIGHT - 22, 20)
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py, strict=True))
    width, height = WIDTH - 8 - MARGIN, edge[0] - edge[1]
    body = (
        f'<rect x="{MARGIN}" y="{edge[1]:.1f}" width="{width}" height="{height:.1f}" class="band"/>'
        f'<polyline points="{line}" class="line"/>'
        f'<text x="{MARGIN + 6}" y="{HEIGHT - 4}">{x.min():.3g}</text>'
    )
    extreme = top / 1.2
    ticks = [(float(scale(np.array(v), -top, top, HEIGHT - 22, 20)), f"{v:+.2g}") for v in (-extreme, extreme)]
    label = f"{data.get('x_label', '')} up to {x.max():.3g}"
    return frame(data.get("title", "empirical - exact distribution function, with its band"), label, body,
                 [((HEIGHT - 2) / 2, "0"), *ticks])  # fmt: skip
