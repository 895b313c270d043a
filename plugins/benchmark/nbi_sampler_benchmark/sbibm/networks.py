"""Networks alone on the tasks: packages on the same simulations, tested against the references."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.networks.devices import limited_threads
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler_benchmark.json_values import digest_of
from nbi_sampler_benchmark.packages.catalogue import PACKAGES
from nbi_sampler_benchmark.packages.environments import python_for
from nbi_sampler_benchmark.packages.inside import worker
from nbi_sampler_benchmark.packages.scoring import log_normal
from nbi_sampler_benchmark.runs.runner import append_record, failure_of, read_records
from nbi_sampler_benchmark.sbibm.runs import equal_draws
from nbi_sampler_benchmark.sbibm.simulators import SIMULATORS
from nbi_sampler_benchmark.sbibm.tasks import TASKS
from nbi_sampler_benchmark.sbibm.two_sample import c2st
from nbi_sampler_benchmark.sbibm.wheel import Wheel

__all__ = ["networks_table", "run_networks"]

Array = NDArray[np.float64]

N_HELD_OUT = 1000
N_DRAWS = 10_000
# Draws outside of the prior are left out, as packages do it; so many are made that enough remain.
SPARE = 2


def run_networks(
    wheel: Path, environments: Path, folder: Path, jobs: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Do every job that the file ``networks.jsonl`` of a folder does not hold yet, one after the other.

    Parameters
    ----------
    wheel : Path
        See `wheel.Wheel`.
    environments : Path
        Folder of the environments of packages; see `environments.python_for`.
    folder : Path
    jobs : sequence of mapping
        Each has ``task``, ``package``, ``n_sims``, ``observations``, ``seed``, ``options`` for the adapter of
        the package, and ``early_stopping`` of the classifiers.

    Returns
    -------
    list of dict
        What was asked and measured of each: ``c2st`` for each observation, ``nll`` of held-out simulations
        and its standard error, ``outside``, the share of the draws outside of the prior, and what
        `worker.Answer` tells; or ``failure``, which is not kept in the file.
    """
    path, found = folder / "networks.jsonl", []
    folder.mkdir(parents=True, exist_ok=True)
    for job in jobs:
        made = (each for each in read_records(path) if all(each.get(key) == job[key] for key in job))
        record = next(made, None)
        if record is None:
            record = {**job, **_measured(Wheel(wheel), environments, folder, job)}
            if "failure" not in record:
                append_record(path, record)
        found.append(record)
    return found


def _measured(wheel: Wheel, environments: Path, folder: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    task, package = TASKS[job["task"]], PACKAGES[job["package"]]
    priors = task.priors()
    space = ParameterSpace(priors)
    z, x = _simulations(wheel, space, job["task"], job["n_sims"], job["seed"], "training")
    held_z, held_x = _simulations(wheel, space, job["task"], N_HELD_OUT, job["seed"], "held out")
    held_theta = space.to_theta(held_z)
    given = (z, held_z) if package.latent else (space.to_theta(z), held_theta)
    data = [wheel.numbers(task.folder, number, task.observation_file)[0] for number in job["observations"]]
    question = worker.Task(
        theta=given[0],
        x=x,
        predictions=x,
        held_out_theta=given[1],
        held_out_x=held_x,
        targets=np.array(data),
        n_draws=np.array(SPARE * N_DRAWS),
        seed=np.array(job["seed"]),
    )
    answer = _answer(question, package, environments, folder, job)
    if isinstance(answer, str):
        return {"failure": answer}
    log_q = answer.held_out_log_q
    columns = {name: held_theta[:, i] for i, name in enumerate(space.names)}
    if package.latent:
        log_q = log_q - log_normal(held_z) + priors.ln_prob(columns, axis=0, normalized=False)
    kept = []
    for draws in answer.draws:
        theta = space.to_theta(draws) if package.latent else draws
        at = {name: theta[:, i] for i, name in enumerate(space.names)}
        with np.errstate(divide="ignore"):
            inside = np.isfinite(priors.ln_prob(at, axis=0, normalized=False)) & np.isfinite(theta).all(1)
        kept.append(theta[inside])
    accuracies = []
    with limited_threads(1):
        for number, draws in zip(job["observations"], kept, strict=True):
            pair = equal_draws(task.reference(wheel, number), draws[:N_DRAWS], job["seed"])
            accuracies.append(c2st(*pair, early_stopping=job["early_stopping"]))
    return {
        "c2st": accuracies,
        "nll": float(-log_q.mean()),
        "nll_err": float(log_q.std(ddof=1) / np.sqrt(len(log_q))),
        "outside": 1.0 - sum(map(len, kept)) / (SPARE * N_DRAWS * len(kept)),
        **answer.facts,
    }


def _simulations(
    wheel: Wheel, space: ParameterSpace, task: str, n: int, seed: int, purpose: str
) -> tuple[Array, Array]:
    """Parameters as z, shape (n, n_dim), and data, shape (n, n_data): the same for every package."""
    rng = stage_generator(seed, task, purpose, n)
    z = rng.normal(size=(n, space.n_dim))
    x = SIMULATORS[task](wheel, space.to_theta(z).T, rng)
    whole = np.isfinite(x).all(1)
    return z[whole], x[whole]


def _answer(
    question: worker.Task, package: Any, environments: Path, folder: Path, job: Mapping[str, Any]
) -> worker.Answer | str:
    """Answer of a package in a process of its own with one thread, or what went wrong."""
    exchange = folder / "exchange" / digest_of(job)
    shutil.rmtree(exchange, ignore_errors=True)
    exchange.mkdir(parents=True)
    try:
        question.save(exchange / worker.TASK)
        python = python_for(package.requirements, environments)
        apart = ["-I"] if package.requirements else []
        options = {**package.options, **job["options"]}
        words = [worker.__file__, str(package.adapter), str(exchange), json.dumps(options)]
        failure = failure_of([str(python), *apart, *words], None, folder=exchange)
        if failure is None and not (exchange / worker.ANSWER).exists():
            failure = "failed: it ended without an answer"
        return worker.Answer.load(exchange / worker.ANSWER) if failure is None else failure
    finally:
        shutil.rmtree(exchange, ignore_errors=True)


def networks_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Table in Markdown: C2ST, held-out NLL and costs of each package, by task and number of simulations.

    Parameters
    ----------
    records : sequence of mapping
        Of `run_networks`.
    """
    head = ["task", "simulations", "package", "C2ST (mean)", "held-out NLL", "outside of the prior"]
    rows = [[*head, "training / s of the processor"], ["---"] * (len(head) + 1)]
    for record in records:
        name = record["package"] + (f" {json.dumps(record['options'])}" if record["options"] else "")
        place = [record["task"], f"{record['n_sims']:,}", name]
        if "failure" in record:
            rows.append([*place, record["failure"], "", "", ""])
            continue
        figures = [
            f"{np.mean(record['c2st']):.3f}",
            f"{record['nll']:.2f} +- {record['nll_err']:.2f}",
            f"{record['outside']:.1%}",
            f"{record['training']['cpu_seconds']:.0f}",
        ]
        rows.append([*place, *figures])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
