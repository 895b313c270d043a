"""Fit the microlensing event OGLE-2008-BLG-092 with a point lens, a point source and blended light.

Run `make demo`; the result, a corner plot, the light curve and plots of the run are then in build/demo/.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import corner
import matplotlib.pyplot as plt
import numpy as np
from bilby.core.prior import LogUniform, PriorDict, Uniform
from matplotlib.lines import Line2D
from scipy.optimize import curve_fit

from nbi_sampler.plots import plot_run

QUICK = "--quick" in sys.argv  # a rough fit in seconds, to see that all works
ROUGH = dict(n_effective=100, training=dict(n_epochs=20))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
DATA = Path(__file__).parent / "data" / "ogle-2008-blg-092.dat"
OUTDIR = Path("build/demo")
LABEL = "ogle-2008-blg-092"
SEASON_2010 = (5264.0, 5498.0)  # HJD - 2450000; the season of the event
QUANTILES = (0.159, 0.5, 0.841)
# Blue and vermilion of Okabe & Ito (2008), told apart by colour-blind readers too.
BLUE, VERMILION = "#0072b2", "#d55e00"


def flux_model(
    time: np.ndarray, t0: float, u0: float, tE: float, source_flux: float, blend_flux: float
) -> np.ndarray:
    """Flux of a source magnified by a point lens (Paczynski 1986, ApJ 304, 1), plus light that is not."""
    u_squared = u0**2 + ((time - t0) / tE) ** 2
    magnification = (u_squared + 2) / np.sqrt(u_squared * (u_squared + 4))
    return source_flux * magnification + blend_flux


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return times, fluxes and their errors in units of the 2011 baseline, and the baseline's magnitude."""
    time, magnitude, magnitude_error = np.loadtxt(DATA, unpack=True)
    baseline = float(np.median(magnitude[time > SEASON_2010[1]]))
    flux = 10 ** (-0.4 * (magnitude - baseline))
    return time, flux, flux * magnitude_error * np.log(10) / 2.5, baseline


def least_squares(time: np.ndarray, flux: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return best fit, its errors scaled to chi^2 per degree of freedom of one, and that scale."""
    values, covariance = curve_fit(flux_model, time, flux, p0=[5379, 0.5, 18, 0.9, 0.1], sigma=error)
    chi_squared = np.sum(((flux - flux_model(time, *values)) / error) ** 2)
    return values, np.sqrt(np.diag(covariance)), np.sqrt(chi_squared / (len(time) - len(values)))


PRIORS = PriorDict(
    dict(
        t0=Uniform(*SEASON_2010, latex_label="$t_0$", unit="HJD $-$ 2450000"),
        u0=LogUniform(0.02, 2, latex_label="$u_0$"),
        tE=LogUniform(2, 200, latex_label=r"$t_{\rm E}$", unit="d"),
        source_flux=Uniform(0, 2, latex_label=r"$f_{\rm source}$", unit=r"$f_{2011}$"),
        blend_flux=Uniform(-1, 1, latex_label=r"$f_{\rm blend}$", unit=r"$f_{2011}$"),
    )
)


def report(result: bilby.core.result.Result, best: np.ndarray, best_error: np.ndarray) -> None:
    """Print the posterior beside the least-squares fit, and what the run cost."""
    run, draws = result.meta_data["nbi"], result.nested_samples
    print(f"\n{'':12s}{'posterior (median, 1 sigma)':>34s}{'least squares':>26s}")
    for i, key in enumerate(PRIORS):
        low, median, high = corner.quantile(draws[key], QUANTILES, weights=draws["weights"])
        posterior = f"{median:.4f} +{high - median:.4f} -{median - low:.4f}"
        print(f"{key:12s}{posterior:>34s}{f'{best[i]:.4f} +- {best_error[i]:.4f}':>26s}")
    print(f"\nlog evidence       {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}")
    print(f"efficiency         {run['efficiency']:.1%} of the last proposal's draws")
    print(f"likelihood calls   {result.num_likelihood_evaluations}")
    print(f"status             {run['status']}\n")


def plot_corner(result: bilby.core.result.Result, best: np.ndarray) -> None:
    """Plot the marginals of all weighted draws, with the least-squares fit as lines."""
    masses = 1 - np.exp([-0.5, -2])  # within 1 and 2 sigma of a Gaussian in the plane
    with plt.rc_context({"axes.formatter.useoffset": False, "axes.titlepad": 9}):
        figure = corner.corner(
            result.nested_samples[list(PRIORS)].to_numpy(),
            weights=result.nested_samples["weights"].to_numpy(),
            labels=[prior.latex_label_with_unit for prior in PRIORS.values()],
            titles=[prior.latex_label for prior in PRIORS.values()],
            truths=best,
            range=[0.999] * len(best),
            levels=masses,
            **dict(bins=40, smooth=1.2, fill_contours=True, plot_datapoints=False, max_n_ticks=3),
            **dict(color=BLUE, truth_color=VERMILION, labelpad=0.08, label_kwargs=dict(fontsize=14)),
            **dict(quantiles=QUANTILES, show_titles=True, title_fmt=".3f"),
            title_kwargs=dict(fontsize=13),
        )
    lines = [Line2D([], [], color=BLUE), Line2D([], [], color=VERMILION)]
    figure.legend(
        lines, ["posterior (1 and 2 sigma)", "least squares"], fontsize=16, frameon=False, loc=(0.6, 0.85)
    )
    figure.savefig(OUTDIR / f"{LABEL}_corner.png", dpi=200, bbox_inches="tight")
    plt.close(figure)


def plot_light_curve(result: bilby.core.result.Result, data: tuple) -> None:
    """Plot the season's magnitudes with curves drawn from the posterior, and residuals from their median."""
    time, flux, error, baseline = data
    grid = np.linspace(SEASON_2010[0] - 5, SEASON_2010[1] + 5, 2000)
    chosen = result.nested_samples.sample(200, weights="weights", replace=True, random_state=1)
    draws = chosen[list(PRIORS)].to_numpy()
    curves = np.array([flux_model(grid, *draw) for draw in draws])
    median = np.median(curves, axis=0)

    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(7, 5.5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    points = dict(fmt="o", ms=3, lw=0.8, color="0.15", label="OGLE-IV $I$ band, season 2010")
    top.errorbar(time, baseline - 2.5 * np.log10(flux), 2.5 / np.log(10) * error / flux, **points)
    top.plot(grid, baseline - 2.5 * np.log10(curves.T), color=VERMILION, lw=0.5, alpha=0.1)
    top.plot([], [], color=VERMILION, label=f"{len(draws)} draws from the posterior")
    top.set(ylabel="$I$ (mag)", xlim=grid[[0, -1]])
    top.invert_yaxis()
    top.legend(frameon=False, loc="upper right")

    expected = np.interp(time, grid, median)
    bottom.errorbar(time, -2500 * np.log10(flux / expected), 2500 / np.log(10) * error / flux, **points)
    bottom.plot(grid, -2500 * np.log10(curves / median).T, color=VERMILION, lw=0.5, alpha=0.2)
    bottom.set(xlabel="HJD $-$ 2450000 (days)", ylabel="residual (mmag)", ylim=(35, -35))
    for panel in (top, bottom):
        panel.tick_params(direction="in", top=True, right=True)
    figure.savefig(OUTDIR / f"{LABEL}_light_curve.png", dpi=200)
    plt.close(figure)


def main() -> None:
    """Fit, report and plot."""
    time, flux, error, baseline = load()
    best, best_error, scale = least_squares(time, flux, error)
    data = time, flux, error * scale, baseline
    likelihood = bilby.core.likelihood.GaussianLikelihood(time, flux, flux_model, sigma=error * scale)
    settings = dict(seed=1, outdir=str(OUTDIR), label=LABEL, clean=True, **AMOUNT)
    result = bilby.run_sampler(likelihood, PRIORS, sampler="nbi", **settings)
    report(result, best, best_error)
    plot_corner(result, best)
    plot_light_curve(result, data)
    plot_run(result, likelihood=likelihood)
    print(f"result and plots are in {OUTDIR}/")


if __name__ == "__main__":
    main()
