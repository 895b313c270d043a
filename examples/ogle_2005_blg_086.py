"""Does OGLE-2005-BLG-086 show the Earth's motion? Models with and without parallax, compared by evidence.

Run `python examples/ogle_2005_blg_086.py`. It writes results and the plot to
build/gallery/ogle_2005_blg_086/. The event lasted for a year (Wyrzykowski et al. 2015, ApJS 216, 12). The
path of the lens may pass the source on either side (the sign of u0) and may bend north or south. This gives
four solutions, and data may exclude none or all but one (Smith, Mao & Paczynski 2003; Gould 2004). The prior
covers all of them, and so does the run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import numpy as np
from astropy.coordinates import get_body_barycentric_posvel
from astropy.time import Time
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, Normal, Prior, Uniform
from drawing.ogle_2005_blg_086 import draw

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=50, n_sims=300, max_likelihood_calls=1500, training=dict(n_epochs=5))
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

WITHOUT = dict(t0=Uniform(3578, 3678), u0=Uniform(0, 1), tE=LogUniform(30, 300), piN=0.0, piE=0.0)
# Blended light is the baseline minus the source. It may be negative by this much.
WITHOUT |= dict(source=Uniform(0, 2), baseline=Normal(1, 0.05))
# Without parallax, both signs of u0 give the same curve, so one sign has the evidence of both.
WITH = WITHOUT | dict(u0=Uniform(-1, 1), piN=Uniform(-1, 1), piE=Uniform(-1, 1))


def with_sun(time: np.ndarray) -> np.ndarray:
    """Time, and the Sun's offset from uniform motion, north and east in au (Gould 2004, ApJ 606, 319)."""
    sin, cos = np.sin([RIGHT_ASCENSION, DECLINATION]), np.cos([RIGHT_ASCENSION, DECLINATION])
    north, east = np.array([[-sin[1] * cos[0], -sin[1] * sin[0], cos[1]], [-sin[0], cos[0], 0.0]])
    # These are positions from astropy's built-in ephemeris. The difference of HJD and TDB is negligible.
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


def magnitude(time: np.ndarray, **parameters: float) -> np.ndarray:
    """Magnitudes of the model, for the picture."""
    return BASELINE - 2.5 * np.log10(flux_model(with_sun(time), **parameters))


def fit(name: str, priors: dict[str, Prior | float]) -> bilby.core.result.Result:
    """Run, and print how well the model fits the data."""
    likelihood = GaussianLikelihood(with_sun(TIME), FLUX, flux_model, sigma=SIGMA)
    settings = dict(seed=1, outdir=OUTDIR, label=name.replace(" ", "_"), clean=True)
    result = bilby.run_sampler(likelihood, priors, sampler="nbi", **settings, **AMOUNT)
    chi_squared = -2 * result.nested_samples["log_likelihood"].max() - np.sum(np.log(2 * np.pi * SIGMA**2))
    n_free = len(TIME) - len(result.search_parameter_keys)
    print(f"{name}: log evidence {result.log_evidence:.2f} +- {result.log_evidence_err:.2f}, ", end="")
    print(f"chi^2 {chi_squared:.1f} / {n_free}, status {result.meta_data['nbi']['status']}")
    return result


def main() -> None:
    """Fit both models, compare, draw."""
    without, parallax = fit("no parallax", WITHOUT), fit("parallax", WITH)
    odds = parallax.log_evidence - without.log_evidence
    error = np.hypot(parallax.log_evidence_err, without.log_evidence_err)
    print(f"log Bayes factor for parallax {odds:.2f} +- {error:.2f}")
    draws = parallax.nested_samples
    # The signs of u0 and of the parallax to the north identify a solution. Some solutions have few draws.
    groups = [chosen for _, chosen in draws.groupby([draws["u0"] > 0, draws["piN"] > 0])]
    solutions = [(chosen["weights"].sum(), chosen) for chosen in groups if chosen["weights"].sum() > 1e-3]
    for share, chosen in solutions:
        middle = (f"{key} {np.average(chosen[key], weights=chosen['weights']):.3f}" for key in WITH)
        print(f"{share:6.1%} of the posterior: {', '.join(middle)}")
    runs = {"no parallax": without, "parallax": parallax}
    draw(runs, (TIME, MAGNITUDE, ERROR), magnitude, solutions, path=f"{OUTDIR}/ogle_2005_blg_086.png")


if __name__ == "__main__":
    main()
