"""The page of a result: one HTML file that needs nothing else (docs/report.md).

`page` puts it together: `source` finds the result, `contents` takes from it what it has and names what it
lacks, `checks`, `batches`, `parameters`, `figures` and `repeat` make the panels, and the template `page.html`
lays them out.
"""

from __future__ import annotations

from nbi_sampler.reports.html.page import Report, report

__all__ = ["Report", "report"]
