"""One planet or two around HD 164922? Velocities of three instruments, compared by evidence.

Run `python examples/hd_164922.py`; results and the plot are then in build/gallery/hd_164922/. The planet of
three years has been known since 2006; Fulton et al. (2016, ApJ 830, 46) found the one of 75.8 days in these
velocities. Every instrument has its own offset and its own jitter, scatter beyond the uncertainties.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import bilby
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from bilby.core.prior import LogUniform, Normal, PriorDict, Uniform

QUICK = "--quick" in sys.argv  # a rough fit in seconds, to see that all works
ROUGH = dict(n_effective=100, n_sims=500, max_likelihood_calls=3000, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=1500)
DATA = Path(__file__).parent / "data" / "hd164922_rv.txt"
OUTDIR = "build/gallery/hd_164922"
TIME, VELOCITY, ERROR = np.loadtxt(DATA, skiprows=1, usecols=(0, 1, 2), unpack=True)
TELESCOPE = np.loadtxt(DATA, skiprows=1, usecols=3, dtype=str)
INSTRUMENTS = dict(k="HIRES, to 2004", j="HIRES, since 2004", a="APF")
T_REF = 2455500.0  # BJD, amid the data
COLOURS = dict(k="#e69f00", j="#0072b2", a="#009e73")  # Okabe & Ito (2008), for colour-blind readers too
MARKERS = dict(k="s", j="o", a="^")

PRIORS = {}
for name in INSTRUMENTS:
    PRIORS[f"offset_{name}"], PRIORS[f"jitter_{name}"] = Uniform(-20, 20), LogUniform(0.1, 20)  # m/s
# h = sqrt(e) cos(omega) and k = sqrt(e) sin(omega), so that any e below a half is as likely, and any omega;
# l is the mean longitude at T_REF. Planet b has the period of Butler et al. (2006), 1155 +- 23 d, with thrice
# its error; c what is about the peak of a periodogram (a search from 50 to 100 days divides the evidence by
# 6.6) and a circular orbit, because its eccentricity is hardly to be had (Fulton et al.: 0.22 +- 0.13).
PLANETS = dict(
    b=dict(
        P_b=Normal(1155, 70),
        K_b=Uniform(0, 20),
        h_b=Uniform(-0.7, 0.7),
        k_b=Uniform(-0.7, 0.7),
        l_b=Uniform(0, 2 * np.pi, boundary="periodic"),
    ),
    c=dict(
        P_c=LogUniform(72, 80),
        K_c=Uniform(0, 10),
        h_c=0.0,
        k_c=0.0,
        l_c=Uniform(0, 2 * np.pi, boundary="periodic"),
    ),
)
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


class Velocities(bilby.Likelihood):
    """Gaussian likelihood whose variances are those of the data and the jitter of each instrument."""

    def __init__(self, planets: str) -> None:
        super().__init__()
        self.planets = planets

    def predict(self, parameters: Mapping[str, float]) -> np.ndarray:
        """Velocity at each observation."""
        offset = sum(parameters[f"offset_{name}"] * (TELESCOPE == name) for name in INSTRUMENTS)
        return offset + sum(orbit(parameters, name, TIME) for name in self.planets)

    def variance(self, parameters: Mapping[str, float]) -> np.ndarray:
        """Variance of each observation."""
        jitter = sum(parameters[f"jitter_{name}"] * (TELESCOPE == name) for name in INSTRUMENTS)
        return ERROR**2 + jitter**2

    def log_likelihood(self, parameters: Mapping[str, float]) -> float:
        """Log-likelihood of one set of parameters."""
        variance = self.variance(parameters)
        residual = VELOCITY - self.predict(parameters)
        return -0.5 * np.sum(residual**2 / variance + np.log(2 * np.pi * variance))


def fit(planets: str) -> bilby.core.result.Result:
    """Run with these planets."""
    likelihood = Velocities(planets)
    priors = PriorDict(PRIORS | {key: prior for name in planets for key, prior in PLANETS[name].items()})
    # Networks learn from data of a typical jitter; what decides is the likelihood, which has its own.
    simulations = dict(simulator=likelihood.predict, x_obs=VELOCITY, noise=np.sqrt(ERROR**2 + 3**2))
    settings = dict(seed=1, outdir=OUTDIR, label=planets, clean=True)
    return bilby.run_sampler(likelihood, priors, sampler="nbi", **simulations, **settings, **AMOUNT)


def report(planets: str, result: bilby.core.result.Result) -> None:
    """Print the evidence, what the model leaves of the data, and what it says of each planet."""
    draws = result.posterior
    left = VELOCITY - Velocities(planets).predict(draws.loc[draws["log_likelihood"].idxmax()])
    print(
        f"\nplanets {planets}: log evidence {result.log_evidence:.2f} +- {result.log_evidence_err:.2f}, ",
        end="",
    )
    print(f"residuals of {left.std():.2f} m/s, status {result.meta_data['nbi']['status']}")
    for name in planets:
        period, amplitude = draws[f"P_{name}"], draws[f"K_{name}"]
        e = draws[f"h_{name}"] ** 2 + draws[f"k_{name}"] ** 2
        print(f"{name}: period {period.mean():.2f} +- {period.std():.2f} d ({PUBLISHED[name]}), ", end="")
        print(f"K {amplitude.mean():.2f} +- {amplitude.std():.2f} m/s, e {e.mean():.2f} +- {e.std():.2f}")


def year(time: np.ndarray) -> np.ndarray:
    """Calendar year of a BJD."""
    return 2000 + (time - 2451544.5) / 365.25


def plot(draws: pd.DataFrame) -> None:
    """Plot all velocities over the curve of both planets, and those of each planet over its phase."""
    best = draws.loc[draws["log_likelihood"].idxmax()]
    model, offsets = Velocities("bc"), {name: best[f"offset_{name}"] for name in INSTRUMENTS}
    residual, error = VELOCITY - model.predict(best), np.sqrt(model.variance(best))
    figure = plt.figure(figsize=(9, 8), layout="constrained")
    panels = figure.subplot_mosaic(
        [["all", "all"], ["left", "left"], ["b", "c"]], height_ratios=(2.2, 1.1, 2.2)
    )
    grid = np.linspace(TIME.min() - 60, TIME.max() + 60, 6000)
    some = {key: values.to_numpy()[:, None] for key, values in draws.iloc[:100].items()}
    curves = orbit(some, "b", grid) + orbit(some, "c", grid)
    band = np.percentile(curves, (2.5, 97.5), axis=0)
    panels["all"].fill_between(year(grid), *band, color="0.75", lw=0, label="both planets, 95 %")
    phase = np.linspace(-0.5, 0.5, 300)
    for name, label in INSTRUMENTS.items():
        use = TELESCOPE == name
        points = dict(yerr=error[use], fmt=MARKERS[name], ms=3.5, lw=0.6, color=COLOURS[name], label=label)
        panels["all"].errorbar(year(TIME[use]), VELOCITY[use] - offsets[name], **points)
        panels["left"].errorbar(year(TIME[use]), residual[use], **points)
        for each in "bc":
            at = (TIME[use] - T_REF) / best[f"P_{each}"]
            seen = residual[use] + orbit(best, each, TIME[use])
            panels[each].errorbar((at + 0.5) % 1 - 0.5, seen, **points | dict(alpha=0.5))
    for each in "bc":
        times = T_REF + phase * some[f"P_{each}"]
        low, high = np.percentile(orbit(some, each, times), (2.5, 97.5), axis=0)
        panels[each].fill_between(phase, low, high, color="0.1", alpha=0.7, lw=0, zorder=3)
        panels[each].set(xlabel="orbits since BJD 2455500", xlim=(-0.5, 0.5), ylim=(-16, 16))
        panels[each].set_title(f"HD 164922 {each}, {best[f'P_{each}']:.1f} days", loc="left", fontsize=11)
    panels["all"].legend(frameon=False, ncols=4, loc="upper center")
    panels["all"].set(ylabel="velocity (m/s)", ylim=(-21, 23))
    panels["left"].sharex(panels["all"])
    panels["all"].tick_params(labelbottom=False)
    panels["left"].axhline(0, color="0.1", lw=0.8, zorder=3)
    panels["left"].set(xlabel="year", ylabel="residual (m/s)", ylim=(-15, 15), xticks=range(1996, 2017, 4))
    panels["b"].set(ylabel="velocity (m/s)")
    for panel in panels.values():
        panel.tick_params(direction="in", top=True, right=True)
    figure.savefig(f"{OUTDIR}/hd_164922.png", dpi=150)


def main() -> None:
    """Fit, compare, plot."""
    with ProcessPoolExecutor(2) as pool:  # both at once
        one, two = pool.map(fit, ["b", "bc"])
    report("b", one)
    report("bc", two)
    odds, error = two.log_evidence - one.log_evidence, np.hypot(two.log_evidence_err, one.log_evidence_err)
    print(f"\nlog Bayes factor of the second planet {odds:.2f} +- {error:.2f}")
    plot(two.posterior)


if __name__ == "__main__":
    main()
