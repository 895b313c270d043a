"""The figure of `evidence_of_dynesty.py`: log Z before and after, and both posteriors."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
from bilby.core.result import Result

from .shared import BLUE, VERMILION, save, ticks_inside

__all__ = ["draw"]


def draw(before: Result, after: Result, truth: Mapping[str, float], path: str) -> None:
    """Draw both evidences, relative to the second, and both posteriors of a few parameters.

    Parameters
    ----------
    before, after : bilby.core.result.Result
        Results of dynesty, and of the importance sampling.
    truth : mapping of str to float
        Parameters to show, with the values that lines mark.
    path : str
    """
    figure, panels = plt.subplots(1, 1 + len(truth), figsize=(10, 2.6), width_ratios=(1.3, *[1] * len(truth)))
    ticks_inside(panels)
    for row, (result, name, colour) in enumerate(
        ((before, "dynesty", VERMILION), (after, "evidence_of", BLUE))
    ):
        offset = result.log_evidence - after.log_evidence
        panels[0].errorbar(offset, row, xerr=result.log_evidence_err, fmt="o", color=colour, capsize=3)
        panels[0].text(
            0.03,
            0.42 + 0.4 * row,
            f"{name}: {result.num_likelihood_evaluations:,} calls",
            transform=panels[0].transAxes,
            color=colour,
            fontsize=8,
        )
        for panel, parameter in zip(panels[1:], truth, strict=True):
            weighted = result.nested_samples
            values, weights = weighted[parameter], weighted["weights"]
            shown = after.posterior[parameter].quantile([0.002, 0.998]).to_list()
            panel.hist(
                values, bins=30, range=shown, weights=weights, density=True, histtype="step", color=colour
            )
    panels[0].set(ylim=(-0.7, 1.9), yticks=[], xlabel=r"$\ln Z - \ln Z_{\rm evidence\_of}$")
    for panel, (parameter, value) in zip(panels[1:], truth.items(), strict=True):
        panel.axvline(value, color="0.5", lw=0.8)
        panel.set(xlabel=after.priors[parameter].latex_label_with_unit, yticks=[])
    figure.tight_layout()
    save(figure, path)
