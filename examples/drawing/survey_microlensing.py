"""Figures and tables of `survey_microlensing.py`: the results for all events, and the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from bilby.core.prior import Prior
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from observing.ogle_season import N_NIGHTS, SEASON_START, LightCurve
from scipy import stats

from nbi_sampler import Survey
from nbi_sampler.reports.plots.style import COLOURS

from .shared import BLUE, VERMILION, save, ticks_inside, with_residuals

__all__ = ["draw_real", "draw_recovery", "print_real", "print_recovery"]

OTHER = "0.6"
# Results of ogle_2008_blg_092.py, which has no trained model.
KNOWN = dict(t0=(5379.571, 0.05), u0=(0.523, 0.026), tE=(17.94, 0.55))


def ranks_of(truths: np.ndarray, survey: Survey) -> np.ndarray:
    """Ranks of the truths of "ok" events among the samples of their posteriors, from 0 to 1."""
    sound = (survey.table.status == "ok").to_numpy()
    return np.mean(survey.samples[sound] < truths[sound, None], axis=1)


def print_recovery(truths: np.ndarray, survey: Survey, priors: Mapping[str, Prior]) -> None:
    """Print the cost of the survey and its calibration; arguments as for `draw_recovery`."""
    table, ranks = survey.table, ranks_of(truths, survey)
    counts = ", ".join(f"{count} {status}" for status, count in table.status.value_counts().items())
    low, middle, high = np.nanquantile(table.efficiency, (0.16, 0.5, 0.84))
    print(f"\n{len(table)} events: {counts}")
    print(f"efficiency         {middle:.0%} (16 % to 84 % of the events: {low:.0%} to {high:.0%})")
    print(f"likelihood calls   {np.median(table.n_calls):,.0f} an event, {np.median(table.seconds):.2f} s")
    if not len(ranks):
        return
    print(f"\n{'events ok':12s}{'in 68 %':>10s}{'in 95 %':>10s}{'ranks uniform (p)':>20s}")
    for i, name in enumerate(priors):
        inside = [np.mean(np.abs(ranks[:, i] - 0.5) < 0.5 * level) for level in (0.68, 0.95)]
        p_value = stats.kstest(ranks[:, i], "uniform").pvalue
        print(f"{name:12s}{inside[0]:>10.0%}{inside[1]:>10.0%}{p_value:>20.2f}")


def print_real(survey: Survey) -> None:
    """Print the results for the real event beside those of the fit without a trained model."""
    row = survey.table.iloc[0]
    print(f"\nOGLE-2008-BLG-092: {row.status}, {row.ess:.0f} effective samples from {row.n_calls:,} calls")
    print(f"p-value of the data under the model: {row.p_value:.2f}")
    print(f"{'':8s}{'here':>24s}{'without a model':>26s}")
    for i, (name, (value, error)) in enumerate(KNOWN.items()):
        shift = SEASON_START if name == "t0" else 0
        here = f"{survey.mean[0, i] + shift:.3f} +- {survey.standard_deviation[0, i]:.3f}"
        print(f"{name:8s}{here:>24s}{f'{value} +- {error}':>26s}")


def draw_recovery(truths: np.ndarray, survey: Survey, priors: Mapping[str, Prior], path: Path) -> None:
    """Draw recovered against true parameters, and the calibration of the events with status "ok".

    Parameters
    ----------
    truths : ndarray, shape (n_events, n_dim)
    survey : nbi_sampler.Survey
    priors : mapping of str to bilby.core.prior.Prior
    path : Path
    """
    sound = (survey.table.status == "ok").to_numpy()
    figure, panels = plt.subplots(2, 3, figsize=(10, 6.5), layout="constrained")
    for i, (panel, (name, prior)) in enumerate(zip(panels.flat, priors.items(), strict=False)):
        low, median, high = survey.quantiles[:, i, 1:4].T
        errors = np.array([median - low, high - median])
        for chosen, colour in ((~sound, OTHER), (sound, BLUE)):
            points = dict(fmt="o", ms=2.5, lw=0.5, color=colour, alpha=0.6)
            panel.errorbar(truths[chosen, i], median[chosen], errors[:, chosen], **points)
        ends = [truths[:, i].min(), truths[:, i].max()]
        panel.plot(ends, ends, color="0.2", lw=0.8)
        scale = "log" if name == "tE" else "linear"
        panel.set(
            xlabel=f"true {prior.latex_label_with_unit}", ylabel="recovered", xscale=scale, yscale=scale
        )
    # The legend is beside the panels, away from all points, with visible handles.
    kinds = {"status ok": BLUE, "another status": OTHER}
    look = dict(ls="", marker="o", ms=7)
    handles = [Line2D([], [], color=colour, label=label, **look) for label, colour in kinds.items()]
    handles.append(Line2D([], [], color="0.2", lw=0.8, label="recovered = true"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False)
    ranks = ranks_of(truths, survey)
    if len(ranks):
        draw_calibration(ranks, priors, panels.flat[-1])
    ticks_inside(panels.flat)
    save(figure, path)


def draw_calibration(ranks: np.ndarray, priors: Mapping[str, Prior], panel: Axes) -> None:
    """Draw the share of truths below each quantile of their posteriors, with a band of 95 %."""
    grid = np.linspace(0, 1, 201)
    band = stats.binom.ppf([[0.025], [0.975]], len(ranks), grid) / len(ranks)
    panel.fill_between(grid, *(band - grid), color="0.85", lw=0, label="95 % by chance")
    for i, (prior, colour) in enumerate(zip(priors.values(), COLOURS, strict=False)):
        below = np.searchsorted(np.sort(ranks[:, i]), grid, side="right") / len(ranks)
        panel.plot(grid, below - grid, lw=1.2, color=colour, label=prior.latex_label)
    panel.set(
        xlabel="quantile of the posterior", ylabel="share of truths below it $-$ quantile", ylim=(-0.2, 0.2)
    )
    panel.legend(frameon=False, loc="lower left", ncols=2, fontsize=8)


def draw_real(
    points: LightCurve,
    survey: Survey,
    flux_at: Callable[..., np.ndarray],
    path: Path,
) -> None:
    """Draw the season of the real event with curves from its posterior.

    Parameters
    ----------
    points : LightCurve
    survey : nbi_sampler.Survey
        Survey that contains only the real event.
    flux_at : callable
        Flux as a function of times and of the parameters.
    path : Path
    """
    time, flux, error, _ = points
    grid = np.linspace(0, N_NIGHTS, 2000)
    curves = np.array([flux_at(grid, *sample) for sample in survey.samples[0, :200]])
    top, bottom = with_residuals(plt.figure(figsize=(7, 5.5), layout="constrained"))
    style = dict(fmt="o", ms=3, lw=0.8, color="0.15", label="OGLE-IV $I$ band, season 2010")
    top.errorbar(time, flux, error, **style)
    top.plot(grid, curves.T, color=VERMILION, lw=0.5, alpha=0.1)
    top.plot([], [], color=VERMILION, label=f"{len(curves)} draws from the posterior")
    top.set(ylabel="flux / baseline", xlim=(0, N_NIGHTS))
    top.legend(frameon=False, loc="upper right")
    expected = np.interp(time, grid, np.median(curves, axis=0))
    bottom.errorbar(time, (flux - expected) / error, 1.0, **style)
    bottom.axhline(0.0, color=VERMILION, lw=0.8)
    bottom.set(xlabel=f"HJD $-$ {2450000 + SEASON_START} (days)", ylabel="residual / error", ylim=(-5, 5))
    save(top.figure, path)
