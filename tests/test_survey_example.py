"""The survey example, in small: its noise law, and that it runs to the end with its plots."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from nbi_sampler import Survey

PATH = Path(__file__).parents[1] / "examples" / "survey_microlensing.py"


@pytest.fixture(scope="module")
def example():
    specification = importlib.util.spec_from_file_location("survey_microlensing", PATH)
    module = importlib.util.module_from_spec(specification)
    # So that worker processes find its functions by name.
    sys.modules["survey_microlensing"] = module
    before = matplotlib.get_backend()
    matplotlib.use("agg")
    specification.loader.exec_module(module)
    yield module
    matplotlib.use(before)
    del sys.modules["survey_microlensing"]


def test_light_curves_scatter_about_the_truth_by_their_errors(example):
    truths, likelihoods = example.simulated(30)
    chi_squared = [
        np.sum(((each.y - example.flux_model(each.x, *truth)) / each.sigma) ** 2)
        for truth, each in zip(truths, likelihoods, strict=True)
    ]
    n_points = np.array([len(each.x) for each in likelihoods])
    pulls = (np.array(chi_squared) - n_points) / np.sqrt(2 * n_points)
    assert abs(pulls.mean()) < 4.5 / np.sqrt(30)
    assert 15 < n_points.min() < n_points.max() < example.N_NIGHTS


def test_it_runs_to_the_end(example, tmp_path, capsys):
    """With a model that has learnt nothing, and the draws of one batch."""
    example.main(n_sims=300, n_epochs=1, n_events=3, outdir=tmp_path, max_likelihood_calls=4000)
    assert len(Survey.read(tmp_path / "survey.h5").table) == 3
    assert "without a model" in capsys.readouterr().out
    for name in ("recovery.png", "ogle-2008-blg-092.png"):
        assert (tmp_path / name).stat().st_size > 20_000
