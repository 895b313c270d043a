"""Signals during a run, which are held until the run can stop; the former handlers are restored afterwards.

Nothing is raised inside the user's code, because a bare ``except`` would swallow it and turn the interrupted
call into a likelihood of zero. bilby's own wrapper does raise there, and leaves its handlers installed after
an error.
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

# If the run has not checked for signals for this many seconds, it is assumed to be in a long call.
LONG_CALL = 1.0
# A signal counts as a second one after this many seconds. Terminals and schedulers often send two at once.
SECOND_SIGNAL = 1.0


class SignalsTo:
    """Passes SIGTERM, SIGINT and SIGALRM to ``leave(number, frame)`` when the run calls `check`.

    On Windows this includes SIGBREAK, which replaces SIGTERM there.

    The first signal is held until then; if the run is in a long call, ``save()`` is called at once. A second
    signal calls ``leave`` at once, inside the running code. If that code swallows the exception of ``leave``,
    `check` raises it again. A third signal ends the process.

    Outside the main thread, Python allows no handlers, and nothing changes.

    Parameters
    ----------
    leave : callable
        It raises `SystemExit`.
    save : callable, optional
        It does not raise.
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
        """Leave if a signal has arrived."""
        if self._exit is not None:
            raise self._exit
        self._looked = time.monotonic()
        if self._number is not None:
            self._go(None)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold second signals too until the end of this block, for actions that must not be interrupted.

        A signal mask would not suffice: Python runs handlers in the main thread, whichever thread gets the
        signal.
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
            # This process was forked by the user's code, and does not check for signals.
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
