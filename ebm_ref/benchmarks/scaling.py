"""How the time grows: log Z with the number of hidden units, block Gibbs with the number of chains."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import ebm_ref
from ebm_ref.benchmarks.enumeration import numpy_log_partition
from ebm_ref.benchmarks.rows import Session

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HIDDEN = {64: (12, 14, 16, 18, 20, 22, 24, 26, 28), 784: (12, 14, 16, 18, 20, 22, 24)}
NUMPY_HIDDEN = (8, 10, 12, 14)
CHAINS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
SHAPES = ((16, 8), (64, 32), (784, 500))
MOST_WORK = 3e8  # multiply-adds of one sweep
UNIT_SECONDS = 1e-9


def measure(session: Session, advance: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
    """{"log_z": {label: [[hidden units, seconds], ...]}, "gibbs": {label: [[chains, seconds a unit update], ...]}}."""
    log_z: dict[str, list] = {}
    for n_visible, sizes in HIDDEN.items():
        chosen = sizes[:2] if session.quick else sizes
        log_z[f"ebm_ref, {n_visible} visible"] = [
            [n, _seconds(session, lambda m: ebm_ref.exact.log_partition(m), n_visible, n)] for n in chosen
        ]
    chosen = NUMPY_HIDDEN[:2] if session.quick else NUMPY_HIDDEN
    log_z["NumPy, 784 visible"] = [[n, _seconds(session, numpy_log_partition, 784, n)] for n in chosen]
    advance(0.5)
    gibbs = {f"{v} x {h}": _gibbs(session, v, h) for v, h in (SHAPES[:1] if session.quick else SHAPES)}
    advance(0.5)
    return {"log_z": log_z, "gibbs": gibbs}


def _seconds(session: Session, log_z: Callable, n_visible: int, n_hidden: int) -> float:
    model = ebm_ref.RBM.random(n_visible, n_hidden, 0.05)
    return session.time({"": lambda: log_z(model)}, most_repeats=5)[""].median


def _gibbs(session: Session, n_visible: int, n_hidden: int) -> list:
    """Seconds of one sweep over the number of units that it updates."""

    def sweep(rows: np.ndarray) -> None:
        sampler.advance(rows, stream, 0, 1)

    sampler = ebm_ref.block_gibbs(ebm_ref.RBM.random(n_visible, n_hidden, 0.05))
    stream, points = ebm_ref.Stream(0, "transition"), []
    for n in CHAINS[:2] if session.quick else CHAINS:
        if 2.0 * n * n_visible * n_hidden > MOST_WORK:
            break
        rows = sampler.init(np.zeros((n, n_visible)), seed=0)
        times = session.time({"": partial(sweep, rows)}, most_repeats=5)
        points.append([n, times[""].median / (n * (n_visible + n_hidden))])
    return points


def figure(curves: dict[str, Any]) -> Figure:
    """Two panels on logarithmic axes; dashed lines have a constant cost a state."""
    from matplotlib.ticker import MaxNLocator

    from ebm_ref import plots

    drawn = plots.new_figure(10.5, 4.2)
    left, right = drawn.subplots(1, 2)
    for i, (label, points) in enumerate(curves["log_z"].items()):
        x, y = np.array(points, dtype=float).T
        _line(left, plots, i, x, y, label)
        left.plot(x, y[-1] * 2.0 ** (x - x[-1]), color=plots.GREY, linestyle=(0, (2, 2)), linewidth=0.9, zorder=1)
    plots.house_style(left, "log Z; dotted: constant cost a state")
    left.set(yscale="log", xlabel="hidden units", ylabel="seconds")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(frameon=False, fontsize=9)
    for i, (label, points) in enumerate(curves["gibbs"].items()):
        x, y = np.array(points, dtype=float).T
        _line(right, plots, i, x, y / UNIT_SECONDS, label)
    plots.house_style(right, "Block Gibbs, one sweep")
    right.set(xscale="log", yscale="log", xlabel="chains", ylabel="nanoseconds a unit update")
    right.legend(frameon=False, fontsize=9, title="visible x hidden", title_fontsize=9)
    return plots.settled(drawn)


def _line(axes: Axes, plots: Any, i: int, x: np.ndarray, y: np.ndarray, label: str) -> None:
    axes.plot(x, y, color=plots.COLOURS[i], linestyle=plots.LINE_STYLES[i], marker="os^D"[i], markersize=4, label=label)
