"""What an engine says while it trains: a bar on a terminal and in notebooks, lines at intervals in a log."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.reports.progress import SECONDS_BETWEEN_LINES, Bar, print_interval

__all__ = ["TrainingProgress"]


class TrainingProgress(Observer):
    """Shows simulations and epochs of a training.

    Parameters
    ----------
    print_method : str or None
        As of the sampler: ``"tqdm"`` for a bar, or lines every 10 s where there is neither a terminal nor a
        notebook; ``"interval-60"`` for lines every 60 s; ``"none"`` or None for silence.
    n_epochs : int
        Most of a training.
    log : callable
        Takes one line of text.
    """

    def __init__(self, print_method: str | None, n_epochs: int, log: Callable[[str], None]) -> None:
        interval = print_interval(print_method)
        self._log = log
        self._n_epochs = n_epochs
        self._interval = SECONDS_BETWEEN_LINES if interval == 0.0 else interval
        self._make_bar = _kind_of_bar() if interval == 0.0 else None
        self._bar: Any = None
        self._start = self._last_line = time.monotonic()
        self._doing, self._n_done, self._n_all, self._note = "", 0, 0, ""

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def begin(self, doing: str, n_all: int) -> None:
        """Begin something that has ``n_all`` steps; shown with the first of them."""
        self._close_bar()
        self._doing, self._n_done, self._n_all, self._note = doing, 0, n_all, ""

    def done(self, n: int) -> None:
        """Count steps that are done."""
        self._n_done += n
        self._show()

    def training_started(self, phase: str) -> None:
        """See `records.Observer`."""
        self.begin("training" if phase == "amortised" else f"{phase}, training", self._n_epochs)
        self._show()

    def epoch_finished(self, epoch: int, training_loss: float, validation_loss: float) -> None:
        """See `records.Observer`."""
        self._note = f"loss {training_loss:.3f}, held out {validation_loss:.3f}"
        self._n_done = epoch + 1
        self._show()

    def drawing_started(self, phase: str, n_draws: int) -> None:
        """See `records.Observer`."""
        self.begin(f"{phase}, simulating", n_draws)

    def drawn(self, n_draws: int) -> None:
        """See `records.Observer`."""
        self.done(n_draws)

    def round_finished(self, record: RoundRecord, effective: float) -> None:
        """See `records.Observer`."""
        self._note = f"efficiency {record.efficiency:.1%}"

    def line(self) -> str:
        """Where the training stands, on one line."""
        steps = f"{self._n_done:,} of {self._n_all:,}"
        parts = [f"nbi {self._doing}", steps, *([self._note] if self._note else [])]
        return " | ".join([*parts, f"{time.monotonic() - self._start:.0f} s"])

    def finish(self, text: str) -> None:
        """End the bar and say what came of it, unless silent."""
        self._close_bar()
        if self._interval is not None:
            self._log(f"nbi: {text}, {time.monotonic() - self._start:.0f} s")

    def close(self) -> None:
        """End the bar for good."""
        self._close_bar()
        self._make_bar = None

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self) -> None:
        if self._make_bar is not None:
            if self._bar is None:
                self._bar = self._make_bar(total=self._n_all, desc=f"nbi {self._doing}", file=sys.stderr)
            self._bar.n = min(self._n_done, self._n_all)
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.refresh()
        elif self._interval is not None and time.monotonic() - self._last_line >= self._interval:
            self._last_line = time.monotonic()
            self._log(self.line())


def _kind_of_bar() -> Callable[..., Any] | None:
    """The bar of a notebook or of a terminal; None where lines are better."""
    if "ipykernel" in sys.modules:
        # tqdm warns where a notebook has no widgets, and takes a bar of text.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm as automatic
        if automatic is not tqdm:
            return automatic
    return Bar if sys.stderr.isatty() else None
