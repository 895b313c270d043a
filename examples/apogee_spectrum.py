"""Fit the aluminium lines of a star in a real APOGEE spectrum: velocity, strengths, damping.

Run `python examples/apogee_spectrum.py`; result and plot are then in build/gallery/apogee_spectrum/. The
star, 2MASS J19485057+5005279, is a dwarf of about 5200 K; its spectrum is of SDSS DR17, and the pipeline has
moved it to the rest frame of the star.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import matplotlib.pyplot as plt
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, PriorDict, Uniform
from scipy.integrate import trapezoid
from scipy.ndimage import gaussian_filter1d
from scipy.special import voigt_profile

QUICK = "--quick" in sys.argv  # a rough fit in seconds, to see that all works
ROUGH = dict(n_effective=100, n_sims=500, max_likelihood_calls=4000, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
DATA = Path(__file__).parent / "data" / "apogee-2m19485057+5005279.dat"
OUTDIR = Path("build/gallery/apogee_spectrum")
BLUE, VERMILION = "#0072b2", "#d55e00"  # Okabe & Ito (2008), told apart by colour-blind readers too

LIGHT = 299792.458  # km/s
LINES = (16723.524, 16755.140, 16767.938)  # Al I, vacuum (Angstrom)
LEFT_OUT = ((16726.3, 16729.5), (16756.4, 16759.6), (16763.2, 16765.5))  # lines of other elements (Angstrom)
SKY_LEFT = (16730.7, 16734.0)  # emission of the night sky that was not all taken off
FITTED = (16712.0, 16782.0)
SKY = 4096 | 8192  # bits of the pipeline's mask: emission of the night sky, absorption of the air
PIPELINE = (13.960, 0.036)  # heliocentric velocity that has been removed (km/s)
THERMAL = 1.5  # of aluminium at 5200 K, with 1 km/s of turbulence (km/s, standard deviation)
INSTRUMENT = LIGHT / 22_500 / 2.355  # resolving power of APOGEE (km/s, standard deviation)
STEP = 1.0  # of the grid that the lines are computed on (km/s)
GRID = np.arange(np.log(16710), np.log(16784), STEP / LIGHT)  # ln(wavelength)

PRIORS = PriorDict(
    dict(
        velocity=Uniform(-20, 20, latex_label="$v$", unit="km s$^{-1}$"),
        strength_1=LogUniform(1, 1000, latex_label=r"$\eta_1$", unit="km s$^{-1}$"),
        strength_2=LogUniform(1, 1000, latex_label=r"$\eta_2$", unit="km s$^{-1}$"),
        strength_3=LogUniform(1, 1000, latex_label=r"$\eta_3$", unit="km s$^{-1}$"),
        damping=LogUniform(0.3, 30, latex_label=r"$\gamma$", unit="km s$^{-1}$"),
        contrast=Uniform(0, 1, latex_label="$A$"),
        level=Uniform(0.9, 1.1, latex_label="$c$"),
        sigma=LogUniform(0.001, 0.1, latex_label=r"$\sigma$"),
    )
)


def depth(strengths: tuple[float, ...], velocity: float, damping: float, contrast: float) -> np.ndarray:
    """Depth of the lines on `GRID` as the instrument sees it, for a Milne-Eddington atmosphere."""
    opacity = np.zeros_like(GRID)
    for line, strength in zip(LINES, strengths, strict=True):
        opacity += strength * voigt_profile(LIGHT * (GRID - np.log(line)) - velocity, THERMAL, damping)
    return gaussian_filter1d(contrast * opacity / (1 + opacity), INSTRUMENT / STEP)


def spectrum(
    wavelength: np.ndarray,
    velocity: float,
    strength_1: float,
    strength_2: float,
    strength_3: float,
    damping: float,
    contrast: float,
    level: float,
) -> np.ndarray:
    """Flux at wavelengths in Angstrom: a flat continuum, less the lines."""
    lines = depth((strength_1, strength_2, strength_3), velocity, damping, contrast)
    return level * (1 - np.interp(np.log(wavelength), GRID, lines))


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wavelengths, fluxes in units of their median, and which of them to fit."""
    wavelength, flux, _, mask = np.loadtxt(DATA, unpack=True)
    fitted = (mask.astype(int) & SKY == 0) & (wavelength > FITTED[0]) & (wavelength < FITTED[1])
    for start, end in (*LEFT_OUT, SKY_LEFT):
        fitted &= (wavelength < start) | (wavelength > end)
    return wavelength, flux / np.median(flux[fitted]), fitted


def report(result: bilby.core.result.Result) -> None:
    """Print velocity, equivalent widths and what the run cost."""
    draws = result.posterior.sample(200, replace=True, random_state=1)
    shift = PIPELINE[0] + result.posterior["velocity"]
    print(f"heliocentric velocity {shift.mean():.2f} +- {shift.std():.2f} km/s (pipeline: {PIPELINE[0]:.2f})")
    common = draws[["velocity", "damping", "contrast"]].to_numpy()
    for i, line in enumerate(LINES):
        strengths = np.where(np.arange(len(LINES)) == i, draws.filter(like="strength").to_numpy(), 0.0)
        depths = np.array([depth(*each) for each in zip(strengths, *common.T, strict=True)])
        widths = 1000 * trapezoid(depths, np.exp(GRID), axis=1)
        print(f"equivalent width of {line:.1f} A {widths.mean():.0f} +- {widths.std():.0f} mA")
    scatter, run = result.posterior["sigma"], result.meta_data["nbi"]
    print(f"scatter {100 * scatter.mean():.2f} +- {100 * scatter.std():.2f} % of the continuum")
    print(f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, {run['status']}")
    print(f"{result.num_likelihood_evaluations} likelihood calls, efficiency {run['efficiency']:.0%}")


def plot(result: bilby.core.result.Result, data: tuple[np.ndarray, ...]) -> None:
    """Plot the spectrum with the band of the model, residuals, and the velocity."""
    wavelength, flux, fitted = data
    names = [name for name in PRIORS if name != "sigma"]
    draws = result.posterior.sample(200, replace=True, random_state=1)
    curves = np.array([spectrum(wavelength, *draw) for draw in draws[names].to_numpy()])
    low, median, high = np.quantile(curves, (0.025, 0.5, 0.975), axis=0)

    panels = dict(sharex=True, height_ratios=(3, 1), layout="constrained")
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 5), **panels)
    used = np.where(fitted, flux, np.nan)
    steps = dict(drawstyle="steps-mid", lw=0.9)
    top.plot(wavelength, flux, color="0.75", label="left out: night sky, other lines", **steps)
    top.plot(wavelength, used, color="0.15", label="APOGEE, 2MASS J19485057+5005279", **steps)
    top.fill_between(wavelength, low, high, color=VERMILION, alpha=0.4, lw=0)
    top.plot(wavelength, median, color=VERMILION, lw=1.0, label="posterior, 95 %")
    for line in LINES:
        top.annotate("Al I", (line, 1.06), ha="center", fontsize=9)
    top.set(ylabel="flux / continuum", xlim=FITTED, ylim=(0.45, 1.12))
    top.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.2, 0.0))
    sigma = 100 * result.posterior["sigma"].median()
    bottom.axhspan(-sigma, sigma, color=BLUE, alpha=0.2, lw=0, label=r"$\pm\sigma$")
    bottom.plot(wavelength, 100 * (used - median), color="0.15", **steps)
    bottom.axhline(0, color=VERMILION, lw=1.0)
    bottom.set(xlabel=r"vacuum wavelength at rest ($\rm\AA$)", ylabel="residual (%)", ylim=(-5.5, 5.5))
    for panel in (top, bottom):
        panel.tick_params(direction="in", top=True, right=True)
    inset = top.inset_axes((0.3, 0.4, 0.2, 0.36))
    inset.hist(PIPELINE[0] + result.posterior["velocity"], bins=30, color=BLUE, histtype="stepfilled")
    inset.axvspan(PIPELINE[0] - PIPELINE[1], PIPELINE[0] + PIPELINE[1], color="0.6")
    inset.annotate("pipeline", (PIPELINE[0] + 0.08, 0.85), xycoords=("data", "axes fraction"), fontsize=8)
    limits = PIPELINE[0] - 1.0, PIPELINE[0] + 0.8
    inset.set(xlabel="heliocentric velocity (km s$^{-1}$)", yticks=[], xlim=limits)
    figure.savefig(OUTDIR / "apogee_spectrum.png", dpi=150)
    plt.close(figure)


def main() -> None:
    """Fit, report and plot."""
    wavelength, flux, fitted = load()
    # Without a value for sigma it is a parameter: the noise, and what the model leaves out.
    likelihood = GaussianLikelihood(wavelength[fitted], flux[fitted], spectrum)
    settings = dict(seed=1, outdir=str(OUTDIR), label="apogee", clean=True)
    result = bilby.run_sampler(likelihood, PRIORS, sampler="nbi", **AMOUNT, **settings)
    report(result)
    plot(result, (wavelength, flux, fitted))


if __name__ == "__main__":
    main()
