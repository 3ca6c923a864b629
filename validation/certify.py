"""The mistakes that the ci profile need not find, at the profiles that must: killed or missed, with figures.

Kernels: eight bits, bfloat16, byte modulo; tilted uniform, temperature 1 % off (due in nightly).  Updates: CD-9 for 10.
A bug is due in a profile if it dies there at every seed.  Usage: python -m validation.certify [--quick]
(writes validation/certify.json and CERTIFY.md; --quick leaves out CD-9 for CD-10, a quarter of an hour)
"""

import json
import statistics
import sys
import time
from pathlib import Path

from ebm_ref.cli.oracle_commands import UPDATE_ROWS
from ebm_ref.oracle import check_kernel, check_update, zoo, zoo_learning
from ebm_ref.progress import track

HERE = Path(__file__).parent
SEEDS = {"ci": 20, "nightly": 20, "certify": 5}
UPDATE_SEEDS = {"nightly": 3, "certify": 1}


def kernel_row(id: str, profile: str, seed: int) -> dict:
    """One wrong kernel under one seed."""
    bug, began = zoo.bug(id), time.perf_counter()
    case = bug.fixture()
    return row_of(bug, profile, seed, check_kernel(bug.step(case), case, profile=profile, seed=seed), began)


def update_row(id: str, profile: str, seed: int) -> dict:
    """One wrong update under one seed."""
    bug, began = zoo_learning.learning_bug(id), time.perf_counter()
    case = bug.fixture()
    rows = case.states[list(UPDATE_ROWS), : case.n_visible]
    return row_of(bug, profile, seed, check_update(bug.update(), case, rows, bug.k, profile=profile, seed=seed), began)


def row_of(bug, profile: str, seed: int, report, began: float) -> dict:
    """What became of it."""
    best = report.diagnosis[0] if report.diagnosis else None
    return {
        "id": bug.id, "description": bug.description, "marked": bug.profile, "profile": profile, "seed": seed,
        "killed_by": [r.test for r in report.failures], "named": bool(best and best.explained),
        "n": max(r.n for r in report.results), "seconds": round(time.perf_counter() - began, 1),
        "diagnosis": best.description if best else "",
    }  # fmt: skip


def page(rows: list[dict]) -> str:
    """One line for each bug and profile."""
    lines = [
        "# Mistakes that need large samples",
        "",
        "Draws: transitions or single-row updates of the longest test. All seeds: [certify.json](certify.json).",
        "",
        "| mistake | due in | run in | killed | named | by | draws, median | seconds, median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for id, profile in dict.fromkeys((r["id"], r["profile"]) for r in rows):
        own = [r for r in rows if (r["id"], r["profile"]) == (id, profile)]
        killed = [r for r in own if r["killed_by"]]
        by = ", ".join(sorted({t for r in killed for t in r["killed_by"]})) or "-"
        lines.append(
            f"| {own[0]['description']} (`{id}`) | {own[0]['marked']} | {profile} | {len(killed)} of {len(own)}"
            f" | {sum(r['named'] for r in killed)} | {by} | {statistics.median(r['n'] for r in own):,.0f}"
            f" | {statistics.median(r['seconds'] for r in own):.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run, write; the exit status says whether every due bug died."""
    kernels = [b.id for b in zoo.BUGS if b.profile in ("nightly", "certify")]
    updates = [] if "--quick" in sys.argv else [b.id for b in zoo_learning.LEARNING_BUGS if b.profile == "certify"]
    work = [(kernel_row, id, profile, seed) for id in kernels for profile, n in SEEDS.items() for seed in range(n)]
    work += [
        (update_row, id, profile, seed) for id in updates for profile, n in UPDATE_SEEDS.items() for seed in range(n)
    ]
    rows = []
    with track(len(work), "rare mistakes") as bar:
        for function, *arguments in work:
            rows.append(function(*arguments))
            bar(1)
            (HERE / "certify.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
            (HERE / "CERTIFY.md").write_text(page(rows))
    print(page(rows))
    order = list(SEEDS)
    due = [r for r in rows if order.index(r["marked"]) <= order.index(r["profile"])]
    return 0 if all(r["killed_by"] for r in due) else 1


if __name__ == "__main__":
    sys.exit(main())
