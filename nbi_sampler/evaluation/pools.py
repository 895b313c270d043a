"""Worker processes of any origin behind one interface, for chunks of draws or whole targets.

They come from ``npool``, from the user's pool or from any executor. A call becomes a future in each case.
`dispatch` decides what to send, and what to do if no answer comes.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from typing import Any

import torch

from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.batch import WorkerError
from nbi_sampler.evaluation.calls import Calls, Rows
from nbi_sampler.evaluation.worker_process import Answer, evaluate, packed, prepare_process

__all__ = ["Pool", "check_main_is_not_imported", "opened_pool"]

Answers = Future[Answer]

# Times in a row that the processes of a working pool may end before they have started again.
MOST_STILLBORN = 3

# Windows can wait for this many processes at once.
MOST_ON_WINDOWS = 61

GUARD = """import the main script, and must not run it again. What it does belongs below the line

    if __name__ == "__main__":
        result = bilby.run_sampler(likelihood, priors, sampler="nbi", npool=2)

Put it there, or pass npool=1, or call multiprocessing.set_start_method("fork") first where that is known"""

logger = logging.getLogger(__name__)


@contextmanager
def opened_pool(npool: int, pool: Any) -> Iterator[Pool | None]:
    """Open the worker processes of a block; None if this process does all the work.

    Parameters
    ----------
    npool : int
        Processes to start; they end with the block. For a pool that does not tell its size, its size.
    pool : object, optional
        An executor, or anything with ``map``. It is never closed.

    Raises
    ------
    TypeError
        If ``pool`` is neither.
    """
    if pool is None and npool == 1:
        yield None
        return
    opened = OwnPool(npool) if pool is None else _adapted(pool, npool if npool > 1 else _size_of(pool))
    try:
        yield opened
    finally:
        opened.close()


def _adapted(pool: Any, n_workers: int) -> Pool:
    if hasattr(pool, "apply_async") and hasattr(pool, "imap_unordered"):
        return AsynchronousPool(pool, n_workers)
    if callable(getattr(pool, "submit", None)):
        return UsersPool(pool, n_workers)
    if callable(getattr(pool, "map", None)):
        return MapPool(pool, n_workers)
    raise TypeError(
        f"pool: expected a concurrent.futures.Executor or an object with 'map', got {type(pool).__name__}; "
        "pass one of these, or npool= for processes of this machine"
    )


class Pool(ABC):
    """Processes that work for a run or a survey.

    Attributes
    ----------
    name : str
        Name in messages.
    n_workers : int
        Number of simultaneous calls.
    owned : bool
        True if the pool may be killed and made again.
    """

    owned = False

    def __init__(self, name: str, n_workers: int) -> None:
        self.name = name
        self.n_workers = n_workers
        self._digest, self._payload = "", b""

    def start(self, problem: Calls | None = None) -> None:
        """Prepare for work, with the chunks of a problem if one is given."""
        if problem is not None:
            self._digest, self._payload = packed(problem)

    @abstractmethod
    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Hand out a call of a function that the processes can import."""

    def submit(self, theta: Array, rows: Rows, with_problem: bool) -> Answers:
        """Hand out a chunk, with the problem if the process may lack it."""
        return self.call(evaluate, self._digest, self._payload if with_problem else None, theta, rows)

    def wait(self, futures: Collection[Future[Any]], timeout: float | None) -> set[Future[Any]]:
        """Return the finished futures as soon as there is one; none if the time is over."""
        return wait(futures, timeout, FIRST_COMPLETED).done

    def has_started(self) -> bool:
        """Return whether any process has started; only an owned pool can tell."""
        raise NotImplementedError(f"{self.name} are not known from here")

    def restart(self) -> None:
        """Kill the processes and start new ones; only an owned pool can do so."""
        raise NotImplementedError(f"{self.name} cannot be restarted from here")

    def close(self) -> None:  # noqa: B027
        """End owned processes; a user's pool continues."""


class OwnPool(Pool):
    """Processes of this machine, made by the current start method of `multiprocessing`.

    With "fork" they inherit the problem, which need not be picklable then.
    """

    owned = True

    def __init__(self, n_workers: int) -> None:
        if sys.platform == "win32" and n_workers > MOST_ON_WINDOWS:
            logger.info("npool: expected at most %s processes on Windows, got %s", MOST_ON_WINDOWS, n_workers)
            n_workers = MOST_ON_WINDOWS
        super().__init__(f"{n_workers} processes", n_workers)
        check_main_is_not_imported()
        self._executor: ProcessPoolExecutor | None = None
        self._greetings: list[Future[int]] = []
        self._have_started = False
        self._n_stillborn = 0

    def start(self, problem: Calls | None = None) -> None:
        """Start the processes before torch has threads that would not survive a fork."""
        self._context: Any = multiprocessing.get_context()
        fatal = "jax" if "jax" in sys.modules else "CUDA" if torch.cuda.is_initialized() else ""
        if fatal and self._context.get_start_method() == "fork":
            logger.info(
                "%s does not survive a fork, so the processes are spawned and import the main script", fatal
            )
            self._context = multiprocessing.get_context("spawn")
        self._inherited: Calls | None = None
        if self._context.get_start_method() == "fork":
            self._inherited, self._digest = problem, "inherited"
        else:
            super().start(problem)
        self._make()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """See `Pool.call`."""
        assert self._executor is not None
        return self._executor.submit(function, *arguments)

    def has_started(self) -> bool:
        """See `Pool.has_started`; a spawned process first imports its modules."""
        started = any(future.done() and future.exception() is None for future in self._greetings)
        self._have_started = self._have_started or started
        return started

    def restart(self) -> None:
        """See `Pool.restart`.

        Raises
        ------
        WorkerError
            If processes end before they have started to work, for which no draw can be blamed.
        """
        self._n_stillborn = 0 if self.has_started() else self._n_stillborn + 1
        if self._n_stillborn >= (MOST_STILLBORN if self._have_started else 1):
            raise WorkerError(self._never_started())
        self.close()
        self._make()

    def close(self) -> None:
        """Kill the processes without waiting for their work."""
        if self._executor is not None:
            # Public as kill_workers() only from Python 3.14 on.
            processes = list((self._executor._processes or {}).values())
            self._executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            for process in processes:
                process.join()
            self._executor = None

    def _make(self) -> None:
        arguments = (self._digest, self._inherited)
        self._executor = ProcessPoolExecutor(self.n_workers, self._context, prepare_process, arguments)
        with warnings.catch_warnings():
            # Python also counts the threads of BLAS, which handle a fork correctly.
            warnings.filterwarnings("ignore", "(?s).*multi-threaded.*fork", DeprecationWarning)
            try:
                self._greetings = [self._executor.submit(os.getpid) for _ in range(self.n_workers)]
            except BrokenExecutor as error:
                # The first process ended before the last one was requested.
                raise WorkerError(self._never_started()) from error

    def _never_started(self) -> str:
        method = self._context.get_start_method()
        if method == "fork":
            return (
                f"npool: expected {self.name}, got some that ended before their first call; see "
                "what they have printed and whether enough memory is free, or pass npool=1"
            )
        return (
            f"npool: expected {self.name}, got some that ended before their first call. With the "
            f"start method {method!r} they {GUARD}. Where the script has that line, see what the processes "
            "have printed above"
        )


def check_main_is_not_imported() -> None:
    """Raise a RuntimeError in a process that is still importing the main script of its parent."""
    # Python checks the same attribute when a process is requested.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(f"npool: the processes of this one {GUARD}")


class UsersPool(Pool):
    """Any `concurrent.futures.Executor`: of mpi4py, dask, or the standard library."""

    def __init__(self, pool: Any, n_workers: int) -> None:
        super().__init__(f"{n_workers} workers of {type(pool).__name__}", n_workers)
        self._pool = pool

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """See `Pool.call`."""
        future: Future[Any] = self._pool.submit(function, *arguments)
        return future


class AsynchronousPool(UsersPool):
    """A pool like `multiprocessing.Pool`; ray has one too."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """See `Pool.call`."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._pool.apply_async(
            function, arguments, callback=future.set_result, error_callback=future.set_exception
        )
        return future


class MapPool(UsersPool):
    """Any object with ``map(function, items)``; it gets many chunks at a time."""

    def __init__(self, pool: Any, n_workers: int) -> None:
        super().__init__(pool, n_workers)
        self._waiting: dict[Future[Any], tuple[Any, ...]] = {}

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """See `Pool.call`; the call is made in `wait`."""
        future: Future[Any] = Future()
        self._waiting[future] = (function, *arguments)
        return future

    def wait(self, futures: Collection[Future[Any]], timeout: float | None) -> set[Future[Any]]:
        """Evaluate everything that was handed out, however long it takes.

        Raises
        ------
        WorkerError
            If there are too few or too many answers.
        """
        given, self._waiting = self._waiting, {}
        items = [(number, *call) for number, call in enumerate(given.values())]
        try:
            returned = self._pool.map(_called, items)
            answers = list(returned) if isinstance(returned, Iterable) else returned
        # The pool belongs to the user. Its errors concern all items that it was given.
        except Exception as error:
            for future in given:
                future.set_exception(error)
            return set(given)
        by_number = self._by_number(answers, len(items))
        for number, future in enumerate(given):
            future.set_result(by_number[number])
        return set(given)

    def _by_number(self, answers: Any, n_items: int) -> dict[int, Any]:
        """Answers by the number of their item, because a pool may reorder them."""
        got = f"{len(answers)} answers" if isinstance(answers, list) else type(answers).__name__
        try:
            by_number = dict(answers)
        # Not pairs, or not iterable.
        except (TypeError, ValueError):
            by_number, got = {}, f"{got} of another kind"
        if not isinstance(answers, list) or len(answers) != n_items or set(by_number) != set(range(n_items)):
            raise WorkerError(
                f"pool: expected {type(self._pool).__name__}.map to return one answer for each of "
                f"{n_items} items, got {got}; results that are lost or added cannot be told from others, so "
                "mend the pool, or pass npool= instead"
            )
        return by_number


def _called(numbered_call: tuple[Any, ...]) -> tuple[int, Any]:
    number, function, *arguments = numbered_call
    return number, function(*arguments)


def _size_of(pool: Any) -> int:
    """Number of workers, if the pool tells it in any known way; otherwise that of processors."""
    for name in ("_max_workers", "num_workers", "_processes", "size"):
        size = getattr(pool, name, None)
        if isinstance(size, int) and size > 0:
            return size
    client = getattr(pool, "_client", None)
    if client is not None and hasattr(client, "nthreads"):
        return max(sum(client.nthreads().values()), 1)
    return os.cpu_count() or 1
