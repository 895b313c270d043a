"""Small runs through bilby, and the problems of most of them."""

from __future__ import annotations

import bilby
import pytest
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform
from sampler_cases import BOX, line, line_data


@pytest.fixture(scope="module", autouse=True)
def runs_are_quick(small_fits_of_a_module):
    """What bilby is promised does not depend on how well a proposal fits."""


@pytest.fixture
def bowl_priors():
    return PriorDict({"a": Uniform(-BOX / 2, BOX / 2), "b": Uniform(-BOX / 2, BOX / 2)})


@pytest.fixture
def line_problem():
    x, y = line_data()
    return GaussianLikelihood(x, y, line, sigma=0.5), PriorDict({"m": Uniform(-5, 5), "c": Uniform(-5, 5)})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the sampler through bilby, quickly, and leave bilby's own switches as they were."""

    def run(likelihood, priors, **kwargs):
        settings = dict(n_effective=300, n_sims=600, seed=1, print_method="none", resume=False, save=False)
        settings |= {"outdir": str(tmp_path_factory.mktemp("run")), "training": {"n_epochs": 10}} | kwargs
        return bilby.run_sampler(likelihood, priors, sampler="nbi", **settings)

    return run
