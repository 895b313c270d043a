"""One page of plots of what the other files of this folder have computed about an amortised posterior."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from nbi_sampler.reports.diagnostics.assessment import Assessment
from nbi_sampler.reports.diagnostics.html_page import write_html
from nbi_sampler.reports.diagnostics.panels import (
    draw_calibration,
    draw_coverage,
    draw_p_values,
    draw_predictive,
    draw_scores,
    rounded_p_value,
)
from nbi_sampler.reports.diagnostics.predictive import PredictiveCheck
from nbi_sampler.reports.plots.style import save_figure

if TYPE_CHECKING:
    from nbi_sampler.amortised.out_of_distribution import OutOfDistributionTest

__all__ = ["page"]

# How each panel is read, in their order.
SENTENCES = {
    "Calibration of each parameter": (
        "Of right posteriors a curve stays in the grey band. One that rises above it on the left and falls "
        "below it on the right is too narrow; the other way round it is too wide; one that lies all above or "
        "all below is biased."
    ),
    "Tests": (
        "The chance of ranks as uneven as these from right posteriors. Crosses in the grey part would be "
        "rare even among so many tests."
    ),
    "Coverage": (
        "The share of truths inside regions of a given level. A line below the grey band is overconfident: "
        "true errors are larger than claimed."
    ),
    "Out of distribution": (
        "The distance of data from the simulations. Networks may say anything about data far to the right of "
        "the held-out simulations."
    ),
    "Predictive check": (
        "The misfit of replicated data against that of the observed, at draws of the posterior. Where nearly "
        "all points lie below the diagonal the model does not describe the data."
    ),
}


def page(
    path: str | Path,
    assessment: Assessment,
    *,
    out_of_distribution: OutOfDistributionTest | None = None,
    features: ArrayLike | None = None,
    predictive: PredictiveCheck | None = None,
    familiarity: OutOfDistributionTest | None = None,
) -> Path:
    """Write a page of plots.

    Parameters
    ----------
    path : str or pathlib.Path
        Its ending is the format: ``.html`` for a page that needs no other file and has a sentence for each
        panel, or one of matplotlib's, such as ``.png`` and ``.pdf``. Its folder is made where missing.
    assessment : Assessment
        Calibration, p-values and coverage, always drawn.
    out_of_distribution : OutOfDistributionTest, optional
        Adds a panel with its scores of held-out simulations.
    features : array_like, shape (n, k) or (k,), optional
        Of the observed data, as the test takes them; their scores are marked there.
    predictive : PredictiveCheck, optional
        Adds the discrepancies of replicated and observed data.
    familiarity : OutOfDistributionTest, optional
        Former name of ``out_of_distribution``.

    Returns
    -------
    pathlib.Path
        Of the file.
    """
    from matplotlib.figure import Figure

    test = familiarity if out_of_distribution is None else out_of_distribution
    panels = [draw_calibration, draw_p_values, draw_coverage]
    n_panels = len(panels) + (test is not None) + (predictive is not None)
    n_columns = 3 if n_panels != 4 else 2
    n_rows = -(-n_panels // n_columns)
    figure = Figure(figsize=(5.0 * n_columns, 4.4 * n_rows), layout="constrained")
    axes = list(np.ravel(figure.subplots(n_rows, n_columns)))
    for draw, axis in zip(panels, axes, strict=False):
        draw(axis, assessment)
    free = axes[len(panels) :]
    if test is not None:
        given = np.empty((0, 0)) if features is None else features
        own = (np.empty(0), np.empty(0)) if features is None else (test.score(given), test.p_value(given))
        draw_scores(free.pop(0), test.scores, *own)
    if predictive is not None:
        draw_predictive(free.pop(0), predictive)
    for axis in free:
        axis.remove()
    n_targets, n_dim = assessment.calibration.shape
    figure.suptitle(
        f"{n_targets} targets, {n_dim} parameters: p = {rounded_p_value(assessment.p_value)} over all tests"
    )
    if Path(path).suffix.lower() not in (".html", ".htm"):
        return save_figure(figure, Path(path))
    shown = [*SENTENCES][: len(panels)]
    shown += ["Out of distribution"] * (test is not None) + ["Predictive check"] * (predictive is not None)
    return write_html(Path(path), figure, assessment, {name: SENTENCES[name] for name in shown})
