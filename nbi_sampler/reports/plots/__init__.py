"""Figures of a result, or of a run while it goes on (docs/plots.md).

`run` puts them together from the panels of `rounds`, `weights`, `parameters` and `data`, which draw what a
`RunView` holds; a new figure is a maker in `run.figures_of`.
"""

from __future__ import annotations

from nbi_sampler.reports.plots.run import plot_run
from nbi_sampler.reports.plots.view import RunView

__all__ = ["RunView", "plot_run"]
