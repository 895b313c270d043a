"""Draws distributed over processes: chunks of equal cost, results as they come, workers that die or hang.

Called by the evaluator. Only parameters go out and results come back; the problem goes to each process once.
Results do not depend on how many processes there are, nor on which of them answers first.
"""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace

import numpy as np

from nbi_sampler.evaluation.batch import LikelihoodError, WorkerError, listed
from nbi_sampler.evaluation.calls import Array, Calls, Done, Rows
from nbi_sampler.evaluation.parallel.pools import Answers, Pool
from nbi_sampler.evaluation.parallel.worker_process import Answer

__all__ = ["Task", "Workers"]

logger = logging.getLogger(__name__)

# Seconds that a chunk should take, and how many every worker should get at least, so that all end together.
CHUNK_SECONDS = 0.2
CHUNKS_PER_WORKER = 8
# Chunks handed out for every worker: one to work on, the others so that it never waits.
AHEAD = 3
# A pool hangs when nothing comes back for this many seconds, and for this many times what a chunk takes.
HANGING_SECONDS = 60.0
HANGING_FACTOR = 100.0
SECONDS_BETWEEN_LOOKS = 0.2
# So often a worker may die or hang with the same chunk: among others, alone, and draw by draw.
MOST_FAILURES = 3


@dataclass(frozen=True)
class Task:
    """A chunk to be evaluated.

    Attributes
    ----------
    index : ndarray of int, shape (n,)
        Rows of the batch.
    theta : ndarray, shape (n, n_dim)
        Their parameters.
    rows : ndarray of int, shape (n_missing,)
        Rows of theta that are wanted.
    n_failures : int
        How often a worker died or hung with it.
    with_problem : bool
        Whether the problem is sent with it.
    """

    index: Rows
    theta: Array
    rows: Rows
    n_failures: int = 0
    with_problem: bool = False


class Workers:
    """Evaluates tasks on a pool.

    Parameters
    ----------
    pool : Pool
        Started here, closed by whoever opened it.
    problem : Calls
    seconds_per_call : float
        What a draw is thought to cost; corrected by what it does.
    while_waiting : callable, optional
        Called several times a second while processes are waited for; may raise.

    Raises
    ------
    WorkerError
        If the problem cannot be sent to other processes and has to be.
    """

    def __init__(
        self,
        pool: Pool,
        problem: Calls,
        seconds_per_call: float,
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        self.pool = pool
        self._problem = problem
        self._while_waiting = while_waiting
        self._seconds_per_call = seconds_per_call
        self._waiting: deque[Task] = deque()
        self._working: dict[Answers, Task] = {}
        self._chunk_seconds: deque[float] = deque(maxlen=101)
        self._n_given = 0
        pool.start(problem)

    def __call__(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Hand tasks out, and what is finished back, in whatever order.

        Parameters
        ----------
        tasks : iterable of Task

        Raises
        ------
        LikelihoodError
            When the user's code raised; the chunks in work, which are paid for, come first.
        WorkerError
            When a chunk cannot be evaluated.
        """
        self._waiting = deque(tasks)
        error: LikelihoodError | None = None
        try:
            while self._working or (self._waiting and error is None):
                if error is None:
                    self._hand_out()
                for task, answer in self._answers():
                    if answer.done is not None:
                        yield answer.done._replace(rows=task.index[answer.done.rows])
                    error = error or _error_of(answer)
            if error is not None:
                raise error from error.error
        finally:
            for future in self._working:
                future.cancel()
            self._working.clear()

    def chunks(self, index: Rows, theta: Array) -> list[Task]:
        """Tasks of equal size, as many for each worker, for calls that are made one by one.

        Parameters
        ----------
        index : ndarray of int, shape (n,)
            Rows of the batch that are wanted.
        theta : ndarray, shape (n_batch, n_dim)
        """
        n_workers = self.pool.n_workers
        wanted = max(len(index) * self._seconds_per_call / CHUNK_SECONDS, CHUNKS_PER_WORKER * n_workers)
        n_chunks = min(n_workers * math.ceil(wanted / n_workers), len(index))
        parts = np.array_split(index, n_chunks) if n_chunks else []
        return [Task(part, theta[part], np.arange(len(part))) for part in parts]

    def _hand_out(self) -> None:
        """Keep every worker busy; a chunk under suspicion goes alone, so that it is known who fails."""
        while self._waiting:
            suspicious = self._waiting[0].n_failures > 0 or any(t.n_failures for t in self._working.values())
            if len(self._working) >= (1 if suspicious else AHEAD * self.pool.n_workers):
                return
            task = self._waiting.popleft()
            # The first chunks find processes that know nothing yet.
            with_problem = task.with_problem or self._n_given < self.pool.n_workers
            self._n_given += 1
            self._working[self._submitted(task, with_problem)] = task

    def _submitted(self, task: Task, with_problem: bool) -> Answers:
        try:
            return self.pool.submit(task.theta, task.rows, with_problem)
        except BrokenExecutor as error:
            # Workers may also die while they have nothing to do.
            self._restart(error)
            return self.pool.submit(task.theta, task.rows, True)
        # Executors of other packages have exceptions of their own.
        except Exception as error:
            raise WorkerError(
                f"pool: {self.pool.name} take no work ({type(error).__name__}: {error}); keep the pool open "
                "until the run has ended"
            ) from error

    def _answers(self) -> list[tuple[Task, Answer]]:
        """What has come back, less what has to be done again."""
        ready = self._ready()
        if not ready:
            self._no_answer()
            return []
        answers, failed = [], {}
        broken = next((e for e in map(_exception_of, ready) if isinstance(e, BrokenExecutor)), None)
        for future in list(self._working) if broken else ready:
            task = self._working.pop(future)
            error = _exception_of(future)
            if future.done() and error is None:
                answers += self._read(task, future.result())
            else:
                failed[future] = task
        # Processes that ended before they had begun did not do so because of a draw.
        at_fault = not self.pool.owned or self.pool.has_started()
        if broken is not None:
            self._restart(broken)
        if failed:
            cause = broken or _exception_of(next(iter(failed)))
            self._again(list(failed.values()), f"a worker died ({type(cause).__name__})", at_fault)
        return answers

    def _ready(self) -> set[Answers]:
        """Futures that have ended; none where patience has."""
        until = time.monotonic() + self._patience()
        while True:
            left = max(until - time.monotonic(), 0.0)
            ready = self.pool.wait(self._working, min(SECONDS_BETWEEN_LOOKS, left))
            # Before a broken pool is mended: a signal may have gone to all processes alike.
            if self._while_waiting is not None:
                self._while_waiting()
            if ready or left == 0.0:
                return ready

    def _read(self, task: Task, answer: Answer) -> list[tuple[Task, Answer]]:
        if answer.unreadable:
            raise WorkerError(
                f"pool: a worker cannot load the likelihood ({answer.unreadable}); install there what it is "
                "made of, in the same versions, or define it in the script itself"
            )
        if answer.lacking:
            self._waiting.appendleft(replace(task, with_problem=True))
            return []
        self._chunk_seconds.append(answer.seconds)
        self._seconds_per_call += 0.1 * (answer.seconds / len(task.rows) - self._seconds_per_call)
        return [(task, answer)]

    def _patience(self) -> float:
        typical = statistics.median(self._chunk_seconds) if self._chunk_seconds else 0.0
        return max(HANGING_SECONDS, HANGING_FACTOR * typical)

    def _no_answer(self) -> None:
        """Do again what is in work, or, where processes may still be starting elsewhere, wait on."""
        why = f"no answer from {self.pool.name} for {self._patience():.0f} s"
        if not (self.pool.has_started() if self.pool.owned else self._chunk_seconds):
            logger.warning("%s, which have not started yet: waiting", why)
            return
        tasks = list(self._working.values())
        for future in self._working:
            future.cancel()
        self._working.clear()
        if self.pool.owned:
            self.pool.restart()
        self._again(tasks, why)

    def _restart(self, error: BrokenExecutor) -> None:
        if not self.pool.owned:
            raise WorkerError(
                f"pool: {self.pool.name} are lost ({type(error).__name__}: {error}); start the pool and the "
                "run again"
            ) from error
        self.pool.restart()
        self._n_given = 0

    def _again(self, tasks: Sequence[Task], why: str, at_fault: bool = True) -> None:
        """Put tasks back at the head of the queue, one row each where one alone has failed."""
        logger.warning("%s: %d chunk(s) are evaluated again", why, len(tasks))
        again: list[Task] = []
        for task in tasks:
            n_failures = task.n_failures + at_fault
            if n_failures >= MOST_FAILURES:
                raise WorkerError(self._blame(task, why, n_failures))
            alone = n_failures > 1 and not self._problem.at_once
            parts = task.rows[:, None] if alone else [task.rows]
            again += [replace(task, rows=part, n_failures=n_failures) for part in parts]
        self._waiting.extendleft(reversed(again))

    def _blame(self, task: Task, why: str, n_failures: int) -> str:
        where = listed(self._problem.row(task.theta[task.rows[0]]))
        more = f" and {len(task.rows) - 1} more draws" if len(task.rows) > 1 else ""
        return (
            f"likelihood: {why}, {n_failures} times, with {where}{more}; call it there by itself to see why, "
            "or narrow the prior"
        )


def _exception_of(future: Answers) -> BaseException | None:
    """What a future ended with other than an answer; None where it has not ended."""
    if future.cancelled():
        return RuntimeError("cancelled")
    return future.exception() if future.done() else None


def _error_of(answer: Answer) -> LikelihoodError | None:
    """The user's error as it would be in this process, with the trace of the other as its cause."""
    if answer.error is not None:
        answer.error.error.__cause__ = RuntimeError(f"in a worker process:\n{answer.trace}")
    return answer.error
