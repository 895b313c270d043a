"""One page with plots of the results of the other modules of this folder for an amortised posterior."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from nbi_sampler.reports.diagnostics.assessment import Assessment
from nbi_sampler.reports.diagnostics.html_page import write_html
from nbi_sampler.reports.diagnostics.predictive import PredictiveCheck
from nbi_sampler.reports.diagnostics.ranks import coverage
from nbi_sampler.reports.plots.style import COLOURS, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nbi_sampler.amortised.out_of_distribution import OutOfDistributionTest

__all__ = ["page"]

DASHES = ("-", "--", ":", "-.")
MOST_IN_LEGEND = 12
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
    panels = [_draw_calibration, _draw_p_values, _draw_coverage]
    n_panels = len(panels) + (test is not None) + (predictive is not None)
    n_columns = 3 if n_panels != 4 else 2
    n_rows = -(-n_panels // n_columns)
    figure = Figure(figsize=(5.0 * n_columns, 4.4 * n_rows), layout="constrained")
    axes = list(np.ravel(figure.subplots(n_rows, n_columns)))
    for draw, axis in zip(panels, axes, strict=False):
        draw(axis, assessment)
    free = axes[len(panels) :]
    if test is not None:
        _draw_scores(free.pop(0), test, features)
    if predictive is not None:
        _draw_predictive(free.pop(0), predictive)
    for axis in free:
        axis.remove()
    n_targets, n_dim = assessment.calibration.shape
    figure.suptitle(
        f"{n_targets} targets, {n_dim} parameters: p = {_rounded(assessment.p_value)} over all tests"
    )
    if Path(path).suffix.lower() not in (".html", ".htm"):
        return save_figure(figure, Path(path))
    shown = [*SENTENCES][: len(panels)]
    shown += ["Out of distribution"] * (test is not None) + ["Predictive check"] * (predictive is not None)
    return write_html(Path(path), figure, assessment, {name: SENTENCES[name] for name in shown})


def _draw_calibration(axis: Axes, assessment: Assessment) -> None:
    """Plot the empirical distribution of the ranks minus the diagonal, with a band for whole curves."""
    n_targets, n_dim = assessment.calibration.shape
    band = stats.kstwo.ppf(0.95, n_targets)
    axis.axhspan(-band, band, color="0.88", label="95 % of whole curves")
    for ranks, name, (colour, dash) in zip(
        assessment.calibration.T, assessment.names, _styles(), strict=False
    ):
        u = np.concatenate([[0.0], np.sort(ranks), [1.0]])
        share = np.concatenate([[0.0], np.arange(1, n_targets + 1) / n_targets, [1.0]])
        axis.step(u, share - u, where="post", color=colour, linestyle=dash, label=name)
    axis.set(xlim=(0, 1), xlabel="rank u of the truth", ylabel="share of targets below u, minus u")
    axis.set_title("Calibration of each parameter")
    if n_dim <= MOST_IN_LEGEND:
        axis.legend(fontsize=8, ncols=2)


def _draw_p_values(axis: Axes, assessment: Assessment) -> None:
    """Plot all p-values, and the line below which one of so many is alarming."""
    values = assessment.p_values
    rows = np.arange(len(values))[::-1]
    p = np.maximum(list(values.values()), 1e-12)
    limit = 0.05 / len(values)
    axis.axvspan(1e-13, limit, color="0.88", label=f"below 0.05 / {len(values)}")
    good = p >= limit
    axis.plot(p[good], rows[good], "o", color=COLOURS[0])
    axis.plot(p[~good], rows[~good], "X", color=COLOURS[1], markersize=9)
    axis.set(xscale="log", xlim=(min(1e-4, 0.3 * p.min()), 1.5), xlabel="p-value of uniform ranks")
    axis.set_yticks(rows, list(values), fontsize=8 if len(rows) <= 20 else 5)
    axis.set_title("Tests")
    axis.legend(fontsize=8)


def _draw_coverage(axis: Axes, assessment: Assessment) -> None:
    """Plot coverage against level: joint regions in colour, central intervals of the parameters in grey."""
    for i, ranks in enumerate(assessment.calibration.T):
        levels, shares, _ = coverage(np.abs(2.0 * ranks - 1.0))
        axis.plot(levels, shares, color="0.6", lw=0.8, label=None if i else "each parameter, central")
    joint = {"balls (TARP)": assessment.tarp, "highest density": assessment.highest_density}
    for (name, ranks), (colour, dash) in zip(joint.items(), _styles(), strict=False):
        if ranks is not None:
            levels, shares, _ = coverage(ranks)
            axis.plot(levels, shares, color=colour, linestyle=dash, lw=2, label=name)
    levels, _, errors = coverage(assessment.tarp)
    axis.fill_between(
        levels, levels - 2 * errors, levels + 2 * errors, color="0.88", label="2 standard errors"
    )
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="level of the region", ylabel="share of targets inside")
    axis.set_title("Coverage (below the band: overconfident)")
    axis.legend(fontsize=8)


def _draw_scores(axis: Axes, test: OutOfDistributionTest, features: ArrayLike | None) -> None:
    """Plot scores of held-out simulations and of the observed data."""
    observed = np.empty(0) if features is None else test.score(features)
    observed = observed[np.isfinite(observed)]
    shown = np.concatenate([test.scores, observed])
    edges = np.geomspace(max(shown.min(), 1e-6), shown.max() * 1.01, 40)
    axis.hist(test.scores, edges.tolist(), color="0.75", label="held-out simulations")
    if features is not None:
        p_values = test.p_value(features)
        for i, score in enumerate(observed):
            axis.axvline(score, color=COLOURS[1], label=None if i else "observed")
        axis.set_title(f"Out of distribution: smallest p = {_rounded(p_values.min())}")
    else:
        axis.set_title("Out of distribution")
    axis.set(xscale="log", xlabel="score (distance from the simulations)", ylabel="simulations")
    axis.legend(fontsize=8)


def _draw_predictive(axis: Axes, predictive: PredictiveCheck) -> None:
    """Plot the test quantities at each draw; the share above the diagonal is the p-value."""
    observed, replicated = predictive.observed, predictive.replicated
    axis.plot(observed, replicated, ".", color=COLOURS[0], alpha=0.4, markersize=4)
    both = np.concatenate([observed, replicated])
    ends = [both.min(), both.max()]
    axis.plot(ends, ends, color="0.3", linestyle="--", label="equal")
    axis.set(xlabel="discrepancy of the observed data", ylabel="discrepancy of replicated data")
    axis.set_title(f"Predictive check: p = {_rounded(predictive.p_value)}")
    axis.legend(fontsize=8)


def _styles() -> cycle[tuple[str, str]]:
    """Colours first, then the dash patterns, so that neighbours differ in colour."""
    return cycle([(colour, dash) for dash in DASHES for colour in COLOURS])


def _rounded(p_value: float | NDArray[np.float64]) -> str:
    return f"{float(p_value):.2g}"
