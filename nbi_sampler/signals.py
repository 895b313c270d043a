"""Signals during a run: the scheduler's and the user's, sent to a handler and given back afterwards.

bilby's own wrapper leaves its handlers in place when a run raises. Called by the sampler.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["SignalsTo"]

logger = logging.getLogger(__name__)


class SignalsTo:
    """Sends SIGTERM, SIGINT and SIGALRM to ``handler(number, frame)`` within its block.

    Outside the main thread, where Python allows no handlers, nothing changes.

    Parameters
    ----------
    handler : callable
    """

    def __init__(self, handler: Callable[..., Any]) -> None:
        self._handler = handler
        self._before: dict[int, Any] = {}
        self._held = False
        self._waiting: tuple[int, Any] | None = None

    def __enter__(self) -> SignalsTo:
        try:
            for name in ("SIGTERM", "SIGINT", "SIGALRM"):
                if hasattr(signal, name):
                    number = getattr(signal, name)
                    self._before[number] = signal.signal(number, self._received)
        except ValueError:
            logger.debug("signals cannot be handled outside the main thread")
        return self

    def __exit__(self, *exception: object) -> None:
        for number, former in self._before.items():
            signal.signal(number, former)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let signals wait to the end of this block, for what must not be done by halves or twice.

        Not by a mask: Python runs handlers in the main thread whichever thread of the process was sent to.
        """
        if self._held:
            yield
            return
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._waiting is not None:
                waiting, self._waiting = self._waiting, None
                self._handler(*waiting)

    def _received(self, number: int, frame: Any) -> None:
        if self._held:
            self._waiting = (number, frame)
        else:
            self._handler(number, frame)
