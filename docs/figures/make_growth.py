"""Draw the pictures of growth in docs/benchmark.md, growth_grid.png and growth.png.

    python docs/figures/make_growth.py

takes the numbers from growth_grid.json and growth.json. These come from the records of two commands:

    nbi-sampler benchmark scaling --what dimension,length,draws
    nbi-sampler benchmark search --runs 200
    python docs/figures/make_growth.py build/scaling.jsonl build/search.jsonl

growth.png has calls against the compression from prior to posterior. Its law is fitted to the mixtures of
five parameters and more, where a run searches for modes; with one or two the scan of the prior decides.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nbi_sampler_benchmark.problems.random_mixtures import mixture_named
from nbi_sampler_benchmark.runs.runner import read_records
from nbi_sampler_benchmark.scaling.figure import scaling_figure
from nbi_sampler_benchmark.scaling.laws import fitted_law
from nbi_sampler_benchmark.scaling.report import AXES, Measured
from PIL import Image

from nbi_sampler.reports.plots.style import (
    COLOURS,
    compact,
    head,
    own_style,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
FEWEST_PARAMETERS = 5
# That of the runs at growing sizes which do not grow in it.
N_EFFECTIVE = 2000


def main(scaling: str | None = None, search: str | None = None) -> None:
    """Keep what the pictures need of the records, if there are new ones, and draw."""
    if scaling and search:
        keep("growth_grid.json", grid_rows(read_records(Path(scaling))))
        keep("growth.json", search_rows(read_records(Path(search))))
    grid, runs = (
        json.loads((HERE / name).read_text(encoding="utf-8"))
        for name in ("growth_grid.json", "growth.json")
    )
    measured = [Measured(row["what"], row["family"], row["size"], row) for row in grid]
    with own_style():
        path = save_figure(scaling_figure(measured), HERE / "growth_grid.png")
        save_figure(growth_figure(runs), HERE / "growth.png")
    # As sharp on a page, and half of the bytes.
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


def keep(name: str, rows: list[dict[str, Any]]) -> None:
    """Write rows, a line each."""
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    (HERE / name).write_text(f"[\n  {lines}\n]\n", encoding="utf-8")


def grid_rows(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the runs at growing sizes, along the axes of `AXES`."""
    places = {
        (run.problem, run.n_effective): (what, family, size)
        for what, axis in AXES.items()
        for family in axis.families
        for size in axis.sizes
        for run in [axis.run(family, size, 1, N_EFFECTIVE, {})]
    }
    rows = []
    for record in records:
        what, family, size = places[record["problem"], record["n_effective"]]
        costs = {
            "calls": record["calls"],
            "cpu_seconds": round(record["cpu_seconds"], 1),
            "peak_memory": round(record["peak_memory"]),
            "pull": round(record["pull"], 1),
        }
        place = {"what": what, "family": family, "size": size}
        rows.append({**place, "status": record["status"], **costs})
    return sorted(
        rows,
        key=lambda row: (list(AXES).index(row["what"]), row["family"], row["size"]),
    )


def search_rows(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the runs on random mixtures."""
    latest = {record["problem"]: record for record in records}
    return [
        {name: record[name] for name in ("problem", "status", "calls")}
        | {"pull": round(record["pull"], 2)}
        for record in latest.values()
    ]


def growth_figure(records: list[dict[str, Any]]) -> Figure:
    """Calls of every run, and the law; runs whose evidence is wrong are ringed."""
    from matplotlib.figure import Figure

    found = [(record, mixture_named(record["problem"])) for record in records]
    mixtures = [mixture[0] for _, mixture in found if mixture is not None]
    records = [record for record, mixture in found if mixture is not None]
    n_dim = np.array([mixture.centres.shape[1] for mixture in mixtures])
    nats = np.array(
        [
            n * math.log(1.0 / mixture.widths[0])
            for n, mixture in zip(n_dim, mixtures, strict=True)
        ]
    )
    calls = np.array([float(record["calls"]) for record in records])
    wrong = np.array([abs(record["pull"]) > 4.0 for record in records])
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axis = figure.subplots()
    groups = {"3 and 4 parameters": (3, 4), "5 to 7": (5, 7), "8 to 10": (8, 10)}
    for (label, (low, high)), colour, marker in zip(
        groups.items(), COLOURS, "os^", strict=False
    ):
        chosen = (n_dim >= low) & (n_dim <= high)
        axis.plot(nats[chosen], calls[chosen], marker, color=colour, label=label)
    axis.plot(
        nats[wrong],
        calls[wrong],
        "o",
        ms=12,
        mfc="none",
        color="0.3",
        label="log Z is wrong",
    )
    fitted = n_dim >= FEWEST_PARAMETERS
    law = fitted_law(nats[fitted], calls[fitted])
    if law is not None:
        x = np.linspace(0.0, nats[fitted].max(), 50)
        axis.plot(x, law(x), color="0.5", lw=1, zorder=0)
        print(law.describe("D ln(1 / width)"))
    axis.set(
        xlabel="D ln(1 / width)", ylabel="calls", xlim=(0.0, None), ylim=(0.0, None)
    )
    axis.yaxis.set_major_formatter(lambda value, _: compact(value))
    head(axis, "Random mixtures, 1,000 effective samples, likelihood only")
    return figure


if __name__ == "__main__":
    main(*sys.argv[1:])
