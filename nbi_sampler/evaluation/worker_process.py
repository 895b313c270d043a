"""The work of a worker process, which gets the problem once, then parameters, and returns results.

This is the same for processes of this machine and for those of any executor. A process without the problem
reports so, and gets the problem with its next chunk.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import threadpoolctl
import torch

from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.batch import LikelihoodError, WorkerError
from nbi_sampler.evaluation.calls import Calls, Done, Rows

__all__ = ["Answer", "end_with", "evaluate", "packed", "prepare_process", "remembered", "turn"]


# The problem of the last run or survey, by its digest; a process of a cluster may serve several.
_problems: dict[str, Any] = {}

# Few models support calls from two threads, and fits use torch's single generator. Threads of one process
# therefore take turns.
turn = threading.Lock()

# Levels of attributes that are searched for the part that cannot be pickled.
DEEPEST = 6


class Answer(NamedTuple):
    """The answer to a chunk.

    Attributes
    ----------
    done : Done, optional
        Finished rows: all of them unless there is an error.
    error : LikelihoodError, optional
        Error of the user's code.
    trace : str
        Traceback in that code.
    lacking : bool
        True if the process needs the problem first.
    unreadable : str
        The error if the problem could not be read, otherwise empty.
    seconds : float
    """

    done: Done | None = None
    error: LikelihoodError | None = None
    trace: str = ""
    lacking: bool = False
    unreadable: str = ""
    seconds: float = 0.0


def evaluate(digest: str, payload: bytes | None, theta: Array, rows: Rows) -> Answer:
    """Call the user's code for ``rows`` of theta; see `calls.Calls`.

    The payload is the pickled problem with this digest. A process that lacks the problem reads it.
    """
    with turn:
        if digest not in _problems and payload is None:
            return Answer(lacking=True)
        try:
            problem = remembered(digest, payload)
        # Reading imports the user's modules, which may be missing here or raise any error.
        except Exception as error:
            return Answer(unreadable=f"{type(error).__name__}: {error}")
        return _answer(problem, theta, rows)


def remembered(digest: str, payload: bytes | None) -> Any:
    """The object with this digest: the stored one, or the pickled one that replaces it."""
    if digest not in _problems:
        assert payload is not None
        _remember(digest, cloudpickle.loads(payload))
    return _problems[digest]


def prepare_process(digest: str, problem: Calls | None) -> None:
    """Prepare a process of our own pool: one thread, no signals, and an end with its parent.

    A forked process inherits the problem. A spawned process is sent it.
    """
    # The main process saves, exits and ends its workers on these signals; SIGTERM ends a worker at once.
    for name in ("SIGINT", "SIGALRM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threadpoolctl.threadpool_limits(1)
    torch.set_num_threads(1)
    if problem is not None:
        _remember(digest, problem)
    _end_with_maker()


def _answer(problem: Calls, theta: Array, rows: Rows) -> Answer:
    start = time.perf_counter()
    finished: list[Done] = []
    error, trace = None, ""
    try:
        finished.extend(problem(theta, rows))
    except LikelihoodError as raised:
        error, trace = raised, traceback.format_exc()
        if not _survives_pickling(raised.error):
            error = LikelihoodError(
                raised.parameters, RuntimeError(f"{type(raised.error).__name__}: {raised.error}")
            )
    done = _joined(finished) if finished else None
    return Answer(done, error, trace, seconds=time.perf_counter() - start)


def _joined(parts: list[Done]) -> Done:
    rows, predictions, log_likelihood = zip(*parts, strict=True)
    return Done(
        np.concatenate(rows),
        None if predictions[0] is None else np.concatenate(predictions),
        None if log_likelihood[0] is None else np.concatenate(log_likelihood),
    )


def _remember(digest: str, problem: Any) -> None:
    _problems.clear()
    _problems[digest] = problem


def _survives_pickling(error: Exception) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    # Making an exception again fails in many ways if it has its own constructor.
    except Exception:
        return False


def end_with(parent: int) -> None:
    """End this process when its parent, known by its process id, is gone for any reason.

    Windows is excluded: the id of the parent never changes there, and a virtual environment adds a process.
    """
    if sys.platform != "win32":
        _exit_unless(lambda: os.getppid() == parent)


def _end_with_maker() -> None:
    """End this process of a pool when the process that made the pool is gone.

    The parent by process id may be another process, the server of the start method "forkserver". And
    processes that were forked later keep open the pipe that would tell a forked process that its parent is
    gone.
    """
    maker, parent = multiprocessing.parent_process(), os.getppid()
    _exit_unless(lambda: os.getppid() == parent and (maker is None or maker.is_alive()))


def _exit_unless(alive: Callable[[], bool]) -> None:
    def watch() -> None:
        while alive():
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def packed(problem: Calls) -> tuple[str, bytes]:
    """Digest and pickle of a problem, for processes that do not inherit it.

    Functions and classes of a script or a notebook, and closures, are sent with their code. Those of modules
    are sent by name, so the other process must be able to import them.

    Raises
    ------
    WorkerError
        If it cannot be pickled; the message names the part at fault.
    """
    try:
        payload = cloudpickle.dumps(problem)
    # The user's objects can raise any error here.
    except Exception as error:
        found = (
            _culprit(problem.log_likelihood, "likelihood")
            or _culprit(problem.forward, "forward model")
            or "something in it"
        )
        raise WorkerError(
            f"npool, pool: expected a likelihood that can be sent to another process, but {found} cannot be "
            f"pickled ({type(error).__name__}: {error}); create it where it is used, leave it out in "
            "__getstate__, or use npool= with the start method 'fork', which sends nothing"
        ) from error
    return hashlib.sha256(payload).hexdigest(), payload


def _culprit(value: object, path: str, depth: int = 0) -> str | None:
    """Path and type of the innermost object that cannot be pickled; None if all can be."""
    try:
        cloudpickle.dumps(value)
        return None
    except Exception:
        if depth < DEEPEST:
            for name, part in _parts(value):
                found = _culprit(part, f"{path}{name}", depth + 1)
                if found:
                    return found
    return f"{path} ({type(value).__module__}.{type(value).__qualname__})"


def _parts(value: object) -> list[tuple[str, object]]:
    """Parts of an object with their names."""
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [(f"[{i}]", part) for i, part in enumerate(value)]
    if getattr(value, "__closure__", None):
        return [("", cell.cell_contents) for cell in value.__closure__]  # type: ignore[attr-defined]
    parts = [("", value.__self__)] if hasattr(value, "__self__") else []
    return parts + [(f".{name}", part) for name, part in getattr(value, "__dict__", {}).items()]
