"""Table in Markdown of the sampler's requirements and of the figures in a benchmark file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["TARGETS", "Target", "benchmark_table", "misses"]

LOG_EVIDENCE_TOLERANCE = 0.03
PULL_TOLERANCE = 3.0


@dataclass(frozen=True, kw_only=True)
class Target:
    """Requirements on one problem.

    Parameters
    ----------
    efficiency : float
        Smallest effective sample size divided by the number of draws of the final proposal.
    calls_per_ess : float
        Most likelihood calls for each effective sample, including training.
    seconds : float
        Longest wall time on one core.
    """

    efficiency: float
    calls_per_ess: float
    seconds: float


TARGETS = {
    **dict.fromkeys(
        ("linear", "microlensing", "spectrum", "rosenbrock", "gaussian15d"),
        Target(efficiency=0.8, calls_per_ess=3, seconds=60),
    ),
    **dict.fromkeys(("sine_demo", "sine", "transit"), Target(efficiency=0.65, calls_per_ess=4, seconds=60)),
    "gw_fast": Target(efficiency=0.65, calls_per_ess=4, seconds=120),
    "radial_velocity": Target(efficiency=0.6, calls_per_ess=12, seconds=120),
    "eggbox": Target(efficiency=0.3, calls_per_ess=12, seconds=120),
}


def misses(record: dict[str, Any], target: Target) -> list[str]:
    """List the requirements that one run did not meet.

    Parameters
    ----------
    record : dict
        One record of the benchmark file.
    target : Target
        Requirements. A missing value or NaN does not meet them.

    Returns
    -------
    list of str
        Empty if all were met.
    """
    efficiency = np.nan if record["efficiency"] is None else record["efficiency"]
    reached = {
        "efficiency": efficiency >= target.efficiency,
        "calls": record["calls_per_ess"] <= target.calls_per_ess,
        "log evidence": abs(record["log_evidence_error"]) <= LOG_EVIDENCE_TOLERANCE
        and abs(record["pull"]) <= PULL_TOLERANCE,
        "time": record["seconds"] <= target.seconds,
    }
    return [name for name, ok in reached.items() if not ok]


def benchmark_table(records: Sequence[dict[str, Any]]) -> str:
    """Table with one row for each problem and the worst seed of each figure.

    Parameters
    ----------
    records : sequence of dict
        Records of the benchmark file; problems without a target are left out.

    Returns
    -------
    str
        Markdown.
    """
    lines = [
        "| problem | seeds | efficiency required | worst | calls per ESS required | worst "
        "| worst error of log Z | worst pull | seconds required | worst | not met |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, target in TARGETS.items():
        rows = [record for record in records if record["problem"] == name]
        if rows:
            lines.append(_row(name, target, rows))
    return "\n".join(lines)


def _row(name: str, target: Target, rows: list[dict[str, Any]]) -> str:
    efficiency = min((row["efficiency"] for row in rows if row["efficiency"] is not None), default=np.nan)
    calls = max(row["calls_per_ess"] for row in rows)
    error = max((row["log_evidence_error"] for row in rows), key=abs)
    pull = max((row["pull"] for row in rows), key=abs)
    seconds = max(row["seconds"] for row in rows)
    not_met = {miss: None for row in rows for miss in misses(row, target)}
    return (
        f"| {name} | {len(rows)} | >= {target.efficiency:g} | {efficiency:.3f} "
        f"| <= {target.calls_per_ess:g} | {calls:.2f} | {error:+.4f} | {pull:+.1f} "
        f"| <= {target.seconds:g} | {seconds:.0f} | {', '.join(not_met) or 'nothing'} |"
    )
