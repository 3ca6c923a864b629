"""Pictures of training, samples, filters, state frequencies and spectra.

Each function takes plain arrays and returns a ``matplotlib.figure.Figure`` of its own: no pyplot, no global state, no
window.  Colours are those of Okabe and Ito (Color Universal Design, 2008), which colour-blind readers can tell apart;
line styles and marker shapes repeat what the colours say.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from scipy import stats

from ebm_ref.errors import (
    DomainError,
    ShapeError,
    as_float_array,
    require_finite,
    require_int,
    require_shape,
    require_unit_interval,
)

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#000000")
LINE_STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
GREY, PALE = "#606060", "#D9D9D9"
BAND: dict[str, Any] = {"color": BLUE, "alpha": 0.15, "linewidth": 0}
DPI = 100


def learning_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    reference: tuple[str, float] | None = None,
    title: str | None = None,
    x_label: str = "updates",
    y_label: str = "log-likelihood (nats per row)",
) -> Figure:
    """One line per run, the legend in the order of the last values.

    Args:
        curves: name -> (x, y), two arrays of one length; NaN in y leaves a gap.
        reference: (label, value) of a horizontal line, such as the best value that any model reaches.

    Raises ShapeError for x and y that are not two equally long lists; DomainError for no curve or none finite.

    >>> len(learning_curves({"exact": ([0, 1], [-3.0, -2.0])}, reference=("best", -1.5)).axes[0].lines)
    2
    """
    if not curves:
        raise DomainError("curves: expected at least one, got none")
    figure = new_figure(7.5, 4.2)
    axes = house_style(figure.subplots(), title)
    last_values = {}
    for i, (name, (x, y)) in enumerate(curves.items()):
        x, y = as_float_array(f"curves[{name!r}] x", x), as_float_array(f"curves[{name!r}] y", y)
        (n,) = require_shape(f"curves[{name!r}] x", x, None)
        require_shape(f"curves[{name!r}] y", y, n)
        finite = y[np.isfinite(y)]
        if not len(finite):
            raise DomainError(f"curves[{name!r}] y: expected a finite value, got none")
        (line,) = axes.plot(x, y, linewidth=1.8, marker="o" if n <= 12 else "", markersize=4, label=name)
        line.set(color=COLOURS[i % len(COLOURS)], linestyle=LINE_STYLES[i % len(LINE_STYLES)])
        last_values[line] = finite[-1]
    handles = sorted(last_values, key=lambda line: -last_values[line])
    if reference is not None:
        label, value = reference
        handles.insert(0, axes.axhline(value, color=GREY, linewidth=1.2, label=f"{label} ({value:.4g})", zorder=1))
    axes.set(xlabel=x_label, ylabel=y_label, xmargin=0.02)
    figure.legend(handles=handles, loc="outside right upper", frameon=False, handlelength=2.8)
    return settled(figure)


def image_grid(
    rows: ArrayLike,
    shape: tuple[int, int],
    *,
    columns: int | None = None,
    symmetric: bool = False,
    titles: Sequence[str] | None = None,
    title: str | None = None,
    colour_label: str = "weight",
) -> Figure:
    """Many small images on one scale: samples in grey (1 = ink), or filters in colours symmetric around 0.

    Grey is white at 0 and black at 1, unless values lie beyond: then it reaches from the smallest to the largest.

    Args:
        rows: (n_images, height * width), one image a row.
        shape: (height, width) of an image.
        columns: images side by side; by default about 5 across for every 3 down.
        symmetric: for signed values such as filters: red is positive, blue negative, white 0, with a colour bar.
        titles: one short text above each image.
        colour_label: name and unit of the colour bar.

    Raises ShapeError for rows that are not height * width long, or for too few titles or too many; DomainError for no
    image, a value that is not finite, or columns < 1.

    >>> len(image_grid(np.eye(4), (2, 2), columns=4).axes[0].images)
    4
    """
    height, width = require_int("shape[0]", shape[0], minimum=1), require_int("shape[1]", shape[1], minimum=1)
    images = as_float_array("rows", rows)
    n, _ = require_shape("rows", images, None, height * width)
    require_finite("rows", images)
    if n == 0:
        raise DomainError("rows: expected at least one image, got none")
    if titles is not None and len(titles) != n:
        raise ShapeError(f"titles: expected one for each of {n} images, got {len(titles)}")
    across = round(np.sqrt(5 * n / 3)) if columns is None else min(n, require_int("columns", columns, minimum=1))
    captions = [] if titles is None else list(titles)
    return draw_grid(images.reshape(n, height, width), across, symmetric, captions, title or "", colour_label)


def draw_grid(
    images: np.ndarray, across: int, symmetric: bool, titles: Sequence[str], title: str, colour_label: str
) -> Figure:
    """The drawing of ``image_grid``, every length in screen pixels, an image pixel being a whole number of them."""
    n, height, width = images.shape
    down = -(-n // across)
    zoom = max(1, round((64 if n > 12 else 96) / max(height, width)))
    tile_w, tile_h, gap, margin = zoom * width, zoom * height, 8, 14
    head, caption, bar_w = 26 if title else 0, 18 if titles else 0, 84 if symmetric else 0
    step_w, step_h = tile_w + gap, tile_h + gap + caption
    total_w = max(across * step_w - gap + bar_w, 8 * len(title)) + 2 * margin
    total_h = max(down * step_h - gap, 120 if symmetric else 0) + head + 2 * margin
    corners = [(margin + i % across * step_w, margin + head + caption + i // across * step_h) for i in range(n)]

    figure = Figure(figsize=(total_w / DPI, total_h / DPI), dpi=DPI)
    sheet = figure.add_axes((0, 0, 1, 1))
    largest = float(np.abs(images).max()) or 1.0
    low, high = (-largest, largest) if symmetric else (min(images.min(), 0), max(images.max(), 1))
    colours = "RdBu_r" if symmetric else "gray_r"
    for image, (left, top) in zip(images, corners, strict=True):
        box = (left, left + tile_w, top + tile_h, top)
        sheet.imshow(image, colours, vmin=low, vmax=high, extent=box, interpolation="nearest")
    frames = [Rectangle(corner, tile_w, tile_h) for corner in corners]
    sheet.add_collection(PatchCollection(frames, facecolor="none", edgecolor="#A0A0A0", linewidth=0.6))
    sheet.text(margin, margin, title, va="top", fontsize=11)
    for text, (left, top) in zip(titles, corners, strict=False):
        sheet.text(left + tile_w / 2, top - 3, text, ha="center", va="bottom", fontsize=9)
    sheet.set(xlim=(0, total_w), ylim=(total_h, 0), aspect="auto")
    sheet.set_axis_off()
    if symmetric:
        bar_h = min(total_h - head - 2 * margin, 260)
        left, bottom = margin + across * step_w + 8, total_h - margin - head - bar_h
        bar = figure.add_axes((left / total_w, bottom / total_h, 12 / total_w, bar_h / total_h))
        figure.colorbar(sheet.images[0], cax=bar, label=colour_label)
    return figure


def frequencies(
    exact: ArrayLike, empirical: ArrayLike, n_samples: int, *, level: float = 0.99, title: str | None = None
) -> Figure:
    """Exact probabilities of states against their frequencies among n_samples independent samples.

    Above, both on logarithmic axes, with the central interval that holds the frequency k / n of one state with
    probability ``level`` or a little more, k ~ Binomial(n, p).  Below, the standardised residuals
    (k / n - p) / sqrt(p (1 - p) / n) of the states with n p >= 5 and p < 1, where they are about normal.
    States never seen are drawn at half a sample, states of probability under 0.01 / n at the left edge.

    Args:
        exact, empirical: (n_states,), probabilities and frequencies in [0, 1]; some of the states or all.
        n_samples: n, the samples behind ``empirical``; of a correlated chain, its effective number.
        level: of the band, for each state by itself.

    Raises ShapeError for unequal lengths; DomainError for a value outside [0, 1], no state, n_samples < 1, or a level
    that is not inside (0, 1).

    >>> figure = frequencies([0.5, 0.3, 0.2], [0.51, 0.3, 0.19], 100)
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['empirical frequency', 'residual\\n(standard errors)']
    """
    p, f = as_float_array("exact", exact), as_float_array("empirical", empirical)
    (n_states,) = require_shape("exact", p, None)
    require_shape("empirical", f, n_states)
    require_unit_interval("exact", p)
    require_unit_interval("empirical", f)
    n = require_int("n_samples", n_samples, minimum=1)
    if not 0 < level < 1:
        raise DomainError(f"level: expected a number inside (0, 1), got {level}")
    if n_states == 0:
        raise DomainError("exact: expected at least one state, got none")
    figure = new_figure(6.4, 6.8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    house_style(above, title or f"{n_states:,} states, {n:,} samples")
    draw_frequencies(above, house_style(below), p, f, n, level)
    figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return settled(figure)


def draw_frequencies(above: Axes, below: Axes, p: np.ndarray, f: np.ndarray, n: int, level: float) -> None:
    """Both panels of ``frequencies``."""
    x, floor = np.maximum(p, 0.01 / n), 0.5 / n
    middle, spread = np.sqrt(x.min() * x.max()), max(10.0, 1.3 * np.sqrt(x.max() / x.min()))
    grid = np.geomspace(middle / spread, min(1.0, middle * spread), 400)
    low, high = stats.binom.interval(level, n, grid)
    above.fill_between(grid, np.maximum(low / n, floor), high / n, **BAND, label=f"{100 * level:g} % binomial band")
    above.plot(grid[grid >= floor], grid[grid >= floor], color=GREY, linewidth=1, label="frequency = probability")

    tested = (n * p >= 5) & (p < 1)
    residual = ((f - p) / np.sqrt(p * (1 - p) / n, where=tested, out=np.ones_like(p)))[tested]
    inside = within_binomial_band(n * f, n, p, level)
    groups: tuple[tuple[np.ndarray, str, dict[str, Any]], ...] = (
        (inside & (f > 0), "inside", {"color": BLUE, "alpha": 0.6}),
        (inside & (f == 0), "inside, never seen", {"edgecolors": BLUE, "facecolors": "none", "marker": "v"}),
        (~inside, f"outside (expected: at most {(1 - level) * len(p):.2g})", {"color": VERMILLION, "marker": "X"}),
    )
    for members, name, style in groups:
        style |= {"s": 22, "linewidth": 0.8, "rasterized": len(p) > 2000, "zorder": 3}
        above.scatter(x[members], np.maximum(f[members], floor), label=f"{members.sum():,} {name}", **style)
        below.scatter(x[tested & members], residual[members[tested]], **style)
    quantile = stats.norm.ppf((1 + level) / 2)
    below.axhspan(-quantile, quantile, **BAND)
    below.axhline(0, color=GREY, linewidth=1)
    reach = 1.25 * max(quantile, np.max(np.abs(residual), initial=0))
    below.set(ylim=(-reach, reach), xlabel="exact probability", ylabel="residual\n(standard errors)")
    above.set(xscale="log", yscale="log", xlim=(middle / spread, middle * spread), ylabel="empirical frequency")


def within_binomial_band(counts: np.ndarray, n: int, p: np.ndarray, level: float) -> np.ndarray:
    """Is each count inside the central interval of Binomial(n, p)?  p = 0 and p = 1 allow n p only."""
    certain = (p == 0) | (p == 1)
    low, high = np.where(certain, n * p, stats.binom.interval(level, n, np.where(certain, 0.5, p)))
    slack = 1e-6  # counts were divided by n and multiplied again
    return (counts >= low - slack) & (counts <= high + slack)


def spectrum(eigenvalues: ArrayLike, *, title: str | None = None) -> Figure:
    """The eigenvalues of a transition matrix and its absolute spectral gap, 1 - |lambda_2|.

    lambda_2 is the largest in magnitude once one eigenvalue 1, that of the stationary law, is set aside; 1 / gap is the
    relaxation time in steps.  Real eigenvalues are sorted by magnitude, complex ones drawn in the unit circle.

    Args:
        eigenvalues: (n,), real or complex, in any order.

    Raises DomainError unless one eigenvalue is 1 and none beyond the unit circle (to 1e-6).

    >>> spectrum([1.0, 0.5, -0.25]).axes[0].get_title(loc="left")
    'gap 0.5, relaxation time 2 steps'
    """
    values = np.asarray(eigenvalues, dtype=np.complex128)
    require_shape("eigenvalues", values, None)
    require_finite("eigenvalues", values)
    off_one = np.abs(values - 1)
    if off_one.min(initial=np.inf) > 1e-6 or np.abs(values).max() > 1 + 1e-6:
        raise DomainError("eigenvalues: expected those of a transition matrix: one equal to 1, none beyond magnitude 1")
    rest = np.delete(values, off_one.argmin())
    rest = rest[np.argsort(-np.abs(rest), kind="stable")]
    second = min(1.0, float(np.max(np.abs(rest), initial=0)))
    gap = 1 - second
    time = f"{1 / gap:.3g} steps" if gap > 1e-12 else "infinite"
    real = np.abs(values.imag).max() <= 1e-9
    figure = new_figure(*(7.0, 3.8) if real else (5.6, 5.9))
    axes = house_style(figure.subplots(), f"{title + ': ' if title else ''}gap {gap:.3g}, relaxation time {time}")
    if real:
        draw_real_spectrum(axes, rest.real, second)
        figure.legend(loc="outside right upper", frameon=False)
    else:
        draw_complex_spectrum(axes, rest, second)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return settled(figure)


def draw_real_spectrum(axes: Axes, rest: np.ndarray, second: float) -> None:
    """Magnitudes in falling order; open markers are negative eigenvalues."""
    n = len(rest) + 1
    rank, magnitude = np.arange(2, n + 1), np.abs(rest)
    axes.axhspan(second, 1, color=ORANGE, alpha=0.25, linewidth=0, label=r"spectral gap $1 - |\lambda_2|$")
    if n <= 100:
        axes.vlines(rank, 0, magnitude, color=PALE, linewidth=1.5)
    size = 30 if n <= 100 else 10
    axes.scatter([1], [1], size, "black", marker="D", label="stationary law, 1", zorder=3)
    for members, name, face, edge in (
        (rest >= 0, r"$\lambda \geq 0$", BLUE, BLUE),
        (rest < 0, r"$\lambda < 0$", "white", VERMILLION),
    ):
        if members.any():
            axes.scatter(rank[members], magnitude[members], size, face, edgecolors=edge, label=name, zorder=3)
    axes.set(xlabel="rank by magnitude", ylabel=r"magnitude $|\lambda|$", xlim=(0.5 - n / 50, n * 1.02 + 0.5))
    axes.set_ylim(-0.03, 1.04)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def draw_complex_spectrum(axes: Axes, rest: np.ndarray, second: float) -> None:
    """The unit disc; the shaded ring holds no eigenvalue but the 1."""
    axes.add_patch(Circle((0, 0), 1, facecolor=ORANGE, alpha=0.25, label=r"spectral gap $1 - |\lambda_2|$"))
    axes.add_patch(Circle((0, 0), second, facecolor="white"))
    axes.add_patch(Circle((0, 0), 1, facecolor="none", edgecolor=GREY, linewidth=1.2, label="unit circle"))
    axes.scatter([1], [0], 36, "black", marker="D", label="stationary law, 1", zorder=3)
    axes.scatter(rest.real, rest.imag, 22, BLUE, alpha=0.7, label="other eigenvalues", zorder=3)
    axes.set(xlabel=r"real part of $\lambda$", ylabel=r"imaginary part of $\lambda$", aspect="equal")
    axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), xticks=(-1, -0.5, 0, 0.5, 1), yticks=(-1, -0.5, 0, 0.5, 1))


def to_png_bytes(figure: Figure, dpi: int = DPI) -> bytes:
    """The picture as PNG; the same figure gives the same bytes.

    >>> to_png_bytes(spectrum([1.0, 0.5])) == to_png_bytes(spectrum([1.0, 0.5]))
    True
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure) -> str:
    """The picture as an ``<svg>`` element to put into HTML; no dates, no random names, so the same text every time.

    >>> to_svg(spectrum([1.0, 0.5]))[:4]
    '<svg'
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "ebm_ref", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that keeps its texts from overlapping."""
    return Figure(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))


def settled(figure: Figure) -> Figure:
    """The figure with its layout worked out once and then fixed, since each pass would move it by a hair."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def house_style(axes: Axes, title: str | None = None) -> Axes:
    """No box, a faint grid behind the data, the title at the left."""
    axes.set_title(title or "", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    return axes
