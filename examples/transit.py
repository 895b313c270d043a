"""Fit the transit of a hot Jupiter, computed by batman (Kreidberg 2015, arXiv:1507.08285).

Run `python examples/transit.py`; the result and the plot are then in build/gallery/transit/. The light curve
is simulated: one transit, an exposure every two minutes, 300 parts per million of noise. Limb darkening is
sampled in the coordinates of Kipping (2013, arXiv:1308.0009), in which any point of the square is possible.
"""

from __future__ import annotations

import sys

import batman
import bilby
import corner
import matplotlib.pyplot as plt
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform

QUICK = "--quick" in sys.argv  # a rough fit in seconds, to see that all works
ROUGH = dict(n_effective=50, n_sims=700, training=dict(n_epochs=20))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
OUTDIR = "build/gallery/transit"
PERIOD = 3.5  # days, known from many transits
SIGMA = 3e-4
TRUTH = dict(t0=0.002, radius=0.105, axis=9.0, impact=0.35, q1=0.30, q2=0.35, flux=1.0)
BLUE, VERMILION = "#0072b2", "#d55e00"  # Okabe & Ito (2008), told apart by colour-blind readers too

PRIORS = PriorDict(
    dict(
        t0=Uniform(-0.05, 0.05, latex_label="$t_0$", unit="d"),
        radius=Uniform(0.02, 0.2, latex_label=r"$R_{\rm p}/R_\star$"),
        axis=Uniform(3, 20, latex_label=r"$a/R_\star$"),
        impact=Uniform(0, 1, latex_label="$b$"),
        q1=Uniform(0, 1, latex_label="$q_1$"),
        q2=Uniform(0, 1, latex_label="$q_2$"),
        flux=Uniform(0.99, 1.01, latex_label=r"$f_0$"),
    )
)
TIME = np.arange(-0.15, 0.15, 2 / 1440)  # days
STAR = batman.TransitParams()
STAR.t0, STAR.per, STAR.rp, STAR.a, STAR.inc, STAR.ecc, STAR.w = 0.0, PERIOD, 0.1, 9.0, 88.0, 0.0, 90.0
STAR.limb_dark, STAR.u = "quadratic", [0.4, 0.2]
LIGHT_CURVE = batman.TransitModel(STAR, TIME)  # set up once, which costs more than a light curve


def transit(
    time: np.ndarray,
    t0: float,
    radius: float,
    axis: float,
    impact: float,
    q1: float,
    q2: float,
    flux: float,
) -> np.ndarray:
    """Flux during the transit; radius and axis are in units of the star's radius."""
    STAR.t0, STAR.rp, STAR.a = float(t0), float(radius), float(axis)
    STAR.inc = float(np.degrees(np.arccos(impact / axis)))
    STAR.u = [2 * float(np.sqrt(q1) * q2), float(np.sqrt(q1) * (1 - 2 * q2))]
    return flux * LIGHT_CURVE.light_curve(STAR)


def density(axis: np.ndarray) -> np.ndarray:
    """Mean density of the star in g / cm^3, by Kepler's third law (Seager & Mallen-Ornelas 2003)."""
    return 3 * np.pi * axis**3 / (6.674e-8 * (PERIOD * 86400) ** 2)


def plot(result: bilby.core.result.Result, observed: np.ndarray) -> None:
    """Plot the light curve with the posterior's 95 % and residuals, and the geometry of the transit."""
    figure = plt.figure(figsize=(10, 4.6))
    left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
    top, bottom = left.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left.subplots_adjust(left=0.14, right=0.97, bottom=0.12, top=0.97, hspace=0.06)
    draws = result.posterior.sample(300, replace=True, random_state=1)[list(PRIORS)]
    curves = np.array([transit(TIME, *draw) for draw in draws.to_numpy()])
    low, median, high = np.percentile(curves, (2.5, 50, 97.5), axis=0)
    hours, residual = 24 * TIME, 1e6 * (observed - median)
    top.plot(hours, observed, ".", color="0.6", ms=4, label="two minutes")
    bottom.plot(hours, residual, ".", color="0.6", ms=4)
    bins = dict(yerr=1e6 * SIGMA / np.sqrt(8), fmt="o", ms=3.5, lw=0.8, color="0.15", label="16 minutes")
    bottom.errorbar(*np.array([hours, residual]).reshape(2, -1, 8).mean(axis=2), **bins)
    top.fill_between(hours, low, high, color=BLUE, alpha=0.5, lw=0, label="posterior")
    bottom.fill_between(hours, 1e6 * (low - median), 1e6 * (high - median), color=BLUE, alpha=0.5, lw=0)
    top.set(ylabel="relative flux", xlim=hours[[0, -1]])
    figure.legend(frameon=False, loc=(0.22, 0.66), fontsize=9)
    bottom.set(xlabel="hours from the expected transit", ylabel="residual (ppm)", ylim=(-1100, 1100))
    for panel in (top, bottom):
        panel.tick_params(direction="in", top=True, right=True)
    left.align_ylabels()

    names = ["radius", "axis", "impact"]
    corner.corner(
        result.nested_samples[names].to_numpy(),
        weights=result.nested_samples["weights"].to_numpy(),
        fig=right,
        labels=[PRIORS[name].latex_label for name in names],
        truths=[TRUTH[name] for name in names],
        range=[0.999] * len(names),
        levels=1 - np.exp([-0.5, -2]),  # within 1 and 2 sigma of a Gaussian in the plane
        **dict(bins=30, smooth=1.0, fill_contours=True, plot_datapoints=False, max_n_ticks=3),
        **dict(color=BLUE, truth_color=VERMILION, labelpad=0.25),
    )
    right.subplots_adjust(left=0.18, right=0.97, bottom=0.2, top=0.97)
    figure.savefig(f"{OUTDIR}/transit.png", dpi=150)


def main() -> None:
    """Simulate, fit, report and plot."""
    observed = transit(TIME, **TRUTH) + SIGMA * np.random.default_rng(5).normal(size=len(TIME))
    likelihood = GaussianLikelihood(TIME, observed, transit, sigma=SIGMA)
    settings = dict(seed=1, outdir=OUTDIR, label="transit", clean=True)
    result = bilby.run_sampler(likelihood, PRIORS, sampler="nbi", **settings, **AMOUNT)
    result.posterior["density"] = density(result.posterior["axis"])
    for name, value in (TRUTH | dict(density=density(TRUTH["axis"]))).items():
        low, median, high = result.posterior[name].quantile([0.159, 0.5, 0.841])
        print(f"{name:8s} {median:9.5f} +{high - median:.5f} -{median - low:.5f}   truth {value:.5f}")
    run = result.meta_data["nbi"]
    print(f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, {run['status']}")
    print(f"{result.num_likelihood_evaluations} likelihood calls, efficiency {run['efficiency']:.0%}")
    plot(result, observed)


if __name__ == "__main__":
    main()
