"""Report of packages on the same simulations: a table, a page and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler_benchmark.json_values import without_unknown
from nbi_sampler_benchmark.packages.figures import learning_figure
from nbi_sampler_benchmark.reports.html import best_of, cell, image, page_of, table

__all__ = ["packages_table", "rows_of", "write_report"]

Array = NDArray[np.float64]

# Heading, value, format, and whether larger or smaller is better.
_COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], float | None], str, str], ...] = (
    ("held-out NLL", lambda row: row["nll"], ".2f", "low"),
    ("information gained / nats", lambda row: row["gain"], ".2f", "high"),
    ("median efficiency", lambda row: row["efficiency"], ".3f", "high"),
    ("effective samples per call", lambda row: row["ess_per_call"], ".3f", "high"),
    ("draws outside of the prior", lambda row: row["outside"], ".1%", "low"),
    ("efficiency at the data", lambda row: row["own_efficiency"], ".3f", "high"),
    ("training / s of the processor", lambda row: row["training"]["cpu_seconds"], ",.0f", "low"),
    ("epochs", lambda row: row.get("epochs"), ",.0f", ""),
)
_NOTE = (
    "Means over simulations on which no package was trained. NLL is the mean of -log q(theta | x) in the "
    "parameters, and its excess over the first package has a paired standard error; the information gained "
    "is log q minus log prior. Efficiency is ESS / draws, where draws outside of the prior count with weight "
    "zero. They need no likelihood call, so effective samples per call ignore them. Medians over targets. "
    "The best value for each number of simulations is blue."
)


def rows_of(
    records: Sequence[dict[str, Any]], densities: Sequence[Array], first: str
) -> list[dict[str, Any]]:
    """Records with a label, and the excess NLL of each over the first package on the same simulations.

    Parameters
    ----------
    records : sequence of dict
    densities : sequence of ndarray, shape (n_held_out,)
        Log densities of the held-out parameters for each record.
    first : str
        Package that the others are compared with.

    Returns
    -------
    list of dict
        Have ``label``, ``nll_behind`` and ``nll_behind_err``, which are NaN without a comparison.
    """
    reference = {
        (record["n_sims"], record["seed"]): log_q
        for record, log_q in zip(records, densities, strict=True)
        if record["package"] == first
    }
    rows = []
    for record, log_q in zip(records, densities, strict=True):
        other = reference.get((record["n_sims"], record["seed"]))
        behind = np.full(2, math.nan) if other is None else other - log_q
        rows.append(
            record
            | {
                "label": record["package"] + (" in z" if record["latent"] and record["requirements"] else ""),
                "nll_behind": float(behind.mean()),
                "nll_behind_err": float(behind.std(ddof=1) / math.sqrt(len(behind))),
            }
        )
    return rows


def packages_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Table with one row for each run, as Markdown."""
    header = ["simulations", "package", "NLL behind the first", *(name for name, *_ in _COLUMNS)]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        values = [_text(_known(value(dict(row))), form) for _, value, form, _ in _COLUMNS]
        lines.append("| " + " | ".join([f"{row['n_sims']:,}", _label(row), _behind(row), *values]) + " |")
    return "\n".join(lines)


def write_report(
    folder: Path, title: str, rows: Sequence[dict[str, Any]], missing: Mapping[str, str]
) -> list[Path]:
    """Write ``report.json`` and ``report.html``.

    Parameters
    ----------
    folder : Path
    title : str
    rows : sequence of dict
        See `rows_of`.
    missing : mapping of str to str
        Missing packages and runs, with reasons.

    Returns
    -------
    list of Path
    """
    content = without_unknown({"title": title, "missing": dict(missing), "runs": list(rows)})
    paths = [folder / "report.json", folder / "report.html"]
    paths[0].write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    paths[1].write_text(_page(title, rows, missing), encoding="utf-8")
    return paths


def _page(title: str, rows: Sequence[dict[str, Any]], missing: Mapping[str, str]) -> str:
    notes = [
        f'<p class="note off">{escape(f"{name} is missing: {why}")}</p>' for name, why in missing.items()
    ]
    versions = "; ".join(
        f"{label}: {', '.join(f'{name} {version}' for name, version in row['versions'].items())}"
        for label, row in {row["label"]: row for row in rows}.items()
    )
    return page_of(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            *notes,
            "<h2>Against the number of simulations</h2>",
            image(partial(learning_figure, rows), "information gained, efficiency and seconds of training"),
            "<h2>Figures</h2>",
            *(_table_of([row for row in rows if row["n_sims"] == n]) for n in _budgets(rows)),
            f'<p class="note">{escape(_NOTE)}</p>',
            f'<p class="note">{escape(versions)}</p>',
        ],
    )


def _table_of(rows: Sequence[dict[str, Any]]) -> str:
    """Runs with one number of simulations."""
    cells = [[escape(_label(row)), escape(_behind(row))] for row in rows]
    for _, value, form, better in _COLUMNS:
        values = [_known(value(row)) for row in rows]
        best = best_of(values, better)
        for line, number in zip(cells, values, strict=True):
            line.append(cell(_text(number, form), "best" if number == best else ""))
    header = [f"{rows[0]['n_sims']:,} simulations", "NLL behind the first", *(name for name, *_ in _COLUMNS)]
    return table(header, cells)


def _budgets(rows: Sequence[dict[str, Any]]) -> list[int]:
    return sorted({row["n_sims"] for row in rows})


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['label']}, seed {row['seed']}"


def _behind(row: Mapping[str, Any]) -> str:
    if not math.isfinite(row["nll_behind"]) or row["nll_behind_err"] == 0.0:
        return ""
    return f"{row['nll_behind']:+.2f} ± {row['nll_behind_err']:.2f}"


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _text(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else ""
