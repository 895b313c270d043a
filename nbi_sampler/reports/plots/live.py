"""Plots of a run in progress and at its end; a plot that fails causes only a warning."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.state import State
from nbi_sampler.reports.plots.run import save_figures
from nbi_sampler.reports.plots.view import RunView

if TYPE_CHECKING:
    from bilby.core.result import Result

__all__ = ["LivePlots"]

# After plots that take one second, none follow for this many seconds.
REST = 50.0
# Seconds for predictions of data: during the run, and at its end.
SECONDS = (1.0, 10.0)


class LivePlots(Observer):
    """Draws the plots of a run at intervals.

    Parameters
    ----------
    folder : pathlib.Path
    view_of : callable
        ``(state) -> RunView``.
    figures : callable
        See `run.figures_of`.
    interval : float
        Fewest seconds between plots; infinity means none before the end.
    log : logging.Logger
    formats : sequence of str
        Formats of the files.
    """

    def __init__(
        self,
        folder: Path,
        view_of: Callable[[State], RunView],
        figures: Callable[..., Mapping[str, Callable[[], Any]]],
        interval: float,
        log: logging.Logger,
        formats: Sequence[str] = ("png",),
    ) -> None:
        self._folder = folder
        self._view_of = view_of
        self._figures = figures
        self._interval = interval
        self._log = log
        self._formats = formats
        self._due = time.monotonic() + interval

    def state_changed(self, state: State) -> None:
        """See `records.Observer`."""
        if state.records and time.monotonic() >= self._due:
            before = time.monotonic()
            self._write(lambda: self._view_of(state), SECONDS[0])
            now = time.monotonic()
            self._due = now + max(self._interval, REST * (now - before))

    def finish(self, result: Result) -> None:
        """Draw the finished run."""
        self._write(lambda: RunView.from_result(result), SECONDS[1])

    def _write(self, see: Callable[[], RunView], seconds: float) -> None:
        try:
            view = see()
            makers = self._figures(view, seconds=seconds)
            written = save_figures(makers, self._folder, view.label, self._warn, self._formats)
        # A failed plot must not cost a run.
        except Exception as error:
            self._warn("of the run", error)
            return
        self._log.info(f"nbi: plots are in {', '.join(map(str, written))}")

    def _warn(self, name: str, error: Exception) -> None:
        self._log.warning(f"nbi: no plot {name!r} could be made: {type(error).__name__}: {error}")
