"""Fit the microlensing event OGLE-2008-BLG-092 with a point lens, a point source and blended light.

Run `make demo`. It writes the result, a corner plot, the light curve and plots of the run to build/demo/.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import corner
import numpy as np
from bilby.core.prior import LogUniform, Uniform
from drawing.ogle_2008_blg_092 import draw
from scipy.optimize import curve_fit

from nbi_sampler.reports.plots import plot_run

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=100, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
DATA = Path(__file__).parent / "data" / "ogle-2008-blg-092.dat"
OUTDIR = Path("build/demo")
LABEL = "ogle-2008-blg-092"
SEASON_2010 = (5264.0, 5498.0)  # HJD - 2450000; the season of the event


def flux_model(
    time: np.ndarray, t0: float, u0: float, tE: float, source_flux: float, blend_flux: float
) -> np.ndarray:
    """Flux of a source magnified by a point lens (Paczynski 1986, ApJ 304, 1), plus constant light."""
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


PRIORS = dict(
    t0=Uniform(*SEASON_2010, latex_label="$t_0$", unit="HJD $-$ 2450000"),
    u0=LogUniform(0.02, 2, latex_label="$u_0$"),
    tE=LogUniform(2, 200, latex_label=r"$t_{\rm E}$", unit="d"),
    source_flux=Uniform(0, 2, latex_label=r"$f_{\rm source}$", unit=r"$f_{2011}$"),
    blend_flux=Uniform(-1, 1, latex_label=r"$f_{\rm blend}$", unit=r"$f_{2011}$"),
)


def main() -> None:
    """Fit, print the results, draw."""
    time, flux, error, baseline = load()
    best, best_error, scale = least_squares(time, flux, error)
    data = time, flux, error * scale, baseline
    likelihood = bilby.core.likelihood.GaussianLikelihood(time, flux, flux_model, sigma=error * scale)
    settings = dict(seed=1, outdir=str(OUTDIR), label=LABEL, clean=True, **AMOUNT)
    result = bilby.run_sampler(likelihood, PRIORS, sampler="nbi", **settings)
    run, draws = result.meta_data["nbi"], result.nested_samples
    print(f"\n{'':12s}{'posterior (median, 1 sigma)':>34s}{'least squares':>26s}")
    for i, key in enumerate(PRIORS):
        low, median, high = corner.quantile(draws[key], (0.159, 0.5, 0.841), weights=draws["weights"])
        posterior = f"{median:.4f} +{high - median:.4f} -{median - low:.4f}"
        print(f"{key:12s}{posterior:>34s}{f'{best[i]:.4f} +- {best_error[i]:.4f}':>26s}")
    print(f"\nlog evidence       {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}")
    print(f"efficiency         {run['efficiency']:.1%} of the last proposal's draws")
    print(f"likelihood calls   {result.num_likelihood_evaluations}")
    print(f"status             {run['status']}\n")
    draw(result, best, data, flux_model, SEASON_2010, stem=f"{OUTDIR}/{LABEL}")
    plot_run(result, likelihood=likelihood)
    print(f"result and plots are in {OUTDIR}/")


if __name__ == "__main__":
    main()
