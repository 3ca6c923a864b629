"""Run a sampler and keep what it visits: ``sample`` -> ``Chain``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ebm_ref import files
from ebm_ref.device import require_device
from ebm_ref.errors import BackendError, require_int
from ebm_ref.kernels.noise import Stream
from ebm_ref.progress import track

SECONDS_PER_SLICE = 0.2  # compiled work between two looks at the keyboard and the progress bar


@dataclass(frozen=True, eq=False, repr=False)
class Chain:
    """States kept by ``sample``: ``states`` (n_chains, n_kept, n_units), rows [x, h], float64.

    ``acceptance`` (n_chains,) is each chain's share of accepted proposals; ``next_step`` is the step at which a later
    ``sample(..., first_step=chain.next_step)`` carries on, from ``chain.last``, with the very bits of one longer run.
    """

    states: np.ndarray
    last: np.ndarray
    n_visible: int
    acceptance: np.ndarray
    next_step: int
    seed: int

    def __repr__(self) -> str:
        """The size; the arrays are long."""
        return (
            f"Chain(states={self.states.shape}, n_visible={self.n_visible}, acceptance_rate={self.acceptance_rate:.4g},"
            f" next_step={self.next_step}, seed={self.seed})"
        )

    @property
    def visible(self) -> np.ndarray:
        """The visible units, (n_chains, n_kept, n_visible)."""
        return self.states[:, :, : self.n_visible]

    @property
    def hidden(self) -> np.ndarray:
        """The hidden units, (n_chains, n_kept, n_hidden)."""
        return self.states[:, :, self.n_visible :]

    @property
    def acceptance_rate(self) -> float:
        """Mean share of accepted proposals; 1 for Gibbs samplers."""
        return float(self.acceptance.mean()) if len(self.acceptance) else 1.0

    def to_arviz(self) -> Any:
        """An ArviZ InferenceData with the variables ``x`` and ``h``, for R-hat, effective sample size and plots."""
        try:
            import arviz
        except ImportError:
            raise BackendError("to_arviz needs ArviZ: pip install arviz") from None
        arrays = {"x": self.visible, "h": self.hidden}
        return arviz.from_dict({"posterior": arrays} if not hasattr(arviz, "InferenceData") else arrays)

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz`` file (key ``states``), atomically; ``ebm_ref.load`` reads it back."""
        arrays = {"states": self.states, "last": self.last, "acceptance": self.acceptance}
        files.write_arrays(
            path, "Chain", arrays, {"n_visible": self.n_visible, "next_step": self.next_step, "seed": self.seed}
        )


def sample(
    sampler,
    initial,
    n_steps: int,
    seed: int,
    *,
    thin: int = 1,
    burn_in: int = 0,
    clamp=None,
    device: str = "cpu",
    progress: bool = False,
    first_chain: int = 0,
    first_step: int = 0,
) -> Chain:
    """Run ``burn_in`` steps and then ``n_steps`` more, keeping every ``thin``-th of those.

    initial: (n_chains, n_visible) visible units - missing hidden ones are drawn from p(h|x) - or joint rows [x, h].
    clamp: units that keep their initial values: a boolean mask over the visible or all units, or unit indices.
    Chain c at step t reads the random numbers at address (seed; t, first_chain + c): the result does not depend on the
    number of threads, on how chains are split into calls (``first_chain``), nor on how steps are (``first_step``).
    device: "cuda" runs the chains on an NVIDIA card (extra ``cuda``), with the same random numbers.

    >>> import ebm_ref as er
    >>> m = er.RBM.random(4, 3, 1.0, seed=1)
    >>> chain = er.sample(er.block_gibbs(m), [[0, 1, 0, 1]], 100, seed=0, thin=10, burn_in=50)
    >>> chain.states.shape, chain.visible.shape
    ((1, 10, 7), (1, 10, 4))
    """
    seed = require_int("seed", seed, 0, 2**64 - 1)
    n_steps, burn_in = require_int("n_steps", n_steps), require_int("burn_in", burn_in)
    thin, first_step = require_int("thin", thin, 1), require_int("first_step", first_step)
    require_device(device)
    if clamp is not None:
        sampler = sampler.clamped(clamp)
    rows = sampler.init(initial, seed, first_chain)
    stream = Stream(seed, "transition", first_chain)
    run = _Runner(_advance_on(device, sampler), rows, stream, first_step)
    kept = np.empty((len(rows), n_steps // thin, rows.shape[1]))
    with track(burn_in + n_steps, "sampling", enabled=progress) as bar:
        run.forward(burn_in, bar)
        for k in range(n_steps // thin):
            kept[:, k] = run.forward(thin, bar)
        run.forward(n_steps % thin, bar)
    rate = run.accepted / run.proposed if run.proposed else np.ones(len(rows))
    return Chain(kept, run.rows, sampler.model.n_visible, rate, run.step, seed)


def _advance_on(device: str, sampler) -> Callable:
    """The sampler's ``advance``, or its twin on the card."""
    if device == "cpu":
        return sampler.advance
    from ebm_ref.samplers import on_cuda

    return partial(on_cuda.advance, sampler)


class _Runner:
    """Advances rows in slices of compiled work, short enough for Ctrl-C and a live progress bar."""

    def __init__(self, advance: Callable, rows: np.ndarray, stream: Stream, step: int) -> None:
        self.advance, self.rows, self.stream, self.step = advance, rows, stream, step
        self.accepted, self.proposed = np.zeros(len(rows)), 0
        self.slice = 1

    def forward(self, n: int, bar) -> np.ndarray:
        """n more steps."""
        while n:
            now = min(n, self.slice)
            began = time.perf_counter()
            self.rows, info = self.advance(self.rows, self.stream, self.step, now)
            spent = time.perf_counter() - began
            self.accepted += info.accepted
            self.proposed += info.proposed
            self.step += now
            n -= now
            bar(now)
            if now == self.slice and spent < SECONDS_PER_SLICE / 2:
                self.slice *= 2
        return self.rows
