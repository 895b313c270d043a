"""One planet or two around HD 164922? Velocities of three instruments, compared by evidence.

Run `python examples/hd_164922.py`. It writes results and the plot to build/gallery/hd_164922/. The planet
with a period of three years has been known since 2006. Fulton et al. (2016, ApJ 830, 46) found the one of
75.8 days in these velocities. Every instrument has its own offset and its own jitter, a scatter beyond the
uncertainties.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import bilby
import numpy as np
from bilby.core.prior import LogUniform, Normal, Uniform
from drawing.hd_164922 import draw
from observing.velocities import Velocities

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=50, n_sims=300, max_likelihood_calls=1500, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=1500)
OUTDIR = "build/gallery/hd_164922"
TABLE = Path(__file__).parent / "data" / "hd164922_rv.txt"
TIME, VELOCITY, ERROR = np.loadtxt(TABLE, skiprows=1, usecols=(0, 1, 2), unpack=True)
DATA = TIME, VELOCITY, ERROR, np.loadtxt(TABLE, skiprows=1, usecols=3, dtype=str)  # the last: instruments
INSTRUMENTS = dict(k="HIRES, to 2004", j="HIRES, since 2004", a="APF")
T_REF = 2455500.0  # BJD, amid the data

PRIORS = {}
for name in INSTRUMENTS:
    PRIORS[f"offset_{name}"], PRIORS[f"jitter_{name}"] = Uniform(-20, 20), LogUniform(0.1, 20)  # m/s
# h = sqrt(e) cos(omega) and k = sqrt(e) sin(omega), so e below a half and omega have uniform priors; l is the
# mean longitude at T_REF. The prior of planet b's period is that of Butler et al. (2006), 1155 +- 23 d, with
# three times the error. That of planet c is around the peak of a periodogram (a search from 50 to 100 days
# divides the evidence by 6.6). Its orbit is circular, because the data hardly constrain its eccentricity
# (Fulton et al.: 0.22 +- 0.13).
PLANETS = dict(
    b=dict(P_b=Normal(1155, 70), K_b=Uniform(0, 20), h_b=Uniform(-0.7, 0.7), k_b=Uniform(-0.7, 0.7)),
    c=dict(P_c=LogUniform(72, 80), K_c=Uniform(0, 10), h_c=0.0, k_c=0.0),
)
for name, priors in PLANETS.items():
    priors[f"l_{name}"] = Uniform(0, 2 * np.pi, boundary="periodic")
PUBLISHED = dict(b="1201.1 +- 5.6", c="75.765 +- 0.058")  # periods, days


def orbit(parameters: Mapping[str, float], name: str, time: np.ndarray) -> np.ndarray:
    """Velocity that one planet gives the star; parameters are numbers, or arrays of shape (n, 1)."""
    P, K, h, k, longitude = (parameters[f"{key}_{name}"] for key in "PKhkl")
    e, omega = h**2 + k**2, np.arctan2(k, h)
    mean = 2 * np.pi * (time - T_REF) / P + longitude - omega
    anomaly = mean + e * np.sin(mean)
    for _ in range(6):  # Newton's method for Kepler's equation
        anomaly = anomaly - (anomaly - e * np.sin(anomaly) - mean) / (1 - e * np.cos(anomaly))
    true = 2 * np.arctan2(np.sqrt(1 + e) * np.sin(anomaly / 2), np.sqrt(1 - e) * np.cos(anomaly / 2))
    return K * (np.cos(true + omega) + e * np.cos(omega))


def fit(planets: str) -> bilby.core.result.Result:
    """Run with these planets."""
    likelihood = Velocities(DATA, orbit, planets)
    priors = PRIORS | {key: prior for name in planets for key, prior in PLANETS[name].items()}
    # Networks learn from data with a typical jitter. The likelihood, with its own jitter, gives the weights.
    simulations = dict(simulator=likelihood.predict, x_obs=VELOCITY, noise=np.sqrt(ERROR**2 + 3**2))
    settings = dict(seed=1, outdir=OUTDIR, label=planets, clean=True)
    return bilby.run_sampler(likelihood, priors, sampler="nbi", **simulations, **settings, **AMOUNT)


def main() -> None:
    """Fit, print the results, draw."""
    with ProcessPoolExecutor(2) as pool:  # both at once
        one, two = pool.map(fit, ["b", "bc"])
    for planets, result in dict(b=one, bc=two).items():
        draws, status = result.posterior, result.meta_data["nbi"]["status"]
        best = Velocities(DATA, orbit, planets).predict(draws.loc[draws["log_likelihood"].idxmax()])
        evidence = f"log evidence {result.log_evidence:.2f} +- {result.log_evidence_err:.2f}"
        left = f"residuals of {(VELOCITY - best).std():.2f} m/s"
        print(f"\nplanets {planets}: {evidence}, {left}, status {status}")
        for name in planets:
            period, amplitude = draws[f"P_{name}"], draws[f"K_{name}"]
            e = draws[f"h_{name}"] ** 2 + draws[f"k_{name}"] ** 2
            print(f"{name}: period {period.mean():.2f} +- {period.std():.2f} d ({PUBLISHED[name]}), ", end="")
            print(f"K {amplitude.mean():.2f} +- {amplitude.std():.2f} m/s, e {e.mean():.2f} +- {e.std():.2f}")
    odds, error = two.log_evidence - one.log_evidence, np.hypot(two.log_evidence_err, one.log_evidence_err)
    print(f"\nlog Bayes factor of the second planet {odds:.2f} +- {error:.2f}")
    draw(two.posterior, Velocities(DATA, orbit, "bc"), INSTRUMENTS, T_REF, path=f"{OUTDIR}/hd_164922.png")


if __name__ == "__main__":
    main()
