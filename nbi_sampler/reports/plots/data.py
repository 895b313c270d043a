"""Plots of observed data with the prediction of the posterior, and of the residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbi_sampler.core.types import Array
from nbi_sampler.reports.plots.predictive import Predictive
from nbi_sampler.reports.plots.style import COLOURS, head, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["data_figure"]

MOST_CHANNELS = 4
# With fewer points than this, bars replace bands.
FEWEST_IN_BAND = 12
LEVELS = (0.95, 0.68)
MODEL = COLOURS[1]
# Light and full tints of sky blue.
NOISY = ("#DDF0FA", "#AAD9F4")


def data_figure(predictive: Predictive) -> Figure:
    """Draw the data of up to four channels with predictive bands and, below them, the residuals."""
    from matplotlib.figure import Figure

    n_channels = len(predictive.observed)
    n_shown = min(n_channels, MOST_CHANNELS)
    figure = Figure(figsize=(9.0, 0.8 + 4.2 * n_shown), layout="constrained")
    ratios = [3.0, 1.2] * n_shown
    axes = np.ravel(figure.subplots(2 * n_shown, 1, sharex=True, height_ratios=ratios))
    for channel in range(n_shown):
        draw_data(axes[2 * channel], predictive, channel)
        draw_residuals(axes[2 * channel + 1], predictive, channel)
        if n_channels > 1:
            label = f"{predictive.labels[1]}, channel {channel + 1} of {n_channels}"
            axes[2 * channel].set_ylabel(label)
    head(axes[0], "Observed data, standard deviation of the noise, and prediction of the posterior")
    axes[-1].set_xlabel("data point" if predictive.x is None else predictive.labels[0])
    if predictive.x is None:
        axes[-1].set_xlim(0.5, predictive.observed.shape[1] + 0.5)
        axes[-1].xaxis.get_major_locator().set_params(integer=True)
    return figure


def draw_data(axis: Axes, predictive: Predictive, channel: int) -> None:
    """Draw observed points with errors, and quantiles of the prediction of the posterior.

    If the model can be evaluated between the data, so are the bands; the noise is then interpolated.
    """
    x = _abscissa(predictive)
    order = np.argsort(x, kind="stable")
    x, observed = x[order], predictive.observed[channel, order]
    predictions = predictive.predictions[:, channel, order]
    curves = predictive.curves if len(predictive.observed) == 1 else None
    grid, models = (x, predictions) if curves is None else (curves.x, curves.predictions)
    for level, colour in zip(LEVELS, NOISY, strict=True):
        ends = _interval(predictive.replicated[:, channel, order], level)
        if curves is not None:
            ends = _interval(models, level) + _between(grid, x, ends - _interval(predictions, level))
        label = f"{percent(level)} of predicted data"
        _band(axis, grid, *ends, color=colour, label=label, bars=curves is None)
    _band(
        axis,
        grid,
        *_interval(models, LEVELS[0]),
        color=MODEL,
        alpha=0.4,
        label=f"{percent(LEVELS[0])} of models",
        bars=curves is None,
    )
    joined = curves is not None or len(x) >= FEWEST_IN_BAND
    axis.plot(grid, np.median(models, axis=0), "-" if joined else "_", color=MODEL, lw=1.2, ms=14)
    noise = predictive.noise[channel, order]
    bars: dict[str, Any] = dict(yerr=noise) if (noise > 0.0).all() else {}
    axis.errorbar(
        x, observed, fmt=".", color="0.1", elinewidth=0.7, label="observed", **bars, **_points(len(x))
    )
    axis.set_ylabel(predictive.labels[1])


def draw_residuals(axis: Axes, predictive: Predictive, channel: int) -> None:
    """Draw observed data minus the median prediction, in units of the noise if there is noise."""
    residuals = predictive.observed[channel] - np.median(predictive.predictions[:, channel], axis=0)
    in_units = bool((predictive.noise[channel] > 0.0).all())
    if in_units:
        residuals = residuals / predictive.noise[channel]
        for sigma, shade in ((2.0, "0.93"), (1.0, "0.86")):
            axis.axhspan(-sigma, sigma, color=shade, lw=0)
    axis.axhline(0.0, color=MODEL, lw=1.2)
    axis.plot(_abscissa(predictive), residuals, ".", color="0.1", **_points(len(residuals)))
    highest = max(float(np.abs(residuals).max()), 2.5 if in_units else 1e-12)
    axis.set(ylabel="residual / noise" if in_units else "residual", ylim=(-1.1 * highest, 1.1 * highest))
    axis.grid(False)


def _abscissa(predictive: Predictive) -> Array:
    """The independent variable, or the numbers of the points, shape (length,)."""
    length = predictive.observed.shape[1]
    return np.arange(1.0, length + 1.0) if predictive.x is None else predictive.x


def _interval(values: Array, level: float) -> Array:
    """Ends of the central interval of rows, shape (2, length)."""
    return np.quantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=0)


def _between(grid: Array, x: Array, values: Array) -> Array:
    """Interpolate values at the data, shape (2, length); values at equal x are averaged, shape (2, m)."""
    places, numbers = np.unique(x, return_inverse=True)
    means = [np.bincount(numbers, row) / np.bincount(numbers) for row in values]
    return np.array([np.interp(grid, places, row) for row in means])


def _band(
    axis: Axes,
    x: Array,
    low: Array,
    high: Array,
    *,
    color: str,
    label: str,
    bars: bool,
    alpha: float = 1.0,
) -> None:
    if len(x) >= FEWEST_IN_BAND or not bars:
        axis.fill_between(x, low, high, color=color, alpha=alpha, lw=0, label=label)
    else:
        axis.vlines(x, low, high, color=color, alpha=alpha, lw=9, label=label)


def _points(n: int) -> dict[str, Any]:
    """Smaller and fainter points if there are many."""
    return {"ms": float(np.clip(40.0 / np.sqrt(n), 1.5, 7.0)), "alpha": 1.0 if n < 500 else 0.6}
