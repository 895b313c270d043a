"""Runs of packages on the simulations of one problem, each in a process with one thread.

A run that is in the file is not repeated.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler_benchmark.json_values import digest_of, without_unknown
from nbi_sampler_benchmark.packages.catalogue import Package
from nbi_sampler_benchmark.packages.inside import worker
from nbi_sampler_benchmark.packages.scoring import held_out_log_q, make_task, score
from nbi_sampler_benchmark.packages.simulations import SimulatedProblem
from nbi_sampler_benchmark.runs.runner import append_record, failure_of, read_records

__all__ = ["PackageRun", "Sizes", "densities_of", "make_run", "records_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of every run.

    Parameters
    ----------
    n_held_out : int
        Number of held-out simulations.
    n_targets : int
        Number of held-out simulations whose draws are weighted.
    n_draws : int
        Number of draws for each target.
    """

    n_held_out: int = 1000
    n_targets: int = 100
    n_draws: int = 1000

    def __post_init__(self) -> None:
        if not 2 <= self.n_targets <= self.n_held_out or self.n_draws < 2:
            raise ValueError(
                f"sizes: expected 2 <= n_targets <= n_held_out and n_draws >= 2, got {self}; targets "
                "are some of the held-out simulations"
            )


@dataclass(frozen=True, kw_only=True)
class PackageRun:
    """One run of a package; equal runs have one line in the file.

    Parameters
    ----------
    problem, digest : str
        Name of the problem, and a digest that distinguishes it from others with that name; see
        `loader.describe`.
    package : str
    requirements : tuple of str
        Requirements of its environment.
    options : dict
        Options for its adapter.
    latent : bool
        Whether it gets z in place of the parameters.
    n_sims, seed : int
    sizes : Sizes
    """

    problem: str
    digest: str
    package: str
    requirements: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    latent: bool = False
    n_sims: int
    seed: int
    sizes: Sizes = Sizes()

    @property
    def name(self) -> str:
        """A word for file names that is equal for equal runs."""
        return f"{self.package}-{self.n_sims}-{self.seed}-{digest_of(asdict(self))}"


def records_of(runs: Sequence[PackageRun], folder: Path) -> list[dict[str, Any]]:
    """Records of the finished runs, in the order of the runs."""
    made = {_run_of(record).name: record for record in read_records(folder / "runs.jsonl")}
    return [made[run.name] for run in runs if run.name in made]


def densities_of(record: dict[str, Any], folder: Path) -> Array:
    """Log densities of the held-out parameters, shape (n_held_out,), from a finished run."""
    with np.load(folder / "densities" / f"{_run_of(record).name}.npz") as saved:
        return saved["log_q"]


def make_run(
    run: PackageRun,
    package: Package,
    python: Path,
    simulated: SimulatedProblem,
    folder: Path,
    seconds: float | None = None,
) -> dict[str, Any] | str:
    """Pass the simulations to a package, weight its draws, and keep the record.

    Parameters
    ----------
    run : PackageRun
    package : Package
    python : Path
        Interpreter of its environment.
    simulated : SimulatedProblem
    folder : Path
        Folder for ``runs.jsonl`` and the folder ``densities``.
    seconds : float, optional
        Time limit of the run.

    Returns
    -------
    dict or str
        The record, or a description of the failure.
    """
    training = simulated.simulations(run.n_sims, run.seed, "training")
    held_out = simulated.simulations(run.sizes.n_held_out, run.seed, "held out")
    task = make_task(
        simulated,
        training,
        held_out,
        n_targets=run.sizes.n_targets,
        n_draws=run.sizes.n_draws,
        latent=run.latent,
        seed=run.seed,
    )
    with _exchange(folder / "exchange" / run.name) as exchange:
        task.save(exchange / worker.TASK)
        # The user's path for modules must not affect other environments.
        apart = ["-I"] if package.requirements else []
        words = [worker.__file__, str(package.adapter), str(exchange), json.dumps(run.options)]
        failure = failure_of([str(python), *apart, *words], seconds, folder=exchange)
        if failure is None and not (exchange / worker.ANSWER).exists():
            failure = "failed: it ended without an answer"
        if failure is not None:
            return failure
        answer = worker.Answer.load(exchange / worker.ANSWER)
    densities = folder / "densities"
    densities.mkdir(exist_ok=True)
    log_q = held_out_log_q(simulated, held_out, answer, run.latent)
    np.savez_compressed(densities / f"{run.name}.npz", log_q=log_q)
    record = asdict(run) | score(simulated, held_out, answer, task, run.latent) | answer.facts
    append_record(folder / "runs.jsonl", without_unknown(record))
    return record


@contextmanager
def _exchange(folder: Path) -> Iterator[Path]:
    """A folder for a task and its answer, which may be large."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_of(record: dict[str, Any]) -> PackageRun:
    own = {each.name: record[each.name] for each in fields(PackageRun) if each.name in record}
    sizes = Sizes(**own.pop("sizes"))
    return replace(PackageRun(**own), requirements=tuple(own["requirements"]), sizes=sizes)
