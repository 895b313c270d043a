"""The noise law of the survey example; that it runs to its end is tested with the gallery."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np

PATH = Path(__file__).parents[3] / "examples" / "survey_microlensing.py"


def test_light_curves_scatter_about_the_truth_by_their_errors(monkeypatch):
    monkeypatch.syspath_prepend(str(PATH.parent))
    example = SimpleNamespace(**runpy.run_path(str(PATH)))
    truths, likelihoods = example.simulated(30)
    chi_squared = [
        np.sum(((each.y - example.flux_at(each.x, *truth)) / each.sigma) ** 2)
        for truth, each in zip(truths, likelihoods, strict=True)
    ]
    n_points = np.array([len(each.x) for each in likelihoods])
    pulls = (np.array(chi_squared) - n_points) / np.sqrt(2 * n_points)
    assert abs(pulls.mean()) < 4.5 / np.sqrt(30)
    assert 15 < n_points.min() < n_points.max() < example.N_NIGHTS
