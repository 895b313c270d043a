"""The figure of `cheap_to_exact.py`: posteriors of both likelihoods, and calls and time of the three runs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import corner
import matplotlib.pyplot as plt
import numpy as np
from bilby.core.result import Result
from matplotlib.axes import Axes

from nbi_sampler.reports.plots.style import COLOURS

__all__ = ["draw", "seconds_of"]

LABELS = {
    "chirp_mass": r"$\mathcal{M}$ ($M_\odot$)",
    "mass_ratio": "$q$",
    "luminosity_distance": r"$d_{\rm L}$ (Mpc)",
    "theta_jn": r"$\theta_{JN}$ (rad)",
}
BLUE, VERMILION, GREEN = COLOURS[:3]
NAMES = {
    "cheap": "relative binning",
    "exact": "exact, from its samples",
    "from_the_prior": "exact, from the prior",
}
SHADES = {"cheap": VERMILION, "exact": BLUE, "from_the_prior": GREEN}


def draw(runs: Mapping[str, Result], truths: Mapping[str, float], folder: Path) -> None:
    """Draw the posteriors before and after, and what the runs cost.

    Parameters
    ----------
    runs : mapping of str to bilby.core.result.Result
        ``cheap``, ``exact`` and ``from_the_prior``.
    truths : mapping of str to float
    folder : Path
        Of the picture.
    """
    figure = plt.figure(figsize=(11, 5.2))
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))
    panels = left.subplots(2, 1)
    calls = {name: float(result.meta_data["nbi"]["n_calls"]) for name, result in runs.items()}
    seconds = {name: seconds_of(result) for name, result in runs.items()}
    for panel, cost, label in zip(panels, (calls, seconds), ("likelihood calls", "time (s)"), strict=True):
        _draw_cost(panel, cost, label)
    panels[0].legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    left.subplots_adjust(left=0.3, right=0.96, bottom=0.12, top=0.83, hspace=0.4)
    shown = [runs["exact"], runs["cheap"]]
    limits = [
        tuple(np.quantile(np.concatenate([r.nested_samples[name] for r in shown]), (0.02, 0.98)))
        for name in LABELS
    ]
    for name in ("exact", "cheap"):
        weighted = runs[name].nested_samples
        corner.corner(
            weighted[list(LABELS)].to_numpy(),
            weights=weighted["weights"].to_numpy(),
            fig=right,
            labels=list(LABELS.values()),
            truths=[truths[each] for each in LABELS],
            range=limits,
            levels=1 - np.exp([-0.5, -2]),  # within 1 and 2 sigma of a Gaussian in the plane
            hist_kwargs=dict(density=True),
            **dict(bins=30, smooth=1.0, plot_datapoints=False, plot_density=False, max_n_ticks=3),
            **dict(color=SHADES[name], truth_color="0.5", labelpad=0.25),
        )
    said = "contours: 39 % and 86 %\nof the posterior\nlines: injected values"
    right.text(0.97, 0.95, said, ha="right", va="top", fontsize=9)
    right.subplots_adjust(left=0.16, right=0.97, bottom=0.17, top=0.97)
    for panel in right.axes:
        panel.tick_params(labelsize=8)
    figure.savefig(folder / "cheap_to_exact.png", dpi=150)
    plt.close(figure)


def seconds_of(result: Result) -> float:
    """Time that a run took, which is a plain number in a result that was read from its file."""
    taken = result.sampling_time
    return float(taken.total_seconds() if isinstance(taken, datetime.timedelta) else taken)


def _draw_cost(panel: Axes, cost: Mapping[str, float], label: str) -> None:
    """The first two runs in one bar, and below it the one from the prior."""
    start = 0.0
    for row, name in zip((1, 1, 0), NAMES, strict=True):
        panel.barh(row, cost[name], left=start if row else 0.0, color=SHADES[name], label=NAMES[name])
        start += cost[name]
    panel.set(yticks=[0, 1], yticklabels=["from the prior", "cheap,\nthen exact"], xlabel=label)
    panel.set_xlim(0, 1.05 * max(cost["cheap"] + cost["exact"], cost["from_the_prior"]))
    panel.tick_params(direction="in")
