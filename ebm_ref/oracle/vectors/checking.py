"""Run somebody's implementation over golden vectors.  Needs NumPy and the files; no mpmath, no model code of ours."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ebm_ref.errors import DomainError
from ebm_ref.oracle.results import Diagnosis, Report, Result

FORMAT = "ebm-ref-vectors/1"
WORDS = (
    "kernel", "space", "k", "n_leapfrog", "kind", "function", "form", "stride", "padding", "output_padding", "n_groups",
    "size", "label",
)  # fmt: skip
UNIT = 2.0**-53
Adapter = Callable[[str, dict[str, Any], dict[str, Any]], Any]


@dataclass(frozen=True)
class Outcome:
    """One vector: ratio is max |answer - expected| / (u scale), inf for a wrong shape, a NaN or an exception."""

    file: str
    tc_id: int
    quantity: str
    flags: tuple[str, ...]
    verdict: str
    ratio: float
    message: str


def verify(folder: str | Path, adapter: Adapter) -> Report:
    """Check an implementation against every vector file in a folder; ``SHIPPED`` is the folder inside the package.

    adapter(quantity, model, input) -> number or array.  ``model`` is a dict of float64 arrays (W, a, b; J, c; W, mu,
    log_var, b; a target of Langevin samplers; layers and a form; empty for Philox), ``input`` a dict as in the file,
    decoded.  The adapter
    returns ``NotImplemented`` for a quantity that it doesn't have (counted as skipped) and raises or returns NaN for an
    invalid input.  Whatever it does is a verdict, never a crash.

    Returns a Report with one result per file and quantity; ``effect`` is the worst test ratio, 30 is allowed.  The
    diagnosis ranks the mistakes that the failing vectors were made to hunt.  Raises ``DomainError`` if there is no
    vector file.

    >>> import numpy as np
    >>> def adapter(quantity, model, given):
    ...     if quantity != "energy" or "W" not in model:
    ...         return NotImplemented
    ...     x, h = given["x"], given["h"]
    ...     return -x @ model["W"] @ h - model["a"] @ x - model["b"] @ h
    >>> report = verify(SHIPPED, adapter)
    >>> report.passed, [(r.test, r.n) for r in report.results if r.n]
    (True, [('bernoulli_rbm/energy', 8)])
    """
    outcomes: list[Outcome] = []
    notes: dict[str, Any] = {}
    for path in sorted(Path(folder).glob("*.json")):
        contents = json.loads(path.read_text(encoding="utf-8"))
        if contents.get("format") == FORMAT:
            notes.update(contents["notes"])
            for group in contents["testGroups"]:
                outcomes += [outcome(path.stem, group["model"], test, adapter) for test in group["tests"]]
    if not outcomes:
        raise DomainError(
            f"folder: expected files of format {FORMAT}, got none in {str(folder)!r}; vectors.write makes them"
        )
    name = getattr(adapter, "__name__", "adapter")
    return Report(name, "golden vectors", "exact", 0, results(outcomes), diagnosis(outcomes, notes), remarks(outcomes))


SHIPPED = Path(__file__).parent


def decoded(name: str, value: Any) -> Any:
    """Hex floats and lists as float64 arrays, Philox words as uint32, words and counts as they are."""
    if name in WORDS:
        return value
    if name in ("layers", "branch"):
        return [{key: decoded(key, part) for key, part in layer.items()} for layer in value]
    if name in ("counter", "key"):
        return np.array([int(word, 16) for word in value], dtype=np.uint32)
    numbers = _numbers(value)
    return np.array(numbers, dtype=np.float64) if isinstance(numbers, list) else numbers


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float.fromhex(value) if isinstance(value, str) else float(value)


def outcome(file: str, model: dict[str, Any], test: dict[str, Any], adapter: Adapter) -> Outcome:
    """Ask the adapter one question and judge the answer."""
    given = dict(test["input"])
    model = given.pop("model", model)
    wanted, result = test["expected"], test["result"]

    def judged(verdict: str, ratio: float, message: str) -> Outcome:
        return Outcome(file, test["tcId"], test["quantity"], tuple(test["flags"]), verdict, ratio, message)

    try:
        arrays = {key: decoded(key, value) for key, value in model.items()}
        answer = adapter(test["quantity"], arrays, {key: decoded(key, value) for key, value in given.items()})
        if answer is NotImplemented:
            return judged("skip", 0.0, "not implemented")
        answer = np.asarray(answer, dtype=np.float64)
    except Exception as error:  # the candidate's, whatever it is
        if result == "invalid":
            return judged("pass", 0.0, f"refused: {type(error).__name__}")
        return judged("fail", math.inf, f"raised {type(error).__name__}: {error}")
    if result == "invalid":
        refused = answer.size == 0 or bool(np.isnan(answer).any())
        return judged("pass" if refused else "fail", 0.0 if refused else math.inf, f"accepted: {test['comment']}")
    ratio, message = compared(answer, wanted)
    if ratio <= test["tolerance"]["test_ratio"]:
        return judged("pass", ratio, message)
    return judged("skip" if result == "acceptable" else "fail", ratio, message)


def compared(answer: np.ndarray, wanted: dict[str, Any]) -> tuple[float, str]:
    """The worst test ratio and where it is."""
    if "u32" in wanted:
        expected = np.array([int(word, 16) for word in wanted["u32"]], dtype=np.float64)
        scale = np.ones(expected.shape)
    else:
        expected = np.asarray(_numbers(wanted["f64"]), dtype=np.float64)
        scale = np.broadcast_to(np.asarray(wanted["scale"], dtype=np.float64), expected.shape)
    if answer.shape != expected.shape:
        return math.inf, f"expected shape {expected.shape}, got {answer.shape}"
    if not np.isfinite(answer).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(answer))[0])
        return math.inf, f"got {answer[where]} at {list(where)}, expected {expected[where]}"
    ratio = np.abs(answer - expected) / (UNIT * scale)
    where = tuple(int(i) for i in np.unravel_index(np.argmax(ratio), ratio.shape)) if ratio.ndim else ()
    return float(ratio[where]), f"expected {expected[where]:.17g} at {list(where)}, got {answer[where]:.17g}"


def results(outcomes: list[Outcome]) -> tuple[Result, ...]:
    """One result per file and quantity, worst vectors first in its cells."""
    collected = []
    for key in dict.fromkeys((o.file, o.quantity) for o in outcomes):
        own = [o for o in outcomes if (o.file, o.quantity) == key]
        failed = [o for o in own if o.verdict == "fail"]
        asked = [o for o in own if o.verdict != "skip"]
        verdict = "fail" if failed else "pass" if asked else "skip"
        worst = max(own, key=lambda o: (o.verdict == "fail", o.ratio))
        message = (
            f"tcId {worst.tc_id}: {worst.message}"
            if failed
            else f"{len(asked)} vectors hold, {len(own) - len(asked)} skipped"
        )
        numbers = sorted(o.tc_id for o in failed)
        collected.append(
            Result(
                "/".join(key),
                verdict,
                message,
                effect=max(o.ratio for o in asked) if asked else None,
                smallest_detectable_effect=30.0 if asked else None,
                n=len(asked),
                replay=f"ebm_ref.oracle.vectors.verify(folder, adapter)  # {key[0]}.json, tcId {numbers or 'all'}",
                details={"effect_unit": "test ratio |answer - f64| / (2^-53 scale)", "failed": numbers},
            )
        )
    return tuple(collected)


def diagnosis(outcomes: list[Outcome], notes: dict[str, Any]) -> tuple[Diagnosis, ...]:
    """Rank the flags: ln P(these failures | the flag's vectors fail with .9, others with .05) - ln P(all fail alike).

    ``explained`` says that no vector without the flag failed.  A rank, not a p-value: the vectors are no random sample.
    """
    asked = [o for o in outcomes if o.verdict != "skip"]
    failed = [o for o in asked if o.verdict == "fail"]
    if not failed:
        return ()
    rate = min(len(failed) / len(asked), 0.95)
    found = []
    for flag in dict.fromkeys(f for o in failed for f in o.flags):
        ratio = 0.0
        for o in asked:
            p = 0.9 if flag in o.flags else 0.05
            ratio += math.log(p / rate) if o.verdict == "fail" else math.log((1 - p) / (1 - rate))
        found.append(Diagnosis(flag, ratio, notes[flag]["description"], all(flag in o.flags for o in failed)))
    return tuple(sorted(found, key=lambda d: -d.log_likelihood_ratio))


def remarks(outcomes: list[Outcome]) -> tuple[str, ...]:
    """Counts, and the acceptable vectors that were answered otherwise."""
    counts = {v: sum(o.verdict == v for o in outcomes) for v in ("pass", "fail", "skip")}
    lines = [f"{len(outcomes)} vectors: {counts['pass']} hold, {counts['fail']} fail, {counts['skip']} skipped"]
    lines += [
        f"{o.file} tcId {o.tc_id} (acceptable) answered otherwise: {o.message}"
        for o in outcomes
        if o.verdict == "skip" and o.ratio > 0
    ]
    return tuple(lines)
