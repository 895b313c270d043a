"""What is shown while runs go on in other processes: a line that is refreshed, and one for each that ends.

Used by `runner.py`; a run is anything with a problem, a sampler and a seed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["Board"]

SECONDS_BETWEEN_LINES = 60.0


class Board:
    """Shows the runs under way and their calls so far: refreshed on a terminal, else once a minute.

    Parameters
    ----------
    n_runs : int
        How many there are to be.
    """

    def __init__(self, n_runs: int) -> None:
        self._n_runs, self._n_ended = n_runs, 0
        self._lock = threading.Lock()
        self._running: dict[int, tuple[str, Path, float]] = {}
        self._terminal = sys.stderr.isatty()
        self._last_line = time.monotonic()

    @contextmanager
    def running(self, run: Any, calls: Path) -> Iterator[None]:
        """Show a run within the block, with the number that is in the file."""
        with self._lock:
            self._running[id(run)] = (_name(run), calls, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                del self._running[id(run)]

    def show(self) -> None:
        """Refresh the line."""
        if self._terminal:
            print(f"\r\033[K{self.line()}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES and self._running:
            self._last_line = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def tell(self, run: Any, message: str) -> None:
        """Print the line of a run that has ended."""
        self._n_ended += 1
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print(f"[{self._n_ended}/{self._n_runs}] {_name(run)}: {message}", flush=True)

    def line(self) -> str:
        """Runs under way."""
        now = time.monotonic()
        with self._lock:
            parts = [
                f"{name}: {_number(calls):,} calls, {now - start:.0f} s"
                for name, calls, start in self._running.values()
            ]
        return f"{self._n_ended} of {self._n_runs} runs done" + "".join(f" | {part}" for part in parts)


def _name(run: Any) -> str:
    slowed = f" (+{1000 * run.sleep:g} ms)" if run.sleep else ""
    return f"{Path(run.problem).stem} {run.sampler} seed {run.seed}{slowed}"


def _number(path: Path) -> int:
    # The file is not there at first, and empty while it is written.
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return 0
