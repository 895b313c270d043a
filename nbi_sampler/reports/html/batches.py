"""Tables of a run: likelihood calls by phase, and every batch of draws."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.reports.html.contents import Contents
from nbi_sampler.reports.html.numbers import Number, count, rounded, share, with_error
from nbi_sampler.reports.plots.style import PHASES

__all__ = ["Batch", "Phase", "batches_of", "phases_of"]

PURPOSES = {
    "model": "draws from a trained model",
    "initial": "draws from a fit to former samples, and from the prior",
    "prior": "draws from the prior",
    "rounds": "training on simulations",
    "refinement": "fitting the proposal to weighted draws",
    "ascent": "ascending to the maximum of the likelihood",
    "mode search": "searching for modes",
    "final": "draws from the best proposal",
}
OTHER = "tests of the model's calls, and steps of an earlier run"


@dataclass(frozen=True)
class Phase:
    """Batches of one phase, with their ``fraction`` of the calls and ``seconds`` for draws and training."""

    name: str
    purpose: str
    colour: str
    n_batches: Number
    n_calls: Number
    fraction: Number
    seconds_calling: Number
    seconds_training: Number


@dataclass(frozen=True)
class Batch:
    """One batch of draws with its number, from 1."""

    number: int
    phase: str
    colour: str
    n_draws: Number
    n_calls: Number
    efficiency: Number
    log_evidence: Number
    error: Number
    pooled: bool


def phases_of(contents: Contents) -> list[Phase]:
    """Return a row for each phase in the order of the run, and one for calls outside of all phases."""
    records = contents.view.records
    if not records:
        return []
    listed = sum(record.n_calls for record in records)
    total = max(_whole(contents.own.get("n_calls")), listed, 1)
    names = dict.fromkeys(record.phase for record in records)
    rows = [_phase(name, [each for each in records if each.phase == name], total) for name in names]
    if total > listed:
        rest = total - listed
        none = rounded(None)
        rows.append(Phase("other", OTHER, "#bbbbbb", none, count(rest), share(rest / total), none, none))
    return rows


def batches_of(contents: Contents) -> list[Batch]:
    """Return a row for each batch."""
    return [
        Batch(
            number,
            record.phase,
            _colour(record.phase),
            count(record.n_draws),
            count(record.n_calls),
            share(record.efficiency),
            *with_error(record.log_evidence, record.log_evidence_err),
            record.pooled,
        )
        for number, record in enumerate(contents.view.records, start=1)
    ]


def _whole(value: float | None) -> int:
    return int(value) if value is not None and math.isfinite(value) else 0


def _phase(name: str, records: list[RoundRecord], total: int) -> Phase:
    n_calls = sum(record.n_calls for record in records)
    calling = sum(record.seconds_simulating for record in records)
    training = sum(record.seconds_training + record.seconds_sampling for record in records)
    return Phase(
        name,
        PURPOSES.get(name, ""),
        _colour(name),
        count(len(records)),
        count(n_calls),
        share(n_calls / total),
        rounded(calling, 2),
        rounded(training, 2),
    )


def _colour(phase: str) -> str:
    from matplotlib.colors import to_hex

    return to_hex(PHASES[phase]) if phase in PHASES else "#bbbbbb"
