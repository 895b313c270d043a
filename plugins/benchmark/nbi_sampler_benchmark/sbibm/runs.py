"""Runs of tasks and observations, several at a time, in a file that can be resumed."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import bilby
import numpy as np
from tqdm.auto import tqdm

from nbi_sampler.networks.devices import limited_threads
from nbi_sampler_benchmark.runs.runner import append_record, read_records
from nbi_sampler_benchmark.sbibm.tasks import TASKS
from nbi_sampler_benchmark.sbibm.two_sample import c2st, halves_c2st
from nbi_sampler_benchmark.sbibm.wheel import Wheel

__all__ = ["equal_draws", "run_task", "run_tasks"]

SEEDS_A_TASK = 100


def run_tasks(
    wheel: Path,
    wanted: Iterable[tuple[str, int]],
    path: Path,
    *,
    n_effective: int,
    n_processes: int,
    options: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Run every task and observation that a file does not hold yet.

    Parameters
    ----------
    wheel : Path
        See `wheel.Wheel`.
    wanted : iterable of tuple
        Names of tasks, and numbers of observations.
    path : Path
        JSON-lines file, appended to as runs finish.
    n_effective : int
        Of each run.
    n_processes : int
        Runs at a time, of one thread each.
    options : mapping
        Further keywords of the sampler.

    Returns
    -------
    list of dict
        Records of what was wanted, in that order; see `run_task`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = list(wanted)
    asked = {"n_effective": n_effective, "options": dict(options)}
    done = _records(path, asked)
    missing = [each for each in wanted if each not in done]
    # Spawned, because torch does not bear a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, context) as pool, tqdm(total=len(missing), unit="run") as bar:
        futures = [pool.submit(run_task, wheel, *each, n_effective, options) for each in missing]
        try:
            for future in as_completed(futures):
                append_record(path, asked | future.result())
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)
    done = _records(path, asked)
    return [done[each] for each in wanted]


def run_task(
    wheel: Path, task: str, observation: int, n_effective: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Run the sampler on an observation of a task, and test its draws against the reference.

    The sampler knows the likelihood alone. Its seed follows from task and observation, unless an option says
    otherwise, so that tasks of the same posterior are independent runs.

    Returns
    -------
    dict
        ``task``, ``observation``, ``c2st``, ``c2st_of_halves`` of the reference, ``status``, ``message``,
        ``k_hat``, ``calls``, ``ess``, ``n_distinct``, ``log_evidence`` with its error, ``seconds`` of
        processor time, the test left out.
    """
    definition = TASKS[task]
    files = Wheel(wheel)
    likelihood, priors = definition.likelihood(files, observation), definition.priors()
    names = list(priors)
    seed = SEEDS_A_TASK * list(TASKS).index(task) + observation
    keywords = {"n_effective": n_effective, "seed": seed, "vectorized": definition.vectorized, **options}
    start = time.process_time()
    with tempfile.TemporaryDirectory() as outdir, limited_threads(1):
        result = bilby.run_sampler(
            likelihood,
            priors,
            sampler="nbi",
            outdir=outdir,
            label="sbibm",
            print_method="none",
            save=False,
            **keywords,
        )
    seconds = time.process_time() - start
    reference = definition.reference(files, observation)
    draws = result.posterior[names].to_numpy()
    own = result.meta_data["nbi"]
    with limited_threads(1):
        measured = {"c2st": c2st(*equal_draws(reference, draws, seed)), "c2st_of_halves": halves_c2st(reference)}
    record = {
        "task": task,
        "observation": observation,
        **measured,
        "log_evidence": result.log_evidence,
        "log_evidence_err": result.log_evidence_err,
        "calls": own["n_calls"],
        "seconds": seconds,
        **{key: own[key] for key in ("status", "message", "k_hat", "ess", "n_distinct")},
    }
    return json.loads(json.dumps(record, default=float))


def equal_draws(reference: np.ndarray, draws: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Leave out draws of the larger of two samples by chance, so that there are as many of each.

    Parameters
    ----------
    reference, draws : ndarray, shapes (n_reference, n_dim) and (n_draws, n_dim)

    Returns
    -------
    tuple of ndarray, shape (n, n_dim) each
    """
    rng = np.random.default_rng(seed)
    n = min(len(reference), len(draws))
    chosen = [rng.choice(len(each), n, replace=False) for each in (reference, draws)]
    return reference[chosen[0]], draws[chosen[1]]


def _records(path: Path, asked: Mapping[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    """Records of runs with these settings, by task and observation."""
    return {
        (record["task"], record["observation"]): record
        for record in read_records(path)
        if all(record.get(key) == value for key, value in asked.items())
    }
