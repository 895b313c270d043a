"""A small run that is asked for what cannot work."""

from __future__ import annotations

import bilby
import pytest
from bilby.core.prior import PriorDict, Uniform


@pytest.fixture(scope="module", autouse=True)
def runs_are_quick(request):
    """Only the evidences of hostile likelihoods are found with the proposals of users."""
    if request.module.__name__ != "test_hostile":
        request.getfixturevalue("small_fits_of_a_module")


@pytest.fixture
def priors():
    return PriorDict({"a": Uniform(-3, 3), "b": Uniform(-3, 3)})


@pytest.fixture
def run(tmp_path, priors):
    """Run the sampler through bilby, quickly."""

    def run(likelihood, priors=priors, **kwargs):
        settings = dict(n_effective=300, n_sims=300, seed=1, print_method="none", resume=False, save=False)
        settings |= {"outdir": str(tmp_path), "label": "bad", "training": {"n_epochs": 10}} | kwargs
        return bilby.run_sampler(likelihood, priors, sampler="nbi", **settings)

    return run
