"""Targets handed out to processes, a few at a time, and taken back as they are done.

Called by `infer_many`. A process that dies takes its targets with it: these are tried again, each alone, so
that only the culprit fails.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from typing import Any, TypeVar

from nbi_sampler.evaluation.batch import WorkerError
from nbi_sampler.evaluation.parallel.pools import Pool

__all__ = ["spread"]

Item = TypeVar("Item")

logger = logging.getLogger(__name__)

_END: Any = object()
# Handed out for every worker: one to work on, another so that it never waits.
AHEAD = 2


def spread(
    items: Iterable[Item],
    pool: Pool,
    function: Callable[..., Any],
    arguments: Callable[[Item], tuple[Any, ...]],
) -> Iterator[tuple[Item, Any]]:
    """What a function returns for every item, in the order in which it is done.

    Parameters
    ----------
    items : iterable
        Taken as they are needed.
    pool : Pool
        Started.
    function : callable
        That processes can import.
    arguments : callable
        Gives its arguments for an item.

    Yields
    ------
    item, result
        The result is an exception where the arguments raised it, or where the process died with this item
        alone.

    Raises
    ------
    WorkerError
        The pool is lost, or the function itself raised: every other item would fare alike.
    """
    waiting, suspects = iter(items), deque[Item]()
    working: dict[Future[Any], tuple[Item, bool]] = {}
    while True:
        alone = bool(suspects) or any(suspected for _, suspected in working.values())
        while not alone and len(working) < AHEAD * pool.n_workers:
            if (item := next(waiting, _END)) is _END:
                break
            try:
                given = arguments(item)
            # What cannot be pickled raises anything.
            except Exception as error:
                yield item, error
            else:
                working[_handed_out(pool, function, given)] = item, False
        if suspects and not working:
            item = suspects.popleft()
            working[_handed_out(pool, function, arguments(item))] = item, True
        if not working:
            return
        done = pool.wait(working, None)
        broken = next((e for e in map(_exception_of, done) if isinstance(e, BrokenExecutor)), None)
        if broken is not None:
            _restart(pool, broken)
            done = set(working)
        for future in done:
            item, suspected = working.pop(future)
            if _is_answered(future) or suspected or broken is None:
                yield item, _outcome(future, broken, pool)
            else:
                suspects.append(item)


def _is_answered(future: Future[Any]) -> bool:
    return future.done() and _exception_of(future) is None


def _outcome(future: Future[Any], broken: BrokenExecutor | None, pool: Pool) -> Any:
    """What came of an item: its result, or that it has killed a process."""
    if _is_answered(future):
        return future.result()
    if broken is not None:
        return WorkerError(f"a worker died with this target alone ({type(broken).__name__})")
    raised = _exception_of(future)
    raise WorkerError(f"pool: {pool.name} raised {type(raised).__name__}: {raised}") from raised


def _handed_out(pool: Pool, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
    try:
        return pool.call(function, *arguments)
    except BrokenExecutor as error:
        # Workers may also die while they have nothing to do.
        _restart(pool, error)
        return pool.call(function, *arguments)
    # Executors of other packages have exceptions of their own.
    except Exception as error:
        raise WorkerError(
            f"pool: {pool.name} take no work ({type(error).__name__}: {error}); keep the pool open until the "
            "survey has ended"
        ) from error


def _restart(pool: Pool, error: BrokenExecutor) -> None:
    if not pool.owned:
        raise WorkerError(
            f"pool: {pool.name} are lost ({type(error).__name__}: {error}); start the pool and the survey "
            "again"
        ) from error
    logger.warning("a worker died: its targets are tried again, one by one")
    pool.restart()


def _exception_of(future: Future[Any]) -> BaseException | None:
    """What a future ended with other than an answer; None where it has not ended."""
    if future.cancelled():
        return RuntimeError("cancelled")
    return future.exception() if future.done() else None
