"""Progress of a run: its stage in plain words, the finished share of the stage, and the time left."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.algorithm.state import State
from nbi_sampler.importance.weights import effective_sample_size
from nbi_sampler.reports.outlook import STAGES, Outlook, Pace, duration, outlook
from nbi_sampler.reports.progress import Progress

__all__ = ["RunProgress"]

# Phases in which a fit precedes each batch, and the name of such a fit.
FITS = {"rounds": "round", "refinement": "fit"}
# Reasons why no draw counts yet, by stage.
NONE_COUNTS = {
    1: "draws so far train the proposal and do not count",
    2: "draws count once the proposal fits the posterior",
    3: "the result starts again",
}


class RunProgress(Progress):
    """Progress of a run towards ``n_effective`` effective samples.

    Parameters
    ----------
    print_method, log
        See `Progress`.
    n_effective : float
    n_epochs : int, optional
        Most epochs of a fit, which give a first estimate of its duration.
    """

    _layout = "{desc}|{bar:10}| {n:.0f} % [{elapsed}{postfix}]"

    def __init__(
        self,
        print_method: str | None,
        n_effective: float,
        log: Callable[[str], None],
        n_epochs: int | None = None,
    ) -> None:
        super().__init__(print_method, log)
        self._n_effective, self._n_epochs = n_effective, n_epochs
        self._records: list[RoundRecord] = []
        self._counts: Counter[str] = Counter()
        self._phase, self._is_fitting, self._epoch = "prior", False, 0
        self._n_calls = self._n_batch = self._n_unfinished = 0
        self._effective = self._share = 0.0
        self._power: float | None = None
        self._began = self._stage_began = self._start

    def training_started(self, phase: str) -> None:
        """See `records.Observer`."""
        self._enter(phase, is_fitting=True)
        self._show()

    def epoch_finished(self, epoch: int, training_loss: float, validation_loss: float) -> None:
        """See `records.Observer`."""
        self._epoch = epoch + 1
        self._show()

    def walked(self, power: float) -> None:
        """See `records.Observer`."""
        self._power = power
        self._show()

    def drawing_started(self, phase: str, n_draws: int) -> None:
        """See `records.Observer`."""
        self._enter(phase, is_fitting=False)
        self._n_batch = n_draws
        self._show()

    def drawn(self, n_draws: int) -> None:
        """See `records.Observer`."""
        self._n_unfinished += n_draws
        self._show()

    def round_finished(self, record: RoundRecord, effective: float) -> None:
        """See `records.Observer`."""
        # The result has restarted, or has lost most of its draws.
        if effective < 0.5 * self._effective:
            self.say(
                f"nbi: {self._effective:,.0f} effective samples came from proposals that were too thin "
                f"somewhere; their draws train the next one, and the result continues with {effective:,.0f}"
            )
        self._records.append(record)
        self._counts[record.phase] += 1
        self._effective, self._n_calls = effective, self._n_calls + record.n_calls
        self._enter(record.phase, is_fitting=False)
        self._show()

    def go_on(self, state: State) -> None:
        """Count the work of an earlier process."""
        self._records = list(state.records)
        self._counts.update(record.phase for record in state.records)
        self._n_calls = state.n_calls
        self._effective = effective_sample_size(state.final_log_weights)
        if state.phase in STAGES:
            self._phase = state.phase

    def line(self) -> str:
        """See `Progress`."""
        left, share = self._left_and_share()
        done = f"{share:.0%} of this stage".replace("%", " %")
        taken = f"{self._seconds()} so far, {self._time_left(left)}"
        return " | ".join([self._where(), done, *self._found(), self._counted(), taken])

    def _on_bar(self) -> tuple[str, int, int, str]:
        left, share = self._left_and_share()
        note = ", ".join([self._time_left(left), self._counted(), *self._found()])
        return self._where(), round(100.0 * share), 100, note

    def _enter(self, phase: str, *, is_fitting: bool) -> None:
        now = time.monotonic()
        if STAGES[phase][0] != STAGES[self._phase][0]:
            self._stage_began, self._share = now, 0.0
        self._phase, self._is_fitting, self._began = phase, is_fitting, now
        self._epoch = self._n_batch = self._n_unfinished = 0
        self._power = None

    def _outlook(self) -> Outlook:
        elapsed = time.monotonic() - self._began
        fit = draw = math.nan
        # The time of walkers tells nothing of that of the epochs after them.
        if self._epoch and self._n_epochs and self._power is None:
            fit = elapsed * max(self._n_epochs / self._epoch, 1.0)
        if self._n_unfinished:
            draw = elapsed / self._n_unfinished
        return outlook(self._records, self._phase, self._effective, self._n_effective, Pace(fit, draw))

    def _left_and_share(self) -> tuple[tuple[float, str], float]:
        """Seconds left with the reason for the estimate, and the finished share of the stage."""
        look, elapsed = self._outlook(), time.monotonic() - self._began
        n_missing = max(self._n_batch - self._n_unfinished, 0)
        if self._phase in FITS:
            # A fit or a batch that takes longer than expected is assumed to end soon.
            done = min(elapsed, look.pace.fit) if self._is_fitting else look.seconds_of_fit
            moved = -done + (0.0 if self._is_fitting else n_missing * look.pace.draw)
        elif self._phase == "final":
            moved = -self._n_unfinished * look.pace.draw if self._n_unfinished else 0.0
        else:
            moved = n_missing * look.pace.draw if n_missing else 0.0
        left = max(look.seconds + moved, 0.0)
        of_stage = max(look.seconds_of_stage + moved, 0.0)
        if STAGES[self._phase][0] == 3:
            share = self._effective / self._n_effective
        else:
            taken = time.monotonic() - self._stage_began
            share = taken / (taken + of_stage) if taken + of_stage > 0.0 else 0.0
        # If the estimate grows, the finished share does not shrink.
        self._share = min(max(self._share, share if math.isfinite(share) else 0.0), 1.0)
        return (left, look.reason), self._share

    def _time_left(self, left: tuple[float, str]) -> str:
        seconds, reason = left
        if not math.isfinite(seconds):
            return "time left is known after the first fit"
        if not reason:
            return "nearly done"
        return f"about {duration(max(seconds, 1.0))} left ({reason})"

    def _where(self) -> str:
        number, words = STAGES[self._phase]
        text = f"nbi {number}/3 {words}"
        if self._phase in FITS:
            n_done = self._counts[self._phase]
            n_all = n_done + max(self._outlook().n_fits, 1)
            text += f", {FITS[self._phase]} {n_done + 1} of about {n_all}"
        if self._is_fitting:
            if self._power is not None and not self._epoch:
                return f"{text}: exploring an approximate likelihood, at its power {self._power:.2f}"
            # Fits to walkers have another limit.
            limited = self._n_epochs and self._epoch <= self._n_epochs and self._power is None
            most = f" of {self._n_epochs} at most" if limited else ""
            return f"{text}: training" + (f", epoch {self._epoch}{most}" if self._epoch else "")
        if self._n_batch:
            return f"{text}: {self._n_unfinished:,} of {self._n_batch:,} draws evaluated"
        return text

    def _counted(self) -> str:
        counted = f"{self._effective:,.0f} of {self._n_effective:,.0f} effective"
        return counted if self._effective else f"{counted}: {NONE_COUNTS[STAGES[self._phase][0]]}"

    def _found(self) -> list[str]:
        calls = f"{self._n_calls + self._n_unfinished:,} calls"
        if not self._records:
            return [calls]
        record = self._records[-1]
        found = [calls, f"efficiency {100 * record.efficiency:.1f} %"]
        # Before the proposal has found the posterior, log Z is wrong by thousands.
        if STAGES[self._phase][0] > 1:
            found.append(f"log Z = {record.log_evidence:.2f} +- {record.log_evidence_err:.2f}")
        return found
