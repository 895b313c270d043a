"""Bilby's four-parameter binary black hole: masses, distance and inclination from the strain of H1 and L1.

    python four_parameters.py --n-effective 5000 --seed 1

It is `gw_fast` of the benchmark, whose reference evidence is -8028.3437 +- 0.0018. Nothing here names the
plugin: that it is installed is enough for the run to simulate strain. The plot shows the posterior, and the
whitened strain of both detectors with the band of the waves that it allows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bilby
import bilby.gw
import corner
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import SubFigure

from nbi_sampler.benchmark.problems import Problem, get_problem

LABELS = {
    "chirp_mass": r"$\mathcal{M}$ ($M_\odot$)",
    "mass_ratio": "$q$",
    "luminosity_distance": r"$d_{\rm L}$ (Mpc)",
    "theta_jn": r"$\theta_{JN}$ (rad)",
}
BLUE, VERMILION = "#0072b2", "#d55e00"  # Okabe & Ito (2008), told apart by colour-blind readers too
BAND = (30.0, 300.0)  # of the plotted strain, Hz: what is seen of the signal
SHOWN = (-0.16, 0.04)  # of the strain, s from the merger


def strain(detector: bilby.gw.detector.Interferometer, series: np.ndarray) -> np.ndarray:
    """Whitened time series of a frequency series, within `BAND`."""
    frequency = detector.frequency_array
    white = detector.whiten_frequency_series(series) * ((frequency > BAND[0]) & (frequency < BAND[1]))
    return detector.get_whitened_time_series_from_whitened_frequency_series(white)


def plot_strain(figure: SubFigure, likelihood: bilby.Likelihood, draws: list[dict]) -> None:
    """Plot the whitened strain of each detector with the central 95 % of the posterior's waves."""
    detectors = likelihood.interferometers
    panels = figure.subplots(len(detectors), 1, sharex=True)
    waves = [likelihood.waveform_generator.frequency_domain_strain(dict(draw)) for draw in draws]
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


def plot(result: bilby.gw.result.CBCResult, problem: Problem, path: Path) -> None:
    """Plot strain and posterior."""
    figure = plt.figure(figsize=(11, 5.4))
    left, right = figure.subfigures(1, 2)
    names = result.search_parameter_keys + result.fixed_parameter_keys
    draws = result.posterior[names].sample(100, replace=True, random_state=1)
    plot_strain(left, problem.likelihood, draws.to_dict("records"))
    truth = bilby.gw.conversion.generate_mass_parameters(dict(problem.truth))
    corner.corner(
        result.nested_samples[list(LABELS)].to_numpy(),
        weights=result.nested_samples["weights"].to_numpy(),
        fig=right,
        labels=list(LABELS.values()),
        truths=[truth[name] for name in LABELS],
        range=[0.999] * len(LABELS),
        levels=1 - np.exp([-0.5, -2]),  # within 1 and 2 sigma of a Gaussian in the plane
        **dict(bins=30, smooth=1.0, fill_contours=True, plot_datapoints=False, max_n_ticks=3),
        **dict(color=BLUE, truth_color=VERMILION, labelpad=0.25),
    )
    right.subplots_adjust(left=0.18, right=0.97, bottom=0.18, top=0.97)
    for panel in right.axes:
        panel.tick_params(labelsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Run, compare with the reference, and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-effective", type=float, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--npool", type=int, default=2)
    parser.add_argument("--outdir", default="build/four_parameters")
    parser.add_argument("--quick", action="store_true", help="a rough fit, to see that all works")
    arguments = parser.parse_args()
    problem = get_problem("gw_fast")
    amount = dict(n_effective=arguments.n_effective)
    if arguments.quick:
        amount = dict(n_effective=100, n_sims=300, max_likelihood_calls=1500)
    result = bilby.run_sampler(
        problem.likelihood,
        problem.priors,
        sampler="nbi",
        seed=arguments.seed,
        npool=arguments.npool,
        outdir=arguments.outdir,
        label=f"seed_{arguments.seed}",
        print_method="interval-60",
        use_ratio=False,
        result_class=bilby.gw.result.CBCResult,
        **amount,
    )
    nbi = result.meta_data["nbi"]
    off = result.log_evidence - problem.log_evidence
    print(f"log Z {result.log_evidence:.4f} +- {result.log_evidence_err:.4f}, off by {off:+.4f}")
    print(f"{result.num_likelihood_evaluations:,} calls, status {nbi['status']}, ESS {nbi['ess']:.0f}")
    print(f"efficiency of the final proposal {nbi['efficiency']:.2f}, k-hat {nbi['k_hat']:.2f}")
    plot(result, problem, Path(arguments.outdir) / "four_parameters.png")


if __name__ == "__main__":
    main()
