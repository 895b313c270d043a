"""One run that is reported, on a straight line."""

from __future__ import annotations

import bilby
import numpy as np
import pytest
from bilby.core.prior import Uniform
from page_cases import line
from small_runs import made_small, run_nbi

from nbi_sampler.reports.html import report


@pytest.fixture(scope="session")
def likelihood():
    x = np.linspace(0, 1, 30)
    noise = 0.2 * np.random.default_rng(3).normal(size=30)
    return bilby.core.likelihood.GaussianLikelihood(x, line(x, 1.0, 0.5) + noise, line, 0.2)


@pytest.fixture(scope="session")
def priors():
    return {"slope": Uniform(-5, 5, latex_label="$s$"), "offset": Uniform(-5, 5)}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reported")


@pytest.fixture(scope="session")
def result(likelihood, priors, folder):
    """A run whose result is saved; tests that change it take a copy."""
    settings = dict(n_effective=150, n_sims=200, training={"n_epochs": 4}, save=True, label="line")
    settings["injection_parameters"] = {"slope": 1.0, "offset": 0.5}
    with made_small():
        return run_nbi(likelihood, priors, folder, **settings)


@pytest.fixture(scope="session")
def page(result):
    """The page of that result, with all of its figures."""
    return report(result)


@pytest.fixture
def no_figures(monkeypatch):
    """For tests of many pages that look at no figure."""
    monkeypatch.setattr("nbi_sampler.reports.html.page.images_of", lambda contents, shown: {})


@pytest.fixture
def coarse_figures(monkeypatch):
    """For tests that look at the pages of many figures, and not at the figures."""
    monkeypatch.setattr("nbi_sampler.reports.html.figures.DPI", 20)
