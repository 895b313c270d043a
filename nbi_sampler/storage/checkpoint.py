"""A run on disk: written while it goes on, and read by the next process.

One file holds the state of the run, the batch in flight and the fingerprint. Of randomness it needs the seed
alone, because every stage has a generator of its own.
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
# Names of fields and phases in version 1, and those of today.
FORMER_FIELDS = {"n_doubted": "n_unreliable"}

KINDS = (
    *(State, Pending, Best, History, Draws, Evaluation, Predicted, PartialBatch),
    *(RoundRecord, FitInfo, TrainingInfo),
    *PROPOSAL_KINDS,
)

# What the header has besides, whatever the state.
FIELDS: dict[str, Any] = {
    **{"fingerprint": dict[str, Any], "names": list[str], "objects": list[dict[str, Any]]},
    **{"seed": int, "seconds": float},
}

# A write that takes a second is followed by so many seconds without one.
REST = 20.0


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run, its seed, and its time so far.

    Attributes
    ----------
    state : State
    seed : int
    seconds : float
        That the run has taken so far.
    """

    state: State
    seed: int
    seconds: float

    @property
    def n_draws(self) -> int:
        """Draws that are evaluated, those of the batch in flight too."""
        pending = self.state.pending
        partial = None if pending is None else pending.partial
        finished = 0 if partial is None else int(partial.finished.sum())
        return sum(record.n_draws for record in self.state.records) + finished


def save(path: Path, names: tuple[str, ...], fingerprint: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of the one before.

    ``names``, of the sampled parameters, are for whoever reads the draws.

    Raises
    ------
    OSError
        Where the disk refuses; the file before is left as it was.
    TypeError
        For a user's flow whose state is more than tensors.
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


def load(path: Path, fingerprint: Mapping[str, Any], networks: Networks) -> Checkpoint:
    """Read a checkpoint of the run of this fingerprint; ``networks`` make a flow of the user's.

    Raises
    ------
    ArchiveError
        When the file is none, is broken or was written for something else.
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
        state = unpack(header.get("state"), objects, arrays, KINDS, *made_by, n_dim)
    if not isinstance(state, State):
        raise ArchiveError("it is damaged: it holds no state")
    if state.history.log_ratios.shape != (len(state.history.members), len(state.history)):
        raise ArchiveError("it is damaged: densities and draws are not as many")
    check_seal(header)
    return Checkpoint(state, header["seed"], float(header["seconds"]))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    header, arrays = read_archive(path)
    if header.get("format") != FORMAT:
        raise ArchiveError("it is another program's")
    return header, arrays


def _renamed(part: dict[str, Any]) -> dict[str, Any]:
    """An object of version 1 with the names of today."""
    arguments = part.get("arguments")
    if not isinstance(arguments, dict) or part.get("kind") not in ("State", "RoundRecord"):
        return part
    given = {FORMER_FIELDS.get(name, name): value for name, value in arguments.items()}
    phase = given.get("phase")
    known = FORMER_PHASES.get(phase, phase) if isinstance(phase, str) else phase
    return {**part, "arguments": {**given, "phase": known}}


class CheckpointWriter(Observer):
    """Keep a run on disk: when it is due, and when it is told to.

    Parameters
    ----------
    write : callable
        ``write(checkpoint)``, which saves it.
    start : Checkpoint
        The state in which this process begins.
    interval : float
        Seconds between writes, at least.
    interrupted : callable
        Gives the last batch of the evaluator, as far as it is finished.
    held : callable
        Gives a context within which signals wait.
    log : logging.Logger
    since : float, optional
        By the monotonic clock, when this process began; now by default.
    check : callable, optional
        Called at every event: ends the run where a signal has come.
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
        """That the run has taken so far, in all processes."""
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
        """Write now; the number of draws written, without any of which there is no file.

        Where that fails the run goes on, with a warning.
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
        """The state, with the batch in flight as far as it is finished."""
        state, partial = self._state, self._interrupted()
        if state.pending is None or partial is None or partial.z is not state.pending.z:
            return state
        # Plus infinity ends a run; once the likelihood is mended those draws are to be tried again.
        partial = replace(partial, finished=partial.finished & (partial.log_likelihood != np.inf))
        return replace(state, pending=replace(state.pending, partial=partial))


def read_draws(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """All draws in a checkpoint, finished ones of a batch in flight included.

    Parameters
    ----------
    path : path
        ``{outdir}/nbi_{label}/checkpoint.npz``.

    Returns
    -------
    dict of str to ndarray
        ``names`` of shape (n_dim,); ``z`` and ``theta`` of shape (n, n_dim); ``log_likelihood`` and
        ``log_ratio`` (log q - log prior) of shape (n,). ``log_likelihood - log_ratio`` are log weights, each
        batch by its own proposal.

    Raises
    ------
    nbi_sampler.storage.archive.ArchiveError
        When the file is no checkpoint, or damaged; names it.
    """
    try:
        return _draws_in(*read_archive(Path(path)))
    except ArchiveError as error:
        raise ArchiveError(f"{path}: expected a whole checkpoint of this package; {error}") from error
    # A file that was tampered with may break what reads it in any way.
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(
            f"{path}: expected a whole checkpoint of this package; it is damaged ({type(error).__name__}: "
            f"{error})"
        ) from error


def _draws_in(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    if header.get("format") != FORMAT:
        raise ArchiveError("it is another program's")
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
