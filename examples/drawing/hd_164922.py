"""The figure of `hd_164922.py`: velocities of three instruments, residuals, and both planets by phase."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from observing.velocities import Velocities

from .shared import BLUE, GREEN, ORANGE, band, save, ticks_inside

__all__ = ["draw"]

COLOURS, MARKERS = dict(k=ORANGE, j=BLUE, a=GREEN), dict(k="s", j="o", a="^")


def year(time: np.ndarray) -> np.ndarray:
    """Calendar year of a BJD."""
    return 2000 + (time - 2451544.5) / 365.25


def draw(
    draws: pd.DataFrame,
    model: Velocities,
    instruments: Mapping[str, str],
    t_ref: float,
    path: str,
) -> None:
    """Draw all velocities with the curve of both planets, and those of each planet by phase.

    Parameters
    ----------
    draws : pandas.DataFrame
        Draws from the posterior with their log-likelihoods.
    model : Velocities
        Likelihood of the data with both planets.
    instruments : mapping of str to str
        Label of each instrument.
    t_ref : float
        BJD at which the phase is 0.
    path : str
    """
    time, velocity, orbit = model.time, model.velocity, model.orbit
    best = draws.loc[draws["log_likelihood"].idxmax()]
    offsets = {name: best[f"offset_{name}"] for name in instruments}
    residual, error = velocity - model.predict(best), np.sqrt(model.variance(best))
    figure = plt.figure(figsize=(9, 8), layout="constrained")
    panels = figure.subplot_mosaic(
        [["all", "all"], ["left", "left"], ["b", "c"]], height_ratios=(2.2, 1.1, 2.2)
    )
    grid = np.linspace(time.min() - 60, time.max() + 60, 6000)
    some = {key: values.to_numpy()[:, None] for key, values in draws.iloc[:100].items()}
    curves = orbit(some, "b", grid) + orbit(some, "c", grid)
    low, _, high = band(curves)
    panels["all"].fill_between(year(grid), low, high, color="0.75", lw=0, label="both planets, 95 %")
    for name, label in instruments.items():
        use = model.seen_by[name]
        points = dict(yerr=error[use], fmt=MARKERS[name], ms=3.5, lw=0.6, color=COLOURS[name], label=label)
        panels["all"].errorbar(year(time[use]), velocity[use] - offsets[name], **points)
        panels["left"].errorbar(year(time[use]), residual[use], **points)
        for each in "bc":
            at = (time[use] - t_ref) / best[f"P_{each}"]
            seen = residual[use] + orbit(best, each, time[use])
            panels[each].errorbar((at + 0.5) % 1 - 0.5, seen, **points | dict(alpha=0.5))
    for each in "bc":
        phase = np.linspace(-0.5, 0.5, 300)
        draw_orbit(panels[each], phase, orbit(some, each, t_ref + phase * some[f"P_{each}"]))
        panels[each].set_title(f"HD 164922 {each}, {best[f'P_{each}']:.1f} days", loc="left", fontsize=11)
        panels[each].set(xlabel=f"orbits since BJD {t_ref:.0f}")
    panels["all"].legend(frameon=False, ncols=4, loc="upper center")
    panels["all"].set(ylabel="velocity (m/s)", ylim=(-21, 23))
    panels["left"].sharex(panels["all"])
    panels["all"].tick_params(labelbottom=False)
    panels["left"].axhline(0, color="0.1", lw=0.8, zorder=3)
    panels["left"].set(xlabel="year", ylabel="residual (m/s)", ylim=(-15, 15), xticks=range(1996, 2017, 4))
    panels["b"].set(ylabel="velocity (m/s)")
    ticks_inside(panels.values())
    save(figure, path)


def draw_orbit(panel: Axes, phase: np.ndarray, curves: np.ndarray) -> None:
    """Draw the band of a planet's orbits, shape (n_draws, n_phases)."""
    low, _, high = band(curves)
    panel.fill_between(phase, low, high, color="0.1", alpha=0.7, lw=0, zorder=3)
    panel.set(xlim=(-0.5, 0.5), ylim=(-16, 16))
