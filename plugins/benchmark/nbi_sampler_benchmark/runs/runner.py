"""Many runs in processes with one thread each, which can be resumed from a JSON-lines file of records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nbi_sampler_benchmark.json_values import digest_of
from nbi_sampler_benchmark.runs.progress import RunsProgress

__all__ = ["Run", "append_record", "draws_file", "failure_of", "read_records", "run_all", "run_of"]

SECONDS_BETWEEN_LOOKS = 1.0

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a sampler; equal runs have one line in the file.

    Parameters
    ----------
    problem : str
        Name of the problem.
    seed, n_effective : int
        Seed of the sampler.
    sampler : str
        Name of the sampler in bilby.
    options : dict
        Further keywords for the sampler.
    digest : str
        Digest of the problem, if its name alone does not identify it; see `loader.describe`.
    sleep : float
        Seconds to add to each call of the likelihood.
    """

    problem: str
    seed: int
    n_effective: int = 5000
    sampler: str = "nbi"
    options: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    sleep: float = 0.0


def run_all(
    runs: Iterable[Run],
    path: Path,
    *,
    n_processes: int,
    draws: Path | None = None,
    seconds: float | None = None,
) -> list[Run]:
    """Do every run that is not in the file yet.

    Parameters
    ----------
    runs : iterable of Run
        Required runs.
    path : Path
        JSON-lines file with one record a line, to which records are appended.
    n_processes : int
        Number of simultaneous runs. Their elapsed times are comparable only if each has its own core.
    draws : Path, optional
        Folder for the weighted draws of each run; `draws_file` gives the names.
    seconds : float, optional
        Time limit of a run, which then counts as failed.

    Returns
    -------
    list of Run
        Failed runs. They are not in the file, so they will be tried again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done = [run_of(record) for record in read_records(path)]
    missing = [run for run in runs if run not in done]
    failed: list[Run] = []
    progress = RunsProgress(len(missing))
    with ThreadPoolExecutor(n_processes) as pool:
        futures = {pool.submit(_run_in_process, run, progress, draws, seconds): run for run in missing}
        try:
            unfinished = set(futures)
            while unfinished:
                finished, unfinished = wait(unfinished, SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                progress.show()
                for future in finished:
                    record, message = future.result()
                    if record is None:
                        failed.append(futures[future])
                    else:
                        append_record(path, record)
                    progress.tell(futures[future], message)
        finally:
            # An interrupt must not wait for runs that have not started.
            pool.shutdown(cancel_futures=True)
            progress.close()
    return failed


def draws_file(run: Run) -> str:
    """Name of the file with the draws of one run, which is equal for equal runs."""
    return f"{Path(run.problem).stem}-{run.sampler}-{run.seed}-{digest_of(asdict(run))}.npz"


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the records of a JSON-lines file; a missing file has none.

    Parameters
    ----------
    path : Path
        File of `run_all`.

    Returns
    -------
    list of dict
        One record for each line.

    Raises
    ------
    ValueError
        If a line is not a JSON record.
    """
    records = []
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: expected a JSON record, got {line[:40]!r}; delete that line"
            ) from error
    return records


def run_of(record: dict[str, Any]) -> Run:
    """Identify the run of a record."""
    return Run(**{field.name: record[field.name] for field in fields(Run) if field.name in record})


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Add a line to a JSON-lines file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def _run_in_process(
    run: Run, progress: RunsProgress, draws: Path | None, seconds: float | None
) -> tuple[dict[str, Any] | None, str]:
    with tempfile.TemporaryDirectory() as folder:
        record_path, calls_path = Path(folder) / "record.json", Path(folder) / "calls"
        command = [sys.executable, "-m", "nbi_sampler_benchmark.runs.single", json.dumps(asdict(run))]
        command += ["--record", str(record_path), "--calls", str(calls_path), "--parent", str(os.getpid())]
        if draws is not None:
            draws.mkdir(parents=True, exist_ok=True)
            command += ["--draws", str(draws / draws_file(run))]
        with progress.running(run, calls_path):
            failure = failure_of(command, seconds)
        if failure is None and not record_path.exists():
            failure = "failed: it ended without a record"
        if failure is not None:
            return None, failure
        record = json.loads(record_path.read_text(encoding="utf-8"))
    return record, _in_short(record)


def failure_of(command: list[str], seconds: float | None, folder: Path | None = None) -> str | None:
    """Run a command with one thread, and describe a failure.

    Parameters
    ----------
    command : list of str
    seconds : float, optional
        Time limit.
    folder : Path, optional
        Working directory; the current one by default.

    Returns
    -------
    str or None
        None if it succeeded.
    """
    environment = {**os.environ, **ONE_THREAD}
    try:
        process = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return f"failed: not finished within {seconds:g} s"
    if process.returncode == 0:
        return None
    return f"failed with exit code {process.returncode}\n{process.stderr[-2000:]}"


def _in_short(record: dict[str, Any]) -> str:
    error = record["log_evidence_error"]
    evidence = (
        f"log evidence {record['log_evidence']:.3f} +- {record['log_evidence_err']:.3f}"
        if error is None
        else f"log evidence off by {error:+.4f}"
    )
    return f"{record['calls_per_ess']:.2f} calls per effective sample, {evidence}, {record['seconds']:.0f} s"
