"""Masses of the two transiting sub-Saturns of K2-24, from 32 velocities of Keck/HIRES.

Run `python examples/k2_24.py`. It writes the result and the plot to build/gallery/k2_24/. The transits give
periods and times, so the velocities only have to give amplitudes. Petigura et al. (2016, ApJ 818, 36) found
masses of 21.0 +- 5.4 and 27.0 +- 6.9 Earth masses.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, Normal, PriorDict, Uniform
from drawing.k2_24 import draw

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=50, n_sims=300, max_likelihood_calls=1500, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
DATA = Path(__file__).parent / "data" / "epic203771098_rv.csv"
OUTDIR = "build/gallery/k2_24"
T_REF = 2420.0  # BJD - 2454833, amid the data
EPHEMERIS = dict(b=((20.8851, 3e-4), (2072.7948, 7e-4)), c=((42.3633, 6e-4), (2082.6251, 4e-4)))
STELLAR_MASS = (1.12, 0.05)  # of the Sun; this and the ephemeris from Petigura et al.

PRIORS = PriorDict(dict(gamma=Uniform(-20, 20), slope=Uniform(-0.5, 0.5), sigma=LogUniform(1, 20)))
for planet, (period, transit) in EPHEMERIS.items():
    PRIORS[f"K_{planet}"] = Uniform(0, 20)
    PRIORS[f"P_{planet}"], PRIORS[f"T_{planet}"] = Normal(*period), Normal(*transit)


def circular(time: np.ndarray, K: float, P: float, T: float) -> np.ndarray:
    """Velocity of a star with a planet on a circular orbit that transits at T."""
    return -K * np.sin(2 * np.pi * (time - T) / P)


def velocity(
    time: np.ndarray,
    gamma: float,
    slope: float,
    K_b: float,
    P_b: float,
    T_b: float,
    K_c: float,
    P_c: float,
    T_c: float,
) -> np.ndarray:
    """Velocity from both planets, a constant, and a linear trend from a distant body."""
    planets = circular(time, K_b, P_b, T_b) + circular(time, K_c, P_c, T_c)
    return gamma + slope * (time - T_REF) + planets


def mass(K: np.ndarray, P: float, rng: np.random.Generator) -> np.ndarray:
    """Mass in Earth masses of a planet on a circular edge-on orbit, with K in m/s and P in days."""
    star = rng.normal(*STELLAR_MASS, size=len(K))
    return 317.8 * K / 28.4329 * star ** (2 / 3) * (P / 365.25) ** (1 / 3)


def main() -> None:
    """Fit, convert amplitudes to masses, draw."""
    _, error, time, observed = np.loadtxt(DATA, delimiter=",", skiprows=1, unpack=True)
    # The uncertainties are almost equal; sigma is the scatter of the measurements and of the star together.
    print(f"uncertainties from {error.min():.2f} to {error.max():.2f} m/s")
    likelihood = GaussianLikelihood(time, observed, velocity)
    settings = dict(seed=1, outdir=OUTDIR, label="k2_24", clean=True)
    result = bilby.run_sampler(likelihood, PRIORS, sampler="nbi", **settings, **AMOUNT)
    rng = np.random.default_rng(1)
    for planet, published in (("b", "21.0 +- 5.4"), ("c", "27.0 +- 6.9")):
        K, P = (result.posterior[f"{name}_{planet}"].to_numpy() for name in "KP")
        masses = mass(K, P, rng)
        print(f"{planet}: K {K.mean():.2f} +- {K.std():.2f} m/s, ", end="")
        print(f"mass {masses.mean():.1f} +- {masses.std():.1f} Earths (published {published})")
    for name in ("sigma", "slope"):
        print(f"{name} {result.posterior[name].mean():.3f} +- {result.posterior[name].std():.3f}")
    run = result.meta_data["nbi"]
    print(f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, {run['status']}")
    draw(result, (time, observed), velocity, circular, path=f"{OUTDIR}/k2_24.png")


if __name__ == "__main__":
    main()
