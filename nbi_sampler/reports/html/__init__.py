"""The page of a result: one HTML file that needs nothing else (docs/report.md).

`report` puts it together: `source` finds the result, `contents` takes from it what it has and names what it
lacks, `checks`, `parameters`, `figures` and `repeat` make the panels, `page.html` and `page.css` lay them out.
"""

from __future__ import annotations

from nbi_sampler.reports.html.report import Report, report

__all__ = ["Report", "report"]
