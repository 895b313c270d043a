"""Does OGLE-2005-BLG-086 show the Earth's motion? Annual parallax against none, compared by evidence.

Run `python examples/ogle_2005_blg_086.py`; results and the plot are then in build/gallery/ogle_2005_blg_086/.
The event lasted for a year (Wyrzykowski et al. 2015, ApJS 216, 12). The path of the lens may pass the source
on either side (the sign of u0) and may bend north or south: four solutions, of which some data tell apart
none and others all (Smith, Mao & Paczynski 2003; Gould 2004). The prior covers them all, and so does the run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import bilby
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from astropy.coordinates import get_body_barycentric_posvel
from astropy.time import Time
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, Normal, PriorDict, Uniform

QUICK = "--quick" in sys.argv  # a rough fit in seconds, to see that all works
ROUGH = dict(n_effective=100, n_sims=500, max_likelihood_calls=4000, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=3000, n_sims=4000)
DATA = Path(__file__).parent / "data" / "ogle-2005-blg-086.dat"
TIME, MAGNITUDE, ERROR = np.loadtxt(DATA, unpack=True)  # HJD - 2450000
ERROR *= 1.22  # because with the errors as given the best fit has chi^2 per degree of freedom of 1.49
BASELINE = 16.33  # magnitude, roughly: the unit of flux
FLUX = 10 ** (-0.4 * (MAGNITUDE - BASELINE))
SIGMA = FLUX * ERROR * np.log(10) / 2.5
OUTDIR = "build/gallery/ogle_2005_blg_086"
RIGHT_ASCENSION, DECLINATION = np.radians([271.19046, -26.98756])
T_REF = 3628.0  # HJD - 2450000; in the frame of the Earth's motion then, parallax is a bend of the path
BLUE, VERMILION = "#0072b2", "#d55e00"  # Okabe & Ito (2008), told apart by colour-blind readers too

WITHOUT = PriorDict(
    dict(t0=Uniform(3578, 3678), u0=Uniform(0, 1), tE=LogUniform(30, 300), piN=0.0, piE=0.0)
    | dict(source=Uniform(0, 2), baseline=Normal(1, 0.05))  # blended light may be negative: no more than that
)
# Without parallax both signs of u0 are the same curve, and the evidence of both is that of one.
WITH = PriorDict(WITHOUT | dict(u0=Uniform(-1, 1), piN=Uniform(-1, 1), piE=Uniform(-1, 1)))


def with_sun(time: np.ndarray) -> np.ndarray:
    """Time, and the Sun's offset from uniform motion, north and east in au (Gould 2004, ApJ 606, 319)."""
    sin, cos = np.sin([RIGHT_ASCENSION, DECLINATION]), np.cos([RIGHT_ASCENSION, DECLINATION])
    north, east = np.array([[-sin[1] * cos[0], -sin[1] * sin[0], cos[1]], [-sin[0], cos[0], 0.0]])
    # The positions of astropy's built-in ephemeris; the difference of HJD and TDB is of no concern.
    earth, _ = get_body_barycentric_posvel("earth", Time(time + 2.45e6, format="jd", scale="tdb"))
    start, speed = get_body_barycentric_posvel("earth", Time(T_REF + 2.45e6, format="jd", scale="tdb"))
    uniform = start.xyz.to_value("au")[:, None] + speed.xyz.to_value("au/day")[:, None] * (time - T_REF)
    return np.column_stack([time, (uniform - earth.xyz.to_value("au")).T @ np.array([north, east]).T])


def flux_model(
    x: np.ndarray, t0: float, u0: float, tE: float, piN: float, piE: float, source: float, baseline: float
) -> np.ndarray:
    """Flux of a point lens seen from the Earth (Paczynski 1986; Gould 2004); x comes from `with_sun`."""
    time, north, east = x.T
    tau = (time - t0) / tE + piN * north + piE * east
    beta = u0 + piN * east - piE * north
    u_squared = tau**2 + beta**2
    return baseline + source * ((u_squared + 2) / np.sqrt(u_squared * (u_squared + 4)) - 1)


def best_curve(result: bilby.core.result.Result, x: np.ndarray) -> np.ndarray:
    """Magnitudes of the draw of highest likelihood."""
    draws = result.nested_samples
    best = draws.loc[draws["log_likelihood"].idxmax(), result.search_parameter_keys]
    return BASELINE - 2.5 * np.log10(flux_model(x, **dict(piN=0.0, piE=0.0) | best.to_dict()))


def fit(name: str, priors: PriorDict) -> bilby.core.result.Result:
    """Run, and print what the model makes of the data."""
    likelihood = GaussianLikelihood(with_sun(TIME), FLUX, flux_model, sigma=SIGMA)
    settings = dict(seed=1, outdir=OUTDIR, label=name.replace(" ", "_"), clean=True)
    result = bilby.run_sampler(likelihood, priors, sampler="nbi", **settings, **AMOUNT)
    chi_squared = -2 * result.nested_samples["log_likelihood"].max() - np.sum(np.log(2 * np.pi * SIGMA**2))
    n_free = len(TIME) - len(result.search_parameter_keys)
    print(f"{name}: log evidence {result.log_evidence:.2f} +- {result.log_evidence_err:.2f}, ", end="")
    print(f"chi^2 {chi_squared:.1f} / {n_free}, status {result.meta_data['nbi']['status']}")
    return result


def solutions(result: bilby.core.result.Result) -> Iterator[tuple[float, pd.DataFrame]]:
    """Share and draws of each solution, told apart by the signs of u0 and of the parallax to the north."""
    draws = result.nested_samples
    for _, chosen in draws.groupby([draws["u0"] > 0, draws["piN"] > 0]):
        share = chosen["weights"].sum()
        if share > 1e-3:
            yield share, chosen


def plot(runs: dict[str, bilby.core.result.Result]) -> None:
    """Plot the light curve, what both models leave of it, and the parallax vector of each solution."""
    figure = plt.figure(figsize=(10, 5.5), layout="constrained")
    rows = [["curve", "vector"], ["no parallax", "vector"], ["parallax", "vector"]]
    panels = figure.subplot_mosaic(rows, height_ratios=(2.2, 1, 1), width_ratios=(1.6, 1))
    points = dict(yerr=ERROR, fmt="o", ms=2.5, lw=0.6, color="0.5")
    panels["curve"].errorbar(TIME, MAGNITUDE, **points)
    dense = with_sun(np.linspace(TIME[0] - 60, TIME[-1] + 60, 2000))
    for (name, run), colour, style in zip(runs.items(), (VERMILION, BLUE), ("--", "-"), strict=True):
        line = dict(ls=style, color=colour, lw=1.3, zorder=3, label=name)
        panels["curve"].plot(dense[:, 0], best_curve(run, dense), **line)
        panels[name].errorbar(TIME, MAGNITUDE - best_curve(run, with_sun(TIME)), **points)
        panels[name].axhline(0, **line)
        panels[name].set(ylabel="residual (mag)", ylim=(0.085, -0.085))
    panels["curve"].set(ylabel="$I$ (mag)", ylim=(16.5, 15.2))
    panels["curve"].legend(frameon=False)
    panels["parallax"].set(xlabel="HJD $-$ 2450000 (days)")
    for name in ("curve", *runs):
        panels[name].set(xlim=dense[[0, -1], 0])
        panels[name].label_outer()

    for share, draws in solutions(runs["parallax"]):
        some = draws.sample(int(4000 * share), replace=True, weights="weights", random_state=1)
        sign, colour = (">", "#009e73") if draws["u0"].iloc[0] > 0 else ("<", "#cc79a7")
        panels["vector"].plot(some["piE"], some["piN"], ".", ms=2, color=colour, alpha=0.4)
        at = some["piE"].mean(), some["piN"].min() - 0.02
        panels["vector"].text(*at, f"$u_0 {sign} 0$: {share:.0%}", color=colour, ha="center", va="top")
    panels["vector"].axhline(0, color="0.7", lw=0.8, zorder=0)
    panels["vector"].set(xlabel=r"$\pi_{\rm E}$ to the east", ylabel=r"$\pi_{\rm E}$ to the north")
    panels["vector"].set(ylim=(-0.55, 0.5))
    for panel in panels.values():
        panel.tick_params(direction="in", top=True, right=True)
    figure.savefig(f"{OUTDIR}/ogle_2005_blg_086.png", dpi=150)


def main() -> None:
    """Fit both models, compare, plot."""
    without, parallax = fit("no parallax", WITHOUT), fit("parallax", WITH)
    odds = parallax.log_evidence - without.log_evidence
    error = np.hypot(parallax.log_evidence_err, without.log_evidence_err)
    print(f"log Bayes factor for parallax {odds:.2f} +- {error:.2f}")
    for share, draws in solutions(parallax):
        middle = (f"{key} {np.average(draws[key], weights=draws['weights']):.3f}" for key in WITH)
        print(f"{share:6.1%} of the posterior: {', '.join(middle)}")
    plot({"no parallax": without, "parallax": parallax})


if __name__ == "__main__":
    main()
