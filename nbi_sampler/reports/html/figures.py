"""Figures of a page, each embedded as a PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nbi_sampler.core.config import REPORT
from nbi_sampler.reports.html.contents import Contents
from nbi_sampler.reports.plots.corner_plot import corner_figure
from nbi_sampler.reports.plots.parameters import parameters_figure
from nbi_sampler.reports.plots.residuals import residuals_figure
from nbi_sampler.reports.plots.rounds import draw_efficiency, draw_evidence
from nbi_sampler.reports.plots.style import own_style
from nbi_sampler.reports.plots.weights import draw_tail, draw_weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Image", "image_of", "images_of"]

DPI = 160
# Size of a legend above a panel of half the page's width.
MOST_COLUMNS = 3
PANEL = (4.65, 3.1)


@dataclass(frozen=True)
class Image:
    """A picture.

    Attributes
    ----------
    source : str
        Data URI.
    alternative : str
        Text alternative for readers who cannot see it.
    width, height : int
        Size in pixels on the page.
    """

    source: str
    alternative: str
    width: int
    height: int


def images_of(contents: Contents, shown: Sequence[int]) -> dict[str, Image]:
    """Draw all possible figures of the contents, by name; the corner plot has the parameters ``shown``.

    A figure that cannot be drawn is listed as missing.
    """
    view, own = contents.view, contents.own
    wanted: dict[str, tuple[str, Callable[[], Figure]]] = {}
    if view.records:
        evidence = partial(draw_evidence, records=view.records, result=contents.evidence)
        wanted["evidence"] = (
            f"log Z of each of {len(view.records)} batches with its error, beside that of the result",
            partial(_panel, evidence),
        )
        wanted["efficiency"] = (
            "share of effective draws of each batch, by likelihood calls so far",
            partial(_panel, partial(draw_efficiency, records=view.records, most_columns=MOST_COLUMNS)),
        )
    if own and len(view.log_weights):
        k_hat = float(own.get("k_hat", np.nan))
        tail = partial(draw_tail, weights=view.weights, n_draws=view.n_draws, k_hat=k_hat, most_columns=2)
        wanted["weights"] = (
            "distribution of the weights over the draws, and of the posterior's mass over the weights",
            partial(_panel, partial(draw_weights, weights=view.weights, n_draws=view.n_draws)),
        )
        wanted["tail"] = (
            "share of draws above a weight, with the Pareto tail of the largest weights",
            partial(_panel, tail),
        )
    if check := own.get("predictive_check"):
        wanted["residuals"] = (
            "residuals in units of the noise, by data point, and their distribution",
            lambda: residuals_figure(np.asarray(check["residuals"], dtype=np.float64), int(check["block"])),
        )
    whole = all(len(record.quantiles) == view.n_dim for record in view.records)
    if view.records and not whole:
        contents.missing.append(("quantiles of the batches", "no picture from prior to posterior"))
    elif view.records:
        wanted["parameters"] = (
            "each parameter's range in every batch of draws, narrowing from the prior to the posterior",
            partial(parameters_figure, view),
        )
    if shown and 0 < len(view.theta) <= len(shown):
        few = f"more draws than parameters ({len(view.theta)} draws, {len(shown)} parameters)"
        contents.missing.append((few, "no corner plot"))
    elif shown:
        wanted["corner"] = (
            f"marginal posteriors of {', '.join(contents.names[i] for i in shown)}, and of each pair of them",
            partial(corner_figure, view, shown, REPORT.most_rows),
        )
    made = {
        name: contents.missing.tried(f"figure {name!r}", "its panel is empty", partial(image_of, *each))
        for name, each in wanted.items()
    }
    return {name: image for name, image in made.items() if image is not None}


def _panel(draw: Callable[[Axes], None]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=PANEL, layout="constrained")
    draw(figure.subplots())
    return figure


def image_of(alternative: str, make: Callable[[], Figure]) -> Image:
    """Embedded picture of the figure from ``make``."""
    content = io.BytesIO()
    with own_style():
        figure = make()
        box = figure.bbox_inches
        # A corner plot has wide margins. A figure with a layout engine has none, and would be laid out again.
        if figure.get_layout_engine() is None:
            figure.canvas.draw()
            box = figure.get_tightbbox().padded(0.08)
        figure.savefig(content, format="png", dpi=DPI, bbox_inches=box)
    source = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
    return Image(source, alternative, round(96.0 * box.width), round(96.0 * box.height))
