"""Progress of runs in other processes: a bar or lines for current runs, and a line for each finished run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nbi_sampler.reports.progress import Progress

__all__ = ["RunsProgress"]


class RunsProgress(Progress):
    """Current runs and their calls so far: a bar on a terminal, otherwise a line a minute.

    Parameters
    ----------
    n_runs : int
        Number of all runs. Each is any object with a problem, a sampler and a seed.
    """

    def __init__(self, n_runs: int) -> None:
        super().__init__("tqdm", lambda line: print(line, file=sys.stderr, flush=True), seconds_between=60.0)
        self._n_runs, self._n_ended = n_runs, 0
        self._lock = threading.Lock()
        self._running: dict[int, tuple[str, Path, float]] = {}

    @contextmanager
    def running(self, run: Any, calls: Path) -> Iterator[None]:
        """Show a run within the block, with the number of calls in a file."""
        with self._lock:
            self._running[id(run)] = (_name(run), calls, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                del self._running[id(run)]

    def show(self) -> None:
        """Refresh the display."""
        self._show()

    def tell(self, run: Any, message: str) -> None:
        """Print the line of a finished run."""
        self._n_ended += 1
        if self._bar is not None:
            self._bar.clear()
        print(f"[{self._n_ended}/{self._n_runs}] {_name(run)}: {message}", flush=True)

    def line(self) -> str:
        """See `Progress`."""
        return " | ".join([f"{self._n_ended} of {self._n_runs} runs done", *self._under_way()])

    def _on_bar(self) -> tuple[str, int, int, str]:
        return "runs", self._n_ended, self._n_runs, " | ".join(self._under_way())

    def _under_way(self) -> list[str]:
        now = time.monotonic()
        with self._lock:
            return [
                f"{name}: {_number(calls):,} calls, {now - start:.0f} s"
                for name, calls, start in self._running.values()
            ]


def _name(run: Any) -> str:
    slowed = f" (+{1000 * run.sleep:g} ms)" if run.sleep else ""
    return f"{Path(run.problem).stem} {run.sampler} seed {run.seed}{slowed}"


def _number(path: Path) -> int:
    # The file does not exist at first, and is empty while it is written.
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="utf-8"))
    return 0
