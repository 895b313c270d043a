"""Temperature, gravity, metallicity and rotation of a star from its iron lines, all at once.

Run `python examples/stellar_spectrum.py`. It writes result and plot to build/gallery/stellar_spectrum/. The
data are simulated with the model that fits them: one layer in local thermodynamic equilibrium. Lines of
different excitation measure the temperature, and neutral against ionised iron measures the gravity (Gray
2005, "The Observation and Analysis of Stellar Photospheres", chapters 8, 13, 16 and 18).
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, Uniform
from drawing.stellar_spectrum import draw
from scipy.special import j1

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=50, n_sims=300, max_likelihood_calls=1500, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
OUTDIR = "build/gallery/stellar_spectrum"

# Air wavelength (Angstrom), excitation potential (eV), log gf, ionised or not.
LINES = np.loadtxt(Path(__file__).parent / "data" / "iron_lines.dat")
LIGHT = 299792.458  # km/s
SUN, SUN_LOG_G = 5772.0, 4.438  # K, cm s^-2
CONTRAST, SCALE = 0.8, -0.4  # depth of the strongest lines; gives all about the strengths that the Sun has
INSTRUMENT = LIGHT / 50_000 / 2.355  # resolving power (km/s, standard deviation)
LOG_WAVELENGTH = np.log(6208) + np.arange(2400) / LIGHT  # steps of 1 km/s
FREQUENCY = 2 * np.pi * np.fft.rfftfreq(len(LOG_WAVELENGTH))  # s/km
WAVELENGTH, NOISE = np.arange(6210, 6256, 0.04), 0.005  # pixels, and the noise of each
TRUTH = dict(teff=5480.0, log_g=4.1, metallicity=-0.2, turbulence=1.1, v_sin_i=5.5, velocity=-12.3, level=1.0)

PRIORS = dict(
    teff=Uniform(4500, 7000, latex_label=r"$T_{\rm eff}$", unit="K"),
    log_g=Uniform(2.5, 5, latex_label=r"$\log g$"),
    metallicity=Uniform(-1.5, 0.5, latex_label="[Fe/H]"),
    turbulence=Uniform(0.3, 3, latex_label=r"$\xi$", unit="km s$^{-1}$"),
    v_sin_i=LogUniform(0.5, 30, latex_label=r"$v\sin i$", unit="km s$^{-1}$"),
    velocity=Uniform(-100, 100, latex_label=r"$v_{\rm rad}$", unit="km s$^{-1}$"),
    level=Uniform(0.95, 1.05, latex_label="$c$"),
)


def log_opacity(teff: float, log_g: float, excitation: np.ndarray, ionised: np.ndarray) -> np.ndarray:
    """Opacity of lines relative to that of H-, for iron per hydrogen and gf of one (decimal logarithm)."""
    theta = 5040 / teff
    log_pressure = 1.1 + (log_g - SUN_LOG_G) / 3 + 5e-4 * (teff - SUN)  # of electrons; Gray, section 9
    log_ionised = -7.87 * theta + 2.5 * np.log10(teff) + 0.01 - log_pressure  # Saha: ionised by neutral
    log_share = ionised * log_ionised - np.logaddexp(0, np.log(10) * log_ionised) / np.log(10)
    return log_share - theta * excitation - (log_pressure + 0.754 * theta - 2.5 * np.log10(teff))


def rotation(v_sin_i: float) -> np.ndarray:
    """Fourier transform of the profile of a rotating disc, limb-darkened by 0.6 (Gray, section 18)."""
    x = np.maximum(FREQUENCY * v_sin_i, 1e-3)
    return (0.4 * 2 * j1(x) / x + 0.6 * 2 * (np.sin(x) - x * np.cos(x)) / x**3) / 0.8


def spectrum(
    wavelength: np.ndarray,
    teff: float,
    log_g: float,
    metallicity: float,
    turbulence: float,
    v_sin_i: float,
    velocity: float,
    level: float,
) -> np.ndarray:
    """Flux at wavelengths in Angstrom: iron lines of a rotating star (Milne-Eddington)."""
    strengths = 10 ** (SCALE + LINES[:, 2] + metallicity + log_opacity(teff, log_g, LINES[:, 1], LINES[:, 3]))
    thermal = 0.0122 * np.sqrt(teff)  # of iron (km/s, standard deviation)
    offsets = LIGHT * (LOG_WAVELENGTH - np.log(LINES[:, :1]))
    opacity = strengths @ np.exp(-0.5 * (offsets / np.hypot(thermal, turbulence / np.sqrt(2))) ** 2)
    seen = rotation(v_sin_i) * np.exp(-0.5 * (FREQUENCY * INSTRUMENT) ** 2 - 1j * FREQUENCY * velocity)
    depth = np.fft.irfft(np.fft.rfft(CONTRAST * opacity / (1 + opacity)) * seen, len(LOG_WAVELENGTH))
    return level * (1 - np.interp(np.log(wavelength), LOG_WAVELENGTH, depth))


def main() -> None:
    """Simulate, fit, print the results, draw."""
    noise = NOISE * np.random.default_rng(1).normal(size=len(WAVELENGTH))
    flux = spectrum(WAVELENGTH, **TRUTH) + noise
    likelihood = GaussianLikelihood(WAVELENGTH, flux, spectrum, sigma=NOISE)
    settings = dict(seed=1, outdir=OUTDIR, label="star", clean=True)
    result = bilby.run_sampler(likelihood, PRIORS, sampler="nbi", **AMOUNT, **settings)
    for name, truth in TRUTH.items():
        low, median, high = result.posterior[name].quantile([0.159, 0.5, 0.841])
        print(f"{name:12s} {median:9.3f} +{high - median:.3f} -{median - low:.3f}   truth {truth}")
    run = result.meta_data["nbi"]
    print(f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, {run['status']}")
    print(f"{result.num_likelihood_evaluations} likelihood calls, efficiency {run['efficiency']:.0%}")
    draw(result, (WAVELENGTH, flux), spectrum, LINES, TRUTH, path=f"{OUTDIR}/stellar_spectrum.png")


if __name__ == "__main__":
    main()
