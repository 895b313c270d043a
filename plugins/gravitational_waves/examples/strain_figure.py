"""The figure of `four_parameters.py`: strain with the band of the posterior's waves, and the posterior."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import bilby
import corner
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import SubFigure

from nbi_sampler.reports.plots.style import COLOURS

__all__ = ["draw"]

LABELS = {
    "chirp_mass": r"$\mathcal{M}$ ($M_\odot$)",
    "mass_ratio": "$q$",
    "luminosity_distance": r"$d_{\rm L}$ (Mpc)",
    "theta_jn": r"$\theta_{JN}$ (rad)",
}
BLUE, VERMILION = COLOURS[:2]
BAND = (30.0, 300.0)  # band of the plotted strain, Hz, with the visible signal
SHOWN = (-0.16, 0.04)  # interval of the strain, s from the merger


def draw(
    result: bilby.gw.result.CBCResult,
    likelihood: bilby.gw.GravitationalWaveTransient,
    truths: Mapping[str, float],
    path: Path,
) -> None:
    """Draw strain and posterior.

    Parameters
    ----------
    result : bilby.gw.result.CBCResult
    likelihood : bilby.gw.GravitationalWaveTransient
    truths : mapping of str to float
        Values for the parameters, the chirp mass and the mass ratio.
    path : Path
    """
    figure = plt.figure(figsize=(11, 5.4))
    left, right = figure.subfigures(1, 2)
    names = result.search_parameter_keys + result.fixed_parameter_keys
    draws = result.posterior[names].sample(100, replace=True, random_state=1)
    draw_strain(left, likelihood, draws.to_dict("records"))
    corner.corner(
        result.nested_samples[list(LABELS)].to_numpy(),
        weights=result.nested_samples["weights"].to_numpy(),
        fig=right,
        labels=list(LABELS.values()),
        truths=[truths[name] for name in LABELS],
        range=[0.999] * len(LABELS),
        levels=1 - np.exp([-0.5, -2]),  # masses within 1 and 2 sigma of a Gaussian in the plane
        **dict(bins=30, smooth=1.0, fill_contours=True, plot_datapoints=False, max_n_ticks=3),
        **dict(color=BLUE, truth_color=VERMILION, labelpad=0.25),
    )
    right.subplots_adjust(left=0.18, right=0.97, bottom=0.18, top=0.97)
    for panel in right.axes:
        panel.tick_params(labelsize=8)
    said = "contours: 39 % and 86 %\nof the posterior\nlines: injected values"
    right.text(0.97, 0.97, said, ha="right", va="top", fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_strain(
    figure: SubFigure, likelihood: bilby.gw.GravitationalWaveTransient, draws: list[dict[str, float]]
) -> None:
    """Draw the whitened strain of each detector with the central 95 % of the posterior's waves."""
    detectors = likelihood.interferometers
    panels = figure.subplots(len(detectors), 1, sharex=True)
    waves = [likelihood.waveform_generator.frequency_domain_strain(dict(each)) for each in draws]
    for panel, detector in zip(panels, detectors, strict=True):
        seen = [detector.get_detector_response(*pair) for pair in zip(waves, draws, strict=True)]
        curves = [strain(detector, each) for each in seen]
        low, median, high = np.quantile(curves, (0.025, 0.5, 0.975), axis=0)
        time = detector.time_array - draws[0]["geocent_time"]
        data = strain(detector, detector.frequency_domain_strain)
        panel.plot(time, data, color="0.6", lw=0.7, label="data")
        panel.fill_between(time, low, high, color=VERMILION, alpha=0.4, lw=0)
        panel.plot(time, median, color=VERMILION, lw=1, label="posterior, 95 %")
        panel.set(xlim=SHOWN, ylabel=f"whitened strain, {detector.name}")
        panel.tick_params(direction="in", top=True, right=True)
    panels[0].legend(frameon=False, loc="lower left", ncols=2)
    panels[-1].set(xlabel="time from the merger at the geocentre (s)")
    panels[-1].locator_params(axis="x", nbins=5)
    figure.subplots_adjust(left=0.11, right=0.97, bottom=0.1, top=0.97, hspace=0.06)
    figure.align_ylabels()


def strain(detector: bilby.gw.detector.Interferometer, series: np.ndarray) -> np.ndarray:
    """Whitened time series of a frequency series, within `BAND`."""
    frequency = detector.frequency_array
    white = detector.whiten_frequency_series(series) * ((frequency > BAND[0]) & (frequency < BAND[1]))
    return detector.get_whitened_time_series_from_whitened_frequency_series(white)
