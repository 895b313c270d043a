"""A run on disk, which is written during the run and read by the next process.

One file holds the state of the run, the batch in progress and the fingerprint. The seed describes all random
numbers, because every stage has its own generator.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.history import Draws, History
from nbi_sampler.algorithm.records import FORMER_PHASES, Observer, RoundRecord
from nbi_sampler.algorithm.state import Best, FitInfo, Pending, State
from nbi_sampler.algorithm.step import Networks
from nbi_sampler.evaluation.batch import Evaluation, PartialBatch, Predicted
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.networks.training.fit import TrainingInfo
from nbi_sampler.storage.archive import (
    ArchiveError,
    check_seal,
    read_archive,
    reading_field,
    sealed,
    write_archive,
)
from nbi_sampler.storage.checks import check_field
from nbi_sampler.storage.fingerprint import differences
from nbi_sampler.storage.objects import PROPOSAL_KINDS, Packer, unpack

__all__ = ["FORMAT", "Checkpoint", "CheckpointWriter", "load", "read_draws", "save"]


FORMAT = "nbi_sampler checkpoint"

FORMAT_VERSION = 2
# Names of fields and phases in version 1, and the current ones.
FORMER_FIELDS = {"n_doubted": "n_unreliable"}

KINDS = (
    *(State, Pending, Best, History, Draws, Evaluation, Predicted, PartialBatch),
    *(RoundRecord, FitInfo, TrainingInfo),
    *PROPOSAL_KINDS,
)

# Additional fields of the header, for any state.
FIELDS: dict[str, Any] = {
    **{"fingerprint": dict[str, Any], "names": list[str], "objects": list[dict[str, Any]]},
    **{"seed": int, "seconds": float},
}

# After a write that takes one second, none follows for this many seconds.
REST = 20.0


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run, its seed, and its elapsed time.

    Attributes
    ----------
    state : State
    seed : int
    seconds : float
        Elapsed time of the run.
    """

    state: State
    seed: int
    seconds: float

    @property
    def n_draws(self) -> int:
        """Number of evaluated draws, including those of the batch in progress."""
        pending = self.state.pending
        partial = None if pending is None else pending.partial
        finished = 0 if partial is None else int(partial.finished.sum())
        return sum(record.n_draws for record in self.state.records) + finished


def save(path: Path, names: tuple[str, ...], fingerprint: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Write a checkpoint that replaces the previous one.

    ``names`` of the sampled parameters are for readers of the draws.

    Raises
    ------
    OSError
        If the disk refuses the write; the previous file is unchanged.
    TypeError
        If the state of a user's flow contains anything but tensors.
    """
    packer = Packer(KINDS)
    state = packer.pack(checkpoint.state)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "fingerprint": dict(fingerprint),
        "names": list(names),
        "seed": checkpoint.seed,
        "seconds": checkpoint.seconds,
        "state": state,
        "objects": packer.objects,
    }
    write_archive(path, sealed(header, packer.arrays), packer.arrays)


def load(
    path: Path, fingerprint: Mapping[str, Any], networks: Networks, evaluator: Evaluator | None = None
) -> Checkpoint:
    """Read a checkpoint with this fingerprint; ``networks`` make a user's flow.

    Approximations of the likelihood are those of the evaluator.

    Raises
    ------
    ArchiveError
        If the file is not a checkpoint, is damaged, or belongs to another run.
    """
    header, arrays = _read(path)
    version = header.get("format_version")
    if version not in (1, FORMAT_VERSION):
        raise ArchiveError(f"its format is {version}, this version reads {FORMAT_VERSION}")
    for name, kind in FIELDS.items():
        check_field(name, header.get(name), kind)
    differing = differences(header["fingerprint"], fingerprint)
    if differing:
        raise ArchiveError(f"it was written for something else: {'; '.join(differing)}")
    objects = header["objects"]
    made_by, n_dim = (networks.flow, networks.device), len(header["names"])
    with reading_field("state"):
        if version != FORMAT_VERSION:
            objects = [_renamed(each) for each in objects]
        state = unpack(header.get("state"), objects, arrays, KINDS, *made_by, n_dim, evaluator)
    if not isinstance(state, State):
        raise ArchiveError("it is damaged: it holds no state")
    if state.history.log_ratios.shape != (len(state.history.members), len(state.history)):
        raise ArchiveError("it is damaged: the numbers of densities and draws differ")
    check_seal(header)
    return Checkpoint(state, header["seed"], float(header["seconds"]))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    header, arrays = read_archive(path)
    if header.get("format") != FORMAT:
        raise ArchiveError("it is another program's")
    return header, arrays


def _renamed(part: dict[str, Any]) -> dict[str, Any]:
    """Convert an object of version 1 to the current names."""
    arguments = part.get("arguments")
    if not isinstance(arguments, dict) or part.get("kind") not in ("State", "RoundRecord"):
        return part
    given = {FORMER_FIELDS.get(name, name): value for name, value in arguments.items()}
    phase = given.get("phase")
    known = FORMER_PHASES.get(phase, phase) if isinstance(phase, str) else phase
    return {**part, "arguments": {**given, "phase": known}}


class CheckpointWriter(Observer):
    """Write checkpoints of a run at intervals and on demand.

    Parameters
    ----------
    write : callable
        ``write(checkpoint)``, which saves it.
    start : Checkpoint
        State at the start of this process.
    interval : float
        Fewest seconds between writes.
    interrupted : callable
        Returns the last batch of the evaluator, as far as it is finished.
    held : callable
        Returns a context in which signals are held.
    log : logging.Logger
    since : float, optional
        Start of this process on the monotonic clock; the default is the present.
    check : callable, optional
        Called at every event. It ends the run if a signal has arrived.
    """

    def __init__(
        self,
        write: Callable[[Checkpoint], None],
        start: Checkpoint,
        interval: float,
        interrupted: Callable[[], PartialBatch | None],
        held: Callable[[], AbstractContextManager[None]],
        log: logging.Logger,
        since: float | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._write = write
        self._check = check
        self._begin = start
        self._interval = interval
        self._interrupted = interrupted
        self._held = held
        self._log = log
        self._since = time.monotonic() if since is None else since
        self._due = time.monotonic() + interval
        self._state = start.state

    @property
    def seconds(self) -> float:
        """Elapsed time of the run in all processes."""
        return self._begin.seconds + time.monotonic() - self._since

    def state_changed(self, state: State) -> None:
        """See `records.Observer`."""
        self._state = state
        self._look()

    def drawn(self, n_draws: int) -> None:
        """See `records.Observer`."""
        self._look()

    def epoch_finished(self, epoch: int, training_loss: float, validation_loss: float) -> None:
        """See `records.Observer`."""
        self._look()

    def write(self) -> int:
        """Write now and return the number of draws; without draws there is no file.

        If the write fails, the run continues with a warning.
        """
        with self._held():
            before = time.monotonic()
            checkpoint = Checkpoint(self._present(), self._begin.seed, self.seconds)
            try:
                if checkpoint.n_draws:
                    self._write(checkpoint)
            except (OSError, TypeError) as error:
                self._log.warning(f"nbi: no checkpoint could be written: {error}")
                return 0
            finally:
                now = time.monotonic()
                self._due = now + max(self._interval, REST * (now - before))
        return checkpoint.n_draws

    def _look(self) -> None:
        if self._check is not None:
            self._check()
        if time.monotonic() >= self._due:
            self.write()

    def _present(self) -> State:
        """The state, with the finished part of the batch in progress."""
        state, partial = self._state, self._interrupted()
        if state.pending is None or partial is None or partial.z is not state.pending.z:
            return state
        # Plus infinity ends a run. These draws are repeated after the likelihood has been corrected.
        partial = replace(partial, finished=partial.finished & (partial.log_likelihood != np.inf))
        return replace(state, pending=replace(state.pending, partial=partial))


def read_draws(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read all draws in a checkpoint, including finished ones of the batch in progress.

    Parameters
    ----------
    path : path
        ``{outdir}/nbi_{label}/checkpoint.npz``.

    Returns
    -------
    dict of str to ndarray
        ``names`` of shape (n_dim,); ``z`` and ``theta`` of shape (n, n_dim); ``log_likelihood`` and
        ``log_ratio`` (log q - log prior) of shape (n,). ``log_likelihood - log_ratio`` are log weights; the
        proposal of a draw is that of its batch.

    Raises
    ------
    nbi_sampler.storage.archive.ArchiveError
        If the file is not a checkpoint or is damaged; the message names it.
    """
    try:
        return _draws_in(*_read(Path(path)))
    except ArchiveError as error:
        raise ArchiveError(f"{path}: expected a complete checkpoint of this package; {error}") from error
    # Reading an edited file may raise any error.
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(
            f"{path}: expected a complete checkpoint of this package; it is damaged ({type(error).__name__}: "
            f"{error})"
        ) from error


def _draws_in(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    check_seal(header)
    objects = {each["name"]: each for each in header["objects"]}
    columns = ("z", "theta", "log_likelihood", "log_ratio")
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
    for each in header["objects"]:
        fields = each.get("arguments", {})
        inner = fields.get({"Draws": "evaluation", "Pending": "partial"}.get(each.get("kind"), ""))
        if inner is None:
            continue
        fields = {**objects[inner["object"]]["arguments"], **fields}
        found = {name: arrays[fields[name]["array"]] for name in columns}
        n, n_dim = found["z"].shape
        for name, array in found.items():
            if array.shape != ((n, n_dim) if name in ("z", "theta") else (n,)):
                raise ArchiveError(
                    f"it is damaged: its field '{each['name']}.{name}' is of shape {array.shape}"
                )
        finished = arrays[fields["finished"]["array"]] if "finished" in fields else slice(None)
        for name, array in found.items():
            parts[name].append(array[finished])
    return {"names": np.array(header["names"]), **{name: np.concatenate(parts[name]) for name in columns}}
