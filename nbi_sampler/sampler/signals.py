"""Signals during a run, kept until the run is at a place where it can stop, and given back afterwards.

Nothing is raised inside the user's code, where a bare ``except`` would swallow it and make of the interrupted
call a likelihood of zero. bilby's own wrapper raises there, and leaves its handlers in place when a run does.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["SignalsTo"]

logger = logging.getLogger(__name__)

# Seconds without a look at the signals, after which the run is taken to be in a long call.
LONG_CALL = 1.0
# Seconds after which a signal is a second one. Terminals and schedulers often send one twice at once.
SECOND_SIGNAL = 1.0


class SignalsTo:
    """Hands SIGTERM, SIGINT and SIGALRM to ``leave(number, frame)`` where the run looks at them: in `check`.

    On Windows SIGBREAK too, which is sent there where other systems send SIGTERM.

    The first is kept until then; where the run is in a long call, ``save()`` is called at once. A second one
    goes to ``leave`` at once, within whatever is running. Where that swallows what ``leave`` raises, `check`
    raises it again, and a third signal ends the process.

    Outside the main thread, where Python allows no handlers, nothing changes.

    Parameters
    ----------
    leave : callable
        Raises `SystemExit`.
    save : callable, optional
        Raises nothing.
    """

    def __init__(self, leave: Callable[..., Any], save: Callable[[], Any] | None = None) -> None:
        self._leave = leave
        self._save = save
        self._process = os.getpid()
        self._before: dict[int, Any] = {}
        self._held = False
        self._number: int | None = None
        self._since = self._looked = time.monotonic()
        self._insisted = False
        self._exit: BaseException | None = None

    def __enter__(self) -> SignalsTo:
        try:
            for name in ("SIGTERM", "SIGINT", "SIGALRM", "SIGBREAK"):
                if hasattr(signal, name):
                    number = getattr(signal, name)
                    self._before[number] = signal.signal(number, self._received)
        except ValueError:
            logger.debug("signals cannot be handled outside the main thread")
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        for number, former in self._before.items():
            signal.signal(number, former)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Leave, if a signal has come."""
        if self._exit is not None:
            raise self._exit
        self._looked = time.monotonic()
        if self._number is not None:
            self._go(None)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let second signals, too, wait to the end of this block: for what must not be done by halves.

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
            if self._insisted:
                self._go(None)

    def _received(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if os.getpid() != self._process:
            # Forked by the user's code: nobody looks at signals there.
            self._leave(number, frame)
        elif self._exit is not None and not self._held:
            code = getattr(self._exit, "code", 1)
            os._exit(code if isinstance(code, int) else 1)
        elif self._number is None:
            self._number, self._since = number, now
            if self._save is not None and not self._held and now - self._looked > LONG_CALL:
                self._save()
        elif now - self._since > SECOND_SIGNAL:
            self._insisted = True
            if not self._held:
                self._go(frame)

    def _go(self, frame: Any) -> None:
        number, self._number, self._insisted = self._number, None, False
        try:
            self._leave(number, frame)
        except BaseException as error:
            self._exit = error
            raise
