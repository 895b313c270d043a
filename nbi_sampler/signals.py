"""Signals during a run: the scheduler's and the user's, sent to a handler and given back afterwards.

bilby's own wrapper leaves its handlers in place when a run raises. Called by the sampler.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["signals_to"]

logger = logging.getLogger(__name__)


@contextmanager
def signals_to(handler: Callable[..., Any]) -> Iterator[None]:
    """Send SIGTERM, SIGINT and SIGALRM to ``handler(number, frame)`` within the block.

    Outside the main thread, where Python allows no handlers, nothing changes.
    """
    before = {}
    try:
        for name in ("SIGTERM", "SIGINT", "SIGALRM"):
            if hasattr(signal, name):
                number = getattr(signal, name)
                before[number] = signal.signal(number, handler)
    except ValueError:
        logger.debug("signals cannot be handled outside the main thread")
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
