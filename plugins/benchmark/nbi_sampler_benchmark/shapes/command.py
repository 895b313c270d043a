"""The command that runs the hard shapes: `nbi-sampler benchmark shapes --seeds 1,2,3,4,5`.

The problems are in `problems/hard_shapes/`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nbi_sampler_benchmark.arguments import integers, names
from nbi_sampler_benchmark.problems.hard_shapes.by_name import HARD_SHAPES, hard_shape
from nbi_sampler_benchmark.runs.peers import PEERS, missing
from nbi_sampler_benchmark.runs.runner import Run, read_records, run_all, run_of
from nbi_sampler_benchmark.shapes.report import shapes_table, wrong_and_trusted

__all__ = ["add_arguments", "run_shapes"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--shapes",
        type=_shapes,
        default=list(HARD_SHAPES),
        help=f"with commas, in any size: {', '.join(HARD_SHAPES)}",
    )
    parser.add_argument("--seeds", type=integers, default=[1, 2, 3, 4, 5], help="with commas")
    parser.add_argument(
        "--samplers",
        type=names,
        default=["nbi"],
        help=f"with commas: {', '.join(PEERS)}, or any that bilby knows",
    )
    parser.add_argument("--n-effective", type=int, default=5000, help="required effective samples of nbi")
    parser.add_argument("--options", type=json.loads, default={}, help='JSON: {"dynesty": {"nlive": 500}}')
    parser.add_argument("--processes", type=int, default=1, help="simultaneous runs, with one thread each")
    parser.add_argument("--minutes", type=float, help="time limit of a run")
    parser.add_argument("--out", type=Path, default=Path("build/shapes.jsonl"), help="file of records")


def run_shapes(given: argparse.Namespace) -> int:
    """Make missing runs, print the table, and return the exit code.

    It is 1 if any run failed, or was "ok" with a wrong evidence.
    """
    absent = {sampler: why for sampler in given.samplers if (why := missing(sampler)) is not None}
    for sampler, why in absent.items():
        print(f"{sampler}: {why}", file=sys.stderr)
    runs = [
        _run(given, shape, sampler, seed)
        for sampler in given.samplers
        if sampler not in absent
        for seed in given.seeds
        for shape in given.shapes
    ]
    seconds = None if given.minutes is None else 60.0 * given.minutes
    failed = run_all(runs, given.out, n_processes=given.processes, seconds=seconds)
    records = [record for record in read_records(given.out) if run_of(record) in runs]
    print(shapes_table(records))
    return 1 if failed or absent or any(map(wrong_and_trusted, records)) else 0


def _run(given: argparse.Namespace, shape: str, sampler: str, seed: int) -> Run:
    # Another n_effective does not require that other samplers run again.
    required = {"n_effective": given.n_effective} if sampler == "nbi" else {}
    options = given.options.get(sampler, {})
    return Run(problem=shape, seed=seed, sampler=sampler, options=options, **required)


def _shapes(text: str) -> list[str]:
    """Names of shapes: a ``type`` of argparse."""
    for name in names(text):
        if hard_shape(name) is None:
            raise argparse.ArgumentTypeError(
                f"expected names among {', '.join(HARD_SHAPES)}, or one of them with another number of "
                f"dimensions, got {name!r}"
            )
    return names(text)
