"""The command that starts runs from former results: `nbi-sampler benchmark reanalysis --former dynesty`.

Each former result is made once and kept, so that several seeds and samplers can start from it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from nbi_sampler_benchmark.arguments import integers, names_among
from nbi_sampler_benchmark.problems.registry import PROBLEMS
from nbi_sampler_benchmark.reanalysis.former import Former, file_of
from nbi_sampler_benchmark.reanalysis.report import reanalysis_table
from nbi_sampler_benchmark.runs.peers import missing
from nbi_sampler_benchmark.runs.runner import Run, failure_of, read_records, run_all, run_of

__all__ = ["add_arguments", "measure_reanalysis"]

# Seed of a former run of nbi, so that it differs from those of the runs after it.
FORMER_SEED = 100
# Keyword of a sampler that takes the path of a former result.
KEYWORDS = {"nbi": "initial_result", "aspire": "initial_result_file"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--problems", type=names_among(PROBLEMS), default=list(PROBLEMS), help="with commas")
    parser.add_argument("--seeds", type=integers, default=[1, 2, 3], help="seeds, with commas")
    parser.add_argument("--former", default="nbi", help="sampler of the former results")
    help_ = "start all seeds from the result of this one; by default, each from that of the seed + 100"
    parser.add_argument("--former-seed", type=int, help=help_)
    parser.add_argument("--former-options", type=json.loads, default={}, help="its keywords as JSON")
    help_ = "rows of the former posterior to start from; 0 for the whole result with its weighted samples"
    parser.add_argument("--rows", type=int, default=1000, help=help_)
    parser.add_argument(
        "--sampler", choices=list(KEYWORDS), default="nbi", help="sampler that starts from them"
    )
    parser.add_argument("--options", type=json.loads, default={}, help="its keywords as JSON")
    parser.add_argument("--n-effective", type=int, default=5000, help="required effective samples of nbi")
    parser.add_argument("--processes", type=int, default=1, help="simultaneous runs, with one thread each")
    parser.add_argument("--minutes", type=float, help="time limit of a run")
    parser.add_argument("--out", type=Path, default=Path("build/reanalysis.jsonl"), help="file of records")
    help_ = "folder of the former results"
    parser.add_argument("--folder", type=Path, default=Path("build/reanalysis"), help=help_)


def measure_reanalysis(given: argparse.Namespace) -> int:
    """Make missing former results and runs, print the table, and return the exit code: 1 if any failed."""
    absent = {name: why for name in {given.former, given.sampler} if (why := missing(name)) is not None}
    for name, why in absent.items():
        print(f"{name}: {why}", file=sys.stderr)
    if given.sampler in absent:
        return 1
    seconds = None if given.minutes is None else 60.0 * given.minutes
    runs: list[Run] = []
    failures: dict[Path, str] = {}
    for former, seed in _asked(given):
        path = file_of(former, given.folder)
        if path in failures:
            continue
        failure = None if path.exists() else _made(former, path, seconds)
        if failure is None:
            runs.append(_run(given, path, former.problem, seed))
        else:
            failures[path] = failure
            print(f"{former.problem}, {former.sampler}, seed {former.seed}: {failure}", file=sys.stderr)
    failed = run_all(runs, given.out, n_processes=given.processes, seconds=seconds)
    print(reanalysis_table([record for record in read_records(given.out) if run_of(record) in runs]))
    return 1 if failed or failures else 0


def _asked(given: argparse.Namespace) -> Iterator[tuple[Former, int]]:
    """Former runs, each with the seed of a run that starts from it."""
    for problem in given.problems:
        for seed in given.seeds:
            former = Former(
                problem=problem,
                sampler=given.former,
                seed=FORMER_SEED + seed if given.former_seed is None else given.former_seed,
                n_rows=given.rows or None,
                options=given.former_options,
            )
            yield former, seed


def _made(former: Former, path: Path, seconds: float | None) -> str | None:
    """Make a former result in its own process, and describe a failure."""
    print(f"making {path}", file=sys.stderr)
    command = [sys.executable, "-m", "nbi_sampler_benchmark.reanalysis.former", json.dumps(asdict(former))]
    return failure_of([*command, str(path), "--parent", str(os.getpid())], seconds)


def _run(given: argparse.Namespace, path: Path, problem: str, seed: int) -> Run:
    # Another n_effective does not require that other samplers run again.
    required = {"n_effective": given.n_effective} if given.sampler == "nbi" else {}
    options = {KEYWORDS[given.sampler]: str(path), **given.options}
    return Run(problem=problem, seed=seed, sampler=given.sampler, options=options, **required)
