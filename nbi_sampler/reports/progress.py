"""Progress of a survey or a training: a bar, or lines in a log; and the table of rounds of a finished run.

`Progress` handles bars, intervals and silence; a subclass describes the progress.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

from nbi_sampler.algorithm.records import Observer, RoundRecord

__all__ = [
    "Progress",
    "SurveyProgress",
    "TrainingProgress",
    "print_interval",
    "table_of_rounds",
]

Own = TypeVar("Own", bound="Progress")

SECONDS_BETWEEN_LINES = 10.0


def print_interval(print_method: str | None) -> float | None:
    """Seconds between the lines that a ``print_method`` requests: 0 for a bar, None for silence.

    Raises
    ------
    ValueError
        For anything but ``"tqdm"``, ``"interval-SECONDS"``, ``"none"`` and None.

    Examples
    --------
    >>> print_interval("interval-60")
    60.0
    """
    if print_method is None or print_method == "none":
        return None
    if print_method == "tqdm":
        return 0.0
    kind, _, seconds = str(print_method).partition("-")
    try:
        interval = float(seconds) if kind == "interval" else 0.0
    except ValueError:
        interval = 0.0
    if interval > 0.0:
        return interval
    raise ValueError(
        f"print_method: expected 'tqdm', 'interval-SECONDS' such as 'interval-60', 'none' or None, got "
        f"{print_method!r}"
    )


def table_of_rounds(records: Sequence[RoundRecord], seconds_in_all: float | None = None) -> str:
    """Table of a run: a line for each batch of draws and its fit, and a line for their sum.

    Parameters
    ----------
    records : sequence of RoundRecord
    seconds_in_all : float, optional
        Sampling time of the run. It adds a line that shows how much of it belongs to no batch.
    """
    seconds = ("simulating", "training", "sampling")
    lines = [
        f"{'phase':<12s}{'draws':>9s}{'efficiency':>12s}{'log evidence':>24s}"
        + "".join(f"{name + ' / s':>16s}" for name in seconds)
    ]
    for record in records:
        evidence = f"{record.log_evidence:.3f} +- {record.log_evidence_err:.3f}"
        lines.append(
            f"{record.phase:<12s}{record.n_draws:>9,d}{record.efficiency:>11.1%} {evidence:>24s}"
            + "".join(f"{getattr(record, f'seconds_{name}'):>16.1f}" for name in seconds)
        )
    sums = [sum(getattr(record, f"seconds_{name}") for record in records) for name in seconds]
    n_draws = sum(record.n_draws for record in records)
    lines.append(f"{'in all':<12s}{n_draws:>9,d}{'':36s}" + "".join(f"{each:>16.1f}" for each in sums))
    if seconds_in_all is not None:
        other = max(seconds_in_all - sum(sums), 0.0)
        lines.append(
            f"Sampling time {seconds_in_all:.1f} s: {sum(sums):.1f} s in the batches above, {other:.1f} s "
            "between them (start, checkpoints, checks of the result)"
        )
    return "\n".join(lines)


class Progress(Observer):
    """A bar on a terminal or in a notebook, lines at intervals otherwise, or silence.

    A subclass defines `line` and `_on_bar`, and calls `_show` after each change.

    Parameters
    ----------
    print_method : str or None
        ``"tqdm"`` for a bar, or for lines every 10 s without a terminal or a notebook; ``"interval-60"`` for
        lines every 60 s; ``"none"`` or None for silence.
    log : callable
        Function that takes one line of text.
    seconds_between : float, optional
        Replaces the 10 s.
    """

    _layout: str | None = None

    def __init__(
        self, print_method: str | None, log: Callable[[str], None], seconds_between: float | None = None
    ) -> None:
        interval = print_interval(print_method)
        self._log = log
        self._interval = (seconds_between or SECONDS_BETWEEN_LINES) if interval == 0.0 else interval
        self._make_bar = _kind_of_bar() if interval == 0.0 else None
        self._bar: Any = None
        self._start = self._last_line = time.monotonic()

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def line(self) -> str:
        """The whole progress on one line."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Log a line beside the bar, unless silent."""
        if self._interval is not None:
            if self._bar is not None:
                self._bar.clear()
            self._log(text)

    def close(self) -> None:
        """End the bar."""
        self._end_bar()
        self._make_bar = None

    def _on_bar(self) -> tuple[str, int, int | None, str]:
        """Return description, steps done, total steps if they are known, and a note."""
        raise NotImplementedError

    def _show(self) -> None:
        if self._make_bar is not None:
            text, n_done, n_all, note = self._on_bar()
            if self._bar is None:
                # The bar is made when there is something to show, so that no log line follows an empty bar.
                kind: dict[str, Any] = dict(dynamic_ncols=True, file=sys.stderr)
                layout = self._layout
                if layout is not None and not issubclass(self._make_bar, _Bar):
                    # The bar of a notebook uses the available width.
                    layout = layout.replace("{bar:10}", "{bar}")
                self._bar = self._make_bar(total=n_all, initial=n_done, desc=text, bar_format=layout, **kind)
            self._bar.n = n_done if n_all is None else min(n_done, n_all)
            self._bar.set_description(text, refresh=False)
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.refresh()
        elif self._interval is not None and time.monotonic() - self._last_line >= self._interval:
            self._last_line = time.monotonic()
            self._log(self.line())

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._start:.0f} s"


class SurveyProgress(Progress):
    """Targets of a survey, counted by status; an earlier process did ``n_before`` of them."""

    def __init__(
        self, print_method: str | None, n_targets: int | None, n_before: int, log: Callable[[str], None]
    ) -> None:
        super().__init__(print_method, log)
        self._n_targets, self._n_done = n_targets, n_before
        self._counts: Counter[str] = Counter()

    def done(self, status: str) -> None:
        """Count one more target in the table."""
        self._n_done += 1
        self._counts[status] += 1
        self._show()

    def line(self) -> str:
        """See `Progress`."""
        total = "" if self._n_targets is None else f" of {self._n_targets:,}"
        return f"nbi survey: {self._n_done:,}{total} targets | {self._by_status()} | {self._seconds()}"

    def _on_bar(self) -> tuple[str, int, int | None, str]:
        return "nbi survey, targets", self._n_done, self._n_targets, self._by_status()

    def _by_status(self) -> str:
        return ", ".join(f"{count:,} {status}" for status, count in self._counts.most_common()) or "none new"


class TrainingProgress(Progress):
    """Simulations and epochs, at most ``n_epochs``, of the training of an engine."""

    def __init__(self, print_method: str | None, n_epochs: int, log: Callable[[str], None]) -> None:
        super().__init__(print_method, log)
        self._n_epochs = n_epochs
        self._doing, self._n_done, self._n_all, self._note = "", 0, 0, ""

    def begin(self, doing: str, n_all: int) -> None:
        """Begin a task with ``n_all`` steps, which is shown after its first step."""
        self._end_bar()
        self._doing, self._n_done, self._n_all, self._note = doing, 0, n_all, ""

    def done(self, n: int) -> None:
        """Count finished steps."""
        self._n_done += n
        self._show()

    def finish(self, text: str) -> None:
        """End the bar and log the outcome, unless silent."""
        self._end_bar()
        self.say(f"nbi: {text}, {self._seconds()}")

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
        """See `Progress`."""
        steps = f"{self._n_done:,} of {self._n_all:,}"
        note = [self._note] if self._note else []
        return " | ".join([f"nbi {self._doing}", steps, *note, self._seconds()])

    def _on_bar(self) -> tuple[str, int, int, str]:
        return f"nbi {self._doing}", self._n_done, self._n_all, self._note


class _Bar(tqdm):
    """A bar without tqdm's monitoring thread, which is not compatible with forked processes."""

    monitor_interval = 0


def _kind_of_bar() -> type[Any] | None:
    """Return a bar for a notebook or a terminal; None if lines are better."""
    if "ipykernel" in sys.modules:
        # tqdm warns if a notebook has no widgets, and uses a text bar.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm as automatic
            from tqdm.notebook import tqdm as of_notebooks
        if issubclass(automatic, of_notebooks):
            return type("_NotebookBar", (automatic,), {"monitor_interval": 0})
        return _Bar
    return _Bar if sys.stderr.isatty() else None
