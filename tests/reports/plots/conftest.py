"""One run that is plotted, on a straight line."""

from __future__ import annotations

import bilby
import numpy as np
import pytest
from bilby.core.prior import Uniform
from plot_cases import SIGMA, SMALL, line
from small_runs import made_small, run_nbi

from nbi_sampler.reports.plots import RunView


@pytest.fixture(scope="session")
def likelihood():
    x = np.linspace(0, 1, 30)
    noise = SIGMA * np.random.default_rng(3).normal(size=30)
    return bilby.core.likelihood.GaussianLikelihood(x, line(x, 1.0, 0.5) + noise, line, SIGMA)


@pytest.fixture(scope="session")
def priors():
    return {"slope": Uniform(-5, 5, latex_label="$s$"), "offset": Uniform(-5, 5)}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plotted")


@pytest.fixture(scope="session")
def result(likelihood, priors, folder):
    """A run that is plotted at its end, as a user asks for it."""
    with made_small():
        return run_nbi(likelihood, priors, folder, plot=True, save=True, **SMALL)


@pytest.fixture(scope="session")
def view(result):
    return RunView.from_result(result)
