"""Table of the tasks of sbibm, and which of them the sampler has failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LARGEST_C2ST", "passes", "sbibm_table"]

LARGEST_C2ST = 0.52


def sbibm_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Table in Markdown of records of `runs.run_tasks`: costs, evidence and C2ST beside what is required."""
    head = (
        "task",
        "observation",
        "calls",
        "processor time, s",
        "status (required: ok)",
        "log Z",
        f"C2ST (required: <= {LARGEST_C2ST})",
        "C2ST of halves of the reference",
    )
    rows = [_row(record) for record in records]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        record["task"],
        str(record["observation"]),
        f"{record['calls']:,}",
        f"{record['seconds']:.0f}",
        record["status"],
        f"{record['log_evidence']:.3f} +- {record['log_evidence_err']:.3f}",
        f"{record['c2st']:.3f}" if _passes(record) else f"**{record['c2st']:.3f}**",
        f"{record['c2st_of_halves']:.3f}",
    )


def passes(records: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether every run is "ok" and cannot be told from its reference."""
    return all(_passes(record) for record in records)


def _passes(record: Mapping[str, Any]) -> bool:
    return bool(record["status"] == "ok" and record["c2st"] <= LARGEST_C2ST)
