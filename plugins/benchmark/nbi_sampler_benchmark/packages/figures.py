"""Plots of the information that packages gain from a number of simulations. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from nbi_sampler.reports.plots.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["learning_figure"]


def learning_figure(records: Sequence[dict[str, Any]]) -> Figure:
    """Information gained, efficiency and processor time of training against the number of simulations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    names = list(dict.fromkeys(record["label"] for record in records))
    for name, colour in zip(names, cycle(COLOURS), strict=False):
        rows = sorted((r for r in records if r["label"] == name), key=lambda record: record["n_sims"])
        _draw(panels[0], rows, [row["gain"] for row in rows], name, colour)
        # A logarithmic axis cannot show zeros.
        _draw(panels[1], rows, [max(row["efficiency"], 1e-4) for row in rows], name, colour)
        _draw(panels[2], rows, [max(row["training"]["cpu_seconds"], 1e-2) for row in rows], name, colour)
    texts = ("information gained / nats", "median efficiency", "training / s of the processor")
    for panel, text, scale in zip(panels, texts, ("linear", "log", "log"), strict=True):
        panel.set(xscale="log", yscale=scale, xlabel="simulations", ylabel=text)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(names))
    return figure


def _draw(axis: Axes, rows: Sequence[dict[str, Any]], values: list[float], name: str, colour: str) -> None:
    axis.plot([row["n_sims"] for row in rows], values, "o-", color=colour, label=name)
