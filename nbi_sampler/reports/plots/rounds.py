"""Plots of a run batch by batch, from its records: efficiency, evidence and the losses of the fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.importance.weights import Evidence
from nbi_sampler.reports.plots.style import (
    COLOURS,
    KINDS,
    MOST_COLUMNS,
    compact,
    head,
    kind_of,
    percent,
    say,
)
from nbi_sampler.reports.plots.symlog import show_differences

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["draw_efficiency", "draw_evidence", "draw_losses", "kinds_shown", "label_batches"]

MOST_TICKS = 9
# Number of fits that are labelled with a word and a number.
MOST_NAMED = 10
# Linear range of the axis, in nats about the loss that was kept, which shows the gap to the training loss.
LOSS_WIDTH = 1.0


def label_batches(axis: Axes, records: Sequence[RoundRecord]) -> None:
    """Write the number of calls so far below the batches, as many as fit."""
    calls = np.cumsum([record.n_calls for record in records])
    step = -(-len(records) // MOST_TICKS)
    # Counted from the last batch, which is always labelled.
    shown = np.arange(len(records) - 1, -1, -step)[::-1]
    axis.set_xticks(shown, [compact(calls[i]) for i in shown])
    axis.set_xlim(-0.6, len(records) - 0.4)
    axis.set_xlabel("likelihood calls after each batch")


def kinds_shown(records: Sequence[RoundRecord]) -> list[Line2D]:
    """Legend handles for the kinds of batches, and for batches outside of the result."""
    from matplotlib.lines import Line2D

    present = {kind_of(record.phase) for record in records}
    handles = [
        Line2D([], [], color=colour, marker=marker, ls="", ms=5.5, label=kind)
        for kind, (colour, marker) in KINDS.items()
        if kind in present
    ]
    if not all(record.pooled for record in records):
        look: dict[str, Any] = dict(color="0.3", marker="o", mfc="white", ls="", ms=5.5)
        handles.append(Line2D([], [], label="open: not in the result", **look))
    return handles


def draw_efficiency(
    axis: Axes, records: Sequence[RoundRecord], most_columns: int = MOST_COLUMNS, *, key: bool = True
) -> None:
    """Draw the share of effective draws of every batch, and the tempering of the proposal's target.

    The ``key`` explains colours and markers.
    """
    fits = [(i, record.exponent) for i, record in enumerate(records) if record.phase == "refinement"]
    if any(exponent < 1.0 for _, exponent in fits):
        steps: dict[str, Any] = dict(where="mid", color="0.5", linestyle="--", lw=1, label="tempering")
        axis.step(*zip(*fits, strict=True), **steps)
    axis.plot([record.efficiency for record in records], color="0.8", lw=1, zorder=1)
    for kind, (colour, marker) in KINDS.items():
        for pooled in (False, True):
            points = [
                (i, record.efficiency)
                for i, record in enumerate(records)
                if (kind_of(record.phase), record.pooled) == (kind, pooled)
            ]
            if points:
                face = colour if pooled else "white"
                axis.plot(*zip(*points, strict=True), marker, color=colour, mfc=face, ms=5.5)
    axis.set(ylim=(-0.04, 1.04), ylabel="effective draws / draws")
    axis.yaxis.set_major_formatter(lambda value, _: percent(value))
    label_batches(axis, records)
    if key:
        for handle in kinds_shown(records):
            axis.add_line(handle)
    head(axis, "Efficiency of each proposal", most_columns=most_columns, columnspacing=0.9, handletextpad=0.1)


def draw_evidence(axis: Axes, records: Sequence[RoundRecord], result: Evidence) -> None:
    """Draw the evidence from each batch with its error, minus that of the result."""
    finite = [record for record in records if np.isfinite(record.log_evidence)]
    title = "Evidence from each batch"
    if not finite or not np.isfinite(result.log_evidence):
        head(axis, title)
        say(axis, "no finite likelihood, no evidence")
        return
    for i, record in enumerate(records):
        colour, marker = KINDS[kind_of(record.phase)]
        if np.isfinite(record.log_evidence):
            axis.errorbar(
                i,
                record.log_evidence - result.log_evidence,
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
    axis.axhspan(-error, error, color=COLOURS[5], alpha=0.35, lw=0, label="error of the result")
    axis.axhline(0.0, color=COLOURS[0], lw=1, label=f"result, log Z = {value:.3f}")
    errors = [record.log_evidence_err for record in finite]
    ends = [
        record.log_evidence - value + sign * record.log_evidence_err for record in finite for sign in (-1, 1)
    ]
    show_differences(axis, min(ends), max(ends), 5.0 * float(min(errors[-3:])))
    axis.set_ylabel(r"$\log Z$ $-$ $\log Z$ of the result")
    label_batches(axis, records)
    head(axis, title)


def draw_losses(axis: Axes, records: Sequence[RoundRecord]) -> None:
    """Draw the losses of all fits in a row: training thin, validation thick, the kept epoch as a dot."""
    fits = [(i, record) for i, record in enumerate(records) if len(record.validation_loss)]
    if not fits:
        head(axis, "Loss of each fit")
        say(axis, "no flow was fitted")
        return
    start, middles, shown = 0, [], [0.0]
    for _, record in fits:
        colour = KINDS[kind_of(record.phase)][0]
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
    show_differences(axis, min(shown), max(*shown, 0.1), LOSS_WIDTH)
    axis.set_xlim(-1, start)
    step = -(-len(fits) // (2 * MOST_TICKS))
    named = range(len(fits) - 1, -1, -step)
    word = "batch " if len(fits) <= MOST_NAMED else ""
    axis.set_xticks([middles[j] for j in named], [f"{word}{fits[j][0] + 1}" for j in named])
    axis.grid(False, axis="x")
    axis.set_xlabel("epochs of each fit" + ("" if word else ", by batch"))
    axis.set_ylabel("loss $-$ loss kept (nats)")
    axis.plot([], [], color="0.3", lw=0.8, alpha=0.7, label="training")
    axis.plot([], [], color="0.3", lw=1.8, label="validation")
    axis.plot([], [], "o", color="0.3", mec="white", ms=5, label="kept")
    head(axis, "Loss of each fit")
