"""Table of runs that started from former results, as Markdown, and the law of their errors of log Z."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["reanalysis_table"]


def reanalysis_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Table with a row for each run, and the mean and root mean square of the pulls.

    Parameters
    ----------
    records : sequence of mapping
        Records of a benchmark file.

    Returns
    -------
    str
        Markdown. A pull is the error of log Z in units of the combined error of the run and the reference.
    """
    heads = ["problem", "sampler", "seed", "calls", "effective samples", "calls for each", "log Z"]
    heads += ["error of log Z", "pull", "processor time, s", "status"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [_line(record) for record in records]
    pulls = [float(record["pull"]) for record in records if _is_number(record["pull"])]
    return "\n".join([*lines, "", _law_of(pulls)])


def _line(record: Mapping[str, Any]) -> str:
    error, pull = record["log_evidence_error"], record["pull"]
    cells = [
        record["problem"],
        record["sampler"],
        f"{record['seed']}",
        f"{record['calls']:,}",
        f"{record['ess']:,.0f}",
        f"{record['calls_per_ess']:.2f}",
        f"{record['log_evidence']:.4f} +- {record['log_evidence_err']:.4f}",
        f"{error:+.4f}" if _is_number(error) else "-",
        f"{pull:+.2f}" if _is_number(pull) else "-",
        f"{record['cpu_seconds']:.1f}",
        record["status"] or "-",
    ]
    return f"| {' | '.join(cells)} |"


def _law_of(pulls: Sequence[float]) -> str:
    """Mean and root mean square of pulls with the errors that they have if the pulls are N(0, 1)."""
    if not pulls:
        return "No pulls."
    n = len(pulls)
    mean, rms = float(np.mean(pulls)), math.sqrt(float(np.mean(np.square(pulls))))
    return (
        f"{n} pulls: mean {mean:+.2f} +- {n**-0.5:.2f}, root mean square {rms:.2f} +- {(2 * n) ** -0.5:.2f} "
        "(required 0 and 1)"
    )


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
