"""Your own simulator, noise and likelihood: a radio afterglow with upper limits at some epochs.

Run `python examples/own_simulator.py`. It writes result and plot to build/gallery/own_simulator/. The light
curve is simulated with the parameters that Makhathini et al. (2021, ApJ 922, 154) find for GW170817. A flux
below three times its noise is not a detection, and bilby has no likelihood for this. So the script defines
one, and `simulator=` and `noise=` tell the sampler how such data arise.
"""

from __future__ import annotations

import sys

import bilby
import numpy as np
from bilby.core.prior import LogUniform, Uniform
from drawing.own_simulator import draw
from scipy.stats import norm

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=100, n_sims=300, max_likelihood_calls=2000, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
OUTDIR = "build/gallery/own_simulator"

TRUTH = dict(peak=101.0, t_peak=155.0, rise=0.86, decay=1.92)
PRIORS = dict(
    peak=LogUniform(10, 1000, latex_label=r"$F_{\rm p}$", unit=r"$\mu$Jy"),
    t_peak=LogUniform(20, 800, latex_label=r"$t_{\rm p}$", unit="d"),
    rise=Uniform(0, 4, latex_label=r"$\alpha_1$"),
    decay=Uniform(0, 6, latex_label=r"$\alpha_2$"),
)
EPOCH = np.geomspace(4, 900, 26)  # days after the merger
NOISE = np.where(np.arange(len(EPOCH)) % 3 == 0, 12.0, 6.0)  # of short and long exposures, microjansky
LIMIT = 3 * NOISE


def light_curve(parameters: dict[str, float], time: np.ndarray = EPOCH) -> np.ndarray:
    """Flux of a smoothly broken power law, in microjansky: the simulator, without noise."""
    phase = time / parameters["t_peak"]
    rise, decay = phase ** (-2 * parameters["rise"]), phase ** (2 * parameters["decay"])
    return parameters["peak"] * np.sqrt(2 / (rise + decay))


def observe(flux: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fluxes as a telescope reports them: noisy fluxes for detections, and 0 otherwise."""
    noisy = flux + NOISE * rng.normal(size=flux.shape)
    return np.where(noisy > LIMIT, noisy, 0.0)


class Afterglow(bilby.Likelihood):
    """Detections scatter about the model; an upper limit has the probability of a flux below it."""

    def __init__(self, data: np.ndarray) -> None:
        super().__init__()
        self.data = data

    def log_likelihood(self, parameters: dict[str, float]) -> float:
        """Logarithm of the probability of all epochs."""
        flux = light_curve(parameters)
        detection, limit = norm.logpdf(self.data, flux, NOISE), norm.logcdf(LIMIT, flux, NOISE)
        return float(np.sum(np.where(self.data > 0, detection, limit)))


def main() -> None:
    """Simulate, fit, print the results, draw."""
    data = observe(light_curve(TRUTH), np.random.default_rng(4))
    known = dict(simulator=light_curve, noise=observe)
    settings = dict(seed=1, outdir=OUTDIR, label="afterglow", clean=True, **AMOUNT)
    result = bilby.run_sampler(Afterglow(data), PRIORS, sampler="nbi", **known, **settings)
    for name, truth in TRUTH.items():
        low, median, high = result.posterior[name].quantile([0.159, 0.5, 0.841])
        print(f"{name:8s} {median:8.2f} +{high - median:.2f} -{median - low:.2f}   truth {truth}")
    run = result.meta_data["nbi"]
    print(f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, {run['status']}")
    print(f"{result.num_likelihood_evaluations} likelihood calls, efficiency {run['efficiency']:.0%}")
    draw(result, (EPOCH, data, NOISE, LIMIT), light_curve, TRUTH, path=f"{OUTDIR}/own_simulator.png")


if __name__ == "__main__":
    main()
