"""The page of a result: one self-contained HTML file (docs/report.md).

`page` assembles it. `source` finds the result, `contents` reads it and names missing parts, `checks`,
`batches`, `parameters`, `figures` and `repeat` make the panels, and the template `page.html` arranges them.
"""

from __future__ import annotations

from nbi_sampler.reports.html.page import Report, report

__all__ = ["Report", "report"]
