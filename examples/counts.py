"""Is there an iron line? A faint X-ray spectrum of photon counts, fitted with and without the line.

Run `python examples/counts.py`. It writes results and plot to build/gallery/counts/. The data are simulated.
They have about ten photons in each channel of 100 eV, for which a chi^2 fit is biased.
"""

from __future__ import annotations

import sys

import bilby
import numpy as np
from bilby.core.likelihood import PoissonLikelihood
from bilby.core.prior import LogUniform, Uniform
from drawing.counts import draw
from scipy import stats

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=50, n_sims=300, max_likelihood_calls=1500, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
OUTDIR = "build/gallery/counts"

EDGES = np.linspace(3, 10, 71)  # keV
ENERGY = (EDGES[1:] + EDGES[:-1]) / 2
CHANNEL = EDGES[1] - EDGES[0]
RESOLUTION = 0.065  # of the detector, keV (standard deviation)
TRUTH = dict(continuum=12.0, index=1.7, photons=45.0, energy=6.4, width=0.1)

PRIORS = dict(
    continuum=LogUniform(1, 100, latex_label="$N$", unit="photons / 100 eV"),
    index=Uniform(0, 4, latex_label=r"$\Gamma$"),
    photons=Uniform(0, 150, latex_label=r"$n_{\rm line}$"),
    energy=Uniform(5.5, 7.5, latex_label=r"$E_{\rm line}$", unit="keV"),
    width=LogUniform(0.01, 0.5, latex_label=r"$\sigma_{\rm line}$", unit="keV"),
)


def expected(
    energy_of: np.ndarray, continuum: float, index: float, photons: float, energy: float, width: float
) -> np.ndarray:
    """Expected photons in each channel: a power law, equal to `continuum` at 6 keV, and a Gaussian line."""
    line = stats.norm(energy, np.hypot(width, RESOLUTION))
    in_channel = line.cdf(energy_of + CHANNEL / 2) - line.cdf(energy_of - CHANNEL / 2)
    return continuum * (energy_of / 6) ** -index + photons * in_channel


def report(with_line: bilby.core.result.Result, without: bilby.core.result.Result) -> None:
    """Print the line, its equivalent width, and the evidence for it."""
    draws = with_line.posterior
    continuum = draws.continuum * (draws.energy / 6) ** -draws["index"] / CHANNEL
    quoted = {"energy (keV)": draws.energy, "photons": draws.photons, "width (keV)": draws.width}
    quoted["equivalent width (eV)"] = 1000 * draws.photons / continuum
    for name, values in quoted.items():
        low, median, high = values.quantile([0.159, 0.5, 0.841])
        print(f"{name:22s} {median:8.3f} +{high - median:.3f} -{median - low:.3f}")
    for name, result in {"line": with_line, "no line": without}.items():
        run, calls = result.meta_data["nbi"], result.num_likelihood_evaluations
        evidence = f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}"
        print(f"{name}: {evidence}, {run['status']}, {calls} calls, efficiency {run['efficiency']:.0%}")
    error = np.hypot(with_line.log_evidence_err, without.log_evidence_err)
    print(f"log Bayes factor for the line {with_line.log_evidence - without.log_evidence:.2f} +- {error:.2f}")


def main() -> None:
    """Simulate, fit both models, print the results, draw."""
    counts = np.random.default_rng(8).poisson(expected(ENERGY, **TRUTH))
    likelihood = PoissonLikelihood(ENERGY, counts, expected)
    settings = dict(sampler="nbi", seed=1, outdir=OUTDIR, clean=True, **AMOUNT)
    with_line = bilby.run_sampler(likelihood, PRIORS, label="line", **settings)
    no_line = PRIORS | dict(photons=0.0, energy=6.4, width=0.1)
    without = bilby.run_sampler(likelihood, no_line, label="no_line", **settings)
    report(with_line, without)
    draw(with_line, without, (ENERGY, counts), expected, path=f"{OUTDIR}/counts.png")


if __name__ == "__main__":
    main()
