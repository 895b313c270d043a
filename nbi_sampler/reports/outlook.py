"""Outlook of a run from its records: how far it is and how long it still takes. It does not affect the run.

A run is reported in three stages: it learns where the posterior is, refines the proposal, and draws the
result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.core.config import OUTLOOK

__all__ = ["STAGES", "Outlook", "Pace", "duration", "outlook"]

# Stage of each phase, and what is done in it.
STAGES = {
    "model": (1, "starting from the trained model"),
    "initial": (1, "starting from former samples"),
    "prior": (1, "exploring the prior"),
    "rounds": (1, "learning from simulations"),
    "refinement": (2, "refining the proposal"),
    "ascent": (2, "following the likelihood upwards"),
    "mode search": (2, "searching for modes"),
    "final": (3, "drawing the result"),
}


class Pace(NamedTuple):
    """Seconds of a fit and of one draw; NaN if none has been made yet."""

    fit: float = math.nan
    draw: float = math.nan

    @classmethod
    def of(cls, records: Sequence[RoundRecord]) -> Pace:
        """Mean pace of the last fits, and of the draws in the last batches."""
        fits = [record.seconds_training for record in records if record.seconds_training > 0.0]
        fits = fits[-OUTLOOK.n_batches :]
        last = records[-OUTLOOK.n_batches :]
        seconds = sum(record.seconds_simulating + record.seconds_sampling for record in last)
        n_draws = sum(record.n_draws for record in last)
        return cls(sum(fits) / len(fits) if fits else math.nan, seconds / n_draws if n_draws else math.nan)

    def or_else(self, other: Pace) -> Pace:
        """Replace unknown values by those of another pace."""
        return Pace(*(own if math.isfinite(own) else its for own, its in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Outlook:
    """Remaining work of a run.

    Attributes
    ----------
    n_fits, n_fits_later : int
        Fits in the current stage, including the current one, and in later stages.
    n_drawn_with_fits : int
        Draws that test each fit.
    n_draws : int
        Draws of the result after the last fit.
    pace : Pace
    """

    n_fits: int
    n_fits_later: int
    n_drawn_with_fits: int
    n_draws: int
    pace: Pace

    @property
    def seconds_of_fit(self) -> float:
        """Seconds of one fit and of the batch that tests it; NaN if unknown."""
        return self.pace.fit + self.n_drawn_with_fits * self.pace.draw

    @property
    def seconds_of_stage(self) -> float:
        """Seconds of the current stage; NaN if unknown."""
        if self.n_fits:
            return self.n_fits * self.seconds_of_fit
        return self.n_draws * self.pace.draw

    @property
    def seconds(self) -> float:
        """Seconds of all remaining work; NaN if unknown."""
        n_fits = self.n_fits + self.n_fits_later
        fits = n_fits * self.seconds_of_fit if n_fits else 0.0
        return fits + self.n_draws * self.pace.draw

    @property
    def reason(self) -> str:
        """Describe the work on which the estimate rests."""
        n_fits = self.n_fits + self.n_fits_later
        parts = []
        if n_fits:
            parts.append(f"{n_fits} fit{'s' * (n_fits > 1)} of {duration(self.seconds_of_fit)}")
        if self.n_draws and not self.n_draws * self.pace.draw < OUTLOOK.least_told * self.seconds:
            parts.append(f"{self.n_draws:,} draws of {duration(self.pace.draw)}")
        return " and ".join(parts)


def outlook(
    records: Sequence[RoundRecord],
    phase: str,
    effective: float,
    n_effective: float,
    pace: Pace | None = None,
) -> Outlook:
    """Estimate the remaining work of a run.

    Parameters
    ----------
    records : sequence of RoundRecord
    phase : str
        The current phase.
    effective, n_effective : float
        Effective samples of the result so far, and the required number.
    pace : Pace, optional
        Pace of the current step, for values that are not in the records.
    """
    n_fits, n_later = _fits(records, phase)
    learning = [record for record in records if record.phase != "final"]
    batch = learning[-1].n_draws if learning else 0
    efficiency = OUTLOOK.usual_efficiency
    if records and records[-1].exponent == 1.0 and records[-1].phase not in ("prior", "model", "initial"):
        efficiency = max(records[-1].efficiency, efficiency if n_fits + n_later else OUTLOOK.least_efficiency)
    n_draws = max(n_effective - effective, 0.0) / efficiency
    # The last fits of the refinement aim at the posterior itself, and their draws count.
    n_counting = min(n_fits if STAGES[phase][0] == 2 else n_later, OUTLOOK.refinements - 1)
    n_draws = max(n_draws - n_counting * batch, 0.0)
    return Outlook(n_fits, n_later, batch, math.ceil(n_draws), Pace.of(records).or_else(pace or Pace()))


def duration(seconds: float) -> str:
    """Format a time for people; NaN is an unknown time.

    Examples
    --------
    >>> [duration(s) for s in (3e-6, 0.0042, 0.8, 7.3, 48.0, 312.0, 8_000.0, 300_000.0)]
    ['3 µs', '4 ms', '0.8 s', '7 s', '50 s', '5 min', '2.2 h', '3.5 d']
    """
    if math.isnan(seconds):
        return "unknown length"
    if seconds < 1e-3:
        return f"{1e6 * seconds:.0f} µs"
    if seconds < 0.1:
        return f"{1e3 * seconds:.0f} ms"
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    if seconds < 10.0:
        return f"{seconds:.0f} s"
    if seconds < 90.0:
        return f"{round(seconds, -1):.0f} s"
    if seconds < 5400.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h" if seconds < 172_800.0 else f"{seconds / 86_400.0:.1f} d"


def _fits(records: Sequence[RoundRecord], phase: str) -> tuple[int, int]:
    """Fits that remain in the stage of a phase, including the current one, and in later stages."""
    number, _ = STAGES[phase]
    n_rounds = sum(record.phase == "rounds" for record in records)
    refinements = [record for record in records if record.phase == "refinement"]
    if number == 1:
        return max(OUTLOOK.rounds - n_rounds, 1), OUTLOOK.refinements
    if number == 3:
        return 0, 0
    if not refinements:
        return OUTLOOK.refinements + (0 if n_rounds else OUTLOOK.tempered), 0
    exponent = refinements[-1].exponent
    if exponent == 1.0:
        n_done = sum(record.exponent == 1.0 for record in refinements)
        return max(OUTLOOK.refinements - n_done, 1 + (refinements[-1].efficiency < OUTLOOK.nearly)), 0
    former = refinements[-2].exponent if len(refinements) > 1 else 0.0
    growth = exponent / former if 0.0 < former < exponent else OUTLOOK.growth
    steps = math.ceil(-math.log(exponent) / math.log(max(growth, OUTLOOK.least_growth)))
    return min(steps, OUTLOOK.most_steps) + OUTLOOK.refinements - 1, 0
