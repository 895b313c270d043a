"""Axes along which problems grow, and tables of the measurements in Markdown; `figure` plots them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.importance.reliability import Status
from nbi_sampler_benchmark.runs.runner import Run
from nbi_sampler_benchmark.scaling.laws import Law, fitted_law

__all__ = ["AXES", "COSTS", "Axis", "Measured", "costs_of", "families_of", "laws_table", "scaling_table"]

Array = NDArray[np.float64]

# Fields of a record, and their names in tables and plots.
COSTS = {"calls": "calls", "cpu_seconds": "processor time, s", "peak_memory": "peak memory, MB"}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One way in which a problem grows.

    Parameters
    ----------
    name, symbol : str
        Name for text, and symbol for formulae.
    families : tuple of str
        Families of problems of different sizes, or the problems themselves if the result grows.
    sizes : tuple of int
    of_result : bool
        Whether the size is the number of effective samples.
    """

    name: str
    symbol: str
    families: tuple[str, ...]
    sizes: tuple[int, ...]
    of_result: bool = False

    def run(self, family: str, size: int, seed: int, n_effective: int, options: dict[str, Any]) -> Run:
        """The run at one size."""
        if self.of_result:
            return Run(problem=family, seed=seed, n_effective=size, options=options)
        return Run(problem=f"{family}{size}", seed=seed, n_effective=n_effective, options=options)


AXES = {
    "dimension": Axis(name="parameters", symbol="D", families=("modes", "valleys"), sizes=(2, 4, 8, 16, 30)),
    "length": Axis(name="data", symbol="N", families=("line",), sizes=(100, 1_000, 10_000, 100_000)),
    "draws": Axis(
        name="effective samples",
        symbol="E",
        families=("line100", "modes6"),
        sizes=(1_000, 10_000, 100_000, 1_000_000),
        of_result=True,
    ),
}


class Measured(NamedTuple):
    """One run.

    Attributes
    ----------
    what : str
        Key of `AXES`.
    family : str
    size : int
    record : dict
        Its record in the benchmark file.
    """

    what: str
    family: str
    size: int
    record: dict[str, Any]

    @property
    def ok(self) -> bool:
        """True if the run has status "ok"."""
        return bool(self.record["status"] == Status.OK)


def families_of(rows: Sequence[Measured]) -> dict[tuple[str, str], list[Measured]]:
    """Runs by axis and family, in the order of `AXES`, each by size."""
    keys = [(what, family) for what, axis in AXES.items() for family in axis.families]
    found = {key: [row for row in rows if (row.what, row.family) == key] for key in keys}
    return {key: sorted(group, key=lambda row: row.size) for key, group in found.items() if group}


def costs_of(rows: Sequence[Measured], cost: str) -> tuple[Array, Array, Law | None]:
    """Sizes and costs of the runs that are "ok", shape (n,), and the law that describes them."""
    trusted = [row for row in rows if row.ok]
    x = np.array([row.size for row in trusted], dtype=np.float64)
    y = np.array([row.record[cost] for row in trusted], dtype=np.float64)
    return x, y, fitted_law(x, y)


def scaling_table(rows: Sequence[Measured]) -> str:
    """Table with a row for each size: median costs of the seeds, statuses, and the worst error of log Z.

    Parameters
    ----------
    rows : sequence of Measured

    Returns
    -------
    str
        Markdown.
    """
    heads = [
        "problem",
        "size",
        "runs",
        "status",
        *COSTS.values(),
        "efficiency",
        "worst error of log Z (pull)",
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for (what, family), group in families_of(rows).items():
        for size in sorted({row.size for row in group}):
            records = [row.record for row in group if row.size == size]
            lines.append(_line(f"{family}, {AXES[what].name}", size, records))
    return "\n".join(lines)


def laws_table(rows: Sequence[Measured]) -> str:
    """Table in Markdown of the laws for the costs of each family, fitted to the runs with status "ok"."""
    lines = [f"| problem, size | {' | '.join(COSTS.values())} |", "|" + "---|" * (1 + len(COSTS))]
    for (what, family), group in families_of(rows).items():
        axis = AXES[what]
        laws = [costs_of(group, cost)[2] for cost in COSTS]
        cells = ["too few" if law is None else law.describe(axis.symbol) for law in laws]
        lines.append(f"| {family}, {axis.symbol} {axis.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _line(family: str, size: int, records: list[dict[str, Any]]) -> str:
    counted = {status: 0 for status in sorted({str(record["status"]) for record in records})}
    for record in records:
        counted[str(record["status"])] += 1
    statuses = ", ".join(f"{status} ({n})" if len(counted) > 1 else status for status, n in counted.items())
    costs = [f"{np.median([record[cost] for record in records]):,.0f}" for cost in COSTS]
    efficiencies = [record["efficiency"] for record in records if record["efficiency"] is not None]
    efficiency = f"{np.median(efficiencies):.2f}" if efficiencies else "-"
    worst = max(records, key=lambda record: abs(record["pull"] or 0.0))
    error = f"{worst['log_evidence_error']:+.3f} ({worst['pull'] or 0.0:+.1f})"
    cells = [family, f"{size:,}", str(len(records)), statuses, *costs, efficiency, error]
    return f"| {' | '.join(cells)} |"
