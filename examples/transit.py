"""Fit the transit of a hot Jupiter, computed by batman (Kreidberg 2015, arXiv:1507.08285).

Run `python examples/transit.py`. It writes the result and the plot to build/gallery/transit/. The light curve
is simulated: one transit, an exposure every two minutes, 300 parts per million of noise. Limb darkening is
sampled in the coordinates of Kipping (2013, arXiv:1308.0009), in which the whole unit square is allowed.
"""

from __future__ import annotations

import sys

import batman
import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import Uniform
from drawing.transit import draw

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=50, n_sims=700, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
OUTDIR = "build/gallery/transit"
PERIOD = 3.5  # days, known from many transits
SIGMA = 3e-4
TRUTH = dict(t0=0.002, radius=0.105, axis=9.0, impact=0.35, q1=0.30, q2=0.35, flux=1.0)

PRIORS = dict(
    t0=Uniform(-0.05, 0.05, latex_label="$t_0$", unit="d"),
    radius=Uniform(0.02, 0.2, latex_label=r"$R_{\rm p}/R_\star$"),
    axis=Uniform(3, 20, latex_label=r"$a/R_\star$"),
    impact=Uniform(0, 1, latex_label="$b$"),
    q1=Uniform(0, 1, latex_label="$q_1$"),
    q2=Uniform(0, 1, latex_label="$q_2$"),
    flux=Uniform(0.99, 1.01, latex_label=r"$f_0$"),
)
TIME = np.arange(-0.15, 0.15, 2 / 1440)  # days
STAR = batman.TransitParams()
STAR.t0, STAR.per, STAR.rp, STAR.a, STAR.inc, STAR.ecc, STAR.w = 0.0, PERIOD, 0.1, 9.0, 88.0, 0.0, 90.0
STAR.limb_dark, STAR.u = "quadratic", [0.4, 0.2]
LIGHT_CURVE = batman.TransitModel(STAR, TIME)  # set up once, which costs more than a light curve


def transit(
    time: np.ndarray, t0: float, radius: float, axis: float, impact: float, q1: float, q2: float, flux: float
) -> np.ndarray:
    """Flux during the transit; radius and axis are in units of the star's radius."""
    STAR.t0, STAR.rp, STAR.a = float(t0), float(radius), float(axis)
    STAR.inc = float(np.degrees(np.arccos(impact / axis)))
    STAR.u = [2 * float(np.sqrt(q1) * q2), float(np.sqrt(q1) * (1 - 2 * q2))]
    return flux * LIGHT_CURVE.light_curve(STAR)


def density(axis: np.ndarray) -> np.ndarray:
    """Mean density of the star in g / cm^3, by Kepler's third law (Seager & Mallen-Ornelas 2003)."""
    return 3 * np.pi * axis**3 / (6.674e-8 * (PERIOD * 86400) ** 2)


def main() -> None:
    """Simulate, fit, print the results, draw."""
    observed = transit(TIME, **TRUTH) + SIGMA * np.random.default_rng(5).normal(size=len(TIME))
    likelihood = GaussianLikelihood(TIME, observed, transit, sigma=SIGMA)
    settings = dict(seed=1, outdir=OUTDIR, label="transit", clean=True)
    result = bilby.run_sampler(likelihood, PRIORS, sampler="nbi", **settings, **AMOUNT)
    result.posterior["density"] = density(result.posterior["axis"])
    for name, value in (TRUTH | dict(density=density(TRUTH["axis"]))).items():
        low, median, high = result.posterior[name].quantile([0.159, 0.5, 0.841])
        print(f"{name:8s} {median:9.5f} +{high - median:.5f} -{median - low:.5f}   truth {value:.5f}")
    run = result.meta_data["nbi"]
    print(f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, {run['status']}")
    print(f"{result.num_likelihood_evaluations} likelihood calls, efficiency {run['efficiency']:.0%}")
    draw(result, (TIME, observed), SIGMA, transit, TRUTH, path=f"{OUTDIR}/transit.png")


if __name__ == "__main__":
    main()
