"""The ringdown of a black hole, fitted by nbi and by dynesty for a comparison.

Run `python examples/dynesty_comparison.py`. It writes results, a report and the plot to
build/gallery/dynesty_comparison/. The data are simulated: a damped wave like that of GW150914, in white
noise. `nbi-sampler benchmark compare` compares more samplers on a script of yours.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, Uniform
from drawing.dynesty_comparison import draw
from nbi_sampler_benchmark import Comparison, compare

QUICK = "--quick" in sys.argv  # rough fits in seconds, as a test
ROUGH = dict(
    nbi=dict(n_effective=100, n_sims=300, max_likelihood_calls=2000, training=dict(n_epochs=5)),
    dynesty=dict(nlive=40, dlogz=3.0, sample="acceptance-walk", naccept=2),
)
AMOUNT = ROUGH if QUICK else dict(nbi=dict(n_effective=5000), dynesty=dict(nlive=500))
OUTDIR = Path("build/gallery/dynesty_comparison")

TIME = np.arange(0, 25, 0.25)  # ms, from the peak
NOISE = 1.0
TRUTH = dict(amplitude=5.0, frequency=251.0, damping=4.0, phase=1.0)
PRIORS = dict(
    amplitude=Uniform(0, 20, latex_label=r"$A$ ($\sigma$)"),
    frequency=Uniform(100, 500, latex_label="$f$ (Hz)"),
    damping=LogUniform(0.5, 50, latex_label=r"$\tau$ (ms)"),
    phase=Uniform(0, 2 * np.pi, boundary="periodic", latex_label=r"$\phi$ (rad)"),
)


def ringdown(
    time: np.ndarray, amplitude: float, frequency: float, damping: float, phase: float
) -> np.ndarray:
    """Strain in units of the noise; times in ms, frequency in Hz."""
    return amplitude * np.exp(-time / damping) * np.cos(2e-3 * np.pi * frequency * time + phase)


def report(comparison: Comparison) -> None:
    """Print the cost and the result of each run, and the distance of the posteriors."""
    print(f"\n{'':10s}{'calls':>10s}{'ESS':>8s}{'calls/ESS':>11s}{'log evidence':>24s}   status")
    for row in comparison.rows():
        evidence = f"{row['log_evidence']:.3f} +- {row['log_evidence_err']:.3f}"
        cost = f"{row['calls']:>10,.0f}{row['ess']:>8.0f}{row['calls_per_ess']:>11.1f}"
        print(f"{row['sampler']:10s}{cost}{evidence:>24s}   {row['status'] or ''}")
    print(f"difference of log evidence: {comparison.rows()[0]['pull']:+.1f} of both errors")
    (pair,) = comparison.pairs()
    divergences = ", ".join(f"{name} {1000 * value:.1f}" for name, value in pair.divergences.items())
    print(f"Jensen-Shannon divergence of the marginals (millinats): {divergences}")


def main() -> None:
    """Simulate, run both samplers, print the findings, draw."""
    data = ringdown(TIME, **TRUTH) + NOISE * np.random.default_rng(2).normal(size=len(TIME))
    likelihood = GaussianLikelihood(TIME, data, ringdown, sigma=NOISE)
    settings = dict(seed=1, outdir=str(OUTDIR), clean=True, print_method="interval-60")
    results = {
        name: bilby.run_sampler(likelihood, PRIORS, sampler=name, label=name, **amount, **settings)
        for name, amount in AMOUNT.items()
    }
    comparison = compare(results, title="Ringdown", truth=TRUTH)
    report(comparison)
    print(f"more in {comparison.to_html(OUTDIR / 'report.html')}")
    draw(comparison, (TIME, data), NOISE, ringdown, path=f"{OUTDIR}/dynesty_comparison.png")


if __name__ == "__main__":
    main()
