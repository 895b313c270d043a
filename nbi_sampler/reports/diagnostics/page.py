"""One page with plots of the results of the other modules of this folder for an amortised posterior."""

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

# Explanations of the panels, in their order.
SENTENCES = {
    "Calibration of each parameter": (
        "If the posteriors are right, each curve stays in the grey band. A curve above it on the left and "
        "below it on the right means that posteriors are too narrow; the opposite means too wide; a curve "
        "that is entirely above or below the band means a bias."
    ),
    "Tests": (
        "The probability of such uneven ranks if the posteriors are right. Crosses in the grey part would be "
        "rare even in so many tests."
    ),
    "Coverage": (
        "The share of truths inside regions of a given level. A line below the grey band means "
        "overconfidence: the true errors are larger than stated."
    ),
    "Out of distribution": (
        "The distance of data from the simulations. Networks are unpredictable for data far to the right of "
        "the held-out simulations."
    ),
    "Predictive check": (
        "The misfit of replicated data against that of the observed data, at draws of the posterior. If "
        "almost all points are below the diagonal, the model does not describe the data."
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
        Its suffix is the format: ``.html`` for a self-contained page with a sentence for each panel, or a
        format of matplotlib, such as ``.png`` and ``.pdf``. Missing folders are made.
    assessment : Assessment
        Calibration, p-values and coverage, which are always plotted.
    out_of_distribution : OutOfDistributionTest, optional
        Adds a panel with the scores of its held-out simulations.
    features : array_like, shape (n, k) or (k,), optional
        Observed data in the format of the test; the panel marks their scores.
    predictive : PredictiveCheck, optional
        Adds the test quantities of replicated and observed data.
    familiarity : OutOfDistributionTest, optional
        Former name of ``out_of_distribution``.

    Returns
    -------
    pathlib.Path
        Path of the file.
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
