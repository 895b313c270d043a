"""Measurements: runs of the sampler, and two-sample tests of its draws and of the references."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bilby
import numpy as np

from nbi_sampler.networks.devices import limited_threads
from nbi_sampler_benchmark.json_values import digest_of
from nbi_sampler_benchmark.sbibm.tasks import TASKS
from nbi_sampler_benchmark.sbibm.two_sample import c2st
from nbi_sampler_benchmark.sbibm.wheel import Wheel

__all__ = ["compare_draws", "compare_halves", "equal_draws", "run_task"]

SEEDS_A_TASK = 100


def run_task(wheel: Path, folder: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """Run the sampler on an observation of a task, and write the draws of its posterior to a file.

    The sampler knows only the likelihood. Unless an option sets the seed, it follows from task and
    observation, so tasks with the same posterior are independent runs.

    Parameters
    ----------
    wheel : Path
        See `wheel.Wheel`.
    folder : Path
        Folder of the file.
    job : mapping
        ``task``, ``observation``, ``n_effective`` and ``options``, further keywords of the sampler.

    Returns
    -------
    dict
        ``status``, ``message``, ``k_hat``, ``calls``, ``ess``, ``n_distinct``, ``log_evidence`` with its
        error, and ``seconds`` of processor time.
    """
    task, observation = TASKS[job["task"]], job["observation"]
    likelihood, priors = task.likelihood(Wheel(wheel), observation), task.priors()
    names = list(priors)
    given = {"n_effective": job["n_effective"], "seed": _seed(job), "vectorized": task.vectorized}
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
            **{**given, **job["options"]},
        )
    seconds = time.process_time() - start
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / _draws_file(job), draws=result.posterior[names].to_numpy())
    own = result.meta_data["nbi"]
    return {
        "log_evidence": result.log_evidence,
        "log_evidence_err": result.log_evidence_err,
        "calls": own["n_calls"],
        "seconds": seconds,
        **{key: own[key] for key in ("status", "message", "k_hat", "ess", "n_distinct")},
    }


def compare_draws(wheel: Path, folder: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the draws of a run with the reference; ``c2st``, and the number of draws of each, ``n_rows``.

    The job is that of `run_task` with ``early_stopping``.
    """
    reference = TASKS[job["task"]].reference(Wheel(wheel), job["observation"])
    run = {key: value for key, value in job.items() if key != "early_stopping"}
    with np.load(folder / _draws_file(run)) as file:
        pair = equal_draws(reference, file["draws"], _seed(job))
    with limited_threads(1):
        return {"c2st": c2st(*pair, early_stopping=job["early_stopping"]), "n_rows": len(pair[0])}


def compare_halves(wheel: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """Compare two halves of a reference: 0.5 up to noise, if its draws are independent.

    The job has ``task``, ``observation`` and ``early_stopping``.
    """
    reference = TASKS[job["task"]].reference(Wheel(wheel), job["observation"])
    n_half = len(reference) // 2
    pair = reference[:n_half], reference[n_half : 2 * n_half]
    with limited_threads(1):
        return {"c2st": c2st(*pair, early_stopping=job["early_stopping"]), "n_rows": n_half}


def equal_draws(reference: np.ndarray, draws: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Leave out random draws of the larger of two samples, so that both have the same size.

    Parameters
    ----------
    reference, draws : ndarray, shapes (n_reference, n_dim) and (n_draws, n_dim)

    Returns
    -------
    tuple of ndarray, shape (n, n_dim) each
    """
    rng = np.random.default_rng(seed)
    n = min(len(reference), len(draws))
    first, second = (each[rng.choice(len(each), n, replace=False)] for each in (reference, draws))
    return first, second


def _seed(job: Mapping[str, Any]) -> int:
    return SEEDS_A_TASK * list(TASKS).index(job["task"]) + int(job["observation"])


def _draws_file(run: Mapping[str, Any]) -> str:
    """Name of the file with the draws of one run, which is equal for equal runs."""
    return f"{run['task']}-{run['observation']}-{digest_of(run)}.npz"
