"""Dispatch of work to processes, some of which may die or hang.

Chunks of draws and targets of a survey are dispatched in the same way. If a process dies or does not answer,
each item in work is tried again by itself, which identifies the faulty one. Results depend neither on the
number of processes nor on the order of their answers.
"""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.batch import LikelihoodError, WorkerError, listed
from nbi_sampler.evaluation.calls import Calls, Done, Rows
from nbi_sampler.evaluation.pools import Pool
from nbi_sampler.evaluation.worker_process import Answer

__all__ = ["Chunk", "ChunkDispatcher", "Dispatcher"]

Item = TypeVar("Item")

logger = logging.getLogger(__name__)

# None of these changes a result. Those in seconds were not measured. Target seconds of a chunk, and the
# fewest chunks for each worker, so that all workers finish together.
CHUNK_SECONDS = 0.2
CHUNKS_PER_WORKER = 8
# Chunks handed out for every worker: one to work on, the others so that it never waits.
AHEAD = 3
# A pool hangs if no result comes for this many seconds, and for this many times the duration of a chunk.
HANGING_SECONDS = 60.0
HANGING_FACTOR = 100.0
SECONDS_BETWEEN_LOOKS = 0.2
# Failures of a worker that a chunk may cause: among other chunks, by itself, and draw by draw.
MOST_FAILURES = 3


class Dispatcher(Generic[Item]):
    """Hand items to a pool, a few for each worker, and collect the results in any order.

    Parameters
    ----------
    pool : Pool
        A started pool. Its owner closes it.
    work : str
        Name of the work in messages: "run" or "survey".
    call : callable
        ``call(item) -> Future``: hands one item to the pool.
    ahead : int
        Items in work for each worker: one that it computes, and others so that it never waits.
    while_waiting : callable, optional
        Called several times a second during waits for processes. It may raise.
    """

    def __init__(
        self,
        pool: Pool,
        work: str,
        call: Callable[[Item], Future[Any]],
        ahead: int = 2,
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        self.pool = pool
        self._work, self._call, self._ahead, self._while_waiting = work, call, ahead, while_waiting
        # Items, each with the number of its failures.
        self._again: deque[tuple[Item, int]] = deque()
        self._working: dict[Future[Any], tuple[Item, int]] = {}
        self._is_over = False

    def dispatch(self, items: Iterable[Item]) -> Generator[tuple[Item, Any], None, None]:
        """Yield each item with its result, in the order of completion; items are taken when they are needed.

        Raises
        ------
        WorkerError
            If the pool is lost, or an item has failed too often.
        """
        waiting = iter(items)
        self._again.clear()
        self._is_over = False
        try:
            while True:
                self._hand_out(waiting)
                if not self._working:
                    return
                yield from self._came_back()
        finally:
            self._cancel()

    def _failed(
        self, item: Item, n_failures: int, why: str, cause: BaseException | None
    ) -> list[Item] | WorkerError:
        """Parts to try again in place of an item; its result is an error if it has failed by itself."""
        if not isinstance(cause, BrokenExecutor):
            # The call itself raised, and would do so for every other item.
            message = f"pool: {self.pool.name} raised {type(cause).__name__}: {cause}"
            raise WorkerError(message) from cause
        if n_failures < 2:
            return [item]
        return WorkerError(f"a worker died with this target alone ({type(cause).__name__})")

    def _unanswered(self, item: Item, result: Any) -> Item | None:
        """The item to send again to a process that needs more than it had."""
        return None

    def _patience(self) -> float:
        """Seconds without an answer after which a pool counts as hanging."""
        return math.inf

    def _hand_out(self, waiting: Iterator[Item]) -> None:
        """Keep every worker busy; send a suspected item by itself."""
        while not self._is_over:
            suspicious = [n for _, n in (*list(self._again)[:1], *self._working.values()) if n]
            if len(self._working) >= (1 if suspicious else self._ahead * self.pool.n_workers):
                return
            if self._again:
                item, n_failures = self._again.popleft()
            else:
                try:
                    item, n_failures = next(waiting), 0
                except StopIteration:
                    return
            self._working[self._submitted(item)] = item, n_failures

    def _submitted(self, item: Item) -> Future[Any]:
        try:
            return self._call(item)
        except BrokenExecutor as error:
            # A worker may also die while it is idle.
            self._restart(error)
            return self._call(item)
        # Executors of other packages raise their own exceptions.
        except Exception as error:
            raise WorkerError(
                f"pool: {self.pool.name} take no work ({type(error).__name__}: {error}); keep the pool open "
                f"until the {self._work} has ended"
            ) from error

    def _came_back(self) -> list[tuple[Item, Any]]:
        """Collect the available results, and put lost items back at the head of the queue."""
        ready = self._ready()
        if not ready:
            return self._no_answer()
        broken = next((e for e in map(_exception_of, ready) if isinstance(e, BrokenExecutor)), None)
        results: list[tuple[Item, Any]] = []
        lost: list[tuple[Item, int]] = []
        cause: BaseException | None = broken
        for future in list(self._working) if broken else ready:
            (item, n_failures), error = self._working.pop(future), _exception_of(future)
            if not future.done() or error is not None:
                lost.append((item, n_failures))
                cause = cause or error
            elif (unanswered := self._unanswered(item, future.result())) is not None:
                self._again.appendleft((unanswered, n_failures))
            else:
                results.append((item, future.result()))
        # No item is to blame for a process that ended before it had started.
        at_fault = not self.pool.owned or self.pool.has_started()
        if broken is not None:
            self._restart(broken)
        return results + self._lost(lost, f"a worker died ({type(cause).__name__})", at_fault, cause)

    def _ready(self) -> set[Future[Any]]:
        """Futures that have ended; none if the waiting time is over."""
        until = time.monotonic() + self._patience()
        while True:
            left = max(until - time.monotonic(), 0.0)
            ready = self.pool.wait(self._working, min(SECONDS_BETWEEN_LOOKS, left))
            # This comes before the repair of a broken pool, because one signal may have reached all
            # processes.
            if self._while_waiting is not None:
                self._while_waiting()
            if ready or left == 0.0:
                return ready

    def _no_answer(self) -> list[tuple[Item, Any]]:
        """Repeat the work in progress, or keep waiting if processes may still be starting elsewhere."""
        why = f"no answer from {self.pool.name} for {self._patience():.0f} s"
        if not self._has_answered():
            logger.warning("%s, which have not started yet: waiting", why)
            return []
        lost = list(self._working.values())
        self._cancel()
        if self.pool.owned:
            self.pool.restart()
        return self._lost(lost, why, True, None)

    def _has_answered(self) -> bool:
        return self.pool.has_started()

    def _restart(self, error: BrokenExecutor) -> None:
        if not self.pool.owned:
            raise WorkerError(
                f"pool: {self.pool.name} are lost ({type(error).__name__}: {error}); start the pool and the "
                f"{self._work} again"
            ) from error
        self.pool.restart()

    def _lost(
        self, lost: list[tuple[Item, int]], why: str, at_fault: bool, cause: BaseException | None
    ) -> list[tuple[Item, Any]]:
        """Put items back at the head of the queue; an item with too many failures becomes a result."""
        if lost:
            logger.warning("%s: %d part(s) of the %s are done again", why, len(lost), self._work)
        results, again = [], []
        for item, n_failures in lost:
            n_failures += at_fault
            found = self._failed(item, n_failures, why, cause)
            if isinstance(found, WorkerError):
                results.append((item, found))
            else:
                again += [(part, n_failures) for part in found]
        self._again.extendleft(reversed(again))
        return results

    def _cancel(self) -> None:
        for future in self._working:
            future.cancel()
        self._working.clear()


@dataclass(frozen=True)
class Chunk:
    """Draws to be evaluated.

    Attributes
    ----------
    index : ndarray of int, shape (n,)
        Rows of the batch.
    theta : ndarray, shape (n, n_dim)
        Their parameters.
    rows : ndarray of int, shape (n_missing,)
        Rows of theta that are wanted.
    with_problem : bool
        The problem is sent with the draws.
    """

    index: Rows
    theta: Array
    rows: Rows
    with_problem: bool = False


class ChunkDispatcher(Dispatcher[Chunk]):
    """Evaluate chunks of draws; the problem is sent to each process once, and then only parameters.

    Parameters
    ----------
    pool : Pool
        Started here.
    problem : Calls
    seconds_per_call : float
        Expected cost of a draw; it is corrected by the durations of the chunks.
    while_waiting : callable, optional
        See `Dispatcher`.

    Raises
    ------
    WorkerError
        If the problem has to be sent to other processes and cannot be pickled.
    """

    def __init__(
        self,
        pool: Pool,
        problem: Calls,
        seconds_per_call: float,
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(pool, "run", self._submit, AHEAD, while_waiting)
        self._problem = problem
        self._seconds_per_call = seconds_per_call
        self._chunk_seconds: deque[float] = deque(maxlen=101)
        self._n_given = 0
        pool.start(problem)

    def __call__(self, chunks: Iterable[Chunk]) -> Iterator[Done]:
        """Hand out chunks, and yield finished ones in any order.

        Raises
        ------
        LikelihoodError
            If the user's code raised. Other chunks in work are yielded first, because they cost as much.
        WorkerError
            If a chunk cannot be evaluated.
        """
        error: LikelihoodError | None = None
        with closing(self.dispatch(chunks)) as answers:
            for chunk, answer in answers:
                self._chunk_seconds.append(answer.seconds)
                self._seconds_per_call += 0.1 * (answer.seconds / len(chunk.rows) - self._seconds_per_call)
                if answer.done is not None:
                    yield answer.done._replace(rows=chunk.index[answer.done.rows])
                error = error or _error_of(answer)
                self._is_over = error is not None
        if error is not None:
            raise error from error.error

    def chunks(self, index: Rows, theta: Array) -> list[Chunk]:
        """Yield chunks of equal size, the same number for each worker, for single calls.

        Parameters
        ----------
        index : ndarray of int, shape (n,)
            Rows of the batch to evaluate.
        theta : ndarray, shape (n_batch, n_dim)
        """
        n_workers = self.pool.n_workers
        wanted = max(len(index) * self._seconds_per_call / CHUNK_SECONDS, CHUNKS_PER_WORKER * n_workers)
        n_chunks = min(n_workers * math.ceil(wanted / n_workers), len(index))
        parts = np.array_split(index, n_chunks) if n_chunks else []
        return [Chunk(part, theta[part], np.arange(len(part))) for part in parts]

    def _submit(self, chunk: Chunk) -> Future[Answer]:
        # The first chunks reach processes that do not have the problem yet.
        with_problem = chunk.with_problem or self._n_given < self.pool.n_workers
        future = self.pool.submit(chunk.theta, chunk.rows, with_problem)
        self._n_given += 1
        return future

    def _unanswered(self, item: Chunk, result: Answer) -> Chunk | None:
        if result.unreadable:
            raise WorkerError(
                f"pool: a worker cannot load the likelihood ({result.unreadable}); install the packages it "
                "needs there, in the same versions, or define it in the script itself"
            )
        return replace(item, with_problem=True) if result.lacking else None

    def _restart(self, error: BrokenExecutor) -> None:
        super()._restart(error)
        self._n_given = 0

    def _patience(self) -> float:
        typical = statistics.median(self._chunk_seconds) if self._chunk_seconds else 0.0
        return max(HANGING_SECONDS, HANGING_FACTOR * typical)

    def _has_answered(self) -> bool:
        return self.pool.has_started() if self.pool.owned else bool(self._chunk_seconds)

    def _failed(self, item: Chunk, n_failures: int, why: str, cause: BaseException | None) -> list[Chunk]:
        """Split a chunk that has failed by itself into rows; otherwise return it whole."""
        if n_failures >= MOST_FAILURES:
            where = listed(self._problem.row(item.theta[item.rows[0]]))
            more = f" and {len(item.rows) - 1} more draws" if len(item.rows) > 1 else ""
            raise WorkerError(
                f"likelihood: {why}, {n_failures} times, with {where}{more}; call it there by itself to see "
                "why, or narrow the prior"
            )
        alone = n_failures > 1 and not self._problem.at_once
        return [replace(item, rows=part) for part in (item.rows[:, None] if alone else [item.rows])]


def _exception_of(future: Future[Any]) -> BaseException | None:
    """Return the exception of a future, also of a cancelled one; None if it has not ended."""
    if future.cancelled():
        return RuntimeError("cancelled")
    return future.exception() if future.done() else None


def _error_of(answer: Answer) -> LikelihoodError | None:
    """The user's error as this process would raise it, caused by the trace from the other process."""
    if answer.error is not None:
        answer.error.error.__cause__ = RuntimeError(f"in a worker process:\n{answer.trace}")
    return answer.error
