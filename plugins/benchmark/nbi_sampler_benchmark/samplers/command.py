"""The command that runs several samplers on one problem and writes a report of them.

Results are kept, so the command continues after an interruption and adds only what is new.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbi_sampler_benchmark.arguments import integers, names, numbers
from nbi_sampler_benchmark.problems.loader import known_problem
from nbi_sampler_benchmark.runs.peers import PEERS, missing
from nbi_sampler_benchmark.runs.records import stored_run
from nbi_sampler_benchmark.runs.runner import ONE_THREAD, Run, read_records, run_all, run_of
from nbi_sampler_benchmark.samplers.comparison import Comparison

__all__ = ["add_arguments", "side_by_side"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "problem",
        type=known_problem,
        help="name of a problem, script or module that defines likelihood and priors",
    )
    parser.add_argument(
        "--samplers",
        type=names,
        default=["nbi", "dynesty"],
        help=f"with commas, the first against the others: {', '.join(PEERS)}, or any that bilby knows",
    )
    parser.add_argument("--seeds", type=integers, default=[1], help="with commas")
    parser.add_argument("--n-effective", type=int, default=5000, help="required effective samples of nbi")
    parser.add_argument("--options", type=json.loads, default={}, help='JSON: {"dynesty": {"nlive": 500}}')
    parser.add_argument(
        "--likelihood-ms",
        type=numbers,
        default=[1.0, 100.0],
        help="milliseconds by which a call might be slower, with commas (computed)",
    )
    parser.add_argument("--sleep", action="store_true", help="also run with calls that really take longer")
    parser.add_argument("--processes", type=int, default=1, help="simultaneous runs, with one thread each")
    parser.add_argument("--minutes", type=float, help="time limit of a run")
    parser.add_argument("--out", type=Path, help="folder (default: build/compare/PROBLEM)")


def side_by_side(given: argparse.Namespace) -> int:
    """Make missing runs, write the report, and return the exit code, which is 1 if any run failed."""
    out = given.out or Path("build/compare") / Path(given.problem).stem
    out.mkdir(parents=True, exist_ok=True)
    absent = {sampler: why for sampler in given.samplers if (why := missing(sampler)) is not None}
    for sampler, why in absent.items():
        print(f"{sampler}: {why}", file=sys.stderr)
    known = _described(given.problem)
    present = [sampler for sampler in given.samplers if sampler not in absent]
    sleeps = [0.0, *(ms / 1000 for ms in given.likelihood_ms if given.sleep)]
    runs = [
        _run(given, sampler, seed, sleep, known["digest"])
        for sleep in sleeps
        for seed in given.seeds
        for sampler in present
    ]
    seconds = None if given.minutes is None else 60 * given.minutes
    path, draws = out / "runs.jsonl", out / "draws"
    failed = run_all(runs, path, n_processes=given.processes, draws=draws, seconds=seconds)
    absent |= {f"{run.sampler}, seed {run.seed}": "the run failed" for run in failed}
    records = [record for record in read_records(path) if run_of(record) in runs]
    if not records:
        print("no run to report on", file=sys.stderr)
        return 1
    comparison = _comparison(runs, records, known, draws, given.likelihood_ms, absent)
    print(comparison.to_json(out / "report.json"))
    print(comparison.to_html(out / "report.html"))
    return 1 if failed else 0


def _comparison(
    runs: Sequence[Run],
    records: Sequence[dict[str, Any]],
    known: Mapping[str, Any],
    draws: Path,
    likelihood_ms: Sequence[float],
    absent: Mapping[str, str],
) -> Comparison:
    """Records in the order of the runs, with the description of the problem."""
    ordered = sorted(records, key=lambda record: runs.index(run_of(record)))
    reference = {
        key: math.nan if known[key] is None else known[key] for key in ("log_evidence", "log_evidence_err")
    }
    return Comparison(
        title=f"{known['name']}: {', '.join(dict.fromkeys(record['sampler'] for record in ordered))}",
        runs=tuple(stored_run(record, draws) for record in ordered),
        labels=known["labels"],
        truth=known["truth"],
        seconds_per_call=known["seconds_per_call"],
        likelihood_ms=tuple(likelihood_ms),
        missing=dict(absent),
        **reference,
    )


def _run(given: argparse.Namespace, sampler: str, seed: int, sleep: float, digest: str) -> Run:
    # Another n_effective does not require that other samplers run again.
    required = {"n_effective": given.n_effective} if sampler == "nbi" else {}
    options = given.options.get(sampler, {})
    return Run(
        problem=given.problem,
        seed=seed,
        sampler=sampler,
        options=options,
        digest=digest,
        sleep=sleep,
        **required,
    )


def _described(source: str) -> dict[str, Any]:
    """`loader.describe` of a problem, in a separate process, because it runs a user's script."""
    # bilby's warning about `likelihood.parameters` would precede every report.
    quiet = ["-W", "ignore::FutureWarning"]
    command = [sys.executable, *quiet, "-m", "nbi_sampler_benchmark.problems.loader", source]
    process = subprocess.run(
        command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, check=False
    )
    if process.returncode == 2:
        raise SystemExit(2)
    if process.returncode != 0:
        raise SystemExit(f"{source}: cannot be used for a comparison; see above")
    # The output of a script precedes it.
    return json.loads(process.stdout.splitlines()[-1])
