"""Costs of a run as a problem grows: `nbi-sampler benchmark scaling --what dimension,draws`.

The number of parameters, of data or of effective samples grows. The command measures calls, processor time,
memory and the error of log Z, and fits laws to the costs. The problems are in `problems/growing.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nbi_sampler.reports.plots.style import own_style, save_figure
from nbi_sampler_benchmark.arguments import integers, names, names_among
from nbi_sampler_benchmark.runs.runner import Run, read_records, run_all, run_of
from nbi_sampler_benchmark.scaling.figure import scaling_figure
from nbi_sampler_benchmark.scaling.report import AXES, Measured, laws_table, scaling_table

__all__ = ["add_arguments", "measure_scaling"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command besides those that all commands share."""
    parser.add_argument(
        "--what", type=names_among(AXES), default=list(AXES), help=f"with commas: {', '.join(AXES)}"
    )
    parser.add_argument("--sizes", type=integers, help="sizes with commas (default: those of the benchmark)")
    parser.add_argument("--families", type=names, help="families with commas (default: all)")
    parser.add_argument("--seeds", type=integers, default=[1], help="seeds, with commas")
    parser.add_argument("--minutes", type=float, help="time limit of a run")
    parser.add_argument("--out", type=Path, default=Path("build/scaling.jsonl"), help="file of records")
    parser.add_argument("--figure", type=Path, help="file for a plot of the measurements, such as growth.png")


def measure_scaling(given: argparse.Namespace) -> int:
    """Make missing runs, print tables, and return the exit code, which is 1 if any run failed."""
    wanted = _wanted(given)
    seconds = None if given.minutes is None else 60.0 * given.minutes
    runs = [run for *_, run in wanted]
    failed = run_all(runs, given.out, n_processes=given.processes, seconds=seconds)
    done = [(run_of(record), record) for record in read_records(given.out)]
    rows = [
        Measured(what, family, size, record)
        for what, family, size, run in wanted
        for found, record in done
        if found == run
    ]
    print(scaling_table(rows), laws_table(rows), sep="\n\n")
    if given.figure is not None and rows:
        with own_style():
            print(save_figure(scaling_figure(rows), given.figure))
    return 1 if failed else 0


def _wanted(given: argparse.Namespace) -> list[tuple[str, str, int, Run]]:
    """Axis, family, size and run, the small ones first."""
    wanted = [
        (what, family, size, AXES[what].run(family, size, seed, given.n_effective, given.options))
        for what in given.what
        for size in given.sizes or AXES[what].sizes
        for family in AXES[what].families
        for seed in given.seeds
    ]
    return [each for each in wanted if given.families is None or each[1] in given.families]
