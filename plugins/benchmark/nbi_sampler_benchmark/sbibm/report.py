"""Table of the tasks of sbibm, and a list of the failed ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LARGEST_C2ST", "passes", "sbibm_table"]

LARGEST_C2ST = 0.52

Records = Sequence[Mapping[str, Any]]


def sbibm_table(runs: Records, tests: Records, halves: Records = ()) -> str:
    """Table in Markdown: costs, evidence and C2ST with its limit.

    Parameters
    ----------
    runs, tests : sequence of mapping
        Records of `runs.run_task` and of `runs.compare_draws`, in the same order.
    halves : sequence of mapping
        Records of `runs.compare_halves`, in the same order, for an additional column.
    """
    head = ["task", "observation", "calls", "processor time, s", "status (required: ok)", "log Z"]
    head.append(f"C2ST (required: <= {LARGEST_C2ST})")
    rows = [_row(run, test) for run, test in zip(runs, tests, strict=True)]
    if halves:
        head.append("C2ST of halves of the reference")
        rows = [[*row, f"{half['c2st']:.3f}"] for row, half in zip(rows, halves, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _row(run: Mapping[str, Any], test: Mapping[str, Any]) -> list[str]:
    accuracy = f"{test['c2st']:.3f}"
    return [
        run["task"],
        str(run["observation"]),
        f"{run['calls']:,}",
        f"{run['seconds']:.0f}",
        run["status"],
        f"{run['log_evidence']:.3f} +- {run['log_evidence_err']:.3f}",
        accuracy if test["c2st"] <= LARGEST_C2ST else f"**{accuracy}**",
    ]


def passes(runs: Records, tests: Records) -> bool:
    """Return whether every run is "ok" and indistinguishable from its reference."""
    well = all(run["status"] == "ok" for run in runs)
    return well and all(test["c2st"] <= LARGEST_C2ST for test in tests)
