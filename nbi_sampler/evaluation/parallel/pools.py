"""Processes that evaluate chunks or whole targets, whoever made them, behind one interface.

Our own for ``npool``, the user's pool, or any executor: for all of them a call becomes a future. What to
send, and what to do when no answer comes, is for `dispatch`.
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

from nbi_sampler.evaluation.batch import WorkerError
from nbi_sampler.evaluation.calls import Array, Calls, Rows
from nbi_sampler.evaluation.parallel.worker_process import Answer, evaluate, packed, prepare_process

__all__ = ["Pool", "check_main_is_not_imported", "opened_pool"]

Answers = Future[Answer]

# So often in a row may the processes of a pool that has worked end before they have begun again.
MOST_STILLBORN = 3

# Windows waits for so many processes at once and for no more.
MOST_ON_WINDOWS = 61

GUARD = """import the main script, and must not run it again. What it does belongs below the line

    if __name__ == "__main__":
        result = bilby.run_sampler(likelihood, priors, sampler="nbi", npool=2)

Put it there, or pass npool=1, or call multiprocessing.set_start_method("fork") first where that is known"""

logger = logging.getLogger(__name__)


@contextmanager
def opened_pool(npool: int, pool: Any) -> Iterator[Pool | None]:
    """Open the processes that work within a block; None for this process alone.

    Parameters
    ----------
    npool : int
        Processes to make, which end with the block; with a pool, how many it has, where it does not say.
    pool : object, optional
        An executor, or anything with ``map``; never closed.

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
        For people.
    n_workers : int
        Number of calls that are worked on at once.
    owned : bool
        It may be killed and made again.
    """

    owned = False

    def __init__(self, name: str, n_workers: int) -> None:
        self.name = name
        self.n_workers = n_workers
        self._digest, self._payload = "", b""

    def start(self, problem: Calls | None = None) -> None:
        """Get ready, for the chunks of a problem where there is one."""
        if problem is not None:
            self._digest, self._payload = packed(problem)

    @abstractmethod
    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Hand out a call of a function that the processes can import."""

    def submit(self, theta: Array, rows: Rows, with_problem: bool) -> Answers:
        """Hand out a chunk, and the problem with it for a process that lacks it."""
        return self.call(evaluate, self._digest, self._payload if with_problem else None, theta, rows)

    def wait(self, futures: Collection[Future[Any]], timeout: float | None) -> set[Future[Any]]:
        """Futures that are done, as soon as one is; none when the time is over."""
        return wait(futures, timeout, FIRST_COMPLETED).done

    def has_started(self) -> bool:
        """Return whether any process is up; only where they are owned."""
        raise NotImplementedError(f"{self.name} are not known from here")

    def restart(self) -> None:
        """Kill the processes and make new ones; only where they are owned."""
        raise NotImplementedError(f"{self.name} cannot be restarted from here")

    def close(self) -> None:  # noqa: B027
        """End what was made here; a user's pool goes on."""


class OwnPool(Pool):
    """Processes of this machine, by the start method that `multiprocessing` is set to.

    With "fork" they inherit the problem, which then need not be picklable.
    """

    owned = True

    def __init__(self, n_workers: int) -> None:
        if sys.platform == "win32" and n_workers > MOST_ON_WINDOWS:
            logger.info("npool: %s processes at most on Windows, got %s", MOST_ON_WINDOWS, n_workers)
            n_workers = MOST_ON_WINDOWS
        super().__init__(f"{n_workers} processes", n_workers)
        check_main_is_not_imported()
        self._executor: ProcessPoolExecutor | None = None
        self._greetings: list[Future[int]] = []
        self._have_started = False
        self._n_stillborn = 0

    def start(self, problem: Calls | None = None) -> None:
        """Make the processes, before torch has threads that would not survive a fork."""
        self._context: Any = multiprocessing.get_context()
        fatal = "jax" if "jax" in sys.modules else "CUDA" if torch.cuda.is_initialized() else ""
        if fatal and self._context.get_start_method() == "fork":
            logger.info(
                "%s does not survive a fork: processes are spawned, and import the main script", fatal
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
        """See `Pool.has_started`; a spawned process has much to import first."""
        started = any(future.done() and future.exception() is None for future in self._greetings)
        self._have_started = self._have_started or started
        return started

    def restart(self) -> None:
        """See `Pool.restart`.

        Raises
        ------
        WorkerError
            When processes end before they have begun to work: no draw can be at fault.
        """
        self._n_stillborn = 0 if self.has_started() else self._n_stillborn + 1
        if self._n_stillborn >= (MOST_STILLBORN if self._have_started else 1):
            raise WorkerError(self._never_started())
        self.close()
        self._make()

    def close(self) -> None:
        """Kill the processes; nobody waits for what they work on."""
        if self._executor is not None:
            # Public only from Python 3.14 on, as kill_workers().
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
            # Python counts threads of BLAS too, which look after themselves in a fork.
            warnings.filterwarnings("ignore", "(?s).*multi-threaded.*fork", DeprecationWarning)
            try:
                self._greetings = [self._executor.submit(os.getpid) for _ in range(self.n_workers)]
            except BrokenExecutor as error:
                # The first has ended before the last was asked for.
                raise WorkerError(self._never_started()) from error

    def _never_started(self) -> str:
        method = self._context.get_start_method()
        if method == "fork":
            return (
                f"npool: expected {self.name} that start, got some that ended before their first call; see "
                "what they have printed and whether memory is left, or pass npool=1"
            )
        return (
            f"npool: expected {self.name} that start, got some that ended before their first call. By the "
            f"start method {method!r} they {GUARD}. Where the script has that line, see what the processes "
            "have printed above"
        )


def check_main_is_not_imported() -> None:
    """Refuse to make processes while this one imports the main script of its maker, by a RuntimeError."""
    # Python looks at the same attribute, once it is asked for a process.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(f"npool: processes of this one {GUARD}")


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
    """A pool like `multiprocessing.Pool`, as ray has one too."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """See `Pool.call`."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._pool.apply_async(
            function, arguments, callback=future.set_result, error_callback=future.set_exception
        )
        return future


class MapPool(UsersPool):
    """An object of which only ``map(function, items)`` is known: it is given many chunks at a time."""

    def __init__(self, pool: Any, n_workers: int) -> None:
        super().__init__(pool, n_workers)
        self._waiting: dict[Future[Any], tuple[Any, ...]] = {}

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """See `Pool.call`; nothing happens before `wait`."""
        future: Future[Any] = Future()
        self._waiting[future] = (function, *arguments)
        return future

    def wait(self, futures: Collection[Future[Any]], timeout: float | None) -> set[Future[Any]]:
        """Evaluate all that was handed out; takes as long as it takes.

        Raises
        ------
        WorkerError
            Where answers are missing, or there are too many.
        """
        given, self._waiting = self._waiting, {}
        items = [(number, *call) for number, call in enumerate(given.values())]
        try:
            returned = self._pool.map(_called, items)
            answers = list(returned) if isinstance(returned, Iterable) else returned
        # The pool is the user's; whatever it raises concerns all that it was given.
        except Exception as error:
            for future in given:
                future.set_exception(error)
            return set(given)
        by_number = self._by_number(answers, len(items))
        for number, future in enumerate(given):
            future.set_result(by_number[number])
        return set(given)

    def _by_number(self, answers: Any, n_items: int) -> dict[int, Any]:
        """Answers by the number of their item: pools may give them back in another order."""
        got = f"{len(answers)} answers" if isinstance(answers, list) else type(answers).__name__
        try:
            by_number = dict(answers)
        # Not pairs, or nothing that can be gone through.
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
    """Number of workers, where a pool says so in any of the ways that are known; else that of processors."""
    for name in ("_max_workers", "num_workers", "_processes", "size"):
        size = getattr(pool, name, None)
        if isinstance(size, int) and size > 0:
            return size
    client = getattr(pool, "_client", None)
    if client is not None and hasattr(client, "nthreads"):
        return max(sum(client.nthreads().values()), 1)
    return os.cpu_count() or 1
