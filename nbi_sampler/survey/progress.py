"""What a survey says while it works: a bar on a terminal, lines at intervals in a log.

The counterpart of a run's `nbi_sampler.reporting.progress`, with targets instead of effective samples.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from nbi_sampler.reporting.progress import SECONDS_BETWEEN_LINES, Bar, print_interval

__all__ = ["SurveyProgress"]


class SurveyProgress:
    """Counts targets by their status.

    Parameters
    ----------
    print_method : str or None
        As for a run.
    n_targets : int, optional
        Where that is known.
    n_before : int
        Targets that an earlier process has done.
    log : callable
        Takes one line of text.
    """

    def __init__(
        self, print_method: str | None, n_targets: int | None, n_before: int, log: Callable[[str], None]
    ) -> None:
        interval = print_interval(print_method)
        self._n_targets, self._n_done = n_targets, n_before
        self._log = log
        self._counts: Counter[str] = Counter()
        self._start = self._last_line = time.monotonic()
        self._interval = SECONDS_BETWEEN_LINES if interval == 0.0 else interval
        self._with_bar = interval == 0.0 and sys.stderr.isatty()
        self._bar: Any = None

    def done(self, status: str) -> None:
        """One more target is in the table."""
        self._n_done += 1
        self._counts[status] += 1
        if self._with_bar:
            if self._bar is None:
                self._bar = Bar(
                    total=self._n_targets,
                    initial=self._n_done - 1,
                    unit=" targets",
                    dynamic_ncols=True,
                    desc="nbi survey",
                )
            self._bar.set_postfix_str(self._by_status(), refresh=False)
            self._bar.update()
        elif self._interval is not None and time.monotonic() - self._last_line >= self._interval:
            self._last_line = time.monotonic()
            self._log(self.line())

    def line(self) -> str:
        """Where the survey stands, on one line."""
        total = "" if self._n_targets is None else f" of {self._n_targets:,}"
        seconds = time.monotonic() - self._start
        return f"nbi survey: {self._n_done:,}{total} targets | {self._by_status()} | {seconds:.0f} s"

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()

    def _by_status(self) -> str:
        return ", ".join(f"{count:,} {status}" for status, count in self._counts.most_common()) or "none new"
