"""Course of a run, batch by batch: efficiency, evidence and the losses of the fits, out of its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.importance.weights import Evidence
from nbi_sampler.reports.plots.axis_scale import AxisScale
from nbi_sampler.reports.plots.style import COLOURS, MOST_COLUMNS, PHASES, compact, head, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_efficiency", "draw_evidence", "draw_losses", "label_batches"]

MOST_TICKS = 9
# Nats about the loss that was kept within which the axis is linear: the gap to the training loss shows.
LOSS_WIDTH = 0.3


def label_batches(axis: Axes, records: Sequence[RoundRecord]) -> None:
    """Put the calls so far below the batches, as many as fit."""
    calls = np.cumsum([record.n_calls for record in records])
    step = -(-len(records) // MOST_TICKS)
    # Counted from the last, which is always named.
    shown = np.arange(len(records) - 1, -1, -step)[::-1]
    axis.set_xticks(shown, [compact(calls[i]) for i in shown])
    axis.set_xlim(-0.6, len(records) - 0.4)
    axis.set_xlabel("batches of draws, labelled with the likelihood calls so far")


def draw_efficiency(axis: Axes, records: Sequence[RoundRecord], most_columns: int = MOST_COLUMNS) -> None:
    """Share of effective draws of every batch, and how far the proposal's target was tempered."""
    fits = [(i, record.exponent) for i, record in enumerate(records) if record.phase == "refinement"]
    if any(exponent < 1.0 for _, exponent in fits):
        steps: dict[str, Any] = dict(where="mid", color="0.5", linestyle="--", lw=1, label="tempering")
        axis.step(*zip(*fits, strict=True), **steps)
    axis.plot([record.efficiency for record in records], color="0.8", lw=1, zorder=1)
    for phase, (colour, marker) in PHASES.items():
        for pooled in (False, True):
            points = [
                (i, r.efficiency) for i, r in enumerate(records) if (r.phase, r.pooled) == (phase, pooled)
            ]
            if points:
                face = colour if pooled else "white"
                axis.plot(*zip(*points, strict=True), marker, color=colour, mfc=face, ms=5.5)
    axis.set(ylim=(-0.04, 1.04), ylabel="effective draws / draws")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    label_batches(axis, records)
    _add_key(axis, records)
    head(axis, "Efficiency of each proposal", most_columns=most_columns, columnspacing=0.9, handletextpad=0.1)


def draw_evidence(axis: Axes, records: Sequence[RoundRecord], result: Evidence) -> None:
    """Evidence from every batch by itself with its error, and that of the result, on a stretched axis."""
    finite = [record for record in records if np.isfinite(record.log_evidence)]
    title = "Evidence from each batch"
    if not finite or not np.isfinite(result.log_evidence):
        head(axis, title)
        say(axis, "no finite likelihood, no evidence")
        return
    for i, record in enumerate(records):
        colour, marker = PHASES[record.phase]
        if np.isfinite(record.log_evidence):
            axis.errorbar(
                i,
                record.log_evidence,
                record.log_evidence_err,
                fmt=marker,
                color=colour,
                mfc=colour if record.pooled else "white",
                ms=5.5,
                capsize=2,
            )
        else:
            axis.plot(i, 0.03, "v", color=colour, transform=axis.get_xaxis_transform(), clip_on=False)
    value, error = result
    axis.axhspan(value - error, value + error, color=COLOURS[5], alpha=0.35, lw=0, label="its error")
    axis.axhline(value, color=COLOURS[0], lw=1, label="result")
    errors = [record.log_evidence_err for record in finite]
    ends = [record.log_evidence + sign * record.log_evidence_err for record in finite for sign in (-1, 1)]
    AxisScale.about(value, 2.0 * float(min(errors[-3:]))).apply(axis, min(ends), max(ends))
    axis.set_ylabel(r"$\log Z$, stretched about the result")
    label_batches(axis, records)
    head(axis, title)


def draw_losses(axis: Axes, records: Sequence[RoundRecord]) -> None:
    """Losses of all fits, one after the other: training thin, validation thick, the epoch kept as a dot."""
    fits = [(i, record) for i, record in enumerate(records) if len(record.validation_loss)]
    if not fits:
        head(axis, "Loss of each fit")
        say(axis, "no flow was fitted")
        return
    start, middles, shown = 0, [], [0.0]
    for _, record in fits:
        colour = PHASES[record.phase][0]
        losses = np.array([record.training_loss, record.validation_loss])
        finite = np.isfinite(losses)
        kept = int(np.argmin(np.where(finite[1], losses[1], np.inf)))
        losses = np.where(finite, losses, np.nan) - losses[1, kept]
        epochs = start + np.arange(losses.shape[1])
        axis.plot(epochs, losses[0], color=colour, lw=0.8, alpha=0.7)
        axis.plot(epochs, losses[1], color=colour, lw=1.8)
        axis.plot(epochs[kept], 0.0, "o", color=colour, mec="white", ms=5, zorder=3)
        middles.append(epochs.mean())
        shown.extend(losses[np.isfinite(losses)])
        start += len(epochs) + 1
        axis.axvline(start - 1, color="0.85", lw=0.8)
    AxisScale(0.0, LOSS_WIDTH).apply(axis, min(shown), max(*shown, LOSS_WIDTH))
    axis.set_xlim(-1, start)
    step = -(-len(fits) // (2 * MOST_TICKS))
    named = range(len(fits) - 1, -1, -step)
    axis.set_xticks([middles[j] for j in named], [str(fits[j][0] + 1) for j in named])
    axis.grid(False, axis="x")
    axis.set_xlabel("fits, by the number of the batch that was drawn after them; within each, epochs")
    axis.set_ylabel("loss - loss kept, stretched")
    axis.plot([], [], color="0.3", lw=0.8, alpha=0.7, label="training")
    axis.plot([], [], color="0.3", lw=1.8, label="validation")
    axis.plot([], [], "o", color="0.3", mec="white", ms=5, label="kept")
    head(axis, "Loss of each fit")


def _add_key(axis: Axes, records: Sequence[RoundRecord]) -> None:
    """Explain colours and markers, outside the data."""
    present = {record.phase for record in records}
    for phase, (colour, marker) in PHASES.items():
        if phase in present:
            axis.plot([], [], marker, color=colour, ms=5.5, label=phase)
    axis.plot([], [], "o", color="0.3", mfc="white", ms=5.5, label="not in the result")
