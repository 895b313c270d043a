"""Jobs in several processes, with records in a file, so that they can be resumed."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from nbi_sampler_benchmark.runs.runner import append_record, read_records

__all__ = ["finished"]

Job = Mapping[str, Any]


def finished(
    jobs: Sequence[Job],
    do: Callable[[Job], dict[str, Any]],
    path: Path,
    n_processes: int,
    unit: str = "job",
) -> list[dict[str, Any]]:
    """Do every job that is not in a file yet.

    Parameters
    ----------
    jobs : sequence of mapping
        Description of each job in values of JSON.
    do : callable
        ``job -> measured``, in a process with one thread; it must be picklable.
    path : Path
        JSON-lines file to which records are appended.
    n_processes : int
        Number of simultaneous jobs.
    unit : str
        Name of a job in the progress bar.

    Returns
    -------
    list of dict
        Description and measurements of each job, in their order.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    records = read_records(path)
    missing = [job for job in jobs if _record_of(job, records) is None]
    # The processes are spawned, because torch and lal do not support a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, context) as pool, tqdm(total=len(missing), unit=unit) as bar:
        futures = {pool.submit(do, job): job for job in missing}
        try:
            for future in as_completed(futures):
                record = json.loads(json.dumps({**futures[future], **future.result()}, default=float))
                append_record(path, record)
                records.append(record)
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)
    found = [_record_of(job, records) for job in jobs]
    return [record for record in found if record is not None]


def _record_of(job: Job, records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Find the record of a job, if there is one."""
    same = (each for each in records if all(each.get(key) == value for key, value in job.items()))
    return next(same, None)
