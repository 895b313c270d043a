"""Figures of a result, or of a run in progress (docs/plots.md).

`run` combines the panels of `rounds`, `weights`, `parameters` and `data`, which draw the contents of a
`RunView`. A new figure is a maker in `run.figures_of`.
"""

from __future__ import annotations

from nbi_sampler.reports.plots.run import plot_run
from nbi_sampler.reports.plots.view import RunView

__all__ = ["RunView", "plot_run"]
