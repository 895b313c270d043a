"""One package trained on one set of simulations: `python worker.py ADAPTER FOLDER`, in any environment.

It needs numpy and the package of the adapter. An adapter is a Python file with a function ``train(task,
options)`` that returns an `Estimator`. `Task` and `Answer` are the two files that the environments exchange;
`runs.py` is the other side.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from dataclasses import dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Answer", "Estimator", "Task", "main"]

Array = NDArray[np.float64]

TASK, ANSWER = "task.npz", "answer.npz"


class Estimator(Protocol):
    """Return value of an adapter.

    Attributes
    ----------
    about : dict
        Information for reports in values that JSON can hold: epochs, losses, sizes.
    """

    about: dict[str, Any]

    def log_prob(self, theta: Array, x: Array) -> Array:
        """Log q(theta | x), shape (n,), of theta, shape (n, n_dim), each at its own x, shape (n, n_data)."""

    def sample(self, x: Array, n: int) -> Array:
        """Draws from q(theta | x), shape (n, n_dim), at one x, shape (n_data,)."""


class _File:
    """A dataclass of arrays that is read from a file and written to one."""

    def save(self, path: Path) -> None:
        """Write as ``.npz``, atomically."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        unfinished = path.with_suffix(".tmp.npz")
        np.savez(unfinished, **{name: value for name, value in values.items() if value is not None})
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Any:
        """Read a file of `save`."""
        with np.load(path) as saved:
            return cls(**{name: saved[name] for name in saved.files})


@dataclass(frozen=True, kw_only=True)
class Task(_File):
    """Input of a package.

    Parameters
    ----------
    theta : ndarray, shape (n, n_dim)
        Parameters drawn from the prior.
    x : ndarray, shape (n, n_data)
        Data simulated with them, including noise.
    predictions : ndarray, shape (n, n_data)
        The same without noise.
    sigma : ndarray, shape (n, 1) or (n, n_data), optional
        Standard deviation of the noise, if it is Gaussian, for packages that draw it in every epoch.
    held_out_theta : ndarray, shape (m, n_dim)
        Parameters and data for densities, which must not be used for training.
    held_out_x : ndarray, shape (m, n_data)
    targets : ndarray, shape (n_targets, n_data)
        Data to draw parameters for.
    n_draws : ndarray, shape ()
        Number of draws for each target.
    seed : ndarray, shape ()
    """

    theta: Array
    x: Array
    predictions: Array
    held_out_theta: Array
    held_out_x: Array
    targets: Array
    n_draws: Any
    seed: Any
    sigma: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Answer(_File):
    """Output of a package, in the coordinates of the task.

    Parameters
    ----------
    held_out_log_q : ndarray, shape (m,)
    draws : ndarray, shape (n_targets, n_draws, n_dim)
    draws_log_q : ndarray, shape (n_targets, n_draws)
    about : str
        JSON: ``versions``, seconds of ``training`` and ``drawing`` by the clock and of the processor, and
        what the adapter tells.
    """

    held_out_log_q: Array
    draws: Array
    draws_log_q: Array
    about: Any

    @property
    def facts(self) -> dict[str, Any]:
        """Content of ``about``."""
        return json.loads(str(self.about))


def answer(task: Task, adapter: Path, options: dict[str, Any]) -> Answer:
    """Train, and compute densities and draws.

    Parameters
    ----------
    task : Task
    adapter : Path
    options : dict
        Options for ``train`` of the adapter.
    """
    train = runpy.run_path(str(adapter))["train"]
    start = _now()
    estimator: Estimator = train(task, options)
    training = _since(start)
    start = _now()
    log_q = estimator.log_prob(task.held_out_theta, task.held_out_x)
    draws = [estimator.sample(x, int(task.n_draws)) for x in task.targets]
    densities = [
        estimator.log_prob(each, np.broadcast_to(x, (len(each), len(x))))
        for each, x in zip(draws, task.targets, strict=True)
    ]
    facts = {"training": training, "drawing": _since(start), "versions": _versions(), **estimator.about}
    return Answer(
        held_out_log_q=np.asarray(log_q, dtype=float),
        draws=np.array(draws, dtype=float),
        draws_log_q=np.array(densities, dtype=float),
        about=np.array(json.dumps(facts, default=float)),
    )


def _now() -> tuple[float, float]:
    """Elapsed seconds, and processor seconds of this process and its finished children."""
    times = os.times()
    return time.perf_counter(), times.user + times.system + times.children_user + times.children_system


def _since(start: tuple[float, float]) -> dict[str, float]:
    seconds, cpu = (now - before for now, before in zip(_now(), start, strict=True))
    return {"seconds": seconds, "cpu_seconds": cpu}


def _versions() -> dict[str, str]:
    """Versions of the relevant packages that are installed."""
    found = {}
    for name in ("sbi", "nbi", "bayesflow", "keras", "nbi-sampler", "torch", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def main(arguments: list[str]) -> None:
    """Read the task in a folder, and write the answer there.

    Parameters
    ----------
    arguments : list of str
        Path of the adapter, folder, options as JSON.
    """
    adapter, folder, options = arguments
    task = Task.load(Path(folder) / TASK)
    answer(task, Path(adapter), json.loads(options)).save(Path(folder) / ANSWER)


if __name__ == "__main__":
    main(sys.argv[1:])
