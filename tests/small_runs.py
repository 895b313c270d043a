"""Small runs of the sampler through bilby, and how an answer is compared with an exact one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

import bilby
import numpy as np
import pytest

from nbi_sampler.core.config import (
    FIT,
    HIGH_WEIGHT_KERNELS,
    LOCAL_KERNELS,
    MIXTURE,
    REFINEMENT_TRAINING,
    REGRESSION,
    REGRESSION_KERNELS,
)

N_SIGMA = 4.5
# Settings with which the fit of a proposal takes a tenth of the time.
FEW_KERNELS = {"n_kernels": 40, "n_pool": 300}
SMALL_FITS = (
    (MIXTURE, {"n_inside": 20_000, "em_kernels": (1, 3), "em_draws": (500, 1000)}),
    (REGRESSION, {"n_candidates": 1000}),
    (FIT, {"least_batches": 4, "most_batches": 4}),
    (REFINEMENT_TRAINING, {"n_batches": 10}),
    *((kernels, FEW_KERNELS) for kernels in (LOCAL_KERNELS, HIGH_WEIGHT_KERNELS, REGRESSION_KERNELS)),
)


@contextmanager
def made_small():
    """Fit every proposal with fewer kernels and candidates, in tests of anything but its efficiency.

    A run then takes a third of the time or less. It needs more calls, and its results are right all the same.
    """
    with pytest.MonkeyPatch.context() as patch:
        for settings, changes in SMALL_FITS:
            for name, value in changes.items():
                patch.setitem(vars(settings), name, value)
        yield


@dataclass(frozen=True)
class Exact:
    """Evidence, means and standard deviations of a posterior."""

    log_evidence: float
    means: dict[str, float]
    sigmas: dict[str, float]


def run_nbi(likelihood, priors, outdir, **keywords):
    """Run the sampler through bilby, quickly."""
    settings = dict(n_effective=400, n_sims=500, seed=1, print_method="none", resume=False, save=False)
    training = {"n_epochs": 8, "batch_size": 100, "n_batches": 10}
    settings |= {"outdir": str(outdir), "training": training} | keywords
    return bilby.run_sampler(likelihood, priors, sampler="nbi", **settings)


def weighted(columns, log_likelihood, weights):
    """Exact answer by a quadrature of the unit cube: nodes, their log-likelihoods and prior weights."""
    peak = np.max(log_likelihood)
    posterior = weights * np.exp(log_likelihood - peak)
    total = posterior.sum()
    means = {name: posterior @ column / total for name, column in columns.items()}
    sigmas = {name: np.sqrt(posterior @ (columns[name] - mean) ** 2 / total) for name, mean in means.items()}
    return Exact(peak + np.log(total / np.sum(weights)), means, sigmas)


def assert_agrees(result, exact, status="ok"):
    """Compare evidence and weighted means with the exact ones, within their errors."""
    own = result.meta_data["nbi"]
    assert own["status"] == status, own["message"]
    difference = result.log_evidence - exact.log_evidence
    # Where all weights are equal there is no error, only rounding.
    assert abs(difference) < N_SIGMA * result.log_evidence_err + 1e-12, f"log Z is off by {difference}"
    weights = result.nested_samples["weights"].to_numpy()
    for name, mean in exact.means.items():
        difference = weights @ result.nested_samples[name].to_numpy() - mean
        assert abs(difference) < N_SIGMA * exact.sigmas[name] / np.sqrt(own["ess"]), (
            f"the mean of {name} is off by {difference}, its standard deviation is {exact.sigmas[name]}"
        )
