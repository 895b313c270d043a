"""The command that compares posteriors with those of sbibm: `nbi-sampler benchmark sbibm --tasks sir`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nbi_sampler_benchmark.arguments import existing_file, integers, names_among
from nbi_sampler_benchmark.sbibm.report import passes, sbibm_table
from nbi_sampler_benchmark.sbibm.runs import run_tasks
from nbi_sampler_benchmark.sbibm.tasks import TASKS
from nbi_sampler_benchmark.sbibm.wheel import find_wheel

__all__ = ["add_arguments", "compare_with_references"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.add_argument("--tasks", type=names_among(TASKS), default=list(TASKS), help="names, with commas")
    parser.add_argument(
        "--observations", type=_observations, default=[1, 2, 3], help="numbers from 1 to 10, with commas"
    )
    parser.add_argument("--wheel", type=existing_file, help="of sbibm; downloaded by pip if left out")
    parser.add_argument("--cache", type=Path, default=Path("build/sbibm"), help="folder for the download")
    parser.add_argument("--out", type=Path, default=Path("build/sbibm/runs.jsonl"), help="file to append to")


def compare_with_references(given: argparse.Namespace) -> int:
    """Run what has not been run, and print; return the exit code, 1 if anything required is not met."""
    records = run_tasks(
        find_wheel(given.wheel, given.cache),
        [(task, observation) for task in given.tasks for observation in given.observations],
        given.out,
        n_effective=given.n_effective,
        n_processes=given.processes,
        options=given.options,
    )
    print(sbibm_table(records))
    return 0 if passes(records) else 1


def _observations(text: str) -> list[int]:
    found = integers(text)
    if not all(1 <= number <= 10 for number in found):
        raise argparse.ArgumentTypeError(f"expected numbers from 1 to 10, with commas, got {text!r}")
    return found
