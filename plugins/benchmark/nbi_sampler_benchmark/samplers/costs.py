"""Costs of a run with a slower likelihood, and the costs of a call at which samplers are equal.

A run takes its seconds outside of the likelihood plus the seconds of its calls, whose number does not change:

    seconds(t) = overhead + calls * t

Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nbi_sampler_benchmark.runs.records import RunRecord

__all__ = ["CostLine", "Crossover", "cost_line", "crossover", "duration"]


@dataclass(frozen=True)
class CostLine:
    """Seconds as a function of the seconds of a likelihood call.

    Parameters
    ----------
    overhead : float
        Seconds outside of the likelihood.
    calls : float
    """

    overhead: float
    calls: float

    def seconds(self, seconds_per_call: float) -> float:
        """Seconds of a run with this duration of a call."""
        return self.overhead + self.calls * seconds_per_call


@dataclass(frozen=True)
class Crossover:
    """Range of durations of a likelihood call, in seconds, in which one sampler costs less than another.

    Parameters
    ----------
    start, end : float
        Both are equal if there is no such range; ``end`` is infinite if the range has no upper limit.
    """

    start: float
    end: float

    def __str__(self) -> str:
        if not self.start < self.end:
            return "never"
        if self.start > 0:
            return f"from {duration(self.start)} a call"
        return "always" if math.isinf(self.end) else f"up to {duration(self.end)} a call"


def cost_line(runs: Sequence[RunRecord], per_ess: bool = False) -> CostLine:
    """Median cost of a sampler's runs, for a whole run or for one effective sample.

    Parameters
    ----------
    runs : sequence of RunRecord
        Runs of one sampler with different seeds; at least one.
    per_ess : bool
    """
    size = [run.ess if per_ess else 1.0 for run in runs]
    return CostLine(
        overhead=float(np.median([run.overhead / n for run, n in zip(runs, size, strict=True)])),
        calls=float(np.median([run.calls / n for run, n in zip(runs, size, strict=True)])),
    )


def crossover(ours: CostLine, theirs: CostLine) -> Crossover:
    """Find where the first line is below the second.

    Examples
    --------
    >>> str(crossover(CostLine(overhead=30, calls=1e4), CostLine(overhead=10, calls=1e5)))
    'from 222 us a call'
    """
    fewer, more = theirs.calls - ours.calls, ours.overhead - theirs.overhead
    if fewer > 0:
        return Crossover(max(more / fewer, 0.0), math.inf)
    if more >= 0:
        return Crossover(0.0, 0.0)
    return Crossover(0.0, math.inf if fewer == 0 else more / fewer)


def duration(seconds: float) -> str:
    """Format three digits and a unit.

    Examples
    --------
    >>> duration(0.00123)
    '1.23 ms'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"
