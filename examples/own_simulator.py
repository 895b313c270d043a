"""Your own simulator, noise and likelihood: a radio afterglow of which some epochs are upper limits.

Run `python examples/own_simulator.py`; result and plot are then in build/gallery/own_simulator/. The light
curve is simulated, with the parameters that Makhathini et al. (2021, ApJ 922, 154) find for GW170817. What is
fainter than three times its noise is no detection, and no likelihood of bilby knows about that: so one is
written here, and `simulator=` and `noise=` tell the sampler how such data come about.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import corner
import matplotlib.pyplot as plt
import numpy as np
from bilby.core.prior import LogUniform, PriorDict, Uniform
from scipy.stats import norm

QUICK = "--quick" in sys.argv  # a rough fit in seconds, to see that all works
ROUGH = dict(n_effective=100, n_sims=300, max_likelihood_calls=2000, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
OUTDIR = Path("build/gallery/own_simulator")
BLUE, VERMILION = "#0072b2", "#d55e00"  # Okabe & Ito (2008), told apart by colour-blind readers too

TRUTH = dict(peak=101.0, t_peak=155.0, rise=0.86, decay=1.92)
PRIORS = PriorDict(
    dict(
        peak=LogUniform(10, 1000, latex_label=r"$F_{\rm p}$", unit=r"$\mu$Jy"),
        t_peak=LogUniform(20, 800, latex_label=r"$t_{\rm p}$", unit="d"),
        rise=Uniform(0, 4, latex_label=r"$\alpha_1$"),
        decay=Uniform(0, 6, latex_label=r"$\alpha_2$"),
    )
)
EPOCH = np.geomspace(4, 900, 26)  # days after the merger
NOISE = np.where(np.arange(len(EPOCH)) % 3 == 0, 12.0, 6.0)  # of short and long exposures, microjansky
LIMIT = 3 * NOISE


def light_curve(parameters: dict[str, float], time: np.ndarray = EPOCH) -> np.ndarray:
    """Flux of a smoothly broken power law, in microjansky: the simulator, without noise."""
    phase = time / parameters["t_peak"]
    rise, decay = phase ** (-2 * parameters["rise"]), phase ** (2 * parameters["decay"])
    return parameters["peak"] * np.sqrt(2 / (rise + decay))


def observe(flux: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a telescope reports: noisy fluxes where they are detections, elsewhere 0."""
    noisy = flux + NOISE * rng.normal(size=flux.shape)
    return np.where(noisy > LIMIT, noisy, 0.0)


class Afterglow(bilby.Likelihood):
    """Detections scatter about the model; an upper limit is the chance to fall below it."""

    def __init__(self, data: np.ndarray) -> None:
        super().__init__()
        self.data = data

    def log_likelihood(self, parameters: dict[str, float]) -> float:
        """Logarithm of the probability of all epochs."""
        flux = light_curve(parameters)
        detection, limit = norm.logpdf(self.data, flux, NOISE), norm.logcdf(LIMIT, flux, NOISE)
        return float(np.sum(np.where(self.data > 0, detection, limit)))


def report(result: bilby.core.result.Result) -> None:
    """Print the posterior beside the truth, and what the run cost."""
    for name, truth in TRUTH.items():
        low, median, high = result.posterior[name].quantile([0.159, 0.5, 0.841])
        print(f"{name:8s} {median:8.2f} +{high - median:.2f} -{median - low:.2f}   truth {truth}")
    run = result.meta_data["nbi"]
    print(f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, {run['status']}")
    print(f"{result.num_likelihood_evaluations} likelihood calls, efficiency {run['efficiency']:.0%}")


def plot(result: bilby.core.result.Result, data: np.ndarray) -> None:
    """Plot detections and limits with the band of the posterior, residuals, and the posterior."""
    figure = plt.figure(figsize=(10, 4.8))
    left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
    top, bottom = left.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left.subplots_adjust(left=0.13, right=0.97, bottom=0.12, top=0.97, hspace=0.06)
    draws = result.posterior.sample(300, replace=True, random_state=1).to_dict("records")
    grid, seen = np.geomspace(3, 1200, 300), data > 0
    curves = np.array([light_curve(draw, grid) for draw in draws])
    low, median, high = np.quantile(curves, (0.025, 0.5, 0.975), axis=0)
    points = dict(fmt="o", ms=3.5, lw=0.8, color="0.15")
    top.errorbar(EPOCH[seen], data[seen], NOISE[seen], label="detections", **points)
    top.plot(EPOCH[~seen], LIMIT[~seen], "v", ms=5, mfc="none", color="0.15", label=r"limits (3$\sigma$)")
    top.fill_between(grid, low, high, color=BLUE, alpha=0.3, lw=0)
    top.plot(grid, median, color=BLUE, label="posterior, 95 %")
    top.plot(grid, light_curve(TRUTH, grid), color=VERMILION, ls="--", lw=1.2, label="truth")
    top.set(ylabel=r"flux density ($\mu$Jy)", xscale="log", yscale="log", xlim=grid[[0, -1]], ylim=(2, 250))
    top.legend(frameon=False, loc="lower center")
    residual = (data - np.interp(EPOCH, grid, median)) / NOISE
    bottom.errorbar(EPOCH[seen], residual[seen], 1.0, **points)
    bottom.axhline(0, color=BLUE, lw=1)
    bottom.set(xlabel="time since merger (d)", ylabel=r"residual / $\sigma$", ylim=(-3.9, 3.9))
    for panel in (top, bottom):
        panel.tick_params(direction="in", which="both", top=True, right=True)
    left.align_ylabels()
    corner.corner(
        result.nested_samples[list(PRIORS)].to_numpy(),
        weights=result.nested_samples["weights"].to_numpy(),
        fig=right,
        labels=[prior.latex_label_with_unit for prior in PRIORS.values()],
        truths=list(TRUTH.values()),
        range=[0.999] * len(PRIORS),
        levels=1 - np.exp([-0.5, -2]),  # within 1 and 2 sigma of a Gaussian in the plane
        **dict(bins=30, smooth=1.0, fill_contours=True, plot_datapoints=False, max_n_ticks=3),
        **dict(color=BLUE, truth_color=VERMILION, labelpad=0.25),
    )
    right.subplots_adjust(left=0.19, right=0.97, bottom=0.19, top=0.97)
    for panel in right.axes:
        panel.tick_params(labelsize=8)
    figure.savefig(OUTDIR / "own_simulator.png", dpi=150)
    plt.close(figure)


def main() -> None:
    """Simulate, fit, report and plot."""
    data = observe(light_curve(TRUTH), np.random.default_rng(4))
    known = dict(simulator=light_curve, noise=observe)
    settings = dict(seed=1, outdir=str(OUTDIR), label="afterglow", clean=True, **AMOUNT)
    result = bilby.run_sampler(Afterglow(data), PRIORS, sampler="nbi", **known, **settings)
    report(result)
    plot(result, data)


if __name__ == "__main__":
    main()
