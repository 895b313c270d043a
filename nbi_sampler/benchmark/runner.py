"""Many runs, each in a process with one thread, appended to a JSON-lines file that can be resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["Run", "read_records", "run_all", "run_of"]

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run is asked to do; two equal runs are the same line of the file.

    Parameters
    ----------
    problem : str
        Name of the problem.
    seed, n_effective : int
        Handed to the sampler.
    sampler : str
        Name that bilby knows.
    options : dict
        Further keywords for the sampler.
    """

    problem: str
    seed: int
    n_effective: int = 5000
    sampler: str = "nbi"
    options: dict[str, Any] = field(default_factory=dict)


def run_all(runs: Iterable[Run], path: Path, *, n_processes: int) -> list[Run]:
    """Do every run that the file does not hold yet.

    Parameters
    ----------
    runs : iterable of Run
        What is asked.
    path : Path
        JSON-lines file, one record a line, appended to as runs finish.
    n_processes : int
        Runs at a time; their wall times are comparable only if each has a core to itself.

    Returns
    -------
    list of Run
        Those that failed; they are not in the file and would be tried again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done = [run_of(record) for record in read_records(path)]
    missing = [run for run in runs if run not in done]
    failed = []
    with ThreadPoolExecutor(n_processes) as pool:
        futures = {pool.submit(_run_in_process, run): run for run in missing}
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                run = futures[future]
                record, message = future.result()
                if record is None:
                    failed.append(run)
                else:
                    _append(path, record)
                print(f"[{count}/{len(missing)}] {run.problem} seed {run.seed}: {message}", flush=True)
        finally:
            # An interrupt must not wait for the runs that have not begun.
            pool.shutdown(cancel_futures=True)
    return failed


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the records of a JSON-lines file; a file that does not exist holds none.

    Parameters
    ----------
    path : Path
        Written by `run_all`.

    Returns
    -------
    list of dict
        One record a line.

    Raises
    ------
    ValueError
        If a line is not a JSON record.
    """
    records = []
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: expected a JSON record, got {line[:40]!r}; delete that line"
            ) from error
    return records


def run_of(record: dict[str, Any]) -> Run:
    """Tell which run a record is the outcome of."""
    return Run(**{field.name: record[field.name] for field in fields(Run)})


def _append(path: Path, record: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def _run_in_process(run: Run) -> tuple[dict[str, Any] | None, str]:
    with tempfile.TemporaryDirectory() as folder:
        record_path = Path(folder) / "record.json"
        command = [sys.executable, "-m", "nbi_sampler.benchmark.single", "--record", str(record_path)]
        for key, value in asdict(run).items():
            text = json.dumps(value) if isinstance(value, dict) else str(value)
            command += [f"--{key.replace('_', '-')}", text]
        process = subprocess.run(
            command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=False
        )
        if process.returncode != 0 or not record_path.exists():
            return None, f"failed with exit code {process.returncode}\n{process.stderr[-2000:]}"
        record = json.loads(record_path.read_text())
    return record, (
        f"{record['calls_per_ess']:.2f} calls per effective sample, "
        f"log evidence off by {record['log_evidence_error']:+.4f}, {record['seconds']:.0f} s"
    )
