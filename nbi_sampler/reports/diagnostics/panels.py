"""Panels of what the other files of this folder have computed about an amortised posterior."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from nbi_sampler.core.types import Array
from nbi_sampler.reports.diagnostics.assessment import Assessment
from nbi_sampler.reports.diagnostics.local import LocalCalibration
from nbi_sampler.reports.diagnostics.predictive import PredictiveCheck
from nbi_sampler.reports.diagnostics.ranks import coverage
from nbi_sampler.reports.plots.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    *("draw_calibration", "draw_coverage", "draw_p_values", "draw_predictive", "draw_scores"),
    "rounded_p_value",
]

DASHES = ("-", "--", ":", "-.")
MOST_IN_LEGEND = 12


def draw_calibration(axis: Axes, assessment: Assessment) -> None:
    """Empirical distribution of the ranks minus the diagonal, with the band that holds a whole curve."""
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


def draw_p_values(axis: Axes, assessment: Assessment) -> None:
    """All p-values, with the line below which one of so many is alarming."""
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


def draw_coverage(axis: Axes, assessment: Assessment) -> None:
    """Coverage against level: joint regions in colour, central intervals of the parameters in grey."""
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


def draw_scores(axis: Axes, scores: Array, observed: Array, p_values: Array) -> None:
    """Scores of simulations, shape (n,), and of the observed data with their p-values, shape (n_targets,)."""
    observed = observed[np.isfinite(observed)]
    shown = np.concatenate([scores, observed])
    edges = np.geomspace(max(shown.min(), 1e-6), shown.max() * 1.01, 40)
    axis.hist(scores, edges.tolist(), color="0.75", label="held-out simulations")
    for i, score in enumerate(observed):
        axis.axvline(score, color=COLOURS[1], label=None if i else "observed")
    smallest = f": smallest p = {rounded_p_value(p_values.min())}" if len(p_values) else ""
    axis.set_title(f"Out of distribution{smallest}")
    axis.set(xscale="log", xlabel="score (distance from the simulations)", ylabel="simulations")
    # Labels between powers of ten overlap each other.
    axis.xaxis.set_minor_formatter("")
    axis.legend(fontsize=8)


def draw_local(axis: Axes, local: LocalCalibration, names: Sequence[str]) -> None:
    """Bias and width of each parameter near the observation, with two standard errors."""
    rows = np.arange(len(names))[::-1]
    for shift, values, errors, marker, label in (
        (0.12, local.bias, local.bias_err, "o", "bias (right: 0)"),
        (-0.12, local.width - 1.0, local.width_err, "s", "width - 1 (right: 0; above: too narrow)"),
    ):
        colour = COLOURS[0] if marker == "o" else COLOURS[1]
        places = rows + shift
        axis.errorbar(values, places, xerr=2.0 * errors, fmt=marker, color=colour, ms=5, label=label)
    axis.axvline(0.0, color="0.3", linestyle="--", lw=1)
    axis.set_yticks(rows, list(names), fontsize=8 if len(names) <= 20 else 5)
    axis.set(xlabel="in units of the posterior's standard deviation", ylim=(-0.6, len(names) - 0.4))
    axis.set_title(f"Near the observation: p = {rounded_p_value(local.p_value)}")
    axis.legend(fontsize=8)


def draw_predictive(axis: Axes, predictive: PredictiveCheck) -> None:
    """Discrepancies at each draw; the share above the diagonal is the p-value."""
    observed, replicated = predictive.observed, predictive.replicated
    axis.plot(observed, replicated, ".", color=COLOURS[0], alpha=0.4, markersize=4)
    both = np.concatenate([observed, replicated])
    ends = [both.min(), both.max()]
    axis.plot(ends, ends, color="0.3", linestyle="--", label="equal")
    axis.set(xlabel="discrepancy of the observed data", ylabel="discrepancy of replicated data")
    axis.set_title(f"Predictive check: p = {rounded_p_value(predictive.p_value)}")
    axis.legend(fontsize=8)


def _styles() -> cycle[tuple[str, str]]:
    """Colours first, then the dash patterns, so that neighbours differ in colour."""
    return cycle([(colour, dash) for dash in DASHES for colour in COLOURS])


def rounded_p_value(p_value: float | Array) -> str:
    """A p-value for people."""
    return f"{float(p_value):.2g}"
