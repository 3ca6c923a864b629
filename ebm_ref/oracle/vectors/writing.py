"""The files: what is in them, and how they are put on disk with the same bytes each time."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ebm_ref.oracle.vectors import boltzmann_vectors, learning_vectors, philox_vectors, rbm_vectors
from ebm_ref.oracle.vectors.encoding import precise
from ebm_ref.oracle.vectors.notes import notes_for

HERE = Path(__file__).parent
FORMAT = "ebm-ref-vectors/1"
VERSION = "2026.1"  # the calendar version of the vectors: a released file never changes, new ones get a new version
METHOD = (
    "mpmath at 60 digits by two routes that share no formula (sums over the table of all joint weights; factorised"
    " formulas,"
    " paths summed one by one, finite differences at 200 digits), which agree to 1e-40 of the scale"
)
SHARED = {
    "numbers": "C99 hex floats: parse exactly; nan, inf and -inf only in inputs that must be refused",
    "decimal": "the exact value to 30 digits; f64 is that value rounded to nearest",
    "test_ratio": "right if |answer - f64| <= tolerance.test_ratio * 2^-53 * scale; a scalar scale goes with every"
    " element",
    "condition": "largest scale / |value|, for reading",
    "result": "valid: must pass; acceptable: either outcome is right; invalid: must raise, or return NaN or null",
    "beta": "already inside the parameters (tempered)",
    "matrices": "transition matrices act on row vectors: entry [s][s'] is P(s -> s')",
    "spectral_gap": "1 - the largest modulus of the eigenvalues other than the eigenvalue 1",
    "log": "natural logarithms",
    "overrides": "an input with a member named model replaces the group's model",
}
RBM = {
    "energy": "-x'Wh - a'x - b'h",
    "units": "01",
    "W_layout": "[n_visible, n_hidden] row-major",
    "state_index": "sum_i x_i 2^i, visible units first",
    "free_energy": "-log sum_h exp(-energy); hidden_free_energy: -log sum_x exp(-energy)",
    "gradient": "ascent of the mean log-likelihood over the rows; flat: W row by row, then a, then b",
    "kernels": "block_gibbs: h' ~ p(.|x), then x' ~ p(.|h'); gibbs: one site after the other, hidden units first,"
    " then visible;"
    " gibbs_random: one uniformly chosen site; gibbs_palindromic: the scan there and back; metropolis: one"
    " uniformly proposed flip",
    "gibbs_trace": "h'_j = 1 if u_h[t][j] < sigmoid(b + xW)_j, then x'_i = 1 if u_x[t][i] < sigmoid(a + Wh')_i;"
    " rows [x', h']",
    "cd": "S(x_0) - S(x_k), S(x) = [x p(h|x)^T, x, p(h|x)] flat as the gradient; mean over the rows, each used once",
    "ais": "log p*_t(x,h) = ((1-t) base + t a).x + t (b.h + x'Wh); x_1 ~ Bernoulli(sigmoid(base)); w = prod_k"
    " p*_{t_k}(x_k) /"
    " p*_{t_(k-1)}(x_k) with p*_t(x) summed over h; x_(k+1) from one block Gibbs sweep h, x at t_k",
    "log_z_estimate": "log_z_base + log of the mean of exp(log_weights)",
}
BOLTZMANN = {
    "energy": "-s'Js/2 - c's, J symmetric with zero diagonal",
    "units": "01",
    "state_index": "sum_i s_i 2^i",
    "gradient": "ascent of the mean log-likelihood over the rows; flat: J_ij for i < j row by row (J_ij and J_ji"
    " moved together), then c",
    "kernels": "gibbs: units 0, 1, ..., n-1 one after the other; gibbs_random, gibbs_palindromic, metropolis as for"
    " the RBM",
}
PHILOX = {
    "words": "32-bit words as 8 hexadecimal digits, word 0 first; counter (4 words), key (2 words), output (4 words)",
    "result": "valid: must be equal",
}


def document(
    algorithm: str, schema: str, conventions: dict[str, str], method: str, groups: list[dict[str, Any]]
) -> dict[str, Any]:
    """One file as a dictionary; ids must be unique within it."""
    ids = [test["tcId"] for group in groups for test in group["tests"]]
    if len(set(ids)) != len(ids):
        raise ArithmeticError(f"{algorithm}: a tcId is used twice")
    return {
        "format": FORMAT,
        "algorithm": algorithm,
        "schema": schema,
        "generator": {"name": "ebm_ref", "version": VERSION, "method": method},
        "conventions": conventions,
        "notes": notes_for(groups),
        "numberOfTests": len(ids),
        "testGroups": groups,
    }


def documents() -> dict[str, dict[str, Any]]:
    """All files: name -> contents.  Takes a few seconds."""
    mp = precise()
    rbm = rbm_vectors.groups(mp) + learning_vectors.groups(mp)
    machine = boltzmann_vectors.groups(mp)
    words = "two programs that share no line, and the known answers published with Random123"
    return {
        "bernoulli_rbm.json": document("bernoulli-rbm", "bernoulli_rbm_v1.json", {**RBM, **SHARED}, METHOD, rbm),
        "boltzmann_machine.json": document(
            "boltzmann-machine", "boltzmann_machine_v1.json", {**BOLTZMANN, **SHARED}, METHOD, machine
        ),
        "philox4x32.json": document("philox4x32-10", "philox4x32_v1.json", PHILOX, words, philox_vectors.groups()),
    }


def as_text(contents: dict[str, Any]) -> str:
    """JSON with one line a test: small differences stay small in version control."""
    head = {key: value for key, value in contents.items() if key != "testGroups"}
    lines = [json.dumps(head, indent=1)[:-2] + ',\n "testGroups": [']
    for i, group in enumerate(contents["testGroups"]):
        members = {key: value for key, value in group.items() if key != "tests"}
        lines.append("  " + json.dumps(members)[:-1] + ', "tests": [')
        tests = group["tests"]
        lines += ["   " + json.dumps(test) + ("," if j + 1 < len(tests) else "") for j, test in enumerate(tests)]
        lines.append("  ]}" + ("," if i + 1 < len(contents["testGroups"]) else ""))
    return "\n".join([*lines, " ]", "}", ""])


def write(folder: str | Path) -> tuple[Path, ...]:
    """Write all golden vectors and their JSON Schemas into a folder; the same bytes on each call.

    Needs mpmath (extra ``test``); raises ``BackendError`` without it.  Raises ``ArithmeticError`` if two exact
    routes disagree. Files are written under a temporary name and renamed.  Returns the paths of the vector files.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, contents in documents().items():
        path = target / name
        temporary = path.with_suffix(".json.part")
        with open(temporary, "w", encoding="ascii", newline="\n") as stream:
            stream.write(as_text(contents))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        schema = target / str(contents["schema"])
        if schema.resolve() != (HERE / schema.name).resolve():
            shutil.copyfile(HERE / schema.name, schema)
        paths.append(path)
    return tuple(paths)
