"""Is there an iron line? A faint X-ray spectrum of photon counts, fitted with and without the line.

Run `python examples/counts.py`; results and plot are then in build/gallery/counts/. The data are simulated:
some ten photons in each channel of 100 eV, which is where a fit by chi^2 goes wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import matplotlib.pyplot as plt
import numpy as np
from bilby.core.likelihood import PoissonLikelihood
from bilby.core.prior import LogUniform, PriorDict, Uniform
from scipy import stats

QUICK = "--quick" in sys.argv  # a rough fit in seconds, to see that all works
ROUGH = dict(n_effective=100, n_sims=300, max_likelihood_calls=2000, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
OUTDIR = Path("build/gallery/counts")
BLUE, VERMILION = "#0072b2", "#d55e00"  # Okabe & Ito (2008), told apart by colour-blind readers too

EDGES = np.linspace(3, 10, 71)  # keV
ENERGY = (EDGES[1:] + EDGES[:-1]) / 2
CHANNEL = EDGES[1] - EDGES[0]
RESOLUTION = 0.065  # of the detector, keV (standard deviation)
TRUTH = dict(continuum=12.0, index=1.7, photons=45.0, energy=6.4, width=0.1)

PRIORS = PriorDict(
    dict(
        continuum=LogUniform(1, 100, latex_label="$N$", unit="photons / 100 eV"),
        index=Uniform(0, 4, latex_label=r"$\Gamma$"),
        photons=Uniform(0, 150, latex_label=r"$n_{\rm line}$"),
        energy=Uniform(5.5, 7.5, latex_label=r"$E_{\rm line}$", unit="keV"),
        width=LogUniform(0.01, 0.5, latex_label=r"$\sigma_{\rm line}$", unit="keV"),
    )
)


def expected(
    energy_of: np.ndarray, continuum: float, index: float, photons: float, energy: float, width: float
) -> np.ndarray:
    """Photons expected in each channel: a power law, which is `continuum` at 6 keV, and a Gaussian line."""
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


def plot(result: bilby.core.result.Result, without: bilby.core.result.Result, counts: np.ndarray) -> None:
    """Plot counts with bands of both models, and how improbable each count is."""
    panels = dict(sharex=True, height_ratios=(3, 1), layout="constrained")
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 5.5), **panels)
    # Central 68 % of the means that would explain a count (Garwood 1936).
    low, high = stats.chi2.ppf([[0.159], [0.841]], [2 * counts, 2 * counts + 2]) / 2
    points = dict(fmt="o", ms=3, lw=0.8, color="0.15")
    top.errorbar(
        ENERGY, counts, (counts - np.nan_to_num(low), high - counts), label="simulated counts", **points
    )
    for model, colour, label in ((without, BLUE, "power law"), (result, VERMILION, "power law and line")):
        draws = model.posterior.sample(300, replace=True, random_state=1)[list(PRIORS)].to_numpy()
        curves = np.array([expected(ENERGY, *draw) for draw in draws])
        below, median, above = np.quantile(curves, (0.025, 0.5, 0.975), axis=0)
        top.fill_between(ENERGY, below, above, color=colour, alpha=0.3, lw=0)
        top.plot(ENERGY, median, color=colour, lw=1.2, label=f"{label}, 95 %")
    top.set(ylabel="photons / 100 eV", xlim=EDGES[[0, -1]], ylim=(0, None))
    top.legend(frameon=False, loc="upper right")
    bottom.errorbar(ENERGY, (counts - median) / np.sqrt(median), 1.0, **points)
    bottom.axhline(0, color=VERMILION, lw=1)
    bottom.set(xlabel="energy (keV)", ylabel=r"residual / $\sqrt{\rm model}$", ylim=(-4, 4))
    for panel in (top, bottom):
        panel.tick_params(direction="in", top=True, right=True)
    figure.savefig(OUTDIR / "counts.png", dpi=150)
    plt.close(figure)


def main() -> None:
    """Simulate, fit both models, report and plot."""
    counts = np.random.default_rng(8).poisson(expected(ENERGY, **TRUTH))
    likelihood = PoissonLikelihood(ENERGY, counts, expected)
    settings = dict(sampler="nbi", seed=1, outdir=str(OUTDIR), clean=True, **AMOUNT)
    with_line = bilby.run_sampler(likelihood, PRIORS, label="line", **settings)
    no_line = PriorDict(dict(PRIORS) | dict(photons=0.0, energy=6.4, width=0.1))
    without = bilby.run_sampler(likelihood, no_line, label="no_line", **settings)
    report(with_line, without)
    plot(with_line, without, counts)


if __name__ == "__main__":
    main()
