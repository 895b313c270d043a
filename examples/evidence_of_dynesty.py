"""The evidence of an existing result: dynesty's samples of a transit, and log Z ten times as precise.

Run `python examples/evidence_of_dynesty.py`. It writes results and the plot to
build/gallery/evidence_of_dynesty/. Light curve, model and priors are those of `transit.py`. For your own
result and a script that defines `likelihood` and `priors`, a command does the same:
`nbi-sampler evidence RESULT --script SCRIPT`.
"""

from __future__ import annotations

import sys

import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from drawing.evidence_of_dynesty import draw
from transit import PRIORS, SIGMA, TIME, TRUTH, transit

from nbi_sampler import evidence_of

QUICK = "--quick" in sys.argv  # rough fits in seconds, as a test
ROUGH = dict(nlive=30, dlogz=8.0, sample="acceptance-walk", naccept=2)
SAMPLING = ROUGH if QUICK else dict(nlive=250, naccept=10)
AMOUNT = dict(n_effective=50, n_sims=500, training=dict(n_epochs=5)) if QUICK else {}
OUTDIR = "build/gallery/evidence_of_dynesty"
SHOWN = ("radius", "axis", "impact")


def main() -> None:
    """Simulate, sample with dynesty, weight the samples, print the results, draw."""
    observed = transit(TIME, **TRUTH) + SIGMA * np.random.default_rng(5).normal(size=len(TIME))
    likelihood = GaussianLikelihood(TIME, observed, transit, sigma=SIGMA)
    settings = dict(seed=1, outdir=OUTDIR, clean=True, print_method="interval-60")
    before = bilby.run_sampler(
        likelihood, PRIORS, sampler="dynesty", label="dynesty", check_point_plot=False, **settings, **SAMPLING
    )
    after = evidence_of(before, likelihood, **settings, **AMOUNT)
    for name, result in dict(dynesty=before, evidence_of=after).items():
        calls = result.num_likelihood_evaluations
        print(f"{name:12s} log Z {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, {calls:,} calls")
    run = after.meta_data["nbi"]
    print(f"{run['status']}, k-hat {run['k_hat']:.2f}: {run['message']}")
    draw(before, after, {name: TRUTH[name] for name in SHOWN}, path=f"{OUTDIR}/evidence_of_dynesty.png")


if __name__ == "__main__":
    main()
