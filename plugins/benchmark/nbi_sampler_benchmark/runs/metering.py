"""Costs of a run: calls counted in the likelihood, their seconds, processor time, and peak memory.

The class of the likelihood is changed during a run, because an object with its own methods would not be
recognised as one of bilby's.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bilby.core.likelihood import Likelihood

__all__ = ["Meter", "cpu_seconds", "peak_memory"]

SECONDS_BETWEEN_WRITES = 1.0
METHODS = ("log_likelihood", "log_likelihood_ratio")


class Meter:
    """Counts and times the calls of one likelihood, and slows them down if requested.

    A call of the user's model function outside of ``log_likelihood``, as `nbi` makes them, counts once for
    each point in it.

    Parameters
    ----------
    sleep : float
        Seconds to sleep in each call; a batched call sleeps once for each of its points.

    Attributes
    ----------
    calls : int
    seconds : float
        Seconds within the calls, including sleep.
    """

    def __init__(self, sleep: float = 0.0) -> None:
        self.calls = 0
        self.seconds = 0.0
        self._sleep = sleep
        self._inside = False

    @contextmanager
    def attached_to(self, likelihood: Likelihood) -> Iterator[None]:
        """Count the calls of this likelihood within the block, but not those of others of its class."""
        with ExitStack() as stack:
            for name in METHODS:
                on_object = name in vars(likelihood)
                owner = likelihood if on_object else _definer(type(likelihood), name)
                of = None if on_object else likelihood
                stack.enter_context(_replaced(owner, name, self._counted(vars(owner)[name], of=of)))
            function = getattr(likelihood, "_func", None)
            if callable(function):
                counted = self._counted(function, points=_points_of(likelihood))
                stack.enter_context(_replaced(likelihood, "_func", counted))
            yield

    def _counted(
        self,
        function: Callable[..., Any],
        of: object | None = None,
        points: Callable[[dict[str, Any]], int] = lambda _: 1,
    ) -> Callable[..., Any]:
        """Wrap a function; calls count if ``of`` is the first argument."""

        # The wrapper keeps the signature, which tells bilby and nbi how to call it.
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            if self._inside or (of is not None and args[0] is not of):
                return function(*args, **kwargs)
            self._inside = True
            start = time.perf_counter()
            n = points(kwargs)
            try:
                if self._sleep:
                    time.sleep(n * self._sleep)
                return function(*args, **kwargs)
            finally:
                self._inside = False
                self.calls += n
                self.seconds += time.perf_counter() - start

        return counted

    @contextmanager
    def shown_in(self, path: Path) -> Iterator[None]:
        """Write the number of calls to a file once a second, for a progress display."""
        ended = threading.Event()

        def write() -> None:
            while not ended.wait(SECONDS_BETWEEN_WRITES):
                path.write_text(str(self.calls), encoding="utf-8")

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _definer(cls: type, name: str) -> type:
    """The class that defines an attribute."""
    return next(each for each in cls.__mro__ if name in vars(each))


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _points_of(likelihood: Likelihood) -> Callable[[dict[str, Any]], int]:
    """Count the points of a call of a model function: parameters of shape (n, 1) are n points."""
    keys = tuple(getattr(likelihood, "function_keys", ()))
    return lambda kwargs: max((np.size(kwargs[key]) for key in keys if key in kwargs), default=1)


def cpu_seconds() -> float:
    """Processor time of this process and of its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MB, including imported packages.

    On Linux it is the kernel's high-water mark, because `getrusage` starts from that of the parent. On
    Windows it is NaN.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    try:
        import resource
    # Windows has no such module.
    except ImportError:
        return math.nan
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
