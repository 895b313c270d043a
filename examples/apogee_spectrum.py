"""Fit the aluminium lines of a star in a real APOGEE spectrum: velocity, strengths, damping.

Run `python examples/apogee_spectrum.py`. It writes result and plot to build/gallery/apogee_spectrum/. The
star, 2MASS J19485057+5005279, is a dwarf of about 5200 K. Its spectrum is from SDSS DR17, whose pipeline has
shifted it to the rest frame of the star.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, Uniform
from drawing.apogee_spectrum import draw
from scipy import integrate, ndimage, special

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=50, n_sims=300, max_likelihood_calls=1500, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
DATA = Path(__file__).parent / "data" / "apogee-2m19485057+5005279.dat"
OUTDIR = "build/gallery/apogee_spectrum"

LIGHT = 299792.458  # km/s
LINES = (16723.524, 16755.140, 16767.938)  # Al I, vacuum (Angstrom)
LEFT_OUT = ((16726.3, 16729.5), (16756.4, 16759.6), (16763.2, 16765.5))  # lines of other elements (Angstrom)
SKY_LEFT = (16730.7, 16734.0)  # residual emission of the night sky
SKY = 4096 | 8192  # bits of the pipeline's mask: emission of the night sky, absorption of the air
PIPELINE = (13.960, 0.036)  # heliocentric velocity that has been removed (km/s)
THERMAL = 1.5  # of aluminium at 5200 K, with 1 km/s of turbulence (km/s, standard deviation)
INSTRUMENT = LIGHT / 22_500 / 2.355  # resolving power of APOGEE (km/s, standard deviation)
GRID = np.arange(np.log(16710), np.log(16784), 1 / LIGHT)  # ln(wavelength) of the lines, in steps of 1 km/s

PRIORS = dict(
    velocity=Uniform(-20, 20, latex_label="$v$", unit="km s$^{-1}$"),
    strength_1=LogUniform(1, 1000, latex_label=r"$\eta_1$", unit="km s$^{-1}$"),
    strength_2=LogUniform(1, 1000, latex_label=r"$\eta_2$", unit="km s$^{-1}$"),
    strength_3=LogUniform(1, 1000, latex_label=r"$\eta_3$", unit="km s$^{-1}$"),
    damping=LogUniform(0.3, 30, latex_label=r"$\gamma$", unit="km s$^{-1}$"),
    contrast=Uniform(0, 1, latex_label="$A$"),
    level=Uniform(0.9, 1.1, latex_label="$c$"),
    sigma=LogUniform(0.001, 0.1, latex_label=r"$\sigma$"),
)


def depth(strengths: dict[float, float], velocity: float, damping: float, contrast: float) -> np.ndarray:
    """Depth of lines on `GRID` as the instrument sees them, for a Milne-Eddington atmosphere."""
    opacity = np.zeros_like(GRID)
    for line, strength in strengths.items():
        shift = LIGHT * (GRID - np.log(line)) - velocity
        opacity += strength * special.voigt_profile(shift, THERMAL, damping)
    return ndimage.gaussian_filter1d(contrast * opacity / (1 + opacity), INSTRUMENT)


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
    """Flux at wavelengths in Angstrom: a flat continuum minus the lines."""
    strengths = dict(zip(LINES, (strength_1, strength_2, strength_3), strict=True))
    lines = depth(strengths, velocity, damping, contrast)
    return level * (1 - np.interp(np.log(wavelength), GRID, lines))


def main() -> None:
    """Select the pixels, fit, print the results, draw."""
    wavelength, flux, _, mask = np.loadtxt(DATA, unpack=True)
    fitted = (mask.astype(int) & SKY == 0) & (wavelength > 16712) & (wavelength < 16782)
    for start, end in (*LEFT_OUT, SKY_LEFT):
        fitted &= (wavelength < start) | (wavelength > end)
    flux /= np.median(flux[fitted])
    # sigma has no value, so it is a parameter. It includes the noise and the errors of the model.
    likelihood = GaussianLikelihood(wavelength[fitted], flux[fitted], spectrum)
    settings = dict(seed=1, outdir=OUTDIR, label="apogee", clean=True)
    result = bilby.run_sampler(likelihood, PRIORS, sampler="nbi", **AMOUNT, **settings)
    draws = result.posterior.sample(200, replace=True, random_state=1)
    shift = PIPELINE[0] + result.posterior["velocity"]
    print(f"heliocentric velocity {shift.mean():.2f} +- {shift.std():.2f} km/s (pipeline: {PIPELINE[0]:.2f})")
    for number, line in enumerate(LINES, start=1):
        chosen = draws[[f"strength_{number}", "velocity", "damping", "contrast"]].to_numpy()
        depths = [depth({line: strength}, *others) for strength, *others in chosen]
        widths = 1000 * integrate.trapezoid(depths, np.exp(GRID), axis=1)
        print(f"equivalent width of {line:.1f} A {widths.mean():.0f} +- {widths.std():.0f} mA")
    scatter, run = result.posterior["sigma"], result.meta_data["nbi"]
    print(f"scatter {100 * scatter.mean():.2f} +- {100 * scatter.std():.2f} % of the continuum")
    print(f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, {run['status']}")
    print(f"{result.num_likelihood_evaluations} likelihood calls, efficiency {run['efficiency']:.0%}")
    draw(result, (wavelength, flux, fitted), spectrum, LINES, PIPELINE, path=f"{OUTDIR}/apogee_spectrum.png")


if __name__ == "__main__":
    main()
