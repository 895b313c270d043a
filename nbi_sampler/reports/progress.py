"""What a run says while it works: a bar on a terminal, lines at intervals in a log, a table at its end.

`Progress` is the observer that the sampler hands to the rounds; lines go wherever its ``log`` goes.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.state import State
from nbi_sampler.importance.weights import effective_sample_size

__all__ = ["SECONDS_BETWEEN_LINES", "Bar", "Progress", "SurveyProgress", "print_interval", "table_of_rounds"]


SECONDS_BETWEEN_LINES = 10.0

# A result with less than this share of the effective size before has begun anew, or fallen to a few draws.
FELL = 0.5


def print_interval(print_method: str | None) -> float | None:
    """Seconds between lines that a ``print_method`` asks for: 0 for a bar, None for silence.

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


def table_of_rounds(records: Sequence[RoundRecord]) -> str:
    """Table of a run: a line for each batch of draws and the fit before it."""
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
    return "\n".join(lines)


class Progress(Observer):
    """Shows a run.

    Parameters
    ----------
    print_method : str or None
        ``"tqdm"`` for a bar, or lines every 10 s where standard error is no terminal; ``"interval-60"`` for
        lines every 60 s; ``"none"`` or None for silence.
    n_effective : float
        Asked for.
    log : callable
        Takes one line of text.
    """

    def __init__(self, print_method: str | None, n_effective: float, log: Callable[[str], None]) -> None:
        interval = print_interval(print_method)
        self._log = log
        self._n_effective = n_effective
        self._start = self._last_line = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._phase, self._doing = "prior", ""
        self._n_calls = self._n_unfinished = 0
        self._effective = 0.0
        self._record: RoundRecord | None = None
        self._interval = SECONDS_BETWEEN_LINES if interval == 0.0 else interval
        self._with_bar = interval == 0.0 and sys.stderr.isatty()
        self._bar: Any = None

    def training_started(self, phase: str) -> None:
        """See `records.Observer`."""
        self._phase, self._doing = phase, "training"
        self._show()

    def drawing_started(self, phase: str, n_draws: int) -> None:
        """See `records.Observer`."""
        self._phase, self._doing = phase, f"drawing {n_draws:,}"
        self._n_unfinished = 0
        self._show()

    def drawn(self, n_draws: int) -> None:
        """See `records.Observer`."""
        self._n_unfinished += n_draws
        self._show()

    def round_finished(self, record: RoundRecord, effective: float) -> None:
        """See `records.Observer`."""
        self._phase, self._doing = record.phase, ""
        if effective < FELL * self._effective and self._interval is not None:
            if self._bar is not None:
                self._bar.clear()
            self._log(
                f"nbi: {self._effective:,.0f} effective samples came from proposals that were too thin "
                f"somewhere; their draws teach the next one, and the result goes on with {effective:,.0f}"
            )
        self._record, self._effective = record, effective
        self._n_calls, self._n_unfinished = self._n_calls + record.n_calls, 0
        self._show()
        self._counts[record.phase] += 1

    def line(self) -> str:
        """Where the run stands, on one line."""
        parts = [self._where(), self._calls(), *self._estimates()]
        parts.append(f"{self._effective:,.0f} of {self._n_effective:,.0f} effective")
        return " | ".join([*parts, f"{time.monotonic() - self._start:.0f} s"])

    def go_on(self, state: State) -> None:
        """Count what an earlier process has done."""
        self._counts.update(record.phase for record in state.records)
        self._phase, self._n_calls = state.phase, state.n_calls
        self._effective = effective_sample_size(state.final_log_weights)
        self._record = state.records[-1] if state.records else None

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar, self._with_bar = None, False

    def _where(self) -> str:
        numbered = self._phase in ("rounds", "refinement")
        phase = f"{self._phase} {self._counts[self._phase] + 1}" if numbered else self._phase
        return f"nbi {phase}" + (f", {self._doing}" if self._doing else "")

    def _calls(self) -> str:
        return f"{self._n_calls + self._n_unfinished:,} calls"

    def _estimates(self) -> list[str]:
        record = self._record
        if record is None:
            return []
        evidence = f"log Z = {record.log_evidence:.2f} +- {record.log_evidence_err:.2f}"
        return [f"efficiency {100 * record.efficiency:.1f} %", evidence]

    def _show(self) -> None:
        if self._with_bar:
            # Made when there is something to show, so that no log line is glued to an empty bar.
            self._bar = _bar(self._n_effective) if self._bar is None else self._bar
            self._bar.n = min(round(self._effective), self._bar.total)
            self._bar.set_description_str(self._where(), refresh=False)
            self._bar.set_postfix_str(", ".join([self._calls(), *self._estimates()]), refresh=False)
            self._bar.refresh()
        elif self._interval is not None and time.monotonic() - self._last_line >= self._interval:
            self._last_line = time.monotonic()
            self._log(self.line())


class Bar(tqdm):
    """A bar without tqdm's monitoring thread, which does not go with forked processes."""

    monitor_interval = 0


def _bar(n_effective: float) -> Any:
    layout = "{desc} |{bar:10}| {n:,} of {total:,} effective [{elapsed}{postfix}]"
    return Bar(total=max(round(n_effective), 1), bar_format=layout, dynamic_ncols=True, file=sys.stderr)


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
