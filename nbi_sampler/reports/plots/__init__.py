"""What a run looks like: figures of a result, or of a run while it goes on (docs/plots.md)."""

from __future__ import annotations

from nbi_sampler.reports.plots.run import plot_run
from nbi_sampler.reports.plots.view import RunView

__all__ = ["RunView", "plot_run"]
